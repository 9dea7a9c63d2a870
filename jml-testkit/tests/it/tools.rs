//! Scripts, logs, journals, strategies.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::executor::block_on;
use jml_core::account::{AccountState, AccountStatus};
use jml_core::digest::Digest;
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{
    Applied, Change, Cx, ErrorKind, Expect, IdempotencyKey, Layered, ListRequest, Operation,
    Provider, Target, Verb, snapshot,
};
use jml_testkit::log::{CallLog, any, grant, revoke};
use jml_testkit::script::{Fault, Match, Rule};
use jml_testkit::strategies::{changes, histories, policies, scripts, worlds};
use jml_testkit::{ManualClock, Memory, Script};
use proptest::prelude::*;

fn cx() -> Cx {
    Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)))
}

fn memory() -> Arc<Memory> {
    let account = |id: &str| AccountState::new(id.parse().unwrap(), id, AccountStatus::Active);
    let memory = Memory::new("m".parse().unwrap())
        .define("group/a".parse().unwrap())
        .define("group/b".parse().unwrap());
    Arc::new(["a1", "a2", "a3", "a4"].into_iter().fold(memory, |m, id| m.with_account(account(id))))
}

fn change(account: &str, op: Operation) -> Change {
    let key = IdempotencyKey::new(&Digest::of_bytes("tools", format!("{account}{op}").as_bytes()));
    Change { key, account: Some(account.parse().unwrap()), op, expect: Expect::Any }
}

fn give(account: &str, key: &str) -> Change {
    change(account, Operation::Grant { entitlement: key.parse().unwrap() })
}

fn take(account: &str, key: &str) -> Change {
    change(account, Operation::Revoke { entitlement: key.parse().unwrap() })
}

fn read(account: &str) -> Target {
    Target::Account(account.parse().unwrap())
}

#[test]
fn a_script_that_never_fires_fails_the_test() {
    let idle = catch_unwind(|| drop(Script::new().once(Match::changes(), Fault::Cut).play()));
    let text = idle.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("never happened") && text.contains("Cut"), "{text}");
    drop(Script::new().lenient().once(Match::changes(), Fault::Cut).play());
}

#[test]
fn each_fault_does_what_it_says() {
    let run = |fault: Fault, change: &Change| {
        let target = memory();
        let faults = Script::new().once(Match::changes(), fault).play();
        let provider = Layered::new(target.clone(), vec![Arc::new(faults)]);
        let result = block_on(provider.apply(&cx(), change));
        let effects = target.with_state(|state| state.effects.values().sum::<u32>());
        (result.map(|it| it.effect).map_err(|e| (e.kind(), e.applied())), effects)
    };
    let grant = give("a1", "group/a");
    let lost = (ErrorKind::Transport, Applied::Unknown);
    assert_eq!(run(Fault::LoseBefore, &grant), (Err(lost), 0));
    assert_eq!(run(Fault::LoseAfter, &grant), (Err(lost), 1));
    assert_eq!(run(Fault::Cut, &grant), (Err((ErrorKind::Transport, Applied::No)), 0));
    let refused = (ErrorKind::Unavailable, Applied::No);
    assert_eq!(run(Fault::Refuse(ErrorKind::Unavailable), &grant), (Err(refused), 0));
    let slow = (ErrorKind::RateLimited, Applied::No);
    assert_eq!(run(Fault::Throttle { ms: 5 }, &grant), (Err(slow), 0));
    assert_eq!(run(Fault::Duplicate, &grant).1, 1, "the second one finds it done");
    assert_eq!(run(Fault::Slow { ms: 5 }, &grant).1, 1);
}

