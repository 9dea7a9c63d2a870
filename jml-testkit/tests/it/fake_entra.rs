//! The fake of Microsoft Graph, asked without a connector.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::collections::BTreeMap;

use jml_testkit::fake::entra::{App, Entra, GroupKind, Service, Sku, User};
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::fakes::{Answer, Desk, assertion};

const WORDS: &str = "Insufficient privileges to complete the operation.";

/// A tenant, asked with a token that is good for everything.
fn desk() -> Desk<Entra> {
    let mut api = Entra::new(("app", "secret"), &[], &["engineers", "sales"]);
    api.static_tokens.insert("all".into());
    Desk::new(api, "Bearer all")
}

fn user(desk: &Desk<Entra>, name: &str) -> String {
    let upn = format!("{name}@corp.test");
    let body = [("userPrincipalName", json!(upn)), ("accountEnabled", json!(true))];
    let body = body.map(|(name, value)| (name.to_owned(), value)).into();
    desk.fake.with(|api| api.add_user(User { body, ..User::default() }))
}

fn refused(answer: &Answer, status: u16, code: &str, words: &str) {
    let error = &answer.body["error"];
    assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{answer:?}");
    assert!(error["message"].as_str().unwrap().contains(words), "{answer:?}");
}

fn bad(answer: &Answer, words: &str) {
    refused(answer, 400, "Request_BadRequest", words);
}

fn gone(answer: &Answer) {
    refused(answer, 404, "Request_ResourceNotFound", "does not exist");
}

fn del(desk: &Desk<Entra>, target: &str) -> Answer {
    desk.send("DELETE", target, &Value::Null)
}

fn object(id: &str) -> Value {
    json!({ "@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{id}") })
}

fn next(answer: &Answer) -> Option<String> {
    answer.body["@odata.nextLink"].as_str().map(str::to_owned)
}

#[test]
fn errors_have_their_form() {
    let desk = desk();
    let answer = desk.get("/v1.0/users/nobody");
    gone(&answer);
    assert!(answer.body["error"]["message"].as_str().unwrap().starts_with("Resource 'nobody' "));
    let inner: Vec<&String> =
        answer.body["error"]["innerError"].as_object().unwrap().keys().collect();
    assert_eq!(inner, ["client-request-id", "date", "request-id"]);
    let again = desk.get("/v1.0/users/nobody");
    assert_ne!(answer.header("request-id"), again.header("request-id"));
    refused(&desk.get("/v1.0/nothing"), 400, "BadRequest", "segment");
    refused(&desk.get("/beta/users"), 404, "ResourceNotFound", "segment");
    refused(&desk.ask("POST", "/v1.0/users", &[], b"{".to_vec()), 400, "BadRequest", "payload");
}

