//! Plans made by hand, a target with faults, and a journal that crashes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::channel::oneshot;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{
    AccountId, GateId, GateRuleId, IdentityId, PolicyVersion, ProviderId, RunId, StepId,
};
use jml_core::journal::{Entry, Fact, JournalError, JournalStore};
use jml_core::plan::{
    Basis, Gate, GateSubject, Late, LifecycleKind, Need, OnStale, PLAN_FORMAT, Plan, PlanDraft,
    PlanHeader, Rank, Reason, Retry, Step, StepKind,
};
use jml_core::provider::{
    Change, Cx, Descriptor, Error, ErrorKind, ListRequest, Observation, Operation, Outcome, Page,
    Provider, Result, Target,
};
use jml_engine::store::MemoryStore;
use jml_engine::{Ports, Silent};
use jml_testkit::{ManualClock, Memory};

pub(crate) fn start() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

pub(crate) fn key(text: &str) -> EntitlementKey {
    text.parse().unwrap()
}

pub(crate) fn step_id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub(crate) fn person(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

pub(crate) fn account(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

pub(crate) fn target() -> ProviderId {
    ProviderId::new("target").unwrap()
}

/// A step without order, gate or deadline.
pub(crate) fn step(account: Option<Late<AccountId>>, op: Operation) -> Step {
    let takes = op.takes_away();
    let rank = match &op {
        Operation::SetStatus { .. } | Operation::RevokeCredentials { .. } if takes => Rank::Contain,
        Operation::Revoke { .. } => Rank::Revoke,
        _ => Rank::Grant,
    };
    Step {
        kind: StepKind::Change { provider: target(), account, op },
        reason: Reason::new("because"),
        after: BTreeMap::new(),
        gate: None,
        rank,
        critical: false,
        deadline: None,
        on_stale: if takes { OnStale::ApplyAnyway } else { OnStale::Replan },
        retry: Retry { attempts: 5, base_ms: 100, max_ms: 1000 },
    }
}

pub(crate) fn after(mut step: Step, ids: &[&str], need: Need) -> Step {
    step.after = ids.iter().map(|id| (step_id(id), need)).collect();
    step
}

pub(crate) fn header() -> PlanHeader {
    PlanHeader {
        format: PLAN_FORMAT,
        identity: person("E1"),
        kind: LifecycleKind::Move,
        cause: "test".into(),
        parent: None,
        made_at: start(),
        effective: None,
        basis: Basis {
            policy_version: PolicyVersion::new("1").unwrap(),
            policy: Digest::plain(b"policy"),
            facts: Digest::plain(b"facts"),
            observed: BTreeMap::new(),
        },
    }
}

pub(crate) fn plan(steps: Vec<(&str, Step)>) -> Plan {
    gated(steps, BTreeMap::new())
}

/// A plan; the gates cover the steps that name them.
pub(crate) fn gated(steps: Vec<(&str, Step)>, gates: BTreeMap<&str, (Vec<&str>, u16)>) -> Plan {
    let steps: BTreeMap<StepId, Step> =
        steps.into_iter().map(|(id, step)| (step_id(id), step)).collect();
    let gates = gates
        .into_iter()
        .map(|(id, (approvers, quorum))| {
            let id = GateId::new(id).unwrap();
            let covers = steps
                .iter()
                .filter(|(_, step)| step.gate.as_ref() == Some(&id))
                .map(|(step_id, step)| (step_id.clone(), step.meaning().unwrap()));
            let gate = Gate {
                rule: GateRuleId::new("rule").unwrap(),
                title: "gate".into(),
                covers: covers.collect(),
                approvers: approvers.into_iter().map(person).collect(),
                quorum,
                expires: start() + TimeDelta::days(7),
                subject: GateSubject { identity: person("E1") },
            };
            (id, gate)
        })
        .collect();
    let draft =
        PlanDraft { header: header(), steps, gates, keeps: Vec::new(), foreign: Vec::new() };
    draft.seal().unwrap()
}

pub(crate) fn grant(id: &str) -> Operation {
    Operation::Grant { entitlement: key(id) }
}

pub(crate) fn revoke(id: &str) -> Operation {
    Operation::Revoke { entitlement: key(id) }
}

pub(crate) fn known(id: &str) -> Option<Late<AccountId>> {
    Some(Late::Known(account(id)))
}

/// Creates an account and gives it three things.
pub(crate) fn joiner() -> Plan {
    let create = Operation::CreateAccount {
        user_name: "ada".into(),
        external_id: person("E1"),
        status: AccountStatus::Active,
        attributes: BTreeMap::new(),
    };
    let late = || Some(Late::From(step_id("s1")));
    let given = |id: &str| after(step(late(), grant(id)), &["s1"], Need::Success);
    plan(vec![
        ("s1", step(None, create)),
        ("s2", given("group/a")),
        ("s3", given("group/b")),
        ("s4", after(given("group/c"), &["s1", "s2"], Need::Success)),
    ])
}

/// Takes two things from an account that is there, and gives two.
pub(crate) fn mover() -> Plan {
    plan(vec![
        ("s1", step(known("old"), revoke("group/a"))),
        ("s2", step(known("old"), revoke("group/b"))),
        ("s3", after(step(known("old"), grant("group/c")), &["s1"], Need::Success)),
        ("s4", step(known("old"), grant("group/d"))),
    ])
}

/// Blocks, kills credentials, strips.
pub(crate) fn leaver() -> Plan {
    let kill = |class| Operation::RevokeCredentials { class };
    let disable = Operation::SetStatus { status: AccountStatus::Disabled };
    let then = |op, ids: &[&str]| after(step(known("old"), op), ids, Need::Settled);
    plan(vec![
        ("s1", step(known("old"), disable)),
        ("s2", then(kill(CredentialClass::Sessions), &["s1"])),
        ("s3", then(kill(CredentialClass::ApiKeys), &["s1"])),
        ("s4", then(revoke("group/a"), &["s2", "s3"])),
        ("s5", then(revoke("group/b"), &["s2", "s3"])),
    ])
}

/// A target with one account that holds two groups and has live credentials.
pub(crate) fn memory() -> Memory {
    let mut old = AccountState::new(account("old"), "old", AccountStatus::Active);
    old.holdings = [key("group/a"), key("group/b")].into();
    old.credentials = CredentialClass::ALL.map(|class| (class, 2)).into();
    ["group/a", "group/b", "group/c", "group/d"]
        .into_iter()
        .fold(Memory::new(target()), |memory, id| memory.define(key(id)))
        .with_account(old)
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The call does not arrive, and nobody says so.
    LoseBefore,
    /// The call arrives, and its answer does not.
    LoseAfter,
    /// The target asks to slow down.
    RateLimit,
    /// The target says no, for good.
    Deny,
    /// The process dies before the call arrives.
    DieBefore,
    /// The process dies after the call arrived.
    DieAfter,
}

/// A target whose n-th call goes wrong, and that checks write-ahead on every change.
pub(crate) struct Faulty {
    pub(crate) inner: Arc<Memory>,
    pub(crate) store: Arc<CrashStore>,
    pub(crate) faults: Mutex<BTreeMap<u32, Fault>>,
    pub(crate) calls: AtomicU32,
    pub(crate) order: Mutex<Vec<String>>,
    pub(crate) die: Mutex<Option<oneshot::Sender<()>>>,
}

impl Faulty {
    fn fault(&self) -> Fault {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.faults.lock().unwrap().remove(&call).unwrap_or(Fault::None)
    }

    async fn dead<T>(&self) -> T {
        if let Some(die) = self.die.lock().unwrap().take() {
            let _ = die.send(());
        }
        futures::future::pending().await
    }
}

#[async_trait]
impl Provider for Faulty {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        self.inner.list(cx, request).await
    }
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        let written = self.store.inner.load(&self.store.run()).await.unwrap();
        let intended = written
            .iter()
            .any(|e| matches!(&e.fact, Fact::Intended { key, .. } if *key == change.key));
        assert!(intended, "a change was sent before its intent was durable");
        self.order.lock().unwrap().push(change.op.to_string());
        let lost = || Error::new(ErrorKind::Transport, "no answer");
        match self.fault() {
            Fault::None => self.inner.apply(cx, change).await,
            Fault::LoseBefore => Err(lost()),
            Fault::LoseAfter => {
                self.inner.apply(cx, change).await?;
                Err(lost())
            }
            Fault::RateLimit => Err(Error::new(ErrorKind::RateLimited, "slow down")
                .retry_after(std::time::Duration::from_millis(700))),
            Fault::Deny => Err(Error::new(ErrorKind::PermissionDenied, "not you")),
            Fault::DieBefore => self.dead().await,
            Fault::DieAfter => {
                self.inner.apply(cx, change).await?;
                self.dead().await
            }
        }
    }
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        match self.fault() {
            Fault::None | Fault::Deny | Fault::RateLimit => self.inner.read(cx, target).await,
            Fault::LoseBefore | Fault::LoseAfter => {
                Err(Error::new(ErrorKind::Transport, "no answer"))
            }
            Fault::DieBefore | Fault::DieAfter => self.dead().await,
        }
    }
}

