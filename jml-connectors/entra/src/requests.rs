//! What is asked of Microsoft Graph, as requests. Nothing here knows a network.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_kit::fields::{Fields, to_json};
use jml_connector_kit::{Request, path};
use jml_core::attribute::AttributeValue;
use jml_core::id::{AttributeName, IdentityId};
use jml_core::provider::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

/// The largest page of most collections.
pub(crate) const PAGE: u32 = 999;

/// The most parts of a batch.
pub(crate) const BATCH: usize = 20;

/// The role of an application that has none of its own.
pub(crate) const NO_ROLE: &str = "00000000-0000-0000-0000-000000000000";

/// The scope of a directory role that is held for the whole tenant.
pub(crate) const TENANT: &str = "/";

/// <https://learn.microsoft.com/graph/api/resources/user>
pub(crate) const FIELDS: Fields = Fields(&[
    ("display_name", "displayName"),
    ("given_name", "givenName"),
    ("family_name", "surname"),
    ("email", "mail"),
    ("title", "jobTitle"),
    ("department", "department"),
    ("company", "companyName"),
    ("employee_type", "employeeType"),
    ("office_location", "officeLocation"),
    ("mobile_phone", "mobilePhone"),
    ("usage_location", "usageLocation"),
    ("preferred_language", "preferredLanguage"),
    ("street_address", "streetAddress"),
    ("city", "city"),
    ("state", "state"),
    ("postal_code", "postalCode"),
    ("country", "country"),
]);

/// The attribute that is a reference to another user, by principal name.
pub(crate) const MANAGER: &str = "manager";

/// Everything that an account is made of, besides what needs calls of its own.
fn select() -> String {
    let fields: Vec<&str> = FIELDS.0.iter().map(|(_, theirs)| *theirs).collect();
    format!(
        "id,userPrincipalName,accountEnabled,employeeId,onPremisesSyncEnabled,{}",
        fields.join(",")
    )
}

/// A text within a filter (`OData`: a quote is written twice).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// When refresh tokens were last ended, and when there could first be some.
const TOKENS: &str = "signInSessionsValidFromDateTime,createdDateTime,lastPasswordChangeDateTime";

fn whole(request: Request) -> Request {
    request
        .query("$select", format!("{},{TOKENS}", select()))
        .query("$expand", "manager($select=id,userPrincipalName)")
}

/// Everybody.
pub(crate) fn users(size: u32) -> Request {
    whole(Request::get(path!["users"])).query("$top", size)
}

/// One user, by id or by principal name.
pub(crate) fn user(name: &str) -> Request {
    whole(Request::get(path!["users", name]))
}

/// Whether there is such a user, and whose it is to write.
pub(crate) fn exists(name: &str) -> Request {
    Request::get(path!["users", name]).query("$select", "id,onPremisesSyncEnabled")
}

/// Whoever carries an identity's id.
pub(crate) fn owned_by(identity: &IdentityId) -> Request {
    users(2).query("$filter", format!("employeeId eq {}", quoted(identity.as_str())))
}

/// A user's licences, with where each comes from.
pub(crate) fn licences(user: &str) -> Request {
    Request::get(path!["users", user]).query("$select", "id,licenseAssignmentStates")
}

/// Everybody's licences.
pub(crate) fn all_licences(size: u32) -> Request {
    Request::get(path!["users"]).query("$select", "id,licenseAssignmentStates").query("$top", size)
}

/// A new user. A blocked one cannot sign in. The password is for nobody to know: the first sign-in sets
/// another one, or a temporary access pass does.
///
/// # Errors
/// [`Invalid`](jml_core::provider::ErrorKind::Invalid) for an attribute that Graph does not have.
pub(crate) fn create(
    name: &str,
    owner: &IdentityId,
    enabled: bool,
    attributes: &BTreeMap<AttributeName, AttributeValue>,
    password: &str,
) -> Result<Request> {
    let mut user = Map::new();
    for (name, value) in attributes.iter().filter(|(name, _)| name.as_str() != MANAGER) {
        user.insert(FIELDS.known(name.as_str())?.to_owned(), to_json(value));
    }
    let local = name.split('@').next().unwrap_or(name);
    let nickname: String =
        local.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    user.insert("userPrincipalName".into(), name.into());
    user.insert(
        "mailNickname".into(),
        if nickname.is_empty() { "user".into() } else { nickname.into() },
    );
    user.insert("employeeId".into(), owner.as_str().into());
    user.insert("accountEnabled".into(), enabled.into());
    let password = json!({ "forceChangePasswordNextSignIn": true, "password": password });
    user.insert("passwordProfile".into(), password);
    Ok(Request::post(path!["users"]).json(Value::Object(user)))
}

