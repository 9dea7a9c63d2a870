//! Feed health: a feed that looks wrong is refused as a whole, and nothing is done because of it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::policy::FeedRules;
use jml_core::source::{Feed, FeedStats};
use serde::Serialize;

/// Something that makes a feed unfit to act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedIssue {
    /// It has no row. Nobody's whole staff leaves at once.
    Empty,
    /// It has far fewer rows than the last one.
    RowDrop {
        /// Rows of the last accepted feed.
        before: u64,
        /// Rows of this one.
        now: u64,
    },
    /// Far more cells of a column are empty than before.
    EmptyCells {
        /// Which column.
        column: String,
        /// Per mille before.
        before: u64,
        /// Per mille now.
        now: u64,
    },
    /// Too many rows could not be understood.
    BadRows {
        /// How many.
        rejected: u64,
        /// Of how many.
        rows: u64,
    },
    /// Columns are gone.
    MissingColumns {
        /// Which.
        columns: Vec<String>,
    },
    /// It is too old.
    Stale {
        /// Its age in hours.
        hours: i64,
    },
}

impl fmt::Display for FeedIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the feed has no row"),
            Self::RowDrop { before, now } => {
                write!(f, "the feed has {now} rows, the last one had {before}")
            }
            Self::EmptyCells { column, before, now } => write!(
                f,
                "column `{column}` is empty in {now} of 1000 rows, {before} of 1000 before"
            ),
            Self::BadRows { rejected, rows } => {
                write!(f, "{rejected} of {rows} rows could not be understood")
            }
            Self::MissingColumns { columns } => {
                write!(f, "columns are gone since the last feed: {}", columns.join(", "))
            }
            Self::Stale { hours } => write!(f, "the feed is {hours} hours old"),
        }
    }
}

/// Judges a feed against the last one that was accepted. Pure. No issue: it may be acted on.
#[must_use]
pub fn judge(
    feed: &Feed,
    last: Option<&FeedStats>,
    rules: &FeedRules,
    now: DateTime<Utc>,
) -> Vec<FeedIssue> {
    let stats = &feed.stats;
    let mut issues = Vec::new();
    if stats.rows == 0 {
        issues.push(FeedIssue::Empty);
    }
    let permille = |part: u64, of: u64| (part * 1000).checked_div(of).unwrap_or(0);
    if permille(stats.rejected, stats.rows) > u64::from(rules.max_bad_rows_permille) {
        issues.push(FeedIssue::BadRows { rejected: stats.rejected, rows: stats.rows });
    }
    if let Some(made) = feed.made_at {
        let age = now - made;
        if age > TimeDelta::hours(rules.max_age_hours.into()) {
            issues.push(FeedIssue::Stale { hours: age.num_hours() });
        }
    }
    let Some(last) = last else { return issues };
    let drop = last.rows.saturating_sub(stats.rows);
    if stats.rows > 0 && permille(drop, last.rows) > u64::from(rules.max_row_drop_permille) {
        issues.push(FeedIssue::RowDrop { before: last.rows, now: stats.rows });
    }
    let gone: Vec<String> =
        last.columns.iter().filter(|name| !stats.columns.contains(name)).cloned().collect();
    if !gone.is_empty() {
        issues.push(FeedIssue::MissingColumns { columns: gone });
    }
    for (column, empty) in &stats.empty_cells {
        let known = last.columns.contains(column);
        let before = permille(last.empty_cells.get(column).copied().unwrap_or(0), last.rows);
        let now = permille(*empty, stats.rows);
        if known && now.saturating_sub(before) > u64::from(rules.max_null_rise_permille) {
            issues.push(FeedIssue::EmptyCells { column: column.clone(), before, now });
        }
    }
    issues
}
