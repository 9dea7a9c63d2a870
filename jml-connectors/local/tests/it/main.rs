//! The local directory: the contract is the conformance suite's; here is what belongs to the file.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod suite;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use jml_connector_local::{LocalDirectory, OpenError};
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::digest::Digest;
use jml_core::id::{AccountId, IdentityId, ProviderId};
use jml_core::provider::{Change, Cx, Expect, IdempotencyKey, Operation, Provider as _};
use jml_testkit::ManualClock;

fn cx() -> Cx {
    Cx::new(Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH)))
}

fn send(directory: &LocalDirectory, key: &str, of: Option<&AccountId>, op: Operation) -> AccountId {
    let key = IdempotencyKey::new(&Digest::of_bytes("test", key.as_bytes()));
    let change = Change { key, account: of.cloned(), op, expect: Expect::Any };
    block_on(directory.apply(&cx(), &change)).unwrap().account.unwrap()
}

fn create(directory: &LocalDirectory, name: &str) -> AccountId {
    let op = Operation::CreateAccount {
        user_name: name.into(),
        external_id: IdentityId::new(format!("id-{name}")).unwrap(),
        status: AccountStatus::Active,
        attributes: BTreeMap::new(),
    };
    send(directory, name, None, op)
}

#[test]
fn the_directory_survives_being_closed_and_knows_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let open = || LocalDirectory::open(ProviderId::new("p").unwrap(), &path);
    let ada = create(&open().unwrap(), "ada");
    let again = open().unwrap();
    again.own(&ada, "budget.xlsx").unwrap();
    again.sign_in(&ada, CredentialClass::Sessions, 3).unwrap();
    let heir = create(&again, "ben");
    send(&again, "hand over", Some(&ada), Operation::TransferOwnership { to: heir.clone() });
    drop(again);
    let last = open().unwrap();
    let accounts = last.accounts().unwrap();
    let of = |id: &AccountId| accounts.iter().find(|account| account.id == *id).unwrap();
    assert_eq!(of(&ada).credentials[&CredentialClass::Sessions], 3);
    assert!(of(&ada).owns.is_empty() && of(&heir).owns.contains("budget.xlsx"));
    assert_eq!(last.effects().unwrap().len(), 3);
    assert_eq!(create(&last, "ada"), ada, "the key is remembered over a restart");
    assert_eq!(last.effects().unwrap().len(), 3, "and nothing is done twice");

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database at all, and long enough to be read as a header").unwrap();
    let id = ProviderId::new("p").unwrap();
    assert!(matches!(LocalDirectory::open(id, &text), Err(OpenError::Open { .. })));
}
