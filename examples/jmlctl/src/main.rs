//! jmlctl: the reference application of jml, over its public API only.

mod cli;
mod cmd;
mod config;
mod demo;
mod exit;
mod out;
mod project;
mod render;
mod targets;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let out = out::Out::new();
    // Targets over the network need a runtime that drives their connections.
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                out.error(&format!("no runtime: {error}"));
                return ExitCode::from(exit::ERROR);
            }
        };
    let _entered = runtime.enter();
    match cmd::run(&cli, &out) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            out.error(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
