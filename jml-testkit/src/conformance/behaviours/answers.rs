//! Descriptors, outcomes, previews, conditions.

use jml_core::account::AccountStatus;
use jml_core::provider::{
    Applied, Contract, Descriptor, Effect, ErrorKind, Expect, MailboxChange, MailboxPart,
    Operation, SupportMode, Verb,
};

use super::behaviours;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail, grant, revoke, set, status};

/// An operation of a verb that names nothing that exists.
fn sample(
    verb: Verb,
    bench: &Bench,
    key: &jml_core::entitlement::EntitlementKey,
) -> Check<Operation> {
    Ok(match verb {
        Verb::CreateAccount => bench.creation("sample")?,
        Verb::UpdateAccount => set(&[(&bench.attributes()?.0, "x")]),
        Verb::SetStatus => status(AccountStatus::Disabled),
        Verb::DeleteAccount => Operation::DeleteAccount,
        Verb::RevokeCredentials(class) => Operation::RevokeCredentials { class },
        Verb::Grant => grant(key),
        Verb::Revoke => revoke(key),
        Verb::Exchange => Operation::Exchange { revoke: key.clone(), grant: key.clone() },
        Verb::SetMailbox(part) => Operation::SetMailbox(match part {
            MailboxPart::AutoReply => MailboxChange::AutoReply("gone".into()),
            MailboxPart::Forward => MailboxChange::ForwardTo(bench.nobody()?),
            MailboxPart::Delegate => MailboxChange::Delegate(bench.nobody()?),
            _ => MailboxChange::ConvertToShared,
        }),
        Verb::TransferOwnership => Operation::TransferOwnership { to: bench.nobody()? },
        other => return Err(Stop::NotApplicable(format!("{other} is unknown to this suite"))),
    })
}

/// An entitlement, or a name that no target has, for a target without any.
async fn some_key(bench: &Bench) -> Check<jml_core::entitlement::EntitlementKey> {
    match bench.a_key().await {
        Ok(key) => Ok(key),
        Err(_) => "group/none".parse().map_err(|_| Stop::Inconclusive("no key".into())),
    }
}

