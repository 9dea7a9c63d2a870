//! Everything about one user.

use std::collections::BTreeSet;

use jml_connector_kit::Client;
use jml_core::account::{AccountState, CredentialClass, Mailbox};
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, IdentityId};
use jml_core::provider::{Cx, Error, ErrorKind, RefusalReason, Result};
use serde_json::Value;

use crate::answers::{
    Application, Asp, Assignment, Delegates, Forwarding, Group, OAuthToken, Transfer, User,
    Vacation, classify,
};
use crate::{Acting, Google, MAILBOX_SCOPES, profile, requests};

/// What stands for things that somebody may own, while Data Transfer does not say.
const UNREAD: &str = "whatever Data Transfer does not show for now";

impl Google {
    /// The user of an identity, by address first: that is looked up where it was written.
    pub(crate) async fn by_owner(
        &self,
        cx: &Cx,
        identity: &IdentityId,
        email: &str,
    ) -> Result<Option<User>> {
        let owner = |user: &User| profile::owner(&user.profile);
        let by_email = if email.contains('@') { self.find(cx, email).await? } else { None };
        if by_email.as_ref().and_then(owner).as_ref() == Some(identity) {
            return Ok(by_email);
        }
        let found: Vec<User> = self.all(cx, &self.directory, requests::owned_by(identity)).await?;
        let mine = found.into_iter().find(|it| owner(it).as_ref() == Some(identity));
        // An alias leads to somebody too, and is not their name.
        let free =
            |user: &User| owner(user).is_none() && user.primary_email.eq_ignore_ascii_case(email);
        Ok(mine.or_else(|| by_email.filter(free)))
    }

