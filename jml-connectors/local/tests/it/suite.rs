//! The conformance suite on the local directory.

use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_local::LocalDirectory;
use jml_core::account::AccountState;
use jml_core::id::{AccountId, ProviderId};
use jml_testkit::conformance::{Backdoor, Harness, World, run};
use tempfile::TempDir;

/// Another administrator at the same file.
struct Administrator {
    directory: Arc<LocalDirectory>,
    _folder: TempDir,
}

#[async_trait]
impl Backdoor for Administrator {
    async fn put(&self, account: AccountState) -> AccountId {
        self.directory.put(&account).unwrap();
        account.id
    }
    async fn remove(&self, account: &AccountId) {
        self.directory.remove(account).unwrap();
    }
    async fn truth(&self) -> Vec<AccountState> {
        self.directory.accounts().unwrap()
    }
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    let id = || ProviderId::new("local").unwrap();
    let directory = Arc::new(LocalDirectory::open(id(), &path).unwrap());
    let keys = ["group/a", "group/b", "app/c"].map(|key| key.parse().unwrap());
    for key in &keys {
        directory.define(key, "something", None).unwrap();
    }
    let scarce = "licence/one-seat".parse().unwrap();
    directory.define(&scarce, "one seat", Some(1)).unwrap();
    World::of(directory.clone())
        .entitlements(keys)
        .scarce(scarce)
        .backdoor(Administrator { directory, _folder: folder })
        .restart(move || LocalDirectory::open(id(), &path).unwrap())
}

jml_testkit::conformance!(local, Harness::new(|| async { world() }));

#[test]
fn the_local_directory_conforms_without_waiver() {
    let report = run(&Harness::new(|| async { world() }));
    println!("{report}");
    assert!(report.conforms() && report.waived().is_empty(), "{report}");
    assert!(report.not_run().is_empty(), "{report}");
    assert!(report.passes().len() >= 95, "{}", report.summary());
}
