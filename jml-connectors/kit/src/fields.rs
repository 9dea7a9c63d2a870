//! Names of attributes here and names of fields there.

use jml_core::attribute::AttributeValue;
use jml_core::provider::{Error, ErrorKind, Result};
use serde_json::Value;

/// `given_name` as `givenName`.
#[must_use]
pub fn camel(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            text.extend(c.to_uppercase());
            upper = false;
        } else {
            text.push(c);
        }
    }
    text
}

/// `givenName` as `given_name`.
#[must_use]
pub fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_uppercase() {
            text.push('_');
            text.extend(c.to_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

/// The attributes that a target knows, with where each lies there. What is not in the table, the target
/// does not have.
///
/// ```
/// use jml_connector_kit::fields::Fields;
/// const FIELDS: Fields = Fields(&[("title", "jobTitle"), ("given_name", "givenName")]);
/// assert_eq!(FIELDS.field("title"), Some("jobTitle"));
/// assert_eq!(FIELDS.name("givenName"), Some("given_name"));
/// let error = FIELDS.known("shoe_size").unwrap_err();
/// assert!(error.to_string().contains("it knows given_name, title"), "{error}");
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a table")]
pub struct Fields(pub &'static [(&'static str, &'static str)]);

impl Fields {
    /// Where an attribute lies.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static str> {
        self.0.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs)
    }

    /// Which attribute lies there.
    #[must_use]
    pub fn name(&self, field: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, theirs)| *theirs == field).map(|(ours, _)| *ours)
    }

    /// Where an attribute lies, or an error that names those that there are.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`].
    pub fn known(&self, name: &str) -> Result<&'static str> {
        self.field(name).ok_or_else(|| {
            let mut known: Vec<&str> = self.0.iter().map(|(ours, _)| *ours).collect();
            known.sort_unstable();
            let known = known.join(", ");
            let text = format!("the target has no attribute `{name}`; it knows {known}");
            Error::new(ErrorKind::Invalid, text)
        })
    }
}

/// A value as JSON. Dates are written as `2026-11-21`, sets as arrays.
#[must_use]
pub fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Integer(number) => Value::from(*number),
        AttributeValue::Boolean(it) => Value::Bool(*it),
        AttributeValue::TextSet(all) => all.iter().map(|it| Value::from(it.as_str())).collect(),
        other => Value::from(other.to_string()),
    }
}

/// A scalar, or a set of texts, from JSON; `None` for nothing, an empty text, and for what is neither.
#[must_use]
pub fn from_json(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::String(text) if !text.is_empty() => Some(AttributeValue::text(text)),
        Value::Bool(it) => Some(AttributeValue::Boolean(*it)),
        Value::Number(number) => number.as_i64().map(AttributeValue::Integer),
        Value::Array(all) if !all.is_empty() => {
            let texts = all.iter().map(|it| it.as_str().map(Into::into));
            texts.collect::<Option<_>>().map(AttributeValue::TextSet)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (ours, theirs) in [("given_name", "givenName"), ("city", "city"), ("a_b_c", "aBC")] {
            assert_eq!(camel(ours), theirs);
            assert_eq!(snake(theirs), ours);
        }
    }

    #[test]
    fn values_go_there_and_back() {
        let set = AttributeValue::TextSet(["a".into(), "b".into()].into());
        for value in [
            AttributeValue::text("x"),
            AttributeValue::Integer(7),
            AttributeValue::Boolean(true),
            set,
        ] {
            assert_eq!(from_json(&to_json(&value)), Some(value));
        }
        for nothing in [Value::Null, "".into(), Value::Array(vec![]), serde_json::json!({"a": 1})] {
            assert_eq!(from_json(&nothing), None);
        }
    }
}
