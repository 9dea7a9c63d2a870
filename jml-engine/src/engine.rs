//! The façade: observe, prepare, execute, and everything that people do to a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::lock::Mutex;
use jml_core::approval::Deciders;
use jml_core::canon::CanonError;
use jml_core::desired::desired;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::id::{GateId, IdentityId, ProviderId, RunId, StepId};
use jml_core::journal::{Decision, Entry, EvidenceSink, Fact, JournalError, RunMode};
use jml_core::plan::{LifecycleKind, Rank};
use jml_core::policy::Policy;
use jml_core::provider::{
    Cx, Descriptor, Error, Observation, Operation, Overlay, Snapshot, snapshot,
};
use jml_core::time::ZoneResolver;
use jml_diff::lint::{Note, Severity, lint};
use jml_diff::{AccountLine, Ledger, PlanError, PlanInput, Planned, Verdict, World, plan};
use smol_str::SmolStr;

use crate::brake::{self, BrakeReport, Override};
use crate::drive::{self, DriveError, Driven, drive};
use crate::history::{Given, History, OpenRun};
use crate::machine::{Input, Machine, ReplayError};
use crate::ports::Ports;
use crate::store::MemoryStore;
use crate::view::RunView;

/// Plans and runs lifecycle changes. One per process and journal; clones of its parts may be shared.
pub struct Engine {
    ports: Ports,
    zones: Arc<dyn ZoneResolver>,
    evidence: Option<Arc<dyn EvidenceSink>>,
    history: Mutex<History>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("ports", &self.ports).finish_non_exhaustive()
    }
}

/// The engine could not go on. Nothing is half done: whatever was begun is in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A brake tripped, and no override covers the batch. Nothing was done.
    #[error("{} brakes tripped for batch {}", .0.tripped.len(), .0.batch)]
    Braked(BrakeReport),
    /// Planning failed.
    #[error("planning failed")]
    Plan(#[from] PlanError),
    /// Something has no canonical form.
    #[error("policy or plan has no canonical form")]
    Canon(#[from] CanonError),
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// A run stopped.
    #[error("a run stopped")]
    Drive(#[from] DriveError),
    /// A journal cannot be replayed.
    #[error("run `{run}` cannot be opened")]
    Replay {
        /// Which run.
        run: RunId,
        /// Why.
        #[source]
        source: ReplayError,
    },
    /// Another process opens runs at this moment. Nothing was done; prepare again.
    #[error("another process is opening runs; try again")]
    Busy,
    /// There is no such run.
    #[error("there is no run `{0}`")]
    NoRun(RunId),
    /// A decision or a proof was not taken, and why.
    #[error("not taken: {0}")]
    NotTaken(String),
    /// Evidence could not be sealed. The journal keeps it; `resume` tries again.
    #[error("evidence of run `{run}` could not be sealed: {what}")]
    Evidence {
        /// Which run.
        run: RunId,
        /// Why.
        what: String,
    },
}

impl EngineError {
    /// Whether another driver wrote to the run first. It has the run now, and nothing is lost.
    #[must_use]
    pub const fn is_overtaken(&self) -> bool {
        matches!(
            self,
            Self::Journal(JournalError::Conflict { .. })
                | Self::Drive(DriveError::Journal { source: JournalError::Conflict { .. }, .. })
        )
    }
}

/// Whom to plan for.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "everybody or some")]
pub enum Selection {
    /// Everybody.
    All,
    /// Only these.
    Only(BTreeSet<IdentityId>),
}

/// What to prepare.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Request<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What is known about people.
    pub facts: &'a Facts,
    /// Whom to plan for.
    pub who: &'a Selection,
    /// The kind of change, where the difference alone cannot tell.
    pub hint: Option<LifecycleKind>,
    /// Why somebody looks.
    pub cause: &'a str,
    /// For which instant.
    pub at: DateTime<Utc>,
}

/// Plans for some people, looked at as a whole. Nothing was done yet.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Batch {
    /// One entry for each person that was looked at, in order of identity.
    pub planned: Vec<Planned>,
    /// What the brakes say.
    pub brakes: BrakeReport,
    /// What lint says, for plans about which it says something.
    pub notes: BTreeMap<IdentityId, Vec<Note>>,
    /// People whose plan lint refused; their plan was taken out.
    pub refused: BTreeSet<IdentityId>,
    /// People whose change is under way in an open run; their plan was taken out.
    pub under_way: BTreeMap<IdentityId, RunId>,
    /// Runs that would still give what nobody should have any more, of people for whom nothing else is to
    /// be done. They are stopped when the batch is executed; where there is a plan, it supersedes them.
    pub withdrawn: BTreeMap<IdentityId, BTreeSet<RunId>>,
    /// Providers that could not be read, and why. Nothing is planned there.
    pub unread: BTreeMap<ProviderId, Error>,
    /// What was seen.
    pub world: World,
    /// What we granted before, for telling drift from foreign access.
    pub ledger: Ledger,
}