#[test]
fn tokens_carry_permissions_and_live_for_an_hour() {
    let mut desk = desk();
    let may = ["User.Read.All", "GroupMember.ReadWrite.All"].map(str::to_owned);
    desk.fake.with(|api| api.clients.get_mut("app").unwrap().1 = may.into());
    let ask = |desk: &Desk<Entra>, with: [(&str, &str); 2], scope: &str| {
        let rest =
            [("grant_type", "client_credentials"), ("client_id", with[0].1), ("scope", scope)];
        let all: Vec<(&str, &str)> = rest.into_iter().chain([with[1]]).collect();
        desk.form("/tenant/oauth2/v2.0/token", &all)
    };
    let all = "https://graph.microsoft.com/.default";
    let id = ("client_id", "app");
    let error = |answer: &Answer| (answer.status, answer.body["error"].clone());
    let other = [("client_id", "other"), ("client_secret", "secret")];
    assert_eq!(error(&ask(&desk, other, all)), (401, json!("unauthorized_client")));
    let wrong = [id, ("client_secret", "guess")];
    assert_eq!(error(&ask(&desk, wrong, all)), (401, json!("invalid_client")));
    let secret = [id, ("client_secret", "secret")];
    assert_eq!(error(&ask(&desk, secret, "User.Read.All")), (400, json!("invalid_scope")));
    let login = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token";
    let signed = assertion("app", login);
    assert_eq!(ask(&desk, [id, ("client_assertion", &signed)], all).status, 200);
    let given = ask(&desk, secret, all);
    assert_eq!((given.status, given.body["expires_in"].clone()), (200, json!(3600)));
    let ada = user(&desk, "ada");
    desk.authorization = format!("Bearer {}", given.body["access_token"].as_str().unwrap());
    assert_eq!(desk.get("/v1.0/users").status, 200);
    let path = format!("/v1.0/users/{ada}");
    let denied = "Authorization_RequestDenied";
    refused(&desk.send("PATCH", &path, &json!({ "jobTitle": "x" })), 403, denied, WORDS);
    refused(&del(&desk, &path), 403, denied, WORDS);
    refused(&desk.get(&format!("{path}/authentication/methods")), 403, denied, WORDS);
    let members = "/v1.0/groups/group-sales/members/$ref";
    assert_eq!(desk.send("POST", members, &object(&ada)).status, 204);
    let owners = "/v1.0/groups/group-sales/owners/$ref";
    refused(&desk.send("POST", owners, &object(&ada)), 403, denied, WORDS);
    desk.wait(3_600_000 - 1);
    assert_eq!(desk.get("/v1.0/users").status, 200);
    desk.wait(1);
    refused(&desk.get("/v1.0/users"), 401, "InvalidAuthenticationToken", "expired");
}

#[test]
fn memberships_say_what_was_so_already() {
    let desk = desk();
    let id = user(&desk, "ada");
    let (add, take) = (
        "/v1.0/groups/group-sales/members/$ref",
        format!("/v1.0/groups/group-sales/members/{id}/$ref"),
    );
    gone(&del(&desk, &take));
    assert_eq!(desk.send("POST", add, &object(&id)).status, 204);
    bad(&desk.send("POST", add, &object(&id)), "added object references already exist");
    assert_eq!(desk.get("/v1.0/groups/group-sales/members").each("/value", "id"), [id.as_str()]);
    assert_eq!(del(&desk, &take).status, 204);
    gone(&del(&desk, &take));
    gone(&desk.send("POST", add, &object("nobody")));
    let without = desk.send("POST", "/v1.0/groups/group-sales/members", &object(&id));
    refused(&without, 400, "BadRequest", "contained entities");
}

#[test]
fn some_kinds_of_group_refuse() {
    let desk = desk();
    let id = user(&desk, "ada");
    for (kind, words) in [
        (GroupKind::Dynamic, WORDS),
        (GroupKind::Synced, "on-premises mastered"),
        (GroupKind::Distribution, "distribution list"),
        (GroupKind::MailSecurity, "mail-enabled"),
    ] {
        desk.fake.with(|api| {
            api.add_group("g", "g", kind);
            api.groups.get_mut("g").unwrap().members.insert(id.clone());
        });
        let answers = [
            desk.send("POST", "/v1.0/groups/g/members/$ref", &object(&id)),
            del(&desk, &format!("/v1.0/groups/g/members/{id}/$ref")),
        ];
        for answer in answers {
            match kind {
                GroupKind::Dynamic => refused(&answer, 403, "Authorization_RequestDenied", words),
                _ => bad(&answer, words),
            }
        }
        assert!(desk.fake.with(|api| api.groups["g"].members.contains(&id)));
    }
    desk.fake.with(|api| api.add_group("g", "g", GroupKind::Unified));
    assert_eq!(desk.get("/v1.0/groups/g").body["groupTypes"], json!(["Unified"]));
    assert_eq!(desk.send("POST", "/v1.0/groups/g/members/$ref", &object(&id)).status, 204);
}

#[test]
fn without_ref_the_member_itself_is_deleted() {
    let desk = desk();
    let id = user(&desk, "ada");
    desk.send("POST", "/v1.0/groups/group-sales/members/$ref", &object(&id));
    assert_eq!(del(&desk, &format!("/v1.0/groups/group-sales/members/{id}")).status, 204);
    gone(&desk.get(&format!("/v1.0/users/{id}")));
    assert_eq!(desk.fake.with(|api| (api.disasters, api.deleted.len())), (1, 0));
}

