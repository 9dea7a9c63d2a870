//! The replay itself: facts, claims, delta, plan, provider, and the comparison with the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_core::approval::Deciders;
use jml_core::desired::desired;

use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId, KindId, ProviderId};
use jml_core::plan::{Late, Plan, StepKind};
use jml_core::provider::{
    Change, CompleteSnapshot, Cx, Expect, Observation, Operation, Provider as _, Snapshot, Target,
};
use jml_core::time::TzdbZones;
use jml_diff::{Ledger, PlanInput, World, plan};
use jml_testkit::{ManualClock, Memory};

use crate::file::{ChangeSet, History, Kind, Op};
use crate::model::Model;
use crate::report::Report;
use crate::truth::{Effect, Truth};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Replays a whole history.
pub(crate) fn run(history: &History) -> Result<Report> {
    let mut replay = Replay::new(&history.sets)?;
    for set in &history.sets {
        replay.change_set(set)?;
    }
    replay.finish(history)
}

struct Replay {
    model: Model,
    truth: Truth,
    target: Memory,
    clock: ManualClock,
    cx: Cx,
    /// Which account each person has; the truth speaks of people, the target of accounts.
    accounts: BTreeMap<IdentityId, AccountId>,
    report: Report,
    day: Option<NaiveDate>,
    at: DateTime<Utc>,
    dates: BTreeMap<(String, String), NaiveDate>,
}

impl Replay {
    fn new(sets: &[ChangeSet]) -> Result<Self> {
        let model = Model::new(sets)?;
        let mut target = Memory::new(ProviderId::new("target")?);
        for entitlement in model.policy.entitlements.keys() {
            target = target.define(entitlement.key.clone());
        }
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        Ok(Self {
            model,
            truth: Truth::default(),
            target,
            cx: Cx::new(Arc::new(clock.clone())),
            clock,
            accounts: BTreeMap::new(),
            report: Report::default(),
            day: None,
            at: DateTime::UNIX_EPOCH,
            dates: BTreeMap::new(),
        })
    }

    /// Change sets of one day follow each other by a millisecond, so that time never stands still.
    fn next_instant(&mut self, date: NaiveDate) {
        if self.day == Some(date) {
            self.at += TimeDelta::milliseconds(1);
        } else {
            self.day = Some(date);
            self.report.days += 1;
            self.at = date.and_time(NaiveTime::MIN).and_utc();
        }
        self.clock.set(self.at);
    }

    fn change_set(&mut self, set: &ChangeSet) -> Result<()> {
        self.next_instant(set.date);
        self.report.change_sets += 1;
        self.count(set);
        let effect = self.truth.apply(set);
        self.report.joiners += usize::from(effect.joined);
        self.report.leavers += usize::from(effect.left);
        self.report.rehires += usize::from(effect.rehired);
        self.report.movers += usize::from(effect.moved);
        self.report.template_edits += effect.template_edits;

        let affected = self.model.apply(set, self.at)?;
        let mut size = 0;
        for identity in &affected {
            size += self.settle(identity, &set.subject)?;
        }
        let difference: usize =
            effect.changed.values().map(|(a, b)| a.symmetric_difference(b).count()).sum();
        if size != difference {
            let (date, subject) = (set.date, &set.subject);
            let text = format!("{date} {subject}: plans have {size} steps, the file {difference}");
            self.report.mismatch(text);
        }
        self.compare(&effect, &affected, set)
    }

    fn count(&mut self, set: &ChangeSet) {
        for event in &set.events {
            self.report.lines += 1;
            *self.report.by_kind.entry(event.kind.letter().to_owned()).or_insert(0) += 1;
            if event.kind == Kind::Expiry {
                self.expiry(set, &event.object, event.op);
            }
        }
    }

    /// A date that passed before anybody touched it again was acted on too late.
    fn expiry(&mut self, set: &ChangeSet, object: &str, op: Op) {
        let Some((what, date)) = object.rsplit_once('=') else { return };
        let Ok(date) = NaiveDate::parse_from_str(date, "%Y-%m-%d") else { return };
        let key = (set.subject.clone(), what.to_owned());
        match op {
            Op::Add => {
                self.dates.insert(key, date);
            }
            Op::Remove => {
                let before = self.dates.remove(&key);
                self.report.overdue_dates += usize::from(before.is_some_and(|d| d < set.date));
            }
        }
    }

    /// Plans for one person and carries the plan out. Returns how many grants and revokes it had.
    fn settle(&mut self, identity: &IdentityId, cause: &str) -> Result<usize> {
        let Some(facts) = self.model.facts.people.get(identity) else { return Ok(0) };
        let wanted = desired(&self.model.policy, facts, &TzdbZones, self.at);
        let world = self.look(identity)?;
        let refused = BTreeSet::new();
        let planned = plan(&PlanInput {
            policy: &self.model.policy,
            policy_digest: &self.model.policy_digest,
            facts,
            deciders: Deciders {
                policy: &self.model.policy,
                facts: &self.model.facts,
                zones: &TzdbZones,
                at: self.at,
            },
            desired: &wanted,
            world: &world,
            ledger: &Ledger::default(),
            refused: &refused,
            hint: None,
            cause,
            at: self.at,
            parent: None,
        })?;
        match planned.plan {
            Some(plan) => {
                self.report.plans += 1;
                self.carry_out(identity, &plan)
            }
            None => Ok(0),
        }
    }

