//! What is Okta's own: where "not found" is no absence, the lifecycle, roles and rules.

use std::collections::{BTreeMap, BTreeSet};

use jml_connector_checks::start;
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::digest::Digest;
use jml_core::provider::{
    Applied, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, ListRequest,
    Observation, Operation, Outcome, Provider as _, RefusalReason, RetryAdvice, Row, Target,
};
use jml_testkit::fake::okta::{Role, Rule, User};

use crate::world::Place;

fn cx(place: &Place) -> Cx {
    Cx::new(place.clock.clone())
}

/// Somebody who is there, in a status.
fn somebody(place: &Place, status: &str) -> String {
    let texts = [
        ("login", "ada@corp.test"),
        ("email", "ada@corp.test"),
        ("firstName", "Ada"),
        ("lastName", "Lovelace"),
        ("employeeNumber", "E1"),
        ("department", "sales"),
    ];
    let profile = texts.map(|(name, text)| (name.to_owned(), text.into())).into();
    place.fake().with(|api| {
        let id = api.add_user(profile, status, start());
        api.users.get_mut(&id).unwrap().factors = [("mfa1".to_owned(), "push".to_owned())].into();
        id
    })
}

async fn applied(place: &Place, id: Option<&str>, op: Operation) -> Result<Outcome, Error> {
    let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
    let account = id.map(|id| id.parse().unwrap());
    let change = Change { key, account, op, expect: Expect::Any };
    place.provider("okta").apply(&cx(place), &change).await
}

async fn status(place: &Place, id: &str, status: AccountStatus) -> Result<Outcome, Error> {
    applied(place, Some(id), Operation::SetStatus { status }).await
}

async fn revoke(place: &Place, id: &str, what: &str) -> Result<Outcome, Error> {
    applied(place, Some(id), Operation::Revoke { entitlement: what.parse().unwrap() }).await
}

async fn grant(place: &Place, id: &str, what: &str) -> Result<Outcome, Error> {
    applied(place, Some(id), Operation::Grant { entitlement: what.parse().unwrap() }).await
}

async fn held(place: &Place, id: &str) -> BTreeSet<String> {
    let target = Target::Account(id.parse().unwrap());
    let seen = place.provider("okta").read(&cx(place), &target).await.unwrap();
    seen.account().unwrap().holdings.iter().map(ToString::to_string).collect()
}

fn create(name: &str, owner: &str, more: &[(&str, &str)]) -> Operation {
    let attributes = [("given_name", "Ada"), ("family_name", "Lovelace")];
    let attributes = attributes.iter().chain(more);
    Operation::CreateAccount {
        user_name: name.into(),
        external_id: owner.parse().unwrap(),
        status: AccountStatus::Staged,
        attributes: attributes
            .map(|(name, text)| {
                (name.parse().unwrap(), jml_core::attribute::AttributeValue::text(text))
            })
            .collect(),
    }
}

fn user(place: &Place, id: &str) -> User {
    place.fake().with(|api| api.users[id].clone())
}

/// Absent is what satisfies every revoke, so it must be the user that is not found.
#[tokio::test]
async fn a_living_user_is_not_absent_because_something_below_them_is_not_found() {
    for below in ["groups", "roles", "factors", "clients", "devices"] {
        let place = Place::new(None);
        let id = somebody(&place, "ACTIVE");
        place.fake().with(|api| api.quirks.missing_below = Some(below));
        let target = Target::Account(id.parse().unwrap());
        let seen = place.provider("okta").read(&cx(&place), &target).await;
        assert_eq!(seen.unwrap_err().kind(), ErrorKind::ContractViolation, "{below}");
    }
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    place.fake().with(|api| api.quirks.missing_below = Some("devices"));
    let class = CredentialClass::Devices;
    let killed = applied(&place, Some(&id), Operation::RevokeCredentials { class }).await;
    assert_eq!(killed.unwrap_err().kind(), ErrorKind::ContractViolation);
    place.fake().with(|api| api.quirks.missing_below = Some("roles"));
    let taken = revoke(&place, &id, "role/SUPER_ADMIN").await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::ContractViolation);
    // Who is gone is absent, also while somebody looks.
    place.fake().with(|api| api.forget_user(&id));
    let target = Target::Account(id.parse().unwrap());
    let seen = place.provider("okta").read(&cx(&place), &target).await.unwrap();
    assert_eq!(seen, Observation::Absent);
    assert_eq!(revoke(&place, &id, "role/SUPER_ADMIN").await.unwrap().effect, Effect::Unchanged);
}

