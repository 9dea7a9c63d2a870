//! Plans, runs and reports as text and as JSON.

use comfy_table::{ContentArrangement, Table, presets};
use jml_core::approval::{Panel, Standing};
use jml_core::policy::Policy;
use jml_diff::{AccountLine, Planned, Verdict};
use jml_engine::view::{RunView, describe};
use jml_engine::{Batch, RunReport};
use serde_json::{Value, json};

use crate::out::{BAD, BOLD, NOTE, styled};
use crate::project::FeedNews;

/// A table without lines that fits the terminal, or 100 columns without one.
pub(crate) fn table(rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(100);
    }
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

/// What the feed says, one line each.
pub(crate) fn feed(news: &FeedNews) -> Vec<String> {
    let mut out = Vec::new();
    let stats = &news.feed.stats;
    let verdict = if news.issues.is_empty() {
        format!(
            "{} joined, {} changed, {} not mentioned any more (absence is not a leave)",
            news.merged.joined.len(),
            news.merged.changed.len(),
            news.merged.unseen.len()
        )
    } else {
        styled(BAD, "QUARANTINED: nothing is done because of this feed")
    };
    out.push(format!("feed: {} rows, {} refused; {verdict}", stats.rows, stats.rejected));
    out.extend(news.issues.iter().map(|issue| format!("  {issue}")));
    out.extend(news.feed.rejected.iter().take(20).map(|row| format!("  row refused: {row}")));
    if news.feed.rejected.len() > 20 {
        out.push(format!("  and {} more rows", news.feed.rejected.len() - 20));
    }
    out
}

/// A batch: what would change, for whom and why.
pub(crate) fn batch(batch: &Batch, keeps: bool) -> Vec<String> {
    let mut out = Vec::new();
    for (provider, error) in &batch.unread {
        out.push(styled(BAD, format!("provider {provider} could not be read: {error}")));
    }
    if batch.brakes.tripped.is_empty() {
        out.push("brakes: none tripped".to_owned());
    } else {
        out.push(styled(BAD, "brakes tripped; nothing runs:"));
        out.extend(batch.brakes.tripped.iter().map(|trip| format!("  {trip}")));
        out.push(format!(
            "  if this is right: apply --override {} --by WHO --why WHY",
            batch.brakes.batch
        ));
    }
    let mut calm = 0;
    // Critical revokes first.
    let mut order: Vec<&Planned> = batch.planned.iter().collect();
    order.sort_by_key(|planned| {
        let critical = planned
            .plan
            .as_ref()
            .is_some_and(|plan| plan.steps().values().any(|step| step.critical));
        (!critical, planned.delta.identity.clone())
    });
    for planned in order {
        let notes = batch.notes.get(&planned.delta.identity);
        let foreign = planned.delta.access.iter().any(|l| matches!(l.verdict, Verdict::Foreign(_)));
        let withdrawn = batch.withdrawn.contains_key(&planned.delta.identity);
        let quiet = planned.plan.is_none() && notes.is_none() && planned.waits.is_empty();
        if quiet && !foreign && !withdrawn {
            calm += 1;
            continue;
        }
        out.extend(person(planned, keeps));
        if let Some(run) = batch.under_way.get(&planned.delta.identity) {
            out.push(format!("  under way in run {run}"));
        }
        for run in batch.withdrawn.get(&planned.delta.identity).into_iter().flatten() {
            out.push(format!("  run {run} would give what is not wanted any more; it is stopped"));
        }
        out.extend(notes.into_iter().flatten().map(|note| format!("  {note}")));
    }
    out.push(String::new());
    out.push(format!("{} people change, {calm} stay as they are", batch.plans().count()));
    if let Some(next) = batch.next_change_at() {
        out.push(format!("next change by itself: {next}"));
    }
    out
}

fn person(planned: &Planned, keeps: bool) -> Vec<String> {
    let mut out = vec![String::new()];
    let title = format!("{}: {}", planned.delta.identity, planned.kind.as_str());
    out.push(styled(BOLD, title));
    let mut rows = Vec::new();
    if let Some(plan) = &planned.plan {
        for (id, step) in plan.steps() {
            let mark = if step.critical { "!" } else { "" };
            let gate =
                step.gate.as_ref().map_or_else(String::new, |gate| format!(" [gate {gate}]"));
            rows.push(vec![
                format!("  {id}{mark}"),
                describe(&step.kind),
                format!("{}{gate}", step.reason.text),
            ]);
        }
    }
    if !rows.is_empty() {
        out.push(table(rows));
    }
    if let Some(plan) = &planned.plan {
        for (id, gate) in plan.gates() {
            let who: Vec<String> = gate.stages.iter().map(|stage| panel(&stage.panel)).collect();
            out.push(styled(
                NOTE,
                format!(
                    "  gate {id}: {}, {} must agree; expires {}",
                    gate.title,
                    who.join(", then "),
                    gate.expires
                ),
            ));
        }
    }
    let kept = planned.delta.with(Verdict::Keep).count();
    if keeps {
        let lines = planned.delta.with(Verdict::Keep);
        out.extend(lines.map(|l| format!("  keep {} because of {}", l.entitlement, l.because)));
    } else if kept > 0 {
        out.push(format!("  keep {kept}"));
    }
    for line in &planned.delta.access {
        if let Verdict::Foreign(_) = line.verdict {
            out.push(format!("  left alone: {} ({})", line.entitlement, line.because));
        }
    }
    out.extend(planned.waits.iter().map(|wait| format!("  waits: {}: {}", wait.what, wait.why)));
    out.extend(planned.findings.iter().map(|finding| format!("  note: {finding}")));
    out
}

