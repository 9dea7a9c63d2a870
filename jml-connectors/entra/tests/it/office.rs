//! A tenant with two people, for tests of single calls.

use std::collections::BTreeSet;

use jml_connector_entra::Entra;
use jml_core::account::{AccountState, AccountStatus, CredentialClass, Mailbox};
use jml_core::digest::Digest;
use jml_core::id::AccountId;
use jml_core::provider::{
    Change, Cx, Effect, Error, ErrorKind, Expect, IdempotencyKey, Observation, Operation, Outcome,
    Provider as _, RefusalReason, Target,
};
use jml_testkit::conformance::Backdoor as _;
use jml_testkit::fake::entra::{Entra as Api, User};

use crate::suite::papers;
use crate::world::{Door, Place};

pub(crate) const IMMUTABLE: ErrorKind = ErrorKind::Refused(RefusalReason::Immutable);

/// A tenant with two people, and the connector.
pub(crate) struct Office {
    pub(crate) place: Place,
    pub(crate) entra: Entra,
    pub(crate) ada: AccountId,
    pub(crate) bob: AccountId,
}

impl Office {
    pub(crate) async fn new() -> Self {
        let place = Place::new(papers().as_ref());
        let entra = place.provider("entra");
        let door = Door(place.fake().clone());
        let mut ids = Vec::new();
        for (name, owner) in [("ada", "E1"), ("bob", "E2")] {
            let upn = format!("{name}@corp.test");
            let mut new = AccountState::new("new".parse().unwrap(), upn, AccountStatus::Active);
            new.external_id = owner.parse().ok();
            new.mailbox = Some(Mailbox::default());
            ids.push(door.put(new).await);
        }
        let [ada, bob] = ids.try_into().unwrap();
        Self { place, entra, ada, bob }
    }

    pub(crate) fn cx(&self) -> Cx {
        Cx::new(self.place.clock.clone())
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Api) -> T) -> T {
        self.place.fake().with(look)
    }

    /// Changes Ada behind the connector.
    pub(crate) fn ada(&self, change: impl FnOnce(&mut User)) {
        self.with(|api| {
            let mut user = api.users[self.ada.as_str()].clone();
            change(&mut user);
            api.put_user(self.ada.as_str(), user);
        });
    }

    pub(crate) fn now(&self) -> User {
        self.with(|api| api.users[self.ada.as_str()].clone())
    }

    pub(crate) async fn apply(&self, op: Operation) -> Result<Outcome, Error> {
        let account = (!op.makes_account()).then(|| self.ada.clone());
        let key = IdempotencyKey::new(&Digest::of_bytes("test", op.to_string().as_bytes()));
        let change = Change { key, account, op, expect: Expect::Any };
        self.entra.apply(&self.cx(), &change).await
    }

    pub(crate) async fn grant(&self, key: &str) -> Result<Effect, Error> {
        let entitlement = key.parse().unwrap();
        self.apply(Operation::Grant { entitlement }).await.map(|it| it.effect)
    }

    pub(crate) async fn revoke(&self, key: &str) -> Result<Effect, Error> {
        let entitlement = key.parse().unwrap();
        self.apply(Operation::Revoke { entitlement }).await.map(|it| it.effect)
    }

    pub(crate) async fn kill(&self, class: CredentialClass) -> Result<Outcome, Error> {
        self.apply(Operation::RevokeCredentials { class }).await
    }

    pub(crate) async fn hand_over(&self) -> Result<Outcome, Error> {
        self.apply(Operation::TransferOwnership { to: self.bob.clone() }).await
    }

    pub(crate) async fn read(&self) -> Result<Observation, Error> {
        self.entra.read(&self.cx(), &Target::Account(self.ada.clone())).await
    }

    pub(crate) async fn sees(&self) -> AccountState {
        self.read().await.unwrap().account().unwrap().clone()
    }

    pub(crate) async fn holds(&self) -> BTreeSet<String> {
        self.sees().await.holdings.iter().map(ToString::to_string).collect()
    }

    /// What was sent since somebody last forgot it, that could change something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let all = self.place.fake().requests();
        let changes = all.iter().filter(|it| it.mutates);
        changes.map(|it| format!("{} {}", it.method, it.target)).collect()
    }
}

pub(crate) fn texts(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(ToString::to_string).collect()
}
