//! Credentials: what a request is signed with, and how it is renewed.

mod assertion;
mod oauth;
mod password;
mod simple;

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::HeaderMap;
use jml_core::provider::{Cx, Result};

pub use assertion::{AssertionSigner, JwtKey, KeyError};
pub use oauth::{ClientAuth, ClientCredentials, ServiceAccount, Token, TokenAuth, TokenSource};
pub use password::unknown_password;
pub use secrecy::{ExposeSecret, SecretString};
pub use simple::{ApiKey, Bearer, NoAuth};

/// Puts a credential on requests. Shows it to nobody.
#[async_trait]
pub trait Auth: Send + Sync + 'static {
    /// The number of the credential that is good now; gets one if there is none. Numbers grow with each
    /// renewal.
    ///
    /// # Errors
    /// When no credential can be had.
    async fn current(&self, cx: &Cx) -> Result<u64> {
        let _ = cx;
        Ok(0)
    }

    /// Puts credential number `stamp`, or a newer one, on a request.
    ///
    /// # Errors
    /// When the credential cannot be written into a header.
    async fn authorize(&self, cx: &Cx, stamp: u64, headers: &mut HeaderMap) -> Result<()>;

    /// Credential number `refused` was not accepted. Gets another one, once for all who ask; `None` when
    /// there is no other one.
    ///
    /// # Errors
    /// When the renewal itself fails.
    async fn renew(&self, cx: &Cx, refused: u64) -> Result<Option<u64>> {
        let _ = (cx, refused);
        Ok(None)
    }

    /// What the credential allows, in the vendor's words; `None` where nobody says, or as long as no
    /// credential was needed yet.
    fn granted(&self) -> Option<BTreeSet<String>> {
        None
    }

    /// A text without the credential, should it be in there.
    fn redact(&self, text: &str) -> String;
}
