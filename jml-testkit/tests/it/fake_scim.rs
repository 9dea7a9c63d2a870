//! The fake SCIM server, asked without a connector.

use jml_testkit::fake::scim::{Quirks, Removal, Scim};
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::fakes::{Answer, Desk, start};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn desk_with(quirks: Quirks) -> Desk<Scim> {
    let mut api = Scim::new("token", &["engineers", "sales"], start());
    api.quirks = quirks;
    Desk::new(api, "Bearer token")
}

fn desk() -> Desk<Scim> {
    desk_with(Quirks::default())
}

fn user(desk: &Desk<Scim>, name: &str) -> String {
    let body = json!({ "userName": name, "active": true });
    let now = desk.now();
    desk.fake.with(|api| api.put_user(None, &body, now))
}

fn refused(answer: &Answer, status: u16, kind: &str) {
    let body = &answer.body;
    assert_eq!((answer.status, &body["schemas"]), (status, &json!([ERROR])), "{answer:?}");
    // The status is a text (RFC 7644 section 3.12).
    assert_eq!(body["status"], status.to_string());
    assert_eq!(body["scimType"].as_str().unwrap_or_default(), kind, "{answer:?}");
    assert!(!body["detail"].as_str().unwrap_or_default().is_empty());
}

fn patch(desk: &Desk<Scim>, target: &str, operations: &Value) -> Answer {
    desk.send("PATCH", target, &json!({ "Operations": operations }))
}

fn found(desk: &Desk<Scim>, target: &str) -> Vec<String> {
    desk.get(target).each("/Resources", "userName")
}

#[test]
fn errors_have_their_form() {
    let mut desk = desk();
    refused(&desk.get("/scim/v2/Users/nobody"), 404, "");
    refused(&desk.get("/scim/v2/Robots"), 404, "");
    refused(&desk.get("/elsewhere"), 404, "");
    refused(&desk.send("PUT", "/scim/v2/Users", &json!({})), 405, "");
    refused(&desk.send("POST", "/scim/v2/Schemas", &json!({})), 405, "");
    refused(&desk.get("/scim/v2/Schemas?filter=id%20pr"), 403, "");
    let scim = [("content-type", "application/scim+json")];
    refused(&desk.ask("POST", "/scim/v2/Users", &scim, b"{".to_vec()), 400, "invalidSyntax");
    let text = [("content-type", "text/plain")];
    refused(&desk.ask("POST", "/scim/v2/Users", &text, b"{}".to_vec()), 415, "");
    assert_eq!(desk.get("/scim/v2/Users").header("content-type"), Some("application/scim+json"));
    for wrong in ["", "Bearer other", "Basic token"] {
        wrong.clone_into(&mut desk.authorization);
        refused(&desk.get("/scim/v2/Users"), 401, "");
        // What the server can do is for everybody.
        assert_eq!(desk.get("/scim/v2/ServiceProviderConfig").status, 200);
    }
}

#[test]
fn the_server_says_what_it_can() {
    let config = desk().get("/scim/v2/ServiceProviderConfig").body;
    for what in ["patch", "bulk", "etag", "filter", "sort"] {
        assert_eq!(config[what]["supported"], true, "{what}");
    }
    assert_eq!(config["pagination"]["cursor"], true);
    let poor = Quirks {
        patch: false,
        bulk: false,
        etags: false,
        cursors: false,
        most: 7,
        ..Quirks::default()
    };
    let config = desk_with(poor).get("/scim/v2/ServiceProviderConfig").body;
    for what in ["patch", "bulk", "etag"] {
        assert_eq!(config[what]["supported"], false, "{what}");
    }
    assert_eq!((&config["pagination"], &config["filter"]["maxResults"]), (&Value::Null, &json!(7)));
    let types = desk().get("/scim/v2/ResourceTypes").each("/Resources", "id");
    assert_eq!(types, ["User", "Group"]);
    let schema = desk().get(&format!("/scim/v2/Schemas/{ENTERPRISE}"));
    assert_eq!((schema.status, schema.body["id"].as_str()), (200, Some(ENTERPRISE)));
}

