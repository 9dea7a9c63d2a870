//! Plan lint: checks on a sealed plan, each with a stable code. See `docs/lints.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jml_core::account::{AccountRef, AccountStatus};
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{IdentityId, StepId};
use jml_core::plan::{Late, LifecycleKind, OnStale, Plan, Rank, Stage, Step, StepKind};
use jml_core::policy::Policy;
use jml_core::provider::Operation;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::world::World;

/// How bad a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "stop, look, know")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warn,
    /// The plan must not run.
    Refuse,
}

/// One thing that lint has to say about a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Note {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code, such as `JML-L001`.
    pub code: SmolStr,
    /// The step that it is about.
    pub step: Option<StepId>,
    /// In people's words.
    pub text: SmolStr,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(step) = &self.step {
            write!(f, " step `{step}`")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Runs every check. Worst first.
#[must_use]
pub fn lint(plan: &Plan, policy: &Policy, world: &World) -> Vec<Note> {
    let check = Check { plan, policy, world };
    let mut notes: Vec<Note> = [
        check.containment_waits(),
        check.revoke_gated(),
        check.conflict_unordered(),
        check.stale_grant(),
        check.protected(),
        check.last_holder(),
        check.self_approval(),
        check.two_writers(),
        check.late_deadline(),
        check.deletes_beside(),
        check.early_privilege(),
        check.unknown_access(),
    ]
    .into_iter()
    .flatten()
    .collect();
    notes.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    notes
}

struct Check<'a> {
    plan: &'a Plan,
    policy: &'a Policy,
    world: &'a World,
}

fn note(severity: Severity, code: &str, step: Option<&StepId>, text: impl AsRef<str>) -> Note {
    Note { severity, code: SmolStr::new(code), step: step.cloned(), text: SmolStr::new(text) }
}

/// What a step gives and takes.
fn access(step: &Step) -> (Option<EntitlementRef>, Option<EntitlementRef>) {
    let StepKind::Change { provider, op, .. } = &step.kind else { return (None, None) };
    let at = |key: &_| Some(EntitlementRef::new(provider.clone(), Clone::clone(key)));
    match op {
        Operation::Grant { entitlement } => (at(entitlement), None),
        Operation::Revoke { entitlement } => (None, at(entitlement)),
        Operation::Exchange { revoke, grant } => (at(grant), at(revoke)),
        _ => (None, None),
    }
}

