//! The audit log as a feed: late, out of order, in pages, by address, for 180 days.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use jml_connector_checks::{agrees, start};
use jml_connector_google::Google;
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Change, Cx, Error, ErrorKind, Expect, IdempotencyKey, ListRequest, Observation, Operation,
    Provider as _, Watermark,
};
use jml_testkit::ManualClock;
use jml_testkit::fake::{Hits, Wire, WireFault};
use jml_testkit::openapi::Documents;
use serde_json::json;

use crate::suite::papers;
use crate::world::Place;

/// A customer with some people, and a reader of the feed.
struct Reader {
    place: Place,
    google: Google,
    mark: Watermark,
}

type Rows = Vec<(AccountId, Observation)>;

impl Reader {
    /// The people are `u0`, `u1`, ...; that they were made is before the feed begins.
    async fn new(documents: Option<&Documents>, people: usize) -> (Self, Vec<AccountId>) {
        let place = Place::new(documents);
        let ids = (0..people).map(|n| hire(&place, &format!("u{n}@corp.test"))).collect();
        place.clock.advance(TimeDelta::hours(2));
        let google = place.provider("g");
        let mark = google.changes(&cx(&place.clock), None).await.unwrap().next;
        (Self { place, google, mark }, ids)
    }

    async fn look(&self) -> Result<jml_core::provider::ChangePage, Error> {
        self.google.changes(&cx(&self.place.clock), Some(&self.mark)).await
    }

    /// Everything that is known by now, and in how many pages.
    async fn all(&mut self) -> (Rows, usize) {
        let (mut rows, mut pages) = (Vec::new(), 0);
        loop {
            assert!(pages < 400, "the feed does not end");
            let page = self.look().await.unwrap();
            rows.extend(page.rows.into_iter().map(|it| (it.account, it.now)));
            (self.mark, pages) = (page.next, pages + 1);
            if !page.more {
                return (rows, pages);
            }
        }
    }

    async fn apply(&self, account: &AccountId, op: Operation) {
        let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
        let change = Change { key, account: Some(account.clone()), op, expect: Expect::Any };
        self.google.apply(&cx(&self.place.clock), &change).await.unwrap();
        self.wait(1);
    }

    fn wait(&self, seconds: i64) {
        self.place.clock.advance(TimeDelta::seconds(seconds));
    }

    /// An entry about somebody's settings.
    fn note(&self, name: &str, email: &str) {
        let now = self.place.clock.now();
        let said = [("USER_EMAIL", email)];
        self.place.fake().with(|api| api.happened("USER_SETTINGS", name, &said, now));
    }

    /// How many requests had this in their target, since the last time.
    fn asked(&self, part: &str) -> usize {
        self.place.fake().requests().iter().filter(|it| it.target.contains(part)).count()
    }

    async fn expires(&self) -> String {
        let error = self.look().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorExpired, "{error}");
        error.message().to_owned()
    }
}

fn cx(clock: &Arc<ManualClock>) -> Cx {
    Cx::new(clock.clone())
}

fn hire(place: &Place, email: &str) -> AccountId {
    let profile = json!({ "primaryEmail": email, "name": { "givenName": "A", "familyName": "B" } });
    let now = place.clock.now();
    let profile = profile.as_object().unwrap().clone();
    place.fake().with(|api| api.add_user(profile, now)).parse().unwrap()
}

fn changed(id: &AccountId) -> (AccountId, Observation) {
    (id.clone(), Observation::NotObserved)
}

fn gone(id: &AccountId) -> (AccountId, Observation) {
    (id.clone(), Observation::Absent)
}

