//! A made-up customer, and the way behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jml_connector_checks::{NoKey, Watched, start};
use jml_connector_google::{
    ADMIN_SCOPES, CHROMEOS_SCOPE, Delegated, Google, Hosts, LICENCE_SCOPE, MAILBOX_SCOPES,
};
use jml_connector_kit::http::{ReqwestTransport, Transport};
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::clock::Clock as _;
use jml_core::id::AccountId;
use jml_testkit::ManualClock;
use jml_testkit::conformance::{Backdoor, World};
use jml_testkit::fake::google::{Chromebook, Device, Google as Api, Mailbox as Box_, SCOPE, User};
use jml_testkit::fake::{Fake, Server, WireFault};
use jml_testkit::openapi::Documents;
use serde_json::{Map, Value, json};

pub(crate) const TOKEN: &str = "google-access-000001";
pub(crate) const ACCOUNT: &str = "jml@project.test";
pub(crate) const ADMIN: &str = "admin@corp.test";

/// A customer on a socket of its own.
pub(crate) struct Place {
    pub(crate) server: Server<Api>,
    pub(crate) clock: Arc<ManualClock>,
    transport: Arc<dyn Transport>,
    chromeos: bool,
    /// What is sent there has to agree with the documents.
    _watched: Watched,
}

impl Place {
    pub(crate) fn new(documents: Option<&Documents>) -> Self {
        Self::of(documents, false)
    }

    /// With or without ChromeOS devices.
    pub(crate) fn of(documents: Option<&Documents>, chromeos: bool) -> Self {
        let clock = Arc::new(ManualClock::jumping(start()));
        let further = [CHROMEOS_SCOPE].into_iter().filter(|_| chromeos);
        let scopes = ADMIN_SCOPES.into_iter().chain([LICENCE_SCOPE]).chain(MAILBOX_SCOPES);
        let scopes = scopes.chain(further);
        let scopes: Vec<&str> = scopes.map(|it| it.strip_prefix(SCOPE).unwrap()).collect();
        let mut api = Api::new(ADMIN, ACCOUNT, &scopes, &["engineers", "sales", "staff"]);
        api.add_sku("Google-Apps", "1010020027", "Business Starter", None);
        api.add_sku("Google-Apps", "1010020020", "Enterprise Plus", Some(1));
        api.roles.insert("31001".into(), "_GROUPS_ADMIN_ROLE".into());
        api.roles.insert("31002".into(), "_HELP_DESK_ADMIN_ROLE".into());
        let fake = Fake::new(api, clock.clone());
        let watched = Watched::new(documents, crate::suite::papers);
        let fake = watched.watch(fake);
        let server = fake.serve().expect("a free port");
        let transport = Arc::new(ReqwestTransport::new().expect("TLS"));
        Self { server, clock, transport, chromeos, _watched: watched }
    }

    pub(crate) fn fake(&self) -> &Fake<Api> {
        self.server.fake()
    }

    pub(crate) fn provider(&self, id: &str) -> Google {
        provider(id, &self.server.url(), &self.transport, self.chromeos)
    }

    /// The connector with the option, and a credential without the scope.
    pub(crate) fn short_of_a_scope(&self, id: &str) -> Google {
        provider(id, &self.server.url(), &self.transport, false).with_chromeos()
    }
}

fn provider(id: &str, url: &str, transport: &Arc<dyn Transport>, chromeos: bool) -> Google {
    let endpoint = format!("{url}/token");
    let signer = Arc::new(NoKey);
    let access = Delegated::over(transport.clone(), &endpoint, ACCOUNT, ADMIN, signer);
    let access = access.expect("a client").with_scope(LICENCE_SCOPE);
    let access = if chromeos { access.with_scope(CHROMEOS_SCOPE) } else { access };
    let made = Google::new(id.parse().expect("an id"), &Hosts::one(url), access)
        .and_then(|it| {
            let starter = ("Google-Apps", "1010020027", "Business Starter");
            let plus = ("Google-Apps", "1010020020", "Enterprise Plus");
            it.with_licences("C01", [starter, plus])
        })
        .expect("a connector");
    if chromeos { made.with_chromeos() } else { made }
}