#[test]
fn pages_that_lie_and_reads_that_are_late() {
    let target = memory();
    let listing = |fault: Fault, skip| {
        let rule = Rule { on: Match::pages(), skip, times: 1, fault };
        let faults = Script::new().rule(rule).play();
        Layered::new(target.clone(), vec![Arc::new(faults)])
    };
    let half = block_on(listing(Fault::HalfPage, 0).list(&cx(), &ListRequest::accounts())).unwrap();
    assert_eq!((half.rows().len(), half.next()), (2, None));
    let request = ListRequest { page_size: Some(1), ..ListRequest::accounts() };
    let repeating = listing(Fault::RepeatCursor, 1);
    let first = block_on(repeating.list(&cx(), &request)).unwrap();
    let second = ListRequest { cursor: first.next().cloned(), ..request };
    let page = block_on(repeating.list(&cx(), &second)).unwrap();
    assert_eq!(page.next(), second.cursor.as_ref());
    // Whoever lists by it does not go round for ever.
    let repeating = Layered::new(
        Arc::new(SmallPages(target.clone())),
        vec![Arc::new(
            Script::new()
                .rule(Rule { on: Match::pages(), skip: 1, times: 9, fault: Fault::RepeatCursor })
                .play(),
        )],
    );
    let error = block_on(snapshot(&repeating, &cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContractViolation);

    let clock = ManualClock::new(chrono::DateTime::UNIX_EPOCH);
    let cx = Cx::new(Arc::new(clock.clone()));
    let faults = Script::new().once(Match::changes(), Fault::Lag { ms: 2_000 }).play();
    let provider = Layered::new(target, vec![Arc::new(faults)]);
    block_on(provider.apply(&cx, &give("a1", "group/a"))).unwrap();
    let held = || {
        let seen = block_on(provider.read(&cx, &read("a1"))).unwrap();
        seen.account().unwrap().holdings.len()
    };
    assert_eq!(held(), 0, "not yet");
    clock.advance(chrono::TimeDelta::milliseconds(2_000));
    assert_eq!(held(), 1);
}

/// Pages of one row.
struct SmallPages(Arc<Memory>);

#[async_trait::async_trait]
impl Provider for SmallPages {
    fn descriptor(&self) -> &jml_core::provider::Descriptor {
        self.0.descriptor()
    }
    async fn list(
        &self,
        cx: &Cx,
        request: &ListRequest,
    ) -> jml_core::provider::Result<jml_core::provider::Page> {
        self.0.list(cx, &ListRequest { page_size: Some(1), ..request.clone() }).await
    }
    async fn apply(
        &self,
        cx: &Cx,
        change: &Change,
    ) -> jml_core::provider::Result<jml_core::provider::Outcome> {
        self.0.apply(cx, change).await
    }
}

#[test]
fn a_script_is_data() {
    let script = Script::new()
        .once(Match::verb(Verb::Grant).of("a1".parse().unwrap()), Fault::LoseAfter)
        .rule(Rule { on: Match::pages(), skip: 2, times: 3, fault: Fault::Throttle { ms: 9 } })
        .lenient();
    let text = serde_json::to_string(&script).unwrap();
    assert_eq!(serde_json::from_str::<Script>(&text).unwrap(), script, "{text}");
    let newer = serde_json::from_str::<Script>(&text.replace("\"format\":1", "\"format\":2"));
    assert!(newer.unwrap_err().to_string().contains("format 2 is unknown"));
    // Matched by what a call is, and not by its place.
    let target = memory();
    let provider = Layered::new(target, vec![Arc::new(script.play())]);
    block_on(provider.apply(&cx(), &give("a2", "group/a"))).unwrap();
    block_on(provider.apply(&cx(), &take("a1", "group/a"))).unwrap();
    block_on(provider.apply(&cx(), &give("a1", "group/a"))).unwrap_err();
    block_on(provider.apply(&cx(), &give("a1", "group/b"))).unwrap();
}

#[test]
fn the_call_log_knows_the_order() {
    let log = CallLog::new();
    let provider = Layered::new(memory(), vec![Arc::new(log.clone())]);
    block_on(provider.read(&cx(), &read("a1"))).unwrap();
    log.no_mutations();
    block_on(provider.apply(&cx(), &take("a1", "group/a"))).unwrap();
    block_on(provider.apply(&cx(), &give("a1", "group/b"))).unwrap();
    block_on(provider.apply(&cx(), &give("nobody", "group/b"))).unwrap_err();
    let (a, b) = (|| "group/a".parse().unwrap(), || "group/b".parse().unwrap());
    log.assert_order(&revoke(a()).before(grant(b())));
    log.assert_order(&any(Verb::Revoke).before(any(Verb::Grant).of("nobody".parse().unwrap())));
    let broken = |order| catch_unwind(AssertUnwindSafe(|| log.assert_order(&order))).is_err();
    assert!(broken(grant(b()).before(revoke(a()))));
    assert!(broken(revoke(b()).before(grant(b()))), "what was never called is in no order");
    assert!(catch_unwind(AssertUnwindSafe(|| log.no_mutations())).is_err());
    assert_eq!(
        log.to_string(),
        "read\n\
         apply a1: revoke `group/a` => Unchanged\n\
         apply a1: grant `group/b` => Changed\n\
         apply nobody: grant `group/b` => not found: `nobody` does not exist (No)\n"
    );
}

proptest! {
    /// The reference model agrees with the pure end state of each operation.
    #[test]
    fn memory_does_what_an_operation_says(
        (world, changes) in worlds(4, 4).prop_flat_map(|world| {
            let changes = changes(&world, 12);
            (Just(world), changes)
        })
    ) {
        let memory = world.memory("m".parse().unwrap());
        for change in changes {
            let target = change.target().unwrap();
            let before = block_on(memory.read(&cx(), &target)).unwrap();
            let said = change.op.outcome_on(&before);
            match block_on(memory.apply(&cx(), &change)) {
                Ok(outcome) => {
                    let target = outcome.account.map_or(target, Target::Account);
                    let after = block_on(memory.read(&cx(), &target)).unwrap();
                    prop_assert!(change.op.satisfied_by(&after), "{:?}: {:?}", change.op, after);
                    let (effect, expected) = said.unwrap();
                    prop_assert_eq!(effect, outcome.effect);
                    if let (Some(expected), Some(after)) = (expected.account(), after.account()) {
                        let (mut expected, mut after) = (expected.clone(), after.clone());
                        expected.version = None;
                        after.version = None;
                        prop_assert_eq!(expected, after);
                    }
                }
                Err(error) => prop_assert_eq!(error.applied(), Applied::No),
            }
        }
    }

    /// Behind any script, the memory is never in a state that no operation leads to: what is held exists.
    #[test]
    fn no_script_makes_nonsense(
        (world, changes) in worlds(3, 3).prop_flat_map(|world| {
            let changes = changes(&world, 8);
            (Just(world), changes)
        }),
        script in scripts(5),
    ) {
        let memory = Arc::new(world.memory("m".parse().unwrap()));
        let faulty = Layered::new(memory.clone(), vec![Arc::new(script.play())]);
        for change in changes {
            let _ = block_on(faulty.apply(&cx(), &change));
        }
        let state = memory.state();
        for account in state.accounts.values() {
            prop_assert!(account.holdings.iter().all(|key| state.catalogue.contains_key(key)));
        }
    }

    #[test]
    fn every_made_up_policy_is_one(text in policies(5)) {
        let policy = parse_yaml("policy.yaml", &text);
        prop_assert!(policy.is_ok(), "{:?}\n{}", policy.err().map(|e| e.to_string()), text);
    }

    #[test]
    fn histories_are_in_order(history in histories(5, 30)) {
        prop_assert!(history.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
