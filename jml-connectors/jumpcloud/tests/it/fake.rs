//! The fake by itself: what no connector asks for, as the documents have it.

use std::sync::Arc;

use http::Method;
use jml_connector_checks::{agrees, start};
use jml_testkit::ManualClock;
use jml_testkit::fake::Fake;
use jml_testkit::fake::jumpcloud::JumpCloud;
use serde_json::{Value, json};

use crate::suite::papers;

/// Asks, and gives status and body.
fn ask(fake: &Fake<JumpCloud>, method: Method, target: &str, body: &Value) -> (u16, Value) {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("x-api-key", "key")
        .header("content-type", "application/json")
        .body(bytes)
        .unwrap();
    let answer = fake.answer(&request).unwrap();
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    (answer.status().as_u16(), body)
}

#[test]
fn it_does_as_the_documents_say() {
    let papers = papers();
    let fake = Fake::new(JumpCloud::new("key", &[]), Arc::new(ManualClock::jumping(start())));
    let fake = match &papers {
        Some(papers) => fake.watched(papers.clone()),
        None => fake,
    };
    let (mac, server) = fake.with(|api| {
        api.quirks.default_state = "STAGED".into();
        (api.add_system("mac", "darwin"), api.add_system("server", "linux"))
    });
    let get = |target: &str| ask(&fake, Method::GET, target, &Value::Null);
    let post = |target: &str, body: Value| ask(&fake, Method::POST, target, &body);
    let put = |target: &str, body: Value| ask(&fake, Method::PUT, target, &body);
    let delete = |target: &str| ask(&fake, Method::DELETE, target, &Value::Null).0;

    // Commands wait for the device; a Mac takes none.
    assert_eq!(get("/api/systems").1["totalCount"], 2);
    assert_eq!(post(&format!("/api/systems/{server}/command/builtin/erase"), Value::Null).0, 201);
    assert_eq!(post(&format!("/api/systems/{mac}/command/builtin/lock"), Value::Null).0, 400);
    fake.with(|api| assert_eq!(api.systems[&server].commands, ["erase"]));
    assert_eq!(delete(&format!("/api/systems/{server}")), 200);
    assert_eq!(get(&format!("/api/systems/{server}")).0, 404);

    // Ten rows unless asked otherwise, in another order each time unless told how.
    for number in 0..12 {
        let name = format!("user{number}");
        let body = json!({ "username": name, "email": format!("{name}@corp.test") });
        let (status, user) = post("/api/systemusers", body);
        assert_eq!((status, &user["state"]), (200, &json!("STAGED")));
    }
    let rows = |target: &str| get(target).1["results"].as_array().unwrap().clone();
    assert_eq!(rows("/api/systemusers").len(), 10);
    assert_ne!(rows("/api/systemusers"), rows("/api/systemusers"));
    let sorted = rows("/api/systemusers?sort=-_id&limit=500");
    assert_eq!(sorted, rows("/api/systemusers?sort=-_id&limit=100"));
    assert_eq!(sorted.len(), 12);
    let user = sorted[0]["_id"].as_str().unwrap();
    let path = format!("/api/systemusers/{user}");

    // States, and the lock, which is no state.
    assert_eq!(put(&path, json!({ "state": "ACTIVATED" })).0, 400);
    let activate = format!("{path}/state/activate");
    assert_eq!(post(&activate, json!({})).0, 200);
    assert_eq!(post(&activate, json!({})).0, 400);
    assert_eq!(put(&path, json!({ "state": "SUSPENDED", "suspended": false })).0, 400);
    let (_, shown) = put(&path, json!({ "state": "SUSPENDED", "account_locked": true }));
    assert_eq!((&shown["suspended"], &shown["account_locked"]), (&json!(true), &json!(true)));
    assert_eq!(post(&format!("{path}/unlock"), Value::Null).0, 200);
    let shown = get(&path).1;
    assert_eq!((&shown["suspended"], &shown["account_locked"]), (&json!(true), &json!(false)));
    let key = json!({ "name": "laptop", "public_key": "ssh-ed25519 AAAA" });
    assert_eq!(post(&format!("{path}/sshkeys"), key).0, 200);

    // A user is changed in part, a group as a whole.
    assert_eq!(put(&path, json!({ "department": "sales" })).1["username"], shown["username"]);
    let (status, group) = post("/api/v2/usergroups", json!({ "name": "sales" }));
    assert_eq!((status, &group["membershipMethod"]), (201, &json!("STATIC")));
    assert_eq!(post("/api/v2/usergroups", json!({ "name": "sales" })).0, 409);
    let path = format!("/api/v2/usergroups/{}", group["id"].as_str().unwrap());
    put(&path, json!({ "name": "sales", "description": "who sells" }));
    assert_eq!(put(&path, json!({ "name": "sellers" })).1["description"], "");

    // Members, and what they have by the group.
    let edit = |op: &str| json!({ "op": op, "type": "user", "id": user });
    let members = format!("{path}/members");
    assert_eq!(post(&members, edit("remove")).0, 404);
    assert_eq!(post(&members, edit("add")).0, 204);
    assert_eq!(post(&members, edit("add")).0, 409);
    let bind = json!({ "op": "add", "type": "system", "id": mac });
    assert_eq!(post(&format!("{path}/associations"), bind).0, 204);
    let bound = get(&format!("/api/v2/users/{user}/systems")).1;
    assert_eq!(bound[0]["paths"][0][0]["to"]["type"], "user_group");
    assert_eq!(get(&format!("/api/v2/systems/{mac}/users")).1[0]["id"], user);
    assert_eq!(get(&format!("{path}/membership")).1[0]["id"], user);
    assert_eq!(delete(&path), 204);
    assert_eq!(get(&format!("/api/v2/users/{user}/systems")).1, json!([]));
    assert_eq!(get("/api/organizations").1["totalCount"], 1);
    agrees("jumpcloud, the fake", papers.as_ref());
}
