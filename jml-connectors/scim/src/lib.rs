#![doc = include_str!("../README.md")]
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

mod answers;
mod capabilities;
mod requests;

use async_trait::async_trait;
use jml_connector_kit::http::pages;
use jml_connector_kit::{Client, Request, conclude};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdError, KindId, ProviderId};
use jml_core::provider::{
    Applied, Change, Consistency, Cursor, Cx, Descriptor, EntitlementKind, Error, ErrorKind,
    Expect, Health, HoldingRecord, Idempotency, Limits, ListRequest, ListScope, Observation,
    Operation, Outcome, Page, Provider, Result, Row, Target, Verb, VerbSupport,
};
use serde_json::{Map, Value, json};

use answers::{BulkAnswer, Listing, Resource};
pub use capabilities::{Capabilities, MemberRemoval};

/// A SCIM server.
#[derive(Debug)]
pub struct Scim {
    client: Client,
    descriptor: Descriptor,
    able: Capabilities,
    group: KindId,
    /// Without PATCH, a resource is read, changed and written whole: one at a time.
    whole: async_lock::Mutex<()>,
}

impl Scim {
    /// A server at the client's base URL (`https://example.com/scim/v2`), which can do so much.
    ///
    /// # Errors
    /// [`IdError`], never in practice: the kind is a constant.
    pub fn new(
        id: ProviderId,
        client: Client,
        able: Capabilities,
    ) -> std::result::Result<Self, IdError> {
        let group = KindId::new("group")?;
        let needs = |what: &str| VerbSupport::native().with_permission(what);
        let mut descriptor = Descriptor::new(id, "SCIM 2.0", env!("CARGO_PKG_VERSION"))
            .with_kind(group.clone(), EntitlementKind::many("Group"))
            .with_verb(
                Verb::CreateAccount,
                needs("create users").with_idempotency(Idempotency::CheckFirst),
            )
            .with_verbs([Verb::UpdateAccount, Verb::SetStatus], &needs("change users"))
            .with_verbs([Verb::Grant, Verb::Revoke], &needs("change groups"))
            .with_statuses([AccountStatus::Active, AccountStatus::Disabled])
            .reading_with(["read users", "read groups"])
            .with_consistency(Consistency::Immediate)
            .with_limits(Limits::new(4, able.page))
            .listing_wide();
        if able.deletes {
            descriptor = descriptor.with_verb(Verb::DeleteAccount, needs("delete users"));
        }
        if able.etag {
            descriptor = descriptor.checking_versions();
        }
        let client = client.classifying(answers::classify);
        Ok(Self { client, descriptor, able, group, whole: async_lock::Mutex::new(()) })
    }

    /// A server that is asked what it can do.
    ///
    /// # Errors
    /// As [`Capabilities::discover`].
    pub async fn discover(cx: &Cx, id: ProviderId, client: Client) -> Result<Self> {
        let able = Capabilities::discover(cx, &client).await?;
        Self::new(id, client, able).map_err(|e| Error::new(ErrorKind::Configuration, e.to_string()))
    }

    async fn listing(&self, cx: &Cx, request: Request) -> Result<Listing> {
        self.client.fetch::<Listing>(cx, request).await?.checked()
    }

    /// One page, by cursor where the server has them.
    async fn page(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        what: &str,
        size: u32,
        row: impl Fn(Resource) -> Result<Vec<Row>> + Send,
    ) -> Result<Page> {
        let first = requests::list(what);
        let rows = |found: Vec<Resource>| -> Result<Vec<Row>> {
            let rows = found.into_iter().map(&row).collect::<Result<Vec<Vec<Row>>>>()?;
            Ok(rows.into_iter().flatten().collect())
        };
        if self.able.cursor {
            let cursor = asked.cursor.as_ref().map_or("", |Cursor(text)| text.as_str());
            let found = self.listing(cx, first.query("count", size).query("cursor", cursor)).await;
            let found = found.map_err(|error| expired(asked, error))?;
            return pages(rows(found.resources)?, asked, found.next_cursor);
        }
        let place = Place::of(asked)?;
        let (mut found, start) = self.after(cx, &first, &place, size).await?;
        let count = found.resources.len() as u64;
        let more = count > 0 && start - 1 + count < found.total_results;
        let last: Vec<&str> =
            found.resources.iter().rev().take(3).map(|it| it.id.as_str()).collect();
        let next =
            Place { at: start + count, last: last.iter().map(ToString::to_string).collect() };
        let next = more.then(|| next.text());
        pages(rows(std::mem::take(&mut found.resources))?, asked, next)
    }

