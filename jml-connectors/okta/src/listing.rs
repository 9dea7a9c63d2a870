//! Who holds what, and what can be held.

use jml_connector_kit::Request;
use jml_connector_kit::http::{Step, Sweep};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, ErrorKind, ListRequest, Page, Result, Row};

use crate::answers::{Administrators, App, Assignment, CustomRoles, Group, User};
use crate::{Okta, STAGES, descriptor, entitlement, requests};

impl Okta {
    pub(crate) async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let read = match sweep.step() {
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
                let key: EntitlementKey = container.parse().map_err(|_| Sweep::not_ours())?;
                self.members_of(cx, stage, &key, size, link).await
            }
            Step::Members { container, .. } => {
                let account = AccountId::new(container).map_err(|_| Sweep::not_ours())?;
                let roles = self.roles(cx, container).await;
                roles.map(|roles| {
                    let direct = roles.into_iter().filter(crate::answers::Role::is_direct);
                    let rows = direct.map(|role| {
                        let key = EntitlementKey::new(self.kinds.role.clone(), role.name().clone());
                        Row::holding(account.clone(), key)
                    });
                    (rows.collect(), None)
                })
            }
        };
        next.members(asked, STAGES, read)
    }

    pub(crate) async fn members_of(
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
            let rows = found.into_iter().map(|user| Row::holding(user.id, key.clone()));
            return Ok((rows.collect(), link));
        }
        let first = requests::members("apps", key.id.as_str(), size);
        let (found, link) = self.client.linked::<Assignment>(cx, first, link).await?;
        let direct = found.into_iter().filter(Assignment::is_direct);
        Ok((direct.map(|it| Row::holding(it.id, key.clone())).collect(), link))
    }

    /// Groups, then applications, then the administrator roles.
    pub(crate) async fn entitlements(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        size: u32,
    ) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let first = requests::containers("groups", size);
                let (found, link) = self.client.linked::<Group>(cx, first, link).await?;
                let rows = found.iter().map(|it| Row::entitlement(it.key(&self.kinds), it.title()));
                next.rows(asked, STAGES, rows.collect(), link)
            }
            Step::Containers { stage: 1, link } => {
                let first = requests::containers("apps", size);
                let (found, link) = self.client.linked::<App>(cx, first, link).await?;
                let rows = found.into_iter().map(|it| {
                    Row::entitlement(EntitlementKey::new(self.kinds.app.clone(), it.id), it.label)
                });
                next.rows(asked, STAGES, rows.collect(), link)
            }
            Step::Containers { link, .. } => {
                let key = |id| EntitlementKey::new(self.kinds.role.clone(), id);
                let mut rows = Vec::new();
                if link.is_none() {
                    for (id, title) in descriptor::ROLES {
                        rows.push(Row::entitlement(key(entitlement(id)?), title));
                    }
                }
                let request = link.map_or_else(requests::custom_roles, Request::follow);
                let link = match self.client.fetch::<CustomRoles>(cx, request).await {
                    Ok(found) => {
                        let link = found.next();
                        let each = found.roles.into_iter();
                        rows.extend(each.map(|it| Row::entitlement(key(it.id), it.label)));
                        link
                    }
                    // Not every organisation has custom roles.
                    Err(error) if error.kind() == ErrorKind::Unsupported => None,
                    Err(error) => return Err(error),
                };
                next.rows(asked, STAGES, rows, link)
            }
            _ => Err(Sweep::not_ours()),
        }
    }
}
