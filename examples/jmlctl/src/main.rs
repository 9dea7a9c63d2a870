//! jmlctl: the reference application of jml, over its public API only.

mod cli;
mod cmd;
mod config;
mod demo;
mod exit;
mod out;
mod project;
mod render;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let out = out::Out::new();
    match cmd::run(&cli, &out) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            out.error(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
