//! Records: what one line of the log says. Derived from journals, and for the log's own life from what is
//! done with it.

mod derive;
mod review;

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use jml_core::id::{IdentityId, StepId};
use jml_core::plan::LifecycleKind;
use serde::Serialize;

use crate::disclose::Disclosure;
use crate::vault::RetentionClass;

pub(crate) use derive::derive;
pub(crate) use review::review;

/// Under whose key a disclosure lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The person that the record is about.
    Subject,
    /// Somebody else, such as whoever decided.
    Person(IdentityId),
}

/// A disclosure, and where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    pub(crate) owner: Owner,
    pub(crate) class: RetentionClass,
    pub(crate) disclosure: Disclosure,
}

/// A record before it has its place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Number of the journal entry that it comes from.
    pub(crate) entry: Option<u64>,
    pub(crate) kind: &'static str,
    pub(crate) also: Vec<&'static str>,
    pub(crate) time: DateTime<Utc>,
    pub(crate) actor: Option<By>,
    pub(crate) body: Body,
    pub(crate) hidden: Vec<Hidden>,
}

impl Draft {
    /// A record of a kind at an instant, with nothing in it yet.
    pub(crate) fn new(kind: &'static str, time: DateTime<Utc>, body: Body) -> Self {
        let (entry, also, actor, hidden) = (None, Vec::new(), None, Vec::new());
        Self { entry, kind, also, time, actor, body, hidden }
    }
}

/// Who made something so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Person(IdentityId),
    System,
}

/// What a record says besides its place. Absent fields are absent. Nothing in it names a person; free
/// text is always a disclosure. [`crate::schema`] says which kind of record has which of them.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Body {
    pub(crate) step: Option<StepBody>,
    pub(crate) gate: Option<String>,
    pub(crate) stage: Option<u16>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) plan: Option<PlanBody>,
    pub(crate) timing: Option<BTreeMap<&'static str, String>>,
    pub(crate) measure: Option<Measure>,
    pub(crate) closing: Option<Closing>,
    pub(crate) accounts: Option<u64>,
    pub(crate) config: Option<Config>,
    pub(crate) population: Option<crate::population::PopulationBody>,
    pub(crate) sample: Option<crate::population::SampleBody>,
    pub(crate) alive: Option<Alive>,
    pub(crate) anchor: Option<Anchored>,
    pub(crate) key: Option<KeyChange>,
    pub(crate) erasure: Option<Erased>,
    pub(crate) hold: Option<String>,
    pub(crate) orphan: Option<Orphan>,
    pub(crate) review: Option<ReviewBody>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepBody {
    pub(crate) id: StepId,
    pub(crate) action: String,
    pub(crate) critical: bool,
    pub(crate) target: Option<String>,
    pub(crate) gate: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) due: Option<String>,
}

/// How something ended: `ok`, `noop`, `failed`, `unknown` and so on, and a code, never free text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) status: &'static str,
    pub(crate) code: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanBody {
    pub(crate) hash: String,
    pub(crate) policy: String,
    pub(crate) policy_version: String,
    pub(crate) steps: usize,
    pub(crate) gates: usize,
    pub(crate) keeps: usize,
    pub(crate) foreign: usize,
}

/// How soon one target did what a run asked of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measure {
    pub(crate) target: String,
    /// `end` when access had to go, `begin` when it had to come.
    pub(crate) of: &'static str,
    pub(crate) steps: u64,
    pub(crate) open: u64,
    pub(crate) effective: Option<String>,
    pub(crate) entered: Option<String>,
    pub(crate) received: Option<String>,
    pub(crate) due: Option<String>,
    pub(crate) done: Option<String>,
    pub(crate) verified: Option<String>,
}

/// What a closed run adds up to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Closing {
    pub(crate) outcome: String,
    pub(crate) ok: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) unverified: u64,
    pub(crate) open_intents: u64,
    pub(crate) residual: usize,
    pub(crate) waived: usize,
    pub(crate) exposure_seconds: Option<i64>,
    /// Filled in when the record gets its place.
    pub(crate) records: u64,
    pub(crate) run_root: String,
    pub(crate) controls: Controls,
}

/// The controls that a run is evidence for, and by which catalogue.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Controls {
    pub(crate) map: String,
    pub(crate) ids: Vec<String>,
}

/// Another policy is in force than before.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Config {
    pub(crate) policy: String,
    pub(crate) policy_version: String,
    pub(crate) before: Option<String>,
}

/// The log is alive at an instant, and knows what somebody outside said last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alive {
    pub(crate) size: u64,
    pub(crate) receipt: Option<String>,
}

/// Somebody outside has seen a checkpoint.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Anchored {
    pub(crate) kind: &'static str,
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) receipt: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyChange {
    pub(crate) old: String,
    pub(crate) new: String,
}

/// What was taken out of the vault for ever.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Erased {
    /// `subject` or `class`.
    pub(crate) scope: &'static str,
    pub(crate) class: Option<&'static str>,
    /// Rows of entries before this one went.
    pub(crate) before: u64,
    pub(crate) rows: u64,
    pub(crate) approvals: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Orphan {
    pub(crate) target: String,
    pub(crate) status: String,
    pub(crate) entitlements: u64,
}

/// A campaign of access reviews, or an item of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ReviewBody {
    pub(crate) campaign: String,
    /// Number of the line of the campaign's log that it comes from.
    pub(crate) seq: u64,
    pub(crate) items: Option<u64>,
    /// The entitlement that was decided about.
    pub(crate) entitlement: Option<String>,
    pub(crate) decided: Option<&'static str>,
    pub(crate) kept: Option<u64>,
    pub(crate) revoked: Option<u64>,
    pub(crate) by_default: Option<u64>,
    pub(crate) due: Option<String>,
}

/// An instant as records write it: RFC 3339, UTC, three decimals.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The event that a plan is about, in the words of the control catalogue.
pub(crate) const fn event(kind: LifecycleKind) -> &'static str {
    match kind {
        LifecycleKind::PreHire | LifecycleKind::Join | LifecycleKind::Rehire => "joiner",
        LifecycleKind::Leave | LifecycleKind::Retention => "leaver",
        LifecycleKind::Drift => "reconciliation",
        LifecycleKind::Rescinded => "rescinded",
        _ => "mover",
    }
}