/// From every status there is a way to a blocked account without factors, in one go and the next.
#[tokio::test]
async fn who_is_blocked_keeps_no_factor() {
    for (from, to) in [
        ("STAGED", "DEPROVISIONED"),
        ("PROVISIONED", "DEPROVISIONED"),
        ("RECOVERY", "DEPROVISIONED"),
        ("PASSWORD_EXPIRED", "DEPROVISIONED"),
        ("LOCKED_OUT", "SUSPENDED"),
        ("ACTIVE", "SUSPENDED"),
    ] {
        let place = Place::new(None);
        let id = somebody(&place, from);
        status(&place, &id, AccountStatus::Disabled).await.unwrap();
        assert_eq!(user(&place, &id).status, to, "{from}");
        let op = Operation::RevokeCredentials { class: CredentialClass::MfaFactors };
        let taken = applied(&place, Some(&id), op).await.unwrap();
        assert_eq!(user(&place, &id).factors, BTreeMap::new(), "{from}");
        let twice = to == "DEPROVISIONED";
        assert_eq!(taken.effect == Effect::Unchanged, twice, "{from}: {:?}", taken.effect);
        let again = status(&place, &id, AccountStatus::Disabled).await.unwrap();
        assert_eq!(again.effect, Effect::Unchanged, "{from}");
    }
    // Somebody else deprovisioned them before the factors went: that does not end by trying.
    let place = Place::new(None);
    let id = somebody(&place, "DEPROVISIONED");
    let op = Operation::RevokeCredentials { class: CredentialClass::MfaFactors };
    let error = applied(&place, Some(&id), op).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Policy));
    assert_eq!(error.retry(), RetryAdvice::Never);
}

/// Archiving takes the factors, too, and a suspended user stays one until it is done.
#[tokio::test]
async fn what_goes_on_after_the_answer_is_pending_and_not_done() {
    let place = Place::new(None);
    let id = somebody(&place, "SUSPENDED");
    place.fake().with(|api| api.quirks.slow_lifecycle = true);
    let sent = status(&place, &id, AccountStatus::Archived).await.unwrap();
    assert_eq!(sent.effect, Effect::Pending);
    let handle = sent.pending.unwrap();
    let target = Target::Account(id.parse().unwrap());
    let okta = place.provider("okta");
    let seen = okta.read(&cx(&place), &target).await.unwrap();
    assert_eq!(seen.account().unwrap().status, AccountStatus::Disabled);
    let mut asked = 0;
    let end = loop {
        let outcome = okta.poll(&cx(&place), &handle).await.unwrap();
        if outcome.effect != Effect::Pending {
            break outcome.effect;
        }
        assert_eq!(outcome.pending.as_ref(), Some(&handle));
        asked += 1;
        assert!(asked < 9, "it does not end");
    };
    assert_eq!(end, Effect::Changed);
    assert_eq!(user(&place, &id).factors, BTreeMap::new());
    assert_eq!(okta.poll(&cx(&place), &handle).await.unwrap().effect, Effect::Changed);
    // Somebody who is active and becomes deprovisioned is not active, whatever the status says.
    let back = status(&place, &id, AccountStatus::Active).await.unwrap();
    assert_eq!(back.effect, Effect::Pending);
    place.fake().with(|api| {
        let user = api.users.get_mut(&id).unwrap();
        user.status = "ACTIVE".into();
        user.transition = Some(("DEPROVISIONED".into(), 9));
    });
    let back = status(&place, &id, AccountStatus::Active).await.unwrap_err();
    assert_eq!((back.kind(), back.retry()), (ErrorKind::Conflict, RetryAdvice::Backoff));
    let gone = status(&place, &id, AccountStatus::Disabled).await.unwrap();
    assert_eq!(gone.effect, Effect::Pending);
    // The handle of an end that somebody else undid.
    place.fake().with(|api| api.users.get_mut(&id).unwrap().transition = None);
    let undone = okta.poll(&cx(&place), &gone.pending.unwrap()).await.unwrap_err();
    assert_eq!(undone.kind(), ErrorKind::ContractViolation);
}

/// The second call deletes, and only when the first one is through.
#[tokio::test]
async fn deleting_waits_for_the_end_of_deprovisioning() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    place.fake().with(|api| api.quirks.slow_lifecycle = true);
    let first = applied(&place, Some(&id), Operation::DeleteAccount).await.unwrap_err();
    let wanted = (ErrorKind::Conflict, RetryAdvice::Backoff, Applied::Partly);
    assert_eq!((first.kind(), first.retry(), first.applied()), wanted);
    for _ in 0..5 {
        if applied(&place, Some(&id), Operation::DeleteAccount).await.is_ok() {
            break;
        }
    }
    assert!(!place.fake().with(|api| api.users.contains_key(&id)));
}

