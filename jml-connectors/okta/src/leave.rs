//! What is taken: access, and every class of credential.

use jml_core::account::CredentialClass;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::AccountId;
use jml_core::provider::{Applied, Cx, Effect, Error, ErrorKind, Outcome, RefusalReason, Result};

use crate::answers::{Assignment, Fills, Group, Rule, User, UserDevice};
use crate::{Okta, requests};

impl Okta {
    pub(crate) async fn revoke(
        &self,
        cx: &Cx,
        id: &AccountId,
        key: &EntitlementKey,
    ) -> Result<Outcome> {
        let (user, what) = (id.as_str(), key.id.as_str());
        if key.kind == self.kinds.group {
            let outcome = self.client.change(cx, requests::leave(what, user)).await?;
            // What fails from here on fails after the change.
            let back = self.comes_back(cx, what, user).await.map_err(Error::partly)?;
            return back.map_or(Ok(outcome), Err);
        }
        if key.kind == self.kinds.app {
            let held: Option<Assignment> =
                self.client.find(cx, requests::assignment(what, user)).await?;
            return match held {
                None => Ok(Outcome::unchanged()),
                Some(it) if it.is_direct() => {
                    self.client.change(cx, requests::unassign(what, user)).await
                }
                Some(_) => {
                    let text = "the application comes with a group; take the group";
                    Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
                }
            };
        }
        let roles = self.roles(cx, user).await?;
        let held: Vec<_> = roles.iter().filter(|role| *role.name() == key.id).collect();
        let direct = held.iter().filter(|role| role.is_direct());
        let each: Vec<_> = direct.map(|role| requests::remove_role(user, &role.id)).collect();
        if each.is_empty() && !held.is_empty() {
            let text = "the role comes with a group; take the group";
            return Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text));
        }
        self.client.change_each(cx, each).await
    }

    /// Why somebody who was taken out of a group is in it again, if they are and a rule can be why. The member
    /// was taken, so that only a look can say what holds.
    async fn comes_back(&self, cx: &Cx, group: &str, user: &str) -> Result<Option<Error>> {
        let groups = self.client.all_linked(cx, requests::of_user(user, "groups")).await;
        let groups: Vec<Group> = self.below(cx, user, groups).await?;
        if !groups.iter().any(|it| it.id.as_str() == group) {
            return Ok(None);
        }
        let rules: Vec<Rule> = self.client.all_linked(cx, requests::rules()).await?;
        let user: User = self.client.fetch(cx, requests::user(user)).await?;
        let fills = |rule: &&Rule| rule.fills(group, &user, &groups);
        let certain = rules.iter().find(|it| fills(it) == Fills::Yes);
        let (rule, does) = match certain {
            Some(rule) => (rule, "puts them back"),
            None => match rules.iter().find(|it| fills(it) == Fills::Perhaps) {
                Some(rule) => (rule, "may have put them back"),
                None => return Ok(None),
            },
        };
        let text = format!(
            "they are in it again, and the group rule `{}` {does}; change the rule, the attribute it reads, or \
             exclude them from it",
            rule.name
        );
        let kind = ErrorKind::Refused(RefusalReason::Immutable);
        Ok(Some(Error::new(kind, text).with_applied(Applied::Unknown)))
    }

    pub(crate) async fn kill(
        &self,
        cx: &Cx,
        id: &AccountId,
        class: CredentialClass,
    ) -> Result<Outcome> {
        let user = id.as_str();
        match class {
            CredentialClass::Sessions => {
                self.client.change(cx, requests::end_sessions(user, false)).await
            }
            CredentialClass::RefreshTokens => {
                self.client.change(cx, requests::end_sessions(user, true)).await?;
                self.client.change(cx, requests::end_grants(user)).await.map_err(Error::partly)
            }
            CredentialClass::MfaFactors => self.take_factors(cx, id).await,
            CredentialClass::ApiKeys => {
                let tokens = self.api_tokens(cx, user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorKind::PermissionDenied,
                        "API tokens may not be listed: okta.apiTokens.read",
                    )
                })?;
                let each = tokens.iter().map(|token| requests::revoke_api_token(&token.id));
                self.client.change_each(cx, each.collect()).await
            }
            CredentialClass::Devices => {
                let devices = self.devices(cx, user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorKind::PermissionDenied,
                        "devices may not be listed: okta.users.read",
                    )
                })?;
                let (mut each, mut shared) = (Vec::new(), Vec::new());
                for UserDevice { device } in devices {
                    let users: Vec<serde_json::Value> = match self
                        .client
                        .all_linked(cx, requests::device_users(&device.id))
                        .await
                    {
                        // It was taken meanwhile.
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        users => users?,
                    };
                    if users.len() <= 1 {
                        each.push(requests::deactivate_device(&device.id));
                    } else {
                        shared.push(device.id);
                    }
                }
                let outcome = self.client.change_each(cx, each).await?;
                if shared.is_empty() {
                    return Ok(outcome);
                }
                // Whoever shares a device would lose it too: a person has to say.
                let text = format!("somebody else uses {} too", shared.join(", "));
                let done =
                    if outcome.effect == Effect::Changed { Applied::Partly } else { Applied::No };
                let kind = ErrorKind::Refused(RefusalReason::Policy);
                Err(Error::new(kind, text).with_applied(done))
            }
            other => Err(Error::unsupported(jml_core::provider::Verb::RevokeCredentials(other))),
        }
    }
}
