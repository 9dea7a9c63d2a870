//! Google Workspace: Directory, Enterprise Licence Manager, Data Transfer, Gmail settings, the audit log of
//! Reports, and the token endpoint for service accounts, on one host.
//!
//! What it does as Google does:
//!
//! - A service account has the scopes that were delegated to it, and one scope too many fails the whole
//!   token (401 `unauthorized_client`). Directory calls need an administrator as `sub`, Gmail calls the
//!   mailbox's own user.
//! - Throttling is 403 with a reason, and there is no `Retry-After` ([`Quirks::throttle`]).
//! - An empty list has no member for its rows; pages go on by `nextPageToken`; a page larger than the most
//!   is refused, and so is a token after some days ([`Quirks::page_token_ms`]).
//! - `PUT` on a user changes what it names and replaces lists whole; a new address leaves the old one as an
//!   alias; a deleted user is listed with `showDeleted` for 20 days, and 400 `Type not supported: userKey`
//!   for everything else.
//! - A user who was just made refuses changes ([`Quirks::creation_ms`]); with `resolveConflictAccount`, an
//!   address of an unmanaged account answers 202 and makes nobody.
//! - A suspended user refuses backup codes and Gmail calls.
//! - An administrator role is assigned for the whole customer, or for a unit of it.
//! - An address of another domain gets forwarded mail only once its owner confirmed it, and a delegate may have to
//!   accept first ([`Quirks::delegates_wait`]).
//! - A phone loses the account when it is online ([`Quirks::phones_offline`]).
//! - A member twice is 409 `duplicate`; one who is nobody is 404, or 400 ([`Quirks::unknown_member_is_400`]).
//! - Transfers of data run on after the answer ([`Quirks::transfer_ms`]).
//! - ChromeOS devices are disabled and enabled by the batch, and the answer says of each what came of it. Only an
//!   active one can be disabled, and one that is enabled again takes an upgrade.
//! - What administrators change is in the audit log, the newest first, for 180 days. It names people by address,
//!   shows late ([`Quirks::audit_lag_ms`]), and not in its order ([`Quirks::audit_stray_ms`]).
//!
//! Signatures are not verified.

mod access;
mod chromeos;
mod reports;
mod rest;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json as value};

pub use chromeos::Chromebook;
pub use reports::Activity;

use super::token::{Tokens, asserted, form};
use super::{FakeApi, Quirk, Request, Response, json, query, respond, segments};

/// Where scopes begin.
pub const SCOPE: &str = "https://www.googleapis.com/auth/";

/// The state of a customer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Google {
    /// Tokens that are good for everything, each with the administrator that it is of, for clients that
    /// bring their own.
    pub static_tokens: BTreeMap<String, String>,
    /// Service accounts by address, with the scopes that were delegated to each.
    pub delegations: BTreeMap<String, BTreeSet<String>>,
    /// Administrators for whom a service account may act. They are not among the users.
    pub admins: BTreeSet<String>,
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// Users who were deleted, with the instant.
    pub deleted: BTreeMap<String, (User, DateTime<Utc>)>,
    /// Addresses of accounts that people made for themselves.
    pub unmanaged: BTreeSet<String>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Administrator roles by id.
    pub roles: BTreeMap<String, String>,
    /// Role assignments by id.
    pub assignments: BTreeMap<String, Assignment>,
    /// Licences by product and SKU.
    pub skus: BTreeMap<(String, String), Sku>,
    /// Mobile devices by resource id.
    pub devices: BTreeMap<String, Device>,
    /// ChromeOS devices by id.
    pub chromebooks: BTreeMap<String, Chromebook>,
    /// How many upgrades ChromeOS devices may take; any number without it.
    pub chrome_upgrades: Option<usize>,
    /// Applications whose data can be transferred, by id.
    pub applications: BTreeMap<String, String>,
    /// Transfers by id.
    pub transfers: BTreeMap<String, Transfer>,
    /// The audit log of administrators.
    pub activities: Vec<Activity>,
    /// How many archived users were bought; any number without it.
    pub archive_seats: Option<usize>,
    /// How many users were ever made by a call.
    pub made: u32,
    /// What is on.
    pub quirks: Quirks,
    tokens: Tokens,
    quirk: Option<Quirk>,
    next: u64,
    /// For whom the request at hand is, and when it came.
    actor: String,
    now: DateTime<Utc>,
}

