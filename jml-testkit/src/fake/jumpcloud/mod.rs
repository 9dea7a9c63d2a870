//! JumpCloud, as its documents and the traffic of its own tools have it: v1 (`/api`), v2 (`/api/v2`),
//! Directory Insights (`/insights/directory/v1`) and the token endpoint of service accounts.
//!
//! What it does as JumpCloud does:
//!
//! - Pages are of 10 rows unless asked otherwise, and of 100 at most. Without `sort`, v1 shows its rows in
//!   another order each time ([`Quirks::shuffled`]).
//! - A new user without `state` gets the organisation's default ([`Quirks::default_state`]). PUT of a user is
//!   partial, and takes `ACTIVATED` and `SUSPENDED` only; whoever is staged is activated by a call of its own.
//! - `account_locked` is another flag than `suspended`.
//! - Whoever has reports is deleted only with `cascade_manager`.
//! - Adding a member who is there is 409, removing one who is not is 404.
//! - Members of a dynamic group are put back at once, or the edit is refused ([`Quirks::refuses_dynamic`]).
//! - Resetting MFA takes the one-time codes, and push endpoints only where MFA is unified.
//! - Commands to a device are answered by 201, and carried out when it shows up.
//! - `X-Search_after` of Directory Insights is always there; what is older than 90 days is silently gone.
//! - Too much traffic ends in a 403 that is no JSON ([`Quirks::blocked`]).
//!
//! Not documented, and made so here: the status for a name that is taken ([`Quirks::duplicate`]), that for
//! an edge that is not there ([`Quirks::absent_edge`]), 400 for an id that is none.

mod graph;
mod insights;
mod systems;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use http::{HeaderValue, Method};
use serde_json::{Value, json as value};

use super::token::{Tokens, base64, form};
use super::{FakeApi, Quirk, Request, Response, json, query, respond, segments};

/// The state of an organisation.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JumpCloud {
    /// API keys that are accepted.
    pub keys: BTreeSet<String>,
    /// Service accounts and their secrets.
    pub clients: BTreeMap<String, String>,
    /// The organisation's id.
    pub organization: String,
    /// Whether its administrators have several organisations, and must name this one.
    pub multi_tenant: bool,
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// User groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Applications by id.
    pub apps: BTreeMap<String, App>,
    /// Devices by id.
    pub systems: BTreeMap<String, System>,
    /// Device groups by id.
    pub system_groups: BTreeMap<String, SystemGroup>,
    /// Directories by id.
    pub directories: BTreeMap<String, Directory>,
    /// What Directory Insights knows, oldest first.
    pub events: Vec<Event>,
    /// What is on.
    pub quirks: Quirks,
    tokens: Tokens,
    quirk: Option<Quirk>,
    emptied: bool,
    next: u64,
    calls: usize,
}

/// What can be switched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "switches of a fake")]
pub struct Quirks {
    /// v1 shows rows in another order each time, unless told how to sort.
    pub shuffled: bool,
    /// The state of a new user, if nobody says.
    pub default_state: String,
    /// The status for a name that is taken: 409 or 400.
    pub duplicate: u16,
    /// An edit of a dynamic group is refused; else it is accepted, and undone at once.
    pub refuses_dynamic: bool,
    /// Resetting MFA takes push endpoints too.
    pub unified_mfa: bool,
    /// How long an event does not show.
    pub insights_lag_ms: i64,
    /// Every answer is the 403 of whoever sent too much.
    pub blocked: bool,
    /// The status for an edge that is not there: 404, 409 or 400.
    pub absent_edge: u16,
    /// v2 shows everything, whatever filter it is given.
    pub ignores_filters: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            shuffled: true,
            default_state: "ACTIVATED".into(),
            duplicate: 409,
            refuses_dynamic: false,
            unified_mfa: false,
            insights_lag_ms: 0,
            blocked: false,
            absent_edge: 404,
            ignores_filters: false,
        }
    }
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct User {
    /// `STAGED`, `ACTIVATED`, `SUSPENDED`.
    pub state: String,
    /// Locked after too many wrong passwords.
    pub account_locked: bool,
    /// Everything that is written: `username`, `email`, `firstname`, `manager`, ...
    pub profile: BTreeMap<String, Value>,
    /// Whether there is a key for one-time codes.
    pub totp: bool,
    /// Whether there is a security key.
    pub webauthn: bool,
    /// Push endpoints: id and name.
    pub push: BTreeMap<String, String>,
    /// SSH keys: id and name.
    pub ssh_keys: BTreeMap<String, String>,
}

