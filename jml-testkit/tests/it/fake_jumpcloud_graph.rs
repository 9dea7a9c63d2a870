//! The fake of JumpCloud, asked without a connector: groups, what users are bound to, Directory Insights.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use chrono::{DateTime, TimeDelta, Utc};
use jml_testkit::fake::jumpcloud::JumpCloud;
use serde_json::{Value, json};

use crate::fake_jumpcloud::{NONE, USERS, del, desk, gone, invalid, post, refused, user};
use crate::fakes::{Answer, Desk};

fn group(desk: &Desk<JumpCloud>, name: &str) -> String {
    let found = desk.get(&format!("/api/v2/usergroups?filter=name:eq:{name}"));
    found.body[0]["id"].as_str().unwrap().to_owned()
}

/// An edge of a group to a user.
fn member(desk: &Desk<JumpCloud>, group: &str, op: &str, user: &str) -> Answer {
    let body = json!({ "op": op, "type": "user", "id": user });
    desk.send("POST", &format!("/api/v2/usergroups/{group}/members"), &body)
}

/// An edge of a user to an application or a device.
fn bind(desk: &Desk<JumpCloud>, user: &str, op: &str, kind: &str, to: &str) -> Answer {
    let body = json!({ "op": op, "type": kind, "id": to });
    desk.send("POST", &format!("/api/v2/users/{user}/associations"), &body)
}

fn taken(answer: &Answer) {
    refused(answer, 409, "ALREADY_EXISTS");
}

#[test]
fn a_put_of_a_group_replaces_it() {
    let desk = desk();
    let made = desk.send("POST", "/api/v2/usergroups", &json!({ "name": "ops" }));
    assert_eq!((made.status, &made.body["membershipMethod"]), (201, &json!("STATIC")));
    taken(&desk.send("POST", "/api/v2/usergroups", &json!({ "name": "ops" })));
    invalid(&desk.send("POST", "/api/v2/usergroups", &json!({ "name": "" })));
    let path = format!("/api/v2/usergroups/{}", made.body["id"].as_str().unwrap());
    invalid(&desk.send("PUT", &path, &json!({ "description": "x" })));
    let put = |body: Value| desk.send("PUT", &path, &body).body;
    assert_eq!(put(json!({ "name": "ops", "description": "x" }))["description"], "x");
    // What is not sent is cleared: the other way than with users.
    let shown = put(json!({ "name": "operations" }));
    assert_eq!((&shown["name"], &shown["description"]), (&json!("operations"), &json!("")));
    assert_eq!(del(&desk, &path).status, 204);
    gone(&del(&desk, &path));
}

#[test]
fn an_edge_twice_is_409_and_one_that_is_not_there_404() {
    let desk = desk();
    let (ada, sales) = (user(&desk, "ada"), group(&desk, "sales"));
    gone(&member(&desk, &sales, "remove", &ada));
    gone(&member(&desk, &sales, "update", &ada));
    assert_eq!(member(&desk, &sales, "add", &ada).status, 204);
    taken(&member(&desk, &sales, "add", &ada));
    assert_eq!(member(&desk, &sales, "update", &ada).status, 204);
    let members = format!("/api/v2/usergroups/{sales}/members");
    assert_eq!(desk.get(&members).body[0]["to"], json!({ "type": "user", "id": ada }));
    let of = desk.get(&format!("/api/v2/users/{ada}/memberof"));
    assert_eq!(of.each("", "id"), [sales.as_str()]);
    assert_eq!(member(&desk, &sales, "remove", &ada).status, 204);
    gone(&member(&desk, &sales, "remove", &ada));
    gone(&member(&desk, &sales, "add", NONE));
    gone(&member(&desk, NONE, "add", &ada));
    invalid(&member(&desk, &sales, "swap", &ada));
    invalid(&member(&desk, &sales, "add", "ada"));
    let system = json!({ "op": "add", "type": "system", "id": ada });
    invalid(&desk.send("POST", &members, &system));
    assert_eq!(desk.get(&members).body, json!([]));
}

