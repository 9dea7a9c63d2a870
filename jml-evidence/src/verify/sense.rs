//! L8: what the records say is possible. Approvals come before the grants that waited for them, nobody
//! approves for themselves, what was begun has an end, and figures are those of the records.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::canon::Node;

use super::records::{Records, number, text};
use super::{Problems, Verdict};

#[derive(Default)]
struct Run<'a> {
    approved: BTreeSet<&'a str>,
    begun: BTreeSet<&'a str>,
    answered: BTreeSet<&'a str>,
    /// Times at which each target was seen to be as it should.
    verified: BTreeMap<&'a str, BTreeSet<&'a str>>,
    sent: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// L8. With runs of a pack, what lies outside it is not judged.
pub(super) fn check(records: &Records) -> Verdict {
    let mut problems = Problems::default();
    let mut runs: BTreeMap<&str, Run<'_>> = BTreeMap::new();
    let mut campaigns: BTreeMap<&str, Words<'_>> = BTreeMap::new();
    for (index, record) in records {
        let record = &record.node;
        let mut odd = |what: String| problems.add(format!("entry {index}"), what);
        campaign(record, &mut campaigns, &mut odd);
        let Some(run) = text(record, &["run", "id"]) else { continue };
        let state = runs.entry(run).or_default();
        look(record, run, state, &mut odd);
    }
    if runs.is_empty() && campaigns.is_empty() {
        return problems.or_not_checked("there is no run");
    }
    problems.verdict()
}

/// The latest word about each entitlement of each person, and how many there should be.
#[derive(Default)]
struct Words<'a> {
    items: Option<u64>,
    kept: BTreeMap<(&'a str, &'a str), bool>,
}

/// Reviews: nobody reviews themselves, and the figures of a campaign are those of its words.
fn campaign<'a>(
    record: &'a Node,
    campaigns: &mut BTreeMap<&'a str, Words<'a>>,
    odd: &mut dyn FnMut(String),
) {
    let Some(review) = record.get("body").and_then(|body| body.get("review")) else { return };
    let Some(id) = text(review, &["campaign"]) else { return };
    let state = campaigns.entry(id).or_default();
    let subject = text(record, &["subject", "ref"]);
    match text(record, &["kind"]).unwrap_or("") {
        "review.opened" => state.items = number(review, &["items"]),
        "review.item_decided" => {
            if subject.is_some() && text(record, &["actor", "ref"]) == subject {
                odd(format!("in campaign {id} somebody reviewed themselves"));
            }
            let key = (subject.unwrap_or(""), text(review, &["entitlement"]).unwrap_or(""));
            state.kept.insert(key, text(review, &["decided"]) == Some("kept"));
        }
        "review.closed" => {
            let kept = state.kept.values().filter(|kept| **kept).count() as u64;
            let all = state.kept.len() as u64;
            let said = |name: &str| number(review, &[name]);
            if said("items") != state.items
                || said("items") != Some(all)
                || said("kept") != Some(kept)
                || said("revoked") != Some(all - kept)
            {
                odd(format!("campaign {id} has other figures than its decisions"));
            }
        }
        _ => {}
    }
}

fn look<'a>(record: &'a Node, run: &str, state: &mut Run<'a>, odd: &mut dyn FnMut(String)) {
    let step = text(record, &["body", "step", "id"]);
    let target = text(record, &["body", "step", "target"]).unwrap_or("");
    let status = text(record, &["body", "outcome", "status"]);
    let time = text(record, &["time"]).unwrap_or("");
    match (text(record, &["kind"]).unwrap_or(""), step) {
        ("approval.decided", _) => {
            let gate = text(record, &["body", "gate"]);
            let (actor, subject) =
                (text(record, &["actor", "ref"]), text(record, &["subject", "ref"]));
            if actor.is_some() && actor == subject {
                odd(format!("in run {run} somebody decided about themselves"));
            }
            if matches!(status, Some("approved" | "kept")) {
                state.approved.extend(gate);
            }
        }
        ("step.intended", Some(step)) => {
            if let Some(gate) = text(record, &["body", "step", "gate"])
                && !state.approved.contains(gate)
            {
                odd(format!("step {step} of run {run} went before its approval"));
            }
            state.begun.insert(step);
        }
        ("step.result", Some(step)) => {
            if matches!(status, Some("ok" | "recovered")) {
                if !state.begun.contains(step) {
                    odd(format!("step {step} of run {run} has a result and was never begun"));
                }
                state.answered.insert(step);
                state.sent.entry(target).or_default().insert(time);
            }
            state.begun.remove(step);
        }
        ("verify.observed", Some(step)) => {
            if status == Some("ok")
                && text(record, &["body", "step", "action"]).is_some_and(|a| a != "residual")
                && text(record, &["body", "step", "idempotency_key"]).is_none()
                && !state.answered.contains(step)
                && !text(record, &["body", "step", "action"])
                    .is_some_and(|a| a.starts_with("by hand") || a.starts_with("task"))
            {
                odd(format!("step {step} of run {run} was seen done before it was sent"));
            }
            if matches!(status, Some("ok" | "noop")) {
                state.verified.entry(target).or_default().insert(time);
            }
            state.begun.remove(step);
        }
        ("drift.detected", Some(step)) => {
            state.begun.remove(step);
        }
        ("sla.measured", None) => {
            let Some(measure) = record.get("body").and_then(|body| body.get("measure")) else {
                return;
            };
            let target = text(measure, &["target"]).unwrap_or("");
            let is = |name: &str, known: &BTreeMap<&str, BTreeSet<&str>>| {
                let said = text(measure, &[name]);
                said.is_none_or(|said| known.get(target).is_some_and(|times| times.contains(said)))
            };
            if !is("done", &state.sent) || !is("verified", &state.verified) {
                odd(format!("run {run} was measured at other times than its records have"));
            }
        }
        ("run.closed", _) => {
            let open = state.begun.len() as u64;
            if number(record, &["body", "closing", "open_intents"]) != Some(open) {
                odd(format!("run {run} was closed with {open} changes in doubt"));
            }
        }
        _ => {}
    }
}