/// What can be switched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "switches of a fake")]
pub struct Quirks {
    /// How long a user who was just made refuses changes.
    pub creation_ms: i64,
    /// How long a search does not find whoever was changed.
    pub search_lag_ms: i64,
    /// How long a transfer runs.
    pub transfer_ms: i64,
    /// Whether transfers end as failed.
    pub transfers_fail: bool,
    /// The next so many requests are refused with this reason (`userRateLimitExceeded`, `quotaExceeded`).
    pub throttle: Option<(u32, String)>,
    /// Whether a member who is nobody is 400 `required`.
    pub unknown_member_is_400: bool,
    /// Whether everybody has to have 2-Step Verification.
    pub enforces_2sv: bool,
    /// How long the audit log takes to show what happened.
    pub audit_lag_ms: i64,
    /// How much longer every other entry of it takes, so that they come out of their order.
    pub audit_stray_ms: i64,
    /// The most rows of a page, whatever was asked for.
    pub page_rows: Option<usize>,
    /// Whether a user of another company's domain is 403, and not 404.
    pub foreign_is_403: bool,
    /// How long the token of a next page is taken.
    pub page_token_ms: i64,
    /// Whether phones are offline: they are told to wipe, and have not done it.
    pub phones_offline: bool,
    /// Whether a delegate has to accept first.
    pub delegates_wait: bool,
    /// Whether somebody else gives a licence just before a call does.
    pub licensed_meanwhile: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            creation_ms: 0,
            search_lag_ms: 0,
            transfer_ms: 5_000,
            transfers_fail: false,
            throttle: None,
            unknown_member_is_400: false,
            enforces_2sv: false,
            audit_lag_ms: 0,
            audit_stray_ms: 0,
            page_rows: None,
            foreign_is_403: false,
            page_token_ms: 3 * 86_400_000,
            phones_offline: false,
            delegates_wait: false,
            licensed_meanwhile: false,
        }
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct User {
    /// `primaryEmail`, `name`, `organizations`, ... as they are shown.
    pub profile: Map<String, Value>,
    /// Whether the user is suspended.
    pub suspended: bool,
    /// Whether the user is archived.
    pub archived: bool,
    /// Further addresses.
    pub aliases: BTreeSet<String>,
    /// The mailbox, if there is one.
    pub mailbox: Option<Mailbox>,
    /// Live sessions.
    pub sessions: u32,
    /// Whether 2-Step Verification is on.
    pub enrolled: bool,
    /// Backup codes.
    pub codes: u32,
    /// Applications with tokens, by client id.
    pub tokens: BTreeSet<String>,
    /// Application passwords.
    pub asps: BTreeSet<i32>,
    /// What the user owns.
    pub files: BTreeSet<String>,
    /// When the user last signed in.
    pub last_login: Option<DateTime<Utc>>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub updated: DateTime<Utc>,
}

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Mailbox {
    /// Vacation settings as they are shown.
    pub vacation: Map<String, Value>,
    /// Addresses that mail may be forwarded to.
    pub addresses: BTreeSet<String>,
    /// The address that mail is forwarded to.
    pub forward: Option<String>,
    /// Addresses of delegates.
    pub delegates: BTreeSet<String>,
    /// Those of either that were not confirmed yet.
    pub pending: BTreeSet<String>,
}

/// That somebody has an administrator role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Assignment {
    /// The role.
    pub role: String,
    /// Who has it.
    pub user: String,
    /// The unit that it is restricted to; without it, it is for the whole customer.
    pub unit: Option<String>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Group {
    /// Its address.
    pub email: String,
    /// Its name.
    pub name: String,
    /// Who is in it, with the role.
    pub members: BTreeMap<String, String>,
}

/// A licence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Sku {
    /// Its name.
    pub name: String,
    /// How many were bought; any number without it.
    pub seats: Option<usize>,
    /// Who has it.
    pub users: BTreeSet<String>,
}

/// A mobile device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Device {
    /// Addresses of those whose accounts are on it.
    pub emails: BTreeSet<String>,
    /// `APPROVED`, `BLOCKED`, `ACCOUNT_WIPING`, `ACCOUNT_WIPED`, `WIPING`, `WIPED`.
    pub status: String,
}

