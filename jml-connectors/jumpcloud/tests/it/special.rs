//! What is JumpCloud's own: service accounts, several organisations, managers, groups that queries fill, ways
//! through groups, blocked addresses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jml_connector_checks::start;
use jml_connector_jumpcloud::JumpCloud;
use jml_connector_kit::auth::{ClientAuth, ClientCredentials, TokenAuth};
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Cx, Effect, ErrorKind, Expect, IdempotencyKey, ListRequest, Observation,
    Operation, Provider as _, RefusalReason, RetryAdvice, Row, SideEffect, Target,
};
use jml_testkit::conformance::Backdoor as _;
use jml_testkit::fake::{Hits, WireFault};
use serde_json::json;

use crate::suite::papers;
use crate::world::{CRM, Door, EVERYBODY_IN_SALES, LAPTOP, Place, SALES, WORKSPACE, key};

async fn somebody(place: &Place, name: &str) -> AccountId {
    let id = "new".parse().unwrap();
    let state = AccountState::new(id, name, AccountStatus::Active);
    Door(place.fake().clone(), place.clock.clone()).put(state).await
}

fn change(account: &AccountId, op: Operation) -> Change {
    let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
    Change { key, account: Some(account.clone()), op, expect: Expect::Any }
}

#[tokio::test]
async fn a_service_account_works_for_one_of_several_organisations() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let organization = place.fake().with(|api| {
        api.clients.insert("jml".into(), "s3cret-s3cret".into());
        api.multi_tenant = true;
        api.organization.clone()
    });
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let url = format!("{}/oauth2/token", place.server.url());
    let endpoint = Client::over(&url, transport.clone()).unwrap();
    let auth = ClientAuth::Basic("s3cret-s3cret".to_owned().into());
    let source = ClientCredentials::new(endpoint, url, "jml", "api", auth);
    let client = Client::over(&place.server.url(), transport).unwrap();
    let client = client.authenticated(TokenAuth::new(source));
    let make = || JumpCloud::new("t".parse().unwrap(), client.clone(), client.clone()).unwrap();
    let cx = Cx::new(place.clock.clone());
    let error = make().health(&cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let named = make().organization(organization);
    assert!(named.health(&cx).await.unwrap().missing_permissions.is_empty());
    named.changes(&cx, None).await.unwrap();
    assert!(make().organization("elsewhere").health(&cx).await.is_err());
}

#[tokio::test]
async fn a_manager_is_deleted_and_nobody_reports_to_them() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let (boss, report) = (somebody(&place, "boss").await, somebody(&place, "report").await);
    place.fake().with(|api| {
        let user = api.users.get_mut(report.as_str()).unwrap();
        user.profile.insert("manager".into(), json!(boss.as_str()));
    });
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let outcome = provider.apply(&cx, &change(&boss, Operation::DeleteAccount)).await.unwrap();
    assert!(matches!(outcome.side_effects.as_slice(), [SideEffect::Other(_)]));
    place.fake().with(|api| {
        assert!(!api.users.contains_key(boss.as_str()));
        assert!(!api.users[report.as_str()].profile.contains_key("manager"));
    });
    provider.apply(&cx, &change(&report, Operation::DeleteAccount)).await.unwrap();
    let sent: Vec<String> = place.fake().requests().into_iter().map(|it| it.target).collect();
    let asked = sent.iter().filter(|it| it.contains("cascade_manager")).count();
    assert_eq!(asked, 1, "{sent:?}");
    jml_connector_checks::agrees("jumpcloud, a manager", papers.as_ref());
}

/// A group that a query fills is refused before anything is sent, also where a policy takes it for another one.
#[tokio::test]
async fn a_query_is_not_argued_with() {
    for refuses in [false, true] {
        let place = Place::new(None);
        place.fake().with(|api| api.quirks.refuses_dynamic = refuses);
        let id = somebody(&place, "ada").await;
        let cx = Cx::new(place.clock.clone());
        for kind in ["dynamic_group", "group"] {
            let entitlement = key(&format!("{kind}/{EVERYBODY_IN_SALES}"));
            let op = Operation::Grant { entitlement };
            let error = place.provider("t").apply(&cx, &change(&id, op)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Immutable));
        }
        assert!(place.fake().requests().iter().all(|it| !it.mutates));
    }
}

