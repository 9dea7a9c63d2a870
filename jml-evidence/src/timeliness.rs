//! How soon each target did what was asked of it: figures over the `sla.measured` records of a log.
//!
//! Five instants are kept apart, because late entry, late delivery and late work are different findings:
//! *effective* (when it had to be so), *entered* (when HR wrote it down), *received* (when it came here),
//! *done* (when the target answered), *verified* (when it was seen to be so).

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use jml_core::canon::{self, Node};
use serde::Serialize;

use crate::controls::Period;

/// One measurement: one target in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Measured {
    /// The entry that says so.
    pub entry: u64,
    /// The run.
    pub run: String,
    /// The event of the run.
    pub event: String,
    /// The target.
    pub target: String,
    /// `end` when access had to go, `begin` when it had to come.
    pub of: String,
    /// Steps that were not seen done when the run was closed.
    pub open: u64,
    /// When it had to be so.
    pub effective: Option<DateTime<Utc>>,
    /// When it was entered at the source.
    pub entered: Option<DateTime<Utc>>,
    /// When it came here.
    pub received: Option<DateTime<Utc>>,
    /// Until when the plan wanted it.
    pub due: Option<DateTime<Utc>>,
    /// When the target answered last.
    pub done: Option<DateTime<Utc>>,
    /// When all of it was seen to be so.
    pub verified: Option<DateTime<Utc>>,
}

impl Measured {
    /// From when the clock of a limit runs: the effective instant, or when it became known, whichever is
    /// later.
    #[must_use]
    pub fn from(&self) -> Option<DateTime<Utc>> {
        self.effective.max(self.received)
    }

    /// Seconds for which a way in was open although access had ended.
    #[must_use]
    pub fn exposure(&self) -> Option<i64> {
        Some((self.verified? - self.effective?).num_seconds().max(0))
    }

    /// Seconds of work: from [`from`](Self::from) to being seen done.
    #[must_use]
    pub fn work(&self) -> Option<i64> {
        Some((self.verified? - self.from()?).num_seconds().max(0))
    }

    /// Seconds by which HR was late: entered after it was effective.
    #[must_use]
    pub fn late_entry(&self) -> Option<i64> {
        Some((self.entered? - self.effective?).num_seconds().max(0))
    }
}

/// The measurements of a log, in order.
#[must_use]
pub fn measured<'a>(
    entries: impl IntoIterator<Item = (u64, &'a [u8])>,
    period: Option<&Period>,
) -> Vec<Measured> {
    let mut out = Vec::new();
    for (entry, bytes) in entries {
        let Ok(record) = canon::parse(bytes) else { continue };
        let text = |name: &str| record.get(name).and_then(Node::as_str).unwrap_or("").to_owned();
        let Some(it) = record.get("body").and_then(|body| body.get("measure")) else { continue };
        let time = text("time");
        if period.is_some_and(|(from, to)| time < *from || *to <= time) {
            continue;
        }
        let word = |name: &str| it.get(name).and_then(Node::as_str).unwrap_or("").to_owned();
        let instant = |name: &str| {
            let at = DateTime::parse_from_rfc3339(it.get(name)?.as_str()?).ok()?;
            Some(at.to_utc())
        };
        let run = record.get("run").and_then(|run| run.get("id")).and_then(Node::as_str);
        out.push(Measured {
            entry,
            run: run.unwrap_or("").to_owned(),
            event: text("event"),
            target: word("target"),
            of: word("of"),
            open: it
                .get("open")
                .and_then(Node::as_int)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(0),
            effective: instant("effective"),
            entered: instant("entered"),
            received: instant("received"),
            due: instant("due"),
            done: instant("done"),
            verified: instant("verified"),
        });
    }
    out
}

/// Figures about one target in one kind of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Figures {
    /// How many runs.
    pub count: u64,
    /// How many of them were closed with something open.
    pub open: u64,
    /// How many were seen done within the limit; `None` without one.
    pub within: Option<u64>,
    /// Seconds of work: half were at most this.
    pub p50: Option<i64>,
    /// Ninety-five of a hundred were at most this.
    pub p95: Option<i64>,
    /// The longest.
    pub max: Option<i64>,
    /// How many began on each day of the week, from Monday, and how many of those went over the limit: a
    /// batch that does not run at weekends shows here.
    pub by_weekday: [(u64, u64); 7],
    /// The same for each hour of the day, in UTC.
    pub by_hour: Vec<(u64, u64)>,
    /// How many HR entered after they were effective.
    pub entered_late: u64,
}

/// The value that `percent` of the sorted values do not exceed (nearest rank).
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Figures by event, what had to happen, and target. `limit` gives the seconds that an event may take.
#[must_use]
pub fn figures(
    measured: &[Measured],
    limit: &dyn Fn(&str) -> Option<i64>,
) -> BTreeMap<(String, String, String), Figures> {
    let mut groups: BTreeMap<(String, String, String), Vec<&Measured>> = BTreeMap::new();
    for it in measured {
        let key = (it.event.clone(), it.of.clone(), it.target.clone());
        groups.entry(key).or_default().push(it);
    }
    let one = |(key, list): ((String, String, String), Vec<&Measured>)| {
        let limit = if key.1 == "end" { limit(&key.0) } else { None };
        let over = |it: &Measured| limit.is_some_and(|l| it.work().is_none_or(|work| work > l));
        let mut times: Vec<i64> = list.iter().filter_map(|it| it.work()).collect();
        times.sort_unstable();
        let mut by_weekday = [(0, 0); 7];
        let mut by_hour = vec![(0, 0); 24];
        for it in &list {
            let Some(from) = it.from() else { continue };
            let day = by_weekday.get_mut(from.weekday().num_days_from_monday() as usize);
            let hour = by_hour.get_mut(from.hour() as usize);
            for slot in [day, hour].into_iter().flatten() {
                slot.0 += 1;
                slot.1 += u64::from(over(it));
            }
        }
        let figures = Figures {
            count: list.len() as u64,
            open: list.iter().filter(|it| it.open > 0).count() as u64,
            within: limit.map(|_| list.iter().filter(|it| !over(it)).count() as u64),
            p50: percentile(&times, 50),
            p95: percentile(&times, 95),
            max: times.last().copied(),
            by_weekday,
            by_hour,
            entered_late: list.iter().filter(|it| it.late_entry().is_some_and(|s| s > 0)).count()
                as u64,
        };
        (key, figures)
    };
    groups.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn nearest_rank() {
        let list: Vec<i64> = (1..=20).collect();
        assert_eq!(percentile(&list, 50), Some(10));
        assert_eq!(percentile(&list, 95), Some(19));
        assert_eq!(percentile(&list[..1], 95), Some(1));
        assert_eq!(percentile(&[], 95), None);
    }
}
