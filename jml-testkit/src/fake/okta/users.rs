//! Users and their lifecycle.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Okta, Request, Response, Role, User, caused, done, error, json, missing, nothing, origin,
    query, time,
};
use crate::fake::filter::Filter;
use crate::fake::respond;

impl Okta {
    /// The id of a user who is named by id or login.
    fn find(&self, name: &str) -> Option<String> {
        if self.users.contains_key(name) {
            return Some(name.to_owned());
        }
        let login =
            |user: &User| user.profile.get("login").and_then(Value::as_str).map(str::to_lowercase);
        let wanted = name.to_lowercase();
        let hit = self.users.iter().find(|(_, user)| login(user).as_deref() == Some(&wanted));
        hit.map(|(id, _)| id.clone())
    }

    /// A user as the API shows it.
    pub(super) fn shown(&self, id: &str, user: &User, host: &str) -> Value {
        let transition = user.transition.as_ref().map(|(to, _)| to);
        value!({
            "id": id, "status": user.status, "created": time(user.created), "activated": null,
            "statusChanged": time(user.updated), "lastLogin": null, "lastUpdated": time(user.updated),
            "passwordChanged": null, "type": { "id": "oty1default0000000000" },
            "transitioningToStatus": transition, "profile": user.profile,
            "credentials": { "provider": { "type": "OKTA", "name": "OKTA" } },
            "_links": { "self": { "href": format!("{host}/api/v1/users/{id}") } },
        })
    }

    pub(super) fn route_users(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        let (name, rest) = match rest {
            ["users"] if *method == Method::GET => return self.list_users(request, now),
            ["users"] if *method == Method::POST => return self.create_user(request, body, now),
            ["users", name, rest @ ..] => (*name, rest),
            _ => return nothing(),
        };
        let Some(id) = self.find(name) else { return missing(name, "User") };
        self.settle(&id);
        let host = origin(request);
        if *method == Method::GET
            && rest.len() == 1
            && rest.first().copied() == self.quirks.missing_below
        {
            return missing(&id, "User");
        }
        let Some(user) = self.users.get_mut(&id) else { return missing(name, "User") };
        match (method, rest) {
            (&Method::GET, []) => {
                let user = user.clone();
                json(200, &self.shown(&id, &user, &host))
            }
            (&Method::POST, []) => self.update_user(request, &id, body, false, now),
            (&Method::PUT, []) => self.update_user(request, &id, body, true, now),
            (&Method::DELETE, []) => self.delete_user(&id, now),
            (&Method::POST, ["lifecycle", what]) => self.lifecycle(request, &id, what, now),
            (&Method::GET, ["groups"]) => {
                let held = self.groups.iter().filter(|(_, group)| group.members.contains(&id));
                let rows = held.map(|(id, group)| (id.clone(), Self::shown_group(id, group, now)));
                let rows = rows.collect();
                self.page(request, rows, 200)
            }
            (&Method::GET, ["appLinks"]) => {
                let apps = self.apps.iter().filter(|(app, _)| self.has_app(app, &id).is_some());
                let links =
                    apps.map(|(app, it)| value!({ "appInstanceId": app, "label": it.label }));
                json(200, &links.collect())
            }
            (&Method::DELETE, ["sessions"]) => {
                user.sessions = 0;
                if query(request).get("oauthTokens").is_some_and(|it| it == "true") {
                    user.clients.clear();
                }
                self.happened("user.session.clear", &id, now);
                done()
            }
            (&Method::GET, ["factors"]) => {
                let factors = user.factors.iter().map(|(id, kind)| {
                    value!({ "id": id, "factorType": kind, "provider": "OKTA", "vendorName": "OKTA",
                             "status": "ACTIVE", "created": time(now), "lastUpdated": time(now) })
                });
                json(200, &factors.collect())
            }
            (&Method::DELETE, ["factors", factor]) => {
                if user.status == "DEPROVISIONED" {
                    return error(
                        403,
                        "E0000006",
                        "You do not have permission to perform the requested action",
                    );
                }
                match user.factors.remove(*factor) {
                    // The push factor takes its one-time codes along.
                    Some(kind) if kind == "push" => {
                        user.factors
                            .retain(|_, it| it != "token:software:totp" && it != "signed_nonce");
                        done()
                    }
                    Some(_) => done(),
                    None => missing(factor, "UserFactor"),
                }
            }
            (&Method::GET, ["clients"]) => {
                // Those with tokens, and those with consents only.
                let clients: BTreeSet<&String> =
                    user.clients.keys().chain(user.grants.keys()).collect();
                let clients =
                    clients.iter().map(|id| value!({ "client_id": id, "client_name": id }));
                json(200, &clients.collect())
            }
            (&Method::GET, ["clients", client, "tokens"]) => {
                let count = user.clients.get(*client).copied().unwrap_or(0);
                let tokens = (0..count).map(|n| {
                    value!({ "id": format!("oar{client}{n}"), "status": "ACTIVE", "created": time(now),
                             "lastUpdated": time(now), "expiresAt": time(now + TimeDelta::days(7)),
                             "clientId": client, "userId": id, "scopes": ["offline_access"] })
                });
                json(200, &tokens.collect())
            }
            (&Method::DELETE, ["clients", client, "tokens"]) => {
                user.clients.remove(*client);
                done()
            }
            (&Method::GET, ["grants"]) => {
                let grants = (0..user.grants.values().sum())
                    .map(|n| value!({ "id": format!("oag{n:017}"), "status": "ACTIVE" }));
                json(200, &grants.collect())
            }
            (&Method::DELETE, ["grants"]) => {
                user.grants.clear();
                done()
            }
            (&Method::GET, ["roles"]) => {
                let roles = user.roles.iter().map(|(id, it)| Self::shown_role(id, it, now));
                json(200, &roles.collect())
            }
            (&Method::POST, ["roles"]) => {
                let Some(kind) = body["type"].as_str() else {
                    return error(400, "E0000001", "Api validation failed: type");
                };
                if !super::access::ROLES.contains(&kind) {
                    return error(400, "E0000001", "Api validation failed: type");
                }
                if user.roles.values().any(|it| it.kind == kind) {
                    let text = "The role specified is already assigned to the user.";
                    return error(409, "E0000090", text);
                }
                let (assignment, role) = (self.id("ra1"), Role::standard(kind));
                if let Some(user) = self.users.get_mut(&id) {
                    user.roles.insert(assignment.clone(), role.clone());
                    user.updated = now;
                }
                self.happened("user.account.privilege.grant", &id, now);
                json(201, &Self::shown_role(&assignment, &role, now))
            }
            (&Method::DELETE, ["roles", assignment]) => match user.roles.get(*assignment) {
                None => missing(assignment, "RoleAssignment"),
                Some(role) if role.by_group => error(
                    403,
                    "E0000006",
                    "You do not have permission to perform the requested action",
                ),
                Some(_) => {
                    user.roles.remove(*assignment);
                    self.happened("user.account.privilege.revoke", &id, now);
                    done()
                }
            },
            (&Method::GET, ["devices"]) => {
                let used = self.devices.iter().filter(|(_, device)| device.users.contains(&id));
                let rows = used.map(|(device, it)| {
                    value!({ "created": time(now), "deviceUserId": format!("dus{device}{id}"),
                             "device": Self::shown_device(device, it, now) })
                });
                json(200, &rows.collect())
            }
            _ => nothing(),
        }
    }

