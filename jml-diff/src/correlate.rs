//! Whose account is it: exact links first, then a score with a band in which a person decides.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountState};
use jml_core::facts::Facts;
use jml_core::id::{AttributeName, IdentityId, ProviderId};
use jml_core::policy::{Correlation, Policy};

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "somebody's, several people's, perhaps, nobody's")]
pub enum Match {
    /// Somebody's.
    Linked(IdentityId, LinkedBy),
    /// Several people could own it, by something that only one person can have. Never settled by taking
    /// the first.
    Disputed(BTreeSet<IdentityId>),
    /// It could be somebody's, and not surely enough: a person decides. With the score of each.
    Maybe(BTreeMap<IdentityId, u16>),
    /// Nobody's that is known.
    Nobody,
}

/// Why an account is taken for somebody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LinkedBy {
    /// It names the identity as its external id.
    ExternalId,
    /// A person said so.
    Said {
        /// Who.
        by: IdentityId,
    },
    /// An attribute is the same that only one person can have.
    Strong(AttributeName),
    /// Enough is the same, and nobody else comes near.
    Score(u16),
}

/// Finds whose accounts of one provider are.
#[derive(Debug)]
pub struct Correlator<'a> {
    people: &'a Facts,
    rule: Correlation,
    /// Account attribute and value in lower case, to those who have it.
    index: BTreeMap<(AttributeName, String), BTreeSet<IdentityId>>,
    provider: &'a ProviderId,
}

impl<'a> Correlator<'a> {
    /// A correlator for one provider. Without a rule for it, the sign-in name is strong.
    #[must_use]
    pub fn new(
        provider: &'a ProviderId,
        people: &'a Facts,
        policy: &Policy,
        at: DateTime<Utc>,
    ) -> Self {
        let mut index: BTreeMap<_, BTreeSet<IdentityId>> = BTreeMap::new();
        let account = policy.accounts.get(provider);
        let rule = account.and_then(|account| account.correlate.clone()).unwrap_or_default();
        for name in rule.strong.iter().chain(rule.weights.keys()) {
            let Some(from) = account.and_then(|account| account.source_of(name)) else { continue };
            for (id, facts) in &people.people {
                if let Some(value) = facts.identity.attributes.value(&policy.attributes, from, at) {
                    let key = (name.clone(), value.to_string().to_lowercase());
                    index.entry(key).or_default().insert(id.clone());
                }
            }
        }
        Self { people, rule, index, provider }
    }

    fn with(&self, name: &AttributeName, state: &AccountState) -> Option<&BTreeSet<IdentityId>> {
        let value = if name.as_str() == Correlation::USER_NAME {
            state.user_name.to_lowercase()
        } else {
            state.attributes.get(name)?.to_string().to_lowercase()
        };
        self.index.get(&(name.clone(), value)).filter(|_| !self.is_blank(name, state))
    }

    fn is_blank(&self, name: &AttributeName, state: &AccountState) -> bool {
        name.as_str() != Correlation::USER_NAME
            && state.attributes.get(name).is_none_or(|value| value.to_string().trim().is_empty())
    }

    /// Whose account it is.
    #[must_use]
    pub fn find(&self, state: &AccountState) -> Match {
        let at = AccountRef::new(self.provider.clone(), state.id.clone());
        let said = self.people.links.iter().filter(|link| link.account == at).max_by_key(|l| l.at);
        let external = state.external_id.as_ref();
        if let Some(link) = said {
            return match (&link.identity, external) {
                (Some(said), Some(named)) if said != named => {
                    Match::Disputed([said.clone(), named.clone()].into())
                }
                (Some(said), _) if self.people.people.contains_key(said) => {
                    Match::Linked(said.clone(), LinkedBy::Said { by: link.by.clone() })
                }
                _ => Match::Nobody,
            };
        }
        if let Some(named) = external {
            return match self.people.people.contains_key(named) {
                true => Match::Linked(named.clone(), LinkedBy::ExternalId),
                false => Match::Nobody,
            };
        }
        let mut strong: BTreeMap<&IdentityId, &AttributeName> = BTreeMap::new();
        for name in &self.rule.strong {
            for id in self.with(name, state).into_iter().flatten() {
                strong.entry(id).or_insert(name);
            }
        }
        match (strong.len(), strong.first_key_value()) {
            (1, Some((id, name))) => {
                let (id, by) = ((*id).clone(), LinkedBy::Strong((*name).clone()));
                return Match::Linked(id, by);
            }
            (0, _) => {}
            _ => return Match::Disputed(strong.into_keys().cloned().collect()),
        }
        self.score(state)
    }

    fn score(&self, state: &AccountState) -> Match {
        let mut scores: BTreeMap<&IdentityId, u16> = BTreeMap::new();
        for (name, weight) in &self.rule.weights {
            for id in self.with(name, state).into_iter().flatten() {
                let score = scores.entry(id).or_insert(0);
                *score = score.saturating_add(*weight);
            }
        }
        scores.retain(|_, score| *score >= self.rule.ask);
        match (scores.len(), scores.first_key_value()) {
            (0, _) => Match::Nobody,
            // Alone above the line. Whoever else comes near makes it a person's business.
            (1, Some((id, score))) if *score >= self.rule.link => {
                Match::Linked((*id).clone(), LinkedBy::Score(*score))
            }
            _ => Match::Maybe(scores.into_iter().map(|(id, score)| (id.clone(), score)).collect()),
        }
    }
}
