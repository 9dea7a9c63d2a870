//! What Graph does otherwise than everybody when somebody leaves.

use jml_core::account::{AccountState, CredentialClass};
use jml_core::provider::{Applied, Effect, ErrorKind, PendingRef, Provider as _, RetryAdvice};
use jml_testkit::fake::entra::{Service, User};
use serde_json::json;

use crate::office::{IMMUTABLE, Office};
use crate::world::COUNT_FROM;

/// Who was blocked by hand still has refresh tokens, as far as anybody knows.
#[tokio::test]
async fn tokens_that_nobody_ended_show() {
    let office = Office::new().await;
    let tokens = |it: AccountState| it.credentials.get(&CredentialClass::RefreshTokens).copied();
    office.ada(|user| {
        user.body.insert("accountEnabled".into(), json!(false));
        user.body.insert(COUNT_FROM.into(), json!("2020-01-01T00:00:02Z"));
        user.sessions = 2;
    });
    assert_eq!(tokens(office.sees().await), Some(1));
    office.kill(CredentialClass::RefreshTokens).await.unwrap();
    assert_eq!(office.now().sessions, 0);
    // That there are none, nobody knows.
    assert_eq!(tokens(office.sees().await), None);
    office.ada(|user| _ = user.grants.insert("mail".into()));
    assert_eq!(tokens(office.sees().await), Some(1));
}

/// Graph takes the call, and says in the body that it did nothing.
#[tokio::test]
async fn sessions_that_stay_are_no_success() {
    let office = Office::new().await;
    office.with(|api| api.quirks.keeps_sessions = true);
    office.ada(|user| user.sessions = 1);
    for class in [CredentialClass::Sessions, CredentialClass::RefreshTokens] {
        let error = office.kill(class).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Applied::No));
        assert_eq!(error.retry(), RetryAdvice::Backoff);
    }
}

/// A tenant without a service has nothing there. That is no failure.
#[tokio::test]
async fn a_tenant_may_lack_a_service() {
    let office = Office::new().await;
    office.with(|api| {
        api.groups.get_mut("group-sales").unwrap().owners.insert(office.ada.to_string());
    });
    for service in [Service::SharePoint, Service::Intune] {
        office.with(|api| api.quirks.lacks = Some(service));
        let state = office.sees().await;
        let devices = state.credentials.contains_key(&CredentialClass::Devices);
        assert_eq!(devices, service == Service::SharePoint);
        let done = office.kill(CredentialClass::Devices).await.unwrap();
        assert_eq!(done.effect, Effect::Unchanged);
    }
    office.with(|api| api.quirks.lacks = Some(Service::SharePoint));
    assert_eq!(office.hand_over().await.unwrap().effect, Effect::Changed);
    assert_eq!(office.hand_over().await.unwrap().effect, Effect::Unchanged);
}

