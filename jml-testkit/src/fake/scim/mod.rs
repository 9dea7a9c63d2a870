//! SCIM 2.0 (RFC 7643, RFC 7644, cursors of RFC 9865) under `/scim/v2`: users with the enterprise
//! extension, groups, discovery, filters, PATCH, bulk, entity tags, both ways of paging.
//!
//! What real servers do otherwise is a switch ([`Quirks`]): which of the two ways of taking a member out of
//! a group they understand, whether PATCH answers with the resource, whether `active` is a text, whether
//! deleting only deactivates, whether filters are looked at, how much a listing says of what it leaves out.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

mod patch;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json as value};

use super::filter::{Filter, member};
use super::token::bearer;
use super::{FakeApi, Quirk, Request, Response, origin, query, respond, segments};

/// The state of a server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scim {
    /// Tokens that are accepted.
    pub tokens: BTreeSet<String>,
    /// Users by id.
    pub users: BTreeMap<String, Resource>,
    /// Groups by id.
    pub groups: BTreeMap<String, Resource>,
    /// How it differs from the book.
    pub quirks: Quirks,
    quirk: Option<Quirk>,
    next: u32,
}

/// A resource, and when it was what.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Resource {
    /// Its attributes, without `id` and `meta`.
    pub body: Map<String, Value>,
    /// Grows with each change.
    pub version: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

/// Which way of taking members out of a group a server understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two, and both")]
pub enum Removal {
    /// Both.
    #[default]
    Both,
    /// `path: members[value eq "..."]` (RFC 7644). A `value` beside the path `members` is not looked at,
    /// so that everybody goes.
    Path,
    /// `path: members` with the members as `value`. A path with a filter is refused.
    Value,
}

/// What becomes of filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, and not even looked at")]
pub enum Filters {
    /// They are understood.
    #[default]
    Understood,
    /// They are said to be, and not looked at: everybody matches.
    Ignored,
    /// They are refused, and not advertised.
    Refused,
}

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, clippy::struct_excessive_bools, reason = "switches of a fake")]
pub struct Quirks {
    /// How members are taken out of groups.
    pub removal: Removal,
    /// PATCH answers 204 and no resource.
    pub patch_says_nothing: bool,
    /// `active` is shown as `"True"` and `"False"`.
    pub active_as_text: bool,
    /// DELETE of a user deactivates it.
    pub delete_deactivates: bool,
    /// Users show which groups they are in.
    pub users_show_groups: bool,
    /// Pages can be asked for by cursor (RFC 9865).
    pub cursors: bool,
    /// PATCH is supported; without it, there is only PUT.
    pub patch: bool,
    /// `/Bulk` is supported.
    pub bulk: bool,
    /// Entity tags are checked.
    pub etags: bool,
    /// Filters on groups by member are understood.
    pub member_filters: bool,
    /// The most rows of a page.
    pub most: usize,
    /// What becomes of filters, on users and groups.
    pub filters: Filters,
    /// Users show an empty list of groups, whatever they are in.
    pub empty_groups: bool,
    /// Listings say of how many they are.
    pub totals: bool,
    /// Pages by number after the first one are empty.
    pub hollow: bool,
    /// Cursors are advertised, and not looked at.
    pub cursors_ignored: bool,
    /// `/Bulk` is advertised, and is not there.
    pub bulk_missing: bool,
    /// The largest bulk request, in bytes.
    pub bulk_bytes: usize,
    /// Answers to bulk requests carry the names of their operations.
    pub bulk_names: bool,
    /// Answers to bulk requests come last operation first.
    pub bulk_backwards: bool,
    /// The server says whether it has PATCH.
    pub says_patch: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            removal: Removal::Both,
            patch_says_nothing: false,
            active_as_text: false,
            delete_deactivates: false,
            users_show_groups: true,
            cursors: true,
            patch: true,
            bulk: true,
            etags: true,
            member_filters: true,
            most: 100,
            filters: Filters::Understood,
            empty_groups: false,
            totals: true,
            hollow: false,
            cursors_ignored: false,
            bulk_missing: false,
            bulk_bytes: 1_048_576,
            bulk_names: true,
            bulk_backwards: false,
            says_patch: true,
        }
    }
}

