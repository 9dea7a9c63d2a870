//! What a connector says, and what is so, when one request of a change fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::TimeDelta;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::attribute::AttributeValue;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Effect, MailboxChange, MailboxPart, Operation, Outcome, Verb,
};

use crate::conformance::bench::{Bench, Check, Stop, fail, grant, rename, revoke, set, status};
use crate::fake::{Hits, WireFault};

type Truth = BTreeMap<AccountId, AccountState>;

/// A change that can be made to one fresh account after another.
#[derive(Debug)]
enum Trial {
    Create,
    Update,
    Rename,
    Status(AccountStatus),
    Delete,
    Credentials(CredentialClass),
    Grant(EntitlementKey),
    Revoke(EntitlementKey),
    Exchange(EntitlementKey, EntitlementKey),
    Mailbox(MailboxPart),
    Transfer,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create"),
            Self::Update => f.write_str("update"),
            Self::Rename => f.write_str("rename"),
            Self::Status(to) => write!(f, "status {to:?}"),
            Self::Delete => f.write_str("delete"),
            Self::Credentials(class) => write!(f, "credentials {class:?}"),
            Self::Grant(key) => write!(f, "grant {}", key.kind),
            Self::Revoke(key) => write!(f, "revoke {}", key.kind),
            Self::Exchange(from, _) => write!(f, "exchange {}", from.kind),
            Self::Mailbox(part) => write!(f, "mailbox {part:?}"),
            Self::Transfer => f.write_str("transfer"),
        }
    }
}

/// Makes each change that is declared, once without faults to count its requests, then with each of them
/// failing in each way. What the backdoor cannot prepare is not tried, and is in the report.
pub(super) async fn each_request_fails(bench: &Bench) -> Check {
    let wire = bench.wire()?.clone();
    bench.backdoor()?;
    // The credential is there before anything is counted.
    let _ = bench.provider().health(&bench.cx()).await;
    let (mut number, mut tried, mut left) = (0, 0, Vec::new());
    for trial in trials(bench).await? {
        number += 1;
        let Some(change) = prepared(bench, &trial, number).await? else {
            left.push(trial.to_string());
            continue;
        };
        let from = wire.requests().len();
        let outcome = bench.send(&change).await;
        let count = u32::try_from(wire.requests().len() - from).unwrap_or(u32::MAX);
        let outcome = outcome.map_err(|e| Stop::Fail(format!("{trial}, no fault: {e}")))?;
        ended(bench, outcome).await?;
        holds(&change, &truth(bench).await?)
            .map_err(|why| Stop::Fail(format!("{trial}, no fault: {why}")))?;
        let mut fired = 0;
        for request in 1..=count {
            for fault in [WireFault::status(500), WireFault::ResetAfter, WireFault::status(429)] {
                number += 1;
                let what = format!("{trial}, request {request} of {count}, {fault:?}");
                let Some(change) = prepared(bench, &trial, number).await? else {
                    return Err(Stop::Inconclusive(format!("{what}: not prepared again")));
                };
                fired += fails(bench, &change, request, fault)
                    .await?
                    .map_err(|why| Stop::Fail(format!("{what}: {why}")))?;
            }
        }
        if fired == 0 {
            return Err(Stop::Inconclusive(format!("{trial}: no fault happened")));
        }
        tried += 1;
    }
    if tried == 0 && left.is_empty() {
        return Err(Stop::NotApplicable("no change can be made".into()));
    }
    let names = if left.is_empty() { String::new() } else { format!(": {}", left.join(", ")) };
    bench.note(format!("{tried} changes tried, {} not prepared{names}", left.len()));
    if tried == 0 {
        return Err(Stop::Inconclusive("no change could be prepared".into()));
    }
    Ok(())
}

/// Makes a change of which one request fails, and makes it again. How many requests failed, or why it
/// does not hold.
async fn fails(
    bench: &Bench,
    change: &Change,
    request: u32,
    fault: WireFault,
) -> Check<Result<u32, String>> {
    let wire = bench.wire()?;
    let (before, fired) = (truth(bench).await?, wire.fired());
    bench.inject(Hits::Nth(request), 1, fault)?;
    let said = bench.send(change).await;
    wire.calm();
    let fired = wire.fired() - fired;
    match said {
        Ok(outcome) => {
            ended(bench, outcome).await?;
            if let Err(why) = holds(change, &truth(bench).await?) {
                return Ok(Err(format!("it is said to be done, and {why}")));
            }
        }
        Err(error) => {
            if error.applied() == Applied::No && truth(bench).await? != before {
                return Ok(Err(format!("something has changed, and it is said that not: {error}")));
            }
        }
    }
    match bench.send(change).await {
        Ok(outcome) => ended(bench, outcome).await?,
        Err(error) => return Ok(Err(format!("tried again: {error}"))),
    }
    let after = truth(bench).await?;
    if let Err(why) = holds(change, &after).and_then(|()| untouched(change, &before, &after)) {
        return Ok(Err(format!("tried again, {why}")));
    }
    Ok(Ok(fired))
}

