//! Who is there, and who holds what.

use jml_connector_kit::http::{Step, Sweep};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, KindId};
use jml_core::provider::{Cx, ListRequest, Page, Result, Row};

use crate::answers::{Collection, Named, Reference};
use crate::held::{App, AppAssignment, Group, Licensed, RoleAssignment, Sku};
use crate::{Entra, STAGES, requests};

impl Entra {
    pub(crate) async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let read = match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let found: Collection<Group> =
                    self.collection(cx, requests::groups(200), link).await?;
                let keys = found.value.iter().map(|it| it.key(&self.kinds).to_string()).collect();
                return next.containers(asked, STAGES, keys, found.next);
            }
            Step::Containers { stage: 1, link } => {
                let found: Collection<App> = self.collection(cx, requests::apps(200), link).await?;
                let keys = found.value.iter().map(|it| format!("app/{}", it.id())).collect();
                return next.containers(asked, STAGES, keys, found.next);
            }
            Step::Containers { stage: 2, link } => {
                let first = requests::all_licences(size);
                let found: Collection<Licensed> = self.collection(cx, first, link).await?;
                let rows = found.value.iter().flat_map(|it| {
                    it.direct().map(|sku| {
                        Row::holding(it.id.clone(), self.key(&self.kinds.licence, sku.clone()))
                    })
                });
                return next.rows(asked, STAGES, rows.collect(), found.next);
            }
            Step::Containers { link, .. } => {
                let found: Collection<RoleAssignment> =
                    self.collection(cx, requests::roles(), link).await?;
                let rows = found.value.into_iter();
                let rows = rows.map(|it| {
                    let key = it.key(&self.kinds)?;
                    Ok(Row::holding(it.principal_id, key))
                });
                return next.rows(asked, STAGES, rows.collect::<Result<_>>()?, found.next);
            }
            Step::Members { stage: 0, container, link } => {
                let key: EntitlementKey = container.parse().map_err(|_| Sweep::not_ours())?;
                let first = requests::members(key.id.as_str(), size);
                let found = self.collection::<Reference>(cx, first, link).await;
                found.map(|found| {
                    let users = found
                        .value
                        .iter()
                        .filter(|it| it.kind.is_empty() || it.kind == "#microsoft.graph.user");
                    let rows = users.filter_map(|it| {
                        Some(Row::holding(AccountId::new(&it.id).ok()?, key.clone()))
                    });
                    (rows.collect(), found.next)
                })
            }
            Step::Members { container, link, .. } => {
                let key: EntitlementKey = container.parse().map_err(|_| Sweep::not_ours())?;
                let first = requests::app_users(key.id.as_str(), size);
                let found = self.collection::<AppAssignment>(cx, first, link).await;
                found.and_then(|found| {
                    let users = found.value.iter().filter_map(|it| Some((it.user()?, it)));
                    let rows = users.map(|(user, it)| {
                        let key = it.key(&self.kinds)?;
                        Ok(Row::holding(user.clone(), key))
                    });
                    Ok((rows.collect::<Result<_>>()?, found.next))
                })
            }
        };
        next.members(asked, STAGES, read)
    }

    /// Groups, applications, licences, roles.
    pub(crate) async fn entitlements(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        size: u32,
    ) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let named = |kind: &KindId, all: Vec<Named>| {
            let rows = all.into_iter().map(|it| {
                Row::entitlement(self.key(kind, it.id), it.display_name.unwrap_or_default())
            });
            rows.collect::<Vec<Row>>()
        };
        match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let found: Collection<Group> =
                    self.collection(cx, requests::groups(size), link).await?;
                let rows = found.value.iter();
                let rows = rows.map(|it| {
                    Row::entitlement(
                        it.key(&self.kinds),
                        it.display_name.as_deref().unwrap_or_default(),
                    )
                });
                next.rows(asked, STAGES, rows.collect(), found.next)
            }
            Step::Containers { stage: 1, link } => {
                let found: Collection<App> =
                    self.collection(cx, requests::apps(size), link).await?;
                let mut rows = Vec::new();
                for app in &found.value {
                    let keys = app.keys(&self.kinds)?.into_iter();
                    rows.extend(keys.map(|(key, name)| Row::entitlement(key, name)));
                }
                next.rows(asked, STAGES, rows, found.next)
            }
            Step::Containers { stage: 2, link } => {
                let found: Collection<Sku> = self.collection(cx, requests::skus(), link).await?;
                let rows = found.value.into_iter().map(|it| {
                    Row::entitlement(self.key(&self.kinds.licence, it.sku_id), it.sku_part_number)
                });
                next.rows(asked, STAGES, rows.collect(), found.next)
            }
            Step::Containers { link, .. } => {
                let first = requests::role_definitions();
                let found: Collection<Named> = self.collection(cx, first, link).await?;
                next.rows(asked, STAGES, named(&self.kinds.role, found.value), found.next)
            }
            _ => Err(Sweep::not_ours()),
        }
    }
}
