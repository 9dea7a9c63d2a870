//! The end state of an operation, as a pure function on what was read of an account.

use super::{Effect, Error, ErrorKind, MailboxChange, Observation, Operation, Result};
use crate::account::AccountState;

impl Operation {
    /// What the operation would do to an account that was read: its effect, and the account after.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no account to give something to,
    /// [`ErrorKind::AlreadyExists`] when the name of a new account is taken by somebody else's.
    pub fn outcome_on(&self, before: &Observation) -> Result<(Effect, Observation)> {
        let Observation::Present(account) = before else {
            return match self {
                Self::CreateAccount { .. } => Ok((Effect::Changed, Observation::NotObserved)),
                // Whoever is not there holds nothing.
                _ if self.takes_away() || matches!(self, Self::DeleteAccount) => {
                    Ok((Effect::Unchanged, before.clone()))
                }
                _ => Err(Error::new(ErrorKind::NotFound, "the account does not exist")),
            };
        };
        let mut after = account.clone();
        match self {
            Self::CreateAccount { user_name, .. } => {
                if !self.satisfied_by(before) {
                    let text = format!("the sign-in name `{user_name}` is taken");
                    return Err(Error::new(ErrorKind::AlreadyExists, text));
                }
            }
            Self::DeleteAccount => return Ok((Effect::Changed, Observation::Absent)),
            Self::TransferOwnership { .. } => after.owns.clear(),
            op => op.project(&mut after)?,
        }
        let effect = if after == *account { Effect::Unchanged } else { Effect::Changed };
        Ok((effect, Observation::Present(after)))
    }

    /// Brings a copy of an account to the end state that the operation names. Overlays, previews and
    /// the reference providers use it; so does whoever wants to know what a change will look like.
    /// Changes that concern more than one account (creation, deletion, transfer) are not covered.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the account has no mailbox to change, [`ErrorKind::Unsupported`] for
    /// operations that are not about one existing account.
    pub fn project(&self, account: &mut AccountState) -> Result<()> {
        match self {
            Self::UpdateAccount { user_name, set, clear } => {
                if let Some(name) = user_name {
                    account.user_name.clone_from(name);
                }
                for (name, value) in set {
                    let seen = account.attributes.get(name);
                    if !seen.is_some_and(|seen| value.is_shown_as(seen)) {
                        account.attributes.insert(name.clone(), value.clone());
                    }
                }
                for name in clear {
                    account.attributes.remove(name);
                }
            }
            Self::SetStatus { status } => account.status = *status,
            Self::RevokeCredentials { class } => {
                account.credentials.insert(*class, 0);
            }
            Self::Grant { entitlement } => {
                account.holdings.insert(entitlement.clone());
            }
            Self::Revoke { entitlement } => {
                account.holdings.remove(entitlement);
            }
            Self::Exchange { revoke, grant } => {
                account.holdings.remove(revoke);
                account.holdings.insert(grant.clone());
            }
            Self::SetMailbox(change) => {
                let Some(mailbox) = &mut account.mailbox else {
                    let text = format!("account `{}` has no mailbox", account.id);
                    return Err(Error::new(ErrorKind::NotFound, text));
                };
                match change {
                    MailboxChange::AutoReply(text) => mailbox.auto_reply = Some(text.clone()),
                    MailboxChange::ForwardTo(to) => mailbox.forward_to = Some(to.clone()),
                    MailboxChange::Delegate(to) => {
                        mailbox.delegates.insert(to.clone());
                    }
                    MailboxChange::ConvertToShared => mailbox.shared = true,
                }
            }
            Self::CreateAccount { .. } | Self::DeleteAccount | Self::TransferOwnership { .. } => {
                return Err(Error::unsupported(self.verb()));
            }
        }
        Ok(())
    }
}
