#![doc = include_str!("../README.md")]

mod access;
mod answers;
mod classify;
mod descriptor;
mod feed;
mod held;
mod leave;
mod listing;
mod pages;
mod read;
mod requests;

use async_trait::async_trait;
use jml_connector_kit::auth::{ExposeSecret as _, unknown_password};
use jml_connector_kit::{Client, conclude};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, IdError, KindId, ProviderId};
use jml_core::provider::{
    Change, ChangePage, Cx, Descriptor, Error, ErrorKind, Health, ListRequest, ListScope,
    MailboxChange, Observation, Operation, Outcome, Page, PendingRef, Provider, RefusalReason,
    Result, Row, SideEffect, Target, Watermark,
};

use answers::{MailboxSettings, Reference, User};
use held::Kinds;

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
        let client = client.classifying(classify::classify);
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

    async fn create(&self, cx: &Cx, op: &Operation) -> Result<Outcome> {
        let Operation::CreateAccount { user_name, external_id, status, attributes } = op else {
            return Err(Error::new(ErrorKind::Internal, "no creation"));
        };
        self.descriptor.check_required(attributes)?;
        // Somebody who is here under another name stays one.
        if let Some(user) = self.owned_by(cx, external_id).await? {
            return Ok(Outcome::unchanged().with_account(user.id));
        }
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
            // The user is there; the next plan sets a manager that could not be set now.
            let request = requests::set_manager(&self.root, user.id.as_str(), &manager.to_string());
            let set = match request {
                Ok(request) => self.client.change(cx, request).await,
                Err(error) => Err(error),
            };
            if let Err(error) = set {
                let text = format!("the manager could not be set: {}", error.message());
                return Ok(outcome.with_side_effect(SideEffect::Other(text.into())));
            }
        }
        Ok(outcome)
    }

    /// Refuses what the directory on the premises would take back.
    ///
    /// # Errors
    /// [`RefusalReason::Immutable`]; [`ErrorKind::NotFound`] for nobody.
    async fn check_not_synced(&self, cx: &Cx, id: &AccountId) -> Result<()> {
        let user: Reference = self.client.fetch(cx, requests::exists(id.as_str())).await?;
        if !user.is_synced() {
            return Ok(());
        }
        let text = "the user is synced from Active Directory on the premises; change it there";
        Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
    }

    async fn update(&self, cx: &Cx, id: &AccountId, op: &Operation) -> Result<Outcome> {
        let Operation::UpdateAccount { user_name, set, clear } = op else {
            return Err(Error::new(ErrorKind::Internal, "no update"));
        };
        let user = id.as_str();
        let fields = requests::update(user, user_name.as_deref(), set, clear)?;
        let manager = AttributeName::new(requests::MANAGER).ok();
        let named = manager.as_ref().and_then(|it| set.get(it));
        let named = named.map(|to| requests::set_manager(&self.root, user, &to.to_string()));
        let named = named.transpose()?;
        // After it, "not found" of a manager is the manager.
        self.check_not_synced(cx, id).await?;
        let mut outcome = Outcome::unchanged();
        let some = fields.is_some();
        if let Some(request) = fields {
            outcome = self.client.change(cx, request).await?;
        }
        let so_far = |error: Error| if some { error.partly() } else { error };
        if let Some(request) = named {
            outcome = self.client.change(cx, request).await.map_err(so_far)?;
        } else if manager.is_some_and(|it| clear.contains(&it)) {
            match self.client.change(cx, requests::clear_manager(user)).await {
                Ok(done) => outcome = done,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(so_far(error)),
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
                self.check_not_synced(cx, id).await?;
                self.client.change(cx, requests::enable(id.as_str(), status.can_sign_in())).await
            }
            Operation::DeleteAccount => {
                self.check_not_synced(cx, id).await?;
                self.client.change(cx, requests::delete(id.as_str())).await
            }
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
        self.whole(cx, &user).await
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.client.send(cx, requests::users(1)).await?;
        Ok(self.client.health(&self.descriptor, &response, descriptor::implied))
    }

    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.since(cx, since).await
    }

    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.ask_for(cx, &pending.0).await
    }
}
