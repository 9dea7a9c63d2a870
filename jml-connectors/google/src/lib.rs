#![doc = include_str!("../README.md")]

mod access;
mod answers;
mod change;
mod descriptor;
mod device_answers;
mod devices;
mod feed;
mod leave;
mod profile;
mod read;
mod requests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jml_connector_kit::http::{ClientError, Step, Sweep, expired, pages};
use jml_connector_kit::{Client, Request, conclude};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, EntitlementId, IdError, KindId, ProviderId};
use jml_core::provider::{
    Change, ChangePage, Cx, Descriptor, Error, ErrorKind, Health, ListRequest, ListScope,
    MailboxPart, Observation, Outcome, Page, PendingRef, Provider, RefusalReason, Result, Row,
    Target, Verb, Watermark,
};
use serde::de::DeserializeOwned;

pub use access::{Acting, Delegated, Delegation, Hosts};
pub use descriptor::{ADMIN_SCOPES, CHROMEOS_SCOPE, LICENCE_SCOPE, MAILBOX_SCOPES};

use answers::{Assignment, Group, Licence, Member, Paged, Role, User};

/// The kinds of entitlement.
#[derive(Clone, Debug)]
struct Kinds {
    group: KindId,
    licence: KindId,
    role: KindId,
}

/// A licence that is looked after.
#[derive(Clone, Debug)]
struct Sku {
    product: String,
    sku: String,
    title: String,
}

impl Sku {
    fn place(&self) -> (&str, &str) {
        (&self.product, &self.sku)
    }
}

/// A connector cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A name is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A Google Workspace customer.
pub struct Google {
    directory: Client,
    licensing: Client,
    transfer: Client,
    reports: Client,
    gmail: String,
    delegation: Arc<dyn Delegation>,
    mailboxes: bool,
    chromeos: bool,
    descriptor: Descriptor,
    kinds: Kinds,
    customer: String,
    skus: BTreeMap<EntitlementId, Sku>,
    /// Ids by address, from the last listing of accounts: licences are listed by address. Who is not in here
    /// is asked for.
    names: Mutex<BTreeMap<String, AccountId>>,
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Google {
    /// The customer whose administrator the delegation acts for, at these servers ([`Hosts::google`]).
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        id: ProviderId,
        hosts: &Hosts,
        delegation: impl Delegation,
    ) -> std::result::Result<Self, SetupError> {
        let kinds = Kinds {
            group: KindId::new("group")?,
            licence: KindId::new("licence")?,
            role: KindId::new("role")?,
        };
        let descriptor = descriptor::descriptor(id, &kinds);
        let client = |base: &str| {
            let made = delegation.client(base, Acting::Administrator);
            made.map(|it| it.classifying(answers::classify))
        };
        let directory = client(&hosts.directory)?;
        // One token does for all that are one server.
        let same = |base: &str| {
            if base == hosts.directory { Ok(directory.clone()) } else { client(base) }
        };
        let (licensing, transfer) = (same(&hosts.licensing)?, same(&hosts.transfer)?);
        let reports = same(&hosts.reports)?;
        Ok(Self {
            directory,
            licensing,
            transfer,
            reports,
            gmail: hosts.gmail.clone(),
            delegation: Arc::new(delegation),
            mailboxes: true,
            chromeos: false,
            descriptor,
            kinds,
            customer: String::new(),
            skus: BTreeMap::new(),
            names: Mutex::default(),
        })
    }

    /// The same with licences that it looks after: product, SKU, title. They are `licence/PRODUCT:SKU`. Google
    /// lists who has a licence, and not the licences that there are. `customer` is the customer's id
    /// (`C00000000`), which licences are listed with. The credential needs [`LICENCE_SCOPE`] too
    /// ([`Delegated::with_scope`]).
    /// <https://developers.google.com/workspace/admin/licensing/v1/how-tos/products>
    ///
    /// # Errors
    /// [`SetupError::Id`].
    pub fn with_licences<'a>(
        mut self,
        customer: impl Into<String>,
        licences: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> std::result::Result<Self, SetupError> {
        self.customer = customer.into();
        for (product, sku, title) in licences {
            let id = EntitlementId::new(format!("{product}:{sku}"))?;
            let (product, sku, title) = (product.to_owned(), sku.to_owned(), title.to_owned());
            self.skus.insert(id, Sku { product, sku, title });
        }
        if !self.skus.is_empty() {
            descriptor::add_licences(&mut self.descriptor);
        }
        Ok(self)
    }

