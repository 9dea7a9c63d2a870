//! What a leaver loses, and what somebody else gets.

use jml_core::account::CredentialClass;
use jml_core::id::AccountId;
use jml_core::provider::{Cx, Error, ErrorKind, Outcome, Result, SideEffect};

use crate::answers::{Device, Method, Named, Reference};
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
            CredentialClass::Sessions => self.client.change(cx, requests::end_sessions(user)).await,
            CredentialClass::RefreshTokens => {
                let grants = requests::of_user(user, "oauth2PermissionGrants");
                let grants: Vec<Named> = self.all(cx, grants).await?;
                self.client.change(cx, requests::end_sessions(user)).await?;
                let each = grants.iter().map(|it| requests::end_grant(it.id.as_str())).collect();
                self.client.change_each(cx, each).await.map_err(Error::partly)?;
                Ok(Outcome::accepted())
            }
            CredentialClass::MfaFactors => {
                let methods: Vec<Method> = self.all(cx, requests::methods(user)).await?;
                let known = methods.iter().filter_map(|it| Some((it.segment()?, &it.id)));
                let each =
                    known.map(|(segment, method)| requests::remove_method(user, segment, method));
                self.client.change_each(cx, each.collect()).await
            }
            CredentialClass::Devices => {
                let devices: Vec<Device> =
                    self.all(cx, requests::of_user(user, "managedDevices")).await?;
                let kept = devices.iter().filter(|it| it.is_kept());
                self.client.change_each(cx, kept.map(|it| requests::retire(&it.id)).collect()).await
            }
            other => Err(Error::unsupported(jml_core::provider::Verb::RevokeCredentials(other))),
        }
    }

    /// Groups get the new owner before they lose the old one, and the drive is opened for them.
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
        for group in owned.iter().filter(|it| it.kind == "#microsoft.graph.group") {
            match self.client.change(cx, requests::join(&self.root, &group.id, "owners", to)).await
            {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error.partly());
                }
                _ => {}
            }
            self.client
                .change(cx, requests::leave(&group.id, "owners", from))
                .await
                .map_err(Error::partly)?;
            outcome = Outcome::changed();
        }
        let drive: Option<Named> =
            self.client.find(cx, requests::drive(from)).await.map_err(Error::partly)?;
        if let Some(drive) = drive {
            let drive = drive.id.as_str();
            let writers = self.writers(cx, drive).await.map_err(Error::partly)?;
            if writers.iter().any(|it| it == to) {
                return Ok(outcome);
            }
            let done = self.client.change(cx, requests::invite(drive, to)).await;
            done.map_err(Error::partly)?;
            outcome = Outcome::changed();
            let text = "the taker may write in the whole drive; files stay where they are";
            outcome = outcome.with_side_effect(SideEffect::Other(text.into()));
        }
        Ok(outcome)
    }
}