/// Every kind of change that the connector makes itself is heard of, and so is the end.
#[tokio::test]
async fn what_was_changed_is_in_the_feed() {
    let papers = papers();
    let (mut reader, ids) = Reader::new(papers.as_ref(), 1).await;
    let [ada] = ids.as_slice() else { panic!("one") };
    reader.place.fake().with(|api| {
        let user = api.users.get_mut(ada.as_str()).unwrap();
        (user.enrolled, user.codes) = (true, 10);
        user.tokens = ["crm.apps.test".to_owned()].into();
        user.asps = [1].into();
        let emails = [user.email().to_owned()].into();
        let device = jml_testkit::fake::google::Device { emails, status: "APPROVED".into() };
        api.devices.insert("dphone".into(), device);
    });
    let key = |text: &str| text.parse().unwrap();
    let mut ops: Vec<Operation> = Vec::new();
    for text in ["group/0staff", "role/31002", "licence/Google-Apps:1010020027"] {
        ops.push(Operation::Grant { entitlement: key(text) });
        ops.push(Operation::Revoke { entitlement: key(text) });
    }
    for (name, value) in [("title", "Clerk"), ("given_name", "Ada"), ("recovery_email", "a@x.test")]
    {
        let set = [(name.parse().unwrap(), jml_core::attribute::AttributeValue::text(value))];
        let (set, clear) = (set.into(), BTreeSet::new());
        ops.push(Operation::UpdateAccount { user_name: None, set, clear });
    }
    for class in [
        CredentialClass::Sessions,
        CredentialClass::RefreshTokens,
        CredentialClass::AppPasswords,
        CredentialClass::MfaFactors,
        CredentialClass::Devices,
    ] {
        ops.push(Operation::RevokeCredentials { class });
    }
    for status in [AccountStatus::Disabled, AccountStatus::Archived, AccountStatus::Active] {
        ops.push(Operation::SetStatus { status });
    }
    let renamed = Some("ada@corp.test".into());
    ops.push(Operation::UpdateAccount { user_name: renamed, set: [].into(), clear: [].into() });
    for op in ops {
        let what = op.to_string();
        reader.apply(ada, op).await;
        assert_eq!(reader.all().await.0, [changed(ada)], "{what}");
        assert_eq!(reader.all().await.0, [], "{what}");
    }
    reader.apply(ada, Operation::DeleteAccount).await;
    assert_eq!(reader.all().await.0, [gone(ada)]);
    agrees("google, the feed", papers.as_ref());
}

