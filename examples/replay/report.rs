//! What a replay found, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The figures of a replay.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: usize,
    pub(crate) idle_lines: Vec<u64>,
    pub(crate) by_kind: BTreeMap<String, usize>,
    pub(crate) change_sets: usize,
    pub(crate) days: usize,
    pub(crate) people: usize,
    pub(crate) joiners: usize,
    pub(crate) movers: usize,
    pub(crate) leavers: usize,
    pub(crate) rehires: usize,
    pub(crate) template_edits: usize,
    pub(crate) plans: usize,
    pub(crate) grants: usize,
    pub(crate) revokes: usize,
    pub(crate) account_steps: usize,
    pub(crate) holders_at_end: usize,
    pub(crate) pairs_at_end: usize,
    pub(crate) overdue_dates: usize,
    pub(crate) mismatches: usize,
    pub(crate) first_mismatches: Vec<String>,
}

impl Report {
    /// Notes a deviation; the first few are kept in words.
    pub(crate) fn mismatch(&mut self, what: String) {
        self.mismatches += 1;
        if self.first_mismatches.len() < 10 {
            self.first_mismatches.push(what);
        }
    }

    /// Every change to a target.
    pub(crate) const fn steps(&self) -> usize {
        self.grants + self.revokes + self.account_steps
    }

    fn figures(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("events", self.lines),
            ("idle_lines", self.idle_lines.len()),
            ("change_sets", self.change_sets),
            ("days", self.days),
            ("people", self.people),
            ("joiners", self.joiners),
            ("movers", self.movers),
            ("leavers", self.leavers),
            ("rehires", self.rehires),
            ("template_edits", self.template_edits),
            ("plans", self.plans),
            ("steps", self.steps()),
            ("grants", self.grants),
            ("revokes", self.revokes),
            ("account_steps", self.account_steps),
            ("holders_at_end", self.holders_at_end),
            ("pairs_at_end", self.pairs_at_end),
            ("overdue_dates", self.overdue_dates),
            ("mismatches", self.mismatches),
        ]
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (name, value) in self.figures() {
            let _ = writeln!(out, "{:<16}{value:>10}", name.replace('_', " "));
        }
        let kinds: Vec<String> = self.by_kind.iter().map(|(k, n)| format!("{k} {n}")).collect();
        let _ = writeln!(out, "events by kind  {}", kinds.join(", "));
        if let Some(line) = self.idle_lines.first() {
            let _ = writeln!(out, "idle lines change nothing; the first is line {line}");
        }
        for what in &self.first_mismatches {
            let _ = writeln!(out, "MISMATCH {what}");
        }
        let _ = match self.mismatches {
            0 => writeln!(
                out,
                "After every change set the provider held what the file says, and every plan was \
                 as large as the difference."
            ),
            n => writeln!(out, "{n} mismatches."),
        };
        out
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let mut fields: Vec<String> = vec!["\"version\": 1".to_owned()];
        for (name, value) in self.figures() {
            fields.push(format!("\"{name}\": {value}"));
        }
        format!("{{\n  {}\n}}\n", fields.join(",\n  "))
    }
}
