//! What becomes of the whole where a part of it does not answer, or answers something else.

use std::time::Duration;

use chrono::TimeDelta;
use jml_connector_google::MAILBOX_SCOPES;
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::provider::{
    Applied, Cursor, Effect, ErrorKind, ListRequest, Operation, Provider as _, RetryAdvice, Target,
};
use jml_testkit::fake::google::{Chromebook, Device};
use jml_testkit::fake::{Hits, WireFault};
use serde_json::json;

use crate::quirks::Office;
use crate::world::Place;

const DEVICES: Operation = Operation::RevokeCredentials { class: CredentialClass::Devices };

fn page_of_a_gateway() -> WireFault {
    let body = "<html>Bad Request</html>".to_owned();
    WireFault::Answer { status: 400, headers: Vec::new(), body }
}

fn phone(office: &Office, id: &str, email: &str) {
    let emails = [email.to_owned()].into();
    let device = Device { emails, status: "APPROVED".into() };
    office.place.fake().with(|api| api.devices.insert(id.into(), device));
}

fn status(office: &Office, id: &str) -> String {
    office.place.fake().with(|api| api.devices.get(id).unwrap().status.clone())
}

/// A bare 400 says nothing about anybody.
#[tokio::test]
async fn a_gateways_400_makes_nobody_absent() {
    let office = Office::new();
    office.sees().await;
    let target = Target::Account(office.ada.clone());
    office.place.fake().inject(Hits::Reads, 1, page_of_a_gateway());
    let error = office.google.read(&office.cx(), &target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for class in [CredentialClass::Sessions, CredentialClass::AppPasswords] {
        office.place.fake().inject(Hits::Reads, 1, page_of_a_gateway());
        let error = office.apply(Operation::RevokeCredentials { class }).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No), "{error}");
    }
}

/// Whichever request of a listing meets it: the listing fails, or is whole.
#[tokio::test]
async fn a_gateways_400_takes_no_row_from_a_listing() {
    let office = Office::new();
    for key in ["group/0staff", "role/31001", "licence/Google-Apps:1010020027"] {
        office.apply(Operation::Grant { entitlement: key.parse().unwrap() }).await.unwrap();
    }
    let mut failed = 0;
    for nth in 1..=20 {
        // Addresses are not known yet, so licences need a look at each.
        let google = office.place.provider("g");
        office.place.fake().inject(Hits::Nth(nth), 1, page_of_a_gateway());
        let (mut rows, mut asked) = (0, ListRequest::holdings());
        let ended = loop {
            match google.list(&office.cx(), &asked).await {
                Err(error) => break Err(error),
                Ok(page) => {
                    rows += page.rows().len();
                    match page.next() {
                        Some(next) => asked.cursor = Some(next.clone()),
                        None => break Ok(rows),
                    }
                }
            }
        };
        office.place.fake().calm();
        match ended {
            Ok(rows) => assert_eq!(rows, 3, "after a fault at request {nth}"),
            Err(_) => failed += 1,
        }
    }
    assert!(failed >= 8, "{failed}");
}

/// Without the permission for mailboxes, nobody's mailbox is empty, and everybody can be blocked.
#[tokio::test]
async fn a_missing_permission_for_mailboxes_is_told_and_holds_up_no_block() {
    let office = Office::new();
    assert!(office.google.health(&office.cx()).await.unwrap().missing_permissions.is_empty());
    office.place.fake().with(|api| {
        let scopes = api.delegations.values_mut().next().unwrap();
        scopes.retain(|it| !it.ends_with("gmail.settings.sharing"));
    });
    let seen = office.sees().await;
    assert_eq!(seen.mailbox, None);
    assert_eq!(office.status(AccountStatus::Disabled).await.unwrap().effect, Effect::Changed);
    office.status(AccountStatus::Active).await.unwrap();
    let health = office.google.health(&office.cx()).await.unwrap();
    assert_eq!(health.missing_permissions, MAILBOX_SCOPES);
    // Whom there is to ask for, is one who has a mailbox.
    office.place.fake().with(|api| {
        for user in api.users.values_mut() {
            user.mailbox = None;
        }
    });
    assert!(office.google.health(&office.cx()).await.unwrap().missing_permissions.is_empty());
}

