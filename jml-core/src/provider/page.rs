//! Listing: pages, snapshots, and the difference between a complete one and any other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Cx, Error, ErrorKind, Listing, Observation, Provider, Result};
use crate::account::AccountState;
use crate::entitlement::EntitlementKey;
use crate::id::{AccountId, IdentityId, ProviderId};

/// Which account to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// By its own id.
    Account(AccountId),
    /// By the identity that it belongs to, or by sign-in name where the target keeps no external id.
    External {
        /// The identity.
        identity: IdentityId,
        /// The sign-in name.
        user_name: SmolStr,
    },
}

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data; use the constructors")]
pub struct ListRequest {
    /// Accounts, entitlements, or who holds what.
    pub scope: ListScope,
    /// Where the last page ended; `None` for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Rows per page, if the caller cares. A provider takes its largest page where this is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
}

impl ListRequest {
    /// The first page of accounts.
    #[must_use]
    pub const fn accounts() -> Self {
        Self { scope: ListScope::Accounts, cursor: None, page_size: None }
    }

    /// The first page of entitlements.
    #[must_use]
    pub const fn entitlements() -> Self {
        Self { scope: ListScope::Entitlements, cursor: None, page_size: None }
    }

    /// The first page of who holds what, for a provider with [`Listing::Wide`].
    #[must_use]
    pub const fn holdings() -> Self {
        Self { scope: ListScope::Holdings, cursor: None, page_size: None }
    }
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ListScope {
    /// Every account; with what it holds, unless the listing is [`Listing::Wide`].
    Accounts,
    /// Every entitlement that exists.
    Entitlements,
    /// Every entitlement that an account holds, one row each. For [`Listing::Wide`] only.
    Holdings,
}

/// Where a page ended; opaque to everybody but the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "opaque text")]
pub struct Cursor(pub SmolStr);

/// A row of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Row {
    /// An account with everything that it holds; with [`Listing::Wide`], without that.
    Account(Box<AccountState>),
    /// An entitlement.
    Entitlement(EntitlementRecord),
    /// Something that an account holds.
    Holding(HoldingRecord),
}

impl Row {
    /// Something that an account holds.
    #[must_use]
    pub const fn holding(account: AccountId, entitlement: EntitlementKey) -> Self {
        Self::Holding(HoldingRecord { account, entitlement })
    }

    /// An entitlement with the target's name for it.
    #[must_use]
    pub fn entitlement(key: EntitlementKey, title: impl AsRef<str>) -> Self {
        Self::Entitlement(EntitlementRecord { key, title: SmolStr::new(title) })
    }
}

/// Something that an account holds. The account may be one that was made after the accounts were listed, or
/// one that is not listed at all, such as a group in a group; such rows say nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct HoldingRecord {
    /// Who.
    pub account: AccountId,
    /// What.
    pub entitlement: EntitlementKey,
}

/// An entitlement as the target knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct EntitlementRecord {
    /// Kind and id.
    pub key: EntitlementKey,
    /// The target's name for it.
    pub title: SmolStr,
}

/// One page. It is either explicitly the last one or says where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    rows: Vec<Row>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omissions: Vec<Omission>,
}

/// Rows that the target did not show, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct Omission {
    /// What is missing.
    pub what: SmolStr,
    /// Why.
    pub why: SmolStr,
}

impl Page {
    /// The last page.
    #[must_use]
    pub const fn last(rows: Vec<Row>) -> Self {
        Self { rows, next: None, omissions: Vec::new() }
    }

    /// A page that is followed by another one.
    #[must_use]
    pub const fn more(rows: Vec<Row>, next: Cursor) -> Self {
        Self { rows, next: Some(next), omissions: Vec::new() }
    }

    /// A page that is followed by another one exactly if there is a cursor.
    #[must_use]
    pub fn with_next(rows: Vec<Row>, next: Option<Cursor>) -> Self {
        Self { rows, next, omissions: Vec::new() }
    }

    /// The same, with rows that the target did not show.
    #[must_use]
    pub fn omitting(mut self, omission: Omission) -> Self {
        self.omissions.push(omission);
        self
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where the next page begins; `None` on the last page.
    #[must_use]
    pub const fn next(&self) -> Option<&Cursor> {
        self.next.as_ref()
    }

    /// What the target did not show.
    #[must_use]
    pub fn omissions(&self) -> &[Omission] {
        &self.omissions
    }
}

/// Everything that one provider holds, or as much of it as could be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete or not is the point")]
pub enum Snapshot {
    /// Nothing is missing.
    Complete(CompleteSnapshot),
    /// Something is missing, so absence from it means nothing.
    Incomplete {
        /// What was seen.
        seen: BTreeMap<AccountId, AccountState>,
        /// What is missing and why.
        omissions: Vec<Omission>,
    },
}

/// Everything that one provider holds. Only this may yield revokes and orphans.
///
/// It cannot be made from a listing that was cut: [`snapshot`] gives [`Snapshot::Incomplete`] then, and
/// the fields are nobody's.
///
/// ```compile_fail
/// # use std::collections::BTreeMap;
/// # use jml_core::provider::{CompleteSnapshot, Snapshot};
/// fn pretend(seen: Snapshot) -> CompleteSnapshot {
///     let Snapshot::Incomplete { seen, .. } = seen else { panic!() };
///     CompleteSnapshot { provider: "p".parse().unwrap(), taken_at: Default::default(), accounts: seen }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteSnapshot {
    provider: ProviderId,
    taken_at: DateTime<Utc>,
    accounts: BTreeMap<AccountId, AccountState>,
}