#[test]
fn the_last_owner_stays() {
    let desk = desk();
    let ids = ["ada", "bob"].map(|it| user(&desk, it));
    let add = "/v1.0/groups/group-sales/owners/$ref";
    for id in &ids {
        assert_eq!(desk.send("POST", add, &object(id)).status, 204);
    }
    bad(&desk.send("POST", add, &object(&ids[0])), "already exist");
    let take = |id: &str| del(&desk, &format!("/v1.0/groups/group-sales/owners/{id}/$ref"));
    assert_eq!(take(&ids[0]).status, 204);
    gone(&take(&ids[0]));
    bad(&take(&ids[1]), "at least one owner");
    let owned = desk.get(&format!("/v1.0/users/{}/ownedObjects", ids[1]));
    assert_eq!(owned.each("/value", "id"), ["group-sales"]);
}

#[test]
fn licences_are_counted_and_inherited() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    let sku = |name: &str, seats| (name.to_owned(), Sku { name: name.to_uppercase(), seats });
    desk.fake.with(|api| {
        api.skus = [sku("e3", 1), sku("e5", 1)].into();
        api.groups.get_mut("group-sales").unwrap().licences.insert("e5".into());
        api.groups.get_mut("group-sales").unwrap().members.insert(ada.clone());
    });
    let assign = |user: &str, add: &[&str], remove: &[&str]| {
        let add: Vec<Value> =
            add.iter().map(|sku| json!({ "skuId": sku, "disabledPlans": [] })).collect();
        let body = json!({ "addLicenses": add, "removeLicenses": remove });
        desk.send("POST", &format!("/v1.0/users/{user}/assignLicense"), &body)
    };
    let half = desk.send(
        "POST",
        &format!("/v1.0/users/{ada}/assignLicense"),
        &json!({ "addLicenses": [] }),
    );
    bad(&half, "parameters of the operation 'assignLicense' are missing");
    bad(&assign(&ada, &["e3"], &[]), "invalid usage location");
    for id in [&ada, &bob] {
        let place = json!({ "usageLocation": "DE" });
        assert_eq!(desk.send("PATCH", &format!("/v1.0/users/{id}"), &place).status, 204);
    }
    bad(&assign(&ada, &["e9"], &[]), "does not correspond to a valid company License");
    assert_eq!(assign(&ada, &["e3"], &[]).status, 200);
    assert_eq!(assign(&ada, &["e3"], &[]).status, 200, "it has it already");
    bad(&assign(&bob, &["e3"], &[]), "does not have any available licenses");
    bad(&assign(&bob, &[], &["e3"]), "does not have a corresponding license");
    bad(&assign(&ada, &[], &["e5"]), "inherited from a group membership");
    // All or nothing.
    bad(&assign(&ada, &["e5"], &["e9"]), "valid company License");
    let states = desk.get(&format!("/v1.0/users/{ada}?$select=id,licenseAssignmentStates"));
    let by = states.each("/licenseAssignmentStates", "assignedByGroup");
    assert_eq!(
        (states.each("/licenseAssignmentStates", "skuId"), by),
        (vec!["e3".to_owned(), "e5".to_owned()], vec!["null".to_owned(), "group-sales".to_owned()],)
    );
    let used = desk.get("/v1.0/subscribedSkus");
    assert_eq!(used.each("/value", "consumedUnits"), ["1", "0"]);
    // One request exchanges.
    assert_eq!(assign(&ada, &["e5"], &["e3"]).status, 200);
    assert!(desk.fake.with(|api| api.users[&ada].licences.contains("e5")));
}

#[test]
fn sessions_of_guests_do_not_end_here() {
    let desk = desk();
    for (kind, left) in [("Member", 0), ("Guest", 2)] {
        let id = user(&desk, kind);
        desk.fake.with(|api| {
            let mut user = api.users[&id].clone();
            user.sessions = 2;
            user.body.insert("userType".into(), json!(kind));
            api.put_user(&id, user);
        });
        let answer =
            desk.send("POST", &format!("/v1.0/users/{id}/revokeSignInSessions"), &Value::Null);
        assert_eq!((answer.status, answer.body["value"].clone()), (200, json!(true)));
        assert_eq!(desk.fake.with(|api| api.users[&id].sessions), left);
    }
}

