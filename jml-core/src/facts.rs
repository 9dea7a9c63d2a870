//! Facts: what is known about people, independent of any policy and any target.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::claim::{AccessException, Adoption, ApprovedRequest};
use crate::id::{EngagementId, IdError, IdentityId, TaskId};
use crate::identity::Identity;

/// Everything that is known about one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PersonFacts {
    /// Who it is.
    pub identity: Identity,
    /// Approved requests, past and present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<ApprovedRequest>,
    /// Accepted exceptions, past and present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<AccessException>,
    /// Foreign access that was taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adoptions: Vec<Adoption>,
    /// Tasks that were raised already, so that planning again does not raise them twice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub raised_tasks: BTreeSet<TaskKey>,
}

impl PersonFacts {
    /// Facts of somebody about whom only the identity is known.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            requests: Vec::new(),
            exceptions: Vec::new(),
            adoptions: Vec::new(),
            raised_tasks: BTreeSet::new(),
        }
    }
}

/// Names one task of one engagement, for ever. Written `engagement/task`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct TaskKey {
    /// The engagement that the task belongs to.
    pub engagement: EngagementId,
    /// The task template. It holds no `/`, so the text form is unambiguous.
    pub task: TaskId,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.engagement, self.task)
    }
}

impl FromStr for TaskKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (engagement, task) = text.rsplit_once('/').ok_or_else(|| IdError::BadForm {
            kind: "task key",
            value: text.to_owned(),
            form: "engagement/task",
        })?;
        Ok(Self { engagement: EngagementId::new(engagement)?, task: TaskId::new(task)? })
    }
}

impl TryFrom<String> for TaskKey {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TaskKey> for String {
    fn from(key: TaskKey) -> String {
        key.to_string()
    }
}

/// The facts about everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Facts {
    /// By identity.
    pub people: BTreeMap<IdentityId, PersonFacts>,
}
