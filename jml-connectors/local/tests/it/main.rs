//! The contract of a provider, on the reference model and on the local directory alike.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::executor::block_on;
use jml_connector_local::{LocalDirectory, OpenError};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::attribute::AttributeValue;
use jml_core::digest::Digest;
use jml_core::id::{AccountId, AttributeName, IdentityId, ProviderId};
use jml_core::provider::{
    Applied, Change, Cursor, Cx, Effect, ErrorKind, Expect, IdempotencyKey, ListRequest,
    MailboxChange, Observation, Operation, Outcome, Provider, Result, Row, Snapshot, Target, Verb,
    snapshot,
};
use jml_testkit::{ManualClock, Memory};

/// A provider under test, and the number of the next key.
struct Bench {
    provider: Arc<dyn Provider>,
    keys: std::cell::Cell<u32>,
}

fn id() -> ProviderId {
    ProviderId::new("p").unwrap()
}

fn cx() -> Cx {
    Cx::new(Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH)))
}

impl Bench {
    fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, keys: std::cell::Cell::new(0) }
    }

    fn key(&self) -> IdempotencyKey {
        self.keys.set(self.keys.get() + 1);
        IdempotencyKey::new(&Digest::of_bytes("test", &self.keys.get().to_be_bytes()))
    }

    fn send(
        &self,
        key: IdempotencyKey,
        account: Option<&AccountId>,
        op: Operation,
    ) -> Result<Outcome> {
        let change = Change { key, account: account.cloned(), op, expect: Expect::Any };
        block_on(self.provider.apply(&cx(), &change))
    }

    fn apply(&self, account: &AccountId, op: Operation) -> Result<Outcome> {
        self.send(self.key(), Some(account), op)
    }

    fn create(&self, name: &str) -> AccountId {
        self.send(self.key(), None, create(name)).unwrap().account.unwrap()
    }

    fn read(&self, account: &AccountId) -> Option<AccountState> {
        let seen = block_on(self.provider.read(&cx(), &Target::Account(account.clone()))).unwrap();
        match seen {
            Observation::Present(state) => Some(*state),
            Observation::Absent => None,
            Observation::NotObserved => panic!("not observed"),
        }
    }

    fn all(&self) -> BTreeMap<AccountId, AccountState> {
        match block_on(snapshot(self.provider.as_ref(), &cx())).unwrap() {
            Snapshot::Complete(all) => all.accounts().clone(),
            Snapshot::Incomplete { .. } => panic!("incomplete"),
        }
    }
}

fn create(name: &str) -> Operation {
    Operation::CreateAccount {
        user_name: name.into(),
        external_id: IdentityId::new(format!("id-{name}")).unwrap(),
        status: AccountStatus::Active,
        attributes: BTreeMap::new(),
    }
}

fn grant(name: &str) -> Operation {
    Operation::Grant { entitlement: name.parse().unwrap() }
}

fn revoke(name: &str) -> Operation {
    Operation::Revoke { entitlement: name.parse().unwrap() }
}

/// Runs a check on both providers, each fresh.
fn on_both(check: impl Fn(&Bench)) {
    let memory = Memory::new(id())
        .define("group/a".parse().unwrap())
        .define("group/b".parse().unwrap())
        .define_seats("licence/x".parse().unwrap(), Some(1));
    check(&Bench::new(Arc::new(memory)));
    let folder = tempfile::tempdir().unwrap();
    let local = LocalDirectory::open(id(), &folder.path().join("d.db")).unwrap();
    for (name, seats) in [("group/a", None), ("group/b", None), ("licence/x", Some(1))] {
        local.define(&name.parse().unwrap(), name, seats).unwrap();
    }
    check(&Bench::new(Arc::new(local)));
}

#[test]
fn grants_and_revokes_take_effect_once() {
    on_both(|bench| {
        let (ada, ben) = (bench.create("ada"), bench.create("ben"));
        assert_eq!(bench.apply(&ada, grant("group/a")).unwrap().effect, Effect::Changed);
        assert_eq!(bench.apply(&ada, grant("group/a")).unwrap().effect, Effect::Unchanged);
        let held: BTreeSet<_> = ["group/a".parse().unwrap()].into();
        assert_eq!(bench.read(&ada).unwrap().holdings, held);
        assert!(bench.read(&ben).unwrap().holdings.is_empty(), "only its target");
        assert_eq!(bench.apply(&ada, revoke("group/a")).unwrap().effect, Effect::Changed);
        assert_eq!(bench.apply(&ada, revoke("group/a")).unwrap().effect, Effect::Unchanged);
        assert_eq!(bench.apply(&ada, revoke("group/nothing")).unwrap().effect, Effect::Unchanged);
    });
}

