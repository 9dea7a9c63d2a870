//! Users and their credentials.

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Map, Value, json as value};

use super::reports::taken;
use super::{Google, Request, Response, User, done, error, json, missing, nothing, query, time};

/// What an administrator can write on a user, as far as this fake keeps it.
const WRITABLE: [&str; 13] = [
    "primaryEmail",
    "name",
    "organizations",
    "relations",
    "externalIds",
    "phones",
    "locations",
    "addresses",
    "keywords",
    "orgUnitPath",
    "recoveryEmail",
    "recoveryPhone",
    "changePasswordAtNextLogin",
];

/// Lists of at most 2 KB.
const LISTS: [&str; 7] =
    ["organizations", "relations", "externalIds", "phones", "locations", "addresses", "keywords"];

impl User {
    /// The primary address.
    #[must_use]
    pub fn email(&self) -> &str {
        self.profile.get("primaryEmail").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether somebody can sign in.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.suspended && !self.archived
    }
}

impl Google {
    /// A user as calls show it.
    pub(super) fn shown(&self, id: &str, user: &User) -> Value {
        let mut shown = user.profile.clone();
        shown.remove("password");
        let epoch = DateTime::UNIX_EPOCH;
        let own = value!({
            "kind": "admin#directory#user", "id": id, "etag": format!("\"{}\"", user.updated.timestamp_millis()),
            "suspended": user.suspended, "archived": user.archived, "isAdmin": false, "isDelegatedAdmin": false,
            "isEnrolledIn2Sv": user.enrolled, "isEnforcedIn2Sv": self.quirks.enforces_2sv,
            "isMailboxSetup": user.mailbox.is_some(), "customerId": "C01",
            "creationTime": time(user.created), "lastLoginTime": time(user.last_login.unwrap_or(epoch)),
        });
        if let Value::Object(own) = own {
            shown.extend(own);
        }
        if user.suspended {
            shown.insert("suspensionReason".into(), "ADMIN".into());
        }
        if !user.aliases.is_empty() {
            shown.insert("aliases".into(), user.aliases.iter().map(String::as_str).collect());
        }
        shown.entry("orgUnitPath").or_insert_with(|| "/".into());
        Value::Object(shown)
    }

    /// The user that a key names, or how Google says that there is none.
    fn named(&self, key: &str) -> Result<String, Box<Response>> {
        if let Some(id) = self.user_id(key) {
            return Ok(id);
        }
        if self.deleted.iter().any(|(id, (user, _))| id == key || user.email() == key) {
            return Err(Box::new(error(400, "badRequest", "Type not supported: userKey")));
        }
        if self.quirks.foreign_is_403 && self.is_foreign(key) {
            let text = "Not Authorized to access this resource/api";
            return Err(Box::new(error(403, "forbidden", text)));
        }
        Err(Box::new(missing("userKey")))
    }

    /// Whether an address is of a domain that no administrator is of.
    fn is_foreign(&self, key: &str) -> bool {
        let domain = |it: &str| it.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        let theirs = domain(key);
        theirs.is_some() && !self.admins.iter().any(|admin| domain(admin) == theirs)
    }

    pub(super) fn route_users(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let method = request.method();
        match (method, rest) {
            (&Method::GET, []) => return self.list_users(request, now),
            (&Method::POST, []) => return self.insert_user(request, body, now),
            (&Method::POST, [key, "undelete"]) => return self.undelete(key, now),
            _ => {}
        }
        let [key, rest @ ..] = rest else { return nothing() };
        let id = match self.named(key) {
            Ok(id) => id,
            Err(refused) => return *refused,
        };
        let young = self
            .users
            .get(&id)
            .is_some_and(|it| it.created + TimeDelta::milliseconds(self.quirks.creation_ms) > now);
        if young && method != Method::GET && self.quirks.creation_ms > 0 {
            return error(412, "conditionNotMet", "User creation is not complete.");
        }
        match (method, rest) {
            (&Method::PUT | &Method::PATCH, []) => self.update_user(&id, body, now),
            (&Method::DELETE, []) => {
                self.delete_user(&id, now);
                done()
            }
            _ => {
                let response = self.route_credentials(request, &id, rest);
                if let (Some(name), true) = (taken(method, rest), response.status().is_success()) {
                    let email = self.users.get(&id).map(|it| it.email().to_owned());
                    self.happened_to(name, &email.unwrap_or_default(), now);
                }
                response
            }
        }
    }