#[test]
fn members_are_taken_out_in_the_way_that_is_understood() {
    // What is left of two members when one is taken out by path, and by value; nothing: it is refused.
    let cases = [
        (Removal::Both, Some(1), Some(1)),
        (Removal::Path, Some(1), Some(0)),
        (Removal::Value, None, Some(1)),
    ];
    for (removal, by_path, by_value) in cases {
        for (by_filter, left) in [(true, by_path), (false, by_value)] {
            let desk = desk_with(Quirks { removal, ..Quirks::default() });
            let ids = ["ada", "bob"].map(|it| user(&desk, it));
            let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
            let add = json!([{ "op": "add", "path": "members", "value": members }]);
            assert_eq!(patch(&desk, "/scim/v2/Groups/g-sales", &add).status, 200);
            let take = if by_filter {
                json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }])
            } else {
                json!([{ "op": "remove", "path": "members", "value": [{ "value": ids[0] }] }])
            };
            let answer = patch(&desk, "/scim/v2/Groups/g-sales", &take);
            match left {
                Some(_) => assert_eq!(answer.status, 200, "{removal:?}"),
                None => refused(&answer, 400, "invalidPath"),
            }
            let members = desk.fake.with(|api| api.members("g-sales"));
            assert_eq!(members.len(), left.unwrap_or(2), "{removal:?}, by a filter: {by_filter}");
            assert!(!members.contains(&ids[0]) || left.is_none());
        }
    }
}

#[test]
fn patch_may_say_nothing_or_be_missing() {
    let change = json!([{ "op": "replace", "path": "title", "value": "Head" }]);
    for (patch_says_nothing, status) in [(false, 200), (true, 204)] {
        let desk = desk_with(Quirks { patch_says_nothing, ..Quirks::default() });
        let path = format!("/scim/v2/Users/{}", user(&desk, "ada"));
        let answer = patch(&desk, &path, &change);
        assert_eq!((answer.status, answer.body["title"].is_null()), (status, patch_says_nothing));
        assert_eq!(desk.get(&path).body["title"], "Head");
    }
    let desk = desk_with(Quirks { patch: false, ..Quirks::default() });
    let path = format!("/scim/v2/Users/{}", user(&desk, "ada"));
    refused(&patch(&desk, &path, &change), 501, "");
    // PUT replaces all of it.
    let whole = json!({ "userName": "ada", "title": "Head" });
    let shown = desk.send("PUT", &path, &whole).body;
    assert_eq!((&shown["title"], &shown["active"]), (&json!("Head"), &Value::Null));
}

#[test]
fn truth_may_be_a_text() {
    for (active_as_text, shown) in [(false, json!(true)), (true, json!("True"))] {
        let desk = desk_with(Quirks { active_as_text, ..Quirks::default() });
        let path = format!("/scim/v2/Users/{}", user(&desk, "ada"));
        assert_eq!(desk.get(&path).body["active"], shown);
        // Written as a text, in upper case: one large client does both.
        let off = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
        assert_eq!(patch(&desk, &path, &off).status, 200);
        let kept = desk.fake.with(|api| api.users.values().next().unwrap().body["active"].clone());
        assert_eq!(kept, false);
    }
}

#[test]
fn deleting_may_only_deactivate() {
    for delete_deactivates in [false, true] {
        let desk = desk_with(Quirks { delete_deactivates, ..Quirks::default() });
        let id = user(&desk, "ada");
        desk.fake.with(|api| api.set_member("g-sales", &id, true));
        let path = format!("/scim/v2/Users/{id}");
        assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
        let left = desk.get(&path);
        if delete_deactivates {
            assert_eq!((left.status, left.body["active"].clone()), (200, json!(false)));
        } else {
            refused(&left, 404, "");
            refused(&desk.send("DELETE", &path, &Value::Null), 404, "");
        }
        assert_eq!(
            desk.fake.with(|api| api.members("g-sales").len()),
            usize::from(delete_deactivates)
        );
    }
}

