//! Changes to accounts, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::{Either, select};
use jml_connector_kit::auth::{ExposeSecret as _, unknown_password};
use jml_core::account::AccountStatus;
use jml_core::attribute::AttributeValue;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, IdentityId};
use jml_core::provider::{
    Applied, Change, Cx, Error, ErrorKind, Operation, Outcome, Result, RetryAdvice, SideEffect,
};
use serde_json::{Map, Value};

use crate::answers::{Licence, User};
use crate::{Google, Sku, number, profile, refused, requests};

/// How long a block waits for what may go wrong before it.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// A role, and the unit that it is restricted to.
fn role_and_unit(key: &EntitlementKey) -> (&str, Option<&str>) {
    match key.id.as_str().split_once(':') {
        Some((role, unit)) => (role, Some(unit)),
        None => (key.id.as_str(), None),
    }
}

impl Google {
    pub(crate) async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            return self.create(cx, user_name, external_id, *status, attributes).await;
        }
        let id = change.existing()?;
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                self.update(cx, id, user_name.as_deref(), set, clear).await
            }
            Operation::SetStatus { status } => self.set_status(cx, id, *status).await,
            Operation::DeleteAccount => self.delete(cx, id).await,
            Operation::RevokeCredentials { class } => self.kill(cx, id, *class).await,
            Operation::Grant { entitlement } => self.grant(cx, id, entitlement).await,
            Operation::Revoke { entitlement } => self.revoke(cx, id, entitlement).await,
            Operation::SetMailbox(change) => self.set_mailbox(cx, id, change).await,
            Operation::TransferOwnership { to } => self.hand_over(cx, id, to).await,
            other => Err(Error::unsupported(other.verb())),
        }
    }

    async fn create(
        &self,
        cx: &Cx,
        email: &str,
        owner: &IdentityId,
        status: AccountStatus,
        attributes: &BTreeMap<AttributeName, AttributeValue>,
    ) -> Result<Outcome> {
        let staged = match status {
            AccountStatus::Active => false,
            AccountStatus::Staged => true,
            other => {
                let text = format!("a user is made staged or active, not {}", other.as_str());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        };
        self.descriptor.check_required(attributes)?;
        let mut body = profile::changes(&Map::new(), attributes, &BTreeSet::new())?;
        body.insert("primaryEmail".to_owned(), email.into());
        body.insert("externalIds".to_owned(), profile::external_ids(owner, staged));
        body.insert("suspended".to_owned(), staged.into());
        // Google makes nobody without one. Nobody is to know it: people get in by single sign-on, or by one
        // that an administrator sets.
        body.insert("password".to_owned(), unknown_password()?.expose_secret().into());
        body.insert("changePasswordAtNextLogin".to_owned(), true.into());
        let response = self.directory.send(cx, requests::create(body)).await?;
        if response.status() == 202 {
            let text = "somebody has an account of their own with this address, and was invited; nobody was \
                        made";
            return Err(refused(text));
        }
        let user: User = response.json()?;
        Ok(Outcome::changed().with_account(user.id))
    }

    async fn update(
        &self,
        cx: &Cx,
        id: &AccountId,
        email: Option<&str>,
        set: &BTreeMap<AttributeName, AttributeValue>,
        clear: &BTreeSet<AttributeName>,
    ) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        let mut body = profile::changes(&user.profile, set, clear)?;
        let renamed = email.filter(|it| *it != user.primary_email);
        if let Some(email) = renamed {
            body.insert("primaryEmail".to_owned(), email.into());
        }
        if body.is_empty() {
            return Ok(Outcome::unchanged());
        }
        self.directory.send(cx, requests::update(id.as_str(), body)).await?;
        let mut outcome = Outcome::changed();
        if renamed.is_some() {
            let text = format!("`{}` stays as another address", user.primary_email);
            outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
        }
        Ok(outcome)
    }

    async fn set_status(&self, cx: &Cx, id: &AccountId, to: AccountStatus) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        let from = user.status();
        if from == to || (from, to) == (AccountStatus::Archived, AccountStatus::Disabled) {
            return Ok(Outcome::unchanged());
        }
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        match to {
            AccountStatus::Active => {
                put("suspended", false.into());
                put("archived", false.into());
            }
            AccountStatus::Disabled => {
                put("suspended", true.into());
            }
            AccountStatus::Archived => {
                put("archived", true.into());
            }
            _ => {
                let text = format!("Google has no way back to `{}`", to.as_str());
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        }
        if profile::is_marked(&user.profile) {
            put("externalIds", profile::unmarked(&user.profile));
        }
        // What only works on somebody who can sign in comes first. It never holds up the block.
        let codes = if user.is_live() {
            let end = cx.now() + PATIENCE;
            match select(self.end_codes(cx, id.as_str()).boxed(), cx.clock().expire_at(end)).await {
                Either::Left((codes, _)) => codes,
                Either::Right(_) => {
                    let late = Error::new(ErrorKind::Timeout, "no answer in time");
                    Err(late.with_applied(Applied::Unknown))
                }
            }
        } else {
            Ok(false)
        };
        let sent = self.directory.send(cx, requests::update(id.as_str(), body)).await;
        if let Err(error) = sent {
            let before = match &codes {
                Ok(true) => Applied::Partly,
                Ok(false) => Applied::No,
                Err(codes) => codes.applied(),
            };
            let applied = error.applied().join(before);
            return Err(error.with_applied(applied));
        }
        let outcome = Outcome::changed();
        Ok(match codes {
            Ok(_) => outcome,
            Err(error) => {
                let text = format!("backup codes are left, and stay until it is active: {error}");
                outcome.with_side_effect(SideEffect::Other(text.into()))
            }
        })
    }

    /// Makes backup codes worthless. Whether there were any.
    pub(crate) async fn end_codes(&self, cx: &Cx, user: &str) -> Result<bool> {
        if self.codes(cx, user).await? == 0 {
            return Ok(false);
        }
        self.directory.send(cx, requests::invalidate_codes(user)).await?;
        Ok(true)
    }

    async fn delete(&self, cx: &Cx, id: &AccountId) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        self.nothing_moves(cx, user.id.as_str()).await?;
        self.directory.send(cx, requests::delete(id.as_str())).await?;
        Ok(Outcome::changed())
    }

    /// Refuses to take the ground from under a transfer that runs.
    async fn nothing_moves(&self, cx: &Cx, user: &str) -> Result<()> {
        let transfers = self.transfers(cx, user).await?;
        let Some(running) = transfers.iter().find(|it| it.is_running()) else { return Ok(()) };
        let text =
            format!("transfer `{}` still runs; what it has not moved could be lost", running.id);
        Err(Error::new(ErrorKind::Conflict, text).with_retry(RetryAdvice::Backoff))
    }

    /// A licence that is looked after.
    fn sku(&self, key: &EntitlementKey) -> Result<&Sku> {
        self.skus.get(&key.id).ok_or_else(|| {
            let known: Vec<&str> =
                self.skus.keys().map(jml_core::id::EntitlementId::as_str).collect();
            let text = format!("`{key}` is not looked after; those that are: {}", known.join(", "));
            Error::new(ErrorKind::NotFound, text)
        })
    }

    pub(crate) async fn has_licence(&self, cx: &Cx, sku: &Sku, email: &str) -> Result<bool> {
        let held =
            self.licensing.find::<Licence>(cx, requests::licence(sku.place(), email)).await?;
        Ok(held.is_some())
    }

    async fn grant(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let user = number(id)?;
        if key.kind == self.kinds.group {
            let email = self.user(cx, id).await?.primary_email;
            self.directory.send(cx, requests::join(key.id.as_str(), &email)).await?;
            return Ok(Outcome::changed());
        }
        if key.kind == self.kinds.role {
            for it in self.roles(cx, user).await? {
                if self.role(&it)? == *key {
                    return Ok(Outcome::unchanged());
                }
            }
            let (role, unit) = role_and_unit(key);
            self.directory.send(cx, requests::assign(role, unit, user)).await?;
            return Ok(Outcome::changed());
        }
        let sku = self.sku(key)?;
        let email = self.user(cx, id).await?.primary_email;
        if self.has_licence(cx, sku, &email).await? {
            return Ok(Outcome::unchanged());
        }
        match self.licensing.send(cx, requests::give(sku.place(), &email)).await {
            Ok(_) => Ok(Outcome::changed()),
            // One answer for a user who is not complete yet, one who got it meanwhile, and no licence left. The
            // first one says so.
            Err(error)
                if error.kind() == ErrorKind::Conflict && error.retry() != RetryAdvice::Backoff =>
            {
                if self.has_licence(cx, sku, &email).await? {
                    return Ok(Outcome::unchanged());
                }
                let text = format!("no licence is left: {}", error.message());
                Err(Error::new(ErrorKind::Exhausted, text).with_context("status", 412))
            }
            Err(error) => Err(error),
        }
    }

    async fn revoke(&self, cx: &Cx, id: &AccountId, key: &EntitlementKey) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let user = number(id)?;
        if key.kind == self.kinds.group {
            self.directory.send(cx, requests::leave(key.id.as_str(), user)).await?;
            return Ok(Outcome::changed());
        }
        if key.kind == self.kinds.role {
            let mut each = Vec::new();
            for it in self.roles(cx, user).await? {
                if self.role(&it)? == *key {
                    each.push(requests::unassign(&it.id));
                }
            }
            return self.directory.change_each(cx, each).await;
        }
        // One that is not looked after can be taken all the same.
        let known = self.skus.get(&key.id).map(Sku::place);
        let Some(place) = known.or_else(|| key.id.as_str().split_once(':')) else {
            let text = format!("`{key}` is no licence: they are written `PRODUCT:SKU`");
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        let email = self.user(cx, id).await?.primary_email;
        // Documents and mail hang on it.
        self.nothing_moves(cx, user).await?;
        self.licensing.send(cx, requests::withdraw(place, &email)).await?;
        Ok(Outcome::changed())
    }
}
