//! The end state of an operation, as a pure function on what was read of an account.

use super::{Error, ErrorKind, MailboxChange, Operation, Result};
use crate::account::AccountState;

impl Operation {
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
                    account.attributes.insert(name.clone(), value.clone());
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