#[test]
fn users_may_show_their_groups() {
    for users_show_groups in [true, false] {
        let desk = desk_with(Quirks { users_show_groups, ..Quirks::default() });
        let id = user(&desk, "ada");
        let path = format!("/scim/v2/Users/{id}");
        assert_eq!(desk.get(&path).body["groups"], Value::Null, "in none, there is no attribute");
        desk.fake.with(|api| api.set_member("g-sales", &id, true));
        let shown = desk.get(&path).each("/groups", "value");
        assert_eq!(shown, if users_show_groups { vec!["g-sales"] } else { Vec::new() });
        let groups = json!([{ "op": "replace", "path": "groups", "value": [] }]);
        refused(&patch(&desk, &path, &groups), 400, "mutability");
    }
}

#[test]
fn groups_may_not_be_filtered_by_member() {
    for member_filters in [true, false] {
        let desk = desk_with(Quirks { member_filters, ..Quirks::default() });
        let id = user(&desk, "ada");
        desk.fake.with(|api| api.set_member("g-sales", &id, true));
        let answer = desk.get(&format!("/scim/v2/Groups?filter=members.value%20eq%20%22{id}%22"));
        if member_filters {
            assert_eq!(answer.each("/Resources", "id"), ["g-sales"]);
        } else {
            refused(&answer, 400, "invalidFilter");
        }
        let named = desk.get("/scim/v2/Groups?filter=displayName%20eq%20%22sales%22");
        assert_eq!(named.each("/Resources", "id"), ["g-sales"]);
    }
}

#[test]
fn versions_are_checked_where_there_are_tags() {
    for etags in [true, false] {
        let desk = desk_with(Quirks { etags, ..Quirks::default() });
        let path = format!("/scim/v2/Users/{}", user(&desk, "ada"));
        let change = |tag: &str, title: &str| {
            let body =
                json!({ "Operations": [{ "op": "replace", "path": "title", "value": title }] });
            let headers = [("content-type", "application/scim+json"), ("if-match", tag)];
            desk.ask("PATCH", &path, &headers, body.to_string().into_bytes())
        };
        let first = desk.get(&path);
        assert_eq!(first.header("etag"), etags.then_some("W/\"1\""));
        assert_eq!(first.body["meta"]["version"].as_str(), etags.then_some("W/\"1\""));
        assert_eq!(change("W/\"1\"", "Head").header("etag"), etags.then_some("W/\"2\""));
        let stale = change("W/\"1\"", "Chief");
        if etags {
            refused(&stale, 412, "");
            assert_eq!(desk.get(&path).body["title"], "Head");
            // What changes nothing is no new version.
            assert_eq!(change("W/\"2\"", "Head").header("etag"), Some("W/\"2\""));
            assert_eq!(change("*", "Chief").header("etag"), Some("W/\"3\""));
        }
        assert_eq!(desk.get(&path).body["title"], "Chief");
    }
}

#[test]
fn bulk_goes_on_after_a_failure() {
    let desk = desk();
    let add = |id: &str, name: &str| json!({ "method": "POST", "path": "/Users", "bulkId": id, "data": { "userName": name } });
    let join = json!({ "method": "PATCH", "path": "/Groups/g-sales", "data": { "Operations": [
        { "op": "add", "path": "members", "value": [{ "value": "bulkId:1" }] }] } });
    let bulk = |body: Value| desk.send("POST", "/scim/v2/Bulk", &body);
    let answer = bulk(json!({ "Operations": [add("1", "ada"), add("2", "ADA"), join] }));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.each("/Operations", "status"), ["201", "409", "200"]);
    let failed = &answer.body["Operations"][1];
    assert_eq!(
        (&failed["bulkId"], &failed["response"]["scimType"]),
        (&json!("2"), &json!("uniqueness"))
    );
    let id = desk.fake.with(|api| api.users.keys().next().unwrap().clone());
    assert_eq!(desk.fake.with(|api| api.members("g-sales")), [id].into());
    let ops = [add("1", "ada"), add("2", "bob")];
    let stopped = bulk(json!({ "failOnErrors": 1, "Operations": ops }));
    assert_eq!(stopped.each("/Operations", "status"), ["409"]);
    assert_eq!(desk.fake.with(|api| api.users.len()), 1);
    let many: Vec<Value> = (0..101).map(|n| add(&n.to_string(), &format!("user{n}"))).collect();
    refused(&bulk(json!({ "Operations": many })), 413, "");
    let without = desk_with(Quirks { bulk: false, ..Quirks::default() });
    assert_eq!(without.send("POST", "/scim/v2/Bulk", &json!({ "Operations": [] })).status, 404);
}

