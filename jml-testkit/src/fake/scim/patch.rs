//! What may be written, and PATCH (RFC 7644 section 3.5.2).

use serde_json::{Map, Value};

use super::{ENTERPRISE, GROUP, Removal, USER, Wrong, schemas};
use crate::fake::filter::{Filter, member};

/// The attributes that a client may write, in their proper spelling; what the schema does not have is left
/// out (RFC 7644 section 3.3), and so is what only the server writes.
pub(super) fn written(user: bool, body: &Value) -> Result<Map<String, Value>, Wrong> {
    let Some(given) = body.as_object() else {
        return Err((400, "invalidSyntax", "the body is no resource".to_owned()));
    };
    let mut kept = Map::new();
    for (name, value) in given {
        if let Some(name) = proper(user, name)
            && !value.is_null()
        {
            kept.insert(name, typed(value.clone()));
        }
    }
    let mut urns = vec![Value::from(if user { USER } else { GROUP })];
    if kept.contains_key(ENTERPRISE) {
        urns.push(ENTERPRISE.into());
    }
    kept.insert("schemas".to_owned(), Value::Array(urns));
    tidy(&mut kept);
    Ok(kept)
}

/// A top-level attribute as the schema spells it.
fn proper(user: bool, name: &str) -> Option<String> {
    if user && name.eq_ignore_ascii_case(ENTERPRISE) {
        return Some(ENTERPRISE.to_owned());
    }
    schemas::writable(user).into_iter().find(|it| it.eq_ignore_ascii_case(name)).map(str::to_owned)
}

/// Some clients write truth as a text.
fn typed(value: Value) -> Value {
    match value {
        Value::String(text) if text == "True" || text == "true" => Value::Bool(true),
        Value::String(text) if text == "False" || text == "false" => Value::Bool(false),
        other => other,
    }
}

/// Nothing is kept as empty: an attribute without a value is one that is not there.
fn tidy(map: &mut Map<String, Value>) {
    map.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(inner) => {
            tidy(inner);
            !inner.is_empty()
        }
        Value::Array(all) => !all.is_empty(),
        _ => true,
    });
}

/// A path: attribute, filter on its values, member of them.
struct Place {
    /// The extension that the attribute is in.
    urn: Option<String>,
    name: Option<String>,
    filter: Option<Filter>,
    sub: Option<String>,
}

fn place(user: bool, path: &str) -> Result<Place, Wrong> {
    let wrong = || (400, "invalidPath", format!("`{path}` is no path"));
    let mut rest = path.trim();
    let mut urn = None;
    for prefix in [USER, GROUP, ENTERPRISE] {
        if rest.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix)) {
            rest = rest.get(prefix.len()..).unwrap_or_default().trim_start_matches([':', '.']);
            if prefix == ENTERPRISE {
                urn = Some(ENTERPRISE.to_owned());
            }
            break;
        }
    }
    if rest.is_empty() {
        return Ok(Place { urn, name: None, filter: None, sub: None });
    }
    let (name, filter, sub) = match rest.split_once('[') {
        Some((name, tail)) => {
            let (inner, after) = tail.rsplit_once(']').ok_or_else(wrong)?;
            let filter = Filter::parse(inner);
            let filter =
                filter.ok_or_else(|| (400, "invalidFilter", format!("`{inner}` is no filter")))?;
            let sub = after.strip_prefix('.').map(str::to_owned);
            if sub.is_none() && !after.is_empty() {
                return Err(wrong());
            }
            (name, Some(filter), sub)
        }
        None => match rest.split_once('.') {
            Some((name, sub)) => (name, None, Some(sub.to_owned())),
            None => (rest, None, None),
        },
    };
    let known = if urn.is_some() {
        let all = schemas::enterprise();
        all.into_iter().find(|it| it.eq_ignore_ascii_case(name)).map(str::to_owned)
    } else {
        proper(user, name)
    };
    let Some(name) = known else {
        let read_only = ["id", "meta", "groups"].contains(&name);
        let kind = if read_only { "mutability" } else { "invalidPath" };
        return Err((400, kind, format!("`{path}` cannot be written")));
    };
    Ok(Place { urn, name: Some(name), filter, sub })
}

/// Applies all operations, or none.
pub(super) fn apply(
    user: bool,
    resource: &mut Map<String, Value>,
    body: &Value,
    removal: Removal,
) -> Result<(), Wrong> {
    let operations = member(body, "Operations").and_then(Value::as_array);
    let Some(operations) = operations else {
        return Err((400, "invalidSyntax", "there are no Operations".to_owned()));
    };
    for operation in operations {
        // Upper case is not by the book, and one large client writes it.
        let op = member(operation, "op").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let path = member(operation, "path").and_then(Value::as_str);
        let value = member(operation, "value").cloned().unwrap_or_default();
        match (op.as_str(), path) {
            ("add" | "replace", None) => {
                let Some(values) = value.as_object() else {
                    return Err((
                        400,
                        "invalidValue",
                        "without a path, the value is an object".to_owned(),
                    ));
                };
                for (path, value) in values {
                    // Read-only and unknown attributes of a whole resource are not looked at.
                    if let Ok(place) = place(user, path) {
                        write(resource, &place, value.clone(), op == "add")?;
                    }
                }
            }
            ("add" | "replace", Some(path)) => {
                write(resource, &place(user, path)?, value, op == "add")?;
            }
            ("remove", Some(path)) => remove(resource, &place(user, path)?, &value, removal)?,
            ("remove", None) => return Err((400, "noTarget", "a removal needs a path".to_owned())),
            _ => return Err((400, "invalidSyntax", format!("`{op}` is no operation"))),
        }
    }
    tidy(resource);
    if user && resource.contains_key(ENTERPRISE) {
        resource.insert("schemas".to_owned(), serde_json::json!([USER, ENTERPRISE]));
    } else if user {
        resource.insert("schemas".to_owned(), serde_json::json!([USER]));
    }
    Ok(())
}

