//! Calls to targets: so many at once per target, over all workers, and never blindly again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use jml_core::digest::Digest;
use jml_core::id::ProviderId;
use jml_core::provider::{Call, Cx, Error, ErrorKind, ErrorRecord, Operation, Target};
use jml_engine::Ports;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::words::Heard;

/// A virtual object for each of a target's lanes, named `target/number`. Restate runs one handler of a key at a
/// time, so a target with four lanes has at most four calls under way, however many workers there are. Calls
/// about one account share a lane, and so do those that look for one and make it. The first lane is for runs that
/// keep somebody out, so that they do not wait behind a reorganisation.
pub(crate) struct Lane {
    ports: Arc<Ports>,
}

/// One call that a run wants made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
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
pub(crate) enum Reply {
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

    /// The lane of a call, of as many as the target's descriptor allows calls at once. `contains` tells whether
    /// it is of a run that keeps somebody out.
    pub(crate) fn of(ports: &Ports, provider: &ProviderId, call: &Call, contains: bool) -> String {
        let lanes = ports.providers.get(provider);
        let lanes = lanes.map_or(1, |it| u64::from(it.descriptor().limits.concurrency.max(1)));
        if contains || lanes == 1 {
            return format!("{provider}/0");
        }
        let about = match call {
            Call::Read(Target::Account(account)) => account.as_str(),
            Call::Read(Target::External { identity, .. }) => identity.as_str(),
            Call::Apply(change) => match (&change.account, &change.op) {
                (Some(account), _) => account.as_str(),
                (None, Operation::CreateAccount { external_id, .. }) => external_id.as_str(),
                (None, _) => "",
            },
            Call::Poll(handle) => handle.0.as_str(),
            _ => "",
        };
        let hash = Digest::of_bytes("jml-lane/v1", about.as_bytes());
        let [a, b, ..] = hash.as_bytes();
        format!("{provider}/{}", 1 + (u64::from(*a) << 8 | u64::from(*b)) % (lanes - 1))
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

#[object(ingress_private, client_visibility = "pub(crate)")]
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
        let heard = ctx.run(|| async {
            let reply = if first == here { self.make(&asked).await } else { Reply::Lost };
            Ok(Json(Heard::Answered { at: self.ports.clock.now(), number: asked.number, reply }))
        });
        let Json(heard) = heard.name(asked.call.method()).await?;
        ctx.invocation_handle(asked.by).signal(crate::run::WORD).resolve(Json(heard));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use jml_core::account::AccountStatus;
    use jml_core::digest::Digest;
    use jml_core::id::{AccountId, IdentityId, ProviderId};
    use jml_core::provider::{
        Call, Change, Expect, IdempotencyKey, Operation, Provider as _, Target,
    };
    use jml_engine::store::MemoryStore;
    use jml_engine::{Ports, Silent, SystemClock};
    use jml_testkit::Memory;

    use super::Lane;

    #[test]
    fn who_keeps_somebody_out_waits_behind_nobody_else() {
        let id: ProviderId = "dir".parse().unwrap();
        let target = Memory::new(id.clone());
        let lanes = usize::from(target.descriptor().limits.concurrency);
        let ports = Ports {
            providers: BTreeMap::from([(id.clone(), Arc::new(target) as Arc<_>)]),
            journal: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock),
            people: Arc::new(Silent),
            patience: chrono::TimeDelta::zero(),
        };
        let read = |number: u32| {
            let account = AccountId::new(format!("acc-{number}")).unwrap();
            Call::Read(Target::Account(account))
        };
        let others: BTreeSet<String> =
            (0..500).map(|number| Lane::of(&ports, &id, &read(number), false)).collect();
        assert_eq!(others.len(), lanes - 1, "{others:?}");
        // Nobody has an account before it is made, and all of them do not stand in one lane for that.
        let lane = |call: &Call| Lane::of(&ports, &id, call, false);
        let made: BTreeSet<String> = (0..500)
            .map(|number| {
                let identity = IdentityId::new(format!("E{number}")).unwrap();
                let change = Change {
                    key: IdempotencyKey::new(&Digest::of_bytes(
                        "test",
                        identity.as_str().as_bytes(),
                    )),
                    account: None,
                    op: Operation::CreateAccount {
                        user_name: "name".into(),
                        external_id: identity.clone(),
                        status: AccountStatus::Active,
                        attributes: BTreeMap::new(),
                    },
                    expect: Expect::Any,
                };
                let target = Target::External { identity, user_name: "name".into() };
                let found = lane(&Call::Read(target));
                assert_eq!(found, lane(&Call::Apply(change)));
                found
            })
            .collect();
        assert_eq!(made, others);
        assert!(!others.contains("dir/0"), "{others:?}");
        assert_eq!(Lane::of(&ports, &id, &read(7), true), "dir/0");
    }
}