impl Batch {
    /// The plans that would run.
    pub fn plans(&self) -> impl Iterator<Item = &jml_core::plan::Plan> {
        self.planned.iter().filter_map(|planned| planned.plan.as_ref())
    }

    /// Why the batch does nothing, one line each; nothing when it does something. Together with
    /// [`explain_empty`](jml_core::explain::explain_empty), which says whom the policy leaves out.
    #[must_use]
    pub fn why_nothing(&self) -> Vec<String> {
        if self.plans().next().is_some() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (provider, error) in &self.unread {
            lines.push(format!("provider `{provider}` could not be read: {error}"));
        }
        let mut why: BTreeMap<&str, usize> = BTreeMap::new();
        for wait in self.planned.iter().flat_map(|planned| &planned.waits) {
            *why.entry(&wait.why).or_insert(0) += 1;
        }
        for (why, count) in why {
            lines.push(format!("{count} changes wait: {why}"));
        }
        let counts = [
            (self.under_way.len(), "people have their change under way in an open run"),
            (self.refused.len(), "plans were refused by lint"),
            (self.withdrawn.len(), "people have a run that is withdrawn"),
        ];
        lines.extend(counts.iter().filter(|it| it.0 > 0).map(|(n, what)| format!("{n} {what}")));
        let foreign = self.planned.iter().flat_map(|planned| &planned.delta.access);
        let foreign = foreign.filter(|line| matches!(line.verdict, Verdict::Foreign(_))).count();
        if foreign > 0 {
            lines.push(format!(
                "{foreign} entitlements are held that no claim explains, and left alone"
            ));
        }
        let calm =
            self.planned.iter().filter(|it| it.delta.is_empty() && it.waits.is_empty()).count();
        lines.push(format!("{calm} of {} people have what they should have", self.planned.len()));
        lines
    }

    /// The earliest instant at which somebody's access changes by itself.
    #[must_use]
    pub fn next_change_at(&self) -> Option<DateTime<Utc>> {
        self.planned.iter().filter_map(|planned| planned.next_change_at).min()
    }
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Executed {
    /// Its runs, in the order in which they were driven.
    pub runs: Vec<RunReport>,
    /// People for whom another plan was opened since the batch was prepared. Nothing was done for them;
    /// preparing again looks at them anew.
    pub overtaken: BTreeSet<IdentityId>,
}

/// What a batch would do.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Simulation {
    /// Its runs, as they would go with every gate agreed.
    pub runs: Vec<RunReport>,
    /// What each target that can be read would hold then. Accounts that would be made have made-up ids.
    pub after: BTreeMap<ProviderId, Snapshot>,
}

/// Runs of a batch that were opened and wait for a driver.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Enqueued {
    /// The runs.
    pub runs: Vec<RunId>,
    /// As in [`Executed::overtaken`].
    pub overtaken: BTreeSet<IdentityId>,
}

/// What came of taking up open runs.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Worked {
    /// The runs that were driven here, and where they stand.
    pub runs: Vec<RunReport>,
    /// Runs that another process has.
    pub elsewhere: BTreeSet<RunId>,
}

impl Worked {
    /// When to take up runs again at the latest, if nobody decides or completes anything before.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.runs.iter().filter_map(|report| report.driven.until()).min()
    }
}

