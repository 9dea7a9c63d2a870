//! ChromeOS devices: whose they are, what is sent, and what is said of each.

use std::collections::BTreeMap;

use jml_connector_checks::{agrees, start};
use jml_connector_google::{CHROMEOS_SCOPE, Google};
use jml_core::account::CredentialClass;
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, Operation, Outcome,
    Provider as _, RefusalReason, RetryAdvice, Target, Verb,
};
use jml_testkit::fake::google::{Chromebook, Device};
use jml_testkit::fake::{Hits, WireFault};
use serde_json::{Map, Value, json};

use crate::suite::papers;
use crate::world::{ADMIN, Place};

const DEVICES: Verb = Verb::RevokeCredentials(CredentialClass::Devices);

/// A customer with Ada, who was called Augusta.
struct Office {
    place: Place,
    google: Google,
    ada: AccountId,
}

fn chromebook(of: &str, status: &str) -> Chromebook {
    let (annotated_user, status) = (of.to_owned(), status.to_owned());
    Chromebook { annotated_user, status, ..Chromebook::default() }
}

impl Office {
    fn new(place: Place) -> Self {
        let google = place.provider("g");
        let profile = json!({ "primaryEmail": "ada@corp.test",
                              "name": { "givenName": "Ada", "familyName": "X" } });
        let profile: Map<String, Value> = profile.as_object().unwrap().clone();
        let ada = place.fake().with(|api| {
            let id = api.add_user(profile, start());
            let aliases = &mut api.users.get_mut(&id).unwrap().aliases;
            aliases.insert("augusta@corp.test".into());
            id
        });
        Self { place, google, ada: ada.parse().unwrap() }
    }

    fn with(self, devices: &[(&str, Chromebook)]) -> Self {
        let devices = devices.iter().map(|(id, it)| ((*id).to_owned(), it.clone()));
        self.place.fake().with(|api| api.chromebooks.extend(devices));
        self
    }

    fn cx(&self) -> Cx {
        Cx::new(self.place.clock.clone())
    }

    async fn kill(&self) -> Result<Outcome, Error> {
        let op = Operation::RevokeCredentials { class: CredentialClass::Devices };
        let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
        let account = Some(self.ada.clone());
        let change = Change { key, account, op, expect: Expect::Any };
        self.google.apply(&self.cx(), &change).await
    }

    /// How many devices a read counts.
    async fn counted(&self) -> u32 {
        let target = Target::Account(self.ada.clone());
        let seen = self.google.read(&self.cx(), &target).await.unwrap();
        *seen.account().unwrap().credentials.get(&CredentialClass::Devices).unwrap()
    }

    fn statuses(&self) -> BTreeMap<String, String> {
        self.place.fake().with(|api| {
            api.chromebooks.iter().map(|(id, it)| (id.clone(), it.status.clone())).collect()
        })
    }

    fn status(&self, id: &str) -> String {
        self.statuses().remove(id).unwrap()
    }

    /// The bodies of the calls that changed statuses.
    fn batches(&self) -> Vec<Value> {
        let sent = self.place.fake().requests();
        let sent = sent.iter().filter(|it| it.target.ends_with("chromeos:batchChangeStatus"));
        sent.map(|it| serde_json::from_slice(&it.body).unwrap()).collect()
    }
}

#[tokio::test]
async fn the_devices_of_a_person_are_disabled_and_no_others() {
    let papers = papers();
    let office = Office::new(Place::of(papers.as_ref(), true)).with(&[
        ("hers", chromebook("ada@corp.test", "ACTIVE")),
        ("written", chromebook(" Ada@Corp.Test", "ACTIVE")),
        ("former", chromebook("augusta@corp.test", "ACTIVE")),
        ("shared", chromebook("ada@corp.test, bob@corp.test", "ACTIVE")),
        ("longer", chromebook("xada@corp.test", "ACTIVE")),
        (
            "nobodys",
            Chromebook { recent_users: vec!["ada@corp.test".into()], ..chromebook("", "ACTIVE") },
        ),
        ("off", chromebook("ada@corp.test", "DISABLED")),
        ("gone", chromebook("ada@corp.test", "DEPROVISIONED")),
    ]);
    office.place.fake().with(|api| {
        // Each page of it is read.
        api.quirks.page_rows = Some(1);
        let emails = ["ada@corp.test".to_owned()].into();
        api.devices.insert("phone".into(), Device { emails, status: "APPROVED".into() });
    });
    let before = office.statuses();
    assert_eq!(office.counted().await, 4);
    assert_eq!(office.kill().await.unwrap().effect, Effect::Changed);
    assert_eq!(office.counted().await, 0);
    let after = office.statuses();
    let changed: Vec<&str> =
        after.iter().filter(|(id, it)| before[*id] != **it).map(|(id, _)| id.as_str()).collect();
    assert_eq!(changed, ["former", "hers", "written"]);
    assert!(changed.iter().all(|id| after[*id] == "DISABLED"), "{after:?}");
    assert_eq!(
        office.batches(),
        [json!({ "deviceIds": ["former", "hers", "written"],
                 "changeChromeOsDeviceStatusAction": "CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_DISABLE" })]
    );
    office.place.fake().forget();
    assert_eq!(office.kill().await.unwrap().effect, Effect::Unchanged);
    assert!(office.place.fake().requests().iter().all(|it| !it.mutates));
    agrees("google, chromebooks", papers.as_ref());
}