    /// The same without mailboxes, for a customer who does not let a service account act for everybody.
    #[must_use]
    pub fn without_mailboxes(mut self) -> Self {
        self.mailboxes = false;
        for part in MailboxPart::ALL {
            self.descriptor.verbs.remove(&Verb::SetMailbox(part));
        }
        self
    }

    /// The same with ChromeOS devices: revoking devices also disables those that work and are noted as the
    /// person's (`annotatedUser`). Off unless asked for: such a device is the company's, the next person may hold
    /// it already, and only an administrator enables it again, for which a licence has to be free. Devices are
    /// never deprovisioned or wiped. The credential needs [`CHROMEOS_SCOPE`] too ([`Delegated::with_scope`]).
    #[must_use]
    pub fn with_chromeos(mut self) -> Self {
        self.chromeos = true;
        descriptor::add_chromeos(&mut self.descriptor);
        self
    }

    /// A user, by id or by address. For somebody who was deleted, or a group, Google says 400, and that it is for
    /// the key ([`answers::classify`]); any other 400 says nothing about anybody.
    async fn find(&self, cx: &Cx, key: &str) -> Result<Option<User>> {
        self.directory.find(cx, requests::user(key)).await
    }

    /// A user whom a change is about.
    async fn user(&self, cx: &Cx, id: &AccountId) -> Result<User> {
        let user = self.find(cx, number(id)?).await?;
        user.ok_or_else(|| Error::new(ErrorKind::NotFound, "the account does not exist"))
    }

