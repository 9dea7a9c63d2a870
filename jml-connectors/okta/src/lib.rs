#![doc = include_str!("../README.md")]

mod answers;
mod descriptor;
mod feed;
mod leave;
mod lifecycle;
mod listing;
mod requests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jml_connector_kit::{Client, Request, conclude};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, IdError, KindId, ProviderId};
use jml_core::provider::{
    Change, ChangePage, Cx, Descriptor, Error, ErrorKind, Health, ListRequest, ListScope,
    Observation, Operation, Outcome, Page, PendingRef, Provider, RefusalReason, Result, Row,
    Target, Watermark,
};
use serde::de::DeserializeOwned;

use answers::{
    ApiToken, App, Assignment, Group, Kinds, Named, OAuthClient, Role, User, UserDevice,
};

/// Containers that are walked for who holds what: groups, applications, administrators.
const STAGES: usize = 3;

/// An Okta organisation.
#[derive(Debug)]
pub struct Okta {
    client: Client,
    descriptor: Descriptor,
    kinds: Kinds,
    owner: String,
}

impl Okta {
    /// The organisation at the client's base URL (`https://example.okta.com`). The client carries the
    /// credential: an API token (`ApiKey` in `Authorization`, behind `SSWS `) or, better, a service
    /// application (`ClientCredentials` with a signed assertion at `/oauth2/v1/token`).
    ///
    /// # Errors
    /// [`IdError`], never in practice: the kinds are constants.
    pub fn new(id: ProviderId, client: Client) -> std::result::Result<Self, IdError> {
        let kinds = Kinds {
            group: KindId::new("group")?,
            managed_group: KindId::new("managed_group")?,
            app: KindId::new("app")?,
            role: KindId::new("role")?,
        };
        let descriptor = descriptor::descriptor(id, &kinds);
        let client = client.classifying(answers::classify);
        Ok(Self { client, descriptor, kinds, owner: "employeeNumber".to_owned() })
    }

    /// The same with another member of the profile for the identity that an account belongs to.
    /// `employeeNumber` unless told otherwise.
    #[must_use]
    pub fn owner_in(mut self, field: impl Into<String>) -> Self {
        self.owner = field.into();
        self
    }

    fn account(&self, user: &User) -> AccountState {
        user.account(&self.owner)
    }

