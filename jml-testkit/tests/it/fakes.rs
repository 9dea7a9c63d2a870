//! Requests to fakes, and what comes back: no connector, no socket.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::clock::Clock as _;
use jml_testkit::ManualClock;
use jml_testkit::fake::{Fake, FakeApi, encode};
use serde_json::{Value, json};

/// A fake, its clock, and whoever asks it.
pub(crate) struct Desk<A> {
    pub(crate) fake: Fake<A>,
    clock: ManualClock,
    pub(crate) authorization: String,
    /// Headers of every request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Null where there is none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Path and query of the link with a relation (RFC 8288).
    pub(crate) fn link(&self, rel: &str) -> Option<String> {
        let wanted = format!("; rel=\"{rel}\"");
        let links = self.headers.iter().filter(|(name, _)| name == "link");
        let link = links.filter_map(|(_, it)| it.strip_suffix(&wanted)).next()?;
        Some(link.trim_matches(['<', '>']).to_owned())
    }

    /// A member of each element of a list.
    pub(crate) fn each(&self, list: &str, name: &str) -> Vec<String> {
        let rows = self.body.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let text =
            |it: &Value| it[name].as_str().map_or_else(|| it[name].to_string(), str::to_owned);
        rows.iter().map(text).collect()
    }
}

/// A Monday.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

impl<A: FakeApi> Desk<A> {
    pub(crate) fn new(api: A, authorization: &str) -> Self {
        let clock = ManualClock::new(start());
        let fake = Fake::new(api, Arc::new(clock.clone()));
        Self { fake, clock, authorization: authorization.to_owned(), headers: Vec::new() }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn wait(&self, ms: i64) {
        self.clock.advance(TimeDelta::milliseconds(ms));
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &Value::Null)
    }

    /// A request with a body, unless it is null.
    pub(crate) fn send(&self, method: &str, target: &str, body: &Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.ask(method, target, &[("content-type", "application/json")], bytes)
    }

    pub(crate) fn form(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let kind = "application/x-www-form-urlencoded";
        self.ask("POST", target, &[("content-type", kind)], pairs.join("&").into_bytes())
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        // Links lead back with their origin.
        let target = target.strip_prefix("http://place.test").unwrap_or(target);
        let mut request = http::Request::builder().method(method).uri(target);
        request = request.header("host", "place.test");
        if !self.authorization.is_empty() {
            request = request.header("authorization", &self.authorization);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.fake.answer(&request.body(body).unwrap()).unwrap();
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, it)| (name.to_string(), it.to_str().unwrap().to_owned())).collect();
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status().as_u16(), headers, body }
    }
}

/// An assertion of an issuer for an audience, of this hour. Fakes look at no signature.
pub(crate) fn assertion(issuer: &str, audience: &str) -> String {
    let at = start().timestamp();
    let claims =
        json!({ "iss": issuer, "sub": issuer, "aud": audience, "iat": at, "exp": at + 300 });
    signed(&claims)
}

/// An assertion with these claims.
pub(crate) fn signed(claims: &Value) -> String {
    format!("{}.{}.c2ln", base64url(b"{}"), base64url(claims.to_string().as_bytes()))
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = three[0] << 16 | three[1] << 8 | three[2];
        for at in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}