/// A device that was asked is not gone yet.
#[tokio::test]
async fn devices_are_pending_until_they_report() {
    let office = Office::new().await;
    office.with(|api| api.quirks.device_delay_ms = 600_000);
    office.ada(|user| {
        user.devices = [("laptop", "managed"), ("phone", "retirePending")]
            .map(|(id, state)| (id.to_owned(), state.to_owned()))
            .into();
    });
    let alive = |it: AccountState| it.credentials[&CredentialClass::Devices];
    assert_eq!(alive(office.sees().await), 2);
    office.place.fake().forget();
    let asked = office.kill(CredentialClass::Devices).await.unwrap();
    assert_eq!(asked.effect, Effect::Pending);
    assert_eq!(office.changes(), ["POST /v1.0/deviceManagement/managedDevices/laptop/retire"]);
    assert_eq!(alive(office.sees().await), 2);
    let handle = asked.pending.unwrap();
    let poll = async || office.entra.poll(&office.cx(), &handle).await;
    assert_eq!(poll().await.unwrap().effect, Effect::Pending);
    // Asked again, nothing is asked again.
    assert_eq!(
        office.kill(CredentialClass::Devices).await.unwrap().pending.as_ref(),
        Some(&handle)
    );
    assert_eq!(office.changes().len(), 1);
    office.ada(|user| _ = user.devices.insert("phone".into(), "retireFailed".into()));
    let error = poll().await.unwrap_err();
    assert_eq!((error.retry(), error.applied()), (RetryAdvice::Never, Applied::Partly));
    assert!(error.message().contains("phone"), "{error}");
    office.ada(|user| _ = user.devices.remove("phone"));
    office.place.clock.advance(chrono::TimeDelta::minutes(10));
    assert_eq!(poll().await.unwrap().effect, Effect::Changed);
    assert_eq!(alive(office.sees().await), 0);
    let nobody = PendingRef("nobody".into());
    let error = office.entra.poll(&office.cx(), &nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// The default method goes last, whatever its name; what no call takes is said by its type.
#[tokio::test]
async fn factors_go_whatever_the_default_is() {
    let kinds = [("a", "microsoftAuthenticator"), ("b", "fido2"), ("c", "phone")];
    let kinds = kinds.map(|(id, kind)| (id.to_owned(), kind.to_owned()));
    for default in ["a", "b", "c"] {
        let office = Office::new().await;
        office.ada(|user| {
            user.methods = kinds.clone().into();
            user.default_method = Some(default.to_owned());
        });
        let done = office.kill(CredentialClass::MfaFactors).await.unwrap();
        assert_eq!((done.effect, office.now().methods.len()), (Effect::Changed, 0), "{default}");
    }
    let office = Office::new().await;
    office.ada(|user| {
        user.methods = kinds.into();
        user.methods.insert("d".into(), "hardwareOath".into());
        user.default_method = Some("a".into());
    });
    let error = office.kill(CredentialClass::MfaFactors).await.unwrap_err();
    // The default one stays, too, as long as there is another.
    assert_eq!(office.now().methods.keys().collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(error.applied(), Applied::Partly, "{error}");
    office.ada(|user| user.default_method = None);
    let error = office.kill(CredentialClass::MfaFactors).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (IMMUTABLE, Applied::Partly));
    assert!(error.message().contains("hardwareOath"), "{error}");
    let error = office.kill(CredentialClass::MfaFactors).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (IMMUTABLE, Applied::No));
}

/// Only what nobody else owns is somebody's alone, and only that is handed over.
#[tokio::test]
async fn what_others_own_too_stays() {
    let office = Office::new().await;
    let (ada, bob) = (office.ada.to_string(), office.bob.to_string());
    office.with(|api| {
        for (group, owners) in [
            ("group-sales", vec![&ada]),
            ("group-staff", vec![&ada, &bob]),
            ("group-engineers", vec![&ada]),
        ] {
            let owners = owners.into_iter().cloned().collect();
            api.groups.get_mut(group).unwrap().owners = owners;
        }
        let third = api.add_user(User::default());
        api.groups.get_mut("group-engineers").unwrap().owners.insert(third);
    });
    assert_eq!(office.sees().await.owns.iter().collect::<Vec<_>>(), ["group-sales"]);
    assert_eq!(office.hand_over().await.unwrap().effect, Effect::Changed);
    let owners = |group: &str| office.with(|api| api.groups[group].owners.clone());
    assert_eq!(owners("group-sales"), [bob.clone()].into());
    assert_eq!(owners("group-staff"), [bob.clone()].into(), "it was half handed over");
    assert!(owners("group-engineers").contains(&ada) && !owners("group-engineers").contains(&bob));
    // What fails before anything was done was not done in part.
    office.with(|api| {
        api.groups.get_mut("group-sales").unwrap().owners = [ada].into();
        api.refusals = vec![("group-sales/owners/$ref".into(), 403, None)];
    });
    let error = office.hand_over().await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::PermissionDenied, Applied::No));
    // And what did not see the owner go is done.
    office.with(|api| {
        api.refusals = vec![(format!("owners/{}/$ref", office.ada), 404, None)];
    });
    assert_eq!(office.hand_over().await.unwrap().effect, Effect::Changed);
}

#[tokio::test]
async fn a_shared_mailbox_shows() {
    let office = Office::new().await;
    assert!(!office.sees().await.mailbox.unwrap().shared);
    office.ada(|user| user.shared_mailbox = true);
    assert!(office.sees().await.mailbox.unwrap().shared);
}
