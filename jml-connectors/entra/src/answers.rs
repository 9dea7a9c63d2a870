//! What Microsoft Graph answers, as values. Nothing here knows a network.

use jml_connector_kit::fields::from_json;
use jml_connector_kit::{Failure, Verdict};
use jml_core::account::{AccountState, AccountStatus, Mailbox};
use jml_core::attribute::AttributeValue;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, EntitlementId, IdentityId, KindId};
use jml_core::provider::{Error, ErrorKind, RefusalReason, Result, RetryAdvice};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::requests::{FIELDS, MANAGER};

/// A page of a collection.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Collection<T> {
    pub(crate) value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub(crate) next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub(crate) delta: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/user>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: AccountId,
    #[serde(default)]
    user_principal_name: String,
    #[serde(default)]
    account_enabled: Option<bool>,
    employee_id: Option<String>,
    manager: Option<Reference>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Another object.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) id: String,
    user_principal_name: Option<String>,
    #[serde(rename = "@odata.type", default)]
    pub(crate) kind: String,
    #[serde(rename = "@removed")]
    pub(crate) removed: Option<Value>,
}

impl User {
    pub(crate) fn owner(&self) -> Option<&str> {
        self.employee_id.as_deref().filter(|it| !it.is_empty())
    }

    /// The account, without what needs further calls.
    pub(crate) fn account(&self) -> AccountState {
        let enabled = self.account_enabled.unwrap_or(false);
        let status = if enabled { AccountStatus::Active } else { AccountStatus::Disabled };
        let mut state = AccountState::new(self.id.clone(), &self.user_principal_name, status);
        state.external_id = self.owner().and_then(|it| IdentityId::new(it).ok());
        for (name, field) in FIELDS.0 {
            let value = self.rest.get(*field).and_then(from_json);
            if let (Ok(name), Some(value)) = (AttributeName::new(name), value) {
                state.attributes.insert(name, value);
            }
        }
        let manager = self.manager.as_ref();
        let manager = manager.map(|it| it.user_principal_name.as_ref().unwrap_or(&it.id));
        if let (Ok(name), Some(manager)) = (AttributeName::new(MANAGER), manager) {
            state.attributes.insert(name, AttributeValue::text(manager));
        }
        state
    }
}

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

/// Something with an id and a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Named {
    pub(crate) id: EntitlementId,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
}

/// What somebody may do with a drive.
/// <https://learn.microsoft.com/graph/api/resources/permission>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DriveGrant {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    granted_to_v2: Option<GrantedTo>,
}

#[derive(Clone, Debug, Deserialize)]
struct GrantedTo {
    #[serde(default)]
    user: Option<Grantee>,
}

#[derive(Clone, Debug, Deserialize)]
struct Grantee {
    #[serde(default)]
    id: Option<String>,
}

impl DriveGrant {
    /// The user who may write by it.
    pub(crate) fn writer(&self) -> Option<&str> {
        let writes = self.roles.iter().any(|role| role == "write" || role == "owner");
        self.granted_to_v2.as_ref()?.user.as_ref()?.id.as_deref().filter(|_| writes)
    }
}

/// Who has an application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppAssignment {
    pub(crate) id: String,
    #[serde(default)]
    principal_type: Option<String>,
    principal_id: AccountId,
    pub(crate) resource_id: EntitlementId,
}

impl AppAssignment {
    /// The user, if it is one and no group.
    pub(crate) fn user(&self) -> Option<&AccountId> {
        let is = self.principal_type.as_deref().is_none_or(|it| it == "User");
        is.then_some(&self.principal_id)
    }
}

/// Who has a directory role.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignment {
    pub(crate) id: String,
    pub(crate) principal_id: AccountId,
    pub(crate) role_definition_id: EntitlementId,
}

/// A way to prove who one is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Method {
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default)]
    kind: String,
}

impl Method {
    /// The collection that it is deleted from; `None` for the password, which is no factor.
    pub(crate) fn segment(&self) -> Option<&'static str> {
        let kind =
            self.kind.strip_prefix("#microsoft.graph.")?.strip_suffix("AuthenticationMethod")?;
        Some(match kind {
            "phone" => "phoneMethods",
            "email" => "emailMethods",
            "fido2" => "fido2Methods",
            "microsoftAuthenticator" => "microsoftAuthenticatorMethods",
            "softwareOath" => "softwareOathMethods",
            "windowsHelloForBusiness" => "windowsHelloForBusinessMethods",
            "temporaryAccessPass" => "temporaryAccessPassMethods",
            "platformCredential" => "platformCredentialMethods",
            "external" => "externalAuthenticationMethods",
            _ => return None,
        })
    }

    /// Whether it is something beside the password.
    pub(crate) fn is_factor(&self) -> bool {
        self.kind != "#microsoft.graph.passwordAuthenticationMethod"
    }
}