/// A journal whose n-th append crashes the process, before or after it is durable.
#[derive(Default)]
pub(crate) struct CrashStore {
    pub(crate) inner: MemoryStore,
    pub(crate) appends: AtomicU32,
    pub(crate) crash: Mutex<Option<(u32, bool)>>,
    run: Mutex<Option<RunId>>,
}

impl CrashStore {
    pub(crate) fn run(&self) -> RunId {
        self.run.lock().unwrap().clone().unwrap()
    }
}

#[async_trait]
impl JournalStore for CrashStore {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> std::result::Result<(), JournalError> {
        *self.run.lock().unwrap() = Some(run.clone());
        let append = self.appends.fetch_add(1, Ordering::SeqCst);
        let crash = self.crash.lock().unwrap().take_if(|(at, _)| *at == append);
        match crash {
            Some((_, false)) => return Err(JournalError::Store("crash".to_owned())),
            Some((_, true)) => {
                self.inner.append(run, expected, entries).await?;
                return Err(JournalError::Store("crash".to_owned()));
            }
            None => {}
        }
        self.inner.append(run, expected, entries).await
    }
    async fn load(&self, run: &RunId) -> std::result::Result<Vec<Entry>, JournalError> {
        self.inner.load(run).await
    }
    async fn runs(&self) -> std::result::Result<Vec<RunId>, JournalError> {
        self.inner.runs().await
    }
}

