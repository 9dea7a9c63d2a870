//! What a connector's author hands to the suite.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jml_core::account::AccountState;
use jml_core::clock::Clock;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, PendingRef, Provider};

use super::Behaviour;
use super::bench::{Check, Stop};
use super::report::Verdict;
use crate::ManualClock;
use crate::fake::{Wire, WireFault};

/// A way to the target that is not the provider: another administrator, or the fake's own state.
#[async_trait]
pub trait Backdoor: Send + Sync + 'static {
    /// Makes an account, or replaces the one with this id. The target may choose another id for a new
    /// account; the answer is the one that it has.
    async fn put(&self, account: AccountState) -> AccountId;

    /// Takes an account away.
    async fn remove(&self, account: &AccountId);

    /// Everything as it really is.
    async fn truth(&self) -> Vec<AccountState>;

    /// From now on, listings may not show this account. `false` where the target has no such thing.
    async fn withhold(&self, account: &AccountId) -> bool {
        let _ = account;
        false
    }

    /// Forgets what was in the change feed. `false` where there is none.
    async fn forget_changes(&self) -> bool {
        false
    }

    /// Says that the person who works on a pending change has done it.
    async fn finish(&self, pending: &PendingRef) -> bool {
        let _ = pending;
        false
    }
}

/// Another instance of the provider over the same target, as after a restart.
type Restart = Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>;

/// A provider over a fresh target, and the controls that there are.
#[derive(Clone)]
pub struct World {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) accounts: Vec<AccountId>,
    pub(super) entitlements: Vec<EntitlementKey>,
    pub(super) one_of_kind: Option<(EntitlementKey, EntitlementKey)>,
    pub(super) immutable: Option<EntitlementKey>,
    pub(super) scarce: Option<EntitlementKey>,
    pub(super) guarded: Option<EntitlementKey>,
    pub(super) attributes: [&'static str; 2],
    pub(super) canaries: Vec<String>,
    pub(super) throttles: Vec<WireFault>,
    pub(super) backdoor: Option<Arc<dyn Backdoor>>,
    pub(super) wire: Option<Arc<dyn Wire>>,
    pub(super) restart: Option<Restart>,
    pub(super) renews: bool,
    pub(super) domain: Option<&'static str>,
    pub(super) links: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("provider", &self.provider.descriptor().id)
            .finish_non_exhaustive()
    }
}

impl World {
    /// A provider over a target of its own. The suite makes the accounts that it needs, through the
    /// backdoor or the provider, and lists the entitlements.
    #[must_use]
    pub fn of(provider: Arc<dyn Provider>) -> Self {
        let clock = Arc::new(ManualClock::jumping(
            chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000),
        ));
        Self {
            provider,
            clock,
            accounts: Vec::new(),
            entitlements: Vec::new(),
            one_of_kind: None,
            immutable: None,
            scarce: None,
            guarded: None,
            attributes: ["title", "department"],
            canaries: Vec::new(),
            throttles: Vec::new(),
            backdoor: None,
            wire: None,
            restart: None,
            renews: false,
            domain: None,
            links: true,
        }
    }

    /// The same with the clock that the target lives by.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with accounts that are there already, for a provider that makes none. Five are needed.
    #[must_use]
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts = accounts.into_iter().collect();
        self
    }

    /// The same with entitlements that can be granted freely. Three are needed; without this, the first
    /// ones that are listed.
    #[must_use]
    pub fn entitlements(mut self, keys: impl IntoIterator<Item = EntitlementKey>) -> Self {
        self.entitlements = keys.into_iter().collect();
        self
    }

    /// The same with two entitlements of a kind of which one can be held.
    #[must_use]
    pub fn one_of_kind(mut self, one: EntitlementKey, other: EntitlementKey) -> Self {
        self.one_of_kind = Some((one, other));
        self
    }

    /// The same with an entitlement that the target itself decides.
    #[must_use]
    pub fn immutable(mut self, key: EntitlementKey) -> Self {
        self.immutable = Some(key);
        self
    }

    /// The same with an entitlement of which there is one seat.
    #[must_use]
    pub fn scarce(mut self, key: EntitlementKey) -> Self {
        self.scarce = Some(key);
        self
    }

    /// The same with an entitlement whose last holder must keep it.
    #[must_use]
    pub fn guarded(mut self, key: EntitlementKey) -> Self {
        self.guarded = Some(key);
        self
    }

    /// The same with two text attributes that can be set. `title` and `department` unless told otherwise.
    #[must_use]
    pub const fn attributes(mut self, one: &'static str, other: &'static str) -> Self {
        self.attributes = [one, other];
        self
    }

    /// The same for a target that pages without links, so that none can lead elsewhere.
    #[must_use]
    pub const fn without_links(mut self) -> Self {
        self.links = false;
        self
    }

    /// The same for a target whose sign-in names end in `@` and this domain.
    #[must_use]
    pub const fn domain(mut self, domain: &'static str) -> Self {
        self.domain = Some(domain);
        self
    }

    /// The same with a text that must never be seen: the credential.
    #[must_use]
    pub fn canary(mut self, secret: impl Into<String>) -> Self {
        self.canaries.push(secret.into());
        self
    }

    /// The same with an answer by which this target, and not every target, asks to slow down.
    #[must_use]
    pub fn throttled_by(mut self, answer: WireFault) -> Self {
        self.throttles.push(answer);
        self
    }

    /// The same with a way to the target that is not the provider.
    #[must_use]
    pub fn backdoor(mut self, backdoor: impl Backdoor) -> Self {
        self.backdoor = Some(Arc::new(backdoor));
        self
    }

    /// The same with control over the wire.
    #[must_use]
    pub fn wire(mut self, wire: impl Wire) -> Self {
        self.wire = Some(Arc::new(wire));
        self
    }

    /// The same with a way to make another instance of the provider over the same target.
    #[must_use]
    pub fn restart<P: Provider>(mut self, make: impl Fn() -> P + Send + Sync + 'static) -> Self {
        self.restart = Some(Arc::new(move || Arc::new(make())));
        self
    }

    /// The same for a connector that renews its credential when it is refused.
    #[must_use]
    pub const fn renews_credential(mut self) -> Self {
        self.renews = true;
        self
    }

    /// The same with something between the suite and the provider: a defect, to see that it is found.
    #[must_use]
    pub fn behind(mut self, wrap: impl FnOnce(Arc<dyn Provider>) -> Arc<dyn Provider>) -> Self {
        self.provider = wrap(self.provider);
        self
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// Surroundings for a call.
    #[must_use]
    pub fn cx(&self) -> Cx {
        Cx::new(self.clock.clone())
    }
}

