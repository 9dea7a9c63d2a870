//! Targets over the network, from the configuration file: `[targets.NAME]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jml_connectors::kit::auth::{ApiKey, Bearer, ClientAuth, ClientCredentials, JwtKey, TokenAuth};
use jml_connectors::kit::{Client, Policy as Layers, Stack};
use jml_connectors::{entra, google, jumpcloud, okta, scim};
use jml_core::id::ProviderId;
use jml_core::provider::{Layer, Provider};
use serde::Deserialize;

use crate::exit::{CONFIG, Failure};

/// A target, and how to get into it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum TargetConfig {
    /// Microsoft 365 and Entra ID.
    Entra {
        tenant: String,
        client_id: String,
        client_secret: Secret,
        #[serde(default = "graph")]
        url: String,
        #[serde(default = "login")]
        login: String,
    },
    /// Google Workspace, by a service account with domain-wide delegation.
    Google {
        service_account: String,
        admin: String,
        key: Secret,
        /// One server for all, for a proxy or a fake.
        url: Option<String>,
        /// The customer's id, which licences are listed with.
        customer: Option<String>,
        /// The licences that are looked after.
        #[serde(default)]
        licences: Vec<Licence>,
        /// Whether ChromeOS devices of a leaver are disabled.
        #[serde(default)]
        chromeos: bool,
    },
    /// Okta, by an API token or by a service application and its key.
    Okta { url: String, token: Option<Secret>, client_id: Option<String>, key: Option<Secret> },
    /// JumpCloud, by an API key.
    Jumpcloud {
        api_key: Secret,
        organization: Option<String>,
        /// Whether devices of a leaver are locked.
        #[serde(default)]
        lock_devices: bool,
        #[serde(default = "console")]
        url: String,
        #[serde(default = "insights")]
        insights: String,
    },
    /// Any SCIM 2.0 server. `doctor` says what it says of itself.
    Scim {
        url: String,
        token: Secret,
        #[serde(default = "yes")]
        patch: bool,
        #[serde(default)]
        bulk: usize,
        #[serde(default = "hundred")]
        page: u32,
        #[serde(default)]
        etag: bool,
        #[serde(default)]
        cursor: bool,
        #[serde(default = "yes")]
        deletes: bool,
        #[serde(default)]
        removal: Removal,
    },
}

/// A licence of Google: `PRODUCT:SKU` in a policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Licence {
    product: String,
    sku: String,
    title: String,
}

/// What is wrong with the licences of a customer, and what to write instead.
fn check_licences(customer: Option<&str>, licences: &[Licence]) -> Result<(), String> {
    const PLACE: &str = "the Admin console shows it under Account settings";
    match customer {
        None if licences.is_empty() => {}
        None => {
            return Err(format!(
                "customer: licences are listed by it; write customer = \"C00000000\" ({PLACE})"
            ));
        }
        Some(id) => {
            let number = id.strip_prefix('C').unwrap_or_default();
            if number.is_empty() || !number.bytes().all(|it| it.is_ascii_alphanumeric()) {
                return Err(format!(
                    "customer: `{id}` is no customer's id; write one as C00000000 ({PLACE})"
                ));
            }
        }
    }
    for (at, licence) in licences.iter().enumerate() {
        for (field, text) in
            [("product", &licence.product), ("sku", &licence.sku), ("title", &licence.title)]
        {
            let split = field == "product" && text.contains(':');
            if text.trim().is_empty() || text.trim() != text || split {
                return Err(format!(
                    "licences[{at}].{field}: `{text}` is none; Google's list has them: \
                     https://developers.google.com/workspace/admin/licensing/v1/how-tos/products"
                ));
            }
        }
        let same = |it: &&Licence| it.product == licence.product && it.sku == licence.sku;
        if let Some(first) = licences.iter().position(|it| same(&it)).filter(|first| *first < at) {
            return Err(format!(
                "licences[{at}]: `{}:{}` is licences[{first}] already; take one of them out",
                licence.product, licence.sku
            ));
        }
    }
    Ok(())
}

/// How a SCIM server wants members taken out of groups.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Removal {
    #[default]
    Path,
    Value,
}

