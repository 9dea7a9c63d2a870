//! Replays a real access history, change set by change set, through claims, delta, plan and a provider.
//!
//! ```text
//! cargo run --release --example replay -- PATH/events.csv [--json]
//! ```
//!
//! The file has the columns `date,op,kind,subject,object`. After every change set the provider must hold
//! exactly what the file says, for everybody, and the plans must be exactly as large as the difference.
//! Each deviation is a mismatch; the exit code is 0 only without one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod file;
mod model;
mod report;
mod run;
mod truth;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut path = None;
    let mut json = false;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--json") => json = true,
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some(flag) if flag.starts_with('-') => {
                eprintln!("unknown option `{flag}`\n{USAGE}");
                return ExitCode::from(2);
            }
            _ if path.is_none() => path = Some(PathBuf::from(argument)),
            _ => {
                eprintln!("one file at a time\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let Some(path) = path else {
        eprintln!("which file?\n{USAGE}");
        return ExitCode::from(2);
    };
    let history = match file::read(&path) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match run::run(&history) {
        Ok(report) => {
            print!("{}", if json { report.json() } else { report.text() });
            if report.mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: replay EVENTS.csv [--json]\n  \
    exit code 0: no mismatch; 1: mismatches; 2: the file or the arguments are wrong";
