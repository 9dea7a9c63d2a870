//! Attributes that every identity has without a source saying so.

use crate::attribute::AttributeType;

/// The kind of the engagement in question: `employment`, `contract`, `internship` or `service`.
pub const ENGAGEMENT_KIND: &str = "engagement_kind";

/// `person` or `non_human`.
pub const IDENTITY_KIND: &str = "identity_kind";

/// The type of a built-in attribute; `None` when the name is not built in.
#[must_use]
pub fn builtin_type(name: &str) -> Option<AttributeType> {
    matches!(name, ENGAGEMENT_KIND | IDENTITY_KIND).then_some(AttributeType::Text)
}