/// A user group.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// `NOTSET`, `STATIC`, `DYNAMIC_REVIEW_REQUIRED`, `DYNAMIC_AUTOMATED`.
    pub method: String,
    /// For an automated one: the member of a user, and its value.
    pub when: (String, String),
    /// Who is in it.
    pub members: BTreeSet<String>,
}

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct App {
    /// Its label.
    pub label: String,
    /// Users who were given it one by one.
    pub users: BTreeSet<String>,
    /// Groups whose members have it.
    pub groups: BTreeSet<String>,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct System {
    /// Its name.
    pub name: String,
    /// `windows`, `linux`, `darwin`.
    pub os: String,
    /// Users who may sign in to it, with the attributes of the edge.
    pub users: BTreeMap<String, Value>,
    /// Groups whose members may.
    pub groups: BTreeSet<String>,
    /// Commands that wait for it, or were carried out.
    pub commands: Vec<String>,
}

/// A device group. Which devices are in it is not kept here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SystemGroup {
    /// Its name.
    pub name: String,
    /// Users who may sign in to its devices.
    pub users: BTreeSet<String>,
    /// Groups whose members may.
    pub groups: BTreeSet<String>,
}

/// A directory that JumpCloud makes accounts in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Directory {
    /// `active_directory`, `g_suite`, `ldap_server`, `office_365`; `workday`, which nobody is bound to.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Users who were bound to it one by one.
    pub users: BTreeSet<String>,
    /// Groups whose members are in it.
    pub groups: BTreeSet<String>,
}

/// An event of Directory Insights.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// When.
    pub timestamp: DateTime<Utc>,
    /// What.
    pub event_type: String,
    /// About what: type and id.
    pub resource: (String, String),
    /// For an edge: `add`, `remove` or `update`, and what it leads to.
    pub association: Option<(String, (String, String))>,
}

impl JumpCloud {
    /// An organisation with one API key and these user groups.
    #[must_use]
    pub fn new(key: &str, groups: &[&str]) -> Self {
        let mut it = Self { organization: object_id(0x5e, 1), ..Self::default() };
        it.keys.insert(key.to_owned());
        for group in groups {
            it.add_group(group, "STATIC");
        }
        it
    }

    /// Makes a group with a membership method; the answer is its id.
    pub fn add_group(&mut self, name: &str, method: &str) -> String {
        let id = self.id(0x60);
        let group = Group { name: name.into(), method: method.into(), ..Group::default() };
        self.groups.insert(id.clone(), group);
        id
    }

    /// Makes a group that holds everybody with this value; the answer is its id.
    pub fn add_dynamic_group(&mut self, name: &str, member: &str, value: &str) -> String {
        let id = self.add_group(name, "DYNAMIC_AUTOMATED");
        if let Some(group) = self.groups.get_mut(&id) {
            group.when = (member.to_owned(), value.to_owned());
        }
        self.apply_rules();
        id
    }

    /// Makes an application; the answer is its id.
    pub fn add_app(&mut self, label: &str) -> String {
        let id = self.id(0x61);
        self.apps.insert(id.clone(), App { label: label.to_owned(), ..App::default() });
        id
    }

    /// Enrols a device; the answer is its id.
    pub fn add_system(&mut self, name: &str, os: &str) -> String {
        let id = self.id(0x62);
        let system = System { name: name.into(), os: os.into(), ..System::default() };
        self.systems.insert(id.clone(), system);
        id
    }

    /// Makes a device group; the answer is its id.
    pub fn add_system_group(&mut self, name: &str) -> String {
        let id = self.id(0x67);
        let group = SystemGroup { name: name.to_owned(), ..SystemGroup::default() };
        self.system_groups.insert(id.clone(), group);
        id
    }

