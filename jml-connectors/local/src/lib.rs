#![doc = include_str!("../README.md")]

mod store;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};

use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, KindId, ProviderId};
use jml_core::provider::{
    Change, Cursor, Cx, Descriptor, Effect, EntitlementKind, Error, ErrorKind, Expect, Idempotency,
    Limits, ListRequest, ListScope, Observation, Operation, Outcome, Page, Provider, Result, Row,
    Target, Verb, VerbSupport,
};
use rusqlite::Connection;
use smol_str::SmolStr;

pub use store::OpenError;
use store::Transaction;

/// A directory in one SQLite file. Each change is one transaction that is on the disk when the call
/// returns.
#[derive(Debug)]
pub struct LocalDirectory {
    descriptor: Descriptor,
    connection: Mutex<Connection>,
}

/// One effective change, for proving that nothing was done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EffectRow {
    /// The key under which it was sent.
    pub key: String,
    /// What was done, in people's words.
    pub what: String,
}

impl LocalDirectory {
    /// Opens a directory, and makes it if there is none.
    ///
    /// # Errors
    /// [`OpenError`] when the file is something else.
    pub fn open(id: ProviderId, path: &Path) -> std::result::Result<Self, OpenError> {
        let connection = store::open(path)?;
        let mut descriptor = Descriptor::new(id, "local directory", env!("CARGO_PKG_VERSION"))
            .with_limits(Limits::new(8, 1000))
            .in_process()
            .with_statuses(AccountStatus::ALL)
            .checking_versions();
        for verb in Verb::ALL {
            let idempotency = match verb {
                Verb::CreateAccount => Idempotency::Keyed,
                _ => Idempotency::Natural,
            };
            let support = VerbSupport::native()
                .with_idempotency(idempotency)
                .with_permission("write access to the file");
            descriptor = descriptor.with_verb(verb, support);
        }
        for (kind, title) in
            [("group", "Group"), ("app", "Application"), ("licence", "Licence"), ("role", "Role")]
        {
            if let Ok(kind) = KindId::new(kind) {
                descriptor = descriptor.with_kind(kind, EntitlementKind::many(title));
            }
        }
        Ok(Self { descriptor, connection: Mutex::new(connection) })
    }

    /// Says that an entitlement exists, with its seats if they are counted. Saying it again changes title
    /// and seats.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be written.
    pub fn define(&self, key: &EntitlementKey, title: &str, seats: Option<u32>) -> Result<()> {
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        tx.define(key, title, seats)?;
        tx.commit()
    }

    /// Lets an account sign in: so many credentials of a class come alive. For demonstrations and tests.
    ///
    /// # Errors
    /// [`Error`] when there is no such account.
    pub fn sign_in(&self, account: &AccountId, class: CredentialClass, count: u32) -> Result<()> {
        self.out_of_band(account, |state| {
            *state.credentials.entry(class).or_insert(0) += count;
        })
    }

    /// Makes an account the only owner of something. For demonstrations and tests.
    ///
    /// # Errors
    /// [`Error`] when there is no such account.
    pub fn own(&self, account: &AccountId, asset: &str) -> Result<()> {
        self.out_of_band(account, |state| {
            state.owns.insert(SmolStr::new(asset));
        })
    }

    /// Changes an account as another administrator would, behind everybody's back.
    ///
    /// # Errors
    /// [`Error`] when there is no such account.
    pub fn out_of_band(
        &self,
        account: &AccountId,
        change: impl FnOnce(&mut AccountState),
    ) -> Result<()> {
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        let mut state = tx.account(account)?.ok_or_else(|| missing(account))?;
        change(&mut state);
        tx.put(&state)?;
        tx.commit()
    }

    /// Makes an account, or replaces one, as another administrator would.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be written.
    pub fn put(&self, account: &AccountState) -> Result<()> {
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        tx.put(account)?;
        tx.commit()
    }

    /// Takes an account away, as another administrator would.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be written.
    pub fn remove(&self, account: &AccountId) -> Result<()> {
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        tx.delete(account)?;
        tx.commit()
    }

    /// Every effective change in order.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be read.
    pub fn effects(&self) -> Result<Vec<EffectRow>> {
        let mut connection = self.lock();
        Transaction::begin(&mut connection)?.effects()
    }

