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
    for path in all.into_iter().filter(|path| !path.ends_with("epoch")) {
        let good = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(project.path("evidence")).unwrap().display().to_string();
        for at in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let said = project.expect(&["verify"], 5);
            let named = said.contains(&name) || said.contains("entry ") || said.contains("vault");
            assert!(named, "byte {at} of {name}: {said}");
        }
        std::fs::remove_file(&path).unwrap();
        let said = project.expect(&["verify"], 5);
        let named = said.contains(&name) || said.contains("disclosure");
        assert!(named, "{name}: {said}");
        std::fs::write(&path, &good).unwrap();
    }
    // A row that nobody sealed.
    let rows = project.path("evidence/vault/rows/0");
    let good = std::fs::read(&rows).unwrap();
    let mut more = good.clone();
    let first: Vec<u8> = good.split_inclusive(|b| *b == b'\n').next().unwrap().to_vec();
    more.extend_from_slice(&first);
    std::fs::write(&rows, &more).unwrap();
    assert!(project.expect(&["verify"], 5).contains("it is there twice"));
    std::fs::write(&rows, &good).unwrap();
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

/// From a sealed population to a pack that a stranger verifies, and an erasure that leaves it standing.
#[test]
fn an_audit_from_the_command_line() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    project.edit(
        "hr.csv",
        "E0003,employment,2022-05-01,,",
        "E0003,employment,2022-05-01,2024-01-31,",
    );
    project.expect(&["apply"], 4);
    let wrong = project
        .expect(&["audit", "population", "leavr", "--from", "2024-01-01", "--to", "2024-12-31"], 2);
    assert!(wrong.contains("did you mean `leaver`?"), "{wrong}");
    let population = project.json(&[
        "audit",
        "population",
        "leaver",
        "--from",
        "2024-01-01",
        "--to",
        "2024-12-31",
        "--json",
    ]);
    assert_eq!(population["population"]["members"], 1, "{population}");
    assert_eq!(population["population"]["matched"], 1, "{population}");
    let entry = population["entry"].to_string();
    let sample =
        project.json(&["audit", "sample", &entry, "--seed", "four", "--size", "5", "--json"]);
    let sample = sample["entry"].to_string();
    std::fs::copy(project.path("evidence/checkpoint"), project.path("kept")).unwrap();
    project.expect(&["evidence", "heartbeat"], 0);
    let pack = [
        "audit",
        "pack",
        &entry,
        "--sample",
        &sample,
        "--disclose",
        "identity,before,after",
        "--limits",
        "pci",
        "--earlier",
        "kept",
        "pack",
    ];
    project.expect(&pack, 0);
    assert!(project.expect(&pack, 2).contains("it is not empty"));
    let key = std::fs::read_to_string(project.path("evidence/vkey")).unwrap();
    let verify = ["verify", "--pack", "pack", "--key", &key, "--earlier", "kept"];
    let said = project.expect(&verify, 0);
    assert!(said.contains("L4 continues an earlier checkpoint      pass"), "{said}");
    let html = std::fs::read_to_string(project.path("pack/report.html")).unwrap();
    assert!(html.contains("E0003") && !html.contains("E0001"), "only the one who left");
    // Erasing: two people, no hold.
    let erase =
        ["evidence", "erase", "E0003", "--basis", "asked", "--by", "E0001", "--by", "E0002"];
    assert!(project.expect(&erase[..7], 2).contains("two people"));
    let hold =
        project.json(&["evidence", "hold", "E0003", "--case", "c1", "--by", "E0001", "--json"]);
    assert!(project.expect(&erase, 2).contains("under hold"));
    let hold = hold["hold"].as_str().unwrap().to_owned();
    project.expect(&["evidence", "release", "E0003", &hold, "--by", "E0001"], 0);
    project.expect(&erase, 0);
    let said = project.expect(&["verify", "--earlier", "kept"], 0);
    assert!(said.contains("disclosures were erased, with a record that says so"), "{said}");
    project.expect(&verify, 0);
    // A new key; what the old one signed stands, for whoever knows only the old one too.
    project.expect(&["evidence", "rotate-key"], 0);
    project.expect(&["evidence", "heartbeat"], 0);
    project.expect(&["verify"], 0);
    let drop = project.path("outside");
    std::fs::create_dir(&drop).unwrap();
    project.expect(&["evidence", "anchor", "--drop", "outside"], 0);
    project.expect(&["verify"], 0);
    assert!(project.expect(&["audit", "coverage", "hipa"], 2).contains("did you mean `hipaa`?"));
    project.expect(&["audit", "coverage", "hipaa"], 0);
    assert!(project.expect(&["audit", "timeliness", "--limits", "pci"], 0).contains("leaver"));
}

/// A campaign from the command line: asked, decided, taken away, proven.
#[test]
fn a_review_from_the_command_line() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    let opened =
        project.json(&["review", "open", "q1", "--due", "2099-01-01", "--by", "E0001", "--json"]);
    let items = opened["items"].as_array().unwrap();
    let one = items.iter().find(|it| it["identity"] == "E0005").unwrap();
    let what = one["entitlement"].as_str().unwrap().to_owned();
    let (number, item) = (&one["item"], one["item"].to_string());
    assert!(!opened["letters"].as_array().unwrap().is_empty());
    assert!(
        project
            .expect(&["review", "open", "q1", "--due", "2099-01-01", "--by", "E0001"], 2)
            .contains("there already")
    );
    assert!(project.expect(&["review", "show", "q2"], 2).contains("there is no campaign `q2`"));
    let decide = |by: &str, code| {
        project.expect(
            &["review", "decide", "q1", &item, "--by", by, "--why", "no need", "--revoke"],
            code,
        )
    };
    assert!(decide("E0005", 2).contains("nobody reviews their own access"));
    let manager = opened["letters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|letter| letter["items"].as_array().unwrap().iter().any(|it| it == number));
    decide(manager.unwrap()["to"].as_str().unwrap(), 0);
    assert!(project.expect(&["review", "show", "q1"], 0).contains("revoked by"));
    let plan = project.expect(&["plan"], 0);
    assert!(
        plan.contains("review `q1` took it away") && plan.contains(what.split_once('/').unwrap().1),
        "{plan}"
    );
    project.expect(&["apply"], 4);
    project.expect(&["verify"], 0);
    project.expect(&["review", "tick", "q1"], 0);
}

/// An account whose owner nobody knows any more is found, and noted if that is wished.
#[test]
fn orphans_are_noted() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    // Somebody starts anew with a feed that does not have everybody whom the target has.
    std::fs::remove_file(project.path("state/journal.db")).unwrap();
    let feed = std::fs::read_to_string(project.path("hr.csv")).unwrap();
    let rest: String =
        feed.split_inclusive('\n').filter(|line| !line.starts_with("E0003,")).collect();
    std::fs::write(project.path("hr.csv"), rest).unwrap();
    assert!(project.expect(&["orphans"], 0).contains("1 accounts belong to nobody known"));
    let size = |project: &Project| {
        let note = std::fs::read_to_string(project.path("evidence/checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = size(&project);
    project.expect(&["orphans", "--record"], 0);
    assert_eq!(size(&project), before + 1);
    project.expect(&["verify"], 0);
}
