//! A dismissal over four targets of which one is down: three are contained in time, the fourth is parked
//! with an alert, and finished when it comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::id::{ProviderId, RunId, StepId};
use jml_core::journal::{Entry, Fact, JournalStore as _, RunMode, RunOutcome};
use jml_core::plan::{Need, Plan, Step, StepKind};
use jml_core::provider::{
    Applied, Call, Cx, Error, ErrorKind, Layer, Layered, Next, Operation, Provider, Reply, Result,
    Slot,
};
use jml_engine::machine::{Effect, Input, Machine};
use jml_engine::store::MemoryStore;
use jml_engine::{Driven, People, Ports, drive};
use jml_testkit::{ManualClock, Memory};

use crate::support::{after, known, plan, start, step, step_id};

/// Nobody answers until an instant.
struct DownUntil(DateTime<Utc>);

#[async_trait]
impl Layer for DownUntil {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if cx.now() < self.0 {
            let error = Error::new(ErrorKind::Transport, "nobody answers");
            return Err(error.with_applied(Applied::No));
        }
        next.run(cx, call).await
    }
}

/// Writes alerts down.
#[derive(Default)]
struct OnDuty(Mutex<Vec<(StepId, String)>>);

impl People for OnDuty {
    fn alert(&self, _: &RunId, step: &StepId, text: &str) {
        self.0.lock().unwrap().push((step.clone(), text.to_owned()));
    }
}

const TARGETS: [&str; 4] = ["mail", "chat", "code", "vpn"];

fn id(name: &str) -> ProviderId {
    name.parse().unwrap()
}

fn at(mut step: Step, provider: &str, deadline: DateTime<Utc>) -> Step {
    if let StepKind::Change { provider: of, .. } = &mut step.kind {
        *of = id(provider);
    }
    step.deadline = Some(deadline);
    step.retry.max_ms = 60_000;
    step
}

/// Blocks and kills sessions on each target, within five minutes.
fn dismissal() -> Plan {
    let deadline = start() + TimeDelta::minutes(5);
    let names: Vec<(String, Step)> = TARGETS
        .iter()
        .enumerate()
        .flat_map(|(number, provider)| {
            let block = Operation::SetStatus { status: AccountStatus::Disabled };
            let kill = Operation::RevokeCredentials { class: CredentialClass::Sessions };
            let first = format!("s{}", 2 * number + 1);
            let kill = after(step(known("old"), kill), &[first.as_str()], Need::Settled);
            [
                (first, at(step(known("old"), block), provider, deadline)),
                (format!("s{}", 2 * number + 2), at(kill, provider, deadline)),
            ]
        })
        .collect();
    plan(names.iter().map(|(name, step)| (name.as_str(), step.clone())).collect())
}

fn target(name: &str) -> Arc<Memory> {
    let mut old = AccountState::new("old".parse().unwrap(), "old", AccountStatus::Active);
    old.credentials = CredentialClass::ALL.map(|class| (class, 2)).into();
    Arc::new(Memory::new(id(name)).with_account(old))
}

