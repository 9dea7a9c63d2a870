//! Second pass: what comes first. Edges only where order matters; ranks do the rest.

use std::collections::BTreeSet;

use jml_core::account::{AccountRef, AccountStatus, CredentialClass};
use jml_core::entitlement::EntitlementRef;
use jml_core::id::ProviderId;
use jml_core::plan::{Need, Rank};
use jml_core::provider::{MailboxChange, Operation};

use super::PlanInput;
use super::nodes::{LICENCE, Node, frees_licence};
use crate::delta::DEVICE;

pub(super) fn order(input: &PlanInput<'_>, nodes: &mut [Node]) {
    let mut edges: Vec<(usize, usize, Need)> = Vec::new();
    let access: Vec<_> = nodes.iter().map(Node::gives_and_takes).collect();
    for (then, (node, (given, _))) in nodes.iter().zip(&access).enumerate() {
        for (first, (other, (_, taken))) in nodes.iter().zip(&access).enumerate() {
            if first == then {
                continue;
            }
            let need = comes_first(input, other, node).or_else(|| {
                // What conflicts with a grant goes before it.
                let same_account = other.change().map(place) == node.change().map(place);
                let conflict = conflicts(input, taken.as_ref()?, given.as_ref()?, same_account);
                conflict.then_some(Need::Success)
            });
            edges.extend(need.map(|need| (first, then, need)));
        }
    }
    for (first, then, need) in edges {
        if let Some(node) = nodes.get_mut(then) {
            let entry = node.after.entry(first).or_insert(need);
            *entry = (*entry).min(need);
        }
    }
    reduce(nodes);
}

/// Whether `first` must come before `then`, and how it must have ended.
fn comes_first(input: &PlanInput<'_>, first: &Node, then: &Node) -> Option<Need> {
    let (provider_a, account_a, op_a) = first.change()?;
    let (provider_b, account_b, op_b) = then.change()?;
    let same_account = provider_a == provider_b && account_a == account_b;
    // Create before anything on the account that it makes.
    if op_a.makes_account() && same_account {
        return Some(Need::Success);
    }
    if same_account {
        // A closed account takes nothing, or gives it to nobody.
        let opens = matches!(op_a, Operation::SetStatus { status } if status.can_sign_in());
        if opens && matches!(op_b, Operation::Grant { .. } | Operation::Exchange { .. }) {
            return Some(Need::Success);
        }
        let blocks = matches!(
            op_a,
            Operation::SetStatus { status: AccountStatus::Disabled | AccountStatus::Suspended }
        );
        let credentials = matches!(op_a, Operation::RevokeCredentials { .. });
        let strips = matches!(op_b, Operation::Revoke { .. })
            || matches!(op_b, Operation::SetMailbox(_) | Operation::TransferOwnership { .. });
        // Block sign-in, then kill sessions, then strip. A failure of the first stops nothing.
        if blocks && (matches!(op_b, Operation::RevokeCredentials { .. }) || strips) {
            return Some(Need::Settled);
        }
        // A device that cannot be looked at is known by its bond alone: that goes when the device is done with,
        // however much the device matters.
        let devices = Operation::RevokeCredentials { class: CredentialClass::Devices };
        let bond = matches!(op_b, Operation::Revoke { entitlement } if entitlement.kind.as_str() == DEVICE);
        if *op_a == devices && bond && unseen(input, account_a, CredentialClass::Devices) {
            return Some(Need::Success);
        }
        if credentials && strips && then.rank > Rank::Contain {
            return Some(Need::Settled);
        }
        // The mailbox must be safe before its licence goes; forwarding before it is converted.
        let licence = matches!(op_b, Operation::Revoke { entitlement } if entitlement.kind.as_str() == LICENCE);
        if licence && then.rank == Rank::Transfer {
            if frees_licence(op_a) {
                return Some(Need::Success);
            }
            if matches!(op_a, Operation::SetMailbox(_)) {
                return Some(Need::Settled);
            }
        }
        let convert =
            |op: &Operation| matches!(op, Operation::SetMailbox(MailboxChange::ConvertToShared));
        if matches!(op_a, Operation::SetMailbox(_)) && !convert(op_a) && convert(op_b) {
            return Some(Need::Settled);
        }
    }
    None
}

/// Whether an account's credentials of a class cannot be looked at.
fn unseen(input: &PlanInput<'_>, account: Option<&AccountRef>, class: CredentialClass) -> bool {
    let mut accounts = input.world.accounts(&input.desired.identity);
    let state = accounts.find(|(at, _)| Some(*at) == account);
    state.is_none_or(|(_, state)| !state.credentials.contains_key(&class))
}

const fn place<'a>(
    change: (&'a ProviderId, Option<&'a AccountRef>, &'a Operation),
) -> (&'a ProviderId, Option<&'a AccountRef>) {
    (change.0, change.1)
}

/// Whether one entitlement must go before another may come.
fn conflicts(
    input: &PlanInput<'_>,
    taken: &EntitlementRef,
    given: &EntitlementRef,
    same_account: bool,
) -> bool {
    let policy = input.policy;
    let group = |e| policy.entitlements.get(e).and_then(|entry| entry.exclusive_group.as_ref());
    policy.sod.values().any(|rule| rule.separates(taken, given))
        || (same_account && group(taken).is_some() && group(taken) == group(given))
}

/// Takes out every edge that others imply. An edge that needs success is implied only by edges that do.
fn reduce(nodes: &mut [Node]) {
    let edges: Vec<Vec<(usize, Need)>> =
        nodes.iter().map(|n| n.after.iter().map(|(i, need)| (*i, *need)).collect()).collect();
    let reaches = |from: usize, to: usize, need: Need| {
        // Is there a way back from `from` to `to` with more than one edge?
        let mut seen = BTreeSet::new();
        let usable = |edge: &&(usize, Need)| need == Need::Settled || edge.1 == Need::Success;
        let next = |at: usize| edges.get(at).into_iter().flatten();
        let mut todo: Vec<usize> =
            next(from).filter(usable).map(|edge| edge.0).filter(|i| *i != to).collect();
        while let Some(at) = todo.pop() {
            if at == to {
                return true;
            }
            if seen.insert(at) {
                todo.extend(next(at).filter(usable).map(|edge| edge.0));
            }
        }
        false
    };
    let spare: Vec<(usize, usize)> = edges
        .iter()
        .enumerate()
        .flat_map(|(then, list)| list.iter().map(move |(first, need)| (then, *first, *need)))
        .filter(|(then, first, need)| reaches(*then, *first, *need))
        .map(|(then, first, _)| (then, first))
        .collect();
    for (then, first) in spare {
        if let Some(node) = nodes.get_mut(then) {
            node.after.remove(&first);
        }
    }
}
