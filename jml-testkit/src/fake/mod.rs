//! Fake servers: one pure function from request to response, and three fronts for it.
//!
//! - In the process: [`Fake::answer`], for a transport that is a function.
//! - Behind `wiremock` (feature `wiremock`): `Fake::responder`.
//! - On a real socket: [`Fake::serve`], where connections break, hang and are cut short.

pub mod acme;
pub mod entra;
mod filter;
pub mod google;
pub mod jumpcloud;
pub mod okta;
pub mod scim;
mod tcp;
mod token;
#[cfg(feature = "wiremock")]
mod wire_mock;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use jml_core::clock::Clock;

pub use tcp::Server;
#[cfg(feature = "wiremock")]
pub use wire_mock::Responder;

/// A request as a fake sees it. The URI is path and query.
pub type Request = http::Request<Vec<u8>>;
/// A fake's answer.
pub type Response = http::Response<Vec<u8>>;

/// A target's API as a state machine: no clock, no network, no randomness.
pub trait FakeApi: Send + 'static {
    /// Answers one request at one instant.
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response;

    /// Whether a request could change something, as far as its method does not say it: a search by POST
    /// changes nothing.
    fn mutates(&self, request: &Request) -> bool {
        !matches!(*request.method(), http::Method::GET | http::Method::HEAD)
            && !request.uri().path().contains("token")
    }

    /// Turns on something that real targets do now and then. `false` where the fake has no such thing.
    fn quirk(&mut self, quirk: Quirk) -> bool {
        let _ = quirk;
        false
    }
}

/// What real targets do now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quirk {
    /// The first page of a listing is empty and is followed by another.
    EmptyFirstPage,
    /// The next page is said to be on another host.
    ForeignNextLink,
    /// The next page is said to be the page just read.
    RepeatedCursor,
}

/// Sees every exchange of a fake, those with faults excepted.
pub trait Watch: Send + Sync + 'static {
    /// A request was answered.
    fn exchanged(&self, request: &Request, response: &Response);
}

/// What goes wrong on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// Another answer; nothing lands.
    Answer {
        /// Status code.
        status: u16,
        /// Headers.
        headers: Vec<(&'static str, String)>,
        /// Body.
        body: String,
    },
    /// The connection ends before the request is looked at.
    ResetBefore,
    /// The request is carried out, and the connection ends without an answer.
    ResetAfter,
    /// The request is carried out, and half of the answer's body arrives.
    Truncate,
    /// The request is carried out, and the body is replaced.
    Body(String),
    /// No answer until the caller gives up. Nothing lands.
    Hang,
}

impl WireFault {
    /// An answer with a status and a body of the kind that this status has in many places.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let body = format!(r#"{{"error":{{"code":"E{status}","message":"fault {status}"}}}}"#);
        Self::Answer { status, headers: Vec::new(), body }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hits {
    /// All.
    All,
    /// Those that change nothing, without requests for tokens.
    Reads,
    /// The others, without requests for tokens.
    Changes,
    /// The one with this number from now on, counted from 1, and those after it. All are counted.
    Nth(u32),
}

/// A request as it came, for looking at.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Recorded {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers by lower-case name.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Whether it could change something.
    pub mutates: bool,
}

impl Recorded {
    /// Everything as text, for looking for something.
    #[must_use]
    pub fn text(&self) -> String {
        let headers: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}\n{}\n\n{body}", self.method, self.target, headers.join("\n"))
    }
}

