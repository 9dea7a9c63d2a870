//! What Google does otherwise than everybody, call by call.

use jml_connector_checks::start;
use jml_connector_google::{Google, Hosts, MAILBOX_SCOPES};
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, MailboxChange,
    Observation, Operation, Outcome, PendingRef, Provider as _, RefusalReason, RetryAdvice, Target,
};
use serde_json::{Map, Value, json};

use crate::world::Place;

/// A customer with two people, and the connector.
pub(crate) struct Office {
    pub(crate) place: Place,
    pub(crate) google: Google,
    pub(crate) ada: AccountId,
    pub(crate) bob: AccountId,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::at(Place::new(None))
    }

    pub(crate) fn at(place: Place) -> Self {
        let google = place.provider("g");
        let [ada, bob] = ["ada", "bob"].map(|name| {
            let email = format!("{name}@corp.test");
            let profile = json!({ "primaryEmail": email, "name": { "givenName": name, "familyName": "X" },
                                  "externalIds": [{ "type": "organization", "value": name }] });
            let profile: Map<String, Value> = profile.as_object().unwrap().clone();
            place.fake().with(|api| api.add_user(profile, start())).parse().unwrap()
        });
        Self { place, google, ada, bob }
    }

    pub(crate) fn cx(&self) -> Cx {
        Cx::new(self.place.clock.clone())
    }

    pub(crate) fn change(&self, who: &AccountId, op: Operation) -> Change {
        let account = (!op.makes_account()).then(|| who.clone());
        let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
        Change { key, account, op, expect: Expect::Any }
    }

    pub(crate) async fn apply_to(&self, who: &AccountId, op: Operation) -> Result<Outcome, Error> {
        self.google.apply(&self.cx(), &self.change(who, op)).await
    }

    pub(crate) async fn apply(&self, op: Operation) -> Result<Outcome, Error> {
        self.apply_to(&self.ada, op).await
    }

    pub(crate) async fn status(&self, status: AccountStatus) -> Result<Outcome, Error> {
        self.apply(Operation::SetStatus { status }).await
    }

    pub(crate) async fn sees(&self) -> jml_core::account::AccountState {
        let target = Target::Account(self.ada.clone());
        self.google.read(&self.cx(), &target).await.unwrap().account().unwrap().clone()
    }

    pub(crate) fn creation(&self, status: AccountStatus) -> Operation {
        let attributes = ["given_name", "family_name"]
            .map(|name| (name.parse().unwrap(), jml_core::attribute::AttributeValue::text("Eve")));
        Operation::CreateAccount {
            user_name: "eve@corp.test".into(),
            external_id: "E9".parse().unwrap(),
            status,
            attributes: attributes.into(),
        }
    }

    /// The user who signed in and wrote something.
    pub(crate) fn works(&self) {
        let now = self.place.clock.now();
        self.place.fake().with(|api| {
            let user = api.users.get_mut(self.ada.as_str()).unwrap();
            user.last_login = Some(now);
            user.files = ["budget".to_owned()].into();
            (user.enrolled, user.codes) = (true, 10);
        });
    }
}

/// Who is made ahead of the first day shows as that, and the mark goes with the first change of status.
#[tokio::test]
async fn a_staged_user_is_told_from_a_disabled_one() {
    let office = Office::new();
    let made = office.apply(office.creation(AccountStatus::Staged)).await.unwrap();
    let office = Office { ada: made.account.unwrap(), ..office };
    assert_eq!(office.sees().await.status, AccountStatus::Staged);
    office.status(AccountStatus::Disabled).await.unwrap();
    assert_eq!(office.sees().await.status, AccountStatus::Disabled);
    office.status(AccountStatus::Active).await.unwrap();
    let state = office.sees().await;
    assert_eq!((state.status, state.external_id), (AccountStatus::Active, "E9".parse().ok()));
}

