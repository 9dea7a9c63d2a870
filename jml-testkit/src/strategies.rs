//! Strategies for property tests: worlds, operations, fault scripts, policies, histories.
//!
//! Everything shrinks towards less: fewer accounts, fewer rules, fewer faults.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::attribute::AttributeValue;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId, ProviderId};
use jml_core::provider::{
    Change, ErrorKind, Expect, IdempotencyKey, MailboxChange, Operation, Verb,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::Memory;
use crate::script::{Fault, Match, Rule, Script};

/// A small world: accounts with what they hold, and what can be held.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct WorldSpec {
    /// Accounts by id.
    pub accounts: BTreeMap<AccountId, AccountState>,
    /// Entitlements that exist.
    pub catalogue: Vec<EntitlementKey>,
}

impl WorldSpec {
    /// The world as a [`Memory`].
    #[must_use]
    pub fn memory(&self, id: ProviderId) -> Memory {
        let memory = self.catalogue.iter().cloned().fold(Memory::new(id), Memory::define);
        self.accounts.values().cloned().fold(memory, Memory::with_account)
    }
}

/// The ids that strategies use are ids.
fn id<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn statuses() -> impl Strategy<Value = AccountStatus> {
    select(vec![
        AccountStatus::Active,
        AccountStatus::Disabled,
        AccountStatus::Suspended,
        AccountStatus::Staged,
    ])
}

/// Worlds of up to `accounts` accounts and up to `entitlements` entitlements, at least one of each.
pub fn worlds(accounts: usize, entitlements: usize) -> impl Strategy<Value = WorldSpec> {
    let account = (statuses(), btree_set(0..entitlements, 0..=entitlements), 0_u32..3);
    (1..=entitlements, vec(account, 1..=accounts.max(1))).prop_map(move |(count, specs)| {
        let catalogue: Vec<EntitlementKey> =
            (0..count).filter_map(|n| id(&format!("group/g{n}"))).collect();
        let mut all = BTreeMap::new();
        for (number, (status, held, sessions)) in specs.into_iter().enumerate() {
            let Some(account_id) = id::<AccountId>(&format!("a{number}")) else { continue };
            let mut state = AccountState::new(account_id.clone(), format!("user{number}"), status);
            state.external_id = id(&format!("E{number}"));
            let held = held.into_iter().filter_map(|n| catalogue.get(n).cloned());
            state.holdings = held.collect();
            state.credentials = CredentialClass::ALL.map(|class| (class, sessions)).into();
            state.mailbox = Some(Mailbox::default());
            all.insert(account_id, state);
        }
        WorldSpec { accounts: all, catalogue }
    })
}

/// Changes that make sense in a world, and some that do not: of accounts and entitlements that are not
/// there. Each has a key of its own.
pub fn changes(world: &WorldSpec, most: usize) -> impl Strategy<Value = Vec<Change>> + use<> {
    let mut accounts: Vec<AccountId> = world.accounts.keys().cloned().collect();
    accounts.extend(id("nobody"));
    let mut keys = world.catalogue.clone();
    keys.extend(id("group/none"));
    let (key, account) = (select(keys), select(accounts));
    let name = || id("title").into_iter();
    let op = prop_oneof![
        4 => key.clone().prop_map(|entitlement| Operation::Grant { entitlement }),
        4 => key.clone().prop_map(|entitlement| Operation::Revoke { entitlement }),
        1 => (key.clone(), key).prop_filter_map("two", |(revoke, grant)| {
            (revoke != grant).then_some(Operation::Exchange { revoke, grant })
        }),
        2 => statuses().prop_map(|status| Operation::SetStatus { status }),
        1 => Just(Operation::DeleteAccount),
        1 => select(CredentialClass::ALL.to_vec())
            .prop_map(|class| Operation::RevokeCredentials { class }),
        1 => "[a-c]{1,2}".prop_map(move |text| Operation::UpdateAccount {
            user_name: None,
            set: name().map(|name| (name, AttributeValue::text(&text))).collect(),
            clear: BTreeSet::new(),
        }),
        1 => "[a-c]{1,2}".prop_map(|text| Operation::SetMailbox(MailboxChange::AutoReply(text.into()))),
        1 => account.clone().prop_map(|to| Operation::TransferOwnership { to }),
        2 => (0_u32..4).prop_filter_map("an id", |number| Some(Operation::CreateAccount {
            user_name: format!("new{number}").into(),
            external_id: id::<IdentityId>(&format!("N{number}"))?,
            status: AccountStatus::Active,
            attributes: BTreeMap::new(),
        })),
    ];
    vec((op, account), 0..=most).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(number, (op, account))| {
                let key = Digest::of_bytes("jml-strategy", &number.to_be_bytes());
                let account = (!op.makes_account()).then_some(account);
                Change { key: IdempotencyKey::new(&key), account, op, expect: Expect::Any }
            })
            .collect()
    })
}

