//! The conformance suite on the local directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::executor::block_on;
use jml_connector_local::LocalDirectory;
use jml_core::account::AccountState;
use jml_core::id::{AccountId, ProviderId};
use jml_core::provider::{Cx, Outcome, Provider as _, Result};
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, Harness, World, run};
use jml_testkit::strategies::{changes, worlds};
use proptest::prelude::*;
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The local directory and the reference model agree on every change of a random history.
    #[test]
    fn the_directory_is_the_model(
        (world, changes) in worlds(4, 4).prop_flat_map(|world| {
            let changes = changes(&world, 16);
            (Just(world), changes)
        })
    ) {
        let model = world.memory("m".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.db");
        let directory = LocalDirectory::open("m".parse().unwrap(), &path).unwrap();
        for key in &world.catalogue {
            directory.define(key, "something", None).unwrap();
        }
        for account in world.accounts.values() {
            directory.put(account).unwrap();
        }
        let cx = Cx::new(Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH)));
        for change in changes {
            let said = block_on(model.apply(&cx, &change));
            let done = block_on(directory.apply(&cx, &change));
            let short = |result: Result<Outcome>| result.map(|it| it.effect).map_err(|e| (e.kind(), e.applied()));
            prop_assert_eq!(short(said), short(done), "{:?}", change);
        }
        let bare = |mut account: AccountState| {
            // Each makes ids and versions of its own.
            account.version = None;
            account.id = account.user_name.parse().unwrap();
            (account.user_name.clone(), account)
        };
        let model: BTreeMap<_, _> = model.state().accounts.into_values().map(bare).collect();
        let found: BTreeMap<_, _> = directory.accounts().unwrap().into_iter().map(bare).collect();
        prop_assert_eq!(model, found);
    }
}
