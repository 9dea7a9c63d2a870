//! A small company over memory targets, driven through the engine's public API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_core::account::{AccountState, AccountStatus};
use jml_core::approval::Panel;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::clock::Clock as _;
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{GateId, IdentityId, RunId, StepId};
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::journal::{Decision, Entry, Fact, JournalStore as _};
use jml_core::plan::{Gate, Notice, TaskStep};
use jml_core::policy::Policy;
use jml_core::policy_file::parse_yaml;
use jml_core::provider::Provider;
use jml_core::time::TzdbZones;
use jml_engine::store::MemoryStore;
use jml_engine::{
    Batch, Engine, EngineError, Executed, People, Ports, Request, RunReport, Selection, Vote,
};
use jml_testkit::{ManualClock, Memory};

use crate::support::start;

/// Writes down what people were told.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    pub(crate) asked: Mutex<Vec<(u16, Vec<String>)>>,
    pub(crate) tasks: Mutex<Vec<String>>,
    pub(crate) told: Mutex<Vec<String>>,
    pub(crate) alerts: Mutex<Vec<String>>,
}

impl People for Ears {
    fn ask(&self, _: &RunId, _: &GateId, _: &Gate, stage: u16, panel: &Panel) {
        let who = panel.keys().map(ToString::to_string).collect();
        self.asked.lock().unwrap().push((stage, who));
    }
    fn raise(&self, _: &RunId, _: &StepId, task: &TaskStep) {
        self.tasks.lock().unwrap().push(task.title.to_string());
    }
    fn tell(&self, _: &RunId, notice: &Notice) {
        self.told.lock().unwrap().push(format!("{}: {}", notice.to, notice.text));
    }
    fn alert(&self, _: &RunId, step: &StepId, text: &str) {
        self.alerts.lock().unwrap().push(format!("{step}: {text}"));
    }
}

pub(crate) struct Company {
    pub(crate) policy: Policy,
    pub(crate) facts: Facts,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) targets: BTreeMap<&'static str, Arc<Memory>>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) engine: Engine,
}

/// The entries of a policy's catalogue on a memory target.
fn target(name: &str, policy: &Policy) -> Memory {
    let here = policy.entitlements.keys().filter(|at| at.provider.as_str() == name);
    here.fold(Memory::new(name.parse().unwrap()), |memory, at| memory.define(at.key.clone()))
}

impl Company {
    pub(crate) fn new(policy: &str, names: &[&'static str]) -> Self {
        Self::with(policy, names, |memory| memory, |memory| memory)
    }

    /// The same with targets that are made otherwise, or that something stands before.
    pub(crate) fn with(
        policy: &str,
        names: &[&'static str],
        make: impl Fn(Memory) -> Memory,
        wrap: impl Fn(Arc<Memory>) -> Arc<dyn Provider>,
    ) -> Self {
        let policy = parse_yaml("policy.yaml", policy).unwrap();
        let clock = Arc::new(ManualClock::jumping(start()));
        let targets: BTreeMap<&'static str, Arc<Memory>> =
            names.iter().map(|name| (*name, Arc::new(make(target(name, &policy))))).collect();
        let (store, ears) = (Arc::new(MemoryStore::new()), Arc::new(Ears::default()));
        let ports = Ports {
            providers: targets
                .iter()
                .map(|(name, target)| (name.parse().unwrap(), wrap(target.clone())))
                .collect(),
            journal: store.clone(),
            clock: clock.clone(),
            people: ears.clone(),
            patience: TimeDelta::seconds(5),
        };
        let engine = Engine::new(ports, Arc::new(TzdbZones));
        Self { policy, facts: Facts::default(), clock, targets, store, ears, engine }
    }

    /// Somebody in Berlin, employed from a day on.
    pub(crate) fn hire(&mut self, id: &str, first_day: &str, attributes: &[(&str, &str)]) {
        let person = PersonFacts::new(Identity {
            id: id.parse().unwrap(),
            kind: IdentityKind::Person,
            attributes: Attributes::default(),
            engagements: vec![Engagement {
                zone: Some("Europe/Berlin".parse().unwrap()),
                ..Engagement::new(
                    format!("{id}-1").parse().unwrap(),
                    first_day.parse().unwrap(),
                    "hr".parse().unwrap(),
                    start() - TimeDelta::days(400),
                )
            }],
        });
        self.facts.people.insert(id.parse().unwrap(), person);
        let mail = format!("{}@example.test", id.to_lowercase());
        let since = start() - TimeDelta::days(400);
        self.say_since(id, &[("email", mail.as_str())], since);
        self.say_since(id, attributes, since);
    }

    /// HR says something from now on.
    pub(crate) fn say(&mut self, id: &str, attributes: &[(&str, &str)]) {
        let now = self.clock.now();
        self.say_since(id, attributes, now);
    }

    fn say_since(&mut self, id: &str, attributes: &[(&str, &str)], at: DateTime<Utc>) {
        let person = self.person(id);
        for (name, value) in attributes {
            let opinion = Opinion::Value(AttributeValue::text(*value));
            let source = "hr".parse().unwrap();
            let said = Assertion { source, opinion, valid_from: at, recorded_at: at };
            person.identity.attributes.assert(name.parse().unwrap(), said);
        }
    }

    pub(crate) fn person(&mut self, id: &str) -> &mut PersonFacts {
        self.facts.people.get_mut(&id.parse::<IdentityId>().unwrap()).unwrap()
    }

    pub(crate) fn last_day(&mut self, id: &str, day: &str) {
        self.person(id).identity.engagements.last_mut().unwrap().end = Some(day.parse().unwrap());
    }

    pub(crate) fn look(&self) -> Batch {
        let who = Selection::All;
        let request = Request {
            policy: &self.policy,
            facts: &self.facts,
            who: &who,
            hint: None,
            cause: "test",
            at: self.clock.now(),
        };
        block_on(self.engine.prepare(&request)).unwrap()
    }

    pub(crate) fn run(&self) -> Executed {
        block_on(self.engine.execute(self.look(), None)).unwrap()
    }

    pub(crate) fn decide(
        &self,
        run: &RunId,
        gate: &str,
        by: &str,
        decision: Decision,
    ) -> Result<RunReport, EngineError> {
        let (gate, by) = (gate.parse().unwrap(), by.parse().unwrap());
        let vote = Vote { run, gate: &gate, by: &by, decision, why: "because" };
        block_on(self.engine.decide(&vote, &self.policy, &self.facts))
    }

    /// The account of a person on a target.
    pub(crate) fn account(&self, id: &str, target: &str) -> Option<AccountState> {
        let owner: IdentityId = id.parse().unwrap();
        let state = self.targets[target].state();
        state.accounts.into_values().find(|it| it.external_id.as_ref() == Some(&owner))
    }

    /// What a person holds on a target, and whether they can sign in.
    pub(crate) fn holds(&self, id: &str, target: &str) -> BTreeSet<String> {
        let account = self.account(id, target);
        account.map(|it| it.holdings.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    pub(crate) fn status(&self, id: &str, target: &str) -> Option<AccountStatus> {
        self.account(id, target).map(|account| account.status)
    }

    pub(crate) fn entries(&self, run: &RunId) -> Vec<Entry> {
        block_on(self.store.load(run)).unwrap()
    }

    pub(crate) fn facts_of(&self, run: &RunId) -> Vec<Fact> {
        self.entries(run).into_iter().map(|entry| entry.fact).collect()
    }
}

/// A set of texts.
pub(crate) fn texts(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(ToString::to_string).collect()
}
