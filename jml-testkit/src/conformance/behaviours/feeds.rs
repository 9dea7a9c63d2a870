//! Change feeds, health, and changes that people carry out.

use std::collections::BTreeMap;

use jml_core::account::AccountState;
use jml_core::id::AccountId;
use jml_core::provider::{
    ChangePage, Effect, ErrorKind, Observation, Operation, Outcome, PendingRef, SupportMode,
    Target, Verb, Watermark,
};

use super::behaviours;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail, grant, revoke, status};
use crate::fake::{Hits, WireFault};

async fn since(bench: &Bench, mark: Option<&Watermark>) -> Check<ChangePage> {
    if !bench.descriptor().feeds_changes {
        return Err(Stop::NotApplicable("there is no change feed".into()));
    }
    let page = bench.provider().changes(&bench.cx(), mark).await;
    page.map_err(|e| Stop::Fail(format!("changes: {e}")))
}

/// Everything since a mark.
async fn all_since(bench: &Bench, mark: &Watermark) -> Check<(Vec<AccountId>, Watermark)> {
    let (mut seen, mut mark) = (Vec::new(), mark.clone());
    for _ in 0..1_000 {
        let page = since(bench, Some(&mark)).await?;
        seen.extend(page.rows.into_iter().map(|row| row.account));
        mark = page.next;
        if !page.more {
            return Ok((seen, mark));
        }
    }
    fail("the feed does not end")
}

/// A change that a person carries out.
async fn by_hand(bench: &Bench) -> Check<(AccountId, Operation, PendingRef)> {
    let manual = |verb: Verb| {
        let support = bench.descriptor().verbs.get(&verb);
        support.is_some_and(|support| support.mode == SupportMode::Manual)
    };
    if !manual(Verb::Revoke) {
        return Err(Stop::NotApplicable("no revoke is carried out by hand".into()));
    }
    let (account, key) = (bench.one().await?, bench.a_key().await?);
    let op = revoke(&key);
    let outcome = bench.does(&account, op.clone()).await?;
    ensure!(outcome.effect == Effect::Pending, "it answers {:?}", outcome.effect);
    match outcome.pending {
        Some(handle) => Ok((account, op, handle)),
        None => fail("pending, without a handle"),
    }
}

async fn poll(bench: &Bench, handle: &PendingRef) -> Check<Outcome> {
    let outcome = bench.provider().poll(&bench.cx(), handle).await;
    outcome.map_err(|e| Stop::Fail(format!("poll: {e}")))
}

