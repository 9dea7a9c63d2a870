//! Okta, as its documents and its recorded traffic have it (`/api/v1`).
//!
//! What it does as Okta does:
//!
//! - `GET /users` hides whoever is deprovisioned; `filter` shows them; `search` does not know whoever was
//!   changed in the last moments ([`Quirks::search_lag_ms`]).
//! - Deactivating takes every application away; deleting somebody who is not deprovisioned deactivates, and
//!   only the second call deletes.
//! - Membership calls answer 204 whether or not something changed. Members of an `APP_GROUP` or of the
//!   built-in group are refused. A group rule puts its people back at once.
//! - Lifecycle calls in the wrong state are 403, and not success.
//! - Deprovisioning is asynchronous where [`Quirks::slow_lifecycle`] is on: the user is what they were until
//!   then, and `transitioningToStatus` says where it goes. Nothing else can be asked for meanwhile.
//! - Roles come one by one or with a group (`assignmentType`); all custom ones are of the type `CUSTOM`.
//! - Sessions end without their tokens unless `oauthTokens=true`; factors cannot be reset on a
//!   deprovisioned user.
//! - Every answer says what is left of the limit, by `X-Rate-Limit-*` in epoch seconds; there is no
//!   `Retry-After`.
//! - The log's `next` link is always there; a position that it does not know is 400 `E0000031`.
//!
//! Credentials: an API token (`SSWS ...`), or a service application that signs assertions
//! (`private_key_jwt`), with scopes that are held against every call. Signatures are not verified.
#![expect(
    clippy::indexing_slicing,
    clippy::result_large_err,
    reason = "a JSON value has null for what it has not; an answer is as large as it is"
)]

mod access;
mod rest;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, Method};
use serde_json::{Value, json as value};

use super::token::{Tokens, asserted, form};
use super::{FakeApi, Quirk, Request, Response, encode, json, origin, query, respond, segments};

/// The state of an organisation.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Okta {
    /// API tokens that are accepted, with the user to whom each belongs. They may do everything.
    pub api_tokens: BTreeMap<String, ApiToken>,
    /// Service applications and the scopes that they were given.
    pub clients: BTreeMap<String, BTreeSet<String>>,
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Group rules by id.
    pub rules: BTreeMap<String, Rule>,
    /// Applications by id.
    pub apps: BTreeMap<String, App>,
    /// Labels of custom administrator roles by id.
    pub custom_roles: BTreeMap<String, String>,
    /// Devices by id.
    pub devices: BTreeMap<String, Device>,
    /// The system log, oldest first. Forget it by clearing it and raising [`log_start`](Self::log_start).
    pub log: Vec<LogEvent>,
    /// Number of the first event that is still known.
    pub log_start: usize,
    /// What is on.
    pub quirks: Quirks,
    tokens: Tokens,
    quirk: Option<Quirk>,
    next: u32,
    calls: u32,
}

/// What can be switched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "switches of a fake")]
pub struct Quirks {
    /// How long `search` does not find whoever was changed.
    pub search_lag_ms: i64,
    /// `activate` and `deactivate` go on after the answer, until somebody looks for the third time.
    pub slow_lifecycle: bool,
    /// This below a user is answered with 404 `E0000007`, although the user is there: `groups`, `roles`,
    /// `devices`.
    pub missing_below: Option<&'static str>,
    /// Applications come without how the user has them, whatever `expand` asks for.
    pub bare_apps: bool,
    /// How far Okta's clock is behind ours. The log is by it, and shows nothing before its `since`.
    pub clock_behind_ms: i64,
}

/// An assignment of an administrator role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Role {
    /// `HELP_DESK_ADMIN`, ...; `CUSTOM` for a custom one.
    pub kind: String,
    /// The custom role, if it is one.
    pub custom: Option<String>,
    /// Whether it comes with a group.
    pub by_group: bool,
}

impl Role {
    /// A standard role that was given to one user.
    #[must_use]
    pub fn standard(kind: &str) -> Self {
        Self { kind: kind.to_owned(), custom: None, by_group: false }
    }
}