/// One scope that was not delegated fails every token, and no call is made.
#[tokio::test]
async fn a_scope_that_is_missing_fails_everything() {
    let office = Office::new();
    office.place.fake().with(|api| {
        let scopes = api.delegations.values_mut().next().unwrap();
        scopes.retain(|it| !it.ends_with("datatransfer"));
    });
    let error = office.google.health(&office.cx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    // Mailboxes have a token of their own, with scopes of its own.
    office.place.fake().with(|api| {
        let scopes = api.delegations.values_mut().next().unwrap();
        scopes.insert("https://www.googleapis.com/auth/admin.datatransfer".into());
        scopes.retain(|it| !it.ends_with("gmail.settings.sharing"));
    });
    let health = office.google.health(&office.cx()).await.unwrap();
    assert_eq!(health.missing_permissions, MAILBOX_SCOPES);
    let change = Operation::SetMailbox(MailboxChange::AutoReply("gone".into()));
    let error = office.apply(change).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unauthenticated, Applied::No));
}

#[tokio::test]
async fn throttling_is_403_and_no_refusal() {
    let office = Office::new();
    for reason in ["userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded"] {
        office.place.fake().with(|api| api.quirks.throttle = Some((1, reason.into())));
        let error = office.status(AccountStatus::Disabled).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, RetryAdvice::Backoff));
    }
}

/// A user is there some seconds after the answer that made it.
#[tokio::test]
async fn a_creation_that_is_not_complete_is_waited_for() {
    let office = Office::new();
    office.place.fake().with(|api| api.quirks.creation_ms = 5_000);
    let made = office.apply(office.creation(AccountStatus::Active)).await.unwrap();
    let office = Office { ada: made.account.unwrap(), ..office };
    let error = office.status(AccountStatus::Disabled).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, RetryAdvice::Backoff));
    assert_eq!(error.applied(), Applied::No);
    office.place.clock.advance(chrono::TimeDelta::seconds(6));
    office.status(AccountStatus::Disabled).await.unwrap();
}

/// An address that somebody took for themselves is nobody's account here, and nobody is invited.
#[tokio::test]
async fn an_unmanaged_account_is_left_alone() {
    let office = Office::new();
    office.place.fake().with(|api| api.unmanaged.insert("eve@corp.test".into()));
    let error = office.apply(office.creation(AccountStatus::Active)).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::AlreadyExists, Applied::No));
    assert_eq!(office.place.fake().with(|api| (api.users.len(), api.made)), (2, 0));
}

#[tokio::test]
async fn an_archive_without_a_licence_is_exhausted() {
    let office = Office::new();
    office.place.fake().with(|api| api.archive_seats = Some(0));
    let error = office.status(AccountStatus::Archived).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Exhausted, Applied::No));
    assert_eq!(office.sees().await.status, AccountStatus::Active);
}

/// The block comes through whatever becomes of the codes, and says what became of them.
#[tokio::test]
async fn codes_that_stay_do_not_hold_up_the_block() {
    use jml_testkit::fake::{Hits, WireFault};
    let office = Office::new();
    office.works();
    office.place.fake().inject(Hits::Changes, 1, WireFault::status(503));
    let outcome = office.status(AccountStatus::Disabled).await.unwrap();
    let told = format!("{:?}", outcome.side_effects);
    assert!(told.contains("backup codes are left"), "{told}");
    let state = office.sees().await;
    assert_eq!(state.status, AccountStatus::Disabled);
    assert_eq!(state.credentials[&CredentialClass::MfaFactors], 1, "it is no zero");
    let class = CredentialClass::MfaFactors;
    let outcome = office.apply(Operation::RevokeCredentials { class }).await.unwrap();
    let told = format!("{:?}", outcome.side_effects);
    assert!(told.contains("backup codes cannot be looked at"), "{told}");
    assert_eq!(office.sees().await.credentials[&class], 0);
}

/// A device with the account of somebody else whose address begins alike is not theirs.
#[tokio::test]
async fn a_device_of_a_namesake_stays() {
    use jml_testkit::fake::google::Device;
    let office = Office::new();
    office.place.fake().with(|api| {
        for (id, email) in [("d1", "ada@corp.test"), ("d2", "ada@corp.test.example")] {
            let emails = [email.to_owned()].into();
            api.devices.insert(id.into(), Device { emails, status: "APPROVED".into() });
        }
    });
    let class = CredentialClass::Devices;
    office.apply(Operation::RevokeCredentials { class }).await.unwrap();
    office.place.fake().with(|api| {
        assert_eq!(api.devices["d1"].status, "ACCOUNT_WIPED");
        assert_eq!(api.devices["d2"].status, "APPROVED");
    });
}