    /// Everything about a user.
    pub(crate) async fn whole(&self, cx: &Cx, user: &User) -> Result<AccountState> {
        let id = user.id.as_str();
        let mut state = user.account();
        let groups: Vec<Group> =
            self.all(cx, &self.directory, requests::groups(Some(id), 200)).await?;
        let groups = groups.into_iter();
        state
            .holdings
            .extend(groups.map(|it| EntitlementKey::new(self.kinds.group.clone(), it.id)));
        for it in self.roles(cx, id).await? {
            state.holdings.insert(self.role(&it)?);
        }
        for (id, sku) in &self.skus {
            if self.has_licence(cx, sku, &user.primary_email).await? {
                let key = EntitlementKey::new(self.kinds.licence.clone(), id.clone());
                state.holdings.insert(key);
            }
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        for (class, number) in [
            (CredentialClass::RefreshTokens, Some(self.tokens(cx, id).await?.len())),
            (CredentialClass::AppPasswords, Some(self.asps(cx, id).await?.len())),
            (CredentialClass::MfaFactors, self.factors(cx, user).await?),
            (CredentialClass::Devices, or_unread(cx, self.count_devices(cx, user).await)?),
        ] {
            if let Some(number) = number {
                state.credentials.insert(class, count(number));
            }
        }
        state.mailbox = or_unread(cx, self.mailbox(cx, user).await)?;
        let left = or_unread(cx, self.left(cx, user).await.map(Some))?;
        state.owns = match left {
            Some(left) => left.into_iter().map(|it| it.name.into()).collect(),
            // It may be something, so it counts as that.
            None => [UNREAD.into()].into(),
        };
        Ok(state)
    }

    pub(crate) async fn roles(&self, cx: &Cx, user: &str) -> Result<Vec<Assignment>> {
        self.all(cx, &self.directory, requests::assignments(Some(user), 200)).await
    }

    pub(crate) async fn tokens(&self, cx: &Cx, user: &str) -> Result<Vec<OAuthToken>> {
        self.all(cx, &self.directory, requests::of_user(user, "tokens")).await
    }

    pub(crate) async fn asps(&self, cx: &Cx, user: &str) -> Result<Vec<Asp>> {
        self.all(cx, &self.directory, requests::of_user(user, "asps")).await
    }

    /// Backup codes that somebody has. Those of a suspended user cannot be looked at.
    pub(crate) async fn codes(&self, cx: &Cx, user: &str) -> Result<usize> {
        let codes: Vec<Value> =
            self.all(cx, &self.directory, requests::of_user(user, "verificationCodes")).await?;
        Ok(codes.len())
    }

    /// Second factors: 2-Step Verification, and backup codes. Where codes cannot be looked at, what is
    /// enrolled alone counts: without it, nobody is asked for a code.
    async fn factors(&self, cx: &Cx, user: &User) -> Result<Option<usize>> {
        let enrolled = usize::from(user.enrolled);
        if !user.is_live() {
            return Ok(Some(enrolled));
        }
        match self.codes(cx, user.id.as_str()).await {
            Ok(codes) => Ok(Some(enrolled + codes)),
            Err(error) if error.kind() == ErrorKind::Invalid => {
                Ok((enrolled > 0).then_some(enrolled))
            }
            Err(error) => Err(error),
        }
    }

    /// A client that acts for the user of a mailbox.
    pub(crate) fn mail_of(&self, user: &User) -> Result<Client> {
        let acting = Acting::Mailbox(&user.primary_email);
        let client = self.delegation.client(&self.gmail, acting);
        let client = client.map_err(|e| Error::new(ErrorKind::Configuration, e.to_string()))?;
        Ok(client.classifying(classify))
    }

    /// The mailbox, as long as somebody can sign in to it. Where nothing may be asked as its user, it cannot be
    /// read, which says nothing about what it does; [`health`](jml_core::provider::Provider::health) tells.
    async fn mailbox(&self, cx: &Cx, user: &User) -> Result<Option<Mailbox>> {
        if !self.mailboxes || !user.has_mailbox || !user.is_live() {
            return Ok(None);
        }
        match self.settings(cx, user).await {
            Err(error) => match error.kind() {
                // Gmail is off for this user.
                ErrorKind::Refused(RefusalReason::Policy)
                | ErrorKind::Unauthenticated
                | ErrorKind::PermissionDenied => Ok(None),
                _ => Err(error),
            },
            Ok(mailbox) => Ok(Some(mailbox)),
        }
    }

    /// What the settings of a mailbox say.
    async fn settings(&self, cx: &Cx, user: &User) -> Result<Mailbox> {
        let client = self.mail_of(user)?;
        let vacation: Vacation = client.fetch(cx, requests::mail("vacation")).await?;
        let forwarding: Forwarding = client.fetch(cx, requests::mail("autoForwarding")).await?;
        let readers: Delegates = client.fetch(cx, requests::mail("delegates")).await?;
        let auto_reply = vacation.text(cx.now()).map(Into::into);
        let mut mailbox = Mailbox { auto_reply, ..Mailbox::default() };
        if forwarding.enabled {
            mailbox.forward_to = self.reader(cx, &forwarding.email_address).await?;
        }
        for reader in readers.delegates.iter().filter(|it| it.consent.is_given()) {
            mailbox.delegates.extend(self.reader(cx, &reader.delegate_email).await?);
        }
        Ok(mailbox)
    }

    /// The permissions for mailboxes that are missing, as far as one of these users has a mailbox to ask for. A
    /// token is refused as a whole, so then all of them are named.
    pub(crate) async fn lacking_for_mailboxes(
        &self,
        cx: &Cx,
        users: &[User],
    ) -> Result<Vec<&'static str>> {
        let some = users.iter().find(|it| self.mailboxes && it.has_mailbox && it.is_live());
        let Some(user) = some else { return Ok(Vec::new()) };
        let client = self.mail_of(user)?;
        match client.send(cx, requests::mail("vacation")).await {
            Err(error) => match error.kind() {
                ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
                    Ok(MAILBOX_SCOPES.to_vec())
                }
                // Gmail is off for this user.
                ErrorKind::Refused(RefusalReason::Policy) => Ok(Vec::new()),
                _ => Err(error),
            },
            Ok(_) => {
                let granted = client.granted();
                let lacks = |it: &&str| granted.as_ref().is_some_and(|has| !has.contains(*it));
                Ok(MAILBOX_SCOPES.into_iter().filter(lacks).collect())
            }
        }
    }

    /// Whoever has an address: an account, or, where it is nobody's here, the address itself.
    async fn reader(&self, cx: &Cx, email: &str) -> Result<Option<AccountId>> {
        match self.bearer(cx, email).await? {
            Some(id) => Ok(Some(id)),
            None => Ok(AccountId::new(email).ok()),
        }
    }

    pub(crate) async fn transfers(&self, cx: &Cx, user: &str) -> Result<Vec<Transfer>> {
        self.all(cx, &self.transfer, requests::transfers(user)).await
    }

    /// The applications whose data is this user's alone: all, for somebody who ever signed in, but those
    /// that a transfer has moved since the last time.
    pub(crate) async fn left(&self, cx: &Cx, user: &User) -> Result<Vec<Application>> {
        let Some(since) = user.last_login() else { return Ok(Vec::new()) };
        let applications: Vec<Application> =
            self.all(cx, &self.transfer, requests::applications()).await?;
        let transfers = self.transfers(cx, user.id.as_str()).await?;
        let moved: BTreeSet<&str> = transfers.iter().flat_map(|it| it.moved_since(since)).collect();
        Ok(applications.iter().filter(|it| !moved.contains(it.id.as_str())).cloned().collect())
    }
}

/// A part of a user that its server does not show for now: after an attempt in vain it is left as unread, for
/// nobody is to stay unblocked because another server is down. Holdings are never left so: none would stand
/// for "holds nothing".
fn or_unread<T>(cx: &Cx, part: Result<Option<T>>) -> Result<Option<T>> {
    match part {
        Err(error) if cx.attempt() > 1 && is_outage(&error) => Ok(None),
        other => other,
    }
}

/// Whether a server is down, slow, or broken off. What it shows then is nothing, whatever the user has.
fn is_outage(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::Transport | K::Timeout | K::Unavailable | K::RateLimited)
}
