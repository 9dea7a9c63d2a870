//! Errors of a provider, on three independent axes: what went wrong, whether the change landed, and
//! when to try again.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Verb;

/// A provider call failed. Never holds a secret: whoever makes one redacts first. `Debug` prints what
/// `Display` prints.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    applied: Applied,
    retry: RetryAdvice,
    message: SmolStr,
    context: BTreeMap<SmolStr, SmolStr>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What went wrong, by who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection, or it broke.
    Transport,
    /// No answer in time.
    Timeout,
    /// The target asks to slow down.
    RateLimited,
    /// The target is out of order.
    Unavailable,
    /// Our credential is not accepted.
    Unauthenticated,
    /// Our credential does not allow this; the message names the missing permission.
    PermissionDenied,
    /// The account or entitlement does not exist.
    NotFound,
    /// Something else has that name.
    AlreadyExists,
    /// The account changed under us.
    Conflict,
    /// The target does not accept the values.
    Invalid,
    /// The target or a guard will not do it.
    Refused(RefusalReason),
    /// No seat or quota is left.
    Exhausted,
    /// This provider cannot do it; it becomes a task for a person.
    Unsupported,
    /// The listing must begin anew.
    CursorExpired,
    /// The target's answer breaks the contract.
    ContractViolation,
    /// The caller gave up.
    Cancelled,
    /// The configuration is wrong.
    Configuration,
    /// A defect of the connector.
    Internal,
}

/// Why a target or a guard will not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalReason {
    /// It cannot be changed by a call.
    Immutable,
    /// Nobody would be left to own or administer it.
    LastOwner,
    /// The target's own policy.
    Policy,
    /// The connection is read-only.
    ReadOnly,
    /// More changes than were allowed at once.
    Budget,
}

impl ErrorKind {
    /// Every kind, one reason for refusal standing for all.
    pub const ALL: [Self; 18] = [
        Self::Transport,
        Self::Timeout,
        Self::RateLimited,
        Self::Unavailable,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Invalid,
        Self::Refused(RefusalReason::Policy),
        Self::Exhausted,
        Self::Unsupported,
        Self::CursorExpired,
        Self::ContractViolation,
        Self::Cancelled,
        Self::Configuration,
        Self::Internal,
    ];

    /// What is usually true of the change when this happens.
    #[must_use]
    pub const fn usual_applied(self) -> Applied {
        match self {
            Self::Transport
            | Self::Timeout
            | Self::Unavailable
            | Self::ContractViolation
            | Self::Cancelled
            | Self::Internal => Applied::Unknown,
            _ => Applied::No,
        }
    }

    /// What usually helps.
    #[must_use]
    pub const fn usual_retry(self) -> RetryAdvice {
        match self {
            Self::Transport | Self::Timeout | Self::Unavailable | Self::RateLimited => {
                RetryAdvice::Backoff
            }
            Self::Unauthenticated => RetryAdvice::AfterReauth,
            Self::Conflict => RetryAdvice::AfterReread,
            _ => RetryAdvice::Never,
        }
    }

    /// The name in people's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport failed",
            Self::Timeout => "no answer in time",
            Self::RateLimited => "rate limited",
            Self::Unavailable => "unavailable",
            Self::Unauthenticated => "credential not accepted",
            Self::PermissionDenied => "permission denied",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Refused(RefusalReason::Immutable) => "refused: immutable",
            Self::Refused(RefusalReason::LastOwner) => "refused: last owner",
            Self::Refused(RefusalReason::Policy) => "refused by policy",
            Self::Refused(RefusalReason::ReadOnly) => "refused: read-only",
            Self::Refused(RefusalReason::Budget) => "refused: change budget",
            Self::Exhausted => "exhausted",
            Self::Unsupported => "unsupported",
            Self::CursorExpired => "cursor expired",
            Self::ContractViolation => "contract violation",
            Self::Cancelled => "cancelled",
            Self::Configuration => "configuration",
            Self::Internal => "internal",
        }
    }
}

/// Whether the change landed on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a lattice of three")]
pub enum Applied {
    /// It surely did not.
    No,
    /// Some of it did.
    Partly,
    /// Nobody knows: read back before sending again.
    Unknown,
}

