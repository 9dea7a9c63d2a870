//! A company of so many people, its policy, and the target that its workers share.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jml_connectors::local::LocalDirectory;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::ProviderId;
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::journal::JournalStore;
use jml_core::policy::Policy;
use jml_core::policy_file::parse_yaml;
use jml_engine::{Ports, Silent, SystemClock};

/// What a worker reports when something goes wrong.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  title: { type: text }
  manager: { type: text }
entitlements:
  dir/group/staff: { title: Staff }
  dir/app/mail: { title: Mail }
  dir/group/red: { title: Red }
  dir/group/blue: { title: Blue }
  dir/role/admin: { title: Administrator, sensitivity: privileged }
rules:
  staff: { title: Staff, when: always, grants: [dir/group/staff, dir/app/mail] }
  red: { title: Red, when: { eq: { team: red } }, grants: [dir/group/red] }
  blue: { title: Blue, when: { eq: { team: blue } }, grants: [dir/group/blue] }
  admin: { title: Administrators, when: { eq: { title: Administrator } }, grants: [dir/role/admin] }
gates:
  privileged: { title: Privileged access, sensitivity: privileged, approvers: { manager: manager }, expires_days: 7 }
accounts:
  dir: { user_name: email }
brakes: { max_creates: 5000 }
"#;

/// Who approves.
pub(crate) const BOSS: &str = "P000000";

/// The policy of the company.
pub(crate) fn policy() -> Result<Policy, Failure> {
    Ok(parse_yaml("policy.yaml", POLICY)?)
}

/// HR says something about somebody, from an instant on.
pub(crate) fn say(
    attributes: &mut Attributes,
    name: &str,
    value: &str,
    from: DateTime<Utc>,
) -> Result<(), Failure> {
    let opinion = Opinion::Value(AttributeValue::text(value));
    let source = "hr".parse()?;
    let said = Assertion { source, opinion, valid_from: from, recorded_at: from };
    attributes.assert(name.parse()?, said);
    Ok(())
}

/// What HR says about so many people. Every `admins`th is an administrator, which the first one approves; none
/// for 0.
pub(crate) fn facts(people: u32, admins: u32, at: DateTime<Utc>) -> Result<Facts, Failure> {
    let known = at - TimeDelta::days(30);
    let mut facts = Facts::default();
    for number in 0..people {
        let mut attributes = Attributes::default();
        let email = format!("person{number}@example.test");
        let team = if number % 2 == 0 { "red" } else { "blue" };
        let admin = number > 0 && admins > 0 && number % admins == 0;
        let title = if admin { "Administrator" } else { "" };
        let said = [("email", email.as_str()), ("team", team), ("title", title), ("manager", BOSS)];
        for (name, value) in said {
            say(&mut attributes, name, value, known)?;
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

/// What a worker works with: the shared target, and a journal store.
pub(crate) fn ports(folder: &Path, journal: Arc<dyn JournalStore>) -> Result<Ports, Failure> {
    let id: ProviderId = "dir".parse()?;
    Ok(Ports {
        providers: BTreeMap::from([(id, target(folder)? as Arc<_>)]),
        journal,
        clock: Arc::new(SystemClock),
        people: Arc::new(Silent),
        patience: TimeDelta::seconds(2),
    })
}
