//! Groups, rules, applications, roles.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    App, Group, Okta, Request, Response, done, error, json, missing, nothing, origin, query, time,
};
use crate::fake::filter::Filter;

/// Administrator roles.
pub(super) const ROLES: [&str; 12] = [
    "ACCESS_CERTIFICATIONS_ADMIN",
    "ACCESS_REQUESTS_ADMIN",
    "API_ACCESS_MANAGEMENT_ADMIN",
    "APP_ADMIN",
    "GROUP_MEMBERSHIP_ADMIN",
    "HELP_DESK_ADMIN",
    "ORG_ADMIN",
    "READ_ONLY_ADMIN",
    "REPORT_ADMIN",
    "SUPER_ADMIN",
    "USER_ADMIN",
    "WORKFLOWS_ADMIN",
];

impl Okta {
    pub(super) fn shown_group(id: &str, group: &Group, now: DateTime<Utc>) -> Value {
        value!({ "id": id, "created": time(now), "lastUpdated": time(now), "lastMembershipUpdated": time(now),
                 "objectClass": ["okta:user_group"], "type": group.kind,
                 "profile": { "name": group.name, "description": "" } })
    }

    fn shown_app(id: &str, app: &App, now: DateTime<Utc>) -> Value {
        value!({ "id": id, "name": "bookmark", "label": app.label, "status": "ACTIVE",
                 "created": time(now), "lastUpdated": time(now), "signOnMode": "BOOKMARK", "features": [],
                 "settings": { "app": { "url": "https://app.test", "requestIntegration": false } } })
    }

