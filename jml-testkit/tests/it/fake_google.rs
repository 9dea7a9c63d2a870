//! The fake of Google Workspace, asked without a connector: tokens, pages, users and what they sign in with.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use jml_testkit::fake::google::{Google, SCOPE};
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::fakes::{Answer, Desk, signed, start};

pub(crate) const USERS: &str = "/admin/directory/v1/users";
const ALL: &str = "/admin/directory/v1/users?customer=my_customer";

/// A customer, asked with a token that is good for everything.
pub(crate) fn desk() -> Desk<Google> {
    let mut api = Google::new("admin@corp.test", "robot@corp.test", &[], &["engineers", "sales"]);
    api.static_tokens.insert("all".into(), "admin@corp.test".into());
    Desk::new(api, "Bearer all")
}

pub(crate) fn user(desk: &Desk<Google>, name: &str) -> String {
    let body = json!({ "primaryEmail": format!("{name}@corp.test"),
                       "name": { "givenName": "F", "familyName": "L" } });
    let profile = body.as_object().unwrap().clone();
    desk.fake.with(|api| api.add_user(profile, desk.now()))
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, reason: &str, words: &str) {
    let error = &answer.body["error"]["errors"][0];
    assert_eq!((answer.status, error["reason"].as_str()), (status, Some(reason)), "{answer:?}");
    assert!(error["message"].as_str().unwrap().contains(words), "{answer:?}");
}

pub(crate) fn gone(answer: &Answer, key: &str) {
    refused(answer, 404, "notFound", &format!("Resource Not Found: {key}"));
}

pub(crate) fn invalid(answer: &Answer) {
    refused(answer, 400, "invalid", "");
}

pub(crate) fn del(desk: &Desk<Google>, target: &str) -> Answer {
    desk.send("DELETE", target, &Value::Null)
}

pub(crate) fn post(desk: &Desk<Google>, target: &str) -> u16 {
    desk.send("POST", target, &Value::Null).status
}

fn put(desk: &Desk<Google>, id: &str, body: &Value) -> Answer {
    desk.send("PUT", &format!("{USERS}/{id}"), body)
}

/// Asks for a token for somebody, with these scopes.
fn token(desk: &Desk<Google>, subject: &str, scopes: &[&str]) -> Answer {
    let scopes: Vec<String> = scopes.iter().map(|it| format!("{SCOPE}{it}")).collect();
    let claims = json!({ "iss": "robot@corp.test", "sub": subject, "scope": scopes.join(" ") });
    asked(desk, &claims, "https://oauth2.googleapis.com/token")
}

fn asked(desk: &Desk<Google>, claims: &Value, audience: &str) -> Answer {
    let mut claims = claims.clone();
    let at = desk.now().timestamp();
    (claims["aud"], claims["iat"], claims["exp"]) = (json!(audience), json!(at), json!(at + 300));
    let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    desk.form("/token", &[("grant_type", kind), ("assertion", &signed(&claims))])
}

/// A desk with a token for somebody, of a service account that has these scopes.
fn service(subject: &str, scopes: &[&str]) -> Desk<Google> {
    let mut desk = desk();
    let given = scopes.iter().map(|it| format!("{SCOPE}{it}")).collect();
    desk.fake.with(|api| api.delegations.insert("robot@corp.test".into(), given));
    user(&desk, "ada");
    let answer = token(&desk, subject, scopes);
    assert_eq!((answer.status, &answer.body["expires_in"]), (200, &json!(3600)));
    desk.authorization = format!("Bearer {}", answer.body["access_token"].as_str().unwrap());
    desk
}

