//! Defects on the wire: the tutorial's connector, made wrong in one way each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_kit::http::{ReqwestTransport, Transport, TransportError};
use jml_core::provider::{
    Applied, Call, Cx, Effect, Error, ErrorKind, Layer, Layered, ListRequest, Next, Outcome, Page,
    Provider, Reply, Result, RetryAdvice, Slot,
};
use jml_testkit::conformance::{Harness, Tier, World, behaviours, run_some};

use crate::harness;

type Answer = std::result::Result<http::Response<Vec<u8>>, TransportError>;
type Request = http::Request<Vec<u8>>;

/// What the connector does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    // In what it makes of answers.
    LostIsNo,
    ServerErrorIsNo,
    RefusalLeavesDoubt,
    EmptyOnError,
    FailedReadIsAbsent,
    ViolationIsInternal,
    UnauthenticatedIsDenied,
    DeniedIsInvalid,
    ThrottleIsDenied,
    WaitIsForgotten,
    WaitIsInvented,
    RefusedConnectionIsUnknown,
    SenselessIsDone,
    HtmlIsQuoted,
    RequestIdIsDropped,
    SecretIsQuoted,
    UnavailableIsHealthy,
    HealthReadsEverything,
    EmptyPageIsTheEnd,
    ListsEverythingForOnePage,
    PassesOnARepeatedCursor,
    CreationIsNotLookedUp,
    LooksAfterwardsAndForgets,
    // On its way to the target.
    TriesAgain,
    TriesAgainOn401,
    FollowsRedirects,
    FollowsForeignLinks,
    TokenInTheAddress,
    ChatsBeforeEveryCall,
    KeepsConnectionsOpen,
}

const ALL: [(Defect, &str); 30] = [
    (Defect::LostIsNo, "A lost answer is reported as: nothing happened."),
    (Defect::ServerErrorIsNo, "A server error is reported as: nothing happened."),
    (Defect::RefusalLeavesDoubt, "A refusal is reported as: nobody knows."),
    (Defect::EmptyOnError, "A page that failed is an empty last page."),
    (Defect::FailedReadIsAbsent, "A read that failed is an absence."),
    (Defect::ViolationIsInternal, "An answer that cannot be read is an internal error."),
    (Defect::UnauthenticatedIsDenied, "401 is taken for a missing permission."),
    (Defect::DeniedIsInvalid, "403 is taken for a wrong request."),
    (Defect::ThrottleIsDenied, "The target's own way of asking to slow down is a refusal."),
    (Defect::WaitIsForgotten, "The wait that the target asks for is not passed on."),
    (Defect::WaitIsInvented, "A wait that the target did not ask for is passed on."),
    (Defect::RefusedConnectionIsUnknown, "A connection that was refused leaves doubt."),
    (Defect::SenselessIsDone, "A success that cannot be read is a success."),
    (Defect::HtmlIsQuoted, "A page of HTML is quoted in the error."),
    (Defect::RequestIdIsDropped, "An error does not say which request it was."),
    (Defect::SecretIsQuoted, "What the target says is quoted as it is."),
    (Defect::UnavailableIsHealthy, "A health check that fails is fine."),
    (Defect::HealthReadsEverything, "A health check lists everything."),
    (Defect::EmptyPageIsTheEnd, "A page without rows is the last one."),
    (Defect::ListsEverythingForOnePage, "One page is cut from the whole listing."),
    (
        Defect::PassesOnARepeatedCursor,
        "The link of the page just read is followed again and again.",
    ),
    (Defect::CreationIsNotLookedUp, "A name that is taken is an error, also when we took it."),
    (
        Defect::LooksAfterwardsAndForgets,
        "A change is followed by a look; when that fails, nothing is said to have happened.",
    ),
    (Defect::TriesAgain, "A request that failed is sent again at once."),
    (Defect::TriesAgainOn401, "A refused credential is tried until it is accepted."),
    (Defect::FollowsRedirects, "Redirects are followed."),
    (Defect::FollowsForeignLinks, "Links to other hosts are followed, here to the same one."),
    (Defect::TokenInTheAddress, "The token is in the query."),
    (
        Defect::ChatsBeforeEveryCall,
        "Every call asks for the user's rights and everything else first.",
    ),
    (Defect::KeepsConnectionsOpen, "A call goes on after its caller has let go."),
];

struct Wrong(Defect);

fn rekind(error: Error, from: ErrorKind, to: ErrorKind) -> Error {
    if error.kind() == from {
        Error::from(jml_core::provider::ErrorRecord { kind: to, ..error.record() })
    } else {
        error
    }
}