    /// How a user has an application: `USER`, `GROUP`, or not at all.
    pub(super) fn has_app(&self, app: &str, user: &str) -> Option<&'static str> {
        let app = self.apps.get(app)?;
        if app.users.contains(user) {
            return Some("USER");
        }
        let by_group = app.groups.iter().filter_map(|id| self.groups.get(id));
        by_group.into_iter().any(|group| group.members.contains(user)).then_some("GROUP")
    }

    fn shown_assignment(user: &str, scope: &str, now: DateTime<Utc>) -> Value {
        value!({ "id": user, "scope": scope, "status": "ACTIVE", "created": time(now), "lastUpdated": time(now),
                 "credentials": { "userName": user }, "profile": {} })
    }

    pub(super) fn route_access(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        match rest {
            ["groups", "rules", rest @ ..] => self.route_rules(request, rest, now),
            ["groups", rest @ ..] => self.route_groups(request, rest, body, now),
            ["apps", rest @ ..] => self.route_apps(request, rest, body, now),
            ["iam", "assignees", "users"] if request.method() == Method::GET => {
                let admins = self.users.iter().filter(|(_, user)| !user.roles.is_empty());
                let admins: Vec<Value> = admins.map(|(id, _)| value!({ "id": id })).collect();
                json(200, &value!({ "value": admins, "_links": {} }))
            }
            ["iam", "roles", rest @ ..] if request.method() == Method::GET => {
                let shown = |(id, label): (&String, &String)| {
                    value!({ "id": id, "label": label, "description": label, "created": time(now),
                             "lastUpdated": time(now) })
                };
                match rest {
                    [] => {
                        let roles: Vec<Value> = self.custom_roles.iter().map(shown).collect();
                        json(200, &value!({ "roles": roles, "_links": {} }))
                    }
                    [id] => match self.custom_roles.get_key_value(*id) {
                        Some(role) => json(200, &shown(role)),
                        None => missing(id, "CustomRole"),
                    },
                    _ => nothing(),
                }
            }
            _ => nothing(),
        }
    }

    fn route_rules(&self, request: &Request, rest: &[&str], now: DateTime<Utc>) -> Response {
        let shown = |id: &str| {
            let rule = self.rules.get(id)?;
            let (name, wanted) = &rule.when;
            let plain = || format!("user.{name}==\"{wanted}\"");
            let condition = rule.written.clone().unwrap_or_else(plain);
            Some(value!({
                "id": id, "type": "group_rule", "status": "ACTIVE", "name": rule.name, "created": time(now),
                "lastUpdated": time(now),
                "conditions": {
                    "people": { "users": { "exclude": rule.exclude }, "groups": { "exclude": [] } },
                    "expression": { "type": "urn:okta:expression:1.0", "value": condition },
                },
                "actions": { "assignUserToGroups": { "groupIds": [rule.group] } },
            }))
        };
        match (request.method(), rest) {
            (&Method::GET, []) => {
                let rows =
                    self.rules.keys().filter_map(|id| Some((id.clone(), shown(id)?))).collect();
                self.page(request, rows, 200)
            }
            (&Method::GET, [id]) => match shown(id) {
                Some(rule) => json(200, &rule),
                None => missing(id, "GroupRule"),
            },
            _ => nothing(),
        }
    }

    fn route_groups(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        let query = query(request);
        match (method, rest) {
            (&Method::GET, []) => {
                let text = query.get("search").or_else(|| query.get("filter"));
                let filter = match text.map(|text| Filter::parse(text)) {
                    Some(None) => return error(400, "E0000031", "Invalid search criteria."),
                    Some(filter) => filter,
                    None => None,
                };
                let rows = self.groups.iter().filter_map(|(id, group)| {
                    let shown = Self::shown_group(id, group, now);
                    let named = query
                        .get("q")
                        .is_none_or(|q| group.name.to_lowercase().starts_with(&q.to_lowercase()));
                    let holds = filter.as_ref().is_none_or(|it| it.holds(&shown));
                    (named && holds).then(|| (id.clone(), shown))
                });
                let rows = rows.collect();
                return self.page(request, rows, 10_000);
            }
            (&Method::POST, []) => {
                let Some(name) = body["profile"]["name"].as_str().filter(|it| !it.is_empty())
                else {
                    return error(400, "E0000001", "Api validation failed: name");
                };
                if self.groups.values().any(|it| it.name == name) {
                    return super::caused(
                        400,
                        "E0000001",
                        "Api validation failed: name",
                        &[
                            "name: An object with this field already exists in the current organization",
                        ],
                    );
                }
                let (name, id) = (name.to_owned(), self.id("00g"));
                self.add_group(&id, &name, "OKTA_GROUP");
                return match self.groups.get(&id) {
                    Some(group) => json(200, &Self::shown_group(&id, group, now)),
                    None => nothing(),
                };
            }
            _ => {}
        }
        let Some((id, rest)) = rest.split_first() else { return nothing() };
        let Some(group) = self.groups.get_mut(*id) else { return missing(id, "UserGroup") };
        match (method, rest) {
            (&Method::GET, []) => json(200, &Self::shown_group(id, group, now)),
            (&Method::DELETE, []) => {
                self.groups.remove(*id);
                done()
            }
            (&Method::GET, ["users"]) => {
                let group = group.members.clone();
                let host = origin(request);
                let rows = group.iter().filter_map(|id| {
                    let user = self.users.get(id)?;
                    Some((id.clone(), self.shown(id, user, &host)))
                });
                let rows = rows.collect();
                self.page(request, rows, 1_000)
            }
            (&Method::GET, ["apps"]) => {
                let apps = self.apps.iter().filter(|(_, app)| app.groups.contains(*id));
                let rows =
                    apps.map(|(app, it)| (app.clone(), Self::shown_app(app, it, now))).collect();
                self.page(request, rows, 200)
            }
            (&Method::PUT | &Method::DELETE, ["users", user]) => {
                if group.kind != "OKTA_GROUP" {
                    let text = "You do not have permission to perform the requested action";
                    return error(403, "E0000006", text);
                }
                if !self.users.contains_key(*user) {
                    return missing(user, "User");
                }
                let (moved, what) = if *method == Method::PUT {
                    (group.members.insert((*user).to_owned()), "group.user_membership.add")
                } else {
                    (group.members.remove(*user), "group.user_membership.remove")
                };
                if moved {
                    self.happened(what, user, now);
                    self.apply_rules();
                }
                done()
            }
            _ => nothing(),
        }
    }

    fn route_apps(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        if let (&Method::GET, []) = (method, rest) {
            let query = query(request);
            // The one filter that matters here: whose applications.
            let of = match query.get("filter") {
                None => None,
                Some(text) => {
                    match text.strip_prefix("user.id eq \"").and_then(|it| it.strip_suffix('"')) {
                        Some(user) => Some(user.to_owned()),
                        None => return error(400, "E0000031", "Invalid search criteria."),
                    }
                }
            };
            let expand = of.as_ref().is_some_and(|user| {
                query.get("expand").is_some_and(|it| *it == format!("user/{user}"))
            });
            let rows = self.apps.iter().filter_map(|(id, app)| {
                let mut shown = Self::shown_app(id, app, now);
                if let Some(user) = &of {
                    let scope = self.has_app(id, user)?;
                    let expand = expand && !self.quirks.bare_apps;
                    if expand && let Some(shown) = shown.as_object_mut() {
                        let user = Self::shown_assignment(user, scope, now);
                        shown.insert("_embedded".into(), value!({ "user": user }));
                    }
                }
                Some((id.clone(), shown))
            });
            let rows = rows.collect();
            return self.page(request, rows, 200);
        }
        let Some((id, rest)) = rest.split_first() else { return nothing() };
        let Some(app) = self.apps.get(*id).cloned() else { return missing(id, "AppInstance") };
        match (method, rest) {
            (&Method::GET, []) => json(200, &Self::shown_app(id, &app, now)),
            (&Method::GET, ["users"]) => {
                let rows = self.users.keys().filter_map(|user| {
                    let scope = self.has_app(id, user)?;
                    Some((user.clone(), Self::shown_assignment(user, scope, now)))
                });
                let rows = rows.collect();
                self.page(request, rows, 500)
            }
            (&Method::POST, ["users"]) => {
                let user = body["id"].as_str().unwrap_or_default();
                match self.users.get(user).map(|it| it.status.as_str()) {
                    None => return missing(user, "User"),
                    Some("DEPROVISIONED") => {
                        return error(
                            403,
                            "E0000038",
                            "This operation is not allowed in the user's current status.",
                        );
                    }
                    Some(_) => {}
                }
                if let Some(app) = self.apps.get_mut(*id) {
                    app.users.insert(user.to_owned());
                }
                self.happened("application.user_membership.add", user, now);
                json(200, &Self::shown_assignment(user, "USER", now))
            }
            (&Method::GET, ["users", user]) => match self.has_app(id, user) {
                Some(scope) => json(200, &Self::shown_assignment(user, scope, now)),
                None => missing(user, "AppUser"),
            },
            (&Method::DELETE, ["users", user]) => match self.has_app(id, user) {
                None => missing(user, "AppUser"),
                Some(_) => {
                    if let Some(app) = self.apps.get_mut(*id) {
                        app.users.remove(*user);
                    }
                    self.happened("application.user_membership.remove", user, now);
                    done()
                }
            },
            (&Method::GET, ["groups"]) => {
                let rows = app
                    .groups
                    .iter()
                    .map(|group| (group.clone(), value!({ "id": group, "priority": 0 })));
                let rows = rows.collect();
                self.page(request, rows, 200)
            }
            (&Method::PUT, ["groups", group]) => {
                if !self.groups.contains_key(*group) {
                    return missing(group, "UserGroup");
                }
                if let Some(app) = self.apps.get_mut(*id) {
                    app.groups.insert((*group).to_owned());
                }
                json(200, &value!({ "id": group, "priority": 0 }))
            }
            (&Method::DELETE, ["groups", group]) => {
                if let Some(app) = self.apps.get_mut(*id) {
                    app.groups.remove(*group);
                }
                done()
            }
            _ => nothing(),
        }
    }
}
