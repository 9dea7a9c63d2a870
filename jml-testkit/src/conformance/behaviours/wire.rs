//! What answers mean, and what happens where there is none.

use jml_core::provider::{
    Applied, Call, Error, ErrorKind, ListRequest, Operation, RetryAdvice, Target, Verb,
};

use super::behaviours;
use crate::conformance::bench::{Bench, Check, Stop, ensure, fail, grant};
use crate::fake::{Hits, WireFault};

/// A change that is not there yet: a grant where there is one, else a creation.
async fn a_change(bench: &Bench) -> Check<jml_core::provider::Change> {
    if bench.descriptor().supports(Verb::Grant) {
        let (account, key) = (bench.one().await?, bench.a_key().await?);
        return Ok(bench.change(Some(&account), grant(&key)));
    }
    bench.needs(Verb::CreateAccount)?;
    Ok(bench.change(None, bench.creation("wired")?))
}

/// The error that a change ends with when something happens on the wire.
async fn breaks(bench: &Bench, fault: WireFault) -> Check<Error> {
    let change = a_change(bench).await?;
    bench.inject(Hits::Changes, 1, fault.clone())?;
    let fired = bench.wire()?.fired();
    match bench.send(&change).await {
        Err(error) => {
            bench.fired(fired + 1)?;
            Ok(error)
        }
        Ok(outcome) => {
            bench.fired(fired + 1)?;
            fail(format!("{fault:?} is taken for {:?}", outcome.effect))
        }
    }
}

async fn list_breaks(bench: &Bench, fault: WireFault) -> Check<Error> {
    bench.some(3).await?;
    bench.inject(Hits::Reads, 1, fault.clone())?;
    match bench.provider().list(&bench.cx(), &ListRequest::accounts()).await {
        Err(error) => Ok(error),
        Ok(page) => fail(format!("{fault:?} is taken for {} rows", page.rows().len())),
    }
}

/// Everything that an error shows.
fn shown(error: &Error) -> String {
    let record = serde_json::to_string(&error.record()).unwrap_or_default();
    let mut text = format!("{error}\n{error:?}\n{record}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}\n{inner}\n{inner:?}");
        cause = inner.source();
    }
    text
}