#[test]
fn what_does_not_exist() {
    on_both(|bench| {
        let ada = bench.create("ada");
        let error = bench.apply(&ada, grant("group/nothing")).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::NotFound, Applied::No));
        let ghost = AccountId::new("ghost").unwrap();
        let error = bench.apply(&ghost, grant("group/a")).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::NotFound, Applied::No));
        // Whoever is gone holds nothing: taking away is done.
        assert_eq!(bench.apply(&ghost, revoke("group/a")).unwrap().effect, Effect::Unchanged);
        assert_eq!(bench.apply(&ada, Operation::DeleteAccount).unwrap().effect, Effect::Changed);
        assert_eq!(bench.apply(&ada, Operation::DeleteAccount).unwrap().effect, Effect::Unchanged);
        assert!(bench.read(&ada).is_none());
    });
}

#[test]
fn names_and_keys() {
    on_both(|bench| {
        let key = bench.key();
        let first = bench.send(key.clone(), None, create("ada")).unwrap();
        let again = bench.send(key, None, create("ada")).unwrap();
        assert_eq!(first.account, again.account, "the same key makes one account");
        assert_eq!(again.effect, Effect::Unchanged);
        let error = bench.send(bench.key(), None, create("ADA")).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::AlreadyExists, Applied::No));
        assert_eq!(bench.all().len(), 1);
        let ben = bench.create("ben");
        let rename = |name: &str| Operation::UpdateAccount {
            user_name: Some(name.into()),
            set: BTreeMap::new(),
            clear: BTreeSet::new(),
        };
        assert_eq!(bench.apply(&ben, rename("ada")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        bench.apply(&ben, rename("benno")).unwrap();
        assert_eq!(bench.read(&ben).unwrap().user_name, "benno", "the id survives a rename");
    });
}

#[test]
fn updates_touch_only_what_they_name() {
    on_both(|bench| {
        let ada = bench.create("ada");
        let name = |n: &str| AttributeName::new(n).unwrap();
        let set = |n: &str, v: &str| Operation::UpdateAccount {
            user_name: None,
            set: BTreeMap::from([(name(n), AttributeValue::text(v))]),
            clear: BTreeSet::new(),
        };
        bench.apply(&ada, set("title", "Clerk")).unwrap();
        bench.apply(&ada, set("office", "7")).unwrap();
        assert_eq!(bench.apply(&ada, set("office", "7")).unwrap().effect, Effect::Unchanged);
        let clear = BTreeSet::from([name("office")]);
        bench
            .apply(&ada, Operation::UpdateAccount { user_name: None, set: BTreeMap::new(), clear })
            .unwrap();
        let left = bench.read(&ada).unwrap().attributes;
        assert_eq!(left, BTreeMap::from([(name("title"), AttributeValue::text("Clerk"))]));
    });
}

#[test]
fn a_leaver_is_shut_out_and_still_listed() {
    on_both(|bench| {
        let ada = bench.create("ada");
        let disable = Operation::SetStatus { status: AccountStatus::Disabled };
        bench.apply(&ada, disable.clone()).unwrap();
        assert_eq!(bench.apply(&ada, disable).unwrap().effect, Effect::Unchanged);
        for class in CredentialClass::ALL {
            bench.apply(&ada, Operation::RevokeCredentials { class }).unwrap();
        }
        let state = bench.read(&ada).unwrap();
        assert!(state.credentials.values().all(|alive| *alive == 0));
        assert_eq!(bench.all().get(&ada), Some(&state), "disabled accounts are listed, as read");
    });
}

#[test]
fn mailboxes_and_ownership() {
    on_both(|bench| {
        let (ada, ben) = (bench.create("ada"), bench.create("ben"));
        for change in [
            MailboxChange::AutoReply("gone".into()),
            MailboxChange::ForwardTo(ben.clone()),
            MailboxChange::ConvertToShared,
        ] {
            let op = Operation::SetMailbox(change);
            assert_eq!(bench.apply(&ada, op.clone()).unwrap().effect, Effect::Changed);
            assert_eq!(bench.apply(&ada, op.clone()).unwrap().effect, Effect::Unchanged);
            let seen = Observation::Present(Box::new(bench.read(&ada).unwrap()));
            assert!(op.satisfied_by(&seen));
        }
        let transfer = Operation::TransferOwnership { to: ben };
        assert_eq!(bench.apply(&ada, transfer).unwrap().effect, Effect::Unchanged);
    });
}

