//! The kit: layers, client, credentials, and the suite's wire behaviours proven by planted defects.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

mod auth;
#[path = "../../../../examples/custom_connector/connector.rs"]
mod connector;
#[path = "../../../../examples/custom_connector/harness.rs"]
mod harness;
mod http;
mod law;
mod layers;
mod prepared;
mod secrets;
mod wire;

use jml_core::account::AccountStatus;
use jml_core::digest::Digest;
use jml_core::provider::{Change, Expect, IdempotencyKey, Operation};

/// A runtime for what needs one: sockets.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn creation(name: &str) -> Change {
    let op = Operation::CreateAccount {
        user_name: name.into(),
        external_id: format!("id-{name}").parse().unwrap(),
        status: AccountStatus::Active,
        attributes: Default::default(),
    };
    let key = IdempotencyKey::new(&Digest::of_bytes("creation", name.as_bytes()));
    Change { key, account: None, op, expect: Expect::Any }
}
