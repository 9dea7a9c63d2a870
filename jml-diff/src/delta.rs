//! The delta of one person: grant, revoke, keep and foreign, with reasons; and what accounts need.

mod access;
pub(crate) mod plain;
pub(crate) mod term;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountRef, AccountState, AccountStatus, CredentialClass};
use jml_core::attribute::AttributeValue;
use jml_core::claim::ClaimSource;
use jml_core::desired::{Desired, DesiredAccount};
use jml_core::entitlement::{Assignability, EntitlementKey, EntitlementRef, Sensitivity};
use jml_core::id::{AttributeName, IdentityId, ProviderId};
use jml_core::identity::LifecycleState;
use jml_core::plan::ForeignReason;
use jml_core::policy::{OnTaken, Policy};
use jml_core::provider::{MailboxChange, Verb};
use smol_str::SmolStr;

use crate::ledger::Ledger;
use crate::world::World;

/// What differs between what one person should have and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Delta {
    /// Who.
    pub identity: IdentityId,
    /// Whether the person is gone, so that every account is closed.
    pub gone: bool,
    /// What accounts need.
    pub accounts: Vec<AccountLine>,
    /// Access, sorted by account and entitlement.
    pub access: Vec<AccessLine>,
    /// What cannot be done now, and why.
    pub waits: Vec<Wait>,
}

/// Something that an account needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AccountLine {
    /// There is none, and one is wanted.
    Create {
        /// Where.
        provider: ProviderId,
        /// Under which name.
        user_name: SmolStr,
        /// Staged or active.
        status: AccountStatus,
        /// With which attributes.
        attributes: BTreeMap<AttributeName, AttributeValue>,
    },
    /// Its attributes or its name differ.
    Update {
        /// Which.
        account: AccountRef,
        /// The new name, if it differs.
        user_name: Option<SmolStr>,
        /// Values that differ.
        set: BTreeMap<AttributeName, AttributeValue>,
        /// Values that should not be there.
        clear: BTreeSet<AttributeName>,
    },
    /// Its status differs.
    Status {
        /// Which.
        account: AccountRef,
        /// What it is.
        from: AccountStatus,
        /// What it should be.
        to: AccountStatus,
    },
    /// Credentials of a class are alive, or cannot be counted.
    Credentials {
        /// Which account.
        account: AccountRef,
        /// Which class.
        class: CredentialClass,
        /// How many; `None` when the target cannot list them.
        alive: Option<u32>,
    },
    /// Its mailbox should do something else.
    Mailbox {
        /// Which account.
        account: AccountRef,
        /// What it should do.
        change: MailboxChange,
    },
    /// It gets no mail once it is closed, so its mail has to go elsewhere; no call does that.
    Reroute {
        /// Which account.
        account: AccountRef,
        /// Its name there, which mail is sent to.
        user_name: SmolStr,
        /// Who could get it, on the same provider.
        to: Option<AccountRef>,
    },
    /// It was closed long ago, and nothing keeps it.
    Delete {
        /// Which.
        account: AccountRef,
        /// Since when it is closed.
        closed: DateTime<Utc>,
    },
    /// It owns things that somebody else should own.
    Transfer {
        /// Which account.
        account: AccountRef,
        /// Who gets them, on the same provider.
        to: AccountRef,
        /// How many.
        assets: usize,
    },
}

impl AccountLine {
    /// The account that the line closes, or is about to. What else is alive on it has to be known then.
    #[must_use]
    pub const fn closes(&self) -> Option<&AccountRef> {
        match self {
            Self::Create { .. } | Self::Update { .. } => None,
            Self::Status { to, .. } if to.can_sign_in() => None,
            Self::Status { account, .. }
            | Self::Credentials { account, .. }
            | Self::Mailbox { account, .. }
            | Self::Reroute { account, .. }
            | Self::Delete { account, .. }
            | Self::Transfer { account, .. } => Some(account),
        }
    }
}

/// One entitlement on one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct AccessLine {
    /// Where it is held; `None` when the account is still to be made.
    pub account: Option<AccountRef>,
    /// What.
    pub entitlement: EntitlementRef,
    /// What should happen.
    pub verdict: Verdict,
    /// All claims for it. Empty for a revoke and for foreign access.
    pub reasons: Vec<ClaimSource>,
    /// In people's words.
    pub because: SmolStr,
    /// How much harm it can do.
    pub sensitivity: Sensitivity,
}

