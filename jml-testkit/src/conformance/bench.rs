//! What behaviours are written with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::attribute::AttributeValue;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, IdentityId};
use jml_core::provider::{
    Change, Consistency, Cx, Descriptor, Error, Expect, IdempotencyKey, ListRequest, Listing,
    Observation, Operation, Outcome, Page, Provider, Result, Row, Snapshot, Target, Transport,
    Verb, snapshot,
};

use super::world::{Backdoor, World};
use crate::fake::{Hits, Wire, WireFault};

/// How a behaviour ends.
pub(super) type Check<T = ()> = std::result::Result<T, Stop>;

/// Why a behaviour ends early.
#[derive(Debug)]
pub(super) enum Stop {
    Fail(String),
    NotApplicable(String),
    NotRun(String),
    Inconclusive(String),
}

/// Fails unless it holds.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err($crate::conformance::bench::Stop::Fail(format!($($why)+)));
        }
    };
}
pub(super) use ensure;

/// A world, and what is needed again and again.
pub(super) struct Bench {
    pub(super) world: World,
    keys: AtomicU32,
    made: Mutex<Vec<AccountId>>,
    note: Mutex<Option<String>>,
}

pub(super) fn fail<T>(why: impl Into<String>) -> Check<T> {
    Err(Stop::Fail(why.into()))
}

fn within(what: &str) -> impl Fn(Error) -> Stop {
    move |error| Stop::Fail(format!("{what}: {error} (applied {:?})", error.applied()))
}

pub(super) fn name(text: &str) -> Check<AttributeName> {
    AttributeName::new(text).map_err(|e| Stop::Inconclusive(e.to_string()))
}

pub(super) fn person(text: &str) -> Check<IdentityId> {
    IdentityId::new(text).map_err(|e| Stop::Inconclusive(e.to_string()))
}

impl Bench {
    pub(super) fn new(world: World) -> Self {
        Self { world, keys: AtomicU32::new(0), made: Mutex::default(), note: Mutex::default() }
    }

    /// Says how far a behaviour was looked at, for the report.
    pub(super) fn note(&self, text: String) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    pub(super) fn noted(&self) -> Option<String> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn provider(&self) -> &dyn Provider {
        &*self.world.provider
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        self.world.provider.descriptor()
    }

    pub(super) fn cx(&self) -> Cx {
        self.world.cx()
    }

    pub(super) fn key(&self) -> IdempotencyKey {
        let number = self.keys.fetch_add(1, Ordering::SeqCst);
        IdempotencyKey::new(&Digest::of_bytes("jml-conformance", &number.to_be_bytes()))
    }

    // What there must be.

    pub(super) fn needs(&self, verb: Verb) -> Check {
        if self.descriptor().supports(verb) {
            return Ok(());
        }
        Err(Stop::NotApplicable(format!("{verb} is not declared")))
    }

    pub(super) fn backdoor(&self) -> Check<&Arc<dyn Backdoor>> {
        self.world.backdoor.as_ref().ok_or_else(|| Stop::NotRun("needs a backdoor".into()))
    }

    pub(super) fn wire(&self) -> Check<&Arc<dyn Wire>> {
        if self.descriptor().transport == Transport::InProcess {
            return Err(Stop::NotApplicable("calls cross no wire".into()));
        }
        self.world.wire.as_ref().ok_or_else(|| Stop::NotRun("needs control over the wire".into()))
    }

    pub(super) fn restart(&self) -> Check<Arc<dyn Provider>> {
        let restart = self.world.restart.as_ref();
        restart.map(|make| make()).ok_or_else(|| Stop::NotRun("needs a second instance".into()))
    }

    // Time.

