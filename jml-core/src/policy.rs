//! The policy: everything that turns facts into claims, and says how carefully to act on them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::account::AccountRef;
use crate::attribute::AttributeSchema;
use crate::canon::CanonError;
use crate::digest::Digest;
use crate::entitlement::{Entitlement, EntitlementRef, Sensitivity};
use crate::id::{
    AttributeName, GateRuleId, IdentityId, KindId, PolicyVersion, ProviderId, RoleId, RuleId,
    SodRuleId,
};
use crate::role::RoleTemplate;
use crate::rule::{Condition, OrgTree, Rule};
use crate::sod::SodRule;

/// A whole policy. Made by [`crate::policy_file`] from YAML or TOML, or in code and then checked by
/// [`Policy::check`](crate::policy::Policy::check).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Policy {
    /// The version that the policy gives itself.
    pub version: PolicyVersion,
    /// Declared attributes.
    pub attributes: AttributeSchema,
    /// The organisation tree.
    pub org: OrgTree,
    /// The catalogue of entitlements. Access outside it is foreign.
    pub entitlements: BTreeMap<EntitlementRef, Entitlement>,
    /// Role templates.
    pub roles: BTreeMap<RoleId, RoleTemplate>,
    /// Attribute rules.
    pub rules: BTreeMap<RuleId, Rule>,
    /// Separation of duties.
    pub sod: BTreeMap<SodRuleId, SodRule>,
    /// Who gets an account where.
    pub accounts: BTreeMap<ProviderId, AccountRule>,
    /// Which grants wait for whom.
    pub gates: BTreeMap<GateRuleId, GateRule>,
    /// How far people may hand their decisions to others.
    pub delegation: DelegationRule,
    /// What happens when somebody leaves.
    pub leaver: LeaverRule,
    /// How far the engine may go in revoking what it finds.
    pub modes: Modes,
    /// When a batch is stopped before its first write.
    pub brakes: Brakes,
    /// When a feed is refused.
    pub feed: FeedRules,
    /// Accounts and people that are never touched or never lost.
    pub protected: Protected,
}

impl Policy {
    /// The digest of the policy's content.
    ///
    /// # Errors
    /// [`CanonError`] when a value has no canonical form, such as an integer above 2^53 - 1.
    pub fn digest(&self) -> Result<Digest, CanonError> {
        Digest::of_value("jml-policy/v1", self)
    }

    /// The sensitivity of an entitlement; access outside the catalogue counts as standard.
    #[must_use]
    pub fn sensitivity(&self, entitlement: &EntitlementRef) -> Sensitivity {
        self.entitlements.get(entitlement).map_or(Sensitivity::Standard, |e| e.sensitivity)
    }
}

/// Who gets an account on a provider, and with which attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct AccountRule {
    /// Who gets one.
    pub when: Condition,
    /// Days before the first day at which it is made, staged.
    pub days_before: u16,
    /// The attribute that holds the sign-in name.
    pub user_name: AttributeName,
    /// What happens when the sign-in name is, or ever was, somebody else's.
    #[serde(default)]
    pub on_taken: OnTaken,
    /// Account attributes, each with the identity attribute that it is copied from.
    pub attributes: BTreeMap<AttributeName, AttributeName>,
    /// How accounts that name nobody are found to be somebody's; by the sign-in name alone if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlate: Option<Correlation>,
}

/// What happens when a sign-in name is, or ever was, somebody else's. A name is never given to a second
/// person: mail, approvals and old records that name it would go to the wrong one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnTaken {
    /// The account waits until a person gives another name.
    #[default]
    Wait,
    /// The lowest free number from 2 on is put behind the name, before an `@`.
    Number,
}

impl AccountRule {
    /// The identity attribute that an account attribute, or the sign-in name, is copied from.
    #[must_use]
    pub fn source_of(&self, name: &AttributeName) -> Option<&AttributeName> {
        if name.as_str() == Correlation::USER_NAME {
            Some(&self.user_name)
        } else {
            self.attributes.get(name)
        }
    }
}

