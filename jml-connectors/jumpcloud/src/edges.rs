//! Edges between users and what they hold: groups, applications, devices, directories.

use jml_connector_kit::Request;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, Error, ErrorKind, Outcome, RefusalReason, Result, SideEffect};

use crate::answers::{Bound, Edge, Group, directories};
use crate::{JumpCloud, object_id, requests};

/// Something that a user can be bound to, as the graph has it.
pub(crate) struct Vertex<'a> {
    /// Its type.
    kind: &'static str,
    /// Where all of that type are.
    pub(crate) collection: &'static str,
    pub(crate) id: &'a str,
}

impl JumpCloud {
    /// Where an entitlement that is no group lies in the graph.
    pub(crate) fn vertex<'a>(&self, key: &'a EntitlementKey) -> Result<Vertex<'a>> {
        let (mut id, kinds) = (key.id.as_str(), &self.kinds);
        let found = if key.kind == kinds.app {
            Some(("application", "applications"))
        } else if key.kind == kinds.system {
            Some(("system", "systems"))
        } else if key.kind == kinds.device_group {
            Some(("system_group", "systemgroups"))
        } else {
            id.split_once('/').and_then(|(of, rest)| {
                id = rest;
                directories(of)
            })
        };
        let Some((kind, collection)) = found else {
            let text = format!("`{key}` is none: a directory is `directory/TYPE/ID`");
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        Ok(Vertex { kind, collection, id: object_id(id)? })
    }

    /// What of a type a user is bound to directly.
    pub(crate) async fn direct(&self, cx: &Cx, user: &str, kind: &str) -> Result<Vec<Edge>> {
        self.all(cx, requests::associations(user, kind)).await
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
            return Ok(groups.iter().any(|it| it.node.id == key.id.as_str()));
        }
        let vertex = self.vertex(key)?;
        let edges = self.direct(cx, user, vertex.kind).await?;
        Ok(edges.iter().any(|it| it.to.id == vertex.id))
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
        let user = object_id(id.as_str())?;
        if key.kind == self.kinds.group {
            let group = object_id(key.id.as_str())?;
            self.check_group(cx, key).await?;
            return Ok(requests::edit_members(group, user, op));
        }
        let vertex = self.vertex(key)?;
        Ok(requests::edit_associations(user, vertex.kind, vertex.id, op))
    }

    /// The edge between a user and a device.
    async fn bond(&self, cx: &Cx, user: &str, system: &str) -> Result<Option<Edge>> {
        let edges = self.direct(cx, user, "system").await?;
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
                let vertex = self.vertex(key)?;
                let of_any_type = key.kind == self.kinds.directory;
                let what = if of_any_type { "directories" } else { vertex.collection };
                let bound: Vec<Bound> = self.all(cx, requests::bound(id.as_str(), what)).await?;
                let held = bound.iter().filter(|it| it.node.id == vertex.id);
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
