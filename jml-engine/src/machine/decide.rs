//! Decisions: which step next, what an observation means, what an error means.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::AccountStatus;
use jml_core::digest::Digest;
use jml_core::id::{IdentityId, ProviderId, StepId};
use jml_core::journal::{Actor, Fact, RunOutcome};
use jml_core::plan::{ByHand, Confirm, Late, LifecycleKind, Need, OnStale, Rank, Step, StepKind};
use jml_core::provider::{
    Applied, Change, Effect as Changed, Error, ErrorKind, Expect, Observation, Operation, Outcome,
    Result as ProviderResult, RetryAdvice, Target,
};
use smol_str::SmolStr;

use super::state::{StepEnd, StepState};
use super::{Effect, Machine, Recheck, Seen};

/// Longest wait between two looks at a write that is not visible yet.
const RECHECK: TimeDelta = TimeDelta::milliseconds(500);

/// Shortest and longest wait between two questions how far a change is.
const PENDING: [TimeDelta; 2] = [TimeDelta::seconds(1), TimeDelta::minutes(15)];

type Key = (ProviderId, String);

fn key_of(provider: &ProviderId, target: &Target) -> Key {
    (provider.clone(), format!("{target:?}"))
}

impl Machine {
    /// Notes everything that follows from time and from what is durable, without calling anybody.
    pub(super) fn decide(&mut self, now: DateTime<Utc>) {
        if self.closed.is_some() || self.len == 0 {
            return;
        }
        self.cooling.retain(|_, until| *until > now);
        self.gates_in_time(now);
        self.deadlines(now);
        let open: Vec<StepId> = self
            .steps
            .iter()
            .filter(|(id, state)| state.end().is_none() && !self.busy.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &open {
            if let Some(why) = self.skip_reason(id) {
                self.busy.insert(id.clone());
                self.note(now, Actor::Engine, Fact::Skipped { step: id.clone(), why });
            } else if self.is_ready(id, now) {
                self.start_courtesy(id, now);
            }
        }
        if self.steps.values().all(|state| state.end().is_some()) && self.pending.is_empty() {
            let clean = self.steps.values().filter_map(StepState::end).all(StepEnd::is_success);
            let ended = if clean { RunOutcome::Clean } else { RunOutcome::Partial };
            let outcome = self.closing.unwrap_or(ended);
            self.note(now, Actor::Engine, Fact::Closed { outcome });
        }
    }

    fn deadlines(&mut self, now: DateTime<Utc>) {
        let late: Vec<(StepId, DateTime<Utc>)> = self
            .steps
            .iter()
            .filter(|(id, state)| state.end().is_none() && !self.missed.contains(*id))
            .filter_map(|(id, _)| Some((id.clone(), self.plan.steps().get(id)?.deadline?)))
            // At its instant, too: `poll_timeout` asks to be woken then, and must not ask again.
            .filter(|(_, deadline)| *deadline <= now)
            .collect();
        for (step, deadline) in late {
            self.note(now, Actor::Engine, Fact::DeadlineMissed { step, deadline });
        }
    }

    /// Tasks and notices need no target.
    fn start_courtesy(&mut self, id: &StepId, now: DateTime<Utc>) {
        let fact = match self.plan.steps().get(id).map(|step| &step.kind) {
            Some(StepKind::Task(task)) if self.steps.get(id) == Some(&StepState::Waiting) => {
                Fact::TaskRaised { step: id.clone(), key: task.key.clone() }
            }
            Some(StepKind::Notice(_)) => Fact::Noticed { step: id.clone() },
            _ => return,
        };
        self.busy.insert(id.clone());
        self.note(now, Actor::Engine, fact);
    }

    /// Whether everything that a step waits for has happened.
    fn is_ready(&self, id: &StepId, now: DateTime<Utc>) -> bool {
        let (Some(step), Some(state)) = (self.plan.steps().get(id), self.steps.get(id)) else {
            return false;
        };
        let after = step.after.iter().all(|(before, need)| {
            self.steps.get(before).is_some_and(|state| match need {
                Need::Success => state.end().is_some_and(StepEnd::is_success),
                Need::Settled => state.is_settled(),
                Need::Ended => state.end().is_some(),
            })
        });
        let open = step
            .gate
            .as_ref()
            .is_none_or(|gate| self.gates.get(gate).is_some_and(|state| state.passed));
        let rested = state.retry_at().is_none_or(|at| at <= now);
        let cool = step.provider().is_none_or(|provider| !self.cooling.contains_key(provider));
        let visible = self.rechecks.get(id).is_none_or(|recheck| recheck.next <= now);
        after && open && rested && cool && visible
    }

    /// Begins the most urgent change that can begin: reads its account, or goes on from what was read.
    pub(super) fn start_next(&mut self, now: DateTime<Utc>) -> Option<Effect> {
        let mut ready: Vec<(Rank, DateTime<Utc>, StepId)> = self
            .steps
            .iter()
            .filter(|(id, state)| state.end().is_none() && !self.busy.contains(*id))
            .filter(|(id, _)| self.is_ready(id, now))
            .filter_map(|(id, _)| {
                let step = self.plan.steps().get(id)?;
                let said = self.steps.get(id) == Some(&StepState::Reported);
                let looks = step.confirm().is_some() || step.by_hand().is_some() && said;
                if step.operation().is_none() && !looks {
                    return None;
                }
                let deadline = step.deadline.unwrap_or(DateTime::<Utc>::MAX_UTC);
                Some((step.rank, deadline, id.clone()))
            })
            .collect();
        ready.sort();
        let mut observe = None;
        for (_, _, id) in ready {
            let Some((provider, target)) = self.where_is(&id) else { continue };
            let key = key_of(&provider, &target);
            let room = self.in_flight(&provider) < self.limit(&provider);
            if let Some(StepState::Pending { handle, .. }) = self.steps.get(&id) {
                if room && self.pending.is_empty() {
                    let handle = handle.clone();
                    self.busy.insert(id.clone());
                    self.applying.insert(id.clone(), provider.clone());
                    return Some(Effect::Poll { step: id, provider, handle });
                }
                continue;
            }
            if let Some(seen) = self.seen.get(&key) {
                // What was read is still good: nothing was sent to this account since.
                let what = seen.what.clone();
                if room || matches!(self.steps.get(&id), Some(StepState::Applied { .. })) {
                    self.judge(now, &id, &what);
                }
            } else if observe.is_none()
                && room
                && !self.reading.contains_key(&key)
                && !self.is_touched(&key)
            {
                observe = Some((key, provider, target));
            }
        }
        if !self.pending.is_empty() {
            self.recording = true;
            return Some(Effect::Record(self.pending.clone()));
        }
        let (key, provider, target) = observe?;
        self.reading.insert(key, target.clone());
        Some(Effect::Observe { provider, target })
    }

    fn in_flight(&self, provider: &ProviderId) -> usize {
        let intends = |entry: &&jml_core::journal::Entry| match &entry.fact {
            Fact::Intended { step, .. } => {
                self.plan.steps().get(step).and_then(Step::provider) == Some(provider)
            }
            _ => false,
        };
        self.applying.values().filter(|p| *p == provider).count()
            + self.pending.iter().filter(intends).count()
            + self.reading.keys().filter(|(p, _)| p == provider).count()
    }

    fn limit(&self, provider: &ProviderId) -> usize {
        self.limits.in_flight.get(provider).map_or(4, |limit| usize::from(*limit).max(1))
    }

    /// Whether a change is on its way to an account; reading it now would prove nothing.
    fn is_touched(&self, key: &Key) -> bool {
        self.applying.keys().any(|step| {
            self.where_is(step).is_some_and(|(provider, target)| &key_of(&provider, &target) == key)
        })
    }

    /// Which account a step is about.
    fn where_is(&self, id: &StepId) -> Option<(ProviderId, Target)> {
        let step = self.plan.steps().get(id)?;
        if let Some(Confirm { provider, account, .. }) = step.confirm() {
            return Some((provider.clone(), Target::Account(account.clone())));
        }
        if let Some(ByHand { provider, account, op }) = step.by_hand() {
            let target = match (account, op) {
                (Some(account), _) => Target::Account(account.clone()),
                (None, Operation::CreateAccount { user_name, external_id, .. }) => {
                    let (identity, user_name) = (external_id.clone(), user_name.clone());
                    Target::External { identity, user_name }
                }
                (None, _) => return None,
            };
            return Some((provider.clone(), target));
        }
        let StepKind::Change { provider, account, op } = &step.kind else {
            return None;
        };
        let target = match (account, op) {
            (Some(Late::Known(account)), _) => Target::Account(account.clone()),
            (Some(Late::From(maker)), _) => Target::Account(self.accounts.get(maker)?.clone()),
            (None, Operation::CreateAccount { user_name, external_id, .. }) => {
                match self.accounts.get(id) {
                    Some(account) => Target::Account(account.clone()),
                    None => Target::External {
                        identity: external_id.clone(),
                        user_name: user_name.clone(),
                    },
                }
            }
            (None, _) => return None,
        };
        Some((provider.clone(), target))
    }

    pub(super) fn observed(
        &mut self,
        now: DateTime<Utc>,
        provider: &ProviderId,
        target: &Target,
        result: ProviderResult<Observation>,
    ) {
        let key = key_of(provider, target);
        if self.reading.remove(&key).is_none() {
            return;
        }
        match result {
            Ok(what) => {
                self.seen.insert(key, Seen { what });
            }
            Err(error) => {
                // A read changes nothing, so whatever went wrong, nothing landed.
                let error = error.with_applied(Applied::No);
                let waiting: Vec<StepId> = self
                    .steps
                    .iter()
                    .filter(|(id, state)| state.end().is_none() && !self.busy.contains(*id))
                    .map(|(id, _)| id)
                    .filter(|id| self.is_ready(id, now))
                    .filter(|id| self.where_is(id).is_some_and(|(p, t)| key_of(&p, &t) == key))
                    .cloned()
                    .collect();
                for id in waiting {
                    match self.steps.get(&id) {
                        Some(StepState::Raised) => {}
                        // The person's word stands until it can be looked at.
                        Some(StepState::Reported) => self.look_again_later(now, &id),
                        _ => self.fail(now, &id, &error, Failed::ToRead),
                    }
                }
            }
        }
    }

    /// What an observation means for a step: done, to be sent, stale, or to be looked at again.
    fn judge(&mut self, now: DateTime<Utc>, id: &StepId, seen: &Observation) {
        let Some(step) = self.plan.steps().get(id).cloned() else { return };
        let Some(state) = self.steps.get(id).cloned() else { return };
        if let Some(by_hand) = step.by_hand() {
            self.judge_by_hand(now, id, &by_hand.op, seen);
            return;
        }
        if let Some(confirm) = step.confirm() {
            self.judge_residual(now, id, confirm, seen);
            return;
        }
        let StepKind::Change { op, .. } = &step.kind else { return };
        let step_id = id.clone();
        let satisfied = op.satisfied_by(seen);
        if let StepState::Applied { recovered, .. } = state {
            if satisfied {
                self.verified(now, step_id, seen, false);
            } else if !op.readable_in(seen) {
                self.busy.insert(step_id.clone());
                self.note(now, Actor::Engine, Fact::AcceptedUnverified { step: step_id });
            } else {
                self.not_visible(now, id, recovered);
            }
            return;
        }
        if satisfied {
            let account = seen.account().map(|account| account.id.clone());
            if state.doubt() {
                // It may have been us. Say so, and say that nobody answered.
                self.note(
                    now,
                    Actor::Engine,
                    Fact::Applied {
                        step: step_id.clone(),
                        effect: Changed::Changed,
                        account,
                        recovered: true,
                        remote: None,
                        pending: None,
                    },
                );
                self.verified(now, step_id, seen, false);
            } else {
                self.verified(now, step_id, seen, true);
            }
            return;
        }
        // Before the first day, a closed account is what it should be.
        let waits = self.plan.header().kind == LifecycleKind::PreHire;
        if step.on_stale == OnStale::Replan && is_stale(&step, op, seen, waits) {
            self.busy.insert(step_id.clone());
            self.note(now, Actor::Engine, Fact::Stale { step: step_id, found: seen.clone() });
            return;
        }
        let attempt = state.attempts() + 1;
        self.before.insert(step_id.clone(), seen.clone());
        self.busy.insert(step_id.clone());
        let key = self.plan.idempotency_key(id);
        self.note(now, Actor::Engine, Fact::Intended { step: step_id, attempt, key });
    }

    /// What the last look at an account means. What is left may take its time to go, too.
    fn judge_residual(
        &mut self,
        now: DateTime<Utc>,
        id: &StepId,
        confirm: &Confirm,
        seen: &Observation,
    ) {
        let left = match seen {
            Observation::Present(account) => confirm.residual(account, now),
            Observation::Absent => BTreeSet::new(),
            Observation::NotObserved => return self.look_again_later(now, id),
        };
        if left.is_empty() {
            self.verified(now, id.clone(), seen, false);
        } else if !self.may_still_show(now, id) {
            self.rechecks.remove(id);
            self.busy.insert(id.clone());
            let (step, found) = (id.clone(), seen.clone());
            self.note(now, Actor::Engine, Fact::Residual { step, left, found });
        }
    }

    /// Whether a change may just not be visible yet; then its account is read again soon.
    fn may_still_show(&mut self, now: DateTime<Utc>, id: &StepId) -> bool {
        let Some((provider, target)) = self.where_is(id) else { return false };
        self.seen.remove(&key_of(&provider, &target));
        let window = self.limits.visible_within.get(&provider).copied().unwrap_or_default();
        let first = self.rechecks.get(id).map_or(now, |recheck| recheck.first);
        let waits = now - first < window;
        if waits {
            let next = (now + RECHECK).min(first + window);
            self.rechecks.insert(id.clone(), Recheck { first, next });
        }
        waits
    }

    /// What an observation means for a change that somebody says to have made by hand.
    fn judge_by_hand(
        &mut self,
        now: DateTime<Utc>,
        id: &StepId,
        op: &Operation,
        seen: &Observation,
    ) {
        self.rechecks.remove(id);
        if op.satisfied_by(seen) {
            self.verified(now, id.clone(), seen, false);
        } else if *seen == Observation::NotObserved {
            self.look_again_later(now, id);
        } else if !op.readable_in(seen) {
            self.busy.insert(id.clone());
            self.note(now, Actor::Engine, Fact::AcceptedUnverified { step: id.clone() });
        } else {
            self.busy.insert(id.clone());
            if let Some((provider, target)) = self.where_is(id) {
                // Whoever says again that it is done is looked after again.
                self.seen.remove(&key_of(&provider, &target));
            }
            let (step, found) = (id.clone(), seen.clone());
            self.note(now, Actor::Engine, Fact::TaskNotSeen { step, found });
        }
    }

    /// Forgets what was read for a task, and reads again after a while.
    fn look_again_later(&mut self, now: DateTime<Utc>, id: &StepId) {
        if let Some((provider, target)) = self.where_is(id) {
            self.seen.remove(&key_of(&provider, &target));
        }
        let wait = self.plan.steps().get(id).map_or(0, |step| step.retry.max_ms);
        let next = now + millis(wait.max(1_000));
        self.rechecks.insert(id.clone(), Recheck { first: now, next });
    }

    fn verified(&mut self, now: DateTime<Utc>, step: StepId, seen: &Observation, already: bool) {
        self.busy.insert(step.clone());
        self.rechecks.remove(&step);
        let before = match self.before.remove(&step) {
            Some(before) => before,
            None if already => seen.clone(),
            None => Observation::NotObserved,
        };
        let after = seen.clone();
        self.note(now, Actor::Engine, Fact::Verified { step, before, after, already });
    }

    /// The target answered, and the end state is not there. It may take its time; past its window the
    /// attempt counts as failed, and nobody knows what landed.
    fn not_visible(&mut self, now: DateTime<Utc>, id: &StepId, recovered: bool) {
        if self.may_still_show(now, id) && !recovered {
            return;
        }
        self.rechecks.remove(id);
        let text = "the target answered, and the change was not there when read back";
        let error = Error::new(ErrorKind::ContractViolation, text).with_retry(RetryAdvice::Backoff);
        self.fail(now, id, &error, Failed::ToChange);
    }

    /// Sends what was recorded as intended.
    pub(super) fn send(&mut self, id: &StepId, attempt: u32) {
        let Some((provider, target)) = self.where_is(id) else { return };
        let Some(StepKind::Change { op, .. }) = self.plan.steps().get(id).map(|s| &s.kind) else {
            return;
        };
        let account = match &target {
            Target::Account(account) if !op.makes_account() => Some(account.clone()),
            _ => None,
        };
        let change = Change {
            key: self.plan.idempotency_key(id),
            account,
            op: op.clone(),
            expect: Expect::Any,
        };
        // From here on, what was read of this account is out of date.
        self.seen.remove(&key_of(&provider, &target));
        self.applying.insert(id.clone(), provider.clone());
        self.outbox.push(Effect::Apply { step: id.clone(), provider, change, attempt });
    }

    pub(super) fn answered(
        &mut self,
        now: DateTime<Utc>,
        id: StepId,
        result: ProviderResult<Outcome>,
    ) {
        let Some(provider) = self.applying.remove(&id) else { return };
        if let Some((provider, target)) = self.where_is(&id) {
            self.seen.remove(&key_of(&provider, &target));
        }
        if let Err(error) = &result
            && error.kind() == ErrorKind::RateLimited
        {
            let wait = match error.retry() {
                RetryAdvice::After { ms } => millis(ms),
                _ => TimeDelta::seconds(1),
            };
            let until = now + wait;
            self.note(now, Actor::Engine, Fact::ProviderCooling { provider, until });
        }
        let asked = match self.steps.get(&id) {
            Some(StepState::Pending { handle, since, .. }) => Some((handle.clone(), *since)),
            _ => None,
        };
        match (result, asked) {
            // It still works on it. The handle is durable already, and a journal is no place for "not yet".
            (Ok(outcome), Some((handle, since))) if outcome.pending.as_ref() == Some(&handle) => {
                self.ask_again_later(now, id, since);
            }
            // A question that was not answered says nothing about the change.
            (Err(error), Some((_, since))) if error.retry() != RetryAdvice::Never => {
                self.ask_again_later(now, id, since);
            }
            (Ok(outcome), _) => {
                match outcome.pending {
                    Some(_) => {
                        let next = now + PENDING[0];
                        self.rechecks.insert(id.clone(), Recheck { first: now, next });
                    }
                    None => _ = self.rechecks.remove(&id),
                }
                let fact = Fact::Applied {
                    step: id,
                    effect: outcome.effect,
                    account: outcome.account,
                    recovered: false,
                    remote: outcome.remote,
                    pending: outcome.pending,
                };
                self.note(now, Actor::Engine, fact);
            }
            (Err(error), asked) => {
                self.rechecks.remove(&id);
                // Whoever forgot the change may have made it.
                let lost = asked.is_some() && error.kind() == ErrorKind::NotFound;
                let error = if lost { error.with_applied(Applied::Unknown) } else { error };
                self.fail(now, &id, &error, Failed::ToChange);
            }
        }
    }

    /// Half as long again as it took so far: what takes days is not asked for every second, and its end is
    /// seen when it is at most half as old again, or a quarter of an hour.
    fn ask_again_later(&mut self, now: DateTime<Utc>, id: StepId, since: DateTime<Utc>) {
        let next = now + ((now - since) / 2).clamp(PENDING[0], PENDING[1]);
        self.busy.remove(&id);
        self.rechecks.insert(id, Recheck { first: since, next });
    }

    /// An attempt failed. Grants fail for good when nothing helps; what takes away never does, and
    /// neither does what may have landed and cannot be read back.
    fn fail(&mut self, now: DateTime<Utc>, id: &StepId, error: &Error, failed: Failed) {
        let Some(step) = self.plan.steps().get(id) else { return };
        let state = self.steps.get(id);
        let before = state.map_or(0, StepState::attempts);
        let attempts = match failed {
            Failed::ToChange => before.max(1),
            Failed::ToRead => before + 1,
        };
        let unread = failed == Failed::ToRead && state.is_some_and(StepState::doubt);
        let takes = step.rank == Rank::Contain
            || step.operation().is_some_and(Operation::takes_away)
            || step.confirm().is_some()
            || unread;
        let exhausted = attempts >= step.retry.attempts;
        let hopeless = error.retry() == RetryAdvice::Never && error.applied() == Applied::No;
        let wait = match error.retry() {
            RetryAdvice::After { ms } => millis(ms),
            _ => backoff(step, id, attempts, &self.plan.idempotency_key(id).to_string()),
        };
        self.busy.insert(id.clone());
        let (step_id, record) = (id.clone(), error.record());
        let fact = if !(exhausted || hopeless) {
            Fact::Deferred { step: step_id, retry_at: now + wait, error: record }
        } else if takes {
            let retry_at = now + parked_wait(step, attempts);
            self.alert(id, error);
            Fact::Parked { step: step_id, retry_at, error: record }
        } else {
            Fact::Failed { step: step_id, error: record }
        };
        self.note(now, Actor::Engine, fact);
    }

    pub(super) fn task_done(
        &mut self,
        now: DateTime<Utc>,
        step: StepId,
        by: IdentityId,
        proof: SmolStr,
    ) {
        let kind = self.plan.steps().get(&step).map(|step| &step.kind);
        let Some(StepKind::Task(task)) = kind else { return };
        let waiting = self.pending.iter().any(
            |entry| matches!(&entry.fact, Fact::TaskDone { step: known, .. } if *known == step),
        );
        if self.steps.get(&step) == Some(&StepState::Raised) && self.closed.is_none() && !waiting {
            let key = task.key.clone();
            // What was read before the task was done shows what was before.
            if let Some((provider, target)) = self.where_is(&step) {
                self.seen.remove(&key_of(&provider, &target));
            }
            self.note(now, Actor::Person(by), Fact::TaskDone { step, key, proof });
        }
    }
}

/// What an attempt failed at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// The account could not be read; nothing was sent.
    ToRead,
    /// The change was sent, or answered, and failed.
    ToChange,
}