    /// The rows after a place. Rows that went meanwhile have moved the others towards the beginning, so that
    /// the last rows that were seen are looked for first. Who does not find them begins anew.
    async fn after(
        &self,
        cx: &Cx,
        first: &Request,
        place: &Place,
        size: u32,
    ) -> Result<(Listing, u64)> {
        if place.last.is_empty() {
            let found =
                self.listing(cx, first.clone().query("startIndex", 1).query("count", size)).await?;
            return Ok((found, 1));
        }
        let mut from = place.at.saturating_sub(place.last.len() as u64).max(1);
        let window = u64::from(size) + place.last.len() as u64;
        loop {
            let request = first.clone().query("startIndex", from).query("count", window);
            let mut found = self.listing(cx, request).await?;
            let seen = |it: &Resource| place.last.iter().any(|id| id == it.id.as_str());
            if let Some(at) = found.resources.iter().rposition(seen) {
                found.resources.drain(..=at);
                let start = from + at as u64 + 1;
                found.resources.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                return Ok((found, start));
            }
            if from == 1 {
                let text = "the rows that were read last are gone; begin anew";
                return Err(Error::new(ErrorKind::CursorExpired, text));
            }
            from = from.saturating_sub(window).max(1);
        }
    }

    /// The groups of a user.
    async fn groups_of(&self, cx: &Cx, user: &Resource) -> Result<Vec<EntitlementKey>> {
        if let Some(shown) = user.groups(&self.group) {
            return Ok(shown);
        }
        // It may be in none, or the server may never show them.
        match self.listing(cx, requests::groups_of(user.id.as_str())).await {
            Ok(found) => found.resources.iter().map(|it| it.key(&self.group)).collect(),
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported) => {
                self.groups_by_walking(cx, &user.id).await
            }
            Err(error) => Err(error),
        }
    }

    /// The groups of a user, of a server that can only list them.
    async fn groups_by_walking(&self, cx: &Cx, user: &AccountId) -> Result<Vec<EntitlementKey>> {
        let mut asked = ListRequest::holdings();
        let mut mine = Vec::new();
        for _ in 0..100_000 {
            let page = self.holdings(cx, &asked, self.able.page).await?;
            mine.extend(page.rows().iter().filter_map(|row| match row {
                Row::Holding(it) if it.account == *user => Some(it.entitlement.clone()),
                _ => None,
            }));
            match page.next() {
                None => return Ok(mine),
                next => asked.cursor = next.cloned(),
            }
        }
        Err(Error::new(ErrorKind::ContractViolation, "the groups do not end"))
    }

    async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let row = |group: Resource| -> Result<Vec<Row>> {
            let entitlement = group.key(&self.group)?;
            let row = |account| HoldingRecord { account, entitlement: entitlement.clone() };
            Ok(group.members().into_iter().map(|account| Row::Holding(row(account))).collect())
        };
        self.page(cx, asked, "Groups", size, row).await
    }

    async fn whole(&self, cx: &Cx, user: &Resource) -> Result<AccountState> {
        let mut state = user.account(self.able.etag);
        state.holdings.extend(self.groups_of(cx, user).await?);
        Ok(state)
    }

    async fn by_owner(&self, cx: &Cx, target: &Target) -> Result<Option<Resource>> {
        let Target::External { identity, user_name } = target else { return Ok(None) };
        let found = self.listing(cx, requests::owned_by(identity)).await?;
        let mine = |it: &Resource| it.text("externalId") == Some(identity.as_str());
        if let Some(user) = found.resources.into_iter().find(mine) {
            return Ok(Some(user));
        }
        let found = self.listing(cx, requests::named(user_name)).await?;
        let nobodys = |it: &Resource| it.text("externalId").is_none();
        Ok(found.resources.into_iter().find(nobodys))
    }

    /// PATCH, or for a server without it the whole resource with the change in it.
    async fn patch(
        &self,
        cx: &Cx,
        what: &str,
        id: &str,
        operations: &[Value],
        version: Option<&str>,
    ) -> Result<Outcome> {
        if self.able.patch {
            return self.client.change(cx, requests::patch(what, id, operations, version)).await;
        }
        let _one_at_a_time = self.whole.lock().await;
        let request = if what == "Groups" { requests::group(id) } else { requests::user(id) };
        let now: Resource = self.client.fetch(cx, request).await?;
        // Another process may write between reading and writing; where there are tags, that is noticed.
        let version =
            version.or_else(|| now.version().filter(|_| self.able.etag)).map(str::to_owned);
        let mut body = now.whole();
        operations.iter().for_each(|it| replay(&mut body, it));
        if body == now.whole() {
            return Ok(Outcome::unchanged());
        }
        self.client.change(cx, requests::replace(what, id, body, version.as_deref())).await
    }

    /// What a change comes to as PATCH operations on one resource, where it does.
    fn operations(&self, change: &Change) -> Result<Option<(&'static str, String, Vec<Value>)>> {
        let id = change.existing()?.as_str();
        Ok(match &change.op {
            Operation::SetStatus { status } => {
                Some(("Users", id.to_owned(), requests::activate(status.can_sign_in())))
            }
            Operation::Grant { entitlement } | Operation::Revoke { entitlement } => {
                self.descriptor.check_mutable(entitlement)?;
                let is = matches!(change.op, Operation::Grant { .. });
                let operations = requests::member(id, is, self.able.removal);
                Some(("Groups", entitlement.id.to_string(), operations))
            }
            _ => None,
        })
    }

    async fn carry_out(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        if let Operation::CreateAccount { user_name, external_id, status, attributes } = &change.op
        {
            self.descriptor.check_required(attributes)?;
            let request =
                requests::create(user_name, external_id, status.can_sign_in(), attributes)?;
            let user: Resource = self.client.fetch(cx, request).await?;
            return Ok(Outcome::changed().with_account(user.id));
        }
        let version = match &change.expect {
            Expect::Version(version) if self.able.etag => Some(version.as_str()),
            _ => None,
        };
        let id = change.existing()?;
        if matches!(change.op, Operation::Grant { .. }) {
            // Many servers take any text for a member.
            let _: Resource = self.client.fetch(cx, requests::exists(id.as_str())).await?;
        }
        if let Some((what, of, operations)) = self.operations(change)? {
            let version = version.filter(|_| what == "Users");
            return self.patch(cx, what, &of, &operations, version).await;
        }
        match &change.op {
            Operation::UpdateAccount { user_name, set, clear } => {
                let now: Resource = self.client.fetch(cx, requests::user(id.as_str())).await?;
                match requests::update(&now.body, user_name.as_deref(), set, clear)? {
                    None => Ok(Outcome::unchanged()),
                    Some(operations) => {
                        let seen = now.version().filter(|_| self.able.etag);
                        let version = version.or(seen);
                        self.patch(cx, "Users", id.as_str(), &operations, version).await
                    }
                }
            }
            Operation::DeleteAccount => self.client.change(cx, requests::delete(id.as_str())).await,
            other => Err(Error::unsupported(other.verb())),
        }
    }

    /// Memberships and switches in one request.
    async fn in_bulk(&self, cx: &Cx, changes: &[Change]) -> Result<Vec<Result<Outcome>>> {
        let mut patches = Vec::new();
        for change in changes {
            let Some((what, id, operations)) = self.operations(change)? else {
                return Err(Error::new(ErrorKind::Internal, "a change that is no PATCH"));
            };
            let path = jml_connector_kit::path![what, id];
            patches.push((path.as_str().to_owned(), operations));
        }
        let answer: BulkAnswer = self.client.fetch(cx, requests::bulk(&patches)).await?;
        let mut outcomes = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            let number = number.to_string();
            let row = answer.operations.iter().find(|it| it.id.as_deref() == Some(&number));
            let one = match row {
                Some(row) if (200..300).contains(&row.status()) => Ok(Outcome::accepted()),
                Some(row) => Err(row.error()),
                None => {
                    let text = "the answer says nothing of this operation";
                    Err(Error::new(ErrorKind::ContractViolation, text))
                }
            };
            outcomes.push(conclude(self, cx, change, one).await);
        }
        Ok(outcomes)
    }
}

