//! Attributes with provenance: who said it, since when, and which source's word counts.
//!
//! A source either says a value, says that there is none, or says nothing. The three must not be
//! confused: an empty cell in a feed that carries a column is `AssertedNull` and clears the value, a
//! feed that does not carry the column is `NoOpinion` and lets the next source speak.
//!
//! Assertions are kept with the instant from which they hold and the instant at which they were
//! recorded (bitemporal), so that "what was true on that day" and "what did we know then" both have an
//! answer, and so that a mover's earlier access can be computed instead of remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{AttributeName, SourceId};

/// The type of an attribute, declared once in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributeType {
    /// A text, compared byte by byte.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A civil date, without a zone.
    Date,
    /// A set of texts.
    TextSet,
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::TextSet => "set of texts",
        })
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributeValue {
    /// A text.
    Text(SmolStr),
    /// A whole number of at most 2^53 - 1 in size.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A civil date.
    Date(NaiveDate),
    /// A set of texts.
    TextSet(BTreeSet<SmolStr>),
}

impl AttributeValue {
    /// A text value.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(SmolStr::new(text))
    }

    /// The type of this value.
    #[must_use]
    pub const fn attribute_type(&self) -> AttributeType {
        match self {
            Self::Text(_) => AttributeType::Text,
            Self::Integer(_) => AttributeType::Integer,
            Self::Boolean(_) => AttributeType::Boolean,
            Self::Date(_) => AttributeType::Date,
            Self::TextSet(_) => AttributeType::TextSet,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Whether a target that shows `seen` holds this value. Targets have fewer types than policies: a date comes
    /// back as the text that it was written as, a number too, where the target keeps texts.
    ///
    /// ```
    /// use jml_core::attribute::{AttributeType, AttributeValue};
    /// let day = AttributeValue::parse(AttributeType::Date, "2026-11-21").unwrap();
    /// assert!(day.is_shown_as(&AttributeValue::text("2026-11-21")));
    /// assert!(AttributeValue::Integer(7).is_shown_as(&AttributeValue::text("7")));
    /// assert!(!AttributeValue::Integer(7).is_shown_as(&AttributeValue::text("07")));
    /// ```
    #[must_use]
    pub fn is_shown_as(&self, seen: &Self) -> bool {
        self == seen
            || (self.attribute_type() != seen.attribute_type()
                && matches!((self, seen), (Self::Text(_), _) | (_, Self::Text(_)))
                && self.to_string() == seen.to_string())
    }

    /// Reads a value of a declared type from the text of a feed's cell. Sets are separated by `;`.
    ///
    /// # Errors
    /// [`ValueError`] when the text is not of that type.
    pub fn parse(ty: AttributeType, text: &str) -> Result<Self, ValueError> {
        let bad = || ValueError { ty, text: text.chars().take(80).collect() };
        Ok(match ty {
            AttributeType::Text => Self::Text(SmolStr::new(text)),
            AttributeType::Integer => Self::Integer(text.trim().parse().map_err(|_| bad())?),
            AttributeType::Boolean => match text.trim() {
                "true" | "yes" | "1" => Self::Boolean(true),
                "false" | "no" | "0" => Self::Boolean(false),
                _ => return Err(bad()),
            },
            AttributeType::Date => {
                Self::Date(NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").map_err(|_| bad())?)
            }
            AttributeType::TextSet => Self::TextSet(
                text.split(';')
                    .map(str::trim)
                    .filter(|t| !t.is_empty())
                    .map(SmolStr::new)
                    .collect(),
            ),
        })
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::TextSet(set) => {
                for (i, item) in set.iter().enumerate() {
                    if i > 0 {
                        f.write_str("; ")?;
                    }
                    f.write_str(item)?;
                }
                Ok(())
            }
        }
    }
}

/// A text is not a value of the declared type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a value of type {ty}")]
pub struct ValueError {
    /// The declared type.
    pub ty: AttributeType,
    /// The text, cut after 80 characters.
    pub text: String,
}

/// What one source says about one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "three-valued by definition")]
pub enum Opinion {
    /// The attribute has this value.
    Value(AttributeValue),
    /// The attribute has no value, says the source.
    AssertedNull,
    /// The source does not speak about the attribute.
    NoOpinion,
}

/// One source's word on one attribute, from one instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Assertion {
    /// Who says it.
    pub source: SourceId,
    /// What it says.
    pub opinion: Opinion,
    /// From when on it holds.
    pub valid_from: DateTime<Utc>,
    /// When it became known here.
    pub recorded_at: DateTime<Utc>,
}

/// Declaration of an attribute: its type and the order in which sources are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct AttributeDef {
    /// The type of every value.
    pub ty: AttributeType,
    /// Sources in order of authority. The first that has an opinion owns the value.
    pub sources: Vec<SourceId>,
    /// Whether values are personal data and must not appear in clear in evidence.
    pub personal: bool,
}

/// All declared attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttributeSchema {
    defs: BTreeMap<AttributeName, AttributeDef>,
}

impl AttributeSchema {
    /// A schema from its declarations.
    #[must_use]
    pub const fn new(defs: BTreeMap<AttributeName, AttributeDef>) -> Self {
        Self { defs }
    }

