//! The audit log of administrators.
//! <https://developers.google.com/workspace/admin/reports/v1/reference/activities/list>

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Map, Value, json as value};

use super::{Google, Request, Response, error, nothing, query, time};

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Activity {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it shows.
    pub shows: DateTime<Utc>,
    /// What tells it from others of that time.
    pub qualifier: i64,
    /// Who did it; an administrator's address.
    pub actor: String,
    /// `USER_SETTINGS`, `GROUP_SETTINGS`, ...
    pub kind: String,
    /// `CREATE_USER`, `ADD_GROUP_MEMBER`, ...
    pub name: String,
    /// Names and texts.
    pub parameters: Vec<(String, String)>,
}

impl Activity {
    fn shown(&self) -> Value {
        let said =
            self.parameters.iter().map(|(name, text)| value!({ "name": name, "value": text }));
        // A placeholder for those who are not among the users.
        let nobody = "105250506097979753968";
        let actor = match self.actor.as_str() {
            "" => value!({ "callerType": "USER", "profileId": nobody }),
            email => value!({ "callerType": "USER", "profileId": nobody, "email": email }),
        };
        value!({
            "kind": "admin#reports#activity", "etag": "\"e\"", "ipAddress": "192.0.2.1", "actor": actor,
            "id": { "time": time(self.at), "uniqueQualifier": self.qualifier.to_string(),
                    "applicationName": "admin", "customerId": "C01" },
            "events": [{ "type": self.kind, "name": self.name, "parameters": said.collect::<Value>() }],
        })
    }

    /// The newest first.
    fn place(&self) -> String {
        let late = i64::MAX.saturating_sub(self.at.timestamp_millis());
        format!("{late:020}.{:020}", self.qualifier)
    }
}

/// What the log calls a change of a member of a user.
fn named(member: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let done = match (old, new) {
        (None, _) => "ADD",
        (_, None) => "REMOVE",
        _ => "CHANGE",
    };
    let name = match member {
        "organizations" => "CHANGE_USER_ORGANIZATION",
        "relations" => "CHANGE_USER_RELATION",
        "externalIds" => "CHANGE_USER_EXTERNAL_ID",
        "phones" => "CHANGE_USER_PHONE_NUMBER",
        "locations" => "CHANGE_USER_LOCATION",
        "addresses" => "CHANGE_USER_ADDRESS",
        "keywords" => "CHANGE_USER_KEYWORD",
        "orgUnitPath" => "MOVE_USER_TO_ORG_UNIT",
        "recoveryEmail" => return format!("{done}_RECOVERY_EMAIL"),
        "recoveryPhone" => return format!("{done}_RECOVERY_PHONE"),
        _ => "CHANGE_PASSWORD_ON_NEXT_LOGIN",
    };
    name.to_owned()
}

/// What the log calls a call below a user that took something.
pub(super) fn taken(method: &Method, rest: &[&str]) -> Option<&'static str> {
    Some(match (method, rest) {
        (&Method::POST, ["signOut"]) => "RESET_SIGNIN_COOKIES",
        (&Method::POST, ["twoStepVerification", "turnOff"]) => "TURN_OFF_2_STEP_VERIFICATION",
        (&Method::POST, ["verificationCodes", "invalidate"]) => "DELETE_2SV_SCRATCH_CODES",
        (&Method::POST, ["verificationCodes", "generate"]) => "GENERATE_2SV_SCRATCH_CODES",
        (&Method::DELETE, ["tokens", _]) => "REVOKE_3LO_TOKEN",
        (&Method::DELETE, ["asps", _]) => "REVOKE_ASP",
        (&Method::DELETE, ["aliases", _]) => "REMOVE_NICKNAME",
        _ => return None,
    })
}

impl Google {
    /// Writes an entry into the audit log.
    pub fn happened(
        &mut self,
        kind: &str,
        name: &str,
        parameters: &[(&str, &str)],
        now: DateTime<Utc>,
    ) {
        self.next += 1;
        let stray =
            if self.activities.len().is_multiple_of(2) { self.quirks.audit_stray_ms } else { 0 };
        let shows = now + TimeDelta::milliseconds(self.quirks.audit_lag_ms + stray);
        let parameters = parameters.iter().map(|(name, text)| (name.to_string(), text.to_string()));
        // In no order.
        let qualifier = i64::try_from(self.next).unwrap_or_default().wrapping_mul(-7_046_029_254);
        self.activities.push(Activity {
            at: now,
            shows,
            qualifier,
            actor: self.actor.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            parameters: parameters.collect(),
        });
    }

