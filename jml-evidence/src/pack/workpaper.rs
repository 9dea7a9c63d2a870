//! The workpaper: a row for each target of each run, as auditors file them.

use std::collections::BTreeMap;

use super::view::{RunView, number, text};
use crate::sla::Limit;
use crate::timeliness::Measured;
use crate::verify::Window;

/// A cell that no spreadsheet takes for a formula.
pub(super) fn safe(cell: &str) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

/// Rows as CSV (RFC 4180).
pub(super) fn csv(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail.
    let _ = writer.write_record(head);
    for row in rows {
        let _ = writer.write_record(row.iter().map(|cell| safe(cell)));
    }
    writer.into_inner().unwrap_or_default()
}

const HEAD: [&str; 23] = [
    "number",
    "person",
    "event",
    "effective",
    "entered",
    "received",
    "target",
    "what",
    "done",
    "verified",
    "open_steps",
    "exposure_seconds",
    "work_seconds",
    "limit_seconds",
    "limit_source",
    "result",
    "approved_by",
    "residual",
    "waived",
    "rewrite_window_seconds",
    "run",
    "entry",
    "proof",
];

/// What came of one target in one run.
pub(super) fn result(it: &Measured, limit: Option<&Limit>) -> &'static str {
    match (it.open, limit, it.work()) {
        (1.., ..) => "open",
        (0, Some(limit), Some(work)) if it.of == "end" => {
            if work <= limit.seconds {
                "within"
            } else {
                "over"
            }
        }
        _ => "done",
    }
}

pub(super) fn workpaper(
    runs: &[RunView],
    measured: &[Measured],
    limit: &dyn Fn(&str) -> Option<Limit>,
    windows: &BTreeMap<u64, Window>,
) -> Vec<u8> {
    let mut rows = Vec::new();
    for run in runs {
        let approved: Vec<String> = run
            .lines
            .iter()
            .filter(|line| line.kind == "approval.decided" && line.status.starts_with("approved"))
            .filter_map(|line| line.by.clone())
            .collect();
        let closing = |name: &str| run.closing.as_ref().map_or(0, |c| number(c, &[name]));
        for it in measured.iter().filter(|it| it.run == run.id) {
            let at = |at: Option<chrono::DateTime<chrono::Utc>>| {
                at.map(crate::record::instant).unwrap_or_default()
            };
            let seconds = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
            let limit = limit(&run.event).filter(|_| it.of == "end");
            let window = match windows.get(&it.entry) {
                Some(Window::Seconds(n)) => n.to_string(),
                _ => "unanchored".to_owned(),
            };
            rows.push(vec![
                (rows.len() + 1).to_string(),
                run.identity.clone().unwrap_or_else(|| run.subject.clone()),
                run.event.clone(),
                at(it.effective),
                at(it.entered),
                at(it.received),
                it.target.clone(),
                if it.of == "end" { "access ends" } else { "access begins" }.to_owned(),
                at(it.done),
                at(it.verified),
                it.open.to_string(),
                seconds(it.exposure().filter(|_| it.of == "end")),
                seconds(it.work()),
                seconds(limit.map(|limit| limit.seconds)),
                limit.map(|limit| limit.source.to_owned()).unwrap_or_default(),
                result(it, limit.as_ref()).to_owned(),
                approved.join("; "),
                closing("residual").to_string(),
                closing("waived").to_string(),
                window,
                run.id.clone(),
                it.entry.to_string(),
                format!("proofs/{}.tlog-proof", it.entry),
            ]);
        }
    }
    csv(&HEAD, rows)
}

/// The outcome of a run in one word.
pub(super) fn outcome(run: &RunView) -> String {
    run.closing.as_ref().map_or_else(|| "open".to_owned(), |closing| text(closing, &["outcome"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert!(safe(cell).starts_with('\''), "{cell:?}");
        }
        assert_eq!(safe("a=b"), "a=b");
        let bytes = csv(&["a"], [vec!["=\"x\"\n,".to_owned()]]);
        assert_eq!(bytes, b"a\n\"'=\"\"x\"\"\n,\"\n");
    }
}
