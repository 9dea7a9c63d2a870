//! Gates: who must agree before some grants of a plan may run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::approval::Panel;
use crate::digest::Digest;
use crate::id::{GateRuleId, IdentityId, StepId};
use crate::policy::StageRule;

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
    /// Who must agree, one stage after the other. At least one.
    pub stages: Vec<Stage>,
    /// When it ends as a refusal.
    pub expires: DateTime<Utc>,
    /// Whom the plan is about, so that a decision can be checked without the rest of the plan.
    pub subject: GateSubject,
}

/// One stage of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Stage {
    /// What the policy says about it. Whoever that is, is looked up again at the time of a decision.
    pub rule: StageRule,
    /// Who may decide, as it was when the plan was made. The person whom the plan is about is never
    /// among them.
    pub panel: Panel,
    /// Who may decide besides them once it escalated, as it was when the plan was made.
    #[serde(default, skip_serializing_if = "Panel::is_empty")]
    pub escalated: Panel,
}

/// Whom a gate's plan is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct GateSubject {
    /// Who gets the access.
    pub identity: IdentityId,
}
