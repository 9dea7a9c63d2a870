//! Credentials: fetched once, kept, renewed once, and shown to nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use jml_connector_kit::auth::{
    ApiKey, AssertionSigner as _, ClientAuth, ClientCredentials, ExposeSecret as _, JwtKey,
    ServiceAccount, TokenAuth, TokenSource,
};
use jml_connector_kit::http::{Client, Request, TransportError, transport_fn};
use jml_connector_kit::path;
use jml_core::provider::{Cx, ErrorKind};
use jml_testkit::ManualClock;
use jml_testkit::fake::{Fake, FakeApi, json};
use serde_json::{Value, json as value};

use crate::runtime;

/// An authorization server and the API that believes it.
#[derive(Default)]
struct Issuer {
    issued: u32,
    lifetime: i64,
    /// The token that the API accepts; tokens are numbered.
    accepts: u32,
    forms: Vec<BTreeMap<String, String>>,
    refuses: bool,
    seen: Vec<String>,
}

impl FakeApi for Issuer {
    fn handle(
        &mut self,
        request: &http::Request<Vec<u8>>,
        _: DateTime<Utc>,
    ) -> http::Response<Vec<u8>> {
        if request.uri().path() == "/token" {
            let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
            self.forms.push(form);
            if self.refuses {
                return json(
                    400,
                    &value!({ "error": "invalid_client", "error_description": "bad secret s3cr3t-value" }),
                );
            }
            self.issued += 1;
            // As text: some servers do.
            let body = value!({ "access_token": format!("token-{}", self.issued), "expires_in": self.lifetime.to_string() });
            return json(200, &body);
        }
        let header = |name: &str| {
            request.headers().get(name).and_then(|it| it.to_str().ok()).unwrap_or("").to_owned()
        };
        self.seen.push(format!("{}{}", header("authorization"), header("x-api-key")));
        if header("authorization") == format!("Bearer token-{}", self.accepts) {
            return json(200, &value!("welcome"));
        }
        json(401, &value!({ "error": "expired" }))
    }
}

struct Scene {
    fake: Fake<Issuer>,
    clock: ManualClock,
}

impl Scene {
    fn new(lifetime: i64, accepts: u32) -> Self {
        let clock = ManualClock::new("2026-03-02T08:00:00Z".parse().unwrap());
        let issuer = Issuer { lifetime, accepts, ..Issuer::default() };
        Self { fake: Fake::new(issuer, Arc::new(clock.clone())), clock }
    }

    fn cx(&self) -> Cx {
        Cx::new(Arc::new(self.clock.clone()))
    }

    fn client(&self, base: &str) -> Client {
        let fake = self.fake.clone();
        let transport = transport_fn(move |request| {
            fake.answer(&request).map_err(|_| TransportError::lost("cut"))
        });
        Client::over(base, Arc::new(transport)).unwrap()
    }

    fn with(&self, source: impl TokenSource) -> Client {
        self.client("http://localhost/api").authenticated(TokenAuth::new(source))
    }

    fn credentials(&self, auth: ClientAuth) -> ClientCredentials {
        let endpoint = self.client("http://localhost/token");
        ClientCredentials::new(
            endpoint,
            "https://login.test/token",
            "client-7",
            "scope-a scope-b",
            auth,
        )
    }

    fn ask(&self, client: &Client) -> jml_core::provider::Result<String> {
        runtime().block_on(client.fetch(&self.cx(), Request::get(path!["me"])))
    }
}

fn secret() -> ClientAuth {
    ClientAuth::Secret("s3cr3t-value".to_owned().into())
}

#[test]
fn a_token_is_fetched_once_and_renewed_before_its_end() {
    let scene = Scene::new(3_600, 1);
    let client = scene.with(scene.credentials(secret()));
    for _ in 0..3 {
        assert_eq!(scene.ask(&client).unwrap(), "welcome");
    }
    assert_eq!(scene.fake.with(|it| it.issued), 1);
    let form = scene.fake.with(|it| it.forms[0].clone());
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["client_id"], "client-7");
    assert_eq!(form["scope"], "scope-a scope-b");
    assert_eq!(form["client_secret"], "s3cr3t-value");
    // A minute before the end, the next one is fetched.
    scene.fake.with(|it| it.accepts = 2);
    scene.clock.advance(TimeDelta::seconds(3_545));
    assert_eq!(scene.ask(&client).unwrap(), "welcome");
    assert_eq!(scene.fake.with(|it| it.issued), 2);
}