/// What should happen with an entitlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the four verdicts of DESIGN are complete")]
pub enum Verdict {
    /// Claimed and not held.
    Grant,
    /// Held, not claimed, and ours to take.
    Revoke,
    /// Claimed and held.
    Keep,
    /// Held, not claimed, and left alone.
    Foreign(ForeignReason),
}

/// Something that cannot be done now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Wait {
    /// What, in people's words.
    pub what: SmolStr,
    /// Why.
    pub why: SmolStr,
}

impl Delta {
    /// Lines of one verdict.
    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &AccessLine> {
        self.access.iter().filter(move |line| line.verdict == verdict)
    }

    /// Grants and revokes: the size of the symmetric difference that will be worked off.
    #[must_use]
    pub fn size(&self) -> usize {
        self.with(Verdict::Grant).count() + self.with(Verdict::Revoke).count()
    }

    /// Whether accounts that were closed are to be archived or deleted, and nothing else.
    #[must_use]
    pub fn is_retention(&self) -> bool {
        let late = |line: &AccountLine| {
            matches!(
                line,
                AccountLine::Delete { .. }
                    | AccountLine::Status { to: AccountStatus::Archived, .. }
            )
        };
        self.size() == 0 && !self.accounts.is_empty() && self.accounts.iter().all(late)
    }

    /// Whether nothing differs that could be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.size() == 0
    }
}

/// Computes the delta of one person. Pure.
#[must_use]
pub fn delta(policy: &Policy, desired: &Desired, world: &World, ledger: &Ledger) -> Delta {
    let mut work = Work::new(policy, desired, world, ledger);
    if desired.state == LifecycleState::Undetermined {
        // Facts do not add up. Whatever we did now could be wrong, so a person has to look first.
        work.wait("everything about this person", "facts are missing; see the findings");
        return work.out;
    }
    let mut providers: BTreeSet<&ProviderId> = desired.accounts.keys().collect();
    providers.extend(world.accounts(&desired.identity).map(|(at, _)| &at.provider));
    for provider in providers {
        work.provider(provider);
    }
    if work.out.gone && work.out.is_empty() {
        work.retention();
    }
    let mut out = work.out;
    out.accounts.sort();
    out.access.sort_by(|a, b| (&a.account, &a.entitlement).cmp(&(&b.account, &b.entitlement)));
    out
}

struct Work<'a> {
    policy: &'a Policy,
    desired: &'a Desired,
    world: &'a World,
    ledger: &'a Ledger,
    out: Delta,
}

/// Whether somebody has left or never started.
pub(crate) const fn is_gone(desired: &Desired) -> bool {
    matches!(desired.state, LifecycleState::Left | LifecycleState::NeverStarted)
}

impl<'a> Work<'a> {
    fn new(policy: &'a Policy, desired: &'a Desired, world: &'a World, ledger: &'a Ledger) -> Self {
        let (identity, gone) = (desired.identity.clone(), is_gone(desired));
        let (accounts, access, waits) = Default::default();
        Self {
            policy,
            desired,
            world,
            ledger,
            out: Delta { identity, gone, accounts, access, waits },
        }
    }

    fn wait(&mut self, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.out.waits.push(Wait { what: SmolStr::new(what), why: SmolStr::new(why) });
    }

    fn provider(&mut self, provider: &ProviderId) {
        let world = self.world;
        let Some(facts) = world.providers().get(provider) else {
            self.wait(format!("provider `{provider}`"), "it could not be read");
            return;
        };
        let mut claimed: BTreeMap<&EntitlementKey, Vec<ClaimSource>> = BTreeMap::new();
        for claim in &self.desired.claims {
            if &claim.entitlement.provider == provider {
                let sources = claimed.entry(&claim.entitlement.key).or_default();
                sources.push(claim.source.clone());
            }
        }
        let wanted = self.desired.accounts.get(provider);
        let primary = world.primary(&self.desired.identity, provider);
        match (primary, wanted) {
            (None, Some(wanted)) => {
                self.missing_account(provider, facts.complete, wanted, &claimed);
            }
            (None, None) => {}
            (Some((first, _)), wanted) => {
                let all: Vec<_> = world
                    .accounts(&self.desired.identity)
                    .filter(|(at, _)| &at.provider == provider)
                    .collect();
                for (at, state) in all {
                    if self.policy.protected.accounts.contains(at) {
                        self.protected(at, state);
                        continue;
                    }
                    let is_primary = at == first;
                    self.account(at, state, if is_primary { wanted } else { None }, is_primary);
                    let opens = wanted.is_some_and(|it| it.status.can_sign_in());
                    let gives =
                        is_primary.then(|| self.takes_grants(provider, state.status, opens));
                    self.access(at, state, &claimed, gives, facts.complete);
                }
            }
        }
    }

