//! The next instant at which the answer may differ.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::claims::{Context, Move};
use crate::claim::{Claim, RequestOnMove};

impl Context<'_> {
    /// The earliest instant after `at` at which an edge of anything lies. It may turn out that nothing
    /// changes there; it never happens that something changes before.
    pub(crate) fn next_change(
        &self,
        at: DateTime<Utc>,
        claims: &[Claim],
        moves: &[Move],
    ) -> Option<DateTime<Utc>> {
        let mut edges: BTreeSet<DateTime<Utc>> = BTreeSet::new();
        let leads: BTreeSet<u16> = self
            .policy
            .roles
            .values()
            .flat_map(|role| role.grants.iter().map(|grant| grant.days_before))
            .chain(self.policy.accounts.values().map(|rule| rule.days_before))
            .collect();
        let tasks: BTreeSet<_> = self
            .policy
            .roles
            .values()
            .flat_map(|role| role.tasks.values().map(|task| (task.moment, task.days)))
            .collect();
        for window in &self.windows.list {
            edges.insert(window.start);
            edges.extend(window.end);
            if at < window.start {
                edges.extend(leads.iter().map(|days| window.lead(self.zones, *days)));
            }
            for leave in &window.leaves {
                edges.insert(leave.from);
                edges.extend(leave.until);
            }
            edges.extend(tasks.iter().filter_map(|(m, days)| self.task_due(window, *m, *days)));
        }
        edges.extend(self.facts.identity.attributes.breakpoints());
        for request in &self.facts.requests {
            edges.insert(request.validity.from);
            edges.extend(request.validity.until);
            if let RequestOnMove::Revalidate { days } = request.on_move {
                edges.extend(moves.iter().map(|m| m.at + TimeDelta::days(days.into())));
            }
        }
        for exception in &self.facts.exceptions {
            edges.extend([exception.from, exception.until]);
        }
        for hold in &self.facts.legal_holds {
            edges.insert(hold.from);
            edges.extend(hold.until);
        }
        for waiver in &self.facts.waivers {
            edges.extend([waiver.from, waiver.until]);
        }
        let leaver = &self.policy.leaver;
        let days = [leaver.archive_after_days, leaver.delete_after_days];
        for days in days.into_iter().flatten() {
            let ends = self.windows.list.iter().filter_map(|window| window.end);
            edges.extend(ends.map(|end| end + TimeDelta::days(days.into())));
        }
        for adoption in &self.facts.adoptions {
            edges.extend([adoption.from, adoption.review_by]);
        }
        edges.extend(claims.iter().filter_map(|claim| claim.validity.until));
        edges.range(at + TimeDelta::nanoseconds(1)..).next().copied()
    }
}