#[test]
fn a_dynamic_group_decides_itself() {
    for refuses in [false, true] {
        let desk = desk();
        let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
        desk.send("PUT", &format!("{USERS}/{ada}"), &json!({ "department": "Sales" }));
        let id = desk.fake.with(|api| {
            api.quirks.refuses_dynamic = refuses;
            api.add_dynamic_group("all of sales", "department", "Sales")
        });
        let held = || desk.fake.with(|api| api.groups[&id].members.clone());
        for (op, who) in [("remove", &ada), ("add", &bob)] {
            let answer = member(&desk, &id, op, who);
            if refuses {
                invalid(&answer);
            } else {
                assert_eq!(answer.status, 204, "it says that it is done, and it is not");
            }
            assert_eq!(held(), [ada.clone()].into());
        }
        desk.send("PUT", &format!("{USERS}/{bob}"), &json!({ "department": "Sales" }));
        desk.send("PUT", &format!("{USERS}/{ada}"), &json!({ "department": "R" }));
        assert_eq!(held(), [bob].into());
    }
}

#[test]
fn everything_bound_is_shown_with_its_ways() {
    let desk = desk();
    let (ada, sales) = (user(&desk, "ada"), group(&desk, "sales"));
    let (crm, pc) = desk.fake.with(|api| (api.add_app("CRM"), api.add_system("pc", "windows")));
    for (kind, to) in [("application", &crm), ("system", &pc)] {
        let plural = format!("{kind}s");
        let bound = || desk.get(&format!("/api/v2/users/{ada}/{plural}")).body;
        let back = || desk.get(&format!("/api/v2/{plural}/{to}/users")).each("", "id");
        assert_eq!((bound(), back()), (json!([]), vec![]));
        gone(&bind(&desk, &ada, "remove", kind, to));
        assert_eq!(bind(&desk, &ada, "add", kind, to).status, 204);
        taken(&bind(&desk, &ada, "add", kind, to));
        let edge = json!({ "to": { "type": kind, "id": to }, "attributes": {} });
        assert_eq!(bound()[0]["paths"], json!([[edge]]));
        // And by the group, too.
        let body = json!({ "op": "add", "type": kind, "id": to });
        let groups = format!("/api/v2/usergroups/{sales}/associations");
        assert_eq!(desk.send("POST", &groups, &body).status, 204);
        taken(&desk.send("POST", &groups, &body));
        member(&desk, &sales, "add", &ada);
        let ways = bound()[0]["paths"].clone();
        assert_eq!(ways.as_array().unwrap().len(), 2);
        assert_eq!(ways[1][0]["to"], json!({ "type": "user_group", "id": sales }));
        assert_eq!(ways[1][1]["from"], json!({ "type": "user_group", "id": sales }));
        // Without the direct edge, it is bound still.
        assert_eq!(bind(&desk, &ada, "remove", kind, to).status, 204);
        gone(&bind(&desk, &ada, "remove", kind, to));
        assert_eq!(back(), [ada.as_str()]);
        let edges =
            |of: &str| desk.get(&format!("/api/v2/{plural}/{to}/associations?targets={of}"));
        assert_eq!(edges("user").body, json!([]));
        assert_eq!(edges("user_group").body[0]["to"]["id"], sales.as_str());
        member(&desk, &sales, "remove", &ada);
        assert_eq!((bound(), back()), (json!([]), vec![]));
    }
}

#[test]
fn associations_are_asked_for_by_target() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let (crm, pc) = desk.fake.with(|api| (api.add_app("CRM"), api.add_system("pc", "windows")));
    bind(&desk, &ada, "add", "application", &crm);
    let sudo = json!({ "sudo": { "enabled": true, "withoutPassword": false } });
    let edge = json!({ "op": "add", "type": "system", "id": pc, "attributes": sudo });
    let path = format!("/api/v2/users/{ada}/associations");
    assert_eq!(desk.send("POST", &path, &edge).status, 204);
    invalid(&desk.get(&path));
    invalid(&desk.get(&format!("/api/v2/systems/{pc}/associations")));
    let held = |of: &str| desk.get(&format!("{path}?targets={of}")).body;
    assert_eq!(held("application")[0]["to"]["id"], crm.as_str());
    assert_eq!(held("g_suite"), json!([]));
    // What may be done on a device is on the edge, seen from both ends.
    let from = desk.get(&format!("/api/v2/systems/{pc}/associations?targets=user")).body;
    assert_eq!((&held("system")[0]["attributes"], &from[0]["attributes"]), (&sudo, &sudo));
    let update = json!({ "op": "update", "type": "system", "id": pc });
    assert_eq!(desk.send("POST", &path, &update).status, 204);
    assert_eq!(held("system")[0]["attributes"], json!({}));
    gone(&bind(&desk, &ada, "add", "application", NONE));
    gone(&bind(&desk, NONE, "add", "application", &crm));
    invalid(&bind(&desk, &ada, "add", "teapot", &crm));
    invalid(&bind(&desk, &ada, "swap", "application", &crm));
    invalid(&bind(&desk, &ada, "add", "application", "crm"));
}

