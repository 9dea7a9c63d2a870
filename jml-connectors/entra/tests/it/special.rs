//! What Graph does otherwise than everybody, call by call.

use std::collections::BTreeSet;

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::attribute::AttributeValue;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Effect, ErrorKind, ListRequest, Observation, Operation, Provider as _, RetryAdvice,
    Row,
};
use jml_testkit::fake::entra::GroupKind;
use jml_testkit::fake::{FakeApi as _, Quirk};
use serde_json::{Value, json};

use crate::office::{IMMUTABLE, Office, texts};
use crate::world::{E3, READER};

/// A page of role assignments is a hundred. Whoever holds more holds all of them.
#[tokio::test]
async fn whoever_holds_more_than_a_page_is_shown_with_everything() {
    let office = Office::new().await;
    office.with(|api| {
        for number in 0..230 {
            let role = format!("role-{number:03}");
            api.role_definitions.insert(role.clone(), format!("Role {number}"));
            api.roles.insert(format!("held-{number:03}"), (office.ada.to_string(), role));
        }
    });
    assert_eq!(office.holds().await.len(), 230);
    // A page that names itself as the next one is no end.
    office.place.fake().with(|api| api.quirk(Quirk::RepeatedCursor));
    let error = office.read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContractViolation, "{error}");
}

/// What a group was given comes in the lists of its members. It is the group's, and everybody's in it.
#[tokio::test]
async fn what_a_group_was_given_is_not_the_users() {
    let office = Office::new().await;
    office.with(|api| {
        for id in [&office.ada, &office.bob] {
            api.groups.get_mut("group-sales").unwrap().members.insert(id.to_string());
        }
        let app = api.apps.get_mut("app-crm").unwrap();
        app.groups.insert("for-sales".into(), "group-sales".into());
    });
    let left = || office.with(|api| api.apps["app-crm"].clone());
    assert_eq!(office.holds().await, texts(&["group/group-sales"]));
    let error = office.revoke("app/app-crm").await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (IMMUTABLE, Applied::No));
    assert!(error.message().contains("group-sales"), "{error}");
    assert_eq!(left().groups.len(), 1);
    office.grant("app/app-crm").await.unwrap();
    assert_eq!(left().users.len(), 1);
    assert_eq!(office.holds().await, texts(&["group/group-sales", "app/app-crm"]));
    assert_eq!(office.revoke("app/app-crm").await.unwrap(), Effect::Changed);
    assert_eq!((left().users.len(), left().groups.len()), (0, 1));
}

/// An application with roles is given in one of them, and every assignment of a role goes.
#[tokio::test]
async fn an_application_with_roles_is_given_in_one() {
    let office = Office::new().await;
    let (admin, editor) =
        ("11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000");
    office.with(|api| {
        let app = api.apps.get_mut("app-crm").unwrap();
        app.roles = [(admin, "Admin"), (editor, "Editor")]
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .into();
    });
    let (mut listed, mut asked) = (BTreeSet::new(), ListRequest::entitlements());
    loop {
        let page = office.entra.list(&office.cx(), &asked).await.unwrap();
        listed.extend(page.rows().iter().filter_map(|row| match row {
            Row::Entitlement(it) => Some(it.key.to_string()),
            _ => None,
        }));
        match page.next() {
            Some(next) => asked.cursor = Some(next.clone()),
            None => break,
        }
    }
    let (as_admin, as_editor) = (format!("app/app-crm/{admin}"), format!("app/app-crm/{editor}"));
    assert!(listed.contains(&as_admin) && listed.contains(&as_editor), "{listed:?}");
    assert!(!listed.contains("app/app-crm"), "{listed:?}");
    office.place.fake().forget();
    let error = office.grant("app/app-crm").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains(&as_editor), "{error}");
    let other = "app/app-crm/33333333-0000-4000-8000-000000000000";
    assert_eq!(office.grant(other).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(office.changes(), [""; 0]);
    for key in [&as_admin, &as_editor] {
        office.grant(key).await.unwrap();
    }
    assert_eq!(office.holds().await, texts(&[&as_admin, &as_editor]));
    // The same role twice, as when the application was asked for with and without a package.
    office.with(|api| {
        let app = api.apps.get_mut("app-crm").unwrap();
        app.users.insert("twice".into(), office.ada.to_string());
        app.given.insert("twice".into(), admin.into());
    });
    office.revoke(&as_admin).await.unwrap();
    assert_eq!(office.holds().await, texts(&[&as_editor]));
}