impl Applied {
    /// What is known after two attempts: a later "no" does not undo an earlier "perhaps".
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.max(other)
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryAdvice {
    /// The same call will fail again.
    Never,
    /// After a wait of the caller's choice.
    Backoff,
    /// After so many milliseconds, says the target.
    After {
        /// Milliseconds.
        ms: u64,
    },
    /// Once, with a fresh credential.
    AfterReauth,
    /// After reading the account again.
    AfterReread,
}

impl Error {
    /// An error of a kind, with what is usual for it. The message must hold no secret.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self(Box::new(Inner {
            kind,
            applied: kind.usual_applied(),
            retry: kind.usual_retry(),
            message: SmolStr::new(message),
            context: BTreeMap::new(),
            source: None,
        }))
    }

    /// The provider does not do this verb, and sent nothing.
    #[must_use]
    pub fn unsupported(verb: Verb) -> Self {
        Self::new(ErrorKind::Unsupported, format!("{verb} is not supported"))
    }

    /// The same, with what is known of the change.
    #[must_use]
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// The same, after something else of the change was done already: it landed in part, or nobody knows.
    #[must_use]
    pub fn partly(self) -> Self {
        let applied = self.applied().join(Applied::Partly);
        self.with_applied(applied)
    }

    /// The same, with when to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryAdvice) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same, with the wait that the target asks for.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.with_retry(RetryAdvice::After { ms })
    }

    /// The same, with something that helps whoever reads it: `status`, `request`, `verb`, `target`. No
    /// secrets. The first value of a name stays.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let name = SmolStr::new_static(name);
        self.0.context.entry(name).or_insert_with(|| SmolStr::new(value.to_string()));
        self
    }

    /// The same, with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the change landed.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.0.applied
    }

    /// When to try again.
    #[must_use]
    pub fn retry(&self) -> RetryAdvice {
        self.0.retry
    }

    /// What the connector says about it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What helps whoever reads it, by name.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.get(name).map(SmolStr::as_str)
    }

    /// The form that is journalled and sealed.
    #[must_use]
    pub fn record(&self) -> ErrorRecord {
        ErrorRecord {
            kind: self.0.kind,
            applied: self.0.applied,
            retry: self.0.retry,
            message: self.0.message.clone(),
            context: self.0.context.clone(),
        }
    }
}

impl From<ErrorRecord> for Error {
    /// The error again, without its cause.
    fn from(record: ErrorRecord) -> Self {
        let ErrorRecord { kind, applied, retry, message, context } = record;
        Self(Box::new(Inner { kind, applied, retry, message, context, source: None }))
    }
}

fn show(
    f: &mut fmt::Formatter<'_>,
    kind: ErrorKind,
    message: &str,
    context: &BTreeMap<SmolStr, SmolStr>,
) -> fmt::Result {
    write!(f, "{}: {message}", kind.as_str())?;
    for (number, (name, value)) in context.iter().enumerate() {
        write!(f, "{}{name} {value}", if number == 0 { " (" } else { ", " })?;
    }
    if context.is_empty() { Ok(()) } else { f.write_str(")") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0.kind, &self.0.message, &self.0.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// An error as it is journalled: without its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a stored format; a change is a new version")]
pub struct ErrorRecord {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether the change landed.
    pub applied: Applied,
    /// When to try again.
    pub retry: RetryAdvice,
    /// What the connector says about it.
    pub message: SmolStr,
    /// What helps whoever reads it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<SmolStr, SmolStr>,
}

impl fmt::Display for ErrorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.kind, &self.message, &self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_survives_a_later_refusal() {
        assert_eq!(Applied::Unknown.join(Applied::No), Applied::Unknown);
        assert_eq!(Applied::No.join(Applied::Unknown), Applied::Unknown);
        assert_eq!(Applied::No.join(Applied::No), Applied::No);
    }

    #[test]
    fn unknown_is_the_default_where_a_change_may_have_landed() {
        for kind in [ErrorKind::Transport, ErrorKind::Timeout, ErrorKind::Unavailable] {
            assert_eq!(Error::new(kind, "x").applied(), Applied::Unknown);
        }
        assert_eq!(Error::new(ErrorKind::RateLimited, "x").applied(), Applied::No);
    }
}