fn graph() -> String {
    "https://graph.microsoft.com/v1.0".to_owned()
}

fn login() -> String {
    "https://login.microsoftonline.com".to_owned()
}

fn console() -> String {
    "https://console.jumpcloud.com".to_owned()
}

fn insights() -> String {
    "https://api.jumpcloud.com".to_owned()
}

const fn yes() -> bool {
    true
}

const fn hundred() -> u32 {
    100
}

/// Where a secret is kept. Never the secret itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Place")]
pub(crate) enum Secret {
    Env(String),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Named {
        env: Option<String>,
        file: Option<PathBuf>,
    },
    /// What somebody wrote there is never shown again.
    Other(serde::de::IgnoredAny),
}

impl TryFrom<Place> for Secret {
    type Error = &'static str;

    fn try_from(place: Place) -> Result<Self, Self::Error> {
        match place {
            Place::Named { env: Some(env), file: None } => Ok(Self::Env(env)),
            Place::Named { env: None, file: Some(file) } => Ok(Self::File(file)),
            Place::Named { .. } | Place::Other(_) => Err(
                "a secret is not written into this file; say where it is: { env = \"NAME\" } or \
                 { file = \"path\" }",
            ),
        }
    }
}

impl Secret {
    fn read(&self, base: &Path) -> Result<String, String> {
        let text = match self {
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?,
            Self::File(path) => {
                let path = base.join(path);
                std::fs::read_to_string(&path)
                    .map_err(|e| format!("cannot read `{}`: {e}", path.display()))?
            }
        };
        let text = text.trim().to_owned();
        if text.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(text) }
    }
}

/// A target that was set up.
pub(crate) struct Target {
    /// Behind the layers that the engine wants.
    pub(crate) provider: Arc<dyn Provider>,
    /// A SCIM server's client, and what the file says that it can do.
    pub(crate) scim: Option<(Client, scim::Capabilities)>,
}

