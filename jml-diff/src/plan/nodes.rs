//! First pass: what is done, one node for each change, task and notice.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountRef, AccountStatus};
use jml_core::claim::ClaimSource;
use jml_core::digest::Digest;
use jml_core::entitlement::{Assignability, EntitlementKey, EntitlementRef};
use jml_core::facts::TaskKey;
use jml_core::id::{EngagementId, GateRuleId, IdentityId, ProviderId, TaskId};
use jml_core::plan::{
    ByHand, Confirm, LifecycleKind, Need, Notice, OnStale, Rank, Reason, Stage, StepKind, TaskStep,
};
use jml_core::provider::{MailboxChange, Operation, Verb};
use jml_core::role::Assignee;
use smol_str::SmolStr;

use super::PlanInput;
use crate::delta::{AccessLine, AccountLine, Delta, Verdict};

/// The kind of entitlement that a mailbox may hang on.
pub(super) const LICENCE: &str = "licence";

/// A step before it has a number.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) what: What,
    pub(super) reason: Reason,
    pub(super) rank: Rank,
    pub(super) critical: bool,
    pub(super) on_stale: OnStale,
    pub(super) deadline: Option<DateTime<Utc>>,
    /// Indexes of nodes that come first.
    pub(super) after: BTreeMap<usize, Need>,
    /// Index into the gates.
    pub(super) gate: Option<usize>,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A change on an account; `None` is the account that this plan makes on the provider.
    Change { provider: ProviderId, account: Option<AccountRef>, op: Operation },
    /// A task or a notice.
    Other(StepKind),
}

impl Node {
    pub(super) const fn change(&self) -> Option<(&ProviderId, Option<&AccountRef>, &Operation)> {
        match &self.what {
            What::Change { provider, account, op } => Some((provider, account.as_ref(), op)),
            What::Other(_) => None,
        }
    }

    /// Whether the node does something to an account, by a call or by hand.
    fn is_about(&self, at: &AccountRef) -> bool {
        match &self.what {
            What::Change { provider, account, .. } => {
                *provider == at.provider && account.as_ref() == Some(at)
            }
            What::Other(StepKind::Task(TaskStep { by_hand: Some(by_hand), .. })) => {
                by_hand.provider == at.provider && by_hand.account.as_ref() == Some(&at.account)
            }
            What::Other(_) => false,
        }
    }

    /// The entitlements that the node gives and takes, in this order.
    pub(super) fn gives_and_takes(&self) -> (Option<EntitlementRef>, Option<EntitlementRef>) {
        let Some((provider, _, op)) = self.change() else { return (None, None) };
        let at = |key: &_| Some(EntitlementRef::new(provider.clone(), Clone::clone(key)));
        match op {
            Operation::Grant { entitlement } => (at(entitlement), None),
            Operation::Revoke { entitlement } => (None, at(entitlement)),
            Operation::Exchange { revoke, grant } => (at(grant), at(revoke)),
            _ => (None, None),
        }
    }
}

/// A rule's gate for some nodes, before it has a number.
#[derive(Clone, Debug)]
pub(super) struct OpenGate {
    pub(super) rule: GateRuleId,
    pub(super) stages: Vec<Stage>,
    pub(super) title: SmolStr,
    pub(super) expires: DateTime<Utc>,
}

pub(super) fn nodes(input: &PlanInput<'_>, delta: &Delta, kind: LifecycleKind) -> Vec<Node> {
    let mut pass = Pass { input, delta, kind, out: Vec::new() };
    for line in &delta.accounts {
        pass.account(line);
    }
    let exchanged = pass.exchanges();
    for line in &delta.access {
        if !exchanged.contains(&&line.entitlement) {
            pass.access(line);
        }
    }
    for task in &input.desired.tasks {
        let step = TaskStep {
            key: task.key.clone(),
            title: task.title.clone(),
            assignee: task.assignee.clone(),
            due: task.due,
            by_hand: None,
        };
        let reason = Reason::new(format!("task of the role, due {}", task.due.date_naive()));
        pass.push(What::Other(StepKind::Task(step)), reason, Rank::Courtesy, false);
    }
    pass.attestations();
    pass.out
}

