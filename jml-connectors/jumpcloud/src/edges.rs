//! Edges between users and what they hold: groups, applications, devices.

use jml_connector_kit::Request;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, KindId};
use jml_core::provider::{Cx, Error, ErrorKind, Outcome, RefusalReason, Result, SideEffect};

use crate::answers::{Bound, Edge, Group};
use crate::{JumpCloud, object_id, requests};

impl JumpCloud {
    /// What a user is bound to directly.
    pub(crate) async fn direct(&self, cx: &Cx, user: &str, kind: &KindId) -> Result<Vec<Edge>> {
        self.all(cx, requests::associations(user, bound_kind(kind))).await
    }

    /// What an edge to something gives: that, and all rights on it if the edge says so.
    pub(crate) fn keys(
        &self,
        edge: &Edge,
        thing: &EntitlementKey,
    ) -> impl Iterator<Item = EntitlementKey> {
        let sudo = EntitlementKey::new(self.kinds.sudo.clone(), thing.id.clone());
        let has = thing.kind == self.kinds.system && edge.is_sudo();
        [thing.clone()].into_iter().chain(has.then_some(sudo))
    }

    /// Refuses to edit who is in a group that a query fills: JumpCloud accepts it, and undoes it.
    async fn check_group(&self, cx: &Cx, key: &EntitlementKey) -> Result<()> {
        let group: Group = self.fetch(cx, requests::group(key.id.as_str())).await?;
        if group.is_dynamic() {
            let text = format!("a query decides who is in `{}`", group.name);
            return Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text));
        }
        Ok(())
    }

    /// Whether a user holds something without a detour.
    async fn holds(&self, cx: &Cx, user: &str, key: &EntitlementKey) -> Result<bool> {
        if key.kind == self.kinds.group {
            let groups: Vec<Bound> = self.all(cx, requests::member_of(user)).await?;
            return Ok(groups.iter().any(|it| it.id == key.id));
        }
        let edges = self.direct(cx, user, &key.kind).await?;
        Ok(edges.iter().any(|it| it.to.id == key.id.as_str()))
    }

    /// The request for an edit of an edge.
    async fn edge(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
        op: &str,
    ) -> Result<Request> {
        self.descriptor.check_mutable(key)?;
        let (user, what) = (object_id(id.as_str())?, object_id(key.id.as_str())?);
        if key.kind == self.kinds.group {
            self.check_group(cx, key).await?;
            return Ok(requests::edit_members(what, user, op));
        }
        Ok(requests::edit_associations(user, bound_kind(&key.kind), what, op))
    }

    /// The edge between a user and a device.
    async fn bond(&self, cx: &Cx, user: &str, system: &str) -> Result<Option<Edge>> {
        let edges = self.direct(cx, user, &self.kinds.system).await?;
        Ok(edges.into_iter().find(|it| it.to.id == system))
    }

    /// Gives or takes all rights on a device. Who is not bound to it yet is bound by it.
    async fn set_sudo(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
        enabled: bool,
    ) -> Result<Outcome> {
        let (user, system) = (object_id(id.as_str())?, object_id(key.id.as_str())?);
        let op = match self.bond(cx, user, system).await? {
            Some(edge) if edge.is_sudo() == enabled => return Ok(Outcome::unchanged()),
            Some(_) => "update",
            None if enabled => "add",
            None => return Ok(Outcome::unchanged()),
        };
        self.sends(cx, requests::edit_sudo(user, system, op, enabled)).await
    }

    /// Gives something.
    pub(crate) async fn grant(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
    ) -> Result<Outcome> {
        if key.kind == self.kinds.sudo {
            return self.set_sudo(cx, id, key, true).await;
        }
        let request = self.edge(cx, id, key, "add").await?;
        match self.sends(cx, request).await {
            // That is what JumpCloud says of an edge that is there, and nothing in the answer tells it
            // from another conflict.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if self.holds(cx, id.as_str(), key).await? {
                    Ok(Outcome::unchanged())
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    /// Takes something.
    pub(crate) async fn revoke(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
    ) -> Result<Outcome> {
        if key.kind == self.kinds.sudo {
            return self.set_sudo(cx, id, key, false).await;
        }
        let request = self.edge(cx, id, key, "remove").await?;
        let mut drops = None;
        if key.kind == self.kinds.system {
            let edge = self.bond(cx, id.as_str(), key.id.as_str()).await?;
            let sudo = || EntitlementKey::new(self.kinds.sudo.clone(), key.id.clone());
            drops = edge.filter(Edge::is_sudo).map(|_| SideEffect::Dropped(sudo()));
        }
        match self.sends(cx, request).await {
            Ok(outcome) => Ok(drops.into_iter().fold(outcome, Outcome::with_side_effect)),
            // What JumpCloud says of an edge that is not there is not documented. A look tells.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
                if self.holds(cx, id.as_str(), key).await? {
                    Err(error)
                } else {
                    Ok(Outcome::unchanged())
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && key.kind != self.kinds.group => {
                let what = if key.kind == self.kinds.system { "systems" } else { "applications" };
                let bound: Vec<Bound> = self.all(cx, requests::bound(id.as_str(), what)).await?;
                let held = bound.iter().filter(|it| it.id == key.id);
                let groups: Vec<&str> = held.flat_map(Bound::groups).collect();
                if groups.is_empty() {
                    return Err(error);
                }
                let text = format!("it comes with {}; take the group", groups.join(", "));
                Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
            }
            other => other,
        }
    }
}

/// The name of a kind in the graph.
fn bound_kind(kind: &KindId) -> &'static str {
    if kind.as_str() == "system" { "system" } else { "application" }
}
