//! Time limits, for one attempt and for a whole call.

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::{Either, select};
use jml_core::provider::{Applied, Call, Cx, Error, ErrorKind, Layer, Next, Reply, Result, Slot};

/// A time limit for one attempt. What happens to a change that did not answer in time is unknown.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "one setting")]
pub struct Attempt(pub TimeDelta);

/// A time limit for a call with all its attempts and waits.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "one setting")]
pub struct Deadline(pub TimeDelta);

/// Makes a call that ends after so much time at the latest, and not after the caller's deadline.
async fn within(
    cx: &Cx,
    most: TimeDelta,
    call: &Call,
    next: Next<'_>,
    what: &str,
) -> Result<Reply> {
    let end = cx.now() + most;
    let end = cx.deadline().map_or(end, |deadline| deadline.min(end));
    let limited = cx.clone().with_deadline(end);
    let work = next.run(&limited, call);
    match select(work.boxed(), cx.clock().expire_at(end)).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => {
            let applied = if call.mutates() { Applied::Unknown } else { Applied::No };
            Err(Error::new(ErrorKind::Timeout, what).with_applied(applied))
        }
    }
}

#[async_trait]
impl Layer for Attempt {
    fn slot(&self) -> Slot {
        Slot::Attempt
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        within(cx, self.0, call, next, "no answer to this attempt in time").await
    }
}

#[async_trait]
impl Layer for Deadline {
    fn slot(&self) -> Slot {
        Slot::Deadline
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        within(cx, self.0, call, next, "no end of the call in time").await
    }
}
