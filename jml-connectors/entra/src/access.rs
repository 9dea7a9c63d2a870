//! Groups, licences, applications, directory roles.

use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, Error, ErrorKind, Outcome, RefusalReason, Result};

use crate::answers::{AppAssignment, Licensed, RoleAssignment, Sku};
use crate::{Entra, requests};

impl Entra {
    pub(crate) async fn grant(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
    ) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            return self.client.change(cx, requests::join(&self.root, what, "members", user)).await;
        }
        if key.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(user)).await?;
            if licensed.direct().any(|sku| *sku == key.id) {
                return Ok(Outcome::unchanged());
            }
            self.seat(cx, key).await?;
            return self.client.change(cx, requests::license(user, Some(what), None)).await;
        }
        if key.kind == self.kinds.app {
            let held = self.apps_of(cx, user).await?;
            if held.iter().any(|it| it.resource_id == key.id) {
                return Ok(Outcome::unchanged());
            }
            return self.client.change(cx, requests::assign(what, user)).await;
        }
        let held: Vec<RoleAssignment> = self.all(cx, requests::roles_of(user)).await?;
        if held.iter().any(|it| it.role_definition_id == key.id) {
            return Ok(Outcome::unchanged());
        }
        self.client.change(cx, requests::add_role(user, what)).await
    }

    pub(crate) async fn apps_of(&self, cx: &Cx, user: &str) -> Result<Vec<AppAssignment>> {
        self.all(cx, requests::of_user(user, "appRoleAssignments")).await
    }

    /// Whether a licence is to be had: Graph says it only in words when it is not.
    pub(crate) async fn seat(&self, cx: &Cx, key: &EntitlementKey) -> Result<()> {
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

    pub(crate) async fn revoke(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
    ) -> Result<Outcome> {
        self.descriptor.check_mutable(key)?;
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            return self.client.change(cx, requests::leave(what, "members", user)).await;
        }
        if key.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(user)).await?;
            if licensed.direct().any(|sku| *sku == key.id) {
                return self.client.change(cx, requests::license(user, None, Some(what))).await;
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
            Some(request) => self.client.change(cx, request).await,
        }
    }

    pub(crate) async fn exchange(
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
            return self.client.change(cx, requests::license(id.as_str(), add, remove)).await;
        }
        self.descriptor.check_mutable(from)?;
        // First what comes: what fails leaves the old one.
        match self.grant(cx, id, to).await {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.revoke(cx, id, from).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::accepted()),
            other => other.map_err(Error::partly),
        }
    }
}
