//! OAuth 2.0: tokens that are fetched, kept, and renewed once for all who ask.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jml_core::digest::Digest;
use jml_core::provider::{Applied, Cx, Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Auth;
use super::assertion::{AssertionSigner, jwt};
use super::simple::{put, redact};
use crate::http::{Client, Request};
use crate::path;

/// An access token.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by sources")]
pub struct Token {
    /// The token.
    pub secret: SecretString,
    /// When it ends; `None` when nobody says.
    pub expires: Option<DateTime<Utc>>,
    /// What it allows, in the vendor's words; `None` when nobody says.
    pub scopes: Option<BTreeSet<String>>,
}

/// Fetches access tokens.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// A new token.
    ///
    /// # Errors
    /// When there is none to be had.
    async fn fetch(&self, cx: &Cx) -> Result<Token>;

    /// A text without the source's own secret, should it be in there.
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Keeps a token, renews it a minute before its end or when it is refused. Whoever asks while a renewal
/// is under way waits for it; there is never a second one.
pub struct TokenAuth<S> {
    source: S,
    renewing: async_lock::Mutex<()>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    stamp: u64,
    token: Token,
}

impl<S> std::fmt::Debug for TokenAuth<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAuth").finish_non_exhaustive()
    }
}

impl<S: TokenSource> TokenAuth<S> {
    /// Keeps tokens of a source.
    #[must_use]
    pub const fn new(source: S) -> Self {
        Self { source, renewing: async_lock::Mutex::new(()), kept: Mutex::new(None) }
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kept token, if it is newer than `refused` and lasts for another minute.
    fn good(&self, now: DateTime<Utc>, refused: Option<u64>) -> Option<u64> {
        let kept = self.kept()?;
        let lasts = kept.token.expires.is_none_or(|end| end - TimeDelta::minutes(1) > now);
        (lasts && refused.is_none_or(|refused| kept.stamp > refused)).then_some(kept.stamp)
    }

    async fn get(&self, cx: &Cx, refused: Option<u64>) -> Result<u64> {
        if let Some(stamp) = self.good(cx.now(), refused) {
            return Ok(stamp);
        }
        let _only_one = self.renewing.lock().await;
        // Somebody else may have renewed it meanwhile.
        if let Some(stamp) = self.good(cx.now(), refused) {
            return Ok(stamp);
        }
        let token = self.source.fetch(cx).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = kept.as_ref().map_or(0, |kept| kept.stamp) + 1;
        *kept = Some(Kept { stamp, token });
        Ok(stamp)
    }
}

#[async_trait]
impl<S: TokenSource> Auth for TokenAuth<S> {
    async fn current(&self, cx: &Cx) -> Result<u64> {
        self.get(cx, None).await
    }

    async fn authorize(&self, _: &Cx, _: u64, headers: &mut HeaderMap) -> Result<()> {
        let kept = self.kept();
        let kept = kept.ok_or_else(|| Error::new(ErrorKind::Internal, "there is no token"))?;
        put(headers, AUTHORIZATION, &format!("Bearer {}", kept.token.secret.expose_secret()))
    }

    async fn renew(&self, cx: &Cx, refused: u64) -> Result<Option<u64>> {
        self.get(cx, Some(refused)).await.map(Some)
    }

    fn granted(&self) -> Option<BTreeSet<String>> {
        self.kept()?.token.scopes
    }

    fn redact(&self, text: &str) -> String {
        let text = self.source.redact(text);
        self.kept().map_or_else(|| text.clone(), |kept| redact(&text, &kept.token.secret))
    }
}

/// How a client says who it is (RFC 6749 section 2.3).
#[non_exhaustive]
pub enum ClientAuth {
    /// With a secret in the form (`client_secret_post`).
    Secret(SecretString),
    /// With a secret in a header (`client_secret_basic`).
    Basic(SecretString),
    /// With a signed assertion (`private_key_jwt`, RFC 7523 section 2.2).
    Assertion(Arc<dyn AssertionSigner>),
}

impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Basic(_) => "Basic",
            Self::Assertion(_) => "Assertion",
        })
    }
}

/// The client credentials grant (RFC 6749 section 4.4): Entra, Okta, many SCIM servers.
#[derive(Debug)]
pub struct ClientCredentials {
    endpoint: Client,
    audience: String,
    client_id: String,
    scope: String,
    auth: ClientAuth,
}

