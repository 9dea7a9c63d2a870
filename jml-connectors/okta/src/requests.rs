//! What is asked of Okta, as requests. Nothing here knows a network.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_kit::fields::{camel, to_json};
use jml_connector_kit::{Request, path};
use jml_core::attribute::AttributeValue;
use jml_core::id::{AttributeName, IdentityId};
use jml_core::provider::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

/// The largest page of users that Okta gives.
pub(crate) const USERS: u32 = 200;

/// Attributes whose names are other ones than in Okta's profile. All others are theirs in camel case, so that
/// custom profile attributes work too.
const NAMES: [(&str, &str); 4] = [
    ("given_name", "firstName"),
    ("family_name", "lastName"),
    ("country", "countryCode"),
    ("work_phone", "primaryPhone"),
];

/// The member of the profile that holds an attribute.
pub(crate) fn field(name: &AttributeName) -> String {
    let known = NAMES.iter().find(|(ours, _)| *ours == name.as_str());
    known.map_or_else(|| camel(name.as_str()), |(_, theirs)| (*theirs).to_owned())
}

/// The member of the profile that an attribute may be written to: an attribute that lands in the login, or in
/// the field that says whose account it is, would hand the account to somebody else.
fn writable(name: &AttributeName, owner: &str) -> Result<String> {
    let field = field(name);
    for (kept, what) in [("login", "the sign-in name"), (owner, "whose account it is")] {
        if field.eq_ignore_ascii_case(kept) {
            let text = format!("`{name}` would be written to `{kept}`, which is {what}");
            return Err(Error::new(ErrorKind::Invalid, text));
        }
    }
    Ok(field)
}

/// The attribute that a member of the profile holds.
pub(crate) fn name(field: &str) -> Option<AttributeName> {
    let known = NAMES.iter().find(|(_, theirs)| *theirs == field);
    let name = known
        .map_or_else(|| jml_connector_kit::fields::snake(field), |(ours, _)| (*ours).to_owned());
    AttributeName::new(name).ok()
}

/// A text within a filter expression.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Everybody, the deprovisioned included: a plain listing hides those, a `filter` does not.
/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/#tag/User/operation/listUsers>
pub(crate) fn users(size: u32) -> Request {
    let everybody = "lastUpdated gt \"1970-01-01T00:00:00.000Z\"";
    Request::get(path!["api", "v1", "users"]).query("filter", everybody).query("limit", size)
}

/// One user, by id or by login.
pub(crate) fn user(name: &str) -> Request {
    Request::get(path!["api", "v1", "users", name])
}

/// Whoever carries an identity's id. Okta's search is behind its writes by some seconds.
pub(crate) fn owned_by(field: &str, identity: &IdentityId) -> Request {
    let search = format!("profile.{field} eq {}", quoted(identity.as_str()));
    Request::get(path!["api", "v1", "users"]).query("search", search).query("limit", 2)
}

/// Something that lies below a user: `groups`, `roles`, `factors`, `clients`, `devices`.
pub(crate) fn of_user(user: &str, what: &str) -> Request {
    Request::get(path!["api", "v1", "users", user, what])
}

/// The applications of a user, with how each was given.
pub(crate) fn apps_of(user: &str) -> Request {
    Request::get(path!["api", "v1", "apps"])
        .query("filter", format!("user.id eq {}", quoted(user)))
        .query("expand", format!("user/{user}"))
        .query("limit", 200)
}

/// Makes a user. One who is staged gets no mail and cannot sign in; Okta sends anybody else the link to begin.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for an attribute that lands in the login or the owner.
pub(crate) fn create(
    login: &str,
    owner: (&str, &IdentityId),
    attributes: &BTreeMap<AttributeName, AttributeValue>,
    active: bool,
) -> Result<Request> {
    let fields = attributes.iter().map(|(name, it)| Ok((writable(name, owner.0)?, to_json(it))));
    let mut profile: Map<String, Value> = fields.collect::<Result<_>>()?;
    profile.insert("login".into(), login.into());
    profile.entry("email").or_insert_with(|| login.into());
    profile.insert(owner.0.to_owned(), owner.1.as_str().into());
    Ok(Request::post(path!["api", "v1", "users"])
        .query("activate", active)
        .json(json!({ "profile": profile })))
}

/// Changes what it names and nothing else. (`PUT` would clear everything that is not sent.)
///
/// # Errors
/// As [`create`].
pub(crate) fn update(
    user: &str,
    owner: &str,
    login: Option<&str>,
    set: &BTreeMap<AttributeName, AttributeValue>,
    clear: &BTreeSet<AttributeName>,
) -> Result<Request> {
    let values = set.iter().map(|(name, value)| (name, to_json(value)));
    let values = values.chain(clear.iter().map(|name| (name, Value::Null)));
    let fields = values.map(|(name, value)| Ok((writable(name, owner)?, value)));
    let mut profile: Map<String, Value> = fields.collect::<Result<_>>()?;
    if let Some(login) = login {
        profile.insert("login".into(), login.into());
    }
    Ok(Request::post(path!["api", "v1", "users", user]).json(json!({ "profile": profile })))
}