impl CompleteSnapshot {
    /// A snapshot that the caller knows to be complete. [`snapshot`] makes one from a provider.
    #[must_use]
    pub const fn assert_complete(
        provider: ProviderId,
        taken_at: DateTime<Utc>,
        accounts: BTreeMap<AccountId, AccountState>,
    ) -> Self {
        Self { provider, taken_at, accounts }
    }

    /// Whose it is.
    #[must_use]
    pub const fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// When reading it began.
    #[must_use]
    pub const fn taken_at(&self) -> DateTime<Utc> {
        self.taken_at
    }

    /// All accounts.
    #[must_use]
    pub const fn accounts(&self) -> &BTreeMap<AccountId, AccountState> {
        &self.accounts
    }
}

/// Pages after which a listing is taken for endless.
const MAX_PAGES: usize = 1_000_000;

/// Lists every account of a provider, with what it holds.
///
/// # Errors
/// [`Error`] of the first page that fails; [`ErrorKind::ContractViolation`] when a cursor or an account
/// comes twice.
pub async fn snapshot<P: Provider + ?Sized>(provider: &P, cx: &Cx) -> Result<Snapshot> {
    let taken_at = cx.now();
    let (rows, mut omissions) = everything(provider, cx, ListRequest::accounts()).await?;
    let mut accounts = BTreeMap::new();
    for row in rows {
        let Row::Account(state) = row else {
            return Err(violation("a listing of accounts holds another row"));
        };
        if let Some(twice) = accounts.insert(state.id.clone(), *state) {
            return Err(violation(&format!("account `{}` is listed twice", twice.id)));
        }
    }
    if provider.descriptor().listing == Listing::Wide {
        let (rows, withheld) = everything(provider, cx, ListRequest::holdings()).await?;
        omissions.extend(withheld);
        for row in rows {
            let Row::Holding(HoldingRecord { account, entitlement }) = row else {
                return Err(violation("a listing of holdings holds another row"));
            };
            if let Some(state) = accounts.get_mut(&account) {
                state.holdings.insert(entitlement);
            }
        }
    }
    if !omissions.is_empty() {
        return Ok(Snapshot::Incomplete { seen: accounts, omissions });
    }
    let provider = provider.descriptor().id.clone();
    Ok(Snapshot::Complete(CompleteSnapshot { provider, taken_at, accounts }))
}

/// Every row of a listing, and what it does not show.
async fn everything<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    mut request: ListRequest,
) -> Result<(Vec<Row>, Vec<Omission>)> {
    let (mut rows, mut omissions) = (Vec::new(), Vec::new());
    let mut cursors = BTreeSet::new();
    for _ in 0..MAX_PAGES {
        let page = provider.list(cx, &request).await?;
        omissions.extend(page.omissions);
        rows.extend(page.rows);
        let Some(next) = page.next else { return Ok((rows, omissions)) };
        if !cursors.insert(next.0.clone()) {
            return Err(violation("a cursor comes twice"));
        }
        request.cursor = Some(next);
    }
    Err(violation("the listing does not end"))
}

fn violation(what: &str) -> Error {
    Error::new(ErrorKind::ContractViolation, what)
}

/// The default of [`Provider::read`].
pub(super) async fn read_by_listing<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    target: &Target,
) -> Result<Observation> {
    let (accounts, complete) = match snapshot(provider, cx).await? {
        Snapshot::Complete(all) => (all.accounts, true),
        Snapshot::Incomplete { seen, .. } => (seen, false),
    };
    let hit = match target {
        Target::Account(id) => accounts.get(id).cloned(),
        Target::External { identity, user_name } => accounts
            .values()
            .find(|state| state.external_id.as_ref() == Some(identity))
            .or_else(|| {
                accounts.values().find(|state| {
                    state.external_id.is_none() && state.user_name.eq_ignore_ascii_case(user_name)
                })
            })
            .cloned(),
    };
    match hit {
        Some(state) => Ok(Observation::Present(Box::new(state))),
        None if complete => Ok(Observation::Absent),
        None => Ok(Observation::NotObserved),
    }
}
