//! A company of so many people, its policy, and an engine over a shared store and a shared target.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jml_connectors::local::LocalDirectory;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::ProviderId;
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::policy::Policy;
use jml_core::policy_file::parse_yaml;
use jml_core::time::TzdbZones;
use jml_engine::store::PostgresStore;
use jml_engine::{Engine, Enqueued, Ports, Request, Selection, Silent, SystemClock};

/// What a worker reports when something goes wrong.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
entitlements:
  dir/group/staff: { title: Staff }
  dir/app/mail: { title: Mail }
  dir/group/red: { title: Red }
  dir/group/blue: { title: Blue }
rules:
  staff: { title: Staff, when: always, grants: [dir/group/staff, dir/app/mail] }
  red: { title: Red, when: { eq: { team: red } }, grants: [dir/group/red] }
  blue: { title: Blue, when: { eq: { team: blue } }, grants: [dir/group/blue] }
accounts:
  dir: { user_name: email }
brakes: { max_creates: 5000 }
"#;

/// The policy of the company.
pub(crate) fn policy() -> Result<Policy, Failure> {
    Ok(parse_yaml("policy.yaml", POLICY)?)
}

/// What HR says about so many people.
pub(crate) fn facts(people: u32, at: DateTime<Utc>) -> Result<Facts, Failure> {
    let known = at - TimeDelta::days(30);
    let mut facts = Facts::default();
    for number in 0..people {
        let mut attributes = Attributes::default();
        let email = format!("person{number}@example.test");
        let team = if number % 2 == 0 { "red" } else { "blue" };
        for (name, value) in [("email", email.as_str()), ("team", team)] {
            let opinion = Opinion::Value(AttributeValue::text(value));
            let source = "hr".parse()?;
            let said = Assertion { source, opinion, valid_from: known, recorded_at: known };
            attributes.assert(name.parse()?, said);
        }
        let person = PersonFacts::new(Identity {
            id: format!("P{number:06}").parse()?,
            kind: IdentityKind::Person,
            attributes,
            engagements: vec![Engagement {
                zone: Some("Europe/Lisbon".parse()?),
                ..Engagement::new(
                    format!("P{number:06}-1").parse()?,
                    known.date_naive(),
                    "hr".parse()?,
                    known,
                )
            }],
        });
        facts.people.insert(person.identity.id.clone(), person);
    }
    Ok(facts)
}

/// The target that every worker writes to: one file, which several processes may have open.
pub(crate) fn target(folder: &Path) -> Result<Arc<LocalDirectory>, Failure> {
    let target = LocalDirectory::open("dir".parse()?, &folder.join("directory.db"))?;
    for (entitlement, entry) in &policy()?.entitlements {
        target.define(&entitlement.key, &entry.title, None)?;
    }
    Ok(Arc::new(target))
}

/// An engine over the shared store.
pub(crate) async fn engine(database: &str, folder: &Path) -> Result<Engine, Failure> {
    let id: ProviderId = "dir".parse()?;
    let ports = Ports {
        providers: BTreeMap::from([(id, target(folder)? as Arc<_>)]),
        journal: Arc::new(PostgresStore::open(database).await?),
        clock: Arc::new(SystemClock),
        people: Arc::new(Silent),
        patience: TimeDelta::seconds(2),
    };
    Ok(Engine::new(ports, Arc::new(TzdbZones)))
}

/// Plans for everybody and opens the runs, for whoever takes them up.
pub(crate) async fn plan(engine: &Engine, people: u32) -> Result<Enqueued, Failure> {
    let at = engine.ports().clock.now();
    let request = Request {
        policy: &policy()?,
        facts: &facts(people, at)?,
        who: &Selection::All,
        hint: None,
        cause: "example",
        at,
    };
    let batch = engine.prepare(&request).await?;
    Ok(engine.enqueue(batch, None).await?)
}

/// Takes up open runs until there is none. Returns how many were closed here.
pub(crate) async fn work(engine: &Engine) -> Result<usize, Failure> {
    let mut closed = 0;
    loop {
        let worked = engine.work(4).await?;
        closed += worked.runs.iter().filter(|report| report.view.outcome.is_some()).count();
        if engine.ports().journal.open_runs().await?.is_empty() {
            return Ok(closed);
        }
        // What is left is with somebody else, or waits.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
