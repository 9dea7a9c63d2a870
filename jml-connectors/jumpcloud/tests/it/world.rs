//! A made-up organisation, and the way behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_connector_checks::{Watched, start};
use jml_connector_jumpcloud::JumpCloud;
use jml_connector_kit::auth::ApiKey;
use jml_connector_kit::fields::{from_json, to_json};
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, World};
use jml_testkit::fake::jumpcloud::{JumpCloud as Api, System, User};
use jml_testkit::fake::{Fake, Server, WireFault};
use jml_testkit::openapi::Documents;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "jca_1234567890abcdefghijklmnopqrstuvwxyz";

/// What there is in the organisation, by id.
pub(crate) const ENGINEERS: &str = "600000000000000000000001";
pub(crate) const SALES: &str = "600000000000000000000002";
pub(crate) const STAFF: &str = "600000000000000000000003";
pub(crate) const EVERYBODY_IN_SALES: &str = "600000000000000000000004";
pub(crate) const CRM: &str = "610000000000000000000005";
pub(crate) const LAPTOP: &str = "620000000000000000000006";
pub(crate) const WORKSPACE: &str = "680000000000000000000007";

/// An organisation on a socket of its own.
pub(crate) struct Place {
    pub(crate) server: Server<Api>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
    /// What is sent there has to agree with the documents.
    _watched: Watched,
}

impl Place {
    pub(crate) fn new(documents: Option<&Documents>) -> Self {
        let clock = Arc::new(ManualClock::jumping(start()));
        let mut api = Api::new(KEY, &["engineers", "sales", "staff"]);
        let made = [
            api.add_dynamic_group("everybody in sales", "department", "sales"),
            api.add_app("Customer records"),
            api.add_system("laptop", "linux"),
            api.add_directory("corp.test", "g_suite"),
        ];
        assert_eq!(made, [EVERYBODY_IN_SALES, CRM, LAPTOP, WORKSPACE]);
        let fake = Fake::new(api, clock.clone());
        let watched = Watched::new(documents, crate::suite::papers);
        let fake = watched.watch(fake);
        let server = fake.serve().expect("a free port");
        let transport = Arc::new(ReqwestTransport::new().expect("TLS"));
        let key = ApiKey::new("x-api-key".parse().expect("a name"), KEY.to_owned());
        let client = Client::over(&server.url(), transport).expect("a client").authenticated(key);
        Self { server, clock, client, _watched: watched }
    }

    pub(crate) fn fake(&self) -> &Fake<Api> {
        self.server.fake()
    }

    pub(crate) fn provider(&self, id: &str) -> JumpCloud {
        let id = id.parse().expect("an id");
        JumpCloud::new(id, self.client.clone(), self.client.clone()).expect("a connector")
    }

    /// The connector that locks devices.
    pub(crate) fn locking(&self, id: &str) -> JumpCloud {
        self.provider(id).locking_devices()
    }
}

pub(crate) fn key(text: &str) -> EntitlementKey {
    text.parse().expect("a key")
}

/// A world for the suite.
pub(crate) fn world(documents: Option<&Documents>, locks: bool) -> World {
    let place = Place::new(documents);
    let body = "403 Forbidden: your IP has been blocked due to suspected abuse";
    let blocked = WireFault::Answer { status: 403, headers: Vec::new(), body: body.into() }
        .with_header("content-type", "text/plain");
    let (client, door) = (place.client.clone(), Door(place.fake().clone(), place.clock.clone()));
    let make = move || {
        let id = "jumpcloud".parse().expect("an id");
        let made = JumpCloud::new(id, client.clone(), client.clone()).expect("a connector");
        if locks { made.locking_devices() } else { made }
    };
    let free = [
        format!("group/{ENGINEERS}"),
        format!("app/{CRM}"),
        format!("system/{LAPTOP}"),
        format!("directory/g_suite/{WORKSPACE}"),
    ];
    World::of(Arc::new(make()))
        .clock(place.clock)
        .entitlements(free.iter().map(|it| key(it)))
        .immutable(key(&format!("dynamic_group/{EVERYBODY_IN_SALES}")))
        .canary(KEY)
        .throttled_by(blocked)
        .backdoor(door)
        .restart(make)
        .wire(place.server)
}

/// Another administrator.
pub(crate) struct Door(pub(crate) Fake<Api>, pub(crate) Arc<ManualClock>);

const FIELDS: [(&str, &str); 5] = [
    ("given_name", "firstname"),
    ("family_name", "lastname"),
    ("title", "jobTitle"),
    ("department", "department"),
    ("email", "email"),
];

pub(crate) fn profile_of(account: &AccountState) -> BTreeMap<String, Value> {
    let name = account.user_name.as_str();
    let mut profile: BTreeMap<String, Value> =
        [("email".to_owned(), json!(format!("{name}@corp.test")))].into();
    for (ours, theirs) in FIELDS {
        if let Some(value) = account.attributes.get(&ours.parse().unwrap()) {
            profile.insert(theirs.to_owned(), to_json(value));
        }
    }
    profile.insert("username".into(), json!(name));
    if let Some(owner) = &account.external_id {
        profile.insert("employeeIdentifier".into(), json!(owner.as_str()));
    }
    profile
}

const fn state_of(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Staged => "STAGED",
        AccountStatus::Active => "ACTIVATED",
        _ => "SUSPENDED",
    }
}

/// Whether somebody may go on with a device: nobody told it to lock.
fn is_open(system: &System, user: &str) -> bool {
    system.users.contains_key(user) && !system.commands.iter().any(|it| it == "lock")
}

