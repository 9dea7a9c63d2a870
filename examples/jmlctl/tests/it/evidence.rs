//! One changed byte anywhere in the evidence is named.

use std::path::{Path, PathBuf};

use crate::Project;

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for item in std::fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn one_byte_anywhere() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    project.expect(&["verify"], 0);
    let mut all = Vec::new();
    files(&project.path("evidence"), &mut all);
    assert!(all.len() > 8);
    for path in all {
        let good = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(project.path("evidence")).unwrap().display().to_string();
        for at in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let said = project.expect(&["verify"], 5);
            let named = said.contains(&name) || said.contains("entry ");
            assert!(named, "byte {at} of {name}: {said}");
        }
        std::fs::remove_file(&path).unwrap();
        let said = project.expect(&["verify"], 5);
        assert!(said.contains(&name) || said.contains("disclosure is missing"), "{name}: {said}");
        std::fs::write(&path, &good).unwrap();
    }
    // A line that nobody sealed.
    let vault = std::fs::read_dir(project.path("evidence/vault")).unwrap().next().unwrap().unwrap();
    let good = std::fs::read(vault.path()).unwrap();
    let mut more = good.clone();
    more.extend_from_slice(b"WyJzYWx0IiwibmFtZSIsInZhbHVlIl0\n");
    std::fs::write(vault.path(), &more).unwrap();
    assert!(project.expect(&["verify"], 5).contains("no record names this disclosure"));
    std::fs::write(vault.path(), &good).unwrap();
    std::fs::write(project.path("evidence/extra"), "x").unwrap();
    assert!(project.expect(&["verify"], 5).contains("extra: it does not belong here"));
    std::fs::remove_file(project.path("evidence/extra")).unwrap();
    project.expect(&["verify"], 0);
}

#[test]
fn a_roll_back_is_seen_by_whoever_kept_a_checkpoint() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    let kept = project.path("kept");
    std::fs::copy(project.path("evidence/checkpoint"), &kept).unwrap();
    project.expect(&["verify", "--earlier", "kept"], 0);
    project.edit(
        "hr.csv",
        "E0003,employment,2022-05-01,,",
        "E0003,employment,2022-05-01,2024-01-31,",
    );
    project.expect(&["apply"], 4);
    project.expect(&["verify", "--earlier", "kept"], 0);
    std::fs::copy(project.path("evidence/checkpoint"), &kept).unwrap();
    // Somebody starts the log anew, with the same key.
    std::fs::remove_dir_all(project.path("evidence")).unwrap();
    project.expect(&["resume"], 4);
    project.expect(&["verify"], 0);
    let said = project.expect(&["verify", "--earlier", "kept"], 5);
    assert!(said.contains("L4"), "{said}");
}
