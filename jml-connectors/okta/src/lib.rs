#![doc = include_str!("../README.md")]

mod answers;
mod descriptor;
mod requests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jml_connector_kit::http::{Step, Sweep, link_next};
use jml_connector_kit::{Client, Request, conclude};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, IdError, KindId, ProviderId};
use jml_core::provider::{
    Applied, Change, ChangePage, ChangeRow, Cx, Descriptor, Effect, EntitlementRecord, Error,
    ErrorKind, Health, HoldingRecord, ListRequest, ListScope, Observation, Operation, Outcome,
    Page, Provider, RefusalReason, Result, Row, SideEffect, Target, Watermark,
};
use serde::de::DeserializeOwned;

use answers::{
    Administrators, ApiToken, App, Assignment, Group, Kinds, LogEvent, Named, OAuthClient, Role,
    Rule, Status, User, UserDevice,
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

    async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let result = match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let first = requests::containers("groups", 200);
                let (found, link) = self.client.linked::<Group>(cx, first, link).await?;
                let found = found.iter().map(|it| it.key(&self.kinds).to_string()).collect();
                return next.containers(asked, STAGES, found, link);
            }
            Step::Containers { stage: 1, link } => {
                let first = requests::containers("apps", 200);
                let (found, link) = self.client.linked::<App>(cx, first, link).await?;
                let found = found.into_iter().map(|it| format!("app/{}", it.id)).collect();
                return next.containers(asked, STAGES, found, link);
            }
            Step::Containers { link, .. } => {
                let request = link.map_or_else(requests::administrators, Request::follow);
                let found: Administrators = self.client.fetch(cx, request).await?;
                let link = found.next();
                let found = found.value.into_iter().map(|it| it.id).collect();
                return next.containers(asked, STAGES, found, link);
            }
            Step::Members { stage: stage @ (0 | 1), container, link } => {
                let key: EntitlementKey = container.parse().map_err(|_| not_ours())?;
                self.members_of(cx, stage, &key, size, link).await
            }
            Step::Members { container, .. } => {
                let account = AccountId::new(container).map_err(|_| not_ours())?;
                let roles = self.roles(cx, container).await;
                roles.map(|roles| {
                    let rows = roles.into_iter().map(|role| {
                        let key = EntitlementKey::new(self.kinds.role.clone(), role.kind);
                        holding(account.clone(), key)
                    });
                    (rows.collect(), None)
                })
            }
            _ => return Err(not_ours()),
        };
        match result {
            Ok((rows, link)) => next.members(asked, STAGES, rows, link),
            // The group was deleted since it was named.
            Err(error) if error.kind() == ErrorKind::NotFound => next.skip(asked, STAGES),
            Err(error) => Err(error),
        }
    }

    async fn members_of(
        &self,
        cx: &Cx,
        stage: usize,
        key: &EntitlementKey,
        size: u32,
        link: Option<&str>,
    ) -> Result<(Vec<Row>, Option<String>)> {
        if stage == 0 {
            let first = requests::members("groups", key.id.as_str(), size);
            let (found, link) = self.client.linked::<User>(cx, first, link).await?;
            let rows = found.into_iter().map(|user| holding(user.id, key.clone()));
            return Ok((rows.collect(), link));
        }
        let first = requests::members("apps", key.id.as_str(), size);
        let (found, link) = self.client.linked::<Assignment>(cx, first, link).await?;
        let direct = found.into_iter().filter(Assignment::is_direct);
        Ok((direct.map(|it| holding(it.id, key.clone())).collect(), link))
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
        let mut outcome = self.sends(cx, requests::lifecycle(id.as_str(), what)).await?;
        if what == "deactivate" {
            let text = "every application was deprovisioned";
            outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
        }
        Ok(outcome)
    }

    async fn revoke(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            let outcome = self.sends(cx, requests::leave(what, user)).await?;
            // What fails from here on fails after the change.
            let groups = self.client.all_linked(cx, requests::of_user(user, "groups")).await;
            let groups: Vec<Group> = groups.map_err(partly)?;
            if groups.iter().any(|group| group.id == key.id) {
                let rules = self.client.all_linked(cx, requests::rules()).await;
                let rules: Vec<Rule> = rules.map_err(partly)?;
                if let Some(rule) = rules.iter().find(|rule| rule.fills(what, user)) {
                    let text = format!(
                        "the group rule `{}` puts them back; change the rule, the attribute it reads, or \
                         exclude them from it",
                        rule.name
                    );
                    let kind = ErrorKind::Refused(RefusalReason::Immutable);
                    return Err(Error::new(kind, text).with_applied(Applied::No));
                }
            }
            return Ok(outcome);
        }
        if key.kind == self.kinds.app {
            let held: Option<Assignment> =
                self.client.find(cx, requests::assignment(what, user)).await?;
            return match held {
                None => Ok(Outcome::unchanged()),
                Some(it) if it.is_direct() => self.sends(cx, requests::unassign(what, user)).await,
                Some(_) => {
                    let text = "the application comes with a group; take the group";
                    Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
                }
            };
        }
        let roles = self.roles(cx, user).await?;
        match roles.iter().find(|role| role.kind == key.id) {
            None => Ok(Outcome::unchanged()),
            Some(role) => self.sends(cx, requests::remove_role(user, &role.id)).await,
        }
    }

    async fn kill(&self, cx: &Cx, id: &AccountId, class: CredentialClass) -> Result<Outcome> {
        let user = id.as_str();
        match class {
            CredentialClass::Sessions => self.sends(cx, requests::end_sessions(user, false)).await,
            CredentialClass::RefreshTokens => {
                self.sends(cx, requests::end_sessions(user, true)).await?;
                self.sends(cx, requests::end_grants(user)).await.map_err(partly)
            }
            CredentialClass::MfaFactors => {
                self.sends(cx, requests::lifecycle(user, "reset_factors")).await
            }
            CredentialClass::ApiKeys => {
                let tokens = self.api_tokens(cx, user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorKind::PermissionDenied,
                        "API tokens may not be listed: okta.apiTokens.read",
                    )
                })?;
                let each = tokens.iter().map(|token| requests::revoke_api_token(&token.id));
                self.each(cx, each.collect()).await
            }
            CredentialClass::Devices => {
                let devices = self.devices(cx, user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorKind::PermissionDenied,
                        "devices may not be listed: okta.users.read",
                    )
                })?;
                let (mut each, mut shared) = (Vec::new(), Vec::new());
                for UserDevice { device } in devices {
                    let users: Vec<serde_json::Value> =
                        self.client.all_linked(cx, requests::device_users(&device.id)).await?;
                    if users.len() <= 1 {
                        each.push(requests::deactivate_device(&device.id));
                    } else {
                        shared.push(device.id);
                    }
                }
                let outcome = self.each(cx, each).await?;
                if shared.is_empty() {
                    return Ok(outcome);
                }
                // Whoever shares a device would lose it too: a person has to say.
                let text = format!("somebody else uses {} too", shared.join(", "));
                let done =
                    if outcome.effect == Effect::Changed { Applied::Partly } else { Applied::No };
                let kind = ErrorKind::Refused(RefusalReason::Policy);
                Err(Error::new(kind, text).with_applied(done))
            }
            other => Err(Error::unsupported(jml_core::provider::Verb::RevokeCredentials(other))),
        }
    }

    /// Several requests for one change.
    async fn each(&self, cx: &Cx, requests: Vec<Request>) -> Result<Outcome> {
        let mut outcome = Outcome::unchanged();
        for (number, request) in requests.into_iter().enumerate() {
            match self.sends(cx, request).await {
                Ok(_) => outcome = Outcome::changed(),
                // Somebody was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if number > 0 => return Err(partly(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    async fn sends(&self, cx: &Cx, request: Request) -> Result<Outcome> {
        let response = self.client.send(cx, request).await?;
        let outcome = Outcome::accepted();
        Ok(match response.request_id() {
            Some(id) => outcome.with_remote(id),
            None => outcome,
        })
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
                self.sends(cx, request).await
            }
            Operation::SetStatus { status } => self.set_status(cx, id, *status).await,
            Operation::DeleteAccount => {
                // The first call deletes who is deprovisioned, and deprovisions anybody else.
                self.sends(cx, requests::delete(id.as_str())).await?;
                match self.sends(cx, requests::delete(id.as_str())).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::changed()),
                    other => other.map_err(partly),
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
                self.sends(cx, request).await
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

fn not_ours() -> Error {
    Error::new(ErrorKind::CursorExpired, "the cursor is of another listing")
}

fn holding(account: AccountId, entitlement: EntitlementKey) -> Row {
    Row::Holding(HoldingRecord { account, entitlement })
}

/// An error after something was done already.
fn partly(error: Error) -> Error {
    let applied = error.applied().join(Applied::Partly);
    error.with_applied(applied)
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
        let Some(Watermark(mark)) = since else {
            // A place in the log, and not an instant: events of one instant come in pieces.
            let now = cx.now().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            let mut request = requests::log(&now);
            loop {
                let (events, next) = self.events(cx, request).await?;
                if events.len() < requests::LOG {
                    let (rows, next) = (Vec::new(), Watermark(next.into()));
                    return Ok(ChangePage { rows, next, more: false });
                }
                request = Request::follow(next);
            }
        };
        let expired = |error: Error| match error.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound => {
                Error::new(ErrorKind::CursorExpired, error.message())
            }
            _ => error,
        };
        let (events, next) =
            self.events(cx, Request::follow(mark.as_str())).await.map_err(expired)?;
        let more = events.len() >= requests::LOG;
        let mut rows: Vec<ChangeRow> = Vec::new();
        for (account, gone) in events.iter().flat_map(LogEvent::users) {
            let now = if gone { Observation::Absent } else { Observation::NotObserved };
            rows.retain(|row| row.account != account);
            rows.push(ChangeRow { account, now });
        }
        Ok(ChangePage { rows, next: Watermark(next.into()), more })
    }
}

