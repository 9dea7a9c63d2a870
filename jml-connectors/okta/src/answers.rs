//! What Okta answers, as values. Nothing here knows a network.

use std::collections::BTreeMap;

use jml_connector_kit::fields::from_json;
use jml_connector_kit::{Failure, Verdict};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, IdentityId, KindId};
use jml_core::provider::{ErrorKind, RefusalReason, RetryAdvice};
use serde::Deserialize;
use serde_json::Value;

use crate::requests;

/// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/>
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: AccountId,
    pub(crate) status: Status,
    /// Where a lifecycle call is still taking them; until then they are what `status` says.
    #[serde(rename = "transitioningToStatus")]
    pub(crate) becomes: Option<Status>,
    #[serde(default)]
    profile: BTreeMap<String, Value>,
}

/// The status of a user. What one may do from where is in `lifecycle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Staged,
    Provisioned,
    Active,
    Recovery,
    PasswordExpired,
    LockedOut,
    Suspended,
    Deprovisioned,
}

impl Status {
    pub(crate) const fn ours(self) -> AccountStatus {
        match self {
            Self::Staged => AccountStatus::Staged,
            // Whoever has to set a password, or waits for the end of a lock, can get in.
            Self::Provisioned
            | Self::Active
            | Self::Recovery
            | Self::PasswordExpired
            | Self::LockedOut => AccountStatus::Active,
            Self::Suspended => AccountStatus::Disabled,
            Self::Deprovisioned => AccountStatus::Archived,
        }
    }
}

impl Status {
    /// Whether it is as good as what was asked for: who is deprovisioned is disabled, too.
    pub(crate) fn is(self, wanted: AccountStatus) -> bool {
        self.ours() == wanted || (wanted == AccountStatus::Disabled && self == Self::Deprovisioned)
    }
}

impl User {
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.profile.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// The account, without what needs further calls.
    pub(crate) fn account(&self, owner: &str) -> AccountState {
        let login = self.text("login").unwrap_or_default();
        let mut state = AccountState::new(self.id.clone(), login, self.status.ours());
        state.external_id = self.text(owner).and_then(|text| IdentityId::new(text).ok());
        for (field, value) in &self.profile {
            if field == "login" || field == owner {
                continue;
            }
            if let (Some(name), Some(value)) = (requests::name(field), from_json(value)) {
                state.attributes.insert(name, value);
            }
        }
        state
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: EntitlementId,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    profile: GroupProfile,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct GroupProfile {
    #[serde(default)]
    name: String,
}

impl Group {
    /// The entitlement. Members of groups that applications or Okta itself keep cannot be changed.
    pub(crate) fn key(&self, kinds: &Kinds) -> EntitlementKey {
        let kind = if self.kind == "OKTA_GROUP" { &kinds.group } else { &kinds.managed_group };
        EntitlementKey::new(kind.clone(), self.id.clone())
    }

    pub(crate) fn title(&self) -> &str {
        &self.profile.name
    }
}

/// The kinds of entitlement.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) group: KindId,
    pub(crate) managed_group: KindId,
    pub(crate) app: KindId,
    pub(crate) role: KindId,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) id: EntitlementId,
    #[serde(default)]
    pub(crate) label: String,
    #[serde(rename = "_embedded", default)]
    embedded: Embedded,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Embedded {
    user: Option<Assignment>,
}

impl App {
    /// How it was given to the user who was asked about, where the answer says it.
    pub(crate) const fn assignment(&self) -> Option<&Assignment> {
        self.embedded.user.as_ref()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) id: AccountId,
    scope: String,
}

impl Assignment {
    pub(crate) fn is_direct(&self) -> bool {
        self.scope == "USER"
    }
}

/// An assignment of an administrator role.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Role {
    pub(crate) id: String,
    #[serde(rename = "type")]
    kind: EntitlementId,
    /// Which custom role, if it is one.
    role: Option<EntitlementId>,
    #[serde(rename = "assignmentType")]
    given_to: Option<String>,
}

impl Role {
    /// A standard role by its type, a custom one by its own id: all custom ones are of one type.
    pub(crate) fn name(&self) -> &EntitlementId {
        self.role.as_ref().filter(|_| self.kind.as_str() == "CUSTOM").unwrap_or(&self.kind)
    }

    /// Whether it was given to the user, and not to a group or a client.
    pub(crate) fn is_direct(&self) -> bool {
        self.given_to.as_deref().is_none_or(|it| it == "USER")
    }
}

/// A page of custom roles.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CustomRoles {
    pub(crate) roles: Vec<CustomRole>,
    #[serde(rename = "_links", default)]
    links: Links,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CustomRole {
    pub(crate) id: EntitlementId,
    #[serde(default)]
    pub(crate) label: String,
}