/// A last look at every account of somebody who is gone. Only where something is done at all: a plan of
/// looks alone would say every day what the first one said.
pub(super) fn confirms(input: &PlanInput<'_>, delta: &Delta, nodes: &mut Vec<Node>) {
    let deletes = |node: &Node| matches!(node.change(), Some((.., Operation::DeleteAccount)));
    let acts = |node: &Node| {
        node.change().is_some()
            || matches!(&node.what, What::Other(StepKind::Task(it)) if it.by_hand.is_some())
    };
    if !delta.gone || !nodes.iter().any(acts) || nodes.iter().any(deletes) {
        return;
    }
    for (at, state) in input.world.accounts(&delta.identity) {
        let named = |key: &&EntitlementKey| {
            let entitlement = EntitlementRef::new(at.provider.clone(), Clone::clone(*key));
            let entry = input.policy.entitlements.get(&entitlement);
            entry.is_some_and(|entry| entry.assignability == Assignability::Immutable)
        };
        let waived = input.desired.waived.iter().filter(|(what, _)| what.provider == at.provider);
        let confirm = Confirm {
            provider: at.provider.clone(),
            account: at.account.clone(),
            immutable: state.holdings.iter().filter(named).cloned().collect(),
            waived: waived.map(|(what, waived)| (what.key.clone(), waived.clone())).collect(),
        };
        let after = nodes.iter().enumerate().filter(|(_, node)| node.is_about(at));
        let after = after.map(|(index, _)| (index, Need::Ended)).collect();
        nodes.push(Node {
            what: What::Other(StepKind::Confirm(confirm)),
            reason: Reason::new("nothing may be left on it"),
            rank: Rank::Courtesy,
            critical: false,
            on_stale: OnStale::Replan,
            deadline: None,
            after,
            gate: None,
        });
    }
}

/// Word to the manager. Nothing ever waits for it, and without a change nobody is told anything.
pub(super) fn notices(input: &PlanInput<'_>, nodes: &mut Vec<Node>, kind: LifecycleKind) {
    use LifecycleKind as K;
    let tells = matches!(kind, K::Join | K::Move | K::Leave | K::Rehire);
    let changes = nodes.iter().any(|node| node.change().is_some());
    let manager = input.desired.manager.as_ref().and_then(|id| IdentityId::new(id).ok());
    let Some(to) = manager.filter(|_| tells && changes) else { return };
    let text = format!("{}: access of `{}` is changing", kind.as_str(), input.desired.identity);
    let notice = Notice { to, text: SmolStr::new(text) };
    nodes.push(Node {
        what: What::Other(StepKind::Notice(notice)),
        reason: Reason::new("the manager should know"),
        rank: Rank::Courtesy,
        critical: false,
        on_stale: OnStale::Replan,
        deadline: None,
        after: BTreeMap::new(),
        gate: None,
    });
}

struct Pass<'a> {
    input: &'a PlanInput<'a>,
    delta: &'a Delta,
    kind: LifecycleKind,
    out: Vec<Node>,
}

impl<'a> Pass<'a> {
    fn push(&mut self, what: What, reason: Reason, rank: Rank, critical: bool) {
        let takes = matches!(&what, What::Change { op, .. } if op.takes_away());
        let deadline = (rank == Rank::Contain && self.delta.gone).then(|| {
            let minutes = match self.input.policy.leaver.contain_within_minutes {
                0 => 5,
                some => some,
            };
            // Late news is not late work: the clock of the work starts when the work could start.
            let from = self.input.desired.ended_at.unwrap_or(self.input.at).max(self.input.at);
            from + TimeDelta::minutes(minutes.into())
        });
        self.out.push(Node {
            what,
            reason,
            rank,
            critical,
            on_stale: if takes { OnStale::ApplyAnyway } else { OnStale::Replan },
            deadline,
            after: BTreeMap::new(),
            gate: None,
        });
    }

    /// A change, or a task for a person where the target cannot do it by a call.
    fn change(
        &mut self,
        provider: &ProviderId,
        account: Option<&AccountRef>,
        op: Operation,
        reason: Reason,
        rank: Rank,
        critical: bool,
    ) {
        if self.input.world.supports(provider, op.verb()) {
            let what = What::Change { provider: provider.clone(), account: account.cloned(), op };
            self.push(what, reason, rank, critical);
            return;
        }
        let Some(key) = self.manual_key(provider, account, &op) else { return };
        if self.input.facts.raised_tasks.contains(&key) {
            return;
        }
        let whom = account.map_or_else(|| provider.to_string(), ToString::to_string);
        let title = SmolStr::new(format!("{op} on `{whom}` by hand"));
        // What cannot be named cannot be looked at: an account that an earlier step makes. Nor what a target
        // without a call for it does not show either, and a mailbox without it would look refused.
        let known = account.is_some() || op.makes_account();
        let known = known && !matches!(op, Operation::SetMailbox(_));
        let by_hand = known.then(|| ByHand {
            provider: provider.clone(),
            account: account.map(|at| at.account.clone()),
            op,
        });
        let step = TaskStep {
            key,
            title,
            assignee: Assignee::Queue(SmolStr::new(format!("administrators of {provider}"))),
            due: self.input.at,
            by_hand,
        };
        self.push(What::Other(StepKind::Task(step)), reason, Rank::Courtesy, critical);
    }

