//! What is asked of JumpCloud, as requests. Nothing here knows a network.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_kit::fields::{Fields, to_json};
use jml_connector_kit::{Request, path};
use jml_core::attribute::AttributeValue;
use jml_core::id::AttributeName;
use jml_core::provider::Result;
use serde_json::{Map, Value, json};

/// The largest page.
pub(crate) const PAGE: u32 = 100;

/// The largest page of events.
pub(crate) const EVENTS: usize = 1_000;

/// The attributes of a user, with where each lies.
/// <https://docs.jumpcloud.com/api/1.0/index.html#tag/Systemusers>
pub(crate) const FIELDS: Fields = Fields(&[
    ("email", "email"),
    ("alternate_email", "alternateEmail"),
    ("given_name", "firstname"),
    ("middle_name", "middlename"),
    ("family_name", "lastname"),
    ("display_name", "displayname"),
    ("title", "jobTitle"),
    ("department", "department"),
    ("cost_center", "costCenter"),
    ("company", "company"),
    ("location", "location"),
    ("description", "description"),
    ("employee_type", "employeeType"),
    ("manager", "manager"),
    ("managed_apple_id", "managedAppleId"),
]);

/// The field of the identity that a user belongs to. JumpCloud keeps it unique.
pub(crate) const OWNER: &str = "employeeIdentifier";

/// Users, applications or devices (`systemusers`, `applications`, `systems`), in the order of their ids.
/// Without `sort`, rows come in any order, and paging loses some.
/// <https://jumpcloud.com/support/best-practices-jumpcloud-api>
pub(crate) fn list(what: &str) -> Request {
    Request::get(path!["api", what]).query("sort", "_id")
}

/// Whoever has a value in a field. Two are enough to see.
pub(crate) fn users_with(field: &str, value: &str) -> Request {
    list("systemusers").query("filter", format!("{field}:$eq:{value}")).query("limit", 2)
}

/// One user.
pub(crate) fn user(id: &str) -> Request {
    Request::get(path!["api", "systemusers", id])
}

fn fields<'a>(
    attributes: impl IntoIterator<Item = (&'a AttributeName, &'a AttributeValue)>,
) -> Result<Map<String, Value>> {
    let each = attributes
        .into_iter()
        .map(|(name, value)| Ok((FIELDS.known(name.as_str())?.to_owned(), to_json(value))));
    each.collect()
}

/// Makes a user. The state is always said: what it is otherwise depends on the organisation.
/// <https://docs.jumpcloud.com/api/1.0/index.html#operation/systemusers_post>
pub(crate) fn create(
    user_name: &str,
    owner: &str,
    state: &str,
    attributes: &BTreeMap<AttributeName, AttributeValue>,
) -> Result<Request> {
    let mut body = fields(attributes)?;
    body.insert("username".into(), user_name.into());
    body.insert(OWNER.into(), owner.into());
    body.insert("state".into(), state.into());
    Ok(Request::post(path!["api", "systemusers"]).json(Value::Object(body)))
}

/// Changes what it names and nothing else: PUT is partial here. A text is cleared by an empty one.
pub(crate) fn update(
    id: &str,
    user_name: Option<&str>,
    set: &BTreeMap<AttributeName, AttributeValue>,
    clear: &BTreeSet<AttributeName>,
) -> Result<Request> {
    let mut body = fields(set)?;
    for name in clear {
        body.insert(FIELDS.known(name.as_str())?.to_owned(), "".into());
    }
    if let Some(user_name) = user_name {
        body.insert("username".into(), user_name.into());
    }
    Ok(Request::put(path!["api", "systemusers", id]).json(Value::Object(body)))
}

/// Suspends, or ends a suspension. There is no call of its own for it, and `suspended` beside `state` is
/// refused when they disagree.
pub(crate) fn set_state(id: &str, state: &str) -> Request {
    Request::put(path!["api", "systemusers", id]).json(json!({ "state": state }))
}

/// Activates whoever is staged. Without a word about e-mail, the user gets the one by which a password is set.
/// <https://docs.jumpcloud.com/api/1.0/index.html#operation/systemusers_state_activate>
pub(crate) fn activate(id: &str) -> Request {
    Request::post(path!["api", "systemusers", id, "state", "activate"]).json(json!({}))
}

/// Deletes a user for ever. Whoever has reports cannot be deleted without a word about them
/// (`cascade_manager`, not in the API's documents; JumpCloud's own `Remove-JCUser` sends it).
pub(crate) fn delete(id: &str, has_reports: bool) -> Request {
    let request = Request::delete(path!["api", "systemusers", id]);
    if has_reports { request.query("cascade_manager", "null") } else { request }
}

/// The SSH keys of a user.
pub(crate) fn ssh_keys(id: &str) -> Request {
    Request::get(path!["api", "systemusers", id, "sshkeys"])
}

