//! What `jml-bench-count` says, in a process of its own.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// What was counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    /// Bytes that stay, of each person.
    pub(crate) bytes: f64,
    /// How often a walk allocates.
    pub(crate) allocations: usize,
}

/// Counts bytes of `rows`, `hash` sets or `tree` sets of so many people.
pub(crate) fn count(what: &str, people: u32) -> Result<Counted, Box<dyn Error>> {
    let done = Command::new(program()?).args([what, &people.to_string()]).output()?;
    let text = String::from_utf8(done.stdout)?;
    let figures = text.trim().split_once(' ').filter(|_| done.status.success());
    let Some((bytes, allocations)) = figures else {
        return Err(
            format!("jml-bench-count {what}: {}", String::from_utf8_lossy(&done.stderr)).into()
        );
    };
    let bytes = bytes.parse::<f64>()? / f64::from(people);
    Ok(Counted { bytes, allocations: allocations.parse()? })
}

/// The program, beside this one. Cargo builds only the program that it runs, so it is asked for the other, too.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("jml-bench-count");
    if let Some(cargo) = std::env::var_os("CARGO") {
        let build =
            ["build", "--quiet", "--release", "-p", "jml-bench", "--bin", "jml-bench-count"];
        if !Command::new(cargo).args(build).status()?.success() {
            return Err("jml-bench-count cannot be built".into());
        }
    }
    match beside.exists() {
        true => Ok(beside),
        false => Err("jml-bench-count is not built: cargo build --release -p jml-bench".into()),
    }
}
