//! Microsoft Graph v1.0 for Entra ID and Microsoft 365, as its documents and its users' reports have it
//! (`/v1.0`, token endpoint `/{tenant}/oauth2/v2.0/token`).
//!
//! What it does as Graph does:
//!
//! - Adding a member twice is 400 with a sentence; taking out one who is not in is 404. Distribution lists,
//!   mail-enabled security groups, groups with a membership rule and synced ones refuse.
//! - `DELETE /groups/{id}/members/{user}` without `/$ref` deletes the user. The fake does it, and counts it
//!   ([`Entra::disasters`]).
//! - Licences that come with a group cannot be taken from the user; `assignLicense` wants both lists and a
//!   usage location; seats are counted.
//! - `revokeSignInSessions` answers 200 `{"value": true}` and does nothing for guests; it moves the instant from
//!   which refresh tokens count ([`Quirks::keeps_sessions`]).
//! - `appRoleAssignments` of a user shows those of their groups, too; an application with roles is given in one of
//!   them.
//! - The default authentication method stays as long as there are others. A device does what it was asked when it
//!   next reports ([`Quirks::device_delay_ms`]).
//! - Synced users refuse writes to what the directory on the premises owns.
//! - A tenant may lack `SharePoint`, Exchange or Intune ([`Quirks::lacks`]).
//! - The last owner of a group stays. An app without a directory role may not touch administrators.
//! - Deleted users lie in `directory/deletedItems` for 30 days.
//! - `$batch` answers 200 whatever its parts do, in any order, at most 20 of them.
//! - A delta token lives for seven days; after that it is 400 `syncStateNotFound`. Only changes of what was
//!   selected are told.
//! - What was written shows in reads only after a while ([`Quirks::lag_ms`]).
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

mod access;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, Method};
use serde_json::{Value, json as value};

use super::token::{Tokens, form};
use super::{
    FakeApi, Quirk, Request, Response, decode, encode, json, origin, query, respond, segments,
};

/// The state of a tenant.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Entra {
    /// Applications: secret and permissions.
    pub clients: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Tokens that are good for everything, for clients that bring their own.
    pub static_tokens: BTreeSet<String>,
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// Users that were deleted, and when.
    pub deleted: BTreeMap<String, (User, DateTime<Utc>)>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Licences by SKU id.
    pub skus: BTreeMap<String, Sku>,
    /// Enterprise applications by id.
    pub apps: BTreeMap<String, App>,
    /// Directory roles: role definitions by id, and their names.
    pub role_definitions: BTreeMap<String, String>,
    /// Role assignments by id: user and role definition.
    pub roles: BTreeMap<String, (String, String)>,
    /// Where role assignments hold that do not hold for the whole tenant, by id:
    /// `/administrativeUnits/` and an id.
    pub role_scopes: BTreeMap<String, String>,
    /// What changed, oldest first.
    pub log: Vec<Event>,
    /// Number of the first event that is still known.
    pub log_start: usize,
    /// Users that were deleted because somebody left `/$ref` away.
    pub disasters: u32,
    /// Answers instead of the right one, in a batch or by itself, one each time: the end of the path or of what is
    /// selected, the status, and the seconds to wait, if any.
    pub refusals: Vec<(String, u16, Option<String>)>,
    /// A user whom somebody deletes right after the next look at them.
    pub vanishing: Option<String>,
    /// What is on.
    pub quirks: Quirks,
    /// Devices that were asked for something, and when they do it.
    asked: Vec<(DateTime<Utc>, String)>,
    /// Users as delta queries know them.
    told: BTreeMap<String, User>,
    tokens: Tokens,
    shown_users: BTreeMap<String, User>,
    pending: Vec<(DateTime<Utc>, BTreeMap<String, User>)>,
    quirk: Option<Quirk>,
    next: u32,
    calls: u32,
}