#[tokio::test]
async fn an_application_through_a_group_goes_with_the_group() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let id = somebody(&place, "ada").await;
    place.fake().with(|api| {
        api.groups.get_mut(SALES).unwrap().members.insert(id.to_string());
        api.apps.get_mut(CRM).unwrap().groups.insert(SALES.into());
    });
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let seen = provider.read(&cx, &Target::Account(id.clone())).await.unwrap();
    let held: Vec<String> =
        seen.account().unwrap().holdings.iter().map(ToString::to_string).collect();
    assert_eq!(held, [format!("group/{SALES}")]);
    let op = Operation::Revoke { entitlement: key(&format!("app/{CRM}")) };
    let error = provider.apply(&cx, &change(&id, op.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Immutable));
    assert!(error.message().contains(SALES), "{error}");
    assert_eq!(error.applied(), Applied::No);
    place.fake().with(|api| api.apps.get_mut(CRM).unwrap().groups.clear());
    let outcome = provider.apply(&cx, &change(&id, op)).await.unwrap();
    assert_eq!(outcome.effect, Effect::Unchanged);
    jml_connector_checks::agrees("jumpcloud, through a group", papers.as_ref());
}

/// Whom a user is bound to directly is held: in device groups and in directories of every type. What comes with a
/// group shows with the group.
#[tokio::test]
async fn device_groups_and_directories_are_given_shown_and_taken() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let (id, other) = (somebody(&place, "ada").await, somebody(&place, "bob").await);
    let keys = place.fake().with(|api| {
        api.groups.get_mut(SALES).unwrap().members.insert(other.to_string());
        let mut keys = vec![format!("device_group/{}", api.add_system_group("servers"))];
        for kind in ["active_directory", "g_suite", "ldap_server", "office_365"] {
            let made = api.add_directory(kind, kind);
            api.directories.get_mut(&made).unwrap().groups.insert(SALES.into());
            keys.push(format!("directory/{kind}/{made}"));
        }
        // It tells JumpCloud of people, and nobody is bound to it.
        api.add_directory("people", "workday");
        keys
    });
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let held = async |id: &AccountId| -> BTreeSet<String> {
        let seen = provider.read(&cx, &Target::Account(id.clone())).await.unwrap();
        seen.account().unwrap().holdings.iter().map(ToString::to_string).collect()
    };
    for text in &keys {
        let op = Operation::Grant { entitlement: key(text) };
        for effect in [Effect::Accepted, Effect::Unchanged] {
            let outcome = provider.apply(&cx, &change(&id, op.clone())).await.unwrap();
            assert_eq!(outcome.effect, effect, "{text}");
        }
    }
    let wanted: BTreeSet<String> = keys.iter().cloned().collect();
    assert_eq!(held(&id).await, wanted);
    assert_eq!(held(&other).await, [format!("group/{SALES}")].into());

    let rows = async |asked: ListRequest| {
        let (mut asked, mut rows) = (asked, Vec::new());
        loop {
            let page = provider.list(&cx, &asked).await.unwrap();
            rows.extend(page.rows().to_vec());
            let Some(next) = page.next() else { return rows };
            asked.cursor = Some(next.clone());
        }
    };
    let listed: BTreeSet<String> = rows(ListRequest::holdings())
        .await
        .into_iter()
        .filter_map(|row| match row {
            Row::Holding(it) if it.account == id => Some(it.entitlement.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(listed, wanted);
    let mut named: Vec<(String, String)> = rows(ListRequest::entitlements())
        .await
        .into_iter()
        .filter_map(|row| match row {
            Row::Entitlement(it) => Some((it.key.to_string(), it.title.to_string())),
            _ => None,
        })
        .filter(|(it, _)| it.starts_with("directory/") || it.starts_with("device_group/"))
        .collect();
    named.retain(|(it, _)| !it.ends_with(WORKSPACE));
    let titles = ["servers", "active_directory", "g_suite", "ldap_server", "office_365"];
    let pairs = keys.iter().zip(titles).map(|(it, title)| (it.clone(), title.to_owned()));
    assert_eq!(BTreeSet::from_iter(named), pairs.collect());

    for text in &keys {
        let op = Operation::Revoke { entitlement: key(text) };
        for effect in [Effect::Accepted, Effect::Unchanged] {
            let outcome = provider.apply(&cx, &change(&id, op.clone())).await.unwrap();
            assert_eq!(outcome.effect, effect, "{text}");
        }
        if text.starts_with("directory/") {
            let error = provider.apply(&cx, &change(&other, op)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Immutable), "{text}");
            assert!(error.message().contains(SALES), "{error}");
        }
    }
    assert!(held(&id).await.is_empty());
    // A directory by its id alone, or of a type that nobody is bound to.
    for text in [format!("directory/{WORKSPACE}"), format!("directory/workday/{WORKSPACE}")] {
        let op = Operation::Grant { entitlement: key(&text) };
        let error = provider.apply(&cx, &change(&id, op)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.message().contains("directory/TYPE/ID"), "{error}");
    }
    jml_connector_checks::agrees("jumpcloud, directories", papers.as_ref());
}

/// All rights on a device are something of their own, and go with the device.
#[tokio::test]
async fn rights_on_a_device_are_given_and_taken() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let id = somebody(&place, "ada").await;
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let (system, sudo) = (key(&format!("system/{LAPTOP}")), key(&format!("sudo/{LAPTOP}")));
    let held = async || {
        let seen = provider.read(&cx, &Target::Account(id.clone())).await.unwrap();
        let snapshot = jml_core::provider::snapshot(&provider, &cx).await.unwrap();
        let jml_core::provider::Snapshot::Complete(all) = snapshot else { panic!("incomplete") };
        let held = seen.account().unwrap().holdings.clone();
        assert_eq!(held, all.accounts()[&id].holdings);
        held
    };
    let grant = |it: &EntitlementKey| change(&id, Operation::Grant { entitlement: it.clone() });
    let revoke = |it: &EntitlementKey| change(&id, Operation::Revoke { entitlement: it.clone() });
    for order in [[&system, &sudo], [&sudo, &system]] {
        for it in order {
            provider.apply(&cx, &grant(it)).await.unwrap();
        }
        assert_eq!(held().await, [system.clone(), sudo.clone()].into());
        assert_eq!(provider.apply(&cx, &grant(&sudo)).await.unwrap().effect, Effect::Unchanged);
        provider.apply(&cx, &revoke(&sudo)).await.unwrap();
        assert_eq!(held().await, [system.clone()].into());
        assert_eq!(provider.apply(&cx, &revoke(&sudo)).await.unwrap().effect, Effect::Unchanged);
        provider.apply(&cx, &grant(&sudo)).await.unwrap();
        let outcome = provider.apply(&cx, &revoke(&system)).await.unwrap();
        assert_eq!(outcome.side_effects, [SideEffect::Dropped(sudo.clone())]);
        assert!(held().await.is_empty());
        assert_eq!(provider.apply(&cx, &revoke(&sudo)).await.unwrap().effect, Effect::Unchanged);
    }
    jml_connector_checks::agrees("jumpcloud, rights on a device", papers.as_ref());
}