/// Somebody's decision at a gate.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Vote<'a> {
    /// Of which run.
    pub run: &'a RunId,
    /// Which gate.
    pub gate: &'a GateId,
    /// Whose.
    pub by: &'a IdentityId,
    /// Yes or no.
    pub decision: Decision,
    /// Why, in their words.
    pub why: &'a str,
}

/// What came of a run.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RunReport {
    /// Where it was left.
    pub driven: Driven,
    /// Where it stands.
    pub view: RunView,
}

impl Engine {
    /// An engine over ports.
    #[must_use]
    pub fn new(ports: Ports, zones: Arc<dyn ZoneResolver>) -> Self {
        Self { ports, zones, evidence: None, history: Mutex::default() }
    }

    /// The same with a place for evidence.
    #[must_use]
    pub fn with_evidence(mut self, sink: Arc<dyn EvidenceSink>) -> Self {
        self.evidence = Some(sink);
        self
    }

    /// What the engine works with.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Reads every provider and correlates what it holds to people. A provider that cannot be read is
    /// reported and left out.
    pub async fn observe(
        &self,
        policy: &Policy,
        facts: &Facts,
        at: DateTime<Utc>,
    ) -> (World, BTreeMap<ProviderId, Error>) {
        let cx = Cx::new(self.ports.clock.clone());
        let mut unread = BTreeMap::new();
        let mut seen: Vec<(&Descriptor, DateTime<Utc>, Snapshot)> = Vec::new();
        for (id, provider) in &self.ports.providers {
            match snapshot(provider.as_ref(), &cx).await {
                Ok(snapshot) => seen.push((provider.descriptor(), cx.now(), snapshot)),
                Err(error) => {
                    unread.insert(id.clone(), error);
                }
            }
        }
        (World::new(seen, facts, policy, at), unread)
    }

    /// Plans for the selected people and judges the batch as a whole. Writes nothing.
    ///
    /// # Errors
    /// [`EngineError`] when planning or the journal fails.
    pub async fn prepare(&self, request: &Request<'_>) -> Result<Batch, EngineError> {
        let Request { policy, facts, who, hint, cause, at } = *request;
        let (mut world, unread) = self.observe(policy, facts, at).await;
        let history = self.history.lock().await.refresh(self.ports.journal.as_ref()).await?;
        let policy_digest = policy.digest()?;
        let seen = world.clone();
        let mut batch = Batch {
            planned: Vec::new(),
            brakes: BrakeReport { tripped: Vec::new(), batch: Digest::plain(b"") },
            notes: BTreeMap::new(),
            refused: BTreeSet::new(),
            under_way: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            unread,
            world: World::default(),
            ledger: Ledger::default(),
        };
        let nothing = BTreeSet::new();
        let deciders = Deciders { policy, facts, zones: self.zones.as_ref(), at };
        for (id, known) in &facts.people {
            if matches!(who, Selection::Only(only) if !only.contains(id)) {
                continue;
            }
            let mut person = known.clone();
            person.raised_tasks.extend(history.raised.get(id).into_iter().flatten().cloned());
            let wanted = desired(policy, &person, self.zones.as_ref(), at);
            let mut planned = plan(&PlanInput {
                policy,
                policy_digest: &policy_digest,
                facts: &person,
                deciders,
                desired: &wanted,
                world: &world,
                ledger: &history.ledger,
                refused: history.refused.get(id).unwrap_or(&nothing),
                hint,
                cause,
                at,
                parent: history.last_plan.get(id).copied(),
            })?;
            if let Some(plan) = &planned.plan {
                let notes = lint(plan, policy, &world);
                if notes.iter().any(|note| note.severity == Severity::Refuse) {
                    batch.refused.insert(id.clone());
                }
                if !notes.is_empty() {
                    batch.notes.insert(id.clone(), notes);
                }
                let meanings: BTreeSet<Digest> =
                    plan.steps().keys().filter_map(|step| plan.step_digest(step)).collect();
                let open = history.open.get(id).into_iter().flatten();
                let notices: BTreeSet<Digest> = plan
                    .steps()
                    .iter()
                    .filter(|(_, step)| step.rank == Rank::Courtesy)
                    .filter_map(|(step, _)| plan.step_digest(step))
                    .collect();
                let needed = || meanings.difference(&notices);
                let has = |run: &&OpenRun| {
                    !run.only_tasks
                        && needed().all(|meaning| run.open.contains(meaning))
                        && run
                            .gives
                            .iter()
                            .all(|given| is_wanted(given, &meanings, &planned, &seen))
                };
                if let Some(run) = open.clone().find(has) {
                    batch.under_way.insert(id.clone(), run.run.clone());
                }
            }
            if planned.plan.is_none() {
                let nothing = BTreeSet::new();
                let idle = |run: &&OpenRun| {
                    run.gives.iter().any(|given| !is_wanted(given, &nothing, &planned, &seen))
                };
                let runs = history.open.get(id).into_iter().flatten().filter(idle);
                let runs: BTreeSet<RunId> = runs.map(|run| run.run.clone()).collect();
                if !runs.is_empty() {
                    batch.withdrawn.insert(id.clone(), runs);
                }
            }
            if batch.refused.contains(id) || batch.under_way.contains_key(id) {
                planned.plan = None;
            }
            if planned.plan.is_some() {
                // The next plan must not count on a holder whom this one takes away.
                for line in planned.delta.with(Verdict::Revoke) {
                    world.expect_holders(&line.entitlement, -1);
                }
            }
            batch.planned.push(planned);
        }
        batch.brakes = brake::judge(&policy.brakes, &batch.planned, &seen, &history.leavers, at)?;
        batch.world = seen;
        batch.ledger = history.ledger;
        Ok(batch)
    }