/// What can be switched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "switches of a fake")]
pub struct Quirks {
    /// How long the attributes of users show as they were, after a write.
    pub lag_ms: i64,
    /// Writes to users who hold a directory role are refused: the application has no higher one.
    pub protects_administrators: bool,
    /// After how long a managed device does what it was asked; 0 at once.
    pub device_delay_ms: i64,
    /// `revokeSignInSessions` answers 200 `{"value": false}` and ends nothing.
    pub keeps_sessions: bool,
    /// A service that the tenant does not have.
    pub lacks: Option<Service>,
    /// Somebody else makes every change right before it comes.
    pub raced: bool,
    /// What was just made cannot be referred to yet: 400 `Not a valid reference update`.
    pub unknown_references: bool,
}

/// A service that is not Entra ID itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "services whose lack shows in answers about users")]
pub enum Service {
    /// Drives.
    SharePoint,
    /// Managed devices.
    Intune,
}

/// Something that changed, for delta queries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what there are delta queries for")]
pub enum Event {
    /// A user, whether it is gone, and the members that changed.
    User(String, bool, BTreeSet<String>),
    /// Of a group, a user, and whether they were taken out.
    Member(String, String, bool),
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct User {
    /// `userPrincipalName`, `accountEnabled`, `employeeId`, ...
    pub body: BTreeMap<String, Value>,
    /// The manager's id.
    pub manager: Option<String>,
    /// Licences given to the user: SKU ids.
    pub licences: BTreeSet<String>,
    /// Live sessions and the refresh tokens behind them.
    pub sessions: u32,
    /// Consents: ids.
    pub grants: BTreeSet<String>,
    /// Authentication methods: id and type (`fido2`, `phone`, ...). The password is one more.
    pub methods: BTreeMap<String, String>,
    /// The authentication method that is not deleted as long as there are others.
    pub default_method: Option<String>,
    /// Managed devices: id and management state.
    pub devices: BTreeMap<String, String>,
    /// Whether there is a mailbox, and what it answers.
    pub mailbox: Option<Option<String>>,
    /// Whether the mailbox is a shared one.
    pub shared_mailbox: bool,
    /// The drive's id, and who else may write in it.
    pub drive: Option<(String, BTreeSet<String>)>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Of which kind.
    pub kind: GroupKind,
    /// Who is in it.
    pub members: BTreeSet<String>,
    /// Who owns it.
    pub owners: BTreeSet<String>,
    /// Licences that its members have by it.
    pub licences: BTreeSet<String>,
}

/// Kinds of group. Only the first two are written by Graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what Graph's flags come to")]
pub enum GroupKind {
    /// A security group.
    #[default]
    Security,
    /// A Microsoft 365 group.
    Unified,
    /// Members by a rule.
    Dynamic,
    /// A distribution list.
    Distribution,
    /// A security group with mail.
    MailSecurity,
    /// Synced from the directory on the premises.
    Synced,
}

/// A licence that was bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Sku {
    /// `SPE_E3`.
    pub name: String,
    /// How many.
    pub seats: usize,
}

/// An enterprise application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct App {
    /// Its name.
    pub name: String,
    /// Assignments: id and user.
    pub users: BTreeMap<String, String>,
    /// Assignments to groups: id and group.
    pub groups: BTreeMap<String, String>,
    /// Its roles for users: id and name.
    pub roles: BTreeMap<String, String>,
    /// The roles of assignments that are in one, by the assignment's id.
    pub given: BTreeMap<String, String>,
}

impl Entra {
    /// A tenant with one application (id, secret, permissions) and these groups, whose ids are
    /// `group-` and the name.
    #[must_use]
    pub fn new(client: (&str, &str), permissions: &[&str], groups: &[&str]) -> Self {
        let mut entra = Self::default();
        let granted = permissions.iter().map(ToString::to_string).collect();
        entra.clients.insert(client.0.to_owned(), (client.1.to_owned(), granted));
        for name in groups {
            entra.add_group(&format!("group-{name}"), name, GroupKind::Security);
        }
        entra
    }