#[test]
fn a_deletion_takes_every_edge_along() {
    let desk = desk();
    let (ada, sales) = (user(&desk, "ada"), group(&desk, "sales"));
    let (crm, pc) = desk.fake.with(|api| (api.add_app("CRM"), api.add_system("pc", "windows")));
    member(&desk, &sales, "add", &ada);
    bind(&desk, &ada, "add", "application", &crm);
    bind(&desk, &ada, "add", "system", &pc);
    // Suspending takes none of them.
    desk.send("PUT", &format!("{USERS}/{ada}"), &json!({ "state": "SUSPENDED" }));
    let edges = || {
        desk.fake.with(|api| {
            let (group, app, system) = (&api.groups[&sales], &api.apps[&crm], &api.systems[&pc]);
            [group.members.len(), app.users.len(), system.users.len()]
        })
    };
    assert_eq!(edges(), [1; 3]);
    assert_eq!(del(&desk, &format!("{USERS}/{ada}")).status, 200);
    assert_eq!(edges(), [0; 3]);
    gone(&desk.get(&format!("/api/v2/users/{ada}/memberof")));
}

/// Asks Directory Insights for everything since an instant.
fn events(desk: &Desk<JumpCloud>, since: DateTime<Utc>, more: &Value) -> Answer {
    let mut body = json!({ "service": ["all"], "start_time": since });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    desk.send("POST", "/insights/directory/v1/events", &body)
}

fn kinds(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.each("", "event_type")
}

