//! Verdicts, and the report that a vendor can publish.

use std::fmt;

use jml_core::provider::Descriptor;
use serde::Serialize;

use super::{SUITE, Tier};

/// What became of one behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail(String),
    /// The connector does not declare what it is about.
    NotApplicable(String),
    /// The harness lacks a control that it needs.
    NotRun(String),
    /// It does not hold, and everybody knows.
    Waived {
        /// Why that is accepted.
        reason: String,
        /// Until when (`2027-01-31`).
        expires: String,
    },
    /// The premise was not met, so nothing was learnt. A failure.
    Inconclusive(String),
}

impl Verdict {
    /// Whether a test must fail.
    #[must_use]
    pub const fn fails(&self) -> bool {
        matches!(self, Self::Fail(_) | Self::Inconclusive(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail(why) => write!(f, "FAIL: {why}"),
            Self::NotApplicable(why) => write!(f, "not applicable: {why}"),
            Self::NotRun(why) => write!(f, "not run: {why}"),
            Self::Waived { reason, expires } => write!(f, "waived until {expires}: {reason}"),
            Self::Inconclusive(why) => write!(f, "INCONCLUSIVE: {why}"),
        }
    }
}

/// One behaviour with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tested {
    /// Short and for ever.
    pub id: &'static str,
    /// What must hold.
    pub name: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What it needs.
    pub tier: Tier,
    /// What became of it.
    pub verdict: Verdict,
    /// How far it was looked at, where that is not all or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:4} {:48} {}", self.id, self.name, self.verdict)?;
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// What the suite found of one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Version of the suite.
    pub suite: &'static str,
    /// Version of the contract.
    pub contract: String,
    /// What the connector declares of itself.
    pub provider: Option<Descriptor>,
    /// Every behaviour.
    pub results: Vec<Tested>,
}

impl Report {
    pub(super) fn new(provider: Option<Descriptor>, results: Vec<Tested>) -> Self {
        let contract = jml_core::provider::Contract::CURRENT.to_string();
        Self { suite: SUITE, contract, provider, results }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn conforms(&self) -> bool {
        !self.results.is_empty() && !self.results.iter().any(|tested| tested.verdict.fails())
    }

    /// Ids of behaviours that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        self.with(Verdict::fails)
    }

    /// Ids of behaviours that hold.
    #[must_use]
    pub fn passes(&self) -> Vec<&'static str> {
        self.with(|verdict| *verdict == Verdict::Pass)
    }

    /// Ids of behaviours that were not run for lack of a control.
    #[must_use]
    pub fn not_run(&self) -> Vec<&'static str> {
        self.with(|verdict| matches!(verdict, Verdict::NotRun(_)))
    }

    /// Ids of behaviours that are waived.
    #[must_use]
    pub fn waived(&self) -> Vec<&'static str> {
        self.with(|verdict| matches!(verdict, Verdict::Waived { .. }))
    }

    fn with(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.results.iter().filter(|it| wanted(&it.verdict)).map(|it| it.id).collect()
    }

    /// One line: `conforms to contract 1.0, suite 1.0: 98 pass, 12 not applicable, ...`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |wanted: fn(&Verdict) -> bool| self.with(wanted).len();
        format!(
            "{} to contract {}, suite {}: {} pass, {} fail, {} not applicable, {} not run, {} waived",
            if self.conforms() { "conforms" } else { "does NOT conform" },
            self.contract,
            self.suite,
            self.passes().len(),
            self.failures().len(),
            count(|verdict| matches!(verdict, Verdict::NotApplicable(_))),
            self.not_run().len(),
            self.waived().len(),
        )
    }

    /// The report as JSON, for publishing.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tested in &self.results {
            writeln!(f, "{tested}")?;
        }
        f.write_str(&self.summary())
    }
}
