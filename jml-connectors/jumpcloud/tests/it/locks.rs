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
    life.last_day("E1", (life.now() - chrono::TimeDelta::days(1)).date_naive());
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

/// A run says what is left to a person, and the rest is locked.
#[tokio::test]
async fn a_leavers_mac_shows_in_the_journal() {
    let place = Place::new(None);
    place.fake().with(|api| api.systems.get_mut(LAPTOP).unwrap().os = "darwin".into());
    let life = leaver(&place, place.locking("t")).await;
    let journal = life.journal().await;
    assert!(journal.contains("JumpCloud locks Linux and Windows only"), "{journal}");
    assert!(commands(&place, LAPTOP).is_empty());
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