#[test]
fn errors_have_their_form() {
    let mut desk = desk();
    let answer = desk.get(&format!("{USERS}/nobody"));
    let text = "Resource Not Found: userKey";
    let one = json!({ "domain": "global", "reason": "notFound", "message": text });
    let whole = json!({ "error": { "code": 404, "message": text, "errors": [one] } });
    assert_eq!((answer.status, &answer.body), (404, &whole));
    assert_eq!(answer.header("vary"), Some("Origin"));
    refused(&desk.get("/admin/directory/v1/nothing"), 404, "notFound", "Not Found");
    refused(&desk.ask("POST", USERS, &[], b"{".to_vec()), 400, "parseError", "Parse");
    for wrong in ["", "Bearer guess", "Basic all"] {
        wrong.clone_into(&mut desk.authorization);
        refused(&desk.get(ALL), 401, "authError", "Invalid Credentials");
    }
}

#[test]
fn one_scope_too_many_fails_the_whole_token() {
    let desk = service("admin@corp.test", &["admin.directory.user.readonly"]);
    let error = |answer: &Answer| (answer.status, answer.body["error"].as_str().map(str::to_owned));
    let says = |status: u16, code: &str| (status, Some(code.to_owned()));
    let (reads, writes) = ("admin.directory.user.readonly", "admin.directory.user");
    let more = token(&desk, "admin@corp.test", &[reads, writes]);
    assert_eq!(error(&more), says(401, "unauthorized_client"));
    let nobody = token(&desk, "nobody@corp.test", &[reads]);
    assert_eq!(error(&nobody), says(400, "invalid_grant"));
    let scope = format!("{SCOPE}{reads}");
    let good = json!({ "iss": "robot@corp.test", "sub": "admin@corp.test", "scope": scope });
    let place = "https://oauth2.googleapis.com/token";
    assert_eq!(asked(&desk, &good, place).status, 200);
    let elsewhere = asked(&desk, &good, "https://oauth2.googleapis.com/");
    assert_eq!(error(&elsewhere), says(400, "invalid_grant"));
    let mut other = good;
    other["iss"] = json!("other@corp.test");
    assert_eq!(error(&asked(&desk, &other, place)), says(400, "invalid_grant"));
    let kind = [("grant_type", "client_credentials"), ("assertion", "x")];
    assert_eq!(error(&desk.form("/token", &kind)), says(400, "unsupported_grant_type"));
}

#[test]
fn a_token_carries_scopes_and_lives_for_an_hour() {
    let reads = ["admin.directory.user.readonly", "admin.directory.group.member"];
    let desk = service("admin@corp.test", &reads);
    assert_eq!(desk.get(ALL).status, 200);
    let answer = put(&desk, "ada@corp.test", &json!({ "suspended": true }));
    refused(&answer, 403, "insufficientPermissions", "scopes");
    assert!(!desk.fake.with(|api| api.users.values().any(|it| it.suspended)));
    for path in ["tokens", "asps", "verificationCodes"] {
        let answer = desk.get(&format!("{USERS}/ada@corp.test/{path}"));
        refused(&answer, 403, "insufficientPermissions", "scopes");
    }
    let sku = "/apps/licensing/v1/product/p/sku/s/users?customerId=C01";
    refused(&desk.get(sku), 403, "insufficientPermissions", "scopes");
    let reports = "/admin/reports/v1/activity/users/all/applications/admin";
    refused(&desk.get(reports), 403, "insufficientPermissions", "scopes");
    // Members may be read and written with this one, groups may not be listed.
    let members = "/admin/directory/v1/groups/0sales/members";
    assert_eq!(desk.send("POST", members, &json!({ "email": "ada@corp.test" })).status, 200);
    assert_eq!(desk.get(members).each("/members", "role"), ["MEMBER"]);
    let groups = desk.get("/admin/directory/v1/groups?customer=my_customer");
    refused(&groups, 403, "insufficientPermissions", "scopes");
    desk.wait(3_600_000 - 1);
    assert_eq!(desk.get(ALL).status, 200);
    desk.wait(1);
    refused(&desk.get(ALL), 401, "authError", "Invalid Credentials");
}

