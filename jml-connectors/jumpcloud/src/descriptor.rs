//! What JumpCloud can do, and what a credential needs for it.

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::id::ProviderId;
use jml_core::provider::{
    Consistency, Descriptor, EntitlementKind, Idempotency, Limits, Verb, VerbSupport,
};

use crate::answers::Kinds;
use crate::requests;

/// The administrator role that may do everything here. JumpCloud knows no finer permissions, and a key does not
/// say which role it has.
/// <https://jumpcloud.com/support/manage-admin-accounts>
const WRITING: &str = "Manager";

/// The administrator role for looking.
const READING: &str = "Read Only";

/// Adds the locking of devices.
pub(crate) fn add_locks(descriptor: &mut Descriptor) {
    let calls = VerbSupport::native().with_permission(WRITING).emulated();
    descriptor.verbs.insert(Verb::RevokeCredentials(CredentialClass::Devices), calls);
}

pub(crate) fn descriptor(id: ProviderId, kinds: &Kinds) -> Descriptor {
    let calls = VerbSupport::native().with_permission(WRITING);
    let emulated = calls.clone().emulated();
    Descriptor::new(id, "JumpCloud", env!("CARGO_PKG_VERSION"))
        .with_kind(kinds.group.clone(), EntitlementKind::many("User group"))
        .with_kind(
            kinds.dynamic_group.clone(),
            EntitlementKind::many("User group that a query fills").immutable(),
        )
        .with_kind(kinds.app.clone(), EntitlementKind::many("Application"))
        .with_kind(kinds.system.clone(), EntitlementKind::many("Device"))
        .with_kind(kinds.sudo.clone(), EntitlementKind::many("Device, with all rights on it"))
        .with_kind(kinds.device_group.clone(), EntitlementKind::many("Device group"))
        .with_kind(
            kinds.directory.clone(),
            EntitlementKind::many(
                "Directory: Google Workspace, Microsoft 365, LDAP, Active Directory",
            ),
        )
        // A user name can be taken only once, so a creation that is sent again finds the first one.
        .with_verb(Verb::CreateAccount, calls.clone().with_idempotency(Idempotency::CheckFirst))
        .with_verb(Verb::UpdateAccount, calls.clone())
        .with_verbs([Verb::SetStatus, Verb::DeleteAccount], &emulated)
        .with_verbs(
            [CredentialClass::SshKeys, CredentialClass::MfaFactors].map(Verb::RevokeCredentials),
            &emulated,
        )
        .with_verbs([Verb::Grant, Verb::Revoke], &calls)
        .reading_with([READING])
        .with_statuses([AccountStatus::Staged, AccountStatus::Active, AccountStatus::Disabled])
        .requiring_all(["email"])
        // What is bound to whom is computed behind the writes.
        .with_consistency(Consistency::Within { ms: 10_000 })
        // Limits exist and are not published.
        .with_limits(Limits::new(4, requests::PAGE))
        .feeding_changes()
        .listing_wide()
}