    pub(super) async fn settle(&self) {
        if let Consistency::Within { ms } = self.descriptor().consistency {
            let cx = self.cx();
            let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(0));
            cx.clock().sleep_until(cx.now() + wait).await;
        }
    }

    // Accounts.

    /// A sign-in name as the target wants it.
    pub(super) fn user(&self, name: &str) -> String {
        match self.world.domain {
            Some(domain) => format!("{name}@{domain}"),
            None => name.to_owned(),
        }
    }

    pub(super) fn creation(&self, user: &str) -> Check<Operation> {
        let mut attributes = BTreeMap::new();
        for required in &self.descriptor().required_attributes {
            attributes.insert(required.clone(), AttributeValue::text(user));
        }
        Ok(Operation::CreateAccount {
            user_name: self.user(user).into(),
            external_id: person(&format!("id-{user}"))?,
            status: AccountStatus::Active,
            attributes,
        })
    }

    pub(super) fn change(&self, account: Option<&AccountId>, op: Operation) -> Change {
        Change { key: self.key(), account: account.cloned(), op, expect: Expect::Any }
    }

    pub(super) async fn send(&self, change: &Change) -> Result<Outcome> {
        let outcome = self.provider().apply(&self.cx(), change).await;
        self.settle().await;
        outcome
    }

    pub(super) async fn apply(&self, account: &AccountId, op: Operation) -> Result<Outcome> {
        self.send(&self.change(Some(account), op)).await
    }

    /// The same, which must succeed.
    pub(super) async fn does(&self, account: &AccountId, op: Operation) -> Check<Outcome> {
        let what = op.to_string();
        self.apply(account, op).await.map_err(within(&what))
    }

    pub(super) async fn creates(&self, user: &str) -> Check<AccountId> {
        self.needs(Verb::CreateAccount)?;
        let outcome = self.send(&self.change(None, self.creation(user)?)).await;
        let outcome = outcome.map_err(within("create"))?;
        outcome.account.ok_or_else(|| Stop::Fail("a creation that names no account".into()))
    }

    /// So many accounts, the same ones each time; active and empty at first.
    pub(super) async fn some(&self, count: usize) -> Check<Vec<AccountId>> {
        if !self.world.accounts.is_empty() {
            let enough = self.world.accounts.get(..count);
            return enough
                .map(<[_]>::to_vec)
                .ok_or_else(|| Stop::NotRun(format!("needs {count} accounts")));
        }
        let known = self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for number in known.len() + 1..=count {
            let user = format!("user{number}");
            let account = match &self.world.backdoor {
                Some(backdoor) => backdoor.put(self.fresh(&user)?).await,
                None => {
                    if !self.descriptor().supports(Verb::CreateAccount) {
                        return Err(Stop::NotRun("needs accounts".into()));
                    }
                    self.creates(&user).await?
                }
            };
            self.made.lock().unwrap_or_else(PoisonError::into_inner).push(account);
        }
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(made.iter().take(count).cloned().collect())
    }

    pub(super) async fn one(&self) -> Check<AccountId> {
        let mut made = self.some(1).await?;
        made.pop().ok_or_else(|| Stop::Inconclusive("no account".into()))
    }

    /// An account that is not there yet.
    pub(super) fn fresh(&self, user: &str) -> Check<AccountState> {
        let id = AccountId::new(format!("new-{user}"));
        let id = id.map_err(|e| Stop::Inconclusive(e.to_string()))?;
        let mut state = AccountState::new(id, self.user(user), AccountStatus::Active);
        state.external_id = Some(person(&format!("id-{user}"))?);
        state.credentials = CredentialClass::ALL.map(|class| (class, 0)).into();
        state.mailbox = Some(Mailbox::default());
        Ok(state)
    }

    pub(super) fn nobody(&self) -> Check<AccountId> {
        AccountId::new("no-such-account").map_err(|e| Stop::Inconclusive(e.to_string()))
    }

    /// Two text attributes that can be set.
    pub(super) fn attributes(&self) -> Check<(AttributeName, AttributeName)> {
        let [one, other] = self.world.attributes;
        Ok((name(one)?, name(other)?))
    }

    // Looking.

    pub(super) async fn read(&self, account: &AccountId) -> Check<Option<AccountState>> {
        let target = Target::Account(account.clone());
        match self.provider().read(&self.cx(), &target).await.map_err(within("read"))? {
            Observation::Present(state) => Ok(Some(*state)),
            Observation::Absent => Ok(None),
            Observation::NotObserved => fail("read did not look"),
        }
    }

    pub(super) async fn sees(&self, account: &AccountId) -> Check<AccountState> {
        let seen = self.read(account).await?;
        seen.ok_or_else(|| Stop::Fail(format!("account `{account}` does not show")))
    }

    /// Everything, by listing.
    pub(super) async fn all(&self) -> Check<BTreeMap<AccountId, AccountState>> {
        match snapshot(self.provider(), &self.cx()).await.map_err(within("list"))? {
            Snapshot::Complete(all) => Ok(all.accounts().clone()),
            Snapshot::Incomplete { .. } => fail("the listing says that it is not complete"),
        }
    }

    /// What a listing shows of an account that was read.
    pub(super) fn as_listed(&self, read: AccountState) -> AccountState {
        match self.descriptor().listing {
            Listing::Wide => AccountState {
                credentials: BTreeMap::new(),
                mailbox: None,
                owns: BTreeSet::new(),
                ..read
            },
            _ => read,
        }
    }

    /// The account as it really is: by the backdoor where there is one.
    pub(super) async fn truth(&self, account: &AccountId) -> Check<Option<AccountState>> {
        match &self.world.backdoor {
            Some(backdoor) => {
                Ok(backdoor.truth().await.into_iter().find(|state| state.id == *account))
            }
            None => self.read(account).await,
        }
    }

    /// Everything as it really is.
    pub(super) async fn whole_truth(&self) -> Check<BTreeMap<AccountId, AccountState>> {
        match &self.world.backdoor {
            Some(backdoor) => {
                let all = backdoor.truth().await.into_iter();
                Ok(all.map(|state| (state.id.clone(), state)).collect())
            }
            None => self.all().await,
        }
    }

    /// What an account really holds; nothing when it is gone.
    pub(super) async fn holds(&self, account: &AccountId) -> Check<BTreeSet<EntitlementKey>> {
        Ok(self.truth(account).await?.map(|state| state.holdings).unwrap_or_default())
    }

    /// Every page of accounts.
    pub(super) async fn pages(&self, size: Option<u32>) -> Check<Vec<Page>> {
        self.pages_of(ListRequest { page_size: size, ..ListRequest::accounts() }).await
    }

    /// Every page of a listing.
    pub(super) async fn pages_of(&self, mut request: ListRequest) -> Check<Vec<Page>> {
        let mut pages = Vec::new();
        let mut used = BTreeSet::new();
        loop {
            let page = self.provider().list(&self.cx(), &request).await.map_err(within("list"))?;
            let next = page.next().cloned();
            pages.push(page);
            match next {
                None => return Ok(pages),
                Some(next) => {
                    ensure!(used.insert(next.0.clone()), "cursor `{}` comes twice", next.0);
                    ensure!(pages.len() < 10_000, "the listing does not end");
                    request.cursor = Some(next);
                }
            }
        }
    }

    // Entitlements.

    /// Entitlements that can be granted freely: those that were named, else those that are listed, until
    /// there are enough.
    async fn free_keys(
        &self,
        enough: impl Fn(&[EntitlementKey]) -> bool,
    ) -> Check<Vec<EntitlementKey>> {
        let kinds = &self.descriptor().kinds;
        let free = |key: &EntitlementKey| kinds.get(&key.kind).is_none_or(|kind| !kind.immutable);
        let mut keys = self.world.entitlements.clone();
        if keys.is_empty() {
            let mut request = ListRequest::entitlements();
            loop {
                let page = self.provider().list(&self.cx(), &request).await;
                let page = page.map_err(|e| Stop::NotRun(format!("needs entitlements: {e}")))?;
                keys.extend(page.rows().iter().filter_map(|row| match row {
                    Row::Entitlement(record) if free(&record.key) => Some(record.key.clone()),
                    _ => None,
                }));
                let next = page.next().cloned();
                if enough(&keys) || next.is_none() || next == request.cursor {
                    break;
                }
                request.cursor = next;
            }
        }
        Ok(keys)
    }

    /// So many entitlements that can be granted freely.
    pub(super) async fn keys(&self, count: usize) -> Check<Vec<EntitlementKey>> {
        match self.free_keys(|keys| keys.len() >= count).await?.get(..count) {
            Some(keys) => Ok(keys.to_vec()),
            None => Err(Stop::NotRun(format!("needs {count} entitlements"))),
        }
    }

    /// One entitlement of each kind of which some can be granted freely.
    pub(super) async fn key_of_each_kind(&self) -> Check<Vec<EntitlementKey>> {
        let mut found = BTreeMap::new();
        for key in self.free_keys(|_| false).await? {
            let special = [&self.world.scarce, &self.world.guarded];
            if !special.contains(&&Some(key.clone())) {
                found.entry(key.kind.clone()).or_insert(key);
            }
        }
        Ok(found.into_values().collect())
    }

    pub(super) async fn a_key(&self) -> Check<EntitlementKey> {
        let mut keys = self.keys(1).await?;
        keys.pop().ok_or_else(|| Stop::Inconclusive("no entitlement".into()))
    }

    /// An entitlement that does not exist, of a kind that does.
    pub(super) async fn no_key(&self) -> Check<EntitlementKey> {
        let mut key = self.a_key().await?;
        key.id = jml_core::id::EntitlementId::new("no-such-entitlement")
            .map_err(|e| Stop::Inconclusive(e.to_string()))?;
        Ok(key)
    }

    // The wire.

    /// The next so many of these requests go wrong.
    pub(super) fn inject(&self, hits: Hits, times: u32, fault: WireFault) -> Check<()> {
        self.wire()?.inject(hits, times, fault);
        Ok(())
    }

    /// The premise that the fault happened.
    pub(super) fn fired(&self, least: u32) -> Check<()> {
        let fired = self.wire()?.fired();
        if fired < least {
            return Err(Stop::Inconclusive(format!("the fault happened {fired} times")));
        }
        Ok(())
    }

    /// Requests since `from` that could change something.
    pub(super) fn mutating_since(&self, from: usize) -> Check<usize> {
        let requests = self.wire()?.requests();
        Ok(requests.iter().skip(from).filter(|request| request.mutates).count())
    }
}

pub(super) fn grant(key: &EntitlementKey) -> Operation {
    Operation::Grant { entitlement: key.clone() }
}

pub(super) fn revoke(key: &EntitlementKey) -> Operation {
    Operation::Revoke { entitlement: key.clone() }
}

pub(super) fn status(status: AccountStatus) -> Operation {
    Operation::SetStatus { status }
}

pub(super) fn set(values: &[(&AttributeName, &str)]) -> Operation {
    let set = values.iter().map(|(name, value)| ((*name).clone(), AttributeValue::text(value)));
    Operation::UpdateAccount { user_name: None, set: set.collect(), clear: BTreeSet::new() }
}

pub(super) fn rename(to: &str) -> Operation {
    Operation::UpdateAccount {
        user_name: Some(to.into()),
        set: BTreeMap::new(),
        clear: BTreeSet::new(),
    }
}