/// Whoever is staged is activated by a call of its own, and nobody goes back there.
#[tokio::test]
async fn a_staged_user_is_activated() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let id = "new".parse().unwrap();
    let state = AccountState::new(id, "ada", AccountStatus::Staged);
    let id = Door(place.fake().clone(), place.clock.clone()).put(state).await;
    place.fake().with(|api| api.users.get_mut(id.as_str()).unwrap().state = "STAGED".into());
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let op = |status| change(&id, Operation::SetStatus { status });
    assert_eq!(
        provider.apply(&cx, &op(AccountStatus::Staged)).await.unwrap().effect,
        Effect::Unchanged
    );
    provider.apply(&cx, &op(AccountStatus::Active)).await.unwrap();
    place.fake().with(|api| assert_eq!(api.users[id.as_str()].state, "ACTIVATED"));
    let error = provider.apply(&cx, &op(AccountStatus::Staged)).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No));
    jml_connector_checks::agrees("jumpcloud, a staged user", papers.as_ref());
}

#[tokio::test]
async fn a_blocked_address_waits_and_blames_no_permission() {
    let place = Place::new(None);
    place.fake().with(|api| api.quirks.blocked = true);
    let cx = Cx::new(place.clock.clone());
    let error = place.provider("t").health(&cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let RetryAdvice::After { ms } = error.retry() else { panic!("{error}") };
    assert!(Duration::from_millis(ms) >= Duration::from_secs(60));
}

/// Ids that are well made, and of nothing.
#[tokio::test]
async fn what_is_not_there_is_gone_already() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let ada = somebody(&place, "ada").await;
    let nobody: AccountId = "63ffffffffffffffffffffff".parse().unwrap();
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let nothing =
        ["group", "app", "system"].map(|it| key(&format!("{it}/60ffffffffffffffffffffff")));
    let there = [format!("group/{SALES}"), format!("app/{CRM}")].map(|it| key(&it));
    let cases = nothing.iter().map(|it| (&ada, it)).chain(there.iter().map(|it| (&nobody, it)));
    for (account, entitlement) in cases {
        let grant = Operation::Grant { entitlement: entitlement.clone() };
        let error = provider.apply(&cx, &change(account, grant)).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::NotFound, Applied::No));
        let revoke = Operation::Revoke { entitlement: entitlement.clone() };
        let outcome = provider.apply(&cx, &change(account, revoke)).await.unwrap();
        assert_eq!(outcome.effect, Effect::Unchanged);
    }
    for class in [CredentialClass::SshKeys, CredentialClass::MfaFactors] {
        let op = Operation::RevokeCredentials { class };
        let outcome = provider.apply(&cx, &change(&nobody, op)).await.unwrap();
        assert_eq!(outcome.effect, Effect::Unchanged);
    }
    let outcome = provider.apply(&cx, &change(&nobody, Operation::DeleteAccount)).await.unwrap();
    assert_eq!(outcome.effect, Effect::Unchanged);
    let seen = provider.read(&cx, &Target::Account(nobody)).await.unwrap();
    assert_eq!(seen, Observation::Absent);
    jml_connector_checks::agrees("jumpcloud, nothing", papers.as_ref());
}

