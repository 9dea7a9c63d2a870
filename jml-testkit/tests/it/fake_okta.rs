//! The fake of Okta, asked without a connector.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::collections::BTreeMap;

use jml_testkit::fake::okta::{ApiToken, Device, Okta, Rule};
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::fakes::{Answer, Desk, assertion, start};

fn desk() -> Desk<Okta> {
    Desk::new(Okta::new("token-1", &["engineers", "sales"]), "SSWS token-1")
}

fn profile(login: &str) -> BTreeMap<String, Value> {
    let login = json!(format!("{login}@corp.test"));
    [
        ("login", login.clone()),
        ("email", login),
        ("firstName", json!("F")),
        ("lastName", json!("L")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn user(desk: &Desk<Okta>, login: &str, status: &str) -> String {
    desk.fake.with(|api| api.add_user(profile(login), status, start()))
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.body["errorCode"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
}

fn status(desk: &Desk<Okta>, id: &str) -> String {
    let shown = desk.get(&format!("/api/v1/users/{id}"));
    shown.body["status"].as_str().unwrap_or_default().to_owned()
}

fn act(desk: &Desk<Okta>, id: &str, what: &str) -> Answer {
    desk.send("POST", &format!("/api/v1/users/{id}/lifecycle/{what}"), &Value::Null)
}

#[test]
fn errors_and_limits_have_their_form() {
    let desk = desk();
    let answer = desk.get("/api/v1/users/nobody");
    refused(&answer, 404, "E0000007");
    let members: Vec<&String> = answer.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["errorCauses", "errorCode", "errorId", "errorLink", "errorSummary"]);
    let summary = "Not found: Resource not found: nobody (User)";
    assert_eq!(answer.body["errorSummary"], summary);
    // What is left of the limit is in every answer, in seconds of the epoch.
    assert_eq!(answer.header("x-rate-limit-limit"), Some("600"));
    assert_eq!(answer.header("x-rate-limit-remaining"), Some("599"));
    let reset = (desk.now().timestamp() + 60).to_string();
    assert_eq!(answer.header("x-rate-limit-reset"), Some(reset.as_str()));
    assert_eq!(answer.header("retry-after"), None);
    let again = desk.get("/api/v1/users/nobody");
    assert_ne!(answer.header("x-okta-request-id"), again.header("x-okta-request-id"));
    refused(&desk.get("/api/v1/elsewhere"), 404, "E0000022");
    let json = [("content-type", "application/json")];
    refused(&desk.ask("POST", "/api/v1/users", &json, b"{".to_vec()), 400, "E0000003");
    let text = [("content-type", "text/plain")];
    refused(&desk.ask("POST", "/api/v1/users", &text, b"{}".to_vec()), 415, "E0000021");
}

#[test]
fn credentials_are_looked_at() {
    let mut desk = desk();
    for wrong in ["SSWS token-2", "", "Bearer token-1"] {
        wrong.clone_into(&mut desk.authorization);
        refused(&desk.get("/api/v1/users"), 401, "E0000011");
    }
    // A token that is revoked is dead at once.
    "SSWS token-1".clone_into(&mut desk.authorization);
    assert_eq!(desk.get("/api/v1/api-tokens").each("", "userId"), ["00uadmin"]);
    let token = "/api/v1/api-tokens/00T0000000000000000a";
    assert_eq!(desk.send("DELETE", token, &Value::Null).status, 204);
    refused(&desk.get("/api/v1/users"), 401, "E0000011");
}

#[test]
fn service_applications_have_scopes_and_an_hour() {
    let mut desk = desk();
    let scopes = ["okta.users.read", "okta.groups.manage"].map(str::to_owned);
    desk.fake.with(|api| api.clients.insert("0oajml".into(), scopes.into()));
    let good = assertion("0oajml", "https://corp.okta.test/oauth2/v1/token");
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let ask = |desk: &Desk<Okta>, kind: &str, assertion: &str, scope: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
            ("scope", scope),
        ];
        desk.form("/oauth2/v1/token", &fields)
    };
    let error = |answer: &Answer| (answer.status, answer.body["error"].clone());
    let elsewhere = assertion("0oajml", "https://corp.okta.test/oauth2/v1/authorize");
    for (kind, assertion) in [
        (kind, elsewhere),
        (kind, assertion("0oaother", "https://corp.okta.test/oauth2/v1/token")),
        (kind, "no.jwt".into()),
        ("secret", good.clone()),
    ] {
        let answer = ask(&desk, kind, &assertion, "okta.users.read");
        assert_eq!(error(&answer), (401, json!("invalid_client")));
    }
    let answer = ask(&desk, kind, &good, "okta.users.read okta.apps.read");
    assert_eq!(error(&answer), (400, json!("invalid_scope")));
    let given = ask(&desk, kind, &good, "okta.users.read okta.groups.manage");
    assert_eq!((given.status, given.body["expires_in"].clone()), (200, json!(3600)));
    let id = user(&desk, "ada", "ACTIVE");
    desk.authorization = format!("Bearer {}", given.body["access_token"].as_str().unwrap());
    assert_eq!(desk.get("/api/v1/users").status, 200);
    // Who may read may not write; who may manage may read.
    refused(&act(&desk, &id, "suspend"), 403, "E0000006");
    assert_eq!(desk.get("/api/v1/groups").status, 200);
    refused(&desk.get("/api/v1/apps"), 403, "E0000006");
    refused(&desk.get(&format!("/api/v1/users/{id}/roles")), 403, "E0000006");
    desk.wait(3_600_000 - 1);
    assert_eq!(desk.get("/api/v1/users").status, 200);
    desk.wait(1);
    refused(&desk.get("/api/v1/users"), 401, "E0000011");
}

#[test]
fn a_plain_listing_hides_the_deprovisioned() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada", "ACTIVE"), user(&desk, "bob", "DEPROVISIONED"));
    assert_eq!(desk.get("/api/v1/users").each("", "id"), [ada.as_str()]);
    assert_eq!(desk.get("/api/v1/users?q=bob").each("", "id"), [""; 0]);
    let filter = "lastUpdated%20gt%20%221970-01-01T00:00:00.000Z%22";
    let all = [ada.as_str(), bob.as_str()];
    assert_eq!(desk.get(&format!("/api/v1/users?filter={filter}")).each("", "id"), all);
    assert_eq!(desk.get(&format!("/api/v1/users?search={filter}")).each("", "id"), all);
    let gone = "/api/v1/users?filter=status%20eq%20%22DEPROVISIONED%22";
    assert_eq!(desk.get(gone).each("", "id"), [bob.as_str()]);
    refused(&desk.get("/api/v1/users?filter=status%20is%20what"), 400, "E0000031");
    // By id and by login, in any case.
    assert_eq!(desk.get("/api/v1/users/BOB@corp.test").body["id"], bob.as_str());
}