#[tokio::test]
async fn a_rename_leaves_an_alias_which_is_no_name() {
    let office = Office::new();
    let op = Operation::UpdateAccount {
        user_name: Some("ada.l@corp.test".into()),
        set: [].into(),
        clear: [].into(),
    };
    let outcome = office.apply(op).await.unwrap();
    assert!(format!("{:?}", outcome.side_effects).contains("stays as another address"));
    office.place.fake().with(|api| {
        assert!(api.users[office.ada.as_str()].aliases.contains("ada@corp.test"));
        api.users.get_mut(office.ada.as_str()).unwrap().profile.remove("externalIds");
    });
    // Somebody whose name is the alias is somebody else.
    let (identity, user_name) = ("E7".parse().unwrap(), "ada@corp.test".into());
    let target = Target::External { identity, user_name };
    let seen = office.google.read(&office.cx(), &target).await.unwrap();
    assert_eq!(seen, Observation::Absent);
}

/// A transfer is asked for once, and asked about until it ends.
#[tokio::test]
async fn a_transfer_is_pending_until_it_ends() {
    let office = Office::new();
    let to = office.bob.clone();
    let hand_over = || Operation::TransferOwnership { to: to.clone() };
    // Nobody who was never there owns anything.
    assert_eq!(office.apply(hand_over()).await.unwrap().effect, Effect::Unchanged);
    office.works();
    let owned = office.sees().await.owns;
    assert_eq!(
        owned.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["Calendar", "Drive and Docs"]
    );
    let first = office.apply(hand_over()).await.unwrap();
    let again = office.apply(hand_over()).await.unwrap();
    assert_eq!((first.effect, &first.pending), (Effect::Pending, &again.pending));
    let handle = first.pending.unwrap();
    let poll = || async { office.google.poll(&office.cx(), &handle).await };
    assert_eq!(poll().await.unwrap().effect, Effect::Pending);
    // Nobody is deleted meanwhile.
    let error = office.apply(Operation::DeleteAccount).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Conflict, Applied::No));
    office.place.clock.advance(chrono::TimeDelta::seconds(6));
    assert_eq!(poll().await.unwrap().effect, Effect::Changed);
    assert_eq!(poll().await.unwrap().effect, Effect::Changed);
    assert!(office.sees().await.owns.is_empty());
    assert_eq!(office.apply(hand_over()).await.unwrap().effect, Effect::Unchanged);
    // What is written after that is theirs again.
    office.works();
    assert_eq!(office.sees().await.owns.len(), 2);
    office.place.fake().with(|api| api.quirks.transfers_fail = true);
    let handle = office.apply(hand_over()).await.unwrap().pending.unwrap();
    office.place.clock.advance(chrono::TimeDelta::seconds(6));
    let error = office.google.poll(&office.cx(), &handle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Policy));
    let unknown = PendingRef("no handle of yours".into());
    let error = office.google.poll(&office.cx(), &unknown).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Who has been deleted is nobody for 20 days, and can come back: Google says 400 for them.
#[tokio::test]
async fn a_deleted_user_is_absent() {
    let office = Office::new();
    office.apply(Operation::DeleteAccount).await.unwrap();
    let target = Target::Account(office.ada.clone());
    let seen = office.google.read(&office.cx(), &target).await.unwrap();
    assert_eq!(seen, Observation::Absent);
    let class = CredentialClass::Sessions;
    let outcome = office.apply(Operation::RevokeCredentials { class }).await.unwrap();
    assert_eq!(outcome.effect, Effect::Unchanged);
}

#[test]
fn real_hosts_are_googles() {
    let hosts = Hosts::google();
    for url in [hosts.directory, hosts.licensing, hosts.transfer, hosts.gmail, hosts.reports] {
        assert!(url.starts_with("https://") && url.ends_with(".googleapis.com"), "{url}");
    }
}