/// Some organisations are answered 400 for a name that is taken.
#[tokio::test]
async fn a_taken_name_is_found_by_looking() {
    let place = Place::new(None);
    place.fake().with(|api| api.quirks.duplicate = 400);
    let (ada, bob) = (somebody(&place, "ada").await, somebody(&place, "bob").await);
    let cx = Cx::new(place.clock.clone());
    let rename = |to: &str| Operation::UpdateAccount {
        user_name: Some(to.into()),
        set: [].into(),
        clear: [].into(),
    };
    let provider = place.provider("t");
    let error = provider.apply(&cx, &change(&ada, rename("bob"))).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::AlreadyExists, Applied::No));
    assert!(error.message().contains(bob.as_str()), "{error}");
    // A name that is not taken, and is wrong.
    let error = provider.apply(&cx, &change(&ada, rename(""))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// A lock after wrong passwords is not the end of an account, and ending a suspension does not end it.
#[tokio::test]
async fn a_lock_is_no_suspension() {
    let place = Place::new(None);
    let id = somebody(&place, "ada").await;
    place.fake().with(|api| api.users.get_mut(id.as_str()).unwrap().account_locked = true);
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let status = async || match provider.read(&cx, &Target::Account(id.clone())).await.unwrap() {
        Observation::Present(state) => state.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status().await, AccountStatus::Active);
    for to in [AccountStatus::Disabled, AccountStatus::Active] {
        let op = Operation::SetStatus { status: to };
        provider.apply(&cx, &change(&id, op)).await.unwrap();
        assert_eq!(status().await, to);
    }
    place.fake().with(|api| assert!(api.users[id.as_str()].account_locked));
}

#[tokio::test]
async fn a_security_key_is_left_over_and_the_rest_goes() {
    for unified in [false, true] {
        let place = Place::new(None);
        let id = somebody(&place, "ada").await;
        place.fake().with(|api| {
            api.quirks.unified_mfa = unified;
            let user = api.users.get_mut(id.as_str()).unwrap();
            (user.totp, user.webauthn) = (true, true);
            user.push = [("p1".to_owned(), "phone".to_owned())].into();
        });
        let cx = Cx::new(place.clock.clone());
        let op = Operation::RevokeCredentials { class: CredentialClass::MfaFactors };
        let error = place.provider("t").apply(&cx, &change(&id, op.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused(RefusalReason::Immutable));
        assert_eq!(error.applied(), Applied::Partly);
        let again = place.provider("t").apply(&cx, &change(&id, op)).await.unwrap_err();
        assert_eq!(again.applied(), Applied::No);
        let seen = place.provider("t").read(&cx, &Target::Account(id.clone())).await.unwrap();
        let left = seen.account().unwrap().credentials[&CredentialClass::MfaFactors];
        assert_eq!(left, 1);
    }
}

/// A filter that is not understood shows everybody. Nobody of them is taken for whoever was meant.
#[tokio::test]
async fn a_filter_that_shows_others_names_nobody() {
    let place = Place::new(None);
    let stranger = somebody(&place, "bob").await;
    let cx = Cx::new(place.clock.clone());
    let target = Target::External { identity: "E1".parse().unwrap(), user_name: "ada".into() };
    let shown = place.fake().with(|api| {
        let profile = &api.users[stranger.as_str()].profile;
        json!({ "totalCount": 1, "results": [{
            "_id": stranger.as_str(), "state": "ACTIVATED",
            "username": profile["username"], "email": profile["email"],
        }] })
    });
    // By their number, and by their name.
    for before in [0, 1] {
        place.fake().inject(Hits::Nth(before + 1), 1, WireFault::Body(shown.to_string()));
        let seen = place.provider("t").read(&cx, &target).await;
        place.fake().calm();
        let error = seen.expect_err("somebody was found");
        assert_eq!(error.kind(), ErrorKind::ContractViolation, "{error}");
        assert_eq!(error.applied(), Applied::No);
    }
    let seen = place.provider("t").read(&cx, &target).await.unwrap();
    assert!(seen.account().is_none());
}

/// A feed of several pages, with events that are about nobody, and the wait of months between.
#[tokio::test]
async fn the_feed_goes_on_where_it_was() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let mut mark = provider.changes(&cx, None).await.unwrap().next;
    for _ in 0..5 {
        // Nothing happens for a month, and the place stays.
        place.clock.advance(chrono::TimeDelta::days(30));
        let page = provider.changes(&cx, Some(&mark)).await.unwrap();
        assert!(page.rows.is_empty() && !page.more);
        mark = page.next;
    }
    place.fake().with(|api| api.quirks.insights_lag_ms = 8_000);
    let ids: Vec<AccountId> = vec![somebody(&place, "ada").await, somebody(&place, "bob").await];
    let now = jml_core::clock::Clock::now(&*place.clock);
    assert!(now > start());
    place.fake().with(|api| {
        for _ in 0..2_500 {
            api.happened("system_update", "system", "620000000000000000000006", now);
        }
        api.happened("user_update", "user", ids[1].as_str(), now);
    });
    place.clock.advance(chrono::TimeDelta::seconds(5));
    let early = provider.changes(&cx, Some(&mark)).await.unwrap();
    assert!(early.rows.is_empty());
    mark = early.next;
    place.clock.advance(chrono::TimeDelta::seconds(5));
    let (mut rows, mut pages) = (Vec::new(), 0);
    loop {
        let page = provider.changes(&cx, Some(&mark)).await.unwrap();
        rows.extend(page.rows.into_iter().map(|it| it.account));
        (mark, pages) = (page.next, pages + 1);
        if !page.more {
            break;
        }
    }
    assert_eq!((pages, rows), (3, vec![ids[0].clone(), ids[1].clone(), ids[1].clone()]));
    let after = provider.changes(&cx, Some(&mark)).await.unwrap();
    assert!(after.rows.is_empty());
    jml_connector_checks::agrees("jumpcloud, the feed", papers.as_ref());
}

/// JumpCloud says 404 of an organisation as it does of a user. A wrong one is nobody's end.
#[tokio::test]
async fn an_organisation_that_is_lost_makes_nobody_absent() {
    let papers = papers();
    let place = Place::new(papers.as_ref());
    let id = somebody(&place, "ada").await;
    let ours = place.fake().with(|api| api.organization.clone());
    let (cx, target) = (Cx::new(place.clock.clone()), Target::Account(id.clone()));
    let named = |id: &str| place.provider("t").organization(id);
    let lost = named("5effffffffffffffffffffff");
    let external = Target::External { identity: "E1".parse().unwrap(), user_name: "ada".into() };
    for target in [&target, &external] {
        let error = lost.read(&cx, target).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Configuration, Applied::No));
    }
    for op in [
        Operation::RevokeCredentials { class: CredentialClass::SshKeys },
        Operation::Revoke { entitlement: key(&format!("group/{SALES}")) },
        Operation::DeleteAccount,
    ] {
        let error = lost.apply(&cx, &change(&id, op.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{op}: {error}");
    }
    // Where it is there, who is gone is gone.
    let here = named(&ours);
    assert!(here.read(&cx, &target).await.unwrap().account().is_some());
    place.fake().with(|api| api.forget_user(id.as_str()));
    assert_eq!(here.read(&cx, &target).await.unwrap(), Observation::Absent);
    let op = Operation::RevokeCredentials { class: CredentialClass::SshKeys };
    let outcome = here.apply(&cx, &change(&id, op)).await.unwrap();
    assert_eq!(outcome.effect, Effect::Unchanged);
    jml_connector_checks::agrees("jumpcloud, an organisation", papers.as_ref());
}

/// What goes takes something from people whom the event does not name.
#[tokio::test]
async fn a_group_or_a_device_that_goes_is_no_silence() {
    let place = Place::new(None);
    let cx = Cx::new(place.clock.clone());
    let provider = place.provider("t");
    let now = jml_core::clock::Clock::now(&*place.clock);
    let mark = provider.changes(&cx, None).await.unwrap().next;
    let tell = |what: &str, kind: &str, of: &str| {
        place.fake().with(|api| api.happened(what, kind, of, now));
    };
    tell("system_update", "system", LAPTOP);
    tell("policy_delete", "policy", LAPTOP);
    place.clock.advance(chrono::TimeDelta::minutes(1));
    let quiet = provider.changes(&cx, Some(&mark)).await.unwrap();
    assert!(quiet.rows.is_empty());
    for (what, kind) in [
        ("group_delete", "user_group"),
        ("system_delete", "system"),
        ("application_delete", "application"),
    ] {
        let mark = provider.changes(&cx, None).await.unwrap().next;
        let now = jml_core::clock::Clock::now(&*place.clock);
        place.fake().with(|api| api.happened(what, kind, LAPTOP, now));
        place.clock.advance(chrono::TimeDelta::minutes(1));
        let error = provider.changes(&cx, Some(&mark)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CursorExpired, "{error}");
        assert!(error.message().contains(what), "{error}");
    }
}

/// The status for an edge that is not there is not documented: whatever it is, what is not held is gone.
#[tokio::test]
async fn an_edge_that_is_not_there_is_gone_whatever_the_status() {
    for status in [404, 409, 400] {
        let place = Place::new(None);
        place.fake().with(|api| api.quirks.absent_edge = status);
        let id = somebody(&place, "ada").await;
        let cx = Cx::new(place.clock.clone());
        let provider = place.provider("t");
        for it in [format!("group/{SALES}"), format!("app/{CRM}"), format!("system/{LAPTOP}")] {
            let op = Operation::Revoke { entitlement: key(&it) };
            let outcome = provider.apply(&cx, &change(&id, op)).await;
            let outcome = outcome.unwrap_or_else(|e| panic!("{status} {it}: {e}"));
            assert_eq!(outcome.effect, Effect::Unchanged, "{status} {it}");
            // What is held and cannot be taken is no success.
            let op = Operation::Grant { entitlement: key(&it) };
            provider.apply(&cx, &change(&id, op)).await.unwrap();
            place.fake().inject(Hits::Changes, 1, WireFault::status(400));
            let op = Operation::Revoke { entitlement: key(&it) };
            let error = provider.apply(&cx, &change(&id, op)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{it}");
        }
    }
}

/// A filter that is not understood makes no query of a group that people fill.
#[tokio::test]
async fn a_filter_that_shows_everything_makes_no_group_dynamic() {
    let place = Place::new(None);
    place.fake().with(|api| api.quirks.ignores_filters = true);
    let id = somebody(&place, "ada").await;
    place.fake().with(|api| {
        for group in [SALES, EVERYBODY_IN_SALES] {
            api.groups.get_mut(group).unwrap().members.insert(id.to_string());
        }
    });
    let cx = Cx::new(place.clock.clone());
    let seen = place.provider("t").read(&cx, &Target::Account(id)).await.unwrap();
    let wanted =
        [key(&format!("group/{SALES}")), key(&format!("dynamic_group/{EVERYBODY_IN_SALES}"))];
    assert_eq!(seen.account().unwrap().holdings, wanted.into());
}