#[test]
fn administrators_are_protected_where_it_is_on() {
    for protects in [false, true] {
        let desk = desk();
        let id = user(&desk, "ada");
        desk.fake.with(|api| {
            api.quirks.protects_administrators = protects;
            api.role_definitions.insert("helpdesk".into(), "Helpdesk Administrator".into());
        });
        let roles = "/v1.0/roleManagement/directory/roleAssignments";
        let body =
            json!({ "principalId": id, "roleDefinitionId": "helpdesk", "directoryScopeId": "/" });
        let made = desk.send("POST", roles, &body);
        assert_eq!(made.status, 201);
        bad(&desk.send("POST", roles, &body), "conflicting object");
        let path = format!("/v1.0/users/{id}");
        assert_eq!(desk.send("PATCH", &path, &json!({ "jobTitle": "x" })).status, 204);
        let block = json!({ "accountEnabled": false });
        if protects {
            let denied = "Authorization_RequestDenied";
            refused(&desk.send("PATCH", &path, &block), 403, denied, WORDS);
            refused(&del(&desk, &path), 403, denied, WORDS);
            let role = format!("{roles}/{}", made.body["id"].as_str().unwrap());
            assert_eq!(del(&desk, &role).status, 204);
            gone(&del(&desk, &role));
        }
        assert_eq!(desk.send("PATCH", &path, &block).status, 204);
        assert_eq!(del(&desk, &path).status, 204);
    }
}

#[test]
fn the_deleted_lie_for_thirty_days() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    let bin = "/v1.0/directory/deletedItems";
    for id in [&ada, &bob] {
        assert_eq!(del(&desk, &format!("/v1.0/users/{id}")).status, 204);
        gone(&desk.get(&format!("/v1.0/users/{id}")));
        gone(&del(&desk, &format!("/v1.0/users/{id}")));
    }
    assert_eq!(desk.get(&format!("{bin}/graph.user")).each("/value", "id"), [ada.as_str(), &bob]);
    desk.wait(30 * 86_400_000 - 1);
    assert_eq!(desk.send("POST", &format!("{bin}/{ada}/restore"), &Value::Null).status, 200);
    assert_eq!(desk.get(&format!("/v1.0/users/{ada}")).status, 200);
    desk.wait(1);
    gone(&desk.get(&format!("{bin}/{bob}")));
}

#[test]
fn a_batch_is_fine_whatever_becomes_of_its_parts() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let part = |id: &str, url: &str| json!({ "id": id, "method": "GET", "url": url });
    let batch =
        |parts: Vec<Value>| desk.send("POST", "/v1.0/$batch", &json!({ "requests": parts }));
    let answer = batch(vec![part("1", &format!("/users/{ada}")), part("2", "/users/nobody")]);
    assert_eq!(answer.status, 200);
    // In any order.
    assert_eq!(answer.each("/responses", "id"), ["2", "1"]);
    assert_eq!(answer.each("/responses", "status"), ["404", "200"]);
    assert_eq!(answer.body["responses"][0]["body"]["error"]["code"], "Request_ResourceNotFound");
    assert_eq!(answer.body["responses"][1]["body"]["id"], ada.as_str());
    let many = |count: usize| batch((0..count).map(|n| part(&n.to_string(), "/users")).collect());
    assert_eq!(many(20).status, 200);
    for count in [0, 21] {
        refused(&many(count), 400, "BadRequest", "between 1 and 20");
    }
}

