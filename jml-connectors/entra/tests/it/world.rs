//! A made-up tenant, and the way behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_checks::{Watched, start};
use jml_connector_entra::Entra;
use jml_connector_kit::auth::{ClientAuth, ClientCredentials, TokenAuth};
use jml_connector_kit::fields::{from_json, to_json};
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::attribute::AttributeValue;
use jml_core::id::AccountId;
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, World};
use jml_testkit::fake::entra::{Entra as Api, GroupKind, Sku, User};
use jml_testkit::fake::{Fake, Server};
use jml_testkit::openapi::Documents;
use serde_json::{Value, json};

const SECRET: &str = "entra-client-secret-4711";
pub(crate) const E3: &str = "05e9a617-0261-4cee-bb44-138d3ef5d965";
const E5: &str = "06ebc4ee-1bb5-47dd-8120-11324bc54e06";
pub(crate) const READER: &str = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b";

pub(crate) const PERMISSIONS: [&str; 15] = [
    "User.Create",
    "User.ReadUpdate.All",
    "User.EnableDisableAccount.All",
    "User.DeleteRestore.All",
    "User.RevokeSessions.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "DeviceManagementManagedDevices.PrivilegedOperations.All",
    "DeviceManagementManagedDevices.Read.All",
    "Group.ReadWrite.All",
    "LicenseAssignment.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "MailboxSettings.ReadWrite",
    "Files.ReadWrite.All",
];

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
        let mut api = Api::new(("jml", SECRET), &PERMISSIONS, &["engineers", "sales", "staff"]);
        api.add_group("group-zdynamic", "By rule", GroupKind::Dynamic);
        api.add_group("group-zlist", "A distribution list", GroupKind::Distribution);
        api.skus.insert(E3.into(), Sku { name: "SPE_E3".into(), seats: 50 });
        api.skus.insert(E5.into(), Sku { name: "SPE_E5".into(), seats: 1 });
        api.apps.entry("app-crm".into()).or_default().name = "Customer records".into();
        api.role_definitions.insert(READER.into(), "Directory Readers".into());
        let fake = Fake::new(api, clock.clone());
        let watched = Watched::new(documents, crate::suite::papers);
        let fake = watched.watch(fake);
        let server = fake.serve().expect("a free port");
        let transport = Arc::new(ReqwestTransport::new().expect("TLS"));
        let url = format!("{}/tenant/oauth2/v2.0/token", server.url());
        let endpoint = Client::over(&url, transport.clone()).expect("a client");
        let auth = ClientAuth::Secret(SECRET.to_owned().into());
        let scope = "https://graph.microsoft.com/.default";
        let source = ClientCredentials::new(endpoint, url, "jml", scope, auth);
        let client = Client::over(&format!("{}/v1.0", server.url()), transport).expect("a client");
        let client = client.authenticated(TokenAuth::new(source));
        Self { server, clock, client, _watched: watched }
    }

    pub(crate) fn fake(&self) -> &Fake<Api> {
        self.server.fake()
    }

    pub(crate) fn provider(&self, id: &str) -> Entra {
        Entra::new(id.parse().expect("an id"), self.client.clone()).expect("a connector")
    }
}

/// A world for the suite.
pub(crate) fn world(documents: Option<&Documents>) -> World {
    let place = Place::new(documents);
    let (client, door) = (place.client.clone(), Door(place.fake().clone()));
    let make =
        move || Entra::new("entra".parse().expect("an id"), client.clone()).expect("a connector");
    World::of(Arc::new(make()))
        .clock(place.clock)
        .domain("corp.test")
        .immutable("managed_group/group-zdynamic".parse().expect("a key"))
        .scarce(format!("licence/{E5}").parse().expect("a key"))
        .canary("entra-access-000001")
        .canary(SECRET)
        .backdoor(door)
        .restart(make)
        .renews_credential()
        .wire(place.server)
}

/// Another administrator.
pub(crate) struct Door(pub(crate) Fake<Api>);

const NAMES: [(&str, &str); 6] = [
    ("display_name", "displayName"),
    ("given_name", "givenName"),
    ("family_name", "surname"),
    ("title", "jobTitle"),
    ("department", "department"),
    ("usage_location", "usageLocation"),
];

/// When a user was made, and from when on refresh tokens count.
const MADE: &str = "createdDateTime";
pub(crate) const COUNT_FROM: &str = "signInSessionsValidFromDateTime";

