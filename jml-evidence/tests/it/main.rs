//! Integration tests of jml-evidence, through its public API only.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop, and says what it skipped"
)]

mod controls;
mod disk;
mod journals;
mod log;
mod merkle;
mod pack;
mod parsers;
mod store;
mod vectors;

use std::path::PathBuf;

/// The folder of shared test data, when it is there.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if !path.exists() {
        println!("skipped: no shared data ({name})");
        return None;
    }
    Some(path)
}
