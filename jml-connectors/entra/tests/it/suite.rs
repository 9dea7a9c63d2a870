//! The conformance suite.

use http::Method;
use jml_connector_checks::{agrees, conforms, documents};
use jml_testkit::conformance::Harness;
use jml_testkit::openapi::Documents;

use crate::world;

/// Graph's own documents. What they leave out: the list of role definitions
/// (<https://learn.microsoft.com/graph/api/rbacapplication-list-roledefinitions>), and the token endpoint.
pub(crate) fn papers() -> Option<Documents> {
    let papers = documents(&[("entra", "/v1.0")])?;
    Some(papers.beyond([
        (Method::GET, "/v1.0/roleManagement/directory/roleDefinitions"),
        (Method::POST, "/tenant/oauth2/v2.0/token"),
    ]))
}

#[test]
fn the_suite_holds_and_the_documents_agree() {
    let papers = papers();
    let for_worlds = papers.clone();
    let harness = Harness::new(move || {
        let papers = for_worlds.clone();
        async move { world::world(papers.as_ref()) }
    });
    conforms(env!("CARGO_MANIFEST_DIR"), "CONFORMANCE.txt", &harness);
    agrees("entra, the suite", papers.as_ref());
}
