//! The company that is measured, and its target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_core::facts::Facts;
use jml_core::id::{IdentityId, ProviderId, RunId};
use jml_core::journal::{JournalStore, RunOutcome};
use jml_core::policy::Policy;
use jml_core::provider::{self, Call, Cx, Layer, Layered, Next, Provider, Reply, Slot};
use jml_core::time::TzdbZones;
use jml_engine::{Engine, People, Ports, SystemClock};
use jml_testkit::Memory;

use crate::company::{Failure, facts, say};

/// The company's policy, with brakes that let a reorganisation of everybody pass.
pub(crate) fn policy() -> Result<Policy, Failure> {
    let mut policy = crate::company::policy()?;
    let brakes = &mut policy.brakes;
    brakes.max_creates = None;
    brakes.max_revokes_permille = None;
    brakes.max_group_loss_permille = None;
    Ok(policy)
}

/// So many people, and how long a call to the target takes.
#[derive(Clone, Copy)]
pub(crate) struct Journey {
    pub(crate) people: u32,
    pub(crate) millis: u64,
}

impl Journey {
    /// Everybody as they are at first.
    pub(crate) fn before(&self) -> Result<Facts, Failure> {
        facts(self.people, 0, jml_core::clock::Clock::now(&SystemClock))
    }

    /// Everybody in the other team: one group less and one more.
    pub(crate) fn after(&self) -> Result<Facts, Failure> {
        let (mut all, now) = (self.before()?, jml_core::clock::Clock::now(&SystemClock));
        for (number, person) in all.people.values_mut().enumerate() {
            let team = if number % 2 == 0 { "blue" } else { "red" };
            say(&mut person.identity.attributes, "team", team, now)?;
        }
        Ok(all)
    }
}

/// A target in memory that everybody shares, and how many runs are closed.
pub(crate) struct World {
    pub(crate) target: Arc<Memory>,
    pub(crate) closed: Arc<Closed>,
    slow: Arc<dyn Layer>,
}

#[derive(Default)]
pub(crate) struct Closed(AtomicUsize);

impl Closed {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl People for Closed {
    fn closed(&self, _: &RunId, _: &IdentityId, _: RunOutcome) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl World {
    pub(crate) fn new(journey: &Journey) -> Result<Self, Failure> {
        let entitlements = policy()?.entitlements;
        let target = Memory::new("dir".parse()?);
        let target = entitlements.keys().fold(target, |it, at| it.define(at.key.clone()));
        let slow = Arc::new(Slow(Duration::from_millis(journey.millis)));
        Ok(Self { target: Arc::new(target), closed: Arc::default(), slow })
    }

    pub(crate) fn ports(&self, journal: Arc<dyn JournalStore>) -> Result<Ports, Failure> {
        let id: ProviderId = "dir".parse()?;
        let slow = Layered::new(self.target.clone(), vec![self.slow.clone()]);
        let provider: Arc<dyn Provider> = Arc::new(slow);
        Ok(Ports {
            providers: BTreeMap::from([(id, provider)]),
            journal,
            clock: Arc::new(SystemClock),
            people: self.closed.clone(),
            patience: TimeDelta::seconds(2),
        })
    }

    pub(crate) fn engine(&self, journal: Arc<dyn JournalStore>) -> Result<Engine, Failure> {
        Ok(Engine::new(self.ports(journal)?, Arc::new(TzdbZones)))
    }

    /// How many changes the target made.
    pub(crate) fn steps(&self) -> usize {
        self.target.with_state(|state| state.effects.len())
    }
}

/// Each call takes its time.
struct Slow(Duration);

#[async_trait]
impl Layer for Slow {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> provider::Result<Reply> {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        next.run(cx, call).await
    }
}
