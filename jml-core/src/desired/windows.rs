//! Engagements as spans of instants, and where that leaves the identity.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, Utc};
use smol_str::SmolStr;

use super::Finding;
use crate::claim::Validity;
use crate::facts::PersonFacts;
use crate::id::ZoneId;
use crate::identity::{Ending, Engagement, EngagementKind, LifecycleState};
use crate::time::{Edge, UnknownZone, ZoneResolver, day_start};

/// One engagement in instants.
pub(crate) struct Window<'a> {
    pub(crate) engagement: &'a Engagement,
    pub(crate) zone: &'a ZoneId,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) leaves: Vec<Validity>,
}

impl Window<'_> {
    pub(crate) fn runs(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }

    pub(crate) fn on_leave(&self, at: DateTime<Utc>) -> bool {
        self.leaves.iter().any(|leave| leave.contains(at))
    }

    pub(crate) const fn kind(&self) -> EngagementKind {
        self.engagement.kind
    }

    /// The instant so many days before the first day begins.
    pub(crate) fn lead(&self, zones: &dyn ZoneResolver, days: u16) -> DateTime<Utc> {
        if days == 0 {
            return self.start;
        }
        let date = self.engagement.start.checked_sub_days(Days::new(days.into()));
        date.and_then(|date| day_start(zones, self.zone, date, Edge::Start).ok())
            .unwrap_or(self.start)
    }
}

/// All windows of one identity.
pub(crate) struct Windows<'a> {
    pub(crate) list: Vec<Window<'a>>,
    /// Whether an engagement had to be left out because its facts do not add up.
    pub(crate) undetermined: bool,
}

impl<'a> Windows<'a> {
    pub(crate) fn of(
        facts: &'a PersonFacts,
        zones: &dyn ZoneResolver,
        findings: &mut BTreeSet<Finding>,
    ) -> Self {
        let mut list = Vec::new();
        let mut undetermined = false;
        for engagement in &facts.identity.engagements {
            if matches!(engagement.ending, Ending::NoShow | Ending::Rescinded) {
                continue;
            }
            match window(engagement, zones) {
                Ok(window) => list.push(window),
                Err(finding) => {
                    undetermined = true;
                    findings.insert(finding);
                }
            }
        }
        list.sort_by_key(|window| (window.start, window.end));
        Self { list, undetermined }
    }

    pub(crate) fn running(&self, at: DateTime<Utc>) -> impl Iterator<Item = &Window<'a>> {
        self.list.iter().filter(move |window| window.runs(at))
    }

    pub(crate) fn upcoming(&self, at: DateTime<Utc>) -> Option<&Window<'a>> {
        self.list.iter().find(|window| at < window.start)
    }

    /// The window that ended last, if none runs.
    pub(crate) fn last_ended(&self, at: DateTime<Utc>) -> Option<&Window<'a>> {
        self.list
            .iter()
            .filter(|window| window.start <= at && window.end.is_some_and(|end| end <= at))
            .max_by_key(|window| window.end)
    }

    /// The span without a gap that contains an instant: from the first window of an unbroken chain.
    pub(crate) fn span_start(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut start = self.running(at).map(|window| window.start).min()?;
        loop {
            let earlier = self
                .list
                .iter()
                .filter(|w| w.start < start && w.end.is_none_or(|end| end >= start))
                .map(|w| w.start)
                .min();
            match earlier {
                Some(earlier) => start = earlier,
                None => return Some(start),
            }
        }
    }

    /// Whether nobody was here right before a window began.
    pub(crate) fn begins_span(&self, window: &Window<'_>) -> bool {
        let before = |other: &&Window<'_>| {
            other.start < window.start && other.end.is_none_or(|end| end >= window.start)
        };
        !self.list.iter().any(|other| before(&other))
    }

    /// Whether nobody is here right after a window ended.
    pub(crate) fn ends_span(&self, window: &Window<'_>) -> bool {
        let Some(end) = window.end else { return true };
        let after =
            |other: &&Window<'_>| other.start <= end && other.end.is_none_or(|other| other > end);
        !self.list.iter().any(|other| after(&other))
    }

    /// The start of the span that contains an instant, of somebody who was here before. What was approved
    /// before it, even in between, belongs to an earlier life here and stays dead.
    pub(crate) fn born_again(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let span = self.span_start(at)?;
        let earlier = self.list.iter().filter_map(|window| window.end).any(|end| end < span);
        earlier.then_some(span)
    }

    /// When the running windows all are over, if that is known.
    pub(crate) fn span_end(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut latest = None;
        for window in self.running(at) {
            latest = latest.max(Some(window.end?));
        }
        latest
    }

    pub(crate) fn state(&self, at: DateTime<Utc>) -> LifecycleState {
        let mut running = self.running(at).peekable();
        if running.peek().is_some() {
            return if running.all(|window| window.on_leave(at)) {
                LifecycleState::OnLeave
            } else {
                LifecycleState::Active
            };
        }
        if self.undetermined {
            LifecycleState::Undetermined
        } else if self.upcoming(at).is_some() {
            LifecycleState::PreHire
        } else if self.last_ended(at).is_some() {
            LifecycleState::Left
        } else {
            LifecycleState::NeverStarted
        }
    }
}

fn window<'a>(engagement: &'a Engagement, zones: &dyn ZoneResolver) -> Result<Window<'a>, Finding> {
    let name = || SmolStr::new(engagement.id.as_str());
    let Some(zone) = &engagement.zone else {
        return Err(Finding::MissingZone { engagement: name() });
    };
    let unknown = |e: UnknownZone| Finding::UnknownZone { zone: SmolStr::new(e.0.as_str()) };
    if engagement.kind == EngagementKind::Contract
        && engagement.end.is_none()
        && engagement.cut_off.is_none()
    {
        return Err(Finding::ContractWithoutEnd { engagement: name() });
    }
    if engagement.end.is_some_and(|end| end < engagement.start) {
        return Err(Finding::EndBeforeStart { engagement: name() });
    }
    let start = day_start(zones, zone, engagement.start, Edge::Start).map_err(unknown)?;
    let last = |date: NaiveDate| {
        let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
        day_start(zones, zone, next, Edge::End).map_err(unknown)
    };
    let mut end = engagement.end.map(last).transpose()?;
    if let Some(cut) = engagement.cut_off {
        end = Some(end.map_or(cut, |end| end.min(cut)));
    }
    let mut leaves = Vec::new();
    for leave in &engagement.leaves {
        // Being away begins like an end of access and ends like a start of it.
        let from = day_start(zones, zone, leave.from, Edge::End).map_err(unknown)?;
        let until = match leave.to {
            Some(to) => {
                let next = to.checked_add_days(Days::new(1)).unwrap_or(to);
                Some(day_start(zones, zone, next, Edge::Start).map_err(unknown)?)
            }
            None => None,
        };
        leaves.push(Validity { from, until });
    }
    Ok(Window { engagement, zone, start, end, leaves })
}
