//! v2: user groups, device groups, directories, edges between users and what they are bound to, push endpoints.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Event, Group, JumpCloud, Request, Response, done, error, invalid, is_object_id, json, nothing,
    query,
};

impl Group {
    fn shown(&self, id: &str) -> Value {
        value!({ "id": id, "name": self.name, "description": self.description, "type": "user_group",
                 "membershipMethod": self.method, "attributes": {}, "memberQueryExemptions": [] })
    }
}

fn edge(kind: &str, id: &str) -> Value {
    value!({ "to": { "type": kind, "id": id }, "attributes": {} })
}

/// The collections of what a user can be bound to, and the type in the graph of what is in each.
const COLLECTIONS: [(&str, &str); 7] = [
    ("applications", "application"),
    ("systems", "system"),
    ("systemgroups", "system_group"),
    ("activedirectories", "active_directory"),
    ("gsuites", "g_suite"),
    ("ldapservers", "ldap_server"),
    ("office365s", "office_365"),
];

/// The types of directories.
const DIRECTORIES: [&str; 4] = ["active_directory", "g_suite", "ldap_server", "office_365"];

fn type_of(collection: &str) -> Option<&'static str> {
    COLLECTIONS.iter().find(|it| it.0 == collection).map(|it| it.1)
}

/// Something that is bound, with the ways on which it is.
fn bound(kind: &str, id: &str, paths: &[Value]) -> Value {
    value!({ "type": kind, "id": id, "compiledAttributes": {}, "paths": paths })
}

impl JumpCloud {
    pub(super) fn route_graph(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        match rest {
            ["usergroups"] => return self.route_groups(request, body),
            [_, id, ..] if !is_object_id(id) => return invalid("the id is none"),
            _ => {}
        }
        match (method, rest) {
            (_, ["usergroups", id, rest @ ..]) => self.route_group(request, id, rest, body, now),
            (_, ["users", id, rest @ ..]) => self.route_user(request, id, rest, body, now),
            (&Method::GET, ["systemgroups"]) => {
                let rows = self.system_groups.iter().map(|(id, it)| {
                    value!({ "id": id, "name": it.name, "type": "system_group",
                             "membershipMethod": "STATIC", "attributes": {} })
                });
                let rows = rows.collect();
                self.array(request, rows)
            }
            (&Method::GET, ["directories"]) => {
                let rows = self
                    .directories
                    .iter()
                    .map(|(id, it)| value!({ "id": id, "name": it.name, "type": it.kind }));
                let rows = rows.collect();
                self.array(request, rows)
            }
            (&Method::GET, [collection, id, "associations"]) => {
                let found = type_of(collection).and_then(|kind| self.edges(kind, id));
                let Some((users, groups)) = found else { return nothing() };
                let rows = match query(request).get("targets").map(String::as_str) {
                    Some("user") => {
                        let system = self.systems.get(*id);
                        let attributes = |user: &String| {
                            let held = system.and_then(|it| it.users.get(user));
                            held.cloned().unwrap_or_else(|| value!({}))
                        };
                        let rows = users.iter().map(|it| {
                            value!({ "to": { "type": "user", "id": it }, "attributes": attributes(it) })
                        });
                        rows.collect()
                    }
                    Some("user_group") => groups.iter().map(|it| edge("user_group", it)).collect(),
                    _ => return invalid("targets is required"),
                };
                self.array(request, rows)
            }
            (&Method::GET, [collection, id, "users"]) => {
                let Some(kind) = type_of(collection) else { return nothing() };
                let rows = self.users.keys().filter_map(|user| {
                    let paths = self.paths(kind, id, user);
                    (!paths.is_empty()).then(|| bound("user", user, &paths))
                });
                let rows = rows.collect();
                self.array(request, rows)
            }
            _ => nothing(),
        }
    }

