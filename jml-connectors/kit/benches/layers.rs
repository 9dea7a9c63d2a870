//! What layers cost: one read of an account of `Memory`, with nothing around it, with one layer, and
//! with the standard stack. A call over a network takes a thousand times as long as any of them.
//!
//! `cargo bench -p jml-connector-kit`

use std::sync::Arc;

use divan::{Bencher, black_box};
use futures::executor::block_on;
use jml_connector_kit::layers::{Guard, Observe, Rate, Retry, RetryPolicy};
use jml_connector_kit::{Policy, Stack};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::digest::Digest;
use jml_core::provider::{
    Change, Cx, Expect, IdempotencyKey, Layered, Limits, Operation, Provider, Target,
};
use jml_testkit::{ManualClock, Memory};

fn main() {
    divan::main();
}

fn memory() -> Option<Memory> {
    let ada = AccountState::new("ada".parse().ok()?, "ada", AccountStatus::Active);
    let memory = Memory::new("memory".parse().ok()?).define("group/a".parse().ok()?);
    Some(memory.with_account(ada))
}

fn read(bencher: Bencher<'_, '_>, build: impl FnOnce(Stack) -> Layered) {
    let (Some(memory), Ok(id)) = (memory(), "ada".parse()) else { return };
    let provider = build(Stack::new(Arc::new(memory)));
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let target = Target::Account(id);
    bencher.bench_local(|| block_on(provider.read(black_box(&cx), black_box(&target))));
}

/// What a user has without the kit: the provider itself.
#[divan::bench]
fn read_directly(bencher: Bencher<'_, '_>) {
    let (Some(memory), Ok(id)) = (memory(), "ada".parse()) else { return };
    let provider: Arc<dyn Provider> = Arc::new(memory);
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let target = Target::Account(id);
    bencher.bench_local(|| block_on(provider.read(black_box(&cx), black_box(&target))));
}

#[divan::bench]
fn read_without_layers(bencher: Bencher<'_, '_>) {
    read(bencher, Stack::build);
}

#[divan::bench]
fn read_guarded(bencher: Bencher<'_, '_>) {
    read(bencher, |stack| stack.with(Guard).build());
}

#[divan::bench]
fn read_retried(bencher: Bencher<'_, '_>) {
    read(bencher, |stack| stack.with(Retry::new(RetryPolicy::default())).build());
}

#[divan::bench]
fn read_rated(bencher: Bencher<'_, '_>) {
    read(bencher, |stack| stack.with(Rate::new(&Limits::new(4, 100))).build());
}

#[divan::bench]
fn read_standard(bencher: Bencher<'_, '_>) {
    read(bencher, |stack| stack.standard(&Policy::default()).build());
}

fn grant(bencher: Bencher<'_, '_>, build: impl FnOnce(Stack) -> Layered) {
    let (Some(memory), Ok(id), Ok(entitlement)) = (memory(), "ada".parse(), "group/a".parse())
    else {
        return;
    };
    let provider = build(Stack::new(Arc::new(memory)));
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let key = IdempotencyKey::new(&Digest::of_bytes("bench", b"grant"));
    let op = Operation::Grant { entitlement };
    let change = Change { key, account: Some(id), op, expect: Expect::Any };
    bencher.bench_local(|| block_on(provider.apply(black_box(&cx), black_box(&change))));
}

#[divan::bench]
fn grant_without_layers(bencher: Bencher<'_, '_>) {
    grant(bencher, Stack::build);
}

/// Two more reads: before and after.
#[divan::bench]
fn grant_observed(bencher: Bencher<'_, '_>) {
    grant(bencher, |stack| stack.with(Observe).build());
}

#[divan::bench]
fn grant_standard(bencher: Bencher<'_, '_>) {
    grant(bencher, |stack| stack.standard(&Policy::default()).build());
}
