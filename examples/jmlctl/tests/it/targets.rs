//! Targets over the network: fakes on real sockets, and what a user gets wrong about them.

use std::sync::Arc;

use jml_connectors::google::{ADMIN_SCOPES, CHROMEOS_SCOPE, LICENCE_SCOPE, MAILBOX_SCOPES};
use jml_connectors::kit::auth::{ExposeSecret as _, JwtKey};
use jml_core::clock::Clock as _;
use jml_engine::SystemClock;
use jml_testkit::fake::entra::Entra;
use jml_testkit::fake::google::{Google, SCOPE};
use jml_testkit::fake::jumpcloud::JumpCloud;
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

/// A customer whose service account may do this, and the target's lines.
fn google(project: &Project, scopes: &[&str]) -> (Server<Google>, String) {
    let scopes: Vec<&str> = scopes.iter().filter_map(|it| it.strip_prefix(SCOPE)).collect();
    let api = Google::new("admin@corp.test", "jml@corp.test", &scopes, &[]);
    let server = Fake::new(api, Arc::new(SystemClock)).serve().unwrap();
    let pem = JwtKey::generate_pem().unwrap();
    std::fs::write(project.path("google.pem"), pem.expose_secret()).unwrap();
    let lines = format!(
        "[targets.google]\nkind = \"google\"\nservice_account = \"jml@corp.test\"\n\
         admin = \"admin@corp.test\"\nkey = {{ file = \"google.pem\" }}\nurl = \"{}\"\n",
        server.url()
    );
    (server, lines)
}

#[test]
fn devices_are_touched_where_the_file_says_so() {
    let project = Project::new();
    let known: Vec<&str> = ADMIN_SCOPES.into_iter().chain(MAILBOX_SCOPES).collect();
    let (server, lines) = google(&project, &known);
    add(&project, &lines);
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(CHROMEOS_SCOPE), "{said}");
    // One scope more, which was not delegated: every token fails.
    project.edit("jml.toml", "kind = \"google\"", "kind = \"google\"\nchromeos = true");
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(1), "{said}");
    let verb = said.lines().find(|it| it.contains("revoke_credentials:devices: ")).unwrap();
    assert!(verb.contains(CHROMEOS_SCOPE), "{said}");
    assert!(said.contains("TROUBLE"), "{said}");
    server.fake().with(|api| {
        let scopes = api.delegations.get_mut("jml@corp.test").unwrap();
        scopes.insert(CHROMEOS_SCOPE.to_owned());
    });
    let (code, said) = run(&project, &["doctor"]);
    assert_eq!(code, Some(0), "{said}");

    let jumpcloud = Fake::new(JumpCloud::new(TOKEN, &[]), Arc::new(SystemClock)).serve().unwrap();
    let url = jumpcloud.url();
    let lines = format!(
        "[targets.jc]\nkind = \"jumpcloud\"\napi_key = {{ env = \"CRM_TOKEN\" }}\nurl = \"{url}\"\n\
         insights = \"{url}\"\n"
    );
    add(&project, &lines);
    let by_hand = |said: &str| {
        let part = said.split("jc: ").nth(1).unwrap();
        let line = part.lines().find(|it| it.contains("by people")).unwrap();
        line.contains("revoke_credentials:devices")
    };
    let (code, said) = run(&project, &["doctor"]);
    assert!(code == Some(0) && by_hand(&said), "{said}");
    let on = "kind = \"jumpcloud\"\nlock_devices = true";
    project.edit("jml.toml", "kind = \"jumpcloud\"", on);
    let (code, said) = run(&project, &["doctor"]);
    assert!(code == Some(0) && !by_hand(&said), "{said}");
}

#[test]
fn licences_of_google_are_in_the_file() {
    let project = Project::new();
    let scopes = ADMIN_SCOPES.into_iter().chain([LICENCE_SCOPE]).chain(MAILBOX_SCOPES);
    let scopes: Vec<&str> = scopes.collect();
    let (server, lines) = google(&project, &scopes);
    server.fake().with(|api| api.add_sku("Google-Apps", "1010020027", "Starter", None));
    let before = project.read("jml.toml");
    let one = "{ product = \"Google-Apps\", sku = \"1010020027\", title = \"Starter\" }";
    let write = |customer: &str, licences: &str| {
        let text = format!("{before}\n{lines}{customer}\nlicences = [{licences}]\n");
        std::fs::write(project.path("jml.toml"), text).unwrap();
    };
    let twice = format!("{one}, {one}");
    let known = "customer = \"C01\"";
    let ours = "customer = \"my_customer\"";
    for (customer, licences, said_of) in [
        ("", one, "target `google`: customer: licences are listed by it; write customer ="),
        (ours, one, "customer: `my_customer` is no customer's id; write one"),
        (known, &one.replace("Google-Apps", ""), "licences[0].product: `` is none"),
        (known, &one.replace("Google-Apps", "Google:Apps"), "licences[0].product: `Google:Apps`"),
        (known, &one.replace("1010020027", " 1"), "licences[0].sku: ` 1` is none"),
        (known, &twice, "licences[1]: `Google-Apps:1010020027` is licences[0] already; take one"),
        (known, &one.replace("title", "name"), "unknown field `name`"),
    ] {
        write(customer, licences);
        let (code, said) = run(&project, &["doctor"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(said_of), "{said}");
    }
    // Where they are right, people get them.
    write(known, one);
    assert_eq!(run(&project, &["doctor"]).0, Some(0));
    project.edit(
        "policy.yaml",
        "entitlements:\n",
        "entitlements:\n  google/licence/Google-Apps:1010020027: { title: Starter }\n",
    );
    let account = "accounts:\n  google: { when: always, user_name: email, attributes: \
                   { given_name: full_name, family_name: full_name } }\n";
    project.edit("policy.yaml", "accounts:\n", account);
    project.edit(
        "policy.yaml",
        "local/group/all-staff, ",
        "local/group/all-staff, google/licence/Google-Apps:1010020027, ",
    );
    let (code, said) = run(&project, &["apply"]);
    assert!(matches!(code, Some(0 | 4)), "{said}");
    let (holders, users) = server.fake().with(|api| {
        let key = ("Google-Apps".to_owned(), "1010020027".to_owned());
        (api.skus[&key].users.len(), api.users.len())
    });
    assert!(holders >= 2 && holders <= users, "{holders} of {users}: {said}");
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