    /// Connects a directory of a type (`g_suite`, ...); the answer is its id.
    pub fn add_directory(&mut self, name: &str, kind: &str) -> String {
        let id = self.id(0x68);
        let (name, kind) = (name.to_owned(), kind.to_owned());
        self.directories.insert(id.clone(), Directory { kind, name, ..Directory::default() });
        id
    }

    /// Makes a user as an administrator would in the console; the answer is its id.
    pub fn add_user(
        &mut self,
        profile: BTreeMap<String, Value>,
        state: &str,
        now: DateTime<Utc>,
    ) -> String {
        let id = self.id(0x63);
        self.users.insert(id.clone(), User { state: state.to_owned(), profile, ..User::default() });
        self.happened("user_create", "user", &id, now);
        self.apply_rules();
        id
    }

    fn id(&mut self, kind: u64) -> String {
        self.next += 1;
        object_id(kind, self.next)
    }

    /// Writes into Directory Insights.
    pub fn happened(&mut self, what: &str, kind: &str, of: &str, now: DateTime<Utc>) {
        let id = self.id(0x64);
        self.events.push(Event {
            id,
            timestamp: now,
            event_type: what.to_owned(),
            resource: (kind.to_owned(), of.to_owned()),
            association: None,
        });
    }

    /// Fills the groups that have a rule.
    pub fn apply_rules(&mut self) {
        for group in self.groups.values_mut().filter(|it| it.method == "DYNAMIC_AUTOMATED") {
            let (name, wanted) = &group.when;
            let meant = self
                .users
                .iter()
                .filter(|(_, user)| user.profile.get(name).and_then(Value::as_str) == Some(wanted));
            group.members = meant.map(|(id, _)| id.clone()).collect();
        }
    }

    /// What is wrong with the credential of a request.
    fn refused(&self, request: &Request, now: DateTime<Utc>) -> Option<Response> {
        let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
        let known = match header("x-api-key") {
            Some(key) => self.keys.contains(key),
            None => self.tokens.of(request, now).is_some_and(|it| it.scopes.contains("api")),
        };
        if !known {
            return Some(json(401, &value!({ "error": "Unauthorized" })));
        }
        match header("x-org-id") {
            None if self.multi_tenant => Some(error(401, "UNAUTHENTICATED", "x-org-id is missing")),
            Some(id) if !is_object_id(id) => Some(invalid("x-org-id is malformed")),
            Some(id) if id != self.organization => {
                Some(error(404, "NOT_FOUND", "organization not found"))
            }
            _ => None,
        }
    }

    /// `client_credentials` with HTTP Basic (RFC 6749 sections 2.3.1 and 4.4).
    fn token(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let header = request.headers().get("authorization").and_then(|it| it.to_str().ok());
        let pair = header.and_then(|it| it.strip_prefix("Basic ")).and_then(base64);
        let pair = pair.and_then(|it| String::from_utf8(it).ok()).unwrap_or_default();
        let good = pair
            .split_once(':')
            .is_some_and(|(id, secret)| self.clients.get(id).is_some_and(|known| known == secret));
        if !good {
            return json(401, &value!({ "error": "invalid_client" }));
        }
        let form = form(request);
        if form.get("grant_type").is_none_or(|it| it != "client_credentials") {
            return json(400, &value!({ "error": "unsupported_grant_type" }));
        }
        if form.get("scope").is_none_or(|it| it != "api") {
            return json(400, &value!({ "error": "invalid_scope" }));
        }
        self.tokens.issue(now, "jumpcloud-access-", BTreeSet::from(["api".to_owned()]), None)
    }

    fn route(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some(body) = body(request) else { return invalid("the body is no JSON") };
        match parts.as_slice() {
            ["api", "v2", rest @ ..] => self.route_graph(request, rest, &body, now),
            ["api", "systemusers", rest @ ..] => self.route_users(request, rest, &body, now),
            ["api", rest @ ..] => self.route_systems(request, rest, now),
            ["insights", "directory", "v1", "events"] if request.method() == Method::POST => {
                self.search_events(&body, now)
            }
            _ => nothing(),
        }
    }