/// Everything that one scenario needs.
pub(crate) struct Scene {
    pub(crate) memory: Arc<Memory>,
    pub(crate) provider: Arc<Faulty>,
    pub(crate) store: Arc<CrashStore>,
    pub(crate) clock: ManualClock,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let memory = Arc::new(memory());
        let store = Arc::new(CrashStore::default());
        let provider = Arc::new(Faulty {
            inner: memory.clone(),
            store: store.clone(),
            faults: Mutex::default(),
            calls: AtomicU32::new(0),
            order: Mutex::default(),
            die: Mutex::default(),
        });
        Self { memory, provider, store, clock: ManualClock::jumping(start()) }
    }

    pub(crate) fn ports(&self) -> Ports {
        let provider: Arc<dyn Provider> = self.provider.clone();
        Ports {
            providers: BTreeMap::from([(target(), provider)]),
            journal: self.store.clone(),
            clock: Arc::new(self.clock.clone()),
            people: Arc::new(Silent),
            patience: TimeDelta::hours(2),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn entries(&self, run: &RunId) -> Vec<Entry> {
        futures::executor::block_on(self.store.load(run)).unwrap()
    }

    /// What the target holds, without version counters.
    pub(crate) fn world(&self) -> BTreeMap<AccountId, AccountState> {
        let mut accounts = self.memory.state().accounts;
        accounts.values_mut().for_each(|account| account.version = None);
        accounts
    }
}
