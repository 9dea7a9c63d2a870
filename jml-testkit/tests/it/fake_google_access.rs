//! The fake of Google Workspace, asked without a connector: groups, roles, licences, devices, transfers, mail,
//! the audit log.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use chrono::{DateTime, TimeDelta, Utc};
use jml_testkit::fake::google::{Device, Google};
use serde_json::{Value, json};

use crate::fake_google::{USERS, del, desk, gone, invalid, post, refused, user};
use crate::fakes::{Answer, Desk};

const SALES: &str = "/admin/directory/v1/groups/sales@corp.test/members";
const ROLES: &str = "/admin/directory/v1/customer/my_customer/roleassignments";
const SKU: &str = "/apps/licensing/v1/product/p/sku/s";
const MOBILE: &str = "/admin/directory/v1/customer/my_customer/devices/mobile";
const TRANSFERS: &str = "/admin/datatransfer/v1/transfers";
const REPORTS: &str = "/admin/reports/v1/activity/users/all/applications/admin";

#[test]
fn a_member_twice_and_a_member_who_is_nobody() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let add = |body: &Value| desk.send("POST", SALES, body);
    let body = json!({ "email": "ada@corp.test" });
    // An id alone is no address.
    refused(&add(&json!({ "id": ada })), 400, "required", "email");
    invalid(&add(&json!({ "email": "ada@corp.test", "role": "EMPEROR" })));
    assert_eq!(add(&body).body["role"], "MEMBER");
    refused(&add(&body), 409, "duplicate", "Member already exists");
    // Whoever is in it in another role is in it.
    let owner = json!({ "email": "ada@corp.test", "role": "OWNER" });
    refused(&add(&owner), 409, "duplicate", "Member already exists");
    let member = format!("{SALES}/{ada}");
    assert_eq!(desk.get(&member).body["role"], "MEMBER");
    assert_eq!(desk.send("PATCH", &member, &json!({ "role": "OWNER" })).body["role"], "OWNER");
    assert_eq!(desk.get(SALES).each("/members", "id"), [ada.as_str()]);
    assert_eq!(del(&desk, &member).status, 204);
    gone(&del(&desk, &member), "memberKey");
    let nobody = json!({ "email": "nobody@corp.test" });
    let takes = format!("{SALES}/nobody@corp.test");
    gone(&add(&nobody), "memberKey");
    gone(&del(&desk, &takes), "memberKey");
    desk.fake.with(|api| api.quirks.unknown_member_is_400 = true);
    refused(&add(&nobody), 400, "required", "memberKey");
    refused(&del(&desk, &takes), 400, "required", "memberKey");
    let none = "/admin/directory/v1/groups/none@corp.test/members";
    gone(&desk.send("POST", none, &body), "groupKey");
}

#[test]
fn groups_are_listed_by_customer_or_by_user() {
    let desk = desk();
    let ada = user(&desk, "ada");
    desk.send("POST", SALES, &json!({ "email": "ada@corp.test" }));
    let groups = "/admin/directory/v1/groups";
    let all = desk.get(&format!("{groups}?customer=my_customer"));
    assert_eq!(all.each("/groups", "directMembersCount"), ["0", "1"]);
    for key in [ada.as_str(), "ada@corp.test"] {
        let held = desk.get(&format!("{groups}?userKey={key}"));
        assert_eq!(held.each("/groups", "email"), ["sales@corp.test"]);
    }
    refused(&desk.get(groups), 400, "badRequest", "");
    gone(&desk.get(&format!("{groups}?userKey=nobody")), "userKey");
    for (group, has) in [("sales", true), ("engineers", false)] {
        let answer = desk.get(&format!("{groups}/{group}@corp.test/hasMember/{ada}"));
        assert_eq!(answer.body, json!({ "isMember": has }));
    }
    let status = || desk.get(SALES).each("/members", "status");
    assert_eq!(status(), ["ACTIVE"]);
    desk.send("PUT", &format!("{USERS}/{ada}"), &json!({ "suspended": true }));
    assert_eq!(status(), ["SUSPENDED"], "the membership outlives it");
}

