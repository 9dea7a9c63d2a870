//! The ledger: what we granted, read off the journals.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountStatus};
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId, ProviderId, StepId};
use jml_core::journal::{Entry, Fact, RunMode};
use jml_core::plan::{Late, LifecycleKind, Plan, StepKind};
use jml_core::provider::Operation;

/// Which plan granted something, and when it was seen to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Granted {
    /// The plan.
    pub plan: Digest,
    /// When the grant was verified.
    pub at: DateTime<Utc>,
}

/// What we granted. Access that was there before we came is not in it, even when a claim explains it now:
/// relative mode never takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    granted: BTreeMap<AccountRef, BTreeMap<EntitlementKey, Granted>>,
    closed: BTreeMap<AccountRef, DateTime<Utc>>,
    names: BTreeMap<(ProviderId, String), IdentityId>,
}

impl Ledger {
    /// Takes in the journal of one run, in order. Simulated runs leave no trace.
    pub fn record(&mut self, entries: &[Entry]) {
        let mut plan: Option<&Plan> = None;
        let mut made: BTreeMap<&StepId, &AccountId> = BTreeMap::new();
        for entry in entries {
            match &entry.fact {
                Fact::Opened { mode: RunMode::Simulated, .. } => return,
                Fact::Opened { plan: opened, .. } => plan = Some(opened),
                Fact::Applied { step, account: Some(account), .. } => {
                    made.insert(step, account);
                }
                Fact::Verified { step, already, after, .. } => {
                    if let Some(state) = after.account() {
                        made.entry(step).or_insert(&state.id);
                    }
                    self.settle(plan, step, &made, *already, entry.at);
                }
                Fact::AcceptedUnverified { step } => {
                    self.settle(plan, step, &made, false, entry.at);
                }
                _ => {}
            }
        }
    }

    fn settle(
        &mut self,
        plan: Option<&Plan>,
        step: &StepId,
        made: &BTreeMap<&StepId, &AccountId>,
        already: bool,
        at: DateTime<Utc>,
    ) {
        let Some(plan) = plan else { return };
        let kind = plan.steps().get(step).map(|step| &step.kind);
        let Some(StepKind::Change { provider, account, op }) = kind else { return };
        if let Operation::CreateAccount { user_name, .. }
        | Operation::UpdateAccount { user_name: Some(user_name), .. } = op
        {
            let name = (provider.clone(), user_name.to_lowercase());
            self.names.entry(name).or_insert_with(|| plan.header().identity.clone());
        }
        let Some(account) = account else { return };
        let account = match account {
            Late::Known(id) => id,
            Late::From(maker) => match made.get(maker) {
                Some(id) => *id,
                None => return,
            },
        };
        let at_ref = || AccountRef::new(provider.clone(), account.clone());
        let gone = matches!(plan.header().kind, LifecycleKind::Leave | LifecycleKind::Rescinded);
        match op {
            Operation::SetStatus { status: AccountStatus::Disabled } if gone && !already => {
                self.closed.entry(at_ref()).or_insert(at);
            }
            // Whatever brings an account back makes its end no end.
            Operation::SetStatus { status } if status.can_sign_in() => {
                self.closed.remove(&at_ref());
            }
            _ => {}
        }
        let granted = Granted { plan: *plan.id(), at };
        self.apply(provider, account, op, already, granted);
    }

    fn apply(
        &mut self,
        provider: &ProviderId,
        account: &AccountId,
        op: &Operation,
        already: bool,
        by: Granted,
    ) {
        let held =
            self.granted.entry(AccountRef::new(provider.clone(), account.clone())).or_default();
        match op {
            Operation::Grant { entitlement } if !already => {
                held.insert(entitlement.clone(), by);
            }
            Operation::Revoke { entitlement } => {
                held.remove(entitlement);
            }
            Operation::Exchange { revoke, grant } => {
                held.remove(revoke);
                if !already {
                    held.insert(grant.clone(), by);
                }
            }
            Operation::DeleteAccount => held.clear(),
            _ => {}
        }
    }

    /// Whether and when we granted an entitlement on an account.
    #[must_use]
    pub fn granted(&self, account: &AccountRef, entitlement: &EntitlementKey) -> Option<&Granted> {
        self.granted.get(account)?.get(entitlement)
    }

    /// What we granted on an account, ascending.
    pub(crate) fn granted_on(&self, account: &AccountRef) -> impl Iterator<Item = &EntitlementKey> {
        self.granted.get(account).into_iter().flat_map(BTreeMap::keys)
    }

    /// Since when an account is closed because its person left, if it was us who closed it.
    #[must_use]
    pub fn closed(&self, account: &AccountRef) -> Option<DateTime<Utc>> {
        self.closed.get(account).copied()
    }

    /// Whether a sign-in name was ever given to anybody else than this person. It stays theirs for ever,
    /// whatever became of the account.
    #[must_use]
    pub fn was_taken(&self, provider: &ProviderId, name: &str, by: &IdentityId) -> bool {
        let owner = self.names.get(&(provider.clone(), name.to_lowercase()));
        owner.is_some_and(|owner| owner != by)
    }

    /// Says that we granted something, for embedders whose history lies elsewhere.
    pub fn insert(&mut self, account: AccountRef, entitlement: EntitlementKey, by: Granted) {
        self.granted.entry(account).or_default().insert(entitlement, by);
    }
}
