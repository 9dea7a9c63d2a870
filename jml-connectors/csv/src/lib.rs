#![doc = include_str!("../README.md")]

mod row;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jml_core::attribute::AttributeSchema;
use jml_core::digest::Digest;
use jml_core::id::SourceId;
use jml_core::source::{Feed, FeedRecord, FeedStats, RejectedRow, Source, SourceError};

use row::Columns;

/// Largest file, in bytes.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Largest field, in bytes.
pub const MAX_FIELD: usize = 64 * 1024;

/// Columns that say something about the engagement; every other column is an attribute.
pub const ENGAGEMENT_COLUMNS: [&str; 12] = [
    "employee_id",
    "engagement_id",
    "kind",
    "start",
    "end",
    "zone",
    "status",
    "cut_off",
    "leave_from",
    "leave_to",
    "owner",
    "entered_at",
];

/// Columns without which a feed cannot be read.
pub const REQUIRED_COLUMNS: [&str; 4] = ["employee_id", "kind", "start", "zone"];

/// An HR feed in a CSV file (RFC 4180) with a header line.
#[derive(Clone, Debug)]
pub struct CsvSource {
    id: SourceId,
    path: PathBuf,
    schema: AttributeSchema,
}

impl CsvSource {
    /// A source that reads a file anew each time. The schema says which columns may be there besides
    /// [`ENGAGEMENT_COLUMNS`], and of what type.
    #[must_use]
    pub fn new(id: SourceId, path: impl Into<PathBuf>, schema: AttributeSchema) -> Self {
        Self { id, path: path.into(), schema }
    }

    /// Reads a feed from bytes; what [`Source::read`] does with the file's.
    ///
    /// # Errors
    /// [`SourceError`] when the feed as a whole cannot be read.
    pub fn parse(&self, bytes: &[u8], at: DateTime<Utc>) -> Result<Feed, SourceError> {
        let whole = |what: String, remedy: &str| SourceError {
            feed: self.path.display().to_string(),
            what,
            remedy: remedy.to_owned(),
        };
        let text = text::decode(bytes).map_err(|what| whole(what, "save the file as UTF-8"))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let header = reader
            .headers()
            .map_err(|e| whole(e.to_string(), "write a header line with column names"))?
            .clone();
        let columns =
            Columns::new(&header, &self.schema).map_err(|(what, remedy)| whole(what, &remedy))?;
        let mut stats = FeedStats {
            rows: 0,
            rejected: 0,
            duplicate_anchors: 0,
            columns: header.iter().map(str::to_owned).collect(),
            empty_cells: BTreeMap::new(),
        };
        let mut good: Vec<FeedRecord> = Vec::new();
        let mut rejected: Vec<RejectedRow> = Vec::new();
        for row in reader.records() {
            stats.rows += 1;
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    rejected.push(RejectedRow {
                        line,
                        column: "-".to_owned(),
                        anchor: None,
                        what: error.to_string(),
                        remedy: "repair the row".to_owned(),
                    });
                    continue;
                }
            };
            for (name, cell) in header.iter().zip(row.iter()) {
                if cell.trim().is_empty() {
                    *stats.empty_cells.entry(name.to_owned()).or_insert(0) += 1;
                }
            }
            match columns.record(&row, &self.id, at) {
                Ok(record) => good.push(record),
                Err(problem) => rejected.push(problem),
            }
        }
        let (records, doubles) = without_doubles(good);
        stats.duplicate_anchors = doubles.len() as u64;
        rejected.extend(doubles);
        rejected.sort_by_key(|row| row.line);
        stats.rejected = rejected.len() as u64;
        Ok(Feed {
            source: self.id.clone(),
            read_at: at,
            made_at: None,
            records,
            rejected,
            stats,
            digest: Digest::plain(bytes),
        })
    }
}

#[async_trait]
impl Source for CsvSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn read(&self, at: DateTime<Utc>) -> Result<Feed, SourceError> {
        let fail = |what: String, remedy: &str| SourceError {
            feed: self.path.display().to_string(),
            what,
            remedy: remedy.to_owned(),
        };
        let size = std::fs::metadata(&self.path)
            .map_err(|e| fail(e.to_string(), "check the path of the feed"))?
            .len();
        if size > MAX_FILE {
            let what = format!("it has {size} bytes, at most {MAX_FILE} are read");
            return Err(fail(what, "split the feed, or look for what blew it up"));
        }
        let bytes = std::fs::read(&self.path)
            .map_err(|e| fail(e.to_string(), "check the path and the permissions of the feed"))?;
        self.parse(&bytes, at)
    }
}

/// Takes out every row whose engagement comes more than once, and every row of a person whose rows do not
/// agree on attributes. Nobody guesses which one is right.
fn without_doubles(good: Vec<FeedRecord>) -> (Vec<FeedRecord>, Vec<RejectedRow>) {
    let mut by_engagement: BTreeMap<_, usize> = BTreeMap::new();
    for record in &good {
        let key = (record.identity.clone(), record.engagement.id.clone());
        *by_engagement.entry(key).or_insert(0) += 1;
    }
    let mut first: BTreeMap<_, &FeedRecord> = BTreeMap::new();
    let mut torn: BTreeSet<_> = BTreeSet::new();
    for record in &good {
        let known = first.entry(record.identity.clone()).or_insert(record);
        if known.attributes != record.attributes || known.kind != record.kind {
            torn.insert(record.identity.clone());
        }
    }
    drop(first);
    let mut records = Vec::new();
    let mut doubles = Vec::new();
    for record in good {
        let key = (record.identity.clone(), record.engagement.id.clone());
        let problem = if by_engagement.get(&key).is_some_and(|count| *count > 1) {
            let what = format!("`{}` occurs more than once", record.identity);
            Some((what, "keep one row for each engagement, or give each its `engagement_id`"))
        } else if torn.contains(&record.identity) {
            let what = format!("the rows of `{}` disagree about the person", record.identity);
            Some((what, "say the same about the person in each row"))
        } else {
            None
        };
        match problem {
            None => records.push(record),
            Some((what, remedy)) => doubles.push(RejectedRow {
                line: record.line,
                column: "employee_id".to_owned(),
                anchor: Some(record.identity.to_string()),
                what,
                remedy: remedy.to_owned(),
            }),
        }
    }
    records.sort_by(|a, b| (&a.identity, &a.engagement.id).cmp(&(&b.identity, &b.engagement.id)));
    (records, doubles)
}