#[tokio::test]
async fn a_call_names_fifty_at_most() {
    let many: Vec<String> = (0..120).map(|number| format!("c{number:03}")).collect();
    let many: Vec<(&str, Chromebook)> =
        many.iter().map(|id| (id.as_str(), chromebook("ada@corp.test", "ACTIVE"))).collect();
    let office = Office::new(Place::of(None, true)).with(&many);
    office.kill().await.unwrap();
    let sizes: Vec<usize> =
        office.batches().iter().map(|it| it["deviceIds"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [50, 50, 20]);
    assert_eq!(office.counted().await, 0);
}

/// 200 says nothing of a device.
#[tokio::test]
async fn a_device_that_stays_is_told_and_holds_up_no_other() {
    let stuck = |code: i32| {
        let stuck = Some((code, "The device is being moved".to_owned()));
        Chromebook { stuck, ..chromebook("ada@corp.test", "ACTIVE") }
    };
    let refused = ErrorKind::Refused(RefusalReason::Policy);
    for (code, kind, retry) in [
        (9, refused, RetryAdvice::Never),
        (7, ErrorKind::PermissionDenied, RetryAdvice::Never),
        (8, ErrorKind::RateLimited, RetryAdvice::Backoff),
        (14, ErrorKind::Unavailable, RetryAdvice::Backoff),
    ] {
        let office = Office::new(Place::of(None, true))
            .with(&[("a", stuck(code)), ("b", chromebook("ada@corp.test", "ACTIVE"))]);
        let error = office.kill().await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
        assert_ne!(error.applied(), Applied::No, "{error}");
        assert!(error.message().contains("`a`"), "{error}");
        assert!(error.message().contains("being moved"), "{error}");
        assert_eq!((office.status("b").as_str(), office.counted().await), ("DISABLED", 1));
        // Alone, nothing was done.
        let again = office.kill().await.unwrap_err();
        assert_ne!(again.applied(), Applied::Partly, "{again}");
    }
    // One that is not there any more is nobody's.
    let office = Office::new(Place::of(None, true)).with(&[("a", stuck(5))]);
    assert_eq!(office.kill().await.unwrap().effect, Effect::Unchanged);
    // An answer that leaves one out is no success.
    let office = Office::new(Place::of(None, true)).with(&[("a", stuck(9))]);
    office.place.fake().inject(
        Hits::Changes,
        1,
        WireFault::Answer { status: 200, headers: Vec::new(), body: "{}".into() },
    );
    let error = office.kill().await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::ContractViolation, Applied::Unknown));
}

#[tokio::test]
async fn a_phone_and_a_chromebook_do_not_wait_for_each_other() {
    let phone = |office: &Office| {
        office.place.fake().with(|api| {
            let emails = ["ada@corp.test".to_owned()].into();
            api.devices.insert("phone".into(), Device { emails, status: "APPROVED".into() });
        });
    };
    let hers = [("hers", chromebook("ada@corp.test", "ACTIVE"))];
    let office = Office::new(Place::of(None, true)).with(&hers);
    phone(&office);
    let refused = json!({ "error": { "code": 400, "message": "no",
        "errors": [{ "domain": "global", "reason": "invalid", "message": "no" }] } });
    let refused = WireFault::Answer { status: 400, headers: Vec::new(), body: refused.to_string() };
    office.place.fake().inject(Hits::Changes, 1, refused);
    let error = office.kill().await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::Partly), "{error}");
    assert_eq!((office.status("hers").as_str(), office.counted().await), ("DISABLED", 1));
    let stuck = Some((9, "no".to_owned()));
    let office = Office::new(Place::of(None, true))
        .with(&[("hers", Chromebook { stuck, ..hers[0].1.clone() })]);
    phone(&office);
    assert_eq!(office.kill().await.unwrap_err().applied(), Applied::Partly);
    office.place.fake().with(|api| assert_eq!(api.devices["phone"].status, "ACCOUNT_WIPED"));
}

#[tokio::test]
async fn nothing_of_it_is_done_unless_asked_for() {
    let office =
        Office::new(Place::new(None)).with(&[("hers", chromebook("ada@corp.test", "ACTIVE"))]);
    assert_eq!(office.counted().await, 0);
    assert_eq!(office.kill().await.unwrap().effect, Effect::Unchanged);
    assert_eq!(office.status("hers"), "ACTIVE");
    assert!(office.place.fake().requests().iter().all(|it| !it.target.contains("chromeos")));
    let of_chromeos = |google: &Google| {
        let all = google.descriptor().permissions();
        all.into_iter().filter(|it| it.starts_with(CHROMEOS_SCOPE)).count()
    };
    assert_eq!(of_chromeos(&office.google), 0);
    // Where it is asked for, the permission is named, and missed.
    let short = office.place.short_of_a_scope("g");
    assert_eq!(of_chromeos(&short), 2);
    assert!(short.descriptor().verbs[&DEVICES].permissions.iter().any(|it| it == CHROMEOS_SCOPE));
    let missing = short.health(&office.cx()).await.unwrap().missing_permissions;
    assert!(missing.iter().any(|it| it == CHROMEOS_SCOPE), "{missing:?}");
    let office = Office::new(Place::of(None, true));
    let health = office.google.health(&office.cx()).await.unwrap();
    assert!(health.missing_permissions.is_empty(), "{health:?}");
}

