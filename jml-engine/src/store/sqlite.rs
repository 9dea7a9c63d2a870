//! Journals and small documents in one SQLite file: the embedded default.
//!
//! Entries are stored as the canonical bytes that their digests are computed from, and the file itself
//! refuses to change or delete them. Anybody can open it with the `sqlite3` program.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jml_core::canon;
use jml_core::id::RunId;
use jml_core::journal::{Entry, Fact, JournalError, JournalStore};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

/// The version of the file's layout that this crate writes and reads.
const LAYOUT: i64 = 2;

/// Marks the file as ours, so that another program's database is not taken for one: "jmlj".
const APPLICATION: i64 = 0x6a6d_6c6a;

const CREATE: &str = "
    CREATE TABLE entry (
        run  TEXT    NOT NULL,
        seq  INTEGER NOT NULL,
        body BLOB    NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE run (
        number INTEGER PRIMARY KEY,
        run    TEXT NOT NULL UNIQUE,
        closed INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX run_open ON run (number) WHERE closed = 0;
    CREATE TABLE document (
        name    TEXT    PRIMARY KEY,
        version INTEGER NOT NULL,
        body    BLOB    NOT NULL
    ) STRICT;
    CREATE TRIGGER entry_is_final BEFORE UPDATE ON entry
        BEGIN SELECT RAISE(ABORT, 'journal entries are never changed'); END;
    CREATE TRIGGER entry_stays BEFORE DELETE ON entry
        BEGIN SELECT RAISE(ABORT, 'journal entries are never deleted'); END;
";

/// Journals and documents in one SQLite file. Every append is one transaction that is on the disk when
/// the call returns.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Mutex<Connection>,
}

/// A file cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is no SQLite database, or cannot be opened.
    #[error("`{path}` cannot be opened as a journal store: {what}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// The file was written by another program, or by another version of this one.
    #[error("`{path}` is {what}; use another file")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        what: String,
    },
    /// Somebody else changed the document first.
    #[error(
        "document `{name}` has version {found}, {expected} was expected: another process changed it"
    )]
    Conflict {
        /// Which document.
        name: String,
        /// What the caller knew.
        expected: u64,
        /// What is stored.
        found: u64,
    },
    /// Reading or writing failed.
    #[error("journal store failed: {0}")]
    Io(String),
}

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Document {
    /// Counts changes, from 1.
    pub version: u64,
    /// What is stored.
    pub body: Vec<u8>,
}

impl SqliteStore {
    /// Opens a store, and makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the file is something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let open =
            |e: rusqlite::Error| StoreError::Open { path: shown.clone(), what: e.to_string() };
        let mut connection = Connection::open(path).map_err(open)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(open)?;
        let pragma = |c: &Connection, name: &str| {
            c.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open)?;
        let layout = pragma(&tx, "user_version").map_err(open)?;
        let application = pragma(&tx, "application_id").map_err(open)?;
        let tables: i64 = tx
            .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
            .map_err(open)?;
        match (layout, application, tables) {
            (0, 0, 0) => {
                tx.execute_batch(CREATE).map_err(open)?;
                tx.pragma_update(None, "user_version", LAYOUT).map_err(open)?;
                tx.pragma_update(None, "application_id", APPLICATION).map_err(open)?;
            }
            (LAYOUT, APPLICATION, _) => {}
            (other, APPLICATION, _) => {
                let what =
                    format!("a journal store of layout {other}, this version reads {LAYOUT}");
                return Err(StoreError::Foreign { path: shown, what });
            }
            _ => {
                let what = "a database of another program".to_owned();
                return Err(StoreError::Foreign { path: shown, what });
            }
        }
        tx.commit().map_err(open)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// A stored document, if there is one of that name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn document(&self, name: &str) -> Result<Option<Document>, StoreError> {
        let sql = "SELECT version, body FROM document WHERE name = ?1";
        self.lock()
            .query_row(sql, [name], |row| {
                let version: i64 = row.get(0)?;
                Ok(Document { version: version.unsigned_abs(), body: row.get(1)? })
            })
            .optional()
            .map_err(|e| StoreError::Io(e.to_string()))
    }

    /// Stores a document, if it still has the version that the caller knows; 0 for a new one. Returns the
    /// new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else was first.
    pub fn put_document(&self, name: &str, known: u64, body: &[u8]) -> Result<u64, StoreError> {
        let io = |e: rusqlite::Error| StoreError::Io(e.to_string());
        let mut connection = self.lock();
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(io)?;
        let found: Option<i64> = tx
            .query_row("SELECT version FROM document WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(io)?;
        let found = found.map_or(0, i64::unsigned_abs);
        if found != known {
            let name = name.to_owned();
            return Err(StoreError::Conflict { name, expected: known, found });
        }
        let next = found + 1;
        let version = i64::try_from(next).map_err(|e| StoreError::Io(e.to_string()))?;
        let sql = "INSERT INTO document VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET version = ?2, body = ?3";
        tx.execute(sql, params![name, version, body]).map_err(io)?;
        tx.commit().map_err(io)?;
        Ok(next)
    }

    fn list(&self, sql: &str) -> Result<Vec<RunId>, JournalError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(store)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(store)?;
        rows.map(|row| RunId::new(row.map_err(store)?).map_err(store)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn store(error: impl std::fmt::Display) -> JournalError {
    JournalError::Store(error.to_string())
}

#[async_trait]
impl JournalStore for SqliteStore {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        let mut connection = self.lock();
        let tx =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store)?;
        let found: i64 = tx
            .query_row("SELECT count(*) FROM entry WHERE run = ?1", [run.as_str()], |row| {
                row.get(0)
            })
            .map_err(store)?;
        let found = found.unsigned_abs();
        if found != expected {
            return Err(JournalError::Conflict { run: run.clone(), expected, found });
        }
        if found == 0 {
            tx.execute("INSERT INTO run (run) VALUES (?1)", [run.as_str()]).map_err(store)?;
        }
        for entry in entries {
            let body = canon::to_vec(entry).map_err(store)?;
            let seq = i64::try_from(entry.seq).map_err(store)?;
            let sql = "INSERT INTO entry (run, seq, body) VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![run.as_str(), seq, body]).map_err(store)?;
        }
        if matches!(entries.last().map(|entry| &entry.fact), Some(Fact::Closed { .. })) {
            let sql = "UPDATE run SET closed = 1 WHERE run = ?1";
            tx.execute(sql, [run.as_str()]).map_err(store)?;
        }
        tx.commit().map_err(store)
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT seq, body FROM entry WHERE run = ?1 ORDER BY seq")
            .map_err(store)?;
        let mut rows = statement.query([run.as_str()]).map_err(store)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next().map_err(store)? {
            let seq: i64 = row.get(0).map_err(store)?;
            let body: Vec<u8> = row.get(1).map_err(store)?;
            entries.push(super::entry(run, seq.unsigned_abs(), &body)?);
        }
        Ok(entries)
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.list("SELECT run FROM run ORDER BY number")
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.list("SELECT run FROM run WHERE closed = 0 ORDER BY number")
    }
}