/// A server that is down leaves its part unread after one attempt in vain. What would stand for "nothing is left"
/// is never what is shown then.
#[tokio::test]
async fn a_server_that_is_down_is_no_empty_part() {
    let office = Office::new();
    office.works();
    phone(&office, "d1", "ada@corp.test");
    let key = "licence/Google-Apps:1010020027".parse().unwrap();
    office.apply(Operation::Grant { entitlement: key }).await.unwrap();
    let whole = office.sees().await;
    let target = Target::Account(office.ada.clone());
    let mut unread = [0; 3];
    for attempt in [1, 2] {
        for nth in 1..=25 {
            let before = office.place.fake().fired();
            office.place.fake().inject(Hits::Nth(nth), 1, WireFault::status(503));
            let cx = office.cx().with_attempt(attempt);
            let read = office.google.read(&cx, &target).await;
            let hit = office.place.fake().fired() > before;
            office.place.fake().calm();
            let Ok(seen) = read else { continue };
            let seen = seen.account().unwrap().clone();
            assert_eq!(seen.holdings, whole.holdings, "request {nth}");
            let gaps = [
                !seen.credentials.contains_key(&CredentialClass::Devices),
                seen.mailbox.is_none(),
                seen.owns.iter().any(|it| it.contains("Data Transfer")),
            ];
            assert!(!seen.owns.is_empty(), "request {nth}");
            assert_eq!(gaps.contains(&true), hit, "request {nth}, attempt {attempt}");
            assert!(attempt > 1 || !hit, "request {nth}");
            for (count, gap) in unread.iter_mut().zip(gaps) {
                *count += usize::from(gap);
            }
        }
    }
    assert!(unread.iter().all(|it| *it > 0), "{unread:?}");
}

/// A phone keeps the address under which it was set up.
#[tokio::test]
async fn a_phone_under_a_former_address_goes_too() {
    let office = Office::new();
    phone(&office, "d1", "augusta@corp.test");
    office.place.fake().with(|api| {
        let user = api.users.get_mut(office.ada.as_str()).unwrap();
        user.aliases.insert("augusta@corp.test".into());
    });
    assert_eq!(office.sees().await.credentials[&CredentialClass::Devices], 1);
    office.apply(DEVICES).await.unwrap();
    assert_eq!(status(&office, "d1"), "ACCOUNT_WIPED");
    assert_eq!(office.sees().await.credentials[&CredentialClass::Devices], 0);
}

/// Listing ChromeOS devices needs a permission of its own; without it, phones are wiped all the same.
#[tokio::test]
async fn a_listing_that_fails_stops_no_wipe() {
    let office = Office::new();
    let office = Office { google: office.place.short_of_a_scope("g"), ..office };
    phone(&office, "d1", "ada@corp.test");
    let error = office.apply(DEVICES).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::PermissionDenied, Applied::Partly));
    assert_eq!(status(&office, "d1"), "ACCOUNT_WIPED");
}

/// The second call for ChromeOS devices is sent though the first one is refused.
#[tokio::test]
async fn a_batch_that_is_refused_holds_up_no_other() {
    let place = Place::of(None, true);
    let office = Office::at(place);
    office.place.fake().with(|api| {
        for number in 0..60 {
            let made = Chromebook {
                annotated_user: "ada@corp.test".into(),
                status: "ACTIVE".into(),
                ..Chromebook::default()
            };
            api.chromebooks.insert(format!("c{number:02}"), made);
        }
    });
    office.place.fake().inject(Hits::Changes, 1, page_of_a_gateway());
    let error = office.apply(DEVICES).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::Partly));
    let off = office
        .place
        .fake()
        .with(|api| api.chromebooks.values().filter(|it| it.status == "DISABLED").count());
    assert_eq!(off, 10);
}

/// An offline phone was told, and has the account still: that is neither gone nor asked for twice.
#[tokio::test]
async fn a_phone_that_is_offline_is_not_said_to_be_wiped() {
    let office = Office::new();
    office.place.fake().with(|api| api.quirks.phones_offline = true);
    phone(&office, "d1", "ada@corp.test");
    let outcome = office.apply(DEVICES).await.unwrap();
    assert!(format!("{:?}", outcome.side_effects).contains("online next"), "{outcome:?}");
    let seen = office.sees().await;
    assert!(!seen.credentials.contains_key(&CredentialClass::Devices), "{seen:?}");
    office.place.fake().forget();
    assert_eq!(office.apply(DEVICES).await.unwrap().effect, Effect::Unchanged);
    assert!(office.place.fake().requests().iter().all(|it| !it.mutates));
    // Beside one that nobody told yet, it counts.
    phone(&office, "d2", "ada@corp.test");
    assert_eq!(office.sees().await.credentials[&CredentialClass::Devices], 2);
    office.place.fake().with(|api| api.quirks.phones_offline = false);
    office.apply(DEVICES).await.unwrap();
    assert_eq!(office.sees().await.credentials[&CredentialClass::Devices], 0);
}