    /// The users and the groups that are bound to something of a type directly.
    fn edges(&self, kind: &str, id: &str) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
        let (users, groups) = match kind {
            "system" => {
                let system = self.systems.get(id)?;
                return Some((system.users.keys().cloned().collect(), system.groups.clone()));
            }
            "application" => self.apps.get(id).map(|it| (&it.users, &it.groups))?,
            "system_group" => self.system_groups.get(id).map(|it| (&it.users, &it.groups))?,
            _ => {
                let found = self.directories.get(id).filter(|it| it.kind == kind);
                found.map(|it| (&it.users, &it.groups))?
            }
        };
        Some((users.clone(), groups.clone()))
    }

    /// Everything of a type, by its id.
    fn ids(&self, kind: &str) -> Vec<String> {
        match kind {
            "system" => self.systems.keys().cloned().collect(),
            "application" => self.apps.keys().cloned().collect(),
            "system_group" => self.system_groups.keys().cloned().collect(),
            _ => {
                let found = self.directories.iter().filter(|(_, it)| it.kind == kind);
                found.map(|(id, _)| id.clone()).collect()
            }
        }
    }

    /// Everything of some types that a user is bound to on any way, with the ways.
    fn reached(&self, kinds: &[&str], user: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        for kind in kinds {
            for id in self.ids(kind) {
                let paths = self.paths(kind, &id, user);
                if !paths.is_empty() {
                    rows.push(bound(kind, &id, &paths));
                }
            }
        }
        rows
    }

    /// Every way from a user to something.
    fn paths(&self, kind: &str, id: &str, user: &str) -> Vec<Value> {
        let Some((users, groups)) = self.edges(kind, id) else { return Vec::new() };
        let mut paths = Vec::new();
        if users.contains(user) {
            paths.push(value!([edge(kind, id)]));
        }
        for group in groups {
            if self.groups.get(&group).is_some_and(|it| it.members.contains(user)) {
                let mut last = edge(kind, id);
                if let Some(last) = last.as_object_mut() {
                    last.insert("from".into(), value!({ "type": "user_group", "id": group }));
                }
                paths.push(value!([edge("user_group", &group), last]));
            }
        }
        paths
    }

    fn route_groups(&mut self, request: &Request, body: &Value) -> Response {
        if *request.method() == Method::POST {
            let Some(name) = body["name"].as_str().filter(|it| !it.is_empty()) else {
                return invalid("name is required");
            };
            if self.groups.values().any(|it| it.name == name) {
                return error(409, "ALREADY_EXISTS", "Already Exists");
            }
            let method = body["membershipMethod"].as_str().unwrap_or("STATIC");
            let id = self.add_group(name, method);
            return self.groups.get(&id).map_or_else(nothing, |it| json(201, &it.shown(&id)));
        }
        let query = query(request);
        let filter = match query.get("filter").map(|it| it.splitn(3, ':').collect::<Vec<_>>()) {
            None => None,
            Some(parts) => match parts.as_slice() {
                [name, "eq", value] => Some(((*name).to_owned(), (*value).to_owned())),
                _ => return invalid("filter"),
            },
        };
        let rows = self.groups.iter().map(|(id, it)| it.shown(id)).filter(|row| {
            let all = filter.as_ref().filter(|_| !self.quirks.ignores_filters);
            all.is_none_or(|(name, value)| row[name.as_str()] == value.as_str())
        });
        let rows = rows.collect();
        self.array(request, rows)
    }

    fn route_group(
        &mut self,
        request: &Request,
        id: &str,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let Some(group) = self.groups.get_mut(id) else { return nothing() };
        match (request.method(), rest) {
            (&Method::GET, []) => json(200, &group.shown(id)),
            // What is not sent is cleared.
            (&Method::PUT, []) => {
                let Some(name) = body["name"].as_str() else { return invalid("name is required") };
                name.clone_into(&mut group.name);
                group.description = body["description"].as_str().unwrap_or_default().to_owned();
                json(200, &group.shown(id))
            }
            (&Method::DELETE, []) => {
                self.groups.remove(id);
                self.happened("group_delete", "user_group", id, now);
                done()
            }
            (&Method::GET, ["members"]) => {
                let rows = group.members.iter().map(|it| edge("user", it)).collect();
                self.array(request, rows)
            }
            (&Method::GET, ["membership"]) => {
                let rows = group.members.iter();
                let rows =
                    rows.map(|it| bound("user", it, &[value!([edge("user", it)])])).collect();
                self.array(request, rows)
            }
            (&Method::POST, ["members"]) => {
                let (user, op) = (text(body, "id"), text(body, "op"));
                if body["type"] != "user" || !is_object_id(user) {
                    return invalid("type and id");
                }
                if !self.users.contains_key(user) {
                    return nothing();
                }
                if group.method.starts_with("DYNAMIC") && self.quirks.refuses_dynamic {
                    return invalid("the members of a dynamic group are not edited");
                }
                let moved = match op {
                    "add" => group.members.insert(user.to_owned()),
                    "remove" => group.members.remove(user),
                    "update" => group.members.contains(user),
                    _ => return invalid("op"),
                };
                self.edged(moved, op, ("user_group", id), user, now)
            }
            (&Method::POST, ["associations"]) => {
                let (to, op) = (text(body, "id"), text(body, "op"));
                let groups = match text(body, "type") {
                    "application" => self.apps.get_mut(to).map(|it| &mut it.groups),
                    "system" => self.systems.get_mut(to).map(|it| &mut it.groups),
                    "system_group" => self.system_groups.get_mut(to).map(|it| &mut it.groups),
                    kind if DIRECTORIES.contains(&kind) => {
                        let found = self.directories.get_mut(to).filter(|it| it.kind == kind);
                        found.map(|it| &mut it.groups)
                    }
                    _ => return invalid("type"),
                };
                let Some(groups) = groups else { return nothing() };
                match op {
                    "add" if groups.insert(id.to_owned()) => done(),
                    "remove" if groups.remove(id) => done(),
                    "add" => error(409, "ALREADY_EXISTS", "Already Exists"),
                    "remove" => nothing(),
                    _ => invalid("op"),
                }
            }
            _ => nothing(),
        }
    }

    /// The answer to an edit of an edge.
    fn edged(
        &mut self,
        moved: bool,
        op: &str,
        from: (&str, &str),
        user: &str,
        now: DateTime<Utc>,
    ) -> Response {
        if !moved {
            return match op {
                "add" => error(409, "ALREADY_EXISTS", "Already Exists"),
                _ => match self.quirks.absent_edge {
                    404 => nothing(),
                    status => error(status, "FAILED_PRECONDITION", "there is no such edge"),
                },
            };
        }
        let id = self.id(0x64);
        self.events.push(Event {
            id,
            timestamp: now,
            event_type: "association_change".into(),
            resource: (from.0.to_owned(), from.1.to_owned()),
            association: Some((op.to_owned(), ("user".to_owned(), user.to_owned()))),
        });
        self.apply_rules();
        done()
    }

    fn route_user(
        &mut self,
        request: &Request,
        id: &str,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let Some(user) = self.users.get_mut(id) else { return nothing() };
        match (request.method(), rest) {
            (&Method::GET, ["memberof"]) => {
                let held = self.groups.iter().filter(|(_, it)| it.members.contains(id));
                let held = held.map(|(group, _)| {
                    bound("user_group", group, &[value!([edge("user_group", group)])])
                });
                let rows = held.collect();
                self.array(request, rows)
            }
            (&Method::GET, ["associations"]) => {
                let query = query(request);
                let rows = match query.get("targets").map(String::as_str) {
                    Some("system") => {
                        let held = self.systems.iter();
                        let held = held.filter_map(|(system, it)| {
                            let attributes = it.users.get(id)?;
                            Some(value!({ "to": { "type": "system", "id": system },
                                          "attributes": attributes }))
                        });
                        held.collect()
                    }
                    Some(kind) => {
                        let ids = self.ids(kind).into_iter();
                        let held = ids.filter(|it| {
                            self.edges(kind, it).is_some_and(|(users, _)| users.contains(id))
                        });
                        held.map(|it| edge(kind, &it)).collect()
                    }
                    None => return invalid("targets is required"),
                };
                self.array(request, rows)
            }
            (&Method::GET, ["directories"]) => {
                let rows = self.reached(&DIRECTORIES, id);
                self.array(request, rows)
            }
            (&Method::GET, [collection]) if type_of(collection).is_some() => {
                let kinds = type_of(collection);
                let rows = self.reached(kinds.as_slice(), id);
                self.array(request, rows)
            }
            (&Method::POST, ["associations"]) => self.bind(id, body, now),
            (&Method::GET, ["pushendpoints"]) => {
                let rows = user.push.iter();
                let rows =
                    rows.map(|(id, name)| value!({ "id": id, "name": name, "state": "active" }));
                json(200, &rows.collect())
            }
            (&Method::DELETE, ["pushendpoints", endpoint]) => match user.push.remove(*endpoint) {
                None => nothing(),
                Some(name) => {
                    self.happened("user_update", "user", id, now);
                    json(200, &value!({ "id": endpoint, "name": name, "state": "deleted" }))
                }
            },
            _ => nothing(),
        }
    }

    /// An edge between a user and something.
    fn bind(&mut self, user: &str, body: &Value, now: DateTime<Utc>) -> Response {
        let (to, op) = (text(body, "id").to_owned(), text(body, "op").to_owned());
        if !["add", "remove", "update"].contains(&op.as_str()) || !is_object_id(&to) {
            return invalid("op and id");
        }
        let kind = text(body, "type").to_owned();
        let moved = match kind.as_str() {
            "system" => {
                let Some(system) = self.systems.get_mut(&to) else { return nothing() };
                let known = system.users.contains_key(user);
                let attributes = match &body["attributes"] {
                    Value::Null => value!({}),
                    other => other.clone(),
                };
                match op.as_str() {
                    "remove" => system.users.remove(user).is_some(),
                    "add" if known => false,
                    "update" if !known => false,
                    _ => {
                        system.users.insert(user.to_owned(), attributes);
                        true
                    }
                }
            }
            kind if COLLECTIONS.iter().any(|it| it.1 == kind) => {
                let users = match kind {
                    "application" => self.apps.get_mut(&to).map(|it| &mut it.users),
                    "system_group" => self.system_groups.get_mut(&to).map(|it| &mut it.users),
                    _ => {
                        let found = self.directories.get_mut(&to).filter(|it| it.kind == kind);
                        found.map(|it| &mut it.users)
                    }
                };
                let Some(users) = users else { return nothing() };
                match op.as_str() {
                    "add" => users.insert(user.to_owned()),
                    "remove" => users.remove(user),
                    _ => users.contains(user),
                }
            }
            _ => return invalid("type"),
        };
        self.edged(moved, &op, (&kind, &to), user, now)
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_default()
}
