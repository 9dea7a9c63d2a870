//! Each layer does what it says, and their order is nobody's to get wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use futures::future::join_all;
use jml_connector_kit::layers::{
    Attempt, Breaker, ChangeBudget, Concurrency, Deadline, Guard, Observe, Rate, ReadOnly, Retry,
    RetryPolicy,
};
use jml_connector_kit::{Overlay, Policy, Stack};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::clock::Clock as _;
use jml_core::digest::Digest;
use jml_core::provider::{
    Applied, Call, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, Layer, Limits,
    ListRequest, Next, Observation, Operation, Provider, Quota, RefusalReason, Reply, Result,
    RetryAdvice, Slot, Snapshot, Target, Verb, snapshot,
};
use jml_testkit::log::CallLog;
use jml_testkit::script::{Fault, Match, Rule};
use jml_testkit::{ManualClock, Memory, Script};

fn start() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

fn memory() -> Memory {
    let ada = AccountState::new("ada".parse().unwrap(), "ada", AccountStatus::Active);
    Memory::new("m".parse().unwrap())
        .define("group/a".parse().unwrap())
        .define("group/b".parse().unwrap())
        .with_account(ada)
}

fn change(op: Operation, key: &str) -> Change {
    let key = IdempotencyKey::new(&Digest::of_bytes("layers", key.as_bytes()));
    Change { key, account: Some("ada".parse().unwrap()), op, expect: Expect::Any }
}

fn grant(key: &str) -> Change {
    change(Operation::Grant { entitlement: key.parse().unwrap() }, key)
}

fn revoke(key: &str) -> Change {
    change(Operation::Revoke { entitlement: key.parse().unwrap() }, &format!("-{key}"))
}

fn jumping() -> (ManualClock, Cx) {
    let clock = ManualClock::jumping(start());
    (clock.clone(), Cx::new(Arc::new(clock)))
}

fn read() -> Target {
    Target::Account("ada".parse().unwrap())
}

#[test]
fn the_order_of_calls_does_not_matter() {
    let run = |turned: bool| {
        let faults = Script::new()
            .once(Match::changes(), Fault::LoseBefore)
            .once(Match::changes(), Fault::Throttle { ms: 700 })
            .play();
        let (log, attempts) = (CallLog::new(), CallLog::of_attempts());
        let target = Arc::new(memory());
        let mut stack = Stack::new(target.clone());
        let policy = RetryPolicy::default();
        if turned {
            stack = stack.with(faults).with(attempts.clone()).with(Attempt(TimeDelta::seconds(9)));
            stack = stack.with(Concurrency::new(1)).with(Retry::new(policy)).with(Observe);
            stack = stack.with(Guard).with(log.clone());
        } else {
            stack = stack.with(log.clone()).with(Guard).with(Observe).with(Retry::new(policy));
            stack = stack.with(Concurrency::new(1)).with(Attempt(TimeDelta::seconds(9)));
            stack = stack.with(attempts.clone()).with(faults);
        }
        let (clock, cx) = jumping();
        let outcome = block_on(stack.build().apply(&cx, &grant("group/a"))).unwrap();
        let state = target.state().accounts;
        (outcome, log.to_string(), attempts.to_string(), clock.now(), state)
    };
    assert_eq!(run(false), run(true));
    let (outcome, outer, inner, ..) = run(false);
    assert_eq!(outcome.attempts, 3);
    assert!(outcome.waited_ms >= 700);
    assert_eq!(outer.lines().count(), 1, "{outer}");
    assert_eq!(inner.matches("apply ada").count(), 3, "{inner}");
}

