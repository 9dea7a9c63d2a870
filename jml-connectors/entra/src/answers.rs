//! What Microsoft Graph answers, as values. Nothing here knows a network.

use chrono::{DateTime, TimeDelta, Utc};
use jml_connector_kit::fields::from_json;
use jml_connector_kit::http::types::{HeaderMap, HeaderName, HeaderValue};
use jml_core::account::{AccountState, AccountStatus, Mailbox};
use jml_core::attribute::AttributeValue;
use jml_core::id::{AccountId, AttributeName, EntitlementId, IdentityId};
use jml_core::provider::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::requests::{FIELDS, MANAGER};

/// How far apart two instants are written down that are one.
const SAME_INSTANT: TimeDelta = TimeDelta::seconds(5);

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
    sign_in_sessions_valid_from_date_time: Option<DateTime<Utc>>,
    created_date_time: Option<DateTime<Utc>>,
    last_password_change_date_time: Option<DateTime<Utc>>,
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
    on_premises_sync_enabled: Option<bool>,
}

impl Reference {
    pub(crate) fn is_group(&self) -> bool {
        self.kind == "#microsoft.graph.group"
    }

    /// Whether the directory on the premises owns it.
    pub(crate) fn is_synced(&self) -> bool {
        self.on_premises_sync_enabled == Some(true)
    }
}

impl User {
    pub(crate) fn owner(&self) -> Option<&str> {
        self.employee_id.as_deref().filter(|it| !it.is_empty())
    }

    /// Whether nobody ended the user's refresh tokens since there was a password to get them with: the instant from
    /// which they count is still that one, give or take. Graph does not say whether there are any.
    pub(crate) fn tokens_stand(&self) -> bool {
        let first = self.created_date_time.max(self.last_password_change_date_time);
        let counts_from = self.sign_in_sessions_valid_from_date_time;
        first.zip(counts_from).is_some_and(|(first, from)| from <= first + SAME_INSTANT)
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

/// A way to prove who one is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Method {
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default)]
    kind: String,
}

impl Method {
    /// Its type: `fido2`.
    pub(crate) fn kind(&self) -> &str {
        let kind = self.kind.strip_prefix("#microsoft.graph.").unwrap_or(&self.kind);
        kind.strip_suffix("AuthenticationMethod").unwrap_or(kind)
    }

    /// The collection that it is deleted from; `None` for the password, which is no factor, and for types that
    /// Graph has no call for.
    pub(crate) fn segment(&self) -> Option<&'static str> {
        Some(match self.kind() {
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
        self.kind() != "password"
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
    /// Whether somebody asked already that it be given up. It is done when the device next reports, and then it
    /// shows no more.
    pub(crate) fn is_asked(&self) -> bool {
        let state = self.management_state.as_deref().unwrap_or("managed");
        matches!(
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
    #[serde(default)]
    user_purpose: Option<String>,
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
        let shared = self.user_purpose.as_deref() == Some("shared");
        Mailbox { auto_reply: text.map(Into::into), shared, ..Mailbox::default() }
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
pub(crate) struct Part {
    id: String,
    pub(crate) status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    pub(crate) body: Value,
}

impl Batch {
    /// One answer of it.
    pub(crate) fn part(&self, id: &str) -> Result<&Part> {
        let part = self.responses.iter().find(|it| it.id == id);
        part.ok_or_else(|| {
            Error::new(ErrorKind::ContractViolation, format!("the batch lacks the answer `{id}`"))
        })
    }
}

impl Part {
    /// Its headers, as those of an answer of its own.
    pub(crate) fn headers(&self) -> HeaderMap {
        let header = |(name, value): (&String, &Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(text).ok()?))
        };
        self.headers.iter().filter_map(header).collect()
    }
}

/// An answer that a service gives only where there is one: a tenant without Intune, `SharePoint` or Exchange has no
/// devices, drives or mailboxes and says 400, and so may a user have none and be 404.
pub(crate) fn if_any<T>(answered: Result<T>) -> Result<Option<T>> {
    match answered {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => Ok(None),
        other => other.map(Some),
    }
}

/// Whether sessions were ended.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Ended {
    pub(crate) value: bool,
}