#[test]
fn seats_run_out() {
    on_both(|bench| {
        let (ada, ben) = (bench.create("ada"), bench.create("ben"));
        bench.apply(&ada, grant("licence/x")).unwrap();
        let error = bench.apply(&ben, grant("licence/x")).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Exhausted, Applied::No));
        bench.apply(&ada, revoke("licence/x")).unwrap();
        bench.apply(&ben, grant("licence/x")).unwrap();
    });
}

#[test]
fn pages_of_every_size_make_the_same_list() {
    on_both(|bench| {
        for n in 0..7 {
            bench.create(&format!("user{n}"));
        }
        let whole = bench.all();
        for size in [1, 2, 3, 7, 100] {
            let mut request = ListRequest { page_size: Some(size), ..ListRequest::accounts() };
            let mut found = Vec::new();
            loop {
                let page = block_on(bench.provider.list(&cx(), &request)).unwrap();
                assert!(page.rows().len() <= usize::try_from(size).unwrap());
                for row in page.rows() {
                    let Row::Account(state) = row else { panic!("another row") };
                    found.push(state.id.clone());
                }
                match page.next() {
                    Some(next) => request.cursor = Some(next.clone()),
                    None => break,
                }
            }
            assert_eq!(found, whole.keys().cloned().collect::<Vec<_>>(), "page size {size}");
        }
        let garbage =
            ListRequest { cursor: Some(Cursor("page 2".into())), ..ListRequest::accounts() };
        let error = block_on(bench.provider.list(&cx(), &garbage)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorExpired);
    });
}

#[test]
fn the_account_of_an_identity_is_found() {
    on_both(|bench| {
        let ada = bench.create("ada");
        let find = |identity: &str, user_name: &str| {
            let identity = IdentityId::new(identity).unwrap();
            let target = Target::External { identity, user_name: user_name.into() };
            block_on(bench.provider.read(&cx(), &target)).unwrap()
        };
        assert_eq!(find("id-ada", "whoever").account().map(|a| &a.id), Some(&ada));
        assert_eq!(find("id-nobody", "ada"), Observation::Absent, "it belongs to somebody else");
    });
}

#[test]
fn a_stale_version_is_a_conflict() {
    on_both(|bench| {
        let ada = bench.create("ada");
        let version = bench.read(&ada).unwrap().version.unwrap();
        bench.apply(&ada, grant("group/a")).unwrap();
        let change = Change {
            key: bench.key(),
            account: Some(ada),
            op: grant("group/b"),
            expect: Expect::Version(version),
        };
        let error = block_on(bench.provider.apply(&cx(), &change)).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Conflict, Applied::No));
    });
}

#[test]
fn an_undeclared_verb_is_not_sent() {
    let memory = Memory::new(id()).without(&[Verb::DeleteAccount]);
    let bench = Bench::new(Arc::new(memory));
    let ada = bench.create("ada");
    let error = bench.apply(&ada, Operation::DeleteAccount).unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No));
    assert!(bench.read(&ada).is_some());
}

#[test]
fn the_directory_survives_being_closed_and_knows_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let open = || LocalDirectory::open(id(), &path);
    let bench = Bench::new(Arc::new(open().unwrap()));
    let ada = bench.create("ada");
    drop(bench);
    let again = open().unwrap();
    again.own(&ada, "budget.xlsx").unwrap();
    again.sign_in(&ada, CredentialClass::Sessions, 3).unwrap();
    let bench = Bench::new(Arc::new(again));
    // Keys of another process are other keys.
    bench.keys.set(100);
    assert_eq!(bench.read(&ada).unwrap().credentials[&CredentialClass::Sessions], 3);
    let heir = bench.create("ben");
    bench.apply(&ada, Operation::TransferOwnership { to: heir.clone() }).unwrap();
    assert!(bench.read(&heir).unwrap().owns.contains("budget.xlsx"));
    assert_eq!(open().unwrap().effects().unwrap().len(), 3);

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database at all, and long enough to be read as a header").unwrap();
    assert!(matches!(LocalDirectory::open(id(), &text), Err(OpenError::Open { .. })));
}
