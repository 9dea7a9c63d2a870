//! Acme: a small made-up API, as a tutorial target and to prove the conformance suite over a wire.
//!
//! | request | body | answers |
//! |---|---|---|
//! | `GET /users?limit=&after=` | | 200 `{"users": [...], "next": "/users?..."}`; 400 `bad_cursor` |
//! | `GET /users/{id}`, `GET /owners/{external_id}` | | 200 the user; 404 |
//! | `POST /users` | `{"name", "external_id", "status", "profile"}` | 201 the user; 409 `name_taken` with the owner's `external_id`; 400 |
//! | `PATCH /users/{id}` | `{"name"?, "status"?, "profile"?: {"x": null clears}}` | 200 the user; 404; 409 `name_taken`; 412 with `If-Match` |
//! | `DELETE /users/{id}` | | 204; 404 |
//! | `GET /groups?limit=&after=` | | 200 `{"groups": [{"id", "title"}], "next"}` |
//! | `PUT /groups/{group}/members/{user}` | | 204 also when it was a member; 404 `no_user`, `no_group`; 403 `no_seat`, `managed`, `last_owner` |
//! | `DELETE /groups/{group}/members/{user}` | | 204; 404 `not_member`, `no_user`, `no_group`; 403 `last_owner`, `managed` |
//! | `DELETE /users/{id}/sessions` | | 204; 404 |
//! | `GET /me` | | 200 `{"scopes": [...]}` |
//!
//! `Authorization: Bearer ...`; anything else is 401. A throttled request is 403 `slow_down` with a
//! fractional `Retry-After`, as one large vendor does it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::Method;
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::attribute::AttributeValue;
use jml_core::id::AccountId;
use serde_json::{Value, json as value};

use super::{Fake, FakeApi, Quirk, Request, Response, json, query};
use crate::conformance::Backdoor;

