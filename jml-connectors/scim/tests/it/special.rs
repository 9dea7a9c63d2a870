//! What is SCIM's own: answers to a bulk request.

use jml_core::account::{AccountState, AccountStatus};
use jml_core::digest::Digest;
use jml_core::provider::{Change, Cx, Effect, Expect, IdempotencyKey, Operation, Provider as _};
use jml_testkit::conformance::Backdoor as _;

use crate::world::{self, Door, Place};

/// Operations of a bulk request are told apart by their name, whatever their order (RFC 7644, section 3.7).
#[tokio::test]
async fn each_change_of_a_bulk_request_gets_its_own_answer() {
    // The document does not describe an answer to a bulk request.
    let place = Place::unwatched(world::rich());
    let new = AccountState::new("new".parse().unwrap(), "ada@corp.test", AccountStatus::Active);
    let door = Door(place.fake().clone(), place.clock.clone(), place.able.etag);
    let id = door.put(new).await;
    let disable = |id: &str| {
        let op = Operation::SetStatus { status: AccountStatus::Disabled };
        let key = IdempotencyKey::new(&Digest::of_bytes("test", id.as_bytes()));
        Change { key, account: Some(id.parse().unwrap()), op, expect: Expect::Any }
    };
    for wanted in [[true, false], [false, true]] {
        place.fake().forget();
        let changes = wanted.map(|there| disable(if there { id.as_str() } else { "nobody" }));
        let cx = Cx::new(place.clock.clone());
        let outcomes = place.provider("scim").apply_many(&cx, &changes).await;
        for (outcome, there) in outcomes.iter().zip(wanted) {
            // Whoever is not there cannot sign in; nothing was changed for it.
            let effect = if there { Effect::Accepted } else { Effect::Unchanged };
            assert_eq!(outcome.as_ref().unwrap().effect, effect);
        }
        let bulk = place.fake().requests().iter().filter(|it| it.target.ends_with("/Bulk")).count();
        assert_eq!(bulk, 1);
    }
}