    /// What becomes of accounts that are closed, once nothing else is to be done about them.
    fn retention(&mut self) {
        let rule = &self.policy.leaver;
        let world = self.world;
        let days = |days: Option<u16>| days.map(|days| TimeDelta::days(days.into()));
        let (archive, delete) = (days(rule.archive_after_days), days(rule.delete_after_days));
        for (at, state) in world.accounts(&self.desired.identity) {
            if self.policy.protected.accounts.contains(at) || state.status.can_sign_in() {
                continue;
            }
            // Somebody else's account, or somebody else's reason to close it: theirs to end.
            let Some(closed) = self.ledger.closed(at) else { continue };
            let over = |after: Option<TimeDelta>| {
                after.map(|after| closed + after).filter(|due| *due <= self.desired.at)
            };
            let archives = world
                .providers()
                .get(&at.provider)
                .is_some_and(|facts| facts.statuses.contains(&AccountStatus::Archived));
            if over(delete).is_some() {
                let what = format!("delete `{at}`");
                if let Some(case) = self.desired.held.first() {
                    self.wait(what, format!("it is held for `{case}`"));
                } else if !state.owns.is_empty() {
                    self.wait(what, format!("it owns {} things alone", state.owns.len()));
                } else {
                    let account = at.clone();
                    self.out.accounts.push(AccountLine::Delete { account, closed });
                    continue;
                }
            }
            if over(archive).is_some() && archives && state.status == AccountStatus::Disabled {
                self.status(at, state, AccountStatus::Archived);
            }
        }
    }

    fn missing_account(
        &mut self,
        provider: &ProviderId,
        complete: bool,
        wanted: &DesiredAccount,
        claimed: &BTreeMap<&EntitlementKey, Vec<ClaimSource>>,
    ) {
        if wanted.status == AccountStatus::Disabled {
            return;
        }
        if !complete {
            self.wait(format!("account on `{provider}`"), "the listing was not complete");
            return;
        }
        if let Some(candidate) = self.world.candidate(&self.desired.identity, provider) {
            let why = format!("`{candidate}` may be theirs; a person has to say");
            self.wait(format!("account on `{provider}`"), why);
            return;
        }
        // Nobody gets a new account in order to be away.
        let status = match wanted.status {
            AccountStatus::Active => Some(AccountStatus::Active),
            _ => self.world.closed_at_first(provider),
        };
        let Some(status) = status else {
            let why = "every account there can be used at once, so it is made on the first day";
            self.wait(format!("account on `{provider}`"), why);
            return;
        };
        let Some(user_name) = self.free_name(provider, &wanted.user_name) else {
            let why = format!("the name `{}` is or was somebody else's", wanted.user_name);
            self.wait(format!("account on `{provider}`"), why);
            return;
        };
        self.out.accounts.push(AccountLine::Create {
            provider: provider.clone(),
            user_name,
            status,
            attributes: wanted.attributes.clone(),
        });
        let gives = self.takes_grants(provider, status, false);
        for (key, reasons) in claimed {
            let entitlement = EntitlementRef::new(provider.clone(), (*key).clone());
            self.give(None, entitlement, reasons, gives);
        }
    }

    fn protected(&mut self, at: &AccountRef, state: &AccountState) {
        for key in &state.holdings {
            let entitlement = EntitlementRef::new(at.provider.clone(), key.clone());
            self.foreign(at, entitlement, ForeignReason::Protected);
        }
    }

