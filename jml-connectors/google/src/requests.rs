//! What is asked of Google, as requests. Nothing here knows a network.

use chrono::{DateTime, SecondsFormat, Utc};
use jml_connector_kit::{Request, path};
use jml_core::id::IdentityId;
use serde_json::{Map, Value, json};

/// What belongs to the customer of the administrator: roles, devices.
macro_rules! customer {
    ($($part:expr),+) => {
        path!["admin", "directory", "v1", "customer", "my_customer", $($part),+]
    };
}

/// The largest page of users that Google gives.
pub(crate) const USERS: u32 = 500;

/// How many users a check of health looks at, for one with a mailbox.
pub(crate) const SAMPLE: u32 = 50;

/// Everybody.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/users/list>
pub(crate) fn users(size: u32) -> Request {
    Request::get(path!["admin", "directory", "v1", "users"])
        .query("customer", "my_customer")
        .query("maxResults", size)
}

/// A text within a search, in which quotes are escaped.
/// <https://developers.google.com/workspace/admin/directory/v1/guides/search-users>
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Whoever carries an identity's id. A search is behind its writes.
pub(crate) fn owned_by(identity: &IdentityId) -> Request {
    users(10).query("query", format!("externalId={}", quoted(identity.as_str())))
}

/// Whoever has an address. A search is behind its writes.
pub(crate) fn addressed(email: &str) -> Request {
    users(1).query("query", format!("email={}", quoted(email)))
}

/// Users who were deleted in the last 20 days.
pub(crate) fn deleted() -> Request {
    users(USERS).query("showDeleted", true)
}

