#![doc = include_str!("../README.md")]

mod answers;
mod descriptor;
mod edges;
mod feed;
mod listing;
mod locks;
mod requests;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use jml_connector_kit::http::pages;
use jml_connector_kit::http::types::HeaderName;
use jml_connector_kit::{Client, Request, conclude};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, IdError, KindId, ProviderId};
use jml_core::provider::{
    Applied, Change, ChangePage, Cursor, Cx, Descriptor, Effect, Error, ErrorKind, Health,
    IdempotencyKey, ListRequest, ListScope, Observation, Operation, Outcome, Page, Provider,
    RefusalReason, Result, Row, SideEffect, Target, Verb, Watermark,
};
use serde::de::DeserializeOwned;

use answers::{Bound, DYNAMIC, Group, Kinds, Named, Results, State, User};
use window::{Listed, Shape};

/// A JumpCloud organisation.
#[derive(Debug)]
pub struct JumpCloud {
    console: Client,
    insights: Client,
    organization: Option<String>,
    locks: bool,
    /// Devices that were told to lock by a change that has not come through yet, by its key: a device of the same
    /// person that takes no lock must not make the others lock again, each time the change is tried.
    told: Mutex<BTreeMap<IdempotencyKey, BTreeSet<EntitlementId>>>,
    descriptor: Descriptor,
    kinds: Kinds,
}

impl JumpCloud {
    /// The organisation at two base URLs: that of the console (`https://console.jumpcloud.com`) and that of
    /// Directory Insights (`https://api.jumpcloud.com`); in Europe `console.eu` and `api.eu`. The clients carry
    /// the credential: an API key (`ApiKey` in `x-api-key`) or, better, a service account (`ClientCredentials`
    /// with `ClientAuth::Basic` and scope `api` at `https://admin-oauth.id.jumpcloud.com/oauth2/token`).
    ///
    /// # Errors
    /// [`IdError`], never in practice: the kinds are constants.
    pub fn new(
        id: ProviderId,
        console: Client,
        insights: Client,
    ) -> std::result::Result<Self, IdError> {
        let kinds = Kinds {
            group: KindId::new("group")?,
            dynamic_group: KindId::new("dynamic_group")?,
            app: KindId::new("app")?,
            system: KindId::new("system")?,
            sudo: KindId::new("sudo")?,
            device_group: KindId::new("device_group")?,
            directory: KindId::new("directory")?,
        };
        let descriptor = descriptor::descriptor(id, &kinds);
        let console = console.classifying(answers::classify);
        let insights = insights.classifying(answers::classify);
        Ok(Self {
            console,
            insights,
            organization: None,
            locks: false,
            told: Mutex::default(),
            descriptor,
            kinds,
        })
    }

