//! Tests of jmlctl as a user meets it: the program, run in a fresh folder.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

mod crash;
mod evidence;
mod feed;
mod flow;
mod targets;
mod what_if;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A project in a folder of its own.
pub(crate) struct Project {
    pub(crate) dir: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        let out = project.run(&["init", "."]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
        project
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jmlctl"));
        command.args(arguments).current_dir(self.dir.path()).env("NO_COLOR", "1");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and checks the exit code; standard output and standard error together.
    pub(crate) fn expect(&self, arguments: &[&str], code: i32) -> String {
        let out = self.run(arguments);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {}", text(&out));
        text(&out)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.run(arguments);
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out)))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let before = self.read(name);
        assert!(before.contains(from), "`{from}` is not in {name}");
        std::fs::write(self.path(name), before.replacen(from, to, 1)).unwrap();
    }
}

pub(crate) fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Compares with a golden file; `JML_UPDATE_GOLDEN=1` writes it.
pub(crate) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{name} differs; JML_UPDATE_GOLDEN=1 rewrites it");
}
