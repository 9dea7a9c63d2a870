//! Locks on devices: which, when, and what is said of them.

use std::sync::Arc;

use jml_connector_checks::{Life, agrees, calls, start};
use jml_connector_jumpcloud::JumpCloud;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, Operation, Outcome,
    Provider as _, RefusalReason, SideEffect, Target, Verb,
};
use jml_testkit::conformance::Backdoor as _;
use jml_testkit::fake::{Hits, WireFault};
use serde_json::json;

use crate::life::{ADA, ada, engineer, policy, works};
use crate::suite::papers;
use crate::world::{Door, LAPTOP, Place, SALES};

const DEVICES: Operation = Operation::RevokeCredentials { class: CredentialClass::Devices };

async fn kill(place: &Place, provider: &JumpCloud, id: &AccountId) -> Result<Outcome, Error> {
    let key = IdempotencyKey::new(&Digest::of_bytes("test", b"devices"));
    let change = Change { key, account: Some(id.clone()), op: DEVICES, expect: Expect::Any };
    provider.apply(&Cx::new(place.clock.clone()), &change).await
}

/// Somebody who is bound to these devices.
async fn somebody(place: &Place, systems: &[&str]) -> AccountId {
    let state = AccountState::new("new".parse().unwrap(), "ada", AccountStatus::Active);
    let id = Door(place.fake().clone(), place.clock.clone()).put(state).await;
    place.fake().with(|api| {
        for system in systems {
            let system = api.systems.get_mut(*system).unwrap();
            system.users.insert(id.to_string(), json!({}));
        }
    });
    id
}

fn commands(place: &Place, system: &str) -> Vec<String> {
    place.fake().with(|api| api.systems.get(system).unwrap().commands.clone())
}

/// A life from the first day on, with a device, up to the last.
async fn leaver(place: &Place, provider: JumpCloud) -> Life {
    let mut life = Life::new(Arc::new(provider), place.clock.clone(), &policy());
    life.hire(ADA, start().date_naive() - chrono::TimeDelta::days(28));
    life.settle().await;
    let (id, held) = ada(place);
    assert_eq!(held, engineer());
    works(place, &id);
    place.fake().forget();
    life.leave("E1");
    life.settle().await;
    life
}

/// Once the bond is gone, nobody knows whose device it was.
#[tokio::test]
async fn a_lock_comes_after_the_block_and_before_the_bond_goes() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let life = leaver(&place, place.locking("t")).await;
    let log = calls(&place.fake().requests(), &[]);
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text}: {log}"));
    let lock = at(&format!("POST /api/systems/{LAPTOP}/command/builtin/lock"));
    assert!(at("\"state\":\"SUSPENDED\"") < lock, "{log}");
    assert!(lock < at("\"op\":\"remove\",\"type\":\"system\""), "{log}");
    assert_eq!(commands(&place, LAPTOP), ["lock"]);
    assert!(life.account("E1", "ada").await.unwrap().left().is_empty());
    assert!(life.residuals().await.is_empty());
    // It was accepted. Nobody says that it was seen.
    let journal = life.journal().await;
    let journal = journal.split("Opened {").last().unwrap();
    let unverified =
        journal.lines().filter_map(|it| it.strip_prefix("AcceptedUnverified { step: "));
    let unverified: Vec<&str> = unverified.map(|it| it.trim_end_matches(" }")).collect();
    let [step] = unverified.as_slice() else { panic!("{unverified:?} in {journal}") };
    let said = |fact: &str| journal.contains(&format!("\n{fact} {{ step: {step},"));
    assert!(said("Applied") && !said("Verified"), "{journal}");
    agrees("jumpcloud, a lock", papers.as_ref());
}

