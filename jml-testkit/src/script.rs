//! Fault scripts: what goes wrong, when, and proof that it did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Call, Cx, Error, ErrorKind, Layer, Next, Observation, Page, Reply, Result, Row, Slot,
    Target, Verb,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The target refuses; nothing lands.
    Refuse(ErrorKind),
    /// The target asks to slow down for so many milliseconds; nothing lands.
    Throttle {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is lost on its way; nobody knows.
    LoseBefore,
    /// The change lands, and its answer is lost.
    LoseAfter,
    /// The request arrives twice.
    Duplicate,
    /// The change lands, and for so many milliseconds reads show what was before.
    Lag {
        /// Milliseconds.
        ms: u64,
    },
    /// This read shows what was before the last change of the account.
    StaleRead,
    /// This page has only half of its rows, and still says that it is the last one: a target that cuts.
    HalfPage,
    /// This page names the cursor again with which it was asked for.
    RepeatCursor,
    /// The answer comes so many milliseconds later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// No connection: nothing was sent.
    Cut,
    /// No answer, ever.
    Hang,
}

/// Which calls a rule is for, by what they are and never by their place in time: the same script holds
/// for a driver that sends them in another order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data with a default")]
pub struct Match {
    /// `list`, `read`, `apply`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<SmolStr>,
    /// The verb of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// The account of a change or a read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

impl Match {
    /// Every call.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Every change.
    #[must_use]
    pub fn changes() -> Self {
        Self::method("apply")
    }

    /// Every read of one account.
    #[must_use]
    pub fn reads() -> Self {
        Self::method("read")
    }

    /// Every page.
    #[must_use]
    pub fn pages() -> Self {
        Self::method("list")
    }

    /// Every call of a method.
    #[must_use]
    pub fn method(method: &str) -> Self {
        Self { method: Some(method.into()), ..Self::default() }
    }

    /// Every change of a verb.
    #[must_use]
    pub fn verb(verb: Verb) -> Self {
        Self { verb: Some(verb), ..Self::changes() }
    }

    /// The same, of one account.
    #[must_use]
    pub fn of(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    fn hits(&self, call: &Call) -> bool {
        let account = match call {
            Call::Read(Target::Account(id)) => Some(id),
            _ => call.change().and_then(|change| change.account.as_ref()),
        };
        self.method.as_ref().is_none_or(|method| method == call.method())
            && self.verb.is_none_or(|verb| call.change().is_some_and(|c| c.op.verb() == verb))
            && self.account.as_ref().is_none_or(|wanted| account == Some(wanted))
    }
}

/// One rule: from the `skip`-th matching call on, `times` calls go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, versioned with the script")]
pub struct Rule {
    /// Which calls.
    pub on: Match,
    /// How many of them pass first.
    #[serde(default)]
    pub skip: u32,
    /// How many go wrong.
    pub times: u32,
    /// How.
    pub fault: Fault,
}

/// The version of the format of [`Script`] that this crate writes and reads.
pub const SCRIPT_FORMAT: u16 = 1;

/// What goes wrong, as data: it can be written to a file, shrunk, and played again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(deserialize_with = "known_format")]
    format: u16,
    rules: Vec<Rule>,
    #[serde(default)]
    lenient: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self { format: SCRIPT_FORMAT, rules: Vec::new(), lenient: false }
    }
}

fn known_format<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<u16, D::Error> {
    match u16::deserialize(from)? {
        SCRIPT_FORMAT => Ok(SCRIPT_FORMAT),
        other => Err(serde::de::Error::custom(format!(
            "script format {other} is unknown, this version reads {SCRIPT_FORMAT}"
        ))),
    }
}

impl Script {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and the next matching call goes wrong.
    #[must_use]
    pub fn once(self, on: Match, fault: Fault) -> Self {
        self.rule(Rule { on, skip: 0, times: 1, fault })
    }

    /// The same with a rule. Of two rules for one call, the first one is played.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The same, for random scripts: a rule that never fires is no failure.
    #[must_use]
    pub const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The layer that plays it. When the last clone goes and a rule has never fired, the test fails:
    /// a fault that did not happen proves nothing.
    #[must_use]
    pub fn play(self) -> Faults {
        let fired = self.rules.iter().map(|_| Count::default()).collect();
        Faults(Arc::new(Playing { script: self, counts: fired, memory: Mutex::default() }))
    }
}

#[derive(Debug, Default)]
struct Count {
    met: AtomicU32,
    fired: AtomicU32,
}

/// A script at work. Clones share it.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Playing>);

#[derive(Debug)]
struct Playing {
    script: Script,
    counts: Vec<Count>,
    memory: Mutex<Past>,
}

/// What accounts were before their last change.
#[derive(Debug, Default)]
struct Past {
    before: BTreeMap<AccountId, Observation>,
    late: BTreeMap<AccountId, DateTime<Utc>>,
}

impl Faults {
    /// How often each rule has fired.
    #[must_use]
    pub fn fired(&self) -> Vec<u32> {
        self.0.counts.iter().map(|count| count.fired.load(Ordering::SeqCst)).collect()
    }

