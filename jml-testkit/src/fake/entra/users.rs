//! Users, what lies on them, and what is left of deleted ones.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Call, Entra, Event, Response, Service, User, denied, done, error, json, mastered, missing,
    nothing,
};
use crate::fake::encode;
use crate::fake::filter::Filter;

/// An instant as Graph writes it.
fn instant(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into()
}

/// Path segments of authentication methods by type.
const METHODS: [(&str, &str); 8] = [
    ("phone", "phoneMethods"),
    ("email", "emailMethods"),
    ("fido2", "fido2Methods"),
    ("microsoftAuthenticator", "microsoftAuthenticatorMethods"),
    ("softwareOath", "softwareOathMethods"),
    ("windowsHelloForBusiness", "windowsHelloForBusinessMethods"),
    ("temporaryAccessPass", "temporaryAccessPassMethods"),
    ("platformCredential", "platformCredentialMethods"),
];

impl Entra {
    /// A user's id, by id or by principal name.
    pub(super) fn find(&self, name: &str) -> Option<String> {
        if self.shown_users.contains_key(name) {
            return Some(name.to_owned());
        }
        let same = |user: &User| {
            let upn = user.body.get("userPrincipalName").and_then(Value::as_str);
            upn.is_some_and(|it| it.eq_ignore_ascii_case(name))
        };
        self.shown_users.iter().find(|(_, user)| same(user)).map(|(id, _)| id.clone())
    }

    /// A user as Graph shows it: what was selected, or a few attributes.
    fn shown(&self, id: &str, user: &User, query: &BTreeMap<String, String>) -> Value {
        let usual = "displayName,givenName,jobTitle,mail,mobilePhone,officeLocation,preferredLanguage,\
                     surname,userPrincipalName";
        let select = query.get("$select").map_or(usual, String::as_str);
        let mut shown = value!({ "id": id });
        for name in select.split(',').map(str::trim) {
            shown[name] = match name {
                "id" => id.into(),
                "licenseAssignmentStates" => self.licence_states(id, user),
                "assignedLicenses" => {
                    let all = user.licences.iter();
                    all.map(|sku| value!({ "skuId": sku, "disabledPlans": [] })).collect()
                }
                _ => user.body.get(name).cloned().unwrap_or_default(),
            };
        }
        if query.get("$expand").is_some_and(|it| it.starts_with("manager"))
            && let Some(manager) = &user.manager
            && let Some(boss) = self.users.get(manager)
        {
            shown["manager"] = value!({ "@odata.type": "#microsoft.graph.user", "id": manager,
                "userPrincipalName": boss.body.get("userPrincipalName") });
        }
        shown
    }

    fn licence_states(&self, id: &str, user: &User) -> Value {
        let state = |sku: &str, group: Option<&str>| {
            value!({ "skuId": sku, "assignedByGroup": group, "state": "Active", "error": "None",
                     "disabledPlans": [], "lastUpdatedDateTime": "2026-03-02T08:00:00Z" })
        };
        let direct = user.licences.iter().map(|sku| state(sku, None));
        let groups = self.groups.iter().filter(|(_, it)| it.members.contains(id));
        let by_group = groups
            .flat_map(|(group, it)| it.licences.iter().map(move |sku| state(sku, Some(group))));
        direct.chain(by_group).collect()
    }

