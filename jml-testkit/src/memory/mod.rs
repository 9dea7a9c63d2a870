//! `Memory`: the reference model of the Provider contract, in memory and stricter than any real target.

mod state;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, KindId, ProviderId};
use jml_core::provider::{
    Change, ChangePage, ChangeRow, Consistency, Cursor, Cx, Descriptor, Effect, EntitlementKind,
    Error, ErrorKind, HoldingRecord, Idempotency, Limits, ListRequest, ListScope, Listing,
    Observation, Omission, Outcome, Page, PendingRef, Provider, Result, Row, Target, Verb,
    VerbSupport, Watermark,
};
use smol_str::SmolStr;

pub use state::{CatalogueEntry, State};

/// An in-memory provider.
///
/// Accounts are named `acc-0001`, `acc-0002`, ... in the order in which they are made. Entitlements must
/// be defined before they can be granted. Every effective change is counted by its key, so that a test
/// can prove that nothing was done twice.
#[derive(Debug)]
pub struct Memory {
    descriptor: Descriptor,
    state: Mutex<State>,
    slow: BTreeMap<Verb, TimeDelta>,
}

impl Memory {
    /// An empty provider that supports every verb.
    #[must_use]
    pub fn new(id: ProviderId) -> Self {
        let mut descriptor = Descriptor::new(id, "memory", env!("CARGO_PKG_VERSION"))
            .with_limits(Limits::new(8, 1000))
            .in_process()
            .with_statuses(AccountStatus::ALL)
            .checking_versions()
            .feeding_changes();
        for verb in Verb::ALL {
            let idempotency = match verb {
                Verb::CreateAccount => Idempotency::Keyed,
                _ => Idempotency::Natural,
            };
            let support = VerbSupport::native()
                .with_idempotency(idempotency)
                .with_permission(format!("memory:{verb}"));
            descriptor = descriptor.with_verb(verb, support);
        }
        Self { descriptor, state: Mutex::default(), slow: BTreeMap::new() }
    }

    /// The same without some verbs.
    #[must_use]
    pub fn without(mut self, verbs: &[Verb]) -> Self {
        for verb in verbs {
            self.descriptor.verbs.remove(verb);
        }
        self
    }

    /// The same with another way of supporting a verb. A verb that is carried out by people
    /// ([`SupportMode::Manual`](jml_core::provider::SupportMode::Manual)) is answered as pending until
    /// [`State::finish`] is called.
    #[must_use]
    pub fn with_verb(mut self, verb: Verb, support: VerbSupport) -> Self {
        self.descriptor.verbs.insert(verb, support);
        self
    }

    /// The same for a target that takes its time for a verb: such a change is answered as pending, and made
    /// when somebody asks for it so long after.
    #[must_use]
    pub fn taking(mut self, verb: Verb, time: TimeDelta) -> Self {
        self.slow.insert(verb, time);
        self
    }

    /// The same with a kind of entitlement that is not the usual one.
    #[must_use]
    pub fn with_kind(mut self, kind: KindId, what: EntitlementKind) -> Self {
        self.descriptor.kinds.insert(kind, what);
        self
    }

    /// The same with a consistency window. Reads are immediate all the same; faults make them late.
    #[must_use]
    pub const fn with_consistency(mut self, consistency: Consistency) -> Self {
        self.descriptor.consistency = consistency;
        self
    }

    /// The same with an attribute without which no account is made.
    #[must_use]
    pub fn requiring(mut self, attribute: AttributeName) -> Self {
        self.descriptor.required_attributes.insert(attribute);
        self
    }

    /// The same for a target that knows these statuses and no others.
    #[must_use]
    pub fn with_statuses(mut self, statuses: impl IntoIterator<Item = AccountStatus>) -> Self {
        self.descriptor.statuses = statuses.into_iter().collect();
        self
    }

    /// The same for a target that takes everything from an account that is disabled.
    #[must_use]
    pub const fn dropping_holdings_when_disabled(mut self) -> Self {
        self.descriptor.disabled_keeps_holdings = false;
        self
    }

    /// The same for a target that gives nothing to an account that is disabled.
    #[must_use]
    pub const fn refusing_grants_when_disabled(mut self) -> Self {
        self.descriptor.disabled_accepts_grants = false;
        self
    }

    /// The same for a target on which a disabled account gets no mail.
    #[must_use]
    pub const fn losing_mail_when_disabled(mut self) -> Self {
        self.descriptor.disabled_keeps_mail = false;
        self
    }

    /// The same for a target whose listings show less than its reads.
    #[must_use]
    pub const fn listing_wide(mut self) -> Self {
        self.descriptor.listing = Listing::Wide;
        self
    }

    /// The same with an entitlement that can be granted without limit.
    #[must_use]
    pub fn define(self, key: EntitlementKey) -> Self {
        self.define_as(key, CatalogueEntry::default())
    }

    /// The same with an entitlement that has so many seats.
    #[must_use]
    pub fn define_seats(self, key: EntitlementKey, seats: Option<u32>) -> Self {
        self.define_as(key, CatalogueEntry { seats, ..CatalogueEntry::default() })
    }

    /// The same with an entitlement that somebody must always hold.
    #[must_use]
    pub fn define_guarded(self, key: EntitlementKey) -> Self {
        self.define_as(key, CatalogueEntry { keep_one: true, ..CatalogueEntry::default() })
    }