/// A role that comes with a group is not theirs to give or take, and each custom role is one of its own.
#[tokio::test]
async fn roles_are_told_apart_by_how_they_came_and_which_they_are() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    let custom =
        |name: &str| Role { kind: "CUSTOM".into(), custom: Some(name.into()), by_group: false };
    place.fake().with(|api| {
        let by_group = Role { by_group: true, ..Role::standard("HELP_DESK_ADMIN") };
        let user = api.users.get_mut(&id).unwrap();
        user.roles = [
            ("ra1".to_owned(), by_group),
            ("ra2".to_owned(), custom("cr0one")),
            ("ra3".to_owned(), custom("cr0two")),
            ("ra4".to_owned(), custom("cr0two")),
        ]
        .into();
        api.custom_roles = [("cr0one", "One"), ("cr0two", "Two"), ("cr0three", "Three")]
            .map(|(id, label)| (id.to_owned(), label.to_owned()))
            .into();
    });
    let roles = |held: BTreeSet<String>| -> Vec<String> {
        held.into_iter().filter(|it| it.starts_with("role/")).collect()
    };
    assert_eq!(roles(held(&place, &id).await), ["role/cr0one", "role/cr0two"]);
    let immutable = ErrorKind::Refused(RefusalReason::Immutable);
    let taken = revoke(&place, &id, "role/HELP_DESK_ADMIN").await.unwrap_err();
    assert_eq!(taken.kind(), immutable);
    let given = grant(&place, &id, "role/HELP_DESK_ADMIN").await.unwrap_err();
    assert_eq!(given.kind(), immutable);
    // The same custom role for two sets of resources goes whole, and the other one stays.
    revoke(&place, &id, "role/cr0two").await.unwrap();
    assert_eq!(roles(held(&place, &id).await), ["role/cr0one"]);
    assert_eq!(grant(&place, &id, "role/cr0one").await.unwrap().effect, Effect::Unchanged);
    let given = grant(&place, &id, "role/cr0three").await.unwrap_err();
    assert_eq!(given.kind(), ErrorKind::Refused(RefusalReason::Policy));
    let given = grant(&place, &id, "role/EMPEROR").await.unwrap_err();
    assert_eq!(given.kind(), ErrorKind::NotFound);
    // Both kinds can be found by whoever writes a policy.
    let okta = place.provider("okta");
    let (mut asked, mut all) = (ListRequest::entitlements(), BTreeSet::new());
    loop {
        let page = okta.list(&cx(&place), &asked).await.unwrap();
        all.extend(page.rows().iter().filter_map(|row| match row {
            Row::Entitlement(it) => Some(it.key.to_string()),
            _ => None,
        }));
        match page.next() {
            None => break,
            next => asked.cursor = next.cloned(),
        }
    }
    assert!(all.contains("role/cr0two") && all.contains("role/WORKFLOWS_ADMIN"), "{all:?}");
    let (mut asked, mut rows) = (ListRequest::holdings(), Vec::new());
    loop {
        let page = okta.list(&cx(&place), &asked).await.unwrap();
        rows.extend(page.rows().iter().filter_map(|row| match row {
            Row::Holding(it) => Some(it.entitlement.to_string()),
            _ => None,
        }));
        match page.next() {
            None => break,
            next => asked.cursor = next.cloned(),
        }
    }
    rows.retain(|it| it.starts_with("role/"));
    assert_eq!(rows, ["role/cr0one"]);
}

/// The sign-in name and the owner are not attributes: written as one, they would hand the account over.
#[tokio::test]
async fn no_attribute_is_written_over_the_login_or_the_owner() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    let before = user(&place, &id).profile;
    for name in ["login", "employee_number"] {
        let name: jml_core::id::AttributeName = name.parse().unwrap();
        let value = jml_core::attribute::AttributeValue::text("E2");
        for (set, clear) in [
            ([(name.clone(), value)].into(), BTreeSet::new()),
            (BTreeMap::new(), [name.clone()].into()),
        ] {
            let op = Operation::UpdateAccount { user_name: None, set, clear };
            let error = applied(&place, Some(&id), op).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        }
        let op = create("bob@corp.test", "E2", &[(name.as_str(), "E1")]);
        let error = applied(&place, None, op).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
    assert_eq!(user(&place, &id).profile, before);
    assert_eq!(place.fake().with(|api| api.users.len()), 1);
}

