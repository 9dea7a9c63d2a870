//! The stack: a provider, and the layers that its user wants, in the order that they must have.

use std::sync::Arc;

use chrono::TimeDelta;
use jml_core::provider::{Layer, Layered, Provider};

use crate::layers::{
    Attempt, Breaker, Concurrency, Deadline, Guard, Observe, Rate, Retry, RetryPolicy, Trace,
};

/// A provider and its layers, before it is built.
#[derive(Clone)]
pub struct Stack {
    provider: Arc<dyn Provider>,
    layers: Vec<Arc<dyn Layer>>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slots: Vec<_> = self.layers.iter().map(jml_core::provider::Layer::slot).collect();
        f.debug_struct("Stack").field("slots", &slots).finish_non_exhaustive()
    }
}

/// How the standard layers behave.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data with a default; `..Policy::default()`")]
pub struct Policy {
    /// Time for one attempt.
    pub attempt: TimeDelta,
    /// Time for a call with all its attempts and waits.
    pub call: TimeDelta,
    /// Further attempts.
    pub retry: RetryPolicy,
    /// Failures in a row after which a target is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone.
    pub breaker_rest: TimeDelta,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempt: TimeDelta::seconds(30),
            call: TimeDelta::minutes(5),
            retry: RetryPolicy::default(),
            breaker_failures: 10,
            breaker_rest: TimeDelta::seconds(30),
        }
    }
}

impl Stack {
    /// A provider without layers.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, layers: Vec::new() }
    }

    /// The same with a layer. The order of calls does not matter.
    #[must_use]
    pub fn with(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// The layers for whoever calls a provider directly: spans, guard, read-back, deadline, retry,
    /// breaker, rate, concurrency, a time limit for each attempt.
    #[must_use]
    pub fn standard(self, policy: &Policy) -> Self {
        self.with(Observe)
            .with(Deadline(policy.call))
            .with(Retry::new(policy.retry.clone()))
            .common(policy)
    }

    /// The layers for the engine. It observes and repeats changes itself, so that every attempt is in
    /// its journal; here, only reads are repeated.
    #[must_use]
    pub fn for_engine(self, policy: &Policy) -> Self {
        self.with(Retry::reads_only(policy.retry.clone())).common(policy)
    }

    fn common(self, policy: &Policy) -> Self {
        let limits = self.provider.descriptor().limits;
        self.with(Trace::new())
            .with(Guard)
            .with(Breaker::new(policy.breaker_failures, policy.breaker_rest))
            .with(Rate::new(&limits))
            .with(Concurrency::new(limits.concurrency))
            .with(Attempt(policy.attempt))
    }

    /// The provider behind its layers.
    #[must_use]
    pub fn build(self) -> Layered {
        Layered::new(self.provider, self.layers)
    }
}
