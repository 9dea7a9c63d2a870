//! The one place that writes to the terminal. Colour only on a terminal, and never with NO_COLOR.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

/// Standard output and standard error.
pub(crate) struct Out {
    progress: bool,
    silent: bool,
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();

impl Out {
    pub(crate) fn new() -> Self {
        Self { progress: std::io::stderr().is_terminal(), silent: false }
    }

    /// Says nothing.
    pub(crate) const fn silent() -> Self {
        Self { progress: false, silent: true }
    }

    /// A line of the result. A closed pipe is nobody's error.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.silent {
            let _ = writeln!(anstream::stdout(), "{}", text.as_ref());
        }
    }

    /// The result for programs.
    pub(crate) fn json(&self, value: &serde_json::Value) {
        self.line(serde_json::to_string_pretty(value).unwrap_or_default());
    }

    /// What went wrong.
    pub(crate) fn error(&self, text: &str) {
        let mut err = anstream::stderr();
        let _ = if text.starts_with("error") {
            writeln!(err, "{text}")
        } else {
            writeln!(err, "{BAD}error{BAD:#}: {text}")
        };
    }

    /// How far long work is; only for somebody who looks on.
    pub(crate) fn progress(&self, text: &str) {
        if self.progress {
            let _ = write!(anstream::stderr(), "\r\x1b[2K{text}");
            let _ = anstream::stderr().flush();
        }
    }

    /// Takes the progress line away.
    pub(crate) fn done(&self) {
        if self.progress {
            let _ = write!(anstream::stderr(), "\r\x1b[2K");
        }
    }
}

/// A text in a style.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
