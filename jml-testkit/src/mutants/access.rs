//! Defects in grants, revokes and exchanges.

use jml_core::account::AccountStatus;
use jml_core::provider::{Call, ErrorKind, Operation, RefusalReason};

use super::{bugs, changed, error, everybody, instead, op, own, state, unchanged};

bugs! {
    /// A grant of what is held fails.
    grant_twice_fails |cx, call, next, memo| {
        if let Some((Operation::Grant { entitlement }, account)) = op(call)
            && state(cx, next, account).await.is_some_and(|it| it.holdings.contains(entitlement))
        {
            return error(ErrorKind::AlreadyExists);
        }
        next.run(cx, call).await
    }
    /// A grant says that it is done, and does nothing.
    grant_does_nothing |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Grant { .. }, _)) => changed(call),
            _ => next.run(cx, call).await,
        }
    }
    /// A grant gives something else as well.
    grant_gives_more |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        if let Some((Operation::Grant { entitlement }, Some(account))) = op(call)
            && entitlement.id.as_str() == "b"
            && let Ok(other) = "group/c".parse()
        {
            next.run(cx, &own(account, Operation::Grant { entitlement: other }, memo)).await?;
        }
        Ok(reply)
    }
    /// A grant is for everybody.
    grant_for_everybody |cx, call, next, memo| {
        if let Some((Operation::Grant { entitlement }, Some(_))) = op(call) {
            for account in everybody(cx, next).await {
                let op = Operation::Grant { entitlement: entitlement.clone() };
                let _ = next.run(cx, &own(&account, op, memo)).await;
            }
        }
        next.run(cx, call).await
    }
    /// A revoke of what is not held fails.
    revoke_of_nothing_fails |cx, call, next, memo| {
        if let Some((Operation::Revoke { entitlement }, account)) = op(call)
            && state(cx, next, account).await.is_some_and(|it| !it.holdings.contains(entitlement))
        {
            return error(ErrorKind::NotFound);
        }
        next.run(cx, call).await
    }
    /// A revoke of what is not held says that it changed something.
    revoke_of_nothing_changes |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match op(call) {
            Some((Operation::Revoke { .. }, _)) => changed(call),
            _ => Ok(reply),
        }
    }
    /// A revoke from an account that is gone fails.
    revoke_from_nobody_fails |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Revoke { .. }, account)) if state(cx, next, account).await.is_none() => {
                error(ErrorKind::NotFound)
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A revoke of an entitlement that is gone fails.
    revoke_of_the_unknown_fails |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Revoke { entitlement }, _))
                if entitlement.id.as_str() == "no-such-entitlement" =>
            {
                error(ErrorKind::NotFound)
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A revoke says that it is done, and does nothing.
    revoke_does_nothing |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Revoke { .. }, _)) => changed(call),
            _ => next.run(cx, call).await,
        }
    }
    /// A revoke takes everything.
    revoke_takes_all |cx, call, next, memo| {
        if let Some((Operation::Revoke { .. }, Some(account))) = op(call) {
            let held = state(cx, next, Some(account)).await.map(|it| it.holdings);
            for entitlement in held.unwrap_or_default() {
                next.run(cx, &own(account, Operation::Revoke { entitlement }, memo)).await?;
            }
        }
        next.run(cx, call).await
    }
    /// Once granted, a second grant is not sent.
    grant_is_remembered |cx, call, next, memo| {
        if let Some((Operation::Grant { entitlement }, Some(account))) = op(call)
            && !memo.first(format!("{account} {entitlement}"))
        {
            return unchanged(call);
        }
        next.run(cx, call).await
    }
    /// A grant of what does not exist succeeds.
    unknown_entitlement_is_fine |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::Grant { .. }, account)), Err(_))
                if state(cx, next, account).await.is_some() =>
            {
                changed(call)
            }
            (_, result) => result,
        }
    }
    /// A missing entitlement is taken for a wrong request.
    unknown_entitlement_is_invalid |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::Grant { .. }, account)), Err(e))
                if e.kind() == ErrorKind::NotFound && state(cx, next, account).await.is_some() =>
            {
                error(ErrorKind::Invalid)
            }
            (_, result) => result,
        }
    }
    /// A missing account is an internal error.
    unknown_account_is_internal |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::Grant { .. }, account)), Err(_))
                if state(cx, next, account).await.is_none() =>
            {
                error(ErrorKind::Internal)
            }
            (_, result) => result,
        }
    }
    /// Disabled accounts get nothing, and nobody said so.
    disabled_accounts_get_nothing |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Grant { .. }, account))
                if state(cx, next, account)
                    .await
                    .is_some_and(|it| it.status == AccountStatus::Disabled) =>
            {
                error(ErrorKind::Refused(RefusalReason::Policy))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Nothing can be taken from a disabled account.
    disabled_accounts_keep_everything |cx, call, next, memo| {
        match op(call) {
            Some((Operation::Revoke { .. }, account))
                if state(cx, next, account)
                    .await
                    .is_some_and(|it| it.status == AccountStatus::Disabled) =>
            {
                error(ErrorKind::Refused(RefusalReason::Policy))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// What the target decides by itself is said to be done.
    immutable_is_said_to_be_done |cx, call, next, memo| {
        match next.run(cx, call).await {
            Err(e) if e.kind() == ErrorKind::Refused(RefusalReason::Immutable) => changed(call),
            result => result,
        }
    }
    /// The last owner is let go of.
    last_owner_is_an_internal_error |cx, call, next, memo| {
        match next.run(cx, call).await {
            Err(e) if e.kind() == ErrorKind::Refused(RefusalReason::LastOwner) => {
                error(ErrorKind::Internal)
            }
            result => result,
        }
    }
    /// No seat is taken for a wrong request.
    no_seat_is_unavailable |cx, call, next, memo| {
        match next.run(cx, call).await {
            Err(e) if e.kind() == ErrorKind::Exhausted => error(ErrorKind::Unavailable),
            result => result,
        }
    }
    /// An exchange takes first, and gives then.
    exchange_takes_first |cx, call, next, memo| {
        if let Some((Operation::Exchange { revoke, grant }, Some(account))) = op(call) {
            let take = Operation::Revoke { entitlement: revoke.clone() };
            next.run(cx, &own(account, take, memo)).await?;
            let give = Operation::Grant { entitlement: grant.clone() };
            return next.run(cx, &instead(call, give)).await;
        }
        next.run(cx, call).await
    }
    /// An exchange only gives.
    exchange_keeps_both |cx, call, next, memo| {
        if let Some((Operation::Exchange { grant, .. }, _)) = op(call) {
            let give = Operation::Grant { entitlement: grant.clone() };
            return next.run(cx, &instead(call, give)).await;
        }
        next.run(cx, call).await
    }
    /// A grant of one of a kind adds it to the other.
    one_of_a_kind_is_not_replaced |cx, call, next, memo| {
        let mut reply = next.run(cx, call).await?;
        if let (Call::Apply(_), jml_core::provider::Reply::Outcome(outcome)) = (call, &mut reply)
            && !outcome.side_effects.is_empty()
        {
            outcome.side_effects.clear();
        }
        Ok(reply)
    }
}