#[test]
fn search_is_behind_and_filter_is_not() {
    for (lag, found) in [(0, 1), (5_000, 0)] {
        let desk = desk();
        desk.fake.with(|api| api.quirks.search_lag_ms = lag);
        user(&desk, "ada", "ACTIVE");
        let text = "profile.login%20eq%20%22ada@corp.test%22";
        let count = |by: &str| desk.get(&format!("/api/v1/users?{by}={text}")).each("", "id").len();
        assert_eq!((count("search"), count("filter")), (found, 1));
        desk.wait(lag);
        assert_eq!(count("search"), 1);
    }
}

#[test]
fn only_the_second_deletion_deletes() {
    let desk = desk();
    let id = user(&desk, "ada", "ACTIVE");
    desk.fake.with(|api| {
        api.add_app("0oacrm", "CRM");
        api.apps.get_mut("0oacrm").unwrap().users.insert(id.clone());
        let user = api.users.get_mut(&id).unwrap();
        user.sessions = 2;
        user.clients.insert("0oaclient".into(), 1);
    });
    let path = format!("/api/v1/users/{id}");
    assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(status(&desk, &id), "DEPROVISIONED");
    desk.fake.with(|api| {
        let user = &api.users[&id];
        assert!(
            user.sessions == 0 && user.clients.is_empty() && api.apps["0oacrm"].users.is_empty()
        );
    });
    // What it lost does not come back.
    assert_eq!(act(&desk, &id, "activate").status, 200);
    assert!(desk.fake.with(|api| api.apps["0oacrm"].users.is_empty()));
    for left in [1, 0] {
        assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
        assert_eq!(desk.fake.with(|api| api.users.len()), left);
    }
    refused(&desk.send("DELETE", &path, &Value::Null), 404, "E0000007");
}