/// What administrators did between two instants, or until now.
/// <https://developers.google.com/workspace/admin/reports/v1/reference/activities/list>
pub(crate) fn activities(from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Request {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let request = Request::get(path![
        "admin",
        "reports",
        "v1",
        "activity",
        "users",
        "all",
        "applications",
        "admin"
    ]);
    let request = request.query("startTime", text(from)).query("maxResults", 1_000);
    match until {
        Some(until) => request.query("endTime", text(until)),
        None => request,
    }
}

/// One user, by id or by address.
pub(crate) fn user(key: &str) -> Request {
    Request::get(path!["admin", "directory", "v1", "users", key])
}

/// Makes a user.
pub(crate) fn create(body: Map<String, Value>) -> Request {
    Request::post(path!["admin", "directory", "v1", "users"]).json(Value::Object(body))
}

/// Changes what it names. Lists are replaced whole. Google prefers this to `PATCH`.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/users/update>
pub(crate) fn update(user: &str, body: Map<String, Value>) -> Request {
    Request::put(path!["admin", "directory", "v1", "users", user]).json(Value::Object(body))
}

/// Deletes a user, who can come back for 20 days.
pub(crate) fn delete(user: &str) -> Request {
    Request::delete(path!["admin", "directory", "v1", "users", user])
}

/// Something that lies below a user: `tokens`, `asps`, `verificationCodes`.
pub(crate) fn of_user(user: &str, what: &str) -> Request {
    Request::get(path!["admin", "directory", "v1", "users", user, what])
}

/// Takes something that lies below a user.
pub(crate) fn take(user: &str, what: &str, id: impl std::fmt::Display) -> Request {
    Request::delete(path!["admin", "directory", "v1", "users", user, what, id])
}

/// Ends every session.
pub(crate) fn sign_out(user: &str) -> Request {
    Request::post(path!["admin", "directory", "v1", "users", user, "signOut"])
}

/// Turns 2-Step Verification off.
pub(crate) fn turn_off_2sv(user: &str) -> Request {
    Request::post(path![
        "admin",
        "directory",
        "v1",
        "users",
        user,
        "twoStepVerification",
        "turnOff"
    ])
}

/// Makes backup codes worthless. Not for somebody who is suspended.
pub(crate) fn invalidate_codes(user: &str) -> Request {
    Request::post(path![
        "admin",
        "directory",
        "v1",
        "users",
        user,
        "verificationCodes",
        "invalidate"
    ])
}

/// Groups: all, or those of one user.
pub(crate) fn groups(user: Option<&str>, size: u32) -> Request {
    let request = Request::get(path!["admin", "directory", "v1", "groups"]);
    let request = match user {
        Some(user) => request.query("userKey", user),
        None => request.query("customer", "my_customer"),
    };
    request.query("maxResults", size.min(200))
}

/// Who is in a group.
pub(crate) fn members(group: &str, size: u32) -> Request {
    Request::get(path!["admin", "directory", "v1", "groups", group, "members"])
        .query("maxResults", size.min(200))
}

/// Puts somebody into a group, by address: that is required here.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/members>
pub(crate) fn join(group: &str, email: &str) -> Request {
    Request::post(path!["admin", "directory", "v1", "groups", group, "members"])
        .json(json!({ "email": email, "role": "MEMBER" }))
}

/// Takes somebody out of a group.
pub(crate) fn leave(group: &str, user: &str) -> Request {
    Request::delete(path!["admin", "directory", "v1", "groups", group, "members", user])
}

/// Administrator roles.
pub(crate) fn roles(size: u32) -> Request {
    Request::get(customer!["roles"]).query("maxResults", size.min(100))
}

/// Who has which administrator role: all, or one user's.
pub(crate) fn assignments(user: Option<&str>, size: u32) -> Request {
    let request = Request::get(customer!["roleassignments"]);
    let request = match user {
        Some(user) => request.query("userKey", user),
        None => request,
    };
    request.query("maxResults", size.min(200))
}

/// Gives an administrator role for the whole customer, or for a unit of it.
pub(crate) fn assign(role: &str, unit: Option<&str>, user: &str) -> Request {
    let mut body = json!({ "roleId": role, "assignedTo": user });
    let scope = match unit {
        Some(unit) => json!({ "scopeType": "ORG_UNIT", "orgUnitId": unit }),
        None => json!({ "scopeType": "CUSTOMER" }),
    };
    if let (Value::Object(body), Value::Object(scope)) = (&mut body, scope) {
        body.extend(scope);
    }
    Request::post(customer!["roleassignments"]).json(body)
}

/// Takes an administrator role, by the id of its assignment.
pub(crate) fn unassign(assignment: &str) -> Request {
    Request::delete(customer!["roleassignments", assignment])
}

/// Mobile devices with somebody's account. The search is for beginnings.
/// <https://developers.google.com/workspace/admin/directory/v1/search-operators>
pub(crate) fn devices(email: &str) -> Request {
    Request::get(customer!["devices", "mobile"])
        .query("query", format!("email:{email}"))
        .query("maxResults", 100)
}

/// Takes the account and its data from a device, and leaves what is the person's own.
pub(crate) fn wipe(device: &str) -> Request {
    Request::post(customer!["devices", "mobile", device, "action"])
        .json(json!({ "action": "admin_account_wipe" }))
}

/// The most ChromeOS devices of one call that changes their status.
pub(crate) const CHROMEBOOKS: usize = 50;

/// ChromeOS devices with an address in the note of whose they are. The search is for words.
/// <https://developers.google.com/workspace/admin/directory/v1/list-query-operators>
pub(crate) fn chromebooks(email: &str) -> Request {
    Request::get(customer!["devices", "chromeos"])
        .query("query", format!("user:\"{email}\""))
        .query("projection", "BASIC")
        .query("maxResults", 300)
}

/// Disables ChromeOS devices: nobody can use one until an administrator enables it.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/customer.devices.chromeos/batchChangeStatus>
pub(crate) fn disable(devices: &[String]) -> Request {
    Request::post(customer!["devices", "chromeos:batchChangeStatus"]).json(json!({
        "deviceIds": devices,
        "changeChromeOsDeviceStatusAction": "CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_DISABLE",
    }))
}

/// Who has a licence. `my_customer` is not known here: the customer is `C00000000`.
/// <https://developers.google.com/workspace/admin/licensing/reference/rest/v1/licenseAssignments>
pub(crate) fn holders(customer: &str, (product, sku): (&str, &str), size: u32) -> Request {
    Request::get(path!["apps", "licensing", "v1", "product", product, "sku", sku, "users"])
        .query("customerId", customer)
        .query("maxResults", size)
}

/// Whether somebody has a licence, by address.
pub(crate) fn licence((product, sku): (&str, &str), email: &str) -> Request {
    Request::get(path!["apps", "licensing", "v1", "product", product, "sku", sku, "user", email])
}

/// Gives a licence.
pub(crate) fn give((product, sku): (&str, &str), email: &str) -> Request {
    Request::post(path!["apps", "licensing", "v1", "product", product, "sku", sku, "user"])
        .json(json!({ "userId": email }))
}

/// Takes a licence.
pub(crate) fn withdraw((product, sku): (&str, &str), email: &str) -> Request {
    Request::delete(path!["apps", "licensing", "v1", "product", product, "sku", sku, "user", email])
}

/// Applications whose data can be transferred.
/// <https://developers.google.com/workspace/admin/data-transfer/reference/rest>
pub(crate) fn applications() -> Request {
    Request::get(path!["admin", "datatransfer", "v1", "applications"]).query("maxResults", 500)
}

/// Transfers of what somebody owned.
pub(crate) fn transfers(from: &str) -> Request {
    Request::get(path!["admin", "datatransfer", "v1", "transfers"])
        .query("oldOwnerUserId", from)
        .query("maxResults", 500)
}

/// One transfer.
pub(crate) fn transfer(id: &str) -> Request {
    Request::get(path!["admin", "datatransfer", "v1", "transfers", id])
}

/// Hands over the data of these applications, with what each takes: private and shared documents, and
/// the rooms that somebody booked.
pub(crate) fn hand_over(from: &str, to: &str, applications: &[(String, Vec<String>)]) -> Request {
    let each: Vec<Value> = applications
        .iter()
        .map(|(id, keys)| {
            let parameters = keys.iter().filter_map(|key| match key.as_str() {
                "PRIVACY_LEVEL" => Some(json!({ "key": key, "value": ["PRIVATE", "SHARED"] })),
                "RELEASE_RESOURCES" => Some(json!({ "key": key, "value": ["TRUE"] })),
                _ => None,
            });
            json!({ "applicationId": id, "applicationTransferParams": parameters.collect::<Vec<_>>() })
        })
        .collect();
    Request::post(path!["admin", "datatransfer", "v1", "transfers"]).json(json!({
        "oldOwnerUserId": from, "newOwnerUserId": to, "applicationDataTransfers": each,
    }))
}

/// A setting of the mailbox for whose user the client acts.
/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings>
pub(crate) fn mail(what: &str) -> Request {
    Request::get(path!["gmail", "v1", "users", "me", "settings", what])
}

/// Answers mail with a text, without an end.
pub(crate) fn vacation(text: &str) -> Request {
    Request::put(path!["gmail", "v1", "users", "me", "settings", "vacation"]).json(json!({
        "enableAutoReply": true, "responseBodyPlainText": text,
        "restrictToContacts": false, "restrictToDomain": false,
    }))
}

/// Makes an address one that mail may be forwarded to.
pub(crate) fn forwarding_address(email: &str) -> Request {
    Request::post(path!["gmail", "v1", "users", "me", "settings", "forwardingAddresses"])
        .json(json!({ "forwardingEmail": email }))
}

/// Forwards mail, and keeps it.
pub(crate) fn forward(email: &str) -> Request {
    Request::put(path!["gmail", "v1", "users", "me", "settings", "autoForwarding"])
        .json(json!({ "enabled": true, "emailAddress": email, "disposition": "leaveInInbox" }))
}

/// Who may read the mailbox, by address.
pub(crate) fn delegate_of(email: &str) -> Request {
    Request::get(path!["gmail", "v1", "users", "me", "settings", "delegates", email])
}

/// Lets somebody read the mailbox.
pub(crate) fn delegate(email: &str) -> Request {
    Request::post(path!["gmail", "v1", "users", "me", "settings", "delegates"])
        .json(json!({ "delegateEmail": email }))
}
