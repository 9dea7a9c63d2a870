//! Simulation: the same machine over a copy of the target that takes the writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::account::{AccountState, CredentialClass, Mailbox};
use jml_core::id::AccountId;
use jml_core::provider::{
    Change, Cx, Descriptor, Error, ErrorKind, ListRequest, Observation, Operation, Outcome, Page,
    Provider, Result, Target,
};

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
impl Provider for Overlay {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    /// Lists the target as it is, without the simulated writes.
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        self.inner.list(cx, request).await
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            let id = AccountId::new(format!("simulated-{}", change.key))
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
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
        let Some(mut state) = self.current(cx, &id).await? else {
            let gone = change.op.takes_away() || change.op == Operation::DeleteAccount;
            let missing = || Error::new(ErrorKind::NotFound, format!("`{id}` does not exist"));
            return if gone { Ok(Outcome::unchanged()) } else { Err(missing()) };
        };
        let before = state.clone();
        let after = match &change.op {
            Operation::DeleteAccount => None,
            Operation::TransferOwnership { .. } => {
                state.owns.clear();
                Some(state)
            }
            op => {
                op.project(&mut state)?;
                Some(state)
            }
        };
        let changed = after.as_ref() != Some(&before);
        self.lock().insert(id.clone(), after);
        let outcome = if changed { Outcome::changed() } else { Outcome::unchanged() };
        Ok(outcome.with_account(id))
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
            other => self.inner.read(cx, other).await,
        }
    }
}