#[test]
fn directory_calls_need_an_administrator() {
    let desk = service("ada@corp.test", &["admin.directory.user", "gmail.settings.basic"]);
    refused(&desk.get(ALL), 403, "forbidden", "Not Authorized");
    let settings = "/gmail/v1/users/me/settings";
    assert_eq!(desk.get(&format!("{settings}/vacation")).status, 200);
    // What makes mail go elsewhere has a scope of its own.
    for path in ["autoForwarding", "forwardingAddresses", "delegates"] {
        assert_eq!(desk.get(&format!("{settings}/{path}")).status, 200);
        let answer = desk.send("PUT", &format!("{settings}/{path}"), &json!({}));
        refused(&answer, 403, "insufficientPermissions", "scopes");
    }
}

#[test]
fn a_throttle_is_a_403_that_names_no_wait() {
    let desk = service("admin@corp.test", &["admin.directory.user"]);
    for reason in ["userRateLimitExceeded", "quotaExceeded"] {
        desk.fake.with(|api| api.quirks.throttle = Some((2, reason.into())));
        let answer = desk.get(ALL);
        refused(&answer, 403, reason, "Quota exceeded");
        assert_eq!(answer.header("retry-after"), None);
        let block = json!({ "suspended": true });
        refused(&put(&desk, "ada@corp.test", &block), 403, reason, "");
        assert!(!desk.fake.with(|api| api.users.values().any(|it| it.suspended)));
        assert_eq!(desk.get(ALL).status, 200);
    }
}

#[test]
fn an_empty_list_has_no_rows_and_a_large_page_is_refused() {
    let desk = desk();
    let members =
        |answer: &Answer| answer.body.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    assert_eq!(members(&desk.get(ALL)), ["etag", "kind"]);
    for name in ["ada", "bob", "cyd"] {
        user(&desk, name);
    }
    let first = desk.get(&format!("{ALL}&maxResults=2"));
    assert_eq!(first.each("/users", "primaryEmail"), ["ada@corp.test", "bob@corp.test"]);
    let next = first.body["nextPageToken"].as_str().unwrap();
    let second = desk.get(&format!("{ALL}&maxResults=2&pageToken={next}"));
    assert_eq!(second.each("/users", "primaryEmail"), ["cyd@corp.test"]);
    assert_eq!(second.body["nextPageToken"], Value::Null);
    invalid(&desk.get(&format!("{ALL}&pageToken=guess")));
    refused(&desk.get(USERS), 400, "badRequest", "");
    refused(&desk.get(&format!("{USERS}?customer=C02")), 400, "badRequest", "");
    let (skus, reports) = (
        "/apps/licensing/v1/product/p/sku/s/users?customerId=C01",
        "/admin/reports/v1/activity/users/all/applications/admin?x=",
    );
    desk.fake.with(|api| api.add_sku("p", "s", "S", None));
    let groups = "/admin/directory/v1/groups?customer=my_customer";
    for (list, most) in [(ALL, 500), (groups, 200), (skus, 1_000), (reports, 1_000)] {
        assert_eq!(desk.get(&format!("{list}&maxResults={most}")).status, 200, "{list}");
        invalid(&desk.get(&format!("{list}&maxResults={}", most + 1)));
        invalid(&desk.get(&format!("{list}&maxResults=0")));
    }
    for n in 0..98 {
        user(&desk, &format!("u{n}"));
    }
    let first = desk.get(ALL);
    assert_eq!(first.each("/users", "id").len(), 100);
    assert!(first.body["nextPageToken"].is_string());
}

