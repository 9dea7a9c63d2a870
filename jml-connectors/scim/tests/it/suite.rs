//! The conformance suite, on servers of three kinds.

use jml_connector_checks::{agrees, conforms, documents};
use jml_testkit::conformance::Harness;
use jml_testkit::fake::scim::Quirks;
use jml_testkit::openapi::Documents;

use crate::world::{self, Place};
use jml_connector_scim::Capabilities;

/// The shapes of RFC 7643 and RFC 7644, written down as a document.
pub(crate) fn papers() -> Option<Documents> {
    documents(&[("scim2", "/scim/v2")])
}

fn suite(name: &str, how: fn() -> (Quirks, Capabilities), know: impl FnOnce(Harness) -> Harness) {
    let papers = papers();
    let for_worlds = papers.clone();
    let harness = Harness::new(move || {
        let papers = for_worlds.clone();
        async move { world::world(how(), papers.as_ref()) }
    });
    conforms(env!("CARGO_MANIFEST_DIR"), name, &know(harness));
    agrees(&format!("scim, {name}"), papers.as_ref());
}

#[test]
fn a_rich_server() {
    suite("CONFORMANCE.txt", world::rich, |harness| harness);
}

#[test]
fn a_poor_server() {
    suite("CONFORMANCE-poor.txt", world::poor, |harness| harness);
}

#[test]
fn a_server_without_patch() {
    // A group is replaced whole: of two changes at once, one is told to read again, and nothing is lost.
    let why = "without PATCH, of two changes of one group at once one is answered with a conflict";
    suite("CONFORMANCE-replacing.txt", world::replacing, |harness| {
        harness.waive("c1", why, "2027-11-30").waive("c2", why, "2027-11-30")
    });
}

/// What a server says of itself is what the connector goes by.
#[tokio::test]
async fn capabilities_are_discovered() {
    let cx = |place: &Place| jml_core::provider::Cx::new(place.clock.clone());
    let place = Place::new(world::rich(), None);
    let found = Capabilities::discover(&cx(&place), &place.client).await.unwrap();
    assert_eq!(found, world::rich().1);
    let place = Place::new(world::poor(), None);
    let found = Capabilities::discover(&cx(&place), &place.client).await.unwrap();
    assert_eq!(found, Capabilities { page: 20, ..Capabilities::default() });
    let place = Place::new(world::replacing(), None);
    let found = Capabilities::discover(&cx(&place), &place.client).await.unwrap();
    assert_eq!(found, world::replacing().1);
}
