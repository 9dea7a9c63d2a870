//! Defects that show when calls overlap, or are let go.

use std::sync::atomic::Ordering;

use jml_core::account::AccountStatus;
use jml_core::provider::{Call, ErrorKind, Operation};

use super::{bugs, changed, error, instead, lock, op, other_key, own, pause, state};

bugs! {
    /// Grants read, change and write, so that one of two at once is lost.
    lost_update |cx, call, next, memo| {
        let Some((Operation::Grant { .. }, _)) = op(call) else { return next.run(cx, call).await };
        let others = memo.under_way.fetch_add(1, Ordering::SeqCst);
        pause().await;
        memo.under_way.fetch_sub(1, Ordering::SeqCst);
        if others > 0 { changed(call) } else { next.run(cx, call).await }
    }
    /// Two changes of one kind at once are a conflict.
    the_same_at_once_fails |cx, call, next, memo| {
        let Some((Operation::Grant { .. }, _)) = op(call) else { return next.run(cx, call).await };
        let others = memo.under_way.fetch_add(1, Ordering::SeqCst);
        pause().await;
        memo.under_way.fetch_sub(1, Ordering::SeqCst);
        if others > 0 { error(ErrorKind::Conflict) } else { next.run(cx, call).await }
    }
    /// A grant and a revoke at once take everything.
    a_race_takes_everything |cx, call, next, memo| {
        let Some((Operation::Grant { .. } | Operation::Revoke { .. }, Some(account))) = op(call) else {
            return next.run(cx, call).await;
        };
        let others = memo.under_way.fetch_add(1, Ordering::SeqCst);
        pause().await;
        memo.under_way.fetch_sub(1, Ordering::SeqCst);
        if others > 0 && matches!(op(call), Some((Operation::Revoke { .. }, _))) {
            let held = state(cx, next, Some(account)).await.map(|it| it.holdings);
            for entitlement in held.unwrap_or_default() {
                next.run(cx, &own(account, Operation::Revoke { entitlement }, memo)).await?;
            }
        }
        next.run(cx, call).await
    }
    /// A call that is let go keeps its lock.
    a_dropped_call_keeps_its_lock |cx, call, next, memo| {
        let Some((_, Some(account))) = op(call) else { return next.run(cx, call).await };
        if !lock(&memo.used).insert(account.to_string()) {
            return error(ErrorKind::Conflict);
        }
        pause().await;
        let result = next.run(cx, call).await;
        lock(&memo.used).remove(account.as_str());
        result
    }
    /// A listing fails while somebody writes.
    listing_fails_while_writing |cx, call, next, memo| {
        match call {
            Call::List(_) => {
                pause().await;
                if memo.under_way.load(Ordering::SeqCst) > 0 {
                    return error(ErrorKind::Unavailable);
                }
                next.run(cx, call).await
            }
            _ => {
                memo.under_way.fetch_add(1, Ordering::SeqCst);
                pause().await;
                pause().await;
                let result = next.run(cx, call).await;
                memo.under_way.fetch_sub(1, Ordering::SeqCst);
                result
            }
        }
    }
    /// Two creations at once, with one key, make two accounts.
    creations_at_once_make_two |cx, call, next, memo| {
        let Some((Operation::CreateAccount { .. }, _)) = op(call) else {
            return next.run(cx, call).await;
        };
        let others = memo.under_way.fetch_add(1, Ordering::SeqCst);
        pause().await;
        memo.under_way.fetch_sub(1, Ordering::SeqCst);
        if others == 0 {
            return next.run(cx, call).await;
        }
        let Some((op, _)) = op(call) else { return next.run(cx, call).await };
        let mut op = op.clone();
        if let Operation::CreateAccount { user_name, .. } = &mut op {
            *user_name = format!("{user_name}-2").into();
        }
        next.run(cx, &other_key(&instead(call, op), memo)).await
    }
    /// After a failure, nothing works any more.
    a_failure_is_for_ever |cx, call, next, memo| {
        if memo.under_way.load(Ordering::SeqCst) > 0 {
            return error(ErrorKind::Unavailable);
        }
        let result = next.run(cx, call).await;
        if result.is_err() {
            memo.under_way.store(1, Ordering::SeqCst);
        }
        result
    }
    /// A change that was sent before is an error.
    a_key_can_be_used_once |cx, call, next, memo| {
        match call {
            Call::Apply(change) if !memo.first(change.key.as_str()) => error(ErrorKind::Conflict),
            _ => next.run(cx, call).await,
        }
    }
    /// Sent twice, an account that was disabled is enabled: a switch, not a state.
    status_is_a_switch |cx, call, next, memo| {
        if let Some((Operation::SetStatus { status: AccountStatus::Disabled }, account)) = op(call)
            && state(cx, next, account).await.is_some_and(|it| it.status == AccountStatus::Disabled)
        {
            let op = Operation::SetStatus { status: AccountStatus::Active };
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
}