/// An account as the connector would show it, from what the organisation holds.
pub(crate) fn state(api: &Api, id: &str, user: &User) -> AccountState {
    let text = |name: &str| user.profile.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = match user.state.as_str() {
        "STAGED" => AccountStatus::Staged,
        "SUSPENDED" => AccountStatus::Disabled,
        _ => AccountStatus::Active,
    };
    let mut state = AccountState::new(id.parse().unwrap(), text("username"), status);
    state.external_id = text("employeeIdentifier").parse().ok();
    for (ours, theirs) in FIELDS {
        if let Some(value) = user.profile.get(theirs).and_then(from_json) {
            state.attributes.insert(ours.parse().unwrap(), value);
        }
    }
    let mut hold =
        |kind: &str, it: &str| state.holdings.insert(format!("{kind}/{it}").parse().unwrap());
    for (group, it) in api.groups.iter().filter(|(_, it)| it.members.contains(id)) {
        hold(if it.method.starts_with("DYNAMIC") { "dynamic_group" } else { "group" }, group);
    }
    for (app, _) in api.apps.iter().filter(|(_, it)| it.users.contains(id)) {
        hold("app", app);
    }
    for (system, it) in &api.systems {
        let Some(attributes) = it.users.get(id) else { continue };
        hold("system", system);
        if attributes.pointer("/sudo/enabled") == Some(&json!(true)) {
            hold("sudo", system);
        }
    }
    for (group, _) in api.system_groups.iter().filter(|(_, it)| it.users.contains(id)) {
        hold("device_group", group);
    }
    for (directory, it) in api.directories.iter().filter(|(_, it)| it.users.contains(id)) {
        hold(&format!("directory/{}", it.kind), directory);
    }
    let count = |number: usize| u32::try_from(number).unwrap();
    let open = api.systems.values().filter(|it| is_open(it, id)).count();
    let factors = usize::from(user.totp) + usize::from(user.webauthn) + user.push.len();
    state.credentials = [
        (CredentialClass::SshKeys, count(user.ssh_keys.len())),
        (CredentialClass::MfaFactors, count(factors)),
        (CredentialClass::Devices, count(open)),
    ]
    .into();
    state
}

#[async_trait]
impl Backdoor for Door {
    async fn put(&self, account: AccountState) -> AccountId {
        let now = self.1.now();
        self.0.with(|api| {
            let profile = profile_of(&account);
            let known = api.users.contains_key(account.id.as_str());
            let id = if known {
                account.id.to_string()
            } else {
                api.add_user(profile.clone(), "ACTIVATED", now)
            };
            let held: BTreeSet<String> = account.holdings.iter().map(ToString::to_string).collect();
            for (name, group) in &mut api.groups {
                if held.contains(&format!("group/{name}")) {
                    group.members.insert(id.clone());
                } else {
                    group.members.remove(&id);
                }
            }
            let apps = api.apps.iter_mut();
            let apps = apps.map(|(it, app)| (format!("app/{it}"), &mut app.users));
            let groups = api.system_groups.iter_mut();
            let groups = groups.map(|(it, group)| (format!("device_group/{it}"), &mut group.users));
            let directories = api.directories.iter_mut().map(|(it, directory)| {
                (format!("directory/{}/{it}", directory.kind), &mut directory.users)
            });
            for (name, users) in apps.chain(groups).chain(directories) {
                if held.contains(&name) {
                    users.insert(id.clone());
                } else {
                    users.remove(&id);
                }
            }
            for (name, system) in &mut api.systems {
                if held.contains(&format!("system/{name}")) {
                    let sudo = held.contains(&format!("sudo/{name}"));
                    let edge = json!({ "sudo": { "enabled": sudo, "withoutPassword": false } });
                    system.users.insert(id.clone(), edge);
                } else {
                    system.users.remove(&id);
                }
            }
            let count = |class| account.credentials.get(&class).copied().unwrap_or(0);
            // A device is held, too.
            let mut open: Vec<String> = api
                .systems
                .iter()
                .filter(|(_, it)| is_open(it, &id))
                .map(|(system, _)| system.clone())
                .collect();
            let wanted = usize::try_from(count(CredentialClass::Devices)).unwrap();
            while open.len() < wanted {
                let made = api.add_system("laptop", "linux");
                let edge = json!({ "sudo": { "enabled": false, "withoutPassword": false } });
                api.systems.get_mut(&made).unwrap().users.insert(id.clone(), edge);
                open.push(made);
            }
            let some = |kind: &str, count: u32| {
                let each = (0..count).map(|n| (format!("{kind}{n:022}"), format!("{kind} {n}")));
                each.collect::<BTreeMap<_, _>>()
            };
            let user = api.users.get_mut(&id).unwrap();
            user.profile = profile;
            user.state = state_of(account.status).into();
            user.ssh_keys = some("65", count(CredentialClass::SshKeys));
            let factors = count(CredentialClass::MfaFactors);
            user.totp = factors > 0;
            user.push = some("66", factors.saturating_sub(1));
            api.apply_rules();
            if known {
                api.happened("user_update", "user", &id, now);
            }
            id.parse().unwrap()
        })
    }

    async fn remove(&self, account: &AccountId) {
        let now = self.1.now();
        self.0.with(|api| {
            api.forget_user(account.as_str());
            api.happened("user_delete", "user", account.as_str(), now);
        });
    }

    async fn truth(&self) -> Vec<AccountState> {
        self.0.with(|api| api.users.iter().map(|(id, user)| state(api, id, user)).collect())
    }

    /// Events go by themselves, after 90 days.
    async fn forget_changes(&self) -> bool {
        self.1.advance(TimeDelta::days(91));
        true
    }
}
