//! HR feeds: what a source says about everybody at one instant.
//!
//! Absence from a feed is never a leave. A leave is a row that says so: an end date, a status.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::attribute::Opinion;
use crate::digest::Digest;
use crate::id::{AttributeName, IdentityId, SourceId};
use crate::identity::{Engagement, IdentityKind};

/// A source of facts about people.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The name under which its words are recorded.
    fn id(&self) -> &SourceId;

    /// Reads the whole feed.
    ///
    /// # Behavior
    /// - A row that cannot be understood is reported in [`Feed::rejected`], not dropped and not
    ///   guessed; the other rows are still there.
    /// - Rows with the same anchor are all rejected.
    ///
    /// # Errors
    /// [`SourceError`] when the feed as a whole cannot be read: missing, not text, no header.
    async fn read(&self, at: DateTime<Utc>) -> Result<Feed, SourceError>;
}

/// A whole feed cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read feed `{feed}`: {what}; {remedy}")]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SourceError {
    /// The file or address.
    pub feed: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// One reading of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by sources")]
pub struct Feed {
    /// Who speaks.
    pub source: SourceId,
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// When the source says that it was made, if it does.
    pub made_at: Option<DateTime<Utc>>,
    /// What it says, one record per identity, in anchor order.
    pub records: Vec<FeedRecord>,
    /// What could not be understood.
    pub rejected: Vec<RejectedRow>,
    /// Figures for the health check.
    pub stats: FeedStats,
    /// SHA-256 of the raw bytes.
    pub digest: Digest,
}

/// What a feed says about one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by sources")]
pub struct FeedRecord {
    /// The anchor.
    pub identity: IdentityId,
    /// Person or not.
    pub kind: IdentityKind,
    /// The engagement of this row.
    pub engagement: Engagement,
    /// Opinions on attributes. An attribute that is not in the map is not in the feed.
    pub attributes: BTreeMap<AttributeName, Opinion>,
    /// Line in the file where the row begins, from 1.
    pub line: u64,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("line {line}, column `{column}`: {what}; {remedy}")]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by sources")]
pub struct RejectedRow {
    /// Line in the file where the row begins, from 1.
    pub line: u64,
    /// The column's name, or a dash when it is the row as a whole.
    pub column: String,
    /// The anchor, if it could be read.
    pub anchor: Option<String>,
    /// What is wrong, with the offending text cut to a readable length.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Figures of one reading, kept to compare the next one with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by sources")]
pub struct FeedStats {
    /// Data rows, refused ones too.
    pub rows: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// Rows refused because their anchor occurs more than once.
    pub duplicate_anchors: u64,
    /// Column names in file order.
    pub columns: Vec<String>,
    /// Empty cells by column.
    pub empty_cells: BTreeMap<String, u64>,
}