    /// One page of a list. A token that is not taken is an expired one: Google forgets them after days.
    async fn page<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        client: &Client,
        first: Request,
        token: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>)> {
        let request = match token {
            Some(token) => first.query("pageToken", token),
            None => first,
        };
        let page: Paged<T> =
            client.fetch(cx, request).await.map_err(|error| match error.kind() {
                ErrorKind::Invalid if token.is_some() => {
                    Error::new(ErrorKind::CursorExpired, error.message())
                }
                _ => error,
            })?;
        Ok((page.items, page.next.filter(|it| !it.is_empty())))
    }

    /// All of something small.
    async fn all<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        client: &Client,
        first: Request,
    ) -> Result<Vec<T>> {
        let (mut all, mut token) = (Vec::new(), None::<String>);
        for _ in 0..1_000 {
            let (more, next) = self.page(cx, client, first.clone(), token.as_deref()).await?;
            all.extend::<Vec<T>>(more);
            if next.is_none() {
                return Ok(all);
            }
            if next == token {
                break;
            }
            token = next;
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// The id of whoever has an address; `None` for nobody here.
    async fn id_of(&self, cx: &Cx, email: &str) -> Result<Option<AccountId>> {
        let known = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&email.to_lowercase()).cloned()
        };
        match known {
            Some(id) => Ok(Some(id)),
            None => Ok(self.find(cx, email).await?.map(|user| user.id)),
        }
    }

    async fn accounts(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let token = asked.cursor.as_ref().map(|it| it.0.as_str());
        let found = self.page::<User>(cx, &self.directory, requests::users(size), token).await;
        let (users, next) = found.map_err(|error| expired(asked, error))?;
        {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if token.is_none() {
                names.clear();
            }
            names.extend(users.iter().map(|it| (it.primary_email.to_lowercase(), it.id.clone())));
        }
        let rows = users.iter().map(|user| Row::Account(Box::new(user.account())));
        pages(rows.collect(), asked, next)
    }

    /// What is walked: groups, administrator roles, and licences, if there are any.
    fn stages(&self) -> usize {
        if self.skus.is_empty() { 2 } else { 3 }
    }

    /// Groups, then administrator roles, then licences.
    async fn entitlements(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let record = |kind: &KindId, id, title: &str| {
            let key = EntitlementKey::new(kind.clone(), id);
            Row::entitlement(key, title)
        };
        match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let first = requests::groups(None, size);
                let (found, link) = self.page::<Group>(cx, &self.directory, first, link).await?;
                let rows = found.into_iter().map(|it| record(&self.kinds.group, it.id, &it.email));
                next.rows(asked, self.stages(), rows.collect(), link)
            }
            Step::Containers { stage: 1, link } => {
                let first = requests::roles(size);
                let (found, link) = self.page::<Role>(cx, &self.directory, first, link).await?;
                let rows = found.into_iter().map(|it| record(&self.kinds.role, it.id, &it.name));
                next.rows(asked, self.stages(), rows.collect(), link)
            }
            Step::Containers { link, .. } => {
                // They are known; a page of them keeps to its size all the same.
                let from =
                    link.map_or(Ok(0), |it| it.parse::<usize>().map_err(|_| Sweep::not_ours()))?;
                if from > 0 && from >= self.skus.len() {
                    return Err(Sweep::not_ours());
                }
                let most = usize::try_from(size).unwrap_or(1);
                let rows = self.skus.iter().skip(from).take(most);
                let rows = rows.map(|(id, it)| record(&self.kinds.licence, id.clone(), &it.title));
                let end = from.saturating_add(most);
                let link = (end < self.skus.len()).then(|| end.to_string());
                next.rows(asked, self.stages(), rows.collect(), link)
            }
            _ => Err(Sweep::not_ours()),
        }
    }

    async fn holdings(&self, cx: &Cx, asked: &ListRequest, size: u32) -> Result<Page> {
        let sweep = Sweep::resume(asked)?;
        let next = sweep.clone();
        let read = match sweep.step() {
            Step::Containers { stage: 0, link } => {
                let first = requests::groups(None, 200);
                let (found, link) = self.page::<Group>(cx, &self.directory, first, link).await?;
                let found = found.into_iter().map(|it| it.id.to_string()).collect();
                return next.containers(asked, self.stages(), found, link);
            }
            Step::Containers { stage: 1, link } => {
                let first = requests::assignments(None, size);
                let (found, link) =
                    self.page::<Assignment>(cx, &self.directory, first, link).await?;
                let mut rows = Vec::new();
                for it in found.into_iter().filter(Assignment::is_to_user) {
                    let row = Row::holding(it.assigned_to.clone(), self.role(&it)?);
                    // With a condition or a time limit, one role may be assigned twice.
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                }
                return next.rows(asked, self.stages(), rows, link);
            }
            Step::Containers { link, .. } => {
                let (rows, link) = self.holders(cx, size, link).await?;
                return next.rows(asked, self.stages(), rows, link);
            }
            Step::Members { stage: 0, container, link } => {
                self.members(cx, container, size, link).await
            }
            _ => return Err(Sweep::not_ours()),
        };
        next.members(asked, self.stages(), read)
    }

    /// What an assignment of a role gives.
    fn role(&self, it: &Assignment) -> Result<EntitlementKey> {
        let id = it
            .entitlement()
            .map_err(|e| Error::new(ErrorKind::ContractViolation, e.to_string()))?;
        Ok(EntitlementKey::new(self.kinds.role.clone(), id))
    }

    async fn members(
        &self,
        cx: &Cx,
        group: &str,
        size: u32,
        link: Option<&str>,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let key = EntitlementKey::new(self.kinds.group.clone(), entitlement(group)?);
        let first = requests::members(group, size);
        let (found, link) = self.page::<Member>(cx, &self.directory, first, link).await?;
        let users = found.into_iter().filter(Member::is_user).filter_map(|it| it.id);
        Ok((users.map(|id| Row::holding(id, key.clone())).collect(), link))
    }

    /// A page of who has a licence, licence by licence. The place is a licence, and a token behind it.
    async fn holders(
        &self,
        cx: &Cx,
        size: u32,
        link: Option<&str>,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let (place, token) = match link {
            None => (None, None),
            Some(link) => {
                let (id, token) = link.split_once('\n').ok_or_else(Sweep::not_ours)?;
                (Some(id), Some(token).filter(|it| !it.is_empty()))
            }
        };
        let mut skus =
            self.skus.iter().skip_while(|(id, _)| place.is_some_and(|it| it != id.as_str()));
        let (id, sku) = skus.next().ok_or_else(Sweep::not_ours)?;
        let key = EntitlementKey::new(self.kinds.licence.clone(), id.clone());
        // Each address may have to be looked up.
        let first = requests::holders(&self.customer, sku.place(), size.min(LOOKUPS));
        let (found, token) = self.page::<Licence>(cx, &self.licensing, first, token).await?;
        let mut rows = Vec::new();
        for licence in found {
            if let Some(account) = self.id_of(cx, &licence.user).await? {
                rows.push(Row::holding(account, key.clone()));
            }
        }
        let link = match token {
            Some(token) => Some(format!("{id}\n{token}")),
            None => skus.next().map(|(id, _)| format!("{id}\n")),
        };
        Ok((rows, link))
    }
}

