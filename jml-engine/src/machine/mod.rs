//! The run machine: what to do next, decided without clock, I/O or randomness.
//!
//! # How to drive it
//! Call [`Machine::poll`] until it returns `None`, carry out each [`Effect`], and hand what came of it to
//! [`Machine::handle`]. Then wait for an answer or for [`Machine::poll_timeout`], whichever is first.
//! Spurious calls are harmless; late and repeated inputs are ignored.
//!
//! # Two rules by construction
//! - *Write-ahead*: nothing is sent to a target before the entry that says so is durable. Facts take
//!   effect here only when [`Input::Recorded`] says that they were stored.
//! - *One fold*: live running and replay go through the same [`fold`](Machine::open) function, so a
//!   journal that was replayed leaves the machine where the live one was.

mod decide;
mod fold;
mod gates;
mod opening;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::approval::{Deciders, Panel, Standing};
use jml_core::canon::CanonError;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{AccountId, GateId, IdentityId, ProviderId, RunId, StepId};
use jml_core::journal::{Actor, Decision, Entry, Fact, JOURNAL_FORMAT, RunMode, RunOutcome};
use jml_core::plan::{Gate, Notice, Plan, Step, TaskStep};
use jml_core::provider::{
    Change, Error, Observation, Outcome, PendingRef, Result as ProviderResult, Target,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use fold::ReplayError;
pub use opening::{Opening, Overridden};
pub use state::{GateState, StepEnd, StepState};

/// What the machine wants done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Append these entries to the run's journal, which has as many entries as the first one's number
    /// says; then hand in [`Input::Recorded`].
    Record(Vec<Entry>),
    /// Read an account; then hand in [`Input::Observed`].
    Observe {
        /// Where.
        provider: ProviderId,
        /// Which.
        target: Target,
    },
    /// Send a change; then hand in [`Input::Answered`].
    Apply {
        /// Which step.
        step: StepId,
        /// Where.
        provider: ProviderId,
        /// What.
        change: Change,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Ask how far a change is that the target works on; then hand in [`Input::Answered`].
    Poll {
        /// Which step.
        step: StepId,
        /// Where.
        provider: ProviderId,
        /// What to ask for.
        handle: PendingRef,
    },
    /// Ask the approvers of a gate. Nothing to hand in until somebody decides.
    Ask {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Who may decide now.
        panel: Panel,
    },
    /// Give a person a task. Nothing to hand in until it is done.
    Raise {
        /// Which step.
        step: StepId,
        /// The task.
        task: TaskStep,
    },
    /// Tell somebody.
    Tell(Notice),
    /// Tell whoever is on duty.
    Alert {
        /// Which step.
        step: StepId,
        /// What happened.
        text: SmolStr,
    },
    /// The run is closed.
    Done(RunOutcome),
}

/// What came of an effect, or from outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The entries up to, and without, this number are durable.
    Recorded {
        /// How many entries the journal has now.
        len: u64,
    },
    /// An account was read.
    Observed {
        /// Where.
        provider: ProviderId,
        /// Which.
        target: Target,
        /// What was seen.
        result: ProviderResult<Observation>,
    },
    /// A target answered a change or a question how far it is, or did not.
    Answered {
        /// Which step.
        step: StepId,
        /// What it said.
        result: ProviderResult<Outcome>,
    },
    /// Somebody decided at a gate.
    Decided {
        /// Which gate.
        gate: GateId,
        /// Who.
        by: IdentityId,
        /// How.
        decision: Decision,
        /// Why.
        why: SmolStr,
    },
    /// Who may decide at a stage was looked up again.
    Seated {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0. Ignored when it is not the one that is open.
        stage: u16,
        /// Who may decide.
        panel: Panel,
        /// Who may decide besides them once it escalated.
        escalated: Panel,
    },
    /// Approvals of an earlier run, in order of stage. Only before the run is opened.
    Kept {
        /// Which gate.
        gate: GateId,
        /// The approvals.
        decisions: Vec<KeptDecision>,
    },
    /// A task was done.
    TaskDone {
        /// Which step.
        step: StepId,
        /// By whom.
        by: IdentityId,
        /// What they say in proof.
        proof: SmolStr,
    },
    /// Somebody let the batch of this run pass a brake.
    Overridden {
        /// Which batch.
        batch: Digest,
        /// Who.
        by: IdentityId,
        /// Why.
        why: SmolStr,
    },
    /// A newer plan takes over.
    Supersede {
        /// The newer plan.
        by: Digest,
    },
    /// What the run would still do is not wanted any more, and no plan takes its place.
    Withdraw {
        /// Why.
        why: SmolStr,
    },
    /// Somebody stops the run.
    Cancel {
        /// Who.
        by: IdentityId,
        /// Why.
        why: SmolStr,
    },
}