#[test]
fn pages_can_be_strange() {
    let strange = |quirk: Option<Quirk>, rows: Option<usize>| {
        let desk = desk();
        for name in ["ada", "bob", "cyd"] {
            user(&desk, name);
        }
        desk.fake.with(|api| {
            api.quirks.page_rows = rows;
            quirk.is_none_or(|it| api.quirk(it))
        });
        let page = |token: &str| {
            let answer = desk.get(&format!("{ALL}&maxResults=2{token}"));
            let next = answer.body["nextPageToken"].as_str().map(str::to_owned);
            (answer.each("/users", "id").len(), next)
        };
        let (first, next) = page("");
        let next = next.unwrap();
        let (second, after) = page(&format!("&pageToken={next}"));
        (first, second, next, after)
    };
    let (first, second, ..) = strange(Some(Quirk::EmptyFirstPage), None);
    assert_eq!((first, second), (0, 2));
    let (first, second, next, _) = strange(Some(Quirk::ForeignNextLink), None);
    assert!(next.starts_with("https://evil.example/"));
    assert_eq!((first, second), (2, 1), "it is a token, and not an address");
    let (first, second, next, after) = strange(Some(Quirk::RepeatedCursor), Some(1));
    assert_eq!((first, second, after), (1, 1, Some(next)));
}

#[test]
fn users_are_made() {
    let desk = desk();
    let good = json!({ "primaryEmail": "ada@corp.test", "password": "12345678", "suspended": true,
                       "name": { "givenName": "Ada", "familyName": "L" }, "isAdmin": true });
    for (pointer, wrong) in [
        ("/primaryEmail", ""),
        ("/primaryEmail", "ada"),
        ("/name/givenName", ""),
        ("/name/familyName", ""),
        ("/password", ""),
        ("/password", "1234567"),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = json!(wrong);
        invalid(&desk.send("POST", USERS, &body));
    }
    let made = desk.send("POST", USERS, &good);
    assert_eq!((made.status, &made.body["suspended"]), (200, &json!(true)));
    assert_eq!((&made.body["password"], &made.body["isAdmin"]), (&Value::Null, &json!(false)));
    let shown = desk.get(&format!("{USERS}/ada@corp.test")).body;
    assert_eq!(shown, made.body);
    for taken in ["ADA@corp.test", "sales@corp.test"] {
        let mut body = good.clone();
        body["primaryEmail"] = json!(taken);
        refused(&desk.send("POST", USERS, &body), 409, "duplicate", "exists");
    }
    assert_eq!(desk.fake.with(|api| (api.made, api.users.len())), (1, 1));
}

#[test]
fn an_unmanaged_account_is_invited_and_not_made() {
    let desk = desk();
    desk.fake.with(|api| api.unmanaged.insert("ada@corp.test".into()));
    let body = json!({ "primaryEmail": "ada@corp.test", "password": "12345678",
                       "name": { "givenName": "Ada", "familyName": "L" } });
    refused(&desk.send("POST", USERS, &body), 409, "duplicate", "");
    let invited = desk.send("POST", &format!("{USERS}?resolveConflictAccount=true"), &body);
    assert_eq!((invited.status, &invited.body["id"]), (202, &Value::Null));
    gone(&desk.get(&format!("{USERS}/ada@corp.test")), "userKey");
    let bob = user(&desk, "bob");
    let rename = put(&desk, &bob, &json!({ "primaryEmail": "ada@corp.test" }));
    refused(&rename, 409, "duplicate", "");
    assert_eq!(desk.fake.with(|api| (api.made, api.users.len())), (0, 1));
}

#[test]
fn who_was_just_made_refuses_changes() {
    let desk = desk();
    desk.fake.with(|api| api.quirks.creation_ms = 10_000);
    let id = user(&desk, "ada");
    let path = format!("{USERS}/{id}");
    desk.wait(9_999);
    let words = "User creation is not complete";
    refused(&put(&desk, &id, &json!({ "suspended": true })), 412, "conditionNotMet", words);
    refused(&del(&desk, &path), 412, "conditionNotMet", words);
    assert_eq!(desk.get(&path).body["suspended"], false);
    desk.wait(1);
    assert_eq!(put(&desk, &id, &json!({ "suspended": true })).status, 200);
}

