//! Exit codes, and failures that carry one.

use std::error::Error;
use std::fmt;

/// All went well.
pub(crate) const OK: u8 = 0;
/// Something failed; nothing is half done.
pub(crate) const ERROR: u8 = 1;
/// Arguments, configuration, policy or feed file are wrong.
pub(crate) const CONFIG: u8 = 2;
/// Nothing was done, because a brake tripped or the feed is quarantined.
pub(crate) const STOPPED: u8 = 3;
/// Done as far as possible; an approval is waited for.
pub(crate) const WAITING: u8 = 4;
/// Evidence does not verify.
pub(crate) const UNVERIFIED: u8 = 5;

/// For `--help`.
pub(crate) const TABLE: &str = "Exit codes:\n  \
    0  all went well\n  \
    1  something failed; nothing is half done, `jmlctl resume` goes on\n  \
    2  arguments, configuration, policy or feed file are wrong\n  \
    3  nothing was done, because a brake tripped or the feed is quarantined\n  \
    4  done as far as possible; an approval is waited for\n  \
    5  evidence does not verify";

/// A failure with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    text: String,
}

impl Failure {
    /// A failure in words.
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

impl<E: Error> From<E> for Failure {
    /// An error and its causes, one after the other.
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self { code: ERROR, text }
    }
}
