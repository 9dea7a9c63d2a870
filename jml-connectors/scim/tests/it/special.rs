//! What is SCIM's own: answers to a bulk request, and servers that do not do what they say.

use std::collections::BTreeSet;

use jml_connector_scim::{Capabilities, Scim};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::attribute::{AttributeType, AttributeValue};
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, ListRequest, Operation,
    Outcome, Provider as _, Result as ProviderResult, Target,
};
use jml_testkit::conformance::Backdoor as _;
use jml_testkit::fake::scim::{Filters, Quirks};

use crate::world::{Door, Place};

fn cx(place: &Place) -> Cx {
    Cx::new(place.clock.clone())
}

/// A server with such quirks, that is believed what it says.
async fn asked(quirks: Quirks) -> (Place, Scim) {
    let place = Place::unwatched((quirks, Capabilities::default()));
    let (cx, id) = (cx(&place), "scim".parse().unwrap());
    let scim = Scim::discover(&cx, id, place.client.clone()).await.unwrap();
    (place, scim)
}

/// Somebody in groups.
async fn put(place: &Place, name: &str, owner: Option<&str>, groups: &[&str]) -> AccountId {
    let mut new = AccountState::new("new".parse().unwrap(), name, AccountStatus::Active);
    new.external_id = owner.map(|it| it.parse().unwrap());
    new.holdings = groups.iter().map(|it| format!("group/{it}").parse().unwrap()).collect();
    Door(place.fake().clone(), place.clock.clone(), place.able.etag).put(new).await
}

fn change(id: Option<&str>, op: Operation) -> Change {
    let text = format!("{id:?} {op}");
    let key = IdempotencyKey::new(&Digest::of_bytes("test", text.as_bytes()));
    Change { key, account: id.map(|id| id.parse().unwrap()), op, expect: Expect::Any }
}

fn disable(id: &str) -> Change {
    change(Some(id), Operation::SetStatus { status: AccountStatus::Disabled })
}

fn create(name: &str, owner: &str) -> Change {
    let (user_name, external_id) = (name.into(), owner.parse().unwrap());
    let (status, attributes) = (AccountStatus::Active, std::collections::BTreeMap::new());
    change(None, Operation::CreateAccount { user_name, external_id, status, attributes })
}

async fn held(place: &Place, scim: &Scim, id: &AccountId) -> ProviderResult<BTreeSet<String>> {
    let seen = scim.read(&cx(place), &Target::Account(id.clone())).await?;
    Ok(seen.account().unwrap().holdings.iter().map(ToString::to_string).collect())
}

fn groups(place: &Place, many: usize) -> Vec<String> {
    place.fake().with(|api| {
        let one = api.groups["g-staff"].clone();
        let names: Vec<String> = (0..many).map(|n| format!("g-{n:02}")).collect();
        api.groups.extend(names.iter().map(|it| (it.clone(), one.clone())));
        names
    })
}

/// Everybody is what a server answers that does not look at filters; the joiner is not the first of them, and
/// nobody is in every group.
#[tokio::test]
async fn the_rows_of_a_filter_are_not_believed() {
    for filters in [Filters::Understood, Filters::Ignored, Filters::Refused] {
        for cursors in [true, false] {
            let quirks =
                Quirks { filters, cursors, users_show_groups: false, most: 4, ..Quirks::default() };
            let (place, scim) = asked(quirks).await;
            let strangers: Vec<_> = (0..9).map(|n| format!("stranger{n}@corp.test")).collect();
            for name in &strangers {
                put(&place, name, None, &[]).await;
            }
            let all = groups(&place, 9);
            let ada = put(&place, "Ada@corp.test", Some("E1"), &[&all[2], &all[7]]).await;
            let by = |owner: &str, name: &str| Target::External {
                identity: owner.parse().unwrap(),
                user_name: name.into(),
            };
            let seen = async |target: Target| {
                let seen = scim.read(&cx(&place), &target).await.unwrap();
                seen.account().map(|it| it.id.clone())
            };
            let which = format!("{filters:?} {cursors}");
            assert_eq!(seen(by("E1", "other@corp.test")).await, Some(ada.clone()), "{which}");
            // The name is somebody's, who is not them.
            assert_eq!(seen(by("E2", "ada@corp.test")).await, None, "{which}");
            assert_eq!(seen(by("E2", "nobody@corp.test")).await, None, "{which}");
            let stranger = seen(by("E2", &strangers[6].to_uppercase())).await;
            assert!(stranger.is_some_and(|it| it != ada), "{which}");
            let wanted = [2, 7].map(|n: usize| format!("group/{}", all[n])).into();
            assert_eq!(held(&place, &scim, &ada).await.unwrap(), wanted, "{which}");
            // One identity, one account, whatever name is asked for.
            let made = scim.apply(&cx(&place), &create("ada2@corp.test", "E1")).await.unwrap();
            assert_eq!((made.effect, made.account), (Effect::Unchanged, Some(ada)), "{which}");
            assert_eq!(place.fake().with(|api| api.users.len()), 10, "{which}");
        }
    }
}