    /// All accounts.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be read.
    pub fn accounts(&self) -> Result<Vec<AccountState>> {
        let mut connection = self.lock();
        Transaction::begin(&mut connection)?.accounts(None, u32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{what}` does not exist"))
}

#[async_trait]
impl Provider for LocalDirectory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, _: &Cx, request: &ListRequest) -> Result<Page> {
        let max = self.descriptor.limits.max_page;
        let size = request.page_size.unwrap_or(max).clamp(1, max);
        let after = match &request.cursor {
            None => None,
            Some(Cursor(text)) => Some(text.strip_prefix("after:").ok_or_else(|| {
                Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours")
            })?),
        };
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        // One more than a page, to know whether another page follows.
        let limit = size.saturating_add(1);
        let (rows, keys): (Vec<Row>, Vec<String>) = match request.scope {
            ListScope::Accounts => tx
                .accounts(after, limit)?
                .into_iter()
                .map(|state| {
                    let key = state.id.to_string();
                    (Row::Account(Box::new(state)), key)
                })
                .unzip(),
            ListScope::Entitlements => tx
                .entitlements(after, limit)?
                .into_iter()
                .map(|(key, title)| {
                    let name = key.to_string();
                    (Row::entitlement(key, title), name)
                })
                .unzip(),
            _ => return Err(Error::new(ErrorKind::Unsupported, "unknown scope")),
        };
        let page = usize::try_from(size).unwrap_or(usize::MAX);
        if rows.len() <= page {
            return Ok(Page::last(rows));
        }
        let last = keys.get(page - 1).cloned().unwrap_or_default();
        let rows = rows.into_iter().take(page).collect();
        Ok(Page::more(rows, Cursor(SmolStr::new(format!("after:{last}")))))
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        let verb = change.op.verb();
        if !self.descriptor.verbs.contains_key(&verb) {
            return Err(Error::unsupported(verb));
        }
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        let outcome = apply(&tx, change)?;
        if outcome.effect == Effect::Changed {
            tx.note_effect(change.key.as_str(), &change.op.to_string(), cx.clock().now())?;
        }
        tx.commit()?;
        Ok(outcome)
    }

    async fn read(&self, _: &Cx, target: &Target) -> Result<Observation> {
        let mut connection = self.lock();
        let tx = Transaction::begin(&mut connection)?;
        let hit = match target {
            Target::Account(id) => tx.account(id)?,
            Target::External { identity, user_name } => match tx.by_owner(identity)? {
                Some(account) => Some(account),
                None => tx.by_name(user_name)?.filter(|account| account.external_id.is_none()),
            },
            _ => return Err(Error::new(ErrorKind::Unsupported, "unknown target")),
        };
        Ok(hit.map_or(Observation::Absent, |state| Observation::Present(Box::new(state))))
    }
}

fn apply(tx: &Transaction<'_>, change: &Change) -> Result<Outcome> {
    if change.op.makes_account() {
        return create(tx, change);
    }
    let id = change.account.as_ref();
    let id = id.ok_or_else(|| Error::new(ErrorKind::Invalid, "the change names no account"))?;
    if let Operation::Grant { entitlement } | Operation::Exchange { grant: entitlement, .. } =
        &change.op
    {
        check_seat(tx, id, entitlement)?;
    }
    if let Operation::UpdateAccount { user_name: Some(name), .. } = &change.op {
        check_name(tx, name, Some(id))?;
    }
    let Some(mut state) = tx.account(id)? else {
        // Whoever is not there holds nothing.
        let gone = change.op.takes_away() || change.op == Operation::DeleteAccount;
        return if gone { Ok(Outcome::unchanged()) } else { Err(missing(id)) };
    };
    if let Expect::Version(expected) = &change.expect
        && state.version.as_ref() != Some(expected)
    {
        let text = format!("account `{id}` has another version");
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    let done = |changed: bool| {
        let outcome = if changed { Outcome::changed() } else { Outcome::unchanged() };
        Ok(outcome.with_account(id.clone()))
    };
    match &change.op {
        Operation::DeleteAccount => {
            tx.delete(id)?;
            done(true)
        }
        Operation::TransferOwnership { to } => {
            let mut heir = tx.account(to)?.ok_or_else(|| missing(to))?;
            let assets = std::mem::take(&mut state.owns);
            let changed = !assets.is_empty();
            if changed {
                heir.owns.extend(assets);
                tx.put(&state)?;
                tx.put(&heir)?;
            }
            done(changed)
        }
        op => {
            let before = state.clone();
            op.project(&mut state)?;
            let changed = state != before;
            if changed {
                tx.put(&state)?;
            }
            done(changed)
        }
    }
}

fn create(tx: &Transaction<'_>, change: &Change) -> Result<Outcome> {
    let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op else {
        return Err(Error::new(ErrorKind::Internal, "not a creation"));
    };
    if let Some(id) = tx.made_by(change.key.as_str())? {
        return Ok(Outcome::unchanged().with_account(id));
    }
    check_name(tx, user_name, None)?;
    let id = tx.next_id()?;
    let mut state = AccountState::new(id.clone(), user_name, *status);
    state.external_id = Some(external_id.clone());
    state.attributes.clone_from(attributes);
    state.credentials = CredentialClass::ALL.map(|class| (class, 0)).into();
    state.mailbox = Some(Mailbox::default());
    tx.put(&state)?;
    tx.note_creation(change.key.as_str(), &id)?;
    Ok(Outcome::changed().with_account(id))
}

fn check_name(tx: &Transaction<'_>, name: &str, except: Option<&AccountId>) -> Result<()> {
    match tx.by_name(name)? {
        Some(other) if Some(&other.id) != except => {
            let text = format!("the sign-in name `{name}` is taken");
            Err(Error::new(ErrorKind::AlreadyExists, text))
        }
        _ => Ok(()),
    }
}

fn check_seat(tx: &Transaction<'_>, id: &AccountId, key: &EntitlementKey) -> Result<()> {
    let seats = tx.seats(key)?.ok_or_else(|| missing(key))?;
    let Some(seats) = seats else { return Ok(()) };
    let (mut taken, mut holds) = (0_u32, false);
    for account in tx.accounts(None, u32::MAX)? {
        if account.holdings.contains(key) {
            taken += u32::from(account.status != AccountStatus::Disabled || account.id == *id);
            holds |= account.id == *id;
        }
    }
    if !holds && taken >= seats {
        let text = format!("no seat of `{key}` is left: {seats} were bought");
        return Err(Error::new(ErrorKind::Exhausted, text));
    }
    Ok(())
}
