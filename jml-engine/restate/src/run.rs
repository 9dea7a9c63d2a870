//! A lifecycle run as a workflow: the machine of `jml-engine`, driven by what Restate has stored.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jml_core::id::{ProviderId, RunId, StepId};
use jml_core::journal::{Entry, RunOutcome};
use jml_core::provider::{self, Call, Error, ErrorKind, Target};
use jml_engine::Ports;
use jml_engine::machine::{Effect, Input, Machine, Opening};
use restate_sdk::prelude::*;

use crate::archive::{ArchiveClient, Part};
use crate::lane::{Asked, Lane, LaneClient, Reply};
use crate::never;
use crate::person::PersonClient;
use crate::words::{Heard, Told};

/// The signal by which a run is told anything.
pub(crate) const WORD: &str = "word";

/// A workflow for each run, named by it.
///
/// The machine decides; everything that it decides from is stored by Restate before it is used: the time, what
/// calls came to, what people said. So a worker that takes a run up after another one died comes to the same
/// journal, entry by entry, and goes on from there.
pub struct LifecycleRun {
    ports: Arc<Ports>,
}

/// What a call was for.
enum Sent {
    Look(ProviderId, Target),
    Change(StepId),
}

/// A run under way, in one try of its handler.
struct Going<'a, 'ctx> {
    ports: &'a Ports,
    ctx: &'a WorkflowContext<'ctx>,
    machine: Machine,
    now: DateTime<Utc>,
    journal: Vec<Entry>,
    /// Entries that the archive has.
    archived: usize,
    /// Calls that have no answer yet.
    calls: BTreeMap<u64, Sent>,
    asked: u64,
}

impl LifecycleRun {
    pub(crate) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
}

#[workflow]
impl LifecycleRun {
    /// Runs a plan until nothing is left to do, and says how it ended. Only [`Person`](crate::Person) begins one.
    #[handler(ingress_private)]
    async fn run(
        &self,
        ctx: WorkflowContext<'_>,
        Json(opening): Json<Opening>,
    ) -> Result<Json<RunOutcome>, HandlerError> {
        ctx.set("invocation", ctx.invocation_id().to_owned());
        let now = self.now(&ctx).await?;
        let machine = opening.start(self.ports.limits(), now).map_err(never)?;
        let mut going = Going {
            ports: &self.ports,
            ctx: &ctx,
            machine,
            now,
            journal: Vec::new(),
            archived: 0,
            calls: BTreeMap::new(),
            asked: 0,
        };
        loop {
            if let Some(outcome) = going.go().await? {
                going.archive();
                let person = going.machine.plan().header().identity.to_string();
                let person = ctx.object_client::<PersonClient<'_>>(person);
                drop(person.closed(ctx.key().to_owned()).send());
                return Ok(Json(outcome));
            }
            if going.calls.is_empty() {
                // It waits, perhaps for weeks. Whoever looks shall see how far it is.
                going.archive();
            }
            let word = ctx.signal::<Json<Heard>>(WORD);
            let wait = going.machine.poll_timeout().map(|at| at - going.now);
            match wait.map(|wait| wait.to_std().unwrap_or(Duration::ZERO)) {
                None => going.hear(word.await?.0)?,
                Some(wait) => {
                    restate_sdk::select! {
                        said = word => { going.hear(said?.0)? },
                        slept = ctx.sleep(wait) => {
                            slept?;
                            going.now = self.now(&ctx).await?.max(going.now);
                        },
                    }
                }
            }
        }
    }

    /// Tells a run something. It takes note when it gets to it; what came of it is in its journal.
    #[handler]
    async fn tell(
        &self,
        ctx: SharedWorkflowContext<'_>,
        Json(told): Json<Told>,
    ) -> Result<(), HandlerError> {
        let run = ctx.get::<String>("invocation").await?;
        let run = run.ok_or_else(|| never(format!("there is no run `{}`", ctx.key())))?;
        ctx.invocation_handle(run).signal(WORD).resolve(Json(Heard::Said(told)));
        Ok(())
    }

    /// The run's journal as far as it is.
    #[handler]
    async fn journal(
        &self,
        ctx: SharedWorkflowContext<'_>,
    ) -> Result<Json<Vec<Entry>>, HandlerError> {
        let mut entries = Vec::new();
        let mut keys = ctx.get_keys().await?;
        keys.retain(|key| key.starts_with(ENTRIES));
        keys.sort();
        for key in keys {
            entries.extend(
                ctx.get::<Json<Vec<Entry>>>(&key).await?.map(|it| it.0).unwrap_or_default(),
            );
        }
        Ok(Json(entries))
    }
}

/// State keys of entries, which sort in their order.
const ENTRIES: &str = "entries/";

impl LifecycleRun {
    async fn now(&self, ctx: &WorkflowContext<'_>) -> Result<DateTime<Utc>, HandlerError> {
        let Json(now) = ctx.run(|| async { Ok(Json(self.ports.clock.now())) }).name("time").await?;
        Ok(now)
    }
}

