//! The contract between the engine and whatever holds real access.
//!
//! A vendor implements [`Provider`]: three methods, each one call. Retries, limits, read-back, evidence
//! and order are not the vendor's business.

mod call;
mod change;
mod changes;
mod cx;
mod descriptor;
mod error;
mod layer;
mod outcome;
mod overlay;
mod page;
mod preview;
mod project;

use std::sync::Arc;

use async_trait::async_trait;

pub use call::{Call, Reply};
pub use change::{
    Change, Expect, IdempotencyKey, MailboxChange, MailboxPart, Operation, UnknownVerb, Verb,
};
pub use changes::{ChangePage, ChangeRow, Watermark};
pub use cx::{Cx, Quota, QuotaSink};
pub use descriptor::{
    Consistency, Contract, Descriptor, EntitlementKind, Fidelity, Idempotency, Limits, Listing,
    SupportMode, Transport, VerbSupport,
};
pub use error::{Applied, Error, ErrorKind, ErrorRecord, RefusalReason, RetryAdvice};
pub use layer::{Layer, Layered, Next, Slot};
pub use outcome::{Effect, Health, Observation, Outcome, PendingRef, Preview, SideEffect};
pub use overlay::Overlay;
pub use page::{
    CompleteSnapshot, Cursor, EntitlementRecord, HoldingRecord, ListRequest, ListScope, Omission,
    Page, Row, Snapshot, Target, snapshot,
};

/// The result of a provider call.
pub type Result<T> = std::result::Result<T, Error>;

