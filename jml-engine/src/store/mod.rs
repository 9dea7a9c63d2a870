//! Journal stores: in memory, and in an SQLite file.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{Document, SqliteStore, StoreError};
