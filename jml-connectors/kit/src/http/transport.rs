//! How requests travel: over reqwest, or into a function, for tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// A request or its answer was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct TransportError {
    /// Whether the target may have got the request.
    pub sent: bool,
    /// Whether it was time that ran out.
    pub timed_out: bool,
    /// In people's words, without the address.
    pub what: String,
}

impl TransportError {
    /// Nothing was sent: no address, no connection, no TLS session.
    #[must_use]
    pub fn not_sent(what: impl Into<String>) -> Self {
        Self { sent: false, timed_out: false, what: what.into() }
    }

    /// The target may have got the request.
    #[must_use]
    pub fn lost(what: impl Into<String>) -> Self {
        Self { sent: true, timed_out: false, what: what.into() }
    }

    /// The same, because time ran out.
    #[must_use]
    pub const fn in_time(mut self) -> Self {
        self.timed_out = true;
        self
    }
}

/// Carries one request to the target and its answer back. Follows no redirect, repeats nothing.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends. An answer whose body is larger than `cap` bytes is an error.
    ///
    /// # Errors
    /// [`TransportError`].
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        cap: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError>;
}

/// Over TCP and TLS.
#[derive(Clone, Debug)]
pub struct ReqwestTransport(reqwest::Client);

impl ReqwestTransport {
    /// A client with connections of its own, ten seconds to connect, and no time limit of its own for
    /// answers: that is the caller's ([`Attempt`](crate::layers::Attempt)).
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, TransportError> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map(Self)
            .map_err(|e| TransportError::not_sent(e.without_url().to_string()))
    }

    /// A client that the application has set up: proxies, client certificates. It must not follow
    /// redirects and must not repeat requests.
    #[must_use]
    pub const fn over(client: reqwest::Client) -> Self {
        Self(client)
    }
}

/// The chain of causes in one line: the outermost alone says little.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn failed(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let sent = !(error.is_connect() || error.is_builder());
    let mut failed = TransportError { sent, timed_out: false, what: causes(&error) };
    failed.timed_out = error.is_timeout();
    failed
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        cap: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let request = reqwest::Request::try_from(request)
            .map_err(|e| TransportError::not_sent(e.without_url().to_string()))?;
        let mut answer = self.0.execute(request).await.map_err(failed)?;
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            let body = response.body_mut();
            if body.len() + chunk.len() > cap {
                return Err(TransportError::lost(format!("the answer is larger than {cap} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        cap: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        (**self).send(request, cap).await
    }
}

struct Function<F>(F);

#[async_trait]
impl<F> Transport for Function<F>
where
    F: Fn(http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError>
        + Send
        + Sync
        + 'static,
{
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        cap: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let response = self.0(request)?;
        if response.body().len() > cap {
            return Err(TransportError::lost(format!("the answer is larger than {cap} bytes")));
        }
        Ok(response)
    }
}

/// A transport that is a function: a fake server in the same process, for tests.
pub fn transport_fn<F>(answer: F) -> impl Transport
where
    F: Fn(http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError>
        + Send
        + Sync
        + 'static,
{
    Function(answer)
}