/// An API token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// The user to whom it belongs.
    pub user: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct User {
    /// `STAGED`, `PROVISIONED`, `ACTIVE`, `RECOVERY`, `PASSWORD_EXPIRED`, `LOCKED_OUT`, `SUSPENDED`,
    /// `DEPROVISIONED`.
    pub status: String,
    /// Where a lifecycle call is taking it, and how often somebody may still look before it is there.
    pub transition: Option<(String, u8)>,
    /// `login`, `email`, `firstName`, ...
    pub profile: BTreeMap<String, Value>,
    /// Live sessions.
    pub sessions: u32,
    /// Clients with refresh tokens, and how many each.
    pub clients: BTreeMap<String, u32>,
    /// Clients with consents, and how many each.
    pub grants: BTreeMap<String, u32>,
    /// Enrolled factors: id and type.
    pub factors: BTreeMap<String, String>,
    /// Administrator roles by assignment.
    pub roles: BTreeMap<String, Role>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub updated: DateTime<Utc>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `OKTA_GROUP`, `APP_GROUP`, `BUILT_IN`.
    pub kind: String,
    /// Who is in it.
    pub members: BTreeSet<String>,
}

/// A rule that puts everybody with a profile value into a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The group.
    pub group: String,
    /// The member of the profile, and its value.
    pub when: (String, String),
    /// Whom it leaves alone.
    pub exclude: BTreeSet<String>,
    /// How the condition is written, if not as a comparison of `when`. It is shown and not understood.
    pub written: Option<String>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Device {
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, `DEACTIVATED`.
    pub status: String,
    /// Who uses it.
    pub users: BTreeSet<String>,
}

/// An event of the system log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct LogEvent {
    /// When.
    pub published: DateTime<Utc>,
    /// What.
    pub event_type: String,
    /// About which user.
    pub user: String,
}

impl Okta {
    /// An organisation with one API token, the built-in group, and these groups.
    #[must_use]
    pub fn new(token: &str, groups: &[&str]) -> Self {
        let mut okta = Self::default();
        let owner = ApiToken { id: "00T0000000000000000a".into(), user: "00uadmin".into() };
        okta.api_tokens.insert(token.to_owned(), owner);
        okta.add_group("00geveryone", "Everyone", "BUILT_IN");
        for group in groups {
            okta.add_group(&format!("00g{group}"), group, "OKTA_GROUP");
        }
        okta
    }

    /// Makes a group of a kind.
    pub fn add_group(&mut self, id: &str, name: &str, kind: &str) {
        let group = Group { name: name.into(), kind: kind.into(), members: BTreeSet::new() };
        self.groups.insert(id.to_owned(), group);
    }

    /// Makes an application.
    pub fn add_app(&mut self, id: &str, label: &str) {
        self.apps.insert(id.to_owned(), App { label: label.to_owned(), ..App::default() });
    }

