//! Targets over the network: fakes on real sockets, and what a user gets wrong about them.

use std::sync::Arc;

use jml_core::clock::Clock as _;
use jml_engine::SystemClock;
use jml_testkit::fake::entra::Entra;
use jml_testkit::fake::scim::Scim;
use jml_testkit::fake::{Fake, Server};

use crate::{Project, text};

const TOKEN: &str = "a-token-that-nobody-may-see";

fn scim() -> Server<Scim> {
    let clock = Arc::new(SystemClock);
    let scim = Scim::new(TOKEN, &["all-staff"], clock.now());
    Fake::new(scim, clock).serve().unwrap()
}

fn add(project: &Project, lines: &str) {
    let all = format!("{}\n{lines}", project.read("jml.toml"));
    std::fs::write(project.path("jml.toml"), all).unwrap();
}

fn crm(server: &Server<Scim>) -> String {
    let url = format!("{}/scim/v2", server.url());
    format!("[targets.crm]\nkind = \"scim\"\nurl = \"{url}\"\ntoken = {{ env = \"CRM_TOKEN\" }}\n")
}

/// Runs with the token in the environment; the exit code, and everything that was said.
fn run(project: &Project, arguments: &[&str]) -> (Option<i32>, String) {
    let out = project.command(arguments).env("CRM_TOKEN", TOKEN).output().unwrap();
    let said = text(&out);
    assert!(!said.contains(TOKEN), "{said}");
    (out.status.code(), said)
}

#[test]
fn people_get_accounts_over_the_network() {
    let (project, server) = (Project::new(), scim());
    add(&project, &crm(&server));
    project.edit(
        "policy.yaml",
        "entitlements:\n",
        "entitlements:\n  crm/group/g-all-staff: { title: All staff of the CRM }\n",
    );
    let account = "accounts:\n  crm: { when: always, user_name: email, attributes: { display_name: full_name } }\n";
    project.edit("policy.yaml", "accounts:\n", account);
    project.edit(
        "policy.yaml",
        "local/group/all-staff, ",
        "local/group/all-staff, crm/group/g-all-staff, ",
    );
    let (code, said) = run(&project, &["apply"]);
    assert!(matches!(code, Some(0 | 4)), "{said}");
    let users = server.fake().with(|it| it.users.len());
    assert!(users >= 3, "{users} users: {said}");
    let members = server.fake().with(|it| it.members("g-all-staff").len());
    assert!(members >= 2 && members <= users, "{members} members of {users}");
    // Nothing is left to do there, and the evidence holds.
    server.fake().forget();
    run(&project, &["apply"]);
    assert!(server.fake().requests().iter().all(|it| !it.mutates));
    assert_eq!(run(&project, &["verify"]).0, Some(0));
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let (project, server) = (Project::new(), scim());
    add(&project, &crm(&server));
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("grant: change groups"), "{said}");
    assert!(said.contains("by people: revoke_credentials:sessions"), "{said}");
    // Two configurations that are wrong, and one that the server contradicts.
    project.edit("jml.toml", "kind = \"scim\"", "kind = \"scim\"\npage = 500");
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the server says page = 100, the configuration 500"), "{said}");
    // Nobody listens any more.
    drop(server);
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("TROUBLE: transport failed"), "{said}");
    let (code, said) = run(&project, &["doctor", "--json"]);
    assert_eq!(code, Some(1));
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["well"], false);
}

#[test]
fn a_missing_permission_is_named() {
    let mut api =
        Entra::new(("client", TOKEN), &["User.ReadWrite.All", "GroupMember.ReadWrite.All"], &[]);
    api.quirks.lag_ms = 0;
    let server = Fake::new(api, Arc::new(SystemClock)).serve().unwrap();
    let project = Project::new();
    let url = server.url();
    add(
        &project,
        &format!(
            "[targets.entra]\nkind = \"entra\"\ntenant = \"tenant\"\nclient_id = \"client\"\n\
             client_secret = {{ env = \"CRM_TOKEN\" }}\nurl = \"{url}/v1.0\"\nlogin = \"{url}\"\n"
        ),
    );
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("lacks the permission MailboxSettings.ReadWrite"), "{said}");
    // What a greater one stands for is not missing.
    assert!(!said.contains("lacks the permission User.ReadUpdate.All"), "{said}");
    assert!(!said.contains("lacks the permission GroupMember.Read.All"), "{said}");
}

#[test]
fn a_secret_is_not_taken_from_the_file() {
    let (project, server) = (Project::new(), scim());
    add(&project, &crm(&server).replace("{ env = \"CRM_TOKEN\" }", &format!("\"{TOKEN}\"")));
    let (code, said) = run(&project, &["plan"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("a secret is not written into this file"), "{said}");
    assert!(said.contains("jml.toml`, line "), "{said}");
    // Where it is said to be, it is not.
    let other =
        project.read("jml.toml").replace(&format!("\"{TOKEN}\""), "{ file = \"no-such-file\" }");
    std::fs::write(project.path("jml.toml"), other).unwrap();
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("target `crm`: token: cannot read"), "{said}");
}
