//! Facts: what is known about people, independent of any policy and any target.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::account::AccountRef;
use crate::attribute::{Assertion, Attributes};
use crate::canon::CanonError;
use crate::claim::{AccessException, Adoption, ApprovedRequest};
use crate::digest::Digest;
use crate::entitlement::EntitlementRef;
use crate::id::{CampaignId, EngagementId, IdError, IdentityId, TaskId};
use crate::identity::Identity;
use crate::source::{Feed, FeedRecord};

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
    /// What may stay after the person left, each with somebody who answers for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<AccessException>,
    /// What reviewers said about the person's access. The latest word about an entitlement counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Reviewed>,
    /// Reasons to keep what belongs to the person, whatever the retention says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legal_holds: Vec<LegalHold>,
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
            waivers: Vec::new(),
            reviews: Vec::new(),
            legal_holds: Vec::new(),
            raised_tasks: BTreeSet::new(),
        }
    }

    /// The digest of everything that is known about the identity.
    ///
    /// # Errors
    /// [`CanonError`] when a value has no canonical form.
    pub fn digest(&self) -> Result<Digest, CanonError> {
        Digest::of_value("jml-facts/v1", self)
    }
}

/// A reviewer's word about access that was there. A revoke ends every claim that began before it; what is
/// given anew after it, by a move, a request, another engagement, is a new reason and counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Reviewed {
    /// About what.
    pub entitlement: EntitlementRef,
    /// In which campaign.
    pub campaign: CampaignId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who; `None` when nobody decided in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<IdentityId>,
    /// Whether it is still needed.
    pub keep: bool,
}

/// A duty to keep what belongs to somebody: a law suit, an audit, an investigation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct LegalHold {
    /// The case, as whoever keeps it calls it.
    pub case: String,
    /// From when.
    pub from: DateTime<Utc>,
    /// Until when; open when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
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
    /// Who decides for whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<Delegation>,
    /// Whose accounts are, where a person said so. The latest word about an account counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A person's word about whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Link {
    /// Which account.
    pub account: AccountRef,
    /// Whose; `None` when it belongs to nobody, such as a room.
    pub identity: Option<IdentityId>,
    /// Who says so.
    pub by: IdentityId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Somebody's word that another person decides at gates in their place for a while. It is not handed on: a
/// delegate's delegate decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Delegation {
    /// Whose decisions.
    pub of: IdentityId,
    /// Who takes them.
    pub to: IdentityId,
    /// From when.
    pub from: DateTime<Utc>,
    /// Until when. Delegations always end.
    pub until: DateTime<Utc>,
}

/// What a feed changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct MergeReport {
    /// Identities that were not known before.
    pub joined: BTreeSet<IdentityId>,
    /// Identities whose facts changed, each with the names of what changed.
    pub changed: BTreeMap<IdentityId, BTreeSet<String>>,
    /// Identities that this source spoke about before and does not mention now. Not a leave.
    pub unseen: BTreeSet<IdentityId>,
    /// How many records said nothing new.
    pub unchanged: usize,
}

impl Facts {
    /// Takes in what a feed says, from `at` on. Pure, and idempotent: the same feed twice changes
    /// nothing the second time. Nobody is removed, whatever the feed leaves out.
    pub fn merge(&mut self, feed: &Feed, at: DateTime<Utc>) -> MergeReport {
        let mut report = MergeReport::default();
        for record in &feed.records {
            if !self.people.contains_key(&record.identity) {
                report.joined.insert(record.identity.clone());
            }
            let what = self.take(feed, record, at);
            if report.joined.contains(&record.identity) {
                continue;
            }
            if what.is_empty() {
                report.unchanged += 1;
            } else {
                report.changed.entry(record.identity.clone()).or_default().extend(what);
            }
        }
        let seen: BTreeSet<&str> = feed
            .records
            .iter()
            .map(|record| record.identity.as_str())
            .chain(feed.rejected.iter().filter_map(|row| row.anchor.as_deref()))
            .collect();
        report.unseen = self
            .people
            .iter()
            .filter(|(id, _)| !seen.contains(id.as_str()))
            .filter(|(_, p)| p.identity.engagements.iter().any(|e| e.source == feed.source))
            .map(|(id, _)| id.clone())
            .collect();
        report
    }

    /// Takes one record in and names what it changed.
    fn take(&mut self, feed: &Feed, record: &FeedRecord, at: DateTime<Utc>) -> BTreeSet<String> {
        let mut what = BTreeSet::new();
        let person = self.people.entry(record.identity.clone()).or_insert_with(|| {
            PersonFacts::new(Identity {
                id: record.identity.clone(),
                kind: record.kind.clone(),
                attributes: Attributes::default(),
                engagements: Vec::new(),
            })
        });
        if person.identity.kind != record.kind {
            person.identity.kind = record.kind.clone();
            what.insert("kind".to_owned());
        }
        let engagements = &mut person.identity.engagements;
        let mut said = record.engagement.clone();
        said.recorded_at = at;
        match engagements.iter_mut().find(|known| known.id == said.id) {
            None => {
                what.insert(format!("engagement `{}`", said.id));
                engagements.push(said);
                engagements.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
            }
            Some(known) => {
                said.recorded_at = known.recorded_at;
                if *known != said {
                    said.recorded_at = at;
                    *known = said;
                    what.insert(format!("engagement `{}`", record.engagement.id));
                }
            }
        }
        for (name, opinion) in &record.attributes {
            let assertion = Assertion {
                source: feed.source.clone(),
                opinion: opinion.clone(),
                valid_from: at,
                recorded_at: at,
            };
            if person.identity.attributes.assert(name.clone(), assertion) {
                what.insert(name.as_str().to_owned());
            }
        }
        what
    }
}
