//! What a leaver leaves behind: credentials, mailboxes, ownership.

use jml_core::account::{AccountStatus, CredentialClass, Mailbox};
use jml_core::provider::{Applied, Effect, ErrorKind, MailboxChange, MailboxPart, Operation, Verb};

use super::behaviours;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail};

/// Kills a class of credentials of one of two accounts that have some of every class.
async fn kills(bench: &Bench, class: CredentialClass) -> Check {
    let verb = Verb::RevokeCredentials(class);
    bench.needs(verb)?;
    let backdoor = bench.backdoor()?;
    let accounts = bench.some(2).await?;
    for account in &accounts {
        let Some(mut state) = bench.truth(account).await? else { return fail("it is gone") };
        state.credentials.insert(class, 3);
        backdoor.put(state).await;
    }
    bench.settle().await;
    let [account, other] = accounts.as_slice() else { return fail("no accounts") };
    let alive = |state: &jml_core::account::AccountState| state.credentials.get(&class).copied();
    let before = bench.truth(account).await?.as_ref().and_then(alive);
    if before != Some(3) {
        return Err(Stop::NotRun(format!("the backdoor makes no {}", class.as_str())));
    }
    bench.does(account, Operation::RevokeCredentials { class }).await?;
    let left = bench.truth(account).await?.as_ref().and_then(alive);
    ensure!(left.unwrap_or(0) == 0, "{left:?} {} are alive", class.as_str());
    let others = bench.truth(other).await?.as_ref().and_then(alive);
    ensure!(others == Some(3), "those of another account are gone");
    let effect = bench.does(account, Operation::RevokeCredentials { class }).await?.effect;
    ensure!(effect != Effect::Changed, "the second time says that it changed something");
    Ok(())
}

fn mailbox(change: MailboxChange) -> Operation {
    Operation::SetMailbox(change)
}

/// Does something to a mailbox, twice, and looks.
async fn mails(bench: &Bench, change: MailboxChange) -> Check<Mailbox> {
    bench.needs(Verb::SetMailbox(change.part()))?;
    let account = bench.one().await?;
    let Some(state) = bench.truth(&account).await? else { return fail("it is gone") };
    if state.mailbox.is_none() {
        return Err(Stop::NotRun("needs an account with a mailbox".into()));
    }
    bench.does(&account, mailbox(change.clone())).await?;
    let effect = bench.does(&account, mailbox(change)).await?.effect;
    ensure!(effect != Effect::Changed, "the second time says that it changed something");
    let truth = bench.truth(&account).await?;
    truth.and_then(|it| it.mailbox).ok_or_else(|| Stop::Fail("the mailbox is gone".into()))
}