    /// Makes a group.
    pub fn add_group(&mut self, id: &str, name: &str, kind: GroupKind) {
        self.groups
            .insert(id.to_owned(), Group { name: name.to_owned(), kind, ..Group::default() });
    }

    /// Makes a user as an administrator would in the portal; the answer is its id.
    pub fn add_user(&mut self, user: User) -> String {
        let id = self.id();
        self.put_user(&id, user);
        id
    }

    /// Replaces a user. It shows at once.
    pub fn put_user(&mut self, id: &str, user: User) {
        self.users.insert(id.to_owned(), user);
        self.pending.clear();
        self.shown_users.clone_from(&self.users);
        self.tell(id, false);
    }

    /// Takes a user away, without a way back.
    pub fn forget_user(&mut self, id: &str) {
        self.users.remove(id);
        self.unlink(id);
        self.pending.clear();
        self.shown_users.clone_from(&self.users);
        self.tell(id, true);
    }

    /// Writes down for delta queries what became of a user.
    fn tell(&mut self, id: &str, gone: bool) {
        let (was, is) = (self.told.remove(id).unwrap_or_default(), self.users.get(id));
        let mut fields = BTreeSet::new();
        if let Some(is) = is {
            let names = was.body.keys().chain(is.body.keys());
            fields.extend(names.filter(|it| was.body.get(*it) != is.body.get(*it)).cloned());
            if was.manager != is.manager {
                fields.insert("manager".to_owned());
            }
            if was.licences != is.licences {
                fields.insert("assignedLicenses".to_owned());
            }
            self.told.insert(id.to_owned(), is.clone());
        }
        self.log.push(Event::User(id.to_owned(), gone, fields));
    }

