//! The behaviours, by what they are about.

mod access;
mod accounts;
mod answers;
mod feeds;
mod halfway;
mod leaving;
mod listing;
mod safety;
mod wire;

use super::Behaviour;

/// Builds `all()` from behaviours: a doc comment that says why, an id, a name, a tier, and a body that
/// ends early with a [`Stop`](super::bench::Stop).
macro_rules! behaviours {
    ($($(#[doc = $why:literal])+ $id:ident $name:ident $tier:ident |$bench:ident| $body:block)*) => {
        pub(super) fn all() -> Vec<crate::conformance::Behaviour> {
            vec![$(crate::conformance::Behaviour {
                id: stringify!($id),
                name: stringify!($name),
                why: concat!($($why),+).trim_start(),
                tier: crate::conformance::Tier::$tier,
                run: |$bench| {
                    Box::pin(async move {
                        $body
                        Ok(())
                    })
                },
            }),*]
        }
    };
}
use behaviours;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = answers::all();
    all.extend(listing::all());
    all.extend(access::all());
    all.extend(accounts::all());
    all.extend(leaving::all());
    all.extend(wire::all());
    all.extend(safety::all());
    all.extend(feeds::all());
    all
}
