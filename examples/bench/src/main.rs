//! Measures the delta of a whole population, beside what one would use instead, in one run.
//!
//! ```text
//! cargo run --release -p jml-bench -- [--write] [--quick] [--beside PEOPLE] [--data FOLDER] [--python PATH | --no-python]
//! cargo run --release -p jml-bench -- --walk PEOPLE
//! ```
//!
//! Bytes and allocations are counted by `jml-bench-count`, a process of its own, so that nobody is timed with an
//! allocator that counts.
//!
//! `--write` puts the page into `docs/performance.md`. Python is taken from `target/bench-venv` if that is there
//! (`python3 -m venv target/bench-venv`, then `pip install -r examples/bench/requirements.txt`), else from the path;
//! what it lacks is skipped and said. The exit code is 0 unless two of them disagree about the answer: bounds that
//! are not met stand on the page.
#![expect(clippy::print_stderr, reason = "a program talks to its user")]

mod clock;
mod company;
mod count;
#[expect(dead_code, reason = "the replay example uses all of it")]
#[path = "../../replay/file.rs"]
mod file;
mod hp;
mod ours;
mod page;
mod peers;
mod streams;
#[expect(dead_code, reason = "the replay example uses all of it")]
#[path = "../../replay/truth.rs"]
mod truth;
mod world;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use page::Page;
use world::World;

const USAGE: &str = "usage: jml-bench [--write] [--quick] [--beside PEOPLE] [--data FOLDER] [--python PATH | --no-python]\n       \
    jml-bench --walk PEOPLE\n  \
    exit code 0: measured; 1: something disagrees or cannot be read; 2: the arguments are wrong";

struct Asked {
    write: bool,
    quick: bool,
    /// How many people beside what one would use instead.
    beside: u32,
    data: PathBuf,
    python: Option<PathBuf>,
    /// Only one walk of so many people, for counting instructions.
    walk: Option<u32>,
}

fn asked() -> Option<Asked> {
    let venv = PathBuf::from("target/bench-venv/bin/python");
    let python = if venv.exists() { venv } else { PathBuf::from("python3") };
    let data = PathBuf::from("../shared/data");
    let mut asked = Asked {
        write: false,
        quick: false,
        beside: 100_000,
        data,
        python: Some(python),
        walk: None,
    };
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--write" => asked.write = true,
            "--quick" => (asked.quick, asked.beside) = (true, 10_000),
            "--beside" => asked.beside = arguments.next()?.to_str()?.parse().ok()?,
            "--data" => asked.data = arguments.next()?.into(),
            "--python" => asked.python = Some(arguments.next()?.into()),
            "--no-python" => asked.python = None,
            "--walk" => asked.walk = Some(arguments.next()?.to_str()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(asked)
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    if let Some(people) = asked.walk {
        return ours::walk(&World::new(), people);
    }
    let mut page = Page::default();
    let cores = std::thread::available_parallelism()?;
    page.line("# Performance");
    page.line("");
    page.line("Written by `cargo run --release -p jml-bench -- --write`; do not edit.");
    page.line(format!(
        "{}, a machine with {cores} cores ({}), shared with others. Times are the least of a few, in one run.",
        date(),
        std::env::consts::ARCH
    ));
    page.line("");
    page.line("The made-up company: 20,000 entitlements, 2,301 templates (base, departments, locations, jobs, projects,");
    page.line("rules matched already), 6.6 of them a person, 106 entitlements a person, 8 % moved, a fifth has direct");
    page.line("grants, 3 % of what is held was lost and as much is too much. Hardly two people have the same set of");
    page.line("templates, which is the hard case; real populations repeat them. Reasons are available for every line");
    page.line("and put into words when asked for. Our rows keep 32 neighbouring entitlements in a cell; which are");
    page.line("neighbours is found by `numbering` from the templates and who of 20,000 people has them. Others get the");
    page.line(
        "same entitlements by their names, or by numbers that they can do nothing about either.",
    );
    let world = World::new();
    let sizes: &[u32] = if asked.quick { &[10_000] } else { &[10_000, 100_000, 1_000_000] };
    let times = if asked.quick { 4 } else { 8 };
    let largest = ours::scaling(&mut page, &world, sizes, times)?;
    ours::edits(&mut page, largest)?;
    ours::unnumbered(&mut page, asked.beside, times)?;
    ours::relative(&mut page, &world, asked.beside, times)?;
    peers::run(&mut page, &world, asked.beside, times, asked.python.as_deref())?;
    ours::ingest(&mut page, &world, asked.beside)?;
    hp::run(&mut page, &asked.data)?;
    streams::run(&mut page, &asked.data)?;
    page.head("Bounds");
    let missed = std::mem::take(&mut page.missed);
    if missed.is_empty() {
        page.line("All met.");
    }
    for what in missed {
        page.line(format!("- not met: {what}"));
    }
    if asked.write {
        std::fs::write(Path::new("docs/performance.md"), &page.text)?;
    }
    Ok(())
}

/// The day, by the wall clock.
fn date() -> String {
    #[expect(clippy::disallowed_methods, reason = "the page says when it was written")]
    let now = chrono::Utc::now();
    now.date_naive().to_string()
}
