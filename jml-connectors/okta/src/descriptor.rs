//! What Okta can do, and what a credential needs for it.

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::id::ProviderId;
use jml_core::provider::{
    Consistency, Descriptor, EntitlementKind, Idempotency, Limits, Verb, VerbSupport,
};

use crate::answers::Kinds;
use crate::requests;

/// Okta's standard administrator roles. Custom ones are listed.
/// <https://developer.okta.com/docs/api/openapi/okta-management/guides/roles/>
pub(crate) const ROLES: [(&str, &str); 12] = [
    ("ACCESS_CERTIFICATIONS_ADMIN", "Access certifications administrator"),
    ("ACCESS_REQUESTS_ADMIN", "Access requests administrator"),
    ("API_ACCESS_MANAGEMENT_ADMIN", "API access management administrator"),
    ("APP_ADMIN", "Application administrator"),
    ("GROUP_MEMBERSHIP_ADMIN", "Group membership administrator"),
    ("HELP_DESK_ADMIN", "Help desk administrator"),
    ("ORG_ADMIN", "Organisation administrator"),
    ("READ_ONLY_ADMIN", "Read-only administrator"),
    ("REPORT_ADMIN", "Report administrator"),
    ("SUPER_ADMIN", "Super administrator"),
    ("USER_ADMIN", "Group administrator"),
    ("WORKFLOWS_ADMIN", "Workflows administrator"),
];

/// Permissions for looking.
pub(crate) const READING: [&str; 6] = [
    "okta.users.read",
    "okta.groups.read",
    "okta.apps.read",
    "okta.roles.read",
    "okta.logs.read",
    "okta.apiTokens.read",
];

pub(crate) fn descriptor(id: ProviderId, kinds: &Kinds) -> Descriptor {
    let needs =
        |scopes: &[&str]| scopes.iter().fold(VerbSupport::native(), VerbSupport::with_permission);
    let users = needs(&["okta.users.manage"]);
    let members = needs(&["okta.groups.manage", "okta.apps.manage", "okta.roles.manage"]);
    Descriptor::new(id, "Okta", env!("CARGO_PKG_VERSION"))
        .with_kind(kinds.group.clone(), EntitlementKind::many("Group"))
        .with_kind(
            kinds.managed_group.clone(),
            EntitlementKind::many("Group that an application or Okta itself keeps").immutable(),
        )
        .with_kind(kinds.app.clone(), EntitlementKind::many("Application"))
        .with_kind(kinds.role.clone(), EntitlementKind::many("Administrator role"))
        // A login can be taken only once, so a creation that is sent again finds the first one.
        .with_verb(Verb::CreateAccount, users.clone().with_idempotency(Idempotency::CheckFirst))
        .with_verbs([Verb::UpdateAccount, Verb::SetStatus], &users.clone().emulated())
        .with_verb(Verb::DeleteAccount, users.clone().emulated())
        .with_verbs(
            [
                CredentialClass::Sessions,
                CredentialClass::RefreshTokens,
                CredentialClass::MfaFactors,
            ]
            .map(Verb::RevokeCredentials),
            &users,
        )
        .with_verb(
            Verb::RevokeCredentials(CredentialClass::ApiKeys),
            needs(&["okta.apiTokens.manage"]).emulated(),
        )
        .with_verb(
            Verb::RevokeCredentials(CredentialClass::Devices),
            needs(&["okta.devices.manage"]).emulated(),
        )
        .with_verbs([Verb::Grant, Verb::Revoke], &members)
        .reading_with(READING)
        .with_statuses([
            AccountStatus::Staged,
            AccountStatus::Active,
            AccountStatus::Disabled,
            AccountStatus::Archived,
        ])
        .requiring_all(["given_name", "family_name"])
        // Search is behind by seconds; reads by id are not.
        .with_consistency(Consistency::Within { ms: 10_000 })
        // Half of a bucket of 600 a minute is what one token gets.
        .with_limits(Limits::new(4, requests::USERS).with_rate(5, 20))
        .feeding_changes()
        .listing_wide()
}
