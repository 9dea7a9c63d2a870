//! What may be repeated, dropped, and done at the same time.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join;
use jml_core::provider::{Change, Effect, Layered, Operation, Provider, Result, Target, Verb};

use super::{behaviours, halfway};
use crate::Script;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail, grant, revoke};
use crate::fake::{Hits, WireFault};
use crate::script::{Fault, Match};

/// Makes a call, and lets go of it after so many looks. `None` when it was let go.
async fn dropped_after(
    bench: &Bench,
    change: &Change,
    looks: u32,
) -> Option<Result<jml_core::provider::Outcome>> {
    let cx = bench.cx();
    let mut call = pin!(bench.provider().apply(&cx, change));
    for _ in 0..looks {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = call.as_mut().poll(&mut context) {
            return Some(result);
        }
        // Lets whatever it waits for go on.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    None
}

/// The provider behind a fault.
fn faulty(bench: &Bench, fault: Fault) -> Layered {
    let faults = Script::new().once(Match::changes(), fault).play();
    Layered::new(bench.world.provider.clone(), vec![Arc::new(faults)])
}

/// Creates through a fault, then again with the same key: one account.
async fn one_account(bench: &Bench, fault: Fault) -> Check {
    bench.needs(Verb::CreateAccount)?;
    let before = bench.whole_truth().await?.len();
    let change = bench.change(None, bench.creation("ada")?);
    let _ = faulty(bench, fault).apply(&bench.cx(), &change).await;
    bench.settle().await;
    let again = bench.send(&change).await;
    let again = again.map_err(|e| Stop::Fail(format!("sent again: {e}")))?;
    ensure!(again.account.is_some(), "sent again, it names no account");
    let made = bench.whole_truth().await?.len() - before;
    ensure!(made == 1, "{made} accounts");
    Ok(())
}

behaviours! {
    /// The answer was lost, and the change is sent again. It must come to the same.
    t1 a_lost_answer_converges BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let change = bench.change(Some(&account), grant(&key));
        let lost = faulty(bench, Fault::LoseAfter).apply(&bench.cx(), &change).await;
        ensure!(lost.is_err(), "the fault did not happen");
        bench.settle().await;
        let again = bench.send(&change).await;
        ensure!(again.is_ok(), "sent again: {again:?}");
        ensure!(bench.holds(&account).await?.contains(&key), "it is not held");
    }
    /// Two accounts for one person is a licence too many, and one of them is never closed.
    t2 a_lost_creation_makes_one_account BlackBox |bench| {
        one_account(bench, Fault::LoseAfter).await?;
    }
    /// The request never arrived. It is as if it had not been sent.
    t3 a_lost_request_converges BlackBox |bench| {
        one_account(bench, Fault::LoseBefore).await?;
    }
    /// Proxies send requests twice.
    t4 a_duplicated_request_does_no_harm BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let change = bench.change(Some(&account), grant(&key));
        let result = faulty(bench, Fault::Duplicate).apply(&bench.cx(), &change).await;
        ensure!(result.is_ok(), "{result:?}");
        bench.settle().await;
        ensure!(bench.holds(&account).await?.contains(&key), "it is not held");
        one_account(bench, Fault::Duplicate).await?;
    }
    /// After a restore from backup a whole plan is sent again. Nothing may move.
    t5 a_replayed_plan_is_a_no_op BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let keys = bench.keys(2).await?;
        let [one, other] = keys.as_slice() else { return fail("no entitlements") };
        let create = bench.change(None, bench.creation("ada")?);
        let made = bench.send(&create).await.map_err(|e| Stop::Fail(e.to_string()))?;
        let Some(id) = made.account else { return fail("no account") };
        let plan = [grant(one), grant(other), revoke(one)]
            .map(|op| bench.change(Some(&id), op));
        for change in &plan {
            bench.send(change).await.map_err(|e| Stop::Fail(e.to_string()))?;
        }
        let mut before = bench.whole_truth().await?;
        for change in std::iter::once(&create).chain(&plan) {
            let again = bench.send(change).await;
            ensure!(again.is_ok(), "`{}` again: {again:?}", change.op);
        }
        let mut after = bench.whole_truth().await?;
        for state in before.values_mut().chain(after.values_mut()) {
            state.version = None;
        }
        ensure!(after == before, "something has moved");
    }
    /// A creation that went through on the wire and was never answered must be found, not repeated.
    t6 a_creation_cut_on_the_wire_is_found Faults |bench| {
        bench.needs(Verb::CreateAccount)?;
        let before = bench.whole_truth().await?.len();
        let change = bench.change(None, bench.creation("ada")?);
        bench.inject(Hits::Changes, 1, WireFault::ResetAfter)?;
        ensure!(bench.send(&change).await.is_err(), "the answer was cut, and it is done");
        bench.fired(1)?;
        let Operation::CreateAccount { user_name, external_id, .. } = &change.op else {
            return fail("no creation");
        };
        let (identity, user_name) = (external_id.clone(), user_name.clone());
        let target = Target::External { identity, user_name };
        let seen = bench.provider().read(&bench.cx(), &target).await;
        let seen = seen.map_err(|e| Stop::Fail(e.to_string()))?;
        ensure!(seen.account().is_some(), "it is not found");
        let again = bench.send(&change).await;
        let again = again.map_err(|e| Stop::Fail(format!("sent again: {e}")))?;
        ensure!(again.account == seen.account().map(|it| it.id.clone()), "it is another one");
        ensure!(bench.whole_truth().await?.len() == before + 1, "there is more than one");
    }
    /// A call costs what a call costs. One that walks through everything stops at the first large tenant.
    t7 a_change_costs_few_requests Faults |bench| {
        bench.needs(Verb::Grant)?;
        bench.some(6).await?;
        let (account, key) = (bench.all().await?.into_keys().next(), bench.a_key().await?);
        let Some(account) = account else { return fail("no account") };
        let from = bench.wire()?.requests().len();
        bench.does(&account, grant(&key)).await?;
        let sent = bench.wire()?.requests().len() - from;
        ensure!(sent <= 6, "a grant costs {sent} requests");
    }
    /// Many changes are several requests. Whoever says "nothing happened" after the first of two is not
    /// asked again, and the rest is never done.
    t8 a_change_cut_at_any_request_is_told_truly Faults |bench| {
        halfway::each_request_fails(bench).await?;
    }
    /// Two runs for one group at the same time. With read-modify-write, one of them is lost.
    c1 grants_at_once_are_not_lost BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let accounts = bench.some(2).await?;
        let [one, other] = accounts.as_slice() else { return fail("no accounts") };
        let keys = bench.keys(2).await?;
        let [a, b] = keys.as_slice() else { return fail("no entitlements") };
        for (first, second) in [((one, a), (other, a)), ((one, b), (one, a)), ((other, b), (one, b))] {
            let first_change = bench.change(Some(first.0), grant(first.1));
            let second_change = bench.change(Some(second.0), grant(second.1));
            let (x, y) = join(bench.send(&first_change), bench.send(&second_change)).await;
            ensure!(x.is_ok() && y.is_ok(), "{x:?}, {y:?}");
            ensure!(bench.holds(first.0).await?.contains(first.1), "the first is lost");
            ensure!(bench.holds(second.0).await?.contains(second.1), "the second is lost");
        }
    }
    /// The same change from two drivers.
    c2 the_same_grant_at_once_is_one BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let change = bench.change(Some(&account), grant(&key));
        let (x, y) = join(bench.send(&change), bench.send(&change)).await;
        ensure!(x.is_ok() && y.is_ok(), "{x:?}, {y:?}");
        ensure!(bench.holds(&account).await?.contains(&key), "it is not held");
        let pages = bench.pages(Some(1)).await?;
        let rows: usize = pages.iter().map(|page| page.rows().len()).sum();
        ensure!(rows == bench.whole_truth().await?.len(), "rows are doubled");
    }
    /// A grant and a revoke at the same time: either may win, and nothing between.
    c3 grant_and_revoke_at_once_end_in_one BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let accounts = bench.some(2).await?;
        let [account, other] = accounts.as_slice() else { return fail("no accounts") };
        let keys = bench.keys(2).await?;
        let [key, kept] = keys.as_slice() else { return fail("no entitlements") };
        bench.does(account, grant(kept)).await?;
        bench.does(other, grant(key)).await?;
        let give = bench.change(Some(account), grant(key));
        let take = bench.change(Some(account), revoke(key));
        let (x, y) = join(bench.send(&give), bench.send(&take)).await;
        ensure!(x.is_ok() && y.is_ok(), "{x:?}, {y:?}");
        ensure!(bench.holds(account).await?.contains(kept), "something else is lost");
        ensure!(bench.holds(other).await?.contains(key), "somebody else lost it");
        bench.does(account, revoke(key)).await?;
        ensure!(!bench.holds(account).await?.contains(key), "it cannot be taken any more");
    }
    /// A driver dies at any moment. What it leaves must be something that can be gone on from.
    c4 a_dropped_call_converges BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        for looks in 0..40 {
            bench.does(&account, revoke(&key)).await?;
            let change = bench.change(Some(&account), grant(&key));
            let done = dropped_after(bench, &change, looks).await;
            bench.settle().await;
            let again = bench.send(&change).await;
            ensure!(again.is_ok(), "dropped after {looks} looks, then: {again:?}");
            ensure!(bench.holds(&account).await?.contains(&key), "after {looks} looks it is lost");
            if done.is_some() && looks > 0 {
                break;
            }
        }
    }
    /// A call that was let go must not hold a connection of the target for ever.
    c5 a_dropped_call_leaves_nothing_open Faults |bench| {
        let wire = bench.wire()?.clone();
        if wire.active().is_none() {
            return Err(Stop::NotRun("needs a wire with connections".into()));
        }
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let change = bench.change(Some(&account), grant(&key));
        bench.inject(Hits::All, 1, WireFault::Hang)?;
        let mut looks = 0;
        let hung = loop {
            if wire.fired() > 0 || looks > 2_000 {
                break wire.fired() > 0;
            }
            looks += 200;
            let _ = dropped_after(bench, &change, looks).await;
        };
        if !hung {
            return Err(Stop::Inconclusive("nothing was sent".into()));
        }
        for _ in 0..500 {
            if wire.active() == Some(0) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        fail::<()>(format!("{:?} connections are open", wire.active()))?;
    }
    /// Reconciliation lists while runs write.
    c6 listing_while_writing_works BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let accounts = bench.some(5).await?;
        let key = bench.a_key().await?;
        let writes = async {
            for account in &accounts {
                bench.does(account, grant(&key)).await?;
            }
            Check::Ok(())
        };
        let (listed, written) = join(bench.pages(Some(1)), writes).await;
        written?;
        let rows: usize = listed?.iter().map(|page| page.rows().len()).sum();
        ensure!(rows >= accounts.len(), "{rows} rows for {} accounts", accounts.len());
    }
    /// Two drivers create the same person with the same key.
    c7 the_same_creation_at_once_is_one_account BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        let before = bench.whole_truth().await?.len();
        let change = bench.change(None, bench.creation("ada")?);
        let (x, y) = join(bench.send(&change), bench.send(&change)).await;
        let made = bench.whole_truth().await?.len() - before;
        ensure!(made == 1, "{made} accounts");
        let done = x.is_ok() || y.is_ok();
        ensure!(done, "{x:?}, {y:?}");
        let again = bench.send(&change).await.map_err(|e| Stop::Fail(format!("afterwards: {e}")))?;
        ensure!(again.effect != Effect::Changed, "afterwards it changes something");
    }
    /// A batch has one answer for each change, in their order, and one failure does not hide the others.
    c8 a_batch_answers_each_change BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let accounts = bench.some(2).await?;
        let [one, other] = accounts.as_slice() else { return fail("no accounts") };
        let key = bench.a_key().await?;
        let nobody = bench.nobody()?;
        let changes = [one, &nobody, other].map(|id| bench.change(Some(id), grant(&key)));
        let results = bench.provider().apply_many(&bench.cx(), &changes).await;
        bench.settle().await;
        let oks: Vec<bool> = results.iter().map(Result::is_ok).collect();
        ensure!(oks == [true, false, true], "{results:?}");
        ensure!(bench.holds(one).await?.contains(&key), "the first is not done");
        ensure!(bench.holds(other).await?.contains(&key), "the last is not done");
    }
}
