//! A life in an organisation: joiner, mover, leaver, through the engine, also when everything goes wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jml_connector_checks::{Costs, Life, Person, agrees, blow, calls, golden, start, storms};
use jml_core::account::{AccountStatus, CredentialClass, Left};
use jml_core::journal::RunOutcome;
use jml_testkit::fake::{Hits, WireFault};

use crate::suite::papers;
use crate::world::{CRM, ENGINEERS, EVERYBODY_IN_SALES, LAPTOP, Place, SALES, STAFF, WORKSPACE};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  login: { type: text }
  mail: { type: text }
  given: { type: text }
  family: { type: text }
  team: { type: text }
entitlements:
  t/group/{staff}: { title: Staff }
  t/group/{engineers}: { title: Engineers }
  t/group/{sales}: { title: Sales }
  t/app/{crm}: { title: Customer records }
  t/system/{laptop}: { title: Laptop }
  t/directory/g_suite/{workspace}: { title: Google Workspace }
  t/sudo/{laptop}: { title: All rights on the laptop, sensitivity: sensitive }
rules:
  staff: { title: Staff, when: always, grants: [t/group/{staff}, t/directory/g_suite/{workspace}] }
  engineers: { title: Engineers, when: { eq: { team: engineering } }, grants: [t/group/{engineers}, t/system/{laptop}, t/sudo/{laptop}] }
  sales: { title: Sales, when: { eq: { team: sales } }, grants: [t/group/{sales}, t/app/{crm}] }
accounts:
  t: { user_name: login, attributes: { email: mail, given_name: given, family_name: family, title: team } }
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

/// What stands for each id.
const NAMES: [(&str, &str); 6] = [
    (STAFF, "{staff}"),
    (ENGINEERS, "{engineers}"),
    (SALES, "{sales}"),
    (CRM, "{crm}"),
    (LAPTOP, "{laptop}"),
    (WORKSPACE, "{workspace}"),
];

pub(crate) const ADA: Person<'_> = Person {
    id: "E1",
    says: &[
        ("login", "ada"),
        ("mail", "ada@corp.test"),
        ("given", "Ada"),
        ("family", "Lovelace"),
        ("team", "engineering"),
    ],
};

pub(crate) fn policy() -> String {
    NAMES.iter().fold(POLICY.to_owned(), |text, (id, name)| text.replace(name, id))
}

fn life(place: &Place) -> Life {
    Life::new(Arc::new(place.provider("t")), place.clock.clone(), &policy())
}

/// The id of Ada's user, and what she holds.
pub(crate) fn ada(place: &Place) -> (String, BTreeSet<String>) {
    place.fake().with(|api| {
        let (id, user) = api
            .users
            .iter()
            .find(|(_, it)| it.profile.get("employeeIdentifier").is_some_and(|it| it == "E1"))
            .unwrap();
        let state = crate::world::state(api, id, user);
        (id.clone(), state.holdings.iter().map(ToString::to_string).collect())
    })
}

pub(crate) fn engineer() -> BTreeSet<String> {
    let groups = [STAFF, ENGINEERS].map(|it| format!("group/{it}"));
    let device = ["system", "sudo"].map(|it| format!("{it}/{LAPTOP}"));
    groups.into_iter().chain(device).chain([workspace()]).collect()
}

fn workspace() -> String {
    format!("directory/g_suite/{WORKSPACE}")
}

fn seller() -> BTreeSet<String> {
    let groups = [STAFF, SALES].map(|it| format!("group/{it}"));
    groups.into_iter().chain([format!("app/{CRM}"), workspace()]).collect()
}

/// What somebody collects at work.
pub(crate) fn works(place: &Place, id: &str) {
    place.fake().with(|api| {
        let user = api.users.get_mut(id).unwrap();
        assert_eq!(user.state, "ACTIVATED");
        user.totp = true;
        user.push = [("6f1c9d1e-phone".to_owned(), "phone".to_owned())].into();
        user.ssh_keys = ["65f0000000000000000000a1", "65f0000000000000000000a2"]
            .map(|id| (id.to_owned(), "laptop".to_owned()))
            .into();
    });
}