    /// The same for one of several organisations of an administrator: its id goes with every request
    /// (`x-org-id`).
    #[must_use]
    pub fn organization(mut self, id: impl Into<String>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// The same where revoking devices locks those that a user is bound to directly. Off unless asked for: a lock
    /// meets everybody who uses the device, and JumpCloud does not say when it was carried out. Nothing is ever
    /// erased.
    #[must_use]
    pub fn locking_devices(mut self) -> Self {
        self.locks = true;
        descriptor::add_locks(&mut self.descriptor);
        self
    }

    /// A request as it is sent.
    fn named(&self, request: Request) -> Request {
        match &self.organization {
            Some(id) => request.header(HeaderName::from_static("x-org-id"), id),
            None => request,
        }
    }

    async fn fetch<T: DeserializeOwned>(&self, cx: &Cx, request: Request) -> Result<T> {
        self.console.fetch(cx, self.named(request)).await
    }

    async fn page<T: Listed>(
        &self,
        cx: &Cx,
        request: Request,
        shape: Shape,
        size: u32,
        link: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>)> {
        window::page(&self.console, cx, &self.named(request), shape, size, link).await
    }

    async fn all<T: Listed>(&self, cx: &Cx, request: Request) -> Result<Vec<T>> {
        window::all(&self.console, cx, &self.named(request), Shape::Plain).await
    }

    /// Sends a change.
    async fn sends(&self, cx: &Cx, request: Request) -> Result<Outcome> {
        self.console.change(cx, self.named(request)).await
    }

    /// What "not found" means. JumpCloud says it of a user and of an organisation alike, so nobody is gone before
    /// the organisation is known to be there.
    async fn or_lost<T>(&self, cx: &Cx, answered: Result<T>) -> Result<T> {
        let error = match answered {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            other => return other,
        };
        let Some(id) = &self.organization else { return Err(error) };
        let request = requests::list("systemusers").query("limit", 1);
        match self.console.send(cx, self.named(request)).await {
            Ok(_) => Err(error),
            Err(lost) if lost.kind() == ErrorKind::NotFound => {
                let text = format!("JumpCloud has no organisation `{id}` for this credential");
                Err(Error::new(ErrorKind::Configuration, text).with_applied(error.applied()))
            }
            Err(other) => Err(other.with_applied(error.applied())),
        }
    }

    async fn user(&self, cx: &Cx, id: &AccountId) -> Result<User> {
        self.fetch(cx, requests::user(object_id(id.as_str())?)).await
    }

    /// Who has a value in a field that is unique.
    async fn user_with(&self, cx: &Cx, field: &str, value: &str) -> Result<Option<User>> {
        let found: Results<User> = self.fetch(cx, requests::users_with(field, value)).await?;
        // A filter that is not understood must not name a stranger.
        if !found.results.iter().all(|it| it.says(field, value)) {
            let text = format!("a filter by {field} shows users with another one");
            return Err(Error::new(ErrorKind::ContractViolation, text).with_applied(Applied::No));
        }
        Ok(found.results.into_iter().next())
    }

    /// Who a target is, and everything about them; "not found" for nobody.
    async fn look(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let user = match target {
            Target::Account(id) => Some(self.user(cx, id).await?),
            Target::External { identity, user_name } => {
                let owned = self.user_with(cx, requests::OWNER, identity.as_str()).await?;
                match owned {
                    None if !user_name.is_empty() => {
                        let named = self.user_with(cx, "username", user_name).await?;
                        named.filter(|it| it.text(requests::OWNER).is_none())
                    }
                    owned => owned,
                }
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        match user {
            Some(user) => Ok(Observation::present(self.whole(cx, &user).await?)),
            None => Ok(Observation::Absent),
        }
    }

    /// Everything about a user.
    async fn whole(&self, cx: &Cx, user: &User) -> Result<AccountState> {
        let id = user.id.as_str();
        let mut state = user.account();
        let groups: Vec<Bound> = self.all(cx, requests::member_of(id)).await?;
        let mut dynamic = Vec::new();
        if !groups.is_empty() {
            // What a user is in does not say how that came.
            for method in DYNAMIC {
                let found: Vec<Group> = self.all(cx, requests::groups_by(method)).await?;
                // A filter that is not understood must not make a query of every group.
                dynamic.extend(found.into_iter().filter(Group::is_dynamic).map(|it| it.id));
            }
        }
        for group in groups {
            let group = EntitlementId::new(group.node.id).map_err(broken)?;
            let by_query = dynamic.contains(&group);
            let kind = if by_query { &self.kinds.dynamic_group } else { &self.kinds.group };
            state.holdings.insert(EntitlementKey::new(kind.clone(), group));
        }
        for kind in ["application", "system", "system_group"] {
            for edge in self.direct(cx, id, kind).await? {
                if let Some(thing) = self.kinds.key(&edge.to).map_err(broken)? {
                    state.holdings.extend(self.keys(&edge, &thing));
                }
            }
        }
        // Directories of every type in one answer; direct edges would be one for each type.
        let bound: Vec<Bound> = self.all(cx, requests::bound(id, "directories")).await?;
        for directory in bound.iter().filter(|it| it.is_direct()) {
            state.holdings.extend(self.kinds.key(&directory.node).map_err(broken)?);
        }
        let keys: Vec<Named> = self.fetch(cx, requests::ssh_keys(id)).await?;
        let phones: Vec<Named> = self.fetch(cx, requests::push_endpoints(id)).await?;
        let factors = phones.len() + usize::from(user.has_codes()) + user.stubborn_factors();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        state.credentials = [
            (CredentialClass::SshKeys, count(keys.len())),
            (CredentialClass::MfaFactors, count(factors)),
        ]
        .into();
        Ok(state)
    }

    /// JumpCloud says 400 or 409 both to a wrong value and to one that somebody else has. Who it is, a look
    /// shows.
    async fn or_taken(
        &self,
        cx: &Cx,
        error: Error,
        values: [(&str, Option<&str>); 3],
        except: Option<&AccountId>,
    ) -> Error {
        if !matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) {
            return error;
        }
        for (field, value) in values {
            let Some(value) = value else { continue };
            match self.user_with(cx, field, value).await {
                Ok(Some(user)) if Some(&user.id) != except => {
                    let text = format!("another user has this {field}: {}", user.id);
                    return Error::new(ErrorKind::AlreadyExists, text);
                }
                Ok(_) => {}
                // Then it stays as it was said.
                Err(_) => return error,
            }
        }
        error
    }

    async fn set_status(&self, cx: &Cx, id: &AccountId, to: AccountStatus) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        if user.state.ours() == to {
            return Ok(Outcome::unchanged());
        }
        let request = match (to, user.state) {
            (AccountStatus::Active, State::Staged) => requests::activate(id.as_str()),
            (AccountStatus::Active, _) => requests::set_state(id.as_str(), "ACTIVATED"),
            (AccountStatus::Disabled, _) => requests::set_state(id.as_str(), "SUSPENDED"),
            _ => {
                let text = format!("JumpCloud has no way back to `{}`", to.as_str());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        };
        self.sends(cx, request).await
    }

    async fn delete(&self, cx: &Cx, id: &AccountId) -> Result<Outcome> {
        let id = object_id(id.as_str())?;
        let reports = self.user_with(cx, "manager", id).await?.is_some();
        let outcome = self.sends(cx, requests::delete(id, reports)).await?;
        if !reports {
            return Ok(outcome);
        }
        let text = "who reported to the user reports to nobody now";
        Ok(outcome.with_side_effect(SideEffect::Other(text.into())))
    }

    async fn kill(
        &self,
        cx: &Cx,
        change: &Change,
        id: &AccountId,
        class: CredentialClass,
    ) -> Result<Outcome> {
        let user = object_id(id.as_str())?;
        match class {
            CredentialClass::SshKeys => {
                let keys: Vec<Named> = self.fetch(cx, requests::ssh_keys(user)).await?;
                let each = keys.iter().map(|key| requests::delete_ssh_key(user, &key.id));
                self.each(cx, each.collect()).await
            }
            CredentialClass::MfaFactors => {
                let shown = self.user(cx, id).await?;
                let phones: Vec<Named> = self.fetch(cx, requests::push_endpoints(user)).await?;
                let mut each = Vec::new();
                if shown.has_codes() {
                    each.push(requests::reset_mfa(user));
                }
                each.extend(phones.iter().map(|it| requests::delete_push_endpoint(user, &it.id)));
                let outcome = self.each(cx, each).await?;
                if shown.stubborn_factors() == 0 {
                    return Ok(outcome);
                }
                let text = "a security key or JumpCloud Go is enrolled; no call takes it away";
                let done =
                    if outcome.effect == Effect::Changed { Applied::Partly } else { Applied::No };
                let kind = ErrorKind::Refused(RefusalReason::Immutable);
                Err(Error::new(kind, text).with_applied(done))
            }
            CredentialClass::Devices if self.locks => {
                self.lock_devices(cx, &change.key, user).await
            }
            other => Err(Error::unsupported(Verb::RevokeCredentials(other))),
        }
    }

    /// Several requests for one change.
    async fn each(&self, cx: &Cx, requests: Vec<Request>) -> Result<Outcome> {
        let named = requests.into_iter().map(|it| self.named(it));
        self.console.change_each(cx, named.collect()).await
    }

    async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            let state = match status {
                AccountStatus::Active => "ACTIVATED",
                AccountStatus::Staged => "STAGED",
                AccountStatus::Disabled => "SUSPENDED",
                other => {
                    let text = format!("JumpCloud makes no user that is {}", other.as_str());
                    return Err(Error::new(ErrorKind::Invalid, text));
                }
            };
            self.descriptor.check_required(attributes)?;
            let request = requests::create(user_name, external_id.as_str(), state, attributes)?;
            return match self.fetch::<User>(cx, request).await {
                Ok(user) => Ok(Outcome::changed().with_account(user.id)),
                Err(error) => {
                    let email = attributes.iter().find(|it| it.0.as_str() == "email");
                    let email = email.map(|it| it.1.to_string());
                    let values = [
                        ("username", Some(user_name.as_str())),
                        (requests::OWNER, Some(external_id.as_str())),
                        ("email", email.as_deref()),
                    ];
                    Err(self.or_taken(cx, error, values, None).await)
                }
            };
        }
        let id = change.existing()?;
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                let user = object_id(id.as_str())?;
                let request = requests::update(user, user_name.as_deref(), set, clear)?;
                match self.sends(cx, request).await {
                    Err(error) => {
                        let email = set.iter().find(|it| it.0.as_str() == "email");
                        let email = email.map(|it| it.1.to_string());
                        let name = user_name.as_deref();
                        let values = [("username", name), ("email", email.as_deref()), ("", None)];
                        Err(self.or_taken(cx, error, values, Some(id)).await)
                    }
                    done => done,
                }
            }
            Operation::SetStatus { status } => self.set_status(cx, id, *status).await,
            Operation::DeleteAccount => self.delete(cx, id).await,
            Operation::RevokeCredentials { class } => self.kill(cx, change, id, *class).await,
            Operation::Grant { entitlement } => self.grant(cx, id, entitlement).await,
            Operation::Revoke { entitlement } => self.revoke(cx, id, entitlement).await,
            other => Err(Error::unsupported(other.verb())),
        }
    }
}