    /// Which rows a page shows: how many to leave out, and how many to show. `None` for what is no number.
    fn window(&mut self, request: &Request) -> Option<(usize, usize)> {
        let query = query(request);
        let number = |name: &str, otherwise: usize| match query.get(name) {
            None => Some(otherwise),
            Some(text) => text.parse::<usize>().ok(),
        };
        let (mut skip, mut limit) = (number("skip", 0)?, number("limit", 10)?.min(100));
        match self.quirk {
            Some(Quirk::RepeatedCursor) => skip = 0,
            Some(Quirk::EmptyFirstPage) if skip == 0 => {
                self.emptied = !self.emptied;
                if self.emptied {
                    limit = 0;
                }
            }
            _ => {}
        }
        Some((skip, limit))
    }

    /// A page of v1: `results` and `totalCount`.
    fn page(&mut self, request: &Request, rows: Vec<(String, Value)>) -> Response {
        let Some((skip, limit)) = self.window(request) else { return invalid("skip, limit") };
        let mut rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
        let total = rows.len();
        let query = query(request);
        match query.get("sort").filter(|it| !it.is_empty()) {
            Some(sort) => {
                let (name, down) =
                    sort.strip_prefix('-').map_or((sort.as_str(), false), |it| (it, true));
                rows.sort_by_key(|row| row[name].as_str().unwrap_or_default().to_owned());
                if down {
                    rows.reverse();
                }
            }
            None if self.quirks.shuffled && total > 0 => rows.rotate_left(self.calls * 7 % total),
            None => {}
        }
        if let Some(fields) = query.get("fields").filter(|it| !it.is_empty()) {
            let wanted: BTreeSet<&str> = fields.split(' ').chain(["_id"]).collect();
            for row in &mut rows {
                if let Some(row) = row.as_object_mut() {
                    row.retain(|name, _| wanted.contains(name.as_str()));
                }
            }
        }
        let rows: Vec<Value> = rows.into_iter().skip(skip).take(limit).collect();
        self.linked(json(200, &value!({ "results": rows, "totalCount": total })))
    }

    /// A page of v2: a bare array.
    fn array(&mut self, request: &Request, rows: Vec<Value>) -> Response {
        let Some((skip, limit)) = self.window(request) else { return invalid("skip, limit") };
        let rows = rows.into_iter().skip(skip).take(limit).collect();
        self.linked(json(200, &Value::Array(rows)))
    }

    /// Some lists have a `Link`; nobody should follow one to another host.
    fn linked(&self, mut response: Response) -> Response {
        if self.quirk == Some(Quirk::ForeignNextLink) {
            let link = HeaderValue::from_static("<https://evil.example/api?skip=2>; rel=\"next\"");
            response.headers_mut().insert("link", link);
        }
        response
    }
}

impl FakeApi for JumpCloud {
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        self.calls += 1;
        if self.quirks.blocked {
            let text = "403 Forbidden: your IP has been blocked due to suspected abuse";
            return respond(403, "text/plain", text);
        }
        if request.uri().path() == "/oauth2/token" && request.method() == Method::POST {
            return self.token(request, now);
        }
        match self.refused(request, now) {
            None => self.route(request, now),
            Some(refused) => refused,
        }
    }

    /// Searching for events is a POST that changes nothing.
    fn mutates(&self, request: &Request) -> bool {
        let path = request.uri().path();
        *request.method() != Method::GET
            && path != "/oauth2/token"
            && !path.starts_with("/insights/directory/v1/events")
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        self.quirk = Some(quirk);
        true
    }
}

/// An id: 24 hexadecimal digits.
fn object_id(kind: u64, number: u64) -> String {
    format!("{kind:02x}{number:022x}")
}

fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn error(code: u16, status: &str, message: &str) -> Response {
    json(code, &value!({ "code": code, "message": message, "status": status }))
}

fn nothing() -> Response {
    error(404, "NOT_FOUND", "Not Found")
}

fn invalid(why: &str) -> Response {
    error(400, "INVALID_ARGUMENT", why)
}

fn done() -> Response {
    respond(204, "", "")
}

/// The body; `None` when it is no JSON.
fn body(request: &Request) -> Option<Value> {
    if request.body().is_empty() {
        return Some(Value::Null);
    }
    serde_json::from_slice(request.body()).ok()
}