async fn a_year(place: &Place, mut mark: impl FnMut()) -> Life {
    let mut life = life(place);
    mark();
    life.hire(ADA, start().date_naive() - chrono::TimeDelta::days(28));
    life.settle().await;
    let (id, held) = ada(place);
    assert_eq!(held, engineer());
    works(place, &id);
    mark();
    life.say("E1", "team", "sales");
    life.settle().await;
    assert_eq!(ada(place).1, seller());
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
    let left = life.account("E1", "ada").await.unwrap();
    assert_eq!(left.status, AccountStatus::Disabled);
    assert!(left.left().is_empty(), "{:?}", left.left());
    assert!(life.residuals().await.is_empty());
    place.fake().with(|api| {
        let user = &api.users[&id];
        assert_eq!((user.totp, user.push.len(), user.ssh_keys.len()), (false, 0, 0));
        assert_eq!(user.state, "SUSPENDED");
    });
    let mut names = vec![(id, "{ada}")];
    names.extend(NAMES.map(|(id, name)| (id.to_owned(), name)));
    let log = calls(&place.fake().requests(), &names);
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/leaver.txt"), &log);
    agrees("jumpcloud, a leaver", papers.as_ref());
}

/// What cannot be taken is said, and waits for somebody who mends it.
#[tokio::test]
async fn a_query_and_a_security_key_wait_for_a_person() {
    let place = Place::new(None);
    let mut life = a_year(&place, || ()).await;
    let (id, _) = ada(&place);
    place.fake().with(|api| {
        api.groups.get_mut(EVERYBODY_IN_SALES).unwrap().when =
            ("jobTitle".to_owned(), "sales".to_owned());
        api.apply_rules();
        api.users.get_mut(&id).unwrap().webauthn = true;
    });
    life.leave("E1");
    life.round().await;
    let journal = life.journal().await;
    assert!(journal.contains("a security key or JumpCloud Go is enrolled"), "{journal}");
    let left = life.account("E1", "ada").await.unwrap().left();
    let factor = Left::Credentials { class: CredentialClass::MfaFactors, count: 1 };
    let group = format!("dynamic_group/{EVERYBODY_IN_SALES}").parse().unwrap();
    assert_eq!(left, [factor, Left::Access(group)].into());
    place.fake().with(|api| {
        api.users.get_mut(&id).unwrap().webauthn = false;
        api.groups.get_mut(EVERYBODY_IN_SALES).unwrap().when.1 = "marketing".into();
        api.apply_rules();
    });
    life.settle().await;
    assert!(life.account("E1", "ada").await.unwrap().left().is_empty());
}

#[tokio::test]
async fn what_an_event_costs() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut costs = Costs::of(place.fake());
    let life = a_year(&place, || costs.mark()).await;
    costs.end(life, "E1", env!("CARGO_MANIFEST_DIR")).await;
    agrees("jumpcloud, what an event costs", papers.as_ref());
}

/// Everything that can happen on the way, and the same end: nothing missing, nothing twice.
#[tokio::test]
async fn faults_on_the_way_change_nothing_of_the_end() {
    let blocked = WireFault::Answer {
        status: 403,
        headers: vec![("content-type", "text/plain".into())],
        body: "your IP has been blocked".into(),
    };
    let papers = papers();
    let mut storms = storms();
    storms.push(("blocked", vec![(Hits::All, 6, blocked)]));
    for storm in storms {
        let name = storm.0;
        let place = Place::new(papers.as_ref());
        let mut life = a_year(&place, || blow(place.fake(), &storm)).await;
        assert!(place.fake().fired() > 0, "{name}: no fault happened");
        blow(place.fake(), &storm);
        life.leave("E1");
        life.settle().await;
        let left = life.account("E1", "ada").await.unwrap();
        assert!(left.left().is_empty(), "{name}: {:?}", left.left());
        place.fake().with(|api| {
            assert_eq!(api.users.len(), 1, "{name}");
            let made = api.events.iter().filter(|it| it.event_type == "user_create").count();
            assert_eq!(made, 1, "{name}");
        });
    }
    agrees("jumpcloud, faults", papers.as_ref());
}
