//! A made-up organisation, and the way behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_checks::{NoKey, Watched, start};
use jml_connector_kit::auth::{ClientAuth, ClientCredentials, TokenAuth};
use jml_connector_kit::fields::{camel, from_json, snake, to_json};
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_connector_okta::Okta;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::clock::Clock as _;
use jml_core::id::AccountId;
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, World};
use jml_testkit::fake::okta::{ApiToken, Device, Okta as Api, User};
use jml_testkit::fake::{Fake, Server, WireFault};
use jml_testkit::openapi::Documents;
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "okta-access-000001";

/// An organisation on a socket of its own.
pub(crate) struct Place {
    pub(crate) server: Server<Api>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
    /// What is sent there has to agree with the documents.
    _watched: Watched,
}

pub(crate) const SCOPES: [&str; 6] = [
    "okta.users.manage",
    "okta.groups.manage",
    "okta.apps.manage",
    "okta.roles.manage",
    "okta.devices.manage",
    "okta.apiTokens.manage",
];

impl Place {
    pub(crate) fn new(documents: Option<&Documents>) -> Self {
        let clock = Arc::new(ManualClock::jumping(start()));
        let mut api = Api::new("00unused", &["engineers", "sales", "staff"]);
        api.add_app("0oacrm", "Customer records");
        let scopes = SCOPES.iter().chain(&["okta.logs.read"]).map(ToString::to_string);
        api.clients.insert("0oajml".into(), scopes.collect());
        let fake = Fake::new(api, clock.clone());
        let watched = Watched::new(documents, crate::suite::papers);
        let fake = watched.watch(fake);
        let server = fake.serve().expect("a free port");
        let transport = Arc::new(ReqwestTransport::new().expect("TLS"));
        let url = format!("{}/oauth2/v1/token", server.url());
        let endpoint = Client::over(&url, transport.clone()).expect("a client");
        let auth = ClientAuth::Assertion(Arc::new(NoKey));
        let scope = format!("{} okta.logs.read", SCOPES.join(" "));
        let source = ClientCredentials::new(endpoint, url, "0oajml", scope, auth);
        let client = Client::over(&server.url(), transport).expect("a client");
        let client = client.authenticated(TokenAuth::new(source));
        Self { server, clock, client, _watched: watched }
    }

    pub(crate) fn fake(&self) -> &Fake<Api> {
        self.server.fake()
    }

    pub(crate) fn provider(&self, id: &str) -> Okta {
        Okta::new(id.parse().expect("an id"), self.client.clone()).expect("a connector")
    }
}

/// A world for the suite.
pub(crate) fn world(documents: Option<&Documents>) -> World {
    let place = Place::new(documents);
    let body = r#"{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorLink":"E0000047","errorId":"oae1","errorCauses":[]}"#;
    let slow = WireFault::Answer { status: 429, headers: Vec::new(), body: body.into() }
        .with_header("x-rate-limit-limit", "0")
        .with_header("x-rate-limit-remaining", "0")
        .with_header("x-rate-limit-reset", (start().timestamp() + 20).to_string());
    let (client, door) = (place.client.clone(), Door(place.fake().clone(), place.clock.clone()));
    let make =
        move || Okta::new("okta".parse().expect("an id"), client.clone()).expect("a connector");
    World::of(Arc::new(make()))
        .clock(place.clock)
        .domain("corp.test")
        .immutable("managed_group/00geveryone".parse().expect("a key"))
        .canary(TOKEN)
        .throttled_by(slow)
        .backdoor(door)
        .restart(make)
        .renews_credential()
        .wire(place.server)
}

/// Another administrator.
pub(crate) struct Door(pub(crate) Fake<Api>, pub(crate) Arc<ManualClock>);

fn field(name: &str) -> String {
    match name {
        "given_name" => "firstName".into(),
        "family_name" => "lastName".into(),
        other => camel(other),
    }
}

fn profile_of(account: &AccountState) -> BTreeMap<String, Value> {
    let name = account.user_name.as_str();
    let mut profile: BTreeMap<String, Value> =
        [("firstName", "First"), ("lastName", "Last"), ("email", name)]
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .into();
    profile.extend(
        account.attributes.iter().map(|(name, value)| (field(name.as_str()), to_json(value))),
    );
    profile.insert("login".into(), json!(name));
    if let Some(owner) = &account.external_id {
        profile.insert("employeeNumber".into(), json!(owner.as_str()));
    }
    profile
}

const fn status_of(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Staged => "STAGED",
        AccountStatus::Active => "ACTIVE",
        AccountStatus::Archived => "DEPROVISIONED",
        _ => "SUSPENDED",
    }
}

