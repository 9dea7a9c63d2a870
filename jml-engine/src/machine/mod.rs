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
mod io;
mod opening;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::approval::Deciders;
use jml_core::canon::CanonError;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{AccountId, GateId, IdentityId, ProviderId, RunId, StepId};
use jml_core::journal::{Actor, Entry, Fact, JOURNAL_FORMAT, RunMode, RunOutcome};
use jml_core::plan::{Gate, Plan, Rank, Step};
use jml_core::provider::{Error, Observation, Target};
use smol_str::SmolStr;

pub use fold::ReplayError;
pub use io::{Effect, Input, Word};
pub use opening::{KeptDecision, Opening, Overridden};
pub use state::{GateState, StepEnd, StepState};

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
    /// Up to when everything that is due was looked at, and nothing came in since.
    polled: Option<DateTime<Utc>>,
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
            polled: None,
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
    pub fn seats(&self, deciders: &Deciders<'_>) -> Vec<Word> {
        let mut words = Vec::new();
        for (id, gate, state) in self.open_gates() {
            let Some(stage) = state.stage_of(gate) else { continue };
            let steps = gate.covers.keys().filter_map(|step| self.plan.steps().get(step));
            let covers: Vec<EntitlementRef> = steps.filter_map(Step::gives).collect();
            let covers = covers.iter().collect();
            let subject = &gate.subject.identity;
            let escalate = stage.rule.escalate.as_ref();
            let panel = |who| deciders.panel(who, subject, &covers);
            words.push(Word::Seated {
                gate: id.clone(),
                stage: state.stage,
                panel: panel(&stage.rule.approvers),
                escalated: escalate.map(|rule| panel(&rule.to)).unwrap_or_default(),
            });
        }
        words
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
        self.polled = None;
        match input {
            Input::Recorded { len } => self.recorded(len)?,
            Input::Observed { provider, target, result } => {
                self.observed(now, &provider, &target, result);
            }
            Input::Answered { step, result } => self.answered(now, step, result),
            Input::Said(word) => self.said(now, word),
        }
        Ok(())
    }

    fn said(&mut self, now: DateTime<Utc>, word: Word) {
        match word {
            Word::Decided { gate, by, decision, why } => {
                self.decided(now, gate, by, decision, why);
            }
            Word::Seated { gate, stage, panel, escalated } => {
                self.seated(now, &gate, stage, &panel, &escalated);
            }
            Word::TaskDone { step, by, proof } => self.task_done(now, step, by, proof),
            Word::Supersede { by } => {
                if self.closed.is_none() && self.closing.is_none() {
                    self.note(now, Actor::Engine, Fact::Superseded { by });
                }
            }
            Word::Withdraw { why } => self.cancel(now, Actor::Engine, why),
            Word::Cancel { by, why } => self.cancel(now, Actor::Person(by), why),
        }
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
        let effect = if self.recording { None } else { self.start_next(now) };
        self.polled = effect.is_none().then_some(now);
        effect
    }

    /// When to poll again if nothing comes in before. Always after the instant of the last
    /// [`poll`](Self::poll) that had nothing to do: what was due then and waits still, waits for an input.
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
        let all = retries.chain(rechecks).chain(expiries).chain(deadlines).chain(cooling);
        all.filter(|at| self.polled.is_none_or(|polled| *at > polled)).min()
    }

    /// Whether something is still to be done that keeps somebody out. Whoever shares out calls to a target lets
    /// such a run go first.
    #[must_use]
    pub fn is_containing(&self) -> bool {
        let contains = |(id, state): (&StepId, &StepState)| {
            let step = self.plan.steps().get(id);
            state.end().is_none() && step.is_some_and(|step| step.rank == Rank::Contain)
        };
        self.closed.is_none() && self.steps.iter().any(contains)
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