#[test]
fn memberships_answer_alike_and_some_groups_refuse() {
    let desk = desk();
    let id = user(&desk, "ada", "ACTIVE");
    let path = |group: &str| format!("/api/v1/groups/{group}/users/{id}");
    for (method, is) in [("PUT", true), ("PUT", true), ("DELETE", false), ("DELETE", false)] {
        assert_eq!(desk.send(method, &path("00gengineers"), &Value::Null).status, 204);
        let held = desk.get(&format!("/api/v1/users/{id}/groups")).each("", "id");
        assert_eq!(held.contains(&"00gengineers".to_owned()), is);
    }
    desk.fake.with(|api| api.add_group("00gapp", "from an application", "APP_GROUP"));
    for group in ["00gapp", "00geveryone"] {
        for method in ["PUT", "DELETE"] {
            refused(&desk.send(method, &path(group), &Value::Null), 403, "E0000006");
        }
    }
    refused(&desk.send("PUT", &path("00gnone"), &Value::Null), 404, "E0000007");
    let nobody = "/api/v1/groups/00gsales/users/nobody";
    refused(&desk.send("PUT", nobody, &Value::Null), 404, "E0000007");
}

#[test]
fn a_group_rule_puts_its_people_back() {
    let desk = desk();
    let id = user(&desk, "ada", "ACTIVE");
    let rule = Rule {
        name: "sales".into(),
        group: "00gsales".into(),
        when: ("department".into(), "Sales".into()),
        ..Rule::default()
    };
    desk.fake.with(|api| api.rules.insert("0pr1".into(), rule));
    let held = || desk.fake.with(|api| api.groups["00gsales"].members.contains(&id));
    let body = json!({ "profile": { "department": "Sales" } });
    assert_eq!(desk.send("POST", &format!("/api/v1/users/{id}"), &body).status, 200);
    let path = format!("/api/v1/groups/00gsales/users/{id}");
    assert!(held());
    assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
    assert!(held(), "it says that it is done, and the rule has put them back");
    let shown = desk.get("/api/v1/groups/rules");
    let expression = &shown.body[0]["conditions"]["expression"]["value"];
    assert_eq!(*expression, "user.department==\"Sales\"");
    desk.fake.with(|api| api.rules.get_mut("0pr1").unwrap().exclude.insert(id.clone()));
    assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
    assert!(!held());
}

