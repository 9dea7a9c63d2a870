//! A life in a tenant: joiner, mover, leaver, through the engine, also when everything goes wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jml_connector_checks::{Costs, Life, Person, agrees, blow, calls, golden, start, storms};
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Left};
use jml_core::journal::RunOutcome;

use crate::suite::papers;
use crate::world::{E3, Place, READER};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  login: { type: text }
  name: { type: text }
  team: { type: text }
  land: { type: text }
  boss: { type: text }
entitlements:
  t/group/group-staff: { title: Staff }
  t/group/group-engineers: { title: Engineers }
  t/group/group-sales: { title: Sales }
  t/licence/E3: { title: Office }
  t/app/app-crm: { title: Customer records }
  t/role/READER: { title: Directory reader, sensitivity: sensitive }
rules:
  staff: { title: Staff, when: always, grants: [t/group/group-staff, t/licence/E3] }
  engineers: { title: Engineers, when: { eq: { team: engineering } }, grants: [t/group/group-engineers, t/role/READER] }
  sales: { title: Sales, when: { eq: { team: sales } }, grants: [t/group/group-sales, t/app/app-crm] }
accounts:
  t: { user_name: login, attributes: { display_name: name, department: team, usage_location: land } }
leaver:
  manager: boss
  auto_reply: Ada has left.
  transfer_ownership: true
modes: { default: full }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

const ADA: Person<'_> = Person {
    id: "E1",
    says: &[
        ("login", "ada@corp.test"),
        ("name", "Ada Lovelace"),
        ("team", "engineering"),
        ("land", "GB"),
        ("boss", "E2"),
    ],
};

const BOSS: Person<'_> = Person {
    id: "E2",
    says: &[
        ("login", "boss@corp.test"),
        ("name", "The Boss"),
        ("team", "board"),
        ("land", "GB"),
        ("boss", ""),
    ],
};

fn life(place: &Place) -> Life {
    let policy = POLICY.replace("E3", E3).replace("READER", READER);
    Life::new(Arc::new(place.provider("t")), place.clock.clone(), &policy)
}

fn ada(place: &Place) -> (String, BTreeSet<String>) {
    place.fake().with(|api| {
        let (id, user) = api.users.iter().find(|(_, it)| it.body["employeeId"] == "E1").unwrap();
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
        let mut user = api.users[id].clone();
        user.sessions = 2;
        user.grants = texts(&["grant-mail", "grant-files"]);
        user.methods = [("key", "fido2"), ("mobile", "phone"), ("app", "microsoftAuthenticator")]
            .map(|(id, kind)| (id.to_owned(), kind.to_owned()))
            .into();
        user.default_method = Some("app".into());
        user.devices = [("laptop".to_owned(), "managed".to_owned())].into();
        user.drive = Some(("drive-ada".to_owned(), BTreeSet::new()));
        api.put_user(id, user);
        api.groups.get_mut("group-engineers").unwrap().owners.insert(id.to_owned());
    });
}

async fn a_year(place: &Place, mut blow: impl FnMut()) -> Life {
    let mut life = life(place);
    let day = (start() - chrono::TimeDelta::days(28)).date_naive();
    life.hire(BOSS, day);
    life.settle().await;
    blow();
    life.hire(ADA, day);
    life.settle().await;
    let e3 = format!("licence/{E3}");
    let role = format!("role/{READER}");
    assert_eq!(ada(place).1, texts(&["group/group-staff", &e3, "group/group-engineers", &role]));
    works(place, &ada(place).0);
    blow();
    life.say("E1", "team", "sales");
    life.settle().await;
    assert_eq!(
        ada(place).1,
        texts(&["group/group-staff", &e3, "group/group-sales", "app/app-crm"])
    );
    life
}

async fn nothing_is_left(place: &Place, life: &Life, what: &str) {
    let left = life.account("E1", "ada@corp.test").await.unwrap();
    assert_eq!(left.status, AccountStatus::Disabled, "{what}");
    assert!(left.left().is_empty(), "{what}: {:?}", left.left());
    place.fake().with(|api| {
        assert_eq!(api.users.len(), 2, "{what}");
        assert_eq!(api.disasters, 0, "{what}");
        let user = &api.users[left.id.as_str()];
        assert_eq!((user.sessions, user.grants.len(), user.methods.len()), (0, 0, 0), "{what}");
        assert_eq!(user.mailbox, Some(Some("Ada has left.".into())), "{what}");
        // The boss owns the group now, and may write in the drive.
        assert_eq!(api.groups["group-engineers"].owners.len(), 1, "{what}");
        assert_eq!(user.drive.as_ref().unwrap().1.len(), 1, "{what}");
    });
}

