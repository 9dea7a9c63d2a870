//! What people do to a run: decisions, and tasks that are done.

use jml_core::approval::Deciders;
use jml_core::facts::Facts;
use jml_core::id::{IdentityId, RunId, StepId};
use jml_core::journal::Fact;
use jml_core::policy::Policy;
use smol_str::SmolStr;

use super::{Engine, EngineError, RunReport, Vote, hand};
use crate::drive::drive;
use crate::machine::{Machine, Word};

impl Engine {
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
        let said = Word::Decided { gate: gate_id, by, decision, why };
        hand(&mut machine, self.ports.clock.now(), said)?;
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
        let words = machine.seats(&deciders);
        if words.is_empty() {
            return Ok(());
        }
        // First what is due by itself, so that a stage that waits for nobody yet is asked.
        drive(machine, &self.ports).await?;
        for word in words {
            hand(machine, at, word)?;
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
        let report = self.with_run(run, Word::TaskDone { step: step_id, by, proof }).await?;
        let entries = self.ports.journal.load(run).await?;
        let new = entries.get(before..).unwrap_or_default();
        if new.iter().any(|e| matches!(e.fact, Fact::TaskDone { .. })) {
            Ok(report)
        } else {
            Err(EngineError::NotTaken(format!("nobody has task `{step}` of run `{run}`")))
        }
    }
}
