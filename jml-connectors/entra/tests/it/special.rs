//! What is Graph's own: pages behind a part of a batch.

use jml_core::account::{AccountState, AccountStatus};
use jml_core::provider::{Cx, Observation, Provider as _, Target};
use jml_testkit::conformance::Backdoor as _;

use crate::suite::papers;
use crate::world::{Door, Place};

/// A page of role assignments is a hundred. Whoever holds more holds all of them.
#[tokio::test]
async fn whoever_holds_more_than_a_page_is_shown_with_everything() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let new = AccountState::new("new".parse().unwrap(), "ada@corp.test", AccountStatus::Active);
    let id = Door(place.fake().clone()).put(new).await;
    place.fake().with(|api| {
        for number in 0..230 {
            let role = format!("role-{number:03}");
            api.role_definitions.insert(role.clone(), format!("Role {number}"));
            api.roles.insert(format!("held-{number:03}"), (id.to_string(), role));
        }
    });
    let cx = Cx::new(place.clock.clone());
    let seen = place.provider("entra").read(&cx, &Target::Account(id)).await.unwrap();
    let Observation::Present(account) = seen else { panic!("it is there") };
    let roles = account.holdings.iter().filter(|key| key.kind.as_str() == "role");
    assert_eq!(roles.count(), 230);
}
