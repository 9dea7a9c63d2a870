//! What Microsoft Graph answers about groups, licences, applications and directory roles.

use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, KindId};
use jml_core::provider::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::requests::{NO_ROLE, TENANT};

/// <https://learn.microsoft.com/graph/api/resources/group>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) id: EntitlementId,
    #[serde(rename = "@odata.type", default)]
    odata_type: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    group_types: Vec<String>,
    #[serde(default)]
    mail_enabled: Option<bool>,
    #[serde(default)]
    membership_rule: Option<String>,
    #[serde(default)]
    on_premises_sync_enabled: Option<bool>,
}

impl Group {
    /// Whether it is a group at all: directory roles and administrative units come in the same lists.
    pub(crate) fn is_group(&self) -> bool {
        self.odata_type.is_empty() || self.odata_type == "#microsoft.graph.group"
    }

    /// The entitlement. Distribution lists, mail-enabled security groups, groups with a rule and synced ones
    /// are not written through Graph.
    pub(crate) fn key(&self, kinds: &Kinds) -> EntitlementKey {
        let has = |kind: &str| self.group_types.iter().any(|it| it == kind);
        let by_rule = has("DynamicMembership") || self.membership_rule.is_some();
        let synced = self.on_premises_sync_enabled == Some(true);
        let mail = self.mail_enabled == Some(true) && !has("Unified");
        let kind = if by_rule || synced || mail { &kinds.managed_group } else { &kinds.group };
        EntitlementKey::new(kind.clone(), self.id.clone())
    }
}

/// The kinds of entitlement.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) group: KindId,
    pub(crate) managed_group: KindId,
    pub(crate) licence: KindId,
    pub(crate) app: KindId,
    pub(crate) role: KindId,
}

/// A user's licences.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Licensed {
    pub(crate) id: AccountId,
    #[serde(default)]
    license_assignment_states: Vec<LicenceState>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LicenceState {
    sku_id: EntitlementId,
    assigned_by_group: Option<String>,
}

impl Licensed {
    /// Licences that were given to the user, and not to a group.
    pub(crate) fn direct(&self) -> impl Iterator<Item = &EntitlementId> {
        let states = self.license_assignment_states.iter();
        states.filter(|it| it.assigned_by_group.is_none()).map(|it| &it.sku_id)
    }

    /// The group that a licence comes with.
    pub(crate) fn group_of(&self, sku: &EntitlementId) -> Option<&str> {
        let state = self.license_assignment_states.iter().find(|it| it.sku_id == *sku)?;
        state.assigned_by_group.as_deref()
    }
}

/// <https://learn.microsoft.com/graph/api/resources/subscribedsku>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sku {
    pub(crate) sku_id: EntitlementId,
    #[serde(default)]
    pub(crate) sku_part_number: String,
    #[serde(default)]
    consumed_units: i64,
    #[serde(default)]
    prepaid_units: Units,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Units {
    #[serde(default)]
    enabled: i64,
}

impl Sku {
    pub(crate) const fn is_free(&self) -> bool {
        self.prepaid_units.enabled > self.consumed_units
    }
}

/// Who has an application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppAssignment {
    pub(crate) id: String,
    #[serde(default)]
    principal_type: Option<String>,
    pub(crate) principal_id: AccountId,
    resource_id: EntitlementId,
    #[serde(default)]
    app_role_id: Option<String>,
}

impl AppAssignment {
    /// The user, if it is one and no group.
    pub(crate) fn user(&self) -> Option<&AccountId> {
        let is = self.principal_type.as_deref().is_none_or(|it| it == "User");
        is.then_some(&self.principal_id)
    }

    /// Whether it is this user's own. What a group of theirs was given comes in the same list.
    pub(crate) fn is_of(&self, user: &str) -> bool {
        self.user().is_some_and(|it| it.as_str() == user)
    }

    /// The application, and the role in it unless it has none.
    pub(crate) fn key(&self, kinds: &Kinds) -> Result<EntitlementKey> {
        let role = self.app_role_id.as_deref().filter(|it| *it != NO_ROLE);
        let tail = role.map(|it| format!("/{it}")).unwrap_or_default();
        within(&kinds.app, &self.resource_id, &tail)
    }
}

/// The key of something and what follows it.
fn within(kind: &KindId, id: &EntitlementId, tail: &str) -> Result<EntitlementKey> {
    let id = EntitlementId::new(format!("{id}{tail}"))
        .map_err(|e| Error::new(ErrorKind::ContractViolation, e.to_string()))?;
    Ok(EntitlementKey::new(kind.clone(), id))
}

/// An enterprise application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct App {
    id: EntitlementId,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    app_roles: Vec<AppRole>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppRole {
    id: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    is_enabled: bool,
    #[serde(default)]
    allowed_member_types: Vec<String>,
}

impl App {
    pub(crate) const fn id(&self) -> &EntitlementId {
        &self.id
    }

    /// What users can be given, with names: its roles for them, or the application itself if it has none.
    pub(crate) fn keys(&self, kinds: &Kinds) -> Result<Vec<(EntitlementKey, String)>> {
        let name = self.display_name.as_deref().unwrap_or_default();
        let people =
            |it: &&AppRole| it.is_enabled && it.allowed_member_types.iter().any(|it| it == "User");
        let roles = self.app_roles.iter().filter(people);
        let roles: Result<Vec<(EntitlementKey, String)>> = roles
            .map(|role| {
                let key = within(&kinds.app, &self.id, &format!("/{}", role.id))?;
                Ok((key, format!("{name}: {}", role.display_name.as_deref().unwrap_or_default())))
            })
            .collect();
        let roles = roles?;
        if roles.is_empty() {
            return Ok(vec![(
                EntitlementKey::new(kinds.app.clone(), self.id.clone()),
                name.to_owned(),
            )]);
        }
        Ok(roles)
    }
}

/// Who has a directory role.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignment {
    pub(crate) id: String,
    pub(crate) principal_id: AccountId,
    role_definition_id: EntitlementId,
    #[serde(default)]
    directory_scope_id: Option<String>,
}

impl RoleAssignment {
    /// The role, and where it is held unless that is the whole tenant. Scopes begin with `/`.
    pub(crate) fn key(&self, kinds: &Kinds) -> Result<EntitlementKey> {
        let scope = self.directory_scope_id.as_deref().filter(|it| *it != TENANT);
        within(&kinds.role, &self.role_definition_id, scope.unwrap_or_default())
    }
}
