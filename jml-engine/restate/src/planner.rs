//! Who looks at everybody, and when again.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::digest::Digest;
use jml_core::facts::Facts;
use jml_core::policy::Policy;
use jml_engine::brake::Override;
use jml_engine::machine::Word;
use jml_engine::{Engine, EngineError, Openings, Request, Selection};
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::again;
use crate::person::PersonClient;
use crate::run::LifecycleRunClient;
use crate::words::Told;

/// Where the policy and what is known about people come from, anew at each look.
pub trait Source: Send + Sync + 'static {
    /// The policy and the facts of now.
    ///
    /// # Errors
    /// A text for whoever is on duty; the look is tried again.
    fn read(&self) -> Result<(Policy, Facts), String>;
}

/// A virtual object with one key for each organisation: plans for everybody, has runs opened, and looks again when
/// the next claim begins or ends. Only one look at a time, since a key runs one handler at a time.
pub struct Planner {
    engine: Arc<Engine>,
    source: Arc<dyn Source>,
}

/// A look that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Look {
    /// Why, for the plans.
    pub cause: String,
    /// Somebody's word that a batch may pass the brakes that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_override: Option<Override>,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Looked {
    /// Runs that were handed on to be opened.
    pub openings: usize,
    /// What stopped everything, if something did. Then nothing was opened.
    pub braked: Option<Braked>,
    /// When it looks again by itself; `None` when nothing changes with time alone.
    pub again_at: Option<DateTime<Utc>>,
}

/// Brakes that tripped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Braked {
    /// The batch, as an [`Override`] has to name it.
    pub batch: Digest,
    /// Each brake, in people's words.
    pub tripped: Vec<String>,
}

/// What is stored of a look.
#[derive(Serialize, Deserialize)]
struct Seen {
    at: DateTime<Utc>,
    openings: Result<Openings, Braked>,
    again_at: Option<DateTime<Utc>>,
}

impl Planner {
    /// Plans with an engine whose journal store is the one that the service `Archive` writes to.
    #[must_use]
    pub fn new(engine: Arc<Engine>, source: Arc<dyn Source>) -> Self {
        Self { engine, source }
    }

    async fn see(&self, look: Look) -> Result<Json<Seen>, HandlerError> {
        let at = self.engine.ports().clock.now();
        let (policy, facts) =
            self.source.read().map_err(|what| again(std::io::Error::other(what)))?;
        let (who, cause) = (Selection::All, look.cause.as_str());
        let request = Request { policy: &policy, facts: &facts, who: &who, hint: None, cause, at };
        let batch = self.engine.prepare(&request).await.map_err(again)?;
        let mut again_at = batch.next_change_at();
        let openings = match self.engine.openings(batch, look.by_override.as_ref()).await {
            Ok(openings) => Ok(openings),
            Err(EngineError::Braked(report)) => {
                let tripped = report.tripped.iter().map(ToString::to_string).collect();
                Err(Braked { batch: report.batch, tripped })
            }
            Err(error) => return Err(again(error)),
        };
        if openings.as_ref().is_ok_and(|it| !it.overtaken.is_empty()) {
            again_at = again_at.into_iter().chain([at + SOON]).min();
        }
        Ok(Json(Seen { at, openings, again_at }))
    }
}

/// When it looks again.
const AGAIN: &str = "again";

/// How long after it was overtaken.
const SOON: TimeDelta = TimeDelta::seconds(5);

/// One timer at a time: one that was set earlier and is not wanted any more does nothing.
fn wake(ctx: &ObjectContext<'_>, now: DateTime<Utc>, at: DateTime<Utc>) {
    ctx.set(AGAIN, Json(at));
    let wait = (at - now).to_std().unwrap_or_default();
    drop(ctx.object_client::<PlannerClient<'_>>(ctx.key()).due(Json(at)).send_after(wait));
}

#[object]
impl Planner {
    /// Looks at everybody now.
    #[handler]
    async fn look(
        &self,
        ctx: ObjectContext<'_>,
        Json(look): Json<Look>,
    ) -> Result<Json<Looked>, HandlerError> {
        let Json(seen) = ctx.run(|| self.see(look)).name("look").await?;
        let mut looked = Looked { openings: 0, braked: None, again_at: seen.again_at };
        match seen.openings {
            Ok(Openings { openings, withdrawn, .. }) => {
                for run in &withdrawn {
                    let word = Word::Withdraw { why: Openings::WITHDRAWN.into() };
                    let run = ctx.workflow_client::<LifecycleRunClient<'_>>(run.as_str());
                    drop(run.tell(Json(Told { at: seen.at, word })).send());
                }
                looked.openings = openings.len();
                for opening in openings {
                    let identity = opening.plan.header().identity.to_string();
                    let person = ctx.object_client::<PersonClient<'_>>(identity);
                    drop(person.open_for(Json((ctx.key().to_owned(), opening))).send());
                }
            }
            Err(braked) => looked.braked = Some(braked),
        }
        if let Some(at) = seen.again_at {
            wake(&ctx, seen.at, at);
        } else {
            ctx.clear(AGAIN);
        }
        Ok(Json(looked))
    }

    /// Somebody else planned for a person meanwhile, or the journal store did not have their last run yet.
    #[handler(ingress_private)]
    async fn overtaken(&self, ctx: ObjectContext<'_>) -> Result<(), HandlerError> {
        let clock = &self.engine.ports().clock;
        let now = ctx.run(|| async { Ok(Json(clock.now())) }).name("time").await?.0;
        let soon = now + SOON;
        let set = ctx.get::<Json<DateTime<Utc>>>(AGAIN).await?;
        if set.is_none_or(|it| it.0 > soon) {
            wake(&ctx, now, soon);
        }
        Ok(())
    }

    /// The timer of an earlier look.
    #[handler(ingress_private)]
    async fn due(
        &self,
        ctx: ObjectContext<'_>,
        Json(at): Json<DateTime<Utc>>,
    ) -> Result<(), HandlerError> {
        let wanted = ctx.get::<Json<DateTime<Utc>>>(AGAIN).await?;
        if wanted.is_some_and(|it| it.0 == at) {
            let planner = ctx.object_client::<PlannerClient<'_>>(ctx.key());
            let look = Look { cause: "time".to_owned(), by_override: None };
            drop(planner.look(Json(look)).send());
        }
        Ok(())
    }
}
