//! Groups, licences, applications, directory roles.

use http::Method;
use serde_json::{Value, json as value};

use super::{
    App, Call, Entra, Event, Group, GroupKind, Response, denied, done, error, json, mastered,
    missing, nothing,
};

/// The role of an application that has none of its own.
const NO_ROLE: &str = "00000000-0000-0000-0000-000000000000";

impl Entra {
    pub(super) fn shown_group(id: &str, group: &Group) -> Value {
        let (mail, security, types, rule, synced) = match group.kind {
            GroupKind::Security => (false, true, value!([]), Value::Null, false),
            GroupKind::Unified => (true, false, value!(["Unified"]), Value::Null, false),
            GroupKind::Dynamic => (
                false,
                true,
                value!(["DynamicMembership"]),
                value!("user.department -eq \"x\""),
                false,
            ),
            GroupKind::Distribution => (true, false, value!([]), Value::Null, false),
            GroupKind::MailSecurity => (true, true, value!([]), Value::Null, false),
            GroupKind::Synced => (false, true, value!([]), Value::Null, true),
        };
        value!({ "@odata.type": "#microsoft.graph.group", "id": id, "displayName": group.name,
                 "mailEnabled": mail, "securityEnabled": security, "groupTypes": types,
                 "membershipRule": rule, "onPremisesSyncEnabled": synced, "isAssignableToRole": false })
    }