#[tokio::test]
async fn nothing_of_it_is_done_unless_asked_for() {
    let place = Place::new(None);
    let life = leaver(&place, place.provider("t")).await;
    assert!(commands(&place, LAPTOP).is_empty());
    assert!(!life.journal().await.contains("revoke_credentials:devices"));
    let provider = place.provider("t");
    let verb = Verb::RevokeCredentials(CredentialClass::Devices);
    assert!(!provider.descriptor().supports(verb));
    let id = somebody(&place, &[LAPTOP]).await;
    let error = kill(&place, &provider, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let locking = place.locking("t");
    assert_eq!(locking.descriptor().verbs[&verb].permissions, ["Manager"]);
}

/// What is queued is said, and never that it was carried out.
#[tokio::test]
async fn a_lock_is_queued_and_cannot_be_counted() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let shared = place.fake().with(|api| {
        let lab = api.add_system("lab", "windows");
        api.systems.get_mut(&lab).unwrap().groups.insert(SALES.into());
        lab
    });
    let id = somebody(&place, &[LAPTOP]).await;
    place.fake().with(|api| api.groups.get_mut(SALES).unwrap().members.insert(id.to_string()));
    let provider = place.locking("t");
    let outcome = kill(&place, &provider, &id).await.unwrap();
    assert_eq!(outcome.effect, Effect::Accepted);
    let [SideEffect::Other(said)] = outcome.side_effects.as_slice() else {
        panic!("{:?}", outcome.side_effects)
    };
    assert!(said.contains("queued") && said.contains("laptop"), "{said}");
    assert_eq!(commands(&place, LAPTOP), ["lock"]);
    // What comes with a group is not one person's.
    assert!(commands(&place, &shared).is_empty());
    let cx = Cx::new(place.clock.clone());
    let seen = provider.read(&cx, &Target::Account(id.clone())).await.unwrap();
    let counted = seen.account().unwrap().credentials.contains_key(&CredentialClass::Devices);
    assert!(!counted && !DEVICES.readable_in(&seen));
    // Without a device, there is nothing to lock.
    let nobody = somebody(&place, &[]).await;
    place.fake().with(|api| api.systems.get_mut(LAPTOP).unwrap().users.clear());
    let outcome = kill(&place, &provider, &nobody).await.unwrap();
    assert_eq!((outcome.effect, outcome.side_effects.len()), (Effect::Unchanged, 0));
    agrees("jumpcloud, locks", papers.as_ref());
}

#[tokio::test]
async fn a_mac_is_left_to_mdm_and_named() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let (mac, phone) = place
        .fake()
        .with(|api| (api.add_system("mac of ada", "darwin"), api.add_system("phone", "ios")));
    let provider = place.locking("t");
    for (systems, applied) in [
        (vec![mac.as_str(), LAPTOP], Applied::Partly),
        (vec![mac.as_str(), phone.as_str()], Applied::No),
    ] {
        place.fake().with(|api| api.systems.values_mut().for_each(|it| it.users.clear()));
        let id = somebody(&place, &systems).await;
        let error = kill(&place, &provider, &id).await.unwrap_err();
        let immutable = ErrorKind::Refused(RefusalReason::Immutable);
        assert_eq!((error.kind(), error.applied()), (immutable, applied), "{error}");
        assert!(error.message().contains("mac of ada"), "{error}");
        assert!(!error.message().contains("laptop"), "{error}");
    }
    assert_eq!(commands(&place, LAPTOP), ["lock"]);
    assert!(commands(&place, &mac).is_empty() && commands(&place, &phone).is_empty());
    agrees("jumpcloud, a mac", papers.as_ref());
}

/// What the journal says last of the step that locks, of its newest run.
async fn last_of_locks(life: &Life) -> String {
    let journal = life.journal().await;
    let newest = journal.split("Opened {").last().unwrap();
    let step = newest
        .lines()
        .find(|it| it.contains("JumpCloud locks Linux") || it.starts_with("AcceptedUnverified"))
        .and_then(|it| it.split("step: ").nth(1))
        .expect("a step of locks");
    let step: String = step.chars().take_while(|it| !" ,}".contains(*it)).collect();
    let of = |it: &&str| [",", " }"].iter().any(|end| it.contains(&format!("step: {step}{end}")));
    newest.lines().rfind(of).unwrap().to_owned()
}

/// A life up to the last day, some rounds long: what waits for a person does not end.
async fn leaving(place: &Place, policy: &str) -> Life {
    let mut life = Life::new(Arc::new(place.locking("t")), place.clock.clone(), policy);
    life.hire(ADA, start().date_naive() - chrono::TimeDelta::days(28));
    life.settle().await;
    place.fake().forget();
    life.leave("E1");
    for _ in 0..8 {
        life.round().await;
    }
    life
}