/// `activate`, `suspend`, `unsuspend`, `unlock`, `deactivate`, `reset_factors`.
///
/// Activating mails the person the link with which they set a password: without it nobody has a way in.
pub(crate) fn lifecycle(user: &str, what: &str) -> Request {
    let request = Request::post(path!["api", "v1", "users", user, "lifecycle", what]);
    match what {
        "activate" => request.query("sendEmail", true),
        "deactivate" => request.query("sendEmail", false),
        _ => request,
    }
}

/// Deactivates whoever is active, and deletes whoever is deactivated.
pub(crate) fn delete(user: &str) -> Request {
    Request::delete(path!["api", "v1", "users", user]).query("sendEmail", false)
}

/// Ends Okta's own sessions, and the tokens with them if `tokens`. Applications keep theirs.
pub(crate) fn end_sessions(user: &str, tokens: bool) -> Request {
    Request::delete(path!["api", "v1", "users", user, "sessions"])
        .query("oauthTokens", tokens)
        .query("forgetDevices", true)
}

/// Takes every consent back.
pub(crate) fn end_grants(user: &str) -> Request {
    Request::delete(path!["api", "v1", "users", user, "grants"])
}

/// Groups, or applications.
pub(crate) fn containers(what: &str, size: u32) -> Request {
    Request::get(path!["api", "v1", what]).query("limit", size)
}

/// Who is in a group, or has an application.
pub(crate) fn members(what: &str, of: &str, size: u32) -> Request {
    Request::get(path!["api", "v1", what, of, "users"]).query("limit", size)
}

/// Custom administrator roles.
/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/RoleECustom/>
pub(crate) fn custom_roles() -> Request {
    Request::get(path!["api", "v1", "iam", "roles"])
}

/// One custom administrator role.
pub(crate) fn custom_role(id: &str) -> Request {
    Request::get(path!["api", "v1", "iam", "roles", id])
}

/// Whoever has an administrator role.
pub(crate) fn administrators() -> Request {
    Request::get(path!["api", "v1", "iam", "assignees", "users"])
}

/// Puts somebody into a group. 204 whether or not they were in it.
pub(crate) fn join(group: &str, user: &str) -> Request {
    Request::put(path!["api", "v1", "groups", group, "users", user])
}

/// Takes somebody out of a group. 204 whether or not they were in it.
pub(crate) fn leave(group: &str, user: &str) -> Request {
    Request::delete(path!["api", "v1", "groups", group, "users", user])
}

/// The rules that put people into groups.
pub(crate) fn rules() -> Request {
    Request::get(path!["api", "v1", "groups", "rules"]).query("limit", 200)
}

/// Gives an application to one user.
pub(crate) fn assign(app: &str, user: &str) -> Request {
    Request::post(path!["api", "v1", "apps", app, "users"])
        .json(json!({ "id": user, "scope": "USER" }))
}

/// How one user has an application.
pub(crate) fn assignment(app: &str, user: &str) -> Request {
    Request::get(path!["api", "v1", "apps", app, "users", user])
}

/// Takes an application from one user, and its profile with it.
pub(crate) fn unassign(app: &str, user: &str) -> Request {
    Request::delete(path!["api", "v1", "apps", app, "users", user])
}

/// Gives an administrator role.
pub(crate) fn add_role(user: &str, role: &str) -> Request {
    Request::post(path!["api", "v1", "users", user, "roles"]).json(json!({ "type": role }))
}

/// Takes an administrator role, by the id of its assignment.
pub(crate) fn remove_role(user: &str, assignment: &str) -> Request {
    Request::delete(path!["api", "v1", "users", user, "roles", assignment])
}

/// Who uses a device.
pub(crate) fn device_users(device: &str) -> Request {
    Request::get(path!["api", "v1", "devices", device, "users"])
}

/// Takes a device's trust, its links to users and its factors.
pub(crate) fn deactivate_device(device: &str) -> Request {
    Request::post(path!["api", "v1", "devices", device, "lifecycle", "deactivate"])
}

/// API tokens, of everybody.
pub(crate) fn api_tokens() -> Request {
    Request::get(path!["api", "v1", "api-tokens"]).query("limit", 200)
}

/// Revokes an API token.
pub(crate) fn revoke_api_token(token: &str) -> Request {
    Request::delete(path!["api", "v1", "api-tokens", token])
}

/// The system log since an instant, oldest first; it goes on by its own links.
pub(crate) fn log(since: &str) -> Request {
    Request::get(path!["api", "v1", "logs"])
        .query("since", since)
        .query("sortOrder", "ASCENDING")
        .query("limit", LOG)
}

/// Events of one page of the log.
pub(crate) const LOG: usize = 100;