impl ClientCredentials {
    /// A source at a token endpoint, which is the base URL of `endpoint`; `audience` is that URL as the
    /// server knows itself.
    #[must_use]
    pub fn new(
        endpoint: Client,
        audience: impl Into<String>,
        client_id: impl Into<String>,
        scope: impl Into<String>,
        auth: ClientAuth,
    ) -> Self {
        let (audience, client_id, scope) = (audience.into(), client_id.into(), scope.into());
        Self { endpoint, audience, client_id, scope, auth }
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn fetch(&self, cx: &Cx) -> Result<Token> {
        let mut form =
            vec![("grant_type", "client_credentials".to_owned()), ("scope", self.scope.clone())];
        let mut header = None;
        if !matches!(self.auth, ClientAuth::Basic(_)) {
            form.push(("client_id", self.client_id.clone()));
        }
        match &self.auth {
            ClientAuth::Basic(secret) => {
                let pair = format!("{}:{}", self.client_id, secret.expose_secret());
                header = Some(format!("Basic {}", Base64::encode_string(pair.as_bytes())));
            }
            ClientAuth::Secret(secret) => {
                form.push(("client_secret", secret.expose_secret().to_owned()));
            }
            ClientAuth::Assertion(signer) => {
                let now = cx.now();
                let unique = format!("{}/{}", self.client_id, now.timestamp_micros());
                let claims = json!({
                    "iss": self.client_id,
                    "sub": self.client_id,
                    "aud": self.audience,
                    "iat": now.timestamp(),
                    "nbf": now.timestamp(),
                    "exp": (now + TimeDelta::minutes(5)).timestamp(),
                    "jti": Digest::of_bytes("jml-jti", unique.as_bytes()).to_hex(),
                });
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_assertion_type", kind.to_owned()));
                form.push(("client_assertion", jwt(signer.as_ref(), &claims).await?));
            }
        }
        token(cx, &self.endpoint, form, header).await
    }

    fn redact(&self, text: &str) -> String {
        match &self.auth {
            ClientAuth::Secret(secret) | ClientAuth::Basic(secret) => redact(text, secret),
            ClientAuth::Assertion(_) => text.to_owned(),
        }
    }
}

/// A Google service account that acts for an administrator (domain-wide delegation): a signed assertion
/// for a token (RFC 7523 section 2.1).
pub struct ServiceAccount {
    endpoint: Client,
    audience: String,
    email: String,
    subject: Option<String>,
    scope: String,
    signer: Arc<dyn AssertionSigner>,
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// An account at a token endpoint, for these scopes (separated by spaces).
    #[must_use]
    pub fn new(
        endpoint: Client,
        audience: impl Into<String>,
        email: impl Into<String>,
        scope: impl Into<String>,
        signer: Arc<dyn AssertionSigner>,
    ) -> Self {
        let (audience, email, scope) = (audience.into(), email.into(), scope.into());
        Self { endpoint, audience, email, subject: None, scope, signer }
    }

    /// The same, acting for this administrator.
    #[must_use]
    pub fn acting_for(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

#[async_trait]
impl TokenSource for ServiceAccount {
    async fn fetch(&self, cx: &Cx) -> Result<Token> {
        let now = cx.now();
        let mut claims = json!({
            "iss": self.email,
            "scope": self.scope,
            "aud": self.audience,
            "iat": now.timestamp(),
            "exp": (now + TimeDelta::hours(1)).timestamp(),
        });
        if let (Some(subject), Some(claims)) = (&self.subject, claims.as_object_mut()) {
            claims.insert("sub".to_owned(), subject.as_str().into());
        }
        let form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", jwt(self.signer.as_ref(), &claims).await?),
        ];
        token(cx, &self.endpoint, form, None).await
    }
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Answer {
    access_token: SecretText,
    expires_in: Option<Seconds>,
    scope: Option<String>,
}

/// What an access token says of itself, if it is a JWT (RFC 7519): application permissions are in `roles`
/// (Microsoft), delegated ones in `scp` or `scope` (RFC 9068). It is looked at to tell the operator what is
/// missing, and for nothing else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    roles: Vec<String>,
    scp: Option<Value>,
    scope: Option<String>,
}

fn scopes_of(answer: &Answer) -> Option<BTreeSet<String>> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let token = answer.access_token.0.expose_secret();
    let claims = token.split('.').nth(1).and_then(|part| {
        let bytes = Base64UrlUnpadded::decode_vec(part).ok()?;
        serde_json::from_slice::<Claims>(&bytes).ok()
    });
    let mut found = BTreeSet::new();
    if let Some(claims) = claims {
        found.extend(claims.roles);
        match claims.scp {
            Some(Value::String(text)) => found.extend(words(&text)),
            Some(Value::Array(all)) => {
                found.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
        found.extend(claims.scope.iter().flat_map(|text| words(text)));
    }
    if found.is_empty() { answer.scope.as_deref().map(words) } else { Some(found) }
}

/// Some servers write the number as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(i64),
    Text(String),
}

struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d).map(|text| Self(text.into()))
    }
}

async fn token(
    cx: &Cx,
    endpoint: &Client,
    form: Vec<(&str, String)>,
    header: Option<String>,
) -> Result<Token> {
    let request = Request::post(path![]).form(form).reads().secret();
    let request = match header {
        Some(header) => request.header(AUTHORIZATION, header),
        None => request,
    };
    let asked_at = cx.now();
    let response = endpoint.send(cx, request).await.map_err(|error| {
        // A token endpoint answers 400 and 401 to a client that it does not know (RFC 6749 section 5.2).
        let kind = match error.kind() {
            ErrorKind::Invalid | ErrorKind::PermissionDenied => ErrorKind::Unauthenticated,
            other => other,
        };
        let text = format!("no token was given: {}", error.message());
        Error::new(kind, text).with_retry(error.retry()).with_applied(Applied::No)
    })?;
    let answer: Answer = response.json()?;
    let scopes = scopes_of(&answer);
    let seconds = match answer.expires_in {
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => text.parse().ok(),
        None => None,
    };
    let expires = seconds.map(|seconds| asked_at + TimeDelta::seconds(seconds.clamp(0, 864_000)));
    Ok(Token { secret: answer.access_token.0, expires, scopes })
}
