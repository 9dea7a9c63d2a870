//! The ordinary course of things, and what a user gets wrong.

use jml_core::clock::Clock as _;

use crate::{Project, golden};

#[test]
fn from_init_to_verified_evidence() {
    let project = Project::new();
    assert!(project.expect(&["plan"], 0).contains("E0004: joiner"));
    assert!(!project.path("evidence/checkpoint").exists(), "plan writes no evidence");
    // The operator's production role waits for the manager.
    project.expect(&["apply"], 4);
    let status = project.json(&["status", "--json"]);
    let run = status["runs"].as_array().unwrap().iter().find(|r| r["gates"][0]["id"] == "g1");
    let run = run.unwrap()["run"].as_str().unwrap().to_owned();
    let refused = project.expect(&["approve", &run, "g1", "--by", "E0004", "--why", "me"], 2);
    assert!(refused.contains("nobody decides about their own access"));
    let refused = project.expect(&["approve", &run, "g1", "--by", "E0001", "--why", "me"], 2);
    assert!(refused.contains("may not decide at this gate"));
    project.expect(&["approve", &run, "g1", "--by", "E0002", "--why", "needed"], 0);
    // The run as it went, and as a graph.
    let shown = project.expect(&["show", &run], 0);
    assert!(shown.contains("opened: joiner of `E0004`"), "{shown}");
    assert!(shown.contains("gate g1: approved: needed"), "{shown}");
    assert!(shown.contains("the word of `E0004` does not count: nobody decides"), "{shown}");
    assert!(project.expect(&["show", &run, "--dot"], 0).starts_with("digraph plan {"));
    let shown = project.json(&["show", &run, "--json"]);
    assert!(shown["timeline"].as_array().unwrap().len() > 5);
    project.expect(&["show", "r-none"], 2);
    assert!(project.expect(&["orphans"], 0).contains("0 accounts belong to nobody known"));
    // A second apply finds nothing to do, and plan says why.
    assert!(project.expect(&["apply"], 0).contains("0 runs"));
    assert!(project.expect(&["plan"], 0).contains("why nothing happens:"));
    assert!(
        project.expect(&["explain", "E0004", "local/role/prod-admin"], 0).contains("r-operator")
    );
    assert!(project.expect(&["verify"], 0).contains("pass"));
    assert!(project.expect(&["explain", "E0044"], 2).contains("did you mean `E0004`?"));
}

#[test]
fn a_leaver_is_closed_and_a_refusal_is_not_asked_again() {
    let project = Project::new();
    project.expect(&["apply"], 4);
    let status = project.json(&["status", "--json"]);
    let runs = status["runs"].as_array().unwrap();
    let run = runs.iter().find(|r| r["gates"][0]["id"] == "g1").unwrap()["run"].as_str().unwrap();
    project.expect(&["approve", run, "g1", "--by", "E0002", "--why", "no", "--refuse"], 0);
    let again = project.expect(&["apply"], 0);
    assert!(again.contains("0 runs"), "{again}");
    assert!(project.expect(&["plan"], 0).contains("refused it"));
    let last = jml_engine::SystemClock.now().date_naive() - chrono::TimeDelta::days(10);
    let to = format!("E0003,employment,2022-05-01,{last},");
    project.edit("hr.csv", "E0003,employment,2022-05-01,,", &to);
    let leaver = project.expect(&["apply"], 0);
    assert!(leaver.contains("E0003 leaver: open"), "{leaver}");
    let status = project.json(&["status", "--json"]);
    let run = status["runs"].as_array().unwrap().iter().find(|r| r["kind"] == "leave").unwrap();
    let step = run["steps"].as_array().unwrap().iter().find(|s| s["state"] == "a person has it");
    let (run, step) = (run["run"].as_str().unwrap(), step.unwrap()["id"].as_str().unwrap());
    project.expect(&["done", run, step, "--by", "E0001", "--proof", "receipt 7"], 0);
    assert!(project.expect(&["status"], 0).contains("0 open"));
    project.expect(&["verify"], 0);
}

#[test]
fn a_brake_stops_the_batch_and_an_override_is_for_one_batch_only() {
    let project = Project::new();
    project.edit("policy.yaml", "brakes: {", "brakes: { max_leavers: 1,");
    project.expect(&["apply"], 4);
    for id in ["E0003", "E0005", "E0006"] {
        let csv = project.read("hr.csv");
        let line = csv.lines().find(|line| line.starts_with(id)).unwrap();
        let ended = line.replacen(",,", ",2024-01-31,", 1);
        project.edit("hr.csv", line, &ended);
    }
    let plan = project.json(&["plan", "--json"]);
    let batch = plan["brakes"]["batch"].as_str().unwrap().to_owned();
    let stopped = project.expect(&["apply"], 3);
    assert!(stopped.contains("leavers would be 3, at most 1 allowed"), "{stopped}");
    let wrong = format!("sha-256:{}", "0".repeat(64));
    project.expect(&["apply", "--override", &wrong, "--by", "E0001", "--why", "sale"], 3);
    let done =
        project.expect(&["apply", "--override", &batch, "--by", "E0001", "--why", "sale"], 4);
    assert!(done.contains("E0003 leaver"), "{done}");
    project.expect(&["verify"], 0);
}

#[test]
fn simulation_writes_nothing() {
    let project = Project::new();
    let simulated = project.expect(&["simulate"], 0);
    assert!(simulated.contains("E0004 joiner: clean"), "{simulated}");
    assert!(project.expect(&["status"], 0).contains("0 runs"));
    assert!(project.expect(&["apply"], 4).contains("E0004 joiner"));
}

#[test]
fn wrong_configuration_is_named() {
    let project = Project::new();
    project.edit("jml.toml", "journal =", "jurnal =");
    golden("config_typo.txt", &project.expect(&["plan"], 2));
    let project = Project::new();
    project.edit("policy.yaml", "department: platform }", "departmnt: platform }");
    golden("policy_typo.txt", &project.expect(&["plan"], 2));
    let nothing = project.expect(&["plan", "--config", "elsewhere.toml"], 2);
    assert!(nothing.contains("jmlctl init"), "{nothing}");
    assert!(project.expect(&["init", "."], 2).contains("nothing was written"));
}

#[test]
fn every_json_is_json() {
    let project = Project::new();
    for command in ["plan", "simulate", "apply", "status", "verify", "resume"] {
        assert!(project.json(&[command, "--json"]).is_object(), "{command}");
    }
    assert_eq!(project.json(&["explain", "E0001", "--json"])["identity"], "E0001");
}
