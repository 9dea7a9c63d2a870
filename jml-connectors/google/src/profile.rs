//! Attributes, and where they lie on a user. Nothing here knows a network.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_kit::fields::{Fields, from_json};
use jml_core::attribute::AttributeValue;
use jml_core::id::{AttributeName, IdentityId};
use jml_core::provider::Result;
use serde_json::{Map, Value, json};

/// Where each attribute lies: a list, which of its entries, and the member of that.
pub(crate) const FIELDS: Fields = Fields(&[
    ("given_name", "name..givenName"),
    ("family_name", "name..familyName"),
    ("title", "organizations..title"),
    ("department", "organizations..department"),
    ("cost_center", "organizations..costCenter"),
    ("employee_type", "organizations..description"),
    ("office", "organizations..location"),
    ("manager", "relations.manager.value"),
    ("work_phone", "phones.work.value"),
    ("mobile_phone", "phones.mobile.value"),
    ("org_unit", "orgUnitPath.."),
    ("recovery_email", "recoveryEmail.."),
    ("recovery_phone", "recoveryPhone.."),
]);

/// The custom type of the external id that marks a user who was made ahead of the first day.
const MARK: &str = "jml_status";

/// The organisational unit that is none.
const ROOT: &str = "/";

/// The parts of a place.
fn parts(place: &'static str) -> (&'static str, &'static str, &'static str) {
    let (list, rest) = place.split_once('.').unwrap_or((place, ""));
    let (kind, member) = rest.split_once('.').unwrap_or((rest, ""));
    (list, kind, member)
}

/// The entry of a list that a place means: of its type, or the primary one.
fn entry(list: &[Value], kind: &str) -> Option<usize> {
    if kind.is_empty() {
        return list
            .iter()
            .position(|it| it["primary"] == true)
            .or((!list.is_empty()).then_some(0));
    }
    list.iter().position(|it| it["type"] == kind)
}