/// Groups lie on several pages, and a list that is empty for everybody says nothing.
#[tokio::test]
async fn all_groups_of_a_user_are_found() {
    for empty_groups in [true, false] {
        let quirks =
            Quirks { empty_groups, users_show_groups: false, most: 4, ..Quirks::default() };
        let (place, scim) = asked(quirks).await;
        let all = groups(&place, 9);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let ada = put(&place, "ada@corp.test", Some("E1"), &all).await;
        assert_eq!(held(&place, &scim, &ada).await.unwrap().len(), 9, "{empty_groups}");
    }
}

/// A listing that is shorter than it is would have everybody else taken for gone.
#[tokio::test]
async fn a_listing_that_leaves_out_somebody_is_no_listing() {
    let usual = || Quirks { cursors: false, most: 4, ..Quirks::default() };
    for (name, quirks) in [
        ("no totals", Quirks { totals: false, ..usual() }),
        ("hollow pages", Quirks { hollow: true, ..usual() }),
        ("ignored cursors", Quirks { cursors: true, cursors_ignored: true, ..usual() }),
    ] {
        let (place, scim) = asked(quirks).await;
        for n in 0..9 {
            put(&place, &format!("somebody{n}@corp.test"), None, &[]).await;
        }
        let (mut asked, mut pages) = (ListRequest::accounts(), 0);
        let error = loop {
            match scim.list(&cx(&place), &asked).await {
                Err(error) => break error,
                Ok(page) => asked.cursor = Some(page.next().expect(name).clone()),
            }
            pages += 1;
            assert!(pages < 9, "{name}");
        };
        assert_eq!(error.kind(), ErrorKind::ContractViolation, "{name}");
    }
}

/// What is promised of versions holds for every verb.
#[tokio::test]
async fn nothing_is_changed_of_another_version() {
    let (place, scim) = asked(Quirks::default()).await;
    let ada = put(&place, "ada@corp.test", Some("E1"), &["g-staff"]).await;
    let staff = || "group/g-staff".parse().unwrap();
    for (op, fresh) in [
        (Operation::Revoke { entitlement: staff() }, Effect::Accepted),
        (Operation::Grant { entitlement: staff() }, Effect::Accepted),
        (Operation::SetStatus { status: AccountStatus::Disabled }, Effect::Accepted),
        (Operation::DeleteAccount, Effect::Accepted),
    ] {
        let before = place.fake().with(|api| (api.users.clone(), api.members("g-staff")));
        let mut it = change(Some(ada.as_str()), op.clone());
        it.expect = Expect::Version("W/\"99\"".into());
        let error = scim.apply(&cx(&place), &it).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Conflict, Applied::No), "{op}");
        let after = place.fake().with(|api| (api.users.clone(), api.members("g-staff")));
        assert_eq!(before, after, "{op}");
        let now = place.fake().with(|api| api.users[ada.as_str()].version);
        it.expect = Expect::Version(format!("W/\"{now}\"").into());
        assert_eq!(scim.apply(&cx(&place), &it).await.unwrap().effect, fresh, "{op}");
    }
    assert!(place.fake().with(|api| api.users.is_empty()));
}

fn bulks(place: &Place) -> usize {
    place.fake().requests().iter().filter(|it| it.target.ends_with("/Bulk")).count()
}

fn effects(outcomes: &[ProviderResult<Outcome>]) -> Vec<Result<Effect, ErrorKind>> {
    outcomes.iter().map(|it| it.as_ref().map(|it| it.effect).map_err(Error::kind)).collect()
}

/// A bulk request that the server does not take is no reason to leave the changes.
#[tokio::test]
async fn what_does_not_go_in_bulk_goes_one_by_one() {
    for (name, quirks, bytes, wanted) in [
        ("missing", Quirks { bulk_missing: true, ..Quirks::default() }, None, 1),
        // It says so, and the requests are made to fit.
        ("small", Quirks { bulk_bytes: 1_100, ..Quirks::default() }, None, 2),
        // It does not say so.
        ("smaller", Quirks { bulk_bytes: 400, ..Quirks::default() }, Some(1 << 20), 4),
    ] {
        let place = Place::unwatched((quirks, Capabilities::default()));
        let mut able = Capabilities::discover(&cx(&place), &place.client).await.unwrap();
        able.bulk_bytes = bytes.unwrap_or(able.bulk_bytes);
        let scim = Scim::new("scim".parse().unwrap(), place.client.clone(), able).unwrap();
        let mut changes = Vec::new();
        for n in 0..5 {
            let id = put(&place, &format!("somebody{n}@corp.test"), None, &[]).await;
            changes.push(disable(id.as_str()));
        }
        let outcomes = scim.apply_many(&cx(&place), &changes).await;
        assert_eq!(effects(&outcomes), [Ok(Effect::Accepted); 5], "{name}");
        assert_eq!(bulks(&place), wanted, "{name}");
        let off = place.fake().with(|api| {
            api.users.values().filter(|it| it.body["active"] == serde_json::json!(false)).count()
        });
        assert_eq!(off, 5, "{name}");
    }
}