#[test]
fn a_search_for_events_always_has_a_place_to_go_on_from() {
    let desk = desk();
    let began = desk.now();
    let empty = events(&desk, began, &json!({}));
    assert_eq!((kinds(&empty), empty.header("x-search_after")), (vec![], Some("[]")));
    let ids: Vec<String> = (0..3).map(|n| user(&desk, &format!("u{n}"))).collect();
    let about = |answer: &Answer| {
        let rows = answer.body.as_array().unwrap().iter();
        rows.map(|it| it["resource"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let place = |answer: &Answer| -> Value {
        serde_json::from_str(answer.header("x-search_after").unwrap()).unwrap()
    };
    let first = events(&desk, began, &json!({ "limit": 2 }));
    assert_eq!(about(&first), ids[..2]);
    assert_eq!((first.header("x-result-count"), first.header("x-limit")), (Some("2"), Some("2")));
    let second = events(&desk, began, &json!({ "limit": 2, "search_after": place(&first) }));
    assert_eq!((about(&second), second.header("x-result-count")), (ids[2..].to_vec(), Some("1")));
    // At the end it is the place that was given.
    let end = place(&second);
    let third = events(&desk, began, &json!({ "search_after": end }));
    assert_eq!((kinds(&third), place(&third)), (vec![], end.clone()));
    user(&desk, "u3");
    assert_eq!(kinds(&events(&desk, began, &json!({ "search_after": end }))), ["user_create"]);
    let down = events(&desk, began, &json!({ "sort": "DESC", "limit": 2 }));
    let rest = events(&desk, began, &json!({ "sort": "DESC", "search_after": place(&down) }));
    assert_eq!(about(&rest), [ids[1].clone(), ids[0].clone()]);
}

#[test]
fn a_search_for_events_says_what_it_wants() {
    let desk = desk();
    let began = desk.now();
    for n in 0..11 {
        user(&desk, &format!("u{n}"));
    }
    assert_eq!(kinds(&events(&desk, began, &json!({}))).len(), 10);
    assert_eq!(kinds(&events(&desk, began, &json!({ "limit": 1_000 }))).len(), 11);
    for wrong in [
        json!({ "limit": 0 }),
        json!({ "limit": 1_001 }),
        json!({ "service": [] }),
        json!({ "start_time": null }),
        json!({ "start_time": "yesterday" }),
        json!({ "end_time": "now" }),
        json!({ "search_after": "x" }),
        json!({ "search_after": ["x", "y"] }),
        json!({ "search_after": ["1"] }),
    ] {
        invalid(&events(&desk, began, &wrong));
    }
    desk.wait(1_000);
    user(&desk, "later");
    let later = began + TimeDelta::milliseconds(1);
    assert_eq!(kinds(&events(&desk, later, &json!({}))).len(), 0, "it was made at the beginning");
    let id = desk.fake.with(|api| api.users.keys().next().cloned()).unwrap();
    post(&desk, &format!("{USERS}/{id}/unlock"));
    assert_eq!(kinds(&events(&desk, later, &json!({}))), ["user_unlocked"]);
    assert_eq!(kinds(&events(&desk, began, &json!({ "limit": 50, "end_time": began }))).len(), 12);
}

#[test]
fn events_show_late_and_for_ninety_days() {
    let desk = desk();
    let began = desk.now();
    desk.fake.with(|api| api.quirks.insights_lag_ms = 60_000);
    user(&desk, "ada");
    let count = |since: DateTime<Utc>| kinds(&events(&desk, since, &json!({}))).len();
    desk.wait(59_999);
    assert_eq!(count(began), 0);
    desk.wait(1);
    assert_eq!(count(began), 1);
    desk.wait(90 * 86_400_000 - 60_000);
    assert_eq!(count(began), 1);
    desk.wait(1);
    assert_eq!(count(began), 0, "and nothing says so");
}

#[test]
fn an_edge_is_an_event_without_a_resource() {
    let desk = desk();
    let (ada, sales) = (user(&desk, "ada"), group(&desk, "sales"));
    let pc = desk.fake.with(|api| api.add_system("pc", "windows"));
    desk.wait(1_000);
    let since = desk.now();
    member(&desk, &sales, "add", &ada);
    member(&desk, &sales, "add", &ada);
    bind(&desk, &ada, "add", "system", &pc);
    bind(&desk, &ada, "remove", "system", &pc);
    let seen = events(&desk, since, &json!({}));
    assert_eq!(kinds(&seen), ["association_change"; 3], "what is refused did not happen");
    assert_eq!(seen.each("", "resource"), ["null"; 3]);
    let edge = |at: usize| {
        let it = &seen.body[at]["association"];
        let end = |name: &str| it["connection"][name]["object_id"].clone();
        (it["op"].clone(), end("from"), end("to"))
    };
    let edges = [
        (json!("add"), json!(sales), json!(ada)),
        (json!("add"), json!(pc), json!(ada)),
        (json!("remove"), json!(pc), json!(ada)),
    ];
    assert_eq!([edge(0), edge(1), edge(2)], edges);
}

#[test]
fn changes_of_users_are_events() {
    let desk = desk();
    let began = desk.now();
    let id = user(&desk, "ada");
    let path = format!("{USERS}/{id}");
    desk.fake
        .with(|api| _ = api.users.get_mut(&id).unwrap().push.insert("p1".into(), "phone".into()));
    let put = |body: Value| _ = desk.send("PUT", &path, &body);
    put(json!({ "jobTitle": "Engineer" }));
    put(json!({ "jobTitle": "Engineer" }));
    post(&desk, &format!("{path}/resetmfa"));
    del(&desk, &format!("/api/v2/users/{id}/pushendpoints/p1"));
    put(json!({ "state": "SUSPENDED" }));
    del(&desk, &path);
    let seen = events(&desk, began, &json!({}));
    let wanted = [
        "user_create",
        "user_update",
        "user_reset_mfa",
        "user_update",
        "user_update",
        "user_delete",
    ];
    assert_eq!(kinds(&seen), wanted, "nothing is written down twice");
    let row = &seen.body[0];
    assert_eq!(row["resource"], json!({ "id": id, "type": "user" }));
    assert_eq!(
        row["organization"].as_str(),
        Some(desk.fake.with(|api| api.organization.clone()).as_str())
    );
}
