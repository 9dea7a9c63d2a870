//! Mines roles from matrices of users and permissions, and checks what it found.
//!
//! ```text
//! cargo run --release -p jml-examples --example mine -- FILE.upa ...
//! ```
//!
//! A line of a file is `user: permission permission ...`, in numbers; `#` begins a comment. If
//! `reference-decompositions.csv` or the folder `best-known` lies beside a file, its best published figures
//! stand beside ours. Roles that are not exact, and certificates that do not hold, give exit code 1.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use files::{Failure, Published};
use jml_diff::mine::{Mined, Options, Proof, mine};

const USAGE: &str = "usage: mine FILE.upa ...\n  \
    exit code 0: all exact, all certificates hold; 1: not so; 2: a file or the arguments are wrong";

const HEAD: &str = "WSC: roles + |UA| + |PA|. In brackets the published figures: fewest roles, least WSC.\n\
    set             users  perms   pairs  roles  least      proof     |UA|    |PA|     WSC      ms";

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() || paths.iter().any(|path| path.to_string_lossy().starts_with('-')) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    println!("{HEAD}");
    let mut sound = true;
    for path in &paths {
        match one(path) {
            Ok(is_sound) => sound &= is_sound,
            Err(error) => {
                eprintln!("error: {}: {error}", path.display());
                return ExitCode::from(2);
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(path: &Path) -> Result<bool, Failure> {
    let matrix = files::matrix(path)?;
    let published = Published::beside(path)?;
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
    let begun = Instant::now();
    let mined = mine(&matrix, &Options::default());
    let spent = begun.elapsed();
    let Mined { measures, proof, certificate, .. } = &mined;
    let exact = mined.check(&matrix);
    let least = certificate.check(&matrix);
    let proof = match proof {
        Proof::Certified => "certified",
        Proof::Searched => "searched",
        _ => "open",
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    println!(
        "{name:<15}{:>6}{:>7}{:>8}{:>7}{:>7}{proof:>11}{:>9}{:>8}{:>8}{:>8.1}  [{published}]",
        matrix.users(),
        matrix.permissions(),
        matrix.assignments(),
        measures.roles,
        least.clone().unwrap_or(0),
        measures.user_assignments,
        measures.permission_assignments,
        measures.complexity,
        spent.as_secs_f64() * 1000.0,
    );
    let bad = [exact.err().map(|it| it.to_string()), least.err().map(|it| it.to_string())];
    let bad: Vec<String> = bad.into_iter().flatten().collect();
    bad.iter().for_each(|error| eprintln!("{name}: {error}"));
    Ok(bad.is_empty())
}