/// The state of the made-up company.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Acme {
    /// Tokens that are accepted.
    pub tokens: BTreeSet<String>,
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    quirk: Option<Quirk>,
    next: u32,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct User {
    /// Sign-in name.
    pub name: String,
    /// Whose it is.
    pub external_id: Option<String>,
    /// `staged`, `active`, `suspended`, `disabled`.
    pub status: String,
    /// Attributes.
    pub profile: BTreeMap<String, Value>,
    /// Live sessions.
    pub sessions: u32,
    /// Grows with each change.
    pub version: u32,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Group {
    /// Users in it.
    pub members: BTreeSet<String>,
    /// Seats, if they are counted.
    pub seats: Option<usize>,
    /// Whether somebody must stay in it.
    pub keep_one: bool,
    /// Whether the target itself decides who is in it.
    pub managed: bool,
}

impl Acme {
    /// A company with one accepted token and these groups.
    #[must_use]
    pub fn new(token: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|id| ((*id).to_owned(), Group::default())).collect();
        Self { tokens: [token.to_owned()].into(), groups, ..Self::default() }
    }

    fn user(&self, id: &str) -> Value {
        let Some(user) = self.users.get(id) else { return Value::Null };
        let groups: Vec<&String> = self
            .groups
            .iter()
            .filter(|(_, group)| group.members.contains(id))
            .map(|(id, _)| id)
            .collect();
        value!({
            "id": id, "name": user.name, "external_id": user.external_id, "status": user.status,
            "profile": user.profile, "sessions": user.sessions, "groups": groups,
            "version": user.version.to_string(),
        })
    }

    fn listing(&self, request: &Request, what: &str) -> Response {
        let query = query(request);
        let limit: usize = match query.get("limit").map(|text| text.parse()) {
            None => 10,
            Some(Ok(n @ 1..=50)) => n,
            Some(_) => return error(400, "bad_limit", "limit is between 1 and 50"),
        };
        let after = match query.get("after").map(String::as_str) {
            None => String::new(),
            Some(text) => match text.strip_prefix("c.") {
                Some(id) => id.to_owned(),
                None => return error(400, "bad_cursor", "the cursor is unknown"),
            },
        };
        let ids: Vec<&String> = if what == "users" {
            self.users.keys().collect()
        } else {
            self.groups.keys().collect()
        };
        let fresh = !query.contains_key("after");
        let empty = fresh && self.quirk == Some(Quirk::EmptyFirstPage);
        let mut left = ids.into_iter().filter(|id| fresh || **id > after).peekable();
        let mut rows = Vec::new();
        let mut last = None;
        while !empty && rows.len() < limit {
            let Some(id) = left.next() else { break };
            rows.push(match what {
                "users" => self.user(id),
                _ => value!({ "id": id, "title": format!("Group {id}") }),
            });
            last = Some(id.clone());
        }
        let mut page = value!({ what: rows });
        if left.peek().is_some() {
            let cursor = match self.quirk {
                Some(Quirk::RepeatedCursor) if !fresh => after,
                _ => last.unwrap_or_default(),
            };
            let cursor: String = cursor.bytes().map(|b| format!("%{b:02X}")).collect();
            let host = match self.quirk {
                Some(Quirk::ForeignNextLink) => "https://evil.example",
                _ => "",
            };
            if let Some(page) = page.as_object_mut() {
                let next = format!("{host}/{what}?limit={limit}&after=c.{cursor}");
                page.insert("next".to_owned(), next.into());
            }
        }
        json(200, &page)
    }

    fn name_taken(&self, name: &str, except: Option<&str>) -> Option<Response> {
        let (_, user) = self.users.iter().find(|(id, user)| {
            user.name.eq_ignore_ascii_case(name) && Some(id.as_str()) != except
        })?;
        let code = value!({ "code": "name_taken", "message": "the name is taken",
                            "external_id": user.external_id });
        Some(json(409, &value!({ "error": code })))
    }

    fn create(&mut self, body: &Value) -> Response {
        let Some(name) = body["name"].as_str().filter(|name| !name.is_empty()) else {
            return error(400, "name_missing", "a user has a name");
        };
        if let Some(taken) = self.name_taken(name, None) {
            return taken;
        }
        self.next += 1;
        let id = format!("u{:05}", self.next);
        let profile = body["profile"].as_object().cloned().unwrap_or_default();
        let user = User {
            name: name.to_owned(),
            external_id: body["external_id"].as_str().map(str::to_owned),
            status: body["status"].as_str().unwrap_or("active").to_owned(),
            profile: profile.into_iter().collect(),
            sessions: 0,
            version: 1,
        };
        self.users.insert(id.clone(), user);
        json(201, &self.user(&id))
    }

    fn patch(&mut self, request: &Request, id: &str, body: &Value) -> Response {
        if let Some(taken) = body["name"].as_str().and_then(|name| self.name_taken(name, Some(id)))
        {
            return taken;
        }
        let known = ["staged", "active", "suspended", "disabled"];
        if body["status"].as_str().is_some_and(|status| !known.contains(&status)) {
            return error(400, "bad_status", "there is no such status");
        }
        let Some(user) = self.users.get_mut(id) else {
            return error(404, "no_user", "there is no such user");
        };
        let expected = request.headers().get("if-match").and_then(|value| value.to_str().ok());
        if expected.is_some_and(|expected| expected != user.version.to_string()) {
            return error(412, "changed", "the user has another version");
        }
        let before = user.clone();
        if let Some(name) = body["name"].as_str() {
            name.clone_into(&mut user.name);
        }
        if let Some(status) = body["status"].as_str() {
            status.clone_into(&mut user.status);
        }
        for (name, value) in body["profile"].as_object().into_iter().flatten() {
            if value.is_null() {
                user.profile.remove(name);
            } else {
                user.profile.insert(name.clone(), value.clone());
            }
        }
        if *user != before {
            user.version += 1;
        }
        json(200, &self.user(id))
    }

    fn member(&mut self, group: &str, user: &str, add: bool) -> Response {
        if !self.users.contains_key(user) {
            return error(404, "no_user", "there is no such user");
        }
        let Some(entry) = self.groups.get_mut(group) else {
            return error(404, "no_group", "there is no such group");
        };
        if entry.managed {
            return error(403, "managed", "members are computed");
        }
        let holds = entry.members.contains(user);
        if add {
            let taken = entry.members.len();
            if !holds && entry.seats.is_some_and(|seats| taken >= seats) {
                return error(403, "no_seat", "no seat is left");
            }
            entry.members.insert(user.to_owned());
        } else if !holds {
            return error(404, "not_member", "the user is not in the group");
        } else if entry.keep_one && entry.members.len() == 1 {
            return error(403, "last_owner", "somebody must stay");
        } else {
            entry.members.remove(user);
        }
        if let Some(user) = self.users.get_mut(user).filter(|_| holds != add) {
            user.version += 1;
        }
        super::respond(204, "", "")
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    json(status, &value!({ "error": { "code": code, "message": message } }))
}

impl FakeApi for Acme {
    fn handle(&mut self, request: &Request, _: DateTime<Utc>) -> Response {
        let bearer = request.headers().get("authorization").and_then(|it| it.to_str().ok());
        let token = bearer.and_then(|it| it.strip_prefix("Bearer "));
        let mut response = if token.is_some_and(|token| self.tokens.contains(token)) {
            self.route(request)
        } else {
            error(401, "unauthenticated", "who are you?")
        };
        let id = http::HeaderValue::from_static("req-acme");
        response.headers_mut().insert("x-request-id", id);
        response
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        self.quirk = Some(quirk);
        true
    }
}

impl Acme {
    fn route(&mut self, request: &Request) -> Response {
        let is_json =
            request.headers().get("content-type").is_some_and(|it| it == "application/json");
        let body: Value = if request.body().is_empty() {
            Value::Null
        } else if is_json {
            match serde_json::from_slice(request.body()) {
                Ok(body) => body,
                Err(_) => return error(400, "bad_json", "the body is not JSON"),
            }
        } else {
            return error(415, "bad_type", "the body is not JSON");
        };
        let parts: Vec<String> = super::segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["users"]) => self.listing(request, "users"),
            (&Method::GET, ["owners", owner]) => {
                let owned = |user: &User| user.external_id.as_deref() == Some(*owner);
                match self.users.iter().find(|(_, user)| owned(user)) {
                    Some((id, _)) => json(200, &self.user(id)),
                    None => error(404, "no_user", "nobody's user"),
                }
            }
            (&Method::GET, ["groups"]) => self.listing(request, "groups"),
            (&Method::GET, ["users", id]) => match self.user(id) {
                Value::Null => error(404, "no_user", "there is no such user"),
                user => json(200, &user),
            },
            (&Method::POST, ["users"]) => self.create(&body),
            (&Method::PATCH, ["users", id]) => self.patch(request, id, &body),
            (&Method::DELETE, ["users", id]) => {
                if self.users.remove(*id).is_none() {
                    return error(404, "no_user", "there is no such user");
                }
                for group in self.groups.values_mut() {
                    group.members.remove(*id);
                }
                super::respond(204, "", "")
            }
            (&Method::DELETE, ["users", id, "sessions"]) => match self.users.get_mut(*id) {
                None => error(404, "no_user", "there is no such user"),
                Some(user) => {
                    user.sessions = 0;
                    super::respond(204, "", "")
                }
            },
            (&Method::PUT, ["groups", group, "members", user]) => self.member(group, user, true),
            (&Method::DELETE, ["groups", group, "members", user]) => {
                self.member(group, user, false)
            }
            (&Method::GET, ["me"]) => json(200, &value!({ "scopes": ["users", "groups"] })),
            _ => error(404, "no_such_thing", "there is nothing here"),
        }
    }
}

