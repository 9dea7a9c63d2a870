//! L8: what the records say is possible. Approvals come before the grants that waited for them, nobody
//! approves for themselves, what was begun has an end, and figures are those of the records.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::canon::Node;

use super::records::Records;
use super::{Problems, Verdict};

#[derive(Default)]
struct Run<'a> {
    approved: BTreeSet<&'a str>,
    begun: BTreeSet<&'a str>,
    /// Begun, and nobody knows what became of it: a look may find it done.
    doubt: BTreeSet<&'a str>,
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
        let Some(run) = record.text_at(&["run", "id"]) else { continue };
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
    let Some(id) = review.text_at(&["campaign"]) else { return };
    let state = campaigns.entry(id).or_default();
    let subject = record.text_at(&["subject", "ref"]);
    match record.text_at(&["kind"]).unwrap_or("") {
        "review.opened" => state.items = review.count_at(&["items"]),
        "review.item_decided" => {
            if subject.is_some() && record.text_at(&["actor", "ref"]) == subject {
                odd(format!("in campaign {id} somebody reviewed themselves"));
            }
            let key = (subject.unwrap_or(""), review.text_at(&["entitlement"]).unwrap_or(""));
            state.kept.insert(key, review.text_at(&["decided"]) == Some("kept"));
        }
        "review.closed" => {
            let kept = state.kept.values().filter(|kept| **kept).count() as u64;
            let all = state.kept.len() as u64;
            let said = |name: &str| review.count_at(&[name]);
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
    let step = record.text_at(&["body", "step", "id"]);
    let target = record.text_at(&["body", "step", "target"]).unwrap_or("");
    let status = record.text_at(&["body", "outcome", "status"]);
    let time = record.text_at(&["time"]).unwrap_or("");
    match (record.text_at(&["kind"]).unwrap_or(""), step) {
        ("approval.decided", _) => {
            let gate = record.text_at(&["body", "gate"]);
            let (actor, subject) =
                (record.text_at(&["actor", "ref"]), record.text_at(&["subject", "ref"]));
            if actor.is_some() && actor == subject {
                odd(format!("in run {run} somebody decided about themselves"));
            }
            if matches!(status, Some("approved" | "kept")) {
                state.approved.extend(gate);
            }
        }
        ("step.intended", Some(step)) => {
            if let Some(gate) = record.text_at(&["body", "step", "gate"])
                && !state.approved.contains(gate)
            {
                odd(format!("step {step} of run {run} went before its approval"));
            }
            state.begun.insert(step);
        }
        ("step.result", Some(step)) => {
            let answered = matches!(status, Some("ok" | "recovered"));
            // The target works on it; another result follows.
            let pending = status == Some("pending");
            let found = status == Some("recovered") && state.doubt.contains(step);
            if (answered || pending) && !found && !state.begun.contains(step) {
                odd(format!("step {step} of run {run} has a result and was never begun"));
            }
            if answered {
                state.answered.insert(step);
                state.sent.entry(target).or_default().insert(time);
            }
            if !pending && state.begun.remove(step) && status == Some("unknown") {
                state.doubt.insert(step);
            }
        }
        ("verify.observed", Some(step)) => {
            // A last look sends nothing, and what people do is not sent by us.
            let action = record.text_at(&["body", "step", "action"]).unwrap_or("");
            let sent = !["residual", "by hand", "task"].iter().any(|it| action.starts_with(it));
            if status == Some("ok") && sent && !state.answered.contains(step) {
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
            let Some(measure) = record.at(&["body", "measure"]) else {
                return;
            };
            let target = measure.text_at(&["target"]).unwrap_or("");
            let is = |name: &str, known: &BTreeMap<&str, BTreeSet<&str>>| {
                let said = measure.text_at(&[name]);
                said.is_none_or(|said| known.get(target).is_some_and(|times| times.contains(said)))
            };
            if !is("done", &state.sent) || !is("verified", &state.verified) {
                odd(format!("run {run} was measured at other times than its records have"));
            }
        }
        ("run.closed", _) => {
            let open = state.begun.len() as u64;
            if record.count_at(&["body", "closing", "open_intents"]) != Some(open) {
                odd(format!("run {run} was closed with {open} changes in doubt"));
            }
        }
        _ => {}
    }
}