/// Sets up a target. Nothing is sent.
///
/// # Errors
/// [`Failure`], naming the target and what to do.
pub(crate) fn connect(
    name: &str,
    config: &TargetConfig,
    base: &Path,
    further: Option<Arc<dyn Layer>>,
) -> Result<Target, Failure> {
    let wrong = |what: String| Failure::new(CONFIG, format!("target `{name}`: {what}"));
    let text = |error: &dyn std::error::Error| wrong(error.to_string());
    let secret =
        |field: &str, it: &Secret| it.read(base).map_err(|e| wrong(format!("{field}: {e}")));
    let key = |field: &str, it: &Secret| {
        let pem = secret(field, it)?;
        JwtKey::from_pem(&pem, None).map(Arc::new).map_err(|e| wrong(format!("{field}: {e}")))
    };
    let client = |url: &str| Client::new(url).map_err(|e| text(&e));
    let id = ProviderId::new(name).map_err(|e| text(&e))?;
    let mut checked = None;
    let provider: Arc<dyn Provider> = match config {
        TargetConfig::Entra { tenant, client_id, client_secret, url, login } => {
            let endpoint = format!("{}/{tenant}/oauth2/v2.0/token", login.trim_end_matches('/'));
            let auth = ClientAuth::Secret(secret("client_secret", client_secret)?.into());
            let origin = url.split("/v1.0").next().unwrap_or(url);
            // A fake has no cloud of its own.
            let cloud =
                if origin.starts_with("https://") { origin } else { "https://graph.microsoft.com" };
            let source = ClientCredentials::new(
                client(&endpoint)?,
                endpoint.clone(),
                client_id,
                format!("{cloud}/.default"),
                auth,
            );
            let made = entra::Entra::new(id, client(url)?.authenticated(TokenAuth::new(source)));
            Arc::new(made.map_err(|e| text(&e))?.rooted(format!("{cloud}/v1.0")))
        }
        TargetConfig::Google {
            service_account,
            admin,
            key: at,
            url,
            customer,
            licences,
            chromeos,
        } => {
            check_licences(customer.as_deref(), licences).map_err(wrong)?;
            let signer = key("key", at)?;
            let (hosts, delegated) = match url {
                None => (
                    google::Hosts::google(),
                    google::Delegated::new(service_account, admin, signer),
                ),
                Some(url) => {
                    let transport = jml_connectors::kit::http::ReqwestTransport::new()
                        .map_err(|e| wrong(e.what))?;
                    let endpoint = format!("{url}/token");
                    let made = google::Delegated::over(
                        Arc::new(transport),
                        &endpoint,
                        service_account,
                        admin,
                        signer,
                    );
                    (google::Hosts::one(url), made)
                }
            };
            let mut delegated = delegated.map_err(|e| text(&e))?;
            if *chromeos {
                delegated = delegated.with_scope(google::CHROMEOS_SCOPE);
            }
            if !licences.is_empty() {
                delegated = delegated.with_scope(google::LICENCE_SCOPE);
            }
            let each = licences.iter();
            let each = each.map(|it| (it.product.as_str(), it.sku.as_str(), it.title.as_str()));
            let customer = customer.as_deref().unwrap_or_default();
            let made = google::Google::new(id, &hosts, delegated)
                .and_then(|it| it.with_licences(customer, each))
                .map_err(|e| text(&e))?;
            Arc::new(if *chromeos { made.with_chromeos() } else { made })
        }
        TargetConfig::Okta { url, token, client_id, key: at } => {
            let base = client(url)?;
            let made = match (token, client_id, at) {
                (Some(token), None, None) => {
                    let header = jml_connectors::kit::http::types::header::AUTHORIZATION;
                    base.authenticated(
                        ApiKey::new(header, secret("token", token)?).prefixed("SSWS "),
                    )
                }
                (None, Some(client_id), Some(at)) => {
                    let endpoint = format!("{}/oauth2/v1/token", url.trim_end_matches('/'));
                    let bare = okta::Okta::new(id.clone(), base.clone()).map_err(|e| text(&e))?;
                    let scopes = bare.descriptor().permissions();
                    let scopes: Vec<&str> = scopes.iter().map(AsRef::as_ref).collect();
                    let auth = ClientAuth::Assertion(key("key", at)?);
                    let source = ClientCredentials::new(
                        client(&endpoint)?,
                        endpoint.clone(),
                        client_id,
                        scopes.join(" "),
                        auth,
                    );
                    base.authenticated(TokenAuth::new(source))
                }
                _ => {
                    let what = "say either `token`, or `client_id` and `key`";
                    return Err(wrong(what.to_owned()));
                }
            };
            Arc::new(okta::Okta::new(id, made).map_err(|e| text(&e))?)
        }
        TargetConfig::Jumpcloud { api_key, organization, lock_devices, url, insights } => {
            let secret = secret("api_key", api_key)?;
            let with = |url: &str| {
                let header = jml_connectors::kit::http::types::HeaderName::from_static("x-api-key");
                client(url).map(|it| it.authenticated(ApiKey::new(header, secret.clone())))
            };
            let made = jumpcloud::JumpCloud::new(id, with(url)?, with(insights)?);
            let mut made = made.map_err(|e| text(&e))?;
            if *lock_devices {
                made = made.locking_devices();
            }
            match organization {
                Some(organization) => Arc::new(made.organization(organization)),
                None => Arc::new(made),
            }
        }
        TargetConfig::Scim { url, token, patch, bulk, page, etag, cursor, deletes, removal } => {
            let able = scim::Capabilities {
                patch: *patch,
                bulk: *bulk,
                page: *page,
                etag: *etag,
                cursor: *cursor,
                deletes: *deletes,
                removal: match removal {
                    Removal::Path => scim::MemberRemoval::Path,
                    Removal::Value => scim::MemberRemoval::Value,
                },
                ..scim::Capabilities::default()
            };
            let client = client(url)?.authenticated(Bearer::new(secret("token", token)?));
            checked = Some((client.clone(), able.clone()));
            Arc::new(scim::Scim::new(id, client, able).map_err(|e| text(&e))?)
        }
    };
    let stack = Stack::new(provider).for_engine(&Layers::default());
    let stack = further.into_iter().fold(stack, Stack::with);
    let provider = Arc::new(stack.build());
    Ok(Target { provider, scim: checked })
}
