//! Access reviews: who is asked, who may decide, what nobody speaks for, and that words become plans that
//! are carried out, stay carried out, and are proven.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::approval::Deciders;
use jml_core::claim::{ApprovedRequest, RequestOnMove, Validity};
use jml_core::clock::Clock as _;
use jml_core::desired::Finding;
use jml_core::entitlement::Sensitivity;
use jml_core::id::IdentityId;
use jml_core::policy::Approvers;
use jml_core::review::{Act, Campaign, ItemId, ReviewError, Rules, Scope};
use jml_core::time::TzdbZones;
use jml_evidence::EvidenceStore;
use jml_evidence::entropy::OsEntropy;
use jml_evidence::note::{CheckpointSigner as _, Ed25519Signer};
use jml_evidence::store::Keys;
use jml_evidence::vault::LocalKey;
use jml_evidence::verify::{Directory, Level, Trust, Verdict, verify};

use crate::company::{Company, texts};
use crate::support::start;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  manager: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/ledger: { title: Ledger, sensitivity: sensitive }
  t/group/prod: { title: Production, sensitivity: privileged }
rules:
  all: { title: Everybody, when: { present: email }, grants: [t/group/staff] }
  finance: { title: Finance, when: { eq: { team: Finance } }, grants: [t/group/ledger] }
accounts:
  t: { user_name: email }
"#;

fn person(id: &str) -> IdentityId {
    id.parse().unwrap()
}

/// A boss, two in finance who report to her, and an auditor. One of the two has production by request.
fn company() -> Company {
    let mut company = Company::new(POLICY, &["t"]);
    company.hire("BOSS", "2025-01-06", &[("team", "Board"), ("manager", "AUD")]);
    company.hire("AUD", "2025-01-06", &[("team", "Audit"), ("manager", "BOSS")]);
    for id in ["FIN1", "FIN2"] {
        company.hire(id, "2025-01-06", &[("team", "Finance"), ("manager", "BOSS")]);
    }
    company.person("FIN1").requests.push(ApprovedRequest {
        id: "REQ1".parse().unwrap(),
        entitlement: "t/group/prod".parse().unwrap(),
        approved_by: person("AUD"),
        validity: Validity { from: start() - TimeDelta::days(10), until: None },
        on_move: RequestOnMove::Keep,
        why: "migration".into(),
    });
    company.run();
    assert_eq!(company.holds("FIN1", "t"), texts(&["group/ledger", "group/prod", "group/staff"]));
    company
}

fn rules(days: i64, scope: Scope) -> Rules {
    Rules {
        id: "2026-q1".parse().unwrap(),
        title: "First quarter".into(),
        scope,
        reviewers: Approvers::Manager { attribute: "manager".parse().unwrap(), level: 1 },
        fallback: Some(Approvers::Named([person("AUD")].into())),
        escalate_days: 2,
        due: start() + TimeDelta::days(days),
        remind_days: [7, 1].into(),
    }
}

fn at(company: &Company, at: DateTime<Utc>) -> Deciders<'_> {
    Deciders { policy: &company.policy, facts: &company.facts, zones: &TzdbZones, at }
}

fn now(company: &Company) -> Deciders<'_> {
    at(company, company.clock.now())
}

fn item(campaign: &Campaign, who: &str, what: &str) -> ItemId {
    let hit = |(id, item): (&ItemId, &jml_core::review::Item)| {
        (item.identity.as_str() == who && item.entitlement.to_string() == what).then_some(*id)
    };
    campaign.items().iter().find_map(hit).unwrap()
}

fn sensitive() -> Scope {
    Scope { at_least: Sensitivity::Sensitive, ..Scope::default() }
}