#[test]
fn roles_are_given_by_id_and_once() {
    let desk = desk();
    let ada = user(&desk, "ada");
    desk.fake.with(|api| api.roles.insert("77".into(), "_HELP_DESK_ADMIN_ROLE".into()));
    let give = |role: &str, to: &str| {
        desk.send(
            "POST",
            ROLES,
            &json!({ "roleId": role, "assignedTo": to, "scopeType": "CUSTOMER" }),
        )
    };
    gone(&give("78", &ada), "roleId");
    gone(&give("77", "ada@corp.test"), "assignedTo");
    let made = give("77", &ada);
    assert_eq!((made.status, &made.body["assignedTo"]), (200, &json!(ada)));
    refused(&give("77", &ada), 409, "duplicate", "");
    let id = made.body["roleAssignmentId"].as_str().unwrap();
    let held =
        |query: &str| desk.get(&format!("{ROLES}{query}")).each("/items", "roleAssignmentId");
    for query in ["", "?userKey=ada@corp.test", "?roleId=77"] {
        assert_eq!(held(query), [id], "{query}");
    }
    assert_eq!(held("?roleId=78"), [""; 0]);
    gone(&desk.get(&format!("{ROLES}?userKey=nobody")), "userKey");
    assert_eq!(del(&desk, &format!("{ROLES}/{id}")).status, 204);
    gone(&del(&desk, &format!("{ROLES}/{id}")), "roleAssignmentId");
    // For a unit, it is another assignment than for all.
    let part =
        json!({ "roleId": "77", "assignedTo": ada, "scopeType": "ORG_UNIT", "orgUnitId": "u" });
    assert_eq!(desk.send("POST", ROLES, &part).body["orgUnitId"], "u");
    refused(&desk.send("POST", ROLES, &part), 409, "duplicate", "");
    let neither = json!({ "roleId": "77", "assignedTo": ada, "scopeType": "ORG_UNIT" });
    invalid(&desk.send("POST", ROLES, &neither));
    // Whoever is deleted has none.
    assert_eq!(give("77", &ada).status, 200);
    del(&desk, &format!("{USERS}/{ada}"));
    assert_eq!(held(""), [""; 0]);
}

#[test]
fn licences_have_seats() {
    let desk = desk();
    let (ada, _bob) = (user(&desk, "ada"), user(&desk, "bob"));
    desk.fake.with(|api| api.add_sku("p", "s", "Business", Some(1)));
    let give = |email: &str| desk.send("POST", &format!("{SKU}/user"), &json!({ "userId": email }));
    let given = give("ada@corp.test");
    assert_eq!((given.status, &given.body["skuName"]), (200, &json!("Business")));
    refused(&give("ada@corp.test"), 412, "conditionNotMet", "already has a license");
    refused(&give("bob@corp.test"), 412, "conditionNotMet", "enough available licenses");
    refused(&give("nobody@corp.test"), 404, "notFound", "User not found");
    let other = desk.send("POST", "/apps/licensing/v1/product/p/sku/t/user", &json!({}));
    refused(&other, 404, "notFound", "combination");
    let listed = || desk.get(&format!("{SKU}/users?customerId=C01")).each("/items", "userId");
    assert_eq!(listed(), ["ada@corp.test"]);
    invalid(&desk.get(&format!("{SKU}/users")));
    // It is the user's, and not the address's.
    let rename = json!({ "primaryEmail": "ada.king@corp.test" });
    desk.send("PUT", &format!("{USERS}/{ada}"), &rename);
    assert_eq!(listed(), ["ada.king@corp.test"]);
    let one = format!("{SKU}/user/ada@corp.test");
    assert_eq!(desk.get(&one).status, 200);
    let taken = del(&desk, &one);
    assert_eq!((taken.status, taken.body), (200, json!({})));
    for answer in [del(&desk, &one), desk.get(&one)] {
        refused(&answer, 404, "notFound", "License assignment not found");
    }
    // A deletion gives the seat back.
    assert_eq!(give("ada@corp.test").status, 200);
    del(&desk, &format!("{USERS}/{ada}"));
    assert_eq!(give("bob@corp.test").status, 200);
}

