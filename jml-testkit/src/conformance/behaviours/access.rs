//! Grants, revokes and exchanges.

use jml_core::account::AccountStatus;
use jml_core::provider::{
    Applied, Effect, ErrorKind, Operation, RefusalReason, RetryAdvice, SideEffect, Verb,
};

use super::behaviours;
use crate::conformance::bench::{Stop, ensure, fail, grant, revoke, status};

fn exchange(
    from: &jml_core::entitlement::EntitlementKey,
    to: &jml_core::entitlement::EntitlementKey,
) -> Operation {
    Operation::Exchange { revoke: from.clone(), grant: to.clone() }
}

behaviours! {
    /// The whole point.
    g1 grant_takes_effect BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        ensure!(bench.holds(&account).await?.contains(&key), "it is not held");
        ensure!(bench.sees(&account).await?.holdings.contains(&key), "it does not show");
    }
    /// After a crash every step may be sent again. What fails the second time stops the run.
    g2 grant_is_idempotent BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        let before = bench.truth(&account).await?;
        for time in 2..=10 {
            let effect = bench.does(&account, grant(&key)).await?.effect;
            ensure!(effect != Effect::Changed, "time {time} says that it changed something");
        }
        ensure!(bench.truth(&account).await? == before, "something has changed");
    }
    /// Access for the wrong person is the accident that ends careers.
    g3 grant_touches_only_its_target BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let accounts = bench.some(3).await?;
        let keys = bench.keys(3).await?;
        let (Some(account), Some(key)) = (accounts.get(1), keys.get(1)) else {
            return fail("no account");
        };
        let mut expected = bench.whole_truth().await?;
        bench.does(account, grant(key)).await?;
        let mut found = bench.whole_truth().await?;
        for state in expected.values_mut().chain(found.values_mut()) {
            state.version = None;
        }
        if let Some(state) = expected.get_mut(account) {
            state.holdings.insert(key.clone());
        }
        ensure!(found == expected, "something else has changed");
    }
    /// A revoke that is answered and not done is access that stays, with evidence that it went.
    g4 revoke_takes_effect BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        bench.does(&account, revoke(&key)).await?;
        ensure!(!bench.holds(&account).await?.contains(&key), "it is still held");
        ensure!(!bench.sees(&account).await?.holdings.contains(&key), "it still shows");
    }
    /// The end state is there. An error would alarm somebody at night for nothing.
    g5 revoke_of_what_is_not_held_succeeds BlackBox |bench| {
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let effect = bench.does(&account, revoke(&key)).await?.effect;
        ensure!(effect != Effect::Changed, "it says that it changed something");
    }
    /// Somebody deleted the account first. Widely used connectors fail here, and the leaver run with them.
    g6 revoke_after_the_account_is_gone_succeeds OutOfBand |bench| {
        bench.needs(Verb::Revoke)?;
        let backdoor = bench.backdoor()?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        backdoor.remove(&account).await;
        bench.settle().await;
        let effect = bench.does(&account, revoke(&key)).await?.effect;
        ensure!(effect != Effect::Changed, "it says that it changed something");
    }
    /// A mover who comes back must get access back; a cache of "already done" keeps it away.
    g7 access_can_come_back BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        for _ in 0..2 {
            bench.does(&account, grant(&key)).await?;
            ensure!(bench.holds(&account).await?.contains(&key), "it is not held");
            bench.does(&account, revoke(&key)).await?;
            ensure!(!bench.holds(&account).await?.contains(&key), "it is still held");
        }
    }
    /// A grant of nothing that succeeds is evidence of access that does not exist.
    g8 grant_of_what_does_not_exist_is_not_found BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.no_key().await?);
        match bench.apply(&account, grant(&key)).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::NotFound, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
                ensure!(error.retry() == RetryAdvice::Never, "it would be tried again");
            }
        }
    }
    /// The planner makes a new plan for an account that is gone; for an internal error it cannot.
    g9 grant_to_nobody_is_not_found BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.some(1).await?;
        let key = bench.a_key().await?;
        match bench.apply(&bench.nobody()?, grant(&key)).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::NotFound, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
    }
    /// Pre-hires get access before they can sign in, if the target lets them. Plans are made by what it
    /// says of itself.
    g10 grant_to_a_disabled_account_is_as_declared BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::SetStatus)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        let declared = bench.descriptor().disabled_accepts_grants;
        let result = bench.apply(&account, grant(&key)).await;
        ensure!(result.is_ok() == declared, "declared {declared}, and then {result:?}");
        ensure!(bench.holds(&account).await?.contains(&key) == declared, "it does otherwise");
    }
    /// What the target decides by itself must not be promised to anybody.
    g11 what_the_target_decides_is_refused BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let Some(key) = bench.world.immutable.clone() else {
            return Err(Stop::NotApplicable("the target decides nothing by itself".into()));
        };
        let account = bench.one().await?;
        for op in [grant(&key), revoke(&key)] {
            match bench.apply(&account, op.clone()).await {
                Ok(outcome) => return fail(format!("`{op}`: {:?}", outcome.effect)),
                Err(error) => {
                    let kind = ErrorKind::Refused(RefusalReason::Immutable);
                    ensure!(error.kind() == kind, "`{op}`: {error}");
                    ensure!(error.applied() == Applied::No, "it leaves doubt");
                }
            }
        }
    }
    /// A grant that takes something away has to say so, or the evidence lacks a revoke.
    g12 a_replacement_is_reported BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let Some((one, other)) = bench.world.one_of_kind.clone() else {
            return Err(Stop::NotApplicable("every kind can be held many times".into()));
        };
        let account = bench.one().await?;
        bench.does(&account, grant(&one)).await?;
        let outcome = bench.does(&account, grant(&other)).await?;
        let held = bench.holds(&account).await?;
        ensure!(held.contains(&other) && !held.contains(&one), "it holds {held:?}");
        ensure!(outcome.side_effects.contains(&SideEffect::Replaced(one)), "and does not say so");
    }
    /// The group was deleted. Nobody is in it any more.
    g13 revoke_of_what_does_not_exist_succeeds BlackBox |bench| {
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.no_key().await?);
        let effect = bench.does(&account, revoke(&key)).await?.effect;
        ensure!(effect != Effect::Changed, "it says that it changed something");
    }
    /// A group without an owner cannot be managed by anybody any more.
    g14 the_last_owner_stays BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let Some(key) = bench.world.guarded.clone() else {
            return Err(Stop::NotApplicable("nothing needs an owner".into()));
        };
        let account = bench.one().await?;
        bench.does(&account, grant(&key)).await?;
        match bench.apply(&account, revoke(&key)).await {
            Ok(_) => return fail("nobody is left"),
            Err(error) => {
                let kind = ErrorKind::Refused(RefusalReason::LastOwner);
                ensure!(error.kind() == kind, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        ensure!(bench.holds(&account).await?.contains(&key), "nobody is left");
    }
    /// Seats are bought by a person. Trying again does not make one.
    g15 no_seat_is_exhausted BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let Some(key) = bench.world.scarce.clone() else {
            return Err(Stop::NotApplicable("nothing has counted seats".into()));
        };
        let accounts = bench.some(2).await?;
        let [first, second] = accounts.as_slice() else { return fail("no accounts") };
        bench.does(first, grant(&key)).await?;
        match bench.apply(second, grant(&key)).await {
            Ok(_) => return fail("there was one seat, and two have it"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::Exhausted, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        ensure!(!bench.holds(second).await?.contains(&key), "it is held");
        bench.does(first, grant(&key)).await?;
    }
    /// Between two licences, a mailbox without any loses its data on some targets.
    g16 exchange_swaps BlackBox |bench| {
        bench.needs(Verb::Exchange)?;
        bench.needs(Verb::Grant)?;
        let account = bench.one().await?;
        let keys = bench.keys(2).await?;
        let [one, other] = keys.as_slice() else { return fail("no entitlements") };
        bench.does(&account, grant(one)).await?;
        bench.does(&account, exchange(one, other)).await?;
        let held = bench.holds(&account).await?;
        ensure!(held.contains(other) && !held.contains(one), "it holds {held:?}");
        let effect = bench.does(&account, exchange(one, other)).await?.effect;
        ensure!(effect != Effect::Changed, "the second time says that it changed something");
    }
    /// An exchange whose second half fails must not leave somebody with nothing.
    g17 a_failed_exchange_leaves_the_old_one BlackBox |bench| {
        bench.needs(Verb::Exchange)?;
        bench.needs(Verb::Grant)?;
        let account = bench.one().await?;
        let (key, missing) = (bench.a_key().await?, bench.no_key().await?);
        bench.does(&account, grant(&key)).await?;
        match bench.apply(&account, exchange(&key, &missing)).await {
            Ok(_) => return fail("an exchange for nothing"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::NotFound, "{error}");
                let kept = bench.holds(&account).await?.contains(&key);
                ensure!(kept || error.applied() != Applied::No, "nothing was done, and it is gone");
                ensure!(kept, "the old one is gone");
            }
        }
    }
    /// Taking one thing from one person is not taking it from all, nor all from one.
    g18 revoke_touches_only_its_target BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let accounts = bench.some(2).await?;
        let keys = bench.keys(2).await?;
        let ([one, other], [a, b]) = (accounts.as_slice(), keys.as_slice()) else {
            return fail("no accounts");
        };
        for account in [one, other] {
            for key in [a, b] {
                bench.does(account, grant(key)).await?;
            }
        }
        bench.does(one, revoke(a)).await?;
        let (first, second) = (bench.holds(one).await?, bench.holds(other).await?);
        ensure!(!first.contains(a) && first.contains(b), "the first holds {first:?}");
        ensure!(second.contains(a) && second.contains(b), "the second holds {second:?}");
    }
    /// A leaver is disabled first and stripped then. A target that refuses the second keeps the access
    /// for the day when somebody enables the account again.
    g19 revoke_from_a_disabled_account_works BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        bench.needs(Verb::SetStatus)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        bench.does(&account, revoke(&key)).await?;
        ensure!(!bench.holds(&account).await?.contains(&key), "it is still held");
    }
}