behaviours! {
    /// A session that outlives the account is access that nobody sees.
    k1 sessions_are_revoked OutOfBand |bench| { kills(bench, CredentialClass::Sessions).await?; }
    /// A refresh token makes new sessions for months.
    k2 refresh_tokens_are_revoked OutOfBand |bench| {
        kills(bench, CredentialClass::RefreshTokens).await?;
    }
    /// Scripts go on with the keys of people who left.
    k3 api_keys_are_revoked OutOfBand |bench| { kills(bench, CredentialClass::ApiKeys).await?; }
    /// An app password needs no second factor.
    k4 app_passwords_are_revoked OutOfBand |bench| {
        kills(bench, CredentialClass::AppPasswords).await?;
    }
    /// A key on a server needs no directory.
    k5 ssh_keys_are_revoked OutOfBand |bench| { kills(bench, CredentialClass::SshKeys).await?; }
    /// A factor of a leaver enrols the next account.
    k6 factors_are_revoked OutOfBand |bench| { kills(bench, CredentialClass::MfaFactors).await?; }
    /// A trusted device lets its holder skip the rest.
    k7 devices_are_revoked OutOfBand |bench| { kills(bench, CredentialClass::Devices).await?; }
    /// The account is gone, and its credentials with it.
    k8 credentials_of_nobody_are_gone BlackBox |bench| {
        let nobody = bench.nobody()?;
        let mut asked = 0;
        for class in CredentialClass::ALL {
            if bench.descriptor().supports(Verb::RevokeCredentials(class)) {
                let done = bench.does(&nobody, Operation::RevokeCredentials { class }).await?;
                ensure!(done.effect != Effect::Changed, "it says that it changed something");
                asked += 1;
            }
        }
        if asked == 0 {
            return Err(Stop::NotApplicable("no credentials are revoked".into()));
        }
    }
    /// Disable first, then kill: the order in which every leaver run works.
    k9 credentials_of_a_disabled_account_are_revoked BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        let disabled = jml_core::account::AccountStatus::Disabled;
        bench.does(&account, Operation::SetStatus { status: disabled }).await?;
        let mut asked = 0;
        for class in CredentialClass::ALL {
            if bench.descriptor().supports(Verb::RevokeCredentials(class)) {
                bench.does(&account, Operation::RevokeCredentials { class }).await?;
                asked += 1;
            }
        }
        if asked == 0 {
            return Err(Stop::NotApplicable("no credentials are revoked".into()));
        }
    }
    /// A class that shows no count shows nothing: zero would be a claim that nobody checked.
    k10 a_class_that_is_shown_is_counted OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        let account = bench.one().await?;
        let Some(mut state) = bench.truth(&account).await? else { return fail("it is gone") };
        for class in CredentialClass::ALL {
            state.credentials.insert(class, 2);
        }
        backdoor.put(state).await;
        bench.settle().await;
        let Some(truth) = bench.truth(&account).await? else { return fail("it is gone") };
        for (class, shown) in bench.sees(&account).await?.credentials {
            let real = truth.credentials.get(&class).copied().unwrap_or(0);
            ensure!(shown == real, "{} {} show, {real} are alive", shown, class.as_str());
        }
    }
    /// Customers write to people who left.
    m1 an_auto_reply_is_set BlackBox |bench| {
        let found = mails(bench, MailboxChange::AutoReply("I have left.".into())).await?;
        ensure!(found.auto_reply.as_deref() == Some("I have left."), "{:?}", found.auto_reply);
    }
    /// Mail must reach whoever took over.
    m2 mail_is_forwarded BlackBox |bench| {
        let to = bench.some(2).await?.remove(1);
        let found = mails(bench, MailboxChange::ForwardTo(to.clone())).await?;
        ensure!(found.forward_to == Some(to), "{:?}", found.forward_to);
    }
    /// Somebody must be able to look for the contract.
    m3 a_delegate_is_added BlackBox |bench| {
        let to = bench.some(2).await?.remove(1);
        let found = mails(bench, MailboxChange::Delegate(to.clone())).await?;
        ensure!(found.delegates.contains(&to), "{:?}", found.delegates);
    }
    /// The licence can only go when the mailbox needs none.
    m4 a_mailbox_is_converted BlackBox |bench| {
        let found = mails(bench, MailboxChange::ConvertToShared).await?;
        ensure!(found.shared, "it is not shared");
    }
    /// A change to a mailbox that is not there must not look done.
    m5 without_a_mailbox_it_is_not_found OutOfBand |bench| {
        let parts = MailboxPart::ALL.map(Verb::SetMailbox);
        let known = parts.into_iter().find(|verb| bench.descriptor().supports(*verb));
        let op = match known {
            None => return Err(Stop::NotApplicable("no mailbox is changed".into())),
            Some(Verb::SetMailbox(MailboxPart::Forward)) => {
                MailboxChange::ForwardTo(bench.some(1).await?.remove(0))
            }
            Some(Verb::SetMailbox(MailboxPart::Delegate)) => {
                MailboxChange::Delegate(bench.some(1).await?.remove(0))
            }
            Some(Verb::SetMailbox(MailboxPart::Shared)) => MailboxChange::ConvertToShared,
            Some(_) => MailboxChange::AutoReply("gone".into()),
        };
        let backdoor = bench.backdoor()?;
        let mut state = bench.fresh("nomail")?;
        state.mailbox = None;
        let account = backdoor.put(state).await;
        bench.settle().await;
        if bench.truth(&account).await?.is_none_or(|it| it.mailbox.is_some()) {
            return Err(Stop::NotRun("the backdoor makes only accounts with a mailbox".into()));
        }
        match bench.apply(&account, mailbox(op)).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::NotFound, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
    }
    /// Mail of a leaver must reach somebody. Plans are made by what the target says of itself.
    m6 mail_of_a_disabled_account_is_as_declared BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let change = MailboxChange::AutoReply("I have left.".into());
        bench.needs(Verb::SetMailbox(change.part()))?;
        let account = bench.one().await?;
        let mailbox_of = |state: Option<jml_core::account::AccountState>| state?.mailbox;
        if mailbox_of(bench.truth(&account).await?).is_none() {
            return Err(Stop::NotRun("needs an account with a mailbox".into()));
        }
        bench.does(&account, Operation::SetStatus { status: AccountStatus::Disabled }).await?;
        let declared = bench.descriptor().disabled_keeps_mail;
        let result = bench.apply(&account, mailbox(change)).await;
        ensure!(result.is_ok() == declared, "declared {declared}, and then {result:?}");
        let answers = mailbox_of(bench.truth(&account).await?).and_then(|it| it.auto_reply);
        ensure!(answers.is_some() == declared, "it does otherwise");
    }
    /// What only the leaver owned is lost with the account.
    w1 ownership_is_transferred OutOfBand |bench| {
        bench.needs(Verb::TransferOwnership)?;
        let backdoor = bench.backdoor()?;
        let accounts = bench.some(3).await?;
        let [from, to, other] = accounts.as_slice() else { return fail("no accounts") };
        let Some(mut state) = bench.truth(from).await? else { return fail("it is gone") };
        state.owns = ["budget", "roadmap"].map(Into::into).into();
        backdoor.put(state.clone()).await;
        bench.settle().await;
        bench.does(from, Operation::TransferOwnership { to: to.clone() }).await?;
        let owns = |it: Option<jml_core::account::AccountState>| it.map(|it| it.owns);
        ensure!(owns(bench.truth(from).await?).is_some_and(|it| it.is_empty()), "it keeps some");
        let got = owns(bench.truth(to).await?).unwrap_or_default();
        ensure!(got == state.owns, "the taker has {got:?}");
        let others = owns(bench.truth(other).await?).unwrap_or_default();
        ensure!(others.is_empty(), "somebody else has {others:?}");
    }
    /// Nothing to hand over is the usual case, and no failure.
    w2 nothing_to_transfer_is_unchanged BlackBox |bench| {
        bench.needs(Verb::TransferOwnership)?;
        let accounts = bench.some(2).await?;
        let [from, to] = accounts.as_slice() else { return fail("no accounts") };
        let done = bench.does(from, Operation::TransferOwnership { to: to.clone() }).await?;
        ensure!(done.effect != Effect::Changed, "it says that it changed something");
    }
    /// Handed over to nobody is lost.
    w3 a_transfer_to_nobody_loses_nothing OutOfBand |bench| {
        bench.needs(Verb::TransferOwnership)?;
        let backdoor = bench.backdoor()?;
        let from = bench.one().await?;
        let Some(mut state) = bench.truth(&from).await? else { return fail("it is gone") };
        state.owns = ["budget".into()].into();
        backdoor.put(state).await;
        bench.settle().await;
        let to = bench.nobody()?;
        match bench.apply(&from, Operation::TransferOwnership { to }).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => ensure!(error.kind() == ErrorKind::NotFound, "{error}"),
        }
        let Some(state) = bench.truth(&from).await? else { return fail("it is gone") };
        ensure!(state.owns.contains("budget"), "it is lost");
    }
}
