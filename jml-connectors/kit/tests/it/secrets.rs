//! Planted secrets are looked for in everything that is shown, logged or stored.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use jml_connector_kit::auth::{
    ApiKey, Bearer, ClientAuth, ClientCredentials, JwtKey, SecretString, Token, TokenAuth,
};
use jml_connector_kit::http::{Client, Request, TransportError, transport_fn};
use jml_connector_kit::layers::Trace;
use jml_connector_kit::{Policy, Stack, path};
use jml_core::provider::{ListRequest, Provider, Target};
use jml_testkit::cassette::{Player, Recorder};
use jml_testkit::fake::acme::Acme as Api;
use jml_testkit::fake::{Fake, Hits, WireFault};
use jml_testkit::{CallLog, ManualClock};
use tracing::field::{Field, Visit};
use tracing::span;

use crate::connector::Acme;
use crate::http::cx;
use crate::runtime;

/// Writes down every span and event, with all their fields, of every crate.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<String>>);

struct Writer<'a>(&'a mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Tape {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\nspan {}", attributes.metadata().name());
        attributes.record(&mut Writer(&mut text));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let _ = write!(text, "\nevent {}", event.metadata().target());
        event.record(&mut Writer(&mut text));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

const TOKEN: &str = "PLANTED-bearer-token-0001";
const CLIENT_SECRET: &str = "PLANTED-client-secret-0002";
const API_KEY: &str = "PLANTED-api-key-0003";
const PERSON: &str = "zoe.planted@example.test";

#[test]
fn no_secret_is_shown_anywhere() {
    let tape = Tape::default();
    // For all threads: one that is set for this thread alone misses what other threads saw first.
    tracing::subscriber::set_global_default(tape.clone()).unwrap();
    let shown = everything();
    let logged = tape.0.lock().unwrap().clone();
    assert!(logged.contains("provider.call") && logged.contains("failed"), "{logged}");
    assert!(shown.contains("status 403") && shown.contains("[redacted]"), "{shown}");
    for secret in [TOKEN, CLIENT_SECRET, API_KEY, "PLANTED"] {
        assert!(!shown.contains(secret), "`{secret}` is shown in:\n{shown}");
        assert!(!logged.contains(secret), "`{secret}` is logged in:\n{logged}");
    }
    // Who it was about is a pseudonym in what is logged.
    for person in [PERSON, "planted-account-77"] {
        assert!(!logged.contains(person), "`{person}` is logged in:\n{logged}");
    }
    assert!(logged.contains("subject="), "{logged}");
}

/// Does everything that could show a secret, and gives back all that is shown.
fn everything() -> String {
    let mut shown = String::new();
    let clock = Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH));
    let fake = Fake::new(Api::new(TOKEN, &["engineers"]), clock);
    let server = fake.serve().unwrap();
    let client = Client::new(&server.url()).unwrap().authenticated(Bearer::new(TOKEN.to_owned()));
    let recorder = Recorder::redacting([TOKEN, PERSON]);
    let log = CallLog::new();
    let acme = Acme::new("acme".parse().unwrap(), client.clone(), "group".parse().unwrap());
    let stack = Stack::new(Arc::new(acme)).with(recorder.clone()).with(log.clone());
    let stack = stack.with(Trace::salted("pepper")).standard(&Policy::default());
    let provider = stack.clone().build();
    // The target echoes what it got, in an error.
    let body = format!(r#"{{"error":{{"code":"E","message":"bad token {TOKEN} in request"}}}}"#);
    for status in [400, 401, 403, 404, 409, 429, 500] {
        let fault = WireFault::Answer { status, headers: vec![], body: body.clone() };
        fake.inject(Hits::All, 3, fault);
        let target = Target::Account("planted-account-77".parse().unwrap());
        let results = runtime().block_on(async {
            let create = provider.apply(&cx(), &crate::creation(PERSON)).await.map(drop);
            let list = provider.list(&cx(), &ListRequest::accounts()).await.map(drop);
            let read = provider.read(&cx(), &target).await.map(drop);
            [create, list, read, provider.health(&cx()).await.map(drop)]
        });
        for error in results.into_iter().filter_map(Result::err) {
            let record = serde_json::to_string(&error.record()).unwrap();
            let _ = writeln!(shown, "{error} {error:?} {record}");
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                let _ = writeln!(shown, "{inner} {inner:?}");
                cause = inner.source();
            }
        }
    }
    let tape = recorder.to_text().unwrap();
    assert!(!tape.is_empty() && !tape.contains(PERSON));
    Player::from_text(&tape).unwrap();
    let _ = writeln!(shown, "{tape}\n{log}\n{stack:?} {provider:?} {server:?} {fake:?}");
    let _ = writeln!(shown, "{:?}", fake.requests());
    credentials(&mut shown);
    shown
}

