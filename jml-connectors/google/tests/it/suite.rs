//! The conformance suite.

use http::Method;
use jml_connector_checks::{agrees, conforms, documents};
use jml_testkit::conformance::Harness;
use jml_testkit::openapi::Documents;

use crate::world;

/// Google's own documents. What they leave out is the token endpoint
/// (<https://developers.google.com/identity/protocols/oauth2/service-account>).
pub(crate) fn papers() -> Option<Documents> {
    let names = ["directory", "licensing", "datatransfer", "gmail", "reports"];
    let names = names.map(|it| format!("google-{it}"));
    let names: Vec<(&str, &'static str)> = names.iter().map(|it| (it.as_str(), "")).collect();
    Some(documents(&names)?.beyond([(Method::POST, "/token")]))
}

#[test]
fn the_suite_holds_and_the_documents_agree() {
    suite_with(false);
}

/// The report is the same one.
#[test]
fn the_suite_holds_with_chromeos_devices() {
    suite_with(true);
}

fn suite_with(chromeos: bool) {
    let papers = papers();
    let for_worlds = papers.clone();
    let harness = Harness::new(move || {
        let papers = for_worlds.clone();
        async move { world::world(papers.as_ref(), chromeos) }
    });
    conforms(env!("CARGO_MANIFEST_DIR"), "CONFORMANCE.txt", &harness);
    agrees("google, the suite", papers.as_ref());
}
