#![doc = include_str!("../README.md")]

mod access;
mod answers;
mod descriptor;
mod feed;
mod leave;
mod listing;
mod pages;
mod requests;

use async_trait::async_trait;
use jml_connector_kit::auth::{ExposeSecret as _, unknown_password};
use jml_connector_kit::{Client, conclude};
use jml_core::account::{AccountState, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, IdError, IdentityId, KindId, ProviderId};
use jml_core::provider::{
    Change, ChangePage, Cx, Descriptor, Error, ErrorKind, Health, ListRequest, ListScope,
    MailboxChange, Observation, Operation, Outcome, Page, Provider, Result, Row, SideEffect,
    Target, Watermark,
};

use answers::{
    AppAssignment, Batch, Collection, Device, DriveGrant, Group, Kinds, Licensed, MailboxSettings,
    Method, Named, Reference, RoleAssignment, User,
};

/// Stages of who holds what: groups, applications, licences, roles.
const STAGES: usize = 4;

/// A tenant.
#[derive(Debug)]
pub struct Entra {
    client: Client,
    descriptor: Descriptor,
    kinds: Kinds,
    root: String,
}

impl Entra {
    /// The tenant that the client's credential is for. The base URL is Graph's
    /// (`https://graph.microsoft.com/v1.0`, or that of a national cloud).
    ///
    /// # Errors
    /// [`IdError`], never in practice: the kinds are constants.
    pub fn new(id: ProviderId, client: Client) -> std::result::Result<Self, IdError> {
        let kinds = Kinds {
            group: KindId::new("group")?,
            managed_group: KindId::new("managed_group")?,
            licence: KindId::new("licence")?,
            app: KindId::new("app")?,
            role: KindId::new("role")?,
        };
        let descriptor = descriptor::descriptor(id, &kinds);
        let client = client.classifying(answers::classify);
        let root = "https://graph.microsoft.com/v1.0".to_owned();
        Ok(Self { client, descriptor, kinds, root })
    }

    /// The same in a national cloud, whose objects have addresses of their own
    /// (`https://graph.microsoft.us/v1.0`).
    #[must_use]
    pub fn rooted(mut self, root: impl Into<String>) -> Self {
        self.root = root.into();
        self
    }

    fn key(&self, kind: &KindId, id: jml_core::id::EntitlementId) -> EntitlementKey {
        EntitlementKey::new(kind.clone(), id)
    }

    /// Everything about a user.
    async fn whole(&self, cx: &Cx, user: &User) -> Result<AccountState> {
        let mut state = user.account();
        let parts = requests::parts(user.id.as_str());
        let batch: Batch = self.client.fetch(cx, requests::batch(&parts)).await?;
        let withheld = |what: &str| {
            Error::new(ErrorKind::PermissionDenied, format!("{what} of users may not be read"))
        };
        let groups: Option<Vec<Group>> = self.part(cx, &batch, "groups").await?;
        let groups = groups.ok_or_else(|| withheld("groups"))?;
        let groups = groups.iter().filter(|it| it.is_group());
        state.holdings.extend(groups.map(|it| it.key(&self.kinds)));
        if let Some(licensed) = batch.part::<Licensed>("licences")? {
            let direct = licensed.direct().cloned();
            state.holdings.extend(direct.map(|sku| self.key(&self.kinds.licence, sku)));
        }
        let apps: Option<Vec<AppAssignment>> = self.part(cx, &batch, "apps").await?;
        let apps = apps.ok_or_else(|| withheld("applications"))?.into_iter();
        state.holdings.extend(apps.map(|it| self.key(&self.kinds.app, it.resource_id)));
        let roles: Option<Vec<RoleAssignment>> = self.part(cx, &batch, "roles").await?;
        let roles = roles.ok_or_else(|| withheld("roles"))?.into_iter();
        state.holdings.extend(roles.map(|it| self.key(&self.kinds.role, it.role_definition_id)));
        let methods: Option<Vec<Method>> = self.part(cx, &batch, "methods").await?;
        let grants: Option<Vec<Named>> = self.part(cx, &batch, "grants").await?;
        let devices: Option<Vec<Device>> = self.part(cx, &batch, "devices").await?;
        for (class, number) in [
            (
                CredentialClass::MfaFactors,
                methods.map(|all| all.iter().filter(|it| it.is_factor()).count()),
            ),
            (CredentialClass::RefreshTokens, grants.map(|all| all.len())),
            (
                CredentialClass::Devices,
                devices.map(|all| all.iter().filter(|it| it.is_kept()).count()),
            ),
        ] {
            if let Some(number) = number {
                state.credentials.insert(class, u32::try_from(number).unwrap_or(u32::MAX));
            }
        }
        state.mailbox = batch.part::<MailboxSettings>("mailbox")?.map(MailboxSettings::mailbox);
        let owned: Option<Vec<Reference>> = self.part(cx, &batch, "owned").await?;
        let owned = owned.into_iter().flatten().filter(|it| it.kind == "#microsoft.graph.group");
        state.owns.extend(owned.map(|it| it.id.into()));
        if let Some(drive) = Self::drive(&batch)? {
            let writers = self.writers(cx, &drive).await?;
            if writers.iter().all(|it| *it == user.id.as_str()) {
                state.owns.insert(format!("drive {drive}").into());
            }
        }
        Ok(state)
    }