    /// Runs the plans of a batch, those that contain somebody first. All or nothing: when a brake tripped
    /// and no override covers exactly this batch, nothing is done. Every run is opened, durably, before the
    /// first one changes anything; a crash after that leaves them to [`work`](Self::work).
    ///
    /// # Errors
    /// [`EngineError::Braked`]; [`EngineError::Busy`] when another process opens runs at this moment; or
    /// what stopped a run.
    pub async fn execute(
        &self,
        batch: Batch,
        by_override: Option<&Override>,
    ) -> Result<Executed, EngineError> {
        let (machines, overtaken) = self.open_all(batch, by_override).await?;
        let mut runs = Vec::new();
        for machine in machines {
            runs.push(self.go(machine).await?);
        }
        Ok(Executed { runs, overtaken })
    }

    /// Opens the runs of a batch without driving them: for processes that plan and leave the work to
    /// others, who take it up with [`work`](Self::work). Otherwise like [`execute`](Self::execute).
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn enqueue(
        &self,
        batch: Batch,
        by_override: Option<&Override>,
    ) -> Result<Enqueued, EngineError> {
        let (machines, overtaken) = self.open_all(batch, by_override).await?;
        let runs = machines.iter().map(|machine| machine.run().clone()).collect();
        Ok(Enqueued { runs, overtaken })
    }

    async fn open_all(
        &self,
        batch: Batch,
        by_override: Option<&Override>,
    ) -> Result<(Vec<Machine>, BTreeSet<IdentityId>), EngineError> {
        let now = self.ports.clock.now();
        let braked = !batch.brakes.tripped.is_empty();
        let released = by_override.filter(|o| o.covers(&batch.brakes, now));
        if braked && released.is_none() {
            return Err(EngineError::Braked(batch.brakes));
        }
        let mut plans: Vec<_> = batch.planned.into_iter().filter_map(|p| p.plan).collect();
        plans.sort_by_key(|plan| {
            let contains = plan.steps().values().any(|step| step.rank == Rank::Contain);
            (!contains, plan.header().identity.clone())
        });
        let claim = self.ports.journal.claim("planner").await?.ok_or(EngineError::Busy)?;
        let history = self.history.lock().await.refresh(self.ports.journal.as_ref()).await?;
        for run in batch.withdrawn.values().flatten() {
            let why = SmolStr::new("what it would give is not wanted any more");
            match self.with_run(run, Input::Withdraw { why }).await {
                Err(error) if error.is_overtaken() => {}
                other => drop(other?),
            }
        }
        let mut machines = Vec::new();
        let mut overtaken = BTreeSet::new();
        for plan in plans {
            let identity = &plan.header().identity;
            if history.last_plan.get(identity) != plan.header().parent.as_ref() {
                // Somebody planned for this person since; which of the two plans is right, only a new
                // look can tell.
                overtaken.insert(identity.clone());
                continue;
            }
            for open in history.open.get(identity).into_iter().flatten() {
                if !open.only_tasks {
                    let input = Input::Supersede { by: *plan.id() };
                    self.with_run(&open.run, input).await?;
                }
            }
            let limits = self.ports.limits();
            let mut machine = Machine::start(plan, RunMode::Executed, limits, now)?;
            if let Some(o) = released.filter(|_| braked) {
                let (batch, by, why) = (o.batch, o.by.clone(), SmolStr::new(&o.why));
                hand(&mut machine, now, Input::Overridden { batch, by, why })?;
            }
            let identity = machine.plan().header().identity.clone();
            let gates: Vec<_> = machine.plan().gates().clone().into_iter().collect();
            for (gate, what) in gates {
                let decisions = history.kept(&identity, &what);
                hand(&mut machine, now, Input::Kept { gate, decisions })?;
            }
            drive::open(&mut machine, &self.ports).await?;
            machines.push(machine);
        }
        drop(claim);
        Ok((machines, overtaken))
    }

