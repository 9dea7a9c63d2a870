//! Users and what belongs to them: states, SSH keys, one-time codes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    JumpCloud, Request, Response, User, error, invalid, is_object_id, json, nothing, query, respond,
};

/// What is no part of the profile.
const FLAGS: [&str; 3] = ["state", "suspended", "account_locked"];

impl User {
    pub(super) fn text(&self, name: &str) -> &str {
        self.profile.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A user as the API shows it.
    pub(super) fn shown(&self, id: &str) -> Value {
        let status = |it: bool| if it { "ENROLLED" } else { "NOT_ENROLLED" };
        let keys: Vec<Value> = self.keys().collect();
        let own = value!({
            "_id": id, "state": self.state, "suspended": self.state == "SUSPENDED",
            "activated": self.state == "ACTIVATED", "account_locked": self.account_locked,
            "totp_enabled": self.totp, "ssh_keys": keys,
            "mfa": { "configured": self.totp, "exclusion": false },
            "mfaEnrollment": {
                "totpStatus": status(self.totp), "pushStatus": status(!self.push.is_empty()),
                "webAuthnStatus": status(self.webauthn), "jcGoStatus": "NOT_ENROLLED",
                "overallStatus": status(self.totp || self.webauthn || !self.push.is_empty()),
            },
        });
        let mut shown = serde_json::Map::from_iter(self.profile.clone());
        shown.extend(own.as_object().cloned().unwrap_or_default());
        Value::Object(shown)
    }

    fn keys(&self) -> impl Iterator<Item = Value> + '_ {
        self.ssh_keys
            .iter()
            .map(|(id, name)| value!({ "_id": id, "name": name, "public_key": "ssh-ed25519 AAAA" }))
    }
}

impl JumpCloud {
    pub(super) fn route_users(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        let (id, rest) = match rest {
            [] if *method == Method::GET => return self.list_users(request),
            [] if *method == Method::POST => return self.create_user(body, now),
            [id, rest @ ..] => (*id, rest),
            [] => return nothing(),
        };
        if !is_object_id(id) {
            return json(400, &value!({ "error": "Bad Request: the id is none" }));
        }
        let Some(user) = self.users.get_mut(id) else { return nothing() };
        match (method, rest) {
            (&Method::GET, []) => json(200, &user.shown(id)),
            (&Method::PUT, []) => self.update_user(id, body, now),
            (&Method::DELETE, []) => self.delete_user(request, id, now),
            (&Method::POST, ["state", "activate"]) => {
                if user.state != "STAGED" {
                    return invalid("only a staged user is activated");
                }
                "ACTIVATED".clone_into(&mut user.state);
                self.happened("user_activated", "user", id, now);
                respond(200, "", "")
            }
            (&Method::POST, ["unlock"]) => {
                user.account_locked = false;
                self.happened("user_unlocked", "user", id, now);
                respond(200, "", "")
            }
            (&Method::POST, ["expire"]) => respond(200, "", ""),
            (&Method::POST, ["resetmfa"]) => {
                user.totp = false;
                if self.quirks.unified_mfa {
                    user.push.clear();
                }
                self.happened("user_reset_mfa", "user", id, now);
                respond(200, "", "")
            }
            (&Method::GET, ["sshkeys"]) => json(200, &user.keys().collect()),
            (&Method::POST, ["sshkeys"]) => {
                let Some(name) = body["name"].as_str().filter(|_| body["public_key"].is_string())
                else {
                    return invalid("name and public_key are required");
                };
                let name = name.to_owned();
                let key = self.id(0x65);
                let shown = value!({ "_id": key, "name": name, "public_key": body["public_key"] });
                if let Some(user) = self.users.get_mut(id) {
                    user.ssh_keys.insert(key, name);
                }
                self.happened("user_update", "user", id, now);
                json(200, &shown)
            }
            (&Method::DELETE, ["sshkeys", key]) => match user.ssh_keys.remove(*key) {
                None => nothing(),
                Some(_) => {
                    self.happened("user_update", "user", id, now);
                    respond(200, "", "")
                }
            },
            _ => nothing(),
        }
    }

