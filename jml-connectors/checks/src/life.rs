//! A life on a target: somebody starts, moves and leaves, through the engine and the standard layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jml_connector_kit::layers::Concurrency;
use jml_connector_kit::{Policy as LayerPolicy, Stack};
use jml_core::account::{AccountState, Left};
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::clock::Clock;
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{AttributeName, IdentityId, RunId};
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::journal::{Fact, JournalStore as _, RunOutcome};
use jml_core::policy::Policy;
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{Cx, Observation, Provider, Target};
use jml_core::time::TzdbZones;
use jml_engine::store::MemoryStore;
use jml_engine::{Engine, Ports, Request, Selection, Silent};
use jml_testkit::ManualClock;

/// A company of a few people, on one target.
pub struct Life {
    engine: Engine,
    policy: Policy,
    facts: Facts,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    provider: Arc<dyn Provider>,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").field("people", &self.facts.people.len()).finish_non_exhaustive()
    }
}

/// The test's clock, which jumps when somebody waits: a little later, so that what is on a real wire meanwhile
/// comes first.
#[derive(Debug)]
struct Patient(Arc<ManualClock>);

#[async_trait::async_trait]
impl Clock for Patient {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        if until > self.0.now() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            self.0.set(until);
        }
    }

    async fn expire_at(&self, until: DateTime<Utc>) {
        self.0.expire_at(until).await;
    }
}

/// Somebody, as HR knows them.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Person<'a> {
    /// Their number.
    pub id: &'a str,
    /// Attributes that HR says.
    pub says: &'a [(&'a str, &'a str)],
}

