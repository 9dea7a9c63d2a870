//! The crash harness: a run that dies at every append and every call, and goes on.
//!
//! What must hold afterwards is what an organisation needs: the same end state as without any crash,
//! nothing done twice, one clean close.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use jml_core::account::AccountState;
use jml_core::clock::Clock as _;
use jml_core::id::{AccountId, RunId};
use jml_core::journal::{Entry, Fact, RunMode, RunOutcome};
use jml_core::plan::Plan;
use jml_core::provider::{
    Call, Cx, Error, ErrorKind, Layer, Layered, Next, Provider, Reply, Result, Slot,
};
use jml_engine::machine::Machine;
use jml_engine::{Driven, Ports, Silent, drive};

use crate::journal::{Crash, LaggingJournal};
use crate::{ManualClock, Memory};

/// What goes wrong with one call to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The call does not arrive, and nobody says so.
    LoseBefore,
    /// The call arrives, and its answer does not.
    LoseAfter,
    /// The target asks to slow down.
    Throttle,
    /// The target says no to a change, for good.
    Refuse,
    /// The process dies before the call arrives.
    DieBefore,
    /// The process dies after the call arrived.
    DieAfter,
}

/// Counts calls, makes the n-th go wrong, and checks that every change was written down before it was
/// sent.
struct Troubled {
    journal: Arc<LaggingJournal>,
    run: RunId,
    troubles: Mutex<BTreeMap<u32, Trouble>>,
    calls: AtomicU32,
    die: Mutex<Option<oneshot::Sender<()>>>,
    /// Changes that were sent before they were written down.
    early: Mutex<Vec<String>>,
    /// Changes that were sent although their end state was there: whoever looks first does not.
    needless: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Troubled {
    async fn dead<T>(&self) -> T {
        if let Some(die) = lock(&self.die).take() {
            let _ = die.send(());
        }
        futures::future::pending().await
    }
}

#[async_trait]
impl Layer for Troubled {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if let Call::Apply(change) = call {
            let intended = self.journal.truth(&self.run).iter().any(
                |entry| matches!(&entry.fact, Fact::Intended { key, .. } if *key == change.key),
            );
            if !intended {
                lock(&self.early).push(change.op.to_string());
            }
            let seen = next.run(cx, &Call::Read(change.target()?)).await?.seen()?;
            if change.op.satisfied_by(&seen) {
                lock(&self.needless).push(change.op.to_string());
            }
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let trouble = lock(&self.troubles).remove(&number);
        let lost = || Err(Error::new(ErrorKind::Transport, "no answer"));
        match trouble {
            Some(Trouble::LoseBefore) => lost(),
            Some(Trouble::LoseAfter) => {
                next.run(cx, call).await?;
                lost()
            }
            Some(Trouble::Throttle) if call.mutates() => {
                let error = Error::new(ErrorKind::RateLimited, "slow down");
                Err(error.retry_after(std::time::Duration::from_millis(700)))
            }
            Some(Trouble::Refuse) if call.mutates() => {
                Err(Error::new(ErrorKind::PermissionDenied, "not you"))
            }
            Some(Trouble::DieBefore) => self.dead().await,
            Some(Trouble::DieAfter) => {
                next.run(cx, call).await?;
                self.dead().await
            }
            _ => next.run(cx, call).await,
        }
    }
}

/// One run of one plan on one target, with what goes wrong.
pub struct Scene {
    memory: Arc<Memory>,
    journal: Arc<LaggingJournal>,
    clock: ManualClock,
    plan: Plan,
    trouble: Arc<Troubled>,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene").field("plan", &self.plan.id()).finish_non_exhaustive()
    }
}

impl Scene {
    /// A calm scene: a plan, the target that it is for, and the instant at which it begins.
    #[must_use]
    pub fn new(plan: &Plan, target: Memory, start: DateTime<Utc>) -> Self {
        let journal = Arc::new(LaggingJournal::new());
        let trouble = Troubled {
            journal: journal.clone(),
            run: RunId::of_plan(plan.id()),
            troubles: Mutex::default(),
            calls: AtomicU32::new(0),
            die: Mutex::default(),
            early: Mutex::default(),
            needless: Mutex::default(),
        };
        Self {
            memory: Arc::new(target),
            journal,
            clock: ManualClock::jumping(start),
            plan: plan.clone(),
            trouble: Arc::new(trouble),
        }
    }

    /// The same; the call with this number (from 0, reads and changes) goes wrong.
    #[must_use]
    pub fn troubled(self, call: u32, trouble: Trouble) -> Self {
        lock(&self.trouble.troubles).insert(call, trouble);
        self
    }

    /// The same; the process dies at the append with this number (from 0).
    #[must_use]
    pub fn crashing(self, append: u32, how: Crash) -> Self {
        self.journal.crash_at(append, how);
        self
    }

    /// The target.
    #[must_use]
    pub const fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// The journal.
    #[must_use]
    pub const fn journal(&self) -> &Arc<LaggingJournal> {
        &self.journal
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// What the run wrote down.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.journal.truth(&self.trouble.run)
    }

