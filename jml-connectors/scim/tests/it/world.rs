//! A made-up server, and the way behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_checks::{Watched, start};
use jml_connector_kit::auth::Bearer;
use jml_connector_kit::fields::{from_json, to_json};
use jml_connector_kit::http::{Client, ReqwestTransport};
use jml_connector_scim::{Capabilities, MemberRemoval, Scim};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::clock::Clock as _;
use jml_core::id::AccountId;
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, World};
use jml_testkit::fake::scim::{Quirks, Removal, Resource, Scim as Api};
use jml_testkit::fake::{Fake, Server};
use jml_testkit::openapi::Documents;
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "scim-secret-token-4711";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub(crate) struct Place {
    pub(crate) server: Server<Api>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
    pub(crate) able: Capabilities,
    /// What is sent there has to agree with the documents.
    _watched: Watched,
}

/// A server that has everything.
pub(crate) fn rich() -> (Quirks, Capabilities) {
    let able = Capabilities { bulk: 100, etag: true, cursor: true, ..Capabilities::default() };
    (Quirks::default(), able)
}

/// A server that has as little as one may have, and says things its own way.
pub(crate) fn poor() -> (Quirks, Capabilities) {
    let quirks = Quirks {
        removal: Removal::Value,
        patch_says_nothing: true,
        active_as_text: true,
        users_show_groups: false,
        cursors: false,
        bulk: false,
        etags: false,
        member_filters: false,
        most: 20,
        ..Quirks::default()
    };
    let able = Capabilities { page: 20, removal: MemberRemoval::Value, ..Capabilities::default() };
    (quirks, able)
}

/// A server without PATCH.
pub(crate) fn replacing() -> (Quirks, Capabilities) {
    let quirks = Quirks { patch: false, bulk: false, ..Quirks::default() };
    let able = Capabilities { patch: false, etag: true, cursor: true, ..Capabilities::default() };
    (quirks, able)
}

impl Place {
    pub(crate) fn new(how: (Quirks, Capabilities), documents: Option<&Documents>) -> Self {
        Self::watched(how, Watched::new(documents, crate::suite::papers))
    }

    /// For what the document says too little about.
    pub(crate) fn unwatched(how: (Quirks, Capabilities)) -> Self {
        Self::watched(how, Watched::nothing())
    }

    fn watched((quirks, able): (Quirks, Capabilities), watched: Watched) -> Self {
        let clock = Arc::new(ManualClock::jumping(start()));
        let mut api = Api::new(TOKEN, &["engineers", "sales", "staff"], start());
        api.quirks = quirks;
        let fake = Fake::new(api, clock.clone());
        let fake = watched.watch(fake);
        let server = fake.serve().expect("a free port");
        let transport = Arc::new(ReqwestTransport::new().expect("TLS"));
        let url = format!("{}/scim/v2", server.url());
        let client = Client::over(&url, transport).expect("a client");
        let client = client.authenticated(Bearer::new(TOKEN.to_owned()));
        Self { server, clock, client, able, _watched: watched }
    }

    pub(crate) fn fake(&self) -> &Fake<Api> {
        self.server.fake()
    }

    pub(crate) fn provider(&self, id: &str) -> Scim {
        Scim::new(id.parse().expect("an id"), self.client.clone(), self.able.clone())
            .expect("a connector")
    }
}

/// A world for the suite.
pub(crate) fn world(how: (Quirks, Capabilities), documents: Option<&Documents>) -> World {
    let place = Place::new(how, documents);
    let door = Door(place.fake().clone(), place.clock.clone(), place.able.etag);
    let (client, able) = (place.client.clone(), place.able.clone());
    let make = move || {
        Scim::new("scim".parse().expect("an id"), client.clone(), able.clone())
            .expect("a connector")
    };
    World::of(Arc::new(make()))
        .clock(place.clock)
        .without_links()
        .canary(TOKEN)
        .backdoor(door)
        .restart(make)
        .wire(place.server)
}

/// Another administrator, and whether the connector shows versions.
pub(crate) struct Door(pub(crate) Fake<Api>, pub(crate) Arc<ManualClock>, pub(crate) bool);

const NAMES: [(&str, &str); 6] = [
    ("given_name", "/name/givenName"),
    ("family_name", "/name/familyName"),
    ("title", "/title"),
    ("display_name", "/displayName"),
    ("department", "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department"),
    ("email", "/emails/0/value"),
];

fn body_of(account: &AccountState) -> Value {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": account.user_name,
        "active": account.status.can_sign_in(),
    });
    if let Some(owner) = &account.external_id {
        body["externalId"] = owner.as_str().into();
    }
    for (name, value) in &account.attributes {
        let value = to_json(value);
        match name.as_str() {
            "given_name" => body["name"]["givenName"] = value,
            "family_name" => body["name"]["familyName"] = value,
            "department" => body[ENTERPRISE]["department"] = value,
            "email" => {
                body["emails"] = json!([{ "value": value, "type": "work", "primary": true }]);
            }
            other => body[jml_connector_kit::fields::camel(other)] = value,
        }
    }
    body
}

/// An account as the connector would show it, from what the server holds.
pub(crate) fn state(api: &Api, id: &str, user: &Resource, versions: bool) -> AccountState {
    let body = Value::Object(user.body.clone());
    let active = body["active"] != json!(false);
    let status = if active { AccountStatus::Active } else { AccountStatus::Disabled };
    let mut state =
        AccountState::new(id.parse().unwrap(), body["userName"].as_str().unwrap(), status);
    state.external_id = body["externalId"].as_str().map(|it| it.parse().unwrap());
    for (name, pointer) in NAMES {
        if let Some(value) = body.pointer(pointer).and_then(from_json) {
            state.attributes.insert(name.parse().unwrap(), value);
        }
    }
    let mine = api.groups.keys().filter(|group| api.members(group).contains(id));
    state.holdings = mine.map(|group| format!("group/{group}").parse().unwrap()).collect();
    state.version = versions.then(|| format!("W/\"{}\"", user.version).into());
    state
}

#[async_trait]
impl Backdoor for Door {
    async fn put(&self, account: AccountState) -> AccountId {
        let now = self.1.now();
        self.0.with(|api| {
            let id = account.id.as_str();
            let known = api.users.contains_key(id).then_some(id);
            let id = api.put_user(known, &body_of(&account), now);
            let held: BTreeSet<String> =
                account.holdings.iter().map(|it| it.id.to_string()).collect();
            let groups: Vec<String> = api.groups.keys().cloned().collect();
            for group in groups {
                api.set_member(&group, &id, held.contains(&group));
            }
            id.parse().unwrap()
        })
    }

    async fn remove(&self, account: &AccountId) {
        self.0.with(|api| api.forget_user(account.as_str()));
    }

    async fn truth(&self) -> Vec<AccountState> {
        self.0.with(|api| api.users.iter().map(|(id, it)| state(api, id, it, self.2)).collect())
    }
}