/// Whether the account is not the one that the plan was made for any more. Looks only at what the step
/// touches, so that somebody else's work elsewhere on the account does not stop it.
fn is_stale(step: &Step, op: &Operation, seen: &Observation, waits: bool) -> bool {
    match seen {
        Observation::Absent => !op.makes_account(),
        Observation::Present(account) => {
            if *op == Operation::DeleteAccount {
                // What cannot be taken back is not done to an account that somebody uses again.
                return account.status.can_sign_in() || !account.owns.is_empty();
            }
            let gives = matches!(op, Operation::Grant { .. } | Operation::Exchange { .. });
            let closed = account.status == AccountStatus::Disabled && !waits;
            gives && step.rank == Rank::Grant && closed
        }
        Observation::NotObserved => false,
    }
}

/// The wait before the next attempt: doubles each time, and differs a little from step to step. The
/// difference comes from a hash, so that a replay waits the same.
fn backoff(step: &Step, id: &StepId, attempt: u32, salt: &str) -> TimeDelta {
    let doubled = step.retry.base_ms.saturating_mul(1_u64 << (attempt - 1).min(20));
    let capped = doubled.min(step.retry.max_ms);
    let text = format!("{salt} {id} {attempt}");
    let hash = Digest::of_bytes("jml-jitter/v1", text.as_bytes());
    let [first, ..] = hash.as_bytes();
    let jitter = capped / 4 * u64::from(*first) / 255;
    millis(capped - capped / 8 + jitter)
}

/// The wait of a step that ran out of attempts: doubles, too, up to a quarter of an hour for containment and
/// six hours for everything else. A person was told; asking every minute for weeks would help nobody.
fn parked_wait(step: &Step, attempts: u32) -> TimeDelta {
    let longest = if step.rank == Rank::Contain { 15 } else { 6 * 60 } * 60_000;
    let over = attempts.saturating_sub(step.retry.attempts).min(20);
    millis(step.retry.max_ms.saturating_mul(1 << over).min(longest.max(step.retry.max_ms)))
}

fn millis(ms: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(ms.min(86_400_000)).unwrap_or(86_400_000))
}