    /// The declaration of an attribute.
    #[must_use]
    pub fn get(&self, name: &AttributeName) -> Option<&AttributeDef> {
        self.defs.get(name)
    }

    /// All declarations in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeName, &AttributeDef)> {
        self.defs.iter()
    }
}

/// The history of one identity's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes {
    history: BTreeMap<AttributeName, Vec<Assertion>>,
}

/// The winning opinion on an attribute at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Resolved<'a> {
    /// The value; `None` when the owner says that there is none.
    pub value: Option<&'a AttributeValue>,
    /// Where it comes from.
    pub assertion: &'a Assertion,
}

impl Attributes {
    /// Records a source's word. A word equal to the source's last one adds nothing, so that reading
    /// the same feed twice leaves the history as it is. Returns whether something was added.
    pub fn assert(&mut self, name: AttributeName, assertion: Assertion) -> bool {
        let list = self.history.entry(name).or_default();
        let same_source = list.iter().filter(|a| a.source == assertion.source);
        let latest = same_source.max_by_key(|a| (a.valid_from, a.recorded_at));
        if latest.is_some_and(|a| a.opinion == assertion.opinion)
            || (latest.is_none() && assertion.opinion == Opinion::NoOpinion)
        {
            return false;
        }
        list.push(assertion);
        list.sort_by_key(|a| (a.valid_from, a.recorded_at));
        true
    }

    /// The winning opinion at an instant: the latest word of the first source, in the declared
    /// order, that has one. `None` when nobody has an opinion or the attribute is not declared.
    #[must_use]
    pub fn at(
        &self,
        schema: &AttributeSchema,
        name: &AttributeName,
        at: DateTime<Utc>,
    ) -> Option<Resolved<'_>> {
        let def = schema.get(name)?;
        let list = self.history.get(name)?;
        def.sources.iter().find_map(|source| {
            let word = list
                .iter()
                .filter(|a| &a.source == source && a.valid_from <= at)
                .max_by_key(|a| (a.valid_from, a.recorded_at))?;
            match &word.opinion {
                Opinion::Value(value) => Some(Resolved { value: Some(value), assertion: word }),
                Opinion::AssertedNull => Some(Resolved { value: None, assertion: word }),
                Opinion::NoOpinion => None,
            }
        })
    }

    /// The value at an instant, if there is one.
    #[must_use]
    pub fn value(
        &self,
        schema: &AttributeSchema,
        name: &AttributeName,
        at: DateTime<Utc>,
    ) -> Option<&AttributeValue> {
        self.at(schema, name, at)?.value
    }

    /// Every instant at which some attribute may change, in order and without repeats.
    #[must_use]
    pub fn breakpoints(&self) -> BTreeSet<DateTime<Utc>> {
        self.history.values().flatten().map(|a| a.valid_from).collect()
    }

    /// All assertions, by attribute.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeName, &[Assertion])> {
        self.history.iter().map(|(name, list)| (name, list.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn say(source: &str, opinion: Opinion, hours: i64) -> Assertion {
        let source = SourceId::new(source).unwrap();
        Assertion { source, opinion, valid_from: at(hours), recorded_at: at(hours) }
    }

    fn schema() -> (AttributeSchema, AttributeName) {
        let name = AttributeName::new("title").unwrap();
        let sources = vec![SourceId::new("hr").unwrap(), SourceId::new("desk").unwrap()];
        let def = AttributeDef { ty: AttributeType::Text, sources, personal: false };
        (AttributeSchema::new(BTreeMap::from([(name.clone(), def)])), name)
    }

    #[test]
    fn first_source_with_an_opinion_owns_the_value() {
        let (schema, name) = schema();
        let mut attributes = Attributes::default();
        let value = |v| Opinion::Value(AttributeValue::text(v));
        attributes.assert(name.clone(), say("desk", value("clerk"), 0));
        assert_eq!(attributes.value(&schema, &name, at(0)), Some(&AttributeValue::text("clerk")));
        attributes.assert(name.clone(), say("hr", value("chief"), 1));
        assert_eq!(attributes.value(&schema, &name, at(1)), Some(&AttributeValue::text("chief")));
        // The owner's "there is none" clears; its silence lets the next one speak.
        attributes.assert(name.clone(), say("hr", Opinion::AssertedNull, 2));
        assert_eq!(attributes.value(&schema, &name, at(2)), None);
        assert!(attributes.at(&schema, &name, at(2)).is_some());
        attributes.assert(name.clone(), say("hr", Opinion::NoOpinion, 3));
        assert_eq!(attributes.value(&schema, &name, at(3)), Some(&AttributeValue::text("clerk")));
        // The past stays as it was.
        assert_eq!(attributes.value(&schema, &name, at(1)), Some(&AttributeValue::text("chief")));
    }

    #[test]
    fn repeating_a_word_adds_nothing() {
        let (_, name) = schema();
        let mut attributes = Attributes::default();
        let word = || say("hr", Opinion::Value(AttributeValue::text("x")), 0);
        assert!(attributes.assert(name.clone(), word()));
        assert!(!attributes.assert(name.clone(), word()));
        assert!(!attributes.assert(name, say("other", Opinion::NoOpinion, 1)));
    }
}
