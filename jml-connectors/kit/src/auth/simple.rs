//! Credentials that do not change: bearer tokens and API keys.

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use jml_core::provider::{Cx, Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::Auth;

/// What stands where a secret stood.
pub(super) const REDACTED: &str = "[redacted]";

/// A text without a secret. Secrets of less than four characters are too common to be looked for.
pub(super) fn redact(text: &str, secret: &SecretString) -> String {
    let secret = secret.expose_secret();
    if secret.len() < 4 { text.to_owned() } else { text.replace(secret, REDACTED) }
}

pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<()> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            "the credential holds a character that no header holds",
        )
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// No credential.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "has no settings")]
pub struct NoAuth;

#[async_trait]
impl Auth for NoAuth {
    async fn authorize(&self, _: &Cx, _: u64, _: &mut HeaderMap) -> Result<()> {
        Ok(())
    }

    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// `Authorization: Bearer ...` (RFC 6750 section 2.1).
#[derive(Clone, Debug)]
pub struct Bearer(SecretString);

impl Bearer {
    /// A token.
    #[must_use]
    pub fn new(token: impl Into<SecretString>) -> Self {
        Self(token.into())
    }
}

#[async_trait]
impl Auth for Bearer {
    async fn authorize(&self, _: &Cx, _: u64, headers: &mut HeaderMap) -> Result<()> {
        put(headers, AUTHORIZATION, &format!("Bearer {}", self.0.expose_secret()))
    }

    fn redact(&self, text: &str) -> String {
        redact(text, &self.0)
    }
}

/// A key in a header of the vendor's choice: `X-Api-Key: ...`, `Authorization: SSWS ...`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    header: HeaderName,
    prefix: &'static str,
    key: SecretString,
}

impl ApiKey {
    /// A key in a header.
    #[must_use]
    pub fn new(header: HeaderName, key: impl Into<SecretString>) -> Self {
        Self { header, prefix: "", key: key.into() }
    }

    /// The same behind a word, such as `SSWS `.
    #[must_use]
    pub const fn prefixed(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }
}

#[async_trait]
impl Auth for ApiKey {
    async fn authorize(&self, _: &Cx, _: u64, headers: &mut HeaderMap) -> Result<()> {
        let value = format!("{}{}", self.prefix, self.key.expose_secret());
        put(headers, self.header.clone(), &value)
    }

    fn redact(&self, text: &str) -> String {
        redact(text, &self.key)
    }
}