/// An account as the connector would show it, from what the organisation holds.
pub(crate) fn state(api: &Api, id: &str, user: &User) -> AccountState {
    let text = |name: &str| user.profile.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = match user.status.as_str() {
        "STAGED" => AccountStatus::Staged,
        "SUSPENDED" => AccountStatus::Disabled,
        "DEPROVISIONED" => AccountStatus::Archived,
        _ => AccountStatus::Active,
    };
    let mut state = AccountState::new(id.parse().unwrap(), text("login"), status);
    state.external_id = text("employeeNumber").parse().ok();
    for (field, value) in &user.profile {
        let name = match field.as_str() {
            "login" | "employeeNumber" => continue,
            "firstName" => "given_name".into(),
            "lastName" => "family_name".into(),
            other => snake(other),
        };
        if let Some(value) = from_json(value) {
            state.attributes.insert(name.parse().unwrap(), value);
        }
    }
    let mut hold =
        |kind: &str, it: &str| state.holdings.insert(format!("{kind}/{it}").parse().unwrap());
    for (group, it) in api.groups.iter().filter(|(_, it)| it.members.contains(id)) {
        hold(if it.kind == "OKTA_GROUP" { "group" } else { "managed_group" }, group);
    }
    for (app, _) in api.apps.iter().filter(|(_, it)| it.users.contains(id)) {
        hold("app", app);
    }
    for role in user.roles.values().filter(|it| !it.by_group) {
        hold("role", role.custom.as_ref().unwrap_or(&role.kind));
    }
    let count = |number: usize| u32::try_from(number).unwrap();
    let devices = api.devices.values();
    let devices = devices.filter(|it| it.users.contains(id) && it.status != "DEACTIVATED").count();
    let tokens = api.api_tokens.values().filter(|it| it.user == id).count();
    state.credentials = [
        (CredentialClass::Sessions, user.sessions),
        (
            CredentialClass::RefreshTokens,
            count(user.clients.keys().chain(user.grants.keys()).collect::<BTreeSet<_>>().len()),
        ),
        (CredentialClass::MfaFactors, count(user.factors.len())),
        (CredentialClass::Devices, count(devices)),
        (CredentialClass::ApiKeys, count(tokens)),
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
                api.add_user(profile.clone(), "ACTIVE", now)
            };
            let held: BTreeSet<String> = account.holdings.iter().map(ToString::to_string).collect();
            for (name, group) in &mut api.groups {
                if held.contains(&format!("group/{name}")) {
                    group.members.insert(id.clone());
                } else if group.kind == "OKTA_GROUP" {
                    group.members.remove(&id);
                }
            }
            for (name, app) in &mut api.apps {
                if held.contains(&format!("app/{name}")) {
                    app.users.insert(id.clone());
                } else {
                    app.users.remove(&id);
                }
            }
            let count = |class| account.credentials.get(&class).copied().unwrap_or(0);
            api.devices.retain(|_, it| !it.users.contains(&id));
            for number in 0..count(CredentialClass::Devices) {
                let device = Device {
                    name: format!("laptop {number}"),
                    status: "ACTIVE".into(),
                    users: [id.clone()].into(),
                };
                api.devices.insert(format!("guo{id}{number}"), device);
            }
            api.api_tokens.retain(|_, it| it.user != id);
            for number in 0..count(CredentialClass::ApiKeys) {
                let token = ApiToken { id: format!("00T{id}{number}"), user: id.clone() };
                api.api_tokens.insert(format!("secret{id}{number}"), token);
            }
            let user = api.users.get_mut(&id).unwrap();
            user.profile = profile;
            user.status = status_of(account.status).into();
            user.sessions = count(CredentialClass::Sessions);
            let some = |class, kind: &str| {
                (0..count(class)).map(|n| format!("{kind}{n}")).collect::<Vec<_>>()
            };
            let clients = some(CredentialClass::RefreshTokens, "0oaclient");
            user.clients = clients.into_iter().map(|it| (it, 1)).collect();
            user.grants.clear();
            let factors = some(CredentialClass::MfaFactors, "mfa");
            user.factors = factors.into_iter().map(|it| (it, "push".to_owned())).collect();
            if known {
                api.happened("user.account.update_profile", &id, now);
            }
            id.parse().unwrap()
        })
    }

    async fn remove(&self, account: &AccountId) {
        let now = self.1.now();
        self.0.with(|api| {
            api.forget_user(account.as_str());
            api.happened("user.lifecycle.delete.completed", account.as_str(), now);
        });
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