    /// Makes a user as an administrator would in the console; the answer is its id.
    pub fn add_user(
        &mut self,
        profile: BTreeMap<String, Value>,
        status: &str,
        now: DateTime<Utc>,
    ) -> String {
        let id = self.id("00u");
        let user = User {
            status: status.to_owned(),
            transition: None,
            profile,
            sessions: 0,
            clients: BTreeMap::new(),
            grants: BTreeMap::new(),
            factors: BTreeMap::new(),
            roles: BTreeMap::new(),
            created: now,
            updated: now,
        };
        self.users.insert(id.clone(), user);
        self.happened("user.lifecycle.create", &id, now);
        self.apply_rules();
        id
    }

    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}{:0>17}", self.next)
    }

    /// Writes into the system log.
    pub fn happened(&mut self, what: &str, user: &str, now: DateTime<Utc>) {
        let (event_type, user) = (what.to_owned(), user.to_owned());
        let published = now - TimeDelta::milliseconds(self.quirks.clock_behind_ms);
        self.log.push(LogEvent { published, event_type, user });
    }

    /// Puts whoever a rule is for into its group.
    fn apply_rules(&mut self) {
        for rule in self.rules.values() {
            let (name, wanted) = &rule.when;
            let meant = self.users.iter().filter(|(id, user)| {
                let has = user.profile.get(name).and_then(Value::as_str) == Some(wanted);
                has && user.status != "DEPROVISIONED" && !rule.exclude.contains(*id)
            });
            let meant: BTreeSet<String> = meant.map(|(id, _)| id.clone()).collect();
            if let Some(group) = self.groups.get_mut(&rule.group) {
                group.members.extend(meant);
            }
        }
    }

    fn may(&self, request: &Request, now: DateTime<Utc>) -> Result<(), Response> {
        let header = request.headers().get("authorization").and_then(|it| it.to_str().ok());
        // Okta's own Python client (3.4) writes no space behind the scheme.
        if let Some(token) = header.and_then(|it| it.strip_prefix("SSWS")) {
            let known = self.api_tokens.contains_key(token.trim_start());
            return if known {
                Ok(())
            } else {
                Err(error(401, "E0000011", "Invalid token provided"))
            };
        }
        let Some(issued) = self.tokens.of(request, now) else {
            return Err(error(401, "E0000011", "Invalid token provided"));
        };
        let family = match segments(request).get(2).map(String::as_str) {
            _ if request.uri().path().contains("/roles") => "roles",
            Some("iam") => "roles",
            Some("groups") => "groups",
            Some("apps") => "apps",
            Some("devices") => "devices",
            Some("logs") => "logs",
            Some("api-tokens") => "apiTokens",
            _ => "users",
        };
        let reads = request.method() == Method::GET;
        let has = |what: &str| issued.scopes.contains(&format!("okta.{family}.{what}"));
        if has("manage") || (reads && has("read")) {
            return Ok(());
        }
        let text = "You do not have permission to perform the requested action";
        Err(error(403, "E0000006", text))
    }

    fn token(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let refused = |code: &str, text: &str| {
            json(400, &value!({ "error": code, "error_description": text }))
        };
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "client_credentials" {
            return refused("unsupported_grant_type", "only client_credentials is supported");
        }
        if field("client_assertion_type")
            != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        {
            let text = "The token endpoint authentication method must be private_key_jwt.";
            return json(401, &value!({ "error": "invalid_client", "error_description": text }));
        }
        let claims = match asserted(field("client_assertion"), "/oauth2/v1/token", now) {
            Ok(claims) => claims,
            Err(why) => {
                return json(401, &value!({ "error": "invalid_client", "error_description": why }));
            }
        };
        let client = claims["sub"].as_str().unwrap_or_default();
        let Some(given) = self.clients.get(client).filter(|_| claims["iss"] == client) else {
            return json(
                401,
                &value!({ "error": "invalid_client",
                                       "error_description": "Invalid value for 'client_id' parameter." }),
            );
        };
        let asked: BTreeSet<String> = field("scope").split(' ').map(str::to_owned).collect();
        if !asked.is_subset(given) {
            let text =
                "One or more scopes are not configured for the authorization server resource.";
            return refused("invalid_scope", text);
        }
        self.tokens.issue(now, "okta-access-", asked, None)
    }

    fn route(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some(rest) = parts.strip_prefix(&["api", "v1"]) else { return nothing() };
        let body = match body(request) {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        match rest {
            ["users", ..] => self.route_users(request, rest, &body, now),
            ["groups", ..] | ["apps", ..] | ["iam", ..] => {
                self.route_access(request, rest, &body, now)
            }
            _ => self.route_rest(request, rest, now),
        }
    }

    /// One page of an array, with `Link` headers.
    fn page(&self, request: &Request, rows: Vec<(String, Value)>, most: usize) -> Response {
        let query = query(request);
        let limit = match query.get("limit").map(|text| text.parse::<usize>()) {
            None => most,
            // More than allowed is brought down to the most.
            Some(Ok(n)) if n >= 1 => n.min(most),
            Some(_) => return error(400, "E0000001", "Api validation failed: limit"),
        };
        let after = query.get("after").map(String::as_str);
        if after.is_some_and(|it| !it.starts_with("c.")) {
            return error(400, "E0000031", "Invalid search criteria.");
        }
        let after = after.and_then(|it| it.strip_prefix("c."));
        let mut left =
            rows.into_iter().filter(|(id, _)| after.is_none_or(|it| id.as_str() > it)).peekable();
        let fresh = after.is_none();
        let take = if fresh && self.quirk == Some(Quirk::EmptyFirstPage) { 0 } else { limit };
        let (mut last, mut page) = (String::new(), Vec::new());
        while page.len() < take
            && let Some((id, row)) = left.next()
        {
            page.push(row);
            last = id;
        }
        let more = left.peek().is_some();
        let mut response = json(200, &Value::Array(page));
        let own = format!("{}{}", origin(request), request.uri());
        link(&mut response, &own, "self");
        if more {
            let cursor = match self.quirk {
                Some(Quirk::RepeatedCursor) if !fresh => after.unwrap_or_default().to_owned(),
                _ => last,
            };
            let host = match self.quirk {
                Some(Quirk::ForeignNextLink) => "https://evil.example".to_owned(),
                _ => origin(request),
            };
            let mut pairs: Vec<String> = query
                .iter()
                .filter(|(name, _)| *name != "after")
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect();
            pairs.insert(0, format!("after=c.{}", encode(&cursor)));
            let next = format!("{host}{}?{}", request.uri().path(), pairs.join("&"));
            link(&mut response, &next, "next");
        }
        response
    }
}

