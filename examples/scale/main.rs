//! Steps a second of each way to drive runs, in one go on one machine: in memory, on SQLite, on PostgreSQL, on
//! Restate. Everybody of a company joins, then everybody changes teams.
//!
//! ```sh
//! export JML_POSTGRES=$(scripts/postgres.sh start /tmp/jml-postgres)
//! export JML_RESTATE=/tmp/jml-restate
//! cargo run --release -p jml-examples --example scale -- 500 5000 --write docs/guide/scale.md
//! ```
//!
//! What is not there is left out, and said so. The target is in memory: what is measured is ours and the store's.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may stop"
)]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

#[path = "../workers/company.rs"]
#[expect(dead_code, reason = "the bench has a target of its own")]
mod company;
#[path = "../restate_worker/ingress.rs"]
mod ingress;
mod paths;
#[path = "../restate_worker/server.rs"]
#[expect(dead_code, reason = "the bench does not restart it")]
mod server;
mod table;
mod world;

use std::path::PathBuf;

use company::Failure;
use paths::Path;
use table::Line;
use world::Journey;

/// How long one call takes: not at all, and about what a call over the network takes.
const CALLS: [u64; 2] = [0, 30];

fn main() -> Result<(), Failure> {
    let mut sizes: Vec<u32> = Vec::new();
    let mut file = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), word.parse()) {
            ("--write", _) => file = Some(PathBuf::from(words.next().ok_or("--write FILE")?)),
            (_, Ok(people)) => sizes.push(people),
            _ => return Err("usage: scale PEOPLE... [--write FILE]".into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut lines: Vec<Line> = Vec::new();
    for people in sizes {
        for path in Path::all() {
            for millis in CALLS {
                // What waits for a call costs nothing, and two workers do not disturb each other: one size shows that.
                let more = millis > 0 || path == Path::Restate(2);
                if people > 1_000 && more {
                    continue;
                }
                match runtime.block_on(path.travel(&Journey { people, millis }))? {
                    Some(line) => {
                        eprintln!("{line}");
                        lines.push(line);
                    }
                    None => eprintln!("skipped: {path}: {}", path.needs()),
                }
            }
        }
    }
    let text = table::markdown(&lines);
    match file {
        Some(file) => table::write(&file, &text)?,
        None => println!("{text}"),
    }
    Ok(())
}