    /// Calls that were made so far.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.trouble.calls.load(Ordering::SeqCst)
    }

    /// Troubles that have not come yet.
    #[must_use]
    pub fn left(&self) -> usize {
        lock(&self.trouble.troubles).len()
    }

    /// What a driver is given.
    #[must_use]
    pub fn ports(&self) -> Ports {
        let layers: Vec<Arc<dyn Layer>> = vec![self.trouble.clone()];
        let provider: Arc<dyn Provider> = Arc::new(Layered::new(self.memory.clone(), layers));
        Ports {
            providers: BTreeMap::from([(self.memory.descriptor().id.clone(), provider)]),
            journal: self.journal.clone(),
            clock: Arc::new(self.clock.clone()),
            people: Arc::new(Silent),
            patience: TimeDelta::hours(2),
        }
    }

    /// What the target holds, without version tags.
    #[must_use]
    pub fn world(&self) -> BTreeMap<AccountId, AccountState> {
        let mut accounts = self.memory.state().accounts;
        accounts.values_mut().for_each(|account| account.version = None);
        accounts
    }

    /// Drives the plan to its end, over as many crashes as come.
    ///
    /// # Errors
    /// What went wrong, in words: the run does not end, its own journal is not accepted, a change was
    /// sent before it was written down.
    pub fn run(&self) -> std::result::Result<RunOutcome, String> {
        for _ in 0..100 {
            let ports = self.ports();
            let entries = self.entries();
            let machine = if entries.is_empty() {
                Machine::start(
                    self.plan.clone(),
                    RunMode::Executed,
                    ports.limits(),
                    self.clock.now(),
                )
                .map_err(|e| e.to_string())
            } else {
                Machine::open(&entries, ports.limits()).map_err(|e| format!("{e}: {entries:?}"))
            };
            let mut machine = machine?;
            let (send, dead) = oneshot::channel();
            *lock(&self.trouble.die) = Some(send);
            match block_on(select(Box::pin(drive(&mut machine, &ports)), dead)) {
                Either::Left((Ok(Driven::Closed(outcome)), _)) => {
                    let early = lock(&self.trouble.early).clone();
                    if !early.is_empty() {
                        return Err(format!("sent before it was written down: {early:?}"));
                    }
                    let needless = lock(&self.trouble.needless).clone();
                    if !needless.is_empty() {
                        return Err(format!("sent although it held already: {needless:?}"));
                    }
                    return Ok(outcome);
                }
                Either::Left((Ok(Driven::Parked { until: Some(until) }), _)) => {
                    self.clock.set(until);
                }
                Either::Left((Ok(Driven::Parked { until: None }), _)) => {
                    return Err("the run waits for ever".to_owned());
                }
                // A crash: everything in memory is gone.
                Either::Left((Err(_), _)) | Either::Right(_) => {}
            }
        }
        Err("the run does not end".to_owned())
    }

    /// Runs, and compares with a run without troubles.
    ///
    /// # Errors
    /// What is not as it must be, in words.
    pub fn check(&self, calm: &Self) -> std::result::Result<(), String> {
        let outcome = self.run()?;
        if outcome != RunOutcome::Clean {
            return Err(format!("closed as {outcome:?}"));
        }
        if self.world() != calm.world() {
            return Err(format!("{:#?}\nis not\n{:#?}", self.world(), calm.world()));
        }
        let effects = self.memory.state().effects;
        if effects.values().any(|count| *count != 1) {
            return Err(format!("done more than once: {effects:?}"));
        }
        let closed =
            self.entries().iter().filter(|e| matches!(e.fact, Fact::Closed { .. })).count();
        if closed != 1 {
            return Err(format!("closed {closed} times"));
        }
        Ok(())
    }
}

/// Crashes a run of a plan at every append, before and after it is durable, and at every call, before
/// and after it arrives; loses every call, every answer, and every end of the journal; crashes and then
/// loses. Says how many scenarios there were. Steps of the plan must have two attempts at least.
///
/// # Errors
/// The first scenario that does not end as the calm one, in words.
pub fn everywhere(
    plan: &Plan,
    target: impl Fn() -> Memory,
    start: DateTime<Utc>,
) -> std::result::Result<u32, String> {
    let scene = || Scene::new(plan, target(), start);
    let calm = scene();
    match calm.run()? {
        RunOutcome::Clean => {}
        other => return Err(format!("without any crash, it closes as {other:?}")),
    }
    let mut scenarios = 0;
    for append in 0..calm.journal.appends() {
        for how in [Crash::Before, Crash::After] {
            let crashed = scene().crashing(append, how);
            crashed.check(&calm).map_err(|why| format!("append {append}, {how:?}: {why}"))?;
            if crashed.journal.is_crash_to_come() {
                return Err(format!("append {append}: the crash never came"));
            }
            scenarios += 1;
        }
    }
    for call in 0..calm.calls() {
        for trouble in
            [Trouble::DieBefore, Trouble::DieAfter, Trouble::LoseBefore, Trouble::LoseAfter]
        {
            let crashed = scene().troubled(call, trouble);
            crashed.check(&calm).map_err(|why| format!("call {call}, {trouble:?}: {why}"))?;
            if crashed.left() > 0 {
                return Err(format!("call {call}: the trouble never came"));
            }
            scenarios += 1;
        }
    }
    // A crash is nobody's failure: it takes no attempt away from what fails afterwards.
    for call in 0..calm.calls() {
        for later in 1..=3 {
            let crashed = scene()
                .troubled(call, Trouble::DieBefore)
                .troubled(call + later, Trouble::LoseBefore);
            crashed.check(&calm).map_err(|why| format!("call {call}, lost at {later}: {why}"))?;
            scenarios += 1;
        }
    }
    // A store that lied about a sync has lost the end of the journal.
    let entries = calm.entries();
    for lost in 1..entries.len() {
        let crashed = scene();
        crashed.run()?;
        crashed.journal.lose_tail(&crashed.trouble.run, lost);
        crashed.check(&calm).map_err(|why| format!("lost {lost} entries: {why}"))?;
        scenarios += 1;
    }
    // Every prefix of the journal can be opened.
    for end in 1..=entries.len() {
        let prefix = entries.get(..end).unwrap_or_default();
        Machine::open(prefix, calm.ports().limits()).map_err(|e| format!("prefix {end}: {e}"))?;
    }
    Ok(scenarios)
}