impl FakeApi for Okta {
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let token = request.uri().path() == "/oauth2/v1/token" && request.method() == Method::POST;
        let mut response = if token {
            self.token(request, now)
        } else {
            match self.may(request, now) {
                Ok(()) => self.route(request, now),
                Err(refused) => refused,
            }
        };
        self.calls += 1;
        let headers = response.headers_mut();
        let mut put = |name: &'static str, text: String| {
            if let Ok(text) = HeaderValue::from_str(&text) {
                headers.insert(name, text);
            }
        };
        put("x-okta-request-id", format!("reqOKTA{:08}", self.calls));
        put("x-rate-limit-limit", "600".into());
        put("x-rate-limit-remaining", "599".into());
        put("x-rate-limit-reset", (now + TimeDelta::seconds(60)).timestamp().to_string());
        response
    }

    fn mutates(&self, request: &Request) -> bool {
        *request.method() != Method::GET && request.uri().path() != "/oauth2/v1/token"
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        self.quirk = Some(quirk);
        true
    }
}

fn link(response: &mut Response, target: &str, rel: &str) {
    if let Ok(text) = HeaderValue::from_str(&format!("<{target}>; rel=\"{rel}\"")) {
        response.headers_mut().append("link", text);
    }
}

fn error(status: u16, code: &str, summary: &str) -> Response {
    caused(status, code, summary, &[])
}

fn caused(status: u16, code: &str, summary: &str, causes: &[&str]) -> Response {
    let causes: Vec<Value> = causes.iter().map(|it| value!({ "errorSummary": it })).collect();
    json(
        status,
        &value!({ "errorCode": code, "errorSummary": summary, "errorLink": code,
                  "errorId": format!("oae{code}"), "errorCauses": causes }),
    )
}

fn nothing() -> Response {
    error(404, "E0000022", "The endpoint does not support the provided HTTP method")
}

fn missing(id: &str, what: &str) -> Response {
    error(404, "E0000007", &format!("Not found: Resource not found: {id} ({what})"))
}

fn done() -> Response {
    respond(204, "", "")
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn body(request: &Request) -> Result<Value, Response> {
    if request.body().is_empty() {
        return Ok(Value::Null);
    }
    let kind = request.headers().get("content-type").and_then(|it| it.to_str().ok());
    if !kind.is_some_and(|it| it.starts_with("application/json")) {
        return Err(error(
            415,
            "E0000021",
            "Bad request. Accept and/or Content-Type headers are likely not set.",
        ));
    }
    serde_json::from_slice(request.body())
        .map_err(|_| error(400, "E0000003", "The request body was not well-formed."))
}
