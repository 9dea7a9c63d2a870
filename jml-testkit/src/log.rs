//! The call log: what was called, in which order, and with what result.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{
    Call, Cx, Effect, ErrorRecord, Layer, Next, Operation, Reply, Result, Slot, Verb,
};

/// Records every call that passes. Clones share the record.
#[derive(Clone, Debug)]
pub struct CallLog {
    slot: Slot,
    lines: Arc<Mutex<Vec<Logged>>>,
}

/// One call and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Logged {
    /// What was called.
    pub call: Call,
    /// Which attempt it was.
    pub attempt: u32,
    /// How it ended; `None` while it is under way, and for ever if it was dropped.
    pub end: Option<End>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// A change succeeded.
    Did(Effect),
    /// Something else succeeded.
    Answered,
    /// It failed.
    Failed(ErrorRecord),
}

impl CallLog {
    /// Records calls as the caller makes them, before any further attempt.
    #[must_use]
    pub fn new() -> Self {
        Self { slot: Slot::Record, lines: Arc::default() }
    }

    /// Records every attempt that leaves for the target.
    #[must_use]
    pub fn of_attempts() -> Self {
        Self { slot: Slot::Attempt, lines: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Logged>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was called.
    #[must_use]
    pub fn lines(&self) -> Vec<Logged> {
        self.lock().clone()
    }

    /// Every change.
    #[must_use]
    pub fn mutations(&self) -> Vec<Logged> {
        self.lines().into_iter().filter(|line| line.call.mutates()).collect()
    }

    /// Fails unless nothing was changed.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion")]
    pub fn no_mutations(&self) {
        if !self.mutations().is_empty() {
            panic!("something was changed:\n{self}");
        }
    }

    /// Fails unless the order holds. Both ends must have been called at all.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion")]
    pub fn assert_order(&self, order: &Order) {
        let lines = self.lines();
        let find = |pick: &Pick| lines.iter().position(|line| pick.hits(&line.call));
        let last = lines.iter().rposition(|line| order.first.hits(&line.call));
        match (last, find(&order.then)) {
            (Some(first), Some(then)) if first < then => {}
            (None, _) => panic!("never called: {}\n{self}", order.first),
            (_, None) => panic!("never called: {}\n{self}", order.then),
            _ => panic!("{} came after {}\n{self}", order.first, order.then),
        }
    }
}

impl Default for CallLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for CallLog {
    /// One line per call, for golden files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            match &line.call {
                Call::Apply(change) => {
                    let account = change.account.as_ref().map_or("-", AccountId::as_str);
                    write!(f, "apply {account}: {}", change.op)?;
                }
                other => write!(f, "{}", other.method())?,
            }
            match &line.end {
                Some(End::Did(effect)) => writeln!(f, " => {effect:?}")?,
                Some(End::Answered) => writeln!(f)?,
                Some(End::Failed(error)) => writeln!(f, " => {error} ({:?})", error.applied)?,
                None => writeln!(f, " => dropped")?,
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Layer for CallLog {
    fn slot(&self) -> Slot {
        self.slot
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let number = {
            let mut lines = self.lock();
            lines.push(Logged { call: call.clone(), attempt: cx.attempt(), end: None });
            lines.len() - 1
        };
        let result = next.run(cx, call).await;
        let end = match &result {
            Ok(Reply::Outcome(outcome)) => End::Did(outcome.effect),
            Ok(_) => End::Answered,
            Err(error) => End::Failed(error.record()),
        };
        if let Some(line) = self.lock().get_mut(number) {
            line.end = Some(end);
        }
        result
    }
}

/// Changes that an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    verb: Verb,
    entitlement: Option<EntitlementKey>,
    account: Option<AccountId>,
}

/// Grants of an entitlement.
#[must_use]
pub const fn grant(entitlement: EntitlementKey) -> Pick {
    Pick { verb: Verb::Grant, entitlement: Some(entitlement), account: None }
}

/// Revokes of an entitlement.
#[must_use]
pub const fn revoke(entitlement: EntitlementKey) -> Pick {
    Pick { verb: Verb::Revoke, entitlement: Some(entitlement), account: None }
}

/// Changes of a verb.
#[must_use]
pub const fn any(verb: Verb) -> Pick {
    Pick { verb, entitlement: None, account: None }
}

impl Pick {
    /// The same, of one account.
    #[must_use]
    pub fn of(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// All of these come before the first of those.
    #[must_use]
    pub const fn before(self, then: Self) -> Order {
        Order { first: self, then }
    }

    fn hits(&self, call: &Call) -> bool {
        let Call::Apply(change) = call else { return false };
        let entitlement = match &change.op {
            Operation::Grant { entitlement } | Operation::Revoke { entitlement } => {
                Some(entitlement)
            }
            _ => None,
        };
        change.op.verb() == self.verb
            && self.entitlement.as_ref().is_none_or(|wanted| entitlement == Some(wanted))
            && (self.account.is_none() || self.account == change.account)
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verb)?;
        if let Some(entitlement) = &self.entitlement {
            write!(f, " `{entitlement}`")?;
        }
        match &self.account {
            Some(account) => write!(f, " of `{account}`"),
            None => Ok(()),
        }
    }
}

/// What must come before what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    first: Pick,
    then: Pick,
}
