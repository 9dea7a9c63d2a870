//! What is asked of a server, as requests. Nothing here knows a network.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_kit::fields::Fields;
use jml_connector_kit::http::types::Method;
use jml_connector_kit::http::types::header::CONTENT_TYPE;
use jml_connector_kit::{Request, path};
use jml_core::attribute::AttributeValue;
use jml_core::id::{AttributeName, IdentityId};
use jml_core::provider::Result;
use serde_json::{Map, Value, json};

use crate::capabilities::MemberRemoval;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Attributes of RFC 7643 section 4, as JSON pointers. A list has the values of one type: `emails/work`.
pub(crate) const FIELDS: Fields = Fields(&[
    ("given_name", "/name/givenName"),
    ("family_name", "/name/familyName"),
    ("display_name", "/displayName"),
    ("nick_name", "/nickName"),
    ("title", "/title"),
    ("user_type", "/userType"),
    ("preferred_language", "/preferredLanguage"),
    ("locale", "/locale"),
    ("timezone", "/timezone"),
    ("email", "/emails/work"),
    ("work_phone", "/phoneNumbers/work"),
    ("mobile_phone", "/phoneNumbers/mobile"),
    ("employee_number", "/enterprise/employeeNumber"),
    ("cost_center", "/enterprise/costCenter"),
    ("organization", "/enterprise/organization"),
    ("division", "/enterprise/division"),
    ("department", "/enterprise/department"),
    ("manager", "/enterprise/manager/value"),
]);

/// A value as SCIM has it: every attribute of the table is a text there (RFC 7643 sections 4.1 and 4.3).
fn written(value: &AttributeValue) -> Value {
    Value::from(value.to_string())
}

/// Where an attribute lies in a user.
pub(crate) enum Spot<'a> {
    /// A member at the top: `title`.
    Top(&'a str),
    /// A member of an object: `name`, `givenName`.
    Inner(&'a str, &'a str),
    /// The value of a type in a list: `emails`, `work`.
    Typed(&'a str, &'a str),
    /// A member of the enterprise extension.
    Enterprise(&'a str),
    /// The manager's id, which lies in an object of the extension.
    Manager,
}

pub(crate) fn spot(pointer: &'static str) -> Spot<'static> {
    let mut parts = pointer.trim_start_matches('/').splitn(3, '/');
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        ("enterprise", Some(_), Some(_)) => Spot::Manager,
        ("enterprise", Some(name), None) => Spot::Enterprise(name),
        (list @ ("emails" | "phoneNumbers"), Some(kind), _) => Spot::Typed(list, kind),
        (object, Some(name), _) => Spot::Inner(object, name),
        (top, None, _) => Spot::Top(top),
    }
}

/// A value at its place in a user.
fn put(user: &mut Map<String, Value>, pointer: &'static str, value: Option<Value>) {
    fn object<'a>(
        of: &'a mut Map<String, Value>,
        name: &str,
    ) -> Option<&'a mut Map<String, Value>> {
        of.entry(name.to_owned()).or_insert_with(|| json!({})).as_object_mut()
    }
    let set =
        |of: Option<&mut Map<String, Value>>, name: &str, value: Option<Value>| match (of, value) {
            (Some(of), Some(value)) => {
                of.insert(name.to_owned(), value);
            }
            (Some(of), None) => {
                of.remove(name);
            }
            _ => {}
        };
    match spot(pointer) {
        Spot::Top(name) => set(Some(user), name, value),
        Spot::Inner(outer, name) => set(object(user, outer), name, value),
        Spot::Enterprise(name) => set(object(user, ENTERPRISE), name, value),
        Spot::Manager => {
            let value = value.map(|it| json!({ "value": it }));
            set(object(user, ENTERPRISE), "manager", value);
        }
        Spot::Typed(list, kind) => {
            let all = user.entry(list.to_owned()).or_insert_with(|| json!([]));
            if let Some(all) = all.as_array_mut() {
                let first = list == "emails"
                    && !all.iter().any(|it| it["primary"] == true && it["type"] != kind);
                all.retain(|it| it["type"] != kind);
                if let Some(value) = value {
                    let mut entry = json!({ "value": value, "type": kind });
                    if first && let Some(entry) = entry.as_object_mut() {
                        entry.insert("primary".into(), true.into());
                    }
                    all.insert(0, entry);
                }
            }
        }
    }
}

