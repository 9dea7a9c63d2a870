//! The connector against servers that nobody here wrote (`scripts/scim-servers.sh` starts them).

use std::sync::Arc;

use jml_connector_checks::{Life, start};
use jml_connector_kit::auth::Bearer;
use jml_connector_kit::{Client, Request, path};
use jml_connector_scim::Scim;
use jml_core::account::AccountStatus;
use jml_core::journal::RunOutcome;
use jml_core::provider::{Cx, Provider as _, Snapshot, snapshot};
use jml_testkit::ManualClock;
use serde_json::{Value, json};

use crate::life::{ADA, POLICY};

/// A group on the server; its id.
async fn group(cx: &Cx, client: &Client, name: &str) -> String {
    let schema = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let body = json!({ "schemas": [schema], "displayName": name });
    let made: Value = client.fetch(cx, Request::post(path!["Groups"]).json(body)).await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

async fn a_whole_life(name: &str, url: &str, token: &str) {
    let clock = Arc::new(ManualClock::jumping(start()));
    let cx = Cx::new(clock.clone());
    let client = Client::new(url).unwrap().authenticated(Bearer::new(token.to_owned()));
    let mut policy = POLICY.to_owned();
    let mut keys = Vec::new();
    for mark in ["STAFF", "ENGINEERS", "SALES"] {
        let id = group(&cx, &client, &format!("{name} {mark}")).await;
        policy = policy.replace(mark, &id);
        keys.push(format!("group/{id}").parse().unwrap());
    }
    let [staff, engineers, sales] = keys.try_into().unwrap();
    let scim = Scim::discover(&cx, "t".parse().unwrap(), client).await.unwrap();
    assert!(scim.health(&cx).await.unwrap().missing_permissions.is_empty());
    let scim = Arc::new(scim);
    let mut life = Life::new(scim.clone(), clock, &policy);

    life.hire(ADA, (start() - chrono::TimeDelta::days(28)).date_naive());
    life.settle().await;
    let ada = life.account("E1", "ada@corp.test").await.unwrap();
    assert_eq!(ada.status, AccountStatus::Active, "{name}");
    assert_eq!(ada.holdings, [&staff, &engineers].map(Clone::clone).into(), "{name}");
    assert_eq!(ada.attributes[&"department".parse().unwrap()].as_text(), Some("engineering"));
    assert_eq!(ada.attributes[&"email".parse().unwrap()].as_text(), Some("ada@corp.test"));

    life.say("E1", "team", "sales");
    life.settle().await;
    let ada = life.account("E1", "ada@corp.test").await.unwrap();
    assert_eq!(ada.holdings, [&staff, &sales].map(Clone::clone).into(), "{name}");
    assert_eq!(ada.attributes[&"department".parse().unwrap()].as_text(), Some("sales"));
    // What is listed is what is read.
    let Snapshot::Complete(all) = snapshot(scim.as_ref(), &cx).await.unwrap() else {
        panic!("{name}: not complete")
    };
    assert_eq!(all.accounts()[&ada.id], ada, "{name}");

    life.leave("E1");
    let outcomes = life.settle().await;
    assert!(outcomes.iter().all(|it| *it == RunOutcome::Clean), "{name}: {outcomes:?}");
    let ada = life.account("E1", "ada@corp.test").await.unwrap();
    assert_eq!(ada.status, AccountStatus::Disabled, "{name}");
    assert!(ada.left().is_empty(), "{name}: {:?}", ada.left());
    println!("{name}: joined, moved and left, with read-back");
}

#[tokio::test]
async fn joiner_mover_leaver_on_servers_of_others() {
    let Ok(servers) = std::env::var("JML_SCIM_SERVERS") else {
        println!(
            "skipped: JML_SCIM_SERVERS is not set (scripts/scim-servers.sh start FOLDER prints it)"
        );
        return;
    };
    for server in servers.split(';') {
        let [name, url, token] = server.split(' ').collect::<Vec<_>>().try_into().unwrap();
        a_whole_life(name, url, token).await;
    }
}