/// Changes what it names; `None` when it names nothing but the manager.
///
/// # Errors
/// As [`create`].
pub(crate) fn update(
    user: &str,
    name: Option<&str>,
    set: &BTreeMap<AttributeName, AttributeValue>,
    clear: &BTreeSet<AttributeName>,
) -> Result<Option<Request>> {
    let mut body = Map::new();
    for (name, value) in set.iter().filter(|(name, _)| name.as_str() != MANAGER) {
        body.insert(FIELDS.known(name.as_str())?.to_owned(), to_json(value));
    }
    for name in clear.iter().filter(|name| name.as_str() != MANAGER) {
        body.insert(FIELDS.known(name.as_str())?.to_owned(), Value::Null);
    }
    if let Some(name) = name {
        body.insert("userPrincipalName".into(), name.into());
    }
    let some = !body.is_empty();
    Ok(some.then(|| Request::patch(path!["users", user]).json(Value::Object(body))))
}

/// Allows or blocks sign-in.
pub(crate) fn enable(user: &str, enabled: bool) -> Request {
    Request::patch(path!["users", user]).json(json!({ "accountEnabled": enabled }))
}

/// Deletes a user, who can be restored for 30 days.
pub(crate) fn delete(user: &str) -> Request {
    Request::delete(path!["users", user])
}

/// The address of an object, as Graph itself knows it.
fn pointer(root: &str, what: &str, id: &str) -> Value {
    json!({ "@odata.id": format!("{root}{}", path![what, id].as_str()) })
}

