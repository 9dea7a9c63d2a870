//! The conformance suite.

use http::Method;
use jml_connector_checks::{agrees, conforms, documents};
use jml_testkit::conformance::Harness;
use jml_testkit::openapi::Documents;

use crate::world;

/// JumpCloud's own documents, with what they leave out.
pub(crate) fn papers() -> Option<Documents> {
    let papers = documents(&[
        ("jumpcloud-v1", "/api"),
        ("jumpcloud-v2", "/api/v2"),
        ("jumpcloud-insights", "/insights/directory/v1"),
    ])?;
    // JumpCloud's own `Remove-JCUser` sends it.
    let papers = papers.excusing([("DELETE /systemusers/{id}", "`cascade_manager`")]);
    // The copies leave these collections of the graph out.
    Some(papers.beyond([
        (Method::POST, "/oauth2/token"),
        (Method::GET, "/api/v2/activedirectories/{id}/associations"),
        (Method::GET, "/api/v2/ldapservers/{id}/associations"),
        (Method::GET, "/api/v2/systemgroups/{id}/associations"),
    ]))
}

#[test]
fn the_suite_holds_and_the_documents_agree() {
    suite_with(false, "CONFORMANCE.txt");
}

#[test]
fn the_suite_holds_where_devices_are_locked() {
    suite_with(true, "tests/golden/conformance-locking.txt");
}

fn suite_with(locks: bool, report: &str) {
    let papers = papers();
    let for_worlds = papers.clone();
    let harness = Harness::new(move || {
        let papers = for_worlds.clone();
        async move { world::world(papers.as_ref(), locks) }
    });
    conforms(env!("CARGO_MANIFEST_DIR"), report, &harness);
    agrees("jumpcloud, the suite", papers.as_ref());
}