/// Everything as it really is, without what every write changes.
async fn truth(bench: &Bench) -> Check<Truth> {
    let mut all = bench.whole_truth().await?;
    for state in all.values_mut() {
        state.version = None;
    }
    Ok(all)
}

/// Waits for the end of a change that takes its time.
async fn ended(bench: &Bench, mut outcome: Outcome) -> Check {
    for _ in 0..100 {
        let Some(pending) = outcome.pending.filter(|_| outcome.effect == Effect::Pending) else {
            return Ok(());
        };
        let cx = bench.cx();
        cx.clock().sleep_until(cx.now() + TimeDelta::minutes(10)).await;
        outcome = bench
            .provider()
            .poll(&cx, &pending)
            .await
            .map_err(|e| Stop::Fail(format!("asked for the end: {e}")))?;
    }
    fail("a pending change does not end")
}

async fn trials(bench: &Bench) -> Check<Vec<Trial>> {
    let can = |verb| bench.descriptor().supports(verb);
    let mut trials = Vec::new();
    let verbs = bench.descriptor().verbs.keys().copied();
    for verb in verbs.filter(|verb| can(*verb)) {
        match verb {
            Verb::CreateAccount => trials.push(Trial::Create),
            Verb::UpdateAccount => trials.extend([Trial::Update, Trial::Rename]),
            Verb::SetStatus => {
                let known = &bench.descriptor().statuses;
                let known = known.iter().filter(|it| **it != AccountStatus::Staged);
                trials.extend(known.copied().map(Trial::Status));
            }
            Verb::DeleteAccount => trials.push(Trial::Delete),
            Verb::RevokeCredentials(class) => trials.push(Trial::Credentials(class)),
            Verb::Grant => {
                trials.extend(bench.key_of_each_kind().await?.into_iter().map(Trial::Grant));
            }
            Verb::Revoke if can(Verb::Grant) => {
                trials.extend(bench.key_of_each_kind().await?.into_iter().map(Trial::Revoke));
            }
            Verb::Exchange if can(Verb::Grant) => {
                if let [one, other] = bench.keys(2).await?.as_slice() {
                    trials.push(Trial::Exchange(one.clone(), other.clone()));
                }
            }
            Verb::SetMailbox(part) => trials.push(Trial::Mailbox(part)),
            Verb::TransferOwnership => trials.push(Trial::Transfer),
            _ => {}
        }
    }
    Ok(trials)
}

/// A fresh account on which the change is not made yet. `None` where the backdoor cannot make one.
async fn prepared(bench: &Bench, trial: &Trial, number: u32) -> Check<Option<Change>> {
    let user = format!("k{number}");
    if matches!(trial, Trial::Create) {
        return Ok(Some(bench.change(None, bench.creation(&user)?)));
    }
    let (one, other) = bench.attributes()?;
    // Whatever a change may take along is there, so that it is seen when it goes.
    let classes = bench.descriptor().verbs.keys().filter_map(|verb| match verb {
        Verb::RevokeCredentials(class) if bench.descriptor().supports(*verb) => Some((*class, 3)),
        _ => None,
    });
    let account = account(bench, &user, |state| {
        state.credentials.extend(classes);
        match trial {
            Trial::Update => {
                state.attributes.insert(one.clone(), AttributeValue::text("old"));
            }
            Trial::Transfer => {
                state.owns =
                    [format!("budget-{user}"), format!("roadmap-{user}")].map(Into::into).into();
            }
            _ => {}
        }
    })
    .await?;
    let op = match trial {
        Trial::Create => return Ok(None),
        Trial::Update => match set(&[(&other, "new")]) {
            Operation::UpdateAccount { set, .. } => {
                Operation::UpdateAccount { user_name: None, set, clear: BTreeSet::from([one]) }
            }
            op => op,
        },
        Trial::Rename => rename(&bench.user(&format!("renamed-{user}"))),
        Trial::Status(to) => {
            if *to == AccountStatus::Active {
                bench.does(&account, status(AccountStatus::Disabled)).await?;
            }
            status(*to)
        }
        Trial::Delete => Operation::DeleteAccount,
        Trial::Credentials(class) => Operation::RevokeCredentials { class: *class },
        Trial::Grant(key) => grant(key),
        Trial::Revoke(key) => {
            bench.does(&account, grant(key)).await?;
            revoke(key)
        }
        Trial::Exchange(from, to) => {
            bench.does(&account, grant(from)).await?;
            Operation::Exchange { revoke: from.clone(), grant: to.clone() }
        }
        Trial::Mailbox(MailboxPart::AutoReply) => {
            Operation::SetMailbox(MailboxChange::AutoReply("I have left.".into()))
        }
        Trial::Mailbox(MailboxPart::Forward) => {
            Operation::SetMailbox(MailboxChange::ForwardTo(taker(bench, &user).await?))
        }
        Trial::Mailbox(MailboxPart::Delegate) => {
            Operation::SetMailbox(MailboxChange::Delegate(taker(bench, &user).await?))
        }
        Trial::Mailbox(_) => Operation::SetMailbox(MailboxChange::ConvertToShared),
        Trial::Transfer => Operation::TransferOwnership { to: taker(bench, &user).await? },
    };
    let change = bench.change(Some(&account), op);
    let undone = holds(&change, &truth(bench).await?).is_err();
    let owns = bench.truth(&account).await?.is_some_and(|it| !it.owns.is_empty());
    Ok((undone && (owns || !matches!(trial, Trial::Transfer))).then_some(change))
}