    fn route_credentials(&mut self, request: &Request, id: &str, rest: &[&str]) -> Response {
        let enforced = self.quirks.enforces_2sv;
        let shown = self.users.get(id).map(|user| self.shown(id, user));
        let Some(user) = self.users.get_mut(id) else { return missing("userKey") };
        let list = |kind: &str, items: Vec<Value>| {
            let body = match items.is_empty() {
                true => value!({ "kind": kind, "etag": "\"e\"" }),
                false => value!({ "kind": kind, "etag": "\"e\"", "items": items }),
            };
            json(200, &body)
        };
        match (request.method(), rest) {
            (&Method::GET, []) => json(200, &shown.unwrap_or_default()),
            (&Method::POST, ["signOut"]) => {
                user.sessions = 0;
                done()
            }
            (&Method::POST, ["twoStepVerification", "turnOff"]) => {
                if !user.enrolled {
                    let text = "This user is not enrolled in 2-Step Verification";
                    return error(400, "invalid", text);
                }
                if enforced {
                    let text = "This user is required by admin policy to have 2-Step Verification";
                    return error(400, "invalid", text);
                }
                user.enrolled = false;
                done()
            }
            (_, ["verificationCodes", ..]) if !user.is_live() => {
                error(400, "invalid", "User is suspended")
            }
            (&Method::GET, ["verificationCodes"]) => {
                let codes = (0..user.codes).map(|n| {
                    value!({ "kind": "admin#directory#verificationCode", "etag": "\"e\"",
                             "userId": id, "verificationCode": format!("{n:08}") })
                });
                list("admin#directory#verificationCodesList", codes.collect())
            }
            (&Method::POST, ["verificationCodes", "invalidate"]) => {
                user.codes = 0;
                done()
            }
            (&Method::POST, ["verificationCodes", "generate"]) => {
                user.codes = 10;
                done()
            }
            (&Method::GET, ["tokens"]) => {
                let tokens = user.tokens.iter().map(|client| {
                    value!({ "kind": "admin#directory#token", "etag": "\"e\"", "clientId": client,
                             "displayText": client, "anonymous": false, "nativeApp": false,
                             "userKey": id, "scopes": ["https://mail.google.com/"] })
                });
                list("admin#directory#tokenList", tokens.collect())
            }
            (&Method::DELETE, ["tokens", client]) => {
                if user.tokens.remove(*client) {
                    done()
                } else {
                    missing("clientId")
                }
            }
            (&Method::GET, ["asps"]) => {
                let asps = user.asps.iter().map(|code| {
                    value!({ "kind": "admin#directory#asp", "etag": "\"e\"", "codeId": code,
                             "name": "mail", "creationTime": "0", "lastTimeUsed": "0", "userKey": id })
                });
                list("admin#directory#aspList", asps.collect())
            }
            (&Method::DELETE, ["asps", code]) => {
                let code = code.parse::<i32>().unwrap_or_default();
                if user.asps.remove(&code) { done() } else { missing("codeId") }
            }
            (&Method::GET, ["aliases"]) => {
                let aliases = user
                    .aliases
                    .iter()
                    .map(|it| value!({ "kind": "admin#directory#alias", "id": id, "alias": it }));
                json(
                    200,
                    &value!({ "kind": "admin#directory#aliases", "aliases": aliases.collect::<Value>() }),
                )
            }
            (&Method::DELETE, ["aliases", alias]) => {
                if user.aliases.remove(*alias) {
                    done()
                } else {
                    missing("alias")
                }
            }
            _ => nothing(),
        }
    }

