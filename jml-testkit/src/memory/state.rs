//! What a `Memory` holds, and how a change changes it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountState, AccountStatus, Mailbox};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId};
use jml_core::provider::{
    Change, Descriptor, Effect, Error, ErrorKind, Expect, Operation, Outcome, PendingRef,
    RefusalReason, Result, SideEffect,
};
use smol_str::SmolStr;

/// What a [`Memory`](super::Memory) holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Accounts by id.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// Entitlements that exist.
    pub catalogue: BTreeMap<EntitlementKey, CatalogueEntry>,
    /// How often each key took effect.
    pub effects: BTreeMap<SmolStr, u32>,
    /// Accounts that listings do not show, and say so.
    pub withheld: BTreeSet<AccountId>,
    /// Entries of the change feed that are no longer known.
    pub forgotten: usize,
    /// Which account a key made.
    made: BTreeMap<SmolStr, AccountId>,
    /// Accounts in the order in which they changed.
    pub(super) log: Vec<AccountId>,
    pending: BTreeMap<PendingRef, Option<Outcome>>,
    /// Changes that are under way, and when they are done.
    working: BTreeMap<PendingRef, (Change, DateTime<Utc>)>,
    next: u32,
}

/// An entitlement that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// Seats, if they are counted.
    pub seats: Option<u32>,
    /// Whether the last holder keeps it.
    pub keep_one: bool,
}