    /// Who an application was given, by the ids of the assignments: users and groups.
    pub(super) fn assignments(id: &str, app: &App) -> Vec<(String, Value)> {
        let shown = |kind: &str, assignment: &str, who: &str| {
            let role = app.given.get(assignment).map_or(NO_ROLE, String::as_str);
            value!({ "id": assignment, "appRoleId": role, "principalId": who, "principalType": kind,
                     "resourceId": id })
        };
        let users = app.users.iter().map(|(it, who)| (it.clone(), shown("User", it, who)));
        let groups = app.groups.iter().map(|(it, who)| (it.clone(), shown("Group", it, who)));
        let mut all: Vec<(String, Value)> = users.chain(groups).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    fn shown_app(id: &str, app: &App) -> Value {
        let role = |(id, name): (&String, &String)| {
            value!({ "id": id, "displayName": name, "description": name, "isEnabled": true,
                     "allowedMemberTypes": ["User"], "value": name })
        };
        let roles: Vec<Value> = app.roles.iter().map(role).collect();
        value!({ "id": id, "displayName": app.name, "appRoles": roles,
                 "tags": ["WindowsAzureActiveDirectoryIntegratedApp"] })
    }

    pub(super) fn member_of(&self, call: &Call<'_>, id: &str) -> Response {
        let mine = self.groups.iter().filter(|(_, it)| it.members.contains(id));
        let mut rows: Vec<(String, Value)> =
            mine.map(|(id, it)| (id.clone(), Self::shown_group(id, it))).collect();
        // Directory roles are among them.
        for (user, role) in self.roles.values().filter(|(user, _)| user == id) {
            let shown = value!({ "@odata.type": "#microsoft.graph.directoryRole", "id": format!("z-{user}-{role}"),
                                 "displayName": role });
            rows.push((format!("z-{role}"), shown));
        }
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        self.page(call, rows, 999, 100)
    }

    pub(super) fn route_access(&mut self, call: &Call<'_>, parts: &[&str]) -> Response {
        let get = *call.method == Method::GET;
        match parts {
            ["groups"] if get => {
                let rows =
                    self.groups.iter().map(|(id, it)| (id.clone(), Self::shown_group(id, it)));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            ["groups", "delta()" | "delta"] if get => self.group_delta(call),
            ["groups", id, rest @ ..] => self.route_group(call, id, rest),
            ["subscribedSkus"] if get => {
                let rows = self.skus.iter().map(|(id, sku)| {
                    let used = self.users.values().filter(|it| it.licences.contains(id)).count();
                    value!({ "id": format!("tenant_{id}"), "skuId": id, "skuPartNumber": sku.name,
                             "capabilityStatus": "Enabled", "consumedUnits": used,
                             "prepaidUnits": { "enabled": sku.seats, "suspended": 0, "warning": 0 } })
                });
                let rows: Vec<Value> = rows.collect();
                json(200, &value!({ "value": rows }))
            }
            ["servicePrincipals"] if get => {
                let rows = self.apps.iter().map(|(id, app)| (id.clone(), Self::shown_app(id, app)));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            ["servicePrincipals", id] if get => match self.apps.get(*id) {
                Some(app) => json(200, &Self::shown_app(id, app)),
                None => missing(id),
            },
            ["servicePrincipals", id, "appRoleAssignedTo", rest @ ..] => {
                self.route_app(call, id, rest)
            }
            ["roleManagement", "directory", "roleDefinitions"] if get => {
                let rows = self.role_definitions.iter();
                let rows =
                    rows.map(|(id, name)| (id.clone(), value!({ "id": id, "displayName": name })));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            ["roleManagement", "directory", "roleAssignments", rest @ ..] => {
                self.route_roles(call, rest)
            }
            _ => nothing(),
        }
    }

    /// Who came into groups and who went, since a token.
    fn group_delta(&self, call: &Call<'_>) -> Response {
        self.delta_of(
            call,
            "groups",
            || {
                let all = self.groups.iter();
                all.map(|(id, it)| {
                    let members = it.members.iter();
                    let members: Vec<Value> = members
                        .map(|it| value!({ "@odata.type": "#microsoft.graph.user", "id": it }))
                        .collect();
                    value!({ "id": id, "displayName": it.name, "members@delta": members })
                })
                .collect()
            },
            |event, _| match event {
                Event::Member(group, user, gone) => {
                    let mut member = value!({ "@odata.type": "#microsoft.graph.user", "id": user });
                    if *gone {
                        member["@removed"] = value!({ "reason": "deleted" });
                    }
                    Some(value!({ "id": group, "members@delta": [member] }))
                }
                Event::User(..) => None,
            },
        )
    }

    fn route_group(&mut self, call: &Call<'_>, id: &str, rest: &[&str]) -> Response {
        let Some(group) = self.groups.get(id).cloned() else { return missing(id) };
        let refused = || {
            Some(match group.kind {
                GroupKind::Security | GroupKind::Unified => return None,
                GroupKind::Dynamic => denied(),
                GroupKind::Synced => mastered(),
                GroupKind::Distribution | GroupKind::MailSecurity => error(
                    400,
                    "Request_BadRequest",
                    "Cannot Update a mail-enabled security groups and or distribution list.",
                ),
            })
        };
        let pointed = || {
            let link = call.body["@odata.id"].as_str()?;
            link.rsplit('/').next().map(str::to_owned)
        };
        let existing = |of: &str| {
            let text = format!(
                "One or more added object references already exist for the following modified properties: '{of}'."
            );
            error(400, "Request_BadRequest", &text)
        };
        match (call.method, rest) {
            (&Method::GET, []) => json(200, &Self::shown_group(id, &group)),
            (&Method::GET, [what @ ("members" | "owners")]) => {
                let all = if *what == "members" { &group.members } else { &group.owners };
                let rows = all.iter().map(|user| {
                    (user.clone(), value!({ "@odata.type": "#microsoft.graph.user", "id": user }))
                });
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            (&Method::POST, ["members"]) => {
                error(400, "BadRequest", "Write requests are only supported on contained entities")
            }
            (&Method::POST, ["members", "$ref"]) => {
                if let Some(refused) = refused() {
                    return refused;
                }
                let Some(user) = pointed().filter(|it| self.users.contains_key(it)) else {
                    return missing(&pointed().unwrap_or_default());
                };
                if group.members.contains(&user) {
                    return existing("members");
                }
                if let Some(group) = self.groups.get_mut(id) {
                    group.members.insert(user.clone());
                }
                self.log.push(Event::Member(id.to_owned(), user, false));
                done()
            }
            (&Method::DELETE, ["members", user, "$ref"]) => {
                if let Some(refused) = refused() {
                    return refused;
                }
                if !group.members.contains(*user) {
                    return missing(user);
                }
                if let Some(group) = self.groups.get_mut(id) {
                    group.members.remove(*user);
                }
                self.log.push(Event::Member(id.to_owned(), (*user).to_owned(), true));
                done()
            }
            (&Method::DELETE, ["members", user]) => {
                // This is what it does.
                self.disasters += 1;
                self.forget_user(user);
                done()
            }
            (&Method::POST, ["owners", "$ref"]) => {
                let Some(user) = pointed().filter(|it| self.users.contains_key(it)) else {
                    return missing(&pointed().unwrap_or_default());
                };
                if group.owners.contains(&user) {
                    return existing("owners");
                }
                if let Some(group) = self.groups.get_mut(id) {
                    group.owners.insert(user);
                }
                done()
            }
            (&Method::DELETE, ["owners", user, "$ref"]) => {
                if !group.owners.contains(*user) {
                    return missing(user);
                }
                if group.owners.len() == 1 {
                    return error(
                        400,
                        "Request_BadRequest",
                        "The group must have at least one owner, hence this owner cannot be removed.",
                    );
                }
                if let Some(group) = self.groups.get_mut(id) {
                    group.owners.remove(*user);
                }
                done()
            }
            _ => nothing(),
        }
    }

    fn route_app(&mut self, call: &Call<'_>, id: &str, rest: &[&str]) -> Response {
        let Some(app) = self.apps.get(id).cloned() else { return missing(id) };
        match (call.method, rest) {
            (&Method::GET, []) => self.page(call, Self::assignments(id, &app), 999, 100),
            (&Method::POST, []) => {
                let user = call.body["principalId"].as_str().unwrap_or_default();
                if !self.users.contains_key(user) {
                    return missing(user);
                }
                if self.quirks.unknown_references {
                    return error(400, "Request_BadRequest", "Not a valid reference update.");
                }
                let role = call.body["appRoleId"].as_str().unwrap_or(NO_ROLE);
                let none = role == NO_ROLE;
                if none != app.roles.is_empty() || !(none || app.roles.contains_key(role)) {
                    let text = "Permission being assigned was not found on application";
                    return error(400, "Request_BadRequest", text);
                }
                let given = |it: &str| app.given.get(it).map_or(NO_ROLE, String::as_str);
                if app.users.iter().any(|(it, who)| who == user && given(it) == role) {
                    return error(
                        400,
                        "Request_BadRequest",
                        "Permission being assigned already exists on the object",
                    );
                }
                let assignment = self.id();
                let Some(app) = self.apps.get_mut(id) else { return missing(id) };
                app.users.insert(assignment.clone(), user.to_owned());
                if !none {
                    app.given.insert(assignment.clone(), role.to_owned());
                }
                let all = Self::assignments(id, app);
                match all.iter().find(|(it, _)| *it == assignment) {
                    Some((_, shown)) => json(201, shown),
                    None => nothing(),
                }
            }
            (&Method::DELETE, [assignment]) => {
                let Some(app) = self.apps.get_mut(id) else { return missing(id) };
                let (user, group) = (app.users.remove(*assignment), app.groups.remove(*assignment));
                app.given.remove(*assignment);
                if user.or(group).is_some() { done() } else { missing(assignment) }
            }
            _ => nothing(),
        }
    }

    fn route_roles(&mut self, call: &Call<'_>, rest: &[&str]) -> Response {
        let scopes = self.role_scopes.clone();
        let scope = |id: &str| scopes.get(id).map_or("/", String::as_str).to_owned();
        let shown = |id: &str, user: &str, role: &str, scope: &str| value!({ "id": id, "principalId": user, "roleDefinitionId": role, "directoryScopeId": scope });
        match (call.method, rest) {
            (&Method::GET, []) => {
                let of =
                    call.query.get("$filter").and_then(|it| it.strip_prefix("principalId eq '"));
                let of = of.map(|it| it.trim_end_matches('\''));
                let rows =
                    self.roles.iter().filter(|(_, (user, _))| of.is_none_or(|it| it == user));
                let rows =
                    rows.map(|(id, (user, role))| (id.clone(), shown(id, user, role, &scope(id))));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            (&Method::POST, []) => {
                let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
                let (user, role) = (text("principalId"), text("roleDefinitionId"));
                if !self.users.contains_key(&user) {
                    return missing(&user);
                }
                if !self.role_definitions.contains_key(&role) {
                    return missing(&role);
                }
                let within = text("directoryScopeId");
                let same = |(id, it): (&String, &(String, String))| {
                    *it == (user.clone(), role.clone()) && scope(id) == within
                };
                if self.roles.iter().any(same) {
                    let text = "A conflicting object with one or more of the specified property values is present in the directory.";
                    return error(400, "Request_BadRequest", text);
                }
                let id = self.id();
                let body = shown(&id, &user, &role, &within);
                if within != "/" {
                    self.role_scopes.insert(id.clone(), within);
                }
                self.roles.insert(id, (user, role));
                json(201, &body)
            }
            (&Method::DELETE, [id]) => {
                self.role_scopes.remove(*id);
                if self.roles.remove(*id).is_some() { done() } else { missing(id) }
            }
            _ => nothing(),
        }
    }
}