    fn list_users(&self, request: &Request, now: DateTime<Utc>) -> Response {
        let query = query(request);
        if query.get("customer").is_none_or(|it| it != "my_customer") {
            return error(400, "badRequest", "Bad Request");
        }
        let rows: Vec<(String, Value)> = if query.get("showDeleted").is_some_and(|it| it == "true")
        {
            let deleted = self.deleted.iter().map(|(id, (user, at))| {
                let mut shown = self.shown(id, user);
                if let Value::Object(shown) = &mut shown {
                    shown.insert("deletionTime".into(), time(*at).into());
                }
                (id.clone(), shown)
            });
            deleted.collect()
        } else {
            let wanted = match query.get("query").map(|it| condition(it)) {
                None => None,
                Some(Some(condition)) => Some(condition),
                Some(None) => return error(400, "invalid", "Invalid Input: query"),
            };
            let lag = TimeDelta::milliseconds(self.quirks.search_lag_ms);
            let hits = self.users.iter().filter(|(_, user)| match &wanted {
                None => true,
                Some((field, text)) => user.updated + lag <= now && user.has(field, text),
            });
            hits.map(|(id, user)| (id.clone(), self.shown(id, user))).collect()
        };
        self.page(request, ("admin#directory#users", "users"), rows, (100, 500))
    }

    /// Whether an address is somebody's.
    fn taken(&self, email: &str, except: Option<&str>) -> bool {
        let has = |user: &User| {
            user.email().eq_ignore_ascii_case(email)
                || user.aliases.iter().any(|it| it.eq_ignore_ascii_case(email))
        };
        self.users.iter().any(|(id, user)| Some(id.as_str()) != except && has(user))
            || self.groups.values().any(|group| group.email.eq_ignore_ascii_case(email))
    }

    fn insert_user(&mut self, request: &Request, body: &Value, now: DateTime<Utc>) -> Response {
        let text =
            |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        for (pointer, name) in [
            ("/primaryEmail", "primary_user_email"),
            ("/name/givenName", "given_name"),
            ("/name/familyName", "family_name"),
            ("/password", "password"),
        ] {
            if text(pointer).is_empty() {
                return error(400, "invalid", &format!("Invalid {name}"));
            }
        }
        let email = text("/primaryEmail").to_owned();
        if !email.contains('@') || text("/password").len() < 8 {
            return error(400, "invalid", "Invalid Input");
        }
        if self.taken(&email, None) {
            return error(409, "duplicate", "Entity already exists.");
        }
        if self.unmanaged.contains(&email) {
            let invites =
                query(request).get("resolveConflictAccount").is_some_and(|it| it == "true");
            if invites {
                let invited = value!({ "kind": "admin#directory#user", "primaryEmail": email });
                return json(202, &invited);
            }
            return error(409, "duplicate", "Entity already exists.");
        }
        let mut profile = Map::new();
        if let Err(refused) = write(&mut profile, body) {
            return *refused;
        }
        self.made += 1;
        let id = self.add_user(profile, now);
        if let Some(user) = self.users.get_mut(&id) {
            user.suspended = body["suspended"] == true;
        }
        json(200, &self.users.get(&id).map(|user| self.shown(&id, user)).unwrap_or_default())
    }