    /// Something of a user that not every organisation has; `None` where it does not.
    async fn optional<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        request: Request,
    ) -> Result<Option<Vec<T>>> {
        match self.client.all_linked(cx, request).await {
            Ok(all) => Ok(Some(all)),
            // Not bought, or not allowed: then nobody can say how many there are.
            Err(error)
                if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What "not found" means of something that lies below a user: that the user is gone, or nothing. Taken for
    /// the former, everything that should be taken from a living user would count as taken.
    async fn below<T>(&self, cx: &Cx, user: &str, answered: Result<T>) -> Result<T> {
        let error = match answered {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            other => return other,
        };
        match self.client.find::<User>(cx, requests::user(user)).await? {
            None => Err(error),
            Some(_) => {
                let text = format!("of a user who is there, Okta says: {}", error.message());
                let path = error.context("path").unwrap_or_default().to_owned();
                let other = Error::new(ErrorKind::ContractViolation, text);
                Err(other.with_applied(error.applied()).with_context("path", path))
            }
        }
    }

    /// Administrator roles, however they were given.
    async fn roles(&self, cx: &Cx, user: &str) -> Result<Vec<Role>> {
        let roles = self.client.all_linked(cx, requests::of_user(user, "roles")).await;
        self.below(cx, user, roles).await
    }

    /// The applications that were given to the user, and not to a group.
    async fn apps(&self, cx: &Cx, user: &str) -> Result<Vec<EntitlementKey>> {
        let apps: Vec<App> = self.client.all_linked(cx, requests::apps_of(user)).await?;
        let mut direct = Vec::new();
        for app in apps {
            let is = match app.assignment() {
                Some(assignment) => assignment.is_direct(),
                None => {
                    let request = requests::assignment(app.id.as_str(), user);
                    let held: Option<Assignment> = self.client.find(cx, request).await?;
                    held.is_some_and(|it| it.is_direct())
                }
            };
            if is {
                direct.push(EntitlementKey::new(self.kinds.app.clone(), app.id));
            }
        }
        Ok(direct)
    }

    async fn devices(&self, cx: &Cx, user: &str) -> Result<Option<Vec<UserDevice>>> {
        let devices = self.optional::<UserDevice>(cx, requests::of_user(user, "devices")).await?;
        Ok(devices.map(|all| all.into_iter().filter(|it| it.device.is_trusted()).collect()))
    }

    async fn api_tokens(&self, cx: &Cx, user: &str) -> Result<Option<Vec<ApiToken>>> {
        let tokens = self.optional::<ApiToken>(cx, requests::api_tokens()).await?;
        Ok(tokens.map(|all| all.into_iter().filter(|it| it.user == user).collect()))
    }

    /// Everything about a user.
    async fn whole(&self, cx: &Cx, user: &User) -> Result<AccountState> {
        let id = user.id.as_str();
        let mut state = self.account(user);
        let groups: Vec<Group> =
            self.client.all_linked(cx, requests::of_user(id, "groups")).await?;
        state.holdings.extend(groups.iter().map(|group| group.key(&self.kinds)));
        state.holdings.extend(self.apps(cx, id).await?);
        let roles = self.roles(cx, id).await?;
        let direct = roles.iter().filter(|role| role.is_direct());
        state.holdings.extend(
            direct.map(|role| EntitlementKey::new(self.kinds.role.clone(), role.name().clone())),
        );
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let factors = self.optional::<Named>(cx, requests::of_user(id, "factors")).await?;
        let clients = self.optional::<OAuthClient>(cx, requests::of_user(id, "clients")).await?;
        let clients = clients.map(|all| {
            let ids: BTreeSet<String> = all.into_iter().map(|it| it.client_id).collect();
            ids.len()
        });
        for (class, number) in [
            (CredentialClass::MfaFactors, factors.map(|all| all.len())),
            (CredentialClass::RefreshTokens, clients),
            (CredentialClass::Devices, self.devices(cx, id).await?.map(|all| all.len())),
            (CredentialClass::ApiKeys, self.api_tokens(cx, id).await?.map(|all| all.len())),
        ] {
            if let Some(number) = number {
                state.credentials.insert(class, count(number));
            }
        }
        Ok(state)
    }

    /// The user who says that they are an identity's.
    async fn owned(&self, cx: &Cx, identity: &jml_core::id::IdentityId) -> Result<Option<User>> {
        let found: Vec<User> =
            self.client.fetch(cx, requests::owned_by(&self.owner, identity)).await?;
        Ok(found.into_iter().find(|it| it.text(&self.owner) == Some(identity.as_str())))
    }

    /// The user of an identity, by login first: that is looked up where it was written.
    async fn by_owner(
        &self,
        cx: &Cx,
        identity: &jml_core::id::IdentityId,
        login: &str,
    ) -> Result<Option<User>> {
        let by_login: Option<User> = if login.is_empty() {
            None
        } else {
            self.client.find(cx, requests::user(login)).await?
        };
        let says = by_login.as_ref().and_then(|user| user.text(&self.owner));
        if says == Some(identity.as_str()) {
            return Ok(by_login);
        }
        let nobodys = says.is_none();
        Ok(self.owned(cx, identity).await?.or_else(|| by_login.filter(|_| nobodys)))
    }

    async fn grant(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        let (what, user) = (key.id.as_str(), id.as_str());
        if key.kind == self.kinds.app {
            return self.client.change(cx, requests::assign(what, user)).await;
        }
        if key.kind == self.kinds.group {
            return self.client.change(cx, requests::join(what, user)).await;
        }
        if !descriptor::ROLES.iter().any(|(role, _)| *role == what) {
            let _: Named = self.client.fetch(cx, requests::custom_role(what)).await?;
            let roles = self.roles(cx, user).await?;
            if roles.iter().any(|role| role.is_direct() && *role.name() == key.id) {
                return Ok(Outcome::unchanged());
            }
            let text = "a custom role is given for a set of resources, which no entitlement names; give it by hand";
            return Err(Error::new(ErrorKind::Refused(RefusalReason::Policy), text));
        }
        match self.client.change(cx, requests::add_role(user, what)).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let roles = self.roles(cx, user).await?;
                if roles.iter().any(|role| role.is_direct() && *role.name() == key.id) {
                    return Ok(Outcome::unchanged());
                }
                let text = "the role comes with a group; it stays as long as the group";
                Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
            }
            other => other,
        }
    }

    async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            let active = match status {
                AccountStatus::Active => true,
                AccountStatus::Staged => false,
                other => {
                    let text = format!("a user is made staged or active, not {}", other.as_str());
                    return Err(Error::new(ErrorKind::Invalid, text));
                }
            };
            self.descriptor.check_required(attributes)?;
            let request =
                requests::create(user_name, (&self.owner, external_id), attributes, active)?;
            // One login is taken only once, and one person could get two.
            if let Some(user) = self.owned(cx, external_id).await? {
                return Ok(Outcome::unchanged().with_account(user.id));
            }
            let user: User = self.client.fetch(cx, request).await?;
            return Ok(Outcome::changed().with_account(user.id));
        }
        let id = change.existing()?;
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                let name = user_name.as_deref();
                let request = requests::update(id.as_str(), &self.owner, name, set, clear)?;
                self.client.change(cx, request).await
            }
            Operation::SetStatus { status } => self.set_status(cx, id, *status).await,
            Operation::DeleteAccount => self.delete(cx, id).await,
            Operation::RevokeCredentials { class } => {
                let killed = self.kill(cx, id, *class).await;
                self.below(cx, id.as_str(), killed).await
            }
            Operation::Grant { entitlement } => {
                self.descriptor.check_mutable(entitlement)?;
                self.grant(cx, id, entitlement).await
            }
            Operation::Revoke { entitlement } => {
                self.descriptor.check_mutable(entitlement)?;
                self.revoke(cx, id, entitlement).await
            }
            other => Err(Error::unsupported(other.verb())),
        }
    }
}