fn list(user: &Map<String, Value>, name: &str) -> Vec<Value> {
    user.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The attributes of a user.
pub(crate) fn attributes(user: &Map<String, Value>) -> BTreeMap<AttributeName, AttributeValue> {
    let mut found = BTreeMap::new();
    for (name, place) in FIELDS.0 {
        let (top, kind, member) = parts(place);
        let value = match user.get(top) {
            Some(Value::Array(all)) => entry(all, kind).and_then(|at| all.get(at)?.get(member)),
            Some(Value::Object(object)) => object.get(member),
            other => other,
        };
        // Everybody is in the root; it is no unit.
        let value = value.filter(|it| *it != ROOT);
        if let (Some(value), Ok(name)) = (value.and_then(from_json), AttributeName::new(name)) {
            found.insert(name, value);
        }
    }
    found
}

/// What to send so that a user has these attributes and lacks those. Lists are sent whole, with what is
/// in them for others; what stays as it is, is not sent.
pub(crate) fn changes(
    user: &Map<String, Value>,
    set: &BTreeMap<AttributeName, AttributeValue>,
    clear: &BTreeSet<AttributeName>,
) -> Result<Map<String, Value>> {
    let set = set.iter().map(|(name, value)| (name, Some(value.to_string())));
    let clear = clear.iter().map(|name| (name, None));
    let mut wanted = user.clone();
    let mut touched = BTreeSet::new();
    for (name, value) in set.chain(clear) {
        let (top, kind, member) = parts(FIELDS.known(name.as_str())?);
        touched.insert(top);
        match (member, top) {
            ("", _) => {
                let none = if top == "orgUnitPath" { ROOT } else { "" };
                let value = value.unwrap_or_else(|| none.to_owned());
                wanted.insert(top.to_owned(), value.into());
            }
            (_, "name") => {
                let value = value.unwrap_or_default();
                match wanted.get_mut(top) {
                    Some(Value::Object(object)) => {
                        object.insert(member.to_owned(), value.into());
                    }
                    // Something else than the documents say, or nothing.
                    _ => {
                        wanted.insert(top.to_owned(), json!({ member: value }));
                    }
                }
            }
            _ => {
                let mut all = list(&wanted, top);
                put(&mut all, kind, member, value);
                wanted.insert(top.to_owned(), Value::Array(all));
            }
        }
    }
    let mut body = Map::new();
    for top in touched {
        let new = wanted.remove(top).unwrap_or_default();
        let old = user.get(top);
        let empty = |it: &Value| {
            it.is_null()
                || matches!(it.as_str(), Some("" | ROOT))
                || it.as_array().is_some_and(Vec::is_empty)
        };
        if old == Some(&new) || (old.is_none_or(empty) && empty(&new)) {
            continue;
        }
        let cleared = new.as_array().is_some_and(Vec::is_empty);
        body.insert(top.to_owned(), if cleared { Value::Null } else { new });
    }
    Ok(body)
}

/// Writes a member of an entry; an entry that says nothing any more goes.
fn put(all: &mut Vec<Value>, kind: &str, member: &str, value: Option<String>) {
    let at = entry(all, kind);
    match (at, value) {
        (Some(at), value) => {
            let Some(Value::Object(object)) = all.get_mut(at) else { return };
            match value {
                Some(value) => object.insert(member.to_owned(), value.into()),
                None => object.remove(member),
            };
            let says = |name: &String| !matches!(name.as_str(), "primary" | "type" | "customType");
            if !object.keys().any(says) {
                all.remove(at);
            }
        }
        (None, Some(value)) => {
            let mut made = Map::new();
            if kind.is_empty() {
                made.insert("primary".to_owned(), true.into());
            } else {
                made.insert("type".to_owned(), kind.into());
            }
            made.insert(member.to_owned(), value.into());
            all.push(Value::Object(made));
        }
        (None, None) => {}
    }
}

/// The identity that a user belongs to.
pub(crate) fn owner(user: &Map<String, Value>) -> Option<IdentityId> {
    let all = list(user, "externalIds");
    let own = all.iter().find(|it| it["type"] == "organization")?;
    IdentityId::new(own["value"].as_str()?).ok()
}

/// The external ids of a new user.
pub(crate) fn external_ids(owner: &IdentityId, staged: bool) -> Value {
    let mut all = vec![json!({ "type": "organization", "value": owner.as_str() })];
    if staged {
        all.push(json!({ "type": "custom", "customType": MARK, "value": "staged" }));
    }
    Value::Array(all)
}

fn is_mark(it: &Value) -> bool {
    it["type"] == "custom" && it["customType"] == MARK
}

/// Whether a user is marked as made ahead of the first day.
pub(crate) fn is_marked(user: &Map<String, Value>) -> bool {
    list(user, "externalIds").iter().any(is_mark)
}

/// The external ids without the mark.
pub(crate) fn unmarked(user: &Map<String, Value>) -> Value {
    let left: Vec<Value> =
        list(user, "externalIds").into_iter().filter(|it| !is_mark(it)).collect();
    if left.is_empty() { Value::Null } else { Value::Array(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn named(name: &str) -> AttributeName {
        AttributeName::new(name).unwrap()
    }

    #[test]
    fn what_others_wrote_into_a_list_stays() {
        let user = user(
            r#"{"organizations": [{"title": "Clerk", "primary": true, "domain": "x"}, {"title": "Aide"}],
                "phones": [{"type": "home", "value": "1"}]}"#,
        );
        let set = [(named("title"), AttributeValue::text("Head"))].into();
        let clear = [named("department"), named("work_phone")].into();
        let body = changes(&user, &set, &clear).unwrap();
        let wanted = json!({ "organizations":
            [{"title": "Head", "primary": true, "domain": "x"}, {"title": "Aide"}] });
        assert_eq!(Value::Object(body), wanted);
    }

    #[test]
    fn nothing_is_sent_for_what_holds() {
        let user = user(
            r#"{"name": {"givenName": "Ada"}, "relations": [{"type": "manager", "value": "b@x"}]}"#,
        );
        let ada = AttributeValue::text("Ada");
        let set = [(named("given_name"), ada)].into();
        let clear = [named("org_unit"), named("title")].into();
        assert!(changes(&user, &set, &clear).unwrap().is_empty());
        let clear = [named("manager")].into();
        let body = changes(&user, &BTreeMap::new(), &clear).unwrap();
        assert_eq!(Value::Object(body), json!({ "relations": null }));
        assert!(
            changes(&user, &[(named("shoe_size"), AttributeValue::Integer(7))].into(), &clear)
                .is_err()
        );
    }

    #[test]
    fn a_name_that_is_a_text_is_replaced() {
        let set = [(named("given_name"), AttributeValue::text("Ada"))].into();
        let body = changes(&user(r#"{"name": "Ada L"}"#), &set, &BTreeSet::new()).unwrap();
        assert_eq!(Value::Object(body), json!({ "name": { "givenName": "Ada" } }));
    }

    #[test]
    fn a_mark_comes_and_goes_alone() {
        let owner_id = IdentityId::new("E1").unwrap();
        let staged = Map::from_iter([("externalIds".to_owned(), external_ids(&owner_id, true))]);
        assert!(is_marked(&staged));
        assert_eq!(owner(&staged), Some(owner_id.clone()));
        assert_eq!(unmarked(&staged), external_ids(&owner_id, false));
    }
}
