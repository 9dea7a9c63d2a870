//! The fake of JumpCloud, asked without a connector: credentials, pages, users, devices.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::collections::BTreeMap;

use jml_testkit::fake::jumpcloud::JumpCloud;
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::fakes::{Answer, Desk, start};

pub(crate) const USERS: &str = "/api/systemusers";
/// An id of the right form that nothing has.
pub(crate) const NONE: &str = "000000000000000000000000";

pub(crate) fn desk() -> Desk<JumpCloud> {
    let mut desk = Desk::new(JumpCloud::new("key-1", &["engineers", "sales"]), "");
    desk.headers.push(("x-api-key", "key-1".into()));
    desk
}

pub(crate) fn profile(name: &str) -> BTreeMap<String, Value> {
    [("username", json!(name)), ("email", json!(format!("{name}@corp.test")))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

pub(crate) fn user(desk: &Desk<JumpCloud>, name: &str) -> String {
    desk.fake.with(|api| api.add_user(profile(name), "ACTIVATED", start()))
}

pub(crate) fn refused(answer: &Answer, code: u16, status: &str) {
    let said = (answer.status, &answer.body["code"], answer.body["status"].as_str());
    assert_eq!(said, (code, &json!(code), Some(status)), "{answer:?}");
    assert!(answer.body["message"].is_string(), "{answer:?}");
}

pub(crate) fn invalid(answer: &Answer) {
    refused(answer, 400, "INVALID_ARGUMENT");
}

pub(crate) fn gone(answer: &Answer) {
    refused(answer, 404, "NOT_FOUND");
}

pub(crate) fn post(desk: &Desk<JumpCloud>, target: &str) -> Answer {
    desk.send("POST", target, &Value::Null)
}

pub(crate) fn del(desk: &Desk<JumpCloud>, target: &str) -> Answer {
    desk.send("DELETE", target, &Value::Null)
}

fn state(desk: &Desk<JumpCloud>, id: &str) -> (String, bool) {
    let shown = desk.get(&format!("{USERS}/{id}")).body;
    (shown["state"].as_str().unwrap_or_default().to_owned(), shown["suspended"] == true)
}

#[test]
fn errors_have_one_of_two_forms() {
    let desk = desk();
    gone(&desk.get(&format!("{USERS}/{NONE}")));
    gone(&desk.get("/api/v2/nothing"));
    gone(&desk.get("/elsewhere"));
    for form in ["nobody", "00000000000000000000000g", "0000000000000000000000000"] {
        let v1 = desk.get(&format!("{USERS}/{form}"));
        assert_eq!((v1.status, v1.body["error"].is_string()), (400, true), "{v1:?}");
        invalid(&desk.get(&format!("/api/v2/users/{form}/memberof")));
        assert_eq!(desk.get(&format!("/api/systems/{form}")).status, 400);
    }
    invalid(&desk.ask("POST", USERS, &[], b"{".to_vec()));
}

#[test]
fn credentials_are_looked_at() {
    let mut desk = desk();
    let ask = |desk: &mut Desk<JumpCloud>, headers: &[(&'static str, &str)]| {
        desk.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        desk.get(USERS)
    };
    for headers in [&[][..], &[("x-api-key", "key-2")], &[("authorization", "Bearer key-1")]] {
        let answer = ask(&mut desk, headers);
        assert_eq!((answer.status, answer.body), (401, json!({ "error": "Unauthorized" })));
    }
    let key = ("x-api-key", "key-1");
    let own = desk.fake.with(|api| api.organization.clone());
    assert_eq!(ask(&mut desk, &[key]).status, 200);
    desk.fake.with(|api| api.multi_tenant = true);
    refused(&ask(&mut desk, &[key]), 401, "UNAUTHENTICATED");
    assert_eq!(ask(&mut desk, &[key, ("x-org-id", &own)]).status, 200);
    invalid(&ask(&mut desk, &[key, ("x-org-id", "mine")]));
    gone(&ask(&mut desk, &[key, ("x-org-id", NONE)]));
    let organizations = desk.get("/api/organizations");
    gone(&organizations);
    desk.headers = vec![("x-api-key", "key-1".into()), ("x-org-id", own.clone())];
    assert_eq!(desk.get("/api/organizations").each("/results", "_id"), [own]);
}

#[test]
fn service_accounts_have_a_token_for_an_hour() {
    let mut desk = desk();
    desk.headers.clear();
    desk.fake.with(|api| api.clients.insert("app".into(), "secret".into()));
    let ask = |desk: &mut Desk<JumpCloud>, basic: &str, grant: &str, scope: &str| {
        basic.clone_into(&mut desk.authorization);
        desk.form("/oauth2/token", &[("grant_type", grant), ("scope", scope)])
    };
    let error = |answer: &Answer| (answer.status, answer.body["error"].as_str().map(str::to_owned));
    let says = |status: u16, code: &str| (status, Some(code.to_owned()));
    // `app:secret`, `app:guess`, `other:secret`.
    let (good, grant) = ("Basic YXBwOnNlY3JldA==", "client_credentials");
    for wrong in ["Basic YXBwOmd1ZXNz", "Basic b3RoZXI6c2VjcmV0", "Bearer YXBwOnNlY3JldA==", ""] {
        assert_eq!(error(&ask(&mut desk, wrong, grant, "api")), says(401, "invalid_client"));
    }
    let other = ask(&mut desk, good, "password", "api");
    assert_eq!(error(&other), says(400, "unsupported_grant_type"));
    assert_eq!(error(&ask(&mut desk, good, grant, "all")), says(400, "invalid_scope"));
    let given = ask(&mut desk, good, grant, "api");
    assert_eq!((given.status, &given.body["expires_in"]), (200, &json!(3600)));
    desk.authorization = format!("Bearer {}", given.body["access_token"].as_str().unwrap());
    desk.wait(3_600_000 - 1);
    assert_eq!(desk.get(USERS).status, 200);
    desk.wait(1);
    assert_eq!(desk.get(USERS).status, 401);
}

#[test]
fn too_much_traffic_ends_in_a_403_that_is_no_json() {
    let desk = desk();
    desk.fake.with(|api| api.quirks.blocked = true);
    let answer = desk.send("POST", USERS, &json!({ "username": "ada", "email": "ada@corp.test" }));
    assert_eq!((answer.status, answer.header("content-type")), (403, Some("text/plain")));
    assert_eq!(answer.header("retry-after"), None);
    assert!(desk.fake.with(|api| api.users.is_empty()));
}

#[test]
fn pages_are_of_ten_rows_and_of_a_hundred_at_most() {
    let desk = desk();
    let group = desk.fake.with(|api| api.groups.keys().next().cloned()).unwrap();
    for n in 0..101 {
        let id = user(&desk, &format!("u{n:03}"));
        desk.fake.with(|api| api.groups.get_mut(&group).unwrap().members.insert(id));
    }
    let members = format!("/api/v2/usergroups/{group}/members");
    for (query, rows) in [
        ("", 10),
        ("&limit=3", 3),
        ("&limit=101", 100),
        ("&limit=100&skip=100", 1),
        ("&skip=101", 0),
    ] {
        let page = desk.get(&format!("{USERS}?sort=_id{query}"));
        assert_eq!(page.each("/results", "_id").len(), rows, "{query}");
        assert_eq!(page.body["totalCount"], 101);
        let page = desk.get(&format!("{members}?x={query}"));
        assert_eq!(page.body.as_array().unwrap().len(), rows, "{query}");
    }
    for wrong in ["limit=many", "skip=-1"] {
        invalid(&desk.get(&format!("{USERS}?{wrong}")));
        invalid(&desk.get(&format!("{members}?{wrong}")));
    }
}

#[test]
fn without_sort_the_rows_are_in_another_order_each_time() {
    let desk = desk();
    for name in ["bob", "ada", "cyd"] {
        user(&desk, name);
    }
    let names = |query: &str| desk.get(&format!("{USERS}{query}")).each("/results", "username");
    assert_ne!(names(""), names(""));
    for (query, order) in [
        ("?sort=_id", ["bob", "ada", "cyd"]),
        ("?sort=username", ["ada", "bob", "cyd"]),
        ("?sort=-username", ["cyd", "bob", "ada"]),
    ] {
        assert_eq!((names(query), names(query)), (order.map(String::from).into(), names(query)));
    }
    desk.fake.with(|api| api.quirks.shuffled = false);
    assert_eq!(names(""), names(""));
    let row =
        desk.get(&format!("{USERS}?fields=username%20state&limit=1")).body["results"][0].clone();
    let members: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(members, ["_id", "state", "username"]);
}

#[test]
fn pages_can_be_strange() {
    let pages = |quirk: Quirk| {
        let desk = desk();
        for name in ["ada", "bob", "cyd"] {
            user(&desk, name);
        }
        assert!(desk.fake.with(|api| api.quirk(quirk)));
        [0, 2].map(|skip| {
            let page = desk.get(&format!("{USERS}?sort=_id&limit=2&skip={skip}"));
            (page.each("/results", "username"), page.link("next"))
        })
    };
    let rows = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let [first, second] = pages(Quirk::RepeatedCursor);
    assert_eq!((first.0, second.0), (rows(&["ada", "bob"]), rows(&["ada", "bob"])));
    let [first, second] = pages(Quirk::EmptyFirstPage);
    assert_eq!((first.0, second.0), (rows(&[]), rows(&["cyd"])));
    let [first, second] = pages(Quirk::ForeignNextLink);
    assert!(first.1.unwrap().starts_with("https://evil.example/"));
    assert_eq!((first.0, second.0), (rows(&["ada", "bob"]), rows(&["cyd"])));
}

#[test]
fn filters_are_of_one_dialect_in_v1_and_of_another_in_v2() {
    let desk = desk();
    user(&desk, "ada");
    let bob = user(&desk, "bob");
    desk.fake.with(|api| {
        let profile = &mut api.users.get_mut(&bob).unwrap().profile;
        profile.insert("company".into(), json!("a:b"));
    });
    let names = |filter: &str| {
        let found = desk.get(&format!("{USERS}?sort=_id&filter={filter}"));
        found.each("/results", "username")
    };
    assert_eq!(names("username:$eq:bob"), ["bob"]);
    assert_eq!(names("username:$ne:bob"), ["ada"]);
    assert_eq!(names("company:$eq:a:b"), ["bob"], "a value may have colons");
    assert_eq!(names("company:$eq:"), ["ada"], "what is not there is empty");
    assert_eq!(names("suspended:$eq:false"), ["ada", "bob"]);
    for wrong in ["username:eq:bob", "username=bob", "username:$gt:a"] {
        assert_eq!(desk.get(&format!("{USERS}?filter={wrong}")).status, 400, "{wrong}");
    }
    let groups = |filter: &str| desk.get(&format!("/api/v2/usergroups?filter={filter}"));
    assert_eq!(groups("name:eq:sales").each("", "name"), ["sales"]);
    invalid(&groups("name:$eq:sales"));
    invalid(&groups("sales"));
}

#[test]
fn users_are_made_in_a_state_that_somebody_decides() {
    let desk = desk();
    let make = |name: &str, more: Value| {
        let mut body =
            json!({ "username": name, "email": format!("{name}@corp.test"), "password": "x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        desk.send("POST", USERS, &body)
    };
    let made = make("ada", json!({}));
    // It is 200, and not 201.
    assert_eq!((made.status, &made.body["state"]), (200, &json!("ACTIVATED")));
    assert_eq!(made.body["password"], Value::Null);
    let id = made.body["_id"].as_str().unwrap();
    assert_eq!(desk.get(&format!("{USERS}/{id}")).body, made.body);
    desk.fake.with(|api| api.quirks.default_state = "STAGED".into());
    assert_eq!(make("bob", json!({})).body["state"], "STAGED");
    assert_eq!(make("cyd", json!({ "state": "SUSPENDED" })).body["suspended"], true);
    for wrong in [
        json!({ "username": "" }),
        json!({ "email": "" }),
        json!({ "email": null }),
        json!({ "state": "GONE" }),
        json!({ "state": 1 }),
        json!({ "state": "ACTIVATED", "suspended": true }),
        json!({ "suspended": true }),
    ] {
        invalid(&make("dan", wrong));
    }
    assert_eq!(desk.fake.with(|api| api.users.len()), 3);
}

#[test]
fn a_name_that_is_taken_is_taken_in_any_case() {
    for (status, words) in [(409, "ALREADY_EXISTS"), (400, "INVALID_ARGUMENT")] {
        let desk = desk();
        desk.fake.with(|api| api.quirks.duplicate = status);
        let make = |name: &str, email: &str, number: &str| {
            let body = json!({ "username": name, "email": email, "employeeIdentifier": number });
            desk.send("POST", USERS, &body)
        };
        assert_eq!(make("ada", "ada@corp.test", "E1").status, 200);
        for (name, email, number) in [
            ("ADA", "b@corp.test", "E2"),
            ("bob", "Ada@corp.test", "E2"),
            ("bob", "b@corp.test", "e1"),
        ] {
            refused(&make(name, email, number), status, words);
        }
        // Who has no number shares none.
        assert_eq!(make("bob", "b@corp.test", "").status, 200);
        let cyd = make("cyd", "c@corp.test", "").body["_id"].as_str().unwrap().to_owned();
        let path = format!("{USERS}/{cyd}");
        refused(&desk.send("PUT", &path, &json!({ "username": "Ada" })), status, words);
        assert_eq!(desk.send("PUT", &path, &json!({ "username": "CYD" })).status, 200);
    }
}

#[test]
fn a_put_changes_what_it_names() {
    let desk = desk();
    let id = user(&desk, "ada");
    let put = |body: Value| desk.send("PUT", &format!("{USERS}/{id}"), &body);
    assert_eq!(put(json!({ "jobTitle": "Engineer" })).status, 200);
    let shown = put(json!({ "department": "R" })).body;
    let own = (&shown["jobTitle"], &shown["department"], &shown["username"]);
    assert_eq!(own, (&json!("Engineer"), &json!("R"), &json!("ada")));
    for name in ["username", "email"] {
        invalid(&put(json!({ name: "" })));
    }
    assert_eq!(put(json!({ "jobTitle": "" })).body["jobTitle"], "");
    gone(&desk.send("PUT", &format!("{USERS}/{NONE}"), &json!({})));
}

#[test]
fn states_are_reached_on_their_own_ways() {
    let desk = desk();
    let id = desk.fake.with(|api| api.add_user(profile("ada"), "STAGED", start()));
    let put = |body: Value| desk.send("PUT", &format!("{USERS}/{id}"), &body);
    let activate = || post(&desk, &format!("{USERS}/{id}/state/activate"));
    let is = |state: &str| (state.to_owned(), state == "SUSPENDED");
    // Whoever is staged is activated by a call of its own, and nobody is staged again.
    invalid(&put(json!({ "state": "ACTIVATED" })));
    assert_eq!(state(&desk, &id), is("STAGED"));
    assert_eq!(activate().status, 200);
    assert_eq!(state(&desk, &id), is("ACTIVATED"));
    invalid(&activate());
    for wrong in ["STAGED", "GONE"] {
        invalid(&put(json!({ "state": wrong })));
    }
    invalid(&put(json!({ "state": "SUSPENDED", "suspended": false })));
    assert_eq!(state(&desk, &id), is("ACTIVATED"));
    for (body, to) in [
        (json!({ "state": "SUSPENDED" }), "SUSPENDED"),
        (json!({ "state": "ACTIVATED" }), "ACTIVATED"),
        (json!({ "suspended": true }), "SUSPENDED"),
        (json!({ "suspended": false }), "ACTIVATED"),
        (json!({ "state": "SUSPENDED", "suspended": true }), "SUSPENDED"),
    ] {
        assert_eq!(put(body).status, 200);
        assert_eq!(state(&desk, &id), is(to));
    }
    invalid(&activate());
}

#[test]
fn locked_is_another_flag_than_suspended() {
    let desk = desk();
    let id = user(&desk, "ada");
    let path = format!("{USERS}/{id}");
    let shown = desk.send("PUT", &path, &json!({ "account_locked": true })).body;
    assert_eq!((&shown["account_locked"], &shown["state"]), (&json!(true), &json!("ACTIVATED")));
    desk.send("PUT", &path, &json!({ "state": "SUSPENDED" }));
    assert_eq!(post(&desk, &format!("{path}/unlock")).status, 200);
    let shown = desk.get(&path).body;
    assert_eq!((&shown["account_locked"], &shown["state"]), (&json!(false), &json!("SUSPENDED")));
}

#[test]
fn whoever_has_reports_is_deleted_only_with_a_word_on_them() {
    let desk = desk();
    let ids = ["boss", "other", "ada", "bob"].map(|it| user(&desk, it));
    let [boss, other, ada, bob] = ids;
    let manager = |id: &str| desk.get(&format!("{USERS}/{id}")).body["manager"].clone();
    for id in [&ada, &bob] {
        desk.send("PUT", &format!("{USERS}/{id}"), &json!({ "manager": boss }));
    }
    let path = format!("{USERS}/{boss}");
    invalid(&del(&desk, &path));
    invalid(&del(&desk, &format!("{path}?cascade_manager={NONE}")));
    assert_eq!(manager(&ada), boss.as_str());
    let gone_now = del(&desk, &format!("{path}?cascade_manager={other}"));
    assert_eq!((gone_now.status, &gone_now.body["username"]), (200, &json!("boss")));
    assert_eq!((manager(&ada), manager(&bob)), (json!(other), json!(other)));
    gone(&del(&desk, &path));
    assert_eq!(del(&desk, &format!("{USERS}/{other}?cascade_manager=null")).status, 200);
    assert_eq!((manager(&ada), manager(&bob)), (Value::Null, Value::Null));
    // Whoever has none needs no word.
    assert_eq!(del(&desk, &format!("{USERS}/{ada}")).status, 200);
    gone(&desk.get(&format!("{USERS}/{ada}")));
}

#[test]
fn resetting_mfa_takes_one_time_codes() {
    for (unified, left) in [(false, 1), (true, 0)] {
        let desk = desk();
        let id = user(&desk, "ada");
        desk.fake.with(|api| {
            api.quirks.unified_mfa = unified;
            let user = api.users.get_mut(&id).unwrap();
            (user.totp, user.webauthn) = (true, true);
            user.push.insert("p1".into(), "phone".into());
        });
        let enrolment = || {
            let shown = desk.get(&format!("{USERS}/{id}")).body["mfaEnrollment"].clone();
            let has = |name: &str| shown[name] == "ENROLLED";
            [has("totpStatus"), has("pushStatus"), has("webAuthnStatus"), has("overallStatus")]
        };
        assert_eq!(enrolment(), [true; 4]);
        assert_eq!(post(&desk, &format!("{USERS}/{id}/resetmfa")).status, 200);
        assert_eq!(enrolment(), [false, left == 1, true, true]);
        let push = format!("/api/v2/users/{id}/pushendpoints");
        assert_eq!(desk.get(&push).each("", "id").len(), left);
        for _ in 0..left {
            assert_eq!(del(&desk, &format!("{push}/p1")).body["state"], "deleted");
        }
        gone(&del(&desk, &format!("{push}/p1")));
        assert_eq!(enrolment(), [false, false, true, true], "a security key stays");
    }
}

#[test]
fn ssh_keys_are_the_users() {
    let desk = desk();
    let id = user(&desk, "ada");
    let keys = format!("{USERS}/{id}/sshkeys");
    for wrong in [json!({ "name": "laptop" }), json!({ "public_key": "ssh-ed25519 AAAA" })] {
        invalid(&desk.send("POST", &keys, &wrong));
    }
    let body = json!({ "name": "laptop", "public_key": "ssh-ed25519 AAAA" });
    let made = desk.send("POST", &keys, &body);
    assert_eq!(made.status, 200);
    assert_eq!(desk.get(&keys).each("", "name"), ["laptop"]);
    let one = format!("{keys}/{}", made.body["_id"].as_str().unwrap());
    assert_eq!(del(&desk, &one).status, 200);
    gone(&del(&desk, &one));
    assert_eq!(desk.get(&keys).body, json!([]));
}

#[test]
fn devices_are_told_and_do_it_when_they_show_up() {
    let desk = desk();
    let ids =
        desk.fake.with(|api| [api.add_system("pc", "windows"), api.add_system("mac", "darwin")]);
    let [pc, mac] = &ids;
    let say =
        |id: &str, what: &str| post(&desk, &format!("/api/systems/{id}/command/builtin/{what}"));
    for what in ["lock", "erase", "restart"] {
        assert_eq!(say(pc, what).status, 201);
    }
    gone(&say(pc, "explode"));
    invalid(&say(mac, "lock"));
    gone(&say(NONE, "lock"));
    assert_eq!(
        desk.fake.with(|api| api.systems[pc].commands.clone()),
        ["lock", "erase", "restart"]
    );
    assert!(desk.fake.with(|api| api.systems[mac].commands.is_empty()));
    let shown = |id: &str| desk.get(&format!("/api/systems/{id}")).body["builtInCommands"].clone();
    assert_eq!((shown(pc).as_array().unwrap().len(), shown(mac)), (3, json!([])));
    assert_eq!(del(&desk, &format!("/api/systems/{pc}")).body["hostname"], "pc");
    gone(&del(&desk, &format!("/api/systems/{pc}")));
    assert_eq!(desk.get("/api/systems").each("/results", "displayName"), ["mac"]);
}
