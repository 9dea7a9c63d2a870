//! One person: what is opened for whom, one after the other.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jml_core::digest::Digest;
use jml_core::id::RunId;
use jml_core::journal::RunOutcome;
use jml_engine::Ports;
use jml_engine::machine::{Opening, Word};
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::planner::PlannerClient;
use crate::run::LifecycleRunClient;
use crate::words::{Heard, Told};

/// A virtual object for each identity, named by it. Restate runs one handler of a key at a time, so nobody has
/// two runs opened at once, whoever plans.
pub struct Person {
    ports: Arc<Ports>,
}

/// What came of an opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "opened, there already, or overtaken")]
pub enum Opened {
    /// The run goes.
    Now,
    /// It was opened before, and nothing since.
    Before,
    /// Somebody planned for this person since. Which plan is right, only a new look can tell.
    Overtaken,
}

/// What is known of a person's runs.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// The plan that was opened last.
    last: Option<Digest>,
    /// Every run that is not closed, and its invocation.
    runs: BTreeMap<RunId, String>,
}

impl Person {
    pub(crate) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }

    async fn begin(
        &self,
        ctx: &ObjectContext<'_>,
        opening: Opening,
    ) -> Result<Opened, HandlerError> {
        let mut known = known(ctx).await?;
        let (run, plan) = (opening.run(), *opening.plan.id());
        if known.last == Some(plan) {
            return Ok(Opened::Before);
        }
        if known.last.is_some() && known.last != opening.plan.header().parent {
            return Ok(Opened::Overtaken);
        }
        for old in &opening.supersedes {
            let Some(invocation) = known.runs.remove(old) else { continue };
            let now = ctx.run(|| async { Ok(Json(self.ports.clock.now())) }).name("time").await?;
            let told = Told { at: now.0, word: Word::Supersede { by: plan } };
            let old = ctx.invocation_handle(invocation);
            old.signal(crate::run::WORD).resolve(Json(Heard::Said(told)));
            let _: Json<RunOutcome> = old.attach().await?;
        }
        let client = ctx.workflow_client::<LifecycleRunClient<'_>>(run.as_str());
        let handle = client.run(Json(opening)).send().await?;
        known.runs.insert(run, handle.invocation_id().to_owned());
        known.last = Some(plan);
        ctx.set(KNOWN, Json(known));
        Ok(Opened::Now)
    }
}

const KNOWN: &str = "known";

async fn known(ctx: &ObjectContext<'_>) -> Result<Known, HandlerError> {
    Ok(ctx.get::<Json<Known>>(KNOWN).await?.map(|it| it.0).unwrap_or_default())
}

#[object]
impl Person {
    /// Opens a run. What it supersedes is told so first, and has ended before the new run begins.
    #[handler]
    async fn open(
        &self,
        ctx: ObjectContext<'_>,
        Json(opening): Json<Opening>,
    ) -> Result<Json<Opened>, HandlerError> {
        Ok(Json(self.begin(&ctx, opening).await?))
    }

    /// The same for a planner, which looks again when it was overtaken.
    #[handler(ingress_private)]
    async fn open_for(
        &self,
        ctx: ObjectContext<'_>,
        Json((planner, opening)): Json<(String, Opening)>,
    ) -> Result<(), HandlerError> {
        if self.begin(&ctx, opening).await? == Opened::Overtaken {
            drop(ctx.object_client::<PlannerClient<'_>>(planner).overtaken().send());
        }
        Ok(())
    }

    /// A run is closed, and need not be remembered.
    #[handler(ingress_private)]
    async fn closed(&self, ctx: ObjectContext<'_>, run: String) -> Result<(), HandlerError> {
        let mut known = known(&ctx).await?;
        known.runs.retain(|it, _| it.as_str() != run);
        ctx.set(KNOWN, Json(known));
        Ok(())
    }
}
