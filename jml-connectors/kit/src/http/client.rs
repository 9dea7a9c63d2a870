//! The client: base URL, credential, one attempt, classification.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use jml_core::provider::{
    Applied, Cx, Descriptor, Effect, Error, ErrorKind, Health, Outcome, Quota, Result, RetryAdvice,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smol_str::SmolStr;
use url::Url;

use super::classify::{Failure, Verdict, kind_of_status};
use super::request::{Body, Place, Request};
use super::retry_after::{retry_after, server_time};
use super::transport::{ReqwestTransport, Transport, TransportError};
use crate::auth::{Auth, NoAuth};

/// A client cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The base URL is none.
    #[error(
        "`{0}` is no base URL: it must be absolute, http or https, without query and credentials"
    )]
    BaseUrl(String),
    /// A token would travel in the open.
    #[error("`{0}` is not https; plain http is for loopback addresses")]
    NotEncrypted(String),
    /// TLS cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Tls(String),
}

type Classify = fn(&Failure<'_>) -> Option<Verdict>;

/// An HTTP client of one target. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    base: Url,
    transport: Arc<dyn Transport>,
    auth: Arc<dyn Auth>,
    classify: Classify,
    cap: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// An answer that is a success.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    mutates: bool,
}

impl std::fmt::Debug for Response {
    /// Without body and headers: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the target below `base`, without a credential yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(base: &str) -> std::result::Result<Self, ClientError> {
        let transport = ReqwestTransport::new().map_err(|e| ClientError::Tls(e.what))?;
        Self::over(base, Arc::new(transport))
    }

    /// A client over another transport.
    ///
    /// # Errors
    /// [`ClientError::BaseUrl`], [`ClientError::NotEncrypted`].
    pub fn over(
        base: &str,
        transport: Arc<dyn Transport>,
    ) -> std::result::Result<Self, ClientError> {
        // What is wrong with a URL may be that somebody put a password into it.
        let shown = || base.rsplit('@').next().unwrap_or_default().to_owned();
        let url = Url::parse(base).map_err(|_| ClientError::BaseUrl(shown()))?;
        let bare = url.username().is_empty() && url.password().is_none();
        let plain = url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !bare || !plain || !url.has_host() {
            return Err(ClientError::BaseUrl(shown()));
        }
        let loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() == "http" && !loopback {
            return Err(ClientError::NotEncrypted(shown()));
        }
        let auth = Arc::new(NoAuth);
        Ok(Self { base: url, transport, auth, classify: |_| None, cap: 16 << 20 })
    }

    /// The same with a credential.
    #[must_use]
    pub fn authenticated(mut self, auth: impl Auth) -> Self {
        self.auth = Arc::new(auth);
        self
    }

    /// The same with a vendor's eye for failures. Where it says nothing, the table decides
    /// ([`kind_of_status`]).
    #[must_use]
    pub fn classifying(mut self, classify: Classify) -> Self {
        self.classify = classify;
        self
    }

    /// The same with another largest answer, in bytes. 16 MiB unless told otherwise.
    #[must_use]
    pub const fn with_cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// Sends a request: one attempt. A credential that is refused is renewed once, where it can be, and
    /// the refused request is sent again.
    ///
    /// # Errors
    /// [`Error`] for every answer that is not a 2xx, and when there is none.
    pub async fn send(&self, cx: &Cx, request: Request) -> Result<Response> {
        let stamp = self.auth.current(cx).await?;
        match self.once(cx, &request, stamp).await {
            Err(error) if error.kind() == ErrorKind::Unauthenticated => {
                match self.auth.renew(cx, stamp).await? {
                    Some(renewed) => self.once(cx, &request, renewed).await,
                    None => Err(error),
                }
            }
            other => other,
        }
    }

    /// Sends a change, and says that the target accepted it: most do not say whether something changed.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn change(&self, cx: &Cx, request: Request) -> Result<Outcome> {
        let response = self.send(cx, request).await?;
        let outcome = Outcome::accepted();
        Ok(match response.request_id() {
            Some(id) => outcome.with_remote(id),
            None => outcome,
        })
    }

    /// Sends the several requests that one change is made of: [`Effect::Changed`] if there was anything to
    /// do. What is not found is gone already. One that will never be taken does not hold up those behind it:
    /// a device that cannot be wiped must not keep the others.
    ///
    /// # Errors
    /// As [`send`](Self::send), for the first one that fails; it says whether others were done.
    pub async fn change_each(&self, cx: &Cx, requests: Vec<Request>) -> Result<Outcome> {
        let (mut outcome, mut first) = (Outcome::unchanged(), None::<Error>);
        for request in requests {
            match self.send(cx, request).await {
                Ok(_) => outcome = Outcome::changed(),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let hopeless = error.retry() == RetryAdvice::Never;
                    first = Some(match first {
                        Some(first) => {
                            let applied = first.applied().join(error.applied());
                            first.with_applied(applied)
                        }
                        None => error,
                    });
                    if !hopeless {
                        break;
                    }
                }
            }
        }
        match first {
            None => Ok(outcome),
            Some(error) if outcome.effect == Effect::Changed => Err(error.partly()),
            Some(error) => Err(error),
        }
    }

    /// What went wrong with one part of an answer that is made of several, such as that to a batch: judged and
    /// cleaned like an answer of its own. `mutates` tells whether the part was a change.
    #[must_use]
    pub fn part_failed(
        &self,
        cx: &Cx,
        mutates: bool,
        status: u16,
        headers: &HeaderMap,
        body: &Value,
    ) -> Error {
        self.judged(cx.now(), (mutates, false), status, headers, Some(body))
    }

    /// What the credential allows, in the vendor's words; `None` where nobody says, or as long as nothing
    /// was sent yet.
    #[must_use]
    pub fn granted(&self) -> Option<BTreeSet<String>> {
        self.auth.granted()
    }

    /// A target's health from an answer of it: its clock, and the declared permissions that the credential
    /// lacks, where it says which it has. `implied` tells whether one that it has stands for one that is
    /// declared.
    #[must_use]
    pub fn health(
        &self,
        descriptor: &Descriptor,
        answer: &Response,
        implied: fn(has: &str, needs: &str) -> bool,
    ) -> Health {
        let mut health = Health::ok();
        if let Some(time) = server_time(answer.headers()) {
            health = health.at(time);
        }
        if let Some(granted) = self.granted() {
            let lacks =
                |it: &&SmolStr| !granted.iter().any(|has| has == it.as_str() || implied(has, it));
            health = descriptor.permissions().iter().filter(lacks).fold(health, Health::missing);
        }
        health
    }

    /// Sends a request, and reads the answer as a value of a type.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`Response::json`].
    pub async fn fetch<T: DeserializeOwned>(&self, cx: &Cx, request: Request) -> Result<T> {
        self.send(cx, request).await?.json()
    }

    /// Reads something that may not be there: "not found" is `None`.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn find<T: DeserializeOwned>(&self, cx: &Cx, request: Request) -> Result<Option<T>> {
        match self.fetch(cx, request).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn url(&self, request: &Request) -> Result<Url> {
        let mut url = match &request.place {
            Place::Path(path) => {
                let base = self.base.as_str().trim_end_matches('/');
                Url::parse(&format!("{base}{}", path.as_str()))
            }
            Place::Link(link) => self.base.join(link),
        }
        .map_err(|_| Error::new(ErrorKind::ContractViolation, "the link is no address"))?;
        if url.origin() != self.base.origin() {
            let host = url.host_str().unwrap_or("nowhere");
            let text = format!("the target's link leads to another origin, `{host}`");
            return Err(Error::new(ErrorKind::ContractViolation, text).with_applied(Applied::No));
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    async fn build(
        &self,
        cx: &Cx,
        request: &Request,
        stamp: u64,
    ) -> Result<http::Request<Vec<u8>>> {
        let mut built = http::Request::new(Vec::new());
        *built.method_mut() = request.method.clone();
        let url = self.url(request)?;
        *built.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| Error::new(ErrorKind::Invalid, "the request has no address"))?;
        if let Some(name) = &request.misfit {
            let text = format!("what should stand in the header `{name}` is not fit for one");
            return Err(Error::new(ErrorKind::Configuration, text));
        }
        let headers = built.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("jml/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let (kind, body) = match &request.body {
            Body::Empty => (None, Vec::new()),
            Body::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                let text = form.extend_pairs(fields).finish();
                (Some("application/x-www-form-urlencoded"), text.into_bytes())
            }
        };
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.extend(request.headers.clone());
        self.auth.authorize(cx, stamp, headers).await?;
        *built.body_mut() = body;
        Ok(built)
    }

    async fn once(&self, cx: &Cx, request: &Request, stamp: u64) -> Result<Response> {
        let at = |error: Error| {
            let error = error.with_context("method", &request.method);
            match &request.place {
                Place::Path(path) if !request.secret => error.with_context("path", path.as_str()),
                _ => error,
            }
        };
        let built = self.build(cx, request, stamp).await.map_err(at)?;
        let answer = self.transport.send(built, self.cap).await;
        let answer = answer.map_err(|lost| at(self.lost(request, &lost)))?;
        let (parts, body) = answer.into_parts();
        report_quota(cx, &parts.headers);
        if parts.status.is_success() {
            let (status, headers, mutates) = (parts.status, parts.headers, request.mutates);
            return Ok(Response { status, headers, body, mutates });
        }
        Err(at(self.failed(cx.now(), request, parts.status, &parts.headers, &body)))
    }

    fn lost(&self, request: &Request, lost: &TransportError) -> Error {
        let kind = if lost.timed_out { ErrorKind::Timeout } else { ErrorKind::Transport };
        let applied = if lost.sent && request.mutates { Applied::Unknown } else { Applied::No };
        Error::new(kind, self.clean(&lost.what)).with_applied(applied)
    }

    fn failed(
        &self,
        now: DateTime<Utc>,
        request: &Request,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Error {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let of = (request.mutates, request.secret);
        self.judged(now, of, status.as_u16(), headers, json.as_ref())
    }

    /// A failure, of a request that may mutate and may be secret.
    fn judged(
        &self,
        now: DateTime<Utc>,
        (mutates, secret): (bool, bool),
        status: u16,
        headers: &HeaderMap,
        body: Option<&Value>,
    ) -> Error {
        let wait = retry_after(headers, now);
        let failure = Failure { status, headers, body, mutates, wait };
        let verdict = (self.classify)(&failure)
            .unwrap_or_else(|| Verdict::of(kind_of_status(failure.status)));
        let said = failure.message().filter(|_| !secret);
        let reason = StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
        let said = said.or(reason).unwrap_or("no reason given");
        let mut error =
            Error::new(verdict.kind, self.clean(said)).with_context("status", failure.status);
        if !mutates {
            error = error.with_applied(Applied::No);
        } else if let Some(applied) = verdict.applied {
            error = error.with_applied(applied);
        }
        let waits = matches!(verdict.kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
        if let Some(retry) = verdict.retry {
            error = error.with_retry(retry);
        } else if let Some(wait) = failure.wait.filter(|_| waits) {
            error = error.retry_after(wait);
        }
        match request_id(headers) {
            Some(id) => error.with_context("request", self.clean(id)),
            None => error,
        }
    }

    /// A text from outside, fit to be shown: short, in one line, without the credential.
    fn clean(&self, text: &str) -> String {
        let clean = self.auth.redact(text);
        let mut line: String =
            clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        if clean.chars().nth(300).is_some() {
            line.push('…');
        }
        line
    }
}

/// The target's own name for the request.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    const NAMES: [&str; 5] = [
        "request-id",
        "x-request-id",
        "x-okta-request-id",
        "x-correlation-id",
        "x-goog-request-id",
    ];
    NAMES.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok())
}

