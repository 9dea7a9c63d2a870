//! Role templates: a named bundle of access and tasks that comes with a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::entitlement::EntitlementRef;
use crate::id::{IdentityId, RoleId, TaskId};

/// A role template. Policies version it; an edit is a mover event for every holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct RoleTemplate {
    /// Counts edits. Claims name it, so that evidence says which text of the role gave access.
    pub version: u32,
    /// In people's words.
    pub title: SmolStr,
    /// Roles whose grants and tasks this role has too. Acyclic.
    pub inherits: Vec<RoleId>,
    /// What it grants.
    pub grants: Vec<RoleGrant>,
    /// What people have to do when somebody gets or loses the role.
    pub tasks: BTreeMap<TaskId, TaskTemplate>,
}

/// One entitlement of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct RoleGrant {
    /// What is granted.
    pub entitlement: EntitlementRef,
    /// Days before the first day at which the grant begins. Privileged access cannot begin early.
    pub days_before: u16,
}

/// When a task falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskMoment {
    /// Relative to the first day.
    Join,
    /// Relative to the end of the last day.
    Leave,
}

/// Who does a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assignee {
    /// The person's manager.
    Manager,
    /// A team's queue, in people's words.
    Queue(SmolStr),
    /// A named identity.
    Identity(IdentityId),
}

/// A task for a person: hand out a laptop, say welcome, take a badge back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct TaskTemplate {
    /// In people's words.
    pub title: SmolStr,
    /// What it is relative to.
    pub moment: TaskMoment,
    /// Days before (negative) or after the moment.
    pub days: i16,
    /// Who does it.
    pub assignee: Assignee,
}