const SESSIONS: CredentialClass = CredentialClass::Sessions;

#[async_trait]
impl Backdoor for Fake<Acme> {
    async fn put(&self, account: AccountState) -> AccountId {
        let id = account.id.to_string();
        self.with(|acme| {
            let held = |group: &str| account.holdings.iter().any(|key| key.id.as_str() == group);
            for (name, group) in &mut acme.groups {
                if held(name) {
                    group.members.insert(id.clone());
                } else {
                    group.members.remove(&id);
                }
            }
            let texts = account.attributes.iter();
            let profile = texts.map(|(name, value)| (name.to_string(), value.to_string().into()));
            let user = User {
                name: account.user_name.to_string(),
                external_id: account.external_id.as_ref().map(ToString::to_string),
                status: account.status.as_str().to_owned(),
                profile: profile.collect(),
                sessions: account.credentials.get(&SESSIONS).copied().unwrap_or(0),
                version: acme.users.get(&id).map_or(1, |user| user.version + 1),
            };
            acme.users.insert(id, user);
        });
        account.id
    }

    async fn remove(&self, account: &AccountId) {
        self.with(|acme| {
            acme.users.remove(account.as_str());
            for group in acme.groups.values_mut() {
                group.members.remove(account.as_str());
            }
        });
    }

    async fn truth(&self) -> Vec<AccountState> {
        self.with(|acme| acme.users.iter().filter_map(|it| acme.state(it.0, it.1)).collect())
    }
}

impl Acme {
    /// A user as an account of a provider whose groups are of the kind `group`.
    fn state(&self, id: &str, user: &User) -> Option<AccountState> {
        let status = match user.status.as_str() {
            "staged" => AccountStatus::Staged,
            "active" => AccountStatus::Active,
            "suspended" => AccountStatus::Suspended,
            _ => AccountStatus::Disabled,
        };
        let mut state = AccountState::new(id.parse().ok()?, &user.name, status);
        state.external_id = user.external_id.as_deref().and_then(|owner| owner.parse().ok());
        state.credentials.insert(SESSIONS, user.sessions);
        for (name, value) in &user.profile {
            let value = AttributeValue::text(value.as_str().unwrap_or_default());
            state.attributes.insert(name.parse().ok()?, value);
        }
        for (name, _) in self.groups.iter().filter(|(_, group)| group.members.contains(id)) {
            state.holdings.insert(format!("group/{name}").parse().ok()?);
        }
        Some(state)
    }
}
