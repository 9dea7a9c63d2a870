//! What a proposed policy would do, before it is in force.

use crate::{Project, golden};

/// A proposal: engineers review code, clerks approve payments too, interns are nobody.
fn proposed(project: &Project) {
    let policy = project
        .read("policy.yaml")
        .replace("2026.1", "2026.2")
        .replace("local/group/engineering, local/app/source-code]", "local/app/code-review]")
        .replace(
            "[local/app/ledger, local/app/pay-create]",
            "[local/app/pay-create, local/app/pay-approve]",
        )
        .replace("[employment, internship]", "[employment]")
        .replace("max_revokes_share: 20%", "max_creates: 6");
    std::fs::write(project.path("next.yaml"), policy).unwrap();
}

#[test]
fn everybody_is_shown_and_nothing_is_written() {
    let project = Project::new();
    proposed(&project);
    let folder = project.path("feeds");
    std::fs::create_dir(&folder).unwrap();
    let feed = project.read("hr.csv");
    let first: Vec<&str> = feed.lines().take(5).collect();
    std::fs::write(folder.join("2026-01-31.csv"), first.join("\n")).unwrap();
    std::fs::write(folder.join("2026-02-28.csv"), &feed).unwrap();
    let arguments = ["what-if", "next.yaml", "--history", "feeds", "--at", "2030-01-01T09:00:00Z"];
    // More accounts than the proposed brake allows.
    golden("what_if.txt", &project.expect(&arguments, 3));
    let json = project.json(&[&arguments[..], &["--json"]].concat());
    assert_eq!(json["gains"]["local/app/code-review"][0], "E0002");
    assert_eq!(json["history"][1]["people"], 8);
    assert!(project.expect(&["plan", "--at", "2030-01-01T09:00:00Z"], 0).contains("2026.1"));
    assert!(project.expect(&["status"], 0).contains("0 open"), "a run was opened");
}

#[test]
fn what_is_wrong_has_a_name_and_a_place() {
    let project = Project::new();
    proposed(&project);
    project.edit("next.yaml", "title: Engineer,", "titel: Engineer,");
    assert!(project.expect(&["what-if", "next.yaml"], 2).contains("next.yaml:"));
    assert!(project.expect(&["what-if", "none.yaml"], 2).contains("cannot read the policy"));
    proposed(&project);
    std::fs::create_dir(project.path("feeds")).unwrap();
    let arguments = ["what-if", "next.yaml", "--history", "feeds"];
    assert!(project.expect(&arguments, 2).contains("holds no feeds"));
    std::fs::write(project.path("feeds/january.csv"), "").unwrap();
    assert!(project.expect(&arguments, 2).contains("named like 2026-03-31.csv"));
}
