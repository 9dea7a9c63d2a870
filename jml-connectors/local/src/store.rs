//! The file: tables, transactions, and the rows as values.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use jml_core::account::AccountState;
use jml_core::canon;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId};
use jml_core::provider::{Applied, Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use smol_str::SmolStr;

use crate::EffectRow;

const LAYOUT: i64 = 1;

/// Marks the file as ours: "jmld".
const APPLICATION: i64 = 0x6a6d_6c64;

const CREATE: &str = "
    CREATE TABLE account (
        id        TEXT PRIMARY KEY,
        user_name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        owner     TEXT,
        version   INTEGER NOT NULL,
        state     TEXT NOT NULL
    ) STRICT;
    CREATE INDEX account_owner ON account (owner);
    CREATE TABLE entitlement (
        name  TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        seats INTEGER
    ) STRICT;
    CREATE TABLE creation (
        key     TEXT PRIMARY KEY,
        account TEXT NOT NULL
    ) STRICT;
    CREATE TABLE effect (
        number INTEGER PRIMARY KEY,
        key    TEXT NOT NULL,
        what   TEXT NOT NULL,
        at     TEXT NOT NULL
    ) STRICT;
    CREATE TABLE counter (next INTEGER NOT NULL) STRICT;
    INSERT INTO counter VALUES (1);
";

/// A file cannot be used as a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be opened, or is no database.
    #[error("`{path}` cannot be opened as a local directory: {what}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// It was written by something else, or by another version.
    #[error("`{path}` is {what}; use another file")]
    Foreign {
        /// The file.
        path: String,
        /// What it is.
        what: String,
    },
}

pub(crate) fn open(path: &Path) -> std::result::Result<Connection, OpenError> {
    let shown = path.display().to_string();
    let fail = |e: rusqlite::Error| OpenError::Open { path: shown.clone(), what: e.to_string() };
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let number = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(fail);
    let layout = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    match (layout, application, number("SELECT count(*) FROM sqlite_master")?) {
        (0, 0, 0) => {
            tx.execute_batch(CREATE).map_err(fail)?;
            tx.pragma_update(None, "user_version", LAYOUT).map_err(fail)?;
            tx.pragma_update(None, "application_id", APPLICATION).map_err(fail)?;
        }
        (LAYOUT, APPLICATION, _) => {}
        (other, APPLICATION, _) => {
            let what = format!("a local directory of layout {other}, this version reads {LAYOUT}");
            return Err(OpenError::Foreign { path: shown, what });
        }
        _ => {
            let what = "a database of another program".to_owned();
            return Err(OpenError::Foreign { path: shown, what });
        }
    }
    tx.commit().map_err(fail)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    Ok(connection)
}

/// One transaction; what is not committed did not happen.
pub(crate) struct Transaction<'a>(rusqlite::Transaction<'a>);