impl Going<'_, '_> {
    /// Does what the machine wants until it waits; how it ended, when it did.
    async fn go(&mut self) -> Result<Option<RunOutcome>, HandlerError> {
        while let Some(effect) = self.machine.poll(self.now) {
            match effect {
                Effect::Record(entries) => self.record(entries)?,
                Effect::Observe { provider, target } => {
                    let call = Call::Read(target.clone());
                    self.ask(provider.clone(), call, 1, Sent::Look(provider, target));
                }
                Effect::Apply { step, provider, change, attempt } => {
                    self.ask(provider, Call::Apply(change), attempt, Sent::Change(step));
                }
                Effect::Poll { step, provider, handle } => {
                    self.ask(provider, Call::Poll(handle), 1, Sent::Change(step));
                }
                Effect::Done(outcome) => {
                    let identity = self.machine.plan().header().identity.clone();
                    let (people, run) = (self.ports.people.clone(), self.machine.run().clone());
                    self.once("closed", move || people.closed(&run, &identity, outcome)).await?;
                    return Ok(Some(outcome));
                }
                other => self.word_to_people(other).await?,
            }
        }
        Ok(None)
    }

    /// Entries are durable once Restate has them: they stand before anything that follows from them in the log
    /// of this invocation.
    fn record(&mut self, entries: Vec<Entry>) -> Result<(), HandlerError> {
        let Some(first) = entries.first().map(|entry| entry.seq) else { return Ok(()) };
        let len = first + entries.len() as u64;
        self.ctx.set(&format!("{ENTRIES}{first:010}"), Json(entries.clone()));
        self.journal.extend(entries);
        self.machine.handle(self.now, Input::Recorded { len }).map_err(never)
    }

    fn ask(&mut self, provider: ProviderId, call: Call, attempt: u32, sent: Sent) {
        let number = self.asked;
        self.asked += 1;
        self.calls.insert(number, sent);
        let lane = Lane::of(self.ports, &provider, &call, self.machine.is_containing());
        let by = self.ctx.invocation_id().to_owned();
        let asked = Asked { by, number, provider, call, attempt };
        drop(self.ctx.object_client::<LaneClient<'_>>(lane).call(Json(asked)).send());
    }

    /// Takes in what somebody said.
    fn hear(&mut self, heard: Heard) -> Result<(), HandlerError> {
        let input = match heard {
            Heard::Said(Told { at, word }) => {
                self.now = at.max(self.now);
                word.into()
            }
            Heard::Answered { at, number, reply } => {
                self.now = at.max(self.now);
                // Not asked, or answered before.
                let Some(sent) = self.calls.remove(&number) else { return Ok(()) };
                match sent {
                    Sent::Look(provider, target) => {
                        let result = seen(reply);
                        Input::Observed { provider, target, result }
                    }
                    Sent::Change(step) => Input::Answered { step, result: answered(reply) },
                }
            }
        };
        self.machine.handle(self.now, input).map_err(never)
    }

    async fn word_to_people(&self, effect: Effect) -> Result<(), HandlerError> {
        let (people, run) = (self.ports.people.clone(), self.machine.run().clone());
        match effect {
            Effect::Ask { gate, stage, panel } => {
                let Some(what) = self.machine.plan().gates().get(&gate).cloned() else {
                    return Ok(());
                };
                self.once("ask", move || people.ask(&run, &gate, &what, stage, &panel)).await
            }
            Effect::Raise { step, task } => {
                self.once("raise", move || people.raise(&run, &step, &task)).await
            }
            Effect::Tell(notice) => self.once("tell", move || people.tell(&run, &notice)).await,
            Effect::Alert { step, text } => {
                self.once("alert", move || people.alert(&run, &step, &text)).await
            }
            // An effect that this version does not know is left alone, as drivers may.
            _ => Ok(()),
        }
    }

    /// Something outside, said once however often this handler is tried.
    async fn once(&self, name: &str, what: impl FnOnce() + Send) -> Result<(), HandlerError> {
        let done = self.ctx.run(|| async move {
            what();
            Ok(())
        });
        Ok(done.name(name).await?)
    }

    /// Sends what the archive does not have.
    fn archive(&mut self) {
        let entries = self.journal.get(self.archived..).unwrap_or_default().to_vec();
        self.archived = self.journal.len();
        if !entries.is_empty() {
            let run: RunId = self.machine.run().clone();
            let part = Json(Part { run: run.clone(), entries });
            drop(self.ctx.object_client::<ArchiveClient<'_>>(run.as_str()).keep(part).send());
        }
    }
}

fn seen(reply: Reply) -> provider::Result<provider::Observation> {
    match reply {
        Reply::Answer(answer) => match *answer {
            provider::Reply::Seen(seen) => Ok(seen),
            _ => Err(of_another_kind()),
        },
        other => Err(failed(other)),
    }
}

fn answered(reply: Reply) -> provider::Result<provider::Outcome> {
    match reply {
        Reply::Answer(answer) => match *answer {
            provider::Reply::Outcome(outcome) => Ok(*outcome),
            _ => Err(of_another_kind()),
        },
        other => Err(failed(other)),
    }
}

fn of_another_kind() -> Error {
    Error::new(ErrorKind::ContractViolation, "the answer is to another kind of call")
}

/// What is lost may have landed: the machine reads it back before it sends anything again.
fn failed(reply: Reply) -> Error {
    match reply {
        Reply::Failed(record) => record.into(),
        _ => Error::new(ErrorKind::Transport, "a worker stopped with the change on its way"),
    }
}
