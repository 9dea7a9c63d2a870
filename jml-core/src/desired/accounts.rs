//! Accounts that are wanted, and tasks that are due.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use smol_str::SmolStr;

use super::claims::Context;
use super::windows::Window;
use super::{DesiredAccount, DueTask, Finding};
use crate::account::AccountStatus;
use crate::attribute::AttributeValue;
use crate::facts::TaskKey;
use crate::id::ProviderId;
use crate::policy::AccountRule;
use crate::role::TaskMoment;
use crate::rule::Truth;
use crate::time::{Edge, day_start};

/// A joiner's task that is later than this is not raised any more: nobody says welcome after a month.
const JOIN_TASK_LATEST: TimeDelta = TimeDelta::days(30);

/// A leaver's task stays due for longer: a laptop is still worth asking for.
const LEAVE_TASK_LATEST: TimeDelta = TimeDelta::days(90);

impl Context<'_> {
    pub(crate) fn accounts(
        &self,
        at: DateTime<Utc>,
        findings: &mut BTreeSet<Finding>,
    ) -> BTreeMap<ProviderId, DesiredAccount> {
        let mut out = BTreeMap::new();
        for (provider, rule) in &self.policy.accounts {
            let Some((window, status)) = self.account_status(rule, at) else { continue };
            let view = self.view(window, at);
            let text = |name| view.value(name).map(|value| value.to_string());
            let Some(user_name) = text(&rule.user_name).filter(|name| !name.is_empty()) else {
                if status != AccountStatus::Disabled {
                    findings.insert(Finding::NoUserName {
                        provider: provider.clone(),
                        attribute: rule.user_name.clone(),
                    });
                }
                continue;
            };
            let attributes: BTreeMap<_, AttributeValue> = rule
                .attributes
                .iter()
                .filter_map(|(name, from)| Some((name.clone(), view.value(from)?.into_owned())))
                .collect();
            let user_name = SmolStr::new(user_name);
            out.insert(provider.clone(), DesiredAccount { status, user_name, attributes });
        }
        out
    }

    /// The window that decides about an account, and what it decides.
    fn account_status(
        &self,
        rule: &AccountRule,
        at: DateTime<Utc>,
    ) -> Option<(&Window<'_>, AccountStatus)> {
        let holds = |window: &Window<'_>| rule.when.truth(&self.view(window, at)) == Truth::True;
        let running: Vec<&Window<'_>> =
            self.windows.running(at).filter(|window| holds(window)).collect();
        if let Some(present) = running.iter().find(|window| !window.on_leave(at)) {
            return Some((present, AccountStatus::Active));
        }
        if let Some(away) = running.first() {
            return Some((away, AccountStatus::Suspended));
        }
        if self.windows.running(at).next().is_some() {
            return None;
        }
        if let Some(next) = self.windows.upcoming(at)
            && next.lead(self.zones, rule.days_before) <= at
            && holds(next)
        {
            return Some((next, AccountStatus::Staged));
        }
        let ended = self.windows.last_ended(at)?;
        Some((ended, AccountStatus::Disabled))
    }

    /// Tasks that are due and were not raised, in order of their due instant.
    pub(crate) fn tasks(&self, at: DateTime<Utc>) -> Vec<DueTask> {
        let mut out = BTreeSet::new();
        if self.policy.roles.values().all(|role| role.tasks.is_empty()) {
            return Vec::new();
        }
        for window in &self.windows.list {
            let over = window.end.is_some_and(|end| end <= at);
            // Who goes on in another engagement neither joins nor leaves.
            let (begins, ends) = (self.windows.begins_span(window), self.windows.ends_span(window));
            let as_of = match window.end {
                Some(end) if over => end - TimeDelta::microseconds(1),
                _ => at,
            };
            for (_, rule) in self.rules(window, as_of) {
                for assigned in &rule.roles {
                    for reached in self.closure(assigned) {
                        let Some(template) = self.policy.roles.get(reached.role) else { continue };
                        for (task_id, task) in &template.tasks {
                            let key = TaskKey {
                                engagement: window.engagement.id.clone(),
                                task: task_id.clone(),
                            };
                            let Some(due) = self.task_due(window, task.moment, task.days) else {
                                continue;
                            };
                            let latest = match task.moment {
                                TaskMoment::Join if over || !begins => continue,
                                // What should come before the end is too late after it.
                                TaskMoment::Leave if !ends || (over && task.days < 0) => continue,
                                TaskMoment::Join => JOIN_TASK_LATEST,
                                TaskMoment::Leave => LEAVE_TASK_LATEST,
                            };
                            let raised = self.facts.raised_tasks.contains(&key);
                            if due <= at && at < due + latest && !raised {
                                let (title, assignee) = (task.title.clone(), task.assignee.clone());
                                out.insert(DueTask { due, key, title, assignee });
                            }
                        }
                    }
                }
            }
        }
        out.into_iter().collect()
    }

    /// When a task of a window falls due; `None` while the moment is not known.
    pub(crate) fn task_due(
        &self,
        window: &Window<'_>,
        moment: TaskMoment,
        days: i16,
    ) -> Option<DateTime<Utc>> {
        let shift = TimeDelta::days(days.into());
        match moment {
            TaskMoment::Join => {
                let date = window.engagement.start.checked_add_signed(shift)?;
                day_start(self.zones, window.zone, date, Edge::Start).ok()
            }
            TaskMoment::Leave => Some(window.end? + shift),
        }
    }
}
