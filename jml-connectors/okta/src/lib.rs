#![doc = include_str!("../README.md")]

mod answers;
mod descriptor;
mod feed;
mod leave;
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
    Observation, Operation, Outcome, Page, Provider, Result, Row, SideEffect, Target, Watermark,
};
use serde::de::DeserializeOwned;

use answers::{ApiToken, App, Group, Kinds, Named, OAuthClient, Role, Status, User, UserDevice};

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

    async fn roles(&self, cx: &Cx, user: &str) -> Result<Vec<Role>> {
        self.client.all_linked(cx, requests::of_user(user, "roles")).await
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
        let apps: Vec<App> = self.client.all_linked(cx, requests::apps_of(id)).await?;
        let direct = apps.into_iter().filter(App::is_direct);
        state
            .holdings
            .extend(direct.map(|app| EntitlementKey::new(self.kinds.app.clone(), app.id)));
        let roles = self.roles(cx, id).await?.into_iter();
        state
            .holdings
            .extend(roles.map(|role| EntitlementKey::new(self.kinds.role.clone(), role.kind)));
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
        let says = |user: &User| user.text(&self.owner).map(str::to_owned);
        if let Some(user) = &by_login
            && says(user).as_deref() == Some(identity.as_str())
        {
            return Ok(by_login);
        }
        let found: Vec<User> =
            self.client.fetch(cx, requests::owned_by(&self.owner, identity)).await?;
        let mine = found.into_iter().find(|it| says(it).as_deref() == Some(identity.as_str()));
        Ok(mine.or_else(|| by_login.filter(|user| says(user).is_none())))
    }

    async fn set_status(&self, cx: &Cx, id: &AccountId, to: AccountStatus) -> Result<Outcome> {
        let user: User = self.client.fetch(cx, requests::user(id.as_str())).await?;
        if user.status.ours() == to {
            return Ok(Outcome::unchanged());
        }
        let what = match (to, user.status) {
            (AccountStatus::Active, Status::Suspended) => "unsuspend",
            (AccountStatus::Active, _) => "activate",
            (AccountStatus::Disabled, Status::Deprovisioned) => return Ok(Outcome::unchanged()),
            (AccountStatus::Disabled, Status::Active) => "suspend",
            // Only who is active can be suspended. Anybody else can only be deactivated, which is more.
            (AccountStatus::Disabled | AccountStatus::Archived, _) => "deactivate",
            _ => {
                let text = format!("Okta has no way back to `{}`", to.as_str());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        };
        let mut outcome = self.client.change(cx, requests::lifecycle(id.as_str(), what)).await?;
        if what == "deactivate" {
            let text = "every application was deprovisioned";
            outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
        }
        Ok(outcome)
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
                requests::create(user_name, (&self.owner, external_id), attributes, active);
            let user: User = self.client.fetch(cx, request).await?;
            return Ok(Outcome::changed().with_account(user.id));
        }
        let id = change.existing()?;
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                let request = requests::update(id.as_str(), user_name.as_deref(), set, clear);
                self.client.change(cx, request).await
            }
            Operation::SetStatus { status } => self.set_status(cx, id, *status).await,
            Operation::DeleteAccount => {
                // The first call deletes who is deprovisioned, and deprovisions anybody else.
                self.client.change(cx, requests::delete(id.as_str())).await?;
                match self.client.change(cx, requests::delete(id.as_str())).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::changed()),
                    other => other.map_err(Error::partly),
                }
            }
            Operation::RevokeCredentials { class } => self.kill(cx, id, *class).await,
            Operation::Grant { entitlement } => {
                self.descriptor.check_mutable(entitlement)?;
                let (what, user) = (entitlement.id.as_str(), id.as_str());
                let request = match entitlement.kind.as_str() {
                    "app" => requests::assign(what, user),
                    "role" => requests::add_role(user, what),
                    _ => requests::join(what, user),
                };
                self.client.change(cx, request).await
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
        match self.whole(cx, &user).await {
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
}