/// Fault scripts of up to `most` rules. A rule may never fire: the script is lenient.
pub fn scripts(most: usize) -> impl Strategy<Value = Script> {
    let kind = select(ErrorKind::ALL.to_vec());
    let fault = prop_oneof![
        kind.prop_map(Fault::Refuse),
        (0_u64..5_000).prop_map(|ms| Fault::Throttle { ms }),
        Just(Fault::LoseBefore),
        Just(Fault::LoseAfter),
        Just(Fault::Duplicate),
        Just(Fault::Cut),
        (0_u64..5_000).prop_map(|ms| Fault::Slow { ms }),
        (1_u64..5_000).prop_map(|ms| Fault::Lag { ms }),
        Just(Fault::StaleRead),
    ];
    let verb = select(Verb::ALL.to_vec());
    let on = prop_oneof![
        Just(Match::changes()),
        Just(Match::reads()),
        Just(Match::pages()),
        Just(Match::any()),
        verb.prop_map(Match::verb),
    ];
    let rule = (on, 0_u32..4, 1_u32..4, fault);
    vec(rule, 0..=most).prop_map(|rules| {
        let rules = rules.into_iter();
        let rules = rules.map(|(on, skip, times, fault)| Rule { on, skip, times, fault });
        rules.fold(Script::new().lenient(), Script::rule)
    })
}

/// Departments that policies and histories share.
const DEPARTMENTS: [&str; 4] = ["engineering", "sales", "support", "finance"];

/// Policies as YAML: roles with grants, and rules by department. Every one parses and checks.
pub fn policies(entitlements: usize) -> impl Strategy<Value = String> {
    let role = btree_set(0..entitlements.max(1), 0..=entitlements.max(1));
    let rules = vec((select(DEPARTMENTS.to_vec()), any::<bool>()), 1..4);
    (vec(role, 1..4), rules).prop_map(move |(roles, rules)| {
        let mut text = String::from(
            "version: \"1\"\nsources: [hr]\nattributes:\n  email: { type: text }\n  \
             department: { type: text }\nentitlements:\n",
        );
        for number in 0..entitlements.max(1) {
            text.push_str(&format!("  t/group/g{number}: {{ title: G{number} }}\n"));
        }
        text.push_str("roles:\n");
        for (number, grants) in roles.iter().enumerate() {
            let grants: Vec<String> = grants.iter().map(|n| format!("t/group/g{n}")).collect();
            let grants = grants.join(", ");
            text.push_str(&format!(
                "  role{number}: {{ title: R{number}, version: 1, grants: [{grants}] }}\n"
            ));
        }
        text.push_str("rules:\n");
        for (number, (department, not)) in rules.iter().enumerate() {
            let role = number % roles.len();
            let is = format!("eq: {{ department: {department} }}");
            let when = if *not { format!("not: {{ {is} }}") } else { is };
            text.push_str(&format!(
                "  rule{number}: {{ title: N{number}, when: {{ {when} }}, roles: [role{role}] }}\n"
            ));
        }
        text.push_str("accounts:\n  t: { user_name: email }\n");
        text
    })
}

/// One day of a made-up history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three events of the name, and coming back")]
pub enum Event {
    /// Somebody starts.
    Joins {
        /// Number of the person.
        person: u32,
        /// Department.
        department: &'static str,
    },
    /// Somebody changes department.
    Moves {
        /// Number of the person.
        person: u32,
        /// The new one.
        department: &'static str,
    },
    /// Somebody's last day was yesterday.
    Leaves {
        /// Number of the person.
        person: u32,
    },
}

/// Histories of up to `people` people and `events` events: nobody leaves or moves who is not there, and
/// who left may come back. One event a day, from 2 March 2026.
pub fn histories(people: u32, events: usize) -> impl Strategy<Value = Vec<(NaiveDate, Event)>> {
    let step = (0..people.max(1), select(DEPARTMENTS.to_vec()), any::<bool>());
    vec(step, 0..=events).prop_map(|steps| {
        let mut present: BTreeMap<u32, &str> = BTreeMap::new();
        let mut history = Vec::new();
        let first = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap_or_default();
        for (day, (person, department, leaves)) in steps.into_iter().enumerate() {
            let event = match (present.get(&person), leaves) {
                (None, _) => Event::Joins { person, department },
                (Some(_), true) => Event::Leaves { person },
                (Some(known), false) if *known == department => continue,
                (Some(_), false) => Event::Moves { person, department },
            };
            match event {
                Event::Leaves { .. } => present.remove(&person),
                _ => present.insert(person, department),
            };
            let day = Days::new(u64::try_from(day).unwrap_or(0));
            history.push((first.checked_add_days(day).unwrap_or(first), event));
        }
        history
    })
}

/// Midnight (UTC) of a day.
#[must_use]
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
