//! Refusals before the wire: verbs that nobody declared, read-only connections, too many changes.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use jml_core::provider::{
    Call, Cx, Error, ErrorKind, Layer, Next, Operation, RefusalReason, Reply, Result, Slot,
};

/// Holds a provider to its descriptor: a verb that it does not declare is refused before the wire, and
/// a declared verb that it answers with "unsupported" is a breach of the contract.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "has no settings")]
pub struct Guard;

#[async_trait]
impl Layer for Guard {
    fn slot(&self) -> Slot {
        Slot::Guard
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let Some(change) = call.change() else { return next.run(cx, call).await };
        let verb = change.op.verb();
        if !next.descriptor().verbs.contains_key(&verb) {
            return Err(Error::unsupported(verb));
        }
        if change.account.is_none() != change.op.makes_account() {
            let text = format!("{verb} with a wrong number of accounts");
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        if let Operation::SetStatus { status } | Operation::CreateAccount { status, .. } =
            &change.op
            && !next.descriptor().statuses.contains(status)
        {
            let text = format!("no account can be made {}", status.as_str());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        match next.run(cx, call).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let text = format!("{verb} is declared, and was answered as unsupported");
                Err(Error::new(ErrorKind::ContractViolation, text).with_applied(error.applied()))
            }
            other => other,
        }
    }
}

/// Lets no change through.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "has no settings")]
pub struct ReadOnly;

#[async_trait]
impl Layer for ReadOnly {
    fn slot(&self) -> Slot {
        Slot::Guard
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if call.mutates() {
            let text = "the connection is read-only";
            return Err(Error::new(ErrorKind::Refused(RefusalReason::ReadOnly), text));
        }
        next.run(cx, call).await
    }
}

/// Lets so many changes through that take something away, and then no more: the last line of defence
/// against a script that removes everybody. The engine's brakes come long before.
#[derive(Debug)]
pub struct ChangeBudget {
    most: u32,
    spent: AtomicU32,
}

impl ChangeBudget {
    /// A budget of so many revokes, disablings and deletions for the life of the layer.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self { most, spent: AtomicU32::new(0) }
    }
}

#[async_trait]
impl Layer for ChangeBudget {
    fn slot(&self) -> Slot {
        Slot::Guard
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if let Call::Apply(change) = call
            && (change.op.takes_away() || change.op == Operation::DeleteAccount)
            && self.spent.fetch_add(1, Ordering::SeqCst) >= self.most
        {
            let text = format!("{} changes that take away were allowed", self.most);
            return Err(Error::new(ErrorKind::Refused(RefusalReason::Budget), text));
        }
        next.run(cx, call).await
    }
}