/// Without a delegation for mailboxes, they are not read, and no verb is declared for them.
#[tokio::test]
async fn mailboxes_can_be_left_out() {
    let office = Office::new();
    assert!(office.sees().await.mailbox.is_some());
    let office = Office { google: office.place.provider("g").without_mailboxes(), ..office };
    assert!(office.sees().await.mailbox.is_none());
    let change = Operation::SetMailbox(MailboxChange::AutoReply("gone".into()));
    assert_eq!(office.apply(change).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// The root is where everybody is, and no unit that anybody was given.
#[tokio::test]
async fn a_unit_is_given_and_taken() {
    let office = Office::new();
    let unit = || "org_unit".parse().unwrap();
    let op = |set, clear| Operation::UpdateAccount { user_name: None, set, clear };
    let sales = jml_core::attribute::AttributeValue::text("/Sales");
    office.apply(op([(unit(), sales.clone())].into(), [].into())).await.unwrap();
    assert_eq!(office.sees().await.attributes[&unit()], sales);
    office.apply(op([].into(), [unit()].into())).await.unwrap();
    assert!(!office.sees().await.attributes.contains_key(&unit()));
    let again = office.apply(op([].into(), [unit()].into())).await.unwrap();
    assert_eq!(again.effect, Effect::Unchanged);
}

/// The fake by itself: who is invited is nobody yet, and who was deleted can come back.
#[test]
fn the_fake_invites_and_undeletes() {
    let office = Office::new();
    let fake = office.place.fake();
    let now = start();
    let claims = json!({ "iss": crate::world::ACCOUNT, "sub": crate::world::ADMIN,
        "aud": "http://x/token", "iat": now.timestamp(), "exp": now.timestamp() + 60,
        "scope": "https://www.googleapis.com/auth/admin.directory.user" });
    let base64 = |text: &str| -> String {
        // Unpadded base64url, by hand: a fake is usable without a kit.
        const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits: Vec<u8> =
            text.bytes().flat_map(|it| (0..8).rev().map(move |n| it >> n & 1)).collect();
        bits.chunks(6)
            .map(|six| {
                let value = six.iter().fold(0, |all, bit| all << 1 | usize::from(*bit));
                char::from(SIGNS[value << (6 - six.len())])
            })
            .collect()
    };
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=e30.{}.x",
        base64(&claims.to_string())
    );
    let ask = |method: &str, target: &str, token: &str, body: String| {
        let request = http::Request::builder()
            .method(method)
            .uri(target)
            .header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let response = fake.answer(&request.body(body.into_bytes()).unwrap()).unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice::<Value>(response.body()).unwrap_or_default())
    };
    let (status, issued) = ask("POST", "/token", "", form);
    assert_eq!(status, 200, "{issued}");
    let token = issued["access_token"].as_str().unwrap();
    fake.with(|api| api.unmanaged.insert("eve@corp.test".into()));
    let eve = json!({ "primaryEmail": "eve@corp.test", "password": "12345678",
                      "name": { "givenName": "Eve", "familyName": "X" } });
    let users = "/admin/directory/v1/users";
    let invites = format!("{users}?resolveConflictAccount=true");
    assert_eq!(ask("POST", &invites, token, eve.to_string()).0, 202);
    assert_eq!(ask("POST", users, token, eve.to_string()).0, 409);
    let ada = format!("{users}/{}", office.ada);
    assert_eq!(ask("DELETE", &ada, token, String::new()).0, 204);
    assert_eq!(ask("GET", &ada, token, String::new()).0, 400);
    let deleted = format!("{users}?customer=my_customer&showDeleted=true");
    assert_eq!(ask("GET", &deleted, token, String::new()).1["users"][0]["id"], office.ada.as_str());
    let back = json!({ "orgUnitPath": "/" }).to_string();
    assert_eq!(ask("POST", &format!("{ada}/undelete"), token, back).0, 204);
    assert_eq!(ask("GET", &ada, token, String::new()).0, 200);
}
