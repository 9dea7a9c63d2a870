//! What Google Workspace can do, and what a credential needs for it.

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::id::ProviderId;
use jml_core::provider::{
    Consistency, Descriptor, EntitlementKind, Idempotency, Limits, MailboxPart, Verb, VerbSupport,
};

use crate::Kinds;
use crate::requests;

const USER: &str = "https://www.googleapis.com/auth/admin.directory.user";
const SECURITY: &str = "https://www.googleapis.com/auth/admin.directory.user.security";
const GROUP_READING: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly";
const GROUP_MEMBER: &str = "https://www.googleapis.com/auth/admin.directory.group.member";
const ROLE: &str = "https://www.googleapis.com/auth/admin.directory.rolemanagement";
/// It lets look at devices, too.
const MOBILE: &str = "https://www.googleapis.com/auth/admin.directory.device.mobile.action";
const TRANSFER: &str = "https://www.googleapis.com/auth/admin.datatransfer";
const AUDIT: &str = "https://www.googleapis.com/auth/admin.reports.audit.readonly";

/// What a service account needs when it acts for an administrator.
pub const ADMIN_SCOPES: [&str; 8] =
    [USER, SECURITY, GROUP_READING, GROUP_MEMBER, ROLE, MOBILE, TRANSFER, AUDIT];

/// What it needs besides, where licences are looked after.
pub const LICENCE_SCOPE: &str = "https://www.googleapis.com/auth/apps.licensing";

/// What it needs besides, where ChromeOS devices are disabled.
pub const CHROMEOS_SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.device.chromeos";

const MAIL: &str = "https://www.googleapis.com/auth/gmail.settings.basic";
const MAIL_OF_OTHERS: &str = "https://www.googleapis.com/auth/gmail.settings.sharing";

/// What it needs when it acts for the user of a mailbox.
pub const MAILBOX_SCOPES: [&str; 2] = [MAIL, MAIL_OF_OTHERS];

/// Permissions for looking.
const READING: [&str; 7] = [
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    SECURITY,
    GROUP_READING,
    "https://www.googleapis.com/auth/admin.directory.rolemanagement.readonly",
    "https://www.googleapis.com/auth/admin.directory.device.mobile.readonly",
    "https://www.googleapis.com/auth/admin.datatransfer.readonly",
    AUDIT,
];

pub(crate) fn descriptor(id: ProviderId, kinds: &Kinds) -> Descriptor {
    let needs =
        |scopes: &[&str]| scopes.iter().fold(VerbSupport::native(), VerbSupport::with_permission);
    let credentials = |class| Verb::RevokeCredentials(class);
    Descriptor::new(id, "Google Workspace", env!("CARGO_PKG_VERSION"))
        .with_kind(kinds.group.clone(), EntitlementKind::many("Group"))
        .with_kind(kinds.licence.clone(), EntitlementKind::many("Licence"))
        .with_kind(kinds.role.clone(), EntitlementKind::many("Administrator role"))
        // An address can be taken only once, so a creation that is sent again finds the first one.
        .with_verb(Verb::CreateAccount, needs(&[USER]).with_idempotency(Idempotency::CheckFirst))
        .with_verbs([Verb::UpdateAccount, Verb::DeleteAccount], &needs(&[USER]).emulated())
        .with_verb(Verb::SetStatus, needs(&[USER, SECURITY]).emulated())
        .with_verb(credentials(CredentialClass::Sessions), needs(&[SECURITY]))
        .with_verbs(
            [
                CredentialClass::RefreshTokens,
                CredentialClass::AppPasswords,
                CredentialClass::MfaFactors,
            ]
            .map(credentials),
            &needs(&[SECURITY]).emulated(),
        )
        .with_verb(credentials(CredentialClass::Devices), needs(&[MOBILE]).emulated())
        .with_verbs([Verb::Grant, Verb::Revoke], &needs(&[GROUP_MEMBER, ROLE]))
        // Gmail has no shared mailboxes.
        .with_verb(Verb::SetMailbox(MailboxPart::AutoReply), needs(&[MAIL]).emulated())
        .with_verbs(
            [MailboxPart::Forward, MailboxPart::Delegate].map(Verb::SetMailbox),
            &needs(&MAILBOX_SCOPES).emulated(),
        )
        .with_verb(
            Verb::TransferOwnership,
            needs(&[TRANSFER]).emulated().with_idempotency(Idempotency::CheckFirst),
        )
        .reading_with(READING)
        .with_statuses([
            AccountStatus::Staged,
            AccountStatus::Active,
            AccountStatus::Disabled,
            AccountStatus::Archived,
        ])
        .requiring_all(["given_name", "family_name"])
        // Writes show in lists and searches after some seconds.
        .with_consistency(Consistency::Within { ms: 10_000 })
        // 2,400 queries a minute.
        .with_limits(Limits::new(4, requests::USERS).with_rate(40, 40))
        .feeding_changes()
        .listing_wide()
        .losing_mail_when_disabled()
}

/// Adds what it takes to look after licences.
pub(crate) fn add_licences(descriptor: &mut Descriptor) {
    for verb in [Verb::Grant, Verb::Revoke] {
        if let Some(support) = descriptor.verbs.get_mut(&verb) {
            *support = support.clone().with_permission(LICENCE_SCOPE);
        }
    }
    descriptor.read_permissions.push(LICENCE_SCOPE.into());
}

/// Adds what it takes to look at ChromeOS devices, and to disable them.
pub(crate) fn add_chromeos(descriptor: &mut Descriptor) {
    let verb = Verb::RevokeCredentials(CredentialClass::Devices);
    if let Some(support) = descriptor.verbs.get_mut(&verb) {
        *support = support.clone().with_permission(CHROMEOS_SCOPE);
    }
    descriptor.read_permissions.push(format!("{CHROMEOS_SCOPE}.readonly").into());
}
