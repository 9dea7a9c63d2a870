//! Claims at an instant: by rules, by requests, exceptions and adoptions, and what a move leaves over.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use smol_str::SmolStr;

use super::Finding;
use super::windows::{Window, Windows};
use crate::claim::{Claim, ClaimSource, RequestOnMove, Validity};
use crate::entitlement::{EndPolicy, EntitlementRef};
use crate::facts::{PersonFacts, Reviewed};
use crate::id::{RoleId, RuleId};
use crate::policy::Policy;
use crate::rule::{Truth, View};
use crate::sod::SodConflict;
use crate::time::ZoneResolver;

/// Everything that the computation of claims needs.
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) facts: &'a PersonFacts,
    pub(crate) windows: &'a Windows<'a>,
    pub(crate) zones: &'a dyn ZoneResolver,
}

/// A role and how it was reached: the role that the rule assigned, if it was not this one.
pub(crate) struct Reached<'a> {
    pub(crate) role: &'a RoleId,
    pub(crate) through: Option<&'a RoleId>,
}

impl<'a> Context<'a> {
    pub(crate) fn view(&self, window: &Window<'_>, at: DateTime<Utc>) -> View<'a> {
        View { policy: self.policy, identity: &self.facts.identity, engagement: window.kind(), at }
    }

    /// A role and everything that it inherits, each once. Ends even on a cyclic policy.
    pub(crate) fn closure(&self, assigned: &'a RoleId) -> Vec<Reached<'a>> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        let mut todo = vec![assigned];
        while let Some(role) = todo.pop() {
            if !seen.insert(role) {
                continue;
            }
            let Some(template) = self.policy.roles.get(role) else { continue };
            out.push(Reached { role, through: (role != assigned).then_some(assigned) });
            todo.extend(template.inherits.iter().rev());
        }
        out
    }

    /// The rules that hold for a window at an instant.
    pub(crate) fn rules(
        &self,
        window: &Window<'_>,
        at: DateTime<Utc>,
    ) -> impl Iterator<Item = (&'a RuleId, &'a crate::rule::Rule)> {
        let view = self.view(window, at);
        self.policy.rules.iter().filter(move |(_, rule)| rule.when.truth(&view) == Truth::True)
    }

    /// Rules that cannot be decided, for people to know.
    pub(crate) fn undecided(&self, at: DateTime<Utc>, findings: &mut BTreeSet<Finding>) {
        for window in self.windows.running(at) {
            let view = self.view(window, at);
            for (id, rule) in &self.policy.rules {
                if rule.when.truth(&view) != Truth::Unknown {
                    continue;
                }
                let evaluation = rule.when.evaluate(&view);
                for name in evaluation.missing() {
                    let Ok(attribute) = crate::id::AttributeName::new(&name) else { continue };
                    let rule = SmolStr::new(id.as_str());
                    findings.insert(Finding::RuleUndecided { rule, attribute });
                }
            }
        }
    }

    /// The claims that rules give at `at`, with attributes as they were at `as_of`.
    pub(crate) fn by_rule(&self, at: DateTime<Utc>, as_of: DateTime<Utc>) -> BTreeSet<Claim> {
        let mut claims = BTreeSet::new();
        for window in &self.windows.list {
            if window.end.is_some_and(|end| end <= at) {
                continue;
            }
            for (rule_id, rule) in self.rules(window, as_of) {
                for entitlement in &rule.grants {
                    let source = ClaimSource::Birthright { rule: rule_id.clone() };
                    self.push(&mut claims, window, at, entitlement, 0, source);
                }
                for assigned in &rule.roles {
                    for Reached { role, through } in self.closure(assigned) {
                        let Some(template) = self.policy.roles.get(role) else { continue };
                        for grant in &template.grants {
                            let source = ClaimSource::Role {
                                role: role.clone(),
                                version: template.version,
                                through: through.cloned(),
                                rule: rule_id.clone(),
                            };
                            let days = grant.days_before;
                            self.push(&mut claims, window, at, &grant.entitlement, days, source);
                        }
                    }
                }
            }
        }
        claims
    }

    fn push(
        &self,
        claims: &mut BTreeSet<Claim>,
        window: &Window<'_>,
        at: DateTime<Utc>,
        entitlement: &EntitlementRef,
        days_before: u16,
        source: ClaimSource,
    ) {
        // Power never begins before the first day.
        let critical = self.policy.sensitivity(entitlement).is_critical();
        let from = window.lead(self.zones, if critical { 0 } else { days_before });
        let validity = Validity { from, until: window.end };
        if validity.contains(at) {
            claims.insert(Claim {
                entitlement: entitlement.clone(),
                source,
                validity,
                policy: self.policy.version.clone(),
            });
        }
    }

    /// The instants up to `at`, in the present span, at which rules began to give something else.
    pub(crate) fn moves(&self, at: DateTime<Utc>) -> Vec<Move> {
        let Some(span) = self.windows.span_start(at) else { return Vec::new() };
        let mut moves = Vec::new();
        for b in self.facts.identity.attributes.breakpoints() {
            if b <= span || b > at {
                continue;
            }
            let before = self.by_rule(b, b - TimeDelta::microseconds(1));
            let after = self.by_rule(b, b);
            if before != after {
                let kept: BTreeSet<_> = after.iter().map(|c| c.entitlement.clone()).collect();
                let lost = before.iter().map(|c| c.entitlement.clone());
                let lost = lost.filter(|e| !kept.contains(e)).collect();
                moves.push(Move { at: b, lost });
            }
        }
        moves
    }

    /// Claims that a move ended and that stay for a while.
    pub(crate) fn transitions(
        &self,
        at: DateTime<Utc>,
        moves: &[Move],
        claimed: &BTreeSet<EntitlementRef>,
    ) -> Vec<Claim> {
        let mut out = BTreeMap::new();
        for movement in moves {
            for entitlement in &movement.lost {
                let Some(entry) = self.policy.entitlements.get(entitlement) else { continue };
                let (days, attest) = match entry.on_move {
                    EndPolicy::Immediate => continue,
                    EndPolicy::Overlap { days } => (days, false),
                    EndPolicy::UntilAttested { days } => (days, true),
                };
                let until = movement.at + TimeDelta::days(days.into());
                let validity = Validity { from: movement.at, until: Some(until) };
                if entry.sensitivity.is_critical()
                    || claimed.contains(entitlement)
                    || !validity.contains(at)
                    || self.would_conflict(entitlement, claimed)
                {
                    continue;
                }
                let source = ClaimSource::Transition { moved_at: movement.at, attest };
                let policy = self.policy.version.clone();
                let claim = Claim { entitlement: entitlement.clone(), source, validity, policy };
                out.insert(entitlement.clone(), claim);
            }
        }
        out.into_values().collect()
    }

    fn would_conflict(&self, extra: &EntitlementRef, held: &BTreeSet<EntitlementRef>) -> bool {
        self.policy.sod.values().any(|rule| held.iter().any(|other| rule.separates(extra, other)))
    }

    /// Claims that people approved, as long as some engagement runs, and only of this life here.
    pub(crate) fn approved(&self, at: DateTime<Utc>, moves: &[Move]) -> Vec<Claim> {
        if self.windows.running(at).next().is_none() {
            return Vec::new();
        }
        let born = self.windows.born_again(at);
        let span_end = self.windows.span_end(at);
        let alive = |validity: &Validity| {
            validity.contains(at) && born.is_none_or(|born| validity.from >= born)
        };
        let cut = |until: Option<DateTime<Utc>>| match (until, span_end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut out = Vec::new();
        let mut push = |entitlement: &EntitlementRef, source, from, until| {
            let validity = Validity { from, until: cut(until) };
            let policy = self.policy.version.clone();
            out.push(Claim { entitlement: entitlement.clone(), source, validity, policy });
        };
        for request in &self.facts.requests {
            let mut validity = request.validity;
            let moved = moves.iter().map(|m| m.at).find(|m| *m > validity.from);
            if let Some(moved) = moved {
                let end = match request.on_move {
                    RequestOnMove::Keep => None,
                    RequestOnMove::Revalidate { days } => {
                        Some(moved + TimeDelta::days(days.into()))
                    }
                    RequestOnMove::Drop => Some(moved),
                };
                validity.until = match (validity.until, end) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            if alive(&validity) {
                let (id, approved_by) = (request.id.clone(), request.approved_by.clone());
                let source = ClaimSource::Request { id, approved_by };
                push(&request.entitlement, source, validity.from, validity.until);
            }
        }
        for exception in &self.facts.exceptions {
            let validity = Validity { from: exception.from, until: Some(exception.until) };
            if alive(&validity) {
                let (id, owner) = (exception.id.clone(), exception.owner.clone());
                let source = ClaimSource::Exception { id, owner };
                push(&exception.entitlement, source, validity.from, validity.until);
            }
        }
        for adoption in &self.facts.adoptions {
            let validity = Validity { from: adoption.from, until: Some(adoption.review_by) };
            if alive(&validity) {
                let (owner, review_by) = (adoption.owner.clone(), adoption.review_by);
                let source = ClaimSource::Adopted { owner, review_by };
                push(&adoption.entitlement, source, validity.from, validity.until);
            }
        }
        out
    }

    /// Takes out what a review took away: every claim that began before it, unless a move took it away and
    /// gave it again since. Gives back what is taken out, and why.
    pub(crate) fn reviewed(
        &self,
        at: DateTime<Utc>,
        moves: &[Move],
        claims: &mut Vec<Claim>,
        findings: &mut BTreeSet<Finding>,
    ) -> BTreeMap<EntitlementRef, SmolStr> {
        let mut latest: BTreeMap<&EntitlementRef, &Reviewed> = BTreeMap::new();
        for review in self.facts.reviews.iter().filter(|review| review.at <= at) {
            let word = latest.entry(&review.entitlement).or_insert(review);
            if (review.at, &review.campaign) >= (word.at, &word.campaign) {
                *word = review;
            }
        }
        let mut taken = BTreeMap::new();
        claims.retain(|claim| {
            let Some(review) = latest.get(&claim.entitlement) else { return true };
            let anew = |m: &Move| m.at > review.at && m.lost.contains(&claim.entitlement);
            if review.keep || claim.validity.from > review.at || moves.iter().any(anew) {
                return true;
            }
            let (campaign, day) = (&review.campaign, review.at.date_naive());
            let who = review
                .by
                .as_ref()
                .map_or_else(|| "nobody spoke for it".to_owned(), |by| format!("`{by}` said so"));
            let why = SmolStr::new(format!("review `{campaign}` took it away on {day}: {who}"));
            if matches!(claim.source, ClaimSource::Birthright { .. } | ClaimSource::Role { .. }) {
                let (entitlement, campaign) = (claim.entitlement.clone(), campaign.clone());
                findings.insert(Finding::ReviewedAway { entitlement, campaign });
            }
            taken.insert(claim.entitlement.clone(), why);
            false
        });
        taken.retain(|entitlement, _| claims.iter().all(|claim| claim.entitlement != *entitlement));
        taken
    }

    /// Takes out what would break a separation-of-duties rule: what came first stays.
    pub(crate) fn separate(&self, claims: &mut Vec<Claim>, findings: &mut BTreeSet<Finding>) {
        if self.policy.sod.is_empty() {
            return;
        }
        let mut order: Vec<&Claim> = claims.iter().collect();
        order.sort_by(|a, b| {
            (a.validity.from, &a.source, &a.entitlement).cmp(&(
                b.validity.from,
                &b.source,
                &b.entitlement,
            ))
        });
        let excepted = |entitlement: &EntitlementRef| {
            claims.iter().any(|claim| {
                &claim.entitlement == entitlement
                    && matches!(claim.source, ClaimSource::Exception { .. })
            })
        };
        let mut held: BTreeSet<EntitlementRef> = BTreeSet::new();
        let mut withheld: BTreeSet<EntitlementRef> = BTreeSet::new();
        for claim in order {
            let entitlement = &claim.entitlement;
            if held.contains(entitlement) || withheld.contains(entitlement) {
                continue;
            }
            held.insert(entitlement.clone());
            if excepted(entitlement) {
                continue;
            }
            for (rule_id, rule) in &self.policy.sod {
                let broken = rule.broken_by(&held);
                if !broken.contains(entitlement) {
                    continue;
                }
                withheld.insert(entitlement.clone());
                let conflict = SodConflict { rule: rule_id.clone(), entitlements: broken };
                let withheld = BTreeSet::from([entitlement.clone()]);
                findings.insert(Finding::SodConflict { conflict, withheld });
            }
            if withheld.contains(entitlement) {
                held.remove(entitlement);
            }
        }
        claims.retain(|claim| !withheld.contains(&claim.entitlement));
    }
}

/// An instant at which rules began to give something else.
pub(crate) struct Move {
    pub(crate) at: DateTime<Utc>,
    pub(crate) lost: BTreeSet<EntitlementRef>,
}
