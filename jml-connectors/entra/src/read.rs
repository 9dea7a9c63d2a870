//! Everything about one user.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::account::{AccountState, CredentialClass};
use jml_core::id::IdentityId;
use jml_core::provider::{Applied, Cx, Error, ErrorKind, Observation, Result};

use crate::answers::{
    Batch, Collection, Device, DriveGrant, MailboxSettings, Method, Named, Reference, User, if_any,
};
use crate::held::{AppAssignment, Group, Licensed, RoleAssignment};
use crate::{Entra, requests};

impl Entra {
    /// The user who carries an identity's id.
    pub(crate) async fn owned_by(&self, cx: &Cx, identity: &IdentityId) -> Result<Option<User>> {
        let found: Collection<User> = self.client.fetch(cx, requests::owned_by(identity)).await?;
        Ok(found.value.into_iter().find(|it| it.owner() == Some(identity.as_str())))
    }

    /// The same, or a user of that name whom nobody's id is on.
    pub(crate) async fn by_owner(
        &self,
        cx: &Cx,
        identity: &IdentityId,
        name: &str,
    ) -> Result<Option<User>> {
        let by_name: Option<User> =
            if name.is_empty() { None } else { self.client.find(cx, requests::user(name)).await? };
        if by_name.as_ref().is_some_and(|it| it.owner() == Some(identity.as_str())) {
            return Ok(by_name);
        }
        let mine = self.owned_by(cx, identity).await?;
        Ok(mine.or_else(|| by_name.filter(|it| it.owner().is_none())))
    }

    /// Everything about a user. Whoever was deleted meanwhile has no groups any more, and is absent.
    pub(crate) async fn whole(&self, cx: &Cx, user: &User) -> Result<Observation> {
        let error = match self.parts(cx, user).await {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            other => return other.map(Observation::present),
        };
        let exists = requests::exists(user.id.as_str());
        if self.client.find::<Reference>(cx, exists).await?.is_none() {
            return Ok(Observation::Absent);
        }
        // What was just made, or deleted, is not known everywhere yet.
        let text = format!("the user shows, and something of them does not: {}", error.message());
        Err(Error::new(ErrorKind::Unavailable, text).with_applied(Applied::No))
    }

    async fn parts(&self, cx: &Cx, user: &User) -> Result<AccountState> {
        let (mut state, kinds) = (user.account(), &self.kinds);
        let parts = requests::parts(user.id.as_str());
        let batch: Batch = self.client.fetch(cx, requests::batch(&parts)).await?;
        let groups: Vec<Group> = self.part(cx, &batch, "groups").await?;
        let groups = groups.iter().filter(|it| it.is_group());
        state.holdings.extend(groups.map(|it| it.key(kinds)));
        let licensed: Licensed = self.answer(cx, &batch, "licences")?;
        let direct = licensed.direct().cloned();
        state.holdings.extend(direct.map(|sku| self.key(&kinds.licence, sku)));
        let apps: Vec<AppAssignment> = self.part(cx, &batch, "apps").await?;
        for app in apps.iter().filter(|it| it.is_of(user.id.as_str())) {
            state.holdings.insert(app.key(kinds)?);
        }
        let roles: Vec<RoleAssignment> = self.part(cx, &batch, "roles").await?;
        for role in &roles {
            state.holdings.insert(role.key(kinds)?);
        }
        let mut alive = |class, number: usize| {
            state.credentials.insert(class, u32::try_from(number).unwrap_or(u32::MAX));
        };
        let methods: Vec<Method> = self.part(cx, &batch, "methods").await?;
        alive(CredentialClass::MfaFactors, methods.iter().filter(|it| it.is_factor()).count());
        // Consents, and one for what nobody ended since there was a password. That there is nothing, nobody knows:
        // after the last end somebody may have signed in again.
        let grants: Vec<Named> = self.part(cx, &batch, "grants").await?;
        let tokens = grants.len() + usize::from(user.tokens_stand());
        if tokens > 0 {
            alive(CredentialClass::RefreshTokens, tokens);
        }
        if let Some(devices) = if_any(self.part::<Device>(cx, &batch, "devices").await)? {
            alive(CredentialClass::Devices, devices.len());
        }
        let mailbox = if_any(self.answer::<MailboxSettings>(cx, &batch, "mailbox"))?;
        state.mailbox = mailbox.map(MailboxSettings::mailbox);
        let owned: Vec<Reference> = self.part(cx, &batch, "owned").await?;
        for (group, owners) in self.owners(cx, &owned).await? {
            if owners.iter().all(|it| it == user.id.as_str()) {
                state.owns.insert(group.into());
            }
        }
        let drive = if_any(self.answer::<Named>(cx, &batch, "drive"))?;
        if let Some(drive) = drive.map(|it| it.id) {
            let writers = self.writers(cx, drive.as_str()).await?;
            if writers.iter().all(|it| it == user.id.as_str()) {
                state.owns.insert(format!("drive {drive}").into());
            }
        }
        Ok(state)
    }

    /// The groups among these objects, with who owns each. One that is gone is left out.
    pub(crate) async fn owners(
        &self,
        cx: &Cx,
        owned: &[Reference],
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let groups: Vec<&str> =
            owned.iter().filter(|it| it.is_group()).map(|it| it.id.as_str()).collect();
        let mut found = BTreeMap::new();
        for some in groups.chunks(requests::BATCH) {
            let parts: Vec<(&str, String)> =
                some.iter().map(|group| (*group, requests::owners(group))).collect();
            let batch: Batch = self.client.fetch(cx, requests::batch(&parts)).await?;
            for group in some {
                match self.part::<Reference>(cx, &batch, group).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    owners => {
                        let owners = owners?.into_iter().map(|it| it.id).collect();
                        found.insert((*group).to_owned(), owners);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Who may write in a whole drive.
    pub(crate) async fn writers(&self, cx: &Cx, drive: &str) -> Result<Vec<String>> {
        let grants: Vec<DriveGrant> = self.all(cx, requests::permissions(drive)).await?;
        Ok(grants.iter().filter_map(DriveGrant::writer).map(str::to_owned).collect())
    }
}