/// A place in a listing by numbers: the number of the next row, and the last rows that were seen.
struct Place {
    at: u64,
    last: Vec<String>,
}

impl Place {
    fn of(asked: &ListRequest) -> Result<Self> {
        let Some(Cursor(text)) = &asked.cursor else { return Ok(Self { at: 1, last: Vec::new() }) };
        let wrong = || Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours");
        let value: Value = serde_json::from_str(text).map_err(|_| wrong())?;
        let at = value["at"].as_u64().ok_or_else(wrong)?;
        let last = value["last"].as_array().ok_or_else(wrong)?.iter();
        let last = last.map(|it| it.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        Ok(Self { at, last: last.filter(|it| !it.is_empty()).ok_or_else(wrong)? })
    }

    fn text(&self) -> String {
        json!({ "at": self.at, "last": self.last }).to_string()
    }
}

/// What a server says to a cursor that it does not know.
fn expired(asked: &ListRequest, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Invalid if asked.cursor.is_some() => {
            Error::new(ErrorKind::CursorExpired, error.message())
        }
        _ => error,
    }
}

/// One of our own PATCH operations on a resource, for a server that knows only PUT.
fn replay(body: &mut Map<String, Value>, operation: &Value) {
    let path = operation["path"].as_str().unwrap_or_default();
    let value = operation["value"].clone();
    if path.starts_with("members") {
        let members = body.entry("members").or_insert_with(|| json!([]));
        let Some(members) = members.as_array_mut() else { return };
        let of = |it: &Value| it["value"].as_str().map(str::to_owned);
        let named: Vec<String> = match path.split_once("[value eq ") {
            Some((_, rest)) => serde_json::from_str::<String>(rest.trim_end_matches(']'))
                .ok()
                .into_iter()
                .collect(),
            None => value.as_array().into_iter().flatten().filter_map(of).collect(),
        };
        members.retain(|it| !named.iter().any(|id| it["value"] == id.as_str()));
        if operation["op"] == "add" {
            members.extend(named.into_iter().map(|id| json!({ "value": id })));
        }
        return;
    }
    let mut set = |object: &str, name: &str| {
        let object = body.entry(object.to_owned()).or_insert_with(|| json!({}));
        if let Some(object) = object.as_object_mut() {
            if value.is_null() {
                object.remove(name);
            } else {
                object.insert(name.to_owned(), value.clone());
            }
        }
    };
    if let Some(name) = path.strip_prefix(requests::ENTERPRISE) {
        set(requests::ENTERPRISE, name.trim_start_matches(':'));
    } else if let Some((object, name)) = path.split_once('.') {
        set(object, name);
    } else if value.is_null() {
        body.remove(path);
    } else {
        body.insert(path.to_owned(), value);
    }
}