#[test]
fn three_are_contained_in_time_and_the_fourth_when_it_returns() {
    let back = start() + TimeDelta::minutes(40);
    let clock = ManualClock::jumping(start());
    let (targets, duty) = (TARGETS.map(target), Arc::new(OnDuty::default()));
    let mut providers: BTreeMap<ProviderId, Arc<dyn Provider>> = BTreeMap::new();
    for memory in &targets {
        let name = memory.descriptor().id.clone();
        let down: Vec<Arc<dyn Layer>> =
            if name == id("code") { vec![Arc::new(DownUntil(back))] } else { Vec::new() };
        providers.insert(name, Arc::new(Layered::new(memory.clone(), down)));
    }
    let journal = Arc::new(MemoryStore::new());
    let ports = Ports {
        providers,
        journal: journal.clone(),
        clock: Arc::new(clock.clone()),
        people: duty.clone(),
        patience: TimeDelta::hours(2),
    };
    let plan = dismissal();
    let mut machine =
        Machine::start(plan.clone(), RunMode::Executed, ports.limits(), clock.now()).unwrap();
    assert_eq!(block_on(drive(&mut machine, &ports)).unwrap(), Driven::Closed(RunOutcome::Clean));

    let entries: Vec<Entry> = block_on(journal.load(&RunId::of_plan(plan.id()))).unwrap();
    let when = |wanted: &str, what: fn(&Fact) -> Option<&StepId>| {
        entries.iter().find(|e| what(&e.fact) == Some(&step_id(wanted))).map(|entry| entry.at)
    };
    let verified: fn(&Fact) -> Option<&StepId> = |fact| match fact {
        Fact::Verified { step, .. } => Some(step),
        _ => None,
    };
    let missed: fn(&Fact) -> Option<&StepId> = |fact| match fact {
        Fact::DeadlineMissed { step, .. } => Some(step),
        _ => None,
    };
    let parked: fn(&Fact) -> Option<&StepId> = |fact| match fact {
        Fact::Parked { step, .. } => Some(step),
        _ => None,
    };
    for number in 1..=8 {
        let name = format!("s{number}");
        let done = when(&name, verified).unwrap();
        if (5..=6).contains(&number) {
            assert!(done >= back, "{name} at {done}");
            assert!(
                when(&name, missed).is_some(),
                "{name} missed its deadline, and nobody says so"
            );
        } else {
            assert!(done <= start() + TimeDelta::minutes(5), "{name} at {done}");
            assert!(when(&name, missed).is_none(), "{name}");
        }
    }
    assert!(when("s5", parked).is_some(), "what takes away is parked, and never fails");
    let alerts = duty.0.lock().unwrap().clone();
    assert!(alerts.iter().any(|(step, _)| *step == step_id("s5")), "{alerts:?}");
    assert!(alerts.iter().all(|(step, _)| [step_id("s5"), step_id("s6")].contains(step)));
    for memory in &targets {
        let old = memory.state().accounts.remove(&"old".parse().unwrap()).unwrap();
        assert_eq!(old.status, AccountStatus::Disabled);
        assert_eq!(old.credentials[&CredentialClass::Sessions], 0);
    }
}

/// A machine that has nothing to do asks to be woken later, never now: a driver whose clock stands still
/// would go round for ever.
#[test]
fn whoever_waits_waits_for_a_later_instant() {
    for minutes in [0, 1, 5, 6, 40] {
        let back = start() + TimeDelta::minutes(minutes);
        let targets = TARGETS.map(target);
        let clock = ManualClock::new(start());
        let cx = Cx::new(Arc::new(clock.clone()));
        let layered = |name: &ProviderId| {
            let memory = targets.iter().find(|it| it.descriptor().id == *name).unwrap();
            Layered::new(memory.clone(), vec![Arc::new(DownUntil(back))])
        };
        let limits = jml_engine::machine::Limits::default();
        let mut machine = Machine::start(dismissal(), RunMode::Executed, limits, start()).unwrap();
        let mut closed = false;
        let mut length = 0;
        while !closed {
            let now = clock.now();
            while let Some(effect) = machine.poll(now) {
                let input = match effect {
                    Effect::Record(entries) => {
                        length += entries.len() as u64;
                        Input::Recorded { len: length }
                    }
                    Effect::Observe { provider, target } => {
                        let result = block_on(layered(&provider).read(&cx, &target));
                        Input::Observed { provider, target, result }
                    }
                    Effect::Apply { step, provider, change, .. } => {
                        let result = block_on(layered(&provider).apply(&cx, &change));
                        Input::Answered { step, result }
                    }
                    Effect::Done(outcome) => {
                        assert_eq!(outcome, RunOutcome::Clean);
                        closed = true;
                        break;
                    }
                    _ => continue,
                };
                machine.handle(now, input).unwrap();
            }
            if !closed {
                let wake = machine.poll_timeout().unwrap();
                assert!(wake > now, "back after {minutes} min: at {now} it asks for {wake}");
                clock.set(wake);
            }
        }
        assert!(clock.now() >= back);
        assert!(length < 1_000, "{length} entries in {minutes} minutes");
    }
}