/// A role for one administrative unit is none for the tenant, and the other way round.
#[tokio::test]
async fn a_role_in_a_part_of_the_tenant_is_another_one() {
    let office = Office::new().await;
    let (whole, part) =
        (format!("role/{READER}"), format!("role/{READER}/administrativeUnits/au1"));
    office.with(|api| {
        api.roles.insert("r1".into(), (office.ada.to_string(), READER.into()));
        api.role_scopes.insert("r1".into(), "/administrativeUnits/au1".into());
    });
    assert_eq!(office.holds().await, texts(&[&part]));
    office.grant(&whole).await.unwrap();
    assert_eq!(office.holds().await, texts(&[&part, &whole]));
    assert_eq!(office.revoke(&part).await.unwrap(), Effect::Changed);
    assert_eq!(office.holds().await, texts(&[&whole]));
    office.grant(&part).await.unwrap();
    office.revoke(&whole).await.unwrap();
    assert_eq!(office.holds().await, texts(&[&part]));
}

/// Every part of a read is one: what may not be seen is not nothing.
#[tokio::test]
async fn a_part_that_fails_fails_the_read() {
    let office = Office::new().await;
    let parts = [
        "memberOf",
        "licenseAssignmentStates",
        "appRoleAssignments",
        "roleAssignments",
        "authentication/methods",
        "oauth2PermissionGrants",
        "managedDevices",
        "ownedObjects",
        "mailboxSettings",
        "drive",
    ];
    for part in parts {
        office.with(|api| api.refusals = vec![(part.into(), 403, None)]);
        let error = office.read().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.applied()),
            (ErrorKind::PermissionDenied, Applied::No),
            "{part}"
        );
        office.with(|api| api.refusals = vec![(part.into(), 429, Some("2.128".into()))]);
        let error = office.read().await.unwrap_err();
        assert_eq!(error.retry(), RetryAdvice::After { ms: 2_128 }, "{part}: {error}");
        assert!(office.with(|api| api.refusals.is_empty()), "{part} was not asked for");
    }
    assert!(office.sees().await.mailbox.is_some());
}

/// Between the first answer and the second one, somebody deletes the user.
#[tokio::test]
async fn who_is_deleted_while_we_look_is_absent() {
    let office = Office::new().await;
    office.with(|api| api.refusals = vec![("memberOf".into(), 404, None)]);
    // It still shows, and a part of it does not: it is not known everywhere, yet or any more.
    let error = office.read().await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, RetryAdvice::Backoff));
    office.with(|api| api.vanishing = Some(office.ada.to_string()));
    assert_eq!(office.read().await.unwrap(), Observation::Absent);
}

/// Sentences that Graph has instead of codes.
#[tokio::test]
async fn sentences_mean_what_they_mean() {
    let office = Office::new().await;
    let ada = office.ada.to_string();
    // Groups that something else fills, named as if Graph wrote them.
    for kind in
        [GroupKind::Dynamic, GroupKind::Synced, GroupKind::Distribution, GroupKind::MailSecurity]
    {
        office.with(|api| api.add_group("g", "g", kind));
        assert_eq!(office.grant("group/g").await.unwrap_err().kind(), IMMUTABLE, "{kind:?}");
        office.with(|api| _ = api.groups.get_mut("g").unwrap().members.insert(ada.clone()));
        assert_eq!(office.revoke("group/g").await.unwrap_err().kind(), IMMUTABLE, "{kind:?}");
    }
    // What may not be done is another thing.
    office.with(|api| api.refusals = vec![("members/$ref".into(), 403, None)]);
    let error = office.grant("group/group-sales").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    // What was just made.
    office.with(|api| api.quirks.unknown_references = true);
    let error = office.grant("app/app-crm").await.unwrap_err();
    assert_eq!((error.applied(), error.retry()), (Applied::No, RetryAdvice::Backoff));
    office.with(|api| api.quirks.unknown_references = false);
    // Somebody else did it between our look and our call.
    let role = format!("role/{READER}");
    office.with(|api| api.quirks.raced = true);
    for key in ["app/app-crm", &role] {
        assert_eq!(office.grant(key).await.unwrap(), Effect::Unchanged, "{key}");
    }
    let licence = format!("licence/{E3}");
    office.ada(|user| _ = user.licences.insert(E3.into()));
    assert_eq!(office.revoke(&licence).await.unwrap(), Effect::Unchanged);
}