/// The block waits five seconds for backup codes, and not for ever.
#[tokio::test]
async fn a_call_for_codes_that_hangs_holds_up_no_block() {
    for (nth, fails, applied) in [(2, false, None), (3, true, Some(Applied::Unknown))] {
        let office = Office::new();
        office.works();
        office.sees().await;
        office.place.fake().inject(Hits::Nth(nth), 1, WireFault::Hang);
        if fails {
            office.place.fake().inject(Hits::Nth(nth + 1), 1, page_of_a_gateway());
        }
        let clock = office.place.clock.clone();
        let fake = office.place.fake().clone();
        let waits = std::thread::spawn(move || {
            // Until it hangs.
            while fake.fired() == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            clock.advance(TimeDelta::seconds(6));
        });
        let ended = office.status(AccountStatus::Disabled).await;
        waits.join().unwrap();
        match applied {
            None => {
                let outcome = ended.unwrap();
                assert_eq!(outcome.effect, Effect::Changed);
                let told = format!("{:?}", outcome.side_effects);
                assert!(told.contains("backup codes are left"), "{told}");
                assert_eq!(office.sees().await.status, AccountStatus::Disabled);
            }
            // Whether the codes are gone is not known, though the block surely did not land.
            Some(applied) => {
                let error = ended.unwrap_err();
                assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, applied));
            }
        }
    }
}

/// 412 has three meanings.
#[tokio::test]
async fn a_412_is_not_always_a_licence_that_is_missing() {
    let office = Office::new();
    let op = || Operation::Grant { entitlement: "licence/Google-Apps:1010020020".parse().unwrap() };
    office.place.fake().with(|api| api.quirks.creation_ms = 5_000);
    let error = office.apply(op()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, RetryAdvice::Backoff));
    office.place.fake().with(|api| {
        api.quirks.creation_ms = 0;
        api.quirks.licensed_meanwhile = true;
    });
    assert_eq!(office.apply(op()).await.unwrap().effect, Effect::Unchanged);
    office.place.fake().with(|api| api.quirks.licensed_meanwhile = false);
    let office = Office { ada: office.bob.clone(), ..office };
    assert_eq!(office.apply(op()).await.unwrap_err().kind(), ErrorKind::Exhausted);
}

/// Google forgets tokens of next pages after three days. The listing begins anew then, whatever was listed.
#[tokio::test]
async fn a_page_token_that_expired_begins_the_listing_anew() {
    let office = Office::new();
    for key in ["group/0staff", "role/31001", "role/31002", "licence/Google-Apps:1010020027"] {
        for who in [&office.ada, &office.bob] {
            let op = Operation::Grant { entitlement: key.parse().unwrap() };
            office.apply_to(who, op).await.unwrap();
        }
    }
    for (first, least) in [
        (ListRequest::accounts as fn() -> ListRequest, 1),
        (ListRequest::entitlements, 3),
        (ListRequest::holdings, 4),
    ] {
        let (mut asked, mut expired) = (first(), 0);
        asked.page_size = Some(1);
        loop {
            let page = office.google.list(&office.cx(), &asked).await.unwrap();
            let Some(next) = page.next() else { break };
            asked.cursor = Some(next.clone());
            // The same place, four days later.
            office.place.fake().with(|api| api.quirks.page_token_ms = -1);
            match office.google.list(&office.cx(), &asked).await {
                Err(error) if error.kind() == ErrorKind::CursorExpired => expired += 1,
                Err(error) => panic!("{asked:?}: {error}"),
                Ok(_) => {}
            }
            office.place.fake().with(|api| api.quirks.page_token_ms = 3 * 86_400_000);
        }
        assert!(expired >= least, "{asked:?}: {expired}");
    }
}

/// A place in the list of licences that no page led to is none.
#[tokio::test]
async fn a_made_up_place_is_not_page_one() {
    let office = Office::new();
    for outer in ["18446744073709551615", "2", "-1", "x"] {
        let cursor = json!({ "stage": 2, "outer": outer }).to_string();
        let mut asked = ListRequest::entitlements();
        asked.cursor = Some(Cursor(cursor.into()));
        let error = office.google.list(&office.cx(), &asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorExpired, "{outer}");
    }
}
