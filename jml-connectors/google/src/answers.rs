//! What Google answers, as values. Nothing here knows a network.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use jml_connector_kit::{Failure, Verdict};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::id::{AccountId, EntitlementId, IdError};
use jml_core::provider::{ErrorKind, RefusalReason, RetryAdvice};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::profile;

/// A page of a list. Without rows it has no member for them, so what says that it is a page is its kind.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Paged<T> {
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(
        default = "Vec::new",
        alias = "users",
        alias = "groups",
        alias = "members",
        alias = "mobiledevices",
        alias = "chromeosdevices",
        alias = "applications",
        alias = "dataTransfers"
    )]
    pub(crate) items: Vec<T>,
    #[serde(rename = "nextPageToken")]
    pub(crate) next: Option<String>,
}

/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/users>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: AccountId,
    pub(crate) primary_email: String,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    archived: bool,
    #[serde(rename = "isEnrolledIn2Sv", default)]
    pub(crate) enrolled: bool,
    #[serde(rename = "isMailboxSetup", default)]
    pub(crate) has_mailbox: bool,
    #[serde(default)]
    last_login_time: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub(crate) profile: Map<String, Value>,
}

impl User {
    pub(crate) fn status(&self) -> AccountStatus {
        match (self.archived, self.suspended) {
            (true, _) => AccountStatus::Archived,
            (false, true) if profile::is_marked(&self.profile) => AccountStatus::Staged,
            (false, true) => AccountStatus::Disabled,
            (false, false) => AccountStatus::Active,
        }
    }

    /// Whether somebody can sign in. What is done as the user only works then.
    pub(crate) const fn is_live(&self) -> bool {
        !self.suspended && !self.archived
    }

    /// The address, and those that a rename or an administrator left as others.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        let others = self.profile.get("aliases").and_then(Value::as_array).into_iter().flatten();
        [self.primary_email.as_str()].into_iter().chain(others.filter_map(Value::as_str))
    }

    /// When the user last signed in; `None` for one who never did, whom Google shows as of 1970.
    pub(crate) fn last_login(&self) -> Option<DateTime<Utc>> {
        self.last_login_time.filter(|at| *at > DateTime::UNIX_EPOCH)
    }

    /// The account, without what needs further calls.
    pub(crate) fn account(&self) -> AccountState {
        let mut state = AccountState::new(self.id.clone(), &self.primary_email, self.status());
        state.external_id = profile::owner(&self.profile);
        state.attributes = profile::attributes(&self.profile);
        state
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: EntitlementId,
    #[serde(default)]
    pub(crate) email: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    /// Absent for a member that stands for the whole customer.
    pub(crate) id: Option<AccountId>,
    #[serde(rename = "type", default)]
    kind: String,
}

