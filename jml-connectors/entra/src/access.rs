//! Groups, licences, applications, directory roles.

use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, Error, ErrorKind, Outcome, RefusalReason, Result};

use crate::held::{App, AppAssignment, Group, Licensed, RoleAssignment, Sku};
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
            let request = requests::join(&self.root, what, "members", user);
            let answered = self.client.change(cx, request).await;
            return self.of_group(cx, what, answered).await;
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
            let (own, _) = self.assignments(cx, user, key).await?;
            if !own.is_empty() {
                return Ok(Outcome::unchanged());
            }
            let (app, role) = self.app_role(cx, key).await?;
            return self.client.change(cx, requests::assign(&app, &role, user)).await;
        }
        if !self.roles(cx, user, key).await?.is_empty() {
            return Ok(Outcome::unchanged());
        }
        // A scope begins with the slash that ends the role.
        let (role, scope) = match what.find('/') {
            Some(at) => what.split_at(at),
            None => (what, requests::TENANT),
        };
        self.client.change(cx, requests::add_role(user, role, scope)).await
    }

    /// Who is refused by a group may lack a permission, or a rule or another directory decides who is in it; of
    /// groups with a rule Graph says the same 403 in both cases.
    async fn of_group(&self, cx: &Cx, id: &str, answered: Result<Outcome>) -> Result<Outcome> {
        let error = match answered {
            Err(error)
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Invalid) =>
            {
                error
            }
            other => return other,
        };
        match self.client.fetch::<Group>(cx, requests::group(id)).await {
            Ok(group) if group.key(&self.kinds).kind == self.kinds.managed_group => {
                let text = format!("Graph does not write the group `{id}`: {}", error.message());
                Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
            }
            _ => Err(error),
        }
    }

    /// What makes a user hold an application: the assignments that are theirs, and those of their groups.
    async fn assignments(
        &self,
        cx: &Cx,
        user: &str,
        key: &EntitlementKey,
    ) -> Result<(Vec<AppAssignment>, Vec<AppAssignment>)> {
        let all: Vec<AppAssignment> =
            self.all(cx, requests::of_user(user, "appRoleAssignments")).await?;
        let (mut own, mut of_groups) = (Vec::new(), Vec::new());
        for it in all {
            if it.key(&self.kinds)? == *key {
                if it.is_of(user) { &mut own } else { &mut of_groups }.push(it);
            }
        }
        Ok((own, of_groups))
    }

    /// The assignments that make a user hold a directory role in a scope.
    async fn roles(
        &self,
        cx: &Cx,
        user: &str,
        key: &EntitlementKey,
    ) -> Result<Vec<RoleAssignment>> {
        let all: Vec<RoleAssignment> = self.all(cx, requests::roles_of(user)).await?;
        let mut held = Vec::new();
        for it in all {
            if it.key(&self.kinds)? == *key {
                held.push(it);
            }
        }
        Ok(held)
    }

    /// The application and the role that a key names.
    async fn app_role(&self, cx: &Cx, key: &EntitlementKey) -> Result<(String, String)> {
        let what = key.id.as_str();
        let (id, role) = what.split_once('/').unwrap_or((what, requests::NO_ROLE));
        let app: App = self.client.fetch(cx, requests::app(id)).await?;
        let keys = app.keys(&self.kinds)?;
        if keys.iter().any(|(it, _)| it == key) {
            return Ok((id.to_owned(), role.to_owned()));
        }
        if what != id {
            let text = format!("`{key}`: the application has no such role for users");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let roles: Vec<String> = keys.iter().map(|(it, name)| format!("`{it}` ({name})")).collect();
        let text = format!("`{key}` has roles; give one of them: {}", roles.join(", "));
        Err(Error::new(ErrorKind::Invalid, text))
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
        let comes_with = |what: &str, group: &str| {
            let text = format!("the {what} comes with the group `{group}`; take the group");
            Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
        };
        if key.kind == self.kinds.group {
            let answered = self.client.change(cx, requests::leave(what, "members", user)).await;
            return self.of_group(cx, what, answered).await;
        }
        if key.kind == self.kinds.licence {
            let licensed: Licensed = self.client.fetch(cx, requests::licences(user)).await?;
            if licensed.direct().any(|sku| *sku == key.id) {
                return self.client.change(cx, requests::license(user, None, Some(what))).await;
            }
            return match licensed.group_of(&key.id) {
                None => Ok(Outcome::unchanged()),
                Some(group) => comes_with("licence", group),
            };
        }
        let requests: Vec<_> = if key.kind == self.kinds.app {
            let (own, of_groups) = self.assignments(cx, user, key).await?;
            if let (true, Some(first)) = (own.is_empty(), of_groups.first()) {
                return comes_with("application", first.principal_id.as_str());
            }
            let app = what.split_once('/').map_or(what, |it| it.0);
            own.iter().map(|it| requests::unassign(app, &it.id)).collect()
        } else {
            let held = self.roles(cx, user, key).await?;
            held.iter().map(|it| requests::remove_role(&it.id)).collect()
        };
        self.client.change_each(cx, requests).await
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