    /// What stays after a move until the manager says whether it is needed: the manager is asked once. A yes
    /// is a request like any other; silence ends it.
    fn attestations(&mut self) {
        for claim in &self.input.desired.claims {
            let ClaimSource::Transition { moved_at, attest: true } = &claim.source else {
                continue;
            };
            let what = (&claim.entitlement, moved_at);
            let Some(key) = self.key("attest", &what) else { continue };
            if self.input.facts.raised_tasks.contains(&key) {
                continue;
            }
            let until = claim.validity.until.unwrap_or(*moved_at);
            let who = &self.delta.identity;
            let title = format!(
                "say whether `{who}` still needs `{}`; it ends on {} if nobody does",
                claim.entitlement,
                until.date_naive()
            );
            let step = TaskStep {
                key,
                title: SmolStr::new(title),
                assignee: Assignee::Manager,
                due: *moved_at,
                by_hand: None,
            };
            let reason = Reason::new("access from before a move");
            self.push(What::Other(StepKind::Task(step)), reason, Rank::Courtesy, false);
        }
    }

    /// The name for ever of a change that a person carries out.
    fn manual_key(
        &self,
        provider: &ProviderId,
        account: Option<&AccountRef>,
        op: &Operation,
    ) -> Option<TaskKey> {
        self.key("manual", &(provider, account, op))
    }

    /// A name for ever for a task about something.
    fn key(&self, kind: &str, about: &impl serde::Serialize) -> Option<TaskKey> {
        let digest = Digest::of_value(&format!("jml-{kind}/v1"), about).ok()?;
        let hex = digest.to_hex();
        let engagements = &self.input.facts.identity.engagements;
        let name = engagements.last().map_or(self.delta.identity.as_str(), |e| e.id.as_str());
        Some(TaskKey {
            engagement: EngagementId::new(name).ok()?,
            task: TaskId::new(format!("{kind}-{}", hex.get(..16)?)).ok()?,
        })
    }

    fn account(&mut self, line: &AccountLine) {
        let gone = self.delta.gone;
        match line {
            AccountLine::Create { provider, user_name, status, attributes } => {
                let op = Operation::CreateAccount {
                    user_name: user_name.clone(),
                    external_id: self.delta.identity.clone(),
                    status: *status,
                    attributes: attributes.clone(),
                };
                let reason = Reason::new(format!("{}: no account yet", self.kind.as_str()));
                self.change(provider, None, op, reason, Rank::Grant, false);
            }
            AccountLine::Update { account, user_name, set, clear } => {
                let op = Operation::UpdateAccount {
                    user_name: user_name.clone(),
                    set: set.clone(),
                    clear: clear.clone(),
                };
                let (rank, text) = if gone {
                    (Rank::Revoke, "the target computes access from it")
                } else {
                    (Rank::Grant, "attributes differ from the source that owns them")
                };
                let reason = Reason::new(text);
                self.change(&account.provider, Some(account), op, reason, rank, false);
            }
            AccountLine::Status { account, from, to } => {
                let op = Operation::SetStatus { status: *to };
                let takes = op.takes_away();
                let rank = match to {
                    AccountStatus::Archived => Rank::Revoke,
                    _ if takes => Rank::Contain,
                    _ => Rank::Grant,
                };
                let text =
                    format!("{}: {} becomes {}", self.kind.as_str(), from.as_str(), to.as_str());
                let (critical, reason) = (rank == Rank::Contain && gone, Reason::new(text));
                self.change(&account.provider, Some(account), op, reason, rank, critical);
            }
            AccountLine::Credentials { account, class, alive } => {
                let op = Operation::RevokeCredentials { class: *class };
                let count = alive.map_or_else(|| "any".to_owned(), |n| n.to_string());
                let text = format!("{}: {count} {} alive", self.kind.as_str(), class.as_str());
                let (provider, reason) = (&account.provider, Reason::new(text));
                self.change(provider, Some(account), op, reason, Rank::Contain, true);
            }
            AccountLine::Mailbox { account, change } => {
                let op = Operation::SetMailbox(change.clone());
                let reason = Reason::new("mail to somebody who left");
                self.change(&account.provider, Some(account), op, reason, Rank::Transfer, false);
            }
            AccountLine::Reroute { account, user_name, to } => {
                self.reroute(account, user_name, to.as_ref());
            }
            AccountLine::Delete { account, closed } => {
                let reason = Reason::new(format!("closed since {}", closed.date_naive()));
                let op = Operation::DeleteAccount;
                self.change(&account.provider, Some(account), op, reason, Rank::Revoke, false);
            }
            AccountLine::Transfer { account, to, assets } => {
                let op = Operation::TransferOwnership { to: to.account.clone() };
                let reason = Reason::new(format!("{assets} things would be without an owner"));
                self.change(&account.provider, Some(account), op, reason, Rank::Transfer, false);
            }
        }
    }

