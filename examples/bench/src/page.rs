//! The results page: what is printed and what is written are the same.

use std::fmt::Write as _;
use std::time::Duration;

/// Markdown that grows from top to bottom.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) text: String,
    /// What was not met, in people's words.
    pub(crate) missed: Vec<String>,
}

impl Page {
    /// A line, also on the terminal.
    #[expect(clippy::print_stdout, reason = "a program talks to its user")]
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        println!("{}", line.as_ref());
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    pub(crate) fn head(&mut self, title: &str) {
        self.line("");
        self.line(format!("## {title}"));
        self.line("");
    }

    pub(crate) fn table(&mut self, columns: &[&str]) {
        self.line(format!("| {} |", columns.join(" | ")));
        let rule = columns.iter().enumerate().map(|(n, _)| if n == 0 { "---" } else { "---:" });
        self.line(format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.line(format!("| {} |", cells.join(" | ")));
    }

    /// A bound and whether it holds.
    pub(crate) fn bound(&mut self, what: &str, holds: bool) {
        self.line(format!("- {}: {what}", if holds { "met" } else { "NOT MET" }));
        if !holds {
            self.missed.push(what.to_owned());
        }
    }
}

/// Nanoseconds for each of so many.
pub(crate) fn each(spent: Duration, of: usize) -> f64 {
    spent.as_nanos() as f64 / of.max(1) as f64
}

/// A number with thousands set apart, and one digit after the point if it is small.
pub(crate) fn figure(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        let _ = write!(out, "{digit}");
    }
    out
}