/// A device in management.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    pub(crate) id: String,
    #[serde(default)]
    management_state: Option<String>,
}

impl Device {
    /// Whether nobody asked yet that it be given up. What is asked is done when the device next reports.
    pub(crate) fn is_kept(&self) -> bool {
        let state = self.management_state.as_deref().unwrap_or("managed");
        !matches!(
            state,
            "retirePending" | "wipePending" | "deletePending" | "retireIssued" | "wipeIssued"
        )
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MailboxSettings {
    #[serde(default)]
    automatic_replies_setting: Option<AutoReply>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AutoReply {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    external_reply_message: Option<String>,
}

impl MailboxSettings {
    /// What the mailbox does, as far as Graph says it.
    pub(crate) fn mailbox(self) -> Mailbox {
        let reply = self.automatic_replies_setting;
        let reply = reply.filter(|it| it.status.as_deref() != Some("disabled"));
        let text = reply.and_then(|it| it.external_reply_message).filter(|it| !it.is_empty());
        Mailbox { auto_reply: text.map(Into::into), ..Mailbox::default() }
    }
}

/// Who came into a group, and who went.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct GroupDelta {
    #[serde(rename = "members@delta", default)]
    pub(crate) members: Vec<Reference>,
}

/// An answer to a batch.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Batch {
    responses: Vec<Part>,
}

#[derive(Clone, Debug, Deserialize)]
struct Part {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Value,
}

impl Batch {
    /// One part of it; `None` when the target does not have it, or does not let us see it.
    ///
    /// # Errors
    /// What the part ended with: a batch that is 200 may be made of parts that are not.
    pub(crate) fn part<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>> {
        let broken = |text: &str| Error::new(ErrorKind::ContractViolation, text);
        let part = self.responses.iter().find(|it| it.id == id);
        let part = part.ok_or_else(|| broken("the batch lacks an answer"))?;
        match part.status {
            200..=299 => serde_json::from_value(part.body.clone())
                .map(Some)
                .map_err(|_| broken("a part of the batch is not what it should be")),
            403 | 404 => Ok(None),
            status => {
                let kind = jml_connector_kit::http::kind_of_status(status);
                let text = part.body.pointer("/error/message").and_then(Value::as_str);
                let error = Error::new(kind, text.unwrap_or("no reason given"))
                    .with_context("status", status);
                let header =
                    part.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let wait =
                    header.and_then(|(_, it)| it.as_str()).and_then(|it| it.parse::<f64>().ok());
                Err(match wait {
                    Some(seconds) if seconds >= 0.0 => {
                        error.retry_after(std::time::Duration::from_secs_f64(seconds.min(86_400.0)))
                    }
                    _ => error,
                })
            }
        }
    }
}

/// What Graph means by its codes. Membership that is there already has no code of its own, only a sentence,
/// which is the same since 2016 and is matched from its beginning.
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    let details = || failure.body?.pointer("/error/details")?.as_array();
    let conflicts = |it: &Value| {
        it.get("code").is_some_and(|code| code == "ObjectConflict" || code == "ConflictingObjects")
    };
    if details().into_iter().flatten().any(conflicts) {
        return Some(Verdict::of(ErrorKind::AlreadyExists));
    }
    let message = failure.text("/error/message").unwrap_or_default();
    Some(match failure.text("/error/code")? {
        "Request_BadRequest"
            if message.starts_with("One or more added object references already exist") =>
        {
            Verdict::of(ErrorKind::AlreadyExists)
        }
        "Request_BadRequest" if message.starts_with("The group must have at least one owner") => {
            Verdict::of(ErrorKind::Refused(RefusalReason::LastOwner))
        }
        "Request_ResourceNotFound"
        | "Directory_ObjectNotFound"
        | "MailboxNotEnabledForRESTAPI"
        | "itemNotFound" => Verdict::of(ErrorKind::NotFound),
        "Authorization_RequestDenied" => Verdict::of(ErrorKind::PermissionDenied),
        "InvalidAuthenticationToken" => Verdict::of(ErrorKind::Unauthenticated),
        "syncStateNotFound"
        | "syncStateInvalid"
        | "resyncRequired"
        | "Directory_ExpiredPageToken" => Verdict::of(ErrorKind::CursorExpired),
        "TooManyRequests" | "activityLimitReached" => Verdict::of(ErrorKind::RateLimited),
        // What was just made is not known everywhere yet.
        "Directory_ConcurrencyViolation" => {
            Verdict::of(ErrorKind::Conflict).retry(RetryAdvice::Backoff)
        }
        _ => return None,
    })
}
