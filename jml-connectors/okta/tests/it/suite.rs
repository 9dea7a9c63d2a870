//! The conformance suite.

use http::Method;
use jml_connector_checks::{agrees, conforms, documents};
use jml_testkit::conformance::Harness;
use jml_testkit::openapi::Documents;

use crate::world;

/// Okta's own documents. What they leave out: the calls for API tokens and custom roles
/// (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApiToken/>,
/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/RoleECustom/>).
pub(crate) fn papers() -> Option<Documents> {
    let papers = documents(&[("okta", ""), ("okta-oauth", "")])?;
    // What is embedded in an application is said to be objects of objects; it has texts in it
    // (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/>).
    let papers = papers.excusing([("GET /api/v1/apps", "/_embedded/user/")]);
    Some(papers.beyond([
        (Method::GET, "/api/v1/api-tokens"),
        (Method::DELETE, "/api/v1/api-tokens/{id}"),
        (Method::GET, "/api/v1/iam/roles"),
        (Method::GET, "/api/v1/iam/roles/{id}"),
        (Method::POST, "/oauth2/v1/token"),
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
    agrees("okta, the suite", papers.as_ref());
}
