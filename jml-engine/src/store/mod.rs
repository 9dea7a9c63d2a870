//! Journal stores: in memory, in an SQLite file, and in a PostgreSQL database.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresError, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{Document, SqliteStore, StoreError};

/// An entry from its stored bytes, which must be the canonical ones.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn entry(
    run: &jml_core::id::RunId,
    seq: u64,
    body: &[u8],
) -> Result<jml_core::journal::Entry, jml_core::journal::JournalError> {
    let corrupt = |what: String| {
        let run = run.clone();
        jml_core::journal::JournalError::Corrupt { run, seq, what }
    };
    jml_core::canon::check(body).map_err(|e| corrupt(e.to_string()))?;
    serde_json::from_slice(body).map_err(|e| corrupt(e.to_string()))
}
