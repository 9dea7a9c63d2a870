//! `Memory`: the reference model of the Provider contract, in memory and stricter than any real target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::account::{AccountState, CredentialClass, Mailbox};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId, KindId, ProviderId};
use jml_core::provider::{
    Change, Cursor, Cx, Descriptor, Effect, EntitlementKind, EntitlementRecord, Error, ErrorKind,
    Expect, Limits, ListRequest, ListScope, Observation, Operation, Outcome, Page, Provider,
    Result, Row, Target, Verb, VerbSupport,
};
use smol_str::SmolStr;

/// An in-memory provider.
///
/// Accounts are named `acc-0001`, `acc-0002`, ... in the order in which they are made. Entitlements must
/// be defined before they can be granted. Every effective change is counted by its key, so that a test
/// can prove that nothing was done twice.
#[derive(Debug)]
pub struct Memory {
    descriptor: Descriptor,
    state: Mutex<State>,
}

/// What a [`Memory`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Accounts by id.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// Entitlements that exist, with their seats if they are counted.
    pub catalogue: BTreeMap<EntitlementKey, Option<u32>>,
    /// How often each key took effect.
    pub effects: BTreeMap<SmolStr, u32>,
    /// Which account a key made.
    made: BTreeMap<SmolStr, AccountId>,
    next: u32,
}

impl Memory {
    /// An empty provider that supports every verb.
    #[must_use]
    pub fn new(id: ProviderId) -> Self {
        let mut verbs = vec![
            Verb::CreateAccount,
            Verb::UpdateAccount,
            Verb::SetStatus,
            Verb::DeleteAccount,
            Verb::Grant,
            Verb::Revoke,
            Verb::Exchange,
            Verb::SetMailbox,
            Verb::TransferOwnership,
        ];
        verbs.extend(CredentialClass::ALL.map(Verb::RevokeCredentials));
        let mut descriptor = Descriptor::new(id, "memory", env!("CARGO_PKG_VERSION"))
            .with_limits(Limits::new(8, 1000));
        for verb in verbs {
            descriptor = descriptor.with_verb(verb, VerbSupport::native());
        }
        Self { descriptor, state: Mutex::default() }
    }

    /// The same without some verbs.
    #[must_use]
    pub fn without(mut self, verbs: &[Verb]) -> Self {
        for verb in verbs {
            self.descriptor.verbs.remove(verb);
        }
        self
    }

    /// The same with an entitlement that can be granted without limit.
    #[must_use]
    pub fn define(self, key: EntitlementKey) -> Self {
        self.define_seats(key, None)
    }

    /// The same with an entitlement that has so many seats.
    #[must_use]
    pub fn define_seats(mut self, key: EntitlementKey, seats: Option<u32>) -> Self {
        let kind: &KindId = &key.kind;
        if !self.descriptor.kinds.contains_key(kind) {
            let what = EntitlementKind::many(kind.as_str());
            self.descriptor.kinds.insert(kind.clone(), what);
        }
        self.lock().catalogue.insert(key, seats);
        self
    }

    /// The same with an account.
    #[must_use]
    pub fn with_account(self, account: AccountState) -> Self {
        self.lock().accounts.insert(account.id.clone(), account);
        self
    }

    /// A copy of everything that it holds.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Looks at what it holds without copying it.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes what it holds behind everybody's back, as another administrator would.
    pub fn out_of_band<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for Memory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, _: &Cx, request: &ListRequest) -> Result<Page> {
        let state = self.lock();
        let size = request.page_size.unwrap_or(100).clamp(1, self.descriptor.limits.max_page);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let after = request.cursor.as_ref().map(|cursor| parse_cursor(&cursor.0)).transpose()?;
        match request.scope {
            ListScope::Accounts => {
                let rows = state
                    .accounts
                    .iter()
                    .map(|(id, account)| (id.to_string(), Row::Account(Box::new(account.clone()))));
                Ok(page(rows, after, size))
            }
            ListScope::Entitlements => {
                let rows = state.catalogue.keys().map(|key| {
                    let title = SmolStr::new(key.id.as_str());
                    let row = Row::Entitlement(EntitlementRecord { key: key.clone(), title });
                    (key.to_string(), row)
                });
                Ok(page(rows, after, size))
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "unknown scope")),
        }
    }

    async fn apply(&self, _: &Cx, change: &Change) -> Result<Outcome> {
        let verb = change.op.verb();
        if !self.descriptor.verbs.contains_key(&verb) {
            return Err(Error::unsupported(verb));
        }
        let mut state = self.lock();
        let outcome = state.apply(change)?;
        if outcome.effect == Effect::Changed {
            *state.effects.entry(SmolStr::new(change.key.as_str())).or_insert(0) += 1;
        }
        Ok(outcome)
    }

    async fn read(&self, _: &Cx, target: &Target) -> Result<Observation> {
        let state = self.lock();
        let hit = match target {
            Target::Account(id) => state.accounts.get(id),
            Target::External { identity, user_name } => state.find(identity, user_name),
            _ => return Err(Error::new(ErrorKind::Unsupported, "unknown target")),
        };
        Ok(hit.map_or(Observation::Absent, |a| Observation::Present(Box::new(a.clone()))))
    }
}