impl fmt::Debug for Recorded {
    /// Method and target: headers hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// No answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer")]
#[expect(clippy::exhaustive_structs, reason = "says whether the request arrived")]
pub struct NoAnswer {
    /// Whether the server may have got the request.
    pub sent: bool,
}

/// A fake API with its faults and its record. Clones share it.
pub struct Fake<A> {
    inner: Arc<Mutex<Inner<A>>>,
    clock: Arc<dyn Clock>,
}

struct Inner<A> {
    api: A,
    faults: Vec<Planned>,
    fired: u32,
    requests: Vec<Recorded>,
    down: bool,
    watch: Option<Arc<dyn Watch>>,
}

/// A fault that is to come.
struct Planned {
    hits: Hits,
    left: u32,
    seen: u32,
    fault: WireFault,
}

impl Planned {
    /// Counts a request; whether it is one to go wrong.
    fn hit(&mut self, mutates: bool, is_token: bool) -> bool {
        self.seen += 1;
        self.left > 0
            && match self.hits {
                Hits::All => true,
                Hits::Reads => !mutates && !is_token,
                Hits::Changes => mutates,
                Hits::Nth(number) => self.seen >= number,
            }
    }
}

impl<A> Clone for Fake<A> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), clock: self.clock.clone() }
    }
}

impl<A> fmt::Debug for Fake<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").finish_non_exhaustive()
    }
}

/// What becomes of a request.
pub(crate) enum Fate {
    Answer(Response),
    Reset,
    Truncate(Response),
    Hang,
}

impl<A: FakeApi> Fake<A> {
    /// A fake of an API, living by a clock.
    #[must_use]
    pub fn new(api: A, clock: Arc<dyn Clock>) -> Self {
        let (faults, requests) = (Vec::new(), Vec::new());
        let inner = Inner { api, faults, fired: 0, requests, down: false, watch: None };
        Self { inner: Arc::new(Mutex::new(inner)), clock }
    }

    /// The same with somebody who sees every exchange.
    #[must_use]
    pub fn watched(self, watch: impl Watch) -> Self {
        self.lock().watch = Some(Arc::new(watch));
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner<A>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at, or changes, the API's state, as another administrator would.
    pub fn with<T>(&self, look: impl FnOnce(&mut A) -> T) -> T {
        look(&mut self.lock().api)
    }

    /// The next `times` requests of these go wrong.
    pub fn inject(&self, hits: Hits, times: u32, fault: WireFault) {
        self.lock().faults.push(Planned { hits, left: times, seen: 0, fault });
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.lock().faults.clear();
    }

    /// How many requests went wrong.
    #[must_use]
    pub fn fired(&self) -> u32 {
        self.lock().fired
    }

    /// Every request that came.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().requests.clone()
    }

    /// Forgets the requests that came.
    pub fn forget(&self) {
        self.lock().requests.clear();
    }

    /// Answers a request in the process: the front for a transport that is a function. A fault that a
    /// function cannot show (a connection cut in the middle) shows as no answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn answer(&self, request: &Request) -> Result<Response, NoAnswer> {
        if self.lock().down {
            return Err(NoAnswer { sent: false });
        }
        match self.decide(request) {
            Fate::Answer(response) => Ok(response),
            Fate::Reset | Fate::Truncate(_) | Fate::Hang => Err(NoAnswer { sent: true }),
        }
    }

    /// From now on, nobody listens.
    pub(crate) fn go_down(&self) {
        self.lock().down = true;
    }

    pub(crate) fn decide(&self, request: &Request) -> Fate {
        let now = self.clock.now();
        let mut inner = self.lock();
        let recorded = Recorded {
            method: request.method().to_string(),
            target: request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned(),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.to_string(), value)
                })
                .collect(),
            body: request.body().clone(),
            mutates: inner.api.mutates(request),
        };
        let mutates = recorded.mutates;
        inner.requests.push(recorded);
        let is_token = request.uri().path().contains("token");
        // Each counts, also where another one comes first.
        let hits: Vec<&mut Planned> = inner
            .faults
            .iter_mut()
            .filter_map(|it| it.hit(mutates, is_token).then_some(it))
            .collect();
        let fault = hits.into_iter().next().map(|it| {
            it.left -= 1;
            it.fault.clone()
        });
        let Some(fault) = fault else {
            let response = dated(inner.api.handle(request, now), now);
            if let Some(watch) = &inner.watch {
                watch.exchanged(request, &response);
            }
            return Fate::Answer(response);
        };
        inner.fired += 1;
        match fault {
            WireFault::Answer { status, headers, body } => {
                let mut response = respond(status, "application/json", body);
                for (name, value) in headers {
                    if let Ok(value) = value.parse() {
                        response.headers_mut().insert(name, value);
                    }
                }
                Fate::Answer(response)
            }
            WireFault::ResetBefore => Fate::Reset,
            WireFault::ResetAfter => {
                inner.api.handle(request, now);
                Fate::Reset
            }
            WireFault::Truncate => Fate::Truncate(inner.api.handle(request, now)),
            WireFault::Body(body) => {
                let mut response = inner.api.handle(request, now);
                *response.body_mut() = body.into_bytes();
                // What has no body has one now.
                if response.status() == http::StatusCode::NO_CONTENT {
                    *response.status_mut() = http::StatusCode::OK;
                }
                Fate::Answer(response)
            }
            WireFault::Hang => Fate::Hang,
        }
    }
}

