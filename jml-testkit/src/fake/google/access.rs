//! Groups, administrator roles, licences.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Assignment, Google, Group, Request, Response, done, error, json, missing, nothing, query,
};

impl Google {
    fn shown_group(id: &str, group: &Group) -> Value {
        value!({ "kind": "admin#directory#group", "id": id, "etag": "\"e\"", "email": group.email,
                 "name": group.name, "description": "", "adminCreated": true,
                 "directMembersCount": group.members.len().to_string() })
    }

    fn shown_member(&self, id: &str, role: &str) -> Value {
        let kind = "admin#directory#member";
        match self.users.get(id) {
            Some(user) => {
                let status = if user.is_live() { "ACTIVE" } else { "SUSPENDED" };
                value!({ "kind": kind, "etag": "\"e\"", "id": id, "role": role, "type": "USER",
                         "email": user.email(), "status": status })
            }
            None => {
                value!({ "kind": kind, "etag": "\"e\"", "id": id, "role": role, "type": "GROUP" })
            }
        }
    }

    /// The id of a group by id or address.
    fn group_id(&self, key: &str) -> Option<String> {
        if self.groups.contains_key(key) {
            return Some(key.to_owned());
        }
        self.groups.iter().find(|(_, it)| it.email == key).map(|(id, _)| id.clone())
    }

    fn no_member(&self) -> Response {
        if self.quirks.unknown_member_is_400 {
            return error(400, "required", "Missing required field: memberKey");
        }
        missing("memberKey")
    }

    /// Writes down that somebody's membership changed.
    fn member_changed(&mut self, name: &str, group: &str, user: &str, now: DateTime<Utc>) {
        let group = self.groups.get(group).map(|it| it.email.clone()).unwrap_or_default();
        // Members may be groups.
        let of_group = self.groups.get(user).map(|it| it.email.clone());
        let user = self.users.get(user).map(|it| it.email().to_owned()).or(of_group);
        let user = user.unwrap_or_default();
        let named = [("GROUP_EMAIL", group.as_str()), ("USER_EMAIL", user.as_str())];
        self.happened("GROUP_SETTINGS", name, &named, now);
    }

    /// Writes down that somebody got or lost a role.
    fn role_changed(&mut self, name: &str, of: &Assignment, now: DateTime<Utc>) {
        let (role, user) = (&of.role, &of.user);
        let user = self.users.get(user).map(|it| it.email().to_owned()).unwrap_or_default();
        let role = self.roles.get(role).cloned().unwrap_or_default();
        let named = [("ROLE_NAME", role.as_str()), ("USER_EMAIL", user.as_str())];
        self.happened("DELEGATED_ADMIN_SETTINGS", name, &named, now);
    }

    /// Writes down that somebody got or lost a licence.
    fn licence_changed(&mut self, name: &str, sku: &str, user: &str, now: DateTime<Utc>) {
        let user = self.users.get(user).map(|it| it.email().to_owned()).unwrap_or_default();
        let value = if name == "USER_LICENSE_REVOKE" { "OLD_VALUE" } else { "NEW_VALUE" };
        let named = [(value, sku), ("USER_EMAIL", user.as_str())];
        self.happened("LICENSES_SETTINGS", name, &named, now);
    }