#[test]
fn devices_are_wiped_by_an_action() {
    let desk = desk();
    let device =
        |email: &str| Device { emails: [email.to_owned()].into(), status: "APPROVED".into() };
    desk.fake.with(|api| {
        let of = [("m1", "ada@corp.test"), ("m2", "bob@corp.test")];
        api.devices = of.map(|(id, email)| (id.to_owned(), device(email))).into();
    });
    let found =
        |query: &str| desk.get(&format!("{MOBILE}{query}")).each("/mobiledevices", "resourceId");
    assert_eq!(found(""), ["m1", "m2"]);
    assert_eq!(found("?query=email:ada@corp.test"), ["m1"]);
    invalid(&desk.get(&format!("{MOBILE}?query=ada@corp.test")));
    let act =
        |what: &str| desk.send("POST", &format!("{MOBILE}/m1/action"), &json!({ "action": what }));
    for (what, status) in [
        ("block", "BLOCKED"),
        ("approve", "APPROVED"),
        ("admin_account_wipe", "ACCOUNT_WIPED"),
        ("admin_remote_wipe", "WIPED"),
    ] {
        assert_eq!(act(what).status, 204);
        assert_eq!(desk.get(&format!("{MOBILE}/m1")).body["status"], status);
    }
    invalid(&act("explode"));
    assert_eq!(del(&desk, &format!("{MOBILE}/m1")).status, 204);
    gone(&del(&desk, &format!("{MOBILE}/m1")), "resourceId");
    assert_eq!(found(""), ["m2"]);
}

/// A transfer of everything in Drive.
fn transfer(desk: &Desk<Google>, from: &str, to: &str) -> Answer {
    let drive = json!([{ "applicationId": "55656082996",
                         "applicationTransferParams": [{ "key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"] }] }]);
    let body =
        json!({ "oldOwnerUserId": from, "newOwnerUserId": to, "applicationDataTransfers": drive });
    desk.send("POST", TRANSFERS, &body)
}

fn files(desk: &Desk<Google>, id: &str) -> usize {
    desk.fake.with(|api| api.users.get(id).map_or(0, |it| it.files.len()))
}

#[test]
fn a_transfer_goes_on_after_the_answer() {
    for fails in [false, true] {
        let desk = desk();
        let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
        desk.fake.with(|api| {
            api.quirks.transfers_fail = fails;
            api.users.get_mut(&ada).unwrap().files = ["a", "b"].map(str::to_owned).into();
        });
        let asked = transfer(&desk, &ada, &bob);
        let status = "overallTransferStatusCode";
        assert_eq!((asked.status, &asked.body[status]), (200, &json!("inProgress")));
        let one = format!("{TRANSFERS}/{}", asked.body["id"].as_str().unwrap());
        desk.wait(4_999);
        assert_eq!(desk.get(&one).body[status], "inProgress");
        assert_eq!((files(&desk, &ada), files(&desk, &bob)), (2, 0));
        desk.wait(1);
        let (end, left, moved) = if fails { ("failed", 2, 0) } else { ("completed", 0, 2) };
        let shown = desk.get(&one).body;
        assert_eq!(shown[status], end);
        let each = &shown["applicationDataTransfers"][0]["applicationTransferStatus"];
        assert_eq!(*each, end);
        assert_eq!((files(&desk, &ada), files(&desk, &bob)), (left, moved));
        let found = |query: &str| {
            desk.get(&format!("{TRANSFERS}?{query}")).each("/dataTransfers", "id").len()
        };
        assert_eq!(found(&format!("oldOwnerUserId={ada}&status={end}")), 1);
        assert_eq!((found(&format!("oldOwnerUserId={bob}")), found("status=inProgress")), (0, 0));
        gone(&desk.get(&format!("{TRANSFERS}/none")), "dataTransferId");
    }
}

#[test]
fn a_transfer_is_by_ids_to_somebody_live() {
    let desk = desk();
    let (ada, bob) = (user(&desk, "ada"), user(&desk, "bob"));
    invalid(&transfer(&desk, "ada@corp.test", &bob));
    invalid(&transfer(&desk, &ada, "bob@corp.test"));
    invalid(&transfer(&desk, &ada, &ada));
    desk.send("PUT", &format!("{USERS}/{bob}"), &json!({ "suspended": true }));
    invalid(&transfer(&desk, &ada, &bob));
    desk.send("PUT", &format!("{USERS}/{bob}"), &json!({ "suspended": false }));
    let mut body = json!({ "oldOwnerUserId": ada, "newOwnerUserId": bob });
    refused(&desk.send("POST", TRANSFERS, &body), 400, "required", "applicationDataTransfers");
    body["applicationDataTransfers"] = json!([{ "applicationId": "1" }]);
    invalid(&desk.send("POST", TRANSFERS, &body));
    assert!(desk.fake.with(|api| api.transfers.is_empty()));
    let applications = desk.get("/admin/datatransfer/v1/applications");
    assert_eq!(applications.each("/applications", "name"), ["Calendar", "Drive and Docs"]);
    // Whoever is deleted before the end takes everything along.
    desk.fake.with(|api| _ = api.users.get_mut(&ada).unwrap().files.insert("budget".into()));
    assert_eq!(transfer(&desk, &ada, &bob).status, 200);
    del(&desk, &format!("{USERS}/{ada}"));
    desk.wait(5_000);
    desk.get(TRANSFERS);
    assert_eq!(files(&desk, &bob), 0);
}