/// Names the manager, by principal name.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for an id: reads show principal names, so it would never be seen to be set.
pub(crate) fn set_manager(root: &str, user: &str, manager: &str) -> Result<Request> {
    if !manager.contains('@') {
        let text = format!("the manager `{manager}` is no principal name");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    let body = pointer(root, "users", manager);
    Ok(Request::put(path!["users", user, MANAGER, "$ref"]).json(body))
}

/// There is no manager.
pub(crate) fn clear_manager(user: &str) -> Request {
    Request::delete(path!["users", user, MANAGER, "$ref"])
}

/// Ends sessions and refresh tokens. Access tokens live on for an hour or less; guests are signed in at
/// home, and nothing ends there.
pub(crate) fn end_sessions(user: &str) -> Request {
    Request::post(path!["users", user, "revokeSignInSessions"])
}

/// Takes a consent back.
pub(crate) fn end_grant(grant: &str) -> Request {
    Request::delete(path!["oauth2PermissionGrants", grant])
}

/// Takes an authentication method; `segment` is the collection of its type.
pub(crate) fn remove_method(user: &str, segment: &str, method: &str) -> Request {
    Request::delete(path!["users", user, "authentication", segment, method])
}

/// Takes a device out of management and the company's data off it.
pub(crate) fn retire(device: &str) -> Request {
    Request::post(path!["deviceManagement", "managedDevices", device, "retire"])
}

/// Something of one user: `memberOf`, `ownedObjects`, `managedDevices`.
pub(crate) fn of_user(user: &str, what: &str) -> Request {
    Request::get(path!["users", user, what]).query("$top", PAGE)
}

/// A user's authentication methods.
pub(crate) fn methods(user: &str) -> Request {
    Request::get(path!["users", user, "authentication", "methods"])
}

/// A user's drive.
pub(crate) fn drive(user: &str) -> Request {
    Request::get(path!["users", user, "drive"])
}

/// Who may do what with a whole drive.
pub(crate) fn permissions(drive: &str) -> Request {
    Request::get(path!["drives", drive, "items", "root", "permissions"])
}

/// Lets somebody write in a drive, without a mail about it.
pub(crate) fn invite(drive: &str, user: &str) -> Request {
    Request::post(path!["drives", drive, "items", "root", "invite"]).json(json!({
        "recipients": [{ "objectId": user }], "roles": ["write"],
        "requireSignIn": true, "sendInvitation": false,
    }))
}

/// A user's directory roles.
pub(crate) fn roles_of(user: &str) -> Request {
    roles().query("$filter", format!("principalId eq {}", quoted(user)))
}

/// Everybody's directory roles.
pub(crate) fn roles() -> Request {
    Request::get(path!["roleManagement", "directory", "roleAssignments"])
}

/// The directory roles that there are.
pub(crate) fn role_definitions() -> Request {
    Request::get(path!["roleManagement", "directory", "roleDefinitions"])
}

/// Gives a directory role, within a scope.
pub(crate) fn add_role(user: &str, role: &str, scope: &str) -> Request {
    let body = json!({ "principalId": user, "roleDefinitionId": role, "directoryScopeId": scope });
    Request::post(path!["roleManagement", "directory", "roleAssignments"]).json(body)
}

/// Takes a directory role, by the id of its assignment.
pub(crate) fn remove_role(assignment: &str) -> Request {
    Request::delete(path!["roleManagement", "directory", "roleAssignments", assignment])
}

/// What tells kinds of groups apart.
const GROUP: &str =
    "id,displayName,groupTypes,mailEnabled,securityEnabled,membershipRule,onPremisesSyncEnabled";

/// Groups.
pub(crate) fn groups(size: u32) -> Request {
    Request::get(path!["groups"]).query("$select", GROUP).query("$top", size)
}

/// One group.
pub(crate) fn group(id: &str) -> Request {
    Request::get(path!["groups", id]).query("$select", GROUP)
}

/// Who owns a group, as a part of a batch.
pub(crate) fn owners(group: &str) -> String {
    format!("{}?$select=id&$top={PAGE}", path!["groups", group, "owners"].as_str())
}

/// Members of a group.
pub(crate) fn members(group: &str, size: u32) -> Request {
    Request::get(path!["groups", group, "members"]).query("$select", "id").query("$top", size)
}

/// Puts somebody into a group, or among its owners.
pub(crate) fn join(root: &str, group: &str, what: &str, user: &str) -> Request {
    let body = pointer(root, "directoryObjects", user);
    Request::post(path!["groups", group, what, "$ref"]).json(body)
}

/// Takes somebody out of a group. The `$ref` is what makes it the membership that goes: without it, Graph
/// deletes the member. There is no other function that makes this path.
pub(crate) fn leave(group: &str, what: &str, user: &str) -> Request {
    Request::delete(path!["groups", group, what, user, "$ref"])
}

/// Licences that were bought.
pub(crate) fn skus() -> Request {
    Request::get(path!["subscribedSkus"])
}

/// Gives and takes licences in one step.
pub(crate) fn license(user: &str, add: Option<&str>, remove: Option<&str>) -> Request {
    let add: Vec<Value> =
        add.into_iter().map(|sku| json!({ "skuId": sku, "disabledPlans": [] })).collect();
    let remove: Vec<&str> = remove.into_iter().collect();
    Request::post(path!["users", user, "assignLicense"])
        .json(json!({ "addLicenses": add, "removeLicenses": remove }))
}

/// What an application is, and its roles.
const APP: &str = "id,displayName,appRoles";

/// Enterprise applications.
pub(crate) fn apps(size: u32) -> Request {
    Request::get(path!["servicePrincipals"]).query("$select", APP).query("$top", size)
}

/// One enterprise application.
pub(crate) fn app(id: &str) -> Request {
    Request::get(path!["servicePrincipals", id]).query("$select", APP)
}

/// Who has an application.
pub(crate) fn app_users(app: &str, size: u32) -> Request {
    Request::get(path!["servicePrincipals", app, "appRoleAssignedTo"]).query("$top", size)
}

/// Gives an application in a role.
pub(crate) fn assign(app: &str, role: &str, user: &str) -> Request {
    let body = json!({ "principalId": user, "resourceId": app, "appRoleId": role });
    Request::post(path!["servicePrincipals", app, "appRoleAssignedTo"]).json(body)
}

/// Takes an application, by the id of its assignment.
pub(crate) fn unassign(app: &str, assignment: &str) -> Request {
    Request::delete(path!["servicePrincipals", app, "appRoleAssignedTo", assignment])
}

/// What a mailbox does.
pub(crate) fn mailbox(user: &str) -> Request {
    Request::get(path!["users", user, "mailboxSettings"])
}

/// Answers incoming mail.
pub(crate) fn auto_reply(user: &str, text: &str) -> Request {
    let reply = json!({ "status": "alwaysEnabled", "externalAudience": "all",
                        "internalReplyMessage": text, "externalReplyMessage": text });
    Request::patch(path!["users", user, "mailboxSettings"])
        .json(json!({ "automaticRepliesSetting": reply }))
}

/// Changes of users, or of groups, from now on. Only changes of what is selected are told.
pub(crate) fn delta(what: &str) -> Request {
    let select = if what == "users" { select() } else { "displayName,members".to_owned() };
    Request::get(path![what, "delta()"]).query("$deltatoken", "latest").query("$select", select)
}

/// Several reads in one call: parts by name, at most [`BATCH`].
pub(crate) fn batch(parts: &[(&str, String)]) -> Request {
    let requests: Vec<Value> =
        parts.iter().map(|(id, url)| json!({ "id": id, "method": "GET", "url": url })).collect();
    Request::post(path!["$batch"]).json(json!({ "requests": requests })).reads()
}

/// The parts of a read. URLs within a batch are relative.
pub(crate) fn parts(user: &str) -> Vec<(&'static str, String)> {
    let id = path![user];
    let below = |what: &str| format!("/users{}/{what}", id.as_str());
    let filter = jml_connector_kit::path![format!("principalId eq {}", quoted(user))];
    let filter = filter.as_str().trim_start_matches('/').to_owned();
    vec![
        ("groups", format!("{}?$select={GROUP}&$top={PAGE}", below("memberOf"))),
        ("licences", format!("/users{}?$select=id,licenseAssignmentStates", id.as_str())),
        ("apps", format!("{}?$top={PAGE}", below("appRoleAssignments"))),
        ("roles", format!("/roleManagement/directory/roleAssignments?$filter={filter}")),
        ("methods", below("authentication/methods")),
        ("grants", format!("{}?$top={PAGE}", below("oauth2PermissionGrants"))),
        ("devices", format!("{}?$top={PAGE}", below("managedDevices"))),
        ("owned", format!("{}?$top={PAGE}", below("ownedObjects"))),
        ("mailbox", below("mailboxSettings")),
        ("drive", below("drive")),
    ]
}
