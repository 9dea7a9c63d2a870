//! Policy files in YAML and TOML, with errors that say where, what and what to do.
//!
//! Every error that is found is reported, not only the first. The format is described key by key in
//! `docs/guide/policies.md`, and as a JSON Schema by [`json_schema`].

mod condition;
mod gates;
mod keys;
mod read;
mod tree;

use std::fmt;

pub(crate) use crate::nearest::nearest;
use crate::policy::Policy;

pub use keys::json_schema;

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Pos {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One error in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// A stable code, such as `JML-P006`.
    pub code: &'static str,
    /// Where.
    pub at: Pos,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// The line in question.
    pub source_line: String,
}

impl Diagnostic {
    fn new(
        code: &'static str,
        at: Pos,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { code, at, message, remedy, source_line: String::new() }
    }
}

/// Everything that is wrong with a policy file. Prints like a compiler's errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    file: String,
    list: Vec<Diagnostic>,
}

impl PolicyErrors {
    fn new(file: &str, text: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by(|a, b| (a.at, a.code).cmp(&(b.at, b.code)));
        list.dedup_by(|b, a| a.at == b.at && a.message == b.message);
        for diagnostic in &mut list {
            let line = text.lines().nth(diagnostic.at.line.saturating_sub(1)).unwrap_or("");
            line.clone_into(&mut diagnostic.source_line);
        }
        Self { file: file.to_owned(), list }
    }

    /// The errors in file order.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.list
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Pos { line, column } = error.at;
            let margin = " ".repeat(line.to_string().len());
            writeln!(f, "error[{}]: {}", error.code, error.message)?;
            writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
            writeln!(f, "{margin} |")?;
            // A long line is shown from a little before the place in question.
            let skip = if column > 100 { column - 60 } else { 0 };
            let shown: String = error.source_line.chars().skip(skip).take(160).collect();
            writeln!(f, "{line} | {shown}")?;
            let column = column - skip;
            let rest = shown.chars().skip(column.saturating_sub(1));
            let stop = |c: &char| !(c.is_whitespace() || matches!(c, ',' | ']' | '}' | ':'));
            let width = rest.take_while(stop).count().max(1);
            let pad = " ".repeat(column.saturating_sub(1));
            writeln!(f, "{margin} | {pad}{}", "^".repeat(width))?;
            writeln!(f, "{margin} = help: {}", error.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// Reads a policy, by the file's extension: `.toml`, or YAML otherwise.
///
/// # Errors
/// [`PolicyErrors`] with everything that is wrong.
#[cfg(all(feature = "yaml", feature = "toml"))]
pub fn parse(file: &str, text: &str) -> Result<Policy, PolicyErrors> {
    let is_toml = file.rsplit_once('.').is_some_and(|(_, e)| e.eq_ignore_ascii_case("toml"));
    if is_toml { parse_toml(file, text) } else { parse_yaml(file, text) }
}

/// Reads a policy in YAML. `file` is for messages only.
///
/// # Errors
/// [`PolicyErrors`] with everything that is wrong.
#[cfg(feature = "yaml")]
pub fn parse_yaml(file: &str, text: &str) -> Result<Policy, PolicyErrors> {
    finish(file, text, tree::yaml(text))
}

/// Reads a policy in TOML. `file` is for messages only.
///
/// # Errors
/// [`PolicyErrors`] with everything that is wrong.
#[cfg(feature = "toml")]
pub fn parse_toml(file: &str, text: &str) -> Result<Policy, PolicyErrors> {
    finish(file, text, tree::toml(text))
}

fn finish(
    file: &str,
    text: &str,
    tree: Result<tree::Tree, Diagnostic>,
) -> Result<Policy, PolicyErrors> {
    let tree = tree.map_err(|error| PolicyErrors::new(file, text, vec![error]))?;
    read::policy(&tree).map_err(|list| PolicyErrors::new(file, text, list))
}