/// A desk of somebody who has a mailbox, asked for themselves, beside Bob.
fn mailbox() -> (Desk<Google>, String) {
    let mut desk = desk();
    let ada = user(&desk, "ada");
    user(&desk, "bob");
    desk.fake.with(|api| api.static_tokens.insert("ada".into(), "ada@corp.test".into()));
    "Bearer ada".clone_into(&mut desk.authorization);
    (desk, ada)
}

fn mine(what: &str) -> String {
    format!("/gmail/v1/users/me/settings/{what}")
}

#[test]
fn mail_is_asked_for_as_the_mailboxes_own_user() {
    let (mut desk, ada) = mailbox();
    let vacation = |of: &str| format!("/gmail/v1/users/{of}/settings/vacation");
    assert_eq!(desk.get(&vacation("me")).body, json!({ "enableAutoReply": false }));
    assert_eq!(desk.get(&vacation("ada@corp.test")).status, 200);
    refused(&desk.get(&vacation("bob@corp.test")), 403, "forbidden", "Delegation denied");
    let words = "Mail service not enabled";
    for (suspended, archived) in [(true, false), (false, true)] {
        desk.fake.with(|api| {
            let user = api.users.get_mut(&ada).unwrap();
            (user.suspended, user.archived) = (suspended, archived);
        });
        refused(&desk.get(&vacation("me")), 400, "failedPrecondition", words);
    }
    desk.fake.with(|api| {
        let user = api.users.get_mut(&ada).unwrap();
        (user.archived, user.mailbox) = (false, None);
    });
    refused(&desk.get(&vacation("me")), 400, "failedPrecondition", words);
    // The administrator has none here.
    "Bearer all".clone_into(&mut desk.authorization);
    refused(&desk.get(&vacation("me")), 400, "failedPrecondition", words);
}

#[test]
fn an_auto_reply_has_words_and_times_in_milliseconds() {
    let (desk, _) = mailbox();
    let set = |body: &Value| desk.send("PUT", &mine("vacation"), body);
    let at = desk.now();
    let (seconds, ms) = (at.timestamp().to_string(), at.timestamp_millis());
    let reply = json!({ "enableAutoReply": true, "responseSubject": "Gone" });
    for (name, wrong) in
        [("startTime", json!(seconds)), ("startTime", json!(ms)), ("endTime", json!("soon"))]
    {
        let mut body = reply.clone();
        body[name] = wrong;
        refused(&set(&body), 400, "invalidArgument", name);
    }
    let empty = set(&json!({ "enableAutoReply": true, "responseSubject": "" }));
    refused(&empty, 400, "invalidArgument", "Empty auto-reply");
    assert_eq!(desk.get(&mine("vacation")).body, json!({ "enableAutoReply": false }));
    let mut body = reply;
    body["startTime"] = json!(ms.to_string());
    assert_eq!(set(&body).status, 200);
    assert_eq!(desk.get(&mine("vacation")).body, body);
    // It is replaced whole.
    assert_eq!(set(&json!({})).status, 200);
    assert_eq!(desk.get(&mine("vacation")).body, json!({ "enableAutoReply": false }));
}

#[test]
fn mail_is_forwarded_to_known_addresses_only() {
    let (desk, _) = mailbox();
    let forward =
        json!({ "enabled": true, "emailAddress": "bob@corp.test", "disposition": "trash" });
    let words = "Unrecognized forwarding address";
    refused(&desk.send("PUT", &mine("autoForwarding"), &forward), 400, "failedPrecondition", words);
    assert_eq!(desk.get(&mine("autoForwarding")).body, json!({ "enabled": false }));
    let address = json!({ "forwardingEmail": "bob@corp.test" });
    let add = || desk.send("POST", &mine("forwardingAddresses"), &address);
    assert_eq!(add().status, 200);
    refused(&add(), 409, "duplicate", "");
    assert_eq!(
        desk.get(&mine("forwardingAddresses")).each("/forwardingAddresses", "forwardingEmail"),
        ["bob@corp.test"]
    );
    assert_eq!(desk.send("PUT", &mine("autoForwarding"), &forward).status, 200);
    assert_eq!(desk.get(&mine("autoForwarding")).body["emailAddress"], "bob@corp.test");
    desk.send("PUT", &mine("autoForwarding"), &json!({ "enabled": false }));
    assert_eq!(desk.get(&mine("autoForwarding")).body, json!({ "enabled": false }));
}

