//! What the server says of itself (RFC 7643 sections 4, 7 and 8).

use serde_json::{Value, json};

use super::{ENTERPRISE, GROUP, USER};

/// Attributes with several values.
pub(super) const MULTI: [&str; 10] = [
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
    "members",
    "schemas",
];

const SIMPLE: [&str; 10] = [
    "userName",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "password",
];

const ENTERPRISE_TEXTS: [&str; 5] =
    ["employeeNumber", "costCenter", "organization", "division", "department"];

/// Top-level attributes that a client may write.
pub(super) fn writable(user: bool) -> Vec<&'static str> {
    if !user {
        return vec!["displayName", "members", "externalId"];
    }
    let lists = MULTI.iter().copied().filter(|it| *it != "members" && *it != "schemas");
    SIMPLE.into_iter().chain(["name", "active", "externalId"]).chain(lists).collect()
}

/// Attributes of the enterprise extension.
pub(super) fn enterprise() -> Vec<&'static str> {
    ENTERPRISE_TEXTS.into_iter().chain(["manager"]).collect()
}

fn attribute(name: &str, kind: &str, multi: bool) -> Value {
    let mut it = json!({
        "name": name, "type": kind, "multiValued": multi, "description": name, "required": false,
        "mutability": "readWrite", "returned": "default",
    });
    if kind != "complex" && kind != "boolean" {
        it["caseExact"] = false.into();
        it["uniqueness"] = "none".into();
    }
    it
}

fn with(mut it: Value, name: &str, value: impl Into<Value>) -> Value {
    it[name] = value.into();
    it
}

fn reference(name: &str, types: &[&str]) -> Value {
    with(attribute(name, "reference", false), "referenceTypes", types.to_vec())
}

fn complex(name: &str, multi: bool, subs: Vec<Value>) -> Value {
    with(attribute(name, "complex", multi), "subAttributes", Value::Array(subs))
}

/// A list of values with type, display and a mark for the first one.
fn values(name: &str, types: &[&str]) -> Value {
    let mut kind = attribute("type", "string", false);
    if !types.is_empty() {
        kind["canonicalValues"] = types.to_vec().into();
    }
    let value = match name {
        "photos" => reference("value", &["external"]),
        "x509Certificates" => with(attribute("value", "binary", false), "caseExact", true),
        _ => attribute("value", "string", false),
    };
    complex(
        name,
        true,
        vec![
            value,
            attribute("display", "string", false),
            kind,
            attribute("primary", "boolean", false),
        ],
    )
}

fn user(host: &str) -> Value {
    let texts =
        |names: &[&str]| names.iter().map(|it| attribute(it, "string", false)).collect::<Vec<_>>();
    let name = complex(
        "name",
        false,
        texts(&[
            "formatted",
            "familyName",
            "givenName",
            "middleName",
            "honorificPrefix",
            "honorificSuffix",
        ]),
    );
    let mut address =
        texts(&["formatted", "streetAddress", "locality", "region", "postalCode", "country"]);
    address.push(with(
        attribute("type", "string", false),
        "canonicalValues",
        vec!["work", "home", "other"],
    ));
    address.push(attribute("primary", "boolean", false));
    let user_name = with(attribute("userName", "string", false), "required", true);
    let user_name = with(user_name, "uniqueness", "server");
    let password = with(attribute("password", "string", false), "mutability", "writeOnly");
    let password = with(password, "returned", "never");
    let groups = ["value", "display", "type"]
        .map(|it| with(attribute(it, "string", false), "mutability", "readOnly"));
    let mut groups: Vec<Value> = groups.into();
    groups.push(with(reference("$ref", &["User", "Group"]), "mutability", "readOnly"));
    let groups = with(complex("groups", true, groups), "mutability", "readOnly");
    let mut all = vec![user_name, name];
    all.extend(texts(&["displayName", "nickName"]));
    all.push(reference("profileUrl", &["external"]));
    all.extend(texts(&["title", "userType", "preferredLanguage", "locale", "timezone"]));
    all.push(attribute("active", "boolean", false));
    all.push(password);
    all.push(values("emails", &["work", "home", "other"]));
    all.push(values("phoneNumbers", &["work", "home", "mobile", "fax", "pager", "other"]));
    all.push(values("ims", &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]));
    all.push(values("photos", &["photo", "thumbnail"]));
    all.push(complex("addresses", true, address));
    all.push(groups);
    all.push(values("entitlements", &[]));
    all.push(values("roles", &[]));
    all.push(values("x509Certificates", &[]));
    schema(USER, "User", &all, host)
}

fn group(host: &str) -> Value {
    let fixed = |it: Value| with(it, "mutability", "immutable");
    let members = complex(
        "members",
        true,
        vec![
            fixed(attribute("value", "string", false)),
            fixed(reference("$ref", &["User", "Group"])),
            fixed(with(
                attribute("type", "string", false),
                "canonicalValues",
                vec!["User", "Group"],
            )),
            attribute("display", "string", false),
        ],
    );
    let name = with(attribute("displayName", "string", false), "required", true);
    schema(GROUP, "Group", &[name, members], host)
}

fn extension(host: &str) -> Value {
    let mut all: Vec<Value> =
        ENTERPRISE_TEXTS.iter().map(|it| attribute(it, "string", false)).collect();
    let name = with(attribute("displayName", "string", false), "mutability", "readOnly");
    all.push(complex(
        "manager",
        false,
        vec![attribute("value", "string", false), reference("$ref", &["User"]), name],
    ));
    schema(ENTERPRISE, "EnterpriseUser", &all, host)
}

fn schema(id: &str, name: &str, attributes: &[Value], host: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": id, "name": name,
        "description": name, "attributes": attributes,
        "meta": { "resourceType": "Schema", "location": format!("{host}/scim/v2/Schemas/{id}") },
    })
}

pub(super) fn schemas(host: &str) -> Vec<Value> {
    vec![user(host), group(host), extension(host)]
}

pub(super) fn resource_types(host: &str) -> Vec<Value> {
    let one = |name: &str, endpoint: &str, schema: &str, extensions: &Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": name, "name": name,
            "endpoint": endpoint, "description": name, "schema": schema, "schemaExtensions": extensions,
            "meta": { "resourceType": "ResourceType",
                      "location": format!("{host}/scim/v2/ResourceTypes/{name}") },
        })
    };
    let extension = json!([{ "schema": ENTERPRISE, "required": false }]);
    vec![one("User", "/Users", USER, &extension), one("Group", "/Groups", GROUP, &json!([]))]
}
