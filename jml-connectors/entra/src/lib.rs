#![doc = include_str!("../README.md")]

mod answers;
mod descriptor;
mod requests;

use std::fmt::Write as _;

use async_trait::async_trait;
use jml_connector_kit::http::{Step, Sweep};
use jml_connector_kit::{Client, Request, conclude};
use jml_core::account::{AccountState, CredentialClass};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, IdError, IdentityId, KindId, ProviderId};
use jml_core::provider::{
    Applied, Change, ChangePage, ChangeRow, Cx, Descriptor, EntitlementRecord, Error, ErrorKind,
    Health, HoldingRecord, ListRequest, ListScope, MailboxChange, Observation, Operation, Outcome,
    Page, Provider, RefusalReason, Result, Row, SideEffect, Target, Watermark,
};
use serde::de::DeserializeOwned;

use answers::{
    AppAssignment, Batch, Collection, Device, Group, GroupDelta, Kinds, Licensed, MailboxSettings,
    Method, Named, Reference, RoleAssignment, Sku, User,
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

    /// A page of a collection, the first one or the one behind a link.
    async fn collection<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        first: Request,
        link: Option<&str>,
    ) -> Result<Collection<T>> {
        self.client.fetch(cx, link.map_or(first, Request::follow)).await
    }

    /// All of something small.
    async fn all<T: DeserializeOwned>(&self, cx: &Cx, first: Request) -> Result<Vec<T>> {
        let page = self.collection(cx, first, None).await?;
        self.rest(cx, page).await
    }

    /// A first page with all that follow it.
    async fn rest<T: DeserializeOwned>(&self, cx: &Cx, first: Collection<T>) -> Result<Vec<T>> {
        let Collection { mut value, mut next, .. } = first;
        for _ in 0..1_000 {
            let Some(link) = next else { return Ok(value) };
            let page: Collection<T> = self.client.fetch(cx, Request::follow(&link)).await?;
            value.extend(page.value);
            next = page.next.filter(|it| *it != link);
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// A part of a batch with all its pages.
    async fn part<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        batch: &Batch,
        id: &str,
    ) -> Result<Option<Vec<T>>> {
        match batch.part::<Collection<T>>(id)? {
            None => Ok(None),
            Some(first) => self.rest(cx, first).await.map(Some),
        }
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
        Ok(state)
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

    async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let result = match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let found: Collection<Group> =
                    self.collection(cx, requests::groups(200), link).await?;
                let keys = found.value.iter().map(|it| it.key(&self.kinds).to_string()).collect();
                return next.containers(asked, STAGES, keys, found.next);
            }
            Step::Containers { stage: 1, link } => {
                let found: Collection<Named> =
                    self.collection(cx, requests::apps(200), link).await?;
                let keys = found.value.into_iter().map(|it| format!("app/{}", it.id)).collect();
                return next.containers(asked, STAGES, keys, found.next);
            }
            Step::Containers { stage: 2, link } => {
                let first = requests::all_licences(size);
                let found: Collection<Licensed> = self.collection(cx, first, link).await?;
                let rows = found.value.iter().flat_map(|it| {
                    it.direct()
                        .map(|sku| holding(&it.id, self.key(&self.kinds.licence, sku.clone())))
                });
                return next.rows(asked, STAGES, rows.collect(), found.next);
            }
            Step::Containers { link, .. } => {
                let found: Collection<RoleAssignment> =
                    self.collection(cx, requests::roles(), link).await?;
                let rows = found.value.into_iter().map(|it| {
                    holding(&it.principal_id, self.key(&self.kinds.role, it.role_definition_id))
                });
                return next.rows(asked, STAGES, rows.collect(), found.next);
            }
            Step::Members { stage: 0, container, link } => {
                let key: EntitlementKey = container.parse().map_err(|_| not_ours())?;
                let first = requests::people_of(key.id.as_str(), "members", size);
                let found = self.collection::<Reference>(cx, first, link).await;
                found.map(|found| {
                    let users = found
                        .value
                        .iter()
                        .filter(|it| it.kind.is_empty() || it.kind == "#microsoft.graph.user");
                    let rows = users
                        .filter_map(|it| Some(holding(&AccountId::new(&it.id).ok()?, key.clone())));
                    (rows.collect(), found.next)
                })
            }
            Step::Members { container, link, .. } => {
                let key: EntitlementKey = container.parse().map_err(|_| not_ours())?;
                let first = requests::app_users(key.id.as_str(), size);
                let found = self.collection::<AppAssignment>(cx, first, link).await;
                found.map(|found| {
                    let users = found.value.iter().filter_map(AppAssignment::user);
                    (users.map(|id| holding(id, key.clone())).collect(), found.next)
                })
            }
            _ => return Err(not_ours()),
        };
        match result {
            Ok((rows, link)) => next.members(asked, STAGES, rows, link),
            // It was deleted since it was named.
            Err(error) if error.kind() == ErrorKind::NotFound => next.skip(asked, STAGES),
            Err(error) => Err(error),
        }
    }

    /// Groups, applications, licences, roles.
    async fn entitlements(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let record = |key, title: Option<&str>| {
            Row::Entitlement(EntitlementRecord { key, title: title.unwrap_or_default().into() })
        };
        let named = |kind: &KindId, all: Vec<Named>| {
            let rows =
                all.into_iter().map(|it| record(self.key(kind, it.id), it.display_name.as_deref()));
            rows.collect::<Vec<Row>>()
        };
        match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let found: Collection<Group> =
                    self.collection(cx, requests::groups(size), link).await?;
                let rows = found.value.iter();
                let rows = rows.map(|it| record(it.key(&self.kinds), it.display_name.as_deref()));
                next.rows(asked, STAGES, rows.collect(), found.next)
            }
            Step::Containers { stage: 1, link } => {
                let found: Collection<Named> =
                    self.collection(cx, requests::apps(size), link).await?;
                next.rows(asked, STAGES, named(&self.kinds.app, found.value), found.next)
            }
            Step::Containers { stage: 2, link } => {
                let found: Collection<Sku> = self.collection(cx, requests::skus(), link).await?;
                let rows = found.value.into_iter().map(|it| {
                    record(self.key(&self.kinds.licence, it.sku_id), Some(&it.sku_part_number))
                });
                next.rows(asked, STAGES, rows.collect(), found.next)
            }
            Step::Containers { link, .. } => {
                let first = requests::role_definitions();
                let found: Collection<Named> = self.collection(cx, first, link).await?;
                next.rows(asked, STAGES, named(&self.kinds.role, found.value), found.next)
            }
            _ => Err(not_ours()),
        }
    }

    async fn sends(&self, cx: &Cx, request: Request) -> Result<Outcome> {
        let response = self.client.send(cx, request).await?;
        let outcome = Outcome::accepted();
        Ok(match response.request_id() {
            Some(id) => outcome.with_remote(id),
            None => outcome,
        })
    }

    /// Several requests for one change, after `done` ones that succeeded.
    async fn each(&self, cx: &Cx, requests: Vec<Request>) -> Result<Outcome> {
        let mut outcome = Outcome::unchanged();
        for request in requests {
            match self.sends(cx, request).await {
                Ok(_) => outcome = Outcome::changed(),
                // Somebody was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if outcome.effect == jml_core::provider::Effect::Changed => {
                    return Err(partly(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    async fn create(&self, cx: &Cx, op: &Operation) -> Result<Outcome> {
        let Operation::CreateAccount { user_name, external_id, status, attributes } = op else {
            return Err(Error::new(ErrorKind::Internal, "no creation"));
        };
        self.descriptor.check_required(attributes)?;
        let password = password()?;
        let request =
            requests::create(user_name, external_id, status.can_sign_in(), attributes, &password)?;
        let user: User = self.client.fetch(cx, request).await?;
        let outcome = Outcome::changed().with_account(user.id.clone());
        let manager = AttributeName::new(requests::MANAGER).ok().and_then(|it| attributes.get(&it));
        if let Some(manager) = manager {
            let request = requests::set_manager(&self.root, user.id.as_str(), &manager.to_string());
            // The user is there; the next plan sets a manager that could not be set now.
            if let Err(error) = self.sends(cx, request).await {
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
            outcome = self.sends(cx, request).await?;
        }
        let manager = AttributeName::new(requests::MANAGER);
        if let Some(to) = manager.as_ref().ok().and_then(|it| set.get(it)) {
            let request = requests::set_manager(&self.root, user, &to.to_string());
            outcome = self.sends(cx, request).await.map_err(partly)?;
        } else if manager.is_ok_and(|it| clear.contains(&it)) {
            match self.sends(cx, requests::clear_manager(user)).await {
                Ok(done) => outcome = done,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(partly(error)),
            }
        }
        Ok(outcome)
    }

    async fn grant(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            return self.sends(cx, requests::join(&self.root, what, "members", user)).await;
        }
        if key.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(user)).await?;
            if licensed.direct().any(|sku| *sku == key.id) {
                return Ok(Outcome::unchanged());
            }
            self.seat(cx, key).await?;
            return self.sends(cx, requests::license(user, Some(what), None)).await;
        }
        if key.kind == self.kinds.app {
            let held = self.apps_of(cx, user).await?;
            if held.iter().any(|it| it.resource_id == key.id) {
                return Ok(Outcome::unchanged());
            }
            return self.sends(cx, requests::assign(what, user)).await;
        }
        let held: Vec<RoleAssignment> = self.all(cx, requests::roles_of(user)).await?;
        if held.iter().any(|it| it.role_definition_id == key.id) {
            return Ok(Outcome::unchanged());
        }
        self.sends(cx, requests::add_role(user, what)).await
    }

    async fn apps_of(&self, cx: &Cx, user: &str) -> Result<Vec<AppAssignment>> {
        self.all(cx, requests::of_user(user, "appRoleAssignments")).await
    }

    /// Whether a licence is to be had: Graph says it only in words when it is not.
    async fn seat(&self, cx: &Cx, key: &EntitlementKey) -> Result<()> {
        let skus: Vec<Sku> = self.all(cx, requests::skus()).await?;
        match skus.iter().find(|it| it.sku_id == key.id) {
            None => Err(Error::new(ErrorKind::NotFound, format!("`{key}` was never bought"))),
            Some(sku) if sku.is_free() => Ok(()),
            Some(sku) => {
                let text = format!("no seat of {} is left", sku.sku_part_number);
                Err(Error::new(ErrorKind::Exhausted, text))
            }
        }
    }

    async fn revoke(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            return self.sends(cx, requests::leave(what, "members", user)).await;
        }
        if key.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(user)).await?;
            if licensed.direct().any(|sku| *sku == key.id) {
                return self.sends(cx, requests::license(user, None, Some(what))).await;
            }
            return match licensed.group_of(&key.id) {
                None => Ok(Outcome::unchanged()),
                Some(group) => {
                    let text =
                        format!("the licence comes with the group `{group}`; take the group");
                    Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
                }
            };
        }
        let request = if key.kind == self.kinds.app {
            let held = self.apps_of(cx, user).await?;
            let hit = held.into_iter().find(|it| it.resource_id == key.id);
            hit.map(|it| requests::unassign(what, &it.id))
        } else {
            let held: Vec<RoleAssignment> = self.all(cx, requests::roles_of(user)).await?;
            let hit = held.into_iter().find(|it| it.role_definition_id == key.id);
            hit.map(|it| requests::remove_role(&it.id))
        };
        match request {
            None => Ok(Outcome::unchanged()),
            Some(request) => self.sends(cx, request).await,
        }
    }

    async fn exchange(
        &self,
        cx: &Cx,
        id: &AccountId,
        from: &EntitlementKey,
        to: &EntitlementKey,
    ) -> Result<Outcome> {
        if from.kind == self.kinds.licence && to.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(id.as_str())).await?;
            let has = |key: &EntitlementKey| licensed.direct().any(|sku| *sku == key.id);
            if has(to) && !has(from) {
                return Ok(Outcome::unchanged());
            }
            if !has(to) {
                self.seat(cx, to).await?;
            }
            let add = (!has(to)).then(|| to.id.as_str());
            let remove = has(from).then(|| from.id.as_str());
            return self.sends(cx, requests::license(id.as_str(), add, remove)).await;
        }
        self.descriptor.check_mutable(from)?;
        // First what comes: what fails leaves the old one.
        match self.grant(cx, id, to).await {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.revoke(cx, id, from).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::accepted()),
            other => other.map_err(partly),
        }
    }

    async fn kill(&self, cx: &Cx, id: &AccountId, class: CredentialClass) -> Result<Outcome> {
        let user = id.as_str();
        match class {
            CredentialClass::Sessions => self.sends(cx, requests::end_sessions(user)).await,
            CredentialClass::RefreshTokens => {
                let grants = requests::of_user(user, "oauth2PermissionGrants");
                let grants: Vec<Named> = self.all(cx, grants).await?;
                self.sends(cx, requests::end_sessions(user)).await?;
                let each = grants.iter().map(|it| requests::end_grant(it.id.as_str())).collect();
                self.each(cx, each).await.map_err(partly)?;
                Ok(Outcome::accepted())
            }
            CredentialClass::MfaFactors => {
                let methods: Vec<Method> = self.all(cx, requests::methods(user)).await?;
                let known = methods.iter().filter_map(|it| Some((it.segment()?, &it.id)));
                let each =
                    known.map(|(segment, method)| requests::remove_method(user, segment, method));
                self.each(cx, each.collect()).await
            }
            CredentialClass::Devices => {
                let devices: Vec<Device> =
                    self.all(cx, requests::of_user(user, "managedDevices")).await?;
                let kept = devices.iter().filter(|it| it.is_kept());
                self.each(cx, kept.map(|it| requests::retire(&it.id)).collect()).await
            }
            other => Err(Error::unsupported(jml_core::provider::Verb::RevokeCredentials(other))),
        }
    }

    /// Groups get the new owner before they lose the old one, and the drive is opened for them.
    async fn transfer(&self, cx: &Cx, id: &AccountId, to: &AccountId) -> Result<Outcome> {
        let (from, to) = (id.as_str(), to.as_str());
        let _: Reference = self.client.fetch(cx, requests::exists(to)).await?;
        let owned: Vec<Reference> = self.all(cx, requests::of_user(from, "ownedObjects")).await?;
        let mut outcome = Outcome::unchanged();
        for group in owned.iter().filter(|it| it.kind == "#microsoft.graph.group") {
            match self.sends(cx, requests::join(&self.root, &group.id, "owners", to)).await {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(partly(error));
                }
                _ => {}
            }
            self.sends(cx, requests::leave(&group.id, "owners", from)).await.map_err(partly)?;
            outcome = Outcome::changed();
        }
        let drive: Option<Named> =
            self.client.find(cx, requests::drive(from)).await.map_err(partly)?;
        if let Some(drive) = drive {
            self.sends(cx, requests::invite(drive.id.as_str(), to)).await.map_err(partly)?;
            let text = "the taker may write in the whole drive; files stay where they are";
            outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
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
                self.sends(cx, requests::enable(id.as_str(), status.can_sign_in())).await
            }
            Operation::DeleteAccount => self.sends(cx, requests::delete(id.as_str())).await,
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
                self.sends(cx, requests::auto_reply(id.as_str(), text)).await
            }
            Operation::TransferOwnership { to } => self.transfer(cx, id, to).await,
            other => Err(Error::unsupported(other.verb())),
        }
    }

    /// A page of a feed: who changed, and where it goes on.
    async fn users_since(&self, cx: &Cx, link: &str) -> Result<(Vec<ChangeRow>, String, bool)> {
        let page: Collection<Reference> = self.client.fetch(cx, Request::follow(link)).await?;
        let rows = page.value.iter().filter_map(|it| {
            let now =
                if it.removed.is_some() { Observation::Absent } else { Observation::NotObserved };
            Some(ChangeRow { account: AccountId::new(&it.id).ok()?, now })
        });
        let rows = rows.collect();
        let (next, more) = onward(page.next, page.delta)?;
        Ok((rows, next, more))
    }

    async fn members_since(&self, cx: &Cx, link: &str) -> Result<(Vec<ChangeRow>, String, bool)> {
        let page: Collection<GroupDelta> = self.client.fetch(cx, Request::follow(link)).await?;
        let users = page.value.iter().flat_map(|it| &it.members);
        let users = users.filter(|it| it.kind.is_empty() || it.kind == "#microsoft.graph.user");
        let rows = users.filter_map(|it| {
            Some(ChangeRow { account: AccountId::new(&it.id).ok()?, now: Observation::NotObserved })
        });
        let rows = rows.collect();
        let (next, more) = onward(page.next, page.delta)?;
        Ok((rows, next, more))
    }

    /// Where a feed stands now.
    async fn latest(&self, cx: &Cx, what: &str) -> Result<String> {
        let mut page: Collection<Reference> = self.client.fetch(cx, requests::delta(what)).await?;
        for _ in 0..1_000 {
            match onward(page.next.take(), page.delta.take())? {
                (link, false) => return Ok(link),
                (link, true) => page = self.client.fetch(cx, Request::follow(link)).await?,
            }
        }
        Err(Error::new(ErrorKind::ContractViolation, "the feed does not end"))
    }
}

