//! What the suite says of changes that the backdoor cannot prepare.

use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_kit::auth::Bearer;
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_core::account::{AccountState, CredentialClass};
use jml_core::id::AccountId;
use jml_core::provider::{
    Change, Cx, Descriptor, ListRequest, Observation, Outcome, Page, Provider, Result, Target, Verb,
};
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, Harness, Tested, Verdict, World, run_some};
use jml_testkit::fake::Fake;
use jml_testkit::fake::acme::Acme as Api;

use crate::connector::Acme;
use crate::harness::TOKEN;

const SESSIONS: CredentialClass = CredentialClass::Sessions;

/// Another administrator, who cannot sign anybody in.
struct Weak(Fake<Api>);

#[async_trait]
impl Backdoor for Weak {
    async fn put(&self, mut account: AccountState) -> AccountId {
        account.credentials.clear();
        self.0.put(account).await
    }
    async fn remove(&self, account: &AccountId) {
        self.0.remove(account).await;
    }
    async fn truth(&self) -> Vec<AccountState> {
        self.0.truth().await
    }
}

/// A connector that declares no more than to end sessions.
struct Ends(Arc<dyn Provider>, Descriptor);

#[async_trait]
impl Provider for Ends {
    fn descriptor(&self) -> &Descriptor {
        &self.1
    }
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        self.0.list(cx, request).await
    }
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        self.0.read(cx, target).await
    }
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.0.apply(cx, change).await
    }
}

/// `t8` on a target that others can prepare weakly, or well.
fn halfway(weak: bool, ends_only: bool) -> Tested {
    let harness = Harness::new(move || async move {
        let clock = Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH));
        let api = Api::new(TOKEN, &["engineers", "sales", "staff"]);
        let server = Fake::new(api, clock.clone()).serve().unwrap();
        let transport = Arc::new(ReqwestTransport::new().unwrap());
        let client = Client::over(&server.url(), transport).unwrap();
        let client = client.authenticated(Bearer::new(TOKEN.to_owned()));
        let acme = Acme::new("acme".parse().unwrap(), client, "group".parse().unwrap());
        let fake = server.fake().clone();
        let world = World::of(Arc::new(acme)).clock(clock).wire(server);
        let world = if weak { world.backdoor(Weak(fake)) } else { world.backdoor(fake) };
        if !ends_only {
            return world;
        }
        world.behind(|it| {
            let mut descriptor = it.descriptor().clone();
            descriptor.verbs.retain(|verb, _| *verb == Verb::RevokeCredentials(SESSIONS));
            Arc::new(Ends(it, descriptor))
        })
    });
    run_some(&harness, &["t8"]).results.remove(0)
}

#[test]
fn what_cannot_be_prepared_is_in_the_report() {
    let shown = |weak, ends_only| {
        let tested = halfway(weak, ends_only);
        (tested.verdict, tested.note.unwrap_or_default())
    };
    let says = |verdict, note: &str| (verdict, note.to_owned());
    assert_eq!(shown(false, false), says(Verdict::Pass, "7 changes tried, 0 not prepared"));
    let note = "6 changes tried, 1 not prepared: credentials Sessions";
    assert_eq!(shown(true, false), says(Verdict::Pass, note));
    assert!(halfway(true, false).to_string().ends_with(&format!(" pass ({note})")));
    assert_eq!(shown(false, true), says(Verdict::Pass, "1 changes tried, 0 not prepared"));
    let (verdict, note) = shown(true, true);
    assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict}");
    assert_eq!(note, "0 changes tried, 1 not prepared: credentials Sessions");
}