/// A request with a body of SCIM's own type (RFC 7644 section 3.1).
fn scim(request: Request, body: Value) -> Request {
    request.json(body).header(CONTENT_TYPE, "application/scim+json")
}

fn asked(request: Request) -> Request {
    request.accept("application/scim+json, application/json;q=0.9")
}

/// What the server can do.
pub(crate) fn config() -> Request {
    asked(Request::get(path!["ServiceProviderConfig"]))
}

/// `Users` or `Groups`.
pub(crate) fn list(what: &str) -> Request {
    asked(Request::get(path![what]))
}

/// A text within a filter (RFC 7644 section 3.4.2.2: as in JSON).
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Whoever carries an identity's id.
pub(crate) fn owned_by(identity: &IdentityId) -> Request {
    list("Users").query("filter", format!("externalId eq {}", quoted(identity.as_str())))
}

/// Whoever has a sign-in name.
pub(crate) fn named(name: &str) -> Request {
    list("Users").query("filter", format!("userName eq {}", quoted(name)))
}

/// One user.
pub(crate) fn user(id: &str) -> Request {
    asked(Request::get(path!["Users", id]))
}

/// Whether there is such a user.
pub(crate) fn exists(id: &str) -> Request {
    user(id).query("attributes", "userName")
}

/// One group with its members.
pub(crate) fn group(id: &str) -> Request {
    asked(Request::get(path!["Groups", id]))
}

/// The groups of a user, for a server whose users do not show them.
pub(crate) fn groups_of(id: &str) -> Request {
    // With their members, or nobody could tell whether the server knows the filter.
    list("Groups").query("filter", format!("members.value eq {}", quoted(id)))
}

/// A new user.
///
/// # Errors
/// [`Invalid`](jml_core::provider::ErrorKind::Invalid) for an attribute that SCIM does not have.
pub(crate) fn create(
    name: &str,
    owner: &IdentityId,
    active: bool,
    attributes: &BTreeMap<AttributeName, AttributeValue>,
) -> Result<Request> {
    let mut user = Map::new();
    user.insert("userName".into(), name.into());
    user.insert("externalId".into(), owner.as_str().into());
    user.insert("active".into(), active.into());
    for (name, value) in attributes {
        put(&mut user, FIELDS.known(name.as_str())?, Some(written(value)));
    }
    let mut schemas = vec![USER];
    if user.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    user.insert("schemas".into(), json!(schemas));
    Ok(asked(scim(Request::post(path!["Users"]), Value::Object(user))))
}

/// A change as PATCH operations, on a user as it is now: of lists, the whole new list is sent, because
/// servers disagree on filters in paths. `None` when nothing would change.
///
/// # Errors
/// As [`create`].
pub(crate) fn update(
    now: &Map<String, Value>,
    name: Option<&str>,
    set: &BTreeMap<AttributeName, AttributeValue>,
    clear: &BTreeSet<AttributeName>,
) -> Result<Option<Vec<Value>>> {
    let mut after = now.clone();
    if let Some(name) = name {
        after.insert("userName".into(), name.into());
    }
    let mut touched = BTreeSet::from(["userName"]);
    let values = set.iter().map(|(name, value)| (name, Some(written(value))));
    for (name, value) in values.chain(clear.iter().map(|name| (name, None))) {
        let pointer = FIELDS.known(name.as_str())?;
        touched.insert(pointer);
        put(&mut after, pointer, value);
    }
    let mut operations = Vec::new();
    let mut lists = BTreeSet::new();
    for pointer in touched {
        let (path, old, new) = match spot(pointer) {
            Spot::Top(top) => (top.to_owned(), now.get(top), after.get(top)),
            Spot::Inner(outer, inner) => {
                let at =
                    |of: &Map<String, Value>| of.get(outer).and_then(|it| it.get(inner)).cloned();
                operations.extend(operation(
                    &format!("{outer}.{inner}"),
                    at(now).as_ref(),
                    at(&after).as_ref(),
                ));
                continue;
            }
            Spot::Enterprise(name) => {
                let at = |of: &Map<String, Value>| {
                    of.get(ENTERPRISE).and_then(|it| it.get(name)).cloned()
                };
                operations.extend(operation(
                    &format!("{ENTERPRISE}:{name}"),
                    at(now).as_ref(),
                    at(&after).as_ref(),
                ));
                continue;
            }
            Spot::Manager => {
                let at = |of: &Map<String, Value>| {
                    of.get(ENTERPRISE).and_then(|it| it.pointer("/manager/value")).cloned()
                };
                let wrap = |it: Option<Value>| it.map(|it| json!({ "value": it }));
                let (old, new) = (wrap(at(now)), wrap(at(&after)));
                operations.extend(operation(
                    &format!("{ENTERPRISE}:manager"),
                    old.as_ref(),
                    new.as_ref(),
                ));
                continue;
            }
            Spot::Typed(list, _) => {
                if !lists.insert(list) {
                    continue;
                }
                let full = |of: &'_ Map<String, Value>| -> Option<Value> {
                    of.get(list)
                        .filter(|it| it.as_array().is_some_and(|all| !all.is_empty()))
                        .cloned()
                };
                operations.extend(operation(list, full(now).as_ref(), full(&after).as_ref()));
                continue;
            }
        };
        operations.extend(operation(&path, old, new));
    }
    Ok(if operations.is_empty() { None } else { Some(operations) })
}