/// A transfer of data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Transfer {
    /// Who had it.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// Of which applications, with the parameters of each.
    pub applications: BTreeMap<String, Value>,
    /// `inProgress`, `completed`, `failed`.
    pub status: String,
    /// When it was asked for.
    pub requested: DateTime<Utc>,
}

impl Google {
    /// A customer with one administrator, one service account with these scopes (without
    /// [`SCOPE`]), and these groups.
    #[must_use]
    pub fn new(admin: &str, service_account: &str, scopes: &[&str], groups: &[&str]) -> Self {
        let mut google = Self::default();
        google.admins.insert(admin.to_owned());
        let scopes = scopes.iter().map(|it| format!("{SCOPE}{it}")).collect();
        google.delegations.insert(service_account.to_owned(), scopes);
        for group in groups {
            let email = format!("{group}@corp.test");
            let made = Group { email, name: (*group).to_owned(), members: BTreeMap::new() };
            google.groups.insert(format!("0{group}"), made);
        }
        for (id, name) in [("55656082996", "Drive and Docs"), ("435070579839", "Calendar")] {
            google.applications.insert(id.to_owned(), name.to_owned());
        }
        google
    }

    /// Makes a user as an administrator would in the console; the answer is its id.
    pub fn add_user(&mut self, profile: Map<String, Value>, now: DateTime<Utc>) -> String {
        let id = self.number("1");
        let user = User {
            profile,
            suspended: false,
            archived: false,
            aliases: BTreeSet::new(),
            mailbox: Some(Mailbox::default()),
            sessions: 0,
            enrolled: false,
            codes: 0,
            tokens: BTreeSet::new(),
            asps: BTreeSet::new(),
            files: BTreeSet::new(),
            last_login: None,
            created: now,
            updated: now,
        };
        let email = user.email().to_owned();
        self.users.insert(id.clone(), user);
        self.happened_to("CREATE_USER", &email, now);
        id
    }

    /// Makes a licence of which so many were bought.
    pub fn add_sku(&mut self, product: &str, sku: &str, name: &str, seats: Option<usize>) {
        let made = Sku { name: name.to_owned(), seats, users: BTreeSet::new() };
        self.skus.insert((product.to_owned(), sku.to_owned()), made);
    }

    /// A number for an id.
    fn number(&mut self, first: &str) -> String {
        self.next += 1;
        format!("{first}{:0>20}", self.next)
    }

    /// The id of whoever is meant by an id, an address, or another address.
    fn user_id(&self, key: &str) -> Option<String> {
        if self.users.contains_key(key) {
            return Some(key.to_owned());
        }
        let named = |user: &User| user.email() == key || user.aliases.contains(key);
        self.users.iter().find(|(_, user)| named(user)).map(|(id, _)| id.clone())
    }

    fn token(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let refused = |status: u16, code: &str, text: &str| {
            json(status, &value!({ "error": code, "error_description": text }))
        };
        let form = form(request);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return refused(400, "unsupported_grant_type", "Invalid grant_type.");
        }
        let claims = match asserted(field("assertion"), "/token", now) {
            Ok(claims) => claims,
            Err(why) => return refused(400, "invalid_grant", why),
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(given) = self.delegations.get(text("iss")) else {
            return refused(400, "invalid_grant", "Invalid issuer.");
        };
        let asked: BTreeSet<String> = text("scope").split(' ').map(str::to_owned).collect();
        if !asked.is_subset(given) {
            let text = "Client is unauthorized to retrieve access tokens using this method, or client not \
                        authorized for any of the scopes requested.";
            return refused(401, "unauthorized_client", text);
        }
        let subject = text("sub").to_owned();
        if !self.admins.contains(&subject) && self.user_id(&subject).is_none() {
            return refused(400, "invalid_grant", "Invalid email or User ID");
        }
        self.tokens.issue(now, "google-access-", asked, Some(subject))
    }