/// How an account that names nobody as its owner is found to be somebody's. Names are account attributes,
/// or [`Correlation::USER_NAME`]; they are compared with what the identity's attributes would make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Correlation {
    /// What only one person can have: the same value is the same person.
    pub strong: BTreeSet<AttributeName>,
    /// What speaks for a person, and how much.
    pub weights: BTreeMap<AttributeName, u16>,
    /// From this score on an account is somebody's, if nobody else reaches `ask`.
    pub link: u16,
    /// From this score on a person is asked.
    pub ask: u16,
}

impl Correlation {
    /// Stands for the sign-in name.
    pub const USER_NAME: &'static str = "user_name";
}

impl Default for Correlation {
    fn default() -> Self {
        let strong = AttributeName::new(Self::USER_NAME).into_iter().collect();
        Self { strong, weights: BTreeMap::new(), link: u16::MAX, ask: u16::MAX }
    }
}

/// Which grants wait for an approval, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct GateRule {
    /// In people's words.
    pub title: SmolStr,
    /// Grants of at least this sensitivity wait.
    pub sensitivity: Option<Sensitivity>,
    /// Grants of these entitlements wait.
    pub entitlements: BTreeSet<EntitlementRef>,
    /// Who decides, one stage after the other. At least one.
    pub stages: Vec<StageRule>,
    /// Days after which an undecided gate counts as refused.
    pub expires_days: u16,
}

/// One stage of a gate: who must agree before the next stage is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct StageRule {
    /// Who decides.
    pub approvers: Approvers,
    /// How many of them must agree. At least 1.
    pub quorum: u16,
    /// Who may decide, too, when it takes too long or too few are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<EscalationRule>,
}

/// Who is asked, too, when a stage is not decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct EscalationRule {
    /// Hours after the stage was asked. It happens at once when fewer than the quorum may decide.
    pub after_hours: u32,
    /// Who may decide then, besides those of the stage.
    pub to: Approvers,
}

/// Who decides at a gate. People who left, are away or never started decide nothing, and neither does the
/// person whom the plan is about: see [`Deciders`](crate::approval::Deciders).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Approvers {
    /// The person's manager at the time of the decision.
    Manager {
        /// The attribute that holds the manager's identity id.
        attribute: AttributeName,
        /// 1 for the manager, 2 for the manager's manager, and so on.
        level: u8,
    },
    /// Whoever owns every entitlement that the gate covers.
    EntitlementOwner,
    /// Any of these people.
    Named(BTreeSet<IdentityId>),
}

/// How far people may hand their decisions to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct DelegationRule {
    /// Longest delegation in days; a longer one does not count. 0: none counts.
    pub max_days: u16,
}

impl Default for DelegationRule {
    fn default() -> Self {
        Self { max_days: 30 }
    }
}

/// What happens when somebody leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct LeaverRule {
    /// The attribute that holds the manager's identity id; ownership and mail go there.
    pub manager: Option<AttributeName>,
    /// The text that answers mail to somebody who left.
    pub auto_reply: Option<SmolStr>,
    /// Whether the mailbox is forwarded to the manager's account.
    pub forward_to_manager: bool,
    /// Whether the mailbox becomes a shared one, so that its licence is free.
    pub convert_mailbox: bool,
    /// Whether what only this account owns goes to the manager's account.
    pub transfer_ownership: bool,
    /// Days after an account was closed at which it is archived, where the target can.
    pub archive_after_days: Option<u16>,
    /// Days after an account was closed at which it is deleted, by a plan of its own. Legal holds, sole
    /// ownership and accounts that somebody else closed stop it.
    pub delete_after_days: Option<u16>,
    /// Minutes after the end of access by which containment must be verified. 0 means 5.
    pub contain_within_minutes: u32,
}