behaviours! {
    /// Plans are made from the descriptor; one that changes under way, or that cannot be stored, makes
    /// plans that nobody can repeat.
    d1 descriptor_is_constant_and_round_trips BlackBox |bench| {
        let first = bench.descriptor().clone();
        let _ = bench.pages(None).await;
        ensure!(first == *bench.descriptor(), "the descriptor has changed");
        let text = serde_json::to_string(&first).map_err(|e| Stop::Fail(e.to_string()))?;
        let again: Descriptor =
            serde_json::from_str(&text).map_err(|e| Stop::Fail(format!("{e} in {text}")))?;
        ensure!(again == first, "it reads back as something else");
    }
    /// A verb that is declared and does not work makes plans that cannot end; undeclared, it would have
    /// become a task for a person.
    d2 declared_verbs_are_supported BlackBox |bench| {
        let key = some_key(bench).await?;
        let nobody = bench.nobody()?;
        for (verb, support) in bench.descriptor().verbs.clone() {
            if support.mode == SupportMode::Manual {
                continue;
            }
            let op = sample(verb, bench, &key)?;
            let account = (!op.makes_account()).then_some(&nobody);
            if let Err(error) = bench.send(&bench.change(account, op)).await {
                ensure!(error.kind() != ErrorKind::Unsupported, "{verb} answers: {error}");
            }
        }
    }
    /// What is not declared must not be done: the planner has already given it to a person.
    d3 undeclared_verbs_are_refused BlackBox |bench| {
        let key = some_key(bench).await?;
        let declared = &bench.descriptor().verbs;
        let missing: Vec<Verb> =
            Verb::ALL.into_iter().filter(|verb| !declared.contains_key(verb)).collect();
        if missing.is_empty() {
            return Err(Stop::NotApplicable("every verb is declared".into()));
        }
        let nobody = bench.nobody()?;
        let account = match bench.one().await {
            Ok(account) => account,
            Err(_) => nobody,
        };
        let sent = bench.world.wire.as_ref().map(|wire| wire.requests().len());
        let before = bench.whole_truth().await?;
        for verb in missing {
            let op = sample(verb, bench, &key)?;
            let account = (!op.makes_account()).then_some(&account);
            match bench.send(&bench.change(account, op)).await {
                Ok(outcome) => return fail(format!("{verb} answers {:?}", outcome.effect)),
                Err(error) => {
                    ensure!(error.kind() == ErrorKind::Unsupported, "{verb} answers: {error}");
                    ensure!(error.applied() == Applied::No, "{verb} leaves doubt");
                }
            }
        }
        ensure!(bench.whole_truth().await? == before, "something has changed");
        if let (Some(sent), Some(_)) = (sent, &bench.world.wire) {
            ensure!(bench.mutating_since(sent)? == 0, "something was sent");
        }
    }
    /// A kind that nobody declared cannot be judged: whether several can be held, whether it can be
    /// given at all.
    d4 rows_match_the_descriptor BlackBox |bench| {
        let kinds = &bench.descriptor().kinds;
        if let (Ok(account), Ok(key)) = (bench.one().await, bench.a_key().await) {
            if bench.descriptor().supports(Verb::Grant) {
                bench.does(&account, grant(&key)).await?;
            }
            ensure!(kinds.contains_key(&key.kind), "kind `{}` is not declared", key.kind);
        }
        for (id, account) in bench.all().await? {
            for held in &account.holdings {
                ensure!(kinds.contains_key(&held.kind), "`{id}` holds an undeclared `{held}`");
            }
        }
    }
    /// An operator grants what the descriptor asks for. A verb without a permission is one that fails on
    /// the first day.
    d5 every_verb_names_its_permission BlackBox |bench| {
        for (verb, support) in &bench.descriptor().verbs {
            let manual = support.mode == SupportMode::Manual;
            ensure!(manual || !support.permissions.is_empty(), "{verb} names no permission");
        }
    }
    /// Whoever reads a report must know against what it was made.
    d6 contract_is_the_current_one BlackBox |bench| {
        let declared = bench.descriptor().contract;
        ensure!(declared.major == Contract::CURRENT.major, "it declares contract {declared}");
    }
    /// The effect decides whether evidence says "done by us" or "was so already".
    o1 effects_are_truthful BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        for (op, moves) in
            [(grant(&key), true), (grant(&key), false), (revoke(&key), true), (revoke(&key), false)]
        {
            let before = bench.holds(&account).await?;
            let effect = bench.does(&account, op.clone()).await?.effect;
            let moved = bench.holds(&account).await? != before;
            ensure!(moved == moves, "`{op}` changed: {moved}");
            let says = match effect {
                Effect::Changed => Some(true),
                Effect::Unchanged => Some(false),
                _ => None,
            };
            ensure!(says.is_none_or(|says| says == moved), "`{op}` says {effect:?}");
        }
    }
    /// Without the account's id, nothing can be given to it.
    o2 a_creation_names_its_account BlackBox |bench| {
        let id = bench.creates("ada").await?;
        ensure!(bench.truth(&id).await?.is_some(), "it names `{id}`, which is not there");
    }
    /// Who disables an account must know what went with it, or the evidence misses a revoke.
    o3 side_effects_are_reported BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::SetStatus)?;
        if bench.descriptor().disabled_keeps_holdings {
            return Err(Stop::NotApplicable("disabling keeps what is held".into()));
        }
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        let outcome = bench.does(&account, status(AccountStatus::Disabled)).await?;
        let told = jml_core::provider::SideEffect::Dropped(key.clone());
        ensure!(outcome.side_effects.contains(&told), "the loss of `{key}` is not told");
    }
    /// A preview that writes is the worst surprise there is.
    p1 preview_changes_nothing BlackBox |bench| {
        let account = bench.one().await?;
        let key = some_key(bench).await?;
        let before = bench.whole_truth().await?;
        let sent = bench.world.wire.as_ref().map(|wire| wire.requests().len());
        for verb in bench.descriptor().verbs.keys().copied().collect::<Vec<_>>() {
            let op = sample(verb, bench, &key)?;
            let of = (!op.makes_account()).then_some(&account);
            let _ = bench.provider().preview(&bench.cx(), &bench.change(of, op)).await;
        }
        bench.settle().await;
        ensure!(bench.whole_truth().await? == before, "something has changed");
        if let (Some(sent), Some(_)) = (sent, &bench.world.wire) {
            ensure!(bench.mutating_since(sent)? == 0, "a changing request was sent");
        }
    }
    /// People decide by the preview. What it says must be what happens.
    p2 preview_predicts BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        bench.needs(Verb::Revoke)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        for op in [grant(&key), grant(&key), revoke(&key), revoke(&key)] {
            let change = bench.change(Some(&account), op.clone());
            let preview = bench.provider().preview(&bench.cx(), &change).await;
            let preview = preview.map_err(|e| Stop::Fail(format!("preview of `{op}`: {e}")))?;
            let before = bench.holds(&account).await?;
            bench.send(&change).await.map_err(|e| Stop::Fail(format!("`{op}`: {e}")))?;
            let after = bench.holds(&account).await?;
            let moved = before != after;
            ensure!((preview.effect == Effect::Changed) == moved, "`{op}`: {:?}", preview.effect);
            let seen = |o: &jml_core::provider::Observation| o.account().map(|a| a.holdings.clone());
            ensure!(seen(&preview.before) == Some(before), "`{op}`: it shows another before");
            ensure!(seen(&preview.after) == Some(after), "`{op}`: it shows another after");
        }
    }
    /// A plan that cannot work must be seen before it is approved, not after.
    p3 preview_fails_as_apply_does BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, nobody) = (bench.one().await?, bench.nobody()?);
        let (key, missing) = (bench.a_key().await?, bench.no_key().await?);
        for (account, key) in [(&nobody, &key), (&account, &missing)] {
            let change = bench.change(Some(account), grant(key));
            let said = bench.provider().preview(&bench.cx(), &change).await;
            let did = bench.send(&change).await;
            match (said, did) {
                (Err(said), Err(did)) => {
                    ensure!(said.kind() == did.kind(), "it says {said}, and then {did}");
                }
                (Ok(_), Err(did)) => return fail(format!("it says fine, and then {did}")),
                (_, Ok(_)) => return fail("a grant of nothing, or to nobody, succeeds"),
            }
        }
    }
    /// Whether the target itself checked is the difference between a forecast and a promise.
    p4 preview_fidelity_is_as_declared BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let change = bench.change(Some(&account), grant(&key));
        let preview = bench.provider().preview(&bench.cx(), &change).await;
        let preview = preview.map_err(|e| Stop::Fail(e.to_string()))?;
        let declared = bench.descriptor().verbs.get(&Verb::Grant).map(|support| support.preview);
        ensure!(Some(preview.fidelity) == declared, "it is {:?}", preview.fidelity);
    }
    /// A preview of what cannot be done would let somebody approve it.
    p5 preview_of_an_undeclared_verb_is_refused BlackBox |bench| {
        let declared = &bench.descriptor().verbs;
        let Some(verb) = Verb::ALL.into_iter().find(|verb| !declared.contains_key(verb)) else {
            return Err(Stop::NotApplicable("every verb is declared".into()));
        };
        let op = sample(verb, bench, &some_key(bench).await?)?;
        let nobody = bench.nobody()?;
        let of = (!op.makes_account()).then_some(&nobody);
        match bench.provider().preview(&bench.cx(), &bench.change(of, op)).await {
            Ok(_) => return fail(format!("a preview of {verb}")),
            Err(error) => ensure!(error.kind() == ErrorKind::Unsupported, "{error}"),
        }
    }
    /// Somebody else changed the account since the plan was made. Writing over it undoes their work.
    x1 a_stale_version_is_a_conflict OutOfBand |bench| {
        if !bench.descriptor().checks_versions {
            return Err(Stop::NotApplicable("versions are not checked".into()));
        }
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        let Some(version) = bench.sees(&account).await?.version else {
            return fail("versions are checked and not shown");
        };
        let (one, other) = bench.attributes()?;
        bench.does(&account, set(&[(&one, "first")])).await?;
        let before = bench.truth(&account).await?;
        let mut change = bench.change(Some(&account), set(&[(&other, "second")]));
        change.expect = Expect::Version(version);
        match bench.send(&change).await {
            Ok(_) => return fail("it wrote over a newer version"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::Conflict, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        ensure!(bench.truth(&account).await? == before, "something has changed");
    }
    /// A condition that is never met stops everything.
    x2 a_fresh_version_is_accepted BlackBox |bench| {
        if !bench.descriptor().checks_versions {
            return Err(Stop::NotApplicable("versions are not checked".into()));
        }
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        let (one, _) = bench.attributes()?;
        bench.does(&account, set(&[(&one, "first")])).await?;
        let Some(version) = bench.sees(&account).await?.version else {
            return fail("versions are checked and not shown");
        };
        let mut change = bench.change(Some(&account), set(&[(&one, "second")]));
        change.expect = Expect::Version(version);
        bench.send(&change).await.map_err(|e| Stop::Fail(e.to_string()))?;
    }
}
