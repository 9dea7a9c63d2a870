//! Why somebody has an entitlement, why not, and what would take it away.

mod empty;

use std::fmt;

use chrono::{DateTime, Utc};

use crate::claim::Claim;
use crate::desired::claims::Context;
use crate::desired::windows::Windows;
use crate::desired::{Finding, desired};
use crate::entitlement::EntitlementRef;
use crate::facts::PersonFacts;
use crate::id::{IdentityId, RoleId, RuleId};
use crate::policy::Policy;
use crate::rule::{Atom, Truth};
use crate::time::ZoneResolver;

pub use empty::{Emptiness, EmptyCondition, EmptyPart, explain_empty};

/// The answer about one identity and one entitlement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Explanation {
    /// Who.
    pub identity: IdentityId,
    /// What.
    pub entitlement: EntitlementRef,
    /// When.
    pub at: DateTime<Utc>,
    /// The claims that hold. All of them must end before the access ends.
    pub claims: Vec<Claim>,
    /// Every way in which rules could give it, and how far each one holds.
    pub ways: Vec<Way>,
    /// Findings that are about this entitlement.
    pub findings: Vec<Finding>,
    /// Whether any engagement runs.
    pub engaged: bool,
}

/// One way in which a rule could give an entitlement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Way {
    /// The rule.
    pub rule: RuleId,
    /// The role that carries it, if it is not the rule itself.
    pub role: Option<RoleId>,
    /// Whether the rule holds.
    pub truth: Truth,
    /// The rule's comparisons with the values that were found.
    pub atoms: Vec<Atom>,
}

/// Explains one entitlement of one identity. Pure, like [`desired`].
#[must_use]
pub fn explain(
    policy: &Policy,
    facts: &PersonFacts,
    zones: &dyn ZoneResolver,
    at: DateTime<Utc>,
    entitlement: &EntitlementRef,
) -> Explanation {
    let wanted = desired(policy, facts, zones, at);
    let mut ignored = std::collections::BTreeSet::new();
    let windows = Windows::of(facts, zones, &mut ignored);
    let context = Context { policy, facts, windows: &windows, zones };
    let mut ways = Vec::new();
    let window = windows.running(at).next().or_else(|| windows.upcoming(at));
    if let Some(window) = window.or_else(|| windows.last_ended(at)) {
        let view = context.view(window, at);
        for (id, rule) in &policy.rules {
            let mut push = |role: Option<&RoleId>| {
                let evaluation = rule.when.evaluate(&view);
                ways.push(Way {
                    rule: id.clone(),
                    role: role.cloned(),
                    truth: evaluation.truth,
                    atoms: evaluation.atoms,
                });
            };
            if rule.grants.contains(entitlement) {
                push(None);
            }
            for assigned in &rule.roles {
                for reached in context.closure(assigned) {
                    let template = policy.roles.get(reached.role);
                    let carries = template
                        .is_some_and(|t| t.grants.iter().any(|g| &g.entitlement == entitlement));
                    if carries {
                        push(Some(reached.role));
                    }
                }
            }
        }
    }
    let about = |finding: &&Finding| match finding {
        Finding::NoAccountFor { entitlement: e }
        | Finding::UnknownEntitlement { entitlement: e } => e == entitlement,
        Finding::SodConflict { withheld, .. } => withheld.contains(entitlement),
        _ => false,
    };
    Explanation {
        identity: facts.identity.id.clone(),
        entitlement: entitlement.clone(),
        at,
        findings: wanted.findings.iter().filter(about).cloned().collect(),
        claims: wanted.claims.into_iter().filter(|c| &c.entitlement == entitlement).collect(),
        ways,
        engaged: windows.running(at).next().is_some(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, entitlement, at, .. } = self;
        if self.claims.is_empty() {
            writeln!(f, "`{identity}` should not have `{entitlement}` at {at}.")?;
            if !self.engaged {
                writeln!(f, "  No engagement runs at that instant.")?;
            }
        } else {
            writeln!(f, "`{identity}` should have `{entitlement}` at {at}, because of:")?;
            for claim in &self.claims {
                write!(f, "  - {}", claim.source)?;
                match claim.validity.until {
                    Some(until) => writeln!(f, ", until {until}")?,
                    None => writeln!(f, ", no end known")?,
                }
            }
            writeln!(f, "It ends when all of these have ended.")?;
        }
        for finding in &self.findings {
            writeln!(f, "  ! {finding}")?;
        }
        if !self.ways.is_empty() {
            writeln!(f, "Rules that can give it:")?;
        } else if self.claims.is_empty() {
            writeln!(f, "No rule of the policy gives it.")?;
        }
        for way in &self.ways {
            let role =
                way.role.as_ref().map_or_else(String::new, |r| format!(" through role `{r}`"));
            writeln!(f, "  rule `{}`{role}: {}", way.rule, way.truth)?;
            for atom in &way.atoms {
                writeln!(f, "    {:7} {}", atom.truth.to_string(), atom.text)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    /// In people's words, one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingZone { engagement } => {
                write!(
                    f,
                    "engagement `{engagement}` has no time zone, so its dates mean no instant"
                )
            }
            Self::UnknownZone { zone } => write!(f, "time zone `{zone}` is not known"),
            Self::ContractWithoutEnd { engagement } => {
                write!(f, "contract `{engagement}` has no end date, so it gives no access")
            }
            Self::EndBeforeStart { engagement } => {
                write!(f, "engagement `{engagement}` ends before it starts")
            }
            Self::NoUserName { provider, attribute } => {
                write!(f, "no account on `{provider}`: attribute `{attribute}` has no value")
            }
            Self::NoAccountFor { entitlement } => {
                write!(f, "`{entitlement}` is claimed, and no account there is wanted")
            }
            Self::UnknownEntitlement { entitlement } => {
                write!(f, "`{entitlement}` is claimed and not in the catalogue")
            }
            Self::SodConflict { conflict, withheld } => {
                let list: Vec<String> = withheld.iter().map(|e| format!("`{e}`")).collect();
                write!(f, "separation of duties `{}`: {} withheld", conflict.rule, list.join(", "))
            }
            Self::ReviewedAway { entitlement, campaign } => write!(
                f,
                "review `{campaign}` took `{entitlement}` away and the policy still gives it; change the \
                 policy, or keep it in the next review"
            ),
            Self::NonHumanWithoutOwner { owner } => write!(
                f,
                "nobody at work answers for it: `{owner}` is gone or not known; name another owner"
            ),
            Self::RuleUndecided { rule, attribute } => {
                write!(f, "rule `{rule}` cannot be decided: `{attribute}` has no value")
            }
        }
    }
}