fn page(rows: impl Iterator<Item = (String, Row)>, after: Option<&str>, size: usize) -> Page {
    let mut rows = rows.skip_while(|(key, _)| after.is_some_and(|after| key.as_str() <= after));
    let taken: Vec<(String, Row)> = rows.by_ref().take(size).collect();
    let last = taken.last().map(|(key, _)| key.clone());
    let more = rows.next().is_some();
    let taken = taken.into_iter().map(|(_, row)| row).collect();
    match last {
        Some(last) if more => Page::more(taken, Cursor(SmolStr::new(format!("after:{last}")))),
        _ => Page::last(taken),
    }
}

fn parse_cursor(text: &str) -> Result<&str> {
    text.strip_prefix("after:")
        .ok_or_else(|| Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours"))
}

fn not_found(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{what}` does not exist"))
}

impl State {
    fn find(&self, identity: &IdentityId, user_name: &str) -> Option<&AccountState> {
        let mut all = self.accounts.values();
        all.find(|a| a.external_id.as_ref() == Some(identity)).or_else(|| {
            let same_name = |a: &&AccountState| a.user_name.eq_ignore_ascii_case(user_name);
            self.accounts.values().find(|a| a.external_id.is_none() && same_name(a))
        })
    }

    fn apply(&mut self, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { .. } = &change.op {
            return self.create(change);
        }
        let id = change
            .account
            .clone()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "the change names no account"))?;
        self.check_entitlements(&change.op)?;
        let holders = |accounts: &BTreeMap<AccountId, AccountState>, key: &EntitlementKey| {
            accounts.values().filter(|account| account.holdings.contains(key)).count()
        };
        if let Operation::Grant { entitlement } | Operation::Exchange { grant: entitlement, .. } =
            &change.op
            && let Some(Some(seats)) = self.catalogue.get(entitlement)
            && !self.accounts.get(&id).is_some_and(|a| a.holdings.contains(entitlement))
            && holders(&self.accounts, entitlement) >= usize::try_from(*seats).unwrap_or(0)
        {
            let text = format!("no seat of `{entitlement}` is left");
            return Err(Error::new(ErrorKind::Exhausted, text));
        }
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
        let before = account.clone();
        if change.op == Operation::DeleteAccount {
            self.accounts.remove(&id);
            return Ok(Outcome::changed().with_account(id));
        }
        change.op.project(account)?;
        let changed = *account != before;
        if changed {
            bump(account);
        }
        let outcome = if changed { Outcome::changed() } else { Outcome::unchanged() };
        Ok(outcome.with_account(id))
    }

    fn create(&mut self, change: &Change) -> Result<Outcome> {
        let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        else {
            return Err(Error::new(ErrorKind::Internal, "not a creation"));
        };
        let key = SmolStr::new(change.key.as_str());
        if let Some(id) = self.made.get(&key) {
            return Ok(Outcome::unchanged().with_account(id.clone()));
        }
        self.check_name(user_name, None)?;
        self.next += 1;
        let id = AccountId::new(format!("acc-{:04}", self.next))
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        let mut account = AccountState::new(id.clone(), user_name, *status);
        account.external_id = Some(external_id.clone());
        account.attributes.clone_from(attributes);
        account.credentials = CredentialClass::ALL.map(|class| (class, 0)).into();
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

    fn check_entitlements(&self, op: &Operation) -> Result<()> {
        let given = match op {
            Operation::Grant { entitlement } => entitlement,
            Operation::Exchange { grant, .. } => grant,
            _ => return Ok(()),
        };
        if self.catalogue.contains_key(given) { Ok(()) } else { Err(not_found(given)) }
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

fn bump(account: &mut AccountState) {
    let number = account.version.as_ref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    account.version = Some(SmolStr::new((number + 1).to_string()));
}