/// The most people who are looked up one by one in a call: it has to end in time.
const LOOKUPS: u32 = 100;

/// The id of a user, which is a number: anything else is nobody, and need not be asked for.
fn number(id: &AccountId) -> Result<&str> {
    let text = id.as_str();
    if text.bytes().all(|it| it.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::NotFound, "there is no such account: ids are numbers here"))
}

fn entitlement(id: &str) -> Result<EntitlementId> {
    EntitlementId::new(id).map_err(|_| Sweep::not_ours())
}

fn refused(text: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Refused(RefusalReason::Policy), text)
}

#[async_trait]
impl Provider for Google {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(requests::USERS).clamp(1, requests::USERS);
        match asked.scope {
            ListScope::Accounts => self.accounts(cx, asked, size).await,
            ListScope::Holdings => self.holdings(cx, asked, size).await,
            ListScope::Entitlements => self.entitlements(cx, asked, size).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let user = match target {
            Target::Account(id) => match number(id) {
                Ok(id) => self.find(cx, id).await?,
                Err(_) => None,
            },
            Target::External { identity, user_name } => {
                self.by_owner(cx, identity, user_name).await?
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        let Some(user) = user else { return Ok(Observation::Absent) };
        match self.whole(cx, &user).await {
            Ok(state) => Ok(Observation::present(state)),
            // Deleted while we looked.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Observation::Absent),
            Err(error) => Err(error),
        }
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        self.descriptor.check_supported(change)?;
        let answered = self.carry_out(cx, change).await;
        conclude(self, cx, change, answered).await
    }

    async fn health(&self, cx: &Cx) -> Result<Health> {
        let response = self.directory.send(cx, requests::users(requests::SAMPLE)).await?;
        let implied = |has: &str, needs: &str| {
            // Who may manage may look. What is delegated for mailboxes, an administrator's token does not say.
            ["", ".readonly", ".member", ".action"]
                .iter()
                .any(|it| needs.strip_suffix(it) == Some(has))
                || needs.strip_suffix(".readonly").is_some_and(|it| has == format!("{it}.action"))
                || MAILBOX_SCOPES.contains(&needs)
        };
        let health = self.directory.health(&self.descriptor, &response, implied);
        let page: Paged<User> = response.json()?;
        let lacking = self.lacking_for_mailboxes(cx, &page.items).await?;
        Ok(lacking.into_iter().fold(health, Health::missing))
    }

    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        self.since(cx, since).await
    }

    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        self.ask_for(cx, &pending.0).await
    }
}