    /// A user's drive.
    fn drive(batch: &Batch) -> Result<Option<String>> {
        match batch.part::<Named>("drive") {
            // A tenant without SharePoint has no drives, and says 400.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(None),
            found => Ok(found?.map(|it| it.id.to_string())),
        }
    }

    /// Who may write in a whole drive.
    async fn writers(&self, cx: &Cx, drive: &str) -> Result<Vec<String>> {
        let grants: Vec<DriveGrant> = self.all(cx, requests::permissions(drive)).await?;
        Ok(grants.iter().filter_map(DriveGrant::writer).map(str::to_owned).collect())
    }

    async fn by_owner(&self, cx: &Cx, identity: &IdentityId, name: &str) -> Result<Option<User>> {
        let by_name: Option<User> =
            if name.is_empty() { None } else { self.client.find(cx, requests::user(name)).await? };
        if by_name.as_ref().is_some_and(|it| it.owner() == Some(identity.as_str())) {
            return Ok(by_name);
        }
        let found: Collection<User> = self.client.fetch(cx, requests::owned_by(identity)).await?;
        let mine = found.value.into_iter().find(|it| it.owner() == Some(identity.as_str()));
        Ok(mine.or_else(|| by_name.filter(|it| it.owner().is_none())))
    }

    async fn create(&self, cx: &Cx, op: &Operation) -> Result<Outcome> {
        let Operation::CreateAccount { user_name, external_id, status, attributes } = op else {
            return Err(Error::new(ErrorKind::Internal, "no creation"));
        };
        self.descriptor.check_required(attributes)?;
        let password = unknown_password()?;
        let request = requests::create(
            user_name,
            external_id,
            status.can_sign_in(),
            attributes,
            password.expose_secret(),
        )?;
        let user: User = self.client.fetch(cx, request).await?;
        let outcome = Outcome::changed().with_account(user.id.clone());
        let manager = AttributeName::new(requests::MANAGER).ok().and_then(|it| attributes.get(&it));
        if let Some(manager) = manager {
            let request = requests::set_manager(&self.root, user.id.as_str(), &manager.to_string());
            // The user is there; the next plan sets a manager that could not be set now.
            if let Err(error) = self.client.change(cx, request).await {
                let text = format!("the manager could not be set: {}", error.message());
                return Ok(outcome.with_side_effect(SideEffect::Other(text.into())));
            }
        }
        Ok(outcome)
    }