impl Check<'_> {
    fn steps(&self) -> impl Iterator<Item = (&StepId, &Step)> {
        self.plan.steps().iter()
    }

    /// JML-L001: a containment step waits for a gate or for something of a later rank.
    fn containment_waits(&self) -> Vec<Note> {
        let later = |step: &Step| {
            step.after
                .keys()
                .any(|id| self.plan.steps().get(id).is_some_and(|s| s.rank > Rank::Contain))
        };
        self.steps()
            .filter(|(_, step)| step.rank == Rank::Contain && (step.gate.is_some() || later(step)))
            .map(|(id, _)| {
                note(
                    Severity::Refuse,
                    "JML-L001",
                    Some(id),
                    "containment waits for something later",
                )
            })
            .collect()
    }

    /// JML-L002: something that takes access away waits at a gate.
    fn revoke_gated(&self) -> Vec<Note> {
        self.steps()
            .filter(|(_, step)| {
                step.gate.is_some() && step.operation().is_some_and(Operation::takes_away)
            })
            .map(|(id, _)| note(Severity::Refuse, "JML-L002", Some(id), "a revoke waits at a gate"))
            .collect()
    }

    /// JML-L003: a grant and the revoke of what conflicts with it are not ordered, so that for a while
    /// both could be held.
    fn conflict_unordered(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for (revoke_id, revoke) in self.steps() {
            let (None, Some(taken)) = access(revoke) else { continue };
            for (grant_id, grant) in self.steps() {
                let (Some(given), _) = access(grant) else { continue };
                let conflict = self.policy.sod.values().any(|rule| rule.separates(&taken, &given));
                if conflict && !self.before(revoke_id, grant_id) {
                    let text = format!("`{given}` could be held together with `{taken}`");
                    notes.push(note(Severity::Refuse, "JML-L003", Some(grant_id), text));
                }
            }
        }
        notes
    }

    fn before(&self, first: &StepId, then: &StepId) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = vec![then];
        while let Some(id) = todo.pop() {
            let Some(step) = self.plan.steps().get(id) else { continue };
            for earlier in step.after.keys() {
                if earlier == first {
                    return true;
                }
                if seen.insert(earlier) {
                    todo.push(earlier);
                }
            }
        }
        false
    }

    /// JML-L004: a change that gives something would be applied to a changed account.
    fn stale_grant(&self) -> Vec<Note> {
        let gives = |step: &Step| step.operation().is_some_and(|op| !op.takes_away());
        self.steps()
            .filter(|(_, step)| step.on_stale == OnStale::ApplyAnyway && gives(step))
            .map(|(id, _)| {
                note(Severity::Refuse, "JML-L004", Some(id), "gives, and ignores staleness")
            })
            .collect()
    }

    /// JML-L005: a protected account is changed.
    fn protected(&self) -> Vec<Note> {
        self.steps()
            .filter_map(|(id, step)| {
                let StepKind::Change { provider, account: Some(Late::Known(account)), .. } =
                    &step.kind
                else {
                    return None;
                };
                let at = AccountRef::new(provider.clone(), account.clone());
                let hit = self.policy.protected.accounts.contains(&at);
                hit.then(|| {
                    let text = format!("`{at}` is protected");
                    note(Severity::Refuse, "JML-L005", Some(id), text)
                })
            })
            .collect()
    }

    /// JML-L006: the last holder of something that must have one loses it.
    fn last_holder(&self) -> Vec<Note> {
        let mut lost: BTreeMap<EntitlementRef, (u32, StepId)> = BTreeMap::new();
        for (id, step) in self.steps() {
            if let (_, Some(taken)) = access(step)
                && self.policy.protected.last_holder.contains(&taken)
            {
                lost.entry(taken).or_insert((0, id.clone())).0 += 1;
            }
        }
        lost.into_iter()
            .filter(|(entitlement, (count, _))| self.world.holders(entitlement) <= *count)
            .map(|(entitlement, (_, step))| {
                let text = format!("nobody would hold `{entitlement}` any more");
                note(Severity::Refuse, "JML-L006", Some(&step), text)
            })
            .collect()
    }

    /// JML-L007: the person whom the plan is about could decide about it.
    fn self_approval(&self) -> Vec<Note> {
        let subject: &IdentityId = &self.plan.header().identity;
        let gates = self.plan.gates().iter();
        gates
            .filter(|(_, gate)| {
                let has = |it: &Stage| {
                    it.panel.contains_key(subject) || it.escalated.contains_key(subject)
                };
                gate.stages.iter().any(has)
            })
            .map(|(id, _)| {
                let text =
                    format!("`{subject}` could decide at gate `{id}` about their own access");
                note(Severity::Refuse, "JML-L007", None, text)
            })
            .collect()
    }

    /// JML-L008: two steps write the same attribute of the same account.
    fn two_writers(&self) -> Vec<Note> {
        let mut writers: BTreeMap<String, &StepId> = BTreeMap::new();
        let mut notes = Vec::new();
        for (id, step) in self.steps() {
            let StepKind::Change { provider, account, op } = &step.kind else { continue };
            let Operation::UpdateAccount { set, clear, .. } = op else { continue };
            for name in set.keys().chain(clear) {
                let key = format!("{provider} {account:?} {name}");
                if let Some(other) = writers.insert(key, id) {
                    let text = format!("`{name}` is written by step `{other}` too");
                    notes.push(note(Severity::Refuse, "JML-L008", Some(id), text));
                }
            }
        }
        notes
    }

    /// JML-L009: a deadline passed before the plan was made.
    fn late_deadline(&self) -> Vec<Note> {
        let made = self.plan.header().made_at;
        self.steps()
            .filter(|(_, step)| step.deadline.is_some_and(|deadline| deadline < made))
            .map(|(id, _)| {
                note(Severity::Warn, "JML-L009", Some(id), "its deadline is in the past")
            })
            .collect()
    }

    /// JML-L010: an account is deleted by a plan that does other things, too. Sealing refuses it in a plan
    /// of another kind.
    fn deletes_beside(&self) -> Vec<Note> {
        let deletes = |op: &Operation| *op == Operation::DeleteAccount;
        let others = self.steps().filter_map(|(_, step)| step.operation()).any(|op| {
            let archives = Operation::SetStatus { status: AccountStatus::Archived };
            !deletes(op) && *op != archives
        });
        self.steps()
            .filter(|(_, step)| others && step.operation().is_some_and(deletes))
            .map(|(id, _)| {
                let text = "deletion belongs in a plan of its own, after retention";
                note(Severity::Refuse, "JML-L010", Some(id), text)
            })
            .collect()
    }

    /// JML-L011: privileged access is granted before the first day.
    fn early_privilege(&self) -> Vec<Note> {
        let early = self.plan.header().kind == LifecycleKind::PreHire;
        self.steps()
            .filter_map(|(id, step)| {
                let (Some(given), _) = access(step) else { return None };
                (early && self.policy.sensitivity(&given).is_critical()).then(|| {
                    let text = format!("`{given}` begins before the first day");
                    note(Severity::Refuse, "JML-L011", Some(id), text)
                })
            })
            .collect()
    }

    /// JML-L012: something is granted that the catalogue does not hold.
    fn unknown_access(&self) -> Vec<Note> {
        self.steps()
            .filter_map(|(id, step)| {
                let (Some(given), _) = access(step) else { return None };
                (!self.policy.entitlements.contains_key(&given)).then(|| {
                    let text = format!("`{given}` is not in the catalogue");
                    note(Severity::Refuse, "JML-L012", Some(id), text)
                })
            })
            .collect()
    }
}