    fn shown_role(id: &str, role: &Role, now: DateTime<Utc>) -> Value {
        let given = if role.by_group { "GROUP" } else { "USER" };
        let mut shown = value!({ "id": id, "type": role.kind, "label": role.kind, "status": "ACTIVE",
                                 "assignmentType": given, "created": time(now), "lastUpdated": time(now) });
        if let Some(custom) = &role.custom {
            shown["role"] = custom.as_str().into();
            shown["resource-set"] = "iam0000000000000000a".into();
        }
        shown
    }

    /// A lifecycle change that goes on goes on a little with each look.
    fn settle(&mut self, id: &str) {
        let Some(user) = self.users.get_mut(id) else { return };
        let Some((to, looks)) = user.transition.take() else { return };
        if looks == 0 {
            user.status = to;
        } else {
            user.transition = Some((to, looks - 1));
        }
    }

    fn list_users(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let query = query(request);
        let condition = match query.get("search").or_else(|| query.get("filter")) {
            None => None,
            Some(text) => match Filter::parse(text) {
                Some(filter) => Some(filter),
                None => return error(400, "E0000031", "Invalid search criteria."),
            },
        };
        let lag = TimeDelta::milliseconds(self.quirks.search_lag_ms);
        let searched = query.contains_key("search");
        let host = origin(request);
        let hits = self.users.iter().filter_map(|(id, user)| {
            let shown = self.shown(id, user, &host);
            let holds = match (&condition, query.get("q")) {
                (Some(condition), _) => condition.holds(&shown),
                (None, Some(q)) => {
                    let q = q.to_lowercase();
                    ["firstName", "lastName", "email", "login"].iter().any(|name| {
                        let value = user.profile.get(*name).and_then(Value::as_str);
                        value.is_some_and(|it| it.to_lowercase().starts_with(&q))
                    }) && user.status != "DEPROVISIONED"
                }
                (None, None) => user.status != "DEPROVISIONED",
            };
            let indexed = !searched || user.updated + lag <= now;
            (holds && indexed).then(|| (id.clone(), shown))
        });
        let rows = hits.collect();
        self.page(request, rows, 200)
    }