#[test]
fn guard_refuses_before_the_wire_and_holds_to_what_is_declared() {
    let log = CallLog::of_attempts();
    let target = Arc::new(memory().without(&[Verb::Revoke]));
    let provider = Stack::new(target).with(Guard).with(log.clone()).build();
    let (_, cx) = jumping();
    let error = block_on(provider.apply(&cx, &revoke("group/a"))).unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No));
    log.no_mutations();
    let mut nobody = grant("group/a");
    nobody.account = None;
    let error = block_on(provider.apply(&cx, &nobody)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    log.no_mutations();

    let faults = Script::new().once(Match::changes(), Fault::Refuse(ErrorKind::Unsupported)).play();
    let provider = Stack::new(Arc::new(memory())).with(Guard).with(faults).build();
    let error = block_on(provider.apply(&cx, &grant("group/a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContractViolation);
}

#[test]
fn read_only_and_budget() {
    let (_, cx) = jumping();
    let target = Arc::new(memory());
    let provider = Stack::new(target.clone()).with(ReadOnly).build();
    let before = target.state();
    let error = block_on(provider.apply(&cx, &grant("group/a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::ReadOnly));
    assert_eq!(target.state(), before);
    assert!(block_on(provider.read(&cx, &read())).unwrap().account().is_some());
    assert_eq!(block_on(provider.preview(&cx, &grant("group/a"))).unwrap().effect, Effect::Changed);

    let provider = Stack::new(target).with(ChangeBudget::new(2)).build();
    for key in ["group/a", "group/b"] {
        block_on(provider.apply(&cx, &revoke(key))).unwrap();
    }
    let disable = Operation::SetStatus { status: AccountStatus::Disabled };
    let error = block_on(provider.apply(&cx, &change(disable, "disable"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Budget));
    block_on(provider.apply(&cx, &grant("group/a"))).expect("what gives is not counted");
}

#[test]
fn observe_tells_what_changed_and_what_only_said_so() {
    /// A target that says "accepted", whatever happens, and does nothing at all if told so.
    struct Mumbles(bool);
    #[async_trait]
    impl Layer for Mumbles {
        fn slot(&self) -> Slot {
            Slot::Fault
        }
        async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
            if call.mutates() && self.0 {
                return Ok(jml_core::provider::Outcome::accepted().into());
            }
            match next.run(cx, call).await? {
                Reply::Outcome(_) => Ok(jml_core::provider::Outcome::accepted().into()),
                other => Ok(other),
            }
        }
    }
    let (_, cx) = jumping();
    let provider = Stack::new(Arc::new(memory())).with(Observe).with(Mumbles(false)).build();
    let first = block_on(provider.apply(&cx, &grant("group/a"))).unwrap();
    assert_eq!(first.effect, Effect::Changed);
    let held = |seen: &Observation| seen.account().map(|it| it.holdings.len());
    assert_eq!((held(&first.before), held(&first.after)), (Some(0), Some(1)));
    let second = block_on(provider.apply(&cx, &grant("group/a"))).unwrap();
    assert_eq!(second.effect, Effect::Unchanged);

    let provider = Stack::new(Arc::new(memory())).with(Observe).with(Mumbles(true)).build();
    let error = block_on(provider.apply(&cx, &grant("group/a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContractViolation);
    assert_eq!(error.applied(), Applied::Unknown);

    // A read-back that fails is a warning, and never an error.
    let faults = Script::new()
        .rule(Rule { on: Match::reads(), skip: 1, times: 1, fault: Fault::Cut })
        .play();
    let provider = Stack::new(Arc::new(memory())).with(Observe).with(faults).build();
    let outcome = block_on(provider.apply(&cx, &grant("group/a"))).unwrap();
    assert_eq!(outcome.after, Observation::NotObserved);
    assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
}

#[test]
fn retry_waits_as_told_and_no_longer_than_it_may() {
    let throttled = |ms| {
        Script::new().rule(Rule {
            on: Match::pages(),
            skip: 0,
            times: 1,
            fault: Fault::Throttle { ms },
        })
    };
    let run = |ms: u64, deadline: Option<i64>| {
        let (clock, mut cx) = jumping();
        if let Some(seconds) = deadline {
            cx = cx.with_deadline(start() + TimeDelta::seconds(seconds));
        }
        let faults = throttled(ms).play();
        let retry = Retry::new(RetryPolicy::default());
        let provider = Stack::new(Arc::new(memory())).with(retry).with(faults).build();
        let result = block_on(provider.list(&cx, &ListRequest::accounts()));
        (result.map(|page| page.rows().len()), (clock.now() - start()).num_milliseconds())
    };
    assert_eq!(run(61_000, None).1, 61_000);
    assert!(run(61_000, None).0.is_ok());
    let (late, waited) = run(61_000, Some(60));
    assert_eq!((late.unwrap_err().kind(), waited), (ErrorKind::RateLimited, 0));
    let (long, waited) = run(3_600_000, None);
    assert_eq!(long.unwrap_err().retry(), RetryAdvice::After { ms: 3_600_000 });
    assert_eq!(waited, 0, "an hour is the caller's to wait");
}

#[test]
fn retry_ends_and_its_budget_too() {
    let dead = || {
        let fault = Fault::Refuse(ErrorKind::Unavailable);
        Script::new().rule(Rule { on: Match::pages(), skip: 0, times: 1_000, fault }).play()
    };
    let (_, cx) = jumping();
    let attempts = CallLog::of_attempts();
    let retry = Retry::new(RetryPolicy { attempts: 4, budget: 100, ..RetryPolicy::default() });
    let stack = Stack::new(Arc::new(memory())).with(retry).with(attempts.clone()).with(dead());
    let error = block_on(stack.build().list(&cx, &ListRequest::accounts())).unwrap_err();
    assert_eq!(error.context("attempts"), Some("4"));
    assert_eq!(attempts.lines().len(), 4);

    // Twenty calls to a target that is down cost five further attempts, and not sixty.
    let attempts = CallLog::of_attempts();
    let retry = Retry::new(RetryPolicy { attempts: 4, budget: 5, ..RetryPolicy::default() });
    let stack = Stack::new(Arc::new(memory())).with(retry).with(attempts.clone()).with(dead());
    let provider = stack.build();
    for _ in 0..20 {
        block_on(provider.list(&cx, &ListRequest::accounts())).unwrap_err();
    }
    assert_eq!(attempts.lines().len(), 25);
}

#[test]
fn errors_that_do_not_pass_are_not_tried_again() {
    for kind in ErrorKind::ALL {
        let passes = matches!(
            kind,
            ErrorKind::Transport
                | ErrorKind::Timeout
                | ErrorKind::Unavailable
                | ErrorKind::RateLimited
        );
        let faults = Script::new().once(Match::changes(), Fault::Refuse(kind)).play();
        let attempts = CallLog::of_attempts();
        let stack = Stack::new(Arc::new(memory())).with(Retry::new(RetryPolicy::default()));
        let provider = stack.with(attempts.clone()).with(faults).build();
        let (_, cx) = jumping();
        let result = block_on(provider.apply(&cx, &grant("group/a")));
        assert_eq!(result.is_ok(), passes, "{kind:?}");
        assert_eq!(attempts.mutations().len(), if passes { 2 } else { 1 }, "{kind:?}");
    }
}

#[test]
fn for_the_engine_changes_are_sent_once_and_reads_again() {
    let fault = || Fault::Refuse(ErrorKind::Unavailable);
    let faults = Script::new().once(Match::changes(), fault()).once(Match::reads(), fault()).play();
    let provider =
        Stack::new(Arc::new(memory())).with(faults).for_engine(&Policy::default()).build();
    let (_, cx) = jumping();
    assert!(block_on(provider.apply(&cx, &grant("group/a"))).is_err());
    assert!(block_on(provider.read(&cx, &read())).is_ok());
}

#[test]
fn limits_of_time() {
    let hang = || Script::new().once(Match::any(), Fault::Hang).play();
    for (on_attempt, mutates) in [(true, true), (true, false), (false, true)] {
        let clock = ManualClock::new(start());
        let cx = Cx::new(Arc::new(clock.clone()));
        let stack = Stack::new(Arc::new(memory())).with(hang());
        let provider = if on_attempt {
            stack.with(Attempt(TimeDelta::seconds(30))).build()
        } else {
            stack.with(Deadline(TimeDelta::seconds(30))).build()
        };
        let call = async {
            if mutates {
                provider.apply(&cx, &grant("group/a")).await.map(drop)
            } else {
                provider.read(&cx, &read()).await.map(drop)
            }
        };
        let time = async { clock.advance(TimeDelta::seconds(31)) };
        let (result, ()) = block_on(futures::future::join(call, time));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let expected = if mutates { Applied::Unknown } else { Applied::No };
        assert_eq!(error.applied(), expected);
    }
}

#[test]
fn a_breaker_leaves_a_dead_target_alone() {
    let fault = Fault::Refuse(ErrorKind::Unavailable);
    let faults = Script::new().rule(Rule { on: Match::reads(), skip: 0, times: 4, fault }).play();
    let asked = CallLog::of_attempts();
    let stack = Stack::new(Arc::new(memory())).with(Breaker::new(3, TimeDelta::seconds(30)));
    let provider = stack.with(asked.clone()).with(faults).build();
    let clock = ManualClock::new(start());
    let cx = Cx::new(Arc::new(clock.clone()));
    let ask = || block_on(provider.read(&cx, &read()));
    for _ in 0..3 {
        assert_eq!(ask().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let error = ask().unwrap_err();
    assert_eq!(asked.lines().len(), 3, "the fourth is not asked");
    assert_eq!((error.applied(), error.retry()), (Applied::No, RetryAdvice::After { ms: 30_000 }));
    clock.advance(TimeDelta::seconds(31));
    ask().unwrap_err();
    ask().unwrap_err();
    assert_eq!(asked.lines().len(), 4, "one is let through, and it fails");
    clock.advance(TimeDelta::seconds(31));
    ask().unwrap();
    ask().unwrap();
    assert_eq!(asked.lines().len(), 6);
}

#[test]
fn a_rate_is_kept_and_a_throttle_is_everybodys() {
    let limits = Limits::new(4, 100).with_rate(10, 2);
    let provider = Stack::new(Arc::new(memory())).with(Rate::new(&limits)).build();
    let (clock, cx) = jumping();
    for _ in 0..12 {
        block_on(provider.read(&cx, &read())).unwrap();
    }
    // Two at once, then one every tenth of a second.
    assert_eq!((clock.now() - start()).num_milliseconds(), 1_000);

    let faults = Script::new().once(Match::reads(), Fault::Throttle { ms: 5_000 }).play();
    let stack = Stack::new(Arc::new(memory())).with(Rate::new(&Limits::new(4, 100)));
    let provider = stack.with(faults).build();
    let (clock, cx) = jumping();
    block_on(provider.read(&cx, &read())).unwrap_err();
    assert_eq!(clock.now(), start());
    block_on(provider.list(&cx, &ListRequest::accounts())).unwrap();
    assert_eq!((clock.now() - start()).num_milliseconds(), 5_000, "a sibling waits too");
    let strict = cx.with_deadline(clock.now() + TimeDelta::seconds(1));
    block_on(provider.read(&strict, &read())).unwrap();
}

#[test]
fn a_quota_that_is_used_up_is_waited_for_before_the_throttle() {
    /// A target that says after each call how many are left.
    struct Counts(Mutex<u32>);
    #[async_trait]
    impl Layer for Counts {
        fn slot(&self) -> Slot {
            Slot::Fault
        }
        async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
            let remaining = {
                let mut left = self.0.lock().unwrap();
                *left = left.saturating_sub(1);
                *left
            };
            let reset = start() + TimeDelta::seconds(60);
            cx.report_quota(Quota { bucket: "default".into(), remaining, reset });
            next.run(cx, call).await
        }
    }
    let stack = Stack::new(Arc::new(memory())).with(Rate::new(&Limits::new(4, 100)));
    let provider = stack.with(Counts(Mutex::new(2))).build();
    let (clock, cx) = jumping();
    block_on(provider.read(&cx, &read())).unwrap();
    block_on(provider.read(&cx, &read())).unwrap();
    assert_eq!(clock.now(), start());
    block_on(provider.read(&cx, &read())).unwrap();
    assert_eq!((clock.now() - start()).num_seconds(), 60);
}

#[test]
fn no_more_calls_at_once_than_allowed_and_none_held_while_waiting() {
    /// Counts how many calls are within.
    #[derive(Default)]
    struct Within(Mutex<(usize, usize)>);
    #[async_trait]
    impl Layer for Arced {
        fn slot(&self) -> Slot {
            Slot::Fault
        }
        async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
            {
                let mut within = self.0.0.lock().unwrap();
                within.0 += 1;
                within.1 = within.1.max(within.0);
            }
            futures_yield().await;
            let reply = next.run(cx, call).await;
            self.0.0.lock().unwrap().0 -= 1;
            reply
        }
    }
    struct Arced(Arc<Within>);
    let within = Arc::new(Within::default());
    let faults = Script::new().once(Match::reads(), Fault::Throttle { ms: 1_000 }).play();
    let stack =
        Stack::new(Arc::new(memory())).with(Concurrency::new(3)).with(Arced(within.clone()));
    let stack = stack.with(faults).with(Retry::new(RetryPolicy::default()));
    let provider = stack.build();
    let (_, cx) = jumping();
    let target = read();
    let calls = (0..20).map(|_| provider.read(&cx, &target));
    for seen in block_on(join_all(calls)) {
        seen.unwrap();
    }
    assert_eq!(within.0.lock().unwrap().1, 3);
}

async fn futures_yield() {
    let mut done = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut done, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn an_overlay_shows_what_would_be_and_writes_nothing() {
    let target = Arc::new(memory());
    let before = target.state();
    let overlay = Overlay::new(target.clone());
    let (_, cx) = jumping();
    block_on(overlay.apply(&cx, &grant("group/a"))).unwrap();
    let op = Operation::CreateAccount {
        user_name: "eve".into(),
        external_id: "E2".parse().unwrap(),
        status: AccountStatus::Staged,
        attributes: Default::default(),
    };
    let mut create = change(op, "eve");
    create.account = None;
    let made = block_on(overlay.apply(&cx, &create)).unwrap().account.unwrap();
    assert_eq!(block_on(overlay.apply(&cx, &create)).unwrap().effect, Effect::Unchanged);
    let Snapshot::Complete(all) = block_on(snapshot(&overlay, &cx)).unwrap() else { panic!() };
    assert_eq!(all.accounts().len(), 2);
    let ada = all.accounts().get(&"ada".parse().unwrap()).unwrap();
    assert!(ada.holdings.contains(&"group/a".parse().unwrap()));
    let gone = Change { account: Some(made), ..change(Operation::DeleteAccount, "gone") };
    block_on(overlay.apply(&cx, &gone)).unwrap();
    let Snapshot::Complete(all) = block_on(snapshot(&overlay, &cx)).unwrap() else { panic!() };
    assert_eq!(all.accounts().len(), 1);
    assert_eq!(target.state(), before, "nothing was written");
}

#[test]
fn an_error_keeps_its_first_context() {
    let error = Error::new(ErrorKind::Unavailable, "down").with_context("status", 503);
    let error = error.with_context("status", 200).retry_after(Duration::from_secs(1));
    assert_eq!(error.to_string(), "unavailable: down (status 503)");
    assert_eq!(Error::from(error.record()).to_string(), error.to_string());
}