#[test]
fn words_become_plans_that_stay() {
    let mut company = company();
    let mut campaign =
        Campaign::open(rules(14, sensitive()), &person("AUD"), &now(&company)).unwrap();
    assert_eq!(campaign.items().len(), 3, "two ledgers and production; staff is too small");
    let letters = campaign.tick(&now(&company)).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].to.as_str(), letters[0].items.len()), ("BOSS", 3));
    assert!(campaign.tick(&now(&company)).unwrap().is_empty(), "nobody is asked twice at once");

    // Nobody reviews their own access, and only who may decides.
    let ledger = item(&campaign, "FIN1", "t/group/ledger");
    let prod = item(&campaign, "FIN1", "t/group/prod");
    for by in ["FIN1", "FIN2", "AUD", "NOBODY"] {
        let refused = campaign.decide(ledger, &person(by), true, "mine", &now(&company));
        assert!(matches!(refused, Err(ReviewError::NotTaken { .. })), "{by}");
    }
    campaign.decide(ledger, &person("BOSS"), true, "does the books", &now(&company)).unwrap();
    campaign.decide(prod, &person("BOSS"), true, "still migrating", &now(&company)).unwrap();
    // A word can be changed; the latest counts.
    company.clock.advance(TimeDelta::hours(1));
    campaign.decide(prod, &person("BOSS"), false, "migration is over", &now(&company)).unwrap();
    assert!(matches!(
        campaign.decide(99, &person("BOSS"), true, "x", &now(&company)),
        Err(ReviewError::NoItem { .. })
    ));
    assert_eq!(campaign.apply(&mut company.facts), [person("FIN1")].into());
    assert!(campaign.apply(&mut company.facts).is_empty(), "once");
    let done = company.run();
    assert_eq!(done.runs.len(), 1);
    assert_eq!(company.holds("FIN1", "t"), texts(&["group/ledger", "group/staff"]));
    let why = &done.runs[0].view.steps[0].why;
    assert!(
        why.contains("review `2026-q1` took it away") && why.contains("`BOSS` said so"),
        "{why}"
    );

    // What nobody speaks for goes at the end, although the policy gives it, and stays away.
    company.clock.set(start() + TimeDelta::days(14));
    assert!(matches!(
        campaign.decide(ledger, &person("BOSS"), true, "late", &now(&company)),
        Err(ReviewError::Ended(_))
    ));
    campaign.tick(&now(&company)).unwrap();
    assert!(campaign.closed().is_some());
    assert!(campaign.tick(&now(&company)).unwrap().is_empty());
    assert_eq!(campaign.apply(&mut company.facts), [person("FIN2")].into());
    let batch = company.look();
    let finding = Finding::ReviewedAway {
        entitlement: "t/group/ledger".parse().unwrap(),
        campaign: "2026-q1".parse().unwrap(),
    };
    assert!(batch.planned.iter().any(|planned| planned.findings.contains(&finding)));
    company.run();
    assert_eq!(company.holds("FIN2", "t"), texts(&["group/staff"]));
    company.clock.advance(TimeDelta::days(30));
    assert!(company.run().runs.is_empty(), "it does not come back by itself");

    // A move out and back is a new reason.
    company.say("FIN2", &[("team", "Sales")]);
    company.run();
    company.clock.advance(TimeDelta::days(1));
    company.say("FIN2", &[("team", "Finance")]);
    company.run();
    assert_eq!(company.holds("FIN2", "t"), texts(&["group/ledger", "group/staff"]));
    // So is a new request, and a later review that keeps.
    company.clock.advance(TimeDelta::days(1));
    let from = company.clock.now();
    let again = ApprovedRequest {
        id: "REQ2".parse().unwrap(),
        entitlement: "t/group/prod".parse().unwrap(),
        approved_by: person("AUD"),
        validity: Validity { from, until: None },
        on_move: RequestOnMove::Keep,
        why: "incident".into(),
    };
    company.person("FIN1").requests.push(again);
    company.run();
    assert!(company.holds("FIN1", "t").contains("group/prod"));
}

#[test]
fn reminders_escalation_and_reviewers_who_leave() {
    let mut company = company();
    let only =
        Scope { entitlements: ["t/group/ledger".parse().unwrap()].into(), ..Scope::default() };
    let mut campaign =
        Campaign::open(rules(14, only.clone()), &person("AUD"), &now(&company)).unwrap();
    let mut told = Vec::new();
    let mut when = start();
    while campaign.closed().is_none() {
        for letter in campaign.tick(&at(&company, when)).unwrap() {
            let day = (when - start()).num_days();
            told.push((day, letter.to.to_string(), letter.items.len(), letter.again));
        }
        let Some(next) = campaign.next_at(when) else { break };
        assert!(next > when);
        when = next;
    }
    let boss = |day, again| (day, "BOSS".to_owned(), 2, again);
    assert_eq!(
        told,
        [
            boss(0, false),
            boss(7, true),
            // Two days before the end the fallback is asked too, and a day later both are reminded.
            (12, "AUD".to_owned(), 2, false),
            (13, "AUD".to_owned(), 2, true),
            boss(13, true),
        ]
    );
    assert_eq!(campaign.words().values().filter(|word| !word.keep).count(), 2);

    // A reviewer who leaves is replaced at once; where nobody is left, that is said.
    let mut campaign = Campaign::open(rules(14, only), &person("AUD"), &now(&company)).unwrap();
    campaign.tick(&now(&company)).unwrap();
    company.last_day("BOSS", "2026-02-27");
    let letters = campaign.tick(&now(&company)).unwrap();
    assert_eq!(letters.iter().map(|it| it.to.as_str()).collect::<Vec<_>>(), ["AUD"]);
    let one = item(&campaign, "FIN1", "t/group/ledger");
    let gone = campaign.decide(one, &person("BOSS"), true, "x", &now(&company));
    assert!(matches!(gone, Err(ReviewError::NotTaken { .. })), "who left decides nothing");
    company.last_day("AUD", "2026-02-27");
    campaign.tick(&now(&company)).unwrap();
    assert_eq!(campaign.without_reviewer().len(), 2);

    // A campaign over nothing, or in the past, is none.
    let none = Scope { people: [person("NOBODY")].into(), ..Scope::default() };
    assert_eq!(
        Campaign::open(rules(14, none), &person("AUD"), &now(&company)).unwrap_err(),
        ReviewError::Empty
    );
    assert!(matches!(
        Campaign::open(rules(0, Scope::default()), &person("AUD"), &now(&company)),
        Err(ReviewError::Due(_))
    ));
    let beyond = Scope { beyond_roles: true, ..Scope::default() };
    let campaign = Campaign::open(rules(14, beyond), &person("AUD"), &now(&company)).unwrap();
    assert_eq!(campaign.items().len(), 1, "only the request");
}