    /// Which scopes allow a request; one of them is enough.
    fn scopes(request: &Request) -> &'static [&'static str] {
        let reads = request.method() == Method::GET;
        let path = request.uri().path();
        if path.starts_with("/apps/licensing/") {
            return &["apps.licensing"];
        }
        if path.starts_with("/gmail/") {
            return match (reads, path.ends_with("/vacation")) {
                (true, _) | (_, true) => &["gmail.settings.basic"],
                (false, false) => &["gmail.settings.sharing"],
            };
        }
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (parts.as_slice(), reads) {
            (["admin", "reports", ..], _) => &["admin.reports.audit.readonly"],
            (["admin", "datatransfer", ..], false) => &["admin.datatransfer"],
            (["admin", "datatransfer", ..], true) => {
                &["admin.datatransfer", "admin.datatransfer.readonly"]
            }
            (
                [
                    _,
                    _,
                    _,
                    "users",
                    _,
                    "tokens" | "asps" | "verificationCodes" | "twoStepVerification" | "signOut",
                    ..,
                ],
                _,
            ) => &["admin.directory.user.security"],
            ([_, _, _, "users", ..], true) => {
                &["admin.directory.user", "admin.directory.user.readonly"]
            }
            ([_, _, _, "users", ..], false) => &["admin.directory.user"],
            // A group itself is not its members.
            ([_, _, _, "groups", _], true) => {
                &["admin.directory.group", "admin.directory.group.readonly"]
            }
            ([_, _, _, "groups", _, ..], true) => &[
                "admin.directory.group",
                "admin.directory.group.readonly",
                "admin.directory.group.member",
                "admin.directory.group.member.readonly",
            ],
            ([_, _, _, "groups"], true) => {
                &["admin.directory.group", "admin.directory.group.readonly"]
            }
            ([_, _, _, "groups", ..], false) => {
                &["admin.directory.group", "admin.directory.group.member"]
            }
            ([_, _, _, "customer", _, "devices", what, ..], _) if what.starts_with("chromeos") => {
                chromeos::scopes(reads)
            }
            ([_, _, _, "customer", _, "devices", ..], true) => &[
                "admin.directory.device.mobile",
                "admin.directory.device.mobile.readonly",
                "admin.directory.device.mobile.action",
            ],
            ([_, _, _, "customer", _, "devices", ..], false) => {
                &["admin.directory.device.mobile", "admin.directory.device.mobile.action"]
            }
            (_, true) => {
                &["admin.directory.rolemanagement", "admin.directory.rolemanagement.readonly"]
            }
            (_, false) => &["admin.directory.rolemanagement"],
        }
    }

    /// For whom a request is, if it may be made.
    fn may(&mut self, request: &Request, now: DateTime<Utc>) -> Result<String, Box<Response>> {
        if let Some((left, reason)) = &mut self.quirks.throttle
            && *left > 0
        {
            *left -= 1;
            return Err(Box::new(error(403, reason, "Quota exceeded for quota metric 'Queries'.")));
        }
        if let Some(admin) = super::token::bearer(request).and_then(|it| self.static_tokens.get(it))
        {
            return Ok(admin.clone());
        }
        let Some(issued) = self.tokens.of(request, now) else {
            return Err(Box::new(error(401, "authError", "Invalid Credentials")));
        };
        let mut scopes = Self::scopes(request).iter();
        if !scopes.any(|it| issued.scopes.contains(&format!("{SCOPE}{it}"))) {
            let text = "Request had insufficient authentication scopes.";
            return Err(Box::new(error(403, "insufficientPermissions", text)));
        }
        let subject = issued.subject.clone().unwrap_or_default();
        if !request.uri().path().starts_with("/gmail/") && !self.admins.contains(&subject) {
            let text = "Not Authorized to access this resource/api";
            return Err(Box::new(error(403, "forbidden", text)));
        }
        Ok(subject)
    }

    fn route(&mut self, request: &Request, subject: &str, now: DateTime<Utc>) -> Response {
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let body = match body(request) {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        match parts.as_slice() {
            ["admin", "directory", "v1", "users", rest @ ..] => {
                self.route_users(request, rest, &body, now)
            }
            ["admin", "directory", "v1", "groups", rest @ ..] => {
                self.route_groups(request, rest, &body, now)
            }
            [
                "admin",
                "directory",
                "v1",
                "customer",
                "my_customer",
                "devices",
                "mobile",
                rest @ ..,
            ] => self.route_devices(request, rest, &body, now),
            ["admin", "directory", "v1", "customer", "my_customer", "devices", rest @ ..] => {
                self.route_chromeos(request, rest, &body)
            }
            ["admin", "directory", "v1", "customer", "my_customer", rest @ ..] => {
                self.route_roles(request, rest, &body, now)
            }
            ["apps", "licensing", "v1", "product", rest @ ..] => {
                self.route_licences(request, rest, &body, now)
            }
            ["admin", "reports", "v1", rest @ ..] => self.route_reports(request, rest, now),
            ["admin", "datatransfer", "v1", rest @ ..] => {
                self.route_transfers(request, rest, &body, now)
            }
            ["gmail", "v1", "users", user, "settings", rest @ ..] => {
                self.route_gmail(request, subject, user, rest, &body)
            }
            _ => nothing(),
        }
    }

    /// Whether a token of an instant is taken now.
    fn is_fresh(&self, at: &str) -> bool {
        let at = at.parse::<i64>().unwrap_or_default();
        self.now.timestamp_millis() <= at.saturating_add(self.quirks.page_token_ms)
    }

    /// One page of a list; without rows, it has no member for them.
    fn page(
        &self,
        request: &Request,
        (kind, member): (&str, &str),
        rows: Vec<(String, Value)>,
        (size, most): (usize, usize),
    ) -> Response {
        let query = query(request);
        let limit = match query.get("maxResults").map(|text| text.parse::<usize>()) {
            None => size,
            Some(Ok(n)) if n >= 1 && n <= most => n,
            Some(_) => return error(400, "invalid", "Invalid value for maxResults"),
        };
        let limit = self.quirks.page_rows.map_or(limit, |most| limit.min(most));
        let token = query.get("pageToken").map(String::as_str);
        let after = token.map(|it| it.strip_prefix("https://evil.example/").unwrap_or(it));
        let after = match after.map(|it| it.strip_prefix("p.")) {
            None => None,
            Some(Some(after)) => match after.rsplit_once('~') {
                None => Some(after),
                Some((after, at)) if self.is_fresh(at) => Some(after),
                Some(_) => return error(400, "invalid", "Invalid Input: page_token"),
            },
            Some(None) => return error(400, "invalid", "Invalid Input: page_token"),
        };
        let mut left =
            rows.into_iter().filter(|(id, _)| after.is_none_or(|it| id.as_str() > it)).peekable();
        let fresh = after.is_none();
        let take = if fresh && self.quirk == Some(Quirk::EmptyFirstPage) { 0 } else { limit };
        let now = self.now.timestamp_millis();
        let (mut last, mut page) = (String::new(), Vec::new());
        while page.len() < take
            && let Some((id, row)) = left.next()
        {
            page.push(row);
            last = id;
        }
        let mut body = Map::new();
        body.insert("kind".into(), kind.into());
        body.insert("etag".into(), "\"e\"".into());
        if !page.is_empty() {
            body.insert(member.into(), Value::Array(page));
        }
        if left.peek().is_some() {
            let next = match self.quirk {
                Some(Quirk::RepeatedCursor) if !fresh => token.unwrap_or_default().to_owned(),
                // A token is no link: whoever takes it for one would go there.
                Some(Quirk::ForeignNextLink) => format!("https://evil.example/p.{last}~{now}"),
                _ => format!("p.{last}~{now}"),
            };
            body.insert("nextPageToken".into(), next.into());
        }
        json(200, &Value::Object(body))
    }
}

