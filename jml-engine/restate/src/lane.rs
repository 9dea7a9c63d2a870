//! Calls to targets: so many at once per target, over all workers, and never blindly again.
#![expect(missing_docs, reason = "the SDK's macros write clients without")]

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use jml_core::digest::Digest;
use jml_core::id::{AccountId, ProviderId};
use jml_core::provider::{Call, Cx, Error, ErrorKind, ErrorRecord, Target};
use jml_engine::Ports;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::words::{What, Word};

/// A virtual object for each of a target's lanes, named `target/number`. Restate runs one handler of a key at a
/// time, so a target with four lanes has at most four calls under way, however many workers there are. Calls
/// about one account share a lane.
pub struct Lane {
    ports: Arc<Ports>,
}

/// One call that a run wants made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Asked {
    /// The invocation of the run that wants the answer.
    pub by: String,
    /// Which call of that run, from 0.
    pub number: u64,
    /// Where.
    pub provider: ProviderId,
    /// What.
    pub call: Call,
    /// Which attempt of its step, from 1.
    pub attempt: u32,
}

/// What came of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "answered, failed, or nobody knows")]
pub enum Reply {
    /// The target answered.
    Answer(Box<jml_core::provider::Reply>),
    /// It did not, or refused.
    Failed(ErrorRecord),
    /// A worker died with a change on its way. It may have landed.
    Lost,
}

/// A number for each time that a handler is begun, so that it knows itself from an earlier try.
fn this_try() -> String {
    // Seeded by the system, and another one each time.
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

impl Lane {
    pub(crate) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }

    /// The lane of a call, of as many as the target's descriptor allows calls at once.
    pub(crate) fn of(ports: &Ports, provider: &ProviderId, call: &Call) -> String {
        let lanes = ports.providers.get(provider);
        let lanes = lanes.map_or(1, |it| u64::from(it.descriptor().limits.concurrency.max(1)));
        let about = match call {
            Call::Read(Target::Account(account)) => account.as_str(),
            Call::Apply(change) => change.account.as_ref().map_or("", AccountId::as_str),
            Call::Poll(handle) => handle.0.as_str(),
            _ => "",
        };
        let hash = Digest::of_bytes("jml-lane/v1", about.as_bytes());
        let [a, b, ..] = hash.as_bytes();
        format!("{provider}/{}", (u64::from(*a) << 8 | u64::from(*b)) % lanes)
    }

    async fn make(&self, asked: &Asked) -> Reply {
        let cx = Cx::new(self.ports.clock.clone()).with_attempt(asked.attempt);
        let result = match self.ports.providers.get(&asked.provider) {
            Some(provider) => asked.call.make(provider.as_ref(), &cx).await,
            None => {
                let text = format!("provider `{}` is not configured", asked.provider);
                Err(Error::new(ErrorKind::Configuration, text))
            }
        };
        match result {
            Ok(reply) => Reply::Answer(Box::new(reply)),
            Err(error) => Reply::Failed(error.record()),
        }
    }
}

#[object]
impl Lane {
    /// Makes one call and tells the run what came of it. A change that an earlier try of this handler may have
    /// sent is not sent again: the run is told that it is lost, and looks first.
    #[handler]
    async fn call(
        &self,
        ctx: ObjectContext<'_>,
        Json(asked): Json<Asked>,
    ) -> Result<(), HandlerError> {
        let here = this_try();
        let mut first = here.clone();
        if asked.call.mutates() {
            let name = here.clone();
            first = ctx.run(|| async move { Ok(name) }).name("intended").await?;
        }
        let told = ctx.run(|| async {
            let reply = if first == here { self.make(&asked).await } else { Reply::Lost };
            let what = What::Answered { number: asked.number, reply };
            Ok(Json(Word { at: self.ports.clock.now(), what }))
        });
        let Json(word) = told.name(asked.call.method()).await?;
        ctx.invocation_handle(asked.by).signal(crate::run::WORD).resolve(Json(word));
        Ok(())
    }
}
