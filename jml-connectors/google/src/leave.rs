//! What a leaver leaves behind: credentials, the mailbox, documents.

use jml_core::account::CredentialClass;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Cx, Error, ErrorKind, MailboxChange, Outcome, PendingRef, RefusalReason, Result,
    SideEffect, Verb,
};

use crate::answers::{Delegate, ForwardingAddress, ForwardingAddresses, Transfer, User};
use crate::{Google, refused, requests};

impl Google {
    pub(crate) async fn kill(
        &self,
        cx: &Cx,
        id: &AccountId,
        class: CredentialClass,
    ) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        let id = user.id.as_str();
        match class {
            CredentialClass::Sessions => {
                self.directory.send(cx, requests::sign_out(id)).await?;
                Ok(Outcome::accepted())
            }
            CredentialClass::RefreshTokens => {
                let tokens = self.tokens(cx, id).await?;
                let each = tokens.iter().map(|it| requests::take(id, "tokens", &it.client));
                self.directory.change_each(cx, each.collect()).await
            }
            CredentialClass::AppPasswords => {
                let asps = self.asps(cx, id).await?;
                let each = asps.iter().map(|it| requests::take(id, "asps", it.code));
                self.directory.change_each(cx, each.collect()).await
            }
            CredentialClass::Devices => self.kill_devices(cx, &user).await,
            CredentialClass::MfaFactors => {
                let codes = user.is_live() && self.end_codes(cx, id).await?;
                if user.enrolled {
                    let off = self.directory.send(cx, requests::turn_off_2sv(id)).await;
                    off.map_err(|error| {
                        // It is on, so what is wrong is not the request.
                        let error = if error.kind() == ErrorKind::Invalid {
                            refused(format!("2-Step Verification stays on: {}", error.message()))
                        } else {
                            error
                        };
                        if codes { error.partly() } else { error }
                    })?;
                }
                if !codes && !user.enrolled {
                    return Ok(Outcome::unchanged());
                }
                let outcome = Outcome::changed();
                if user.is_live() {
                    return Ok(outcome);
                }
                let text = "backup codes cannot be looked at while it is suspended; without 2-Step \
                            Verification nobody is asked for one";
                Ok(outcome.with_side_effect(SideEffect::Other(text.into())))
            }
            other => Err(Error::unsupported(Verb::RevokeCredentials(other))),
        }
    }

    pub(crate) async fn set_mailbox(
        &self,
        cx: &Cx,
        id: &AccountId,
        change: &MailboxChange,
    ) -> Result<Outcome> {
        let user = self.user(cx, id).await?;
        let none = || Error::new(ErrorKind::NotFound, "the account has no mailbox");
        if !user.has_mailbox {
            return Err(none());
        }
        if !user.is_live() {
            return Err(refused(
                "a suspended user gets no mail, and neither answers nor forwards any; make the address a group, \
                 or do this before the last day",
            ));
        }
        let client = self.mail_of(&user)?;
        let off = |error: Error| match error.kind() {
            ErrorKind::Refused(RefusalReason::Policy) => none(),
            _ => error,
        };
        match change {
            MailboxChange::AutoReply(text) => {
                client.send(cx, requests::vacation(text)).await.map_err(off)?;
            }
            MailboxChange::ForwardTo(to) => {
                let to = self.live_taker(cx, to).await?.primary_email;
                let sent = client.fetch(cx, requests::forwarding_address(&to)).await;
                let (address, made): (Option<ForwardingAddress>, bool) = match sent {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        let all: ForwardingAddresses =
                            client.fetch(cx, requests::mail("forwardingAddresses")).await?;
                        let is =
                            |it: &ForwardingAddress| it.forwarding_email.eq_ignore_ascii_case(&to);
                        (all.addresses.into_iter().find(is), false)
                    }
                    other => (Some(other.map_err(off)?), true),
                };
                let partly = |error: Error| if made { error.partly() } else { error };
                if let Some(address) = address.filter(|it| !it.consent.is_given()) {
                    let text = format!(
                        "mail goes to `{to}` once its owner confirms the mail that Gmail sent there ({})",
                        address.consent.as_str()
                    );
                    return Err(partly(refused(text)));
                }
                client.send(cx, requests::forward(&to)).await.map_err(partly)?;
            }
            MailboxChange::Delegate(to) => {
                let to = self.live_taker(cx, to).await?.primary_email;
                let sent = client.fetch(cx, requests::delegate(&to)).await;
                let (delegate, made): (Delegate, bool) = match sent {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        (client.fetch(cx, requests::delegate_of(&to)).await?, false)
                    }
                    other => (other.map_err(off)?, true),
                };
                if !delegate.consent.is_given() {
                    let text = format!(
                        "`{to}` reads the mailbox once that is accepted there ({})",
                        delegate.consent.as_str()
                    );
                    let error = refused(text);
                    return Err(if made { error.partly() } else { error });
                }
                if !made {
                    return Ok(Outcome::unchanged());
                }
            }
            _ => return Err(Error::new(ErrorKind::Invalid, "another change to a mailbox")),
        }
        Ok(Outcome::accepted())
    }

    /// Whoever takes over from somebody. Mail and documents that go to a suspended user are lost.
    async fn live_taker(&self, cx: &Cx, id: &AccountId) -> Result<User> {
        let taker = self.user(cx, id).await?;
        if taker.is_live() {
            return Ok(taker);
        }
        let text = format!("`{}` is suspended, and cannot take anything", taker.primary_email);
        Err(refused(text))
    }

    /// Hands documents and calendars over. Google works on it for minutes to hours.
    pub(crate) async fn hand_over(
        &self,
        cx: &Cx,
        from: &AccountId,
        to: &AccountId,
    ) -> Result<Outcome> {
        let user = self.user(cx, from).await?;
        self.live_taker(cx, to).await?;
        let left = self.left(cx, &user).await?;
        if left.is_empty() {
            return Ok(Outcome::unchanged());
        }
        // One that was asked for before goes on; a second one would be refused, or wait for it.
        let running = self.transfers(cx, from.as_str()).await?;
        if let Some(running) = running.iter().find(|it| it.is_running()) {
            if running.new_owner_user_id != to.as_str() {
                let text = format!("transfer `{}` hands it to somebody else", running.id);
                return Err(refused(text));
            }
            return Ok(Outcome::pending(PendingRef(running.id.as_str().into())));
        }
        let left: Vec<_> = left.iter().map(|it| (it.id.clone(), it.parameters())).collect();
        let request = requests::hand_over(from.as_str(), to.as_str(), &left);
        let made: Transfer = self.transfer.fetch(cx, request).await?;
        Ok(Outcome::pending(PendingRef(made.id.into())))
    }

    /// How far a transfer is.
    pub(crate) async fn ask_for(&self, cx: &Cx, id: &str) -> Result<Outcome> {
        let transfer: Transfer = self.transfer.fetch(cx, requests::transfer(id)).await?;
        if transfer.is_done() {
            return Ok(Outcome::changed());
        }
        if transfer.is_running() {
            return Ok(Outcome::pending(PendingRef(id.into())));
        }
        let text = format!("transfer `{id}` ended as `{}`", transfer.status);
        Err(refused(text).with_applied(Applied::Partly))
    }
}