#[tokio::test]
async fn an_application_that_does_not_say_how_it_was_given_is_asked_about() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    place.fake().with(|api| {
        api.add_app("0oawiki", "Wiki");
        api.groups.get_mut("00gsales").unwrap().members.insert(id.clone());
        api.apps.get_mut("0oawiki").unwrap().groups.insert("00gsales".into());
        api.apps.get_mut("0oacrm").unwrap().users.insert(id.clone());
        api.quirks.bare_apps = true;
    });
    let held = held(&place, &id).await;
    assert!(held.contains("app/0oacrm") && !held.contains("app/0oawiki"), "{held:?}");
}

/// What a rule puts back was taken before; a rule is blamed only if it can be why.
#[tokio::test]
async fn a_rule_is_blamed_for_those_it_is_for() {
    let rule = |name: &str, value: &str| Rule {
        name: name.into(),
        group: "00gsales".into(),
        when: ("department".into(), value.into()),
        ..Rule::default()
    };
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    place.fake().with(|api| {
        api.rules.insert("0pr1".into(), rule("engineers too", "engineering"));
        api.rules.insert("0pr2".into(), rule("sales people", "sales"));
    });
    grant(&place, &id, "group/00gsales").await.unwrap();
    let error = revoke(&place, &id, "group/00gsales").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Immutable));
    assert_eq!(error.applied(), Applied::Unknown);
    assert!(error.message().contains("the group rule `sales people` puts them back"), "{error}");
    // A condition that is more than a comparison may be why.
    place.fake().with(|api| {
        let rule = api.rules.get_mut("0pr2").unwrap();
        rule.written = Some("String.startsWith(user.department,\"sal\")".into());
    });
    let error = revoke(&place, &id, "group/00gsales").await.unwrap_err();
    assert!(error.message().contains("`sales people` may have put them back"), "{error}");
}

/// Whoever has an account gets no second one because the name is another.
#[tokio::test]
async fn one_identity_gets_one_account() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    let op = create("ada.lovelace@corp.test", "E1", &[]);
    let made = applied(&place, None, op).await.unwrap();
    assert_eq!((made.effect, made.account.unwrap().as_str()), (Effect::Unchanged, id.as_str()));
    assert_eq!(place.fake().with(|api| api.users.len()), 1);
}

/// Consents outlive tokens, and a client with nothing else can ask for tokens again.
#[tokio::test]
async fn consents_without_tokens_are_counted_and_taken() {
    let place = Place::new(None);
    let id = somebody(&place, "ACTIVE");
    place.fake().with(|api| {
        api.users.get_mut(&id).unwrap().grants = [("0oawiki".to_owned(), 1)].into();
    });
    let target = Target::Account(id.parse().unwrap());
    let counted = || async {
        let seen = place.provider("okta").read(&cx(&place), &target).await.unwrap();
        seen.account().unwrap().credentials[&CredentialClass::RefreshTokens]
    };
    assert_eq!(counted().await, 1);
    let class = CredentialClass::RefreshTokens;
    applied(&place, Some(&id), Operation::RevokeCredentials { class }).await.unwrap();
    assert_eq!(counted().await, 0);
}

/// The log is by Okta's clock: a feed that begins at an instant of ours misses what lies between.
#[tokio::test]
async fn a_clock_that_is_ahead_of_oktas_misses_nothing() {
    let place = Place::new(None);
    place.fake().with(|api| api.quirks.clock_behind_ms = 120_000);
    let okta = place.provider("okta");
    let mark = okta.changes(&cx(&place), None).await.unwrap().next;
    let id = somebody(&place, "ACTIVE");
    let rows = okta.changes(&cx(&place), Some(&mark)).await.unwrap().rows;
    assert_eq!(rows.iter().map(|it| it.account.as_str()).collect::<Vec<_>>(), [id]);
}

/// Without the mail with its link, a joiner has a password to set and no way to.
#[tokio::test]
async fn who_is_activated_gets_the_link() {
    let place = Place::new(None);
    let id = somebody(&place, "STAGED");
    status(&place, &id, AccountStatus::Active).await.unwrap();
    let sent = place.fake().requests();
    let sent = sent.iter().find(|it| it.target.contains("/lifecycle/activate")).unwrap();
    assert!(sent.target.ends_with("sendEmail=true"), "{}", sent.target);
}
