//! The fake servers on loopback, for clients in any language.
//!
//! `cargo run -p jml-examples --example fakes` prints a line of JSON with their addresses and credentials, and
//! serves until its standard input ends.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "it is an example")]

use std::io::Read as _;
use std::sync::Arc;

use jml_core::clock::Clock as _;
use jml_engine::SystemClock;
use jml_testkit::fake::entra::{Entra, Sku};
use jml_testkit::fake::google::Google;
use jml_testkit::fake::jumpcloud::JumpCloud;
use jml_testkit::fake::{Fake, okta::Okta, scim::Scim};
use serde_json::json;

/// Accepted by every fake.
const TOKEN: &str = "fake-token-of-the-example";

fn main() {
    let clock = Arc::new(SystemClock);
    let now = clock.now();
    let groups = ["engineers", "sales", "staff"];
    let mut okta = Okta::new(TOKEN, &groups);
    okta.add_app("0oacrm", "Customer records");
    let okta = Fake::new(okta, clock.clone()).serve().expect("a free port");
    let scim =
        Fake::new(Scim::new(TOKEN, &groups, now), clock.clone()).serve().expect("a free port");
    let mut entra = Entra::new(("client", TOKEN), &[], &groups);
    entra.static_tokens.insert(TOKEN.to_owned());
    let sku = Sku { name: "SPE_E3".to_owned(), seats: 10 };
    entra.skus.insert("05e9a617-0261-4cee-bb44-138d3ef5d965".to_owned(), sku);
    let entra = Fake::new(entra, clock.clone()).serve().expect("a free port");
    let mut google = Google::new("admin@corp.test", "robot@corp.test", &[], &groups);
    google.static_tokens.insert(TOKEN.to_owned(), "admin@corp.test".to_owned());
    let google = Fake::new(google, clock.clone()).serve().expect("a free port");
    let jumpcloud = JumpCloud::new(TOKEN, &groups);
    let jumpcloud = Fake::new(jumpcloud, clock).serve().expect("a free port");
    println!(
        "{}",
        json!({
            "token": TOKEN, "okta": okta.url(), "scim": format!("{}/scim/v2", scim.url()),
            "entra": format!("{}/v1.0", entra.url()), "jumpcloud": jumpcloud.url(),
            "google": google.url(),
        })
    );
    // Whoever started it ends it by closing the pipe, or by its process id.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