fn report_quota(cx: &Cx, headers: &HeaderMap) {
    let number = |names: [&'static str; 3]| {
        let value = names.iter().find_map(|name| headers.get(HeaderName::from_static(name)))?;
        value.to_str().ok()?.trim().parse::<u32>().ok()
    };
    let left = ["x-rate-limit-remaining", "x-ratelimit-remaining", "ratelimit-remaining"];
    if let Some(remaining) = number(left)
        && let Some(wait) = retry_after(headers, cx.now())
    {
        let reset = cx.now() + chrono::TimeDelta::from_std(wait).unwrap_or_default();
        cx.report_quota(Quota { bucket: "default".into(), remaining, reset });
    }
}

impl Response {
    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The target's own name for the request, for the evidence.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        request_id(&self.headers)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as a value of a type.
    ///
    /// # Errors
    /// [`ErrorKind::ContractViolation`] when it is not; of a change, it is then unknown whether it
    /// landed.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let applied = if self.mutates { Applied::Unknown } else { Applied::No };
            // The words of serde quote the body; its place does not.
            let text = format!("the answer is not what it should be, at line {}", e.line());
            Error::new(ErrorKind::ContractViolation, text)
                .with_applied(applied)
                .with_context("status", self.status.as_u16())
        })
    }
}

impl Request {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }
}
