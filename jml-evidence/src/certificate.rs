//! Certificates: what one run did about each way in, how soon, and what is left over.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountStatus, Left};
use jml_core::digest::Digest;
use jml_core::id::{IdentityId, RunId, StepId};
use jml_core::journal::{Entry, Fact, RunMode, RunOutcome};
use jml_core::plan::{Confirm, LifecycleKind, Plan, Rank, StepKind};
use jml_core::provider::{Observation, Operation};
use serde::Serialize;

/// What one run proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Certificate {
    /// Format version.
    pub version: u16,
    /// The run.
    pub run: RunId,
    /// The plan's digest.
    pub plan: Digest,
    /// Whom it is about.
    pub identity: IdentityId,
    /// What kind of change.
    pub kind: LifecycleKind,
    /// The instant from which access had to be gone, for leavers.
    pub effective: Option<DateTime<Utc>>,
    /// When the run was opened.
    pub opened: DateTime<Utc>,
    /// When it was closed.
    pub closed: DateTime<Utc>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Each way in and what was done about it.
    pub ways: Vec<Way>,
    /// What is left: access that stays, steps that failed. Empty is the goal.
    pub residual: Vec<String>,
    /// What stays although the person is gone, because somebody answers for it until an instant.
    pub waived: Vec<String>,
}

/// One way in: an account's sign-in, a class of credentials, or critical access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Way {
    /// The target.
    pub target: String,
    /// What.
    pub what: String,
    /// When it was seen to be shut; `None` when it was not.
    pub verified: Option<DateTime<Utc>>,
    /// Seconds from the effective instant, or from the opening of the run, whichever is later known.
    pub seconds: Option<i64>,
}

/// Derives the certificate of a closed run from its journal; `None` while it is open, or for a run that
/// changed no target.
#[must_use]
pub fn certificate(entries: &[Entry]) -> Option<Certificate> {
    let first = entries.first()?;
    let Fact::Opened { run, plan, mode: RunMode::Executed, .. } = &first.fact else { return None };
    let last = entries.last()?;
    let Fact::Closed { outcome } = last.fact else { return None };
    let header = plan.header();
    let from = header.effective.unwrap_or(first.at);
    let mut ways = Vec::new();
    let (mut residual, mut waived) = (Vec::new(), Vec::new());
    for (id, step) in plan.steps() {
        let StepKind::Change { provider, op, .. } = &step.kind else { continue };
        let seen = settled(entries, id);
        if step.rank == Rank::Contain || matches!(op, Operation::Revoke { .. }) {
            let verified = seen.as_ref().ok().copied();
            ways.push(Way {
                target: provider.to_string(),
                what: way(op),
                verified,
                seconds: verified.map(|at| (at - from).num_seconds()),
            });
        }
        if let Err(why) = seen {
            residual.push(format!("{} on {provider}: {why}", way(op)));
        }
    }
    let mut looked = BTreeSet::new();
    for (id, step) in plan.steps() {
        let Some(confirm) = step.confirm() else { continue };
        let at = AccountRef::new(confirm.provider.clone(), confirm.account.clone());
        match last_look(entries, id) {
            Some((found, left)) => {
                residual.extend(left.iter().map(|left| format!("{at}: {left}")));
                waived.extend(excused(&at, confirm, found, last.at));
                looked.insert(at);
            }
            None => residual.push(format!("{at}: nobody looked at it last")),
        }
    }
    // Where there was a last look, it says what is left. Elsewhere the plan knows what it left alone.
    for line in plan.foreign().iter().filter(|line| !looked.contains(&line.account)) {
        residual
            .push(format!("{} on {}: left alone ({:?})", line.entitlement, line.account, line.why));
    }
    Some(Certificate {
        version: 1,
        run: run.clone(),
        plan: *plan.id(),
        identity: header.identity.clone(),
        kind: header.kind,
        effective: header.effective,
        opened: first.at,
        closed: last.at,
        outcome,
        ways,
        residual,
        waived,
    })
}

