//! Identities and their engagements: who somebody is, and why they belong to the organisation.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::attribute::Attributes;
use crate::id::{EngagementId, IdentityId, SourceId, ZoneId};

/// A person or a non-human identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by feeds")]
pub struct Identity {
    /// The anchor: stable over renames, moves and rehires.
    pub id: IdentityId,
    /// Person or not.
    pub kind: IdentityKind,
    /// What sources say about it.
    pub attributes: Attributes,
    /// Employments and contracts, past and future ones too.
    pub engagements: Vec<Engagement>,
}

/// What sort of identity it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdentityKind {
    /// A human being.
    Person,
    /// A service account, a bot, an agent. It must have an owner who is a person.
    NonHuman {
        /// The person who answers for it.
        owner: IdentityId,
    },
}

/// One employment or contract. Dates are civil dates in [`Engagement::zone`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by feeds")]
pub struct Engagement {
    /// The source's own id of the engagement.
    pub id: EngagementId,
    /// Employment, contract, ...
    pub kind: EngagementKind,
    /// First day of work.
    pub start: NaiveDate,
    /// Last day of work, inclusive. Access ends at the start of the next day.
    pub end: Option<NaiveDate>,
    /// How it ends, when that is known.
    pub ending: Ending,
    /// An instant at which all access ends at once, whatever the last day says. Set when somebody is
    /// dismissed for cause.
    pub cut_off: Option<DateTime<Utc>>,
    /// Leaves of absence.
    pub leaves: Vec<Leave>,
    /// The zone in which the dates are meant. `None` is a finding, never UTC.
    pub zone: Option<ZoneId>,
    /// Who says so.
    pub source: SourceId,
    /// When it became known here.
    pub recorded_at: DateTime<Utc>,
    /// When somebody entered it at the source, if the source says so. Late because it was entered late is
    /// another finding than late because we were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<DateTime<Utc>>,
}

impl Engagement {
    /// An employment that began and has no end in sight. Everything else is set in its fields.
    ///
    /// ```
    /// use jml_core::identity::Engagement;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let known = "2026-02-01T09:00:00Z".parse()?;
    /// let contract = Engagement {
    ///     end: Some("2026-08-31".parse()?),
    ///     zone: Some("Europe/Berlin".parse()?),
    ///     ..Engagement::new("E1-1".parse()?, "2026-03-01".parse()?, "hr".parse()?, known)
    /// };
    /// # let _ = contract;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn new(
        id: EngagementId,
        start: NaiveDate,
        source: SourceId,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            kind: EngagementKind::Employment,
            start,
            end: None,
            ending: Ending::Ordinary,
            cut_off: None,
            leaves: Vec::new(),
            zone: None,
            source,
            recorded_at,
            entered_at: None,
        }
    }
}

/// What an engagement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EngagementKind {
    /// A permanent or fixed-term employment.
    Employment,
    /// A contract for services. It must have an end date.
    Contract,
    /// An internship.
    Internship,
    /// The reason for a non-human identity to exist.
    Service,
}

impl EngagementKind {
    /// The name used in feeds and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Employment => "employment",
            Self::Contract => "contract",
            Self::Internship => "internship",
            Self::Service => "service",
        }
    }
}

/// How an engagement ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// No ending is known, or an ordinary one.
    #[default]
    Ordinary,
    /// Dismissal for cause: access ends at [`Engagement::cut_off`].
    ForCause,
    /// The person never came. Not a termination.
    NoShow,
    /// The offer was withdrawn before the first day. Not a termination.
    Rescinded,
    /// The person died.
    Deceased,
}

/// A leave of absence: claims are kept, access is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by feeds")]
pub struct Leave {
    /// First day away.
    pub from: NaiveDate,
    /// Last day away, inclusive; open when not known yet.
    pub to: Option<NaiveDate>,
}

/// Where an identity stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifecycleState {
    /// The first day is still to come.
    PreHire,
    /// At least one engagement is running.
    Active,
    /// Every running engagement is on leave.
    OnLeave,
    /// No engagement is running, and at least one ran.
    Left,
    /// The hire was rescinded or the person never came; no engagement ever ran.
    NeverStarted,
    /// Facts needed to tell are missing, such as the zone.
    Undetermined,
}

impl LifecycleState {
    /// The name in people's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreHire => "before their first day",
            Self::Active => "at work",
            Self::OnLeave => "on leave",
            Self::Left => "gone",
            Self::NeverStarted => "never started",
            Self::Undetermined => "undetermined",
        }
    }
}
