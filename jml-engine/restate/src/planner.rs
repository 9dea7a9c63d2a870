//! Who looks at everybody, and when again.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jml_core::facts::Facts;
use jml_core::policy::Policy;
use jml_engine::{Engine, EngineError, Openings, Request, Selection};
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::person::PersonClient;
use crate::run::LifecycleRunClient;
use crate::words::{What, Word};
use crate::{again, never};

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

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Looked {
    /// Runs that were handed on to be opened.
    pub openings: usize,
    /// Brakes that stopped everything, in people's words. Then nothing was opened.
    pub braked: Vec<String>,
    /// When it looks again by itself; `None` when nothing changes with time alone.
    pub again_at: Option<DateTime<Utc>>,
}

/// What is stored of a look.
#[derive(Serialize, Deserialize)]
struct Seen {
    at: DateTime<Utc>,
    openings: Option<Openings>,
    braked: Vec<String>,
    again_at: Option<DateTime<Utc>>,
}

impl Planner {
    /// Plans with an engine whose journal store is the one that [`Archive`](crate::Archive) writes to.
    #[must_use]
    pub fn new(engine: Arc<Engine>, source: Arc<dyn Source>) -> Self {
        Self { engine, source }
    }

    async fn see(&self, cause: String) -> Result<Json<Seen>, HandlerError> {
        let at = self.engine.ports().clock.now();
        let (policy, facts) =
            self.source.read().map_err(|what| again(std::io::Error::other(what)))?;
        let who = Selection::All;
        let request =
            Request { policy: &policy, facts: &facts, who: &who, hint: None, cause: &cause, at };
        let batch = self.engine.prepare(&request).await.map_err(again)?;
        let again_at = batch.next_change_at();
        let (openings, braked) = match self.engine.openings(batch, None).await {
            Ok(openings) => (Some(openings), Vec::new()),
            Err(EngineError::Braked(report)) => {
                (None, report.tripped.iter().map(ToString::to_string).collect())
            }
            Err(error) => return Err(again(error)),
        };
        Ok(Json(Seen { at, openings, braked, again_at }))
    }
}

#[object]
impl Planner {
    /// Looks at everybody now. `cause` says why, for the plans.
    #[handler]
    async fn look(
        &self,
        ctx: ObjectContext<'_>,
        cause: String,
    ) -> Result<Json<Looked>, HandlerError> {
        let Json(seen) = ctx.run(|| self.see(cause)).name("look").await?;
        let mut looked = Looked { openings: 0, braked: seen.braked, again_at: seen.again_at };
        if let Some(all) = seen.openings {
            for run in &all.withdrawn {
                let what = What::Withdraw { why: Openings::WITHDRAWN.into() };
                let run = ctx.workflow_client::<LifecycleRunClient<'_>>(run.as_str());
                drop(run.tell(Json(Word { at: seen.at, what })).send());
            }
            looked.openings = all.openings.len();
            for opening in all.openings {
                let identity = opening.plan.header().identity.to_string();
                let person = ctx.object_client::<PersonClient<'_>>(identity);
                drop(person.open(Json(opening)).send());
            }
        }
        if let Some(at) = seen.again_at {
            // One timer at a time: a look that was set earlier and is not wanted any more does nothing.
            ctx.set("again", Json(at));
            let wait = (at - seen.at).to_std().map_err(never)?;
            drop(ctx.object_client::<PlannerClient<'_>>(ctx.key()).due(Json(at)).send_after(wait));
        } else {
            ctx.clear("again");
        }
        Ok(Json(looked))
    }

    /// The timer of an earlier look.
    #[handler]
    async fn due(
        &self,
        ctx: ObjectContext<'_>,
        Json(at): Json<DateTime<Utc>>,
    ) -> Result<(), HandlerError> {
        let wanted = ctx.get::<Json<DateTime<Utc>>>("again").await?;
        if wanted.is_some_and(|it| it.0 == at) {
            let planner = ctx.object_client::<PlannerClient<'_>>(ctx.key());
            drop(planner.look("time".to_owned()).send());
        }
        Ok(())
    }
}
