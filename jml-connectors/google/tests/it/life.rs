//! A life at a customer: joiner, mover, leaver, through the engine, also when everything goes wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jml_connector_checks::{Costs, Life, Person, agrees, blow, calls, golden, start, storms};
use jml_core::account::{AccountStatus, CredentialClass, Left};
use jml_core::journal::RunOutcome;
use jml_testkit::fake::google::{Chromebook, Device};
use jml_testkit::fake::{Hits, WireFault};
use serde_json::json;

use crate::suite::papers;
use crate::world::Place;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  login: { type: text }
  given: { type: text }
  family: { type: text }
  team: { type: text }
  boss: { type: text }
entitlements:
  t/group/0staff: { title: Staff }
  t/group/0engineers: { title: Engineers }
  t/group/0sales: { title: Sales }
  t/licence/Google-Apps:1010020027: { title: Business Starter }
  t/role/31002: { title: Help desk, sensitivity: sensitive }
rules:
  staff: { title: Staff, when: always, grants: [t/group/0staff, t/licence/Google-Apps:1010020027] }
  engineers: { title: Engineers, when: { eq: { team: engineering } }, grants: [t/group/0engineers, t/role/31002] }
  sales: { title: Sales, when: { eq: { team: sales } }, grants: [t/group/0sales] }
accounts:
  t: { user_name: login, attributes: { given_name: given, family_name: family, department: team } }
leaver: { manager: boss, transfer_ownership: true }
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

const ADA: Person<'_> = Person {
    id: "E1",
    says: &[
        ("login", "ada@corp.test"),
        ("given", "Ada"),
        ("family", "Lovelace"),
        ("team", "engineering"),
        ("boss", "E2"),
    ],
};

const BOB: Person<'_> = Person {
    id: "E2",
    says: &[
        ("login", "bob@corp.test"),
        ("given", "Bob"),
        ("family", "Boss"),
        ("team", "management"),
    ],
};

fn life(place: &Place, policy: &str) -> Life {
    let mut life = Life::new(Arc::new(place.provider("t")), place.clock.clone(), policy);
    life.hire(BOB, start().date_naive() - chrono::TimeDelta::days(900));
    life
}

/// The id of somebody's user, and what it holds.
fn who(place: &Place, email: &str) -> (String, BTreeSet<String>) {
    place.fake().with(|api| {
        let (id, user) = api.users.iter().find(|(_, it)| it.email() == email).unwrap();
        let state = crate::world::state(api, id, user);
        (id.clone(), state.holdings.iter().map(ToString::to_string).collect())
    })
}

fn ada(place: &Place) -> (String, BTreeSet<String>) {
    who(place, "ada@corp.test")
}

const STAFF: [&str; 2] = ["group/0staff", "licence/Google-Apps:1010020027"];

fn texts(of: &[&str]) -> BTreeSet<String> {
    STAFF.iter().chain(of).map(ToString::to_string).collect()
}

/// What somebody collects at work.
fn works(place: &Place, id: &str) {
    use jml_core::clock::Clock as _;
    let now = place.clock.now();
    place.fake().with(|api| {
        let user = api.users.get_mut(id).unwrap();
        user.last_login = Some(now);
        user.sessions = 2;
        user.tokens = ["mail.apps.test".to_owned(), "crm.apps.test".to_owned()].into();
        user.asps = [1, 2].into();
        (user.enrolled, user.codes) = (true, 10);
        user.files = ["budget".to_owned(), "roadmap".to_owned()].into();
        let emails = [user.email().to_owned()].into();
        api.devices.insert("dphone".into(), Device { emails, status: "APPROVED".into() });
    });
}

async fn a_year(place: &Place, policy: &str, mut mark: impl FnMut()) -> Life {
    let mut life = life(place, policy);
    mark();
    life.hire(ADA, start().date_naive() - chrono::TimeDelta::days(28));
    life.settle().await;
    let (id, held) = ada(place);
    assert_eq!(held, texts(&["group/0engineers", "role/31002"]));
    works(place, &id);
    mark();
    life.say("E1", "team", "sales");
    life.settle().await;
    assert_eq!(ada(place).1, texts(&["group/0sales"]));
    life
}