#[async_trait]
impl Layer for Wrong {
    fn slot(&self) -> Slot {
        Slot::Attempt
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        match (self.0, call) {
            (Defect::HealthReadsEverything, Call::Health) => {
                for _ in 0..4 {
                    next.run(cx, &Call::List(ListRequest::accounts())).await?;
                }
            }
            (Defect::ListsEverythingForOnePage, Call::List(request)) => {
                let mut all = ListRequest { page_size: Some(1), cursor: None, ..request.clone() };
                loop {
                    let page = next.run(cx, &Call::List(all.clone())).await?.page()?;
                    match page.next() {
                        Some(next) => all.cursor = Some(next.clone()),
                        None => break,
                    }
                }
            }
            _ => {}
        }
        let result = next.run(cx, call).await;
        match (self.0, call, result) {
            (Defect::LostIsNo, _, Err(e)) if e.kind() == ErrorKind::Transport => {
                Err(e.with_applied(Applied::No))
            }
            (Defect::ServerErrorIsNo, _, Err(e)) if e.kind() == ErrorKind::Unavailable => {
                Err(e.with_applied(Applied::No))
            }
            (Defect::RefusalLeavesDoubt, _, Err(e)) if e.kind() == ErrorKind::Invalid => {
                Err(e.with_applied(Applied::Unknown))
            }
            (Defect::EmptyOnError, Call::List(_), Err(_)) => Ok(Reply::Page(Page::last(vec![]))),
            (Defect::FailedReadIsAbsent, Call::Read(_), Err(_)) => {
                Ok(Reply::Seen(jml_core::provider::Observation::Absent))
            }
            (Defect::ViolationIsInternal, _, Err(e)) => {
                Err(rekind(e, ErrorKind::ContractViolation, ErrorKind::Internal))
            }
            (Defect::UnauthenticatedIsDenied, _, Err(e)) => {
                Err(rekind(e, ErrorKind::Unauthenticated, ErrorKind::PermissionDenied))
            }
            (Defect::DeniedIsInvalid, _, Err(e)) => {
                Err(rekind(e, ErrorKind::PermissionDenied, ErrorKind::Invalid))
            }
            (Defect::ThrottleIsDenied, _, Err(e))
                if e.kind() == ErrorKind::RateLimited && e.context("status") == Some("403") =>
            {
                Err(rekind(e, ErrorKind::RateLimited, ErrorKind::PermissionDenied))
            }
            (Defect::WaitIsForgotten, _, Err(e)) if e.kind() == ErrorKind::RateLimited => {
                Err(e.with_retry(RetryAdvice::Backoff))
            }
            (Defect::WaitIsInvented, _, Err(e)) if e.retry() == RetryAdvice::Backoff => {
                Err(e.with_retry(RetryAdvice::After { ms: 60_000 }))
            }
            (Defect::RefusedConnectionIsUnknown, _, Err(e)) if e.kind() == ErrorKind::Transport => {
                Err(e.with_applied(Applied::Unknown))
            }
            (Defect::SenselessIsDone, Call::Apply(_), Err(e))
                if e.kind() == ErrorKind::ContractViolation =>
            {
                Ok(Outcome::accepted().into())
            }
            (Defect::HtmlIsQuoted, _, Err(e)) if e.kind() == ErrorKind::Unavailable => {
                Err(e.with_context("body", "<html>".repeat(1_000)))
            }
            (Defect::RequestIdIsDropped, _, Err(e)) => {
                let mut record = e.record();
                record.context.clear();
                Err(record.into())
            }
            (Defect::SecretIsQuoted, _, Err(e)) => Err(e.with_context("token", harness::TOKEN)),
            (Defect::UnavailableIsHealthy, Call::Health, Err(_)) => {
                Ok(Reply::Health(jml_core::provider::Health::ok()))
            }
            (Defect::EmptyPageIsTheEnd, Call::List(_), Ok(Reply::Page(page)))
                if page.rows().is_empty() =>
            {
                Ok(Reply::Page(Page::last(vec![])))
            }
            (Defect::PassesOnARepeatedCursor, Call::List(request), Err(e))
                if e.kind() == ErrorKind::ContractViolation && request.cursor.is_some() =>
            {
                Ok(Reply::Page(Page::with_next(vec![], request.cursor.clone())))
            }
            (Defect::CreationIsNotLookedUp, Call::Apply(change), Ok(Reply::Outcome(outcome)))
                if change.op.makes_account() && outcome.effect == Effect::Unchanged =>
            {
                Err(Error::new(ErrorKind::AlreadyExists, "the name is taken"))
            }
            (Defect::LooksAfterwardsAndForgets, Call::Apply(change), Ok(reply)) => {
                let seen = next.run(cx, &Call::Read(change.target()?)).await;
                seen.map_err(|e| e.with_applied(Applied::No))?;
                Ok(reply)
            }
            (_, _, result) => result,
        }
    }
}

/// A transport that does more, or less, than it is told.
struct Detour(Defect, ReqwestTransport);

fn again(request: &Request) -> Request {
    request.clone()
}