fn not_found(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{what}` does not exist"))
}

impl State {
    pub(super) fn find(&self, identity: &IdentityId, user_name: &str) -> Option<&AccountState> {
        let mut all = self.accounts.values();
        all.find(|a| a.external_id.as_ref() == Some(identity)).or_else(|| {
            let same_name = |a: &&AccountState| a.user_name.eq_ignore_ascii_case(user_name);
            self.accounts.values().find(|a| a.external_id.is_none() && same_name(a))
        })
    }

    /// Raises a change that a person carries out; the same key is the same handle.
    pub(super) fn ask(&mut self, change: &Change) -> PendingRef {
        let handle = PendingRef(SmolStr::new(format!("manual-{}", change.key)));
        self.pending.entry(handle.clone()).or_insert(None);
        handle
    }

    /// Begins a change that takes its time; the same key is the same handle.
    pub(super) fn work(&mut self, change: &Change, until: DateTime<Utc>) -> PendingRef {
        let handle = PendingRef(SmolStr::new(format!("working-{}", change.key)));
        self.working.entry(handle.clone()).or_insert_with(|| (change.clone(), until));
        self.pending.entry(handle.clone()).or_insert(None);
        handle
    }

    /// A change that is to be made now, because its time is over.
    pub(super) fn due(&self, pending: &PendingRef, now: DateTime<Utc>) -> Option<Change> {
        let open = self.pending.get(pending).is_some_and(Option::is_none);
        let (change, until) = self.working.get(pending).filter(|_| open)?;
        (*until <= now).then(|| change.clone())
    }

    /// Forgets what is under way, as a target that was restored from a backup.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
        self.working.clear();
    }

    /// Makes a change, and counts it.
    pub(super) fn make(&mut self, descriptor: &Descriptor, change: &Change) -> Result<Outcome> {
        let outcome = self.apply(descriptor, change)?;
        if outcome.effect == Effect::Changed {
            *self.effects.entry(SmolStr::new(change.key.as_str())).or_insert(0) += 1;
            let taker = match &change.op {
                Operation::TransferOwnership { to } => Some(to),
                _ => None,
            };
            let changed: BTreeSet<&AccountId> = outcome.account.iter().chain(taker).collect();
            self.log.extend(changed.into_iter().cloned());
        }
        Ok(outcome)
    }

    pub(super) fn poll(&self, pending: &PendingRef) -> Result<Outcome> {
        match self.pending.get(pending) {
            Some(Some(outcome)) => Ok(outcome.clone()),
            Some(None) => Ok(Outcome::pending(pending.clone())),
            None => Err(not_found(&pending.0)),
        }
    }

    /// Says that a person has carried out a change.
    pub fn finish(&mut self, pending: &PendingRef, outcome: Outcome) {
        self.pending.insert(pending.clone(), Some(outcome));
    }

    /// Puts every account that differs into the change feed.
    pub(super) fn note_differences(&mut self, before: &BTreeMap<AccountId, AccountState>) {
        let ids: BTreeSet<&AccountId> = before.keys().chain(self.accounts.keys()).collect();
        let changed = |id: &&AccountId| before.get(*id) != self.accounts.get(*id);
        let changed: Vec<AccountId> = ids.into_iter().filter(changed).cloned().collect();
        self.log.extend(changed);
    }

    pub(super) fn apply(&mut self, descriptor: &Descriptor, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { .. } = &change.op {
            return self.create(descriptor, change);
        }
        let id = change
            .account
            .clone()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "the change names no account"))?;
        self.check_entitlements(descriptor, &id, &change.op)?;
        if let Operation::TransferOwnership { to } = &change.op {
            return self.transfer(&id, to);
        }
        if let Operation::UpdateAccount { user_name: Some(name), .. } = &change.op {
            self.check_name(name, Some(&id))?;
        }
        let Some(account) = self.accounts.get_mut(&id) else {
            // Whoever is not there holds nothing.
            return if change.op.takes_away() || change.op == Operation::DeleteAccount {
                Ok(Outcome::unchanged())
            } else {
                Err(not_found(id))
            };
        };
        if let Expect::Version(expected) = &change.expect
            && account.version.as_ref() != Some(expected)
        {
            let text = format!("account `{id}` has another version");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        if change.op == Operation::DeleteAccount {
            self.accounts.remove(&id);
            return Ok(Outcome::changed().with_account(id));
        }
        if let Operation::SetStatus { status } = &change.op
            && !descriptor.statuses.contains(status)
        {
            let text = format!("no account can be made {}", status.as_str());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let disabled = account.status == AccountStatus::Disabled;
        if let Operation::SetMailbox(_) = &change.op
            && disabled
            && !descriptor.disabled_keeps_mail
        {
            let text = format!("account `{id}` is disabled, and has no mail");
            return Err(Error::new(ErrorKind::Refused(RefusalReason::Policy), text));
        }
        let before = account.clone();
        change.op.project(account)?;
        let mut side_effects = Vec::new();
        if let Operation::Grant { entitlement } = &change.op
            && descriptor.kinds.get(&entitlement.kind).is_some_and(|kind| !kind.many)
        {
            let others = before.holdings.iter().filter(|held| held.kind == entitlement.kind);
            for other in others.filter(|other| *other != entitlement) {
                account.holdings.remove(other);
                side_effects.push(SideEffect::Replaced(other.clone()));
            }
        }
        if account.status == AccountStatus::Disabled
            && before.status != AccountStatus::Disabled
            && !descriptor.disabled_keeps_holdings
        {
            let lost = std::mem::take(&mut account.holdings);
            side_effects.extend(lost.into_iter().map(SideEffect::Dropped));
        }
        let changed = *account != before;
        if changed {
            bump(account);
        }
        let outcome = if changed { Outcome::changed() } else { Outcome::unchanged() };
        let outcome = outcome.with_account(id);
        Ok(side_effects.into_iter().fold(outcome, Outcome::with_side_effect))
    }

    fn create(&mut self, descriptor: &Descriptor, change: &Change) -> Result<Outcome> {
        let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        else {
            return Err(Error::new(ErrorKind::Internal, "not a creation"));
        };
        let key = SmolStr::new(change.key.as_str());
        if let Some(id) = self.made.get(&key) {
            return Ok(Outcome::unchanged().with_account(id.clone()));
        }
        for required in &descriptor.required_attributes {
            if !attributes.contains_key(required) {
                let text = format!("attribute `{required}` is required");
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        self.check_name(user_name, None)?;
        self.next += 1;
        let id = AccountId::new(format!("acc-{:04}", self.next))
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        let mut account = AccountState::new(id.clone(), user_name, *status);
        account.external_id = Some(external_id.clone());
        account.attributes.clone_from(attributes);
        account.credentials = super::no_credentials();
        account.mailbox = Some(Mailbox::default());
        bump(&mut account);
        self.accounts.insert(id.clone(), account);
        self.made.insert(key, id.clone());
        Ok(Outcome::changed().with_account(id))
    }

    fn check_name(&self, name: &str, except: Option<&AccountId>) -> Result<()> {
        let taken = self
            .accounts
            .values()
            .any(|a| a.user_name.eq_ignore_ascii_case(name) && Some(&a.id) != except);
        if taken {
            let text = format!("the sign-in name `{name}` is taken");
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        Ok(())
    }

    fn holders(&self, key: &EntitlementKey) -> usize {
        self.accounts.values().filter(|account| account.holdings.contains(key)).count()
    }

    fn holds(&self, id: &AccountId, key: &EntitlementKey) -> bool {
        self.accounts.get(id).is_some_and(|account| account.holdings.contains(key))
    }

    fn check_entitlements(
        &self,
        descriptor: &Descriptor,
        id: &AccountId,
        op: &Operation,
    ) -> Result<()> {
        let (given, taken) = match op {
            Operation::Grant { entitlement } => (Some(entitlement), None),
            Operation::Revoke { entitlement } => (None, Some(entitlement)),
            Operation::Exchange { revoke, grant } => (Some(grant), Some(revoke)),
            _ => return Ok(()),
        };
        for key in given.into_iter().chain(taken) {
            if descriptor.kinds.get(&key.kind).is_some_and(|kind| kind.immutable) {
                let text = format!("`{key}` is decided by the target itself");
                return Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text));
            }
        }
        if let Some(key) = given {
            let entry = self.catalogue.get(key).ok_or_else(|| not_found(key))?;
            let disabled =
                self.accounts.get(id).is_some_and(|a| a.status == AccountStatus::Disabled);
            if disabled && !descriptor.disabled_accepts_grants {
                let text = format!("account `{id}` is disabled");
                return Err(Error::new(ErrorKind::Refused(RefusalReason::Policy), text));
            }
            let full = |seats| self.holders(key) >= usize::try_from(seats).unwrap_or(0);
            if entry.seats.is_some_and(full) && !self.holds(id, key) {
                let text = format!("no seat of `{key}` is left");
                return Err(Error::new(ErrorKind::Exhausted, text));
            }
        }
        if let Some(key) = taken
            && self.catalogue.get(key).is_some_and(|entry| entry.keep_one)
            && self.holds(id, key)
            && self.holders(key) == 1
        {
            let text = format!("nobody else holds `{key}`");
            return Err(Error::new(ErrorKind::Refused(RefusalReason::LastOwner), text));
        }
        Ok(())
    }

    fn transfer(&mut self, from: &AccountId, to: &AccountId) -> Result<Outcome> {
        if !self.accounts.contains_key(to) {
            return Err(not_found(to));
        }
        let Some(giver) = self.accounts.get_mut(from) else { return Err(not_found(from)) };
        let assets: BTreeSet<SmolStr> = std::mem::take(&mut giver.owns);
        if assets.is_empty() {
            return Ok(Outcome::unchanged().with_account(from.clone()));
        }
        bump(giver);
        if let Some(taker) = self.accounts.get_mut(to) {
            taker.owns.extend(assets);
            bump(taker);
        }
        Ok(Outcome::changed().with_account(from.clone()))
    }
}

pub(crate) fn bump(account: &mut AccountState) {
    let number = account.version.as_ref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    account.version = Some(SmolStr::new((number + 1).to_string()));
}