/// Deletes an SSH key.
pub(crate) fn delete_ssh_key(id: &str, key: &str) -> Request {
    Request::delete(path!["api", "systemusers", id, "sshkeys", key])
}

/// Takes the key for one-time codes, without a time in which no second factor is asked for.
pub(crate) fn reset_mfa(id: &str) -> Request {
    Request::post(path!["api", "systemusers", id, "resetmfa"]).json(json!({ "exclusion": false }))
}

/// The phones to which JumpCloud Protect sends questions.
pub(crate) fn push_endpoints(id: &str) -> Request {
    Request::get(path!["api", "v2", "users", id, "pushendpoints"])
}

/// Deletes such a phone.
pub(crate) fn delete_push_endpoint(id: &str, endpoint: &str) -> Request {
    Request::delete(path!["api", "v2", "users", id, "pushendpoints", endpoint])
}

/// One device.
pub(crate) fn system(id: &str) -> Request {
    Request::get(path!["api", "systems", id])
}

/// Locks a device, as soon as it is online. Not for a Mac.
/// <https://docs.jumpcloud.com/api/1.0/index.html#operation/System_Lock>
pub(crate) fn lock(id: &str) -> Request {
    Request::post(path!["api", "systems", id, "command", "builtin", "lock"])
}

/// User groups.
pub(crate) fn groups() -> Request {
    Request::get(path!["api", "v2", "usergroups"])
}

/// User groups with a membership method.
pub(crate) fn groups_by(method: &str) -> Request {
    groups().query("filter", format!("membershipMethod:eq:{method}"))
}

/// One user group.
pub(crate) fn group(id: &str) -> Request {
    Request::get(path!["api", "v2", "usergroups", id])
}

/// Who is in a group.
pub(crate) fn members(group: &str) -> Request {
    Request::get(path!["api", "v2", "usergroups", group, "members"])
}

/// The groups of a user.
pub(crate) fn member_of(user: &str) -> Request {
    Request::get(path!["api", "v2", "users", user, "memberof"])
}

/// Device groups.
/// <https://docs.jumpcloud.com/api/2.0/index.html#operation/groups_system_list>
pub(crate) fn system_groups() -> Request {
    Request::get(path!["api", "v2", "systemgroups"])
}

/// Directories of every type.
/// <https://docs.jumpcloud.com/api/2.0/index.html#operation/directories_list>
pub(crate) fn directories() -> Request {
    Request::get(path!["api", "v2", "directories"])
}

/// The users that something in a collection (`applications`, `systems`, `gsuites`, ...) is bound to directly.
pub(crate) fn bound_users(what: &str, id: &str) -> Request {
    Request::get(path!["api", "v2", what, id, "associations"]).query("targets", "user")
}

/// What of a type a user is bound to directly: `application`, `system`, `g_suite`, ...
pub(crate) fn associations(user: &str, kind: &str) -> Request {
    Request::get(path!["api", "v2", "users", user, "associations"]).query("targets", kind)
}

/// What a user is bound to on any way: `applications`, `systems`, `systemgroups`, `directories`.
/// <https://docs.jumpcloud.com/api/2.0/index.html#operation/graph_userTraverseApplication>
pub(crate) fn bound(user: &str, what: &str) -> Request {
    Request::get(path!["api", "v2", "users", user, what])
}

/// Puts somebody into a group, or takes them out (`add`, `remove`).
pub(crate) fn edit_members(group: &str, user: &str, op: &str) -> Request {
    Request::post(path!["api", "v2", "usergroups", group, "members"])
        .json(json!({ "op": op, "type": "user", "id": user }))
}

/// Binds a user to something of a type, or ends that (`add`, `remove`).
pub(crate) fn edit_associations(user: &str, kind: &str, id: &str, op: &str) -> Request {
    Request::post(path!["api", "v2", "users", user, "associations"])
        .json(json!({ "op": op, "type": kind, "id": id }))
}

/// Binds a user to a device, or changes how they are bound (`add`, `update`): with all rights on it, or without.
pub(crate) fn edit_sudo(user: &str, system: &str, op: &str, enabled: bool) -> Request {
    let sudo = json!({ "enabled": enabled, "withoutPassword": false });
    Request::post(path!["api", "v2", "users", user, "associations"]).json(json!({
        "op": op, "type": "system", "id": system, "attributes": { "sudo": sudo },
    }))
}

/// Events between two instants, oldest first, behind a place. A search by POST.
/// <https://docs.jumpcloud.com/api/insights/directory/1.0/index.html>
pub(crate) fn events(since: &str, until: &str, after: &[String]) -> Request {
    let mut body = json!({
        "service": ["all"], "start_time": since, "end_time": until, "limit": EVENTS, "sort": "ASC",
    });
    if let Some(body) = body.as_object_mut().filter(|_| !after.is_empty()) {
        body.insert("search_after".into(), after.into());
    }
    Request::post(path!["insights", "directory", "v1", "events"]).json(body).reads()
}