    /// Runs the plans of a batch over copies of the targets. No target is written to, no journal kept, nobody
    /// told, no brake asked, and every gate is taken as agreed, so that the whole of each plan is seen.
    ///
    /// # Errors
    /// What stopped a run.
    pub async fn simulate(&self, batch: &Batch) -> Result<Simulation, EngineError> {
        let mut ports = self.ports.clone();
        ports.journal = Arc::new(MemoryStore::new());
        ports.people = Arc::new(crate::ports::Silent);
        for provider in ports.providers.values_mut() {
            *provider = Arc::new(Overlay::new(provider.clone()));
        }
        let mut runs = Vec::new();
        for plan in batch.plans() {
            let now = ports.clock.now();
            let mut machine =
                Machine::start(plan.clone(), RunMode::Simulated, ports.limits(), now)?;
            let mut driven = drive(&mut machine, &ports).await?;
            for (id, gate) in plan.gates() {
                let seats = gate.stages.iter().map(|stage| usize::from(stage.rule.quorum)).sum();
                for _ in 0..seats {
                    let Some(by) = machine.next_decider(id) else { break };
                    let (gate, why) = (id.clone(), SmolStr::new("simulated"));
                    let decision = Decision::Approved;
                    hand(&mut machine, now, Input::Decided { gate, by, decision, why })?;
                    driven = drive(&mut machine, &ports).await?;
                }
            }
            runs.push(RunReport { driven, view: machine.view() });
        }
        let cx = Cx::new(ports.clock.clone());
        let mut after = BTreeMap::new();
        for (id, provider) in &ports.providers {
            if let Ok(snapshot) = snapshot(provider.as_ref(), &cx).await {
                after.insert(id.clone(), snapshot);
            }
        }
        Ok(Simulation { runs, after })
    }