/// An approval that was given in an earlier run for the same changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct KeptDecision {
    /// At which stage, from 0.
    pub stage: u16,
    /// Whose.
    pub by: IdentityId,
    /// By what right.
    pub standing: Standing,
    /// In which run they decided.
    pub run: RunId,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Until when it counts.
    pub expires: DateTime<Utc>,
}

/// How hard providers may be driven by one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Changes and reads in flight per provider; 4 where nothing is said.
    pub in_flight: BTreeMap<ProviderId, u16>,
    /// How long a write may take to become readable, per provider; none where nothing is said.
    pub visible_within: BTreeMap<ProviderId, TimeDelta>,
}

impl Limits {
    /// No limits of their own: 4 in flight, immediate consistency.
    #[must_use]
    pub const fn new() -> Self {
        Self { in_flight: BTreeMap::new(), visible_within: BTreeMap::new() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// One run of one plan.
#[derive(Debug)]
pub struct Machine {
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) mode: RunMode,
    limits: Limits,
    /// Durable: only `fold` writes these.
    pub(crate) steps: BTreeMap<StepId, StepState>,
    pub(crate) gates: BTreeMap<GateId, GateState>,
    accounts: BTreeMap<StepId, AccountId>,
    cooling: BTreeMap<ProviderId, DateTime<Utc>>,
    missed: BTreeSet<StepId>,
    closing: Option<RunOutcome>,
    pub(crate) closed: Option<RunOutcome>,
    len: u64,
    last: Digest,
    /// Volatile: gone after a crash, and rebuilt by looking again.
    pending: Vec<Entry>,
    recording: bool,
    busy: BTreeSet<StepId>,
    reading: BTreeMap<(ProviderId, String), Target>,
    applying: BTreeMap<StepId, ProviderId>,
    seen: BTreeMap<(ProviderId, String), Seen>,
    before: BTreeMap<StepId, Observation>,
    rechecks: BTreeMap<StepId, Recheck>,
    outbox: Vec<Effect>,
    done_told: bool,
}

/// A read of an account, good until something is sent to it.
#[derive(Debug)]
struct Seen {
    what: Observation,
}

/// When to look again: for a write that was not visible when read back, or a change that takes its time.
#[derive(Debug)]
struct Recheck {
    first: DateTime<Utc>,
    next: DateTime<Utc>,
}

impl Machine {
    /// Opens a new run of a plan. The first thing it wants is its first entry recorded.
    ///
    /// # Errors
    /// [`CanonError`] when the plan has no canonical form.
    pub fn start(
        plan: Plan,
        mode: RunMode,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<Self, CanonError> {
        let run = RunId::of_plan(plan.id());
        let mut machine = Self::empty(run.clone(), plan.clone(), mode, limits);
        let fact = Fact::Opened { format: JOURNAL_FORMAT, run, plan: Box::new(plan), mode };
        machine.note(now, Actor::Engine, fact);
        Ok(machine)
    }

    /// Opens a run that was left, from its journal. A change that was on its way when the journal ends
    /// is in doubt and will be read back before anything is sent.
    ///
    /// # Errors
    /// [`ReplayError`] when the journal is not one that this machine could have written.
    pub fn open(entries: &[Entry], limits: Limits) -> Result<Self, ReplayError> {
        let Some(Fact::Opened { format, run, plan, mode }) = entries.first().map(|e| &e.fact)
        else {
            return Err(ReplayError::NotOpened);
        };
        if *format != JOURNAL_FORMAT {
            return Err(ReplayError::Format(*format));
        }
        let mut machine = Self::empty(run.clone(), (**plan).clone(), *mode, limits);
        for entry in entries {
            machine.fold(entry)?;
        }
        for state in machine.steps.values_mut() {
            state.crash();
        }
        Ok(machine)
    }

    fn empty(run: RunId, plan: Plan, mode: RunMode, limits: Limits) -> Self {
        let steps = plan.steps().keys().map(|id| (id.clone(), StepState::default())).collect();
        let gates = plan.gates().keys().map(|id| (id.clone(), GateState::default())).collect();
        Self {
            last: Entry::genesis(&run),
            run,
            plan,
            mode,
            limits,
            steps,
            gates,
            accounts: BTreeMap::new(),
            cooling: BTreeMap::new(),
            missed: BTreeSet::new(),
            closing: None,
            closed: None,
            len: 0,
            pending: Vec::new(),
            recording: false,
            busy: BTreeSet::new(),
            reading: BTreeMap::new(),
            applying: BTreeMap::new(),
            seen: BTreeMap::new(),
            before: BTreeMap::new(),
            rechecks: BTreeMap::new(),
            outbox: Vec::new(),
            done_told: false,
        }
    }

    /// The run's name.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether the run changes targets.
    #[must_use]
    pub const fn mode(&self) -> RunMode {
        self.mode
    }

    /// The gates that wait for a decision, and where they stand.
    pub fn open_gates(&self) -> impl Iterator<Item = (&GateId, &Gate, &GateState)> {
        // What gives way to a newer plan waits for nobody any more.
        let alive = self.closed.is_none() && self.closing.is_none();
        let open = self.gates.iter().filter(move |(_, state)| state.is_open() && alive);
        open.filter_map(|(id, state)| Some((id, self.plan.gates().get(id)?, state)))
    }

    /// Who may decide, as of now, at every gate that waits: to be handed in before a decision is, so that
    /// somebody who left meanwhile decides nothing.
    #[must_use]
    pub fn seats(&self, deciders: &Deciders<'_>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (id, gate, state) in self.open_gates() {
            let Some(stage) = state.stage_of(gate) else { continue };
            let steps = gate.covers.keys().filter_map(|step| self.plan.steps().get(step));
            let covers: Vec<EntitlementRef> = steps.filter_map(Step::gives).collect();
            let covers = covers.iter().collect();
            let subject = &gate.subject.identity;
            let escalate = stage.rule.escalate.as_ref();
            let panel = |who| deciders.panel(who, subject, &covers);
            inputs.push(Input::Seated {
                gate: id.clone(),
                stage: state.stage,
                panel: panel(&stage.rule.approvers),
                escalated: escalate.map(|rule| panel(&rule.to)).unwrap_or_default(),
            });
        }
        inputs
    }

    /// Somebody who may decide at a gate now and has not; for simulations.
    #[must_use]
    pub(crate) fn next_decider(&self, id: &GateId) -> Option<IdentityId> {
        let (_, gate, state) = self.open_gates().find(|(gate, ..)| *gate == id)?;
        let stage = state.stage_of(gate)?;
        let panel = state::joined(&state.panel(gate), &stage.escalated);
        panel.keys().find(|by| !state.approved.contains_key(*by)).cloned()
    }

    /// How the run ended, once it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<RunOutcome> {
        self.closed
    }

    /// Writes an entry; it takes effect when it is durable.
    fn note(&mut self, now: DateTime<Utc>, actor: Actor, fact: Fact) {
        let entry = Entry {
            seq: self.len + self.pending.len() as u64,
            at: now,
            actor,
            fact,
            prev: self.pending.last().map_or(self.last, |e| e.digest().unwrap_or(self.last)),
        };
        self.pending.push(entry);
    }

    /// Takes in what came of an effect, or from outside.
    ///
    /// # Errors
    /// [`ReplayError`] when entries that were just stored do not fold: a defect of this machine.
    pub fn handle(&mut self, now: DateTime<Utc>, input: Input) -> Result<(), ReplayError> {
        match input {
            Input::Recorded { len } => self.recorded(len)?,
            Input::Observed { provider, target, result } => {
                self.observed(now, &provider, &target, result);
            }
            Input::Answered { step, result } => self.answered(now, step, result),
            Input::Decided { gate, by, decision, why } => {
                self.decided(now, gate, by, decision, why);
            }
            Input::Seated { gate, stage, panel, escalated } => {
                self.seated(now, &gate, stage, &panel, &escalated);
            }
            Input::Kept { gate, decisions } => self.kept(now, &gate, decisions),
            Input::TaskDone { step, by, proof } => self.task_done(now, step, by, proof),
            Input::Overridden { batch, by, why } => {
                self.note(now, Actor::Person(by), Fact::BrakeOverridden { batch, why });
            }
            Input::Supersede { by } => {
                if self.closed.is_none() && self.closing.is_none() {
                    self.note(now, Actor::Engine, Fact::Superseded { by });
                }
            }
            Input::Withdraw { why } => self.cancel(now, Actor::Engine, why),
            Input::Cancel { by, why } => self.cancel(now, Actor::Person(by), why),
        }
        Ok(())
    }

    fn cancel(&mut self, now: DateTime<Utc>, actor: Actor, why: SmolStr) {
        if self.closed.is_none() && self.closing.is_none() {
            self.note(now, actor, Fact::Cancelled { why });
        }
    }

    fn recorded(&mut self, len: u64) -> Result<(), ReplayError> {
        if !self.recording {
            return Ok(());
        }
        self.recording = false;
        let (done, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.pending).into_iter().partition(|entry| entry.seq < len);
        self.pending = rest;
        for entry in &done {
            self.fold(entry)?;
            self.after_fold(entry);
        }
        Ok(())
    }

    /// The next thing to do, or `None` when the machine waits.
    pub fn poll(&mut self, now: DateTime<Utc>) -> Option<Effect> {
        if let Some(effect) = (!self.outbox.is_empty()).then(|| self.outbox.remove(0)) {
            return Some(effect);
        }
        if !self.recording {
            self.decide(now);
            if !self.pending.is_empty() {
                self.recording = true;
                return Some(Effect::Record(self.pending.clone()));
            }
        }
        if let Some(outcome) = self.closed {
            return (!std::mem::replace(&mut self.done_told, true))
                .then_some(Effect::Done(outcome));
        }
        if self.recording { None } else { self.start_next(now) }
    }

    /// When to poll again if nothing comes in before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<DateTime<Utc>> {
        if self.closed.is_some() || self.recording {
            return None;
        }
        let open = self.steps.iter().filter(|(_, state)| state.end().is_none());
        // Not before the provider may be asked again.
        let cooled = |id: &StepId, at: DateTime<Utc>| {
            let provider = self.plan.steps().get(id).and_then(Step::provider);
            provider.and_then(|it| self.cooling.get(it)).map_or(at, |until| at.max(*until))
        };
        let idle = open.clone().filter(|(id, _)| !self.busy.contains(*id));
        let retries = idle.clone().filter_map(|(id, state)| Some(cooled(id, state.retry_at()?)));
        let rechecks = idle.filter_map(|(id, _)| Some(cooled(id, self.rechecks.get(id)?.next)));
        let expiries = self.open_gates().map(|(_, gate, state)| {
            state.escalates_at(gate).map_or(gate.expires, |at| at.min(gate.expires))
        });
        let deadlines = open
            .filter(|(id, _)| !self.missed.contains(*id))
            .filter_map(|(id, _)| self.plan.steps().get(id)?.deadline);
        let cooling = self.cooling.values().copied();
        retries.chain(rechecks).chain(expiries).chain(deadlines).chain(cooling).min()
    }

    /// Whether a call to a target is under way.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        !self.applying.is_empty() || !self.reading.is_empty()
    }

    /// Takes note of an error for whoever is on duty.
    fn alert(&mut self, step: &StepId, error: &Error) {
        let text = SmolStr::new(error.to_string());
        self.outbox.push(Effect::Alert { step: step.clone(), text });
    }
}
