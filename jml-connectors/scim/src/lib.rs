#![doc = include_str!("../README.md")]
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

mod answers;
mod bulk;
mod capabilities;
mod pages;
mod requests;

use async_trait::async_trait;
use jml_connector_kit::{Client, conclude};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdError, IdentityId, KindId, ProviderId};
use jml_core::provider::{
    Change, Consistency, Cx, Descriptor, EntitlementKind, Error, ErrorKind, Expect, Health,
    HoldingRecord, Idempotency, Limits, ListRequest, ListScope, Observation, Operation, Outcome,
    Page, Provider, Result, Row, Target, Verb, VerbSupport,
};
use serde_json::{Map, Value, json};

use answers::Resource;
pub use capabilities::{Capabilities, MemberRemoval};

/// A SCIM server.
#[derive(Debug)]
pub struct Scim {
    client: Client,
    descriptor: Descriptor,
    able: Capabilities,
    group: KindId,
    /// Without PATCH, a resource is read, changed and written whole: one at a time.
    whole: async_lock::Mutex<()>,
}

impl Scim {
    /// A server at the client's base URL (`https://example.com/scim/v2`), which can do so much.
    ///
    /// # Errors
    /// [`IdError`], never in practice: the kind is a constant.
    pub fn new(
        id: ProviderId,
        client: Client,
        able: Capabilities,
    ) -> std::result::Result<Self, IdError> {
        let group = KindId::new("group")?;
        let needs = |what: &str| VerbSupport::native().with_permission(what);
        let mut descriptor = Descriptor::new(id, "SCIM 2.0", env!("CARGO_PKG_VERSION"))
            .with_kind(group.clone(), EntitlementKind::many("Group"))
            .with_verb(
                Verb::CreateAccount,
                needs("create users").with_idempotency(Idempotency::CheckFirst),
            )
            .with_verbs([Verb::UpdateAccount, Verb::SetStatus], &needs("change users"))
            .with_verbs([Verb::Grant, Verb::Revoke], &needs("change groups"))
            .with_statuses([AccountStatus::Active, AccountStatus::Disabled])
            .reading_with(["read users", "read groups"])
            .with_consistency(Consistency::Immediate)
            .with_limits(Limits::new(4, able.page))
            .listing_wide();
        if able.deletes {
            descriptor = descriptor.with_verb(Verb::DeleteAccount, needs("delete users"));
        }
        if able.etag {
            descriptor = descriptor.checking_versions();
        }
        let client = client.classifying(answers::classify);
        Ok(Self { client, descriptor, able, group, whole: async_lock::Mutex::new(()) })
    }

    /// A server that is asked what it can do.
    ///
    /// # Errors
    /// As [`Capabilities::discover`].
    pub async fn discover(cx: &Cx, id: ProviderId, client: Client) -> Result<Self> {
        let able = Capabilities::discover(cx, &client).await?;
        Self::new(id, client, able).map_err(|e| Error::new(ErrorKind::Configuration, e.to_string()))
    }

    /// The groups of a user. One that shows none may be in none, or the server never shows them.
    async fn groups_of(&self, cx: &Cx, user: &Resource) -> Result<Vec<EntitlementKey>> {
        if let Some(shown) = user.groups(&self.group) {
            return Ok(shown);
        }
        let has = |group: &Resource| group.members().contains(&user.id);
        let found = if self.able.filter {
            let filtered = requests::groups_of(user.id.as_str());
            match self.search(cx, filtered, usize::MAX, has).await {
                // It does not take this filter.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported) =>
                {
                    None
                }
                found => Some(found?),
            }
        } else {
            None
        };
        let found = match found {
            Some(found) => found,
            None => self.search(cx, requests::list("Groups"), usize::MAX, has).await?,
        };
        found.iter().map(|it| it.key(&self.group)).collect()
    }

