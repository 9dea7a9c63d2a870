//! Layers: what stands between a caller and a provider, in an order that nobody can get wrong.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Call, Change, ChangePage, Cx, Descriptor, Health, ListRequest, Observation, Outcome, Page,
    PendingRef, Preview, Provider, Reply, Result, Target, Watermark,
};

/// Where a layer stands. Outermost first. The order is a property of the layer and not of the caller:
/// whoever stacks them in another order gets the same behaviour.
///
/// What the order guarantees: permits of [`Slot::Concurrency`] are not held during the waits of
/// [`Slot::Retry`]; the time limit of [`Slot::Attempt`] is for one attempt; a refusal of
/// [`Slot::Guard`] is recorded and reaches no wire; faults are innermost, so every layer meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Slot {
    /// Spans for whoever watches.
    Trace,
    /// Call logs, cassettes.
    Record,
    /// Undeclared verbs, read-only, change budgets.
    Guard,
    /// Reads before and after a change.
    Observe,
    /// The time limit of the whole call.
    Deadline,
    /// Further attempts.
    Retry,
    /// Stops asking a target that is down.
    Breaker,
    /// Calls per second.
    Rate,
    /// Calls at once.
    Concurrency,
    /// One attempt: its time limit.
    Attempt,
    /// Faults that a test plants.
    Fault,
}

/// One function that sees every call.
///
/// # Contract
/// - Pass on what you do not mean to change: `next.run(cx, call)`.
/// - Never turn `Err` into `Ok` without having seen the end state, and never weaken
///   [`Error::applied`](super::Error::applied): join it.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// Where it stands. Layers of the same slot keep the order in which they were added.
    fn slot(&self) -> Slot;

    /// Handles one call.
    ///
    /// # Errors
    /// [`Error`](super::Error).
    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply>;
}

#[async_trait]
impl<L: Layer + ?Sized> Layer for Arc<L> {
    fn slot(&self) -> Slot {
        (**self).slot()
    }
    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        (**self).call(cx, call, next).await
    }
}

/// The rest of a stack. It is `Copy`: a layer may run it more than once.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    layers: &'a [Arc<dyn Layer>],
    provider: &'a dyn Provider,
}

impl<'a> Next<'a> {
    /// Makes a call through the rest of the stack.
    ///
    /// # Errors
    /// [`Error`](super::Error) of a layer or of the provider.
    pub async fn run(self, cx: &Cx, call: &Call) -> Result<Reply> {
        match self.layers.split_first() {
            Some((first, rest)) => {
                first.call(cx, call, Next { layers: rest, provider: self.provider }).await
            }
            None => call.make(self.provider, cx).await,
        }
    }

    /// What the provider can do.
    #[must_use]
    pub fn descriptor(self) -> &'a Descriptor {
        self.provider.descriptor()
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// A provider behind layers.
#[derive(Clone)]
pub struct Layered {
    layers: Arc<[Arc<dyn Layer>]>,
    provider: Arc<dyn Provider>,
}

impl std::fmt::Debug for Layered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slots: Vec<Slot> = self.layers.iter().map(Layer::slot).collect();
        f.debug_struct("Layered")
            .field("provider", &self.provider.descriptor().id)
            .field("slots", &slots)
            .finish_non_exhaustive()
    }
}

impl Layered {
    /// A provider behind layers, which are put into the order of their slots.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, mut layers: Vec<Arc<dyn Layer>>) -> Self {
        layers.sort_by_key(Layer::slot);
        Self { layers: layers.into(), provider }
    }

    async fn run(&self, cx: &Cx, call: &Call) -> Result<Reply> {
        Next { layers: &self.layers, provider: &*self.provider }.run(cx, call).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "a wrapper that misses a method loses it silently")]
impl Provider for Layered {
    fn descriptor(&self) -> &Descriptor {
        self.provider.descriptor()
    }
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        self.run(cx, &Call::List(request.clone())).await?.page()
    }
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.run(cx, &Call::Apply(change.clone())).await?.outcome()
    }
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        self.run(cx, &Call::Read(target.clone())).await?.seen()
    }
    async fn preview(&self, cx: &Cx, change: &Change) -> Result<Preview> {
        self.run(cx, &Call::Preview(change.clone())).await?.preview()
    }
    async fn health(&self, cx: &Cx) -> Result<Health> {
        self.run(cx, &Call::Health).await?.health()
    }
    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.run(cx, &Call::Changes(since.cloned())).await?.changes()
    }
    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.run(cx, &Call::Poll(pending.clone())).await?.outcome()
    }
    /// Each change goes through the layers by itself, so that each is guarded, limited and observed.
    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        super::one_by_one(self, cx, changes).await
    }
}