impl Okta {
    /// A page of the system log, and where it goes on.
    async fn events(&self, cx: &Cx, request: Request) -> Result<(Vec<LogEvent>, String)> {
        let response = self.client.send(cx, request).await?;
        let next = link_next(response.headers()).ok_or_else(|| {
            let text = "the log names no next page, and it always does";
            Error::new(ErrorKind::ContractViolation, text)
        })?;
        Ok((response.json()?, next))
    }

    /// Groups, then applications, then the administrator roles.
    async fn entitlements(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let record =
            |key, title: &str| Row::Entitlement(EntitlementRecord { key, title: title.into() });
        match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let first = requests::containers("groups", size);
                let (found, link) = self.client.linked::<Group>(cx, first, link).await?;
                let rows = found.iter().map(|it| record(it.key(&self.kinds), it.title()));
                next.rows(asked, STAGES, rows.collect(), link)
            }
            Step::Containers { stage: 1, link } => {
                let first = requests::containers("apps", size);
                let (found, link) = self.client.linked::<App>(cx, first, link).await?;
                let rows = found.into_iter().map(|it| {
                    record(EntitlementKey::new(self.kinds.app.clone(), it.id), &it.label)
                });
                next.rows(asked, STAGES, rows.collect(), link)
            }
            Step::Containers { .. } => {
                let roles = descriptor::ROLES.iter().map(|(id, title)| {
                    Ok(record(
                        EntitlementKey::new(self.kinds.role.clone(), entitlement(id)?),
                        title,
                    ))
                });
                next.rows(asked, STAGES, roles.collect::<Result<_>>()?, None)
            }
            _ => Err(not_ours()),
        }
    }
}