fn entitlement(id: &str) -> Result<EntitlementId> {
    EntitlementId::new(id).map_err(|e| Error::new(ErrorKind::ContractViolation, e.to_string()))
}

#[async_trait]
impl Provider for Okta {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(requests::USERS).clamp(1, requests::USERS);
        match asked.scope {
            ListScope::Accounts => {
                let row = |user: User| Row::Account(Box::new(self.account(&user)));
                self.client.listing_by_header(cx, asked, requests::users(size), row).await
            }
            ListScope::Holdings => self.holdings(cx, asked, size).await,
            ListScope::Entitlements => self.entitlements(cx, asked, size).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let user: Option<User> = match target {
            Target::Account(id) => self.client.find(cx, requests::user(id.as_str())).await?,
            Target::External { identity, user_name } => {
                self.by_owner(cx, identity, user_name).await?
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        let Some(user) = user else { return Ok(Observation::Absent) };
        // A login is no id.
        if matches!(target, Target::Account(id) if *id != user.id) {
            return Ok(Observation::Absent);
        }
        let whole = self.whole(cx, &user).await;
        match self.below(cx, user.id.as_str(), whole).await {
            Ok(state) => Ok(Observation::present(state)),
            // Deleted while we looked.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Observation::Absent),
            Err(error) => Err(error),
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.client.send(cx, requests::users(1)).await?;
        // Who may manage may look.
        let implied = |has: &str, needs: &str| {
            let family = has.strip_suffix(".manage");
            family.is_some_and(|it| needs.strip_suffix(".read") == Some(it))
        };
        Ok(self.client.health(&self.descriptor, &response, implied))
    }

    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.since(cx, since).await
    }

    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.ask_for(cx, pending).await
    }
}