    /// A task for whoever looks after mail. What they do is seen on another account, if anywhere.
    fn reroute(&mut self, account: &AccountRef, user_name: &str, to: Option<&AccountRef>) {
        let Some(key) = self.key("mail", account) else { return };
        if self.input.facts.raised_tasks.contains(&key) {
            return;
        }
        let taker = to.map_or_else(|| "somebody".to_owned(), |to| format!("`{to}`"));
        let title = format!(
            "`{user_name}` gets no mail on {} once it is closed: give the address to {taker} or to a group",
            account.provider
        );
        let step = TaskStep {
            key,
            title: SmolStr::new(title),
            assignee: Assignee::Queue(format!("administrators of {}", account.provider).into()),
            due: self.input.at,
            by_hand: None,
        };
        let reason = Reason::new("mail to somebody who left");
        self.push(What::Other(StepKind::Task(step)), reason, Rank::Courtesy, false);
    }

    /// Swaps within an exclusive group, where the target does them in one call. Returns what they cover.
    fn exchanges(&mut self) -> Vec<&'a EntitlementRef> {
        let mut covered = Vec::new();
        let group = |line: &AccessLine| {
            self.input.policy.entitlements.get(&line.entitlement)?.exclusive_group.clone()
        };
        let mut found = Vec::new();
        for revoke in self.delta.with(Verdict::Revoke) {
            let Some(in_group) = group(revoke) else { continue };
            let partner = self.delta.with(Verdict::Grant).find(|grant| {
                grant.account == revoke.account
                    && grant.entitlement.provider == revoke.entitlement.provider
                    && group(grant).as_ref() == Some(&in_group)
            });
            let provider = &revoke.entitlement.provider;
            let Some(grant) = partner else { continue };
            if self.input.world.supports(provider, Verb::Exchange)
                && !covered.contains(&&grant.entitlement)
            {
                covered.extend([&revoke.entitlement, &grant.entitlement]);
                found.push((revoke, grant));
            }
        }
        for (revoke, grant) in found {
            let op = Operation::Exchange {
                revoke: revoke.entitlement.key.clone(),
                grant: grant.entitlement.key.clone(),
            };
            let reason = Reason { text: grant.because.clone(), claims: grant.reasons.clone() };
            let critical = revoke.sensitivity.is_critical();
            let provider = &grant.entitlement.provider;
            self.change(provider, grant.account.as_ref(), op, reason, Rank::Grant, critical);
        }
        covered
    }

    fn access(&mut self, line: &AccessLine) {
        let provider = &line.entitlement.provider;
        let entitlement = line.entitlement.key.clone();
        let reason = Reason { text: line.because.clone(), claims: line.reasons.clone() };
        match line.verdict {
            Verdict::Grant => {
                let op = Operation::Grant { entitlement };
                self.change(provider, line.account.as_ref(), op, reason, Rank::Grant, false);
            }
            Verdict::Revoke => {
                let critical = line.sensitivity.is_critical();
                let licence = self.delta.gone && entitlement.kind.as_str() == LICENCE;
                let rank = match (critical, licence) {
                    (true, _) => Rank::Contain,
                    // A mailbox may hang on the licence, so it goes with what is handed over.
                    (false, true) => Rank::Transfer,
                    (false, false) => Rank::Revoke,
                };
                let op = Operation::Revoke { entitlement };
                self.change(provider, line.account.as_ref(), op, reason, rank, critical);
            }
            Verdict::Keep | Verdict::Foreign(_) => {}
        }
    }
}

/// Whether an operation changes a mailbox so that its licence may go afterwards.
pub(super) const fn frees_licence(op: &Operation) -> bool {
    matches!(
        op,
        Operation::SetMailbox(MailboxChange::ConvertToShared) | Operation::TransferOwnership { .. }
    )
}
