//! One person: what is opened for whom, one after the other.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jml_core::id::RunId;
use jml_core::journal::RunOutcome;
use jml_engine::Ports;
use jml_engine::machine::Opening;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::run::LifecycleRunClient;
use crate::words::{What, Word};

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
    /// It was opened before.
    Before,
    /// Somebody planned for this person since. Which plan is right, only a new look can tell.
    Overtaken,
}

/// What is known of a person's runs.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// The plan that was opened last.
    last: Option<jml_core::digest::Digest>,
    /// Every run that was opened, and its invocation.
    runs: BTreeMap<RunId, String>,
}

impl Person {
    pub(crate) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
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
        let known = ctx.get::<Json<Known>>("known").await?;
        let mut known = known.map(|it| it.0).unwrap_or_default();
        let run = opening.run();
        if known.runs.contains_key(&run) {
            return Ok(Json(Opened::Before));
        }
        let plan = *opening.plan.id();
        if known.last.is_some() && known.last != opening.plan.header().parent {
            return Ok(Json(Opened::Overtaken));
        }
        for old in &opening.supersedes {
            let Some(invocation) = known.runs.get(old) else { continue };
            let now = ctx.run(|| async { Ok(Json(self.ports.clock.now())) }).name("time").await?;
            let word = Word { at: now.0, what: What::Supersede { by: plan } };
            let old = ctx.invocation_handle(invocation.clone());
            old.signal(crate::run::WORD).resolve(Json(word));
            let _: Json<RunOutcome> = old.attach().await?;
        }
        let client = ctx.workflow_client::<LifecycleRunClient<'_>>(run.as_str());
        let handle = client.run(Json(opening)).send().await?;
        known.runs.insert(run, handle.invocation_id().to_owned());
        known.last = Some(plan);
        ctx.set("known", Json(known));
        Ok(Json(Opened::Now))
    }
}