#[test]
fn changes_are_told_for_seven_days() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let link = |answer: &Answer| answer.body["@odata.deltaLink"].as_str().unwrap().to_owned();
    assert_eq!(desk.get("/v1.0/users/delta()").each("/value", "id"), [ada.as_str()]);
    let latest = desk.get("/v1.0/users/delta()?$deltatoken=latest");
    assert_eq!(latest.each("/value", "id"), [""; 0]);
    let bob = user(&desk, "bob");
    del(&desk, &format!("/v1.0/users/{ada}"));
    let since = desk.get(&link(&latest));
    assert_eq!(since.each("/value", "id"), [bob.as_str(), &ada]);
    assert_eq!(since.body["value"][1]["@removed"]["reason"], "deleted");
    // Of groups, who came and who went.
    let groups = desk.get("/v1.0/groups/delta()?$deltatoken=latest");
    let members = "/v1.0/groups/group-sales/members";
    desk.send("POST", &format!("{members}/$ref"), &object(&bob));
    del(&desk, &format!("{members}/{bob}/$ref"));
    let moved = desk.get(&link(&groups));
    let member = |at: usize| moved.body["value"][at]["members@delta"][0].clone();
    assert_eq!((member(0)["id"].clone(), member(0)["@removed"].clone()), (json!(bob), Value::Null));
    assert_eq!(member(1)["@removed"]["reason"], "deleted");
    let lost = |answer: &Answer| refused(answer, 400, "syncStateNotFound", "full sync");
    desk.wait(7 * 86_400_000);
    assert_eq!(desk.get(&link(&latest)).status, 200);
    desk.wait(1_000);
    lost(&desk.get(&link(&latest)));
    lost(&desk.get("/v1.0/users/delta()?$deltatoken=nonsense"));
    let latest = desk.get("/v1.0/users/delta()?$deltatoken=latest");
    desk.fake.with(|api| {
        api.log_start += api.log.len() + 1;
        api.log.clear();
    });
    lost(&desk.get(&link(&latest)));
}

#[test]
fn what_was_written_shows_after_a_while() {
    for lag in [0, 2_000] {
        let desk = desk();
        desk.fake.with(|api| api.quirks.lag_ms = lag);
        let id = user(&desk, "ada");
        let path = format!("/v1.0/users/{id}");
        assert_eq!(desk.send("PATCH", &path, &json!({ "jobTitle": "Head" })).status, 204);
        let title = || desk.get(&format!("{path}?$select=jobTitle")).body["jobTitle"].clone();
        if lag > 0 {
            assert_eq!(title(), Value::Null);
            desk.wait(lag - 1);
            assert_eq!(title(), Value::Null);
            desk.wait(1);
        }
        assert_eq!(title(), "Head");
        // Deleted, and it shows still; written to, it is gone.
        assert_eq!(del(&desk, &path).status, 204);
        if lag > 0 {
            assert_eq!(desk.get(&path).status, 200);
            gone(&desk.send("PATCH", &path, &json!({ "jobTitle": "x" })));
            desk.wait(lag);
        }
        gone(&desk.get(&path));
    }
}

#[test]
fn pages_go_on_by_links() {
    let desk = desk();
    let ids = ["ada", "bob", "cyd"].map(|it| user(&desk, it));
    let first = desk.get("/v1.0/users?$top=2&$select=id");
    assert_eq!(first.each("/value", "id"), ids[..2]);
    let last = desk.get(&next(&first).unwrap());
    assert_eq!((last.each("/value", "id"), next(&last)), (vec![ids[2].clone()], None));
    for size in ["0", "1000", "x"] {
        bad(&desk.get(&format!("/v1.0/users?$top={size}")), "Invalid page size");
    }
    refused(&desk.get("/v1.0/users?$skiptoken=x"), 400, "Directory_ExpiredPageToken", "expired");
    desk.fake.with(|api| api.quirk(Quirk::EmptyFirstPage));
    let first = desk.get("/v1.0/users?$top=2");
    assert_eq!(first.each("/value", "id"), [""; 0]);
    assert_eq!(desk.get(&next(&first).unwrap()).each("/value", "id"), ids[..2]);
    desk.fake.with(|api| api.quirk(Quirk::ForeignNextLink));
    let link = next(&desk.get("/v1.0/users?$top=2")).unwrap();
    assert!(link.starts_with("https://evil.example/v1.0/users?"), "{link}");
    desk.fake.with(|api| api.quirk(Quirk::RepeatedCursor));
    let link = next(&desk.get("/v1.0/users?$top=1")).unwrap();
    assert_eq!(next(&desk.get(&link)), Some(link));
}

