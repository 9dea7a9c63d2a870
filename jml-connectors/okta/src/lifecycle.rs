//! The status of a user: what one may do from where, and changes that go on after the answer.
//! <https://developer.okta.com/docs/concepts/user-lifecycle/>

use jml_core::account::AccountStatus;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Cx, Effect, Error, ErrorKind, Outcome, PendingRef, RefusalReason, Result, RetryAdvice,
    SideEffect,
};

use crate::answers::{Named, Status, User};
use crate::{Okta, requests};

impl Okta {
    pub(crate) async fn set_status(
        &self,
        cx: &Cx,
        id: &AccountId,
        to: AccountStatus,
    ) -> Result<Outcome> {
        let user: User = self.client.fetch(cx, requests::user(id.as_str())).await?;
        if let Some(next) = user.becomes {
            // Nothing can be asked for meanwhile.
            return if next.is(to) { Ok(pending(id, to)) } else { Err(still(&user)) };
        }
        if user.status.is(to) {
            return Ok(Outcome::unchanged());
        }
        let send = |what| self.client.change(cx, requests::lifecycle(id.as_str(), what));
        match (to, user.status) {
            (AccountStatus::Active, Status::Suspended) => send("unsuspend").await,
            (AccountStatus::Active, _) => {
                let outcome = send("activate").await?;
                self.landed(cx, id, to, outcome).await
            }
            (AccountStatus::Disabled, Status::Active) => send("suspend").await,
            // Only who is active can be suspended, and who is locked out would be, once unlocked.
            (AccountStatus::Disabled, Status::LockedOut) => match send("unlock").await {
                Ok(_) => send("suspend").await.map_err(Error::partly),
                // Okta does not unlock whom another directory locked.
                Err(error) if error.retry() == RetryAdvice::Never => {
                    self.deprovision(cx, id, to).await
                }
                Err(error) => Err(error),
            },
            // Anybody else can only be deprovisioned, which is more.
            (AccountStatus::Disabled | AccountStatus::Archived, _) => {
                self.deprovision(cx, id, to).await
            }
            _ => {
                let text = format!("Okta has no way back to `{}`", to.as_str());
                Err(Error::new(ErrorKind::Invalid, text))
            }
        }
    }

    /// Takes every application. Factors go first: Okta takes none from who is deprovisioned. Where it will never
    /// take them, that does not keep anybody in.
    async fn deprovision(&self, cx: &Cx, id: &AccountId, to: AccountStatus) -> Result<Outcome> {
        let (done, kept) = match self.reset_factors(cx, id).await {
            Ok(outcome) => (outcome.effect != Effect::Unchanged, None),
            Err(error) if error.retry() == RetryAdvice::Never => (false, Some(error)),
            Err(error) => return Err(error),
        };
        let sent = self.client.change(cx, requests::lifecycle(id.as_str(), "deactivate")).await;
        let sent = sent.map_err(|error| if done { error.partly() } else { error })?;
        let mut outcome = self.landed(cx, id, to, sent).await?;
        let text = "every application was deprovisioned";
        outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
        if let Some(error) = kept {
            outcome.warnings.push(format!("the factors stay: {}", error.kind().as_str()).into());
        }
        Ok(outcome)
    }

    /// Takes all factors, where there are any or nobody can say.
    async fn reset_factors(&self, cx: &Cx, id: &AccountId) -> Result<Outcome> {
        let request = requests::of_user(id.as_str(), "factors");
        if self.optional::<Named>(cx, request).await?.is_some_and(|all| all.is_empty()) {
            return Ok(Outcome::unchanged());
        }
        self.client.change(cx, requests::lifecycle(id.as_str(), "reset_factors")).await
    }

    /// As [`reset_factors`](Self::reset_factors), for anybody: of who is deprovisioned none can be taken.
    pub(crate) async fn take_factors(&self, cx: &Cx, id: &AccountId) -> Result<Outcome> {
        let reset = self.client.change(cx, requests::lifecycle(id.as_str(), "reset_factors")).await;
        let Err(error) = reset else { return reset };
        if error.kind() != ErrorKind::Conflict {
            return Err(error);
        }
        let user: User = self.client.fetch(cx, requests::user(id.as_str())).await?;
        if user.status != Status::Deprovisioned {
            return Err(error);
        }
        let request = requests::of_user(id.as_str(), "factors");
        if self.optional::<Named>(cx, request).await?.is_some_and(|all| all.is_empty()) {
            return Ok(Outcome::unchanged());
        }
        let text = "Okta takes no factors from who is deprovisioned; activate them, reset the factors, and \
                    deactivate them again";
        Err(Error::new(ErrorKind::Refused(RefusalReason::Policy), text))
    }

    /// A lifecycle call that was answered: done, or still going on. Where nobody can say, it is asked for later.
    async fn landed(
        &self,
        cx: &Cx,
        id: &AccountId,
        to: AccountStatus,
        outcome: Outcome,
    ) -> Result<Outcome> {
        match self.client.find::<User>(cx, requests::user(id.as_str())).await {
            Ok(user) if user.as_ref().is_none_or(|it| it.becomes.is_none()) => Ok(outcome),
            _ => Ok(outcome.remote.iter().fold(pending(id, to), Outcome::with_remote)),
        }
    }

    /// How far a lifecycle call is.
    pub(crate) async fn ask_for(&self, cx: &Cx, handle: &PendingRef) -> Result<Outcome> {
        let named = handle.0.rsplit_once(':').and_then(|(id, to)| {
            let to = AccountStatus::ALL.into_iter().find(|it| it.as_str() == to)?;
            Some((AccountId::new(id).ok()?, to))
        });
        let unknown = || Error::new(ErrorKind::NotFound, "no change is known by that name");
        let (id, to) = named.ok_or_else(unknown)?;
        let user: Option<User> = self.client.find(cx, requests::user(id.as_str())).await?;
        match user {
            // Whoever is gone cannot sign in.
            None if to.can_sign_in() => Err(unknown()),
            None => Ok(Outcome::changed()),
            Some(user) if user.becomes.is_some() => Ok(pending(&id, to)),
            Some(user) if user.status.is(to) => Ok(Outcome::changed()),
            Some(user) => {
                let text = format!("Okta left them {:?}, and not {}", user.status, to.as_str());
                Err(Error::new(ErrorKind::ContractViolation, text).with_applied(Applied::Unknown))
            }
        }
    }

    pub(crate) async fn delete(&self, cx: &Cx, id: &AccountId) -> Result<Outcome> {
        let request = || requests::delete(id.as_str());
        // It deletes who is deprovisioned, and deprovisions anybody else, who is deleted by a second call.
        self.client.change(cx, request()).await?;
        let left: Option<User> =
            self.client.find(cx, requests::user(id.as_str())).await.map_err(Error::partly)?;
        let Some(user) = left else { return Ok(Outcome::changed()) };
        if user.becomes.is_some() || user.status != Status::Deprovisioned {
            return Err(still(&user).partly());
        }
        match self.client.change(cx, request()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::changed()),
            other => other.map_err(Error::partly),
        }
    }
}

fn pending(id: &AccountId, to: AccountStatus) -> Outcome {
    Outcome::pending(PendingRef(format!("{id}:{}", to.as_str()).into()))
}

/// What Okta itself answers meanwhile (`E0000112`).
fn still(user: &User) -> Error {
    let text = format!("they are {:?} and still become something else", user.status);
    Error::new(ErrorKind::Conflict, text).with_retry(RetryAdvice::Backoff)
}