/// A drive is somebody's alone until somebody else may write in it; then it is not handed over again.
#[tokio::test]
async fn a_drive_is_owned_until_somebody_else_may_write_in_it() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut life = a_year(&place, || ()).await;
    let (id, _) = ada(&place);
    let owns = |state: AccountState| -> BTreeSet<String> {
        state.owns.iter().map(ToString::to_string).collect()
    };
    let before = life.account("E1", "ada@corp.test").await.map(owns).unwrap();
    assert_eq!(before, texts(&["drive drive-ada", "group-engineers"]));
    // The group is gone, so that only the drive is left.
    place.fake().with(|api| api.groups.get_mut("group-engineers").unwrap().owners.clear());
    let boss = place.fake().with(|api| api.users.keys().find(|it| **it != id).cloned().unwrap());
    place.fake().forget();
    life.leave("E1");
    life.settle().await;
    assert!(life.account("E1", "ada@corp.test").await.map(owns).unwrap().is_empty());
    let invites = |place: &Place| {
        let all = place.fake().requests();
        all.iter().filter(|it| it.target.ends_with("/invite")).count()
    };
    assert_eq!(invites(&place), 1);
    place.fake().with(|api| {
        assert_eq!(api.users[&id].drive.as_ref().unwrap().1, texts(&[&boss]));
    });
    life.settle().await;
    assert_eq!(invites(&place), 1);
    agrees("entra, a drive", papers.as_ref());
}

#[tokio::test]
async fn a_leaver_keeps_nothing_and_the_calls_are_in_the_vendors_order() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut life = a_year(&place, || ()).await;
    let (id, _) = ada(&place);
    let boss = place.fake().with(|api| api.users.keys().find(|it| **it != id).cloned().unwrap());
    place.fake().forget();
    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    nothing_is_left(&place, &life, "a quiet day").await;
    let log = calls(&place.fake().requests(), &[(id, "{ada}"), (boss, "{boss}")]);
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/leaver.txt"), &log);
    agrees("entra, a leaver", papers.as_ref());
}

/// A laptop in a drawer reports after days. Everything else goes all the same, and the run ends when it has reported.
#[tokio::test]
async fn a_device_that_does_not_report_holds_up_nothing() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut life = a_year(&place, || ()).await;
    place.fake().with(|api| api.quirks.device_delay_ms = 3 * 86_400_000);
    life.leave("E1");
    for _ in 0..6 {
        assert!(!life.round().await, "the run has ended");
    }
    let left = life.account("E1", "ada@corp.test").await.unwrap().left();
    let device = Left::Credentials { class: CredentialClass::Devices, count: 1 };
    assert_eq!(left, [device].into());
    place.clock.advance(chrono::TimeDelta::days(3));
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{outcomes:?}");
    nothing_is_left(&place, &life, "the device reported").await;
    agrees("entra, a device in a drawer", papers.as_ref());
}

#[tokio::test]
async fn what_an_event_costs() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let mut costs = Costs::of(place.fake());
    let life = a_year(&place, || costs.mark()).await;
    costs.end(life, "E1", env!("CARGO_MANIFEST_DIR")).await;
    agrees("entra, what an event costs", papers.as_ref());
}

#[tokio::test]
async fn faults_on_the_way_change_nothing_of_the_end() {
    let papers = papers();
    for storm in storms() {
        let name = storm.0;
        // Late reads once: each makes the engine wait through a window of a minute.
        let lags: &[i64] = if name == "answers lost" { &[0, 20_000] } else { &[0] };
        for lag in lags.iter().copied() {
            let place = Place::new(papers.as_ref());
            place.fake().with(|api| {
                api.quirks.lag_ms = lag;
                // A device reports every other minute.
                api.quirks.device_delay_ms = 120_000;
            });
            let mut life = a_year(&place, || blow(place.fake(), &storm)).await;
            assert!(place.fake().fired() > 0, "{name}: no fault happened");
            blow(place.fake(), &storm);
            life.leave("E1");
            life.settle().await;
            nothing_is_left(&place, &life, name).await;
        }
    }
    agrees("entra, faults", papers.as_ref());
}
