//! Which servers are asked, and on whose behalf.

use std::sync::Arc;

use jml_connector_kit::Client;
use jml_connector_kit::auth::{AssertionSigner, ServiceAccount, TokenAuth};
use jml_connector_kit::http::{ClientError, ReqwestTransport, Transport};

use crate::descriptor::{ADMIN_SCOPES, MAILBOX_SCOPES};

/// The base URL of each API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Hosts {
    /// Directory.
    pub directory: String,
    /// Enterprise Licence Manager.
    pub licensing: String,
    /// Data Transfer.
    pub transfer: String,
    /// Gmail.
    pub gmail: String,
    /// Reports.
    pub reports: String,
}

impl Hosts {
    /// Google's own.
    #[must_use]
    pub fn google() -> Self {
        Self {
            directory: "https://admin.googleapis.com".to_owned(),
            licensing: "https://licensing.googleapis.com".to_owned(),
            transfer: "https://admin.googleapis.com".to_owned(),
            gmail: "https://gmail.googleapis.com".to_owned(),
            reports: "https://admin.googleapis.com".to_owned(),
        }
    }

    /// One server for all: a proxy, or a fake.
    #[must_use]
    pub fn one(url: impl Into<String>) -> Self {
        let url = url.into();
        let [directory, licensing, transfer, gmail] = std::array::from_fn(|_| url.clone());
        Self { directory, licensing, transfer, gmail, reports: url }
    }
}

/// On whose behalf calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that there are")]
pub enum Acting<'a> {
    /// An administrator.
    Administrator,
    /// The user of a mailbox, by address. Settings of a mailbox are its own user's.
    Mailbox(&'a str),
}

/// Makes clients that carry a credential. A closure does.
pub trait Delegation: Send + Sync + 'static {
    /// A client at a base URL that acts for somebody.
    ///
    /// # Errors
    /// [`ClientError`].
    fn client(&self, base: &str, acting: Acting<'_>) -> Result<Client, ClientError>;
}

impl<F> Delegation for F
where
    F: Fn(&str, Acting<'_>) -> Result<Client, ClientError> + Send + Sync + 'static,
{
    fn client(&self, base: &str, acting: Acting<'_>) -> Result<Client, ClientError> {
        self(base, acting)
    }
}

/// A service account with domain-wide delegation, for exactly [`ADMIN_SCOPES`], [`MAILBOX_SCOPES`] and those that
/// options need: one that was not delegated fails every token.
/// <https://developers.google.com/identity/protocols/oauth2/service-account>
#[derive(Clone)]
pub struct Delegated {
    endpoint: Client,
    audience: String,
    transport: Arc<dyn Transport>,
    email: String,
    admin: String,
    signer: Arc<dyn AssertionSigner>,
    further: Vec<String>,
}

impl std::fmt::Debug for Delegated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delegated").field("email", &self.email).finish_non_exhaustive()
    }
}

impl Delegated {
    /// The service account `email`, acting for the administrator `admin`, at Google's token endpoint.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(
        email: impl Into<String>,
        admin: impl Into<String>,
        signer: Arc<dyn AssertionSigner>,
    ) -> Result<Self, ClientError> {
        let transport = ReqwestTransport::new().map_err(|e| ClientError::Tls(e.what))?;
        Self::over(Arc::new(transport), "https://oauth2.googleapis.com/token", email, admin, signer)
    }

    /// The same over another transport, at another token endpoint.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn over(
        transport: Arc<dyn Transport>,
        endpoint: &str,
        email: impl Into<String>,
        admin: impl Into<String>,
        signer: Arc<dyn AssertionSigner>,
    ) -> Result<Self, ClientError> {
        let audience = endpoint.to_owned();
        let endpoint = Client::over(endpoint, transport.clone())?;
        let (email, admin) = (email.into(), admin.into());
        Ok(Self { endpoint, audience, transport, email, admin, signer, further: Vec::new() })
    }

    /// The same with one more scope for the administrator, which an option of the connector needs
    /// ([`CHROMEOS_SCOPE`](crate::CHROMEOS_SCOPE)).
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.further.push(scope.into());
        self
    }
}

impl Delegation for Delegated {
    fn client(&self, base: &str, acting: Acting<'_>) -> Result<Client, ClientError> {
        let (subject, scope) = match acting {
            Acting::Administrator => {
                let further = self.further.iter().map(String::as_str);
                let scopes: Vec<&str> = ADMIN_SCOPES.into_iter().chain(further).collect();
                (self.admin.as_str(), scopes.join(" "))
            }
            Acting::Mailbox(user) => (user, MAILBOX_SCOPES.join(" ")),
        };
        let (endpoint, signer) = (self.endpoint.clone(), self.signer.clone());
        let account = ServiceAccount::new(endpoint, &self.audience, &self.email, scope, signer);
        let auth = TokenAuth::new(account.acting_for(subject));
        Ok(Client::over(base, self.transport.clone())?.authenticated(auth))
    }
}