/// An id of JumpCloud, or "not found": it says 400 to others, which is what it says to wrong values too.
fn object_id(text: &str) -> Result<&str> {
    if text.len() == 24 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::NotFound, "JumpCloud's ids are of 24 hexadecimal digits"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn broken(error: IdError) -> Error {
    Error::new(ErrorKind::ContractViolation, error.to_string())
}

#[async_trait]
impl Provider for JumpCloud {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(requests::PAGE).clamp(1, requests::PAGE);
        match asked.scope {
            ListScope::Accounts => {
                let link = asked.cursor.as_ref().map(|Cursor(text)| text.as_str());
                let request = requests::list("systemusers");
                let (users, next) =
                    self.page::<User>(cx, request, Shape::Sorted, size, link).await?;
                let rows = users.iter().map(|it| Row::Account(Box::new(it.account())));
                pages(rows.collect(), asked, next)
            }
            ListScope::Holdings => self.holdings(cx, asked, size).await,
            ListScope::Entitlements => self.entitlements(cx, asked, size).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let read = self.look(cx, target).await;
        match self.or_lost(cx, read).await {
            // Never there, or deleted while we looked.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Observation::Absent),
            other => other,
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        let answered = self.or_lost(cx, answered).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let request = requests::list("systemusers").query("limit", 1);
        let response = self.console.send(cx, self.named(request)).await?;
        // Which role a credential has, JumpCloud does not say; a token's scope is always `api`.
        Ok(self.console.health(&self.descriptor, &response, |_, _| true))
    }

    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.events_since(cx, since).await
    }
}
