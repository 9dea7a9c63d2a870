//! What a leaver loses, and what somebody else gets.

use jml_core::account::CredentialClass;
use jml_core::id::AccountId;
use jml_core::provider::{
    Applied, Cx, Effect, Error, ErrorKind, Outcome, PendingRef, RefusalReason, Result, RetryAdvice,
    SideEffect, Verb,
};

use crate::answers::{Device, Ended, Method, Named, Reference, if_any};
use crate::{Entra, requests};

impl Entra {
    pub(crate) async fn kill(
        &self,
        cx: &Cx,
        id: &AccountId,
        class: CredentialClass,
    ) -> Result<Outcome> {
        let user = id.as_str();
        match class {
            CredentialClass::Sessions => self.end_sessions(cx, user).await,
            CredentialClass::RefreshTokens => {
                let grants = requests::of_user(user, "oauth2PermissionGrants");
                let grants: Vec<Named> = self.all(cx, grants).await?;
                let outcome = self.end_sessions(cx, user).await?;
                let each = grants.iter().map(|it| requests::end_grant(it.id.as_str())).collect();
                self.client.change_each(cx, each).await.map_err(Error::partly)?;
                Ok(outcome)
            }
            CredentialClass::MfaFactors => self.remove_factors(cx, user).await,
            CredentialClass::Devices => self.retire(cx, user).await,
            other => Err(Error::unsupported(Verb::RevokeCredentials(other))),
        }
    }

    async fn end_sessions(&self, cx: &Cx, user: &str) -> Result<Outcome> {
        let response = self.client.send(cx, requests::end_sessions(user)).await?;
        // It used to be 204, without a body.
        if !response.body().is_empty() && !response.json::<Ended>()?.value {
            let text = "Graph took the call and says that it did not end the sessions";
            return Err(Error::new(ErrorKind::Unavailable, text).with_applied(Applied::No));
        }
        let outcome = Outcome::accepted();
        Ok(match response.request_id() {
            Some(id) => outcome.with_remote(id),
            None => outcome,
        })
    }