    fn unlink(&mut self, id: &str) {
        for group in self.groups.values_mut() {
            group.members.remove(id);
            group.owners.remove(id);
        }
        for app in self.apps.values_mut() {
            app.users.retain(|_, user| user != id);
        }
        self.roles.retain(|_, (user, _)| user != id);
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:08x}-0000-4000-8000-000000000000", self.next)
    }

    /// A write to users: reads show it after the lag.
    fn wrote(&mut self, id: &str, gone: bool, now: DateTime<Utc>) {
        self.tell(id, gone);
        if self.quirks.lag_ms == 0 {
            self.shown_users.clone_from(&self.users);
        } else {
            let at = now + TimeDelta::milliseconds(self.quirks.lag_ms);
            self.pending.push((at, self.users.clone()));
        }
    }

    /// The users as reads show them.
    fn seen(&mut self, now: DateTime<Utc>) -> &BTreeMap<String, User> {
        while self.pending.first().is_some_and(|(at, _)| *at <= now) {
            self.shown_users = self.pending.remove(0).1;
        }
        &self.shown_users
    }

    /// Devices that report meanwhile do what they were asked, and show no more.
    fn report(&mut self, now: DateTime<Utc>) {
        let (done, left) =
            std::mem::take(&mut self.asked).into_iter().partition(|(at, _)| *at <= now);
        let done: Vec<(DateTime<Utc>, String)> = done;
        self.asked = left;
        for (_, device) in done {
            self.users.values_mut().for_each(|user| _ = user.devices.remove(&device));
        }
    }

    /// The permission that a call needs, as far as this fake tells them apart.
    fn needed(method: &Method, parts: &[&str]) -> &'static [&'static str] {
        let reads = *method == Method::GET;
        match parts {
            ["$batch", ..] => &[],
            ["users", _, "authentication", ..] if reads => {
                &["UserAuthenticationMethod.Read.All", "UserAuthenticationMethod.ReadWrite.All"]
            }
            ["users", _, "authentication", ..] => &["UserAuthenticationMethod.ReadWrite.All"],
            ["users", _, "mailboxSettings"] if reads => {
                &["MailboxSettings.Read", "MailboxSettings.ReadWrite"]
            }
            ["users", _, "mailboxSettings"] => &["MailboxSettings.ReadWrite"],
            ["users", _, "managedDevices"] | ["deviceManagement", ..] if reads => &[
                "DeviceManagementManagedDevices.Read.All",
                "DeviceManagementManagedDevices.ReadWrite.All",
            ],
            ["users", _, "removeAllDevicesFromManagement"] | ["deviceManagement", ..] => {
                &["DeviceManagementManagedDevices.PrivilegedOperations.All"]
            }
            ["users", _, "revokeSignInSessions"] => &["User.RevokeSessions.All"],
            ["users", _, "assignLicense"] => &["LicenseAssignment.ReadWrite.All"],
            ["users", _, "oauth2PermissionGrants"] => {
                &["DelegatedPermissionGrant.Read.All", "DelegatedPermissionGrant.ReadWrite.All"]
            }
            ["oauth2PermissionGrants", ..] => &["DelegatedPermissionGrant.ReadWrite.All"],
            ["users", _, "drive", ..] | ["drives", ..] if reads => {
                &["Files.Read.All", "Files.ReadWrite.All"]
            }
            ["drives", ..] => &["Files.ReadWrite.All"],
            ["groups", ..] | ["users", _, "memberOf" | "ownedObjects"] if reads => {
                &["GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.ReadWrite.All"]
            }
            ["groups", _, "owners", ..] => &["Group.ReadWrite.All"],
            ["groups", ..] => &["GroupMember.ReadWrite.All", "Group.ReadWrite.All"],
            ["servicePrincipals", ..] if reads => {
                &["Application.Read.All", "AppRoleAssignment.ReadWrite.All"]
            }
            ["users", _, "appRoleAssignments"] if reads => {
                &["Directory.Read.All", "AppRoleAssignment.ReadWrite.All"]
            }
            ["servicePrincipals", ..] | ["users", _, "appRoleAssignments"] => {
                &["AppRoleAssignment.ReadWrite.All"]
            }
            ["roleManagement", ..] if reads => {
                &["RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory"]
            }
            ["roleManagement", ..] => &["RoleManagement.ReadWrite.Directory"],
            ["subscribedSkus"] => {
                &["LicenseAssignment.ReadWrite.All", "LicenseAssignment.Read.All"]
            }
            ["users", ..] if *method == Method::DELETE => {
                &["User.DeleteRestore.All", "User.ReadWrite.All"]
            }
            ["users"] if !reads => &["User.Create", "User.ReadWrite.All"],
            ["users", ..] if !reads => &["User.ReadUpdate.All", "User.ReadWrite.All"],
            _ => &["User.Read.All", "User.ReadUpdate.All", "User.ReadWrite.All"],
        }
    }

    fn token(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refused = |code: &str, text: &str| {
            json(401, &value!({ "error": code, "error_description": text }))
        };
        if field("grant_type") != "client_credentials" {
            let body =
                value!({ "error": "unsupported_grant_type", "error_description": "AADSTS70003" });
            return json(400, &body);
        }
        let Some((secret, granted)) = self.clients.get(field("client_id")).cloned() else {
            return refused("unauthorized_client", "AADSTS700016: the application was not found");
        };
        let assertion = field("client_assertion");
        let by_key = !assertion.is_empty()
            && super::token::asserted(assertion, "/oauth2/v2.0/token", now).is_ok();
        if field("client_secret") != secret && !by_key {
            return refused("invalid_client", "AADSTS7000215: invalid client secret provided");
        }
        if !field("scope").ends_with("/.default") {
            let body = value!({ "error": "invalid_scope", "error_description": "AADSTS1002012" });
            return json(400, &body);
        }
        self.tokens.issue(now, "entra-access-", granted, None)
    }

    fn may(
        &self,
        request: &Request,
        method: &Method,
        parts: &[&str],
        now: DateTime<Utc>,
    ) -> Option<Response> {
        if super::token::bearer(request).is_some_and(|it| self.static_tokens.contains(it)) {
            return None;
        }
        let Some(issued) = self.tokens.of(request, now) else {
            return Some(error(
                401,
                "InvalidAuthenticationToken",
                "Access token is empty or has expired.",
            ));
        };
        let needed = Self::needed(method, parts);
        let ok = needed.is_empty() || needed.iter().any(|it| issued.scopes.contains(*it));
        (!ok).then(denied)
    }

    fn answer(
        &mut self,
        request: &Request,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let parts: Vec<String> = path.split('/').filter(|it| !it.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if let Some(refused) = self.may(request, method, &parts, now) {
            return refused;
        }
        let select = query.get("$select").map_or("", String::as_str);
        let hit = |end: &str| path.ends_with(end) || select.ends_with(end);
        if let Some(at) = self.refusals.iter().position(|(end, ..)| hit(end)) {
            let (_, status, wait) = self.refusals.remove(at);
            let mut answer = error(status, "UnknownError", &format!("refused with {status}"));
            if let Some(wait) = wait.and_then(|it| HeaderValue::from_str(&it).ok()) {
                answer.headers_mut().insert("Retry-After", wait);
            }
            return answer;
        }
        if self.quirks.raced && *method != Method::GET && parts.first() != Some(&"$batch") {
            self.quirks.raced = false;
            self.answer(request, method, path, query, body, now);
            self.quirks.raced = true;
        }
        let call = Call { method, query, body, host: origin(request), path, now };
        let looked_at = match parts.as_slice() {
            ["users", id] if *method == Method::GET => self.vanishing.take_if(|it| it == id),
            _ => None,
        };
        if let Some(id) = looked_at {
            let answer = self.route_users(&call, &parts);
            self.delete_user(&id, now);
            return answer;
        }
        match parts.as_slice() {
            ["$batch"] if *method == Method::POST => self.batch(request, body, now),
            [
                "users" | "directory" | "drives" | "deviceManagement" | "oauth2PermissionGrants",
                ..,
            ] => self.route_users(&call, &parts),
            _ => self.route_access(&call, &parts),
        }
    }

    /// Several calls in one; what becomes of each is in the answer.
    fn batch(&mut self, request: &Request, body: &Value, now: DateTime<Utc>) -> Response {
        let parts = body["requests"].as_array().cloned().unwrap_or_default();
        if parts.is_empty() || parts.len() > 20 {
            return error(400, "BadRequest", "the number of requests is not between 1 and 20");
        }
        let mut answers = Vec::new();
        for part in parts {
            let method = part["method"].as_str().unwrap_or("GET").parse().unwrap_or(Method::GET);
            let url = part["url"].as_str().unwrap_or_default();
            let (path, text) = url.split_once('?').unwrap_or((url, ""));
            let pairs = text.split('&').filter_map(|it| it.split_once('='));
            let query = pairs.map(|(k, v)| (decode(k), decode(&v.replace('+', " ")))).collect();
            let answer = self.answer(request, &method, path, &query, &part["body"], now);
            let shown: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let mut headers = value!({ "Content-Type": "application/json" });
            if let Some(wait) = answer.headers().get("Retry-After").and_then(|it| it.to_str().ok())
            {
                headers["Retry-After"] = wait.into();
            }
            answers.push(value!({ "id": part["id"], "status": answer.status().as_u16(),
                                  "headers": headers, "body": shown }));
        }
        // The order is nobody's promise.
        answers.reverse();
        json(200, &value!({ "responses": answers }))
    }

    /// One page of rows, with a link to the next.
    fn page(
        &self,
        call: &Call<'_>,
        rows: Vec<(String, Value)>,
        most: usize,
        usual: usize,
    ) -> Response {
        let size = match call.query.get("$top").map(|it| it.parse::<usize>()) {
            None => usual,
            Some(Ok(n)) if (1..=most).contains(&n) => n,
            Some(_) => return error(400, "Request_BadRequest", "Invalid page size specified."),
        };
        let after = call.query.get("$skiptoken").map(String::as_str);
        let after = match after {
            None => None,
            Some(text) => match text.strip_prefix("t.") {
                Some(id) => Some(id.to_owned()),
                None => {
                    return error(
                        400,
                        "Directory_ExpiredPageToken",
                        "The specified page token value has expired.",
                    );
                }
            },
        };
        let left = rows.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|it| id > it));
        let mut left = left.peekable();
        let fresh = after.is_none();
        let take = if fresh && self.quirk == Some(Quirk::EmptyFirstPage) { 0 } else { size };
        let (mut page, mut last) = (Vec::new(), String::new());
        while page.len() < take
            && let Some((id, row)) = left.next()
        {
            page.push(row);
            last = id;
        }
        let mut body =
            value!({ "@odata.context": format!("{}/v1.0/$metadata", call.host), "value": page });
        if left.peek().is_some() {
            let cursor = match self.quirk {
                Some(Quirk::RepeatedCursor) if !fresh => after.unwrap_or_default(),
                _ => last,
            };
            let host = match self.quirk {
                Some(Quirk::ForeignNextLink) => "https://evil.example",
                _ => &call.host,
            };
            let kept = call.query.iter().filter(|(name, _)| *name != "$skiptoken");
            let mut pairs: Vec<String> =
                kept.map(|(name, value)| format!("{name}={}", encode(value))).collect();
            pairs.push(format!("$skiptoken=t.{}", encode(&cursor)));
            body["@odata.nextLink"] =
                format!("{host}/v1.0{}?{}", call.path, pairs.join("&")).into();
        }
        json(200, &body)
    }
}

