//! Defects in listing and reading.

use jml_core::account::AccountStatus;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{
    Call, Cursor, EntitlementRecord, ErrorKind, ListRequest, ListScope, Observation, Operation,
    Page, Reply, Row, Target,
};

use super::{bugs, error, everybody, lock, own};

fn rows_of(reply: Reply, change: impl FnOnce(Vec<Row>) -> Vec<Row>) -> Reply {
    match reply {
        Reply::Page(page) => {
            let remade = Page::with_next(change(page.rows().to_vec()), page.next().cloned());
            Reply::Page(page.omissions().iter().cloned().fold(remade, Page::omitting))
        }
        other => other,
    }
}

fn of_accounts(call: &Call) -> Option<&ListRequest> {
    match call {
        Call::List(request) if request.scope == ListScope::Accounts => Some(request),
        _ => None,
    }
}

bugs! {
    /// The last page is never read.
    loses_the_last_page |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        if let (Reply::Page(page), Call::List(request)) = (&reply, call)
            && let Some(cursor) = page.next()
        {
            let peek = ListRequest { cursor: Some(cursor.clone()), ..request.clone() };
            let following = next.run(cx, &Call::List(peek)).await?.page()?;
            if following.next().is_none() {
                return Ok(Reply::Page(Page::last(page.rows().to_vec())));
            }
        }
        Ok(reply)
    }
    /// The cursor of the second page is that of the first.
    repeats_a_cursor |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match (&reply, call) {
            (Reply::Page(page), Call::List(request)) if request.cursor.is_some() => {
                Ok(Reply::Page(Page::with_next(page.rows().to_vec(), request.cursor.clone())))
            }
            _ => Ok(reply),
        }
    }
    /// The first row of a page comes twice.
    duplicates_a_row |cx, call, next, memo| {
        Ok(rows_of(next.run(cx, call).await?, |mut rows| {
            rows.extend(rows.first().cloned());
            rows
        }))
    }
    /// The page size is not looked at.
    ignores_the_page_size |cx, call, next, memo| {
        match call {
            Call::List(request) => {
                let whole = ListRequest { page_size: None, ..request.clone() };
                next.run(cx, &Call::List(whole)).await
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Pages of one row are empty.
    small_pages_are_empty |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match call {
            Call::List(request) if request.page_size == Some(1) => Ok(rows_of(reply, |_| Vec::new())),
            _ => Ok(reply),
        }
    }
    /// Ids are numbers of the listing.
    ids_are_unstable |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        if of_accounts(call).is_none() {
            return Ok(reply);
        }
        Ok(rows_of(reply, |rows| {
            rows.into_iter()
                .map(|row| match row {
                    Row::Account(mut state) => {
                        let id = format!("{}-{}", state.id, memo.number());
                        if let Ok(id) = AccountId::new(id) {
                            state.id = id;
                        }
                        Row::Account(state)
                    }
                    other => other,
                })
                .collect()
        }))
    }
    /// Ids are sign-in names.
    ids_are_names |cx, call, next, memo| {
        match call {
            Call::Read(Target::Account(id)) => {
                let request = ListRequest { page_size: Some(500), ..ListRequest::accounts() };
                let page = next.run(cx, &Call::List(request)).await?.page()?;
                let hit = page.rows().iter().find_map(|row| match row {
                    Row::Account(state) if memo.first(format!("{id}={}", state.user_name)) => {
                        (state.id == *id).then(|| state.clone())
                    }
                    Row::Account(state) if state.id == *id && state.user_name != "renamed" => {
                        Some(state.clone())
                    }
                    _ => None,
                });
                let renamed = hit.filter(|state| state.user_name != "renamed");
                Ok(Reply::Seen(renamed.map_or(Observation::Absent, Observation::Present)))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Cursors are numbers of this instance.
    cursor_is_local |cx, call, next, memo| {
        let real = match call {
            Call::List(request) => {
                let known = request.cursor.as_ref().and_then(|cursor| {
                    match lock(&memo.seen).get(cursor.0.as_str()) {
                        Some(Reply::Page(page)) => page.next().cloned(),
                        _ => None,
                    }
                });
                let cursor = known.or_else(|| request.cursor.clone());
                Call::List(ListRequest { cursor, ..request.clone() })
            }
            other => other.clone(),
        };
        let reply = next.run(cx, &real).await?;
        match reply {
            Reply::Page(page) if page.next().is_some() => {
                let cursor = format!("cursor-{}", memo.number());
                lock(&memo.seen).insert(cursor.clone(), Reply::Page(page.clone()));
                Ok(Reply::Page(Page::with_next(page.rows().to_vec(), Some(Cursor(cursor.into())))))
            }
            other => Ok(other),
        }
    }
    /// A cursor that is not known is the beginning.
    unknown_cursor_is_page_one |cx, call, next, memo| {
        match (next.run(cx, call).await, call) {
            (Err(_), Call::List(request)) if request.cursor.is_some() => {
                next.run(cx, &Call::List(ListRequest { cursor: None, ..request.clone() })).await
            }
            (result, _) => result,
        }
    }
    /// No entitlement is listed.
    entitlements_are_empty |cx, call, next, memo| {
        match call {
            Call::List(request) if request.scope == ListScope::Entitlements => {
                Ok(Reply::Page(Page::last(Vec::new())))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A listing that the target does not have is empty.
    holdings_are_empty |cx, call, next, memo| {
        match call {
            Call::List(request) if request.scope == ListScope::Holdings => {
                Ok(Reply::Page(Page::last(Vec::new())))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// A page can be read once.
    page_is_gone_once_read |cx, call, next, memo| {
        match call {
            Call::List(ListRequest { cursor: Some(cursor), .. })
                if !memo.first(cursor.0.as_str()) =>
            {
                Ok(Reply::Page(Page::last(Vec::new())))
            }
            _ => next.run(cx, call).await,
        }
    }
    /// An empty target is an error.
    nothing_is_an_error |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match &reply {
            Reply::Page(page) if page.rows().is_empty() => error(ErrorKind::NotFound),
            _ => Ok(reply),
        }
    }
    /// Pages are counted from the start, so a deletion moves everybody.
    pages_by_offset |cx, call, next, memo| {
        let Some(request) = of_accounts(call) else { return next.run(cx, call).await };
        let whole = ListRequest { page_size: Some(1000), ..ListRequest::accounts() };
        let all = next.run(cx, &Call::List(whole)).await?.page()?;
        let size = usize::try_from(request.page_size.unwrap_or(100)).unwrap_or(100).min(1000);
        let start = match &request.cursor {
            None => 0,
            Some(cursor) => match cursor.0.strip_prefix("offset:").and_then(|n| n.parse().ok()) {
                Some(start) => start,
                None => return error(ErrorKind::CursorExpired),
            },
        };
        let rows: Vec<Row> = all.rows().iter().skip(start).take(size).cloned().collect();
        let end = start + rows.len();
        let more = end < all.rows().len();
        let cursor = more.then(|| Cursor(format!("offset:{end}").into()));
        let page = Page::with_next(rows, cursor);
        Ok(Reply::Page(all.omissions().iter().cloned().fold(page, Page::omitting)))
    }
    /// Disabled accounts are not listed.
    disabled_accounts_are_hidden |cx, call, next, memo| {
        Ok(rows_of(next.run(cx, call).await?, |rows| {
            let shown = |row: &Row| match row {
                Row::Account(state) => state.status != AccountStatus::Disabled,
                _ => true,
            };
            rows.into_iter().filter(shown).collect()
        }))
    }
    /// That rows are withheld is not said.
    omissions_are_hidden |cx, call, next, memo| {
        Ok(match next.run(cx, call).await? {
            Reply::Page(page) => {
                Reply::Page(Page::with_next(page.rows().to_vec(), page.next().cloned()))
            }
            other => other,
        })
    }
    /// A listing of accounts holds a group.
    rows_of_another_scope |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        let key: Option<EntitlementKey> = "group/stray".parse().ok();
        match (of_accounts(call), key) {
            (Some(_), Some(key)) => Ok(rows_of(reply, |mut rows| {
                rows.push(Row::Entitlement(EntitlementRecord { key, title: "stray".into() }));
                rows
            })),
            _ => Ok(reply),
        }
    }
    /// Names lose what is not ASCII.
    names_are_mangled |cx, call, next, memo| {
        let ascii = |name: &str| name.chars().filter(char::is_ascii).collect::<String>();
        Ok(match next.run(cx, call).await? {
            Reply::Seen(Observation::Present(mut state)) => {
                state.user_name = ascii(&state.user_name).into();
                Reply::Seen(Observation::Present(state))
            }
            reply => rows_of(reply, |rows| {
                rows.into_iter()
                    .map(|row| match row {
                        Row::Account(mut state) => {
                            state.user_name = ascii(&state.user_name).into();
                            Row::Account(state)
                        }
                        other => other,
                    })
                    .collect()
            }),
        })
    }
    /// A read shows no holdings.
    read_disagrees_with_list |cx, call, next, memo| {
        Ok(match next.run(cx, call).await? {
            Reply::Seen(Observation::Present(mut state)) => {
                state.holdings.clear();
                Reply::Seen(Observation::Present(state))
            }
            other => other,
        })
    }
    /// A missing account is an error.
    absent_is_an_error |cx, call, next, memo| {
        match next.run(cx, call).await? {
            Reply::Seen(Observation::Absent) => error(ErrorKind::NotFound),
            other => Ok(other),
        }
    }
    /// The account of an identity is looked for by name only.
    owner_is_not_looked_for |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        match (call, &reply) {
            (Call::Read(Target::External { user_name, .. }), Reply::Seen(seen))
                if seen.account().is_some_and(|it| it.user_name != *user_name) =>
            {
                Ok(Reply::Seen(Observation::Absent))
            }
            _ => Ok(reply),
        }
    }
    /// The account of an identity is never found.
    owner_is_never_found |cx, call, next, memo| {
        match call {
            Call::Read(Target::External { .. }) => Ok(Reply::Seen(Observation::Absent)),
            _ => next.run(cx, call).await,
        }
    }
    /// Reading notes on the account when it was read.
    reading_writes |cx, call, next, memo| {
        let reply = next.run(cx, call).await?;
        if let (Call::Read(Target::Account(id)), Reply::Seen(Observation::Present(_))) = (call, &reply)
            && let Ok(name) = "note".parse()
        {
            let set = [(name, jml_core::attribute::AttributeValue::text("read"))].into();
            let clear = std::collections::BTreeSet::new();
            let op = Operation::UpdateAccount { user_name: None, set, clear };
            let _ = next.run(cx, &own(id, op, memo)).await;
        }
        Ok(reply)
    }
    /// What was read once is never read again.
    reads_are_cached |cx, call, next, memo| {
        let Call::Read(Target::Account(id)) = call else { return next.run(cx, call).await };
        if let Some(known) = lock(&memo.seen).get(id.as_str()).cloned() {
            return Ok(known);
        }
        let reply = next.run(cx, call).await?;
        lock(&memo.seen).insert(id.to_string(), reply.clone());
        Ok(reply)
    }
    /// An id is cut at its last slash.
    ids_are_cut |cx, call, next, memo| {
        match call {
            Call::Read(Target::Account(id)) => {
                let last = id.as_str().rsplit('/').next().unwrap_or_default();
                let id = AccountId::new(last).unwrap_or_else(|_| id.clone());
                next.run(cx, &Call::Read(Target::Account(id))).await
            }
            _ => next.run(cx, call).await,
        }
    }
    /// Everybody is listed as the first one.
    everybody_is_the_same |cx, call, next, memo| {
        let first = everybody(cx, next).await.into_iter().next();
        match (call, first) {
            (Call::Read(Target::External { .. }), Some(first)) => {
                next.run(cx, &Call::Read(Target::Account(first))).await
            }
            _ => next.run(cx, call).await,
        }
    }
}
