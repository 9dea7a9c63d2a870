//! The client: addresses, origins, caps, classification; the three fronts of a fake.

use std::sync::Arc;

use jml_connector_kit::auth::Bearer;
use jml_connector_kit::http::{
    Client, ClientError, Request, ReqwestTransport, TransportError, kind_of_status, transport_fn,
};
use jml_connector_kit::path;
use jml_core::id::ProviderId;
use jml_core::provider::{
    Applied, Change, Cursor, Cx, EntitlementRecord, ErrorKind, Expect, ListRequest, Operation,
    Provider, RetryAdvice, Row,
};
use jml_testkit::ManualClock;
use jml_testkit::fake::acme::Acme as Api;
use jml_testkit::fake::{Fake, Hits, WireFault};

use crate::connector::Acme;
use crate::runtime;

const TOKEN: &str = "three-fronts-token";

pub(crate) fn cx() -> Cx {
    Cx::new(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)))
}

fn fake() -> Fake<Api> {
    let clock = Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH));
    Fake::new(Api::new(TOKEN, &["engineers"]), clock)
}

fn in_process(fake: &Fake<Api>) -> Client {
    let fake = fake.clone();
    let transport = transport_fn(move |request| {
        fake.answer(&request).map_err(|lost| {
            if lost.sent { TransportError::lost("cut") } else { TransportError::not_sent("down") }
        })
    });
    let client = Client::over("http://localhost", Arc::new(transport)).unwrap();
    client.authenticated(Bearer::new(TOKEN.to_owned()))
}

fn acme(client: Client) -> Acme {
    Acme::new(ProviderId::new("acme").unwrap(), client, "group".parse().unwrap())
}

/// Does a little of everything, and says what came of it.
async fn play(provider: &dyn Provider, fake: &Fake<Api>) -> Vec<String> {
    let mut story = Vec::new();
    let cx = cx();
    let mut create = crate::creation("ada");
    for _ in 0..2 {
        story.push(format!("{:?}", provider.apply(&cx, &create).await));
    }
    let Operation::CreateAccount { external_id, .. } = &mut create.op else { panic!() };
    *external_id = "somebody-else".parse().unwrap();
    story.push(format!("{:?}", provider.apply(&cx, &create).await));
    let grant = Operation::Grant { entitlement: "group/engineers".parse().unwrap() };
    let account = Some("u00001".parse().unwrap());
    let change = Change { key: create.key.clone(), account, op: grant, expect: Expect::Any };
    fake.inject(Hits::Changes, 1, WireFault::status(503).with_header("retry-after", "3"));
    for _ in 0..2 {
        story.push(format!("{:?}", provider.apply(&cx, &change).await));
    }
    story.push(format!("{:?}", provider.list(&cx, &ListRequest::accounts()).await));
    story.push(format!("{:?}", provider.list(&cx, &ListRequest::entitlements()).await));
    story
}

#[test]
fn the_three_fronts_answer_alike() {
    let direct = {
        let fake = fake();
        let story = runtime().block_on(play(&acme(in_process(&fake)), &fake));
        (story, fake.requests().len())
    };
    let over_tcp = {
        let fake = fake();
        let server = fake.serve().unwrap();
        let client = Client::new(&server.url()).unwrap();
        let client = client.authenticated(Bearer::new(TOKEN.to_owned()));
        let story = runtime().block_on(play(&acme(client), &fake));
        (story, fake.requests().len())
    };
    let over_wiremock = runtime().block_on(async {
        let fake = fake();
        let server = wiremock::MockServer::start().await;
        let mock = wiremock::Mock::given(wiremock::matchers::any());
        mock.respond_with(fake.responder()).mount(&server).await;
        let client = Client::new(&server.uri()).unwrap();
        let client = client.authenticated(Bearer::new(TOKEN.to_owned()));
        (play(&acme(client), &fake).await, fake.requests().len())
    });
    assert_eq!(direct, over_tcp);
    assert_eq!(direct, over_wiremock);
    assert!(direct.0.iter().any(|line| line.contains("engineers")), "{direct:?}");
}