    pub(super) fn route_groups(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        let [key, rest @ ..] = rest else {
            return match *method {
                Method::GET => self.list_groups(request),
                _ => nothing(),
            };
        };
        let Some(id) = self.group_id(key) else { return missing("groupKey") };
        match (method, rest) {
            (&Method::GET, []) => json(
                200,
                &self.groups.get(&id).map(|it| Self::shown_group(&id, it)).unwrap_or_default(),
            ),
            (&Method::GET, ["members"]) => {
                let members = self.groups.get(&id).map(|it| it.members.clone()).unwrap_or_default();
                let rows = members
                    .iter()
                    .map(|(member, role)| (member.clone(), self.shown_member(member, role)));
                self.page(
                    request,
                    ("admin#directory#members", "members"),
                    rows.collect(),
                    (200, 200),
                )
            }
            (&Method::POST, ["members"]) => {
                // An id alone is not documented to be enough.
                let Some(email) = body["email"].as_str() else {
                    return error(400, "required", "Missing required field: email");
                };
                let Some(member) = self.user_id(email) else { return self.no_member() };
                let role = body["role"].as_str().unwrap_or("MEMBER").to_owned();
                if !["MEMBER", "MANAGER", "OWNER"].contains(&role.as_str()) {
                    return error(400, "invalid", "Invalid Input: role");
                }
                let Some(group) = self.groups.get_mut(&id) else { return missing("groupKey") };
                if group.members.contains_key(&member) {
                    return error(409, "duplicate", "Member already exists.");
                }
                group.members.insert(member.clone(), role.clone());
                self.member_changed("ADD_GROUP_MEMBER", &id, &member, now);
                json(200, &self.shown_member(&member, &role))
            }
            (_, ["members", member]) => {
                let Some(member) = self.user_id(member) else { return self.no_member() };
                let Some(group) = self.groups.get_mut(&id) else { return missing("groupKey") };
                let Some(role) = group.members.get(&member).cloned() else {
                    return missing("memberKey");
                };
                match *method {
                    Method::GET => json(200, &self.shown_member(&member, &role)),
                    Method::DELETE => {
                        group.members.remove(&member);
                        self.member_changed("REMOVE_GROUP_MEMBER", &id, &member, now);
                        done()
                    }
                    Method::PUT | Method::PATCH => {
                        let role = body["role"].as_str().unwrap_or(&role).to_owned();
                        group.members.insert(member.clone(), role.clone());
                        self.member_changed("UPDATE_GROUP_MEMBER", &id, &member, now);
                        json(200, &self.shown_member(&member, &role))
                    }
                    _ => nothing(),
                }
            }
            (&Method::GET, ["hasMember", member]) => {
                let member = self.user_id(member).unwrap_or_default();
                let has = self.groups.get(&id).is_some_and(|it| it.members.contains_key(&member));
                json(200, &value!({ "isMember": has }))
            }
            _ => nothing(),
        }
    }

    fn list_groups(&self, request: &Request) -> Response {
        let query = query(request);
        let user = match query.get("userKey") {
            None if query.get("customer").is_none_or(|it| it != "my_customer") => {
                return error(400, "badRequest", "Bad Request");
            }
            None => None,
            Some(key) => match self.user_id(key) {
                Some(id) => Some(id),
                None => return missing("userKey"),
            },
        };
        let held = |group: &Group| user.as_ref().is_none_or(|id| group.members.contains_key(id));
        let rows = self.groups.iter().filter(|(_, it)| held(it));
        let rows = rows.map(|(id, it)| (id.clone(), Self::shown_group(id, it))).collect();
        self.page(request, ("admin#directory#groups", "groups"), rows, (200, 200))
    }

    pub(super) fn route_roles(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let shown = |id: &str, it: &Assignment| {
            let mut shown = value!({
                "kind": "admin#directory#roleAssignment", "etag": "\"e\"", "roleAssignmentId": id,
                "roleId": it.role, "assignedTo": it.user, "assigneeType": "user", "scopeType": "CUSTOMER" });
            if let (Some(unit), Some(shown)) = (&it.unit, shown.as_object_mut()) {
                shown.insert("scopeType".into(), "ORG_UNIT".into());
                shown.insert("orgUnitId".into(), unit.as_str().into());
            }
            shown
        };
        match (request.method(), rest) {
            (&Method::GET, ["roles"]) => {
                let rows = self.roles.iter().map(|(id, name)| {
                    let shown = value!({ "kind": "admin#directory#role", "etag": "\"e\"", "roleId": id,
                                         "roleName": name, "isSystemRole": true });
                    (id.clone(), shown)
                });
                self.page(request, ("admin#directory#roles", "items"), rows.collect(), (100, 100))
            }
            (&Method::GET, ["roleassignments"]) => {
                let query = query(request);
                let user = match query.get("userKey") {
                    None => None,
                    Some(key) => match self.user_id(key) {
                        Some(id) => Some(id),
                        None => return missing("userKey"),
                    },
                };
                let rows = self.assignments.iter().filter(|(_, of)| {
                    user.as_ref().is_none_or(|it| *it == of.user)
                        && query.get("roleId").is_none_or(|it| *it == of.role)
                });
                let rows = rows.map(|(id, it)| (id.clone(), shown(id, it))).collect();
                self.page(request, ("admin#directory#roleAssignments", "items"), rows, (100, 200))
            }
            (&Method::POST, ["roleassignments"]) => {
                let role = body["roleId"].as_str().unwrap_or_default().to_owned();
                if !self.roles.contains_key(&role) {
                    return missing("roleId");
                }
                let user = body["assignedTo"].as_str().unwrap_or_default();
                if !self.users.contains_key(user) {
                    return missing("assignedTo");
                }
                let unit = body["orgUnitId"].as_str().map(str::to_owned);
                match (body["scopeType"].as_str(), &unit) {
                    (None | Some("CUSTOMER"), None) | (Some("ORG_UNIT"), Some(_)) => {}
                    _ => return error(400, "invalid", "Invalid Input: scopeType"),
                }
                let made = Assignment { role, user: user.to_owned(), unit };
                if self.assignments.values().any(|it| *it == made) {
                    return error(409, "duplicate", "Entity already exists.");
                }
                let id = self.number("2");
                let answer = shown(&id, &made);
                self.role_changed("ASSIGN_ROLE", &made, now);
                self.assignments.insert(id, made);
                json(200, &answer)
            }
            (&Method::DELETE, ["roleassignments", id]) => match self.assignments.remove(*id) {
                Some(made) => {
                    self.role_changed("UNASSIGN_ROLE", &made, now);
                    done()
                }
                None => missing("roleAssignmentId"),
            },
            _ => nothing(),
        }
    }