behaviours! {
    /// A feed that misses a change is worse than none: nobody looks elsewhere.
    v1 a_change_is_in_the_feed BlackBox |bench| {
        let start = since(bench, None).await?.next;
        bench.needs(Verb::Grant)?;
        let account = bench.some(2).await?.remove(0);
        let (_, start) = all_since(bench, &start).await?;
        bench.does(&account, grant(&bench.a_key().await?)).await?;
        let (seen, end) = all_since(bench, &start).await?;
        ensure!(seen.contains(&account), "it is not");
        let (after, _) = all_since(bench, &end).await?;
        ensure!(after.is_empty(), "it comes again after its watermark: {after:?}");
    }
    /// A reader that crashed asks with its old mark. It must get the same, or more.
    v2 a_watermark_can_be_used_again BlackBox |bench| {
        let start = since(bench, None).await?.next;
        bench.needs(Verb::Grant)?;
        let account = bench.one().await?;
        bench.does(&account, grant(&bench.a_key().await?)).await?;
        let (first, _) = all_since(bench, &start).await?;
        let (again, _) = all_since(bench, &start).await?;
        ensure!(again == first, "{first:?}, and then {again:?}");
    }
    /// Who is gone must be heard of.
    v3 a_deletion_is_in_the_feed OutOfBand |bench| {
        let start = since(bench, None).await?.next;
        let backdoor = bench.backdoor()?;
        let account = bench.one().await?;
        backdoor.remove(&account).await;
        bench.settle().await;
        let mut gone = false;
        let mut mark = start;
        for number in 0.. {
            ensure!(number < 1_000, "the feed does not end");
            let page = since(bench, Some(&mark)).await?;
            gone |= page
                .rows
                .iter()
                .any(|row| row.account == account && row.now == Observation::Absent);
            mark = page.next;
            if !page.more {
                break;
            }
        }
        ensure!(gone, "nobody says so");
    }
    /// A mark that the target has forgotten must not read as "nothing happened".
    v4 a_forgotten_watermark_is_an_error OutOfBand |bench| {
        let start = since(bench, None).await?.next;
        bench.needs(Verb::Grant)?;
        let account = bench.one().await?;
        bench.does(&account, grant(&bench.a_key().await?)).await?;
        if !bench.backdoor()?.forget_changes().await {
            return Err(Stop::NotRun("the feed cannot be made to forget".into()));
        }
        for mark in [start, Watermark("no watermark of yours".into())] {
            match bench.provider().changes(&bench.cx(), Some(&mark)).await {
                Ok(page) => return fail(format!("{} rows", page.rows.len())),
                Err(error) => ensure!(error.kind() == ErrorKind::CursorExpired, "{error}"),
            }
        }
    }
    /// A listing and the feed since then must make the present.
    v5 listing_and_feed_make_the_present OutOfBand |bench| {
        let start = since(bench, None).await?.next;
        let accounts = bench.some(3).await?;
        let (_, start) = all_since(bench, &start).await?;
        let mut known: BTreeMap<AccountId, AccountState> = bench.all().await?;
        let key = bench.a_key().await?;
        let [one, two, three] = accounts.as_slice() else { return fail("no accounts") };
        if bench.descriptor().supports(Verb::Grant) {
            bench.does(one, grant(&key)).await?;
        }
        bench.backdoor()?.remove(two).await;
        if bench.descriptor().supports(Verb::SetStatus) {
            let disabled = jml_core::account::AccountStatus::Disabled;
            bench.does(three, status(disabled)).await?;
        }
        let mut mark = start;
        for number in 0.. {
            ensure!(number < 1_000, "the feed does not end");
            let page = since(bench, Some(&mark)).await?;
            for row in page.rows {
                let now = match row.now {
                    Observation::NotObserved => {
                        let target = Target::Account(row.account.clone());
                        let seen = bench.provider().read(&bench.cx(), &target).await;
                        seen.map_err(|e| Stop::Fail(e.to_string()))?
                    }
                    now => now,
                };
                match now.account() {
                    Some(state) => known.insert(row.account, bench.as_listed(state.clone())),
                    None => known.remove(&row.account),
                };
            }
            mark = page.next;
            if !page.more {
                break;
            }
        }
        ensure!(known == bench.all().await?, "they do not");
    }
    /// A mark is kept for days, over restarts.
    v6 a_watermark_works_in_another_instance BlackBox |bench| {
        let start = since(bench, None).await?.next;
        let other = bench.restart()?;
        bench.needs(Verb::Grant)?;
        let account = bench.one().await?;
        bench.does(&account, grant(&bench.a_key().await?)).await?;
        let page = other.changes(&bench.cx(), Some(&start)).await;
        let page = page.map_err(|e| Stop::Fail(format!("the other instance: {e}")))?;
        ensure!(page.rows.iter().any(|row| row.account == account), "it knows nothing");
    }
    /// The first thing that an operator asks.
    h1 a_healthy_target_is_healthy BlackBox |bench| {
        let health = bench.provider().health(&bench.cx()).await;
        let health = health.map_err(|e| Stop::Fail(e.to_string()))?;
        ensure!(health.missing_permissions.is_empty(), "{:?} lack", health.missing_permissions);
    }
    /// A wrong token must be known before the first leaver.
    h2 a_bad_credential_shows Faults |bench| {
        bench.inject(Hits::All, 20, WireFault::status(401))?;
        match bench.provider().health(&bench.cx()).await {
            Ok(_) => return fail("it is healthy"),
            Err(error) => ensure!(error.kind() == ErrorKind::Unauthenticated, "{error}"),
        }
        bench.fired(1)?;
    }
    /// A target that is down is not healthy.
    h3 a_target_that_is_down_shows Faults |bench| {
        bench.inject(Hits::All, 20, WireFault::status(503))?;
        match bench.provider().health(&bench.cx()).await {
            Ok(_) => return fail("it is healthy"),
            Err(error) => ensure!(error.kind() == ErrorKind::Unavailable, "{error}"),
        }
        bench.wire()?.stop();
        match bench.provider().health(&bench.cx()).await {
            Ok(_) => return fail("nobody listens, and it is healthy"),
            Err(error) => {
                let kinds = [ErrorKind::Transport, ErrorKind::Unavailable];
                ensure!(kinds.contains(&error.kind()), "{error}");
            }
        }
    }
    /// Asked every minute, it must cost little and change nothing.
    h4 health_costs_little Faults |bench| {
        bench.some(6).await?;
        let from = bench.wire()?.requests().len();
        let health = bench.provider().health(&bench.cx()).await;
        health.map_err(|e| Stop::Fail(e.to_string()))?;
        let sent = bench.wire()?.requests().len() - from;
        ensure!(sent <= 4, "it costs {sent} requests");
        ensure!(bench.mutating_since(from)? == 0, "it changes something");
    }
    /// Which permission is missing is what the operator needs to know.
    h5 a_missing_permission_shows Faults |bench| {
        // A credential that has to be fetched is there by now.
        let _ = bench.provider().health(&bench.cx()).await;
        bench.inject(Hits::All, 20, WireFault::status(403))?;
        match bench.provider().health(&bench.cx()).await {
            Ok(health) => ensure!(!health.missing_permissions.is_empty(), "it is healthy"),
            Err(error) => ensure!(error.kind() == ErrorKind::PermissionDenied, "{error}"),
        }
        bench.fired(1)?;
    }
    /// Without a handle, nobody can ask for the end.
    q1 a_pending_change_has_a_handle BlackBox |bench| {
        let (account, op, handle) = by_hand(bench).await?;
        let change = bench.change(Some(&account), op);
        let (one, two) = (bench.send(&change).await, bench.send(&change).await);
        match (one, two) {
            (Ok(one), Ok(two)) => ensure!(one.pending == two.pending, "the same key, two handles"),
            other => return fail(format!("{other:?}")),
        }
        ensure!(poll(bench, &handle).await?.effect == Effect::Pending, "it is done already");
    }
    /// A person did it. The run must be able to see that.
    q2 a_pending_change_ends BlackBox |bench| {
        let (_, _, handle) = by_hand(bench).await?;
        if !bench.backdoor()?.finish(&handle).await {
            return Err(Stop::NotRun("nobody can say that it is done".into()));
        }
        let effect = poll(bench, &handle).await?.effect;
        ensure!(effect != Effect::Pending, "it does not end");
    }
    /// Asking is not doing.
    q3 asking_again_changes_nothing BlackBox |bench| {
        let (_, _, handle) = by_hand(bench).await?;
        let before = bench.whole_truth().await?;
        let (one, two) = (poll(bench, &handle).await?, poll(bench, &handle).await?);
        ensure!(one == two, "two answers");
        ensure!(bench.whole_truth().await? == before, "something has changed");
    }
    /// A handle of somebody else must not read as "done".
    q4 an_unknown_handle_is_not_found BlackBox |bench| {
        by_hand(bench).await?;
        match bench.provider().poll(&bench.cx(), &PendingRef("no handle of yours".into())).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => ensure!(error.kind() == ErrorKind::NotFound, "{error}"),
        }
    }
}
