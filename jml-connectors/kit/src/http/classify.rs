//! From status codes to errors: one table for everybody, and a hook for what a vendor does otherwise.

use std::time::Duration;

use http::HeaderMap;
use jml_core::provider::{Applied, ErrorKind, RefusalReason, RetryAdvice};
use serde_json::Value;

/// An answer that is not a success, for a vendor to look at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body as JSON, if it is.
    pub body: Option<&'a Value>,
    /// Whether the request could have changed something.
    pub mutates: bool,
    /// The wait that the answer asks for.
    pub wait: Option<Duration>,
}

impl Failure<'_> {
    /// A text in the body, by JSON pointer (RFC 6901).
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.body?.pointer(pointer)?.as_str()
    }

    /// What the answer says in people's words, wherever vendors put it.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        const PLACES: [&str; 8] = [
            "/error/message",
            "/errorSummary",
            "/detail",
            "/message",
            "/error_description",
            "/error/errors/0/message",
            "/title",
            "/error",
        ];
        PLACES.iter().find_map(|place| self.text(place)).filter(|text| !text.is_empty())
    }
}

/// What a vendor says of a failure. Classify by codes, never by the words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether the change landed, if it is not what is usual for the kind.
    pub applied: Option<Applied>,
    /// When to try again, if it is not what is usual for the kind.
    pub retry: Option<RetryAdvice>,
}

impl Verdict {
    /// What is usual for a kind.
    #[must_use]
    pub const fn of(kind: ErrorKind) -> Self {
        Self { kind, applied: None, retry: None }
    }

    /// The same, with what is known of the change.
    #[must_use]
    pub const fn applied(mut self, applied: Applied) -> Self {
        self.applied = Some(applied);
        self
    }

    /// The same, with when to try again.
    #[must_use]
    pub const fn retry(mut self, retry: RetryAdvice) -> Self {
        self.retry = Some(retry);
        self
    }
}

/// The table.
///
/// | status | kind |
/// |---|---|
/// | 401 | `Unauthenticated` |
/// | 403 | `PermissionDenied` |
/// | 404, 410 | `NotFound` |
/// | 408 | `Timeout` |
/// | 409, 412, 423, 428 | `Conflict` |
/// | 429 | `RateLimited` |
/// | 501 | `Unsupported` |
/// | other 5xx | `Unavailable` |
/// | other 4xx | `Invalid` |
/// | 1xx, 2xx, 3xx | `ContractViolation`: not followed, not understood |
///
/// A 409 that means "there is one already" is the vendor's to say
/// ([`AlreadyExists`](ErrorKind::AlreadyExists)).
#[must_use]
pub const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        409 | 412 | 423 | 428 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        451 => ErrorKind::Refused(RefusalReason::Policy),
        501 => ErrorKind::Unsupported,
        500..=599 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::ContractViolation,
    }
}