fn operation(path: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    match (old, new) {
        (old, new) if old == new => None,
        (_, Some(new)) => Some(json!({ "op": "replace", "path": path, "value": new })),
        (_, None) => Some(json!({ "op": "remove", "path": path })),
    }
}

/// Sends PATCH operations, only if the version is still this one.
pub(crate) fn patch(what: &str, id: &str, operations: &[Value], version: Option<&str>) -> Request {
    let body = json!({ "schemas": [PATCH], "Operations": operations });
    let request = asked(scim(Request::patch(path![what, id]), body));
    match version {
        Some(version) => request.if_match(version),
        None => request,
    }
}

/// Replaces a resource, for a server without PATCH. What only the server writes is left out.
pub(crate) fn replace(
    what: &str,
    id: &str,
    mut body: Map<String, Value>,
    version: Option<&str>,
) -> Request {
    for name in ["meta", "groups"] {
        body.remove(name);
    }
    let request = asked(scim(Request::put(path![what, id]), Value::Object(body)));
    match version {
        Some(version) => request.if_match(version),
        None => request,
    }
}

/// Switches a user on or off.
pub(crate) fn activate(active: bool) -> Vec<Value> {
    vec![json!({ "op": "replace", "path": "active", "value": active })]
}

/// Puts a user into a group, or takes them out.
pub(crate) fn member(user: &str, is: bool, removal: MemberRemoval) -> Vec<Value> {
    let it = json!([{ "value": user }]);
    vec![match (is, removal) {
        (true, _) => json!({ "op": "add", "path": "members", "value": it }),
        (false, MemberRemoval::Path) => {
            json!({ "op": "remove", "path": format!("members[value eq {}]", quoted(user)) })
        }
        (false, MemberRemoval::Value) => json!({ "op": "remove", "path": "members", "value": it }),
    }]
}

/// Deletes a user, only if the version is still this one.
pub(crate) fn delete(id: &str, version: Option<&str>) -> Request {
    let request = asked(Request::delete(path!["Users", id]));
    match version {
        Some(version) => request.if_match(version),
        None => request,
    }
}

/// What a bulk request has besides its operations, in bytes, and a little more.
pub(crate) const BULK_BYTES: usize = 256;

fn bulk_operation(number: usize, path: &str, operations: &[Value]) -> Value {
    json!({ "method": Method::PATCH.as_str(), "path": path, "bulkId": number.to_string(),
            "data": { "schemas": [PATCH], "Operations": operations } })
}

/// What an operation adds to a bulk request, in bytes, with a number of up to ten digits.
pub(crate) fn bulk_size(path: &str, operations: &[Value]) -> usize {
    bulk_operation(0, path, operations).to_string().len() + 10
}

/// Several PATCH requests in one (RFC 7644 section 3.7), each on its own: one that fails stops no other.
pub(crate) fn bulk<'a>(patches: impl Iterator<Item = (&'a str, &'a Vec<Value>)>) -> Request {
    let operations: Vec<Value> = patches
        .enumerate()
        .map(|(number, (path, operations))| bulk_operation(number, path, operations))
        .collect();
    let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    let body = json!({ "schemas": [schema], "Operations": operations });
    asked(scim(Request::post(path!["Bulk"]), body))
}