/// A batch for programs.
pub(crate) fn batch_json(batch: &Batch, news: Option<&FeedNews>, policy: &Policy) -> Value {
    let people: Vec<Value> = batch
        .planned
        .iter()
        .map(|planned| {
            let access: Vec<Value> = planned
                .delta
                .access
                .iter()
                .map(|line| {
                    json!({
                        "account": line.account.as_ref().map(ToString::to_string),
                        "entitlement": line.entitlement,
                        "verdict": match line.verdict {
                            Verdict::Grant => "grant",
                            Verdict::Revoke => "revoke",
                            Verdict::Keep => "keep",
                            Verdict::Foreign(_) => "foreign",
                        },
                        "because": line.because,
                        "sensitivity": line.sensitivity,
                    })
                })
                .collect();
            let accounts: Vec<Value> =
                planned.delta.accounts.iter().map(|line| json!(account_line(line))).collect();
            json!({
                "identity": planned.delta.identity,
                "kind": planned.kind,
                "plan": planned.plan,
                "plan_id": planned.plan.as_ref().map(jml_core::plan::Plan::id),
                "access": access,
                "accounts": accounts,
                "waits": planned.waits.iter().map(|w| format!("{}: {}", w.what, w.why)).collect::<Vec<_>>(),
                "findings": planned.findings,
                "next_change_at": planned.next_change_at,
            })
        })
        .collect();
    json!({
        "version": 1,
        "policy": policy.version,
        "feed": news.map(feed_json),
        "brakes": batch.brakes,
        "people": people,
    })
}

/// A feed for programs.
pub(crate) fn feed_json(news: &FeedNews) -> Value {
    json!({
        "rows": news.feed.stats.rows,
        "rejected": news.feed.rejected,
        "issues": news.issues,
        "joined": news.merged.joined,
        "changed": news.merged.changed,
        "unseen": news.merged.unseen,
    })
}

/// What an account needs, in people's words.
fn account_line(line: &AccountLine) -> String {
    match line {
        AccountLine::Create { provider, user_name, .. } => {
            format!("create {user_name} on {provider}")
        }
        AccountLine::Update { account, .. } => format!("update {account}"),
        AccountLine::Status { account, to, .. } => format!("{account} becomes {}", to.as_str()),
        AccountLine::Credentials { account, class, .. } => {
            format!("revoke {} of {account}", class.as_str())
        }
        AccountLine::Delete { account, .. } => format!("delete {account}"),
        AccountLine::Mailbox { account, .. } => format!("mailbox of {account}"),
        AccountLine::Reroute { account, .. } => format!("mail to {account}, elsewhere"),
        AccountLine::Transfer { account, to, .. } => format!("hand over from {account} to {to}"),
        _ => "unknown".to_owned(),
    }
}

/// What came of runs, a few lines each.
pub(crate) fn reports(reports: &[RunReport]) -> Vec<String> {
    let mut out = Vec::new();
    for report in reports {
        let view = &report.view;
        let done = view.steps.iter().filter(|step| step.settled).count();
        let state = view.outcome.map_or("open".to_owned(), |o| format!("{o:?}").to_lowercase());
        let head = format!(
            "{} {}: {state}, {done} of {} steps; run {}",
            view.identity,
            view.kind.as_str(),
            view.steps.len(),
            view.run
        );
        out.push(head);
        out.extend(view.waits.iter().map(|wait| format!("  waits: {wait}")));
        for step in &view.steps {
            if step.state.starts_with("failed") || step.state.starts_with("the account") {
                out.push(styled(BAD, format!("  {}: {}", step.what, step.state)));
            }
        }
    }
    out
}

/// Runs for programs.
pub(crate) fn views_json(views: &[&RunView]) -> Value {
    json!({ "version": 1, "runs": views })
}

/// Who may decide, and for whom.
pub(crate) fn panel(panel: &Panel) -> String {
    let who: Vec<String> = panel
        .iter()
        .map(|(id, standing)| match standing {
            Standing::Delegate { of } => format!("{id} (for {of})"),
            _ => id.to_string(),
        })
        .collect();
    if who.is_empty() { "nobody yet".to_owned() } else { who.join(" or ") }
}