/// What holds real access: a directory, an application, a ticket desk.
///
/// Three methods are required. Those with a default are correct without further work, only slower.
///
/// # Contract
/// - One call is one attempt. Never loop over attempts, never sleep: the caller must see every attempt.
///   (Renewing a credential that expired and sending the refused request again is one attempt: the
///   target did nothing the first time.)
/// - Never swallow: an answer that you do not understand is an error, not an empty result.
/// - [`apply`](Provider::apply) is idempotent in effect. Granting what is held and revoking what is not
///   held succeed with [`Effect::Unchanged`], or with [`Effect::Accepted`] where the target does not
///   say.
/// - An error says truthfully whether the change may have landed ([`Error::applied`]). When in doubt it
///   is [`Applied::Unknown`].
/// - No secret is ever part of an outcome, an error or a row.
/// - Dropping a future at any await is a crash of the caller, and must be as safe as one.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What this provider can do.
    ///
    /// # Behavior
    /// Immutable for the life of the instance; it may depend on configuration, never on time. A verb
    /// that it declares with a mode other than [`SupportMode::Manual`] is never answered with
    /// [`ErrorKind::Unsupported`].
    fn descriptor(&self) -> &Descriptor;

    /// One page of what the target holds.
    ///
    /// # Requires
    /// A cursor comes from this provider, or from another instance of it over the same target.
    ///
    /// # Behavior
    /// - Every row is on exactly one page, whatever the page size; the last page says that it is the
    ///   last, and an empty page may be followed by another.
    /// - Disabled accounts are listed.
    /// - A page that cannot be read is an error, never a short page. Rows that the target withholds are
    ///   declared ([`Page::omitting`]).
    /// - Asking for a page again is safe.
    ///
    /// | condition | kind | what the caller does |
    /// |---|---|---|
    /// | the target no longer knows the cursor, or never did | `CursorExpired` | begins the listing anew |
    /// | an unknown scope | `Unsupported` | does without |
    /// | the next page is on another host, or its cursor is the one just used | `ContractViolation` | stops |
    ///
    /// # Errors
    /// [`Error`].
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page>;

    /// Brings the target to the end state that the change describes.
    ///
    /// # Requires
    /// [`Change::account`] is set, except for a creation. [`Change::key`] is the same on every attempt
    /// for the same step and on no other.
    ///
    /// # Behavior
    /// - `Ok` with any effect but [`Effect::Pending`] means that the end state holds on the target,
    ///   within its window ([`Descriptor::consistency`]).
    /// - The same key twice makes one account, not two.
    /// - A verb that the descriptor does not declare is [`ErrorKind::Unsupported`], and nothing is sent.
    /// - [`Outcome::account`] is set when the change made an account.
    ///
    /// | verb | condition | kind | applied | what the engine does |
    /// |---|---|---|---|---|
    /// | every verb | the target asks to slow down | `RateLimited` | `No` | waits as told |
    /// | | no connection could be made | `Transport` | `No` | tries again |
    /// | | no answer, or an answer that cannot be read | `Transport`, `Timeout`, `ContractViolation` | `Unknown` | reads back before it sends again |
    /// | | the target is out of order | `Unavailable` | `Unknown` | reads back before it sends again |
    /// | | our credential is not accepted | `Unauthenticated` | `No` | tells the operator |
    /// | | our credential does not allow it | `PermissionDenied` | `No` | tells the operator which permission |
    /// | | [`Expect`] does not hold | `Conflict` | `No` | reads again, new plan |
    /// | `create_account` | the name is taken by another account | `AlreadyExists` | `No` | new plan |
    /// | | the key or the external id made an account already | no error: `Unchanged`, with the account | | goes on |
    /// | | a required attribute is missing | `Invalid` | `No` | stops the step |
    /// | `update_account`, `set_status` to one that can sign in | the account is gone | `NotFound` | `No` | new plan |
    /// | `set_status` to one that cannot sign in, `delete_account`, `revoke_credentials` | the account is gone | no error: `Unchanged` | | goes on |
    /// | `grant` | account or entitlement is gone | `NotFound` | `No` | new plan |
    /// | | no seat is left | `Exhausted` | `No` | tells the owner |
    /// | | the target decides it by itself | `Refused(Immutable)` | `No` | reports a residual |
    /// | | another one of a kind of which one can be held | no error: `Changed`, with [`SideEffect::Replaced`] | | records both |
    /// | `revoke` | account, entitlement or assignment is gone | no error: `Unchanged` | | goes on |
    /// | | nobody would be left to own or administer it | `Refused(LastOwner)` | `No` | tells the owner |
    /// | `exchange` | the new one cannot be given | as for `grant`, and the old one is still held | `No` | as for `grant` |
    /// | `set_mailbox` | the account has no mailbox | `NotFound` | `No` | leaves the step |
    /// | `transfer_ownership` | the taker is gone | `NotFound` | `No` | new plan |
    ///
    /// # Errors
    /// [`Error`].
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome>;

    /// One account as it is now, or [`Observation::Absent`].
    ///
    /// The default lists all accounts and picks one: correct, and slow. [`Target::External`] finds the
    /// account that carries an identity's id, which is how the result of a lost creation is found.
    ///
    /// # Behavior
    /// Shows what [`list`](Provider::list) shows, and changes nothing.
    ///
    /// # Errors
    /// [`Error`]. A missing account is not an error.
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        page::read_by_listing(self, cx, target).await
    }

    /// What a change would do, without doing it.
    ///
    /// The default reads the account and computes the end state. A provider whose target can check a
    /// change without making it overrides this and declares [`Fidelity::ServerValidated`].
    ///
    /// # Behavior
    /// Changes nothing. Fails as [`apply`](Provider::apply) would, as far as it can be known.
    ///
    /// # Errors
    /// [`Error`].
    async fn preview(&self, cx: &Cx, change: &Change) -> Result<Preview> {
        preview::by_reading(self, cx, change).await
    }

    /// Whether the target answers and lets us in. The default lists one account.
    ///
    /// # Behavior
    /// One or two requests, none of which changes anything.
    ///
    /// # Errors
    /// [`Error`]: `Unavailable` or `Transport` when it does not answer, `Unauthenticated` when it does
    /// not let us in.
    async fn health(&self, cx: &Cx) -> Result<Health> {
        let request = ListRequest { page_size: Some(1), ..ListRequest::accounts() };
        self.list(cx, &request).await.map(|_| Health::ok())
    }

    /// What changed since a watermark, oldest first; without one, where the feed stands now.
    ///
    /// # Behavior
    /// - A watermark is self-contained: another instance, after a restart, accepts it.
    /// - The same watermark twice gives the same changes, and perhaps more.
    /// - A deleted account is a row with [`Observation::Absent`].
    ///
    /// # Errors
    /// [`ErrorKind::CursorExpired`] when the target no longer knows the watermark: list everything
    /// again. [`ErrorKind::Unsupported`] unless [`Descriptor::feeds_changes`].
    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        let _ = (cx, since);
        Err(Error::new(ErrorKind::Unsupported, "this provider does not tell what changed"))
    }

    /// How far a change is that was answered with [`Effect::Pending`].
    ///
    /// # Behavior
    /// Asking twice changes nothing. A change that has ended stays ended.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a handle that the target does not know; [`ErrorKind::Unsupported`]
    /// where no change is ever pending.
    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        let _ = (cx, pending);
        Err(Error::new(ErrorKind::Unsupported, "this provider has no pending changes"))
    }

    /// Several changes, in order, with one result each. The default makes one call each; a provider
    /// whose target takes batches overrides it.
    ///
    /// # Behavior
    /// As many results as changes, in their order. One failure does not stop the others.
    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        one_by_one(self, cx, changes).await
    }
}

/// The default of [`Provider::apply_many`].
async fn one_by_one<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    changes: &[Change],
) -> Vec<Result<Outcome>> {
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        outcomes.push(provider.apply(cx, change).await);
    }
    outcomes
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "a wrapper that misses a method loses it silently")]
impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn descriptor(&self) -> &Descriptor {
        (**self).descriptor()
    }
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page> {
        (**self).list(cx, request).await
    }
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        (**self).apply(cx, change).await
    }
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        (**self).read(cx, target).await
    }
    async fn preview(&self, cx: &Cx, change: &Change) -> Result<Preview> {
        (**self).preview(cx, change).await
    }
    async fn health(&self, cx: &Cx) -> Result<Health> {
        (**self).health(cx).await
    }
    async fn changes(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        (**self).changes(cx, since).await
    }
    async fn poll(&self, cx: &Cx, pending: &PendingRef) -> Result<Outcome> {
        (**self).poll(cx, pending).await
    }
    async fn apply_many(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        (**self).apply_many(cx, changes).await
    }
}
