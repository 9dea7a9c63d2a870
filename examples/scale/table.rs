//! What was measured, for people.

use std::fmt::{self, Write as _};
use std::path::Path as File;
use std::time::Duration;

use crate::company::Failure;
use crate::paths::Path;

/// One event for everybody.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    /// Until every run was opened.
    pub(crate) planned: Duration,
    /// Until every run was closed.
    pub(crate) whole: Duration,
    /// Changes made.
    pub(crate) steps: usize,
    pub(crate) runs: usize,
    /// All journals; 0 where nobody looked.
    pub(crate) bytes: usize,
}

impl Phase {
    fn rate(&self) -> f64 {
        self.steps as f64 / (self.whole - self.planned).as_secs_f64()
    }
}

/// One way, with one size of company.
pub(crate) struct Line {
    pub(crate) path: Path,
    pub(crate) people: u32,
    pub(crate) millis: u64,
    pub(crate) joined: Phase,
    pub(crate) moved: Phase,
    /// A look at everybody that finds nothing to do.
    pub(crate) quiet: Option<Duration>,
    /// The most memory so far, in bytes.
    pub(crate) peak: Option<u64>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, people, millis, joined, moved, .. } = self;
        write!(f, "| {path} | {people} | {millis} ms |")?;
        for phase in [joined, moved] {
            let (planned, whole) = (phase.planned.as_secs_f64(), phase.whole.as_secs_f64());
            write!(f, " {} | {planned:.2} s | {whole:.2} s | {:.0} |", phase.steps, phase.rate())?;
        }
        Ok(())
    }
}

/// A table, and what journals take.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = "| path | people | a call takes | joiners: steps | opened after | closed after | steps a second | \
                    movers: steps | opened after | closed after | steps a second |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    let quiet = lines.iter().filter(|line| line.millis == 0);
    for (line, quiet) in quiet.filter_map(|line| Some((line, line.quiet?))) {
        let _ = write!(
            text,
            "\nA look at {} people that finds nothing to do: {:.2} s",
            line.people,
            quiet.as_secs_f64()
        );
        if let Some(peak) = line.peak {
            let _ = write!(text, "; at most {} MB of memory so far", peak / 1_000_000);
        }
        let _ = writeln!(text, ".");
    }
    if let Some(line) = lines.iter().find(|line| line.joined.bytes > 0) {
        let a_run = |phase: &Phase| phase.bytes / phase.runs.max(1);
        let steps = |phase: &Phase| phase.steps / phase.runs.max(1);
        let (joined, moved) = (&line.joined, &line.moved);
        let _ = writeln!(
            text,
            "\nA journal, as JSON: {} bytes for a joiner of {} steps, {} bytes for a mover of {}.",
            a_run(joined),
            steps(joined),
            a_run(moved),
            steps(moved)
        );
    }
    text
}

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts the figures between the two marks of a file.
pub(crate) fn write(file: &File, figures: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("no mark for figures")?;
    let (_, after) = rest.split_once(END).ok_or("no mark for the end of figures")?;
    std::fs::write(file, format!("{before}{BEGIN}{figures}{END}{after}"))?;
    Ok(())
}