/// A Mac that nobody locked keeps the bond by which its person is known, until somebody says that it is done with:
/// by ending that. The others are locked meanwhile, once.
#[tokio::test]
async fn a_leavers_mac_shows_in_the_journal() {
    for with_another in [false, true] {
        let place = Place::new(None);
        let another = place.fake().with(|api| {
            api.systems.get_mut(LAPTOP).unwrap().os = "darwin".into();
            api.add_system("second", "linux")
        });
        let mut policy = policy();
        if with_another {
            let one = format!("t/system/{LAPTOP}, ");
            policy = policy.replace(&one, &format!("{one}t/system/{another}, "));
            let title = format!("  t/system/{LAPTOP}: {{ title: Laptop }}\n");
            let more = format!("{title}  t/system/{another}: {{ title: Second }}\n");
            policy = policy.replace(&title, &more);
        }
        let life = leaving(&place, &policy).await;
        let last = last_of_locks(&life).await;
        assert!(last.starts_with("Parked") || last.starts_with("Deferred"), "{last}");
        assert!(last.contains("JumpCloud locks Linux and Windows only"), "{last}");
        let (id, held) = ada(&place);
        assert!(held.contains(&format!("system/{LAPTOP}")), "{held:?}");
        assert!(!held.contains(&format!("sudo/{LAPTOP}")), "{held:?}");
        place.fake().with(|api| assert_eq!(api.users[&id].state, "SUSPENDED"));
        assert!(commands(&place, LAPTOP).is_empty());
        let once: &[&str] = if with_another { &["lock"] } else { &[] };
        assert_eq!(commands(&place, &another), once);
        // Somebody wiped it by MDM, and ends the binding.
        place.fake().with(|api| api.systems.get_mut(LAPTOP).unwrap().users.clear());
        life.settle().await;
        assert!(life.account("E1", "ada").await.unwrap().left().is_empty());
        assert_eq!(commands(&place, &another), once);
    }
}

/// However much the device matters: once the bond is gone, nobody knows whose it was.
#[tokio::test]
async fn a_device_that_matters_is_locked_before_its_bond_goes() {
    for sensitivity in ["sensitive", "privileged", "critical"] {
        let place = Place::new(None);
        let plain = "{ title: Laptop }";
        let policy =
            policy().replace(plain, &format!("{{ title: Laptop, sensitivity: {sensitivity} }}"));
        let life = leaving(&place, &policy).await;
        let log = calls(&place.fake().requests(), &[]);
        let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text}: {log}"));
        let lock = at(&format!("POST /api/systems/{LAPTOP}/command/builtin/lock"));
        assert!(at("\"state\":\"SUSPENDED\"") < lock, "{sensitivity}: {log}");
        assert!(lock < at("\"op\":\"remove\",\"type\":\"system\""), "{sensitivity}: {log}");
        assert_eq!(commands(&place, LAPTOP), ["lock"], "{sensitivity}");
        assert!(life.account("E1", "ada").await.unwrap().left().is_empty());
    }
}

/// Somebody else suspended the account. The devices are locked all the same, once.
#[tokio::test]
async fn a_suspended_leaver_with_a_device_is_locked_out_of_it() {
    let place = Place::new(None);
    let mut life = Life::new(Arc::new(place.locking("t")), place.clock.clone(), &policy());
    life.hire(ADA, start().date_naive() - chrono::TimeDelta::days(28));
    life.settle().await;
    let (id, _) = ada(&place);
    place.fake().with(|api| api.users.get_mut(&id).unwrap().state = "SUSPENDED".into());
    life.leave("E1");
    life.settle().await;
    assert_eq!(commands(&place, LAPTOP), ["lock"]);
    assert!(life.account("E1", "ada").await.unwrap().left().is_empty());
}

#[tokio::test]
async fn a_device_that_refuses_holds_up_no_other() {
    let place = Place::new(None);
    let second = place.fake().with(|api| api.add_system("second", "linux"));
    let id = somebody(&place, &[LAPTOP, &second]).await;
    let provider = place.locking("t");
    place.fake().inject(Hits::Changes, 1, WireFault::status(400));
    let error = kill(&place, &provider, &id).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::Partly), "{error}");
    assert!(commands(&place, LAPTOP).is_empty());
    assert_eq!(commands(&place, &second), ["lock"]);
    // What may pass is tried again as a whole.
    place.fake().inject(Hits::Changes, 1, WireFault::status(503));
    let error = kill(&place, &provider, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(commands(&place, &second), ["lock"]);
    kill(&place, &provider, &id).await.unwrap();
    assert_eq!(commands(&place, LAPTOP), ["lock"]);
    assert!(place.fake().requests().iter().all(|it| !it.target.contains("erase")));
}
