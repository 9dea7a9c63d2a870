//! A life in an organisation: joiner, mover, leaver, through the engine, also when everything goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jml_connector_checks::{Costs, Life, Person, agrees, blow, calls, golden, start, storms};
use jml_core::account::{AccountStatus, CredentialClass, Left};
use jml_core::journal::RunOutcome;
use jml_core::provider::{Cx, ListRequest, Provider as _, Row};
use jml_testkit::fake::okta::{Device, Rule};
use jml_testkit::fake::{Hits, WireFault};

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
entitlements:
  t/group/00gstaff: { title: Staff }
  t/group/00gengineers: { title: Engineers }
  t/group/00gsales: { title: Sales }
  t/app/0oacrm: { title: Customer records }
  t/role/READ_ONLY_ADMIN: { title: Read-only administrator, sensitivity: sensitive }
rules:
  staff: { title: Staff, when: always, grants: [t/group/00gstaff] }
  engineers: { title: Engineers, when: { eq: { team: engineering } }, grants: [t/group/00gengineers, t/role/READ_ONLY_ADMIN] }
  sales: { title: Sales, when: { eq: { team: sales } }, grants: [t/group/00gsales, t/app/0oacrm] }
accounts:
  t: { user_name: login, attributes: { given_name: given, family_name: family, department: team } }
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
    ],
};

fn life(place: &Place) -> Life {
    Life::new(Arc::new(place.provider("t")), place.clock.clone(), POLICY)
}

/// The id of Ada's user, and what she holds.
fn ada(place: &Place) -> (String, BTreeSet<String>) {
    place.fake().with(|api| {
        let (id, user) =
            api.users.iter().find(|(_, it)| it.profile["employeeNumber"] == "E1").unwrap();
        let state = crate::world::state(api, id, user);
        (id.clone(), state.holdings.iter().map(ToString::to_string).collect())
    })
}

fn texts(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(ToString::to_string).collect()
}

/// What somebody collects at work.
fn works(place: &Place, id: &str) {
    place.fake().with(|api| {
        let user = api.users.get_mut(id).unwrap();
        user.status = "ACTIVE".into();
        user.sessions = 2;
        user.clients = [("0oamail".to_owned(), 1), ("0oacli".to_owned(), 2)].into();
        user.grants = [("0oamail".to_owned(), 1), ("0oawiki".to_owned(), 1)].into();
        user.factors = [("mfa1", "push"), ("mfa2", "token:software:totp")]
            .map(|(id, kind)| (id.to_owned(), kind.to_owned()))
            .into();
        let mut device = |name: &str, users: &[&str]| {
            let users = users.iter().map(ToString::to_string).collect();
            let device = Device { name: name.into(), status: "ACTIVE".into(), users };
            api.devices.insert(format!("guo{name}"), device);
        };
        device("laptop", &[id]);
    });
}

async fn a_year(place: &Place, mut mark: impl FnMut()) -> Life {
    let mut life = life(place);
    let today = start().date_naive();
    mark();
    life.hire(ADA, today - chrono::TimeDelta::days(28));
    life.settle().await;
    let (id, held) = ada(place);
    assert_eq!(held, texts(&["group/00gstaff", "group/00gengineers", "role/READ_ONLY_ADMIN"]));
    works(place, &id);
    mark();
    life.say("E1", "team", "sales");
    life.settle().await;
    assert_eq!(ada(place).1, texts(&["group/00gstaff", "group/00gsales", "app/0oacrm"]));
    life
}

#[tokio::test]
async fn a_leaver_keeps_nothing_and_the_calls_are_in_the_vendors_order() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut life = a_year(&place, || ()).await;
    let (id, _) = ada(&place);
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
        assert_eq!(
            (user.sessions, user.grants.len(), user.clients.len(), user.factors.len()),
            (0, 0, 0, 0)
        );
    });
    let log = calls(&place.fake().requests(), &[(id, "{ada}")]);
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/leaver.txt"), &log);
    agrees("okta, a leaver", papers.as_ref());
}