#[tokio::test]
async fn a_leaver_keeps_nothing_and_the_calls_are_in_the_vendors_order() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut life = a_year(&place, POLICY, || ()).await;
    let (id, bob) = (ada(&place).0, who(&place, "bob@corp.test").0);
    place.fake().forget();
    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    let left = life.account("E1", "ada@corp.test").await.unwrap();
    assert_eq!(left.status, AccountStatus::Disabled);
    assert!(left.left().is_empty(), "{:?}", left.left());
    assert!(life.residuals().await.is_empty());
    place.fake().with(|api| {
        let user = &api.users[&id];
        assert_eq!((user.sessions, user.codes, user.enrolled), (0, 0, false));
        assert_eq!((user.tokens.len(), user.asps.len(), user.files.len()), (0, 0, 0));
        assert_eq!(api.users[&bob].files.len(), 2);
        assert_eq!(api.devices["dphone"].status, "ACCOUNT_WIPED");
    });
    let log = calls(&place.fake().requests(), &[(id, "{ada}"), (bob, "{bob}")]);
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/leaver.txt"), &log);
    agrees("google, a leaver", papers.as_ref());
}

/// Nobody can use the device of a leaver before an administrator has it, where that is asked for.
#[tokio::test]
async fn a_chromebook_is_disabled_before_anything_is_handed_over() {
    let papers = papers();
    let place = Place::of(papers.as_ref(), true);
    let mut life = a_year(&place, POLICY, || ()).await;
    let of = |whom: &str| Chromebook {
        annotated_user: whom.to_owned(),
        status: "ACTIVE".to_owned(),
        recent_users: vec!["ada@corp.test".to_owned()],
        ..Chromebook::default()
    };
    place.fake().with(|api| {
        api.chromebooks.insert("cr-ada".into(), of("ada@corp.test"));
        api.chromebooks.insert("cr-bob".into(), of("bob@corp.test"));
    });
    place.fake().forget();
    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    assert!(life.account("E1", "ada@corp.test").await.unwrap().left().is_empty());
    place.fake().with(|api| {
        let status = |id: &str| api.chromebooks[id].status.clone();
        assert_eq!((status("cr-ada").as_str(), status("cr-bob").as_str()), ("DISABLED", "ACTIVE"));
    });
    let log = calls(&place.fake().requests(), &[]);
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text}: {log}"));
    let disabled = at("chromeos:batchChangeStatus");
    assert!(at("\"suspended\":true") < disabled, "{log}");
    assert!(at("mobile/dphone/action") < disabled, "{log}");
    assert!(disabled < at("/groups/0sales/members/") && disabled < at("/transfers"), "{log}");
    agrees("google, a leaver with a chromebook", papers.as_ref());
}

/// What cannot be taken is said, and waits for somebody who mends it.
#[tokio::test]
async fn enforced_factors_wait_for_a_person() {
    let place = Place::new(None);
    let mut life = a_year(&place, POLICY, || ()).await;
    place.fake().with(|api| api.quirks.enforces_2sv = true);
    life.leave("E1");
    life.round().await;
    let journal = life.journal().await;
    assert!(journal.contains("2-Step Verification stays on"), "{journal}");
    let left = life.account("E1", "ada@corp.test").await.unwrap().left();
    let factors = Left::Credentials { class: CredentialClass::MfaFactors, count: 1 };
    assert_eq!(left, [factors].into());
    place.fake().with(|api| api.quirks.enforces_2sv = false);
    life.settle().await;
    let left = life.account("E1", "ada@corp.test").await.unwrap().left();
    assert!(left.is_empty(), "{left:?}");
}

/// Mail to somebody who is suspended bounces. Nothing is tried that cannot be done: a person is asked to send
/// it elsewhere.
#[tokio::test]
async fn mail_of_a_leaver_is_a_persons_task() {
    let policy = POLICY.replace("leaver: {", "leaver: { auto_reply: I have left.,");
    let place = Place::new(None);
    let mut life = a_year(&place, &policy, || ()).await;
    life.leave("E1");
    for _ in 0..3 {
        life.round().await;
    }
    let journal = life.journal().await;
    assert!(journal.contains("`ada@corp.test` gets no mail on t once it is closed"), "{journal}");
    assert!(!journal.contains("SetMailbox("), "{journal}");
    assert!(life.account("E1", "ada@corp.test").await.unwrap().left().is_empty());
}

