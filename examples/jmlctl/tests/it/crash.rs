//! Kill -9 in the middle of `apply`, then `resume`: same end, nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use jml_connectors::local::LocalDirectory;
use jml_core::account::AccountState;
use jml_core::id::ProviderId;

use crate::Project;

/// What the directory holds, by owner, without the counters that say how it came to be.
fn world(project: &Project) -> (BTreeMap<String, AccountState>, Vec<String>) {
    let id = ProviderId::new("local").unwrap();
    let directory = LocalDirectory::open(id, &project.path("state/directory.db")).unwrap();
    let accounts = directory.accounts().unwrap().into_iter().map(|mut account| {
        account.version = None;
        let owner = account.external_id.clone().unwrap().to_string();
        // Which number an account got depends on the order, and nothing hangs on it.
        account.id = jml_core::id::AccountId::new("same").unwrap();
        (owner, account)
    });
    let accounts = accounts.collect();
    let effects = directory.effects().unwrap();
    (accounts, effects.into_iter().map(|effect| effect.key).collect())
}

#[test]
fn twenty_kills() {
    let calm = Project::new();
    let began = std::time::Duration::from_millis(120);
    calm.expect(&["apply"], 4);
    let (wanted, _) = world(&calm);
    let mut interrupted = 0;
    for point in 0..20_u32 {
        let project = Project::new();
        let mut child = project
            .command(&["apply"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the time that an apply takes; a little more than that on a slow machine.
        std::thread::sleep(began * point / 20 + Duration::from_millis(4));
        let _ = child.kill();
        let status = child.wait().unwrap();
        interrupted += u32::from(status.code().is_none());
        let resumed = project.run(&["resume"]);
        assert!(matches!(resumed.status.code(), Some(0 | 4)), "{}", crate::text(&resumed));
        project.expect(&["apply"], 4);
        let (found, effects) = world(&project);
        assert_eq!(found, wanted, "point {point}");
        let mut unique = effects.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), effects.len(), "point {point}: something was done twice");
        project.expect(&["verify"], 0);
    }
    println!("{interrupted} of 20 runs were interrupted");
    assert!(interrupted >= 3, "too few runs were interrupted to mean anything");
}