#[test]
fn lifecycle_calls_in_the_wrong_state_are_no_success() {
    let desk = desk();
    let id = user(&desk, "ada", "ACTIVE");
    refused(&act(&desk, &id, "activate"), 403, "E0000016");
    refused(&act(&desk, &id, "unsuspend"), 400, "E0000001");
    refused(&act(&desk, &id, "unlock"), 403, "E0000032");
    assert_eq!(act(&desk, &id, "suspend").status, 200);
    assert_eq!(status(&desk, &id), "SUSPENDED");
    let again = act(&desk, &id, "suspend");
    refused(&again, 400, "E0000001");
    let cause = "Cannot suspend a user that is not active";
    assert_eq!(again.body["errorCauses"][0]["errorSummary"], cause);
    assert_eq!(act(&desk, &id, "unsuspend").status, 200);
    assert_eq!(act(&desk, &id, "deactivate").status, 200);
    refused(&act(&desk, &id, "deactivate"), 403, "E0000038");
    desk.fake.with(|api| api.users.get_mut(&id).unwrap().factors.insert("f".into(), "push".into()));
    refused(&act(&desk, &id, "reset_factors"), 403, "E0000038");
    let factor = format!("/api/v1/users/{id}/factors/f");
    refused(&desk.send("DELETE", &factor, &Value::Null), 403, "E0000006");
    assert_eq!(desk.fake.with(|api| api.users[&id].factors.len()), 1);
    let body = json!({ "profile": { "title": "x" } });
    refused(&desk.send("POST", &format!("/api/v1/users/{id}"), &body), 403, "E0000038");
    assert_eq!(act(&desk, &id, "activate").status, 200);
    assert_eq!(status(&desk, &id), "PROVISIONED");
    let log =
        desk.fake.with(|api| api.log.iter().map(|it| it.event_type.clone()).collect::<Vec<_>>());
    let seen = ["create", "suspend", "unsuspend", "deactivate", "activate"];
    assert_eq!(log, seen.map(|it| format!("user.lifecycle.{it}")));
}

#[test]
fn a_slow_lifecycle_goes_on_after_the_answer() {
    for slow in [false, true] {
        let desk = desk();
        desk.fake.with(|api| api.quirks.slow_lifecycle = slow);
        let id = user(&desk, "ada", "ACTIVE");
        assert_eq!(act(&desk, &id, "deactivate").status, 200);
        let shown = desk.get(&format!("/api/v1/users/{id}")).body;
        if !slow {
            assert_eq!(
                (&shown["status"], &shown["transitioningToStatus"]),
                (&json!("DEPROVISIONED"), &Value::Null)
            );
            continue;
        }
        assert_eq!(
            (&shown["status"], &shown["transitioningToStatus"]),
            (&json!("ACTIVE"), &json!("DEPROVISIONED"))
        );
        refused(&act(&desk, &id, "suspend"), 409, "E0000112");
        assert_eq!(status(&desk, &id), "DEPROVISIONED");
    }
}

#[test]
fn sessions_end_without_their_tokens() {
    for (query, left) in [("", 2), ("?oauthTokens=false", 2), ("?oauthTokens=true", 1)] {
        let desk = desk();
        let id = user(&desk, "ada", "ACTIVE");
        desk.fake.with(|api| {
            let user = api.users.get_mut(&id).unwrap();
            (user.sessions, user.grants) = (3, [("0oamail".to_owned(), 2)].into());
            user.clients.insert("0oaclient".into(), 2);
        });
        let path = format!("/api/v1/users/{id}/sessions{query}");
        assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
        let clients = desk.get(&format!("/api/v1/users/{id}/clients")).each("", "client_id");
        // One has tokens, one has grants, which stay.
        assert_eq!(clients.len(), left);
        desk.fake.with(|api| {
            assert_eq!((api.users[&id].sessions, api.users[&id].grants["0oamail"]), (0, 2));
        });
        assert_eq!(
            desk.send("DELETE", &format!("/api/v1/users/{id}/grants"), &Value::Null).status,
            204
        );
        assert!(desk.fake.with(|api| api.users[&id].grants.is_empty()));
    }
}

#[test]
fn the_push_factor_takes_its_codes_along() {
    let desk = desk();
    let id = user(&desk, "ada", "ACTIVE");
    let kinds = [("a", "push"), ("b", "token:software:totp"), ("c", "webauthn")];
    let kinds = kinds.map(|(id, kind)| (id.to_owned(), kind.to_owned()));
    desk.fake.with(|api| api.users.get_mut(&id).unwrap().factors = kinds.into());
    let factor = |name: &str| {
        desk.send("DELETE", &format!("/api/v1/users/{id}/factors/{name}"), &Value::Null)
    };
    assert_eq!(factor("a").status, 204);
    let left = desk.get(&format!("/api/v1/users/{id}/factors")).each("", "factorType");
    assert_eq!(left, ["webauthn"]);
    refused(&factor("b"), 404, "E0000007");
    assert_eq!(act(&desk, &id, "reset_factors").status, 200);
    assert!(desk.fake.with(|api| api.users[&id].factors.is_empty()));
}

