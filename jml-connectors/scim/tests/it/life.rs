//! A life on a server: joiner, mover, leaver, through the engine, also when everything goes wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jml_connector_checks::{Costs, Life, Person, agrees, blow, calls, golden, start, storms};
use jml_connector_scim::Capabilities;
use jml_core::journal::RunOutcome;
use jml_testkit::fake::scim::Quirks;

use crate::suite::papers;
use crate::world::{self, Place};

pub(crate) const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  login: { type: text }
  given: { type: text }
  family: { type: text }
  team: { type: text }
entitlements:
  t/group/STAFF: { title: Staff }
  t/group/ENGINEERS: { title: Engineers }
  t/group/SALES: { title: Sales }
rules:
  staff: { title: Staff, when: always, grants: [t/group/STAFF] }
  engineers: { title: Engineers, when: { eq: { team: engineering } }, grants: [t/group/ENGINEERS] }
  sales: { title: Sales, when: { eq: { team: sales } }, grants: [t/group/SALES] }
accounts:
  t: { user_name: login, attributes: { given_name: given, family_name: family, email: login, department: team } }
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

pub(crate) const ADA: Person<'_> = Person {
    id: "E1",
    says: &[
        ("login", "ada@corp.test"),
        ("given", "Ada"),
        ("family", "Lovelace"),
        ("team", "engineering"),
    ],
};

fn policy() -> String {
    POLICY
        .replace("STAFF", "g-staff")
        .replace("ENGINEERS", "g-engineers")
        .replace("SALES", "g-sales")
}

fn life(place: &Place) -> Life {
    Life::new(Arc::new(place.provider("t")), place.clock.clone(), &policy())
}

fn ada(place: &Place) -> (String, BTreeSet<String>) {
    place.fake().with(|api| {
        let (id, user) = api.users.iter().find(|(_, it)| it.body["externalId"] == "E1").unwrap();
        let state = world::state(api, id, user, false);
        (id.clone(), state.holdings.iter().map(ToString::to_string).collect())
    })
}

fn texts(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(ToString::to_string).collect()
}

async fn a_year(place: &Place, mut blow: impl FnMut()) -> Life {
    let mut life = life(place);
    blow();
    life.hire(ADA, (start() - chrono::TimeDelta::days(28)).date_naive());
    life.settle().await;
    assert_eq!(ada(place).1, texts(&["group/g-staff", "group/g-engineers"]));
    blow();
    life.say("E1", "team", "sales");
    life.settle().await;
    assert_eq!(ada(place).1, texts(&["group/g-staff", "group/g-sales"]));
    life
}

async fn leaves(place: &Place, name: &str) {
    let mut life = a_year(place, || ()).await;
    let (id, _) = ada(place);
    place.fake().forget();
    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    let left = life.account("E1", "ada@corp.test").await.unwrap();
    assert!(left.left().is_empty(), "{:?}", left.left());
    let log = calls(&place.fake().requests(), &[(id, "{ada}")]);
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt")), &log);
}

#[tokio::test]
async fn a_leaver_keeps_nothing() {
    let papers = papers();
    for (name, how) in [
        ("leaver-rich", world::rich as fn() -> (Quirks, Capabilities)),
        ("leaver-poor", world::poor),
        ("leaver-replacing", world::replacing),
    ] {
        leaves(&Place::new(how(), papers.as_ref()), name).await;
    }
    agrees("scim, leavers", papers.as_ref());
}

#[tokio::test]
async fn what_an_event_costs() {
    let papers = papers();
    let place = Place::new(world::rich(), papers.as_ref());
    let mut costs = Costs::of(place.fake());
    let life = a_year(&place, || costs.mark()).await;
    costs.end(life, "E1", env!("CARGO_MANIFEST_DIR")).await;
    agrees("scim, what an event costs", papers.as_ref());
}

#[tokio::test]
async fn faults_on_the_way_change_nothing_of_the_end() {
    let papers = papers();
    for how in [world::rich, world::poor] {
        for storm in storms() {
            let name = storm.0;
            let place = Place::new(how(), papers.as_ref());
            let mut life = a_year(&place, || blow(place.fake(), &storm)).await;
            assert!(place.fake().fired() > 0, "{name}: no fault happened");
            blow(place.fake(), &storm);
            life.leave("E1");
            life.settle().await;
            let left = life.account("E1", "ada@corp.test").await.unwrap();
            assert!(left.left().is_empty(), "{name}: {:?}", left.left());
            assert_eq!(place.fake().with(|api| api.users.len()), 1, "{name}");
        }
    }
    agrees("scim, faults", papers.as_ref());
}