#[test]
fn a_refused_token_is_renewed_once_for_everybody() {
    let scene = Scene::new(3_600, 2);
    let client = scene.with(scene.credentials(secret()));
    let cx = scene.cx();
    let answers = runtime().block_on(join_all(
        (0..20).map(|_| client.fetch::<String>(&cx, Request::get(path!["me"]))),
    ));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(scene.fake.with(|it| it.issued), 2, "one token, and one renewal");

    // Refused again and again, it is renewed once for each call, and then given up.
    let scene = Scene::new(3_600, 99);
    let client = scene.with(scene.credentials(secret()));
    let error = scene.ask(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(scene.fake.with(|it| (it.issued, it.seen.len())), (2, 2));
}

#[test]
fn a_refused_client_is_told_and_its_secret_is_not() {
    let scene = Scene::new(3_600, 1);
    scene.fake.with(|it| it.refuses = true);
    let client = scene.with(scene.credentials(secret()));
    let error = scene.ask(&client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert_eq!(scene.fake.with(|it| it.seen.len()), 0, "the API was not asked");
}

#[test]
fn api_keys() {
    let scene = Scene::new(1, 1);
    let client = scene.client("http://localhost/api");
    let bare = ApiKey::new(http::HeaderName::from_static("x-api-key"), "k-1".to_owned());
    let _ = scene.ask(&client.clone().authenticated(bare));
    let okta = ApiKey::new(http::header::AUTHORIZATION, "k-2".to_owned()).prefixed("SSWS ");
    let _ = scene.ask(&client.clone().authenticated(okta));
    assert_eq!(scene.fake.with(|it| it.seen.clone()), ["k-1", "SSWS k-2"]);
    let broken = ApiKey::new(http::HeaderName::from_static("x-api-key"), "line\nbreak".to_owned());
    let error = scene.ask(&client.authenticated(broken)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

pub(crate) fn pem(der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// Header, claims, the signed text and the signature of a token.
fn open(token: &str) -> (Value, Value, String, Vec<u8>) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("{token}") };
    let json =
        |part: &str| serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap();
    let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    (json(header), json(claims), format!("{header}.{claims}"), signature)
}

#[test]
fn a_client_proves_itself_with_a_signed_assertion() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = JwtKey::from_pem(&pem(pair.as_der().unwrap().as_ref()), Some("key-1")).unwrap();
    let scene = Scene::new(3_600, 1);
    let client = scene.with(scene.credentials(ClientAuth::Assertion(Arc::new(key))));
    scene.ask(&client).unwrap();
    let form = scene.fake.with(|it| it.forms[0].clone());
    assert!(!form.contains_key("client_secret"));
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let (header, claims, text, signature) = open(&form["client_assertion"]);
    assert_eq!(header, value!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" }));
    let now = scene.clock_seconds();
    assert_eq!(claims["iss"], "client-7");
    assert_eq!(claims["sub"], "client-7");
    assert_eq!(claims["aud"], "https://login.test/token");
    assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(now), Some(now + 300)));
    assert!(claims["jti"].as_str().unwrap().len() >= 16);
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    public.verify(text.as_bytes(), &signature).unwrap();
    public.verify(format!("{text}x").as_bytes(), &signature).unwrap_err();
}

#[test]
fn a_generated_key_signs_and_is_nobody_elses() {
    let made = [(); 2].map(|()| JwtKey::generate_pem().unwrap());
    assert_ne!(made[0].expose_secret(), made[1].expose_secret());
    let key = JwtKey::from_pem(made[0].expose_secret(), None).unwrap();
    assert_eq!(key.algorithm(), "ES256");
    // Whoever reads the same file checks it with the same key, and with no other.
    let signature = runtime().block_on(key.sign(b"text")).unwrap();
    for (pem, fits) in made.iter().zip([true, false]) {
        let text: String = pem.expose_secret().lines().filter(|it| !it.starts_with('-')).collect();
        let der = Base64::decode_vec(&text).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
        assert_eq!(public.verify(b"text", &signature).is_ok(), fits);
    }
}

#[test]
fn a_service_account_acts_for_an_administrator() {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let key = JwtKey::from_pkcs8(document.as_ref(), None).unwrap();
    let scene = Scene::new(3_600, 1);
    let endpoint = scene.client("http://localhost/token");
    let account = ServiceAccount::new(
        endpoint,
        "https://oauth2.test/token",
        "robot@test",
        "a b",
        Arc::new(key),
    );
    let client = scene.with(account.acting_for("admin@test"));
    scene.ask(&client).unwrap();
    let form = scene.fake.with(|it| it.forms[0].clone());
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims, text, signature) = open(&form["assertion"]);
    assert_eq!(header["alg"], "ES256");
    assert_eq!(claims["sub"], "admin@test");
    assert_eq!(claims["scope"], "a b");
    assert_eq!(claims["exp"].as_i64(), Some(scene.clock_seconds() + 3_600));
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
    public.verify(text.as_bytes(), &signature).unwrap();
}

impl Scene {
    fn clock_seconds(&self) -> i64 {
        use jml_core::clock::Clock as _;
        self.clock.now().timestamp()
    }
}

#[test]
fn keys_that_are_none_say_why_and_never_quote_themselves() {
    for (text, why) in [
        ("hunter2", "no PEM header"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2", "openssl pkcs8"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2", "encrypted"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", "no PEM footer"),
        ("-----BEGIN PRIVATE KEY-----\nhunt er2!\n-----END PRIVATE KEY-----", "not base64"),
        ("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----", "neither RSA"),
    ] {
        let error = JwtKey::from_pem(text, None).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("hunt"), "{error}");
    }
}