    async fn update(&self, cx: &Cx, id: &AccountId, op: &Operation) -> Result<Outcome> {
        let Operation::UpdateAccount { user_name, set, clear } = op else {
            return Err(Error::new(ErrorKind::Internal, "no update"));
        };
        let user = id.as_str();
        let mut outcome = Outcome::unchanged();
        if let Some(request) = requests::update(user, user_name.as_deref(), set, clear)? {
            outcome = self.client.change(cx, request).await?;
        }
        let manager = AttributeName::new(requests::MANAGER);
        if let Some(to) = manager.as_ref().ok().and_then(|it| set.get(it)) {
            let request = requests::set_manager(&self.root, user, &to.to_string());
            outcome = self.client.change(cx, request).await.map_err(Error::partly)?;
        } else if manager.is_ok_and(|it| clear.contains(&it)) {
            match self.client.change(cx, requests::clear_manager(user)).await {
                Ok(done) => outcome = done,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.partly()),
            }
        }
        Ok(outcome)
    }

    async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if change.op.makes_account() {
            return self.create(cx, &change.op).await;
        }
        let id = change.existing()?;
        match &change.op {
            Operation::UpdateAccount { .. } => self.update(cx, id, &change.op).await,
            Operation::SetStatus { status } => {
                self.client.change(cx, requests::enable(id.as_str(), status.can_sign_in())).await
            }
            Operation::DeleteAccount => self.client.change(cx, requests::delete(id.as_str())).await,
            Operation::RevokeCredentials { class } => self.kill(cx, id, *class).await,
            Operation::Grant { entitlement } => self.grant(cx, id, entitlement).await,
            Operation::Revoke { entitlement } => self.revoke(cx, id, entitlement).await,
            Operation::Exchange { revoke, grant } => self.exchange(cx, id, revoke, grant).await,
            Operation::SetMailbox(MailboxChange::AutoReply(text)) => {
                let now: MailboxSettings =
                    self.client.fetch(cx, requests::mailbox(id.as_str())).await?;
                if now.mailbox().auto_reply.as_ref() == Some(text) {
                    return Ok(Outcome::unchanged());
                }
                self.client.change(cx, requests::auto_reply(id.as_str(), text)).await
            }
            Operation::TransferOwnership { to } => self.transfer(cx, id, to).await,
            other => Err(Error::unsupported(other.verb())),
        }
    }
}

#[async_trait]
impl Provider for Entra {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(requests::PAGE).clamp(1, requests::PAGE);
        match asked.scope {
            ListScope::Accounts => {
                let row = |user: User| Row::Account(Box::new(user.account()));
                let places = ["/value", "/@odata.nextLink"];
                self.client.listing(cx, asked, requests::users(size), places, row).await
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
        // A principal name is no id.
        if matches!(target, Target::Account(id) if *id != user.id) {
            return Ok(Observation::Absent);
        }
        Ok(Observation::present(self.whole(cx, &user).await?))
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.client.send(cx, requests::users(1)).await?;
        // Who may write may read.
        let implied = |has: &str, needs: &str| {
            let writes = |family: &str| has == format!("{family}.ReadWrite.All");
            match needs {
                "User.Create"
                | "User.ReadUpdate.All"
                | "User.EnableDisableAccount.All"
                | "User.DeleteRestore.All" => has == "User.ReadWrite.All",
                "User.Read.All" => has == "User.ReadUpdate.All" || writes("User"),
                "GroupMember.Read.All" => writes("GroupMember") || writes("Group"),
                "GroupMember.ReadWrite.All" => writes("Group"),
                "Application.Read.All" => writes("Application") || writes("AppRoleAssignment"),
                "LicenseAssignment.Read.All" => writes("LicenseAssignment"),
                _ => false,
            }
        };
        Ok(self.client.health(&self.descriptor, &response, implied))
    }

    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.since(cx, since).await
    }
}
