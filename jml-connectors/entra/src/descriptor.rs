//! What Microsoft Graph can do, and what an application needs for it.

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::id::ProviderId;
use jml_core::provider::{
    Consistency, Descriptor, EntitlementKind, Idempotency, Limits, MailboxPart, Verb, VerbSupport,
};

use crate::held::Kinds;
use crate::requests;

/// Application permissions for looking, the least that there are.
/// <https://learn.microsoft.com/graph/permissions-reference>
pub(crate) const READING: [&str; 11] = [
    "User.Read.All",
    "GroupMember.Read.All",
    "Application.Read.All",
    "Directory.Read.All",
    "LicenseAssignment.Read.All",
    "RoleManagement.Read.Directory",
    "UserAuthenticationMethod.Read.All",
    "DelegatedPermissionGrant.Read.All",
    "DeviceManagementManagedDevices.Read.All",
    "MailboxSettings.Read",
    "Files.Read.All",
];

/// Whether a permission stands for another one: who may write may read.
pub(crate) fn implied(has: &str, needs: &str) -> bool {
    if let Some(what) = needs.strip_suffix(".Read.All")
        && has.strip_suffix(".ReadWrite.All") == Some(what)
    {
        return true;
    }
    match needs {
        "User.Create"
        | "User.ReadUpdate.All"
        | "User.EnableDisableAccount.All"
        | "User.DeleteRestore.All" => has == "User.ReadWrite.All",
        "User.Read.All" => has == "User.ReadUpdate.All",
        "GroupMember.Read.All" => has == "Group.Read.All" || has == "Group.ReadWrite.All",
        "GroupMember.ReadWrite.All" => has == "Group.ReadWrite.All",
        "Application.Read.All" => has == "AppRoleAssignment.ReadWrite.All",
        // It is for what users were given of applications.
        "Directory.Read.All" => has == "AppRoleAssignment.ReadWrite.All",
        "RoleManagement.Read.Directory" => has == "RoleManagement.ReadWrite.Directory",
        "MailboxSettings.Read" => has == "MailboxSettings.ReadWrite",
        _ => false,
    }
}

pub(crate) fn descriptor(id: ProviderId, kinds: &Kinds) -> Descriptor {
    let needs = |permissions: &[&str]| {
        permissions.iter().fold(VerbSupport::native(), VerbSupport::with_permission)
    };
    let access = needs(&[
        "GroupMember.ReadWrite.All",
        "LicenseAssignment.ReadWrite.All",
        "AppRoleAssignment.ReadWrite.All",
        "RoleManagement.ReadWrite.Directory",
    ]);
    let class = Verb::RevokeCredentials;
    Descriptor::new(id, "Microsoft 365 and Entra ID", env!("CARGO_PKG_VERSION"))
        .with_kind(kinds.group.clone(), EntitlementKind::many("Group"))
        .with_kind(
            kinds.managed_group.clone(),
            EntitlementKind::many(
                "Group that Graph does not write: by rule, synced, or of Exchange",
            )
            .immutable(),
        )
        .with_kind(kinds.licence.clone(), EntitlementKind::many("Licence"))
        .with_kind(kinds.app.clone(), EntitlementKind::many("Enterprise application"))
        .with_kind(kinds.role.clone(), EntitlementKind::many("Directory role"))
        .with_verb(
            Verb::CreateAccount,
            needs(&["User.Create"]).with_idempotency(Idempotency::CheckFirst),
        )
        .with_verb(Verb::UpdateAccount, needs(&["User.ReadUpdate.All"]).emulated())
        .with_verb(
            Verb::SetStatus,
            needs(&["User.EnableDisableAccount.All", "User.ReadUpdate.All"]),
        )
        .with_verb(Verb::DeleteAccount, needs(&["User.DeleteRestore.All"]))
        .with_verb(class(CredentialClass::Sessions), needs(&["User.RevokeSessions.All"]))
        .with_verb(
            class(CredentialClass::RefreshTokens),
            needs(&["User.RevokeSessions.All", "DelegatedPermissionGrant.ReadWrite.All"])
                .emulated(),
        )
        .with_verb(
            class(CredentialClass::MfaFactors),
            needs(&["UserAuthenticationMethod.ReadWrite.All"]).emulated(),
        )
        .with_verb(
            class(CredentialClass::Devices),
            needs(&["DeviceManagementManagedDevices.PrivilegedOperations.All"]).emulated(),
        )
        .with_verbs([Verb::Grant, Verb::Revoke], &access.clone().emulated())
        .with_verb(Verb::Exchange, access.emulated())
        .with_verb(
            Verb::SetMailbox(MailboxPart::AutoReply),
            needs(&["MailboxSettings.ReadWrite"]).emulated(),
        )
        .with_verb(
            Verb::TransferOwnership,
            needs(&["Group.ReadWrite.All", "Files.ReadWrite.All"]).emulated(),
        )
        .reading_with(READING)
        .with_statuses([AccountStatus::Active, AccountStatus::Disabled])
        .requiring_all(["display_name"])
        // A write shows in reads of an application after minutes, says Microsoft, and mostly after seconds.
        .with_consistency(Consistency::Within { ms: 60_000 })
        // 3,000 writes in 150 seconds.
        .with_limits(Limits::new(4, requests::PAGE).with_rate(20, 100))
        .feeding_changes()
        .listing_wide()
}