    /// Takes every factor. The default one cannot go before the others, and Graph v1.0 does not say which it is:
    /// what is refused is tried again as long as others go.
    async fn remove_factors(&self, cx: &Cx, user: &str) -> Result<Outcome> {
        let methods: Vec<Method> = self.all(cx, requests::methods(user)).await?;
        let factors = || methods.iter().filter(|it| it.is_factor());
        let mut left: Vec<(&str, &str)> =
            factors().filter_map(|it| Some((it.segment()?, it.id.as_str()))).collect();
        let mut unknown: Vec<&str> =
            factors().filter(|it| it.segment().is_none()).map(Method::kind).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let mut outcome = Outcome::unchanged();
        while !left.is_empty() {
            let (mut again, mut first) = (Vec::new(), None);
            for &(segment, method) in &left {
                let request = requests::remove_method(user, segment, method);
                match self.client.send(cx, request).await {
                    Ok(_) => outcome = Outcome::changed(),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) if error.retry() == RetryAdvice::Never => {
                        again.push((segment, method));
                        first.get_or_insert(error);
                    }
                    Err(error) => return Err(so_far(&outcome, error)),
                }
            }
            if let Some(error) = first.filter(|_| again.len() == left.len()) {
                return Err(so_far(&outcome, error));
            }
            left = again;
        }
        if unknown.is_empty() {
            return Ok(outcome);
        }
        let text =
            format!("no call takes authentication methods of the type {}", unknown.join(", "));
        let error = Error::new(ErrorKind::Refused(RefusalReason::Immutable), text);
        Err(so_far(&outcome, error))
    }

    async fn devices(&self, cx: &Cx, user: &str) -> Result<Vec<Device>> {
        let found = self.all(cx, requests::of_user(user, "managedDevices")).await;
        // A user who is gone has none either, and a tenant without Intune has none at all.
        Ok(if_any(found)?.unwrap_or_default())
    }

    /// Asks that every device be given up. Each does it when it next reports.
    async fn retire(&self, cx: &Cx, user: &str) -> Result<Outcome> {
        let devices = self.devices(cx, user).await?;
        if devices.is_empty() {
            return Ok(Outcome::unchanged());
        }
        let kept = devices.iter().filter(|it| !it.is_asked());
        let each = kept.map(|it| requests::retire(&it.id)).collect();
        let outcome = self.client.change_each(cx, each).await?;
        if self.devices(cx, user).await.map_err(Error::partly)?.is_empty() {
            return Ok(outcome);
        }
        Ok(Outcome::pending(PendingRef(user.into())))
    }

    /// Whether a user's devices were given up.
    pub(crate) async fn ask_for(&self, cx: &Cx, user: &str) -> Result<Outcome> {
        let _: Reference = self.client.fetch(cx, requests::exists(user)).await?;
        let devices = self.devices(cx, user).await?;
        let kept = devices.iter().filter(|it| !it.is_asked()).map(|it| it.id.as_str());
        let kept: Vec<&str> = kept.collect();
        if !kept.is_empty() {
            let text = format!("devices were not given up: {}", kept.join(", "));
            let error = Error::new(ErrorKind::Refused(RefusalReason::Policy), text);
            return Err(error.with_applied(Applied::Partly));
        }
        if devices.is_empty() {
            return Ok(Outcome::changed());
        }
        Ok(Outcome::pending(PendingRef(user.into())))
    }

    /// Groups that nobody else owns get the new owner before they lose the old one, and the drive is opened for
    /// them.
    pub(crate) async fn transfer(
        &self,
        cx: &Cx,
        id: &AccountId,
        to: &AccountId,
    ) -> Result<Outcome> {
        let (from, to) = (id.as_str(), to.as_str());
        let _: Reference = self.client.fetch(cx, requests::exists(to)).await?;
        let owned: Vec<Reference> = self.all(cx, requests::of_user(from, "ownedObjects")).await?;
        let mut outcome = Outcome::unchanged();
        for (group, owners) in self.owners(cx, &owned).await? {
            let alone = owners.iter().all(|it| it == from);
            // With the taker among them, a transfer stopped half-way; others are owners by themselves.
            if !alone && !owners.contains(to) {
                continue;
            }
            if alone {
                let request = requests::join(&self.root, &group, "owners", to);
                match self.client.change(cx, request).await {
                    Ok(_) => outcome = Outcome::changed(),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(so_far(&outcome, error)),
                }
            }
            match self.client.change(cx, requests::leave(&group, "owners", from)).await {
                Ok(_) => outcome = Outcome::changed(),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(so_far(&outcome, error)),
            }
        }
        match self.open_drive(cx, from, to).await {
            Ok(false) => Ok(outcome),
            Ok(true) => {
                let text = "the taker may write in the whole drive; files stay where they are";
                Ok(Outcome::changed().with_side_effect(SideEffect::Other(text.into())))
            }
            Err(error) => Err(so_far(&outcome, error)),
        }
    }

    /// Lets somebody write in a user's drive; whether they could not yet.
    async fn open_drive(&self, cx: &Cx, from: &str, to: &str) -> Result<bool> {
        let drive: Result<Named> = self.client.fetch(cx, requests::drive(from)).await;
        let Some(drive) = if_any(drive)?.map(|it| it.id) else { return Ok(false) };
        if self.writers(cx, drive.as_str()).await?.iter().any(|it| it == to) {
            return Ok(false);
        }
        self.client.change(cx, requests::invite(drive.as_str(), to)).await?;
        Ok(true)
    }
}

/// An error after what was done until then.
fn so_far(done: &Outcome, error: Error) -> Error {
    if done.effect == Effect::Changed { error.partly() } else { error }
}