    fn account(
        &mut self,
        at: &AccountRef,
        state: &AccountState,
        wanted: Option<&DesiredAccount>,
        is_primary: bool,
    ) {
        if self.out.gone {
            self.status(at, state, AccountStatus::Disabled);
            self.credentials(at, state, &CredentialClass::ALL);
            self.mailbox(at, state);
            self.drivers(at, state);
            return;
        }
        let Some(wanted) = wanted else {
            let staged = state.status == AccountStatus::Staged
                && self.desired.state == LifecycleState::PreHire;
            // A first day that moved away leaves what was prepared where it is: nobody can use it.
            if is_primary && !staged && self.policy.accounts.contains_key(&at.provider) {
                // Still engaged, but the rule for this provider does not hold any more.
                self.status(at, state, AccountStatus::Disabled);
            }
            return;
        };
        if self.desired.state == LifecycleState::PreHire && state.status.can_sign_in() {
            // Between two engagements somebody has left, whatever comes next.
            self.status(at, state, AccountStatus::Disabled);
            self.credentials(at, state, &CredentialClass::ALL);
            return;
        }
        self.status(at, state, wanted.status);
        if matches!(wanted.status, AccountStatus::Suspended | AccountStatus::Disabled) {
            let classes = [CredentialClass::Sessions, CredentialClass::RefreshTokens];
            self.credentials(at, state, &classes);
        }
        if wanted.status == AccountStatus::Disabled {
            return;
        }
        let differs = |name: &AttributeName, value: &AttributeValue| {
            !state.attributes.get(name).is_some_and(|seen| value.is_shown_as(seen))
        };
        let set: BTreeMap<_, _> = wanted
            .attributes
            .iter()
            .filter(|(name, value)| differs(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mapped = self.policy.accounts.get(&at.provider).map(|rule| &rule.attributes);
        let clear: BTreeSet<_> = mapped
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|name| !wanted.attributes.contains_key(*name))
            .filter(|name| state.attributes.contains_key(*name))
            .cloned()
            .collect();
        let user_name = self.new_name(at, state, wanted);
        if user_name.is_some() || !set.is_empty() || !clear.is_empty() {
            let account = at.clone();
            self.out.accounts.push(AccountLine::Update { account, user_name, set, clear });
        }
    }

    /// The name to give to an account that has another one. A number that was put behind it because the
    /// name is taken stays.
    fn new_name(
        &mut self,
        at: &AccountRef,
        state: &AccountState,
        wanted: &DesiredAccount,
    ) -> Option<SmolStr> {
        if state.user_name == wanted.user_name {
            return None;
        }
        let Some(name) = self.free_name(&at.provider, &wanted.user_name) else {
            let why = format!("the name `{}` is or was somebody else's", wanted.user_name);
            self.wait(format!("rename `{at}`"), why);
            return None;
        };
        let has_number = (2..=NUMBERS).any(|n| numbered(&wanted.user_name, n) == state.user_name);
        (name != state.user_name && !(has_number && name != wanted.user_name)).then_some(name)
    }

    /// The name itself if nobody else has or had it; else one with a number, if the policy says so.
    fn free_name(&self, provider: &ProviderId, name: &SmolStr) -> Option<SmolStr> {
        let who = &self.desired.identity;
        let free = |name: &SmolStr| {
            !self.world.is_taken(provider, name, who) && !self.ledger.was_taken(provider, name, who)
        };
        if free(name) {
            return Some(name.clone());
        }
        let rule = self.policy.accounts.get(provider).map(|rule| rule.on_taken);
        let numbers = rule == Some(OnTaken::Number);
        (2..=NUMBERS).filter(|_| numbers).map(|n| numbered(name, n)).find(free)
    }

    /// What the target computes goes when the attribute goes that it is computed from.
    fn drivers(&mut self, at: &AccountRef, state: &AccountState) {
        let required = self.world.providers().get(&at.provider).map(|facts| &facts.required);
        let clear: BTreeSet<AttributeName> = state
            .holdings
            .iter()
            .filter_map(|key| {
                let entitlement = EntitlementRef::new(at.provider.clone(), key.clone());
                match &self.policy.entitlements.get(&entitlement)?.assignability {
                    Assignability::Computed { driver } => Some(driver.clone()),
                    _ => None,
                }
            })
            .filter(|driver| state.attributes.contains_key(driver))
            .filter(|driver| required.is_none_or(|required| !required.contains(driver)))
            .collect();
        if !clear.is_empty() {
            let (account, set) = (at.clone(), BTreeMap::new());
            self.out.accounts.push(AccountLine::Update { account, user_name: None, set, clear });
        }
    }

    fn status(&mut self, at: &AccountRef, state: &AccountState, to: AccountStatus) {
        let from = state.status;
        // Many targets have one way to block sign-in: that is what a leave, too, comes to there.
        let here = self.world.providers().get(&at.provider);
        let has = here.is_none_or(|facts| facts.statuses.contains(&to));
        let to = if has || to.can_sign_in() { to } else { AccountStatus::Disabled };
        // Nobody signs in to a closed account before the first day, whatever it was closed for; many targets
        // have no way back to staged. An archived account is disabled, too.
        let same = from == to
            || (to == AccountStatus::Staged && !from.can_sign_in())
            || (from == AccountStatus::Archived && to == AccountStatus::Disabled);
        if !same {
            self.out.accounts.push(AccountLine::Status { account: at.clone(), from, to });
        }
    }

    fn credentials(&mut self, at: &AccountRef, state: &AccountState, classes: &[CredentialClass]) {
        for class in classes {
            let alive = state.credentials.get(class).copied();
            let due = match alive {
                Some(count) => count > 0,
                // Not countable: once, together with the block of sign-in, or with the bonds to devices, which
                // go when that is done.
                None => {
                    let bound = *class == CredentialClass::Devices
                        && state.holdings.iter().any(|it| it.kind.as_str() == DEVICE);
                    (state.status.can_sign_in() || bound)
                        && self.world.supports(&at.provider, Verb::RevokeCredentials(*class))
                }
            };
            if due {
                let (account, class) = (at.clone(), *class);
                self.out.accounts.push(AccountLine::Credentials { account, class, alive });
            }
        }
    }

    fn mailbox(&mut self, at: &AccountRef, state: &AccountState) {
        let rule = &self.policy.leaver;
        let manager = self.manager_account(&at.provider);
        if let Some(mailbox) = &state.mailbox {
            let mut changes = Vec::new();
            if let Some(text) = &rule.auto_reply
                && mailbox.auto_reply.as_ref() != Some(text)
            {
                changes.push(MailboxChange::AutoReply(text.clone()));
            }
            if rule.forward_to_manager {
                match &manager {
                    Some(to) if mailbox.forward_to.as_ref() != Some(&to.account) => {
                        changes.push(MailboxChange::ForwardTo(to.account.clone()));
                    }
                    Some(_) => {}
                    None => self.wait("mailbox forwarding", "the manager has no account there"),
                }
            }
            if rule.convert_mailbox && !mailbox.shared {
                changes.push(MailboxChange::ConvertToShared);
            }
            if !changes.is_empty() && self.world.loses_mail(&at.provider) {
                let (account, to) = (at.clone(), manager.clone());
                let user_name = state.user_name.clone();
                self.out.accounts.push(AccountLine::Reroute { account, user_name, to });
                changes.clear();
            }
            for change in changes {
                self.out.accounts.push(AccountLine::Mailbox { account: at.clone(), change });
            }
        }
        if rule.transfer_ownership && !state.owns.is_empty() {
            match manager {
                Some(to) => {
                    let (account, assets) = (at.clone(), state.owns.len());
                    self.out.accounts.push(AccountLine::Transfer { account, to, assets });
                }
                None => self.wait("transfer of ownership", "the manager has no account there"),
            }
        }
    }

    /// The manager's account, if it is there and can sign in.
    fn manager_account(&self, provider: &ProviderId) -> Option<AccountRef> {
        let manager = IdentityId::new(self.desired.manager.as_ref()?).ok()?;
        let (at, state) = self.world.primary(&manager, provider)?;
        state.status.can_sign_in().then(|| at.clone())
    }

    /// Whether an account can be given something now. One that this plan opens can.
    fn takes_grants(
        &self,
        provider: &ProviderId,
        status: AccountStatus,
        opens: bool,
    ) -> Result<(), &'static str> {
        match status {
            AccountStatus::Archived if !opens => Err("the account is archived"),
            AccountStatus::Disabled if !opens && self.world.refuses_grants(provider) => {
                Err("the target gives nothing to a disabled account")
            }
            _ => Ok(()),
        }
    }
}

/// The kind of entitlement that binds an account to a device.
pub(crate) const DEVICE: &str = "system";

/// How many people of one name get a number.
const NUMBERS: u16 = 999;

/// A name with a number, before an `@`.
fn numbered(name: &str, number: u16) -> SmolStr {
    match name.split_once('@') {
        Some((local, domain)) => SmolStr::new(format!("{local}{number}@{domain}")),
        None => SmolStr::new(format!("{name}{number}")),
    }
}