/// The object that a place's attribute is a member of.
fn holder<'a>(
    resource: &'a mut Map<String, Value>,
    place: &Place,
) -> Option<&'a mut Map<String, Value>> {
    match &place.urn {
        None => Some(resource),
        Some(urn) => {
            resource.entry(urn.clone()).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
        }
    }
}

fn write(
    resource: &mut Map<String, Value>,
    place: &Place,
    value: Value,
    add: bool,
) -> Result<(), Wrong> {
    let value = typed(value);
    let Some(object) = holder(resource, place) else { return Ok(()) };
    let Some(name) = &place.name else {
        // The whole extension.
        if let Value::Object(values) = value {
            for (name, value) in values {
                let known =
                    schemas::enterprise().into_iter().find(|it| it.eq_ignore_ascii_case(&name));
                if let Some(known) = known {
                    merge(object, known, value, add);
                }
            }
        }
        return Ok(());
    };
    match (&place.filter, &place.sub) {
        (None, None) => merge(object, name, value, add),
        (None, Some(sub)) => {
            match object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(inner) => {
                    inner.insert(sub.clone(), value);
                }
                Value::Array(all) => {
                    for it in all.iter_mut().filter_map(Value::as_object_mut) {
                        it.insert(sub.clone(), value.clone());
                    }
                }
                _ => return Err((400, "invalidPath", format!("`{name}` has no members"))),
            }
        }
        (Some(filter), sub) => {
            let all = object.get_mut(name).and_then(Value::as_array_mut);
            let hits: Vec<&mut Value> =
                all.into_iter().flatten().filter(|it| filter.holds(it)).collect();
            if hits.is_empty() {
                return Err((400, "noTarget", format!("nothing in `{name}` matches")));
            }
            for hit in hits {
                match (sub, &value) {
                    (Some(sub), value) => {
                        if let Some(hit) = hit.as_object_mut() {
                            hit.insert(sub.clone(), value.clone());
                        }
                    }
                    (None, Value::Object(values)) => {
                        if let Some(hit) = hit.as_object_mut() {
                            hit.extend(values.clone());
                        }
                    }
                    (None, value) => *hit = value.clone(),
                }
            }
        }
    }
    Ok(())
}

/// Sets an attribute; with `add`, values of a list come beside those that are there.
fn merge(object: &mut Map<String, Value>, name: &str, value: Value, add: bool) {
    let multi = schemas::MULTI.contains(&name);
    let value = match value {
        Value::Array(_) => value,
        one if multi && !one.is_null() => Value::Array(vec![one]),
        other => other,
    };
    match (object.get_mut(name), value) {
        (Some(Value::Array(old)), Value::Array(new)) if add => {
            for it in new {
                let same = |old: &Value| match (old.get("value"), it.get("value")) {
                    (Some(one), Some(other)) => {
                        one == other && old.get("type") == it.get("type").or(old.get("type"))
                    }
                    _ => *old == it,
                };
                if !old.iter().any(same) {
                    if it["primary"] == true {
                        old.iter_mut().filter_map(Value::as_object_mut).for_each(|it| {
                            it.remove("primary");
                        });
                    }
                    old.push(it);
                }
            }
        }
        (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
        (_, value) => {
            object.insert(name.to_owned(), value);
        }
    }
}

fn remove(
    resource: &mut Map<String, Value>,
    place: &Place,
    value: &Value,
    removal: Removal,
) -> Result<(), Wrong> {
    let Some(object) = holder(resource, place) else { return Ok(()) };
    let Some(name) = &place.name else {
        object.clear();
        return Ok(());
    };
    if removal == Removal::Value && place.filter.is_some() && name == "members" {
        return Err((400, "invalidPath", "a filter in a path is not supported".to_owned()));
    }
    let named: Vec<&Value> = match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    if place.filter.is_none()
        && place.sub.is_none()
        && !named.is_empty()
        && removal != Removal::Path
    {
        if let Some(Value::Array(all)) = object.get_mut(name) {
            all.retain(|it| {
                !named.iter().any(|gone| gone["value"] == it["value"] || **gone == *it)
            });
        }
        return Ok(());
    }
    match (&place.filter, &place.sub) {
        (None, None) => {
            if name == "userName"
                || name == "displayName"
                    && !object.contains_key("userName")
                    && object.contains_key("members")
            {
                return Err((400, "invalidValue", format!("{name} is required")));
            }
            object.remove(name);
        }
        (None, Some(sub)) => match object.get_mut(name) {
            Some(Value::Object(inner)) => {
                inner.remove(sub);
            }
            Some(Value::Array(all)) => {
                for it in all.iter_mut().filter_map(Value::as_object_mut) {
                    it.remove(sub);
                }
            }
            _ => {}
        },
        (Some(filter), sub) => {
            let Some(Value::Array(all)) = object.get_mut(name) else {
                return Err((400, "noTarget", format!("nothing in `{name}` matches")));
            };
            if !all.iter().any(|it| filter.holds(it)) {
                return Err((400, "noTarget", format!("nothing in `{name}` matches")));
            }
            match sub {
                None => all.retain(|it| !filter.holds(it)),
                Some(sub) => {
                    for it in all
                        .iter_mut()
                        .filter(|it| filter.holds(it))
                        .filter_map(Value::as_object_mut)
                    {
                        it.remove(sub);
                    }
                }
            }
        }
    }
    Ok(())
}
