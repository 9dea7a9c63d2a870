//! What Graph means by its failures.

use jml_connector_kit::{Failure, Verdict};
use jml_core::provider::{ErrorKind, RefusalReason, RetryAdvice};
use serde_json::Value;

/// What Graph means by its codes; where it has none of its own, by how its sentences begin.
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    let details = || failure.body?.pointer("/error/details")?.as_array();
    let conflicts = |it: &Value| {
        it.get("code").is_some_and(|code| code == "ObjectConflict" || code == "ConflictingObjects")
    };
    if details().into_iter().flatten().any(conflicts) {
        return Some(Verdict::of(ErrorKind::AlreadyExists));
    }
    let message = failure.text("/error/message").unwrap_or_default();
    Some(match failure.text("/error/code")? {
        "Request_BadRequest" | "BadRequest" => return said(message),
        "Request_ResourceNotFound"
        | "Directory_ObjectNotFound"
        | "MailboxNotEnabledForRESTAPI"
        | "itemNotFound" => Verdict::of(ErrorKind::NotFound),
        "Authorization_RequestDenied" => Verdict::of(ErrorKind::PermissionDenied),
        "InvalidAuthenticationToken" => Verdict::of(ErrorKind::Unauthenticated),
        "syncStateNotFound"
        | "syncStateInvalid"
        | "resyncRequired"
        | "Directory_ExpiredPageToken" => Verdict::of(ErrorKind::CursorExpired),
        "TooManyRequests" | "activityLimitReached" => Verdict::of(ErrorKind::RateLimited),
        "Directory_ConcurrencyViolation" => not_yet(),
        _ => return None,
    })
}

/// What was just made is not known everywhere yet.
const fn not_yet() -> Verdict {
    Verdict::of(ErrorKind::Conflict).retry(RetryAdvice::Backoff)
}

/// What is 400 and told apart only by its words.
fn said(message: &str) -> Option<Verdict> {
    const IMMUTABLE: ErrorKind = ErrorKind::Refused(RefusalReason::Immutable);
    const SENTENCES: [(&str, ErrorKind); 10] = [
        ("One or more added object references already exist", ErrorKind::AlreadyExists),
        ("Permission being assigned already exists on the object", ErrorKind::AlreadyExists),
        (
            "A conflicting object with one or more of the specified property values",
            ErrorKind::AlreadyExists,
        ),
        ("The group must have at least one owner", ErrorKind::Refused(RefusalReason::LastOwner)),
        // Of a licence that should go. It has.
        ("User does not have a corresponding license", ErrorKind::NotFound),
        ("User license is inherited from a group membership", IMMUTABLE),
        ("Cannot Update a mail-enabled security groups and or distribution list", IMMUTABLE),
        ("Unable to update the specified properties for on-premises mastered", IMMUTABLE),
        // The groups of Exchange, in older words.
        (
            "Unable to update the specified properties for objects that have originated within an external service",
            IMMUTABLE,
        ),
        ("Not a valid reference update", ErrorKind::Conflict),
    ];
    // Somebody else took the last seat since it was looked for.
    if message.ends_with("does not have any available licenses.") {
        return Some(Verdict::of(ErrorKind::Exhausted));
    }
    let (_, kind) = SENTENCES.iter().find(|(begins, _)| message.starts_with(begins))?;
    Some(match kind {
        ErrorKind::Conflict => not_yet(),
        kind => Verdict::of(*kind),
    })
}
