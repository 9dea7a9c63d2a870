//! What all providers were seen to hold, correlated to people.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountState, AccountStatus};
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::id::{AttributeName, IdentityId, ProviderId};
use jml_core::policy::Policy;
use jml_core::provider::{Descriptor, Snapshot, SupportMode, Verb};

use crate::correlate::{Correlator, LinkedBy, Match};

/// What is known about one provider besides its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct ProviderFacts {
    /// Verbs that calls carry out. Everything else becomes a task for a person.
    pub verbs: BTreeSet<Verb>,
    /// Statuses that an account can have there.
    pub statuses: BTreeSet<AccountStatus>,
    /// Whether a disabled account still gets mail.
    pub disabled_keeps_mail: bool,
    /// Whether a disabled account can be given something.
    pub disabled_accepts_grants: bool,
    /// Attributes that an account cannot be without.
    pub required: BTreeSet<AttributeName>,
    /// Whether everything that it holds was seen. If not, nothing is revoked there.
    pub complete: bool,
    /// When it was read.
    pub read_at: DateTime<Utc>,
}

/// An account that two identities could own. It is left alone until a person decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Disputed {
    /// The account.
    pub account: AccountRef,
    /// Who could own it.
    pub candidates: BTreeSet<IdentityId>,
}

/// Everything that was seen, by person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    providers: BTreeMap<ProviderId, ProviderFacts>,
    people: BTreeMap<IdentityId, BTreeMap<AccountRef, AccountState>>,
    orphans: BTreeMap<AccountRef, AccountState>,
    disputed: BTreeSet<Disputed>,
    maybe: BTreeMap<AccountRef, BTreeMap<IdentityId, u16>>,
    linked: BTreeMap<AccountRef, LinkedBy>,
    holders: BTreeMap<EntitlementRef, u32>,
    /// Sign-in names in lower case, and whose they are if that is known.
    names: BTreeMap<ProviderId, BTreeMap<String, Option<IdentityId>>>,
}

impl World {
    /// Correlates what providers hold to people, as [`Correlator`] says. Several accounts of one person are
    /// fine; several persons for one account are a dispute.
    #[must_use]
    pub fn new(
        seen: Vec<(&Descriptor, DateTime<Utc>, Snapshot)>,
        people: &Facts,
        policy: &Policy,
        at: DateTime<Utc>,
    ) -> Self {
        let mut world = Self::default();
        for (descriptor, read_at, snapshot) in seen {
            let (accounts, complete) = match snapshot {
                Snapshot::Complete(all) => (all.accounts().clone(), true),
                Snapshot::Incomplete { seen, .. } => (seen, false),
            };
            let verbs = descriptor.verbs.iter();
            let verbs = verbs.filter(|(_, support)| support.mode != SupportMode::Manual);
            let verbs = verbs.map(|(verb, _)| *verb).collect();
            let id = descriptor.id.clone();
            let statuses = descriptor.statuses.iter().copied().collect();
            let required = descriptor.required_attributes.iter().cloned().collect();
            let facts = ProviderFacts {
                verbs,
                statuses,
                disabled_keeps_mail: descriptor.disabled_keeps_mail,
                disabled_accepts_grants: descriptor.disabled_accepts_grants,
                required,
                complete,
                read_at,
            };
            world.providers.insert(id.clone(), facts);
            let correlator = Correlator::new(&id, people, policy, at);
            for (account, state) in accounts {
                world.place(AccountRef::new(id.clone(), account), state, &correlator);
            }
        }
        world
    }

    fn place(&mut self, at: AccountRef, state: AccountState, correlator: &Correlator<'_>) {
        for key in &state.holdings {
            let entitlement = EntitlementRef::new(at.provider.clone(), key.clone());
            *self.holders.entry(entitlement).or_insert(0) += 1;
        }
        let found = correlator.find(&state);
        let owner = match &found {
            Match::Linked(owner, _) => Some(owner.clone()),
            _ => None,
        };
        let names = self.names.entry(at.provider.clone()).or_default();
        names.insert(state.user_name.to_lowercase(), owner);
        match found {
            Match::Linked(owner, by) => {
                self.linked.insert(at.clone(), by);
                self.people.entry(owner).or_default().insert(at, state);
                return;
            }
            Match::Disputed(candidates) => {
                self.disputed.insert(Disputed { account: at.clone(), candidates });
            }
            Match::Maybe(scores) => {
                self.maybe.insert(at.clone(), scores);
            }
            Match::Nobody => {}
        }
        self.orphans.insert(at, state);
    }

    /// Puts in what a read of an account showed, where a listing shows less
    /// ([`Listing::Wide`](jml_core::provider::Listing::Wide)). An account of nobody known stays as it was.
    pub fn look_closer(&mut self, identity: &IdentityId, at: &AccountRef, state: AccountState) {
        if let Some(seen) = self.people.get_mut(identity).and_then(|it| it.get_mut(at)) {
            *seen = state;
        }
    }

    /// The accounts of one person, on all providers.
    pub fn accounts(
        &self,
        identity: &IdentityId,
    ) -> impl Iterator<Item = (&AccountRef, &AccountState)> {
        self.people.get(identity).into_iter().flatten()
    }

    /// The account of a person on a provider through which access is given: the one that names the person
    /// as its owner, else the first.
    #[must_use]
    pub fn primary(
        &self,
        identity: &IdentityId,
        provider: &ProviderId,
    ) -> Option<(&AccountRef, &AccountState)> {
        let here = || self.accounts(identity).filter(|(at, _)| &at.provider == provider);
        here()
            .find(|(_, state)| state.external_id.as_ref() == Some(identity))
            .or_else(|| here().next())
    }

