//! When to look at whom: three paths that do not depend on each other.
//!
//! An *event* says that somebody may have changed. A *timer* is the instant at which somebody's access
//! changes by itself, as the last plan said. A *sweep* looks at everybody, however quiet it was. Each is only a
//! reason to look: a lost event or a missed timer costs time and never correctness, because the next look
//! finds the same difference.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::id::IdentityId;

use crate::engine::{Batch, Selection};

/// When to look at whom. Pure: it is told the time.
#[derive(Clone, Debug)]
pub struct Watch {
    every: TimeDelta,
    swept: Option<DateTime<Utc>>,
    events: BTreeSet<IdentityId>,
    timers: BTreeMap<IdentityId, DateTime<Utc>>,
}

impl Watch {
    /// A watch that sweeps so often. It begins with a sweep: after a start, nobody knows what was missed.
    #[must_use]
    pub const fn new(every: TimeDelta) -> Self {
        Self { every, swept: None, events: BTreeSet::new(), timers: BTreeMap::new() }
    }

    /// Somebody may have changed.
    pub fn event(&mut self, identity: IdentityId) {
        self.events.insert(identity);
    }

    /// Look at somebody again at an instant at the latest.
    pub fn timer(&mut self, identity: IdentityId, at: DateTime<Utc>) {
        let known = self.timers.entry(identity).or_insert(at);
        *known = at.min(*known);
    }

    /// Whom to look at now; `None` when nobody is due.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> Option<Selection> {
        if self.swept.is_none_or(|swept| now >= swept + self.every) {
            return Some(Selection::All);
        }
        let rung = self.timers.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id);
        let due: BTreeSet<IdentityId> = self.events.iter().chain(rung).cloned().collect();
        (!due.is_empty()).then_some(Selection::Only(due))
    }

    /// When somebody is due, if no event comes before.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if self.due(now).is_some() {
            return now;
        }
        let sweep = self.swept.map_or(now, |swept| swept + self.every);
        self.timers.values().copied().min().map_or(sweep, |timer| timer.min(sweep))
    }

    /// Takes note of a look that was acted on. A batch that a brake stopped, or that failed, is not told
    /// here: then everybody in it stays due.
    pub fn looked(&mut self, who: &Selection, batch: &Batch, at: DateTime<Utc>) {
        self.looked_at(
            who,
            batch.planned.iter().map(|it| (&it.delta.identity, it.next_change_at)),
            at,
        );
    }

    /// As [`looked`](Self::looked), with what the batch said about each person's next change.
    pub fn looked_at<'a>(
        &mut self,
        who: &Selection,
        planned: impl Iterator<Item = (&'a IdentityId, Option<DateTime<Utc>>)>,
        at: DateTime<Utc>,
    ) {
        if matches!(who, Selection::All) {
            self.swept = Some(at);
            self.events.clear();
        }
        for (identity, next) in planned {
            self.events.remove(identity);
            match next {
                Some(next) => self.timers.insert(identity.clone(), next),
                None => self.timers.remove(identity),
            };
        }
    }
}