/// A world for the suite.
pub(crate) fn world(documents: Option<&Documents>, chromeos: bool) -> World {
    let place = Place::of(documents, chromeos);
    let slow = |reason: &str| {
        let text = "Quota exceeded for quota metric 'Queries'.";
        let body = json!({ "error": { "code": 403, "message": text,
            "errors": [{ "domain": "usageLimits", "reason": reason, "message": text }] } });
        WireFault::Answer { status: 403, headers: Vec::new(), body: body.to_string() }
    };
    let (url, transport) = (place.server.url(), place.transport.clone());
    let door = Door(place.fake().clone(), place.clock.clone());
    let make = move || provider("google", &url, &transport, chromeos);
    World::of(Arc::new(make()))
        .clock(place.clock)
        .domain("corp.test")
        .scarce("licence/Google-Apps:1010020020".parse().expect("a key"))
        .canary(TOKEN)
        .throttled_by(slow("userRateLimitExceeded"))
        .throttled_by(slow("rateLimitExceeded"))
        .throttled_by(slow("quotaExceeded"))
        .backdoor(door)
        .restart(make)
        .renews_credential()
        .wire(place.server)
}

/// Another administrator.
pub(crate) struct Door(pub(crate) Fake<Api>, pub(crate) Arc<ManualClock>);

fn profile_of(account: &AccountState) -> Map<String, Value> {
    let texts: BTreeMap<&str, String> =
        account.attributes.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
    let mut profile = Map::new();
    let mut put = |name: &str, value: Value| profile.insert(name.to_owned(), value);
    put("primaryEmail", account.user_name.as_str().into());
    let name = |name: &str| texts.get(name).cloned().unwrap_or_else(|| "Name".to_owned());
    put("name", json!({ "givenName": name("given_name"), "familyName": name("family_name") }));
    let mut job = Map::new();
    for (ours, theirs) in [("title", "title"), ("department", "department")] {
        if let Some(text) = texts.get(ours) {
            job.insert(theirs.to_owned(), text.as_str().into());
        }
    }
    if !job.is_empty() {
        job.insert("primary".into(), true.into());
        put("organizations", json!([job]));
    }
    let mut ids = Vec::new();
    if let Some(owner) = &account.external_id {
        ids.push(json!({ "type": "organization", "value": owner.as_str() }));
    }
    if account.status == AccountStatus::Staged {
        ids.push(json!({ "type": "custom", "customType": "jml_status", "value": "staged" }));
    }
    put("externalIds", ids.into());
    profile
}

fn named(api: &Api, email: &str) -> AccountId {
    let hit = api.users.iter().find(|(_, it)| it.email() == email);
    hit.map_or(email, |(id, _)| id).parse().unwrap()
}

/// Whether ChromeOS devices are the connector's business here.
fn has_chromeos(api: &Api) -> bool {
    api.delegations.values().any(|scopes| scopes.contains(CHROMEOS_SCOPE))
}

/// An account as the connector would show it, from what the customer holds.
pub(crate) fn state(api: &Api, id: &str, user: &User) -> AccountState {
    let ids =
        user.profile.get("externalIds").and_then(Value::as_array).cloned().unwrap_or_default();
    let staged = ids.iter().any(|it| it["customType"] == "jml_status");
    let status = match (user.archived, user.suspended) {
        (true, _) => AccountStatus::Archived,
        (false, true) if staged => AccountStatus::Staged,
        (false, true) => AccountStatus::Disabled,
        (false, false) => AccountStatus::Active,
    };
    let mut state = AccountState::new(id.parse().unwrap(), user.email(), status);
    let owner = ids.iter().find(|it| it["type"] == "organization");
    state.external_id = owner.and_then(|it| it["value"].as_str()?.parse().ok());
    let profile = Value::Object(user.profile.clone());
    for (name, place) in [
        ("given_name", "/name/givenName"),
        ("family_name", "/name/familyName"),
        ("title", "/organizations/0/title"),
        ("department", "/organizations/0/department"),
    ] {
        if let Some(text) = profile.pointer(place).and_then(Value::as_str) {
            let value = jml_core::attribute::AttributeValue::text(text);
            state.attributes.insert(name.parse().unwrap(), value);
        }
    }
    let mut hold = |key: String| state.holdings.insert(key.parse().unwrap());
    for (group, _) in api.groups.iter().filter(|(_, it)| it.members.contains_key(id)) {
        hold(format!("group/{group}"));
    }
    for ((product, sku), _) in api.skus.iter().filter(|(_, it)| it.users.contains(id)) {
        hold(format!("licence/{product}:{sku}"));
    }
    for it in api.assignments.values().filter(|it| it.user == id) {
        let unit = it.unit.as_ref().map(|it| format!(":{it}")).unwrap_or_default();
        hold(format!("role/{}{unit}", it.role));
    }
    let count = |number: usize| u32::try_from(number).unwrap();
    let on = |it: &&Device| it.status == "APPROVED" && it.emails.contains(user.email());
    let works = |it: &&Chromebook| it.status == "ACTIVE" && it.annotated_user == user.email();
    let chromebooks = api.chromebooks.values().filter(works).filter(|_| has_chromeos(api)).count();
    let devices = api.devices.values().filter(on).count() + chromebooks;
    state.credentials = [
        (CredentialClass::Sessions, user.sessions),
        (CredentialClass::RefreshTokens, count(user.tokens.len())),
        (CredentialClass::AppPasswords, count(user.asps.len())),
        (CredentialClass::MfaFactors, u32::from(user.enrolled) + user.codes),
        (CredentialClass::Devices, count(devices)),
    ]
    .into();
    state.mailbox = user.mailbox.as_ref().map(|mailbox| Mailbox {
        auto_reply: mailbox
            .vacation
            .get("responseBodyPlainText")
            .and_then(|it| Some(it.as_str()?.into())),
        forward_to: mailbox.forward.as_ref().map(|it| named(api, it)),
        delegates: mailbox
            .delegates
            .difference(&mailbox.pending)
            .map(|it| named(api, it))
            .collect(),
        shared: false,
    });
    state.owns = user.files.iter().map(|it| it.as_str().into()).collect();
    state
}