#[async_trait]
impl Transport for Detour {
    async fn send(&self, request: Request, cap: usize) -> Answer {
        let inner = &self.1;
        match self.0 {
            Defect::TriesAgain => {
                let first = inner.send(again(&request), cap).await?;
                let failed = first.status().as_u16() >= 400;
                if failed { inner.send(request, cap).await } else { Ok(first) }
            }
            Defect::TriesAgainOn401 => {
                let mut last = inner.send(again(&request), cap).await?;
                for _ in 0..3 {
                    if last.status().as_u16() == 401 {
                        last = inner.send(again(&request), cap).await?;
                    }
                }
                Ok(last)
            }
            Defect::FollowsRedirects => {
                let first = inner.send(again(&request), cap).await?;
                let Some(location) = first.headers().get("location") else { return Ok(first) };
                let location = location.to_str().unwrap_or("/").to_owned();
                let mut follow = again(&request);
                let base = format!("http://{}", request.uri().authority().unwrap());
                *follow.uri_mut() = format!("{base}{location}").parse().unwrap();
                inner.send(follow, cap).await
            }
            Defect::FollowsForeignLinks => {
                let mut answer = inner.send(request, cap).await?;
                let text = String::from_utf8_lossy(answer.body()).into_owned();
                // What a client does that strips the host: the link looks like one of ours.
                *answer.body_mut() = text
                    .replace("https://evil.example", "")
                    .replace("\"next\":\"/users?limit=2", "\"next\":\"/users?limit=1")
                    .into_bytes();
                *answer.body_mut() = drop_first_row(answer.body());
                Ok(answer)
            }
            Defect::TokenInTheAddress => {
                let mut request = request;
                let mark = if request.uri().query().is_some() { '&' } else { '?' };
                let uri = format!("{}{mark}key={}", request.uri(), harness::TOKEN);
                *request.uri_mut() = uri.parse().unwrap();
                inner.send(request, cap).await
            }
            Defect::ChatsBeforeEveryCall => {
                let base = format!("http://{}", request.uri().authority().unwrap());
                for _ in 0..7 {
                    let mut chat = again(&request);
                    *chat.method_mut() = http::Method::GET;
                    *chat.uri_mut() = format!("{base}/me").parse().unwrap();
                    chat.body_mut().clear();
                    inner.send(chat, cap).await?;
                }
                inner.send(request, cap).await
            }
            Defect::KeepsConnectionsOpen => {
                let inner = inner.clone();
                tokio::spawn(async move { inner.send(request, cap).await })
                    .await
                    .map_err(|e| TransportError::lost(e.to_string()))?
            }
            _ => inner.send(request, cap).await,
        }
    }
}

/// Takes the first user out of a page that came over a foreign link.
fn drop_first_row(body: &[u8]) -> Vec<u8> {
    let Ok(mut page) = serde_json::from_slice::<serde_json::Value>(body) else {
        return body.to_vec();
    };
    let linked =
        page.get("next").and_then(|it| it.as_str()).is_some_and(|next| next.contains("limit=1"));
    match page.get_mut("users").and_then(serde_json::Value::as_array_mut) {
        Some(rows) if linked && !rows.is_empty() => {
            rows.remove(0);
            page.to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}

fn wrong(defect: Defect) -> Harness {
    Harness::new(move || async move {
        let transport = Detour(defect, ReqwestTransport::new().unwrap());
        let world: World = harness::world(Arc::new(transport));
        world.behind(|provider: Arc<dyn Provider>| {
            Arc::new(Layered::new(provider, vec![Arc::new(Wrong(defect))]))
        })
    })
}

#[test]
fn no_defect_of_the_wire_escapes() {
    let mut caught: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut table = String::from(
        "# Planted defects on the wire\n\n\
         Made by a test of jml-connector-kit (`JML_UPDATE_GOLDEN=1 cargo test -p jml-connector-kit`). The\n\
         tutorial's connector (examples/custom_connector) over TCP, made wrong in one way each. The other\n\
         behaviours and defects are in [conformance.md](conformance.md).\n\n\
         | defect | what the connector does wrong | caught by |\n|---|---|---|\n",
    );
    let wire: Vec<&str> =
        behaviours().iter().filter(|it| it.tier == Tier::Faults).map(|it| it.id).collect();
    for (defect, what) in ALL {
        let by: BTreeSet<&str> = run_some(&wrong(defect), &wire).failures().into_iter().collect();
        let list = by.iter().copied().collect::<Vec<_>>().join(" ");
        table.push_str(&format!("| {defect:?} | {what} | {list} |\n"));
        caught.insert(format!("{defect:?}"), by);
    }
    println!("{table}");
    let escaped: Vec<_> = caught.iter().filter(|(_, by)| by.is_empty()).map(|it| it.0).collect();
    assert!(escaped.is_empty(), "escaped: {escaped:?}");
    let busy: BTreeSet<&str> = caught.values().flatten().copied().collect();
    let idle: Vec<&&str> = wire.iter().filter(|id| !busy.contains(*id)).collect();
    assert!(idle.is_empty(), "behaviours of the wire that catch nothing: {idle:?}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance-wire.md");
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        known == table,
        "docs/conformance-wire.md is not what runs; JML_UPDATE_GOLDEN=1 writes it"
    );
}