/// The link to go on with, and whether there is more at once.
fn onward(next: Option<String>, delta: Option<String>) -> Result<(String, bool)> {
    let more = next.is_some();
    next.or(delta).map(|link| (link, more)).ok_or_else(|| {
        Error::new(
            ErrorKind::ContractViolation,
            "the feed says neither where it goes on nor that it ends",
        )
    })
}

fn not_ours() -> Error {
    Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours")
}

fn holding(account: &AccountId, entitlement: EntitlementKey) -> Row {
    Row::Holding(HoldingRecord { account: account.clone(), entitlement })
}

/// An error after something was done already.
fn partly(error: Error) -> Error {
    let applied = error.applied().join(Applied::Partly);
    error.with_applied(applied)
}

/// A password that nobody knows: 128 random bits, and a character of each kind that policies ask for.
fn password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| {
        Error::new(ErrorKind::Internal, "the system has no randomness").with_applied(Applied::No)
    })?;
    let mut text = String::from("Aa1!");
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
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
        let Some(Watermark(mark)) = since else {
            let (users, groups) =
                (self.latest(cx, "users").await?, self.latest(cx, "groups").await?);
            let next = Watermark(format!("{users} {groups}").into());
            return Ok(ChangePage { rows: Vec::new(), next, more: false });
        };
        let (users, groups) =
            mark.split_once(' ').filter(|it| it.0.contains("/delta")).ok_or_else(not_ours)?;
        let expired = |error: Error| match error.kind() {
            // 410 is how the service asks for a new beginning.
            ErrorKind::Invalid | ErrorKind::NotFound => {
                Error::new(ErrorKind::CursorExpired, error.message())
            }
            _ => error,
        };
        let (mut rows, users, more) = self.users_since(cx, users).await.map_err(expired)?;
        let (members, groups, further) = self.members_since(cx, groups).await.map_err(expired)?;
        let known =
            |rows: &[ChangeRow], row: &ChangeRow| rows.iter().any(|it| it.account == row.account);
        for row in members {
            if !known(&rows, &row) {
                rows.push(row);
            }
        }
        let next = Watermark(format!("{users} {groups}").into());
        Ok(ChangePage { rows, next, more: more || further })
    }
}