/// What is wrong with a request: status, `scimType`, words.
type Wrong = (u16, &'static str, String);

const BASE: &[&str] = &["scim", "v2"];
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "Users" => Some(Self::User),
            "Groups" => Some(Self::Group),
            _ => None,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

impl Scim {
    /// A server with one accepted token and these groups, whose ids are `g-` and the name.
    #[must_use]
    pub fn new(token: &str, groups: &[&str], now: DateTime<Utc>) -> Self {
        let mut scim = Self { tokens: [token.to_owned()].into(), ..Self::default() };
        for name in groups {
            let body = value!({ "schemas": [GROUP], "displayName": name, "members": [] });
            let body = body.as_object().cloned().unwrap_or_default();
            let group = Resource { body, version: 1, created: now, modified: now };
            scim.groups.insert(format!("g-{name}"), group);
        }
        scim
    }

    /// Makes a user, or replaces the one with this id; the answer is the id.
    pub fn put_user(&mut self, id: Option<&str>, body: &Value, now: DateTime<Utc>) -> String {
        let id = match id {
            Some(id) => id.to_owned(),
            None => self.id(),
        };
        let known = self.users.get(&id);
        let (version, created) = known.map_or((1, now), |it| (it.version + 1, it.created));
        let body = body.as_object().cloned().unwrap_or_default();
        self.users.insert(id.clone(), Resource { body, version, created, modified: now });
        id
    }

    /// Takes a user away, from groups too.
    pub fn forget_user(&mut self, id: &str) {
        self.users.remove(id);
        for group in self.groups.values_mut() {
            if let Some(Value::Array(members)) = group.body.get_mut("members") {
                members.retain(|it| it["value"] != id);
            }
        }
    }

    /// Who is in a group.
    #[must_use]
    pub fn members(&self, group: &str) -> BTreeSet<String> {
        let members = self.groups.get(group).and_then(|it| it.body.get("members"));
        let members = members.and_then(Value::as_array).into_iter().flatten();
        members.filter_map(|it| it["value"].as_str().map(str::to_owned)).collect()
    }

    /// Puts somebody into a group, or takes them out, as another administrator would.
    pub fn set_member(&mut self, group: &str, user: &str, is: bool) {
        let has = self.members(group).contains(user);
        let Some(group) = self.groups.get_mut(group) else { return };
        let members = group.body.entry("members").or_insert_with(|| value!([]));
        if let Some(members) = members.as_array_mut().filter(|_| has != is) {
            members.retain(|it| it["value"] != user);
            if is {
                members.push(value!({ "value": user, "type": "User" }));
            }
            group.version += 1;
        }
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("{:08x}-0000-4000-8000-000000000000", self.next)
    }

    const fn all(&self, kind: Kind) -> &BTreeMap<String, Resource> {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    const fn all_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, Resource> {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }

    /// A resource as it is shown.
    fn shown(&self, kind: Kind, id: &str, resource: &Resource, host: &str) -> Value {
        let mut body = resource.body.clone();
        body.remove("password");
        body.insert("id".into(), id.into());
        let location = format!("{host}/scim/v2/{}/{id}", kind.path());
        let mut meta = value!({
            "resourceType": kind.title(), "created": time(resource.created),
            "lastModified": time(resource.modified), "location": location,
        });
        if self.quirks.etags {
            meta["version"] = tag(resource.version).into();
        }
        body.insert("meta".into(), meta);
        if kind == Kind::User {
            body.remove("groups");
            if self.quirks.empty_groups {
                body.insert("groups".into(), value!([]));
            } else if self.quirks.users_show_groups {
                let mine = self.groups.keys().filter(|group| self.members(group).contains(id));
                let mine: Vec<Value> = mine
                    .map(|group| {
                        let name = self.groups.get(group).and_then(|it| it.body.get("displayName"));
                        value!({ "value": group, "display": name, "type": "direct",
                                 "$ref": format!("{host}/scim/v2/Groups/{group}") })
                    })
                    .collect();
                if !mine.is_empty() {
                    body.insert("groups".into(), mine.into());
                }
            }
            if self.quirks.active_as_text
                && let Some(Value::Bool(active)) = body.get("active").cloned()
            {
                let text = if active { "True" } else { "False" };
                body.insert("active".into(), text.into());
            }
        }
        Value::Object(body)
    }

    fn route(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Response, Wrong> {
        let parts = segments(request);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some(rest) = parts.strip_prefix(BASE) else { return Err(nothing()) };
        let body = body(request)?;
        let host = origin(request);
        let method = request.method();
        match rest {
            ["ServiceProviderConfig" | "Schemas" | "ResourceTypes", ..]
                if *method != Method::GET =>
            {
                Err((405, "", "it is only read".to_owned()))
            }
            ["ServiceProviderConfig"] => Ok(scim(200, &self.config(&host))),
            ["Schemas" | "ResourceTypes", tail @ ..] => {
                if query(request).contains_key("filter") {
                    return Err((403, "", "it is not filtered".to_owned()));
                }
                self.described(rest, tail, &host)
            }
            [".search"] | ["Users" | "Groups", ".search"] if *method == Method::POST => {
                let kinds = match rest.first().and_then(|it| Kind::named(it)) {
                    Some(kind) => vec![kind],
                    // At the root, everything is searched.
                    None => vec![Kind::User, Kind::Group],
                };
                let asked = body.as_object().cloned().unwrap_or_default();
                let asked = asked.into_iter().map(|(name, it)| {
                    let text = match it {
                        Value::String(text) => text,
                        Value::Array(all) => {
                            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
                            all.join(",")
                        }
                        other => other.to_string(),
                    };
                    (name, text)
                });
                self.list(&kinds, &asked.collect(), &host)
            }
            ["Bulk"]
                if *method == Method::POST && self.quirks.bulk && !self.quirks.bulk_missing =>
            {
                self.bulk(request, &body, now)
            }
            [kind] => {
                let kind = Kind::named(kind).ok_or_else(nothing)?;
                match *method {
                    Method::GET => self.list(&[kind], &query(request), &host),
                    Method::POST => self.create(kind, &body, &host, now),
                    _ => Err((405, "", "no such method here".to_owned())),
                }
            }
            [kind, id] => {
                let kind = Kind::named(kind).ok_or_else(nothing)?;
                self.one(kind, id, request, &body, now)
            }
            _ => Err(nothing()),
        }
    }

    fn described(&self, rest: &[&str], tail: &[&str], host: &str) -> Result<Response, Wrong> {
        let all = if rest.first() == Some(&"Schemas") {
            schemas::schemas(host)
        } else {
            schemas::resource_types(host)
        };
        match tail {
            [] => Ok(scim(200, &listing(&all, all.len()))),
            [name] => {
                let hit = all.iter().find(|it| it["id"] == *name);
                hit.map(|it| scim(200, it)).ok_or_else(nothing)
            }
            _ => Err(nothing()),
        }
    }

    fn config(&self, host: &str) -> Value {
        let on = |it: bool| value!({ "supported": it });
        let mut config = value!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": on(self.quirks.patch),
            "bulk": { "supported": self.quirks.bulk, "maxOperations": 100,
                      "maxPayloadSize": self.quirks.bulk_bytes },
            "filter": { "supported": self.quirks.filters != Filters::Refused,
                        "maxResults": self.quirks.most },
            "changePassword": on(false), "sort": on(true), "etag": on(self.quirks.etags),
            "authenticationSchemes": [{
                "type": "oauthbearertoken", "name": "Bearer", "description": "A bearer token",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750", "primary": true,
            }],
            "meta": { "resourceType": "ServiceProviderConfig",
                      "location": format!("{host}/scim/v2/ServiceProviderConfig") },
        });
        if !self.quirks.says_patch
            && let Some(config) = config.as_object_mut()
        {
            config.remove("patch");
        }
        if self.quirks.cursors {
            config["pagination"] = value!({
                "cursor": true, "index": true, "defaultPaginationMethod": "index",
                "defaultPageSize": self.quirks.most, "maxPageSize": self.quirks.most,
            });
        }
        config
    }

    fn list(
        &self,
        kinds: &[Kind],
        asked: &BTreeMap<String, String>,
        host: &str,
    ) -> Result<Response, Wrong> {
        let filter = match asked.get("filter") {
            None => None,
            Some(_) if self.quirks.filters == Filters::Ignored => None,
            Some(text) if self.quirks.filters == Filters::Refused => {
                return Err((400, "invalidFilter", format!("`{text}`: there are no filters")));
            }
            Some(text)
                if kinds == [Kind::Group]
                    && text.contains("members")
                    && !self.quirks.member_filters =>
            {
                return Err((400, "invalidFilter", format!("`{text}` is not supported")));
            }
            Some(text) => Some(
                Filter::parse(text)
                    .ok_or_else(|| (400, "invalidFilter", format!("`{text}` is no filter")))?,
            ),
        };
        let number = |name: &str| -> Result<Option<i64>, Wrong> {
            let text = asked.get(name);
            text.map(|it| {
                it.parse().map_err(|_| (400, "invalidValue", format!("{name} is no number")))
            })
            .transpose()
        };
        let mut rows: Vec<(&String, Value)> = kinds
            .iter()
            .flat_map(|kind| self.all(*kind).iter().map(|it| (*kind, it)))
            .map(|(kind, (id, it))| (id, self.shown(kind, id, it, host)))
            .filter(|(_, it)| filter.as_ref().is_none_or(|filter| filter.holds(it)))
            .collect();
        if let Some(by) = asked.get("sortBy") {
            let key = |it: &Value| {
                member(it, by).map(ToString::to_string).unwrap_or_default().to_lowercase()
            };
            rows.sort_by_key(|(_, it)| key(it));
            if asked.get("sortOrder").is_some_and(|it| it == "descending") {
                rows.reverse();
            }
        }
        let total = rows.len();
        let count = number("count")?.unwrap_or(100).max(0);
        let count = usize::try_from(count).unwrap_or(0).min(self.quirks.most);
        let by_cursor = asked.contains_key("cursor") && !self.quirks.cursors_ignored;
        if by_cursor && !self.quirks.cursors {
            return Err((400, "invalidValue", "cursors are not supported".to_owned()));
        }
        let start = number("startIndex")?.unwrap_or(1).max(1);
        let mut start = usize::try_from(start).unwrap_or(1) - 1;
        if let Some(cursor) = asked.get("cursor").filter(|it| by_cursor && !it.is_empty()) {
            // A cursor is the last id that was given: deletions move nobody.
            let after = cursor.strip_prefix("c.");
            let after =
                after.ok_or_else(|| (400, "invalidCursor", "no cursor of ours".to_owned()))?;
            start = rows.iter().take_while(|(id, _)| id.as_str() <= after).count();
        }
        let fresh = asked.get("cursor").is_none_or(String::is_empty);
        let empty = fresh && by_cursor && self.quirk == Some(Quirk::EmptyFirstPage);
        let hollow = self.quirks.hollow && !by_cursor && start > 0;
        let take = if empty || hollow { 0 } else { count };
        let last = rows.iter().skip(start).take(take).next_back().map(|(id, _)| (*id).clone());
        let reached = start + rows.iter().skip(start).take(take).count();
        let page: Vec<Value> = rows.into_iter().skip(start).take(take).map(|(_, it)| it).collect();
        let page: Vec<Value> = page.into_iter().map(|it| chosen(it, asked)).collect();
        let mut answer = listing(&page, total);
        if !self.quirks.totals
            && let Some(answer) = answer.as_object_mut()
        {
            answer.remove("totalResults");
        }
        if by_cursor {
            if reached < total {
                let next = match self.quirk {
                    Some(Quirk::RepeatedCursor) if !fresh => {
                        asked.get("cursor").cloned().unwrap_or_default()
                    }
                    _ => format!("c.{}", last.unwrap_or_default()),
                };
                answer["nextCursor"] = next.into();
            }
        } else {
            answer["startIndex"] = (start + 1).into();
        }
        Ok(scim(200, &answer))
    }

    fn create(
        &mut self,
        kind: Kind,
        body: &Value,
        host: &str,
        now: DateTime<Utc>,
    ) -> Result<Response, Wrong> {
        let body = patch::written(kind == Kind::User, body)?;
        self.check(kind, &body, None)?;
        let id = self.id();
        let resource = Resource { body, version: 1, created: now, modified: now };
        let shown = self.shown(kind, &id, &resource, host);
        self.all_mut(kind).insert(id.clone(), resource);
        let mut response = scim(201, &shown);
        let location = format!("{host}/scim/v2/{}/{id}", kind.path());
        header(&mut response, "location", &location);
        if self.quirks.etags {
            header(&mut response, "etag", &tag(1));
        }
        Ok(response)
    }

    /// What a resource must have, and what nobody else may have.
    fn check(
        &self,
        kind: Kind,
        body: &Map<String, Value>,
        except: Option<&str>,
    ) -> Result<(), Wrong> {
        let name = if kind == Kind::User { "userName" } else { "displayName" };
        let given = body.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        let Some(given) = given else {
            return Err((400, "invalidValue", format!("{name} is required")));
        };
        let taken = |(id, it): (&String, &Resource)| {
            let other = it.body.get(name).and_then(Value::as_str);
            Some(id.as_str()) != except && other.is_some_and(|it| it.eq_ignore_ascii_case(given))
        };
        if kind == Kind::User && self.users.iter().any(taken) {
            return Err((409, "uniqueness", format!("{name} `{given}` is taken")));
        }
        Ok(())
    }

    fn one(
        &mut self,
        kind: Kind,
        id: &str,
        request: &Request,
        body: &Value,
        now: DateTime<Utc>,
    ) -> Result<Response, Wrong> {
        let host = origin(request);
        let missing = || (404, "", format!("{} `{id}` does not exist", kind.title()));
        let current = self.all(kind).get(id).cloned().ok_or_else(missing)?;
        let method = request.method();
        let expected = request.headers().get("if-match").and_then(|it| it.to_str().ok());
        let stale = expected.is_some_and(|it| it != "*" && it != tag(current.version));
        if self.quirks.etags && stale && *method != Method::GET {
            return Err((412, "", "the resource has another version".to_owned()));
        }
        let changed = match *method {
            Method::GET => None,
            Method::DELETE => {
                if kind == Kind::User && self.quirks.delete_deactivates {
                    if let Some(user) = self.users.get_mut(id) {
                        user.body.insert("active".into(), false.into());
                    }
                } else if kind == Kind::User {
                    self.forget_user(id);
                } else {
                    self.groups.remove(id);
                }
                return Ok(respond(204, "", ""));
            }
            Method::PUT => Some(patch::written(kind == Kind::User, body)?),
            Method::PATCH if self.quirks.patch => {
                let mut changed = current.body.clone();
                patch::apply(kind == Kind::User, &mut changed, body, self.quirks.removal)?;
                Some(changed)
            }
            Method::PATCH => return Err((501, "", "PATCH is not supported".to_owned())),
            _ => return Err((405, "", "no such method here".to_owned())),
        };
        let resource = match changed {
            None => current,
            Some(body) => {
                self.check(kind, &body, Some(id))?;
                let same = body == current.body;
                let version = if same { current.version } else { current.version + 1 };
                let modified = if same { current.modified } else { now };
                let resource = Resource { body, version, modified, ..current };
                self.all_mut(kind).insert(id.to_owned(), resource.clone());
                resource
            }
        };
        if *method == Method::PATCH && self.quirks.patch_says_nothing {
            return Ok(respond(204, "", ""));
        }
        let shown = chosen(self.shown(kind, id, &resource, &host), &query(request));
        let mut response = scim(200, &shown);
        if self.quirks.etags {
            header(&mut response, "etag", &tag(resource.version));
        }
        Ok(response)
    }

    fn bulk(
        &mut self,
        request: &Request,
        body: &Value,
        now: DateTime<Utc>,
    ) -> Result<Response, Wrong> {
        let operations = body["Operations"].as_array().cloned().unwrap_or_default();
        if operations.len() > 100 || request.body().len() > self.quirks.bulk_bytes {
            return Err((413, "", "too many operations, or too many bytes".to_owned()));
        }
        let most = body["failOnErrors"].as_u64().unwrap_or(u64::MAX);
        let (mut failed, mut answers) = (0, Vec::new());
        let mut made: BTreeMap<String, String> = BTreeMap::new();
        for operation in operations {
            if failed >= most {
                break;
            }
            let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
            let mut data = operation["data"].to_string();
            for (bulk, id) in &made {
                data = data.replace(&format!("bulkId:{bulk}"), id);
            }
            let path = format!("/scim/v2{}", text("path"));
            let mut inner = http::Request::new(if operation["data"].is_null() {
                Vec::new()
            } else {
                data.into_bytes()
            });
            *inner.method_mut() = text("method").to_uppercase().parse().unwrap_or(Method::GET);
            *inner.uri_mut() = path.parse().unwrap_or_default();
            *inner.headers_mut() = request.headers().clone();
            let answer = self.route(&inner, now);
            let mut row = value!({ "method": text("method") });
            if operation["bulkId"].is_string() && self.quirks.bulk_names {
                row["bulkId"] = operation["bulkId"].clone();
            }
            match answer {
                Ok(response) => {
                    row["status"] = response.status().as_u16().to_string().into();
                    let shown: Value = serde_json::from_slice(response.body()).unwrap_or_default();
                    let location = shown.pointer("/meta/location").cloned();
                    row["location"] =
                        location.unwrap_or_else(|| format!("{}{path}", origin(request)).into());
                    if let (Some(bulk), Some(id)) =
                        (operation["bulkId"].as_str(), shown["id"].as_str())
                    {
                        made.insert(bulk.to_owned(), id.to_owned());
                    }
                }
                Err(wrong) => {
                    failed += 1;
                    row["status"] = wrong.0.to_string().into();
                    row["location"] = format!("{}{path}", origin(request)).into();
                    row["response"] = refusal(&wrong);
                }
            }
            answers.push(row);
        }
        if self.quirks.bulk_backwards {
            answers.reverse();
        }
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
        Ok(scim(200, &value!({ "schemas": [schema], "Operations": answers })))
    }
}

impl FakeApi for Scim {
    fn handle(&mut self, request: &Request, now: DateTime<Utc>) -> Response {
        let open = request.uri().path().ends_with("/ServiceProviderConfig");
        let known = bearer(request).is_some_and(|it| self.tokens.contains(it));
        let answer = if known || open {
            self.route(request, now)
        } else {
            Err((401, "", "the token is not known".to_owned()))
        };
        match answer {
            Ok(response) => response,
            Err(wrong) => scim(wrong.0, &refusal(&wrong)),
        }
    }

    fn mutates(&self, request: &Request) -> bool {
        *request.method() != Method::GET && !request.uri().path().ends_with("/.search")
    }

    fn quirk(&mut self, quirk: Quirk) -> bool {
        // It gives no links, so there is none that could lead elsewhere.
        let known = quirk != Quirk::ForeignNextLink;
        if known {
            self.quirk = Some(quirk);
        }
        known
    }
}

fn scim(status: u16, body: &Value) -> Response {
    respond(status, "application/scim+json", body.to_string())
}

/// An error, whose status is a text (RFC 7644 section 3.12).
fn refusal((status, kind, detail): &Wrong) -> Value {
    let mut body = value!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
                            "status": status.to_string(), "detail": detail });
    if !kind.is_empty() {
        body["scimType"] = (*kind).into();
    }
    body
}