    /// Whether every rule has fired.
    #[must_use]
    pub fn all_fired(&self) -> bool {
        self.fired().iter().all(|count| *count > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, call: &Call) -> Option<Fault> {
        for (rule, count) in self.0.script.rules.iter().zip(&self.0.counts) {
            if !rule.on.hits(call) || !possible(&rule.fault, call) {
                continue;
            }
            let met = count.met.fetch_add(1, Ordering::SeqCst);
            if met >= rule.skip && met - rule.skip < rule.times {
                count.fired.fetch_add(1, Ordering::SeqCst);
                return Some(rule.fault.clone());
            }
        }
        None
    }

    fn remembers(&self) -> bool {
        let past = |rule: &Rule| matches!(rule.fault, Fault::Lag { .. } | Fault::StaleRead);
        self.0.script.rules.iter().any(past)
    }

    /// What a read or a page shows although it is no longer so.
    fn late(&self, now: DateTime<Utc>, reply: Reply, call: &Call) -> Reply {
        let past = self.lock();
        let shown = |id: &AccountId| {
            let late = past.late.get(id).is_some_and(|until| now < *until);
            if late { past.before.get(id).cloned() } else { None }
        };
        match (reply, call) {
            (Reply::Seen(seen), Call::Read(Target::Account(id))) => {
                Reply::Seen(shown(id).unwrap_or(seen))
            }
            (Reply::Seen(seen), Call::Read(_)) => {
                let before = seen.account().and_then(|account| shown(&account.id));
                Reply::Seen(before.unwrap_or(seen))
            }
            (Reply::Page(page), _) => {
                let rows = page.rows().iter().filter_map(|row| {
                    let Row::Account(state) = row else { return Some(row.clone()) };
                    match shown(&state.id) {
                        None => Some(row.clone()),
                        Some(before) => {
                            before.account().map(|it| Row::Account(Box::new(it.clone())))
                        }
                    }
                });
                Reply::Page(remade(&page, rows.collect()))
            }
            (reply, _) => reply,
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let idle: Vec<&Rule> = self
            .script
            .rules
            .iter()
            .zip(&self.counts)
            .filter(|(_, count)| count.fired.load(Ordering::SeqCst) == 0)
            .map(|(rule, _)| rule)
            .collect();
        if !self.script.lenient && !idle.is_empty() && !std::thread::panicking() {
            #[expect(clippy::panic, reason = "a fault that never happened must fail the test")]
            {
                panic!("these faults never happened: {idle:?}");
            }
        }
    }
}

fn remade(page: &Page, rows: Vec<Row>) -> Page {
    let fresh = Page::with_next(rows, page.next().cloned());
    page.omissions().iter().cloned().fold(fresh, Page::omitting)
}

/// Whether a fault can happen to a call; a rule does not count calls that it cannot be for.
const fn possible(fault: &Fault, call: &Call) -> bool {
    match fault {
        Fault::LoseAfter | Fault::Lag { .. } => matches!(call, Call::Apply(_)),
        Fault::StaleRead => matches!(call, Call::Read(Target::Account(_))),
        Fault::HalfPage | Fault::RepeatCursor => matches!(call, Call::List(_)),
        _ => true,
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Transport, "no answer")
}

#[async_trait]
impl Layer for Faults {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let fault = self.pick(call);
        if let Call::Apply(change) = call
            && let Some(account) = &change.account
            && self.remembers()
        {
            let seen = next.run(cx, &Call::Read(Target::Account(account.clone()))).await?.seen()?;
            let mut past = self.lock();
            // While reads are late, they stay where they are: before the change that made them so.
            if past.late.get(account).is_none_or(|until| cx.now() >= *until) {
                past.before.insert(account.clone(), seen);
            }
        }
        let harmless = |error: Error| error.with_applied(Applied::No);
        match fault {
            None => Ok(self.late(cx.now(), next.run(cx, call).await?, call)),
            Some(Fault::Refuse(kind)) => Err(harmless(Error::new(kind, "refused by the script"))),
            Some(Fault::Throttle { ms }) => {
                let error = Error::new(ErrorKind::RateLimited, "slow down");
                Err(harmless(error).retry_after(Duration::from_millis(ms)))
            }
            Some(Fault::LoseBefore) if call.mutates() => Err(lost()),
            Some(Fault::LoseBefore | Fault::Cut) => Err(harmless(lost())),
            Some(Fault::LoseAfter) => {
                next.run(cx, call).await?;
                Err(lost())
            }
            Some(Fault::Duplicate) => {
                let first = next.run(cx, call).await;
                let _ = next.run(cx, call).await;
                first
            }
            Some(Fault::Lag { ms }) => {
                let reply = next.run(cx, call).await?;
                let until = cx.now() + TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(0));
                if let Some(id) = call.change().and_then(|change| change.account.clone()) {
                    self.lock().late.insert(id, until);
                }
                Ok(reply)
            }
            Some(Fault::StaleRead) => {
                let reply = next.run(cx, call).await?;
                let before = match call {
                    Call::Read(Target::Account(id)) => self.lock().before.get(id).cloned(),
                    _ => None,
                };
                Ok(before.map_or(reply, Reply::Seen))
            }
            Some(Fault::HalfPage) => {
                let page = next.run(cx, call).await?.page()?;
                let half = page.rows().iter().take(page.rows().len() / 2).cloned().collect();
                Ok(Reply::Page(Page::last(half)))
            }
            Some(Fault::RepeatCursor) => {
                let page = next.run(cx, call).await?.page()?;
                let used = match call {
                    Call::List(request) => request.cursor.clone(),
                    _ => None,
                };
                let again = used.or_else(|| page.next().cloned());
                Ok(Reply::Page(Page::with_next(page.rows().to_vec(), again)))
            }
            Some(Fault::Slow { ms }) => {
                let reply = next.run(cx, call).await;
                let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(0));
                cx.clock().sleep_until(cx.now() + wait).await;
                reply
            }
            Some(Fault::Hang) => futures::future::pending().await,
        }
    }
}