/// What was read last of an account, and what was left on it.
fn last_look<'a>(entries: &'a [Entry], id: &StepId) -> Option<(&'a Observation, Vec<&'a Left>)> {
    entries.iter().rev().find_map(|entry| match &entry.fact {
        Fact::Verified { step, after, .. } if step == id => Some((after, Vec::new())),
        Fact::Residual { step, left, found } if step == id => Some((found, left.iter().collect())),
        _ => None,
    })
}

/// What stays although the person is gone, because somebody answers for it.
fn excused(
    at: &AccountRef,
    confirm: &Confirm,
    found: &Observation,
    closed: DateTime<Utc>,
) -> Vec<String> {
    let held = found.account().map(|account| &account.holdings);
    let waived = confirm.waived.iter().filter(|(key, waived)| {
        closed < waived.until && held.is_some_and(|held| held.contains(*key))
    });
    waived
        .map(|(key, waived)| {
            format!("{at}: `{key}`, `{}` answers for it until {}", waived.owner, waived.until)
        })
        .collect()
}

/// When a step was seen to have reached its end state, or why not.
fn settled(entries: &[Entry], id: &StepId) -> Result<DateTime<Utc>, String> {
    for entry in entries.iter().rev() {
        match &entry.fact {
            Fact::Verified { step, .. } if step == id => return Ok(entry.at),
            Fact::AcceptedUnverified { step } if step == id => {
                return Err("accepted, cannot be read back".to_owned());
            }
            Fact::Skipped { step, .. } if step == id => return Err("not done".to_owned()),
            Fact::Failed { step, error } if step == id => return Err(format!("failed: {error}")),
            Fact::Stale { step, .. } if step == id => return Err("the account changed".to_owned()),
            _ => {}
        }
    }
    Err("open".to_owned())
}

fn way(op: &Operation) -> String {
    match op {
        Operation::SetStatus { status: AccountStatus::Disabled } => "sign-in blocked".to_owned(),
        Operation::SetStatus { status } => format!("account {}", status.as_str()),
        Operation::RevokeCredentials { class } => class.as_str().to_owned(),
        Operation::Grant { entitlement } => format!("grant {entitlement}"),
        Operation::Revoke { entitlement } => format!("access {entitlement}"),
        Operation::CreateAccount { .. } => "account made".to_owned(),
        Operation::UpdateAccount { .. } => "account attributes".to_owned(),
        Operation::SetMailbox(_) => "mailbox".to_owned(),
        Operation::TransferOwnership { .. } => "ownership".to_owned(),
        other => other.to_string(),
    }
}

impl Certificate {
    /// The longest time that any way in stayed open after the effective instant, in seconds.
    #[must_use]
    pub fn exposure(&self) -> Option<i64> {
        self.ways.iter().filter_map(|way| way.seconds).max()
    }

    /// The plan that the certificate is of, looked up in a journal.
    #[must_use]
    pub fn plan_of(entries: &[Entry]) -> Option<&Plan> {
        match &entries.first()?.fact {
            Fact::Opened { plan, .. } => Some(plan),
            _ => None,
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Certificate: {} of `{}`, run {}",
            self.kind.as_str(),
            self.identity,
            self.run
        )?;
        let shown = |at: &DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        if let Some(effective) = &self.effective {
            writeln!(f, "  access to end  {}", shown(effective))?;
        }
        writeln!(f, "  run            {} to {}", shown(&self.opened), shown(&self.closed))?;
        for way in &self.ways {
            let state = match (&way.verified, way.seconds) {
                (Some(at), Some(seconds)) => format!("{} (after {seconds} s)", shown(at)),
                _ => "NOT VERIFIED".to_owned(),
            };
            writeln!(f, "  {:<10} {:<28} {state}", way.target, way.what)?;
        }
        if self.residual.is_empty() {
            writeln!(f, "  residual       none")?;
        }
        for line in &self.residual {
            writeln!(f, "  RESIDUAL       {line}")?;
        }
        for line in &self.waived {
            writeln!(f, "  waived         {line}")?;
        }
        Ok(())
    }
}