    /// What is known about the providers.
    #[must_use]
    pub const fn providers(&self) -> &BTreeMap<ProviderId, ProviderFacts> {
        &self.providers
    }

    /// Whether a provider carries out a verb.
    #[must_use]
    pub fn supports(&self, provider: &ProviderId, verb: Verb) -> bool {
        self.providers.get(provider).is_some_and(|facts| facts.verbs.contains(&verb))
    }

    /// As what an account is made there that nobody may use yet: many targets know only one way to be closed.
    #[must_use]
    pub fn closed_at_first(&self, provider: &ProviderId) -> Option<AccountStatus> {
        let known = self.providers.get(provider).map(|facts| &facts.statuses);
        let mut closed = [AccountStatus::Staged, AccountStatus::Disabled].into_iter();
        closed.find(|status| known.is_none_or(|known| known.contains(status)))
    }

    /// Whether nothing can be given to a disabled account there.
    #[must_use]
    pub fn refuses_grants(&self, provider: &ProviderId) -> bool {
        self.providers.get(provider).is_some_and(|facts| !facts.disabled_accepts_grants)
    }

    /// Whether an account there gets no mail once it is disabled.
    #[must_use]
    pub fn loses_mail(&self, provider: &ProviderId) -> bool {
        self.providers.get(provider).is_some_and(|facts| !facts.disabled_keeps_mail)
    }

    /// Accounts that belong to nobody known, disputed ones included.
    #[must_use]
    pub const fn orphans(&self) -> &BTreeMap<AccountRef, AccountState> {
        &self.orphans
    }

    /// Accounts that several people could own.
    #[must_use]
    pub const fn disputed(&self) -> &BTreeSet<Disputed> {
        &self.disputed
    }

    /// Accounts that could be somebody's, with the score of each. A person decides.
    #[must_use]
    pub const fn maybe(&self) -> &BTreeMap<AccountRef, BTreeMap<IdentityId, u16>> {
        &self.maybe
    }

    /// Why an account is taken for its owner's; `None` for accounts of nobody.
    #[must_use]
    pub fn linked_by(&self, account: &AccountRef) -> Option<&LinkedBy> {
        self.linked.get(account)
    }

    /// An account on a provider that may be this person's and is not known to be. Nobody is given a second
    /// account while it is open whether the first one is theirs.
    #[must_use]
    pub fn candidate(&self, identity: &IdentityId, provider: &ProviderId) -> Option<&AccountRef> {
        let disputed = self.disputed.iter().filter(|it| it.candidates.contains(identity));
        let maybe = self.maybe.iter().filter(|(_, scores)| scores.contains_key(identity));
        let open = disputed.map(|it| &it.account).chain(maybe.map(|(at, _)| at));
        open.into_iter().find(|at| &at.provider == provider)
    }

    /// How many accounts hold an entitlement.
    #[must_use]
    pub fn holders(&self, entitlement: &EntitlementRef) -> u32 {
        self.holders.get(entitlement).copied().unwrap_or(0)
    }

    /// How many accounts hold each entitlement.
    pub fn all_holders(&self) -> impl Iterator<Item = (&EntitlementRef, u32)> {
        self.holders.iter().map(|(entitlement, count)| (entitlement, *count))
    }

    /// How many people have an account that can sign in.
    #[must_use]
    pub fn population(&self) -> usize {
        let active = |accounts: &&BTreeMap<AccountRef, AccountState>| {
            accounts.values().any(|state| state.status.can_sign_in())
        };
        self.people.values().filter(active).count()
    }

    /// Whether a sign-in name on a provider is in use by anybody else than this person.
    #[must_use]
    pub fn is_taken(&self, provider: &ProviderId, name: &str, by: &IdentityId) -> bool {
        let owner = self.names.get(provider).and_then(|names| names.get(&name.to_lowercase()));
        owner.is_some_and(|owner| owner.as_ref() != Some(by))
    }

    /// Takes note that a plan will use a sign-in name, so that the next plan of the same batch does not.
    pub fn expect_name(&mut self, provider: &ProviderId, name: &str, by: &IdentityId) {
        let names = self.names.entry(provider.clone()).or_default();
        names.insert(name.to_lowercase(), Some(by.clone()));
    }

    /// Takes note that a plan will give or take an entitlement, so that the next plan of the same batch
    /// counts its holders right.
    pub fn expect_holders(&mut self, entitlement: &EntitlementRef, change: i32) {
        let count = self.holders.entry(entitlement.clone()).or_insert(0);
        *count = count.saturating_add_signed(change);
    }

    /// Puts one account in the place of what was seen of it before.
    pub fn set_account(&mut self, identity: &IdentityId, at: AccountRef, state: AccountState) {
        let after = state.holdings.clone();
        let provider = at.provider.clone();
        let accounts = self.people.entry(identity.clone()).or_default();
        let before = accounts.insert(at, state).map(|state| state.holdings).unwrap_or_default();
        for key in before.difference(&after) {
            let entitlement = EntitlementRef::new(provider.clone(), key.clone());
            self.expect_holders(&entitlement, -1);
        }
        for key in after.difference(&before) {
            let entitlement = EntitlementRef::new(provider.clone(), key.clone());
            self.expect_holders(&entitlement, 1);
        }
    }
}