#[test]
fn users_are_made_with_what_they_need() {
    let desk = desk();
    let whole = json!({
        "accountEnabled": true, "displayName": "Ada", "mailNickname": "ada", "employeeId": "e-1",
        "userPrincipalName": "ada@corp.test", "passwordProfile": { "password": "x" },
    });
    for name in
        ["accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile"]
    {
        let mut part = whole.clone();
        part[name] = Value::Null;
        let words = format!("A value is required for property '{name}'");
        bad(&desk.send("POST", "/v1.0/users", &part), &words);
    }
    for (name, value) in [("userPrincipalName", "ada"), ("employeeId", "12345678901234567")] {
        let mut other = whole.clone();
        other[name] = json!(value);
        bad(&desk.send("POST", "/v1.0/users", &other), name);
    }
    let made = desk.send("POST", "/v1.0/users", &whole);
    assert_eq!((made.status, made.body["passwordProfile"].clone()), (201, Value::Null));
    let mut again = whole.clone();
    again["userPrincipalName"] = json!("ADA@corp.test");
    let taken = desk.send("POST", "/v1.0/users", &again);
    bad(&taken, "userPrincipalName already exists");
    let detail = &taken.body["error"]["details"][0];
    assert_eq!(
        (&detail["code"], &detail["target"]),
        (&json!("ObjectConflict"), &json!("userPrincipalName"))
    );
    let bob = user(&desk, "bob");
    let rename = json!({ "userPrincipalName": "Ada@corp.test" });
    bad(&desk.send("PATCH", &format!("/v1.0/users/{bob}"), &rename), "already exists");
    // Only what is selected shows, and null is what is not there.
    let shown = desk.get("/v1.0/users/ada@corp.test?$select=id,employeeId,jobTitle").body;
    let members: BTreeMap<String, Value> = serde_json::from_value(shown).unwrap();
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ["employeeId", "id", "jobTitle"]);
    assert_eq!(desk.get("/v1.0/users/ada@corp.test").body["employeeId"], Value::Null);
    let filter = "/v1.0/users?$filter=employeeId%20eq%20'e-1'";
    assert_eq!(desk.get(filter).each("/value", "userPrincipalName"), ["ada@corp.test"]);
    refused(&desk.get("/v1.0/users?$filter=nonsense"), 400, "Request_UnsupportedQuery", "Query");
}

#[test]
fn what_lies_on_a_user() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    let one = |id: &str, kind: &str| [(id.to_owned(), kind.to_owned())].into();
    desk.fake.with(|api| {
        let mut user = api.users[&ada].clone();
        user.methods = one("m1", "fido2");
        user.devices = one("d1", "managed");
        user.grants.insert("g1".into());
        user.drive = Some(("drive-1".into(), Default::default()));
        api.put_user(&ada, user);
        api.apps.insert("crm".into(), App::default());
    });
    let path = format!("/v1.0/users/{ada}");
    // The password is one of the methods, and no call takes it.
    let methods = desk.get(&format!("{path}/authentication/methods"));
    let kinds =
        ["password", "fido2"].map(|it| format!("#microsoft.graph.{it}AuthenticationMethod"));
    assert_eq!(methods.each("/value", "@odata.type"), kinds);
    gone(&del(&desk, &format!("{path}/authentication/phoneMethods/m1")));
    assert_eq!(del(&desk, &format!("{path}/authentication/fido2Methods/m1")).status, 204);
    let retire = |id: &str| {
        desk.send(
            "POST",
            &format!("/v1.0/deviceManagement/managedDevices/{id}/retire"),
            &Value::Null,
        )
    };
    desk.fake.with(|api| api.quirks.device_delay_ms = 60_000);
    assert_eq!(retire("d1").status, 204);
    let states = || desk.get(&format!("{path}/managedDevices")).each("/value", "managementState");
    assert_eq!(states(), ["retirePending"]);
    desk.wait(60_000 - 1);
    assert_eq!(states(), ["retirePending"]);
    desk.wait(1);
    assert_eq!(states(), [""; 0]);
    gone(&retire("d2"));
    assert_eq!(del(&desk, "/v1.0/oauth2PermissionGrants/g1").status, 204);
    gone(&del(&desk, "/v1.0/oauth2PermissionGrants/g1"));
    let invite = json!({ "recipients": [{ "objectId": bob }], "roles": ["write"] });
    assert_eq!(desk.send("POST", "/v1.0/drives/drive-1/items/root/invite", &invite).status, 200);
    let writers = desk.fake.with(|api| api.users[&ada].drive.clone().unwrap().1);
    assert_eq!(writers, [bob.clone()].into());
    refused(&desk.get(&format!("/v1.0/users/{bob}/drive")), 404, "itemNotFound", "drive");
    let boss = desk.send("PUT", &format!("{path}/manager/$ref"), &object(&bob));
    assert_eq!(boss.status, 204);
    let shown = desk.get(&format!("{path}?$expand=manager($select=id)")).body;
    assert_eq!(shown["manager"]["id"], bob.as_str());
    assert_eq!(del(&desk, &format!("{path}/manager/$ref")).status, 204);
    gone(&del(&desk, &format!("{path}/manager/$ref")));
    let app = "/v1.0/servicePrincipals/crm/appRoleAssignedTo";
    let body = json!({ "principalId": ada, "resourceId": "crm" });
    assert_eq!(desk.send("POST", app, &body).status, 201);
    bad(&desk.send("POST", app, &body), "already exists on the object");
}