#[tokio::test]
async fn what_an_event_costs() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut costs = Costs::of(place.fake());
    let life = a_year(&place, POLICY, || costs.mark()).await;
    costs.end(life, "E1", env!("CARGO_MANIFEST_DIR")).await;
    agrees("google, what an event costs", papers.as_ref());
}

/// Everything that can happen on the way, and the same end: nothing missing, nothing twice.
#[tokio::test]
async fn faults_on_the_way_change_nothing_of_the_end() {
    let throttled = || {
        let text = "Quota exceeded for quota metric 'Queries'.";
        let body = json!({ "error": { "code": 403, "message": text,
            "errors": [{ "domain": "usageLimits", "reason": "userRateLimitExceeded", "message": text }] } });
        WireFault::Answer { status: 403, headers: Vec::new(), body: body.to_string() }
    };
    let papers = papers();
    let mut storms = storms();
    storms.push(("throttled in Google's way", vec![(Hits::All, 25, throttled())]));
    for storm in storms {
        let name = storm.0;
        for lag in [0, 8_000] {
            let place = Place::new(papers.as_ref());
            place.fake().with(|api| {
                api.quirks.search_lag_ms = lag;
                api.quirks.creation_ms = lag / 2;
                api.quirks.unknown_member_is_400 = lag > 0;
            });
            let mut life = a_year(&place, POLICY, || blow(place.fake(), &storm)).await;
            assert!(place.fake().fired() > 0, "{name}: no fault happened");
            blow(place.fake(), &storm);
            life.leave("E1");
            life.settle().await;
            let left = life.account("E1", "ada@corp.test").await.unwrap();
            assert!(left.left().is_empty(), "{name}: {:?}", left.left());
            let (id, _) = ada(&place);
            place.fake().with(|api| {
                assert_eq!((api.users.len(), api.made), (2, 2), "{name}");
                assert_eq!(api.transfers.len(), 1, "{name}");
                let user = &api.users[&id];
                assert_eq!((user.sessions, user.codes, user.files.len()), (0, 0, 0), "{name}");
            });
        }
    }
    agrees("google, faults", papers.as_ref());
}

#[tokio::test]
async fn a_new_colleague_waits_suspended_for_the_first_day() {
    let policy = POLICY.replace("t: { user_name: login,", "t: { user_name: login, days_before: 7,");
    let place = Place::new(None);
    let mut life = life(&place, &policy);
    life.hire(ADA, start().date_naive() + chrono::TimeDelta::days(3));
    life.settle().await;
    let status = |state: jml_core::account::AccountState| state.status;
    let before = life.account("E1", "ada@corp.test").await.map(status);
    assert_eq!(before, Some(AccountStatus::Staged));
    place.clock.advance(chrono::TimeDelta::days(3));
    life.settle().await;
    let after = life.account("E1", "ada@corp.test").await.map(status);
    assert_eq!(after, Some(AccountStatus::Active));
    assert_eq!(ada(&place).1, texts(&["group/0engineers", "role/31002"]));
    assert_eq!(place.fake().with(|api| api.made), 2);
}

/// A transfer takes an hour. The run asks how far it is, sends it once, and the licence waits for it.
#[tokio::test]
async fn a_licence_stays_as_long_as_documents_move() {
    let place = Place::new(None);
    place.fake().with(|api| api.quirks.transfer_ms = 3_600_000);
    let mut life = a_year(&place, POLICY, || ()).await;
    life.leave("E1");
    life.settle().await;
    let journal = life.journal().await;
    let at = |text: &str| journal.find(text).unwrap_or_else(|| panic!("no {text}: {journal}"));
    let asked = at("effect: Pending");
    assert!(!journal.contains("what it has not moved could be lost"), "{journal}");
    let taken = |it: &jml_testkit::fake::Recorded| {
        it.method == "DELETE" && it.target.contains("/licensing/v1/")
    };
    let polls =
        |it: &jml_testkit::fake::Recorded| it.method == "GET" && it.target.contains("/transfers/");
    let requests = place.fake().requests();
    let last = requests.iter().rposition(polls).expect("it is asked for");
    let licence = requests.iter().position(taken).expect("the licence goes");
    assert!(last < licence && asked > 0, "the licence goes before the documents have moved");
    assert!(life.account("E1", "ada@corp.test").await.unwrap().left().is_empty());
    assert_eq!(place.fake().with(|api| api.transfers.len()), 1);
}