/// A call, whether it came by itself or in a batch.
struct Call<'a> {
    method: &'a Method,
    query: &'a BTreeMap<String, String>,
    body: &'a Value,
    host: String,
    path: &'a str,
    now: DateTime<Utc>,
}

impl FakeApi for Entra {
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        self.seen(now);
        self.report(now);
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut response = if let [_, "oauth2", "v2.0", "token"] = parts.as_slice() {
            self.token(request, now)
        } else if let Some(path) = request.uri().path().strip_prefix("/v1.0") {
            let body = if request.body().is_empty() {
                Some(Value::Null)
            } else {
                serde_json::from_slice(request.body()).ok()
            };
            match body {
                Some(body) => {
                    let (method, path) = (request.method().clone(), path.to_owned());
                    self.answer(request, &method, &path, &query(request), &body, now)
                }
                None => error(400, "BadRequest", "Unable to read JSON request payload."),
            }
        } else {
            error(404, "ResourceNotFound", "Resource not found for the segment.")
        };
        self.calls += 1;
        if let Ok(id) = HeaderValue::from_str(&format!("req-graph-{:08}", self.calls)) {
            response.headers_mut().insert("request-id", id);
        }
        response
    }

    fn mutates(&self, request: &Request) -> bool {
        let path = request.uri().path();
        if *request.method() == Method::GET || path.ends_with("/oauth2/v2.0/token") {
            return false;
        }
        if !path.ends_with("/$batch") {
            return true;
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        body["requests"].as_array().into_iter().flatten().any(|it| it["method"] != "GET")
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        self.quirk = Some(quirk);
        true
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let inner =
        value!({ "date": "2026-03-02T08:00:00", "request-id": "req", "client-request-id": "req" });
    json(status, &value!({ "error": { "code": code, "message": message, "innerError": inner } }))
}

fn missing(id: &str) -> Response {
    let text = format!(
        "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
    );
    error(404, "Request_ResourceNotFound", &text)
}

fn nothing() -> Response {
    error(400, "BadRequest", "Resource not found for the segment.")
}

/// What synced objects say to writes of what is not the cloud's.
fn mastered() -> Response {
    let text = "Unable to update the specified properties for on-premises mastered Directory Sync objects or \
                objects currently undergoing migration.";
    error(400, "Request_BadRequest", text)
}

fn denied() -> Response {
    let text = "Insufficient privileges to complete the operation.";
    error(403, "Authorization_RequestDenied", text)
}

fn done() -> Response {
    respond(204, "", "")
}