/// What the directory on the premises owns is changed there.
#[tokio::test]
async fn synced_users_are_written_elsewhere() {
    let office = Office::new().await;
    office.ada(|user| _ = user.body.insert("onPremisesSyncEnabled".into(), json!(true)));
    let text = |name: &str, value: &str| (name.parse().unwrap(), AttributeValue::text(value));
    let update = |name: &str, value: &str| Operation::UpdateAccount {
        user_name: None,
        set: [text(name, value)].into(),
        clear: BTreeSet::new(),
    };
    let clear = Operation::UpdateAccount {
        user_name: None,
        set: Default::default(),
        clear: ["manager".parse().unwrap()].into(),
    };
    office.place.fake().forget();
    for op in [
        update("title", "Head"),
        update("manager", "bob@corp.test"),
        clear,
        Operation::SetStatus { status: AccountStatus::Disabled },
        Operation::DeleteAccount,
    ] {
        let error = office.apply(op.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (IMMUTABLE, Applied::No), "{op}");
        assert!(error.message().contains("Active Directory"), "{error}");
    }
    assert_eq!(office.changes(), [""; 0]);
    office.grant("group/group-sales").await.unwrap();
    office.kill(CredentialClass::Sessions).await.unwrap();
}

/// One identity has one account, whatever its name is now.
#[tokio::test]
async fn who_is_here_under_another_name_is_not_made_again() {
    let office = Office::new().await;
    let display_name = ("display_name".parse().unwrap(), AttributeValue::text("Ada King"));
    let create = Operation::CreateAccount {
        user_name: "ada.king@corp.test".into(),
        external_id: "E1".parse().unwrap(),
        status: AccountStatus::Active,
        attributes: [display_name].into(),
    };
    let made = office.apply(create).await.unwrap();
    assert_eq!((made.effect, made.account.as_ref()), (Effect::Unchanged, Some(&office.ada)));
    assert_eq!(office.with(|api| api.users.len()), 2);
}

/// Managers are named as reads show them, and nobody has none.
#[tokio::test]
async fn managers_are_principal_names() {
    let office = Office::new().await;
    let named = |to: &str| Operation::UpdateAccount {
        user_name: None,
        set: [("manager".parse().unwrap(), AttributeValue::text(to))].into(),
        clear: BTreeSet::new(),
    };
    let mut by_id = named(office.bob.as_str());
    if let Operation::UpdateAccount { set, .. } = &mut by_id {
        set.insert("title".parse().unwrap(), AttributeValue::text("Head"));
    }
    let error = office.apply(by_id).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No));
    assert!(!office.now().body.contains_key("jobTitle"), "it was changed in part");
    let bob = named("bob@corp.test");
    office.apply(bob.clone()).await.unwrap();
    assert!(bob.satisfied_by(&office.read().await.unwrap()));
    let clear = Operation::UpdateAccount {
        user_name: None,
        set: Default::default(),
        clear: ["manager".parse().unwrap()].into(),
    };
    for _ in 0..2 {
        office.apply(clear.clone()).await.unwrap();
    }
    office.with(|api| api.forget_user(office.ada.as_str()));
    assert_eq!(office.apply(clear).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// A feed tells changes of everything that a read shows.
#[tokio::test]
async fn a_feed_tells_more_than_renames() {
    let office = Office::new().await;
    let start = office.entra.changes(&office.cx(), None).await.unwrap().next;
    office.ada(|user| _ = user.body.insert("department".into(), json!("Board")));
    let told = office.entra.changes(&office.cx(), Some(&start)).await.unwrap();
    let who: Vec<&AccountId> = told.rows.iter().map(|it| &it.account).collect();
    assert_eq!(who, [&office.ada]);
    office.ada(|user| _ = user.body.insert("aboutMe".into(), Value::from("x")));
    let told = office.entra.changes(&office.cx(), Some(&told.next)).await.unwrap();
    assert!(told.rows.is_empty(), "the fake tells what was not selected: {told:?}");
}

/// What a read needs is declared, so that whoever lacks it hears of it before.
#[tokio::test]
async fn every_read_is_among_the_permissions() {
    let office = Office::new().await;
    let reading = office.entra.descriptor().read_permissions.clone();
    let set = |all: BTreeSet<String>| {
        office.with(|api| api.clients.get_mut("jml").unwrap().1 = all);
        office.place.clock.advance(chrono::TimeDelta::hours(2));
    };
    let all: BTreeSet<String> = reading.iter().map(ToString::to_string).collect();
    set(all.clone());
    office.read().await.unwrap();
    for one in &reading {
        let mut fewer = all.clone();
        fewer.remove(one.as_str());
        set(fewer);
        let health = office.entra.health(&office.cx()).await;
        let missing = health.map(|it| it.missing_permissions.contains(one));
        assert!(missing.unwrap_or(true), "{one}");
    }
}
