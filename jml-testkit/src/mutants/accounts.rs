//! Defects in accounts, credentials, mailboxes, ownership.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::account::AccountStatus;
use jml_core::attribute::AttributeValue;
use jml_core::provider::{Call, Change, ErrorKind, Observation, Operation, Reply};

use super::{bugs, changed, error, everybody, instead, op, other_key, own, state, unchanged};

/// Whether a change makes an account's sign-in possible, or impossible.
fn to_status(call: &Call) -> Option<AccountStatus> {
    match op(call) {
        Some((Operation::SetStatus { status }, _)) => Some(*status),
        _ => None,
    }
}

bugs! {
    /// A creation that is sent again is another creation.
    key_is_ignored |cx, call, next, memo| {
        match call {
            Call::Apply(change) if change.op.makes_account() => {
                next.run(cx, &other_key(call, memo)).await
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A creation that is sent again makes a second account with another name.
    name_is_made_unique |cx, call, next, memo| {
        match (call, next.run(cx, call).await) {
            (Call::Apply(change), Err(e)) if e.kind() == ErrorKind::AlreadyExists => {
                let mut op = change.op.clone();
                if let Operation::CreateAccount { user_name, .. } = &mut op {
                    *user_name = format!("{user_name}{}", memo.number()).into();
                }
                next.run(cx, &instead(call, op)).await
            }
            (_, result) => result,
        }
    }
    /// A taken name is an internal error.
    conflict_is_internal |cx, call, next, memo| {
        match next.run(cx, call).await {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => error(ErrorKind::Internal),
            result => result,
        }
    }
    /// A taken name gives the account of somebody else.
    taken_name_is_adopted |cx, call, next, memo| {
        match next.run(cx, call).await {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => unchanged(call),
            result => result,
        }
    }
    /// A creation leaves the attributes out.
    creation_drops_attributes |cx, call, next, memo| {
        if let Some((Operation::CreateAccount { user_name, external_id, status, attributes }, _)) =
            op(call)
        {
            let needed = attributes.iter().filter(|(name, _)| name.as_str() == "department");
            let attributes = needed.map(|(n, v)| (n.clone(), v.clone())).collect();
            let op = Operation::CreateAccount {
                user_name: user_name.clone(),
                external_id: external_id.clone(),
                status: *status,
                attributes,
            };
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
    /// What is missing is made up.
    missing_attributes_are_made_up |cx, call, next, memo| {
        if let Some((op @ Operation::CreateAccount { .. }, _)) = op(call) {
            let mut op = op.clone();
            if let Operation::CreateAccount { attributes, .. } = &mut op {
                for required in &next.descriptor().required_attributes {
                    attributes
                        .entry(required.clone())
                        .or_insert_with(|| AttributeValue::text("unknown"));
                }
            }
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
    /// Every new account can sign in.
    staged_is_active |cx, call, next, memo| {
        if let Some((op @ Operation::CreateAccount { .. }, _)) = op(call) {
            let mut op = op.clone();
            if let Operation::CreateAccount { status, .. } = &mut op {
                *status = AccountStatus::Active;
            }
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
    /// No new account can sign in.
    active_is_staged |cx, call, next, memo| {
        if let Some((op @ Operation::CreateAccount { .. }, _)) = op(call) {
            let mut op = op.clone();
            if let Operation::CreateAccount { status, .. } = &mut op {
                *status = AccountStatus::Staged;
            }
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
    /// Disabling does nothing.
    disabling_does_nothing |cx, call, next, memo| {
        match to_status(call) {
            Some(AccountStatus::Disabled) => changed(call),
            _ => next.run(cx, call).await,
        }
    }
    /// Disabling what is disabled fails.
    disabling_twice_fails |cx, call, next, memo| {
        if to_status(call) == Some(AccountStatus::Disabled)
            && let Some((_, account)) = op(call)
            && state(cx, next, account).await.is_some_and(|it| it.status == AccountStatus::Disabled)
        {
            return error(ErrorKind::Invalid);
        }
        next.run(cx, call).await
    }
    /// Disabling takes everything away, and nobody said so.
    disabling_strips |cx, call, next, memo| {
        if to_status(call) == Some(AccountStatus::Disabled)
            && let Some((_, Some(account))) = op(call)
        {
            let held = state(cx, next, Some(account)).await.map(|it| it.holdings);
            for entitlement in held.unwrap_or_default() {
                next.run(cx, &own(account, Operation::Revoke { entitlement }, memo)).await?;
            }
        }
        next.run(cx, call).await
    }
    /// Disabling an account that is gone fails.
    disabling_nobody_fails |cx, call, next, memo| {
        if to_status(call).is_some_and(|status| !status.can_sign_in())
            && let Some((_, account)) = op(call)
            && state(cx, next, account).await.is_none()
        {
            return error(ErrorKind::NotFound);
        }
        next.run(cx, call).await
    }
    /// Enabling does nothing.
    enabling_does_nothing |cx, call, next, memo| {
        match to_status(call) {
            Some(AccountStatus::Active) => unchanged(call),
            _ => next.run(cx, call).await,
        }
    }
    /// Enabling an account that is gone succeeds.
    enabling_nobody_is_fine |cx, call, next, memo| {
        match (to_status(call), next.run(cx, call).await) {
            (Some(AccountStatus::Active), Err(_)) => changed(call),
            (_, result) => result,
        }
    }
    /// Deleting only disables.
    deleting_only_disables |cx, call, next, memo| {
        match op(call) {
            Some((Operation::DeleteAccount, _)) => {
                let op = Operation::SetStatus { status: AccountStatus::Disabled };
                next.run(cx, &instead(call, op)).await
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Deleting what is gone fails.
    deleting_twice_fails |cx, call, next, memo| {
        match op(call) {
            Some((Operation::DeleteAccount, account))
                if state(cx, next, account).await.is_none() =>
            {
                error(ErrorKind::NotFound)
            }
            _ => next.run(cx, call).await,
        }
    }
    /// An update clears what it does not name.
    update_replaces_everything |cx, call, next, memo| {
        if let Some((Operation::UpdateAccount { user_name, set, .. }, account)) = op(call) {
            let known = state(cx, next, account).await.map(|it| it.attributes).unwrap_or_default();
            let clear = known.into_keys().filter(|name| !set.contains_key(name)).collect();
            let (user_name, set) = (user_name.clone(), set.clone());
            return next.run(cx, &instead(call, Operation::UpdateAccount { user_name, set, clear })).await;
        }
        next.run(cx, call).await
    }
    /// An update without change says that it changed something.
    update_always_changes |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match op(call) {
            Some((Operation::UpdateAccount { .. }, _)) => changed(call),
            _ => Ok(reply),
        }
    }
    /// Nothing is cleared.
    clearing_does_nothing |cx, call, next, memo| {
        if let Some((Operation::UpdateAccount { user_name, set, .. }, _)) = op(call) {
            let (user_name, set) = (user_name.clone(), set.clone());
            let clear = BTreeSet::new();
            return next.run(cx, &instead(call, Operation::UpdateAccount { user_name, set, clear })).await;
        }
        next.run(cx, call).await
    }
    /// A rename does nothing.
    rename_does_nothing |cx, call, next, memo| {
        if let Some((Operation::UpdateAccount { user_name: Some(_), set, clear }, _)) = op(call) {
            let (set, clear) = (set.clone(), clear.clone());
            let op = Operation::UpdateAccount { user_name: None, set, clear };
            next.run(cx, &instead(call, op)).await?;
            return changed(call);
        }
        next.run(cx, call).await
    }
    /// A rename makes another account.
    rename_makes_another |cx, call, next, memo| {
        if let Some((Operation::UpdateAccount { user_name: Some(name), .. }, Some(account))) = op(call)
            && let Some(old) = state(cx, next, Some(account)).await
            && let Some(external_id) = old.external_id
        {
            next.run(cx, &own(account, Operation::DeleteAccount, memo)).await?;
            let mut attributes: BTreeMap<_, _> = old.attributes;
            for required in &next.descriptor().required_attributes {
                attributes.entry(required.clone()).or_insert_with(|| AttributeValue::text("x"));
            }
            let (user_name, status) = (name.clone(), old.status);
            let op = Operation::CreateAccount { user_name, external_id, status, attributes };
            if let Call::Apply(change) = own(account, op, memo) {
                return next.run(cx, &Call::Apply(Change { account: None, ..change })).await;
            }
        }
        next.run(cx, call).await
    }
    /// An update of an account that is gone succeeds.
    update_of_nobody_is_fine |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::UpdateAccount { .. }, _)), Err(e))
                if e.kind() == ErrorKind::NotFound =>
            {
                changed(call)
            }
            (_, result) => result,
        }
    }
    /// No credential is revoked.
    credentials_stay |cx, call, next, memo| {
        match op(call) {
            Some((Operation::RevokeCredentials { .. }, _)) => changed(call),
            _ => next.run(cx, call).await,
        }
    }
    /// Everybody's credentials are revoked.
    credentials_of_everybody_go |cx, call, next, memo| {
        if let Some((Operation::RevokeCredentials { class }, Some(_))) = op(call) {
            for account in everybody(cx, next).await {
                let op = Operation::RevokeCredentials { class: *class };
                next.run(cx, &own(&account, op, memo)).await?;
            }
        }
        next.run(cx, call).await
    }
    /// Credentials of an account that is gone are an error.
    credentials_of_nobody_fail |cx, call, next, memo| {
        match op(call) {
            Some((Operation::RevokeCredentials { .. }, account))
                if state(cx, next, account).await.is_none() =>
            {
                error(ErrorKind::NotFound)
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Credentials of a disabled account cannot be revoked.
    credentials_of_the_disabled_fail |cx, call, next, memo| {
        match op(call) {
            Some((Operation::RevokeCredentials { .. }, account))
                if state(cx, next, account)
                    .await
                    .is_some_and(|it| it.status == AccountStatus::Disabled) =>
            {
                error(ErrorKind::Invalid)
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Credentials that nobody counted show as none.
    credentials_show_as_none |cx, call, next, memo| {
        Ok(match next.run(cx, call).await? {
            Reply::Seen(Observation::Present(mut state)) => {
                state.credentials.values_mut().for_each(|count| *count = 0);
                Reply::Seen(Observation::Present(state))
            }
            other => other,
        })
    }
    /// Mailboxes stay as they are.
    mailbox_stays |cx, call, next, memo| {
        match op(call) {
            Some((Operation::SetMailbox(_), _)) => unchanged(call),
            _ => next.run(cx, call).await,
        }
    }
    /// A mailbox that is not there is changed.
    no_mailbox_is_fine |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::SetMailbox(_), _)), Err(_)) => changed(call),
            (_, result) => result,
        }
    }
    /// Somebody else gets what was owned.
    ownership_goes_to_another |cx, call, next, memo| {
        if let Some((Operation::TransferOwnership { to }, Some(from))) = op(call) {
            let all = everybody(cx, next).await;
            let other = all.into_iter().find(|id| id != to && id != from);
            let op = Operation::TransferOwnership { to: other.unwrap_or_else(|| to.clone()) };
            return next.run(cx, &instead(call, op)).await;
        }
        next.run(cx, call).await
    }
    /// Nothing to hand over is said to be handed over.
    nothing_is_transferred |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match op(call) {
            Some((Operation::TransferOwnership { .. }, _)) => changed(call),
            _ => Ok(reply),
        }
    }
    /// A transfer to nobody succeeds.
    transfer_to_nobody_is_fine |cx, call, next, memo| {
        match (op(call), next.run(cx, call).await) {
            (Some((Operation::TransferOwnership { .. }, _)), Err(_)) => changed(call),
            (_, result) => result,
        }
    }
    /// Suspended is disabled.
    suspended_is_disabled |cx, call, next, memo| {
        match to_status(call) {
            Some(AccountStatus::Suspended) => {
                let op = Operation::SetStatus { status: AccountStatus::Disabled };
                next.run(cx, &instead(call, op)).await
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A status that is not there is taken for disabled.
    unknown_status_is_disabled |cx, call, next, memo| {
        match (to_status(call), next.run(cx, call).await) {
            (Some(_), Err(e)) if e.kind() == ErrorKind::Unsupported => {
                let op = Operation::SetStatus { status: AccountStatus::Disabled };
                next.run(cx, &instead(call, op)).await
            }
            (_, result) => result,
        }
    }
}