#[test]
fn mailboxes_answer_or_are_not_there() {
    let desk = desk();
    let id = user(&desk, "ada");
    let path = format!("/v1.0/users/{id}/mailboxSettings");
    let reply = |status: &str| json!({ "automaticRepliesSetting": { "status": status, "externalReplyMessage": "Gone." } });
    let none = "MailboxNotEnabledForRESTAPI";
    refused(&desk.get(&path), 404, none, "inactive");
    refused(&desk.send("PATCH", &path, &reply("alwaysEnabled")), 404, none, "inactive");
    desk.fake.with(|api| {
        let mut user = api.users[&id].clone();
        user.mailbox = Some(None);
        api.put_user(&id, user);
    });
    let shown = || desk.get(&path).body["automaticRepliesSetting"].clone();
    assert_eq!(shown()["status"], "disabled");
    assert_eq!(desk.send("PATCH", &path, &reply("alwaysEnabled")).status, 200);
    assert_eq!(
        (shown()["status"].clone(), shown()["externalReplyMessage"].clone()),
        (json!("alwaysEnabled"), json!("Gone."))
    );
    assert_eq!(desk.send("PATCH", &path, &reply("disabled")).status, 200);
    assert_eq!(shown()["status"], "disabled");
}

#[test]
fn what_a_group_was_given_shows_with_its_members() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    desk.fake.with(|api| {
        let app = App {
            groups: [("a1".to_owned(), "group-sales".to_owned())].into(),
            roles: [("r1".to_owned(), "Editor".to_owned())].into(),
            ..App::default()
        };
        api.apps.insert("crm".into(), app);
        api.groups.get_mut("group-sales").unwrap().members.insert(ada.clone());
    });
    let given = |id: &str| desk.get(&format!("/v1.0/users/{id}/appRoleAssignments"));
    assert_eq!(given(&ada).each("/value", "principalType"), ["Group"]);
    assert_eq!(given(&bob).each("/value", "id"), [""; 0]);
    let app = "/v1.0/servicePrincipals/crm/appRoleAssignedTo";
    let body = |role: &str| json!({ "principalId": ada, "resourceId": "crm", "appRoleId": role });
    let none = "00000000-0000-0000-0000-000000000000";
    for role in [none, "r2"] {
        bad(&desk.send("POST", app, &body(role)), "was not found on application");
    }
    desk.fake.with(|api| api.quirks.unknown_references = true);
    bad(&desk.send("POST", app, &body("r1")), "Not a valid reference update");
    desk.fake.with(|api| api.quirks.unknown_references = false);
    assert_eq!(desk.send("POST", app, &body("r1")).status, 201);
    bad(&desk.send("POST", app, &body("r1")), "already exists on the object");
    assert_eq!(given(&ada).each("/value", "principalType").len(), 2);
    // Whoever takes the group's takes it from everybody in it.
    assert_eq!(del(&desk, &format!("{app}/a1")).status, 204);
    assert_eq!(given(&ada).each("/value", "appRoleId"), ["r1"]);
}