#[test]
fn users_are_made_changed_and_replaced() {
    let desk = desk();
    let make = |login: &str, query: &str, more: Value| {
        let mut body = json!({ "profile": profile(login) });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        desk.send("POST", &format!("/api/v1/users{query}"), &body)
    };
    let password = json!({ "credentials": { "password": { "value": "x" } } });
    assert_eq!(make("ada", "?activate=false", Value::Null).body["status"], "STAGED");
    assert_eq!(make("bob", "", Value::Null).body["status"], "PROVISIONED");
    assert_eq!(make("cyd", "?activate=true", password).body["status"], "ACTIVE");
    let taken = make("ADA", "", Value::Null);
    refused(&taken, 400, "E0000001");
    assert_eq!(taken.body["errorSummary"], "Api validation failed: login");
    let cause = "login: An object with this field already exists in the current organization";
    assert_eq!(taken.body["errorCauses"][0]["errorSummary"], cause);
    let path = "/api/v1/users/ada@corp.test";
    let body = json!({ "profile": { "title": "Head", "department": "Sales" } });
    assert_eq!(desk.send("POST", path, &body).body["profile"]["title"], "Head");
    // Null clears, what is not named stays.
    let shown = desk.send("POST", path, &json!({ "profile": { "title": null } })).body;
    assert_eq!(
        (&shown["profile"]["title"], &shown["profile"]["department"]),
        (&Value::Null, &json!("Sales"))
    );
    // PUT clears what is not sent, and needs what everybody needs.
    refused(&desk.send("PUT", path, &json!({ "profile": { "title": "x" } })), 400, "E0000001");
    let shown = desk.send("PUT", path, &json!({ "profile": profile("ada") })).body;
    assert_eq!(shown["profile"]["department"], Value::Null);
}

#[test]
fn pages_go_on_by_links() {
    let desk = desk();
    let ids = ["ada", "bob", "cyd"].map(|it| user(&desk, it, "ACTIVE"));
    let first = desk.get("/api/v1/users?limit=2");
    assert_eq!(first.each("", "id"), ids[..2]);
    assert_eq!(first.link("self").as_deref(), Some("http://place.test/api/v1/users?limit=2"));
    let last = desk.get(&first.link("next").unwrap());
    assert_eq!((last.each("", "id"), last.link("next")), (vec![ids[2].clone()], None));
    // More than the most is the most; none is refused.
    assert_eq!(desk.get("/api/v1/users?limit=1000").each("", "id").len(), 3);
    refused(&desk.get("/api/v1/users?limit=0"), 400, "E0000001");
    refused(&desk.get("/api/v1/users?after=x"), 400, "E0000031");
    // Now and then:
    desk.fake.with(|api| api.quirk(Quirk::EmptyFirstPage));
    let first = desk.get("/api/v1/users?limit=2");
    assert_eq!(first.each("", "id"), [""; 0]);
    assert_eq!(desk.get(&first.link("next").unwrap()).each("", "id"), ids[..2]);
    desk.fake.with(|api| api.quirk(Quirk::ForeignNextLink));
    let link = desk.get("/api/v1/users?limit=2").link("next").unwrap();
    assert!(link.starts_with("https://evil.example/api/v1/users?"), "{link}");
    desk.fake.with(|api| api.quirk(Quirk::RepeatedCursor));
    let next = desk.get("/api/v1/users?limit=1").link("next").unwrap();
    assert_eq!(desk.get(&next).link("next").as_deref(), Some(next.as_str()));
}