#[test]
fn pages_by_number_and_by_cursor() {
    let desk = desk_with(Quirks { most: 2, ..Quirks::default() });
    let names = ["ada", "bob", "cyd"];
    let ids = names.map(|it| user(&desk, it));
    let page = |query: &str| desk.get(&format!("/scim/v2/Users?{query}"));
    // Never more than the most, and it says how many there are.
    let first = page("count=50");
    assert_eq!(
        (first.each("/Resources", "userName"), &first.body["totalResults"]),
        (names[..2].iter().map(ToString::to_string).collect(), &json!(3))
    );
    assert_eq!((&first.body["itemsPerPage"], &first.body["startIndex"]), (&json!(2), &json!(1)));
    assert_eq!(found(&desk, "/scim/v2/Users?startIndex=3"), ["cyd"]);
    assert_eq!(found(&desk, "/scim/v2/Users?startIndex=9"), [""; 0]);
    let none = page("count=0");
    assert_eq!((none.each("/Resources", "id").len(), &none.body["totalResults"]), (0, &json!(3)));
    assert_eq!(found(&desk, "/scim/v2/Users?count=-1&startIndex=-1"), [""; 0]);
    refused(&page("count=x"), 400, "invalidValue");
    let first = page("cursor=&count=2");
    assert_eq!(
        (first.each("/Resources", "id"), &first.body["startIndex"]),
        (ids[..2].to_vec(), &Value::Null)
    );
    // A deletion moves nobody.
    desk.fake.with(|api| api.forget_user(&ids[0]));
    let cursor = first.body["nextCursor"].as_str().unwrap().to_owned();
    let last = page(&format!("cursor={cursor}&count=2"));
    assert_eq!(
        (last.each("/Resources", "userName"), &last.body["nextCursor"]),
        (vec!["cyd".to_owned()], &Value::Null)
    );
    refused(&page("cursor=x"), 400, "invalidCursor");
    let without = desk_with(Quirks { cursors: false, ..Quirks::default() });
    refused(&without.get("/scim/v2/Users?cursor="), 400, "invalidValue");
}

#[test]
fn pages_are_odd_now_and_then() {
    let desk = desk();
    let ids = ["ada", "bob", "cyd"].map(|it| user(&desk, it));
    let page = |cursor: &str| desk.get(&format!("/scim/v2/Users?count=1&cursor={cursor}"));
    let next = |answer: &Answer| answer.body["nextCursor"].as_str().unwrap_or_default().to_owned();
    assert!(desk.fake.with(|api| api.quirk(Quirk::RepeatedCursor)));
    let first = next(&page(""));
    assert_eq!(next(&page(&first)), first);
    assert!(desk.fake.with(|api| api.quirk(Quirk::EmptyFirstPage)));
    let first = page("");
    assert_eq!(first.each("/Resources", "id"), [""; 0]);
    assert_eq!(page(&next(&first)).each("/Resources", "id"), ids[..1]);
    // It gives no links.
    assert!(!desk.fake.with(|api| api.quirk(Quirk::ForeignNextLink)));
}