impl FakeApi for Google {
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        self.settle(now);
        self.now = now;
        let token = request.uri().path() == "/token" && request.method() == Method::POST;
        let mut response = if token {
            self.token(request, now)
        } else {
            match self.may(request, now) {
                Ok(subject) => {
                    self.actor.clone_from(&subject);
                    self.route(request, &subject, now)
                }
                Err(refused) => *refused,
            }
        };
        response.headers_mut().insert("vary", HeaderValue::from_static("Origin"));
        response
    }

    fn mutates(&self, request: &Request) -> bool {
        *request.method() != Method::GET && request.uri().path() != "/token"
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        self.quirk = Some(quirk);
        true
    }
}

fn error(status: u16, reason: &str, message: &str) -> Response {
    json(
        status,
        &value!({ "error": { "code": status, "message": message,
                  "errors": [{ "domain": "global", "reason": reason, "message": message }] } }),
    )
}

fn nothing() -> Response {
    error(404, "notFound", "Not Found")
}

fn missing(key: &str) -> Response {
    error(404, "notFound", &format!("Resource Not Found: {key}"))
}

fn done() -> Response {
    respond(204, "", "")
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn body(request: &Request) -> Result<Value, Box<Response>> {
    if request.body().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(request.body())
        .map_err(|_| Box::new(error(400, "parseError", "Parse Error")))
}