behaviours! {
    /// Each kind has another person who acts. A status that is put into the wrong one wakes the wrong
    /// person, or nobody.
    e1 statuses_have_their_kinds Faults |bench| {
        bench.wire()?;
        let expected = [
            (400, vec![ErrorKind::Invalid]),
            (403, vec![ErrorKind::PermissionDenied]),
            (409, vec![ErrorKind::Conflict, ErrorKind::AlreadyExists]),
            (412, vec![ErrorKind::Conflict]),
            (422, vec![ErrorKind::Invalid, ErrorKind::AlreadyExists]),
            (429, vec![ErrorKind::RateLimited]),
            (500, vec![ErrorKind::Unavailable]),
            (502, vec![ErrorKind::Unavailable]),
            (503, vec![ErrorKind::Unavailable]),
            (504, vec![ErrorKind::Unavailable, ErrorKind::Timeout]),
        ];
        let change = a_change(bench).await?;
        for (status, kinds) in expected {
            bench.inject(Hits::Changes, 1, WireFault::status(status))?;
            match bench.send(&change).await {
                Ok(outcome) => return fail(format!("{status} is taken for {:?}", outcome.effect)),
                Err(error) => ensure!(kinds.contains(&error.kind()), "{status} becomes: {error}"),
            }
        }
        bench.fired(10)?;
    }
    /// A server error may come after the write. Whoever takes it for "nothing happened" does it twice.
    e2 a_server_error_leaves_doubt Faults |bench| {
        for status in [500, 502, 503, 504] {
            let error = breaks(bench, WireFault::status(status)).await?;
            ensure!(error.applied() != Applied::No, "{status} is taken for: nothing happened");
        }
    }
    /// Where the target refused, nothing happened, and the plan can go on without looking.
    e3 a_refusal_leaves_no_doubt Faults |bench| {
        for status in [400, 403, 409, 429] {
            let error = breaks(bench, WireFault::status(status)).await?;
            ensure!(error.applied() == Applied::No, "{status} leaves doubt");
        }
    }
    /// Whoever asks again too soon is locked out for longer.
    e4 retry_after_is_honoured Faults |bench| {
        for (value, least, most) in [("7", 7_000, 7_000), ("0", 0, 0), ("", 29_000, 30_000)] {
            let later = bench.cx().now() + chrono::TimeDelta::seconds(30);
            let date = later.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let value = if value.is_empty() { date.as_str() } else { value };
            let fault = WireFault::status(429).with_header("retry-after", value);
            let error = breaks(bench, fault).await?;
            ensure!(error.kind() == ErrorKind::RateLimited, "{error}");
            match error.retry() {
                RetryAdvice::After { ms } => {
                    ensure!((least..=most).contains(&ms), "`{value}` becomes {ms} ms");
                }
                other => return fail(format!("`{value}` becomes {other:?}")),
            }
        }
    }
    /// Without a wish, or with one that makes no sense, the caller chooses; a page of nonsense must not
    /// stop it.
    e5 a_throttle_without_a_wait_backs_off Faults |bench| {
        for value in [None, Some("soon"), Some("-1")] {
            let mut fault = WireFault::status(429);
            if let Some(value) = value {
                fault = fault.with_header("retry-after", value);
            }
            let error = breaks(bench, fault).await?;
            ensure!(error.kind() == ErrorKind::RateLimited, "{error}");
            ensure!(error.retry() == RetryAdvice::Backoff, "{value:?} becomes {:?}", error.retry());
        }
    }
    /// Nobody listened, so nothing happened: no need to look before trying again.
    e6 a_refused_connection_changed_nothing Faults |bench| {
        let change = a_change(bench).await?;
        bench.wire()?.stop();
        match bench.send(&change).await {
            Ok(_) => return fail("nobody listens, and it is done"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::Transport, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
                ensure!(error.retry() == RetryAdvice::Backoff, "it is not tried again");
            }
        }
    }
    /// The request was on its way. It may have landed.
    e7 a_lost_answer_leaves_doubt Faults |bench| {
        for fault in [WireFault::ResetBefore, WireFault::ResetAfter] {
            let error = breaks(bench, fault).await?;
            ensure!(error.applied() != Applied::No, "it is taken for: nothing happened");
            let kinds = [ErrorKind::Transport, ErrorKind::Timeout];
            ensure!(kinds.contains(&error.kind()), "{error}");
        }
    }
    /// Half an answer is no answer.
    e8 a_cut_answer_is_an_error Faults |bench| {
        bench.needs(Verb::CreateAccount)?;
        let change = bench.change(None, bench.creation("cut")?);
        bench.inject(Hits::Changes, 1, WireFault::Truncate)?;
        match bench.send(&change).await {
            Ok(_) => return fail("half an answer is taken for a whole one"),
            Err(error) => ensure!(error.applied() != Applied::No, "it is taken for: nothing happened"),
        }
        bench.fired(1)?;
        let error = list_breaks(bench, WireFault::Truncate).await?;
        let kinds = [ErrorKind::Transport, ErrorKind::ContractViolation, ErrorKind::Timeout];
        ensure!(kinds.contains(&error.kind()), "{error}");
    }
    /// A proxy answers 200 with a page of its own. A creation that is taken for done has no account.
    e9 a_senseless_answer_is_a_violation Faults |bench| {
        bench.needs(Verb::CreateAccount)?;
        for body in ["<html>sign in</html>", "{", "[]", "null"] {
            let change = bench.change(None, bench.creation("odd")?);
            bench.inject(Hits::Changes, 1, WireFault::Body(body.into()))?;
            match bench.send(&change).await {
                Ok(outcome) => return fail(format!("`{body}` is taken for {:?}", outcome.effect)),
                Err(error) => {
                    ensure!(error.kind() == ErrorKind::ContractViolation, "`{body}`: {error}");
                    ensure!(error.applied() == Applied::Unknown, "`{body}` leaves no doubt");
                }
            }
            // It landed, as such answers do; the next one needs the name.
            let operation = bench.creation("odd")?;
            let Operation::CreateAccount { user_name, external_id, .. } = operation else { continue };
            let target = Target::External { identity: external_id, user_name };
            if let Ok(seen) = bench.provider().read(&bench.cx(), &target).await
                && let (Some(account), Some(backdoor)) = (seen.account(), &bench.world.backdoor)
            {
                backdoor.remove(&account.id).await;
            }
            if bench.world.backdoor.is_none() {
                break;
            }
        }
        bench.fired(1)?;
    }
    /// A listing in which nothing is understood is not an empty one.
    e10 a_senseless_listing_is_a_violation Faults |bench| {
        for body in ["<html>sign in</html>", "{}", "null", "{\"error\":\"x\"}"] {
            let error = list_breaks(bench, WireFault::Body(body.into())).await?;
            ensure!(error.kind() == ErrorKind::ContractViolation, "`{body}`: {error}");
        }
    }
    /// Gateways answer with pages of HTML. Their status counts, and their text does not.
    e11 a_page_of_html_is_classified_by_its_status Faults |bench| {
        let page = format!("<html>{}</html>", "bad gateway ".repeat(500));
        let headers = vec![("content-type", "text/html".to_owned())];
        let fault = WireFault::Answer { status: 502, headers, body: page };
        let error = breaks(bench, fault).await?;
        ensure!(error.kind() == ErrorKind::Unavailable, "{error}");
        ensure!(error.to_string().len() < 1_000, "the error is {} long", error.to_string().len());
    }
    /// Many targets ask to slow down in a way of their own. Taken for a refusal, a nightly run fails.
    e12 the_targets_own_throttle_is_known Faults |bench| {
        bench.wire()?;
        if bench.world.throttles.is_empty() {
            return Err(Stop::NotApplicable("the target asks by 429".into()));
        }
        for fault in bench.world.throttles.clone() {
            let error = breaks(bench, fault).await?;
            ensure!(error.kind() == ErrorKind::RateLimited, "{error}");
        }
    }
    /// The vendor's support asks for it first.
    e13 an_error_says_where_it_came_from Faults |bench| {
        let fault = WireFault::status(403).with_header("x-request-id", "req-4711");
        let error = breaks(bench, fault).await?;
        let text = error.to_string();
        ensure!(text.contains("403"), "no status in: {text}");
        ensure!(text.contains("req-4711"), "no request id in: {text}");
    }
    /// A token in a log is a token for everybody who reads logs.
    e14 no_error_shows_the_credential Faults |bench| {
        bench.wire()?;
        let canaries = bench.world.canaries.clone();
        if canaries.is_empty() {
            return Err(Stop::NotRun("needs to know the credential".into()));
        }
        let echo = canaries.join(" ");
        let body = format!(r#"{{"error":{{"code":"E","message":"token {echo} is bad"}}}}"#);
        for status in [400, 401, 403, 429, 500] {
            let fault = WireFault::Answer { status, headers: Vec::new(), body: body.clone() };
            bench.inject(Hits::All, 2, fault)?;
            let change = a_change(bench).await;
            let mut texts = Vec::new();
            if let Ok(change) = change
                && let Err(error) = bench.send(&change).await
            {
                texts.push(shown(&error));
            }
            for _ in 0..3 {
                let listed = bench.provider().list(&bench.cx(), &ListRequest::accounts()).await;
                if let Err(error) = listed {
                    texts.push(shown(&error));
                }
            }
            for (text, canary) in texts.iter().flat_map(|t| canaries.iter().map(move |c| (t, c))) {
                ensure!(!text.contains(canary), "{status} shows it");
            }
        }
        bench.fired(5)?;
        bench.wire()?.stop();
        if let Err(error) = bench.provider().health(&bench.cx()).await {
            let text = shown(&error);
            ensure!(!canaries.iter().any(|canary| text.contains(canary)), "a lost call shows it");
        }
    }
    /// A token ends in the middle of the night. Renewing it once is right; hammering locks the account.
    e15 a_refused_credential_is_renewed_once_or_not Faults |bench| {
        let change = a_change(bench).await?;
        let from = bench.wire()?.requests().len();
        bench.inject(Hits::Changes, 10, WireFault::status(401))?;
        match bench.send(&change).await {
            Ok(_) => return fail("401 is taken for done"),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::Unauthenticated, "{error}");
                ensure!(error.applied() == Applied::No, "it leaves doubt");
            }
        }
        let sent = bench.mutating_since(from)?;
        let most = if bench.world.renews { 2 } else { 1 };
        ensure!(sent <= most, "it was sent {sent} times");
        ensure!(!bench.world.renews || sent == 2, "it was not tried with a new credential");
    }
    /// One call is one attempt. A connector that tries again by itself multiplies with the engine, and
    /// hides attempts from the evidence.
    e16 nothing_is_tried_again Faults |bench| {
        bench.wire()?;
        for status in [400, 403, 429, 500, 503] {
            let change = a_change(bench).await?;
            let (from, fired) = (bench.wire()?.requests().len(), bench.wire()?.fired());
            bench.inject(Hits::Changes, 1, WireFault::status(status))?;
            let result = bench.send(&change).await;
            bench.fired(fired + 1)?;
            let sent = bench.mutating_since(from)?;
            ensure!(sent == 1, "{status}: it was sent {sent} times");
            ensure!(result.is_err(), "{status} is taken for done");
        }
    }
    /// Followed, a redirect carries the token to another host.
    e17 a_redirect_is_not_followed Faults |bench| {
        let change = a_change(bench).await?;
        let from = bench.wire()?.requests().len();
        for status in [301, 302, 307, 308] {
            let fault = WireFault::status(status).with_header("location", "/elsewhere");
            bench.inject(Hits::Changes, 1, fault)?;
            match bench.send(&change).await {
                Ok(outcome) => return fail(format!("{status} is taken for {:?}", outcome.effect)),
                Err(error) => ensure!(error.kind() == ErrorKind::ContractViolation, "{error}"),
            }
        }
        bench.fired(4)?;
        let requests = bench.wire()?.requests();
        let followed = requests.iter().skip(from).any(|it| it.target.starts_with("/elsewhere"));
        ensure!(!followed, "it was followed");
    }
    /// The credential belongs into a header. In an address it is in every log on the way.
    e18 the_credential_is_in_no_address Faults |bench| {
        bench.wire()?;
        let canaries = bench.world.canaries.clone();
        if canaries.is_empty() {
            return Err(Stop::NotRun("needs to know the credential".into()));
        }
        let change = a_change(bench).await?;
        bench.send(&change).await.map_err(|e| Stop::Fail(e.to_string()))?;
        bench.all().await?;
        let requests = bench.wire()?.requests();
        let carried = requests.iter().any(|it| canaries.iter().any(|c| it.text().contains(c)));
        if !carried {
            return Err(Stop::Inconclusive("no request carries the credential".into()));
        }
        let leaks = requests.iter().any(|it| canaries.iter().any(|c| it.target.contains(c)));
        ensure!(!leaks, "it is in an address");
    }
    /// Reads fail like everything else, and absence is not what a failed read has seen.
    e19 a_failed_read_is_not_an_absence Faults |bench| {
        let account = bench.one().await?;
        let target = Target::Account(account);
        for fault in [WireFault::status(500), WireFault::status(403), WireFault::ResetBefore] {
            bench.inject(Hits::Reads, 1, fault.clone())?;
            let seen = Call::Read(target.clone()).make(bench.provider(), &bench.cx()).await;
            ensure!(seen.is_err(), "{fault:?} is taken for {seen:?}");
        }
        bench.fired(3)?;
    }
}