async fn taker(bench: &Bench, user: &str) -> Check<AccountId> {
    account(bench, &format!("taker-{user}"), |_| {}).await
}

/// An account that another administrator makes.
async fn account(
    bench: &Bench,
    user: &str,
    with: impl FnOnce(&mut AccountState),
) -> Check<AccountId> {
    let backdoor = bench.backdoor()?;
    let id = backdoor.put(bench.fresh(user)?).await;
    let Some(mut state) = bench.truth(&id).await? else { return fail("it is not there") };
    with(&mut state);
    let id = backdoor.put(state).await;
    bench.settle().await;
    Ok(id)
}

/// Whether the end state is so; the error says what is not.
fn holds(change: &Change, truth: &Truth) -> Result<(), String> {
    let is = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op {
        let mine = |it: &&AccountState| {
            it.user_name == *user_name || it.external_id.as_ref() == Some(external_id)
        };
        let found: Vec<&AccountState> = truth.values().filter(mine).collect();
        let [state] = found.as_slice() else { return Err(format!("there are {}", found.len())) };
        is(state.user_name == *user_name, "it has another name")?;
        is(state.external_id.as_ref() == Some(external_id), "it is somebody else's")?;
        is(state.status == *status, "it has another status")?;
        let kept = attributes.iter().all(|(name, it)| state.attributes.get(name) == Some(it));
        return is(kept, "an attribute is missing");
    }
    let state = change.account.as_ref().and_then(|id| truth.get(id));
    if change.op == Operation::DeleteAccount {
        return is(state.is_none(), "it is there");
    }
    let Some(state) = state else { return Err("it is gone".to_owned()) };
    match &change.op {
        Operation::UpdateAccount { user_name, set, clear } => {
            is(user_name.as_ref().is_none_or(|it| state.user_name == *it), "it has another name")?;
            let kept = set.iter().all(|(name, it)| state.attributes.get(name) == Some(it));
            is(kept, "an attribute has another value")?;
            is(!clear.iter().any(|it| state.attributes.contains_key(it)), "an attribute is left")
        }
        Operation::SetStatus { status } => is(state.status == *status, "it has another status"),
        Operation::RevokeCredentials { class } => {
            is(state.credentials.get(class).is_none_or(|left| *left == 0), "some are alive")
        }
        Operation::Grant { entitlement } => {
            is(state.holdings.contains(entitlement), "it is not held")
        }
        Operation::Revoke { entitlement } => {
            is(!state.holdings.contains(entitlement), "it is held")
        }
        Operation::Exchange { revoke, grant } => {
            is(state.holdings.contains(grant), "the new one is not held")?;
            is(!state.holdings.contains(revoke), "the old one is held")
        }
        Operation::SetMailbox(change) => {
            let Some(mailbox) = &state.mailbox else { return Err("there is no mailbox".into()) };
            let so = match change {
                MailboxChange::AutoReply(text) => mailbox.auto_reply.as_ref() == Some(text),
                MailboxChange::ForwardTo(to) => mailbox.forward_to.as_ref() == Some(to),
                MailboxChange::Delegate(to) => mailbox.delegates.contains(to),
                _ => mailbox.shared,
            };
            is(so, "the mailbox does something else")
        }
        Operation::TransferOwnership { to } => {
            is(state.owns.is_empty(), "it owns some still")?;
            is(truth.get(to).is_some_and(|it| !it.owns.is_empty()), "the taker owns nothing")
        }
        _ => Err("nobody knows what it is".to_owned()),
    }
}

/// Whether nobody else changed, came or went; the error says what did.
fn untouched(change: &Change, before: &Truth, after: &Truth) -> Result<(), String> {
    let mut theirs = change.account.iter().collect::<BTreeSet<_>>();
    match &change.op {
        Operation::TransferOwnership { to } => _ = theirs.insert(to),
        Operation::CreateAccount { .. } => {
            theirs.extend(after.keys().filter(|it| !before.contains_key(*it)));
        }
        _ => {}
    }
    if let Some(id) =
        before.keys().find(|id| !theirs.contains(id) && after.get(*id) != before.get(*id))
    {
        return Err(format!("account `{id}` has changed too"));
    }
    match after.keys().find(|id| !theirs.contains(id) && !before.contains_key(*id)) {
        Some(id) => Err(format!("account `{id}` has come too")),
        None => Ok(()),
    }
}