/// Every type that holds a secret, shown.
fn credentials(shown: &mut String) {
    let refuses = || {
        let answer = |request: http::Request<Vec<u8>>| {
            if request.uri().path() == "/lost" {
                return Err(TransportError::lost("cut"));
            }
            let text = String::from_utf8_lossy(request.body()).into_owned();
            let echo = serde_json::json!({ "error": "x", "error_description": text });
            Ok(http::Response::builder().status(400).body(echo.to_string().into_bytes()).unwrap())
        };
        Client::over("http://localhost", Arc::new(transport_fn(answer))).unwrap()
    };
    let secret = || ClientAuth::Secret(CLIENT_SECRET.to_owned().into());
    let source = ClientCredentials::new(refuses(), "aud", "client", "scope", secret());
    let _ = writeln!(shown, "{source:?} {:?}", secret());
    let auth = TokenAuth::new(source);
    let _ = writeln!(shown, "{auth:?}");
    let client = refuses().authenticated(auth);
    let error = runtime().block_on(client.send(&cx(), Request::get(path!["x"]))).unwrap_err();
    let _ = writeln!(shown, "{client:?} {error} {error:?}");
    let key = ApiKey::new(http::HeaderName::from_static("x-api-key"), API_KEY.to_owned());
    let _ = writeln!(shown, "{key:?} {:?}", Bearer::new(TOKEN.to_owned()));
    let token = Token { secret: SecretString::from(TOKEN.to_owned()), expires: None, scopes: None };
    let _ = writeln!(shown, "{token:?}");
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap();
    let pem = crate::auth::pem(der.as_ref());
    let key = JwtKey::from_pem(&pem, Some("key")).unwrap();
    let _ = writeln!(shown, "{key:?}");
    assert!(!shown.contains(pem.lines().nth(3).unwrap()));
    let body = serde_json::json!({ "password": "PLANTED" });
    let request = Request::post(path!["users"]).json(body).secret();
    let request = request.header(http::header::AUTHORIZATION, TOKEN);
    let _ = writeln!(shown, "{request:?}");
}

#[test]
fn a_cassette_plays_what_was_recorded() {
    let clock = Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH));
    let fake = Fake::new(Api::new(TOKEN, &["engineers"]), clock);
    let server = fake.serve().unwrap();
    let client = Client::new(&server.url()).unwrap().authenticated(Bearer::new(TOKEN.to_owned()));
    let acme = || Acme::new("acme".parse().unwrap(), client.clone(), "group".parse().unwrap());
    let recorder = Recorder::redacting([TOKEN]);
    let play = |provider: &dyn Provider| {
        runtime().block_on(async {
            let cx = cx();
            let mut story = Vec::new();
            story.push(format!("{:?}", provider.list(&cx, &ListRequest::accounts()).await));
            story.push(format!("{:?}", provider.apply(&cx, &crate::creation("ada")).await));
            story.push(format!("{:?}", provider.list(&cx, &ListRequest::accounts()).await));
            story.push(format!("{:?}", provider.health(&cx).await));
            story
        })
    };
    let live = play(&Stack::new(Arc::new(acme())).with(recorder.clone()).build());
    drop(server);
    let player = Player::from_text(&recorder.to_text().unwrap()).unwrap();
    let provider = Stack::new(Arc::new(acme())).with(player).build();
    assert_eq!(play(&provider), live, "the same, without the server");
    let other = runtime().block_on(provider.apply(&cx(), &crate::creation("ben")));
    assert!(other.unwrap_err().to_string().contains("not on the cassette"));
    for head in ["", "{\"jml_cassette\":2}\n"] {
        assert_eq!(Player::from_text(head).unwrap_err().line, 1);
    }
    let error = Player::from_text("{\"jml_cassette\":1}\n{}\n").unwrap_err();
    assert!(error.to_string().starts_with("line 2"), "{error}");
}
