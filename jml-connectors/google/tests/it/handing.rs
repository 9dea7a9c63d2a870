//! Mail that goes to somebody else: only once that works, and only to somebody who is there.

use jml_core::account::AccountStatus;
use jml_core::provider::{Applied, Effect, ErrorKind, MailboxChange, Operation, RefusalReason};

use crate::quirks::Office;

const REFUSED: ErrorKind = ErrorKind::Refused(RefusalReason::Policy);

/// A delegate who did not accept reads nothing.
#[tokio::test]
async fn a_delegate_who_has_to_accept_is_none_yet() {
    let office = Office::new();
    office.place.fake().with(|api| api.quirks.delegates_wait = true);
    let op = || Operation::SetMailbox(MailboxChange::Delegate(office.bob.clone()));
    let delegates = async || office.sees().await.mailbox.unwrap().delegates.len();
    for applied in [Applied::Partly, Applied::No] {
        let error = office.apply(op()).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (REFUSED, applied), "{error}");
        assert!(error.message().contains("pending"), "{error}");
        assert_eq!(delegates().await, 0);
    }
    office.place.fake().with(|api| {
        let mailbox = api.users.get_mut(office.ada.as_str()).unwrap().mailbox.as_mut().unwrap();
        mailbox.pending.clear();
    });
    assert_eq!(delegates().await, 1);
    assert_eq!(office.apply(op()).await.unwrap().effect, Effect::Unchanged);
}

/// An address of another domain has to be confirmed, and nothing is forwarded before.
#[tokio::test]
async fn mail_is_forwarded_to_an_address_that_was_confirmed() {
    let office = Office::new();
    office.place.fake().with(|api| {
        let user = api.users.get_mut(office.bob.as_str()).unwrap();
        user.profile.insert("primaryEmail".into(), "bob@partner.test".into());
    });
    let op = || Operation::SetMailbox(MailboxChange::ForwardTo(office.bob.clone()));
    for applied in [Applied::Partly, Applied::No] {
        let error = office.apply(op()).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (REFUSED, applied), "{error}");
        assert!(error.message().contains("confirms"), "{error}");
        assert_eq!(office.sees().await.mailbox.unwrap().forward_to, None);
    }
    office.place.fake().with(|api| {
        let mailbox = api.users.get_mut(office.ada.as_str()).unwrap().mailbox.as_mut().unwrap();
        mailbox.pending.clear();
    });
    office.apply(op()).await.unwrap();
    assert_eq!(office.sees().await.mailbox.unwrap().forward_to, Some(office.bob.clone()));
}

/// Mail to a suspended user bounces, documents cannot go there.
#[tokio::test]
async fn nobody_who_is_suspended_takes_over() {
    let office = Office::new();
    office.works();
    let bob = office.bob.clone();
    let op = Operation::SetStatus { status: AccountStatus::Disabled };
    office.apply_to(&bob, op).await.unwrap();
    office.place.fake().forget();
    for op in [
        Operation::SetMailbox(MailboxChange::ForwardTo(bob.clone())),
        Operation::SetMailbox(MailboxChange::Delegate(bob.clone())),
        Operation::TransferOwnership { to: bob.clone() },
    ] {
        let error = office.apply(op).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (REFUSED, Applied::No), "{error}");
        assert!(error.message().contains("bob@corp.test"), "{error}");
    }
    assert!(office.place.fake().requests().iter().all(|it| !it.mutates));
}