/// What cannot be taken is said, and waits for somebody who mends it. Who else is concerned is left alone.
#[tokio::test]
async fn a_shared_device_and_a_group_rule_wait_for_a_person() {
    let place = Place::new(None);
    let mut life = a_year(&place, || ()).await;
    let (id, _) = ada(&place);
    place.fake().with(|api| {
        let profile = [("login".to_owned(), "bob@corp.test".into())].into();
        let other = api.add_user(profile, "ACTIVE", start());
        api.devices.get_mut("guolaptop").unwrap().users.insert(other);
        let when = ("department".to_owned(), "sales".to_owned());
        let rule =
            Rule { name: "sales people".into(), group: "00gsales".into(), when, ..Rule::default() };
        api.rules.insert("0pr1".into(), rule);
    });
    life.leave("E1");
    life.round().await;
    let journal = life.journal().await;
    assert!(journal.contains("the group rule `sales people` puts them back"), "{journal}");
    assert!(journal.contains("somebody else uses guolaptop too"), "{journal}");
    let left = life.account("E1", "ada@corp.test").await.unwrap().left();
    let device = Left::Credentials { class: CredentialClass::Devices, count: 1 };
    assert_eq!(left, [device, Left::Access("group/00gsales".parse().unwrap())].into());
    place.fake().with(|api| {
        assert_eq!(api.devices["guolaptop"].users.len(), 2);
        api.devices.get_mut("guolaptop").unwrap().users.remove(&id);
        api.rules.get_mut("0pr1").unwrap().exclude.insert(id.clone());
    });
    life.settle().await;
    assert!(life.account("E1", "ada@corp.test").await.unwrap().left().is_empty());
}

/// A user who never signed in cannot be suspended; deactivating one is what there is.
#[tokio::test]
async fn who_never_came_is_deactivated() {
    let place = Place::new(None);
    let mut life = life(&place);
    life.hire(ADA, (start() - chrono::TimeDelta::days(28)).date_naive());
    life.settle().await;
    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    let (id, _) = ada(&place);
    assert_eq!(place.fake().with(|api| api.users[&id].status.clone()), "DEPROVISIONED");
}

/// Everything that can happen on the way, and the same end: nothing missing, nothing twice.
/// A plain listing hides them, and a deprovisioned user that nobody sees is one that nobody deletes.
#[tokio::test]
async fn the_deprovisioned_are_listed() {
    let place = Place::new(None);
    let profile = BTreeMap::from([("login".to_owned(), "ada@corp.test".into())]);
    let id = place.fake().with(|api| api.add_user(profile, "DEPROVISIONED", start()));
    let cx = Cx::new(place.clock.clone());
    let page = place.provider("t").list(&cx, &ListRequest::accounts()).await.unwrap();
    let seen = page.rows().iter().filter_map(|row| match row {
        Row::Account(it) => Some((it.id.to_string(), it.status)),
        _ => None,
    });
    assert_eq!(seen.collect::<Vec<_>>(), [(id, AccountStatus::Archived)]);
}

#[tokio::test]
async fn what_an_event_costs() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut costs = Costs::of(place.fake());
    let life = a_year(&place, || costs.mark()).await;
    costs.end(life, "E1", env!("CARGO_MANIFEST_DIR")).await;
    agrees("okta, what an event costs", papers.as_ref());
}

#[tokio::test]
async fn faults_on_the_way_change_nothing_of_the_end() {
    let throttled = || {
        let reset = (start() + chrono::TimeDelta::seconds(40)).timestamp().to_string();
        WireFault::status(429)
            .with_header("x-rate-limit-remaining", "0")
            .with_header("x-rate-limit-reset", reset)
    };
    let papers = papers();
    let mut storms = storms();
    storms.push(("throttled in Okta's way", vec![(Hits::All, 25, throttled())]));
    for storm in storms {
        let name = storm.0;
        for lag in [0, 8_000] {
            let place = Place::new(papers.as_ref());
            place.fake().with(|api| api.quirks.search_lag_ms = lag);
            let mut life = a_year(&place, || blow(place.fake(), &storm)).await;
            assert!(place.fake().fired() > 0, "{name}: no fault happened");
            blow(place.fake(), &storm);
            life.leave("E1");
            life.settle().await;
            let left = life.account("E1", "ada@corp.test").await.unwrap();
            assert!(left.left().is_empty(), "{name}: {:?}", left.left());
            let (id, _) = ada(&place);
            place.fake().with(|api| {
                assert_eq!(api.users.len(), 1, "{name}");
                let made =
                    api.log.iter().filter(|it| it.event_type == "user.lifecycle.create").count();
                assert_eq!(made, 1, "{name}");
                assert_eq!(api.users[&id].sessions, 0, "{name}");
            });
        }
    }
    agrees("okta, faults", papers.as_ref());
}