    /// Takes up every run that is not closed, one after the other, and seals whatever evidence is missing.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn resume(&self) -> Result<Vec<RunReport>, EngineError> {
        if self.evidence.is_some() {
            for run in self.ports.journal.runs().await? {
                let entries = self.ports.journal.load(&run).await?;
                self.seal(&run, &entries)?;
            }
        }
        Ok(self.work(1).await?.runs)
    }

    /// Takes up the runs that are not closed and that no other process has claimed, so many at once. Any
    /// number of processes may call it on one store at the same time.
    ///
    /// # Errors
    /// The first thing that stopped a run, after all others went as far as they could. That another driver
    /// wrote to a run first is none: the run is its own then.
    pub async fn work(&self, at_once: usize) -> Result<Worked, EngineError> {
        let open = self.ports.journal.open_runs().await?;
        let mut taken = futures::stream::iter(open)
            .map(|run| async move {
                let report = self.take_up(&run).await;
                (run, report)
            })
            .buffered(at_once.max(1));
        let (mut worked, mut first) = (Worked::default(), None);
        while let Some((run, report)) = taken.next().await {
            match report {
                Ok(Some(report)) => worked.runs.push(report),
                Ok(None) => {
                    worked.elsewhere.insert(run);
                }
                Err(error) if error.is_overtaken() => {
                    worked.elsewhere.insert(run);
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(worked), Err)
    }

    /// Drives one run, if nobody else has it and it is still open.
    async fn take_up(&self, run: &RunId) -> Result<Option<RunReport>, EngineError> {
        let Some(_claim) = self.ports.journal.claim(run.as_str()).await? else { return Ok(None) };
        let entries = self.ports.journal.load(run).await?;
        if matches!(entries.last().map(|e| &e.fact), Some(Fact::Closed { .. })) {
            return Ok(None);
        }
        let machine = self.open(run, &entries)?;
        Ok(Some(self.go(machine).await?))
    }

    /// Takes a decision at a gate and drives the run on. Who may decide is looked up now, not when they
    /// were asked: somebody who left meanwhile decides nothing.
    ///
    /// # Errors
    /// [`EngineError::NotTaken`] when the decision does not count; the journal says so too.
    pub async fn decide(
        &self,
        vote: &Vote<'_>,
        policy: &Policy,
        facts: &Facts,
    ) -> Result<RunReport, EngineError> {
        let Vote { run, gate, by, decision, why } = *vote;
        let mut machine = self.open(run, &self.load(run).await?)?;
        self.seat(&mut machine, policy, facts).await?;
        let before = self.ports.journal.load(run).await?.len();
        let (gate_id, by, why) = (gate.clone(), by.clone(), SmolStr::new(why));
        let input = Input::Decided { gate: gate_id, by, decision, why };
        hand(&mut machine, self.ports.clock.now(), input)?;
        let report = self.go(machine).await?;
        let entries = self.ports.journal.load(run).await?;
        let new = entries.get(before..).unwrap_or_default();
        let refusal = new.iter().find_map(|entry| match &entry.fact {
            Fact::DecisionRefused { why, .. } => Some(why.to_string()),
            _ => None,
        });
        let counted = new.iter().any(|e| matches!(e.fact, Fact::GateDecided { .. }));
        match refusal {
            Some(why) => Err(EngineError::NotTaken(why)),
            None if !counted => {
                Err(EngineError::NotTaken(format!("run `{run}` has no open gate `{gate}`")))
            }
            None => Ok(report),
        }
    }

    /// Looks up anew who may decide at every gate that waits, and asks whoever is new. To be called when
    /// facts changed: a manager moved, an owner left, somebody delegated.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn reseat(&self, policy: &Policy, facts: &Facts) -> Result<(), EngineError> {
        for run in self.ports.journal.open_runs().await? {
            let mut machine = self.open(&run, &self.load(&run).await?)?;
            if machine.open_gates().next().is_none() {
                continue;
            }
            match self.seat(&mut machine, policy, facts).await {
                Err(error) if error.is_overtaken() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Hands in who may decide as of now, and drives the run until that is in its journal.
    async fn seat(
        &self,
        machine: &mut Machine,
        policy: &Policy,
        facts: &Facts,
    ) -> Result<(), EngineError> {
        let at = self.ports.clock.now();
        let deciders = Deciders { policy, facts, zones: self.zones.as_ref(), at };
        let plan = machine.plan().clone();
        let mut inputs = Vec::new();
        for (id, gate, state) in machine.open_gates() {
            let Some(stage) = state.stage_of(gate) else { continue };
            let covers: Vec<EntitlementRef> =
                gate.covers.keys().filter_map(|step| plan.steps().get(step)?.gives()).collect();
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
        if inputs.is_empty() {
            return Ok(());
        }
        // First what is due by itself, so that a stage that waits for nobody yet is asked.
        drive(machine, &self.ports).await?;
        for input in inputs {
            hand(machine, at, input)?;
        }
        drive(machine, &self.ports).await?;
        Ok(())
    }

    /// Takes the proof that a task was done and drives the run on.
    ///
    /// # Errors
    /// [`EngineError::NotTaken`] when nobody has that task.
    pub async fn complete_task(
        &self,
        run: &RunId,
        step: &StepId,
        by: &IdentityId,
        proof: &str,
    ) -> Result<RunReport, EngineError> {
        let before = self.ports.journal.load(run).await?.len();
        let (step_id, by, proof) = (step.clone(), by.clone(), SmolStr::new(proof));
        let report = self.with_run(run, Input::TaskDone { step: step_id, by, proof }).await?;
        let entries = self.ports.journal.load(run).await?;
        let new = entries.get(before..).unwrap_or_default();
        if new.iter().any(|e| matches!(e.fact, Fact::TaskDone { .. })) {
            Ok(report)
        } else {
            Err(EngineError::NotTaken(format!("nobody has task `{step}` of run `{run}`")))
        }
    }

    /// Every run, in the order in which they were opened.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn views(&self) -> Result<Vec<RunView>, EngineError> {
        let mut views = Vec::new();
        for run in self.ports.journal.runs().await? {
            let entries = self.ports.journal.load(&run).await?;
            views.push(self.open(&run, &entries)?.view());
        }
        Ok(views)
    }

    /// One run.
    ///
    /// # Errors
    /// [`EngineError::NoRun`].
    pub async fn view(&self, run: &RunId) -> Result<RunView, EngineError> {
        let entries = self.load(run).await?;
        Ok(self.open(run, &entries)?.view())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, EngineError> {
        let entries = self.ports.journal.load(run).await?;
        if entries.is_empty() { Err(EngineError::NoRun(run.clone())) } else { Ok(entries) }
    }

    fn open(&self, run: &RunId, entries: &[Entry]) -> Result<Machine, EngineError> {
        Machine::open(entries, self.ports.limits())
            .map_err(|source| EngineError::Replay { run: run.clone(), source })
    }

    async fn with_run(&self, run: &RunId, input: Input) -> Result<RunReport, EngineError> {
        let entries = self.load(run).await?;
        let mut machine = self.open(run, &entries)?;
        hand(&mut machine, self.ports.clock.now(), input)?;
        self.go(machine).await
    }

    async fn go(&self, mut machine: Machine) -> Result<RunReport, EngineError> {
        let driven = drive(&mut machine, &self.ports).await?;
        if self.evidence.is_some() {
            let entries = self.ports.journal.load(machine.run()).await?;
            self.seal(machine.run(), &entries)?;
        }
        Ok(RunReport { driven, view: machine.view() })
    }

    fn seal(&self, run: &RunId, entries: &[Entry]) -> Result<(), EngineError> {
        let Some(sink) = &self.evidence else { return Ok(()) };
        sink.seal(entries).map_err(|what| EngineError::Evidence { run: run.clone(), what })
    }
}

/// Whether what an open step would give is still wanted: planned again, claimed, or there already. What
/// cannot be seen is taken for wanted; nothing is given there while it cannot be seen.
fn is_wanted(
    given: &Given,
    planned_again: &BTreeSet<Digest>,
    planned: &Planned,
    seen: &World,
) -> bool {
    let Given { meaning, provider, op } = given;
    if planned_again.contains(meaning) || !seen.providers().contains_key(provider) {
        return true;
    }
    let delta = &planned.delta;
    let account = seen.primary(&delta.identity, provider).map(|(_, state)| state.clone());
    match op {
        Operation::Grant { entitlement } | Operation::Exchange { grant: entitlement, .. } => {
            let at = EntitlementRef::new(provider.clone(), entitlement.clone());
            delta.access.iter().any(|line| {
                line.entitlement == at && matches!(line.verdict, Verdict::Grant | Verdict::Keep)
            })
        }
        Operation::CreateAccount { .. } => {
            let makes = |line: &AccountLine| matches!(line, AccountLine::Create { provider: at, .. } if at == provider);
            account.is_some() || delta.accounts.iter().any(makes)
        }
        _ => account.is_some_and(|state| op.satisfied_by(&Observation::Present(state.into()))),
    }
}

fn hand(machine: &mut Machine, now: DateTime<Utc>, input: Input) -> Result<(), EngineError> {
    let run = machine.run().clone();
    machine.handle(now, input).map_err(|source| EngineError::Replay { run, source })
}