    pub(super) fn route_licences(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let emails: BTreeMap<String, String> =
            self.users.iter().map(|(id, user)| (id.clone(), user.email().to_owned())).collect();
        let shown = |product: &str, sku: &str, name: &str, user: &str| {
            let email = emails.get(user).map(String::as_str).unwrap_or_default();
            value!({ "kind": "licensing#licenseAssignment", "etags": "\"e\"", "userId": email,
                     "productId": product, "skuId": sku, "skuName": name })
        };
        let [product, rest @ ..] = rest else { return nothing() };
        let ["sku", sku, rest @ ..] = rest else { return nothing() };
        let named = |key: &str| self.user_id(key);
        let user = match rest {
            ["user", user] => named(user),
            ["user"] => named(body["userId"].as_str().unwrap_or_default()),
            _ => None,
        };
        let key = ((*product).to_owned(), (*sku).to_owned());
        let young = user
            .as_ref()
            .and_then(|id| self.users.get(id))
            .is_some_and(|it| it.created + TimeDelta::milliseconds(self.quirks.creation_ms) > now);
        let meanwhile = self.quirks.licensed_meanwhile && *request.method() == Method::POST;
        let Some(known) = self.skus.get_mut(&key) else {
            return error(404, "notFound", "Product and SKU combination does not exist.");
        };
        match (request.method(), rest) {
            (&Method::GET, ["users"]) => {
                if query(request).get("customerId").is_none_or(|it| it != "C01") {
                    return error(400, "invalid", "Invalid customerId");
                }
                // In the order of what is shown: addresses.
                let mut rows: Vec<(String, Value)> = known
                    .users
                    .iter()
                    .map(|id| {
                        let email = emails.get(id).cloned().unwrap_or_default();
                        (email, shown(product, sku, &known.name, id))
                    })
                    .collect();
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                self.page(request, ("licensing#licenseAssignmentList", "items"), rows, (100, 1_000))
            }
            (&Method::GET, ["user", _]) => match user.filter(|id| known.users.contains(id)) {
                Some(id) => json(200, &shown(product, sku, &known.name, &id)),
                None => error(404, "notFound", "License assignment not found."),
            },
            (&Method::POST, ["user"]) => {
                let Some(id) = user else { return error(404, "notFound", "User not found.") };
                if young {
                    return error(412, "conditionNotMet", "User creation is not complete.");
                }
                if meanwhile {
                    known.users.insert(id.clone());
                }
                if known.users.contains(&id) {
                    let text = "User already has a license for the specified product and SKU";
                    return error(412, "conditionNotMet", text);
                }
                if known.seats.is_some_and(|seats| known.users.len() >= seats) {
                    let text =
                        "There aren't enough available licenses for the specified product-SKU pair";
                    return error(412, "conditionNotMet", text);
                }
                known.users.insert(id.clone());
                let answer = shown(product, sku, &known.name, &id);
                self.licence_changed("USER_LICENSE_ASSIGNMENT", sku, &id, now);
                json(200, &answer)
            }
            (&Method::DELETE, ["user", _]) => {
                let Some(id) = user.filter(|id| known.users.remove(id)) else {
                    return error(404, "notFound", "License assignment not found.");
                };
                self.licence_changed("USER_LICENSE_REVOKE", sku, &id, now);
                json(200, &value!({}))
            }
            _ => nothing(),
        }
    }
}
