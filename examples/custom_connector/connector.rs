//! A whole connector, for a small made-up JSON API (`jml_testkit::fake::acme` documents it).

use std::collections::BTreeMap;

use async_trait::async_trait;
use jml_connector_kit::{Client, Failure, Request, Verdict, conclude, path};
use jml_core::account::{AccountState, AccountStatus, CredentialClass::Sessions};
use jml_core::attribute::AttributeValue;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, AttributeName, EntitlementId, IdentityId, KindId, ProviderId};
use jml_core::provider::{Verb::*, *};
use serde::Deserialize;
use serde_json::json;

pub(crate) struct Acme(Client, Descriptor, KindId);

impl Acme {
    pub(crate) fn new(id: ProviderId, client: Client, kind: KindId) -> Self {
        let may = |what| VerbSupport::native().with_permission(what);
        let it = Descriptor::new(id, "Acme", "1.0.0");
        let it = it.with_kind(kind.clone(), EntitlementKind::many("Group"));
        let it =
            it.with_verbs([CreateAccount, SetStatus, RevokeCredentials(Sessions)], &may("users"));
        let it = it.with_verbs([Grant, Revoke], &may("groups"));
        Self(client.classifying(classify), it, kind)
    }

    fn row(&self, user: User) -> AccountState {
        let mut it = AccountState::new(user.id, user.name, user.status);
        it.external_id = user.external_id;
        it.credentials.insert(Sessions, user.sessions);
        let group = |id| EntitlementKey::new(self.2.clone(), id);
        it.holdings = user.groups.into_iter().map(group).collect();
        it.attributes =
            user.profile.into_iter().map(|(k, v)| (k, AttributeValue::text(v))).collect();
        it
    }
}

/// What this vendor means by its codes. Everything else is in the kit's table.
fn classify(failure: &Failure<'_>) -> Option<Verdict> {
    Some(Verdict::of(match failure.text("/error/code")? {
        "slow_down" => ErrorKind::RateLimited,
        "name_taken" => ErrorKind::AlreadyExists,
        "no_seat" => ErrorKind::Exhausted,
        _ => return None,
    }))
}

#[derive(Deserialize)]
struct User {
    id: AccountId,
    name: String,
    external_id: Option<IdentityId>,
    status: AccountStatus,
    profile: BTreeMap<AttributeName, String>,
    sessions: u32,
    groups: Vec<EntitlementId>,
}

#[derive(Deserialize)]
struct Group {
    id: EntitlementId,
    title: String,
}

#[async_trait]
impl Provider for Acme {
    fn descriptor(&self) -> &Descriptor {
        &self.1
    }

    async fn list(&self, cx: &Cx, asked: &ListRequest) -> Result<Page> {
        let size = asked.page_size.unwrap_or(50).clamp(1, 50);
        let first = |what| Request::get(path![what]).query("limit", size);
        let user = |user| Row::Account(Box::new(self.row(user)));
        let group = |Group { id, title }: Group| {
            let key = EntitlementKey::new(self.2.clone(), id);
            Row::entitlement(key, title)
        };
        let (it, users, groups) = (&self.0, ["/users", "/next"], ["/groups", "/next"]);
        match asked.scope {
            ListScope::Accounts => it.listing(cx, asked, first("users"), users, user).await,
            ListScope::Entitlements => it.listing(cx, asked, first("groups"), groups, group).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "another scope")),
        }
    }

    async fn read(&self, cx: &Cx, target: &Target) -> Result<Observation> {
        let path = match target {
            Target::Account(id) => path!["users", id],
            Target::External { identity, .. } => path!["owners", identity],
            _ => return Err(Error::new(ErrorKind::Unsupported, "another target")),
        };
        let user = self.0.find(cx, Request::get(path)).await?;
        Ok(user.map_or(Observation::Absent, |user| Observation::present(self.row(user))))
    }

    async fn apply(&self, cx: &Cx, change: &Change) -> Result<Outcome> {
        let id = change.account.as_ref().map_or("", |id| id.as_str());
        let (it, sessions) = (path!["users", id], path!["users", id, "sessions"]);
        let member = |key: &EntitlementKey| path!["groups", key.id, "members", id];
        let request = match &change.op {
            Operation::CreateAccount { user_name, external_id, status, attributes } => {
                let texts = attributes.iter().map(|(name, value)| (name, value.to_string()));
                let body = json!({ "name": user_name, "external_id": external_id, "status": status,
                                   "profile": texts.collect::<BTreeMap<_, _>>() });
                let it = self.0.fetch::<User>(cx, Request::post(path!["users"]).json(body)).await;
                let it = it.map(|user| Outcome::changed().with_account(user.id));
                return conclude(self, cx, change, it).await;
            }
            Operation::SetStatus { status } => Request::patch(it).json(json!({ "status": status })),
            Operation::RevokeCredentials { class: Sessions } => Request::delete(sessions),
            Operation::Grant { entitlement } => Request::put(member(entitlement)),
            Operation::Revoke { entitlement } => Request::delete(member(entitlement)),
            other => return Err(Error::unsupported(other.verb())),
        };
        conclude(self, cx, change, self.0.send(cx, request).await.map(|_| Outcome::accepted()))
            .await
    }
}