    /// The same for a change of a user's settings.
    pub(super) fn happened_to(&mut self, name: &str, email: &str, now: DateTime<Utc>) {
        self.happened("USER_SETTINGS", name, &[("USER_EMAIL", email)], now);
    }

    /// Writes down what an update of a user changed: the profile, whether suspended, whether archived.
    pub(super) fn updated(
        &mut self,
        id: &str,
        old: (&Map<String, Value>, bool, bool),
        now: DateTime<Utc>,
    ) {
        let Some(user) = self.users.get(id) else { return };
        let (profile, suspended, archived) = old;
        let (new, mut names) = (user.profile.clone(), Vec::new());
        for (was, is, yes, no) in [
            (suspended, user.suspended, "SUSPEND_USER", "UNSUSPEND_USER"),
            (archived, user.archived, "ARCHIVE_USER", "UNARCHIVE_USER"),
        ] {
            if was != is {
                names.push(if is { yes } else { no }.to_owned());
            }
        }
        let members = profile.keys().chain(new.keys().filter(|it| !profile.contains_key(*it)));
        for member in members.filter(|it| profile.get(*it) != new.get(*it)) {
            let part = |of: &Map<String, Value>, part: &str| {
                of.get(member).and_then(|it| it.get(part)).cloned()
            };
            match member.as_str() {
                "primaryEmail" => {}
                "name" => {
                    for (given, name) in
                        [("givenName", "CHANGE_FIRST_NAME"), ("familyName", "CHANGE_LAST_NAME")]
                    {
                        if part(profile, given) != part(&new, given) {
                            names.push(name.to_owned());
                        }
                    }
                }
                _ => names.push(named(member, profile.get(member), new.get(member))),
            }
        }
        let email = |of: &Map<String, Value>| {
            of.get("primaryEmail").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (from, to) = (email(profile), email(&new));
        if from != to {
            let both = [("USER_EMAIL", from.as_str()), ("NEW_VALUE", to.as_str())];
            self.happened("USER_SETTINGS", "RENAME_USER", &both, now);
        }
        for name in names {
            self.happened_to(&name, &to, now);
        }
    }

    /// Deletes a group, as an administrator would in the console. Nobody is named.
    pub fn delete_group(&mut self, id: &str, now: DateTime<Utc>) {
        if let Some(group) = self.groups.remove(id) {
            let named = [("GROUP_EMAIL", group.email.as_str())];
            self.happened("GROUP_SETTINGS", "DELETE_GROUP", &named, now);
        }
    }

    pub(super) fn route_reports(
        &self,
        request: &Request,
        rest: &[&str],
        now: DateTime<Utc>,
    ) -> Response {
        let (&Method::GET, ["activity", "users", "all", "applications", application]) =
            (request.method(), rest)
        else {
            return nothing();
        };
        let query = query(request);
        let at = |name: &str| query.get(name).map(|it| it.parse::<DateTime<Utc>>()).transpose();
        let (Ok(start), Ok(end)) = (at("startTime"), at("endTime")) else {
            return error(400, "invalid", "Invalid value for startTime or endTime");
        };
        if start.is_some_and(|it| it >= now || end.is_some_and(|end| it >= end)) {
            return error(400, "invalid", "startTime must be before endTime and now");
        }
        let kept = now - TimeDelta::days(180);
        let shown = self.activities.iter().filter(|it| {
            *application == "admin"
                && it.shows <= now
                && it.at >= start.unwrap_or(kept).max(kept)
                && end.is_none_or(|end| it.at <= end)
                && query.get("eventName").is_none_or(|name| *name == it.name)
        });
        let mut rows: Vec<(String, Value)> = shown.map(|it| (it.place(), it.shown())).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        self.page(request, ("admin#reports#activities", "items"), rows, (1_000, 1_000))
    }
}