    fn update_user(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Response {
        if let Some(email) = body["primaryEmail"].as_str() {
            if self.taken(email, Some(id)) || self.unmanaged.contains(email) {
                return error(409, "duplicate", "Entity already exists.");
            }
            if !email.contains('@') {
                return error(400, "invalid", "Invalid Input: primary_user_email");
            }
        }
        let archived = self.users.values().filter(|it| it.archived).count();
        let full = self.archive_seats.is_some_and(|seats| archived >= seats);
        let Some(user) = self.users.get_mut(id) else { return missing("userKey") };
        if body["archived"] == true && !user.archived && full {
            let text = "Insufficient Archived User licenses";
            return error(412, "insufficientArchivedUserLicenses", text);
        }
        let old = user.email().to_owned();
        let before = (user.profile.clone(), user.suspended, user.archived);
        if let Err(refused) = write(&mut user.profile, body) {
            return *refused;
        }
        let email = user.email().to_owned();
        if email != old {
            user.aliases.remove(&email);
            user.aliases.insert(old);
        }
        if let Some(suspended) = body["suspended"].as_bool() {
            user.suspended = suspended;
        }
        if let Some(archived) = body["archived"].as_bool() {
            user.archived = archived;
        }
        if !user.is_live() {
            user.sessions = 0;
        }
        user.updated = now;
        self.updated(id, (&before.0, before.1, before.2), now);
        json(200, &self.users.get(id).map(|user| self.shown(id, user)).unwrap_or_default())
    }

    /// Deletes a user, as a call would.
    pub fn delete_user(&mut self, id: &str, now: DateTime<Utc>) {
        let Some(mut user) = self.users.remove(id) else { return };
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        for sku in self.skus.values_mut() {
            sku.users.remove(id);
        }
        self.assignments.retain(|_, it| it.user != id);
        // What was not handed over is lost.
        user.files.clear();
        self.happened_to("DELETE_USER", user.email(), now);
        self.deleted.insert(id.to_owned(), (user, now));
    }

    fn undelete(&mut self, key: &str, now: DateTime<Utc>) -> Response {
        let Some((user, at)) = self.deleted.remove(key) else { return missing("userKey") };
        if self.taken(user.email(), None) {
            self.deleted.insert(key.to_owned(), (user, at));
            return error(409, "duplicate", "Entity already exists.");
        }
        self.happened_to("UNDELETE_USER", user.email(), now);
        self.users.insert(key.to_owned(), user);
        done()
    }
}

impl User {
    /// Whether a search for a value of a field finds the user.
    fn has(&self, field: &str, text: &str) -> bool {
        match field {
            "email" => self.email() == text || self.aliases.contains(text),
            "externalId" => {
                let all = self.profile.get("externalIds").and_then(Value::as_array);
                all.into_iter().flatten().any(|it| it["value"] == text)
            }
            _ => false,
        }
    }
}

/// `field=value` or `field='value'`.
fn condition(text: &str) -> Option<(String, String)> {
    let (field, wanted) = text.split_once('=')?;
    let wanted = match wanted.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\'')?.replace("\\'", "'").replace("\\\\", "\\"),
        None if wanted.contains(' ') => return None,
        None => wanted.to_owned(),
    };
    Some((field.to_owned(), wanted))
}

/// Writes what a body names: objects are merged, lists replaced, and nothing or an empty text clears.
fn write(profile: &mut Map<String, Value>, body: &Value) -> Result<(), Box<Response>> {
    for (name, given) in body.as_object().into_iter().flatten() {
        if !WRITABLE.contains(&name.as_str()) {
            continue;
        }
        if LISTS.contains(&name.as_str()) {
            if !given.is_null() && !given.is_array() {
                return Err(Box::new(error(400, "invalid", &format!("Invalid Input: {name}"))));
            }
            if given.to_string().len() > 2_048 {
                return Err(Box::new(error(
                    400,
                    "invalid",
                    &format!("Invalid Input: {name} is too long"),
                )));
            }
        }
        let empty = given.is_null()
            || given.as_str().is_some_and(str::is_empty)
            || given.as_array().is_some_and(Vec::is_empty);
        if empty {
            profile.remove(name);
            continue;
        }
        match (profile.get_mut(name), given) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new.clone()),
            _ => {
                profile.insert(name.clone(), given.clone());
            }
        }
    }
    Ok(())
}
