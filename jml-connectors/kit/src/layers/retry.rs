//! Further attempts, without ever losing sight of what an earlier one may have done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_core::digest::Digest;
use jml_core::provider::{
    Applied, Call, Change, Consistency, Cx, Effect, Error, Idempotency, Layer, Next, Observation,
    Outcome, Reply, Result, RetryAdvice, Slot,
};

/// How often, and how long between.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data with a default")]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// First wait at most, in milliseconds; doubles each time. The wait is drawn between nothing and
    /// that (full jitter).
    pub base_ms: u64,
    /// Longest wait of our own choice, in milliseconds.
    pub max_ms: u64,
    /// Longest wait that a target may ask for, in milliseconds; above it, the error is handed on.
    pub max_asked_ms: u64,
    /// Further attempts that may be made for calls that failed, before calls that succeed earn new ones
    /// (ten for one). Keeps a target that is down from being asked many times as often.
    pub budget: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, base_ms: 200, max_ms: 20_000, max_asked_ms: 120_000, budget: 100 }
    }
}

/// Repeats calls that failed for a reason that passes.
///
/// A change whose answer was lost is read back before it is sent again, and before any error is handed
/// on: if its end state is there, the call succeeded and is marked as recovered. What is reported of a
/// change that failed is joined over all attempts: a later "no" does not undo an earlier "perhaps".
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    changes: bool,
    /// Tenths of an attempt that are left.
    budget: Mutex<u32>,
    calls: AtomicU64,
}

impl Retry {
    /// Repeats everything.
    #[must_use]
    pub const fn new(policy: RetryPolicy) -> Self {
        let budget = policy.budget.saturating_mul(10);
        Self { policy, changes: true, budget: Mutex::new(budget), calls: AtomicU64::new(0) }
    }

    /// Repeats whatever changes nothing.
    #[must_use]
    pub const fn reads_only(policy: RetryPolicy) -> Self {
        let mut retry = Self::new(policy);
        retry.changes = false;
        retry
    }

    fn spend(&self) -> bool {
        let mut left = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        *left >= 10 && {
            *left -= 10;
            true
        }
    }

    fn earn(&self) {
        let most = self.policy.budget.saturating_mul(10);
        let mut left = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_add(1).min(most);
    }

    /// The wait before the attempt after this one; `None` when there is none.
    fn wait(&self, cx: &Cx, error: &Error, attempt: u32, call: &Call) -> Option<TimeDelta> {
        if attempt >= self.policy.attempts {
            return None;
        }
        let ms = match error.retry() {
            RetryAdvice::After { ms } => (ms <= self.policy.max_asked_ms).then_some(ms)?,
            RetryAdvice::Backoff => {
                let doubled =
                    self.policy.base_ms.saturating_mul(1 << attempt.min(20).saturating_sub(1));
                jitter(doubled.min(self.policy.max_ms), attempt, &self.seed(call))
            }
            _ => return None,
        };
        let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 2));
        let in_time = cx.deadline().is_none_or(|deadline| cx.now() + wait < deadline);
        (in_time && self.spend()).then_some(wait)
    }

    /// What the jitter of a call is drawn from: its key, or its number.
    fn seed(&self, call: &Call) -> Digest {
        match call {
            Call::Apply(change) => Digest::of_bytes("jml-jitter", change.key.as_str().as_bytes()),
            _ => {
                let number = self.calls.fetch_add(1, Ordering::Relaxed);
                Digest::of_bytes("jml-jitter", &number.to_be_bytes())
            }
        }
    }
}

/// Between nothing and `most`, the same for the same attempt of the same change.
fn jitter(most: u64, attempt: u32, seed: &Digest) -> u64 {
    let drawn = Digest::of_bytes("jml-jitter", format!("{seed}/{attempt}").as_bytes()).to_hex();
    let drawn = drawn.get(..15).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    drawn % most.saturating_add(1)
}

#[async_trait]
impl Layer for Retry {
    fn slot(&self) -> Slot {
        Slot::Retry
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        match call {
            Call::Apply(change) if self.changes => self.change(cx, change, next).await,
            Call::Apply(_) => next.run(cx, call).await,
            _ => self.read(cx, call, next).await,
        }
    }
}

