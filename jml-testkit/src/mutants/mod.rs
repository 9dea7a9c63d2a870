//! Planted defects: providers that are wrong in one way each, to prove that the suite sees it.
//!
//! A behaviour that catches no defect proves nothing, and a defect that nothing catches is a hole in the
//! suite. Both fail CI.

mod access;
mod accounts;
mod answers;
mod listing;
mod race;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::future::BoxFuture;
use jml_core::account::AccountState;
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Call, Change, ChangePage, Cx, Descriptor, Error, ErrorKind, Expect, Health, IdempotencyKey,
    Layer, Layered, ListRequest, Next, Observation, Operation, Outcome, Page, PendingRef, Preview,
    Provider, Reply, Result, Slot, Target, Watermark,
};

/// A defect.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Mutant {
    /// Its name: `grant_twice_fails`.
    pub name: &'static str,
    /// What the connector does wrong.
    pub what: &'static str,
    kind: Kind,
}

type Run = for<'a> fn(&'a Cx, &'a Call, Next<'a>, &'a Memo) -> BoxFuture<'a, Result<Reply>>;

#[derive(Clone, Copy)]
enum Kind {
    Calls(Run),
    Descriptor(fn(&mut Descriptor)),
    /// The descriptor changes with the first call.
    Drift,
    /// A batch ends with its first failure.
    BatchStops,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every defect.
#[must_use]
pub fn all() -> Vec<Mutant> {
    let mut all = answers::all();
    all.extend(listing::all());
    all.extend(access::all());
    all.extend(accounts::all());
    all.extend(race::all());
    all
}

impl Mutant {
    /// A provider with this defect.
    #[must_use]
    pub fn infect(&self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        let mut descriptor = provider.descriptor().clone();
        match self.kind {
            Kind::Calls(run) => {
                let bug = Bug { run, memo: Memo::default() };
                return Arc::new(Layered::new(provider, vec![Arc::new(bug)]));
            }
            Kind::Descriptor(warp) => warp(&mut descriptor),
            Kind::Drift => descriptor.limits.max_page = 7,
            Kind::BatchStops => {}
        }
        Arc::new(Warped {
            inner: provider,
            descriptor,
            calls: AtomicU32::new(0),
            drifts: matches!(self.kind, Kind::Drift),
            stops: matches!(self.kind, Kind::BatchStops),
        })
    }
}

/// What a defect remembers.
#[derive(Default)]
struct Memo {
    seen: Mutex<BTreeMap<String, Reply>>,
    used: Mutex<BTreeSet<String>>,
    count: AtomicU32,
    under_way: AtomicU32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memo {
    /// A number that was not there before, from 1.
    fn number(&self) -> u32 {
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether it is the first time.
    fn first(&self, name: impl Into<String>) -> bool {
        lock(&self.used).insert(name.into())
    }
}

struct Bug {
    run: Run,
    memo: Memo,
}

#[async_trait]
impl Layer for Bug {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        (self.run)(cx, call, next, &self.memo).await
    }
}

/// A provider whose descriptor, or whose batch, is wrong.
struct Warped {
    inner: Arc<dyn Provider>,
    descriptor: Descriptor,
    calls: AtomicU32,
    drifts: bool,
    stops: bool,
}

#[async_trait]
impl Provider for Warped {
    fn descriptor(&self) -> &Descriptor {
        let early = self.drifts && self.calls.load(Ordering::SeqCst) == 0;
        if early { self.inner.descriptor() } else { &self.descriptor }
    }
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.list(cx, request).await
    }
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.inner.apply(cx, change).await
    }
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        self.inner.read(cx, target).await
    }
    async fn preview(&self, cx: &Cx, change: &Change) -> Result<Preview> {
        self.inner.preview(cx, change).await
    }
    async fn health(&self, cx: &Cx) -> Result<Health> {
        self.inner.health(cx).await
    }
    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.inner.changes(cx, since).await
    }
    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.inner.poll(cx, pending).await
    }
    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        let mut outcomes = Vec::new();
        for change in changes {
            let outcome = self.inner.apply(cx, change).await;
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed && self.stops {
                break;
            }
        }
        outcomes
    }
}

// What defects are written with.

/// Builds `all()` from defects in calls: a doc comment that says what is wrong, a name, and a body.
macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident |$cx:ident, $call:ident, $next:ident, $memo:ident| $body:block)*) => {
        pub(super) fn all() -> Vec<crate::mutants::Mutant> {
            vec![$(crate::mutants::Mutant {
                name: stringify!($name),
                what: concat!($($what),+).trim_start(),
                kind: crate::mutants::Kind::Calls(|$cx, $call, $next, $memo| {
                    let _ = ($cx, $memo);
                    Box::pin(async move { $body })
                }),
            }),*]
        }
    };
}
use bugs;

/// The operation of a change, and its account if it has one.
fn op(call: &Call) -> Option<(&Operation, Option<&AccountId>)> {
    match call {
        Call::Apply(change) => Some((&change.op, change.account.as_ref())),
        _ => None,
    }
}

/// The same call with another operation.
fn instead(call: &Call, op: Operation) -> Call {
    match call {
        Call::Apply(change) => Call::Apply(Change { op, ..change.clone() }),
        other => other.clone(),
    }
}

/// The same call with a key that nobody has used.
fn other_key(call: &Call, memo: &Memo) -> Call {
    match call {
        Call::Apply(change) => {
            let number = memo.number().to_be_bytes();
            let key = IdempotencyKey::new(&Digest::of_bytes("jml-mutant", &number));
            Call::Apply(Change { key, ..change.clone() })
        }
        other => other.clone(),
    }
}

/// A change of its own making.
fn own(account: &AccountId, op: Operation, memo: &Memo) -> Call {
    let number = memo.number().to_be_bytes();
    let key = IdempotencyKey::new(&Digest::of_bytes("jml-mutant", &number));
    Call::Apply(Change { key, account: Some(account.clone()), op, expect: Expect::Any })
}

async fn state(cx: &Cx, next: Next<'_>, account: Option<&AccountId>) -> Option<AccountState> {
    let call = Call::Read(Target::Account(account?.clone()));
    next.run(cx, &call).await.ok()?.seen().ok()?.account().cloned()
}

/// The ids of all accounts.
async fn everybody(cx: &Cx, next: Next<'_>) -> Vec<AccountId> {
    let request = ListRequest { page_size: Some(500), ..ListRequest::accounts() };
    let Ok(Reply::Page(page)) = next.run(cx, &Call::List(request)).await else { return Vec::new() };
    let ids = page.rows().iter().filter_map(|row| match row {
        jml_core::provider::Row::Account(state) => Some(state.id.clone()),
        _ => None,
    });
    ids.collect()
}

fn error<T>(kind: ErrorKind) -> Result<T> {
    Err(Error::new(kind, "as the defect has it"))
}

fn changed(call: &Call) -> Result<Reply> {
    done(call, Outcome::changed())
}

fn unchanged(call: &Call) -> Result<Reply> {
    done(call, Outcome::unchanged())
}

fn done(call: &Call, outcome: Outcome) -> Result<Reply> {
    Ok(match op(call) {
        Some((_, Some(account))) => outcome.with_account(account.clone()),
        _ => outcome,
    }
    .into())
}

/// Lets others run.
async fn pause() {
    let mut yielded = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
