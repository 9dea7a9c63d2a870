//! Signed assertions: JSON Web Tokens (RFC 7519) that prove who we are without sending a secret.

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use jml_core::provider::{Error, ErrorKind, Result};
use secrecy::SecretString;
use serde_json::{Value, json};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Signs. Implement it over a key vault, and the key never enters the process.
#[async_trait]
pub trait AssertionSigner: Send + Sync + 'static {
    /// The algorithm's name (RFC 7518 section 3.1): `RS256`, `ES256`.
    fn algorithm(&self) -> &'static str;

    /// The id of the key, if the other side knows several.
    fn key_id(&self) -> Option<&str>;

    /// The signature of a message.
    ///
    /// # Errors
    /// When the key does not sign.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// A key is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private key is not usable: {0}")]
#[expect(clippy::exhaustive_structs, reason = "a text")]
pub struct KeyError(pub &'static str);

/// A private key in the process: RSA (RS256) or ECDSA on P-256 (ES256).
pub struct JwtKey {
    pair: Pair,
    id: Option<String>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithm = AssertionSigner::algorithm(self);
        f.debug_struct("JwtKey").field("algorithm", &algorithm).finish_non_exhaustive()
    }
}

impl JwtKey {
    /// A key from PKCS #8 in PEM (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    /// [`KeyError`], which never quotes the key.
    pub fn from_pem(pem: &str, id: Option<&str>) -> std::result::Result<Self, KeyError> {
        if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            return Err(KeyError("it is encrypted; decrypt it first"));
        }
        if pem.contains("BEGIN RSA PRIVATE KEY") || pem.contains("BEGIN EC PRIVATE KEY") {
            return Err(KeyError(
                "it is not PKCS #8; convert it with `openssl pkcs8 -topk8 -nocrypt`",
            ));
        }
        let (_, rest) = pem.split_once(BEGIN).ok_or(KeyError("it has no PEM header"))?;
        let (body, _) = rest.split_once(END).ok_or(KeyError("it has no PEM footer"))?;
        let body: String = body.split_whitespace().collect();
        let der = Base64::decode_vec(&body).map_err(|_| KeyError("its PEM is not base64"))?;
        Self::from_pkcs8(&der, id)
    }

    /// A new key on P-256, as PKCS #8 in PEM. Keep it where nobody else reads it.
    ///
    /// # Errors
    /// [`KeyError`] when the system has no randomness.
    pub fn generate_pem() -> std::result::Result<SecretString, KeyError> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let der = made.map_err(|_| KeyError("the system has no randomness"))?;
        let text = Base64::encode_string(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|it| std::str::from_utf8(it).ok()).collect();
        Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")).into())
    }

    /// A key from PKCS #8 in DER.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pkcs8(der: &[u8], id: Option<&str>) -> std::result::Result<Self, KeyError> {
        let pair = match RsaKeyPair::from_pkcs8(der) {
            Ok(pair) => Pair::Rsa(Box::new(pair)),
            Err(_) => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .map(|pair| Pair::Ecdsa(Box::new(pair)))
                .map_err(|_| KeyError("it is neither RSA nor ECDSA on P-256"))?,
        };
        Ok(Self { pair, id: id.map(str::to_owned) })
    }
}

#[async_trait]
impl AssertionSigner for JwtKey {
    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ecdsa(_) => "ES256",
        }
    }

    fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::Configuration, "the key does not sign");
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                pair.sign(&random, message).map(|it| it.as_ref().to_vec()).map_err(failed)
            }
        }
    }
}

/// A signed token with these claims (RFC 7515 section 3.1, compact serialisation).
pub(super) async fn jwt(signer: &dyn AssertionSigner, claims: &Value) -> Result<String> {
    let mut header = json!({ "alg": signer.algorithm(), "typ": "JWT" });
    if let (Some(id), Some(header)) = (signer.key_id(), header.as_object_mut()) {
        header.insert("kid".to_owned(), id.into());
    }
    let encode = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = signer.sign(message.as_bytes()).await?;
    Ok(format!("{message}.{}", Base64UrlUnpadded::encode_string(&signature)))
}
