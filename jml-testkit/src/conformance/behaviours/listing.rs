//! Listing and reading.

use std::collections::BTreeSet;

use jml_core::account::AccountStatus;
use jml_core::id::{AccountId, IdentityId};
use jml_core::provider::{
    Cursor, ErrorKind, ListRequest, ListScope, Listing, Observation, Row, Snapshot, Target, Verb,
    snapshot,
};

use super::behaviours;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail, grant, person, status};
use crate::fake::{Hits, Quirk, WireFault};

async fn ids(bench: &Bench, size: Option<u32>) -> Check<Vec<AccountId>> {
    let mut ids = Vec::new();
    for page in bench.pages(size).await? {
        for row in page.rows() {
            match row {
                Row::Account(state) => ids.push(state.id.clone()),
                _ => return fail("a listing of accounts holds something else"),
            }
        }
    }
    Ok(ids)
}

fn quirk(bench: &Bench, quirk: Quirk) -> Check {
    if bench.wire()?.quirk(quirk) {
        return Ok(());
    }
    Err(Stop::NotRun(format!("the target cannot be made to show {quirk:?}")))
}

/// Pages of one row, so that there are several.
fn small() -> ListRequest {
    ListRequest { page_size: Some(2), ..ListRequest::accounts() }
}

behaviours! {
    /// An account that is not listed is an orphan that nobody finds.
    l1 listing_is_complete BlackBox |bench| {
        let made = bench.some(5).await?;
        let listed = ids(bench, None).await?;
        for id in &made {
            ensure!(listed.contains(id), "`{id}` is not listed");
        }
        let truth: BTreeSet<AccountId> = bench.whole_truth().await?.into_keys().collect();
        ensure!(truth == listed.iter().cloned().collect(), "the target holds {}", truth.len());
    }
    /// A page size is a wish, not a filter. Lost last pages are the commonest defect of connectors.
    l2 page_size_does_not_matter BlackBox |bench| {
        bench.some(5).await?;
        let whole: BTreeSet<AccountId> = bench.whole_truth().await?.into_keys().collect();
        let max = bench.descriptor().limits.max_page;
        for size in [1, 2, 3, 4, 5, max, max.saturating_add(1)] {
            let listed = ids(bench, Some(size)).await?;
            let set: BTreeSet<AccountId> = listed.iter().cloned().collect();
            ensure!(set == whole, "pages of {size} show {} of {}", set.len(), whole.len());
        }
    }
    /// A row that comes twice is counted twice, and a snapshot that trusts the last one is wrong.
    l3 no_row_comes_twice BlackBox |bench| {
        bench.some(5).await?;
        for size in [None, Some(1), Some(2), Some(3)] {
            let listed = ids(bench, size).await?;
            let set: BTreeSet<&AccountId> = listed.iter().collect();
            ensure!(set.len() == listed.len(), "pages of {size:?} repeat rows");
        }
    }
    /// A listing that does not end holds up every reconciliation.
    l4 listing_ends BlackBox |bench| {
        bench.some(5).await?;
        let pages = bench.pages(Some(1)).await?;
        ensure!(pages.iter().filter(|page| page.next().is_none()).count() == 1, "no last page");
    }
    /// An empty page is not the end. Targets that filter after paging answer so.
    l5 an_empty_page_is_not_the_end Faults |bench| {
        bench.some(5).await?;
        quirk(bench, Quirk::EmptyFirstPage)?;
        let listed = ids(bench, Some(2)).await?;
        ensure!(listed.len() == bench.whole_truth().await?.len(), "{} are listed", listed.len());
    }
    /// An id that changes between two listings makes every account an orphan and a joiner.
    l6 ids_are_stable BlackBox |bench| {
        bench.some(3).await?;
        let (one, two) = (ids(bench, None).await?, ids(bench, Some(2)).await?);
        let set = |ids: Vec<AccountId>| ids.into_iter().collect::<BTreeSet<_>>();
        ensure!(set(one) == set(two), "two listings, two sets of ids");
    }
    /// People marry. An id made from a name loses them.
    l7 ids_survive_a_rename OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        let account = bench.one().await?;
        let Some(mut state) = bench.truth(&account).await? else { return fail("it is gone") };
        state.user_name = bench.user("renamed").into();
        backdoor.put(state).await;
        bench.settle().await;
        let seen = bench.sees(&account).await?;
        ensure!(seen.user_name == bench.user("renamed"), "it still shows `{}`", seen.user_name);
    }
    /// A crash in the middle of a listing must not mean to begin again on the old instance's memory.
    l8 a_cursor_works_in_another_instance BlackBox |bench| {
        let other = bench.restart()?;
        bench.some(5).await?;
        let first = bench.provider().list(&bench.cx(), &small()).await;
        let first = first.map_err(|e| Stop::Fail(e.to_string()))?;
        let Some(next) = first.next().cloned() else {
            return Err(Stop::NotApplicable("everything is on one page".into()));
        };
        let request = ListRequest { cursor: Some(next), ..small() };
        let second = other.list(&bench.cx(), &request).await;
        let second = second.map_err(|e| Stop::Fail(format!("the other instance: {e}")))?;
        ensure!(second.rows().iter().all(|row| !first.rows().contains(row)), "it begins anew");
    }
    /// Page one in the place of page seven is a snapshot with a hole in it.
    l9 an_unknown_cursor_is_an_error BlackBox |bench| {
        bench.some(3).await?;
        for scope in [ListScope::Accounts, ListScope::Entitlements, ListScope::Holdings] {
            let cursor = Some(Cursor("no cursor of yours".into()));
            match bench.provider().list(&bench.cx(), &ListRequest { scope, cursor, page_size: None }).await {
                Ok(page) => return fail(format!("a page of {} rows", page.rows().len())),
                Err(error) => {
                    let expired = error.kind() == ErrorKind::CursorExpired;
                    let none = scope != ListScope::Accounts
                        && error.kind() == ErrorKind::Unsupported;
                    ensure!(expired || none, "{error}");
                }
            }
        }
    }
    /// The catalogue of what can be given comes from here; a kind without rows looks like a clean house.
    l10 entitlements_are_listed_or_refused BlackBox |bench| {
        let wanted: BTreeSet<_> = bench.world.entitlements.iter().cloned().collect();
        let mut found = BTreeSet::new();
        let mut request = ListRequest { page_size: Some(2), ..ListRequest::entitlements() };
        loop {
            let page = match bench.provider().list(&bench.cx(), &request).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    return Err(Stop::NotApplicable("entitlements are not listed".into()));
                }
                other => other.map_err(|e| Stop::Fail(e.to_string()))?,
            };
            for row in page.rows() {
                let Row::Entitlement(record) = row else { return fail("another row") };
                ensure!(found.insert(record.key.clone()), "`{}` comes twice", record.key);
            }
            ensure!(page.next().is_none() || page.next() != request.cursor.as_ref(), "no end");
            match page.next() {
                Some(next) => request.cursor = Some(next.clone()),
                None => break,
            }
        }
        ensure!(!found.is_empty(), "nothing can be held");
        ensure!(found.is_superset(&wanted), "of {} only {} are listed", wanted.len(), found.len());
    }
    /// A page that failed and is taken for the end is a mass revoke.
    l11 a_failed_page_is_an_error Faults |bench| {
        bench.some(5).await?;
        let mut listings = vec![(small(), bench.pages(Some(2)).await?.len())];
        if bench.descriptor().listing == Listing::Wide {
            let request = ListRequest { page_size: Some(2), ..ListRequest::holdings() };
            listings.push((request.clone(), bench.pages_of(request).await?.len()));
        }
        let mut count = 0;
        for (first, broken) in
            listings.iter().flat_map(|(first, count)| (0..*count).map(move |broken| (first, broken)))
        {
            count += 1;
            let mut request = first.clone();
            for _ in 0..broken {
                let page = bench.provider().list(&bench.cx(), &request).await;
                let page = page.map_err(|e| Stop::Fail(e.to_string()))?;
                request.cursor = page.next().cloned();
            }
            bench.inject(Hits::All, 1, WireFault::status(503))?;
            if bench.provider().list(&bench.cx(), &request).await.is_ok() {
                return fail(format!("page {broken} failed, and nobody says so"));
            }
        }
        bench.fired(count)?;
    }
    /// A caller that crashed asks for the page again. A page that is gone once read is lost.
    l12 a_page_can_be_asked_for_again BlackBox |bench| {
        bench.some(5).await?;
        let first = bench.provider().list(&bench.cx(), &small()).await;
        let first = first.map_err(|e| Stop::Fail(e.to_string()))?;
        let Some(next) = first.next().cloned() else {
            return Err(Stop::NotApplicable("everything is on one page".into()));
        };
        let request = ListRequest { cursor: Some(next), ..small() };
        let mut seen = Vec::new();
        for _ in 0..2 {
            let page = bench.provider().list(&bench.cx(), &request).await;
            seen.push(page.map_err(|e| Stop::Fail(e.to_string()))?.rows().to_vec());
        }
        ensure!(seen.first() == seen.last(), "the same cursor, another page");
    }
    /// A new tenant is not an error.
    l13 an_empty_target_is_one_last_page OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        for account in backdoor.truth().await {
            backdoor.remove(&account.id).await;
        }
        bench.settle().await;
        let pages = bench.pages(None).await?;
        ensure!(pages.iter().all(|page| page.rows().is_empty()), "there are rows of nobody");
    }
    /// Somebody is deleted while we list. Whoever stays must not be skipped: with offsets, they are.
    l14 a_deletion_meanwhile_hides_nobody OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        bench.some(6).await?;
        let mut request = small();
        let mut seen = BTreeSet::new();
        let mut removed = None;
        for number in 0.. {
            ensure!(number < 1_000, "the listing does not end");
            let page = bench.provider().list(&bench.cx(), &request).await;
            let page = page.map_err(|e| Stop::Fail(e.to_string()))?;
            for row in page.rows() {
                if let Row::Account(state) = row {
                    seen.insert(state.id.clone());
                }
            }
            if removed.is_none() && let Some(first) = seen.iter().next().cloned() {
                backdoor.remove(&first).await;
                removed = Some(first);
            }
            match page.next() {
                Some(next) => request.cursor = Some(next.clone()),
                None => break,
            }
        }
        for id in bench.whole_truth().await?.keys() {
            ensure!(seen.contains(id), "`{id}` was there all the time and is not listed");
        }
    }
    /// A disabled account that does not show cannot be cleaned up, and looks like one that is gone.
    l15 disabled_accounts_are_listed BlackBox |bench| {
        bench.needs(Verb::SetStatus)?;
        let account = bench.one().await?;
        bench.does(&account, status(AccountStatus::Disabled)).await?;
        let all = bench.all().await?;
        let Some(state) = all.get(&account) else { return fail("it is not listed") };
        ensure!(!state.status.can_sign_in(), "it is listed as {}", state.status.as_str());
    }
    /// Rows that we may not see are not rows that are not there.
    l16 withheld_rows_are_declared OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        let account = bench.one().await?;
        if !backdoor.withhold(&account).await {
            return Err(Stop::NotApplicable("this target withholds nothing".into()));
        }
        match snapshot(bench.provider(), &bench.cx()).await {
            Ok(Snapshot::Complete(all)) => {
                ensure!(all.accounts().contains_key(&account), "it is missing, and nobody says so");
            }
            Ok(Snapshot::Incomplete { .. }) => {}
            Err(error) => return fail(error.to_string()),
        }
    }
    /// A caller asks for one page because it wants one page, and pays for each request.
    l17 one_page_is_not_the_whole_listing Faults |bench| {
        let wire = bench.wire()?;
        bench.backdoor()?;
        // A credential that has to be fetched is there by now.
        let _ = bench.provider().health(&bench.cx()).await;
        let mut costs = Vec::new();
        for count in [4, 12] {
            bench.some(count).await?;
            bench.settle().await;
            let from = wire.requests().len();
            let page = bench.provider().list(&bench.cx(), &small()).await;
            page.map_err(|e| Stop::Fail(e.to_string()))?;
            costs.push(wire.requests().len() - from);
        }
        ensure!(costs.first() == costs.last(), "with more accounts, one page costs {costs:?}");
    }
    /// Rows of another scope would be taken for accounts.
    l18 rows_are_of_the_scope BlackBox |bench| {
        bench.some(1).await?;
        let page = bench.provider().list(&bench.cx(), &ListRequest::accounts()).await;
        let page = page.map_err(|e| Stop::Fail(e.to_string()))?;
        ensure!(page.rows().iter().all(|row| matches!(row, Row::Account(_))), "another row");
    }
    /// Names have spaces, accents and signs in them. One that breaks a path reaches another account.
    l19 strange_names_survive BlackBox |bench| {
        let name = "Zoë O'Neil & söns/..?#100%@example.test";
        let id = match &bench.world.backdoor {
            Some(backdoor) => {
                let mut state = bench.fresh("zoe")?;
                state.user_name = name.into();
                backdoor.put(state).await
            }
            None => bench.creates(name).await?,
        };
        bench.settle().await;
        let seen = bench.sees(&id).await?;
        ensure!(seen.user_name == name, "it shows as `{}`", seen.user_name);
        let all = bench.all().await?;
        ensure!(all.get(&id).is_some_and(|it| it.user_name == name), "it is listed otherwise");
        if bench.descriptor().supports(Verb::Grant) {
            let key = bench.a_key().await?;
            bench.does(&id, grant(&key)).await?;
            ensure!(bench.holds(&id).await?.contains(&key), "it cannot be given anything");
        }
    }
    /// A next link to another host would carry the token there.
    l20 a_link_to_another_host_is_refused Faults |bench| {
        if !bench.world.links {
            return Err(Stop::NotApplicable("the target gives no links".into()));
        }
        bench.some(5).await?;
        quirk(bench, Quirk::ForeignNextLink)?;
        let mut request = small();
        for _ in 0..20 {
            match bench.provider().list(&bench.cx(), &request).await {
                Err(error) => {
                    ensure!(error.kind() == ErrorKind::ContractViolation, "{error}");
                    return Ok(());
                }
                Ok(page) => match page.next() {
                    Some(next) => request.cursor = Some(next.clone()),
                    None => break,
                },
            }
        }
        let listed = ids(bench, Some(2)).await?;
        ensure!(listed.len() == bench.whole_truth().await?.len(), "rows are missing");
    }
    /// A target that names the same page again would be read for ever.
    l21 a_repeated_cursor_is_refused Faults |bench| {
        bench.some(6).await?;
        quirk(bench, Quirk::RepeatedCursor)?;
        let mut request = small();
        for _ in 0..20 {
            match bench.provider().list(&bench.cx(), &request).await {
                Err(error) => {
                    ensure!(error.kind() == ErrorKind::ContractViolation, "{error}");
                    return Ok(());
                }
                Ok(page) => {
                    ensure!(page.next() != request.cursor.as_ref(), "the cursor is passed on");
                    match page.next() {
                        Some(next) => request.cursor = Some(next.clone()),
                        None => return Ok(()),
                    }
                }
            }
        }
        fail::<()>("the listing does not end")?;
    }
    /// A page larger than declared breaks whoever sized a buffer or a batch by it.
    l22 pages_keep_to_their_size BlackBox |bench| {
        bench.some(5).await?;
        let max = bench.descriptor().limits.max_page;
        for (asked, most) in [(Some(2), 2), (None, max), (Some(max.saturating_add(1)), max)] {
            for page in bench.pages(asked).await? {
                let rows = u32::try_from(page.rows().len()).unwrap_or(u32::MAX);
                ensure!(rows <= most, "{rows} rows where {most} are the most");
            }
        }
    }
    /// Whoever asks for what accounts hold must get that, or be told that it is with the accounts.
    l23 holdings_are_listed_as_declared BlackBox |bench| {
        bench.some(3).await?;
        let request = ListRequest { page_size: Some(2), ..ListRequest::holdings() };
        let wide = bench.descriptor().listing == Listing::Wide;
        match bench.provider().list(&bench.cx(), &request).await {
            Err(error) => {
                ensure!(!wide && error.kind() == ErrorKind::Unsupported, "{error}");
                return Ok(());
            }
            Ok(_) => ensure!(wide, "they are with the accounts, and listed once more"),
        }
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        let mut found = false;
        for page in bench.pages_of(request).await? {
            for row in page.rows() {
                let Row::Holding(row) = row else { return fail("another row") };
                found |= row.account == account && row.entitlement == key;
            }
        }
        ensure!(found, "what was granted is not listed");
    }
    /// Plans are made from listings, and checked by reads. If they differ, every plan is stale.
    r1 read_agrees_with_list BlackBox |bench| {
        let account = bench.some(2).await?.remove(0);
        if bench.descriptor().supports(Verb::Grant) {
            bench.does(&account, grant(&bench.a_key().await?)).await?;
        }
        for (id, listed) in bench.all().await? {
            let read = bench.sees(&id).await?;
            let read = bench.as_listed(read);
            ensure!(read == listed, "`{id}` is read as {read:?} and listed as {listed:?}");
        }
    }
    /// A missing account is an answer. As an error it would be tried again for ever.
    r2 a_missing_account_is_absent BlackBox |bench| {
        bench.some(1).await?;
        let nobody = bench.nobody()?;
        ensure!(bench.read(&nobody).await?.is_none(), "somebody");
        let (identity, user_name) = (IdentityId::new("id-nobody"), "nobody".into());
        let identity = identity.map_err(|e| Stop::Inconclusive(e.to_string()))?;
        let target = Target::External { identity, user_name };
        match bench.provider().read(&bench.cx(), &target).await {
            Ok(Observation::Absent) => {}
            other => return fail(format!("{other:?}")),
        }
    }
    /// The result of a creation whose answer was lost is found by whose it is.
    r3 an_account_is_found_by_its_owner BlackBox |bench| {
        let account = bench.some(3).await?.remove(1);
        let state = bench.sees(&account).await?;
        let Some(identity) = state.external_id.clone() else {
            return Err(Stop::NotApplicable("the target keeps no external id".into()));
        };
        let target = Target::External { identity, user_name: "somebody else".into() };
        match bench.provider().read(&bench.cx(), &target).await {
            Ok(Observation::Present(found)) => ensure!(found.id == account, "`{}`", found.id),
            other => return fail(format!("{other:?}")),
        }
        // Somebody of the same name is not them.
        let target =
            Target::External { identity: person("nobody-else")?, user_name: state.user_name };
        if let Ok(Observation::Present(found)) = bench.provider().read(&bench.cx(), &target).await {
            return fail(format!("`{}` is somebody else's", found.id));
        }
    }
    /// Looking must be safe at any hour.
    r4 reading_changes_nothing BlackBox |bench| {
        let account = bench.one().await?;
        let before = bench.whole_truth().await?;
        let sent = bench.world.wire.as_ref().map(|wire| wire.requests().len());
        bench.sees(&account).await?;
        bench.all().await?;
        let _ = bench.provider().health(&bench.cx()).await;
        ensure!(bench.whole_truth().await? == before, "something has changed");
        if let (Some(sent), Some(_)) = (sent, &bench.world.wire) {
            ensure!(bench.mutating_since(sent)? == 0, "a changing request was sent");
        }
    }
    /// What was written must show within the declared window, or every change is called failed.
    r5 what_was_written_is_read BlackBox |bench| {
        bench.needs(Verb::Grant)?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        bench.does(&account, grant(&key)).await?;
        ensure!(bench.sees(&account).await?.holdings.contains(&key), "read does not show it");
        let all = bench.all().await?;
        let listed = all.get(&account).is_some_and(|it| it.holdings.contains(&key));
        ensure!(listed, "list does not show it");
    }
    /// An id with a slash in it must not read another account.
    r6 a_strange_id_reads_nobody BlackBox |bench| {
        let account = bench.one().await?;
        for text in [format!("x/../{account}"), "../users".into(), "?a=b".into(), "%2e%2e".into()] {
            let Ok(id) = AccountId::new(&text) else { continue };
            match bench.provider().read(&bench.cx(), &Target::Account(id)).await {
                Ok(Observation::Absent) | Err(_) => {}
                other => return fail(format!("`{text}` reads {other:?}")),
            }
        }
    }
    /// What the target holds, and not what we last wrote, is what counts.
    r7 changes_by_others_show OutOfBand |bench| {
        let backdoor = bench.backdoor()?;
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        let Some(mut state) = bench.truth(&account).await? else { return fail("it is gone") };
        bench.sees(&account).await?;
        state.holdings.insert(key.clone());
        backdoor.put(state).await;
        bench.settle().await;
        ensure!(bench.sees(&account).await?.holdings.contains(&key), "read does not show it");
        let all = bench.all().await?;
        let listed = all.get(&account).is_some_and(|it| it.holdings.contains(&key));
        ensure!(listed, "list does not show it");
    }
}