impl Retry {
    async fn read(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let mut attempt = 1;
        loop {
            match next.run(&cx.clone().with_attempt(attempt), call).await {
                Ok(reply) => {
                    self.earn();
                    return Ok(reply);
                }
                Err(error) => match self.wait(cx, &error, attempt, call) {
                    Some(wait) => cx.clock().sleep_until(cx.now() + wait).await,
                    None => return Err(error.with_context("attempts", attempt)),
                },
            }
            attempt += 1;
        }
    }

    async fn change(&self, cx: &Cx, change: &Change, next: Next<'_>) -> Result<Reply> {
        let call = Call::Apply(change.clone());
        let support = next.descriptor().verbs.get(&change.op.verb());
        let idempotency = support.map_or(Idempotency::CheckFirst, |support| support.idempotency);
        // Whose account it is that has this name can only be told if nobody had it before.
        let name_was_free = if change.op.makes_account() && idempotency != Idempotency::Keyed {
            let seen = look(cx, change, next).await;
            seen.is_ok_and(|seen| seen == Observation::Absent)
        } else {
            false
        };
        let mut doubt = Applied::No;
        let mut waited = TimeDelta::zero();
        let mut attempt = 1;
        loop {
            let error = match next.run(&cx.clone().with_attempt(attempt), &call).await {
                Ok(reply) => {
                    self.earn();
                    let mut outcome = reply.outcome()?;
                    if doubt != Applied::No && outcome.effect == Effect::Unchanged {
                        // An earlier attempt did it.
                        outcome.effect = Effect::Changed;
                        outcome.recovered = true;
                    }
                    return Ok(finish(outcome, attempt, waited));
                }
                Err(error) => error,
            };
            doubt = doubt.join(error.applied());
            let found = match doubt {
                Applied::No => Found::Nothing,
                _ => find(cx, change, name_was_free, next).await,
            };
            if let Found::Ours(outcome) = found {
                return Ok(finish(*outcome, attempt, waited));
            }
            let wait = self.wait(cx, &error, attempt, &call);
            // Where nobody could look, a second one must not be made.
            let repeatable = match idempotency {
                Idempotency::Keyed => true,
                Idempotency::Natural => !change.op.makes_account(),
                _ => false,
            };
            let blind = matches!(found, Found::Unseen) && !repeatable;
            match wait.filter(|_| !blind) {
                Some(wait) => {
                    cx.clock().sleep_until(cx.now() + wait).await;
                    waited += wait;
                }
                None => return Err(error.with_applied(doubt).with_context("attempts", attempt)),
            }
            attempt += 1;
        }
    }
}

/// What a look at the target says of an earlier attempt whose answer was lost.
enum Found {
    /// Its end state is there.
    Ours(Box<Outcome>),
    /// Its end state is not there.
    Nothing,
    /// The look failed.
    Unseen,
}

async fn find(cx: &Cx, change: &Change, name_was_free: bool, next: Next<'_>) -> Found {
    if let Consistency::Within { ms } = next.descriptor().consistency {
        // What is read within the window may be what was there before.
        let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 2));
        cx.clock().sleep_until(cx.now() + wait).await;
    }
    let seen = match look(cx, change, next).await {
        Ok(Observation::NotObserved) | Err(_) => return Found::Unseen,
        Ok(seen) => seen,
    };
    let owned = seen.account().is_some_and(|account| account.external_id.is_some());
    let ours = !change.op.makes_account() || owned || name_was_free;
    if !change.op.satisfied_by(&seen) || !ours {
        return Found::Nothing;
    }
    let mut outcome = Outcome::changed();
    outcome.account = seen.account().map(|account| account.id.clone());
    outcome.recovered = true;
    outcome.after = seen;
    Found::Ours(Box::new(outcome))
}

async fn look(cx: &Cx, change: &Change, next: Next<'_>) -> Result<Observation> {
    next.run(cx, &Call::Read(change.target()?)).await?.seen()
}

fn finish(mut outcome: Outcome, attempts: u32, waited: TimeDelta) -> Reply {
    outcome.attempts = attempts;
    outcome.waited_ms += u64::try_from(waited.num_milliseconds()).unwrap_or(0);
    outcome.into()
}
