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

fn suite(name: &str, how: fn() -> (Quirks, Capabilities)) {
    let papers = papers();
    let for_worlds = papers.clone();
    let harness = Harness::new(move || {
        let papers = for_worlds.clone();
        async move { world::world(how(), papers.as_ref()) }
    });
    conforms(env!("CARGO_MANIFEST_DIR"), name, &harness);
    agrees(&format!("scim, {name}"), papers.as_ref());
}

#[test]
fn a_rich_server() {
    suite("CONFORMANCE.txt", world::rich);
}

#[test]
fn a_poor_server() {
    suite("CONFORMANCE-poor.txt", world::poor);
}

#[test]
fn a_server_without_patch() {
    suite("CONFORMANCE-replacing.txt", world::replacing);
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