#[test]
fn a_put_changes_what_it_names() {
    let desk = desk();
    let id = user(&desk, "ada");
    let orgs = json!([{ "title": "Engineer", "department": "R" }]);
    let body = json!({ "name": { "familyName": "King" }, "organizations": orgs, "recoveryEmail": "a@b.test" });
    let shown = put(&desk, &id, &body).body;
    assert_eq!(shown["name"], json!({ "givenName": "F", "familyName": "King" }));
    assert_eq!((&shown["organizations"], &shown["suspended"]), (&orgs, &json!(false)));
    // A list is replaced whole; nothing, an empty text and an empty list clear.
    let orgs = json!([{ "title": "Lead" }]);
    let shown = put(&desk, &id, &json!({ "organizations": orgs, "recoveryEmail": "" })).body;
    assert_eq!((&shown["organizations"], &shown["recoveryEmail"]), (&orgs, &Value::Null));
    for clear in [json!([]), Value::Null] {
        put(&desk, &id, &json!({ "organizations": orgs }));
        let shown = put(&desk, &id, &json!({ "organizations": clear })).body;
        assert_eq!(shown["organizations"], Value::Null);
    }
    invalid(&put(&desk, &id, &json!({ "phones": "555" })));
    invalid(&put(&desk, &id, &json!({ "phones": [{ "value": "5".repeat(2_048) }] })));
    // What the directory decides is not written.
    let shown = put(&desk, &id, &json!({ "isAdmin": true, "id": "1" })).body;
    assert_eq!((&shown["isAdmin"], &shown["id"]), (&json!(false), &json!(id)));
    gone(&put(&desk, "nobody", &json!({})), "userKey");
}

#[test]
fn a_new_address_leaves_the_old_one_as_an_alias() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    let to = |id: &str, email: &str| put(&desk, id, &json!({ "primaryEmail": email }));
    assert_eq!(to(&ada, "ada.king@corp.test").body["aliases"], json!(["ada@corp.test"]));
    assert_eq!(desk.get(&format!("{USERS}/ada@corp.test")).body["id"], ada.as_str());
    for taken in ["ada@corp.test", "ADA.KING@corp.test", "sales@corp.test"] {
        refused(&to(&bob, taken), 409, "duplicate", "");
    }
    invalid(&to(&bob, "bob"));
    // The owner may have it back.
    let back = to(&ada, "ada@corp.test");
    assert_eq!(back.body["aliases"], json!(["ada.king@corp.test"]));
    let aliases = format!("{USERS}/{ada}/aliases");
    assert_eq!(desk.get(&aliases).each("/aliases", "alias"), ["ada.king@corp.test"]);
    let alias = format!("{aliases}/ada.king@corp.test");
    assert_eq!(del(&desk, &alias).status, 204);
    gone(&del(&desk, &alias), "alias");
    gone(&desk.get(&format!("{USERS}/ada.king@corp.test")), "userKey");
    assert_eq!(to(&bob, "ada.king@corp.test").status, 200);
}

