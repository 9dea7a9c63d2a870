//! Evaluation of conditions: three-valued, total, and able to say why.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use smol_str::SmolStr;

use super::{Comparison, Condition};
use crate::attribute::AttributeValue;
use crate::builtin;
use crate::id::{AttributeName, OrgUnitId};
use crate::identity::{EngagementKind, Identity, IdentityKind};
use crate::policy::Policy;

/// The truth of a condition (Kleene's strong logic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "three-valued by definition")]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be told: an attribute has no value. Never grants.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    const fn of(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }

    const fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

/// What a condition is evaluated on: one identity, at one instant, for one engagement.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct View<'a> {
    /// Schema and organisation tree.
    pub policy: &'a Policy,
    /// Whose attributes.
    pub identity: &'a Identity,
    /// Which engagement.
    pub engagement: EngagementKind,
    /// When.
    pub at: DateTime<Utc>,
}

/// One comparison of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Atom {
    /// In people's words, with the value that was found.
    pub text: String,
    /// Whether it holds.
    pub truth: Truth,
    /// The attribute that it is about, if any.
    pub attribute: Option<AttributeName>,
}

/// The truth of a condition and all comparisons that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Evaluation {
    /// Whether the condition holds.
    pub truth: Truth,
    /// Its comparisons, in the order of the policy.
    pub atoms: Vec<Atom>,
}

impl<'a> View<'a> {
    /// The value of an attribute, built-in ones included.
    #[must_use]
    pub fn value(&self, name: &AttributeName) -> Option<Cow<'a, AttributeValue>> {
        let built_in = |text| Some(Cow::Owned(AttributeValue::text(text)));
        match name.as_str() {
            builtin::ENGAGEMENT_KIND => built_in(self.engagement.as_str()),
            builtin::IDENTITY_KIND => built_in(match self.identity.kind {
                IdentityKind::Person => "person",
                IdentityKind::NonHuman { .. } => "non_human",
            }),
            _ => {
                let schema = &self.policy.attributes;
                self.identity.attributes.value(schema, name, self.at).map(Cow::Borrowed)
            }
        }
    }
}

impl Condition {
    /// Whether the condition holds. Every part is a comparison of values at hand, so this always ends.
    #[must_use]
    pub fn truth(&self, view: &View<'_>) -> Truth {
        match self {
            Self::Always => Truth::True,
            Self::All(parts) => parts.iter().map(|p| p.truth(view)).min().unwrap_or(Truth::True),
            Self::Any(parts) => parts.iter().map(|p| p.truth(view)).max().unwrap_or(Truth::False),
            Self::Not(part) => part.truth(view).not(),
            Self::Present { attribute } => Truth::of(view.value(attribute).is_some()),
            Self::Compare { attribute, .. }
            | Self::In { attribute, .. }
            | Self::StartsWith { attribute, .. }
            | Self::Within { attribute, .. } => view
                .value(attribute)
                .and_then(|found| self.holds_for(&found, view.policy))
                .map_or(Truth::Unknown, Truth::of),
        }
    }

    /// As [`truth`](Self::truth), with every comparison and the value that was found.
    #[must_use]
    pub fn evaluate(&self, view: &View<'_>) -> Evaluation {
        let mut atoms = Vec::new();
        self.collect(view, &mut atoms);
        Evaluation { truth: self.truth(view), atoms }
    }

    fn collect(&self, view: &View<'_>, into: &mut Vec<Atom>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect(view, into);
                }
            }
            Self::Not(part) => {
                let from = into.len();
                part.collect(view, into);
                for atom in into.iter_mut().skip(from) {
                    atom.text = format!("not ({})", atom.text);
                    atom.truth = atom.truth.not();
                }
            }
            atom => into.push(Atom {
                text: atom.describe(view),
                truth: atom.truth(view),
                attribute: atom.attribute().cloned(),
            }),
        }
    }

    /// The attribute of a comparison.
    #[must_use]
    pub const fn attribute(&self) -> Option<&AttributeName> {
        match self {
            Self::Compare { attribute, .. }
            | Self::In { attribute, .. }
            | Self::StartsWith { attribute, .. }
            | Self::Present { attribute }
            | Self::Within { attribute, .. } => Some(attribute),
            _ => None,
        }
    }

    /// A comparison with a found value; `None` when the two cannot be compared.
    fn holds_for(&self, found: &AttributeValue, policy: &Policy) -> Option<bool> {
        match self {
            Self::Compare { op, value, .. } => compare(*op, found, value),
            Self::In { values, .. } => match found {
                AttributeValue::TextSet(set) => Some(
                    set.iter().any(|item| values.contains(&AttributeValue::Text(item.clone()))),
                ),
                one => Some(values.contains(one)),
            },
            Self::StartsWith { prefix, .. } => {
                found.as_text().map(|text| text.starts_with(prefix.as_str()))
            }
            Self::Within { unit, .. } => {
                let named = OrgUnitId::new(found.as_text()?).ok()?;
                // A unit that the tree does not know cannot be placed, in or out.
                policy.org.contains(&named).then(|| policy.org.is_within(&named, unit))
            }
            _ => None,
        }
    }

    fn describe(&self, view: &View<'_>) -> String {
        let shown = |name: &AttributeName| match view.value(name) {
            Some(value) => format!("{name} = {value}"),
            None => format!("{name} has no value"),
        };
        match self.attribute() {
            Some(attribute) => format!("{self} ({})", shown(attribute)),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Condition {
    /// In people's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parts: &[Self], word: &str| {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Self::Always => f.write_str("everybody"),
            Self::All(parts) => f.write_str(&list(parts, " and ")),
            Self::Any(parts) => f.write_str(&list(parts, " or ")),
            Self::Not(part) => write!(f, "not ({part})"),
            Self::Compare { attribute, op, value } => {
                write!(f, "{attribute} {} {value}", op.sign())
            }
            Self::In { attribute, values } => {
                let list: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{attribute} in [{}]", list.join(", "))
            }
            Self::StartsWith { attribute, prefix } => {
                write!(f, "{attribute} starts with {prefix}")
            }
            Self::Present { attribute } => write!(f, "{attribute} is present"),
            Self::Within { attribute, unit } => write!(f, "{attribute} within {unit}"),
        }
    }
}

fn compare(op: Comparison, found: &AttributeValue, value: &AttributeValue) -> Option<bool> {
    if found.attribute_type() != value.attribute_type() {
        return None;
    }
    let order = found.cmp(value);
    Some(match op {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Le => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Ge => order.is_ge(),
    })
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::False => "no",
            Self::Unknown => "unknown",
            Self::True => "yes",
        })
    }
}

impl Evaluation {
    /// The attributes whose missing value leaves the condition undecided.
    pub fn missing(&self) -> impl Iterator<Item = SmolStr> + '_ {
        self.atoms
            .iter()
            .filter(|atom| atom.truth == Truth::Unknown)
            .filter_map(|atom| atom.attribute.as_ref())
            .map(|name| SmolStr::new(name.as_str()))
    }
}