/// The file failed before the commit, so nothing landed.
fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("directory file: {error}")).with_applied(Applied::No)
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(connection: &'a mut Connection) -> Result<Self> {
        let behavior = TransactionBehavior::Immediate;
        Ok(Self(connection.transaction_with_behavior(behavior).map_err(failed)?))
    }

    pub(crate) fn commit(self) -> Result<()> {
        // Whether a commit that failed is on the disk is not known.
        let unknown = |e: rusqlite::Error| failed(e).with_applied(Applied::Unknown);
        self.0.commit().map_err(unknown)
    }

    fn one(&self, sql: &str, key: &str) -> Result<Option<AccountState>> {
        let row: Option<(String, i64)> = self
            .0
            .query_row(sql, [key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed)?;
        row.map(|(state, version)| read(&state, version)).transpose()
    }

    pub(crate) fn account(&self, id: &AccountId) -> Result<Option<AccountState>> {
        self.one("SELECT state, version FROM account WHERE id = ?1", id.as_str())
    }

    pub(crate) fn by_owner(&self, owner: &IdentityId) -> Result<Option<AccountState>> {
        let sql = "SELECT state, version FROM account WHERE owner = ?1 ORDER BY id";
        self.one(sql, owner.as_str())
    }

    pub(crate) fn by_name(&self, name: &str) -> Result<Option<AccountState>> {
        self.one("SELECT state, version FROM account WHERE user_name = ?1", name)
    }

    pub(crate) fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<AccountState>> {
        let sql = "SELECT state, version FROM account WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = statement
            .query_map(params![after.unwrap_or(""), limit], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })
            .map_err(failed)?;
        rows.map(|row| {
            let (state, version) = row.map_err(failed)?;
            read(&state, version)
        })
        .collect()
    }

    pub(crate) fn put(&self, state: &AccountState) -> Result<()> {
        let mut stored = state.clone();
        stored.version = None;
        let text = canon::to_string(&stored).map_err(failed)?;
        let owner = state.external_id.as_ref().map(IdentityId::as_str);
        let sql = "INSERT INTO account (id, user_name, owner, version, state)
                   VALUES (?1, ?2, ?3, 1, ?4)
                   ON CONFLICT (id) DO UPDATE SET
                       user_name = ?2, owner = ?3, version = version + 1, state = ?4";
        self.0
            .execute(sql, params![state.id.as_str(), state.user_name.as_str(), owner, text])
            .map_err(failed)?;
        Ok(())
    }

    pub(crate) fn delete(&self, id: &AccountId) -> Result<()> {
        self.0.execute("DELETE FROM account WHERE id = ?1", [id.as_str()]).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn next_id(&self) -> Result<AccountId> {
        let sql = "UPDATE counter SET next = next + 1 RETURNING next - 1";
        let number: i64 = self.0.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
        AccountId::new(format!("acc-{number:06}")).map_err(failed)
    }

    pub(crate) fn define(
        &self,
        key: &EntitlementKey,
        title: &str,
        seats: Option<u32>,
    ) -> Result<()> {
        let sql = "INSERT INTO entitlement VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET title = ?2, seats = ?3";
        self.0.execute(sql, params![key.to_string(), title, seats]).map_err(failed)?;
        Ok(())
    }

    /// The seats of an entitlement; the outer `None` when there is no such entitlement.
    pub(crate) fn seats(&self, key: &EntitlementKey) -> Result<Option<Option<u32>>> {
        let sql = "SELECT seats FROM entitlement WHERE name = ?1";
        self.0.query_row(sql, [key.to_string()], |row| row.get(0)).optional().map_err(failed)
    }

    pub(crate) fn entitlements(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(EntitlementKey, String)>> {
        let sql = "SELECT name, title FROM entitlement WHERE name > ?1 ORDER BY name LIMIT ?2";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = statement
            .query_map(params![after.unwrap_or(""), limit], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(failed)?;
        rows.map(|row| {
            let (name, title) = row.map_err(failed)?;
            Ok((name.parse().map_err(failed)?, title))
        })
        .collect()
    }

    pub(crate) fn made_by(&self, key: &str) -> Result<Option<AccountId>> {
        let sql = "SELECT account FROM creation WHERE key = ?1";
        let id: Option<String> =
            self.0.query_row(sql, [key], |row| row.get(0)).optional().map_err(failed)?;
        id.map(|id| AccountId::new(id).map_err(failed)).transpose()
    }

    pub(crate) fn note_creation(&self, key: &str, id: &AccountId) -> Result<()> {
        self.0
            .execute("INSERT INTO creation VALUES (?1, ?2)", params![key, id.as_str()])
            .map_err(failed)?;
        Ok(())
    }

    pub(crate) fn note_effect(&self, key: &str, what: &str, at: DateTime<Utc>) -> Result<()> {
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.0
            .execute(
                "INSERT INTO effect (key, what, at) VALUES (?1, ?2, ?3)",
                params![key, what, at],
            )
            .map_err(failed)?;
        Ok(())
    }

    pub(crate) fn effects(&self) -> Result<Vec<EffectRow>> {
        let sql = "SELECT key, what FROM effect ORDER BY number";
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let rows = statement
            .query_map([], |row| Ok(EffectRow { key: row.get(0)?, what: row.get(1)? }))
            .map_err(failed)?;
        rows.map(|row| row.map_err(failed)).collect()
    }
}

fn read(state: &str, version: i64) -> Result<AccountState> {
    let mut state: AccountState = serde_json::from_str(state)
        .map_err(|e| Error::new(ErrorKind::ContractViolation, format!("stored account: {e}")))?;
    state.version = Some(SmolStr::new(version.to_string()));
    Ok(state)
}