/// Without the permission for the log, the feed says so, and the descriptor names it.
#[tokio::test]
async fn the_log_needs_a_permission_of_its_own() {
    let (reader, _) = Reader::new(None, 1).await;
    let needed = "https://www.googleapis.com/auth/admin.reports.audit.readonly";
    let descriptor = reader.google.descriptor();
    assert!(descriptor.feeds_changes && descriptor.permissions().contains(needed));
    reader.place.fake().inject(Hits::All, 1, WireFault::status(403));
    assert_eq!(reader.look().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(reader.look().await.is_ok());
}

/// Entries show minutes later, every other one even later than those that came after it: each is told once.
#[tokio::test]
async fn what_shows_late_and_out_of_order_is_told_once() {
    let (mut reader, ids) = Reader::new(None, 12).await;
    reader.place.fake().with(|api| {
        api.quirks.audit_lag_ms = 120_000;
        api.quirks.audit_stray_ms = 3_000_000;
    });
    let mut told = Vec::new();
    for number in 0..12 {
        reader.note("SUSPEND_USER", &format!("u{number}@corp.test"));
        reader.wait(60);
        told.extend(reader.all().await.0);
    }
    assert!(told.len() < 12);
    for _ in 0..12 {
        reader.wait(600);
        told.extend(reader.all().await.0);
    }
    let order: Vec<AccountId> = told.iter().map(|(id, _)| id.clone()).collect();
    assert_ne!(order, ids, "nothing was out of order");
    assert_eq!(order.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
    assert_eq!(told.len(), 12, "{told:?}");
}

/// A page of the feed takes as many of Google's as there are, and looks once for each address.
#[tokio::test]
async fn tokens_are_followed_and_an_address_is_looked_up_once() {
    let (mut reader, ids) = Reader::new(None, 2).await;
    reader.place.fake().with(|api| api.quirks.page_rows = Some(2));
    for _ in 0..3 {
        reader.note("CHANGE_LAST_NAME", "u0@corp.test");
        reader.note("CHANGE_LAST_NAME", "U1@corp.test");
        reader.wait(1);
    }
    reader.note("CHANGE_FIRST_NAME", "u0@corp.test");
    reader.place.fake().forget();
    let (rows, pages) = reader.all().await;
    assert_eq!((rows, pages), (vec![changed(&ids[1]), changed(&ids[0])], 1));
    assert_eq!((reader.asked("/activity/"), reader.asked("pageToken")), (4, 3));
    assert_eq!((reader.asked("users/u0"), reader.asked("users/u1")), (1, 1));
    assert_eq!(reader.asked("showDeleted"), 0);
    // A token that comes again would never end.
    Wire::quirk(&reader.place.server, jml_testkit::fake::Quirk::RepeatedCursor);
    for _ in 0..7 {
        reader.note("CHANGE_FIRST_NAME", "u0@corp.test");
        reader.wait(1);
    }
    assert_eq!(reader.look().await.unwrap_err().kind(), ErrorKind::ContractViolation);
}

/// Each address may have to be looked up, and a call has to end in time.
#[tokio::test]
async fn a_page_names_a_hundred_people_at_most() {
    let (mut reader, ids) = Reader::new(None, 250).await;
    for number in 0..250 {
        reader.note("CHANGE_LAST_NAME", &format!("u{number}@corp.test"));
    }
    reader.wait(1);
    reader.place.fake().forget();
    let page = reader.look().await.unwrap();
    assert!(page.more && page.rows.len() == 100, "{}", page.rows.len());
    assert_eq!(reader.asked("/users/u"), 100);
    let (rows, pages) = reader.all().await;
    let told: BTreeSet<AccountId> = rows.into_iter().map(|it| it.0).collect();
    assert_eq!((pages, told), (3, ids.into_iter().collect()));
    // So it is with licences, which are listed by address.
    reader.place.fake().with(|api| {
        let everybody: Vec<String> = api.users.keys().cloned().collect();
        api.skus.values_mut().next().unwrap().users.extend(everybody);
    });
    reader.place.fake().forget();
    let google = reader.place.provider("g");
    let mut asked = ListRequest::holdings();
    while let Some(next) = google.list(&cx(&reader.place.clock), &asked).await.unwrap().next() {
        assert!(reader.asked("/users/u") <= 100, "{asked:?}");
        reader.place.fake().forget();
        asked.cursor = Some(next.clone());
    }
}

/// Who reads after months gets all of it in pieces, the oldest first; after more than 180 days, an error.
#[tokio::test]
async fn months_are_caught_up_and_half_a_year_is_too_long() {
    let (mut reader, ids) = Reader::new(None, 3).await;
    let first = reader.mark.clone();
    for (number, days) in [(0, 60), (1, 60), (2, 59)] {
        for _ in 0..700 {
            reader.note("CHANGE_FIRST_NAME", &format!("u{number}@corp.test"));
        }
        reader.place.clock.advance(TimeDelta::days(days));
    }
    let (rows, pages) = reader.all().await;
    let order: Vec<&AccountId> = rows.iter().map(|(id, _)| id).collect();
    assert_eq!(order, [&ids[0], &ids[0], &ids[1], &ids[1], &ids[2], &ids[2]]);
    assert!((170..190).contains(&pages), "{pages}");
    assert_eq!(reader.all().await.0, []);
    reader.mark = first;
    reader.place.clock.advance(TimeDelta::days(2));
    assert!(reader.expires().await.contains("180 days"));
    reader.mark = Watermark("2026-03-02T08:00:00Z".into());
    reader.expires().await;
}

/// An address that somebody had and somebody else has now is about both; who came back is there, and so is
/// who has another address since.
#[tokio::test]
async fn who_was_deleted_is_told_from_who_has_the_address_now() {
    let papers = papers();
    let (mut reader, ids) = Reader::new(papers.as_ref(), 3).await;
    let [ada, bob, eve] = ids.as_slice() else { panic!("three") };
    let now = reader.place.clock.now();
    reader.place.fake().with(|api| {
        api.delete_user(ada.as_str(), now);
        api.delete_user(bob.as_str(), now);
        // It came back, and was given another address.
        let (user, _) = api.deleted.remove(bob.as_str()).unwrap();
        api.users.insert(bob.to_string(), user);
    });
    let other = hire(&reader.place, "u0@corp.test");
    reader.place.fake().with(|api| {
        let both = [("USER_EMAIL", "former@corp.test"), ("NEW_VALUE", "u2@corp.test")];
        api.happened("USER_SETTINGS", "RENAME_USER", &both, now);
    });
    reader.wait(1);
    reader.place.fake().forget();
    let rows: BTreeSet<String> =
        reader.all().await.0.iter().map(|(id, now)| format!("{id} {now:?}")).collect();
    let wanted = [gone(ada), changed(bob), changed(&other), changed(eve)];
    assert_eq!(rows, wanted.iter().map(|(id, now)| format!("{id} {now:?}")).collect());
    assert_eq!(reader.asked("showDeleted"), 1);
    agrees("google, who was deleted", papers.as_ref());
}

/// Google names whoever was deleted for 20 days. After that, only a listing tells who is left, also where
/// somebody else has the address.
#[tokio::test]
async fn a_deletion_that_cannot_be_told_is_no_silence() {
    let (mut reader, ids) = Reader::new(None, 2).await;
    let first = reader.mark.clone();
    let now = reader.place.clock.now();
    reader.place.fake().with(|api| api.delete_user(ids[0].as_str(), now));
    reader.place.clock.advance(TimeDelta::days(19));
    assert_eq!(reader.look().await.unwrap().rows.len(), 1);
    reader.place.clock.advance(TimeDelta::days(2));
    assert!(reader.expires().await.contains("u0@corp.test"));
    hire(&reader.place, "u0@corp.test");
    assert!(reader.expires().await.contains("u0@corp.test"));
    reader.mark = reader.google.changes(&cx(&reader.place.clock), None).await.unwrap().next;
    assert_eq!(reader.all().await.0, []);
    assert_ne!(reader.mark, first);
}

/// What changed many without naming them sends the reader to a listing, once.
#[tokio::test]
async fn a_group_that_goes_names_nobody_and_is_no_silence() {
    let (mut reader, _) = Reader::new(None, 1).await;
    let now = reader.place.clock.now();
    reader.place.fake().with(|api| api.delete_group("0staff", now));
    reader.wait(1);
    assert!(reader.expires().await.contains("DELETE_GROUP"));
    reader.mark = reader.google.changes(&cx(&reader.place.clock), None).await.unwrap().next;
    assert_eq!(reader.all().await.0, []);
}

/// Members may be groups, and people of other companies, whom Google may refuse to talk about.
#[tokio::test]
async fn addresses_of_others_are_nobody() {
    let (mut reader, ids) = Reader::new(None, 1).await;
    for forbidden in [false, true] {
        let now = reader.place.clock.now();
        reader.place.fake().with(|api| {
            api.quirks.foreign_is_403 = forbidden;
            for email in ["sales@corp.test", "partner@else.test", "u0@corp.test", "no address"] {
                let said = [("USER_EMAIL", email), ("GROUP_EMAIL", "staff@corp.test")];
                api.happened("GROUP_SETTINGS", "ADD_GROUP_MEMBER", &said, now);
            }
        });
        reader.wait(1);
        assert_eq!(reader.all().await.0, [changed(&ids[0])]);
    }
    assert_eq!(reader.asked("email%3D%27partner%40else.test%27"), 1);
}

/// A clock that was set back asks for nothing that is yet to come.
#[tokio::test]
async fn a_clock_that_was_set_back_waits() {
    let (reader, _) = Reader::new(None, 1).await;
    let back = Arc::new(ManualClock::jumping(start()));
    reader.place.fake().forget();
    let page = reader.google.changes(&cx(&back), Some(&reader.mark)).await.unwrap();
    assert_eq!((page.rows.len(), page.next, page.more), (0, reader.mark.clone(), false));
    assert_eq!(reader.asked("/activity/"), 0);
}