    async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let row = |group: Resource| -> Result<Vec<Row>> {
            let entitlement = group.key(&self.group)?;
            let row = |account| HoldingRecord { account, entitlement: entitlement.clone() };
            Ok(group.members().into_iter().map(|account| Row::Holding(row(account))).collect())
        };
        self.page(cx, asked, requests::list("Groups"), size, row).await
    }

    async fn whole(&self, cx: &Cx, user: &Resource) -> Result<AccountState> {
        let mut state = user.account(self.able.etag);
        state.holdings.extend(self.groups_of(cx, user).await?);
        Ok(state)
    }

    /// The user who carries an identity's id.
    async fn owned(&self, cx: &Cx, identity: &IdentityId) -> Result<Option<Resource>> {
        let is = |it: &Resource| it.text("externalId") == Some(identity.as_str());
        let all = || requests::list("Users");
        let first = if self.able.filter { requests::owned_by(identity) } else { all() };
        Ok(self.search(cx, first, 1, is).await?.into_iter().next())
    }

    /// The user of an identity, or the one of that name who is nobody's.
    async fn by_owner(
        &self,
        cx: &Cx,
        identity: &IdentityId,
        name: &str,
    ) -> Result<Option<Resource>> {
        if let Some(user) = self.owned(cx, identity).await? {
            return Ok(Some(user));
        }
        let is = |it: &Resource| {
            let named = it.text("userName").is_some_and(|it| it.eq_ignore_ascii_case(name));
            named && it.text("externalId").is_none()
        };
        let all = || requests::list("Users");
        let first = if self.able.filter { requests::named(name) } else { all() };
        Ok(self.search(cx, first, 1, is).await?.into_iter().next())
    }

    /// Refuses what is about a user of another version: memberships lie in groups, whose versions say nothing of
    /// it, and so they can only be compared.
    async fn check_version(&self, cx: &Cx, id: &AccountId, version: Option<&str>) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        let user: Resource = self.client.fetch(cx, requests::user(id.as_str())).await?;
        if user.version() == Some(version) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "the user has another version"))
    }

    /// PATCH, or for a server without it the whole resource with the change in it.
    async fn patch(
        &self,
        cx: &Cx,
        what: &str,
        id: &str,
        operations: &[Value],
        version: Option<&str>,
    ) -> Result<Outcome> {
        if self.able.patch {
            return self.client.change(cx, requests::patch(what, id, operations, version)).await;
        }
        let _one_at_a_time = self.whole.lock().await;
        let request = if what == "Groups" { requests::group(id) } else { requests::user(id) };
        let now: Resource = self.client.fetch(cx, request).await?;
        // Another process may write between reading and writing; where there are tags, that is noticed.
        let version =
            version.or_else(|| now.version().filter(|_| self.able.etag)).map(str::to_owned);
        let mut body = now.whole();
        operations.iter().for_each(|it| replay(&mut body, it));
        if body == now.whole() {
            return Ok(Outcome::unchanged());
        }
        self.client.change(cx, requests::replace(what, id, body, version.as_deref())).await
    }

    /// What a change comes to as PATCH operations on one resource, where it does.
    fn operations(&self, change: &Change) -> Result<Option<(&'static str, String, Vec<Value>)>> {
        let id = change.existing()?.as_str();
        Ok(match &change.op {
            Operation::SetStatus { status } => {
                Some(("Users", id.to_owned(), requests::activate(status.can_sign_in())))
            }
            Operation::Grant { entitlement } | Operation::Revoke { entitlement } => {
                self.descriptor.check_mutable(entitlement)?;
                let is = matches!(change.op, Operation::Grant { .. });
                let operations = requests::member(id, is, self.able.removal);
                Some(("Groups", entitlement.id.to_string(), operations))
            }
            _ => None,
        })
    }

    async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            self.descriptor.check_required(attributes)?;
            let request =
                requests::create(user_name, external_id, status.can_sign_in(), attributes)?;
            // One name is taken only once, and one person could get two.
            if let Some(user) = self.owned(cx, external_id).await? {
                return Ok(Outcome::unchanged().with_account(user.id));
            }
            let user: Resource = self.client.fetch(cx, request).await?;
            return Ok(Outcome::changed().with_account(user.id));
        }
        let version = match &change.expect {
            Expect::Version(version) if self.able.etag => Some(version.as_str()),
            _ => None,
        };
        let id = change.existing()?;
        if let Some((what, of, operations)) = self.operations(change)? {
            if what == "Groups" {
                self.check_version(cx, id, version).await?;
            }
            if matches!(change.op, Operation::Grant { .. }) && version.is_none() {
                // Many servers take any text for a member.
                let _: Resource = self.client.fetch(cx, requests::exists(id.as_str())).await?;
            }
            let version = version.filter(|_| what == "Users");
            return self.patch(cx, what, &of, &operations, version).await;
        }
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                let now: Resource = self.client.fetch(cx, requests::user(id.as_str())).await?;
                match requests::update(&now.body, user_name.as_deref(), set, clear)? {
                    None => Ok(Outcome::unchanged()),
                    Some(operations) => {
                        let seen = now.version().filter(|_| self.able.etag);
                        let version = version.or(seen);
                        self.patch(cx, "Users", id.as_str(), &operations, version).await
                    }
                }
            }
            Operation::DeleteAccount => {
                self.client.change(cx, requests::delete(id.as_str(), version)).await
            }
            other => Err(Error::unsupported(other.verb())),
        }
    }
}