#[async_trait]
impl Provider for Scim {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(self.able.page).clamp(1, self.able.page);
        match asked.scope {
            ListScope::Accounts => {
                let row =
                    |user: Resource| Ok(vec![Row::Account(Box::new(user.account(self.able.etag)))]);
                self.page(cx, asked, "Users", size, row).await
            }
            ListScope::Entitlements => {
                let row = |group: Resource| {
                    let title = group.text("displayName").unwrap_or_default();
                    let key = group.key(&self.group)?;
                    Ok(vec![Row::entitlement(key, title)])
                };
                self.page(cx, asked, "Groups", size, row).await
            }
            ListScope::Holdings => self.holdings(cx, asked, size).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let user = match target {
            Target::Account(id) => self.client.find(cx, requests::user(id.as_str())).await?,
            Target::External { .. } => self.by_owner(cx, target).await?,
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        match user {
            None => Ok(Observation::Absent),
            Some(user) => Ok(Observation::present(self.whole(cx, &user).await?)),
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.client.send(cx, requests::list("Users").query("count", 1)).await?;
        Ok(self.client.health(&self.descriptor, &response, |_, _| true))
    }

    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let simple = |it: &Change| {
            let short = matches!(it.op, Operation::Revoke { .. })
                || matches!(it.op, Operation::SetStatus { status } if self.descriptor.statuses.contains(&status));
            short && self.able.patch && it.expect == Expect::Any
        };
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let run = rest.iter().take(self.able.bulk).take_while(|it| simple(it)).count();
            if run < 2 {
                outcomes.push(self.apply(cx, first).await);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let (now, later) = rest.split_at(run);
            rest = later;
            match self.in_bulk(cx, now).await {
                Ok(done) => outcomes.extend(done),
                // The whole request failed: so did each, and nobody knows how far it came.
                Err(error) => {
                    let unsure = error.applied().join(Applied::No);
                    outcomes.extend(now.iter().map(|_| Err(error.clone().with_applied(unsure))));
                }
            }
        }
        outcomes
    }
}
