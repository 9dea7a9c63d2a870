//! The law of certainty: `Ok` means that the end state holds, and an error that says "no" means that
//! nothing changed; whatever goes wrong, through the standard stack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::executor::block_on;
use jml_connector_kit::layers::{Attempt, Retry, RetryPolicy};
use jml_connector_kit::{Policy, Stack};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Call, Change, Consistency, Cx, Effect, ErrorKind, Expect, Idempotency, IdempotencyKey,
    Layer, Next, Observation, Operation, Provider, Reply, Result, Slot, Verb, VerbSupport,
};
use jml_testkit::script::{Fault, Match, Rule};
use jml_testkit::{ManualClock, Memory, Script};
use proptest::prelude::*;

const WINDOW: u64 = 3_000;

fn target(idempotency: Idempotency, late: bool) -> Memory {
    let mut memory = Memory::new("target".parse().unwrap())
        .define("group/a".parse().unwrap())
        .define("group/b".parse().unwrap());
    for verb in Verb::ALL {
        memory = memory.with_verb(verb, VerbSupport::native().with_idempotency(idempotency));
    }
    if late {
        memory = memory.with_consistency(Consistency::Within { ms: WINDOW });
    }
    let mut ada = AccountState::new("ada".parse().unwrap(), "ada", AccountStatus::Active);
    ada.external_id = Some("E1".parse().unwrap());
    ada.holdings = ["group/a".parse().unwrap()].into();
    ada.credentials = CredentialClass::ALL.map(|class| (class, 2)).into();
    ada.mailbox = Some(jml_core::account::Mailbox::default());
    let ben = AccountState::new("ben".parse().unwrap(), "ben", AccountStatus::Disabled);
    memory.with_account(ada).with_account(ben)
}

fn operations() -> impl Strategy<Value = (Option<&'static str>, Operation)> {
    let of = prop_oneof![Just("ada"), Just("ada"), Just("ben"), Just("nobody")];
    let key = prop_oneof![Just("group/a"), Just("group/b"), Just("group/none")];
    let status = prop_oneof![Just(AccountStatus::Active), Just(AccountStatus::Disabled)];
    let name = prop_oneof![Just("eve"), Just("ada")];
    let op = prop_oneof![
        key.clone().prop_map(|key| Operation::Grant { entitlement: key.parse().unwrap() }),
        key.prop_map(|key| Operation::Revoke { entitlement: key.parse().unwrap() }),
        Just(Operation::Exchange {
            revoke: "group/a".parse().unwrap(),
            grant: "group/b".parse().unwrap()
        }),
        status.prop_map(|status| Operation::SetStatus { status }),
        Just(Operation::DeleteAccount),
        Just(Operation::RevokeCredentials { class: CredentialClass::Sessions }),
        name.prop_map(|name| Operation::CreateAccount {
            user_name: name.into(),
            external_id: format!("id-{name}").parse().unwrap(),
            status: AccountStatus::Active,
            attributes: Default::default(),
        }),
    ];
    (of, op).prop_map(|(of, op)| ((!op.makes_account()).then_some(of), op))
}

fn rules(late: bool) -> impl Strategy<Value = Vec<Rule>> {
    let kinds = prop_oneof![
        Just(ErrorKind::PermissionDenied),
        Just(ErrorKind::Unavailable),
        Just(ErrorKind::Conflict),
        Just(ErrorKind::Internal),
        Just(ErrorKind::AlreadyExists),
    ];
    let mut faults = vec![
        kinds.prop_map(Fault::Refuse).boxed(),
        (0_u64..5_000).prop_map(|ms| Fault::Throttle { ms }).boxed(),
        Just(Fault::LoseBefore).boxed(),
        Just(Fault::LoseAfter).boxed(),
        Just(Fault::LoseAfter).boxed(),
        Just(Fault::Duplicate).boxed(),
        Just(Fault::Cut).boxed(),
        (0_u64..90_000).prop_map(|ms| Fault::Slow { ms }).boxed(),
    ];
    if late {
        faults.push((1..WINDOW).prop_map(|ms| Fault::Lag { ms }).boxed());
    }
    let on = prop_oneof![
        Just(Match::changes()),
        Just(Match::changes()),
        Just(Match::reads()),
        Just(Match::any())
    ];
    let rule = (on, 0_u32..3, 1_u32..4, proptest::strategy::Union::new(faults));
    let rule = rule.prop_map(|(on, skip, times, fault)| Rule { on, skip, times, fault });
    proptest::collection::vec(rule, 0..5)
}

