//! Change feeds: what happened on the target since somebody last looked.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Observation;
use crate::id::AccountId;

/// How far a change feed was read; opaque to everybody but the provider. Safe to store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "opaque text")]
pub struct Watermark(pub SmolStr);

/// An account that changed, as it is now. Several changes of one account may be one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct ChangeRow {
    /// Which.
    pub account: AccountId,
    /// As it is now; [`Observation::Absent`] when it was deleted, [`Observation::NotObserved`] when the
    /// feed says only that it changed.
    pub now: Observation,
}

/// A page of a change feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct ChangePage {
    /// What changed, oldest first.
    pub rows: Vec<ChangeRow>,
    /// Where to go on.
    pub next: Watermark,
    /// Whether more changes are known already.
    pub more: bool,
}