    fn define_as(mut self, key: EntitlementKey, entry: CatalogueEntry) -> Self {
        let kind: &KindId = &key.kind;
        if !self.descriptor.kinds.contains_key(kind) {
            let what = EntitlementKind::many(kind.as_str());
            self.descriptor.kinds.insert(kind.clone(), what);
        }
        self.lock().catalogue.insert(key, entry);
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
        let mut state = self.lock();
        let before = state.accounts.clone();
        let answer = change(&mut state);
        state.note_differences(&before);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a wide listing shows of an account.
fn in_wide(account: &AccountState) -> AccountState {
    AccountState {
        external_id: account.external_id.clone(),
        attributes: account.attributes.clone(),
        version: account.version.clone(),
        ..AccountState::new(account.id.clone(), &account.user_name, account.status)
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
                let shown = state.accounts.iter().filter(|(id, _)| !state.withheld.contains(*id));
                let wide = self.descriptor.listing == Listing::Wide;
                let rows = shown.map(|(id, account)| {
                    let account = if wide { in_wide(account) } else { account.clone() };
                    (id.to_string(), Row::Account(Box::new(account)))
                });
                let page = page(rows, after, size);
                Ok(state.withheld.iter().fold(page, |page, id| {
                    let what = SmolStr::new(format!("account {id}"));
                    page.omitting(Omission { what, why: "not allowed".into() })
                }))
            }
            ListScope::Entitlements => {
                let rows = state.catalogue.keys().map(|key| {
                    let title = SmolStr::new(key.id.as_str());
                    let row = Row::entitlement(key.clone(), title);
                    (key.to_string(), row)
                });
                Ok(page(rows, after, size))
            }
            ListScope::Holdings if self.descriptor.listing == Listing::Wide => {
                let rows = state.accounts.iter().flat_map(|(id, account)| {
                    account.holdings.iter().map(move |key| {
                        let row = HoldingRecord { account: id.clone(), entitlement: key.clone() };
                        (format!("{id} {key}"), Row::Holding(row))
                    })
                });
                Ok(page(rows, after, size))
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "unknown scope")),
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        let verb = change.op.verb();
        if !self.descriptor.verbs.contains_key(&verb) {
            return Err(Error::unsupported(verb));
        }
        let mut state = self.lock();
        if !self.descriptor.supports(verb) {
            return Ok(Outcome::pending(state.ask(change)));
        }
        if let Some(time) = self.slow.get(&verb) {
            // What cannot be done, or is done, is said at once.
            let outcome = state.clone().apply(&self.descriptor, change)?;
            if outcome.effect == Effect::Changed {
                return Ok(Outcome::pending(state.work(change, cx.now() + *time)));
            }
        }
        state.make(&self.descriptor, change)
    }

    async fn read(&self, _: &Cx, target: &Target) -> Result<Observation> {
        let state = self.lock();
        let hit = match target {
            Target::Account(id) => state.accounts.get(id),
            Target::External { identity, user_name } => state.find(identity, user_name),
            _ => return Err(Error::new(ErrorKind::Unsupported, "unknown target")),
        };
        Ok(hit.map_or(Observation::Absent, |a| Observation::present(a.clone())))
    }

    async fn changes(&self, _: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        let state = self.lock();
        let end = state.log.len();
        let from = match since {
            None => end,
            Some(mark) => mark
                .0
                .strip_prefix("log:")
                .and_then(|number| number.parse().ok())
                .filter(|from| (state.forgotten..=end).contains(from))
                .ok_or_else(|| Error::new(ErrorKind::CursorExpired, "the watermark is unknown"))?,
        };
        let rows = state.log.iter().skip(from).map(|account| ChangeRow {
            account: account.clone(),
            now: state
                .accounts
                .get(account)
                .map_or(Observation::Absent, |a| Observation::present(a.clone())),
        });
        let next = Watermark(SmolStr::new(format!("log:{end}")));
        Ok(ChangePage { rows: rows.collect(), next, more: false })
    }

    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        let mut state = self.lock();
        if let Some(change) = state.due(pending, cx.now()) {
            let outcome = state.make(&self.descriptor, &change)?;
            state.finish(pending, outcome);
        }
        state.poll(pending)
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

/// Live credentials of an account on which nobody has signed in.
pub(crate) fn no_credentials() -> BTreeMap<CredentialClass, u32> {
    CredentialClass::ALL.map(|class| (class, 0)).into()
}

/// The way to a [`Memory`] that is not the provider.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a wrapper")]
pub struct MemoryBackdoor(pub std::sync::Arc<Memory>);

#[async_trait]
impl crate::conformance::Backdoor for MemoryBackdoor {
    async fn put(&self, account: AccountState) -> AccountId {
        self.0.out_of_band(|state| {
            let id = account.id.clone();
            let mut account = account;
            state::bump(&mut account);
            state.accounts.insert(id.clone(), account);
            id
        })
    }
    async fn remove(&self, account: &AccountId) {
        self.0.out_of_band(|state| state.accounts.remove(account));
    }
    async fn truth(&self) -> Vec<AccountState> {
        self.0.with_state(|state| state.accounts.values().cloned().collect())
    }
    async fn withhold(&self, account: &AccountId) -> bool {
        self.0.out_of_band(|state| state.withheld.insert(account.clone()))
    }
    async fn forget_changes(&self) -> bool {
        self.0.out_of_band(|state| state.forgotten = state.log.len());
        true
    }
    async fn finish(&self, pending: &PendingRef) -> bool {
        self.0.out_of_band(|state| state.finish(pending, Outcome::changed()));
        true
    }
}