    /// What is wrong with a profile, as Okta says it.
    fn refused(&self, profile: &BTreeMap<String, Value>, except: Option<&str>) -> Option<Response> {
        let mut causes = Vec::new();
        for name in ["login", "email", "firstName", "lastName"] {
            if profile.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                causes.push(format!("{name}: The field cannot be left blank"));
            }
        }
        let text = |name: &str| profile.get(name).and_then(Value::as_str).unwrap_or_default();
        let login = text("login").to_lowercase();
        if login.chars().count() > 100 {
            causes.push("login: String is too long".to_owned());
        }
        let taken = self.users.iter().any(|(id, user)| {
            let other = user.profile.get("login").and_then(Value::as_str);
            Some(id.as_str()) != except && other.is_some_and(|it| it.to_lowercase() == login)
        });
        if taken {
            causes.push(
                "login: An object with this field already exists in the current organization"
                    .into(),
            );
        }
        if causes.is_empty() {
            return None;
        }
        let first = causes.first().and_then(|it| it.split(':').next()).unwrap_or_default();
        let summary = format!("Api validation failed: {first}");
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        Some(caused(400, "E0000001", &summary, &causes))
    }

    fn create_user(&mut self, request: &Request, body: &Value, now: DateTime<Utc>) -> Response {
        let Some(profile) = body["profile"].as_object() else {
            return caused(
                400,
                "E0000001",
                "Api validation failed: profile",
                &["profile: The field cannot be left blank"],
            );
        };
        let profile: BTreeMap<String, Value> = profile
            .iter()
            .filter(|(_, it)| !it.is_null())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if let Some(refused) = self.refused(&profile, None) {
            return refused;
        }
        let groups: Vec<&str> =
            body["groupIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(unknown) = groups.iter().find(|id| !self.groups.contains_key(**id)) {
            return missing(unknown, "UserGroup");
        }
        let active = query(request).get("activate").is_none_or(|it| it == "true");
        let password = body["credentials"]["password"].is_object();
        let status = match (active, password) {
            (false, _) => "STAGED",
            // Without a password the person has to set one first.
            (true, false) => "PROVISIONED",
            (true, true) => "ACTIVE",
        };
        let id = self.add_user(profile, status, now);
        for group in groups {
            if let Some(group) = self.groups.get_mut(group) {
                group.members.insert(id.clone());
            }
        }
        let host = origin(request);
        match self.users.get(&id) {
            Some(user) => json(200, &self.shown(&id, user, &host)),
            None => nothing(),
        }
    }

    fn update_user(
        &mut self,
        request: &Request,
        id: &str,
        body: &Value,
        whole: bool,
        now: DateTime<Utc>,
    ) -> Response {
        let Some(user) = self.users.get(id) else { return missing(id, "User") };
        // Whoever sends no profile to PUT loses all of it.
        let mut profile = if whole { BTreeMap::new() } else { user.profile.clone() };
        for (name, value) in body["profile"].as_object().into_iter().flatten() {
            if value.is_null() {
                profile.remove(name);
            } else {
                profile.insert(name.clone(), value.clone());
            }
        }
        if user.status == "DEPROVISIONED" {
            return error(
                403,
                "E0000038",
                "This operation is not allowed in the user's current status.",
            );
        }
        if let Some(refused) = self.refused(&profile, Some(id)) {
            return refused;
        }
        let host = origin(request);
        let mut changed = false;
        if let Some(user) = self.users.get_mut(id)
            && user.profile != profile
        {
            user.profile = profile;
            user.updated = now;
            changed = true;
        }
        if changed {
            self.happened("user.account.update_profile", id, now);
            self.apply_rules();
        }
        match self.users.get(id) {
            Some(user) => json(200, &self.shown(id, user, &host)),
            None => missing(id, "User"),
        }
    }

    fn delete_user(&mut self, id: &str, now: DateTime<Utc>) -> Response {
        let user = self.users.get(id);
        // It is being deactivated, and nothing more comes of it.
        if user.is_some_and(|user| user.transition.is_some()) {
            return done();
        }
        if user.is_some_and(|user| user.status != "DEPROVISIONED") {
            self.deactivate(id, now);
            return done();
        }
        self.forget_user(id);
        self.happened("user.lifecycle.delete.completed", id, now);
        done()
    }

    /// Takes a user away for good, as the second deletion does.
    pub fn forget_user(&mut self, id: &str) {
        self.users.remove(id);
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        for app in self.apps.values_mut() {
            app.users.remove(id);
        }
        for device in self.devices.values_mut() {
            device.users.remove(id);
        }
    }

    /// Deprovisions every application; nothing of that comes back.
    fn deactivate(&mut self, id: &str, now: DateTime<Utc>) {
        for app in self.apps.values_mut() {
            app.users.remove(id);
        }
        let slow = self.quirks.slow_lifecycle;
        if let Some(user) = self.users.get_mut(id) {
            if slow {
                user.transition = Some(("DEPROVISIONED".into(), 2));
            } else {
                user.status = "DEPROVISIONED".into();
            }
            user.sessions = 0;
            user.clients.clear();
            user.updated = now;
        }
        self.happened("user.lifecycle.deactivate", id, now);
    }

    fn lifecycle(
        &mut self,
        request: &Request,
        id: &str,
        what: &str,
        now: DateTime<Utc>,
    ) -> Response {
        let Some(user) = self.users.get_mut(id) else { return missing(id, "User") };
        if user.transition.is_some() {
            let text = "This operation is not allowed while the user status is changing.";
            return error(409, "E0000112", text);
        }
        let wrong = || {
            error(403, "E0000038", "This operation is not allowed in the user's current status.")
        };
        let status = user.status.clone();
        let (to, event, answer) = match (what, status.as_str()) {
            ("activate", "STAGED" | "DEPROVISIONED") => {
                let token = value!({ "activationUrl": "https://example.okta.test/welcome/T", "activationToken": "T" });
                ("PROVISIONED", "user.lifecycle.activate", token)
            }
            ("activate", _) => {
                return error(
                    403,
                    "E0000016",
                    "Activation failed because the user is already active",
                );
            }
            ("reactivate", "PROVISIONED" | "RECOVERY") => {
                let token = value!({ "activationUrl": "https://example.okta.test/welcome/T", "activationToken": "T" });
                ("PROVISIONED", "user.lifecycle.reactivate", token)
            }
            ("suspend", "ACTIVE") => ("SUSPENDED", "user.lifecycle.suspend", Value::Null),
            ("suspend", _) => {
                return caused(
                    400,
                    "E0000001",
                    "Api validation failed: suspendUser",
                    &["Cannot suspend a user that is not active"],
                );
            }
            ("unsuspend", "SUSPENDED") => ("ACTIVE", "user.lifecycle.unsuspend", Value::Null),
            ("unsuspend", _) => {
                return caused(
                    400,
                    "E0000001",
                    "Api validation failed: unsuspendUser",
                    &["Cannot unsuspend a user that is not suspended"],
                );
            }
            ("unlock", "LOCKED_OUT") => ("ACTIVE", "user.account.unlock", Value::Null),
            ("unlock", _) => return error(403, "E0000032", "The user is not locked out."),
            ("deactivate", "DEPROVISIONED") => return wrong(),
            ("deactivate", _) => {
                self.deactivate(id, now);
                return respond(200, "", "");
            }
            ("reset_factors", "DEPROVISIONED") => return wrong(),
            ("reset_factors", _) => {
                user.factors.clear();
                self.happened("user.mfa.factor.reset_all", id, now);
                return respond(200, "", "");
            }
            ("reset_password", "DEPROVISIONED" | "STAGED") => return wrong(),
            ("reset_password", _) => {
                let revoke = query(request).get("revokeSessions").is_some_and(|it| it == "true");
                if revoke {
                    user.sessions = 0;
                }
                let link = value!({ "resetPasswordUrl": "https://example.okta.test/reset/T" });
                ("RECOVERY", "user.account.reset_password", link)
            }
            ("expire_password", "ACTIVE") => {
                ("PASSWORD_EXPIRED", "user.account.expire_password", Value::Null)
            }
            ("reactivate" | "expire_password", _) => return wrong(),
            _ => return nothing(),
        };
        if self.quirks.slow_lifecycle && what == "activate" {
            user.transition = Some((to.to_owned(), 2));
        } else {
            to.clone_into(&mut user.status);
        }
        user.updated = now;
        self.happened(event, id, now);
        self.apply_rules();
        if answer.is_null() { respond(200, "", "") } else { json(200, &answer) }
    }
}