impl Member {
    pub(crate) fn is_user(&self) -> bool {
        self.kind == "USER"
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Role {
    #[serde(rename = "roleId")]
    pub(crate) id: EntitlementId,
    #[serde(rename = "roleName", default)]
    pub(crate) name: String,
}

/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/roleAssignments>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assignment {
    #[serde(rename = "roleAssignmentId")]
    pub(crate) id: String,
    #[serde(rename = "roleId")]
    role: EntitlementId,
    pub(crate) assigned_to: AccountId,
    #[serde(default)]
    assignee_type: Option<String>,
    #[serde(default)]
    scope_type: Option<String>,
    #[serde(default)]
    org_unit_id: Option<String>,
}

impl Assignment {
    pub(crate) fn is_to_user(&self) -> bool {
        !self.assignee_type.as_deref().is_some_and(|it| it.eq_ignore_ascii_case("group"))
    }

    /// What it gives: the role, or, where it holds for a part of the customer only, the role and that part. A part
    /// is never taken for the whole.
    pub(crate) fn entitlement(&self) -> Result<EntitlementId, IdError> {
        match (self.scope_type.as_deref(), self.org_unit_id.as_deref()) {
            (None | Some("CUSTOMER"), None | Some("")) => Ok(self.role.clone()),
            (_, Some(unit)) if !unit.is_empty() => {
                EntitlementId::new(format!("{}:{unit}", self.role))
            }
            (scope, _) => {
                EntitlementId::new(format!("{}:{}", self.role, scope.unwrap_or_default()))
            }
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Licence {
    /// An address.
    #[serde(rename = "userId")]
    pub(crate) user: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OAuthToken {
    #[serde(rename = "clientId")]
    pub(crate) client: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asp {
    #[serde(rename = "codeId")]
    pub(crate) code: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    transfer_params: Vec<Parameter>,
}

#[derive(Clone, Debug, Deserialize)]
struct Parameter {
    #[serde(default)]
    key: String,
}

impl Application {
    /// What a transfer of its data takes.
    pub(crate) fn parameters(&self) -> Vec<String> {
        self.transfer_params.iter().map(|it| it.key.clone()).collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transfer {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) new_owner_user_id: String,
    #[serde(default)]
    application_data_transfers: Vec<ApplicationTransfer>,
    #[serde(rename = "overallTransferStatusCode")]
    pub(crate) status: String,
    #[serde(default)]
    request_time: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationTransfer {
    application_id: String,
}

impl Transfer {
    pub(crate) fn is_done(&self) -> bool {
        self.status == "completed"
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "new" | "pending" | "inProgress")
    }

    /// The applications whose data it moved after an instant.
    pub(crate) fn moved_since(&self, since: DateTime<Utc>) -> BTreeSet<&str> {
        let counts = self.is_done() && self.request_time.is_some_and(|at| at >= since);
        let all = self.application_data_transfers.iter().filter(|_| counts);
        all.map(|it| it.application_id.as_str()).collect()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Vacation {
    enable_auto_reply: bool,
    response_body_plain_text: String,
    response_body_html: String,
    start_time: Option<String>,
    end_time: Option<String>,
}

impl Vacation {
    /// The text that answers mail at an instant. Times are milliseconds, as texts.
    pub(crate) fn text(&self, now: DateTime<Utc>) -> Option<&str> {
        let at = |text: &Option<String>| {
            text.as_deref().and_then(|it| it.parse::<i64>().ok()).filter(|it| *it > 0)
        };
        let now = now.timestamp_millis();
        let on = self.enable_auto_reply
            && at(&self.start_time).is_none_or(|start| start <= now)
            && at(&self.end_time).is_none_or(|end| now < end);
        // Where there are both, Gmail sends HTML.
        let texts = [&self.response_body_html, &self.response_body_plain_text];
        texts.into_iter().find(|it| !it.is_empty()).filter(|_| on).map(String::as_str)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Forwarding {
    pub(crate) enabled: bool,
    pub(crate) email_address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delegates {
    pub(crate) delegates: Vec<Delegate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delegate {
    pub(crate) delegate_email: String,
    #[serde(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ForwardingAddresses {
    #[serde(rename = "forwardingAddresses")]
    pub(crate) addresses: Vec<ForwardingAddress>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForwardingAddress {
    pub(crate) forwarding_email: String,
    #[serde(flatten)]
    pub(crate) consent: Consent,
}

/// Whether whoever has an address agreed. Until then it is good for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Consent {
    verification_status: String,
}

impl Consent {
    pub(crate) fn is_given(&self) -> bool {
        self.verification_status == "accepted"
    }

    /// How it stands, in Gmail's word.
    pub(crate) fn as_str(&self) -> &str {
        if self.verification_status.is_empty() { "unknown" } else { &self.verification_status }
    }
}

/// Something that an administrator did.
/// <https://developers.google.com/workspace/admin/reports/v1/reference/activities>
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Activity {
    id: ActivityId,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActivityId {
    time: DateTime<Utc>,
    /// Tells what happened at the same time from each other.
    #[serde(default)]
    unique_qualifier: String,
}

/// <https://developers.google.com/workspace/admin/reports/v1/appendix/activity/admin-event-names>
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) name: String,
    #[serde(default)]
    parameters: Vec<Said>,
    #[serde(default)]
    status: EventStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    name: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    multi_value: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EventStatus {
    event_status: String,
}

impl Activity {
    pub(crate) const fn time(&self) -> DateTime<Utc> {
        self.id.time
    }

    /// What it is told from others by, in the order of time.
    pub(crate) fn place(&self) -> (i64, String) {
        (self.id.time.timestamp_millis(), self.id.unique_qualifier.clone())
    }

    /// What came of it.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        let done = |it: &&Event| !["FAILED", "SKIPPED"].contains(&it.status.event_status.as_str());
        self.events.iter().filter(done)
    }

    pub(crate) fn deletes(&self) -> bool {
        self.events().any(Event::deletes)
    }
}

impl Event {
    pub(crate) fn deletes(&self) -> bool {
        self.name == "DELETE_USER"
    }

    /// Whether it changed people whom it does not name.
    pub(crate) fn names_nobody(&self) -> bool {
        [
            "BULK_UPLOAD",
            "DELETE_GROUP",
            "EDIT_ORG_UNIT_NAME",
            "GROUP_MEMBER_BULK_UPLOAD",
            "MOVE_ORG_UNIT",
            "ORG_ALL_USERS_LICENSE_ASSIGNMENT",
            "ORG_LICENSE_REVOKE",
            "ORG_USERS_LICENSE_ASSIGNMENT",
            "UPDATE_DYNAMIC_LICENSE",
        ]
        .contains(&self.name.as_str())
    }

    /// Whom it is about: whatever kind it is of, this parameter is a user's address. A rename names both.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        let rename = self.name == "RENAME_USER";
        let says = move |it: &&Said| it.name == "USER_EMAIL" || (rename && it.name == "NEW_VALUE");
        let said = self.parameters.iter().filter(says);
        let texts = said.flat_map(|it| it.value.iter().chain(&it.multi_value));
        texts.map(String::as_str).filter(|it| it.contains('@'))
    }
}

/// What Google means by its reasons.
/// <https://developers.google.com/workspace/admin/directory/v1/limits>
pub(crate) fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    let reason = failure.text("/error/errors/0/reason")?;
    let says = |words: &str| failure.message().is_some_and(|it| it.contains(words));
    Some(match reason {
        // Of 403, these alone are no refusal.
        "userRateLimitExceeded" | "rateLimitExceeded" | "quotaExceeded" | "dailyLimitExceeded" => {
            Verdict::of(ErrorKind::RateLimited)
        }
        "authError" => Verdict::of(ErrorKind::Unauthenticated),
        "duplicate" | "alreadyExists" => Verdict::of(ErrorKind::AlreadyExists),
        "notFound" | "deleted" => Verdict::of(ErrorKind::NotFound),
        "limitExceeded" | "insufficientLicenses" | "insufficientArchivedUserLicenses" => {
            Verdict::of(ErrorKind::Exhausted)
        }
        "failedPrecondition" => Verdict::of(ErrorKind::Refused(RefusalReason::Policy)),
        // One reason for everything; these words are documented.
        "conditionNotMet" if says("creation is not complete") => {
            Verdict::of(ErrorKind::Conflict).retry(RetryAdvice::Backoff)
        }
        // A key that names nobody, or somebody who was deleted, has no reason of its own.
        "badRequest" | "invalid" | "required"
            if ["userKey", "memberKey", "groupKey"].into_iter().any(says) =>
        {
            Verdict::of(ErrorKind::NotFound)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_names_whom_it_changed_and_nobody_if_it_failed() {
        let activity = |status: &str| -> Activity {
            let event = serde_json::json!({
                "type": "USER_SETTINGS", "name": "DELETE_USER", "status": { "eventStatus": status },
                "parameters": [{ "name": "USER_EMAIL", "multiValue": ["a@x", "b@x"] },
                               { "name": "NEW_VALUE", "value": "c@x" }],
            });
            let id =
                serde_json::json!({ "time": "2026-03-02T08:00:00.250Z", "uniqueQualifier": "-7" });
            serde_json::from_value(serde_json::json!({ "id": id, "events": [event] })).unwrap()
        };
        let done = activity("SUCCEEDED");
        let named: Vec<&str> = done.events().flat_map(Event::addresses).collect();
        assert_eq!((named, done.deletes()), (vec!["a@x", "b@x"], true));
        assert_eq!(done.place(), (1_772_438_400_250, "-7".to_owned()));
        for status in ["FAILED", "SKIPPED"] {
            assert!(!activity(status).deletes() && activity(status).events().next().is_none());
        }
    }

    #[test]
    fn an_auto_reply_holds_between_its_milliseconds() {
        let now: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
        let at = |hours: i64| (now.timestamp_millis() + hours * 3_600_000).to_string();
        for (start, end, on) in [
            (None, None, true),
            (Some(at(-1)), Some(at(1)), true),
            (Some(at(1)), None, false),
            (None, Some(at(-1)), false),
            (Some("0".to_owned()), Some("0".to_owned()), true),
        ] {
            let vacation = Vacation {
                enable_auto_reply: true,
                response_body_html: "gone".to_owned(),
                start_time: start,
                end_time: end,
                ..Vacation::default()
            };
            assert_eq!(vacation.text(now), on.then_some("gone"), "{vacation:?}");
        }
        let both = Vacation {
            enable_auto_reply: true,
            response_body_plain_text: "plain".to_owned(),
            response_body_html: "<b>sent</b>".to_owned(),
            ..Vacation::default()
        };
        assert_eq!(both.text(now), Some("<b>sent</b>"));
        assert_eq!(Vacation::default().text(now), None);
    }
}