/// An account as the connector would show it, from what the tenant holds.
pub(crate) fn state(api: &Api, id: &str, user: &User) -> AccountState {
    let text = |name: &str| user.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let enabled = user.body.get("accountEnabled") == Some(&json!(true));
    let status = if enabled { AccountStatus::Active } else { AccountStatus::Disabled };
    let mut state = AccountState::new(id.parse().unwrap(), text("userPrincipalName"), status);
    state.external_id = text("employeeId").parse().ok();
    for (name, field) in NAMES {
        if let Some(value) = user.body.get(field).and_then(from_json) {
            state.attributes.insert(name.parse().unwrap(), value);
        }
    }
    if let Some(boss) = user.manager.as_ref().and_then(|it| api.users.get(it)) {
        let name = boss.body["userPrincipalName"].as_str().unwrap();
        state.attributes.insert("manager".parse().unwrap(), AttributeValue::text(name));
    }
    let mut hold =
        |kind: &str, it: &str| state.holdings.insert(format!("{kind}/{it}").parse().unwrap());
    for (group, it) in api.groups.iter().filter(|(_, it)| it.members.contains(id)) {
        let written = matches!(it.kind, GroupKind::Security | GroupKind::Unified);
        hold(if written { "group" } else { "managed_group" }, group);
    }
    for sku in &user.licences {
        hold("licence", sku);
    }
    for (app, it) in &api.apps {
        for (at, _) in it.users.iter().filter(|(_, user)| *user == id) {
            let role = it.given.get(at).map(|it| format!("/{it}")).unwrap_or_default();
            hold("app", &format!("{app}{role}"));
        }
    }
    for (at, (_, role)) in api.roles.iter().filter(|(_, (user, _))| user == id) {
        let scope = api.role_scopes.get(at).map_or("", String::as_str);
        hold("role", &format!("{role}{scope}"));
    }
    let count = |number: usize| u32::try_from(number).unwrap();
    // What nobody ended since the account was made counts as one.
    let stand = user.body.get(COUNT_FROM).is_some_and(|it| Some(it) == user.body.get(MADE));
    state.credentials = [
        (CredentialClass::Sessions, user.sessions),
        (CredentialClass::RefreshTokens, count(user.grants.len() + usize::from(stand))),
        (CredentialClass::MfaFactors, count(user.methods.len())),
        (CredentialClass::Devices, count(user.devices.len())),
    ]
    .into();
    state.mailbox = user
        .mailbox
        .as_ref()
        .map(|text| Mailbox { auto_reply: text.as_ref().map(Into::into), ..Mailbox::default() });
    let alone = [id.to_owned()].into();
    let owned = api.groups.iter().filter(|(_, it)| it.owners == alone);
    state.owns = owned.map(|(group, _)| group.into()).collect();
    let drive = user.drive.as_ref().filter(|(_, writers)| writers.is_empty());
    state.owns.extend(drive.map(|(drive, _)| format!("drive {drive}").into()));
    state
}

#[async_trait]
impl Backdoor for Door {
    async fn put(&self, account: AccountState) -> AccountId {
        self.0.with(|api| {
            let mut body: BTreeMap<String, Value> = [
                ("userPrincipalName".to_owned(), json!(account.user_name)),
                ("accountEnabled".to_owned(), json!(account.status.can_sign_in())),
                // Without one, nobody gets a licence.
                ("usageLocation".to_owned(), json!("DE")),
            ]
            .into();
            for (name, field) in NAMES {
                if let Some(value) = account.attributes.get(&name.parse().unwrap()) {
                    body.insert(field.into(), to_json(value));
                }
            }
            if let Some(owner) = &account.external_id {
                body.insert("employeeId".into(), json!(owner.as_str()));
            }
            let count = |class| account.credentials.get(&class).copied().unwrap_or(0);
            let tokens = count(CredentialClass::RefreshTokens);
            let ended = if tokens == 0 { "2021-01-01T00:00:00Z" } else { "2020-01-01T00:00:00Z" };
            body.insert(MADE.into(), json!("2020-01-01T00:00:00Z"));
            body.insert(COUNT_FROM.into(), json!(ended));
            let some = |class, kind: &str, id: &str| -> Vec<String> {
                (0..count(class)).map(|n| format!("{kind}-{id}-{n}")).collect()
            };
            let consents = |id: &str| (1..tokens).map(|n| format!("grant-{id}-{n}")).collect();
            let known = api.users.get(account.id.as_str()).cloned();
            let id = match &known {
                Some(_) => account.id.to_string(),
                None => api.add_user(User::default()),
            };
            let held = |kind: &str| -> BTreeSet<String> {
                let keys = account.holdings.iter().filter(|it| it.kind.as_str() == kind);
                keys.map(|it| it.id.to_string()).collect()
            };
            let (groups, apps) = (held("group"), held("app"));
            for (name, group) in &mut api.groups {
                if groups.contains(name) {
                    group.members.insert(id.clone());
                } else if group.kind == GroupKind::Security {
                    group.members.remove(&id);
                }
                if account.owns.contains(name.as_str()) {
                    group.owners.insert(id.clone());
                } else {
                    group.owners.remove(&id);
                }
            }
            // What somebody owns may be a group that is not there yet.
            for name in account
                .owns
                .iter()
                .filter(|it| !api.groups.contains_key(it.as_str()))
                .collect::<Vec<_>>()
            {
                api.add_group(name, name, GroupKind::Security);
                api.groups.get_mut(name.as_str()).unwrap().owners.insert(id.clone());
            }
            for (name, app) in &mut api.apps {
                app.users.retain(|_, user| *user != id);
                if apps.contains(name) {
                    app.users.insert(format!("ara-{id}"), id.clone());
                }
            }
            let user = User {
                body,
                manager: known.as_ref().and_then(|it| it.manager.clone()),
                licences: held("licence"),
                sessions: count(CredentialClass::Sessions),
                grants: consents(&id),
                methods: some(CredentialClass::MfaFactors, "m", &id)
                    .into_iter()
                    .map(|it| (it, "fido2".to_owned()))
                    .collect(),
                devices: some(CredentialClass::Devices, "d", &id)
                    .into_iter()
                    .map(|it| (it, "managed".to_owned()))
                    .collect(),
                mailbox: account
                    .mailbox
                    .as_ref()
                    .map(|it| it.auto_reply.as_ref().map(ToString::to_string)),
                ..User::default()
            };
            api.put_user(&id, user);
            id.parse().unwrap()
        })
    }

    async fn remove(&self, account: &AccountId) {
        self.0.with(|api| api.forget_user(account.as_str()));
    }

    async fn truth(&self) -> Vec<AccountState> {
        self.0.with(|api| api.users.iter().map(|(id, user)| state(api, id, user)).collect())
    }

    async fn forget_changes(&self) -> bool {
        self.0.with(|api| {
            api.log_start += api.log.len() + 1;
            api.log.clear();
        });
        true
    }
}