/// What no connector asks for, as the documents have it.
#[tokio::test]
async fn the_fake_does_as_the_documents_say() {
    let papers = papers();
    let office = Office::new(Place::of(papers.as_ref(), true)).with(&[
        (
            "a",
            Chromebook {
                recent_users: vec!["ada@corp.test".into()],
                ..chromebook("help desk", "ACTIVE")
            },
        ),
        ("b", chromebook("", "DISABLED")),
        ("c", chromebook("", "DEPROVISIONED")),
    ]);
    let fake = office.place.fake();
    fake.with(|api| {
        api.static_tokens.insert("token".into(), ADMIN.into());
        api.chrome_upgrades = Some(1);
    });
    let base = "/admin/directory/v1/customer/my_customer/devices/chromeos";
    let ask = |method: &str, target: &str, body: Value| {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{base}{target}"))
            .header("content-type", "application/json")
            .header("authorization", "Bearer token");
        let response = fake.answer(&request.body(body).unwrap()).unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice::<Value>(response.body()).unwrap_or_default())
    };
    let found = |query: &str| -> Vec<String> {
        let (status, page) = ask("GET", &format!("?{query}"), Value::Null);
        assert_eq!(status, 200, "{page}");
        let rows = page["chromeosdevices"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|it| it["deviceId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found("query=user:%22Help%20Desk%22"), ["a"]);
    assert_eq!(found("query=status:managed"), ["a", "b"]);
    assert_eq!(found("query=status:deprovisioned"), ["c"]);
    assert_eq!(found("maxResults=2"), ["a", "b"]);
    assert_eq!(found("maxResults=2&pageToken=p.b"), ["c"]);
    assert_eq!(ask("GET", "?maxResults=301", Value::Null).0, 400);
    assert_eq!(ask("GET", "/nobodys", Value::Null).0, 404);
    assert!(ask("GET", "/a", Value::Null).1.get("recentUsers").is_none());
    let full = ask("GET", "/a?projection=FULL", Value::Null).1;
    assert_eq!(full["recentUsers"][0]["email"], "ada@corp.test");

    let batch = |action: &str, ids: &[&str], reason: Option<&str>| {
        let action = format!("CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_{action}");
        let mut body = json!({ "deviceIds": ids, "changeChromeOsDeviceStatusAction": action });
        if let Some(reason) = reason {
            body["deprovisionReason"] = reason.into();
        }
        let (status, answer) = ask("POST", ":batchChangeStatus", body);
        let each = answer["changeChromeOsDeviceStatusResults"].as_array().cloned();
        let each = each.unwrap_or_default().into_iter().map(|it| it["error"]["code"].as_i64());
        (status, each.collect::<Vec<_>>())
    };
    // One upgrade is there, and taken.
    assert_eq!(batch("REENABLE", &["b"], None), (200, vec![Some(9)]));
    assert_eq!(
        batch("DISABLE", &["a", "b", "c", "d"], None),
        (200, vec![None, Some(9), Some(9), Some(5)])
    );
    assert_eq!(batch("REENABLE", &["b"], None), (200, vec![None]));
    assert_eq!(batch("DEPROVISION", &["b"], None).0, 400);
    let reason = Some("DEPROVISION_REASON_RETIRING_DEVICE");
    assert_eq!(batch("DISABLE", &["b"], reason).0, 400);
    assert_eq!(batch("DEPROVISION", &["b"], reason), (200, vec![None]));
    assert_eq!(batch("DISABLE", &["x"; 51], None).0, 400);
    assert_eq!(batch("DISABLE", &[], None).0, 400);

    // The call that this one superseded.
    let action = |id: &str, body: Value| ask("POST", &format!("/{id}/action"), body).0;
    assert_eq!(action("a", json!({ "action": "reenable" })), 204);
    assert_eq!(action("a", json!({ "action": "reenable" })), 412);
    assert_eq!(action("a", json!({ "action": "disable" })), 204);
    assert_eq!(action("a", json!({ "action": "deprovision" })), 400);
    let retire = json!({ "action": "deprovision", "deprovisionReason": "retiring_device" });
    assert_eq!(action("a", retire), 204);
    assert_eq!(action("nobodys", json!({ "action": "disable" })), 404);
    assert_eq!(office.status("a"), "DEPROVISIONED");
    agrees("google, chromebooks of the fake", papers.as_ref());
}