/// One change that cannot be sent is one failure, and only POST has to be answered by name.
#[tokio::test]
async fn each_change_of_a_bulk_stands_for_itself() {
    let (place, scim) = asked(Quirks { bulk_names: false, ..Quirks::default() }).await;
    let ada = put(&place, "ada@corp.test", None, &["g-staff"]).await;
    let bob = put(&place, "bob@corp.test", None, &["g-staff"]).await;
    let take = |id: &AccountId, what: &str| {
        change(Some(id.as_str()), Operation::Revoke { entitlement: what.parse().unwrap() })
    };
    let changes = [
        disable(ada.as_str()),
        disable("nobody"),
        take(&ada, "licence/seat"),
        take(&ada, "group/g-staff"),
        take(&bob, "group/g-staff"),
        disable(bob.as_str()),
    ];
    let outcomes = scim.apply_many(&cx(&place), &changes).await;
    let (done, gone) = (Ok(Effect::Accepted), Ok(Effect::Unchanged));
    // An entitlement of a kind that the target does not have is held by nobody.
    assert_eq!(effects(&outcomes), [done, gone, gone, done, done, done]);
    assert_eq!(place.fake().with(|api| api.members("g-staff").len()), 0);
    assert_eq!(bulks(&place), 2);
}

/// Who says nothing of PATCH is taken to have it, as every server should.
#[tokio::test]
async fn silence_about_patch_is_no_lack_of_it() {
    let (place, scim) = asked(Quirks { says_patch: false, ..Quirks::default() }).await;
    let ada = put(&place, "ada@corp.test", None, &[]).await;
    scim.apply(&cx(&place), &disable(ada.as_str())).await.unwrap();
    assert!(place.fake().requests().iter().any(|it| it.method == "PATCH"));
}

/// What is written comes back as a text, whatever it was, and is then what was wanted.
#[tokio::test]
async fn a_date_and_a_number_are_there_once_they_are_written() {
    let (place, scim) = asked(Quirks::default()).await;
    let ada = put(&place, "ada@corp.test", Some("E1"), &[]).await;
    let day = AttributeValue::parse(AttributeType::Date, "2026-11-21").unwrap();
    let set = [("title", day), ("employee_number", AttributeValue::Integer(7))]
        .map(|(name, value)| (name.parse().unwrap(), value));
    let op = Operation::UpdateAccount { user_name: None, set: set.into(), clear: BTreeSet::new() };
    let it = change(Some(ada.as_str()), op.clone());
    scim.apply(&cx(&place), &it).await.unwrap();
    let seen = scim.read(&cx(&place), &Target::Account(ada)).await.unwrap();
    assert!(op.satisfied_by(&seen), "{seen:?}");
    let number = &seen.account().unwrap().attributes[&"employee_number".parse().unwrap()];
    assert_eq!(number, &AttributeValue::text("7"));
    assert_eq!(scim.apply(&cx(&place), &it).await.unwrap().effect, Effect::Unchanged);
}

/// Operations of a bulk request are told apart by their name, whatever their order (RFC 7644, section 3.7).
#[tokio::test]
async fn each_change_of_a_bulk_request_gets_its_own_answer() {
    for bulk_backwards in [false, true] {
        let (place, scim) = asked(Quirks { bulk_backwards, ..Quirks::default() }).await;
        let id = put(&place, "ada@corp.test", None, &[]).await;
        for wanted in [[true, false], [false, true]] {
            place.fake().forget();
            let changes = wanted.map(|there| disable(if there { id.as_str() } else { "nobody" }));
            let outcomes = scim.apply_many(&cx(&place), &changes).await;
            // Whoever is not there cannot sign in; nothing was changed for it.
            let effect = |there| Ok(if there { Effect::Accepted } else { Effect::Unchanged });
            assert_eq!(effects(&outcomes), wanted.map(effect), "{bulk_backwards}");
            assert_eq!(bulks(&place), 1);
        }
    }
}
