//! Making, changing, blocking and deleting accounts.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::account::AccountStatus;
use jml_core::attribute::AttributeValue;
use jml_core::provider::{Applied, Effect, ErrorKind, Observation, Operation, Target, Verb};

use super::behaviours;
use crate::conformance::bench::{Stop, ensure, fail, grant, person, rename, set, status};

behaviours! {
    /// The first day.
    a1 a_created_account_is_there BlackBox |bench| {
        let id = bench.creates("ada").await?;
        let truth = bench.truth(&id).await?;
        let Some(state) = truth else { return fail("it is not there") };
        ensure!(state.user_name == bench.user("ada"), "its name is `{}`", state.user_name);
        ensure!(state.status == AccountStatus::Active, "it is {}", state.status.as_str());
        ensure!(bench.all().await?.contains_key(&id), "it is not listed");
    }
    /// Two people with one name. The second must not get the account of the first.
    a2 a_taken_name_is_an_error BlackBox |bench| {
        let first = bench.creates("ada").await?;
        let before = bench.truth(&first).await?;
        let mut op = bench.creation("ada")?;
        if let Operation::CreateAccount { external_id, .. } = &mut op {
            *external_id = person("id-another-ada")?;
        }
        match bench.send(&bench.change(None, op)).await {
            Ok(outcome) => {
                return fail(format!("{:?}, account {:?}", outcome.effect, outcome.account));
            }
            Err(error) => {
                ensure!(error.kind() == ErrorKind::AlreadyExists, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        ensure!(bench.truth(&first).await? == before, "the first account has changed");
    }
    /// A creation that is sent again after a crash must not make a second account.
    a3 one_key_makes_one_account BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        let before = bench.whole_truth().await?.len();
        let change = bench.change(None, bench.creation("ada")?);
        let mut accounts = BTreeSet::new();
        for time in 1..=3 {
            let outcome = bench.send(&change).await;
            let outcome = outcome.map_err(|e| Stop::Fail(format!("time {time}: {e}")))?;
            ensure!(time == 1 || outcome.effect != Effect::Changed, "time {time} changed something");
            accounts.extend(outcome.account);
        }
        ensure!(accounts.len() == 1, "it names {accounts:?}");
        ensure!(bench.whole_truth().await?.len() == before + 1, "there is more than one");
    }
    /// What is missing is said before the first day, by name.
    a4 a_missing_attribute_is_invalid BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        if bench.descriptor().required_attributes.is_empty() {
            return Err(Stop::NotApplicable("nothing is required".into()));
        }
        let before = bench.whole_truth().await?.len();
        let mut op = bench.creation("ada")?;
        if let Operation::CreateAccount { attributes, .. } = &mut op {
            attributes.clear();
        }
        match bench.send(&bench.change(None, op)).await {
            Ok(_) => return fail("it is made all the same"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::Invalid, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        ensure!(bench.whole_truth().await?.len() == before, "it is there all the same");
    }
    /// The first thing that a leaver run does.
    a5 disabling_blocks BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        let truth = bench.truth(&account).await?;
        let Some(state) = truth else { return fail("it is gone") };
        ensure!(!state.status.can_sign_in(), "it is {}", state.status.as_str());
    }
    /// Leaver runs are repeated until they are sure.
    a6 disabling_is_idempotent BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        let before = bench.truth(&account).await?;
        let effect = bench.does(&account, status(AccountStatus::Disabled)).await?.effect;
        ensure!(effect != Effect::Changed, "the second time says that it changed something");
        ensure!(bench.truth(&account).await? == before, "something has changed");
    }
    /// A rehire, or a leaver who was none.
    a7 an_account_can_be_enabled_again BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        bench.does(&account, status(AccountStatus::Active)).await?;
        let truth = bench.truth(&account).await?;
        ensure!(truth.is_some_and(|it| it.status.can_sign_in()), "it is still blocked");
    }
    /// Whether disabling takes access away decides what is left to revoke.
    a8 disabling_keeps_or_drops_as_declared BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        let declared = bench.descriptor().disabled_keeps_holdings;
        let keeps = bench.holds(&account).await?.contains(&key);
        ensure!(keeps == declared, "declared {declared}, and it is {keeps}");
    }
    /// Deleted means gone.
    a9 a_deleted_account_is_absent BlackBox |bench| {
        bench.needs(Verb::DeleteAccount)?;
        let accounts = bench.some(2).await?;
        let [account, other] = accounts.as_slice() else { return fail("no accounts") };
        bench.does(account, Operation::DeleteAccount).await?;
        ensure!(bench.truth(account).await?.is_none(), "it is still there");
        ensure!(bench.read(account).await?.is_none(), "it still shows");
        ensure!(bench.truth(other).await?.is_some(), "another one is gone");
    }
    /// Somebody was faster. That is no failure.
    a10 deleting_is_idempotent BlackBox |bench| {
        bench.needs(Verb::DeleteAccount)?;
        let account = bench.one().await?;
        bench.does(&account, Operation::DeleteAccount).await?;
        let effect = bench.does(&account, Operation::DeleteAccount).await?.effect;
        ensure!(effect != Effect::Changed, "the second time says that it changed something");
    }
    /// Each attribute has one owner. An update that writes more than it names undoes another's work.
    a11 an_update_touches_only_what_it_names BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        let (one, other) = bench.attributes()?;
        bench.does(&account, set(&[(&one, "Clerk"), (&other, "Archive")])).await?;
        let before = bench.truth(&account).await?;
        bench.does(&account, set(&[(&one, "Head")])).await?;
        let (Some(mut before), Some(mut after)) = (before, bench.truth(&account).await?) else {
            return fail("it is gone");
        };
        before.attributes.insert(one, AttributeValue::text("Head"));
        before.version = None;
        after.version = None;
        ensure!(after == before, "it is {after:?}, not {before:?}");
    }
    /// Nightly runs must not show thousands of changes that are none.
    a12 an_update_without_change_is_unchanged BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        let (one, _) = bench.attributes()?;
        bench.does(&account, set(&[(&one, "Clerk")])).await?;
        let effect = bench.does(&account, set(&[(&one, "Clerk")])).await?.effect;
        ensure!(effect != Effect::Changed, "it says that it changed something");
    }
    /// A new name is not a new person.
    a13 a_rename_keeps_the_account BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        bench.does(&account, rename(&bench.user("renamed"))).await?;
        let truth = bench.truth(&account).await?;
        let Some(state) = truth else { return fail("it is gone") };
        ensure!(state.user_name == bench.user("renamed"), "its name is `{}`", state.user_name);
        ensure!(bench.sees(&account).await?.user_name == bench.user("renamed"), "the old name shows");
    }
    /// Mail for two people in one mailbox.
    a14 a_rename_to_a_taken_name_is_an_error BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let accounts = bench.some(2).await?;
        let [one, other] = accounts.as_slice() else { return fail("no accounts") };
        let taken = bench.sees(other).await?.user_name;
        match bench.apply(one, rename(&taken)).await {
            Ok(_) => return fail("two accounts with one name"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::AlreadyExists, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
    }
    /// An update of nobody that succeeds hides that the account is gone.
    a15 an_update_of_nobody_is_not_found BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let (one, _) = bench.attributes()?;
        match bench.apply(&bench.nobody()?, set(&[(&one, "x")])).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => ensure!(error.kind() == ErrorKind::NotFound, "{error}"),
        }
    }
    /// A rehire onto an account that is gone needs a new one.
    a16 enabling_nobody_is_not_found BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        match bench.apply(&bench.nobody()?, status(AccountStatus::Active)).await {
            Ok(outcome) => return fail(format!("{:?}", outcome.effect)),
            Err(error) => ensure!(error.kind() == ErrorKind::NotFound, "{error}"),
        }
    }
    /// Whoever is gone cannot sign in.
    a17 disabling_nobody_succeeds BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let done = bench.does(&bench.nobody()?, status(AccountStatus::Disabled)).await?;
        ensure!(done.effect != Effect::Changed, "it says that it changed something");
    }
    /// A pre-hire must not be able to sign in before the first day.
    a18 a_staged_account_cannot_sign_in BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        let mut op = bench.creation("ada")?;
        if let Operation::CreateAccount { status, .. } = &mut op {
            *status = AccountStatus::Staged;
        }
        let outcome = bench.send(&bench.change(None, op)).await;
        let outcome = outcome.map_err(|e| Stop::Fail(e.to_string()))?;
        let Some(id) = outcome.account else { return fail("no account") };
        let truth = bench.truth(&id).await?;
        ensure!(truth.is_some_and(|it| !it.status.can_sign_in()), "it can sign in");
    }
    /// Whose account it is must be known after a crash, and in ten years.
    a19 an_account_knows_its_owner BlackBox |bench| {
        let id = bench.creates("ada").await?;
        let identity = person("id-ada")?;
        let target = Target::External { identity: identity.clone(), user_name: bench.user("ada").into() };
        match bench.provider().read(&bench.cx(), &target).await {
            Ok(Observation::Present(found)) => {
                ensure!(found.id == id, "it finds `{}`", found.id);
                let owner = found.external_id;
                ensure!(owner.is_none_or(|owner| owner == identity), "it has another owner");
            }
            other => return fail(format!("{other:?}")),
        }
    }
    /// An attribute that HR cleared must not stay for ever.
    a20 an_attribute_can_be_cleared BlackBox |bench| {
        bench.needs(Verb::UpdateAccount)?;
        let account = bench.one().await?;
        let (one, other) = bench.attributes()?;
        bench.does(&account, set(&[(&one, "Clerk"), (&other, "Archive")])).await?;
        let clear = BTreeSet::from([one.clone()]);
        let op = Operation::UpdateAccount { user_name: None, set: BTreeMap::new(), clear };
        bench.does(&account, op).await?;
        let Some(state) = bench.truth(&account).await? else { return fail("it is gone") };
        ensure!(!state.attributes.contains_key(&one), "it is still there");
        ensure!(state.attributes.contains_key(&other), "another one went with it");
    }
    /// What was asked for on the first day must be there on the first day.
    a21 a_created_account_has_its_attributes BlackBox |bench| {
        bench.needs(Verb::CreateAccount)?;
        let (one, _) = bench.attributes()?;
        let mut op = bench.creation("ada")?;
        if let Operation::CreateAccount { attributes, .. } = &mut op {
            attributes.insert(one.clone(), AttributeValue::text("Zoölogist"));
        }
        let outcome = bench.send(&bench.change(None, op)).await;
        let outcome = outcome.map_err(|e| Stop::Fail(e.to_string()))?;
        let Some(id) = outcome.account else { return fail("no account") };
        let Some(state) = bench.truth(&id).await? else { return fail("it is not there") };
        let value = state.attributes.get(&one);
        ensure!(value == Some(&AttributeValue::text("Zoölogist")), "it has {value:?}");
    }
    /// Plans are made with the statuses that the target has; one that is declared and is not there stops a
    /// leave, or an archive, in the middle.
    a22 declared_statuses_are_reached BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        for wanted in bench.descriptor().statuses.clone() {
            // A staged account is made so; nobody goes back to it.
            if wanted == AccountStatus::Staged {
                continue;
            }
            bench.does(&account, status(wanted)).await?;
            let Some(state) = bench.truth(&account).await? else { return fail("it is gone") };
            ensure!(state.status == wanted, "{} becomes {}", wanted.as_str(), state.status.as_str());
        }
    }
    /// A status that the target does not have must not end as another one.
    a23 other_statuses_are_refused BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        let before = bench.truth(&account).await?;
        let statuses = &bench.descriptor().statuses;
        let missing: Vec<AccountStatus> =
            AccountStatus::ALL.into_iter().filter(|it| !statuses.contains(it)).collect();
        if missing.is_empty() {
            return Err(Stop::NotApplicable("every status is declared".into()));
        }
        for other in missing {
            match bench.apply(&account, status(other)).await {
                Ok(_) => return fail(format!("{} is accepted", other.as_str())),
                Err(error) => {
                    let kinds = [ErrorKind::Unsupported, ErrorKind::Invalid];
                    ensure!(kinds.contains(&error.kind()), "{}: {error}", other.as_str());
                    ensure!(error.applied() == Applied::No, "it leaves doubt");
                }
            }
        }
        ensure!(bench.truth(&account).await? == before, "something has changed");
    }
}