#[test]
fn resources_keep_what_the_schema_has() {
    let desk = desk();
    let body = json!({ "USERNAME": "ada", "nonsense": 1, "title": null, "id": "mine", "password": "x",
        "emails": [{ "value": "a@corp.test" }], ENTERPRISE: { "department": "Sales" } });
    let made = desk.send("POST", "/scim/v2/Users", &body);
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.status, 201);
    assert_eq!(
        made.header("location"),
        Some(format!("http://place.test/scim/v2/Users/{id}").as_str())
    );
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    let names: Vec<&String> = made.body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["emails", "id", "meta", "schemas", ENTERPRISE, "userName"]);
    assert_ne!(id, "mine");
    refused(&desk.send("POST", "/scim/v2/Users", &json!({ "userName": "ADA" })), 409, "uniqueness");
    refused(&desk.send("POST", "/scim/v2/Users", &json!({ "title": "x" })), 400, "invalidValue");
    refused(&desk.send("POST", "/scim/v2/Users", &json!([])), 400, "invalidSyntax");
    // Two groups may have one name.
    assert_eq!(
        desk.send("POST", "/scim/v2/Groups", &json!({ "displayName": "sales" })).status,
        201
    );
    let one = |query: &str| {
        let shown = desk.get(&format!("/scim/v2/Users/{id}?{query}")).body;
        shown.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(one("attributes=userName"), ["id", "schemas", "userName"]);
    assert_eq!(one("excludedAttributes=emails,meta"), ["id", "schemas", ENTERPRISE, "userName"]);
}

#[test]
fn patch_is_all_or_nothing() {
    let desk = desk();
    let path = format!("/scim/v2/Users/{}", user(&desk, "ada"));
    let set = json!({ "op": "add", "path": "title", "value": "Head" });
    for (second, kind) in [
        (json!({ "op": "remove" }), "noTarget"),
        (json!({ "op": "move", "path": "title" }), "invalidSyntax"),
        (json!({ "op": "replace", "path": "id", "value": "x" }), "mutability"),
        (json!({ "op": "replace", "path": "shoeSize", "value": 1 }), "invalidPath"),
        (json!({ "op": "replace", "path": "emails[type is", "value": 1 }), "invalidPath"),
        (
            json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "x" }),
            "noTarget",
        ),
        (json!({ "op": "add", "value": "x" }), "invalidValue"),
        (json!({ "op": "remove", "path": "userName" }), "invalidValue"),
    ] {
        refused(&patch(&desk, &path, &json!([set, second])), 400, kind);
        assert_eq!(desk.get(&path).body["title"], Value::Null);
    }
    refused(&desk.send("PATCH", &path, &json!({})), 400, "invalidSyntax");
    // An extension comes and goes with its attributes.
    let department = format!("{ENTERPRISE}:department");
    let add = json!([{ "op": "add", "path": department, "value": "Sales" }]);
    assert_eq!(patch(&desk, &path, &add).body["schemas"].as_array().map(Vec::len), Some(2));
    let remove = json!([{ "op": "remove", "path": department }]);
    assert_eq!(patch(&desk, &path, &remove).body["schemas"].as_array().map(Vec::len), Some(1));
}

#[test]
fn searches_and_sorts() {
    let desk = desk();
    for name in ["bob", "Ada", "cyd"] {
        user(&desk, name);
    }
    assert_eq!(found(&desk, "/scim/v2/Users?sortBy=userName"), ["Ada", "bob", "cyd"]);
    assert_eq!(
        found(&desk, "/scim/v2/Users?sortBy=userName&sortOrder=descending"),
        ["cyd", "bob", "Ada"]
    );
    assert_eq!(found(&desk, "/scim/v2/Users?filter=userName%20eq%20%22ADA%22"), ["Ada"]);
    refused(&desk.get("/scim/v2/Users?filter=userName%20is"), 400, "invalidFilter");
    let body = json!({ "filter": "userName sw \"b\"", "attributes": ["userName"], "count": 5 });
    let hits = desk.send("POST", "/scim/v2/Users/.search", &body);
    assert_eq!(hits.each("/Resources", "userName"), ["bob"]);
    // At the root, everything is searched.
    let all = desk.send("POST", "/scim/v2/.search", &json!({}));
    assert_eq!(all.body["totalResults"], 5);
}
