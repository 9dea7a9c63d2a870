//! Attribute rules: conditions over attributes, and the access that follows when they hold.
//!
//! A condition is a finite tree of comparisons, so it always ends, its cost is its size, and it can be
//! analysed. It is three-valued: a comparison with an attribute that has no value is unknown, and
//! unknown never grants, under `not` either.

mod analysis;
mod eval;

use std::collections::{BTreeMap, BTreeSet};

pub use analysis::Satisfiable;
pub use eval::{Atom, Evaluation, Truth, View};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::attribute::AttributeValue;
use crate::entitlement::EntitlementRef;
use crate::id::{AttributeName, OrgUnitId, RoleId};

/// An attribute rule: when its condition holds, its roles and grants follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Rule {
    /// In people's words.
    pub title: SmolStr,
    /// When it applies.
    pub when: Condition,
    /// Roles that it assigns.
    pub roles: Vec<RoleId>,
    /// Birthright access that it grants by itself.
    pub grants: Vec<EntitlementRef>,
}

/// A condition over the attributes of one identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// Holds for everybody.
    Always,
    /// Every part holds. No part: holds.
    All(Vec<Condition>),
    /// Some part holds. No part: does not hold.
    Any(Vec<Condition>),
    /// The part does not hold. Unknown stays unknown.
    Not(Box<Condition>),
    /// The attribute compares so with the value. Types are equal by construction.
    Compare {
        /// The attribute.
        attribute: AttributeName,
        /// How.
        op: Comparison,
        /// With what.
        value: AttributeValue,
    },
    /// The attribute's value is one of these; for a set, some member is.
    In {
        /// The attribute.
        attribute: AttributeName,
        /// The values, all of the attribute's type (of text for a set).
        values: BTreeSet<AttributeValue>,
    },
    /// The attribute's text begins so.
    StartsWith {
        /// The attribute.
        attribute: AttributeName,
        /// The beginning.
        prefix: SmolStr,
    },
    /// The attribute has a value. Never unknown.
    Present {
        /// The attribute.
        attribute: AttributeName,
    },
    /// The attribute names a unit of the organisation tree that is this unit or lies below it.
    Within {
        /// The attribute.
        attribute: AttributeName,
        /// The unit.
        unit: OrgUnitId,
    },
}

/// How a value is compared. Ordered comparisons are for integers and dates only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the six comparisons of a total order")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Comparison {
    /// The sign, for people.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

/// The organisation tree: its roots, and the parent of every other unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgTree {
    roots: BTreeSet<OrgUnitId>,
    parents: BTreeMap<OrgUnitId, OrgUnitId>,
}

impl OrgTree {
    /// A tree from each unit's parent. [`Policy::check`](crate::policy::Policy::check) finds unknown
    /// parents and cycles.
    #[must_use]
    pub fn new(units: BTreeMap<OrgUnitId, Option<OrgUnitId>>) -> Self {
        let mut tree = Self::default();
        for (unit, parent) in units {
            match parent {
                Some(parent) => {
                    tree.parents.insert(unit, parent);
                }
                None => {
                    tree.roots.insert(unit);
                }
            }
        }
        tree
    }

    /// Each unit and its parent.
    pub fn iter(&self) -> impl Iterator<Item = (&OrgUnitId, Option<&OrgUnitId>)> {
        let below = self.parents.iter().map(|(unit, parent)| (unit, Some(parent)));
        self.roots.iter().map(|unit| (unit, None)).chain(below)
    }

    /// Whether the unit is known.
    #[must_use]
    pub fn contains(&self, unit: &OrgUnitId) -> bool {
        self.roots.contains(unit) || self.parents.contains_key(unit)
    }

    /// Whether `unit` is `ancestor` or lies below it. Ends even on a cyclic tree.
    #[must_use]
    pub fn is_within(&self, unit: &OrgUnitId, ancestor: &OrgUnitId) -> bool {
        let mut at = unit;
        for _ in 0..=self.parents.len() {
            if at == ancestor {
                return true;
            }
            match self.parents.get(at) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }
}