#[test]
fn delegates_are_live_users() {
    let (desk, _) = mailbox();
    let add =
        |email: &str| desk.send("POST", &mine("delegates"), &json!({ "delegateEmail": email }));
    refused(&add("nobody@corp.test"), 400, "invalidArgument", "Invalid delegate");
    desk.fake.with(|api| {
        api.users.values_mut().for_each(|it| it.suspended = it.email().starts_with("bob"));
    });
    refused(&add("bob@corp.test"), 400, "invalidArgument", "Invalid delegate");
    desk.fake.with(|api| api.users.values_mut().for_each(|it| it.suspended = false));
    assert_eq!(desk.get(&mine("delegates")).body, json!({}));
    assert_eq!(add("bob@corp.test").status, 200);
    refused(&add("bob@corp.test"), 409, "alreadyExists", "");
    assert_eq!(desk.get(&mine("delegates")).each("/delegates", "delegateEmail"), ["bob@corp.test"]);
    let bob = mine("delegates/bob@corp.test");
    assert_eq!(del(&desk, &bob).status, 204);
    gone(&del(&desk, &bob), "delegateEmail");
}

/// Names of entries of the audit log, and whom each is about.
fn log(desk: &Desk<Google>, query: &str) -> Vec<(String, String)> {
    let answer = desk.get(&format!("{REPORTS}{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.body["items"].as_array().cloned().unwrap_or_default();
    let about = |event: &Value| {
        let said = event["parameters"].as_array().into_iter().flatten();
        let user = said.into_iter().find(|it| it["name"] == "USER_EMAIL");
        user.and_then(|it| it["value"].as_str()).unwrap_or_default().to_owned()
    };
    let one = |row: &Value| {
        (row["events"][0]["name"].as_str().unwrap().to_owned(), about(&row["events"][0]))
    };
    rows.iter().map(one).collect()
}

fn names(desk: &Desk<Google>, query: &str) -> Vec<String> {
    log(desk, query).into_iter().map(|(name, _)| name).collect()
}

/// An instant as Reports takes it.
fn query(name: &str, at: DateTime<Utc>) -> String {
    format!("{name}={}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

#[test]
fn the_audit_log_has_the_newest_first() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let path = format!("{USERS}/{ada}");
    let calls: [(&str, String, Value); 6] = [
        ("PUT", path.clone(), json!({ "suspended": true })),
        ("PUT", path.clone(), json!({ "suspended": false, "primaryEmail": "king@corp.test" })),
        ("POST", SALES.into(), json!({ "email": "king@corp.test" })),
        ("DELETE", format!("{SALES}/{ada}"), Value::Null),
        ("POST", format!("{path}/signOut"), Value::Null),
        ("DELETE", path, Value::Null),
    ];
    for (method, target, body) in calls {
        desk.wait(1_000);
        assert!(desk.send(method, &target, &body).status < 300);
    }
    let mut seen = log(&desk, "");
    // Two of one instant have no order.
    if let Some(pair) = seen.get_mut(4..6) {
        pair.sort();
    }
    let (king, was) = ("king@corp.test", "ada@corp.test");
    let wanted = [
        ("DELETE_USER", king),
        ("RESET_SIGNIN_COOKIES", king),
        ("REMOVE_GROUP_MEMBER", king),
        ("ADD_GROUP_MEMBER", king),
        ("RENAME_USER", was),
        ("UNSUSPEND_USER", king),
        ("SUSPEND_USER", was),
        ("CREATE_USER", was),
    ];
    assert_eq!(seen, wanted.map(|(name, user)| (name.to_owned(), user.to_owned())));
    assert_eq!(names(&desk, "?eventName=SUSPEND_USER"), ["SUSPEND_USER"]);
    let of_others =
        REPORTS.replace("/admin?", "/login?").replace("applications/admin", "applications/login");
    assert!(desk.get(&of_others).body["items"].is_null());
    let first = desk.get(&format!("{REPORTS}?maxResults=7"));
    assert_eq!(first.body["items"][0]["actor"]["email"], "admin@corp.test");
    let next = first.body["nextPageToken"].as_str().unwrap();
    assert_eq!(names(&desk, &format!("?pageToken={next}")), ["CREATE_USER"]);
    let made = &first.body["items"][0]["id"];
    assert_eq!((&made["applicationName"], &made["customerId"]), (&json!("admin"), &json!("C01")));
}

#[test]
fn the_audit_log_names_what_was_changed() {
    let desk = desk();
    let ada = user(&desk, "ada");
    let path = format!("{USERS}/{ada}");
    let since = |change: &dyn Fn()| {
        desk.wait(1_000);
        let from = query("startTime", desk.now());
        change();
        desk.wait(1);
        let mut all = names(&desk, &format!("?{from}"));
        all.sort();
        all
    };
    let put = |body: Value| since(&|| _ = desk.send("PUT", &path, &body));
    assert_eq!(put(json!({ "name": { "familyName": "King" } })), ["CHANGE_LAST_NAME"]);
    assert_eq!(put(json!({ "recoveryEmail": "a@b.test" })), ["ADD_RECOVERY_EMAIL"]);
    assert_eq!(put(json!({ "recoveryEmail": "" })), ["REMOVE_RECOVERY_EMAIL"]);
    let both = json!({ "organizations": [{ "title": "x" }], "relations": [{ "value": "b" }] });
    assert_eq!(put(both.clone()), ["CHANGE_USER_ORGANIZATION", "CHANGE_USER_RELATION"]);
    assert_eq!(put(both), [""; 0], "nothing is another");
    assert_eq!(put(json!({ "archived": true })), ["ARCHIVE_USER"]);
    desk.fake.with(|api| {
        api.roles.insert("77".into(), "helpdesk".into());
        api.add_sku("p", "s", "S", None);
    });
    let role = json!({ "roleId": "77", "assignedTo": ada });
    assert_eq!(since(&|| _ = desk.send("POST", ROLES, &role)), ["ASSIGN_ROLE"]);
    let sku = json!({ "userId": "ada@corp.test" });
    let give = || _ = desk.send("POST", &format!("{SKU}/user"), &sku);
    assert_eq!(since(&give), ["USER_LICENSE_ASSIGNMENT"]);
    assert_eq!(since(&give), [""; 0], "what is refused did not happen");
    assert_eq!(since(&|| _ = post(&desk, &format!("{path}/undelete"))), [""; 0]);
}

#[test]
fn the_audit_log_is_late_and_not_in_its_order() {
    let desk = desk();
    desk.fake.with(|api| (api.quirks.audit_lag_ms, api.quirks.audit_stray_ms) = (60_000, 30_000));
    for name in ["ada", "bob", "cyd"] {
        user(&desk, name);
    }
    let people = || log(&desk, "").into_iter().map(|(_, user)| user).collect::<Vec<_>>();
    desk.wait(59_999);
    assert_eq!(people(), [""; 0]);
    desk.wait(1);
    let soon = people();
    desk.wait(29_999);
    assert_eq!(people(), soon);
    desk.wait(1);
    assert_eq!(people().len(), 3);
    assert!((1..3).contains(&soon.len()), "some are later than others: {soon:?}");
}

#[test]
fn the_audit_log_begins_half_a_year_ago_and_takes_no_future() {
    let desk = desk();
    let began = desk.now();
    user(&desk, "ada");
    desk.wait(1_000);
    user(&desk, "bob");
    desk.wait(1_000);
    let count = |query: &str| names(&desk, query).len();
    assert_eq!(count(&format!("?{}", query("startTime", began + TimeDelta::milliseconds(1)))), 1);
    assert_eq!(count(&format!("?{}", query("endTime", began + TimeDelta::milliseconds(999)))), 1);
    for wrong in [
        query("startTime", desk.now()),
        "startTime=yesterday".into(),
        "endTime=now".into(),
        format!("{}&{}", query("startTime", began), query("endTime", began)),
    ] {
        invalid(&desk.get(&format!("{REPORTS}?{wrong}")));
    }
    desk.wait(180 * 86_400_000 - 2_000);
    assert_eq!(count(""), 2);
    desk.wait(1);
    assert_eq!(count(""), 1);
    desk.wait(1_000);
    assert_eq!(count(""), 0);
    assert_eq!(count(&format!("?{}", query("startTime", began))), 0);
}