fn nothing() -> Wrong {
    (404, "", "there is nothing here".to_owned())
}

fn listing(rows: &[Value], total: usize) -> Value {
    let schema = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
    value!({ "schemas": [schema], "totalResults": total, "itemsPerPage": rows.len(), "Resources": rows })
}

/// What `attributes` and `excludedAttributes` leave of a resource (RFC 7644 section 3.9).
fn chosen(resource: Value, asked: &BTreeMap<String, String>) -> Value {
    let Value::Object(mut map) = resource else { return resource };
    let names = |of: &str| -> Option<BTreeSet<String>> {
        let text = asked.get(of).filter(|it| !it.is_empty())?;
        let first = |it: &str| {
            let it = it.trim();
            let core = it.strip_prefix(USER).or_else(|| it.strip_prefix(GROUP));
            let it = core.and_then(|it| it.strip_prefix(':')).unwrap_or(it);
            if it.to_lowercase().starts_with("urn:") {
                return ENTERPRISE.to_lowercase();
            }
            it.split('.').next().unwrap_or(it).to_lowercase()
        };
        Some(text.split(',').map(first).collect())
    };
    let always = ["id", "schemas"];
    if let Some(names) = names("attributes") {
        map.retain(|name, _| {
            always.contains(&name.as_str()) || names.contains(&name.to_lowercase())
        });
    } else if let Some(names) = names("excludedAttributes") {
        map.retain(|name, _| {
            always.contains(&name.as_str()) || !names.contains(&name.to_lowercase())
        });
    }
    Value::Object(map)
}

fn body(request: &Request) -> Result<Value, Wrong> {
    if request.body().is_empty() {
        return Ok(Value::Null);
    }
    let kind =
        request.headers().get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/scim+json") && !kind.starts_with("application/json") {
        return Err((415, "", "the body is of another type".to_owned()));
    }
    serde_json::from_slice(request.body())
        .map_err(|_| (400, "invalidSyntax", "the body is not JSON".to_owned()))
}

fn header(response: &mut Response, name: &'static str, text: &str) {
    if let Ok(text) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, text);
    }
}

fn tag(version: u32) -> String {
    format!("W/\"{version}\"")
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