impl CustomRoles {
    pub(crate) fn next(&self) -> Option<String> {
        self.links.next.as_ref().map(|it| it.href.clone())
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Administrators {
    pub(crate) value: Vec<Named>,
    #[serde(rename = "_links", default)]
    links: Links,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Links {
    next: Option<Href>,
}

#[derive(Clone, Debug, Deserialize)]
struct Href {
    href: String,
}

impl Administrators {
    pub(crate) fn next(&self) -> Option<String> {
        self.links.next.as_ref().map(|it| it.href.clone())
    }
}

/// Something of which only the id matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OAuthClient {
    pub(crate) client_id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserDevice {
    pub(crate) device: Device,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: String,
    #[serde(default)]
    status: String,
}

impl Device {
    pub(crate) fn is_trusted(&self) -> bool {
        self.status != "DEACTIVATED"
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ApiToken {
    pub(crate) id: String,
    #[serde(rename = "userId", default)]
    pub(crate) user: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    actions: Value,
    #[serde(default)]
    conditions: Value,
}

/// Whether a rule puts somebody into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fills {
    No,
    /// Its condition is one that only Okta can tell.
    Perhaps,
    Yes,
}

impl Rule {
    /// Whether it puts this user, who is in these groups, into this group.
    pub(crate) fn fills(&self, group: &str, user: &User, groups: &[Group]) -> Fills {
        let has = |value: Option<&Value>, id: &str| {
            value.and_then(Value::as_array).is_some_and(|all| all.iter().any(|it| it == id))
        };
        let except = self.conditions.pointer("/people/groups/exclude");
        if self.status != "ACTIVE"
            || !has(self.actions.pointer("/assignUserToGroups/groupIds"), group)
            || has(self.conditions.pointer("/people/users/exclude"), user.id.as_str())
            || groups.iter().any(|it| has(except, it.id.as_str()))
        {
            return Fills::No;
        }
        let expression = self.conditions.pointer("/expression/value").and_then(Value::as_str);
        match expression.and_then(comparison) {
            None => Fills::Perhaps,
            Some((field, value)) if user.text(field) == Some(value) => Fills::Yes,
            Some(_) => Fills::No,
        }
    }
}

/// The field and the text of the one form that is understood here: `user.department=="sales"`.
/// <https://developer.okta.com/docs/reference/okta-expression-language/>
fn comparison(expression: &str) -> Option<(&str, &str)> {
    let (left, right) = expression.split_once("==")?;
    let field = left.trim().strip_prefix("user.")?;
    let value = right.trim().strip_prefix('"')?.strip_suffix('"')?;
    let plain = field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && !value.contains(['"', '\\'])).then_some((field, value))
}

/// An event of the system log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LogEvent {
    #[serde(rename = "eventType", default)]
    kind: String,
    #[serde(default)]
    target: Option<Vec<LogTarget>>,
}

#[derive(Clone, Debug, Deserialize)]
struct LogTarget {
    id: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
}

impl LogEvent {
    /// The users that it is about, and whether it says that they are gone.
    pub(crate) fn users(&self) -> impl Iterator<Item = (AccountId, bool)> + '_ {
        let gone = self.kind == "user.lifecycle.delete.completed";
        let targets = self.target.iter().flatten().filter(|it| it.kind == "User");
        targets.filter_map(move |it| Some((AccountId::new(it.id.as_ref()?).ok()?, gone)))
    }
}

/// What Okta means by its codes.
/// <https://developer.okta.com/docs/reference/error-codes/>
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    let causes = || failure.body?.pointer("/errorCauses")?.as_array();
    Some(match failure.text("/errorCode")? {
        "E0000047" => Verdict::of(ErrorKind::RateLimited),
        // Every refused value has this code; what is taken shows only in the words of a cause.
        "E0000001" => {
            let taken = causes().into_iter().flatten().any(|cause| {
                let text = cause["errorSummary"].as_str().unwrap_or_default();
                text.contains("An object with this field already exists")
            });
            Verdict::of(if taken { ErrorKind::AlreadyExists } else { ErrorKind::Invalid })
        }
        "E0000090" => Verdict::of(ErrorKind::AlreadyExists),
        "E0000004" | "E0000011" => Verdict::of(ErrorKind::Unauthenticated),
        "E0000006" => Verdict::of(ErrorKind::PermissionDenied),
        "E0000007" => Verdict::of(ErrorKind::NotFound),
        // The organisation has not bought it.
        "E0000015" => Verdict::of(ErrorKind::Unsupported),
        // There is no such call in this organisation.
        "E0000022" if failure.status == 405 => Verdict::of(ErrorKind::Unsupported),
        "E0000016" | "E0000032" | "E0000038" => Verdict::of(ErrorKind::Conflict),
        // It is still becoming what it was told to become.
        "E0000112" => Verdict::of(ErrorKind::Conflict).retry(RetryAdvice::Backoff),
        "E0000023" => Verdict::of(ErrorKind::Refused(RefusalReason::Immutable)),
        _ => return None,
    })
}
