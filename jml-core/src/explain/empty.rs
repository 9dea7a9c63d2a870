//! Why nothing happens: which part of which condition leaves everybody out.
//!
//! A policy that is valid, runs without an error and matches nobody looks like one that has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};

use crate::desired::windows::Windows;
use crate::facts::Facts;
use crate::identity::LifecycleState;
use crate::policy::Policy;
use crate::rule::{Condition, Truth, View};
use crate::time::ZoneResolver;

/// Most values of an attribute that are shown.
const SHOWN: usize = 3;

/// Conditions that hold for nobody, and what people there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Emptiness {
    /// How many people stand where.
    pub people: BTreeMap<LifecycleState, usize>,
    /// Rules and account rules whose condition holds for nobody who is here or about to come, each with
    /// the parts of the condition.
    pub conditions: Vec<EmptyCondition>,
    /// Providers with an account rule that gives nobody an account, because nobody has a sign-in name.
    pub nameless: BTreeMap<String, usize>,
}

/// A condition that holds for nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EmptyCondition {
    /// Whose condition, as a path in the policy.
    pub of: String,
    /// Its parts: what must hold together, or the whole.
    pub parts: Vec<EmptyPart>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EmptyPart {
    /// The part, in people's words.
    pub text: String,
    /// For how many people it holds.
    pub holds: usize,
    /// For how many it does not.
    pub fails: usize,
    /// For how many it cannot be told, because the attribute has no value.
    pub unknown: usize,
    /// The values that people have instead, the most frequent ones first, and of how many.
    pub found: Vec<(String, usize)>,
}

/// Looks for conditions that hold for nobody. Pure.
#[must_use]
pub fn explain_empty(
    policy: &Policy,
    facts: &Facts,
    zones: &dyn ZoneResolver,
    at: DateTime<Utc>,
) -> Emptiness {
    let mut people = BTreeMap::new();
    let mut views: Vec<View<'_>> = Vec::new();
    for person in facts.people.values() {
        let windows = Windows::of(person, zones, &mut BTreeSet::new());
        let state = windows.state(at);
        *people.entry(state).or_insert(0) += 1;
        let window = windows.running(at).next().or_else(|| windows.upcoming(at));
        if let Some(window) = window {
            let (identity, engagement) = (&person.identity, window.kind());
            views.push(View { policy, identity, engagement, at });
        }
    }
    let named = policy.rules.iter().map(|(id, rule)| (format!("rules.{id}.when"), &rule.when));
    let accounts =
        policy.accounts.iter().map(|(id, rule)| (format!("accounts.{id}.when"), &rule.when));
    let empty = |when: &Condition| views.iter().all(|view| when.truth(view) != Truth::True);
    let conditions = named
        .chain(accounts)
        .filter(|(_, when)| empty(when))
        .map(|(of, when)| EmptyCondition { of, parts: parts(when, &views) })
        .collect();
    let nameless = policy
        .accounts
        .iter()
        .filter(|(_, rule)| {
            !views.is_empty() && views.iter().all(|v| v.value(&rule.user_name).is_none())
        })
        .map(|(id, rule)| (format!("accounts.{id}.user_name = {}", rule.user_name), views.len()))
        .collect();
    Emptiness { people, conditions, nameless }
}

fn parts(when: &Condition, views: &[View<'_>]) -> Vec<EmptyPart> {
    let whole = [when.clone()];
    let parts: &[Condition] = match when {
        Condition::All(parts) if !parts.is_empty() => parts,
        _ => &whole,
    };
    parts.iter().map(|part| look(part, views)).collect()
}

fn look(part: &Condition, views: &[View<'_>]) -> EmptyPart {
    let mut out =
        EmptyPart { text: part.to_string(), holds: 0, fails: 0, unknown: 0, found: Vec::new() };
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for view in views {
        match part.truth(view) {
            Truth::True => out.holds += 1,
            Truth::False => out.fails += 1,
            Truth::Unknown => out.unknown += 1,
        }
        if let Some(value) = part.attribute().and_then(|name| view.value(name)) {
            *found.entry(value.to_string()).or_insert(0) += 1;
        }
    }
    if out.holds == 0 {
        let mut found: Vec<(String, usize)> = found.into_iter().collect();
        found.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        found.truncate(SHOWN);
        out.found = found;
    }
    out
}

impl fmt::Display for Emptiness {
    /// Several lines. Says so, too, when every condition holds for somebody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: usize = self.people.values().sum();
        let states: Vec<String> = self
            .people
            .iter()
            .map(|(state, count)| format!("{count} {}", state.as_str()))
            .collect();
        match known {
            0 => writeln!(f, "nobody is known: no feed was taken in yet")?,
            _ => writeln!(f, "{known} people are known: {}", states.join(", "))?,
        }
        for (what, people) in &self.nameless {
            writeln!(
                f,
                "`{what}` has no value for any of {people} people: nobody gets an account"
            )?;
        }
        for condition in &self.conditions {
            writeln!(f, "`{}` holds for nobody:", condition.of)?;
            for part in &condition.parts {
                let EmptyPart { text, holds, fails, unknown, found } = part;
                write!(f, "  {text}: yes for {holds}, no for {fails}, unknown for {unknown}")?;
                if !found.is_empty() {
                    let found: Vec<String> =
                        found.iter().map(|(value, count)| format!("{value} ({count})")).collect();
                    write!(f, "; found instead: {}", found.join(", "))?;
                }
                writeln!(f)?;
            }
        }
        if self.conditions.is_empty() && self.nameless.is_empty() && known > 0 {
            writeln!(f, "every condition of the policy holds for somebody")?;
        }
        Ok(())
    }
}
