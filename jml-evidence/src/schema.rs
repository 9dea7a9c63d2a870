//! The closed schema: which kinds of records there are, and what each may say in the clear.

use jml_core::canon::Node;

/// Members of every record.
pub const MEMBERS: [&str; 13] = [
    "_sd", "actor", "also", "body", "event", "kind", "kseq", "nonce", "origin", "run", "subject",
    "time", "v",
];

/// Largest text in a record, in bytes.
pub const MAX_TEXT: usize = 4096;

/// Each kind of record, and the members that its body may have.
pub const KINDS: [(&str, &[&str]); 32] = [
    ("source.event", &["timing"]),
    ("state.observed", &["accounts"]),
    ("plan.computed", &["plan"]),
    ("policy.decision", &["gate", "outcome", "review"]),
    ("approval.requested", &["gate", "outcome", "stage"]),
    ("approval.decided", &["gate", "outcome", "stage", "timing"]),
    ("step.intended", &["step"]),
    ("step.result", &["outcome", "step"]),
    ("verify.observed", &["outcome", "step"]),
    ("drift.detected", &["outcome", "step"]),
    ("drift.repaired", &["outcome"]),
    ("orphan.detected", &["orphan"]),
    ("grant.activated", &["step"]),
    ("grant.expired", &["step"]),
    ("review.opened", &["review"]),
    ("review.item_decided", &["review"]),
    ("review.closed", &["review"]),
    ("exception.accepted", &["outcome", "step"]),
    ("task.completed", &["outcome", "step"]),
    ("notification.sent", &["outcome", "review", "step"]),
    ("sla.measured", &["measure", "outcome", "step"]),
    ("run.opened", &["plan", "timing"]),
    ("run.closed", &["closing"]),
    ("population.sealed", &["population"]),
    ("sample.drawn", &["sample"]),
    ("config.changed", &["config"]),
    ("erasure.executed", &["erasure"]),
    ("key.rotated", &["key"]),
    ("log.heartbeat", &["alive"]),
    ("hold.placed", &["hold"]),
    ("hold.released", &["hold"]),
    ("checkpoint.anchored", &["anchor"]),
];

/// What is wrong with a record's form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Odd {
    /// Its kind is not known to this version. What it says cannot be judged; its place in the tree can.
    Unknown(String),
    /// It is of a known kind and not of its form.
    Wrong(String),
}

/// The members that a body of this kind may have; `None` for a kind that is not known.
#[must_use]
pub fn body_of(kind: &str) -> Option<&'static [&'static str]> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, members)| *members)
}

/// The kinds of records.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _)| *kind)
}

/// Checks the form of a record.
///
/// # Errors
/// [`Odd`].
pub fn check(record: &Node) -> Result<(), Odd> {
    let wrong = |what: String| Err(Odd::Wrong(what));
    let Node::Object(members) = record else { return wrong("it is no object".to_owned()) };
    if let Some((name, _)) = members.iter().find(|(name, _)| !MEMBERS.contains(&name.as_str())) {
        return wrong(format!("it has a member `{name}`"));
    }
    for name in ["event", "kind", "nonce", "origin", "time"] {
        if record.get(name).and_then(Node::as_str).is_none() {
            return wrong(format!("it has no `{name}`"));
        }
    }
    if !record.get("time").and_then(Node::as_str).is_some_and(is_instant) {
        return wrong("its time is not an instant in UTC with three decimals".to_owned());
    }
    if record.get("kseq").and_then(Node::as_int).is_none() {
        return wrong("it has no `kseq`".to_owned());
    }
    if longest(record) > MAX_TEXT {
        return wrong(format!("it holds a text of more than {MAX_TEXT} bytes"));
    }
    let kind = record.get("kind").and_then(Node::as_str).unwrap_or_default();
    let Some(known) = body_of(kind) else { return Err(Odd::Unknown(kind.to_owned())) };
    let Some(Node::Object(body)) = record.get("body") else {
        return wrong("it has no body".to_owned());
    };
    match body.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => wrong(format!("a {kind} has no `{name}`")),
        None => Ok(()),
    }
}

/// Whether a text is an instant as records write it, such as `2026-01-15T10:07:12.042Z`.
fn is_instant(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    text.len() == form.len()
        && text.chars().zip(form.chars()).all(|(c, f)| match f {
            '0' => c.is_ascii_digit(),
            other => c == other,
        })
}

fn longest(node: &Node) -> usize {
    match node {
        Node::Text(text) => text.len(),
        Node::List(items) => items.iter().map(longest).max().unwrap_or(0),
        Node::Object(members) => members.iter().map(|(_, node)| longest(node)).max().unwrap_or(0),
        _ => 0,
    }
}
