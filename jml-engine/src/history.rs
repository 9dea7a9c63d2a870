//! What earlier runs leave behind: grants, refusals, raised tasks, and runs that are still open.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::digest::Digest;
use jml_core::facts::TaskKey;
use jml_core::id::{IdentityId, RunId, StepId};
use jml_core::journal::{Entry, Fact, JournalError, JournalStore, RunMode, SkipReason};
use jml_core::plan::{LifecycleKind, Plan, StepKind};
use jml_diff::Ledger;

/// What the journals say, folded once. Closed runs never change, so they are read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    read: BTreeSet<RunId>,
    pub(crate) ledger: Ledger,
    pub(crate) refused: BTreeMap<IdentityId, BTreeSet<Digest>>,
    pub(crate) raised: BTreeMap<IdentityId, BTreeSet<TaskKey>>,
    pub(crate) leavers: Vec<DateTime<Utc>>,
    pub(crate) last_plan: BTreeMap<IdentityId, Digest>,
    pub(crate) open: BTreeMap<IdentityId, Vec<OpenRun>>,
}

/// A run that is not closed.
#[derive(Clone, Debug)]
pub(crate) struct OpenRun {
    pub(crate) run: RunId,
    /// Meanings of the steps that are still open.
    pub(crate) open: BTreeSet<Digest>,
    /// Whether only tasks are open.
    pub(crate) only_tasks: bool,
}

impl History {
    /// Reads what is new in the store. Returns the history with open runs taken in.
    pub(crate) async fn refresh(&mut self, store: &dyn JournalStore) -> Result<Self, JournalError> {
        let mut open = Vec::new();
        for run in store.runs().await? {
            if self.read.contains(&run) {
                continue;
            }
            let entries = store.load(&run).await?;
            if matches!(entries.last().map(|e| &e.fact), Some(Fact::Closed { .. })) {
                self.take(&entries);
                self.read.insert(run);
            } else {
                open.push((run, entries));
            }
        }
        let mut now = self.clone();
        for (run, entries) in open {
            now.take(&entries);
            now.take_open(run, &entries);
        }
        Ok(now)
    }

    fn take(&mut self, entries: &[Entry]) {
        let Some((plan, at)) = opened(entries) else { return };
        let identity = plan.header().identity.clone();
        self.ledger.record(entries);
        self.last_plan.insert(identity.clone(), *plan.id());
        if plan.header().kind == LifecycleKind::Leave {
            self.leavers.push(at);
        }
        for entry in entries {
            match &entry.fact {
                Fact::Skipped { step, why: SkipReason::Refused { .. } } => {
                    if let Some(meaning) = plan.step_digest(step) {
                        self.refused.entry(identity.clone()).or_default().insert(meaning);
                    }
                }
                Fact::TaskRaised { key, .. } => {
                    self.raised.entry(identity.clone()).or_default().insert(key.clone());
                }
                // A change by hand is needed again when it is needed again; other tasks are raised once.
                Fact::Verified { step, .. }
                | Fact::AcceptedUnverified { step }
                | Fact::Skipped { step, .. } => {
                    if let Some(StepKind::Task(task)) = plan.steps().get(step).map(|s| &s.kind)
                        && task.by_hand.is_some()
                        && let Some(raised) = self.raised.get_mut(&identity)
                    {
                        raised.remove(&task.key);
                    }
                }
                _ => {}
            }
        }
    }

    fn take_open(&mut self, run: RunId, entries: &[Entry]) {
        let Some((plan, _)) = opened(entries) else { return };
        let by_hand = |id: &StepId| plan.steps().get(id).is_some_and(|s| s.by_hand().is_some());
        // Somebody's word that a change was made by hand does not end its step; seeing it does.
        let word = |fact: &Fact| matches!(fact, Fact::TaskDone { step, .. } if by_hand(step));
        let over = entries.iter().map(|entry| &entry.fact).filter(|fact| !word(fact));
        let ended: BTreeSet<&StepId> = over.filter_map(ended).collect();
        let open = || plan.steps().iter().filter(|(id, _)| !ended.contains(id));
        let open_run = OpenRun {
            run,
            only_tasks: open().all(|(_, step)| step.operation().is_none()),
            open: open().filter_map(|(id, _)| plan.step_digest(id)).collect(),
        };
        self.open.entry(plan.header().identity.clone()).or_default().push(open_run);
    }
}

fn opened(entries: &[Entry]) -> Option<(&Plan, DateTime<Utc>)> {
    let first = entries.first()?;
    match &first.fact {
        Fact::Opened { plan, mode: RunMode::Executed, .. } => Some((plan, first.at)),
        _ => None,
    }
}

const fn ended(fact: &Fact) -> Option<&StepId> {
    match fact {
        Fact::Verified { step, .. }
        | Fact::AcceptedUnverified { step }
        | Fact::Skipped { step, .. }
        | Fact::Failed { step, .. }
        | Fact::Stale { step, .. }
        | Fact::TaskDone { step, .. }
        | Fact::Noticed { step } => Some(step),
        _ => None,
    }
}
