//! Requests, before they meet a base URL and a credential.

use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use http::{Method, header};
use jml_core::provider::IdempotencyKey;
use serde_json::Value;

use super::Path;

/// What a request carries.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// JSON, with the content type that goes with it unless a header says another one.
    Json(Value),
    /// A form (`application/x-www-form-urlencoded`).
    Form(Vec<(String, String)>),
}

/// A request of a connector.
#[derive(Clone, PartialEq)]
pub struct Request {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// A header whose value is none: such a request is not sent.
    pub(super) misfit: Option<HeaderName>,
    pub(super) body: Body,
    pub(super) mutates: bool,
    pub(super) secret: bool,
}

/// Where a request goes: a path below the base, or a link that the target gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Path(Path),
    Link(String),
}

impl std::fmt::Debug for Request {
    /// Without body and headers: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut show = f.debug_struct("Request");
        show.field("method", &self.method);
        if !self.secret {
            show.field("place", &self.place);
        }
        show.finish_non_exhaustive()
    }
}

impl Request {
    fn to(method: Method, place: Place) -> Self {
        let mutates = method != Method::GET && method != Method::HEAD;
        Self {
            method,
            place,
            query: Vec::new(),
            headers: HeaderMap::new(),
            misfit: None,
            body: Body::Empty,
            mutates,
            secret: false,
        }
    }

    /// A request of any method.
    #[must_use]
    pub fn new(method: Method, path: Path) -> Self {
        Self::to(method, Place::Path(path))
    }

    /// Reads.
    #[must_use]
    pub fn get(path: Path) -> Self {
        Self::new(Method::GET, path)
    }

    /// Reads what the target's own link leads to. It must be on the same origin as the base URL.
    #[must_use]
    pub fn follow(link: impl Into<String>) -> Self {
        Self::to(Method::GET, Place::Link(link.into()))
    }

    /// Makes or does.
    #[must_use]
    pub fn post(path: Path) -> Self {
        Self::new(Method::POST, path)
    }

    /// Replaces.
    #[must_use]
    pub fn put(path: Path) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Changes in part.
    #[must_use]
    pub fn patch(path: Path) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Removes.
    #[must_use]
    pub fn delete(path: Path) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// The same with a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    /// The same with a form.
    #[must_use]
    pub fn form<K: Into<String>, V: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.body = Body::Form(fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// The same with a header. With a value that is not fit for a header the request fails when it is sent, as
    /// an error of configuration: without a condition or an organisation it would be another request.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        match HeaderValue::from_str(value.as_ref()) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => self.misfit = Some(name),
        }
        self
    }

    /// The same with the step's key, for targets that remember it
    /// (draft-ietf-httpapi-idempotency-key-header).
    #[must_use]
    pub fn idempotency_key(self, key: &IdempotencyKey) -> Self {
        self.header(HeaderName::from_static("idempotency-key"), key.as_str())
    }

    /// The same, only if the target's version is still this one (RFC 9110 section 13.1.1).
    #[must_use]
    pub fn if_match(self, version: &str) -> Self {
        self.header(IF_MATCH, version)
    }

    /// The same, said to accept something else than JSON.
    #[must_use]
    pub fn accept(self, what: &str) -> Self {
        self.header(header::ACCEPT, what)
    }

    /// The same, said to change nothing although its method could: a search by POST.
    #[must_use]
    pub const fn reads(mut self) -> Self {
        self.mutates = false;
        self
    }

    /// The same, said to carry or fetch a secret: neither its place nor its answer is ever shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}