    fn list_users(&mut self, request: &Request) -> Response {
        let query = query(request);
        let filter = match query.get("filter") {
            None => None,
            Some(text) => {
                let mut parts = text.splitn(3, ':');
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(name), Some(op @ ("$eq" | "$ne")), Some(value)) => {
                        Some((name.to_owned(), op == "$eq", value.to_owned()))
                    }
                    _ => return json(400, &value!({ "error": "Bad Request: filter" })),
                }
            }
        };
        let rows = self.users.iter().filter_map(|(id, user)| {
            let shown = user.shown(id);
            let holds = filter.as_ref().is_none_or(|(name, equal, value)| {
                let found = match shown.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    None | Some(Value::Null) => String::new(),
                    Some(other) => other.to_string(),
                };
                (found == *value) == *equal
            });
            holds.then(|| (id.clone(), shown))
        });
        let rows = rows.collect();
        self.page(request, rows)
    }

    /// What nobody else may have.
    fn taken(&self, profile: &BTreeMap<String, Value>, except: Option<&str>) -> Option<Response> {
        for name in ["username", "email", "employeeIdentifier"] {
            let wanted = profile.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
            let Some(wanted) = wanted.map(str::to_lowercase) else { continue };
            let taken = self.users.iter().any(|(id, user)| {
                except != Some(id.as_str()) && user.text(name).to_lowercase() == wanted
            });
            if taken {
                let code = self.quirks.duplicate;
                let status = if code == 409 { "ALREADY_EXISTS" } else { "INVALID_ARGUMENT" };
                return Some(error(code, status, &format!("{name} is already in use")));
            }
        }
        None
    }

    fn create_user(&mut self, body: &Value, now: DateTime<Utc>) -> Response {
        for name in ["username", "email"] {
            if body[name].as_str().is_none_or(str::is_empty) {
                return invalid(&format!("{name} is required"));
            }
        }
        let state = match &body["state"] {
            Value::Null => self.quirks.default_state.clone(),
            Value::String(state) => state.clone(),
            _ => return invalid("state"),
        };
        if !["STAGED", "ACTIVATED", "SUSPENDED"].contains(&state.as_str()) {
            return invalid("state");
        }
        if disagree(body, &state) {
            return invalid("state and suspended disagree");
        }
        let profile = written(body);
        if let Some(refused) = self.taken(&profile, None) {
            return refused;
        }
        let id = self.add_user(profile, &state, now);
        match self.users.get(&id) {
            Some(user) => json(200, &user.shown(&id)),
            None => nothing(),
        }
    }

    /// What is not sent stays.
    fn update_user(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Response {
        let Some(user) = self.users.get(id) else { return nothing() };
        let mut user = user.clone();
        match &body["state"] {
            Value::Null => {}
            Value::String(to) if to == "SUSPENDED" => user.state.clone_from(to),
            Value::String(to) if to == "ACTIVATED" && user.state != "STAGED" => {
                user.state.clone_from(to);
            }
            _ => return invalid("state"),
        }
        if !body["state"].is_null() && disagree(body, &user.state) {
            return invalid("state and suspended disagree");
        }
        match (&body["suspended"], user.state.as_str()) {
            (Value::Bool(true), _) => "SUSPENDED".clone_into(&mut user.state),
            (Value::Bool(false), "SUSPENDED") => "ACTIVATED".clone_into(&mut user.state),
            _ => {}
        }
        if let Some(locked) = body["account_locked"].as_bool() {
            user.account_locked = locked;
        }
        user.profile.extend(written(body));
        if ["username", "email"].iter().any(|it| user.text(it).is_empty()) {
            return invalid("username and email cannot be cleared");
        }
        if let Some(refused) = self.taken(&user.profile, Some(id)) {
            return refused;
        }
        let shown = user.shown(id);
        let before = self.users.insert(id.to_owned(), user);
        if before.is_some_and(|it| it.shown(id) != shown) {
            self.happened("user_update", "user", id, now);
        }
        self.apply_rules();
        json(200, &shown)
    }

    fn delete_user(&mut self, request: &Request, id: &str, now: DateTime<Utc>) -> Response {
        let reports = self.users.iter().filter(|(_, user)| user.text("manager") == id);
        let reports: Vec<String> = reports.map(|(id, _)| id.clone()).collect();
        if !reports.is_empty() {
            let query = query(request);
            let to = match query.get("cascade_manager").map(String::as_str) {
                None => return invalid("the user is a manager: cascade_manager is required"),
                Some("null") => None,
                Some(other) if self.users.contains_key(other) => Some(other.to_owned()),
                Some(_) => return invalid("cascade_manager is nobody"),
            };
            for (_, user) in self.users.iter_mut().filter(|(it, _)| reports.contains(it)) {
                user.profile.remove("manager");
                if let Some(to) = &to {
                    user.profile.insert("manager".into(), value!(to));
                }
            }
        }
        let shown = self.users.get(id).map(|it| it.shown(id));
        self.forget_user(id);
        self.happened("user_delete", "user", id, now);
        shown.map_or_else(nothing, |it| json(200, &it))
    }

    /// Takes a user away, with every edge to them.
    pub fn forget_user(&mut self, id: &str) {
        self.users.remove(id);
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        for app in self.apps.values_mut() {
            app.users.remove(id);
        }
        for system in self.systems.values_mut() {
            system.users.remove(id);
        }
        for group in self.system_groups.values_mut() {
            group.users.remove(id);
        }
        for directory in self.directories.values_mut() {
            directory.users.remove(id);
        }
    }
}

/// The members of a profile in a body.
fn written(body: &Value) -> BTreeMap<String, Value> {
    let all = body.as_object().into_iter().flatten();
    let all = all.filter(|(name, value)| {
        !FLAGS.contains(&name.as_str()) && *name != "password" && !value.is_null()
    });
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn disagree(body: &Value, state: &str) -> bool {
    body["suspended"].as_bool().is_some_and(|it| it != (state == "SUSPENDED"))
}