/// What a test may do on the wire between a connector and its target.
pub trait Wire: Send + Sync + 'static {
    /// The next `times` requests of these go wrong.
    fn inject(&self, hits: Hits, times: u32, fault: WireFault);
    /// Nothing goes wrong any more.
    fn calm(&self);
    /// How many requests went wrong.
    fn fired(&self) -> u32;
    /// Every request that came.
    fn requests(&self) -> Vec<Recorded>;
    /// Connections that are open now; `None` where there are none to count.
    fn active(&self) -> Option<usize>;
    /// From now on, nobody listens.
    fn stop(&self);
    /// Turns on something that real targets do now and then; `false` where the fake cannot.
    fn quirk(&self, quirk: Quirk) -> bool;
}

impl<A: FakeApi> Wire for Fake<A> {
    fn inject(&self, hits: Hits, times: u32, fault: WireFault) {
        Self::inject(self, hits, times, fault);
    }
    fn calm(&self) {
        Self::calm(self);
    }
    fn fired(&self) -> u32 {
        Self::fired(self)
    }
    fn requests(&self) -> Vec<Recorded> {
        Self::requests(self)
    }
    fn active(&self) -> Option<usize> {
        None
    }
    fn stop(&self) {
        self.go_down();
    }
    fn quirk(&self, quirk: Quirk) -> bool {
        self.with(|api| api.quirk(quirk))
    }
}

/// A response with a body of a type.
#[must_use]
pub fn respond(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if !response.body().is_empty() {
        let kind = http::HeaderValue::from_static(content_type);
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    }
    response
}

/// A JSON response.
#[must_use]
pub fn json(status: u16, body: &serde_json::Value) -> Response {
    respond(status, "application/json", body.to_string())
}

/// The decoded query of a request.
#[must_use]
pub fn query(request: &Request) -> BTreeMap<String, String> {
    let text = request.uri().query().unwrap_or_default();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(&value.replace('+', " ")))).collect()
}

/// Percent-decoding (RFC 3986 section 2.1); what is no escape stays.
#[must_use]
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (*first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = tail.get(2..).unwrap_or_default();
            }
            (byte, ..) => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer with the fake's clock in it, as every server sends it.
fn dated(mut response: Response, now: DateTime<Utc>) -> Response {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = date.parse() {
        response.headers_mut().entry(http::header::DATE).or_insert(date);
    }
    response
}

/// The origin that a request was sent to, for links in answers.
#[must_use]
pub fn origin(request: &Request) -> String {
    let host = request.headers().get(http::header::HOST).and_then(|it| it.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1"))
}

/// The decoded segments of a request's path.
#[must_use]
pub fn segments(request: &Request) -> Vec<String> {
    request.uri().path().split('/').skip(1).map(decode).collect()
}

/// Percent-encoding of everything that is not unreserved (RFC 3986 section 2.3), for a query or a segment.
#[must_use]
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