#[test]
fn the_deleted_can_come_back_for_twenty_days() {
    let desk = desk();
    let id = user(&desk, "ada");
    desk.fake.with(|api| {
        api.groups.get_mut("0sales").unwrap().members.insert(id.clone(), "MEMBER".into());
        api.users.get_mut(&id).unwrap().files.insert("budget".into());
    });
    let (path, deleted) = (format!("{USERS}/{id}"), format!("{ALL}&showDeleted=true"));
    assert_eq!(desk.get(&deleted).each("/users", "id"), [""; 0]);
    let at = desk.now();
    assert_eq!(del(&desk, &path).status, 204);
    assert_eq!(desk.get(ALL).each("/users", "id"), [""; 0]);
    let shown = desk.get(&deleted).body["users"][0].clone();
    let when = shown["deletionTime"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>();
    assert_eq!((shown["id"].as_str(), when.unwrap()), (Some(id.as_str()), at));
    // By id and by address, and not 404.
    for key in [&id, "ada@corp.test"] {
        let words = "Type not supported: userKey";
        refused(&desk.get(&format!("{USERS}/{key}")), 400, "badRequest", words);
        refused(&del(&desk, &format!("{USERS}/{key}")), 400, "badRequest", words);
    }
    // While the address is somebody else's, it does not come back, and stays where it is.
    let other = user(&desk, "ada");
    refused(&desk.send("POST", &format!("{path}/undelete"), &Value::Null), 409, "duplicate", "");
    assert_eq!(desk.get(&deleted).each("/users", "id"), [id.as_str()]);
    desk.fake.with(|api| api.users.remove(&other));
    assert_eq!(post(&desk, &format!("{path}/undelete")), 204);
    assert_eq!(desk.get(&path).status, 200);
    // What it lost is lost.
    assert!(desk.fake.with(|api| api.users[&id].files.is_empty()));
    assert!(desk.fake.with(|api| api.groups["0sales"].members.is_empty()));
    assert_eq!(del(&desk, &path).status, 204);
    desk.wait(20 * 86_400_000 - 1);
    assert_eq!(desk.get(&deleted).each("/users", "id"), [id.as_str()]);
    desk.wait(1);
    assert_eq!(desk.get(&deleted).each("/users", "id"), [""; 0]);
    gone(&desk.send("POST", &format!("{path}/undelete"), &Value::Null), "userKey");
    gone(&desk.get(&path), "userKey");
}

#[test]
fn a_search_is_behind_and_a_listing_is_not() {
    for (lag, found) in [(0, 1), (5_000, 0)] {
        let desk = desk();
        desk.fake.with(|api| api.quirks.search_lag_ms = lag);
        let id = user(&desk, "ada");
        put(&desk, &id, &json!({ "externalIds": [{ "value": "E 1", "type": "organization" }] }));
        let count = |query: &str| desk.get(&format!("{ALL}{query}")).each("/users", "id").len();
        for query in ["&query=email=ada@corp.test", "&query=externalId='E%201'"] {
            assert_eq!((count(query), count("")), (found, 1), "{query}");
        }
        desk.wait(lag);
        assert_eq!(count("&query=externalId='E%201'"), 1);
        assert_eq!(count("&query=externalId='E'"), 0);
        invalid(&desk.get(&format!("{ALL}&query=what")));
        invalid(&desk.get(&format!("{ALL}&query=externalId=E%201")));
    }
}

#[test]
fn the_suspended_and_the_archived() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    desk.fake.with(|api| {
        api.archive_seats = Some(1);
        for user in api.users.values_mut() {
            (user.sessions, user.codes) = (2, 10);
            user.tokens.insert("crm".into());
        }
    });
    let shown = put(&desk, &ada, &json!({ "suspended": true })).body;
    assert_eq!((&shown["suspended"], &shown["suspensionReason"]), (&json!(true), &json!("ADMIN")));
    assert_eq!(desk.fake.with(|api| api.users[&ada].sessions), 0);
    let codes = format!("{USERS}/{ada}/verificationCodes");
    for answer in [
        desk.get(&codes),
        desk.send("POST", &format!("{codes}/invalidate"), &Value::Null),
        desk.send("POST", &format!("{codes}/generate"), &Value::Null),
    ] {
        refused(&answer, 400, "invalid", "User is suspended");
    }
    assert_eq!(desk.fake.with(|api| api.users[&ada].codes), 10);
    // Its tokens can be taken still.
    assert_eq!(del(&desk, &format!("{USERS}/{ada}/tokens/crm")).status, 204);
    let archive = json!({ "archived": true });
    assert_eq!(put(&desk, &ada, &archive).body["archived"], true);
    assert_eq!(put(&desk, &ada, &archive).status, 200, "it has its seat");
    let full = put(&desk, &bob, &archive);
    refused(&full, 412, "insufficientArchivedUserLicenses", "");
    assert_eq!(desk.get(&format!("{USERS}/{bob}")).body["archived"], false);
    put(&desk, &ada, &json!({ "archived": false }));
    assert_eq!(put(&desk, &bob, &archive).status, 200);
}