#[test]
fn a_stored_campaign_is_the_same_and_a_changed_one_is_refused() {
    let company = company();
    let mut campaign =
        Campaign::open(rules(14, sensitive()), &person("AUD"), &now(&company)).unwrap();
    campaign.tick(&now(&company)).unwrap();
    campaign.decide(1, &person("BOSS"), false, "no", &now(&company)).unwrap();
    let text = serde_json::to_string(&campaign).unwrap();
    assert_eq!(serde_json::from_str::<Campaign>(&text).unwrap(), campaign);
    let error = |text: &str| serde_json::from_str::<Campaign>(text).unwrap_err().to_string();
    let mut longer = campaign.clone();
    longer.decide(2, &person("BOSS"), true, "yes", &now(&company)).unwrap();
    let text = serde_json::to_string(&longer).unwrap();
    assert!(
        error(&text.replacen("\"keep\":false", "\"keep\":true", 1)).contains("does not follow")
    );
    assert!(error(&text.replace("2026-q1", "2026-q2")).contains("broken at line"));
    assert!(error("[]").contains("it has no line"));
}

#[test]
fn evidence_shows_the_whole_campaign() {
    let company = company();
    let folder = tempfile::tempdir().unwrap();
    let key = Ed25519Signer::generate("example.org/reviews", &mut OsEntropy).unwrap();
    let verifier = key.verifier();
    let open = |key: Ed25519Signer, vault: LocalKey| {
        let keys =
            Keys { signer: Box::new(key), vault: Box::new(vault), entropy: Box::new(OsEntropy) };
        EvidenceStore::open(&folder.path().join("log"), keys).unwrap()
    };
    let vault = LocalKey::generate(&mut OsEntropy);
    let again =
        (Ed25519Signer::parse(&key.expose()).unwrap(), LocalKey::parse(&vault.expose()).unwrap());
    let mut evidence = open(key, vault);
    let mut campaign =
        Campaign::open(rules(14, sensitive()), &person("AUD"), &now(&company)).unwrap();
    campaign.tick(&now(&company)).unwrap();
    assert!(evidence.add_review(&campaign).unwrap().count() > 0);
    assert_eq!(evidence.add_review(&campaign).unwrap().count(), 0, "once");
    let _ = campaign.decide(1, &person("FIN1"), true, "my own", &now(&company));
    campaign.decide(1, &person("BOSS"), true, "needed", &now(&company)).unwrap();
    evidence.add_review(&campaign).unwrap();
    // A restart in the middle knows how far it was.
    drop(evidence);
    let mut evidence = open(again.0, again.1);
    assert_eq!(evidence.add_review(&campaign).unwrap().count(), 0);
    company.clock.set(start() + TimeDelta::days(14));
    campaign.tick(&now(&company)).unwrap();
    evidence.add_review(&campaign).unwrap();
    evidence.seal().unwrap();
    drop(evidence);
    let files = Directory::new(folder.path().join("log"));
    let trust = Trust { key: Some(verifier), ..Trust::default() };
    let report = verify(&files, &trust);
    for level in [Level::L0, Level::L2, Level::L3, Level::L8] {
        assert_eq!(report.levels[&level], Verdict::Pass, "{level:?}");
    }
    let records: Vec<serde_json::Value> = jml_evidence::verify::entries(&files)
        .iter()
        .map(|bytes| serde_json::from_slice(bytes).unwrap())
        .collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for record in &records {
        *kinds.entry(record["kind"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!((kinds["review.opened"], kinds["review.closed"]), (1, 1));
    assert_eq!(kinds["review.item_decided"], 3, "one by the boss, two by default");
    let closed = &records.last().unwrap()["body"]["review"];
    assert_eq!((&closed["kept"], &closed["by_default"]), (&1.into(), &2.into()), "{closed}");
    // No name is in any record.
    let all: String = records.iter().map(ToString::to_string).collect();
    let names: BTreeSet<&str> = ["BOSS", "FIN1", "FIN2", "AUD"].into();
    assert!(names.iter().all(|name| !all.contains(name)));
    let acts = campaign.log().iter().filter(|line| matches!(line.act, Act::Refused { .. }));
    assert_eq!(acts.count(), 1);
}
