//! Who holds what, and what there is to hold: a walk over everything that users are in or bound to.

use jml_connector_kit::http::{Step, Sweep};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, ListRequest, Page, Result, Row};

use crate::answers::{Directory, Edge, Group, Thing};
use crate::window::Shape;
use crate::{JumpCloud, broken, requests};

/// What is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Groups,
    Apps,
    Systems,
    SystemGroups,
    Directories,
}

const STAGES: [Stage; 5] =
    [Stage::Groups, Stage::Apps, Stage::Systems, Stage::SystemGroups, Stage::Directories];

fn stage_at(number: usize) -> Result<Stage> {
    STAGES.get(number).copied().ok_or_else(Sweep::not_ours)
}

/// Entitlements with their titles, and where the listing goes on.
type Titled = (Vec<(EntitlementKey, String)>, Option<String>);

impl JumpCloud {
    /// A page of what a stage is about.
    async fn containers(
        &self,
        cx: &Cx,
        stage: Stage,
        size: u32,
        link: Option<&str>,
    ) -> Result<Titled> {
        let kinds = &self.kinds;
        match stage {
            Stage::Groups => {
                let (found, next) =
                    self.page::<Group>(cx, requests::groups(), Shape::Plain, size, link).await?;
                Ok((found.into_iter().map(|it| (it.key(kinds), it.name)).collect(), next))
            }
            Stage::Apps | Stage::Systems => {
                let (what, kind) = match stage {
                    Stage::Apps => ("applications", &kinds.app),
                    _ => ("systems", &kinds.system),
                };
                let (found, next) =
                    self.page::<Thing>(cx, requests::list(what), Shape::Sorted, size, link).await?;
                let found = found.iter().map(|it| {
                    (EntitlementKey::new(kind.clone(), it.id.clone()), it.title().to_owned())
                });
                Ok((found.collect(), next))
            }
            Stage::SystemGroups => {
                let request = requests::system_groups();
                let (found, next) =
                    self.page::<Group>(cx, request, Shape::Plain, size, link).await?;
                let found = found
                    .into_iter()
                    .map(|it| (EntitlementKey::new(kinds.device_group.clone(), it.id), it.name));
                Ok((found.collect(), next))
            }
            Stage::Directories => {
                let request = requests::directories();
                let (found, next) =
                    self.page::<Directory>(cx, request, Shape::Plain, size, link).await?;
                let mut keys = Vec::new();
                for it in found {
                    // Some only tell JumpCloud of people, and nobody is bound to them.
                    if let Some(key) = kinds.key(&it.node).map_err(broken)? {
                        keys.push((key, it.name));
                    }
                }
                Ok((keys, next))
            }
        }
    }

    pub(crate) async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let read = match sweep.step() {
            Step::Containers { stage, link } => {
                let stage = stage_at(stage)?;
                let (found, link) = self.containers(cx, stage, requests::PAGE, link).await?;
                let found = found.iter().map(|(key, _)| key.to_string()).collect();
                return next.containers(asked, STAGES.len(), found, link);
            }
            Step::Members { stage, container, link } => {
                let stage = stage_at(stage)?;
                // An edge may be two rows.
                let size = if stage == Stage::Systems { size.div_ceil(2) } else { size };
                let key: EntitlementKey = container.parse().map_err(|_| Sweep::not_ours())?;
                let request = if stage == Stage::Groups {
                    requests::members(key.id.as_str())
                } else {
                    let vertex = self.vertex(&key)?;
                    requests::bound_users(vertex.collection, vertex.id)
                };
                let found = self.page::<Edge>(cx, request, Shape::Plain, size, link).await;
                found.and_then(|(found, link)| {
                    let mut rows = Vec::new();
                    for edge in found.iter().filter(|it| it.to.kind == "user") {
                        let account = AccountId::new(&edge.to.id).map_err(broken)?;
                        let held = self.keys(edge, &key);
                        rows.extend(held.map(|key| Row::holding(account.clone(), key)));
                    }
                    Ok((rows, link))
                })
            }
        };
        next.members(asked, STAGES.len(), read)
    }

    /// Everything in the order of the walk, then all rights on devices.
    pub(crate) async fn entitlements(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        size: u32,
    ) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let Step::Containers { stage, link } = sweep.step() else { return Err(Sweep::not_ours()) };
        let rights = stage == STAGES.len();
        let about = if rights { Stage::Systems } else { stage_at(stage)? };
        let (found, link) = self.containers(cx, about, size, link).await?;
        let rows = found.into_iter().map(|(mut key, title)| {
            if rights {
                key.kind = self.kinds.sudo.clone();
            }
            Row::entitlement(key, &title)
        });
        next.rows(asked, STAGES.len() + 1, rows.collect(), link)
    }
}