/// How far the engine may go in revoking what it finds on a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the four modes of DESIGN are complete")]
pub enum Mode {
    /// Neither grant nor revoke; report only.
    Observe,
    /// Grant, never revoke.
    Additive,
    /// Grant, and revoke only what the ledger says that we granted.
    #[default]
    Relative,
    /// Make the target equal to the claims.
    Full,
}

/// The mode per provider, kind or entitlement; the most specific one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Modes {
    /// When nothing more specific is said.
    pub default: Mode,
    /// Per provider.
    pub providers: BTreeMap<ProviderId, Mode>,
    /// Per kind of one provider.
    pub kinds: BTreeMap<ProviderId, BTreeMap<KindId, Mode>>,
    /// Per entitlement.
    pub entitlements: BTreeMap<EntitlementRef, Mode>,
}

impl Modes {
    /// The mode for an entitlement.
    #[must_use]
    pub fn of(&self, entitlement: &EntitlementRef) -> Mode {
        self.entitlements
            .get(entitlement)
            .or_else(|| self.kinds.get(&entitlement.provider)?.get(&entitlement.key.kind))
            .or_else(|| self.providers.get(&entitlement.provider))
            .copied()
            .unwrap_or(self.default)
    }
}

/// When a batch of plans is stopped before its first write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Brakes {
    /// Most accounts that may be made in one batch.
    pub max_creates: Option<u32>,
    /// Most accounts that may be deleted in one batch.
    pub max_deletes: Option<u32>,
    /// Most people who may lose their account in one batch.
    pub max_leavers: Option<u32>,
    /// Largest share of all people who may lose their account in one batch, in per mille.
    pub max_leavers_permille: Option<u16>,
    /// Shares apply from this many people on; below, only counts do.
    pub min_population: u32,
    /// Most revokes in one batch.
    pub max_revokes: Option<u32>,
    /// Largest share of all holdings that one batch may revoke, in per mille.
    pub max_revokes_permille: Option<u16>,
    /// Largest share of the members of one entitlement that one batch may remove, in per mille.
    pub max_group_loss_permille: Option<u16>,
    /// Most privileged or critical entitlements that one batch may revoke.
    pub max_privileged_revokes: Option<u32>,
    /// Most people who may lose their account within [`Brakes::window_hours`], batches taken together.
    pub max_leavers_in_window: Option<u32>,
    /// Length of the rolling window in hours.
    pub window_hours: u32,
}

impl Default for Brakes {
    fn default() -> Self {
        Self {
            max_creates: None,
            max_deletes: Some(25),
            max_leavers: None,
            max_leavers_permille: Some(100),
            min_population: 20,
            max_revokes: None,
            max_revokes_permille: Some(200),
            max_group_loss_permille: Some(500),
            max_privileged_revokes: None,
            max_leavers_in_window: None,
            window_hours: 24,
        }
    }
}

/// When a feed is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct FeedRules {
    /// Largest drop in rows against the last accepted feed, in per mille.
    pub max_row_drop_permille: u16,
    /// Largest rise of empty cells in one column against the last accepted feed, in per mille points.
    pub max_null_rise_permille: u16,
    /// Largest share of rows that were refused one by one, in per mille.
    pub max_bad_rows_permille: u16,
    /// Oldest feed, in hours.
    pub max_age_hours: u32,
}

impl Default for FeedRules {
    fn default() -> Self {
        Self {
            max_row_drop_permille: 100,
            max_null_rise_permille: 200,
            max_bad_rows_permille: 50,
            max_age_hours: 48,
        }
    }
}

/// Accounts that are never touched and counts that are never undercut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Protected {
    /// Break-glass accounts and the integration's own account.
    pub accounts: BTreeSet<AccountRef>,
    /// Entitlements of which at least one holder must always be left, such as an administrator role.
    pub last_holder: BTreeSet<EntitlementRef>,
}
