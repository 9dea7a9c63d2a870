//! An overlay: a provider that takes every write and lets none through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Change, ChangePage, Cx, Descriptor, Effect, Error, ErrorKind, Health, ListRequest, ListScope,
    Observation, Operation, Outcome, Page, PendingRef, Preview, Provider, Result, Row, Target,
    Watermark, preview,
};
use crate::account::{AccountState, CredentialClass, Mailbox};
use crate::id::AccountId;

/// How the ids of accounts begin that exist only here.
const MADE: &str = "simulated-";

/// Reads a real provider and keeps every write to itself. Nothing that goes through it reaches the
/// target.
pub struct Overlay {
    inner: Arc<dyn Provider>,
    accounts: Mutex<BTreeMap<AccountId, Option<AccountState>>>,
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("over", &self.inner.descriptor().id).finish_non_exhaustive()
    }
}

impl Overlay {
    /// An overlay without any write yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>) -> Self {
        Self { inner, accounts: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Option<AccountState>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account as it would be now.
    async fn current(&self, cx: &Cx, id: &AccountId) -> Result<Option<AccountState>> {
        let here = self.lock().get(id).cloned();
        if let Some(state) = here {
            return Ok(state);
        }
        let seen = self.inner.read(cx, &Target::Account(id.clone())).await?;
        Ok(seen.account().cloned())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "a wrapper that misses a method writes through")]
impl Provider for Overlay {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    /// Lists the target as it would be. Accounts that were made here come on the last page.
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        let page = self.inner.list(cx, request).await?;
        if request.scope != ListScope::Accounts {
            return Ok(page);
        }
        let written = self.lock().clone();
        let as_it_would_be = |row: &Row| match row {
            Row::Account(state) => match written.get(&state.id) {
                Some(now) => now.clone().map(|now| Row::Account(Box::new(now))),
                None => Some(row.clone()),
            },
            other => Some(other.clone()),
        };
        let mut rows: Vec<Row> = page.rows().iter().filter_map(as_it_would_be).collect();
        if page.next().is_none() {
            let made = written.iter().filter(|(id, _)| id.as_str().starts_with(MADE));
            rows.extend(made.filter_map(|(_, it)| Some(Row::Account(Box::new(it.clone()?)))));
        }
        let with_rows = Page::with_next(rows, page.next().cloned());
        Ok(page.omissions().iter().cloned().fold(with_rows, Page::omitting))
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if !self.descriptor().supports(change.op.verb()) {
            return Err(Error::unsupported(change.op.verb()));
        }
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            let id = AccountId::new(format!("{MADE}{}", change.key))
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            if self.lock().contains_key(&id) {
                return Ok(Outcome::unchanged().with_account(id));
            }
            let mut state = AccountState::new(id.clone(), user_name, *status);
            state.external_id = Some(external_id.clone());
            state.attributes.clone_from(attributes);
            state.credentials = CredentialClass::ALL.map(|class| (class, 0)).into();
            state.mailbox = Some(Mailbox::default());
            self.lock().insert(id.clone(), Some(state));
            return Ok(Outcome::changed().with_account(id));
        }
        let id = change.account.clone();
        let id = id.ok_or_else(|| Error::new(ErrorKind::Invalid, "the change names no account"))?;
        let before = self.current(cx, &id).await?.map_or(Observation::Absent, Observation::present);
        let (effect, after) = change.op.outcome_on(&before)?;
        if effect != Effect::Changed {
            return Ok(Outcome::unchanged().with_account(id));
        }
        if let (Operation::TransferOwnership { to }, Some(giver)) = (&change.op, before.account())
            && let Some(mut taker) = self.current(cx, to).await?
        {
            taker.owns.extend(giver.owns.iter().cloned());
            self.lock().insert(to.clone(), Some(taker));
        }
        self.lock().insert(id.clone(), after.account().cloned());
        Ok(Outcome::changed().with_account(id))
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let present = |state: AccountState| Observation::Present(Box::new(state));
        match target {
            Target::Account(id) => {
                Ok(self.current(cx, id).await?.map_or(Observation::Absent, present))
            }
            Target::External { identity, .. } => {
                let made = self
                    .lock()
                    .values()
                    .flatten()
                    .find(|state| state.external_id.as_ref() == Some(identity))
                    .cloned();
                match made {
                    Some(state) => Ok(present(state)),
                    None => self.inner.read(cx, target).await,
                }
            }
        }
    }

    async fn preview(&self, cx: &Cx, change: &Change) -> Result<Preview> {
        preview::by_reading(self, cx, change).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        self.inner.health(cx).await
    }

    /// What changed on the target; simulated writes are not part of it.
    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.inner.changes(cx, since).await
    }

    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.inner.poll(cx, pending).await
    }

    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        super::one_by_one(self, cx, changes).await
    }
}