#[async_trait]
impl Backdoor for Door {
    async fn put(&self, account: AccountState) -> AccountId {
        let now = self.1.now();
        self.0.with(|api| {
            let profile = profile_of(&account);
            let known = api.users.contains_key(account.id.as_str());
            let id =
                if known { account.id.to_string() } else { api.add_user(profile.clone(), now) };
            let held: BTreeSet<String> = account.holdings.iter().map(ToString::to_string).collect();
            for (name, group) in &mut api.groups {
                if held.contains(&format!("group/{name}")) {
                    group.members.insert(id.clone(), "MEMBER".into());
                } else {
                    group.members.remove(&id);
                }
            }
            for ((product, sku), it) in &mut api.skus {
                if held.contains(&format!("licence/{product}:{sku}")) {
                    it.users.insert(id.clone());
                } else {
                    it.users.remove(&id);
                }
            }
            let count = |class| account.credentials.get(&class).copied().unwrap_or(0);
            let email = account.user_name.to_string();
            api.devices.retain(|_, it| !it.emails.contains(&email));
            api.chromebooks.retain(|_, it| it.annotated_user != email);
            let chromeos = has_chromeos(api);
            for number in 0..count(CredentialClass::Devices) {
                if chromeos && number % 2 == 1 {
                    let (annotated_user, status) = (email.clone(), "ACTIVE".to_owned());
                    let made = Chromebook { annotated_user, status, ..Chromebook::default() };
                    api.chromebooks.insert(format!("c{id}{number}"), made);
                    continue;
                }
                let emails = [email.clone()].into();
                let device = Device { emails, status: "APPROVED".into() };
                api.devices.insert(format!("d{id}{number}"), device);
            }
            let user = api.users.get_mut(&id).unwrap();
            user.profile = profile;
            user.updated = now;
            user.archived = account.status == AccountStatus::Archived;
            user.suspended =
                matches!(account.status, AccountStatus::Staged | AccountStatus::Disabled);
            user.sessions = count(CredentialClass::Sessions);
            let factors = count(CredentialClass::MfaFactors);
            (user.enrolled, user.codes) = (factors > 0, factors.saturating_sub(1));
            let tokens = 0..count(CredentialClass::RefreshTokens);
            user.tokens = tokens.map(|n| format!("{n}.apps.test")).collect();
            user.asps = (0..i32::try_from(count(CredentialClass::AppPasswords)).unwrap()).collect();
            user.mailbox = account.mailbox.as_ref().map(|_| Box_::default());
            user.files = account.owns.iter().map(ToString::to_string).collect();
            // Whoever owns something has been there.
            user.last_login = (!user.files.is_empty()).then_some(now);
            id.parse().unwrap()
        })
    }

    async fn remove(&self, account: &AccountId) {
        let now = self.1.now();
        self.0.with(|api| api.delete_user(account.as_str(), now));
    }

    async fn truth(&self) -> Vec<AccountState> {
        let now = self.1.now();
        self.0.with(|api| {
            api.settle(now);
            api.users.iter().map(|(id, user)| state(api, id, user)).collect()
        })
    }

    /// Entries go by themselves, after 180 days.
    async fn forget_changes(&self) -> bool {
        self.1.advance(chrono::TimeDelta::days(181));
        true
    }
}