#[test]
fn base_urls() {
    for (url, ok) in [
        ("https://example.test/api/v1", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080/x", true),
        ("http://localhost", true),
        ("http://example.test", false),
        ("ftp://example.test", false),
        ("example.test", false),
        ("https://user:hunter2@example.test", false),
        ("https://example.test/?token=hunter2", false),
    ] {
        let made = Client::new(url);
        assert_eq!(made.is_ok(), ok, "{url}");
        if let Err(error) = made {
            let kind = matches!(error, ClientError::NotEncrypted(_));
            assert_eq!(kind, url == "http://example.test", "{error}");
            assert!(!error.to_string().contains("user:"), "{error}");
        }
    }
}

/// What one answer becomes.
fn answered(
    mutates: bool,
    answer: impl Fn() -> Result<http::Response<Vec<u8>>, TransportError> + Send + Sync + 'static,
) -> jml_core::provider::Result<serde_json::Value> {
    let client = Client::over("http://localhost/v1", Arc::new(transport_fn(move |_| answer())));
    let client = client.unwrap().with_cap(1_000);
    let request = if mutates { Request::post(path!["x"]) } else { Request::get(path!["x"]) };
    runtime().block_on(client.fetch(&cx(), request))
}

fn response(status: u16, body: &str) -> http::Response<Vec<u8>> {
    http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap()
}

#[test]
fn every_status_has_its_kind_and_its_certainty() {
    for status in (100..=599).filter(|status| !(200..300).contains(status)) {
        let Ok(code) = http::StatusCode::from_u16(status) else { continue };
        for mutates in [true, false] {
            let error = answered(mutates, move || Ok(response(status, ""))).unwrap_err();
            assert_eq!(error.kind(), kind_of_status(status), "{code}");
            assert_eq!(error.context("status"), Some(status.to_string().as_str()));
            assert_eq!(error.context("path"), Some("/x"));
            if !mutates {
                assert_eq!(error.applied(), Applied::No, "{code}: a read changes nothing");
            } else if status >= 500 && status != 501 || status == 408 || status < 400 {
                assert_eq!(error.applied(), Applied::Unknown, "{code}");
            } else {
                assert_eq!(error.applied(), Applied::No, "{code}");
            }
        }
    }
}

#[test]
fn lost_answers() {
    for (lost, kind, applied) in [
        (TransportError::not_sent("refused"), ErrorKind::Transport, Applied::No),
        (TransportError::lost("cut"), ErrorKind::Transport, Applied::Unknown),
        (TransportError::lost("slow").in_time(), ErrorKind::Timeout, Applied::Unknown),
        (TransportError::not_sent("slow").in_time(), ErrorKind::Timeout, Applied::No),
    ] {
        let error = answered(true, move || Err(lost.clone())).unwrap_err();
        assert_eq!((error.kind(), error.applied()), (kind, applied), "{error}");
    }
    let large = answered(true, || Ok(response(200, &"x".repeat(1_001)))).unwrap_err();
    assert_eq!((large.kind(), large.applied()), (ErrorKind::Transport, Applied::Unknown));
    let odd = answered(true, || Ok(response(200, "{\"secret\":"))).unwrap_err();
    assert_eq!((odd.kind(), odd.applied()), (ErrorKind::ContractViolation, Applied::Unknown));
    assert!(!odd.to_string().contains("secret"), "the body is not quoted: {odd}");
}

#[test]
fn what_targets_say_is_shown_in_one_short_line() {
    let said = |body: &str| {
        let body = body.to_owned();
        answered(false, move || Ok(response(400, &body))).unwrap_err().message().to_owned()
    };
    assert_eq!(said(r#"{"error":{"message":"no such thing"}}"#), "no such thing");
    assert_eq!(said(r#"{"errorSummary":"Api validation failed"}"#), "Api validation failed");
    assert_eq!(said(r#"{"detail":"two\nlines\u001b[31m"}"#), "two lines [31m");
    assert_eq!(said("<html>"), "Bad Request");
    assert_eq!(said(&format!(r#"{{"message":"{}"}}"#, "long ".repeat(100))).chars().count(), 301);
}

#[test]
fn links_stay_at_home() {
    let client = Client::over(
        "https://api.example.test/v1",
        Arc::new(transport_fn(|request: http::Request<Vec<u8>>| {
            Ok(response(200, &serde_json::json!(request.uri().to_string()).to_string()))
        })),
    )
    .unwrap();
    let follow =
        |link: &str| runtime().block_on(client.fetch::<String>(&cx(), Request::follow(link)));
    assert_eq!(
        follow("https://api.example.test/v1/users?after=2").unwrap(),
        "https://api.example.test/v1/users?after=2"
    );
    assert_eq!(follow("/v1/users?after=2").unwrap(), "https://api.example.test/v1/users?after=2");
    for foreign in [
        "https://evil.test/v1/users",
        "http://api.example.test/v1/users",
        "https://api.example.test:8443/v1/users",
        "https://api.example.test.evil.test/v1/users",
        "//evil.test/users",
        "https://api.example.test@evil.test/",
        "file:///etc/passwd",
    ] {
        let error = follow(foreign).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContractViolation, "{foreign}");
        assert_eq!(error.applied(), Applied::No);
    }
}

#[test]
fn a_wait_is_believed_where_it_means_something() {
    let with = |status: u16| {
        answered(true, move || {
            let mut answer = response(status, "");
            answer.headers_mut().insert("retry-after", "2.5".parse().unwrap());
            Ok(answer)
        })
        .unwrap_err()
        .retry()
    };
    assert_eq!(with(429), RetryAdvice::After { ms: 2_500 });
    assert_eq!(with(503), RetryAdvice::After { ms: 2_500 });
    assert_eq!(with(403), RetryAdvice::Never, "a refusal does not pass by waiting");
}

#[test]
fn a_real_connection_that_is_refused_changed_nothing() {
    let server = fake().serve().unwrap();
    let url = server.url();
    drop(server);
    let client = Client::over(&url, Arc::new(ReqwestTransport::new().unwrap())).unwrap();
    let cx = cx();
    let call = client.send(&cx, Request::post(path!["users"]));
    let error = runtime().block_on(call).unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Transport, Applied::No), "{error}");
    assert!(!error.to_string().contains("127.0.0.1:"), "no address: {error}");
}

/// A target with eleven rows that pages by tokens at `/t` and by numbers at `/n`, and never gives more
/// than four.
fn counting() -> Client {
    let answer = |request: http::Request<Vec<u8>>| {
        let query: std::collections::BTreeMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes())
                .into_owned()
                .collect();
        let number = |name: &str| query.get(name).map(|text| text.parse::<usize>());
        let (start, size) = match (number("token").or(number("skip")), number("limit")) {
            (Some(Err(_)), _) => return Ok(response(400, "")),
            (start, size) => {
                (start.map_or(0, Result::unwrap), size.map_or(4, Result::unwrap).min(4))
            }
        };
        let rows: Vec<usize> = (start..11).take(size).collect();
        let end = start + rows.len();
        let next = (end < 11).then(|| end.to_string());
        let body = match request.uri().path() {
            "/t" => serde_json::json!({ "rows": rows, "nextToken": next }),
            "/n" => serde_json::json!({ "rows": rows }),
            "/total" => serde_json::json!({ "rows": rows, "total": 11 }),
            // It promises eleven, and shows four.
            "/hollow" => {
                let rows = if start == 0 { rows } else { Vec::new() };
                serde_json::json!({ "rows": rows, "total": 11 })
            }
            _ => serde_json::json!({ "items": rows }),
        };
        Ok(response(200, &body.to_string()))
    };
    Client::over("http://localhost", Arc::new(transport_fn(answer))).unwrap()
}

#[test]
fn paging_by_tokens_and_by_numbers() {
    let client = counting();
    let row = |number: usize| {
        let key = format!("group/{number:02}").parse().unwrap();
        Row::Entitlement(EntitlementRecord { key, title: "".into() })
    };
    let page = |way: &str, size: u32, asked: &ListRequest| {
        let first = Request::get(path![way]);
        runtime().block_on(async {
            match way {
                "t" => {
                    client
                        .listing_by_token(
                            &cx(),
                            asked,
                            first,
                            "token",
                            ["/rows", "/nextToken"],
                            row,
                        )
                        .await
                }
                _ => {
                    let names = ["skip", "limit"];
                    client
                        .listing_by_offset(
                            &cx(),
                            asked,
                            first,
                            names,
                            0,
                            size,
                            ["/rows", "/total"],
                            row,
                        )
                        .await
                }
            }
        })
    };
    // By numbers without a total, a page that is cut short by the target looks like the last one: the
    // connector must not ask for more than the target gives.
    for (way, size, all) in
        [("t", 4, 11), ("n", 4, 11), ("n", 3, 11), ("total", 9, 11), ("n", 9, 4)]
    {
        let mut asked = ListRequest::entitlements();
        let mut seen = 0;
        loop {
            let page = page(way, size, &asked).unwrap();
            seen += page.rows().len();
            match page.next() {
                Some(next) => asked.cursor = Some(next.clone()),
                None => break,
            }
        }
        assert_eq!(seen, all, "{way} {size}");
        let garbage =
            ListRequest { cursor: Some(Cursor("junk".into())), ..ListRequest::entitlements() };
        assert_eq!(page(way, size, &garbage).unwrap_err().kind(), ErrorKind::CursorExpired);
        let other = page("other", size, &ListRequest::entitlements()).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::ContractViolation, "{other}");
    }
    let first = page("hollow", 4, &ListRequest::entitlements()).unwrap();
    let second = ListRequest { cursor: first.next().cloned(), ..ListRequest::entitlements() };
    let broken = page("hollow", 4, &second).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ContractViolation, "a page is missing, and not the end");
}