#[test]
fn the_log_always_has_a_next_page() {
    let desk = desk();
    for login in ["ada", "bob", "cyd"] {
        user(&desk, login, "ACTIVE");
    }
    let since = "/api/v1/logs?since=2026-03-02T08:00:00Z&sortOrder=ASCENDING&limit=2";
    let first = desk.get(since);
    assert_eq!(first.each("", "eventType"), ["user.lifecycle.create"; 2]);
    let second = desk.get(&first.link("next").unwrap());
    assert_eq!(second.each("", "eventType").len(), 1);
    let end = second.link("next").unwrap();
    let empty = desk.get(&end);
    assert_eq!(
        (empty.body.as_array().map(Vec::len), empty.link("next")),
        (Some(0), Some(end.clone()))
    );
    user(&desk, "dan", "ACTIVE");
    assert_eq!(desk.get(&end).each("", "eventType").len(), 1);
    refused(&desk.get("/api/v1/logs?after=e.99"), 400, "E0000031");
    refused(&desk.get("/api/v1/logs?after=e.1&since=2026-03-02T08:00:00Z"), 400, "E0000001");
    // What was forgotten is no position any more.
    desk.fake.with(|api| {
        api.log_start += api.log.len();
        api.log.clear();
    });
    refused(&desk.get(&end), 400, "E0000031");
}

#[test]
fn applications_roles_and_devices() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada", "ACTIVE"), user(&desk, "bob", "DEPROVISIONED"));
    desk.fake.with(|api| {
        api.add_app("0oacrm", "CRM");
        api.groups.get_mut("00gsales").unwrap().members.insert(ada.clone());
        api.apps.get_mut("0oacrm").unwrap().groups.insert("00gsales".into());
        let users = [ada.clone()].into();
        api.devices.insert(
            "guo1".into(),
            Device { name: "laptop".into(), status: "ACTIVE".into(), users },
        );
        api.api_tokens.insert("t2".into(), ApiToken { id: "00T2".into(), user: ada.clone() });
    });
    let app = format!("/api/v1/apps/0oacrm/users/{ada}");
    assert_eq!(desk.get(&app).body["scope"], "GROUP");
    let body = json!({ "id": ada, "scope": "USER" });
    assert_eq!(desk.send("POST", "/api/v1/apps/0oacrm/users", &body).body["scope"], "USER");
    // What was given directly goes; what comes with the group stays.
    assert_eq!(desk.send("DELETE", &app, &Value::Null).status, 204);
    assert_eq!(desk.get(&app).body["scope"], "GROUP");
    refused(
        &desk.send("POST", "/api/v1/apps/0oacrm/users", &json!({ "id": bob })),
        403,
        "E0000038",
    );
    let roles = format!("/api/v1/users/{ada}/roles");
    let made = desk.send("POST", &roles, &json!({ "type": "HELP_DESK_ADMIN" }));
    assert_eq!(made.status, 201);
    refused(&desk.send("POST", &roles, &json!({ "type": "HELP_DESK_ADMIN" })), 409, "E0000090");
    refused(&desk.send("POST", &roles, &json!({ "type": "EMPEROR" })), 400, "E0000001");
    let admins = desk.get("/api/v1/iam/assignees/users");
    assert_eq!(admins.each("/value", "id"), [ada.as_str()]);
    let role = format!("{roles}/{}", made.body["id"].as_str().unwrap());
    assert_eq!(desk.send("DELETE", &role, &Value::Null).status, 204);
    refused(&desk.send("DELETE", &role, &Value::Null), 404, "E0000007");
    let device = |what: &str| {
        desk.send("POST", &format!("/api/v1/devices/guo1/lifecycle/{what}"), &Value::Null)
    };
    refused(&desk.send("DELETE", "/api/v1/devices/guo1", &Value::Null), 400, "E0000001");
    assert_eq!(device("deactivate").status, 204);
    refused(&device("deactivate"), 400, "E0000001");
    assert!(desk.fake.with(|api| api.devices["guo1"].users.is_empty()));
    assert_eq!(desk.send("DELETE", "/api/v1/devices/guo1", &Value::Null).status, 204);
}
