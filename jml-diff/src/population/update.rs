//! After an edit of the policy: only whom it concerns is computed anew.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};
use jml_core::claim::RequestOnMove;
use jml_core::desired::Desired;
use jml_core::entitlement::EndPolicy;
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{IdentityId, RoleId, RuleId};
use jml_core::policy::Policy;
use jml_core::rule::{Truth, View};

use super::{Population, PopulationDelta, PopulationError, Wanted, fate, terms};
use crate::delta::plain;

/// What an update did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Updated {
    /// People who were looked at.
    pub people: usize,
    /// Claims of plain people that came or went.
    pub shifts: usize,
}

impl<'a> Population<'a> {
    /// Goes over to another policy and puts what these people should have under it in the place of what they
    /// should have had; `answer` becomes that of a full [`diff`](Self::diff). The world stays as it was. They
    /// must be all whom the edit concerns; [`concerned`] finds them.
    ///
    /// An odd person stays odd, which is slower and never wrong. When the edit is about how access is given
    /// and taken (modes, assignability, last holders), everybody is walked again.
    ///
    /// # Errors
    /// [`PopulationError::Stranger`] for somebody who was never taken in, [`PopulationError::Flat`] when there
    /// are more templates than 32 bits can count. The population is then no longer of any use.
    pub fn update(
        &mut self,
        policy: &'a Policy,
        answer: &mut PopulationDelta,
        people: impl IntoIterator<Item = Desired>,
    ) -> Result<Updated, PopulationError> {
        self.policy = policy;
        let before = std::mem::replace(&mut self.terms, terms(&self.catalogue, policy, self.world));
        let mut rewalk = false;
        for ((number, before), after) in (0..).zip(&before).zip(&self.terms) {
            if fate(before) != fate(after) {
                self.flat.set_fate(number, fate(after))?;
                rewalk = true;
            }
        }
        let mut index = self.index.take().unwrap_or_else(|| self.flat.index());
        let mut updated = Updated::default();
        for desired in people {
            updated.people += 1;
            let identity = &desired.identity;
            let person = self.person(identity);
            let person =
                person.ok_or_else(|| PopulationError::Stranger { identity: identity.clone() })?;
            let was_odd = self.odd.contains_key(&person);
            let plain = plain::plain(policy, &desired, self.world, self.ledger);
            let taken = plain.filter(|_| !was_odd).and_then(|plain| {
                Some((plain, Wanted::of(&desired, &self.catalogue, &mut self.reasons)?))
            });
            let Some((plain, wanted)) = taken else {
                if !was_odd {
                    let surplus = answer.flat.of(person);
                    let surplus = surplus.revokes.len() + surplus.foreign.len();
                    let keeps = self.flat.count_held(person) - surplus;
                    answer.flat.forget(person, keeps as u64);
                    self.flat.reassign(&mut index, person, &[], &[])?;
                    self.flat.set_apart(person);
                    self.accounts.remove(&person);
                    self.gone.remove(&person);
                }
                self.odd.insert(person, Box::new(desired));
                continue;
            };
            let mut list = Vec::with_capacity(wanted.groups.len());
            for (reason, ids) in &wanted.groups {
                let of_reason = self.known.entry(*reason).or_default();
                let number = of_reason
                    .iter()
                    .find(|number| self.flat.template(**number).eq(ids.iter().copied()));
                list.push(match number {
                    Some(number) => *number,
                    None => {
                        let number = self.flat.add_template(&mut index, ids)?;
                        self.templates.push(*reason);
                        of_reason.push(number);
                        number
                    }
                });
            }
            let shifts = self.flat.reassign(&mut index, person, &list, &wanted.own)?;
            updated.shifts += shifts.len();
            if !rewalk {
                answer.flat.patch(&self.flat, &shifts);
            }
            if plain.gone {
                self.gone.insert(person);
            } else {
                self.gone.remove(&person);
            }
            if plain.lines.is_empty() {
                self.accounts.remove(&person);
            } else {
                self.accounts.insert(person, plain.lines);
            }
        }
        self.index = Some(index);
        if rewalk {
            answer.flat = self.flat.diff(NonZeroUsize::MIN);
        }
        answer.odd = self.odd.iter().map(|(n, desired)| (*n, self.odd_delta(desired))).collect();
        Ok(updated)
    }
}

/// Whom an edit of a policy concerns: at least everybody whose claims differ at this instant. Everybody, when
/// it is about more than roles and rules, or when what people had before a move still counts.
#[must_use]
pub fn concerned(
    before: &Policy,
    after: &Policy,
    facts: &Facts,
    at: DateTime<Utc>,
) -> BTreeSet<IdentityId> {
    let moves = |policy: &Policy| {
        policy.entitlements.values().any(|entry| entry.on_move != EndPolicy::Immediate)
    };
    let same = before.attributes == after.attributes
        && before.org == after.org
        && before.entitlements == after.entitlements
        && before.sod == after.sod
        && before.accounts == after.accounts
        && before.leaver == after.leaver
        && before.modes == after.modes
        && before.protected == after.protected;
    if !same || moves(before) || moves(after) {
        return facts.people.keys().cloned().collect();
    }
    let rules = changed_rules(before, after);
    let of = |policy: &Policy, person: &PersonFacts, id: &RuleId| {
        let holds = |engagement| {
            let view = View { policy, identity: &person.identity, engagement, at };
            policy.rules.get(id).is_some_and(|rule| rule.when.truth(&view) == Truth::True)
        };
        person.identity.engagements.iter().any(|engagement| holds(engagement.kind))
    };
    let concerns = |person: &PersonFacts| {
        // A move ends requests and outlives reviews, and what a move is depends on roles and rules.
        person.requests.iter().any(|request| request.on_move != RequestOnMove::Keep)
            || !person.reviews.is_empty()
            || rules.iter().any(|id| of(before, person, id) || of(after, person, id))
    };
    let people = facts.people.iter().filter(|(_, person)| concerns(person));
    people.map(|(identity, _)| identity.clone()).collect()
}

/// Rules that differ, and rules that assign, directly or by inheritance, a role that differs.
fn changed_rules<'p>(before: &'p Policy, after: &'p Policy) -> BTreeSet<&'p RuleId> {
    let roles = before.roles.keys().chain(after.roles.keys());
    let roles: BTreeSet<&RoleId> =
        roles.filter(|role| before.roles.get(*role) != after.roles.get(*role)).collect();
    let touches = |policy: &Policy, id: &RuleId| {
        let mut seen: BTreeSet<&RoleId> = BTreeSet::new();
        let rule = policy.rules.get(id);
        let mut todo: Vec<&RoleId> = rule.into_iter().flat_map(|rule| &rule.roles).collect();
        while let Some(role) = todo.pop() {
            if seen.insert(role) {
                let template = policy.roles.get(role);
                todo.extend(template.into_iter().flat_map(|template| &template.inherits));
            }
        }
        seen.iter().any(|role| roles.contains(*role))
    };
    let rules: BTreeSet<&RuleId> = before.rules.keys().chain(after.rules.keys()).collect();
    let differs = |id: &&RuleId| {
        before.rules.get(*id) != after.rules.get(*id) || touches(before, id) || touches(after, id)
    };
    rules.into_iter().filter(differs).collect()
}
