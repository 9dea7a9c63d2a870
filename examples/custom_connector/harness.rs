//! What the suite needs to know of the target: how to make a fresh one, and how to reach behind it.

use std::sync::Arc;

use jml_connector_kit::auth::Bearer;
use jml_connector_kit::http::{Client, Transport};
use jml_testkit::ManualClock;
use jml_testkit::conformance::World;
use jml_testkit::fake::acme::{Acme as Api, Group};
use jml_testkit::fake::{Fake, WireFault};

use crate::connector::Acme;

pub(crate) const TOKEN: &str = "acme-secret-token-4711";

/// A company of its own, on a socket of its own.
pub(crate) fn world(transport: Arc<dyn Transport>) -> World {
    let clock = Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH));
    let mut api = Api::new(TOKEN, &["engineers", "sales", "staff"]);
    api.groups.insert("tower".into(), Group { seats: Some(1), ..Group::default() });
    let server = Fake::new(api, clock.clone()).serve().expect("a free port");
    let client = Client::over(&server.url(), transport).expect("a client");
    let client = client.authenticated(Bearer::new(TOKEN.to_owned()));
    let make = move || {
        let (id, kind) = ("acme".parse().expect("an id"), "group".parse().expect("a kind"));
        Acme::new(id, client.clone(), kind)
    };
    let slow = WireFault::Answer {
        status: 403,
        headers: vec![("retry-after", "1.5".into())],
        body: r#"{"error":{"code":"slow_down","message":"slow down"}}"#.into(),
    };
    World::of(Arc::new(make()))
        .clock(clock)
        .scarce("group/tower".parse().expect("a key"))
        .canary(TOKEN)
        .throttled_by(slow)
        .backdoor(server.fake().clone())
        .restart(make)
        .wire(server)
}
