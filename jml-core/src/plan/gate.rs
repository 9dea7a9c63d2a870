//! Gates: who must agree before some grants of a plan may run.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::digest::Digest;
use crate::id::{GateRuleId, IdentityId, StepId};

/// A gate of one plan. It delays grants only, and an undecided gate ends as a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Gate {
    /// The rule of the policy that asks for it.
    pub rule: GateRuleId,
    /// In people's words.
    pub title: SmolStr,
    /// The steps that wait, each with the digest of its meaning: a decision is on these meanings.
    pub covers: BTreeMap<StepId, Digest>,
    /// Who may decide. The person whom the plan is about is never among them.
    pub approvers: BTreeSet<IdentityId>,
    /// How many must agree.
    pub quorum: u16,
    /// When it ends as a refusal.
    pub expires: DateTime<Utc>,
    /// Whom the plan is about, so that a decision can be checked without the rest of the plan.
    pub subject: GateSubject,
}

/// Whom a gate's plan is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct GateSubject {
    /// Who gets the access.
    pub identity: IdentityId,
}