/// An account as far as an end state is about it.
fn without_version(state: &jml_testkit::State) -> Vec<AccountState> {
    let mut all: Vec<AccountState> = state.accounts.values().cloned().collect();
    all.iter_mut().for_each(|account| account.version = None);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn ok_means_done_and_no_means_nothing(
        changes in proptest::collection::vec(operations(), 1..4),
        (late, rules) in any::<bool>().prop_flat_map(|late| (Just(late), rules(late))),
        idempotency in prop_oneof![
            Just(Idempotency::Natural), Just(Idempotency::Keyed), Just(Idempotency::CheckFirst)
        ],
        observed in any::<bool>(),
        attempts in 1_u32..5,
        number in any::<u32>(),
    ) {
        let memory = Arc::new(target(idempotency, late));
        let clock = ManualClock::jumping(chrono::DateTime::UNIX_EPOCH);
        let mut script = Script::new().lenient();
        for rule in rules {
            script = script.rule(rule);
        }
        let retry = RetryPolicy { attempts, ..RetryPolicy::default() };
        let stack = Stack::new(memory.clone()).with(script.play());
        let provider = if observed {
            let call = TimeDelta::hours(2);
            stack.standard(&Policy { retry, call, ..Policy::default() }).build()
        } else {
            stack.with(Retry::new(retry)).with(Attempt(TimeDelta::seconds(30))).build()
        };
        for (place, (of, op)) in changes.into_iter().enumerate() {
            let seed = [number.to_be_bytes(), u32::try_from(place).unwrap().to_be_bytes()].concat();
            let key = IdempotencyKey::new(&Digest::of_bytes("law", &seed));
            let account: Option<AccountId> = of.map(|id| id.parse().unwrap());
            let change = Change { key, account, op, expect: Expect::Any };
            let before = without_version(&memory.state());
            let result = block_on(provider.apply(&Cx::new(Arc::new(clock.clone())), &change));
            let after = memory.state();
            match result {
                Ok(outcome) => {
                    let id = outcome.account.clone().or(change.account.clone());
                    let state = id.and_then(|id| after.accounts.get(&id).cloned());
                    let seen = state.map_or(Observation::Absent, Observation::present);
                    prop_assert!(change.op.satisfied_by(&seen), "Ok, and it is {:?}", seen);
                    prop_assert_ne!(outcome.effect, Effect::Accepted);
                    if outcome.effect == Effect::Unchanged {
                        prop_assert_eq!(&before, &without_version(&after), "unchanged");
                    }
                }
                Err(error) if error.applied() == Applied::No => {
                    prop_assert_eq!(before, without_version(&after), "{}", error);
                }
                Err(_) => {}
            }
            let made = after.accounts.values().filter(|it| it.user_name == "eve").count();
            prop_assert!(made <= 1, "two accounts");
        }
    }

    /// A target that makes an account for every creation that arrives, whatever its key and name.
    #[test]
    fn a_creation_that_is_not_idempotent_is_made_once(
        rules in rules(false),
        attempts in 1_u32..6,
    ) {
        let memory = Arc::new(target(Idempotency::CheckFirst, false));
        let mut script = Script::new().lenient();
        for rule in rules.into_iter().filter(|rule| rule.fault != Fault::Duplicate) {
            script = script.rule(rule);
        }
        let policy = Policy {
            retry: RetryPolicy { attempts, ..RetryPolicy::default() },
            call: TimeDelta::hours(2),
            ..Policy::default()
        };
        let stack = Stack::new(memory.clone()).with(script.play()).with(Doubles::default());
        let provider = stack.standard(&policy).build();
        let op = Operation::CreateAccount {
            user_name: "eve".into(),
            external_id: "id-eve".parse().unwrap(),
            status: AccountStatus::Active,
            attributes: Default::default(),
        };
        let key = IdempotencyKey::new(&Digest::of_bytes("law", b"eve"));
        let change = Change { key, account: None, op, expect: Expect::Any };
        let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
        let result = block_on(provider.apply(&cx, &change));
        let made = memory.state().accounts.len() - 2;
        prop_assert!(made <= 1, "{} accounts, {:?}", made, result);
        prop_assert!(result.is_err() || made == 1);
    }
}

/// Makes every creation another one.
#[derive(Default)]
struct Doubles(AtomicU32);

#[async_trait]
impl Layer for Doubles {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let mut call = call.clone();
        if let Call::Apply(change) = &mut call
            && let Operation::CreateAccount { user_name, .. } = &mut change.op
        {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            *user_name = format!("{user_name}-{number}").into();
            change.key = IdempotencyKey::new(&Digest::of_bytes("doubles", &number.to_be_bytes()));
        }
        next.run(cx, &call).await
    }
}