impl Life {
    /// A company whose access lies on this target, behind the layers that the engine wants. The target's
    /// provider id is `t`.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, clock: Arc<ManualClock>, policy: &str) -> Self {
        let policy = parse_yaml("policy.yaml", policy).unwrap_or_else(|e| panic!("{e}"));
        let store = Arc::new(MemoryStore::new());
        // One call at a time, so that the calls have an order that can be written down.
        // What is on a real wire must not time out because the clock jumps meanwhile.
        let ages = TimeDelta::days(36_500);
        let layers = LayerPolicy { attempt: ages, call: ages, ..LayerPolicy::default() };
        let stack = Stack::new(provider.clone()).for_engine(&layers);
        let stacked: Arc<dyn Provider> = Arc::new(stack.with(Concurrency::new(1)).build());
        let ports = Ports {
            providers: BTreeMap::from([("t".parse().unwrap(), stacked)]),
            journal: store.clone(),
            clock: Arc::new(Patient(clock.clone())),
            people: Arc::new(Silent),
            patience: TimeDelta::minutes(10),
        };
        let engine = Engine::new(ports, Arc::new(TzdbZones));
        Self { engine, policy, facts: Facts::default(), clock, store, provider }
    }

    /// The instant by the company's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Somebody begins on a day, in Berlin.
    pub fn hire(&mut self, who: Person<'_>, first_day: NaiveDate) {
        let now = self.clock.now();
        let mut attributes = Attributes::default();
        for (name, value) in who.says {
            attributes.assert(name.parse().unwrap(), said(value, now));
        }
        let person = PersonFacts::new(Identity {
            id: who.id.parse().unwrap(),
            kind: IdentityKind::Person,
            attributes,
            engagements: vec![Engagement {
                zone: Some("Europe/Berlin".parse().unwrap()),
                ..Engagement::new(
                    format!("{}-1", who.id).parse().unwrap(),
                    first_day,
                    "hr".parse().unwrap(),
                    now,
                )
            }],
        });
        self.facts.people.insert(who.id.parse().unwrap(), person);
    }

    /// HR says something from now on.
    pub fn say(&mut self, id: &str, name: &str, value: &str) {
        let now = self.clock.now();
        let name: AttributeName = name.parse().unwrap();
        self.person(id).identity.attributes.assert(name, said(value, now));
    }

    /// Somebody's last day was yesterday.
    pub fn leave(&mut self, id: &str) {
        let yesterday = (self.clock.now() - TimeDelta::days(1)).date_naive();
        self.person(id).identity.engagements.last_mut().unwrap().end = Some(yesterday);
    }

    fn person(&mut self, id: &str) -> &mut PersonFacts {
        self.facts.people.get_mut(&id.parse::<IdentityId>().unwrap()).unwrap()
    }

    /// Plans and carries out once, and takes up what is left. Whether there was nothing to do.
    pub async fn round(&self) -> bool {
        let request = Request {
            policy: &self.policy,
            facts: &self.facts,
            who: &Selection::All,
            hint: None,
            cause: "test",
            at: self.clock.now(),
        };
        let batch = self.engine.prepare(&request).await.unwrap();
        assert!(batch.brakes.tripped.is_empty(), "{:?}", batch.brakes);
        let quiet = batch.plans().count() == 0 && batch.unread.is_empty();
        self.engine.execute(batch, None).await.unwrap();
        self.engine.resume().await.unwrap();
        let open = self.store.open_runs().await.unwrap();
        // A target that is behind, or that asks to wait, gets its time.
        self.clock.advance(TimeDelta::minutes(7));
        quiet && open.is_empty()
    }

    /// Rounds until nothing moves any more. Every run must have closed; the outcome is that of each.
    pub async fn settle(&self) -> Vec<RunOutcome> {
        for _ in 0..60 {
            if self.round().await {
                return self.outcomes().await;
            }
        }
        panic!("it does not come to rest: {:?}", self.open().await);
    }

    async fn open(&self) -> Vec<Fact> {
        let mut last = Vec::new();
        for run in self.store.open_runs().await.unwrap() {
            let entries = self.store.load(&run).await.unwrap();
            last.extend(entries.into_iter().rev().take(8).map(|it| it.fact));
        }
        last
    }

    async fn outcomes(&self) -> Vec<RunOutcome> {
        let mut outcomes = Vec::new();
        for run in self.store.runs().await.unwrap() {
            for fact in self.facts_of(&run).await {
                if let Fact::Closed { outcome } = fact {
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }

    async fn facts_of(&self, run: &RunId) -> Vec<Fact> {
        self.store.load(run).await.unwrap().into_iter().map(|it| it.fact).collect()
    }

    /// What the runs say is left on accounts.
    pub async fn residuals(&self) -> Vec<Left> {
        let mut all = Vec::new();
        for run in self.store.runs().await.unwrap() {
            for fact in self.facts_of(&run).await {
                if let Fact::Residual { left, .. } = fact {
                    all.extend(left);
                }
            }
        }
        all
    }

    /// Everything that the runs wrote down, for a test that fails.
    pub async fn journal(&self) -> String {
        let mut text = String::new();
        for run in self.store.runs().await.unwrap() {
            for fact in self.facts_of(&run).await {
                text.push_str(&format!("{fact:?}\n"));
            }
        }
        text
    }

    /// Attempts to change something, over all runs.
    pub async fn attempts(&self) -> usize {
        let mut count = 0;
        for run in self.store.runs().await.unwrap() {
            let facts = self.facts_of(&run).await;
            count += facts.iter().filter(|it| matches!(it, Fact::Intended { .. })).count();
        }
        count
    }

    /// Somebody's account, as the connector reads it.
    pub async fn account(&self, id: &str, user_name: &str) -> Option<AccountState> {
        let identity = id.parse().unwrap();
        let target = Target::External { identity, user_name: user_name.into() };
        let cx = Cx::new(self.clock.clone());
        match self.provider.read(&cx, &target).await.unwrap() {
            Observation::Present(state) => Some(*state),
            _ => None,
        }
    }
}

fn said(value: &str, at: DateTime<Utc>) -> Assertion {
    let opinion = Opinion::Value(AttributeValue::text(value));
    Assertion { source: "hr".parse().unwrap(), opinion, valid_from: at, recorded_at: at }
}