pub(super) type Make = Arc<dyn Fn() -> BoxFuture<'static, World> + Send + Sync>;

/// Makes a fresh world for each behaviour, and knows what is waived.
pub struct Harness {
    make: Make,
    waivers: Vec<Waiver>,
}

struct Waiver {
    id: &'static str,
    reason: String,
    expires: NaiveDate,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("waivers", &self.waivers.len()).finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness that makes worlds this way.
    #[must_use]
    pub fn new<F, W>(make: F) -> Self
    where
        F: Fn() -> W + Send + Sync + 'static,
        W: Future<Output = World> + Send + 'static,
    {
        Self { make: Arc::new(move || make().boxed()), waivers: Vec::new() }
    }

    /// The same, accepting until a date that a behaviour does not hold. A waiver that has expired is a
    /// failure, and so is one for a behaviour that holds.
    ///
    /// # Panics
    /// When `expires` is no date (`2027-01-31`).
    #[must_use]
    pub fn waive(mut self, id: &'static str, reason: &str, expires: &str) -> Self {
        #[expect(clippy::panic, reason = "a test that is wrong must say so")]
        let expires = expires.parse().unwrap_or_else(|_| panic!("`{expires}` is no date"));
        self.waivers.push(Waiver { id, reason: reason.to_owned(), expires });
        self
    }

    pub(super) fn maker(&self) -> Make {
        self.make.clone()
    }

    pub(super) fn judge(&self, behaviour: &Behaviour, check: Check) -> Verdict {
        let waiver = self.waivers.iter().find(|waiver| waiver.id == behaviour.id);
        match (check, waiver) {
            (Ok(()), None) => Verdict::Pass,
            (Ok(()), Some(_)) => Verdict::Fail("it holds: the waiver is unnecessary".to_owned()),
            (Err(Stop::NotApplicable(why)), _) => Verdict::NotApplicable(why),
            (Err(Stop::NotRun(why)), _) => Verdict::NotRun(why),
            (Err(Stop::Inconclusive(why)), _) => Verdict::Inconclusive(why),
            (Err(Stop::Fail(why)), None) => Verdict::Fail(why),
            (Err(Stop::Fail(why)), Some(waiver)) if waiver.expires < today() => {
                Verdict::Fail(format!("the waiver expired on {}: {why}", waiver.expires))
            }
            (Err(Stop::Fail(_)), Some(waiver)) => {
                let expires = waiver.expires.to_string();
                Verdict::Waived { reason: waiver.reason.clone(), expires }
            }
        }
    }
}

/// The date, by the machine: a waiver ends on a real day.
fn today() -> NaiveDate {
    #[expect(clippy::disallowed_methods, reason = "a waiver ends on a real day")]
    let now = std::time::SystemTime::now();
    chrono::DateTime::<chrono::Utc>::from(now).date_naive()
}