#[test]
fn the_default_method_goes_last() {
    let desk = desk();
    let ada = user(&desk, "ada");
    desk.fake.with(|api| {
        let mut user = api.users[&ada].clone();
        user.methods = [("m1", "fido2"), ("m2", "phone")]
            .map(|(id, kind)| (id.to_owned(), kind.to_owned()))
            .into();
        user.default_method = Some("m1".into());
        api.put_user(&ada, user);
    });
    let path = format!("/v1.0/users/{ada}/authentication");
    let key = format!("{path}/fido2Methods/m1");
    refused(&del(&desk, &key), 400, "badRequest", "Cannot delete default method");
    assert_eq!(del(&desk, &format!("{path}/phoneMethods/m2")).status, 204);
    assert_eq!(del(&desk, &key).status, 204);
}

#[test]
fn synced_users_refuse_what_is_not_the_clouds() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    desk.fake.with(|api| {
        let mut user = api.users[&ada].clone();
        user.body.insert("onPremisesSyncEnabled".into(), json!(true));
        api.put_user(&ada, user);
    });
    let path = format!("/v1.0/users/{ada}");
    let words = "on-premises mastered Directory Sync objects";
    bad(&desk.send("PATCH", &path, &json!({ "accountEnabled": false })), words);
    bad(&desk.send("PUT", &format!("{path}/manager/$ref"), &object(&bob)), words);
    bad(&del(&desk, &format!("{path}/manager/$ref")), words);
}

#[test]
fn a_feed_tells_changes_of_what_was_selected() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let latest = desk.get("/v1.0/users/delta()?$deltatoken=latest&$select=jobTitle,department");
    let link = latest.body["@odata.deltaLink"].as_str().unwrap().to_owned();
    let path = format!("/v1.0/users/{ada}");
    desk.send("PATCH", &path, &json!({ "city": "Berlin" }));
    assert_eq!(desk.get(&link).each("/value", "id"), [""; 0]);
    desk.send("PATCH", &path, &json!({ "department": "Board" }));
    assert_eq!(desk.get(&link).each("/value", "department"), ["Board"]);
}

#[test]
fn a_tenant_may_lack_services_and_say_no() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let path = format!("/v1.0/users/{ada}");
    for (service, what) in [(Service::SharePoint, "drive"), (Service::Intune, "managedDevices")] {
        desk.fake.with(|api| api.quirks.lacks = Some(service));
        assert_eq!(desk.get(&format!("{path}/{what}")).status, 400);
    }
    let end = || desk.send("POST", &format!("{path}/revokeSignInSessions"), &Value::Null);
    let from = || desk.get(&format!("{path}?$select=signInSessionsValidFromDateTime")).body;
    desk.fake.with(|api| api.quirks.keeps_sessions = true);
    assert_eq!(end().body["value"], false);
    assert_eq!(from()["signInSessionsValidFromDateTime"], Value::Null);
    desk.fake.with(|api| api.quirks.keeps_sessions = false);
    assert_eq!(end().body["value"], true);
    assert_ne!(from()["signInSessionsValidFromDateTime"], Value::Null);
    // In a batch, too, and once each.
    desk.fake.with(|api| api.refusals = vec![("memberOf".into(), 429, Some("2.128".into()))]);
    let part = json!({ "id": "1", "method": "GET", "url": format!("/users/{ada}/memberOf") });
    let batch = || desk.send("POST", "/v1.0/$batch", &json!({ "requests": [part] }));
    assert_eq!(batch().body["responses"][0]["headers"]["Retry-After"], "2.128");
    assert_eq!(batch().each("/responses", "status"), ["200"]);
}