/// One of our own PATCH operations on a resource, for a server that knows only PUT.
fn replay(body: &mut Map<String, Value>, operation: &Value) {
    let path = operation["path"].as_str().unwrap_or_default();
    let value = operation["value"].clone();
    if path.starts_with("members") {
        let members = body.entry("members").or_insert_with(|| json!([]));
        let Some(members) = members.as_array_mut() else { return };
        let of = |it: &Value| it["value"].as_str().map(str::to_owned);
        let named: Vec<String> = match path.split_once("[value eq ") {
            Some((_, rest)) => serde_json::from_str::<String>(rest.trim_end_matches(']'))
                .ok()
                .into_iter()
                .collect(),
            None => value.as_array().into_iter().flatten().filter_map(of).collect(),
        };
        members.retain(|it| !named.iter().any(|id| it["value"] == id.as_str()));
        if operation["op"] == "add" {
            members.extend(named.into_iter().map(|id| json!({ "value": id })));
        }
        return;
    }
    let mut set = |object: &str, name: &str| {
        let object = body.entry(object.to_owned()).or_insert_with(|| json!({}));
        if let Some(object) = object.as_object_mut() {
            if value.is_null() {
                object.remove(name);
            } else {
                object.insert(name.to_owned(), value.clone());
            }
        }
    };
    if let Some(name) = path.strip_prefix(requests::ENTERPRISE) {
        set(requests::ENTERPRISE, name.trim_start_matches(':'));
    } else if let Some((object, name)) = path.split_once('.') {
        set(object, name);
    } else if value.is_null() {
        body.remove(path);
    } else {
        body.insert(path.to_owned(), value);
    }
}

#[async_trait]
impl Provider for Scim {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(self.able.page).clamp(1, self.able.page);
        match asked.scope {
            ListScope::Accounts => {
                let row =
                    |user: Resource| Ok(vec![Row::Account(Box::new(user.account(self.able.etag)))]);
                self.page(cx, asked, requests::list("Users"), size, row).await
            }
            ListScope::Entitlements => {
                let row = |group: Resource| {
                    let title = group.text("displayName").unwrap_or_default();
                    let key = group.key(&self.group)?;
                    Ok(vec![Row::entitlement(key, title)])
                };
                self.page(cx, asked, requests::list("Groups"), size, row).await
            }
            ListScope::Holdings => self.holdings(cx, asked, size).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let user = match target {
            Target::Account(id) => self.client.find(cx, requests::user(id.as_str())).await?,
            Target::External { identity, user_name } => {
                self.by_owner(cx, identity, user_name).await?
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        match user {
            None => Ok(Observation::Absent),
            Some(user) => Ok(Observation::present(self.whole(cx, &user).await?)),
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.client.send(cx, requests::list("Users").query("count", 1)).await?;
        Ok(self.client.health(&self.descriptor, &response, |_, _| true))
    }

    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        self.in_bulks(cx, changes).await
    }
}
