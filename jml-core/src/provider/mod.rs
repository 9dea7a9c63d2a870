//! The contract between the engine and whatever holds real access.
//!
//! A vendor implements [`Provider`]: three methods, each one call. Retries, limits, read-back, evidence
//! and order are not the vendor's business.

mod change;
mod cx;
mod descriptor;
mod error;
mod outcome;
mod page;
mod project;

use std::sync::Arc;

use async_trait::async_trait;

pub use change::{Change, Expect, IdempotencyKey, MailboxChange, Operation, Verb};
pub use cx::Cx;
pub use descriptor::{
    Consistency, Descriptor, EntitlementKind, Idempotency, Limits, SupportMode, VerbSupport,
};
pub use error::{Applied, Error, ErrorKind, ErrorRecord, RefusalReason, RetryAdvice};
pub use outcome::{Effect, Observation, Outcome};
pub use page::{
    CompleteSnapshot, Cursor, EntitlementRecord, ListRequest, ListScope, Omission, Page, Row,
    Snapshot, Target, snapshot,
};

/// The result of a provider call.
pub type Result<T> = std::result::Result<T, Error>;

/// What holds real access: a directory, an application, a ticket desk.
///
/// # Contract
/// - One call is one attempt. Never loop, never retry, never sleep: the engine must see every attempt.
/// - Never swallow: an answer that you do not understand is an error, not an empty result.
/// - [`apply`](Provider::apply) is idempotent in effect. Granting what is held and revoking what is not
///   held succeed with [`Effect::Unchanged`].
/// - An error says truthfully whether the change may have landed ([`Error::applied`]). When in doubt it
///   is [`Applied::Unknown`].
/// - No secret is ever part of an outcome, an error or a row.
/// - Dropping a future at any await is a crash of the caller, and must be as safe as one.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What this provider can do. Immutable for the life of the instance; it may depend on
    /// configuration, never on time.
    fn descriptor(&self) -> &Descriptor;

    /// One page of what the target holds.
    ///
    /// # Behavior
    /// - Every row is on exactly one page; the last page says that it is the last.
    /// - Disabled accounts are listed.
    /// - A page that cannot be read is an error, never a short page.
    /// - A cursor that the target no longer knows is [`ErrorKind::CursorExpired`].
    ///
    /// # Errors
    /// [`Error`].
    async fn list(&self, cx: &Cx, request: &ListRequest) -> Result<Page>;

    /// Brings the target to the end state that the change describes.
    ///
    /// # Behavior
    /// - The same key twice makes one account, not two.
    /// - A verb that the descriptor does not declare is [`ErrorKind::Unsupported`], and nothing is sent.
    /// - [`Outcome::account`] is set when the change made an account.
    ///
    /// | condition | kind | applied | what the engine does |
    /// |---|---|---|---|
    /// | account or entitlement is gone, and the change takes away | no error: `Unchanged` | | goes on |
    /// | account or entitlement is gone, and the change gives | `NotFound` | `No` | new plan |
    /// | the sign-in name is taken by another account | `AlreadyExists` | `No` | new plan |
    /// | [`Expect`] does not hold | `Conflict` | `No` | reads again, new plan |
    /// | no answer, or an answer that cannot be read | `Transport`, `Timeout`, `ContractViolation` | `Unknown` | reads back before it sends again |
    /// | the target asks to slow down | `RateLimited` | `No` | waits as told |
    ///
    /// # Errors
    /// [`Error`].
    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome>;

    /// One account as it is now, or [`Observation::Absent`].
    ///
    /// The default lists all accounts and picks one: correct, and slow. [`Target::External`] finds the
    /// account that carries an identity's id, which is how the result of a lost creation is found.
    ///
    /// # Errors
    /// [`Error`]. A missing account is not an error.
    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        page::read_by_listing(self, cx, target).await
    }

    /// Whether the target answers and lets us in. The default lists one account.
    ///
    /// # Errors
    /// [`Error`].
    async fn health(&self, cx: &Cx) -> Result<()> {
        let request = ListRequest { page_size: Some(1), ..ListRequest::accounts() };
        self.list(cx, &request).await.map(drop)
    }
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
    async fn health(&self, cx: &Cx) -> Result<()> {
        (**self).health(cx).await
    }
}