#[test]
fn credentials_are_listed_and_taken() {
    let desk = desk();
    let id = user(&desk, "ada");
    let path = |what: &str| format!("{USERS}/{id}/{what}");
    for list in ["tokens", "asps", "verificationCodes"] {
        assert!(desk.get(&path(list)).body.as_object().unwrap().get("items").is_none());
    }
    desk.fake.with(|api| {
        let user = api.users.get_mut(&id).unwrap();
        (user.tokens, user.asps) = (["crm".to_owned()].into(), [7].into());
        (user.sessions, user.enrolled) = (2, true);
    });
    assert_eq!(post(&desk, &path("verificationCodes/generate")), 204);
    assert_eq!(desk.get(&path("verificationCodes")).each("/items", "userId").len(), 10);
    assert_eq!(post(&desk, &path("verificationCodes/invalidate")), 204);
    assert!(desk.get(&path("verificationCodes")).body["items"].is_null());
    for (one, list, member, key) in
        [("tokens/crm", "tokens", "clientId", "crm"), ("asps/7", "asps", "codeId", "7")]
    {
        assert_eq!(desk.get(&path(list)).each("/items", member), [key]);
        assert_eq!(del(&desk, &path(one)).status, 204);
        gone(&del(&desk, &path(one)), member);
    }
    assert_eq!(post(&desk, &path("signOut")), 204);
    assert_eq!(desk.fake.with(|api| api.users[&id].sessions), 0);
    let off = || desk.send("POST", &path("twoStepVerification/turnOff"), &Value::Null);
    desk.fake.with(|api| api.quirks.enforces_2sv = true);
    refused(&off(), 400, "invalid", "required by admin policy");
    assert_eq!(desk.get(&format!("{USERS}/{id}")).body["isEnrolledIn2Sv"], true);
    desk.fake.with(|api| api.quirks.enforces_2sv = false);
    assert_eq!(off().status, 204);
    refused(&off(), 400, "invalid", "not enrolled");
}

#[test]
fn somebody_of_another_company_is_not_found_or_forbidden() {
    let desk = desk();
    let other = format!("{USERS}/ada@elsewhere.test");
    gone(&desk.get(&other), "userKey");
    desk.fake.with(|api| api.quirks.foreign_is_403 = true);
    refused(&desk.get(&other), 403, "forbidden", "Not Authorized");
    gone(&desk.get(&format!("{USERS}/ada@corp.test")), "userKey");
    assert_eq!(desk.now(), start());
}

/// A token that a test brought itself is slowed down as any other.
#[test]
fn a_throttle_is_for_everybody() {
    let desk = desk();
    desk.fake.with(|api| api.quirks.throttle = Some((1, "quotaExceeded".into())));
    refused(&desk.get(ALL), 403, "quotaExceeded", "");
    assert_eq!(desk.get(ALL).status, 200);
}

/// The token of a next page is good for three days.
#[test]
fn a_page_token_expires() {
    let desk = desk();
    for name in ["ada", "bob", "cyd"] {
        user(&desk, name);
    }
    let first = desk.get(&format!("{ALL}&maxResults=2"));
    let next = first.body["nextPageToken"].as_str().unwrap().to_owned();
    let second = format!("{ALL}&maxResults=2&pageToken={next}");
    desk.wait(3 * 86_400_000);
    assert_eq!(desk.get(&second).each("/users", "primaryEmail"), ["cyd@corp.test"]);
    desk.wait(1_000);
    invalid(&desk.get(&second));
}
