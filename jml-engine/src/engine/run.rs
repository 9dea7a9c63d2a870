//! Opening runs and driving them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use jml_core::id::{IdentityId, RunId};
use jml_core::journal::{Decision, Fact, RunMode};
use jml_core::plan::Rank;
use jml_core::provider::{Cx, Overlay, snapshot};
use smol_str::SmolStr;

use super::{
    Batch, Engine, EngineError, Enqueued, Executed, Openings, RunReport, Simulation, Worked, hand,
};
use crate::brake::Override;
use crate::drive::{self, drive};
use crate::machine::{Machine, Opening, Overridden, Word};
use crate::store::MemoryStore;

impl Engine {
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
        let claim = self.ports.journal.claim("planner").await?.ok_or(EngineError::Busy)?;
        let Openings { openings, withdrawn, overtaken } = self.openings(batch, by_override).await?;
        for run in &withdrawn {
            let why = SmolStr::new(Openings::WITHDRAWN);
            match self.with_run(run, Word::Withdraw { why }).await {
                Err(error) if error.is_overtaken() => {}
                other => drop(other?),
            }
        }
        let mut machines = Vec::new();
        for opening in openings {
            for run in &opening.supersedes {
                self.with_run(run, Word::Supersede { by: *opening.plan.id() }).await?;
            }
            let mut machine = opening.start(self.ports.limits(), self.ports.clock.now())?;
            drive::open(&mut machine, &self.ports).await?;
            machines.push(machine);
        }
        drop(claim);
        Ok((machines, overtaken))
    }

    /// What opening the runs of a batch takes, as data, for whoever has runs driven elsewhere. Nothing is
    /// opened here. In the order in which they should be: those that contain somebody first.
    ///
    /// Only one process may open runs at a time; whoever calls this sees to it.
    ///
    /// # Errors
    /// [`EngineError::Braked`] when a brake tripped and no override covers exactly this batch; or the journal's.
    pub async fn openings(
        &self,
        batch: Batch,
        by_override: Option<&Override>,
    ) -> Result<Openings, EngineError> {
        let now = self.ports.clock.now();
        let braked = !batch.brakes.tripped.is_empty();
        let released = by_override.filter(|o| o.covers(&batch.brakes, now));
        if braked && released.is_none() {
            return Err(EngineError::Braked(batch.brakes));
        }
        let overridden = released.filter(|_| braked).map(|o| {
            let (batch, by, why) = (o.batch, o.by.clone(), SmolStr::new(&o.why));
            Overridden { batch, by, why }
        });
        let mut plans: Vec<_> = batch.planned.into_iter().filter_map(|p| p.plan).collect();
        plans.sort_by_key(|plan| {
            let contains = plan.steps().values().any(|step| step.rank == Rank::Contain);
            (!contains, plan.header().identity.clone())
        });
        let history = self.history.lock().await.refresh(self.ports.journal.as_ref()).await?;
        let withdrawn = batch.withdrawn.into_values().flatten().collect();
        let mut all = Openings { openings: Vec::new(), withdrawn, overtaken: BTreeSet::new() };
        for plan in plans {
            let identity = &plan.header().identity;
            if history.last_plan.get(identity) != plan.header().parent.as_ref() {
                // Somebody planned for this person since; which of the two plans is right, only a new
                // look can tell.
                all.overtaken.insert(identity.clone());
                continue;
            }
            let open = history.open.get(identity).into_iter().flatten();
            let supersedes = open.filter(|it| !it.only_tasks).map(|it| it.run.clone()).collect();
            let gates = plan.gates().iter();
            let kept = gates.map(|(id, gate)| (id.clone(), history.kept(identity, gate)));
            let kept = kept.filter(|(_, decisions)| !decisions.is_empty()).collect();
            let overridden = overridden.clone();
            all.openings.push(Opening { kept, supersedes, overridden, plan });
        }
        Ok(all)
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
                    hand(&mut machine, now, Word::Decided { gate, by, decision, why })?;
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
}