/// 20,000 unless `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// The faults of the law do happen, and its branches are all taken: a law that is never tried holds.
#[test]
fn a_lost_answer_is_recovered() {
    let memory = Arc::new(target(Idempotency::CheckFirst, false));
    let faults = Script::new().once(Match::changes(), Fault::LoseAfter).play();
    let provider =
        Stack::new(memory.clone()).with(faults.clone()).standard(&Policy::default()).build();
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let create = Operation::CreateAccount {
        user_name: "eve".into(),
        external_id: "id-eve".parse().unwrap(),
        status: AccountStatus::Active,
        attributes: Default::default(),
    };
    let key = IdempotencyKey::new(&Digest::of_bytes("law", b"eve"));
    let change = Change { key, account: None, op: create, expect: Expect::Any };
    let outcome = block_on(provider.apply(&cx, &change)).unwrap();
    assert!(outcome.recovered && outcome.effect == Effect::Changed, "{outcome:?}");
    assert!(outcome.account.is_some() && outcome.before == Observation::Absent);
    assert!(faults.all_fired());
    assert_eq!(memory.state().accounts.len(), 3);
}

/// A change that landed and was answered by nobody, and then refused, is not "nothing happened".
#[test]
fn a_later_refusal_does_not_undo_an_earlier_doubt() {
    let memory = Arc::new(target(Idempotency::Natural, false));
    let faults = Script::new()
        .once(Match::changes(), Fault::LoseAfter)
        .rule(Rule {
            on: Match::reads(),
            skip: 1,
            times: 9,
            fault: Fault::Refuse(ErrorKind::Internal),
        })
        .rule(Rule {
            on: Match::changes(),
            skip: 0,
            times: 9,
            fault: Fault::Refuse(ErrorKind::PermissionDenied),
        })
        .play();
    let provider = Stack::new(memory).with(faults).standard(&Policy::default()).build();
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let key = IdempotencyKey::new(&Digest::of_bytes("law", b"grant"));
    let op = Operation::Grant { entitlement: "group/b".parse().unwrap() };
    let change = Change { key, account: Some("ada".parse().unwrap()), op, expect: Expect::Any };
    let error = block_on(provider.apply(&cx, &change)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.applied(), Applied::Unknown);
}

/// A name that is taken by somebody else is never taken for ours, also after a lost answer.
#[test]
fn somebody_elses_account_is_not_adopted() {
    let memory = Arc::new(target(Idempotency::CheckFirst, false));
    let faults = Script::new().once(Match::changes(), Fault::LoseBefore).play();
    let provider = Stack::new(memory.clone()).with(faults).standard(&Policy::default()).build();
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    // `ben` belongs to nobody that the target knows of.
    let op = Operation::CreateAccount {
        user_name: "ben".into(),
        external_id: "id-another-ben".parse().unwrap(),
        status: AccountStatus::Active,
        attributes: Default::default(),
    };
    let key = IdempotencyKey::new(&Digest::of_bytes("law", b"ben"));
    let change = Change { key, account: None, op, expect: Expect::Any };
    let error = block_on(provider.apply(&cx, &change)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(memory.state().accounts.len(), 2);
}

/// What is read within the consistency window may be what was there before; it proves nothing.
#[test]
fn a_stale_read_is_not_taken_for_a_recovery() {
    let memory = Arc::new(target(Idempotency::Natural, true));
    let faults = Script::new()
        .once(Match::verb(Verb::Revoke), Fault::Lag { ms: WINDOW - 1 })
        .once(Match::verb(Verb::Grant), Fault::LoseBefore)
        .play();
    let stack = Stack::new(memory.clone()).with(faults);
    let provider = stack.with(Retry::new(RetryPolicy::default())).build();
    let cx = Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)));
    let entitlement = || "group/a".parse().unwrap();
    for (name, op) in [
        ("revoke", Operation::Revoke { entitlement: entitlement() }),
        ("grant", Operation::Grant { entitlement: entitlement() }),
    ] {
        let key = IdempotencyKey::new(&Digest::of_bytes("law", name.as_bytes()));
        let change = Change { key, account: Some("ada".parse().unwrap()), op, expect: Expect::Any };
        block_on(provider.apply(&cx, &change)).unwrap();
    }
    let ada = memory.state().accounts.remove(&"ada".parse().unwrap()).unwrap();
    assert!(ada.holdings.contains(&entitlement()), "a stale read was taken for the grant");
}