    /// What the target holds for one person. One account, read whole, is all that this person's plan
    /// is about, so the snapshot is complete for it.
    fn look(&self, identity: &IdentityId) -> Result<World> {
        let mut accounts = BTreeMap::new();
        if let Some(id) = self.accounts.get(identity) {
            let seen = block_on(self.target.read(&self.cx, &Target::Account(id.clone())))?;
            if let Observation::Present(state) = seen {
                accounts.insert(id.clone(), *state);
            }
        }
        let descriptor = self.target.descriptor();
        let snapshot = CompleteSnapshot::assert_complete(descriptor.id.clone(), self.at, accounts);
        let seen = vec![(descriptor, self.at, Snapshot::Complete(snapshot))];
        let mut alone = jml_core::facts::Facts::default();
        if let Some(facts) = self.model.facts.people.get(identity) {
            alone.people.insert(identity.clone(), facts.clone());
        }
        Ok(World::new(seen, &alone, &self.model.policy, self.at))
    }

    /// Applies the steps in the order of the plan and reads every one back.
    fn carry_out(&mut self, identity: &IdentityId, plan: &Plan) -> Result<usize> {
        let mut size = 0;
        for (id, step) in plan.steps() {
            let StepKind::Change { account, op, .. } = &step.kind else { continue };
            let account = match account {
                None => None,
                Some(Late::Known(account)) => Some(account.clone()),
                Some(Late::From(_)) => self.accounts.get(identity).cloned(),
            };
            let change = Change {
                key: plan.idempotency_key(id),
                account: account.clone(),
                op: op.clone(),
                expect: Expect::Any,
            };
            let outcome = block_on(self.target.apply(&self.cx, &change))?;
            let account = outcome.account.or(account).ok_or("no account")?;
            if op.makes_account() {
                self.accounts.insert(identity.clone(), account.clone());
            }
            match op {
                Operation::Grant { .. } => self.report.grants += 1,
                Operation::Revoke { .. } => self.report.revokes += 1,
                _ => self.report.account_steps += 1,
            }
            size += usize::from(matches!(op, Operation::Grant { .. } | Operation::Revoke { .. }));
            let after = block_on(self.target.read(&self.cx, &Target::Account(account)))?;
            if !op.satisfied_by(&after) {
                self.report.mismatch(format!("{identity}: `{op}` was not there when read back"));
            }
        }
        Ok(size)
    }

    /// Compares the target with the truth: those who changed now, everybody at the end of each day.
    fn compare(
        &mut self,
        effect: &Effect,
        affected: &BTreeSet<IdentityId>,
        set: &ChangeSet,
    ) -> Result<()> {
        let mut people: BTreeSet<IdentityId> = affected.clone();
        for person in effect.changed.keys() {
            people.insert(IdentityId::new(person)?);
        }
        // Nothing but these calls can change the target, and each of them is about an affected person,
        // so comparing these people after each change set compares the whole state.
        for person in people {
            let held = self.accounts.get(&person).map_or_else(BTreeSet::new, |id| {
                self.target.with_state(|state| {
                    let account = state.accounts.get(id);
                    account.map(|a| a.holdings.clone()).unwrap_or_default()
                })
            });
            let empty = BTreeSet::new();
            let truth = self.truth.effective().get(person.as_str()).unwrap_or(&empty);
            if !same(&held, truth) {
                let date = set.date;
                self.report.mismatch(format!("{date} {person}: the target differs from the file"));
            }
        }
        Ok(())
    }

    /// Compares everybody once more, counts, and checks that no key took effect twice.
    fn finish(mut self, history: &History) -> Result<Report> {
        let state = self.target.state();
        let mut pairs = 0;
        let mut holders = 0;
        let kind = KindId::new("access")?;
        for (person, id) in &self.accounts {
            let held = state.accounts.get(id).map(|a| a.holdings.clone()).unwrap_or_default();
            pairs += held.iter().filter(|key| key.kind == kind).count();
            holders += usize::from(!held.is_empty());
            let empty = BTreeSet::new();
            let truth = self.truth.effective().get(person.as_str()).unwrap_or(&empty);
            if !same(&held, truth) {
                self.report.mismatch(format!("at the end, {person} differs from the file"));
            }
        }
        let by_file: usize = self.truth.effective().values().map(BTreeSet::len).sum();
        if pairs != by_file {
            let text = format!("at the end the target holds {pairs} pairs, the file {by_file}");
            self.report.mismatch(text);
        }
        if let Some((key, count)) = state.effects.iter().find(|(_, count)| **count > 1) {
            self.report.mismatch(format!("key {key} took effect {count} times"));
        }
        self.report.pairs_at_end = pairs;
        self.report.holders_at_end = holders;
        self.report.people = self.truth.people();
        self.report.idle_lines.clone_from(&history.idle_lines);
        Ok(self.report)
    }
}

fn same(held: &BTreeSet<EntitlementKey>, truth: &BTreeSet<String>) -> bool {
    held.len() == truth.len() && held.iter().all(|key| truth.contains(key.id.as_str()))
}