    pub(super) fn route_users(&mut self, call: &Call<'_>, parts: &[&str]) -> Response {
        let get = *call.method == Method::GET;
        match parts {
            ["users"] if get => self.list_users(call),
            ["users"] if *call.method == Method::POST => self.create_user(call),
            ["users", "delta()" | "delta"] if get => self.delta(call),
            ["users", name, rest @ ..] => match self.find(name) {
                None => missing(name),
                Some(id) => self.route_user(call, &id, rest),
            },
            ["directory", "deletedItems", "graph.user"] if get => {
                let rows = self
                    .deleted
                    .iter()
                    .map(|(id, (user, _))| (id.clone(), self.shown(id, user, call.query)));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            ["directory", "deletedItems", id, rest @ ..] => self.route_deleted(call, id, rest),
            ["oauth2PermissionGrants", id] if *call.method == Method::DELETE => {
                let owner = self
                    .users
                    .iter()
                    .find(|(_, it)| it.grants.contains(*id))
                    .map(|(id, _)| id.clone());
                match owner.and_then(|it| self.users.get_mut(&it).map(|user| (it, user))) {
                    None => missing(id),
                    Some((owner, user)) => {
                        user.grants.remove(*id);
                        self.wrote(&owner, false, call.now);
                        done()
                    }
                }
            }
            ["deviceManagement", "managedDevices", id, "retire"]
                if *call.method == Method::POST =>
            {
                let owner = self
                    .users
                    .iter()
                    .find(|(_, it)| it.devices.contains_key(*id))
                    .map(|(id, _)| id.clone());
                match owner.and_then(|it| self.users.get_mut(&it).map(|user| (it, user))) {
                    None => missing(id),
                    Some((owner, user)) => {
                        user.devices.insert((*id).to_owned(), "retirePending".to_owned());
                        let at = call.now + TimeDelta::milliseconds(self.quirks.device_delay_ms);
                        self.asked.push((at, (*id).to_owned()));
                        self.wrote(&owner, false, call.now);
                        done()
                    }
                }
            }
            ["drives", drive, "items", "root", "permissions"] if *call.method == Method::GET => {
                let of = |(id, user): (&String, &User)| {
                    let (mine, writers) = user.drive.as_ref()?;
                    (mine == drive).then(|| (id.clone(), writers.clone()))
                };
                let Some((owner, writers)) = self.users.iter().find_map(of) else {
                    return missing(drive);
                };
                let grant = |id: &String, role: &str| {
                    let user = value!({ "id": id, "displayName": id });
                    value!({ "id": format!("{role}-{id}"), "roles": [role], "grantedToV2": { "user": user } })
                };
                let rows = writers.iter().map(|id| grant(id, "write"));
                let rows: Vec<Value> =
                    std::iter::once(grant(&owner, "owner")).chain(rows).collect();
                json(200, &value!({ "value": rows }))
            }
            ["drives", drive, "items", "root", "invite"] if *call.method == Method::POST => {
                let owner = |user: &User| user.drive.as_ref().is_some_and(|(id, _)| id == drive);
                let Some((id, _)) = self.users.iter().find(|(_, user)| owner(user)) else {
                    return missing(drive);
                };
                let id = id.clone();
                let who = call.body["recipients"].as_array().into_iter().flatten();
                let who: Vec<String> =
                    who.filter_map(|it| it["objectId"].as_str().map(str::to_owned)).collect();
                if let Some((_, writers)) = self.users.get_mut(&id).and_then(|it| it.drive.as_mut())
                {
                    writers.extend(who);
                }
                self.wrote(&id, false, call.now);
                json(200, &value!({ "value": [] }))
            }
            _ => nothing(),
        }
    }

    fn list_users(&self, call: &Call<'_>) -> Response {
        let filter = match call.query.get("$filter").map(|it| Filter::parse(it)) {
            Some(None) => return error(400, "Request_UnsupportedQuery", "Unsupported Query."),
            Some(filter) => filter,
            None => None,
        };
        let rows = self
            .shown_users
            .iter()
            .filter(|(_, user)| filter.as_ref().is_none_or(|it| it.holds(&value!(user.body))));
        let rows = rows.map(|(id, user)| (id.clone(), self.shown(id, user, call.query))).collect();
        self.page(call, rows, 999, 100)
    }

    /// What is wrong with a name, as Graph says it.
    fn taken(&self, upn: &str, except: Option<&str>) -> Option<Response> {
        let same = |user: &User| {
            let other = user.body.get("userPrincipalName").and_then(Value::as_str);
            other.is_some_and(|it| it.eq_ignore_ascii_case(upn))
        };
        let live = self.users.iter().any(|(id, user)| Some(id.as_str()) != except && same(user));
        live.then(|| {
            let text = "Another object with the same value for property userPrincipalName already exists.";
            let details = value!([{ "code": "ObjectConflict", "target": "userPrincipalName", "message": text }]);
            json(400, &value!({ "error": { "code": "Request_BadRequest", "message": text, "details": details,
                "innerError": { "date": "2026-03-02T08:00:00", "request-id": "req", "client-request-id": "req" } } }))
        })
    }

    fn create_user(&mut self, call: &Call<'_>) -> Response {
        let body = call.body;
        for needed in [
            "accountEnabled",
            "displayName",
            "mailNickname",
            "userPrincipalName",
            "passwordProfile",
        ] {
            if body[needed].is_null() {
                let text =
                    format!("A value is required for property '{needed}' of resource 'User'.");
                return error(400, "Request_BadRequest", &text);
            }
        }
        let upn = body["userPrincipalName"].as_str().unwrap_or_default();
        if !upn.contains('@') {
            return error(400, "Request_BadRequest", "Property userPrincipalName is invalid.");
        }
        if let Some(refused) = self.taken(upn, None) {
            return refused;
        }
        if body["employeeId"].as_str().is_some_and(|it| it.chars().count() > 16) {
            return error(
                400,
                "Request_BadRequest",
                "Invalid value specified for property 'employeeId'.",
            );
        }
        let given = body.as_object().cloned().unwrap_or_default().into_iter();
        let kept = given.filter(|(name, it)| name != "passwordProfile" && !it.is_null());
        let mut user = User { body: kept.collect(), mailbox: Some(None), ..User::default() };
        for name in
            ["createdDateTime", "lastPasswordChangeDateTime", "signInSessionsValidFromDateTime"]
        {
            user.body.insert(name.to_owned(), instant(call.now));
        }
        let id = self.id();
        self.users.insert(id.clone(), user.clone());
        self.wrote(&id, false, call.now);
        let all: Vec<&str> = user.body.keys().map(String::as_str).collect();
        let query = [("$select".to_owned(), all.join(","))].into();
        json(201, &self.shown(&id, &user, &query))
    }

    /// Whether an application without a higher role may not touch this user.
    fn protected(&self, id: &str) -> bool {
        self.quirks.protects_administrators && self.roles.values().any(|(user, _)| user == id)
    }

    /// Whether the directory on the premises owns a user.
    fn synced(&self, id: &str) -> bool {
        let synced =
            |user: &User| user.body.get("onPremisesSyncEnabled") == Some(&Value::Bool(true));
        self.users.get(id).is_some_and(synced)
    }

    fn route_user(&mut self, call: &Call<'_>, id: &str, rest: &[&str]) -> Response {
        let (method, now) = (call.method, call.now);
        let Some(user) = self.users.get(id).cloned() else {
            // It shows, and it is gone.
            return match (method, rest, self.shown_users.get(id)) {
                (&Method::GET, [], Some(user)) => json(200, &self.shown(id, user, call.query)),
                _ => missing(id),
            };
        };
        match (method, rest) {
            (&Method::GET, []) => {
                let user = self.shown_users.get(id).unwrap_or(&user);
                json(200, &self.shown(id, user, call.query))
            }
            (&Method::PATCH, []) => self.update_user(call, id),
            (&Method::DELETE, []) => {
                if self.protected(id) {
                    return denied();
                }
                self.delete_user(id, now);
                done()
            }
            (&Method::POST, ["revokeSignInSessions"]) => {
                let guest = user.body.get("userType").is_some_and(|it| it == "Guest");
                let ends = !self.quirks.keeps_sessions;
                if ends
                    && !guest
                    && let Some(user) = self.users.get_mut(id)
                {
                    user.sessions = 0;
                    let from = "signInSessionsValidFromDateTime".to_owned();
                    user.body.insert(from, instant(now));
                    self.wrote(id, false, now);
                }
                json(
                    200,
                    &value!({ "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Edm.Boolean", "value": ends }),
                )
            }
            (&Method::POST, ["assignLicense"]) => self.assign(call, id),
            (&Method::PUT | &Method::DELETE, ["manager", "$ref"]) if self.synced(id) => mastered(),
            (&Method::PUT, ["manager", "$ref"]) => {
                let boss = call.body["@odata.id"].as_str().and_then(|it| it.rsplit('/').next());
                match boss.and_then(|it| self.find(it)) {
                    None => missing("manager"),
                    Some(boss) => {
                        if let Some(user) = self.users.get_mut(id) {
                            user.manager = Some(boss);
                        }
                        self.wrote(id, false, now);
                        done()
                    }
                }
            }
            (&Method::DELETE, ["manager", "$ref"]) => {
                let had = self.users.get_mut(id).and_then(|it| it.manager.take());
                self.wrote(id, false, now);
                if had.is_some() { done() } else { missing("manager") }
            }
            (&Method::GET, ["memberOf"]) => self.member_of(call, id),
            (&Method::GET, ["ownedObjects"]) => {
                let owned = self.groups.iter().filter(|(_, it)| it.owners.contains(id));
                let rows = owned.map(|(id, it)| (id.clone(), Self::shown_group(id, it)));
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            (&Method::GET, ["appRoleAssignments"]) => {
                let mine = |who: &str| {
                    who == id || self.groups.get(who).is_some_and(|it| it.members.contains(id))
                };
                let rows = self.apps.iter().flat_map(|(app, it)| Self::assignments(app, it));
                let mut rows: Vec<(String, Value)> =
                    rows.filter(|(_, it)| it["principalId"].as_str().is_some_and(mine)).collect();
                rows.sort_by(|one, other| one.0.cmp(&other.0));
                self.page(call, rows, 999, 100)
            }
            (&Method::GET, ["oauth2PermissionGrants"]) => {
                let rows = user.grants.iter().map(|grant| {
                    let shown = value!({ "id": grant, "clientId": "app", "consentType": "Principal",
                                         "principalId": id, "resourceId": "graph", "scope": "Mail.Read" });
                    (grant.clone(), shown)
                });
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            (&Method::GET, ["managedDevices"]) if self.quirks.lacks == Some(Service::Intune) => {
                error(400, "BadRequest", "Request not applicable to target tenant.")
            }
            (&Method::GET, ["managedDevices"]) => {
                let rows = user.devices.iter().map(|(device, state)| {
                    let shown = value!({ "@odata.type": "#microsoft.graph.managedDevice", "id": device,
                                         "deviceName": device, "managementState": state });
                    (device.clone(), shown)
                });
                let rows = rows.collect();
                self.page(call, rows, 999, 100)
            }
            (&Method::GET, ["mailboxSettings"]) => match &user.mailbox {
                None => error(
                    404,
                    "MailboxNotEnabledForRESTAPI",
                    "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
                ),
                Some(text) => json(
                    200,
                    &value!({ "userPurpose": if user.shared_mailbox { "shared" } else { "user" },
                    "automaticRepliesSetting": {
                    "status": if text.is_some() { "alwaysEnabled" } else { "disabled" },
                    "externalAudience": "all", "internalReplyMessage": text.clone().unwrap_or_default(),
                    "externalReplyMessage": text.clone().unwrap_or_default() } }),
                ),
            },
            (&Method::PATCH, ["mailboxSettings"]) => {
                if user.mailbox.is_none() {
                    return error(
                        404,
                        "MailboxNotEnabledForRESTAPI",
                        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
                    );
                }
                let reply = &call.body["automaticRepliesSetting"];
                let text = reply["externalReplyMessage"].as_str().map(str::to_owned);
                let text = text.filter(|_| reply["status"] != "disabled");
                if let Some(user) = self.users.get_mut(id) {
                    user.mailbox = Some(text);
                }
                self.wrote(id, false, now);
                json(200, &value!({ "automaticRepliesSetting": reply }))
            }
            (&Method::GET, ["drive"]) if self.quirks.lacks == Some(Service::SharePoint) => {
                error(400, "BadRequest", "Tenant does not have a SPO license.")
            }
            (&Method::GET, ["drive"]) => match &user.drive {
                None => error(404, "itemNotFound", "The drive was not found."),
                Some((drive, _)) => json(200, &value!({ "id": drive, "driveType": "business" })),
            },
            (_, ["authentication", rest @ ..]) => self.route_methods(call, id, rest),
            _ => nothing(),
        }
    }

    fn route_methods(&mut self, call: &Call<'_>, id: &str, rest: &[&str]) -> Response {
        let Some(user) = self.users.get_mut(id) else { return missing(id) };
        match (call.method, rest) {
            (&Method::GET, ["methods"]) => {
                let password = value!({ "@odata.type": "#microsoft.graph.passwordAuthenticationMethod",
                                        "id": "28c10230-6103-485e-b985-444c60001490" });
                let methods = user.methods.iter().map(|(id, kind)| {
                    value!({ "@odata.type": format!("#microsoft.graph.{kind}AuthenticationMethod"), "id": id })
                });
                let all: Vec<Value> = std::iter::once(password).chain(methods).collect();
                json(200, &value!({ "value": all }))
            }
            (&Method::DELETE, [segment, method]) => {
                let kind = METHODS.iter().find(|(_, it)| it == segment).map(|(kind, _)| *kind);
                match (kind, user.methods.get(*method)) {
                    (Some(kind), Some(known)) if known == kind => {
                        if user.default_method.as_deref() == Some(*method) && user.methods.len() > 1
                        {
                            let text = "Cannot delete default method with other methods configured. \
                                        Please change default method before deletion.";
                            return error(400, "badRequest", text);
                        }
                        user.methods.remove(*method);
                        self.wrote(id, false, call.now);
                        done()
                    }
                    _ => missing(method),
                }
            }
            _ => nothing(),
        }
    }

    fn update_user(&mut self, call: &Call<'_>, id: &str) -> Response {
        let sensitive = ["accountEnabled", "mobilePhone", "otherMails", "passwordProfile"];
        if self.protected(id) && sensitive.iter().any(|it| !call.body[it].is_null()) {
            return denied();
        }
        if self.synced(id) {
            return mastered();
        }
        if let Some(upn) = call.body["userPrincipalName"].as_str()
            && let Some(refused) = self.taken(upn, Some(id))
        {
            return refused;
        }
        let Some(user) = self.users.get_mut(id) else { return missing(id) };
        let before = user.clone();
        for (name, it) in call.body.as_object().into_iter().flatten() {
            if it.is_null() {
                user.body.remove(name);
            } else if name != "passwordProfile" {
                user.body.insert(name.clone(), it.clone());
            }
        }
        if *user != before {
            self.wrote(id, false, call.now);
        }
        done()
    }

    pub(super) fn delete_user(&mut self, id: &str, now: DateTime<Utc>) {
        if let Some(user) = self.users.remove(id) {
            self.deleted.insert(id.to_owned(), (user, now));
            self.unlink(id);
            self.wrote(id, true, now);
        }
    }

    fn route_deleted(&mut self, call: &Call<'_>, id: &str, rest: &[&str]) -> Response {
        let month = TimeDelta::days(30);
        self.deleted.retain(|_, (_, at)| *at + month > call.now);
        let Some((user, _)) = self.deleted.get(id).cloned() else { return missing(id) };
        match (call.method, rest) {
            (&Method::GET, []) => json(200, &self.shown(id, &user, call.query)),
            (&Method::DELETE, []) => {
                self.deleted.remove(id);
                done()
            }
            (&Method::POST, ["restore"]) => {
                self.deleted.remove(id);
                self.users.insert(id.to_owned(), user.clone());
                self.wrote(id, false, call.now);
                json(200, &self.shown(id, &user, call.query))
            }
            _ => nothing(),
        }
    }

    fn assign(&mut self, call: &Call<'_>, id: &str) -> Response {
        let (Some(add), Some(remove)) =
            (call.body["addLicenses"].as_array(), call.body["removeLicenses"].as_array())
        else {
            return error(
                400,
                "Request_BadRequest",
                "One or more parameters of the operation 'assignLicense' are missing.",
            );
        };
        let add: Vec<&str> = add.iter().filter_map(|it| it["skuId"].as_str()).collect();
        let remove: BTreeSet<&str> = remove.iter().filter_map(Value::as_str).collect();
        let Some(user) = self.users.get(id) else { return missing(id) };
        if !add.is_empty() && !user.body.contains_key("usageLocation") {
            return error(
                400,
                "Request_BadRequest",
                "License assignment cannot be done for user with invalid usage location.",
            );
        }
        for sku in add.iter().chain(&remove) {
            if !self.skus.contains_key(*sku) {
                let text = format!("License {sku} does not correspond to a valid company License.");
                return error(400, "Request_BadRequest", &text);
            }
        }
        for sku in &remove {
            if !user.licences.contains(*sku) {
                let by_group = self
                    .groups
                    .values()
                    .any(|it| it.members.contains(id) && it.licences.contains(*sku));
                let text = if by_group {
                    "User license is inherited from a group membership and it cannot be removed directly from the user."
                } else {
                    "User does not have a corresponding license."
                };
                return error(400, "Request_BadRequest", text);
            }
        }
        for sku in &add {
            let used = self.users.values().filter(|it| it.licences.contains(*sku)).count();
            let seats = self.skus.get(*sku).map_or(0, |it| it.seats);
            if !user.licences.contains(*sku) && used >= seats {
                let text =
                    format!("Subscription with SKU {sku} does not have any available licenses.");
                return error(400, "Request_BadRequest", &text);
            }
        }
        let add: Vec<String> = add.into_iter().map(str::to_owned).collect();
        if let Some(user) = self.users.get_mut(id) {
            user.licences.retain(|it| !remove.contains(it.as_str()));
            user.licences.extend(add);
        }
        self.wrote(id, false, call.now);
        match self.users.get(id) {
            Some(user) => json(200, &self.shown(id, user, call.query)),
            None => missing(id),
        }
    }

    /// Users that changed since a token; without one, all.
    fn delta(&self, call: &Call<'_>) -> Response {
        self.delta_of(
            call,
            "users",
            || self.shown_users.iter().map(|(id, user)| self.shown(id, user, call.query)).collect(),
            |event, select| match event {
                Event::User(id, _, fields) => match self.users.get(id) {
                    Some(user) => {
                        let told = select.split(',').any(|it| fields.contains(it));
                        let query = [("$select".to_owned(), select.to_owned())].into();
                        (told || select.is_empty()).then(|| self.shown(id, user, &query))
                    }
                    None => Some(value!({ "id": id, "@removed": { "reason": "deleted" } })),
                },
                Event::Member(..) => None,
            },
        )
    }

    /// A delta query. Its tokens live for seven days.
    pub(super) fn delta_of(
        &self,
        call: &Call<'_>,
        what: &str,
        all: impl FnOnce() -> Vec<Value>,
        row: impl Fn(&Event, &str) -> Option<Value>,
    ) -> Response {
        let end = self.log_start + self.log.len();
        // The token remembers what was selected.
        let asked = call.query.get("$select").map(|it| it.replace(' ', "")).unwrap_or_default();
        let answer = |rows: Vec<Value>, select: &str| {
            let token = format!("{end}.{}.{}", call.now.timestamp(), encode(select));
            let link = format!("{}/v1.0/{what}/delta()?$deltatoken={token}", call.host);
            json(
                200,
                &value!({ "@odata.context": format!("{}/v1.0/$metadata#{what}", call.host),
                                "value": rows, "@odata.deltaLink": link }),
            )
        };
        let lost = || {
            error(
                400,
                "syncStateNotFound",
                "The sync state generation is not found; a full sync is needed.",
            )
        };
        match call.query.get("$deltatoken").map(String::as_str) {
            Some("latest") => answer(Vec::new(), &asked),
            None => answer(all(), &asked),
            Some(token) => {
                let parts = token.split_once('.').and_then(|(from, rest)| {
                    let (at, select) = rest.split_once('.')?;
                    let at = DateTime::<Utc>::from_timestamp(at.parse().ok()?, 0)?;
                    Some((from.parse::<usize>().ok()?, at, select))
                });
                let Some((from, at, select)) = parts else { return lost() };
                if at + TimeDelta::days(7) < call.now || from > end || from < self.log_start {
                    return lost();
                }
                let log = self.log.iter().skip(from - self.log_start);
                answer(log.filter_map(|it| row(it, select)).collect(), select)
            }
        }
    }
}
