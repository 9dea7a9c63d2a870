//! Last pass: names by place. The same set of nodes gets the same numbers, in whatever order it came.

use std::collections::BTreeMap;

use jml_core::canon::CanonError;
use jml_core::id::{GateId, IdentityId, StepId};
use jml_core::plan::{Gate, GateSubject, Late, Rank, Retry, Step, StepKind};

use super::nodes::{Node, OpenGate, What};

/// Steps and gates of a plan.
type Numbered = (BTreeMap<StepId, Step>, BTreeMap<GateId, Gate>);

pub(super) fn number(
    nodes: Vec<Node>,
    gates: Vec<OpenGate>,
    subject: &IdentityId,
) -> Result<Numbered, CanonError> {
    let order = places(&nodes);
    let ids: BTreeMap<usize, StepId> = order
        .iter()
        .enumerate()
        .filter_map(|(place, index)| Some((*index, step_id(place)?)))
        .collect();
    let gate_ids: BTreeMap<usize, GateId> = (0..gates.len())
        .filter_map(|i| Some((i, GateId::new(format!("g{}", i + 1)).ok()?)))
        .collect();
    let makers: BTreeMap<_, _> = nodes
        .iter()
        .enumerate()
        .filter_map(|(i, node)| {
            let (provider, _, op) = node.change()?;
            op.makes_account().then(|| (provider.clone(), i))
        })
        .collect();
    let mut covers: BTreeMap<GateId, BTreeMap<StepId, _>> = BTreeMap::new();
    let mut steps = BTreeMap::new();
    for (index, node) in nodes.into_iter().enumerate() {
        let Some(id) = ids.get(&index) else { continue };
        let kind = match node.what {
            What::Other(kind) => kind,
            What::Change { provider, account, op } => {
                let account = match account {
                    Some(at) => Some(Late::Known(at.account)),
                    None if op.makes_account() => None,
                    None => {
                        let maker = makers.get(&provider).and_then(|i| ids.get(i));
                        maker.map(|id| Late::From(id.clone()))
                    }
                };
                StepKind::Change { provider, account, op }
            }
        };
        let gate = node.gate.and_then(|i| gate_ids.get(&i)).cloned();
        let after =
            node.after.iter().filter_map(|(i, need)| Some((ids.get(i)?.clone(), *need))).collect();
        let step = Step {
            kind,
            reason: node.reason,
            after,
            gate: gate.clone(),
            rank: node.rank,
            critical: node.critical,
            deadline: node.deadline,
            on_stale: node.on_stale,
            retry: Retry::default(),
        };
        if let Some(gate) = gate {
            covers.entry(gate).or_default().insert(id.clone(), step.meaning()?);
        }
        steps.insert(id.clone(), step);
    }
    let gates = gates
        .into_iter()
        .enumerate()
        .filter_map(|(i, open)| {
            let id = gate_ids.get(&i)?.clone();
            let gate = Gate {
                rule: open.rule,
                title: open.title,
                covers: covers.remove(&id)?,
                stages: open.stages,
                expires: open.expires,
                subject: GateSubject { identity: subject.clone() },
            };
            Some((id, gate))
        })
        .collect();
    Ok((steps, gates))
}

fn step_id(place: usize) -> Option<StepId> {
    StepId::new(format!("s{:03}", place + 1)).ok()
}

/// A topological order; among nodes that could come next, by rank, target and what they do.
fn places(nodes: &[Node]) -> Vec<usize> {
    let keys: Vec<_> = nodes.iter().map(sort_key).collect();
    let mut open: BTreeMap<usize, usize> =
        nodes.iter().enumerate().map(|(i, node)| (i, node.after.len())).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while !open.is_empty() {
        let ready = open.iter().filter(|(_, waits)| **waits == 0).map(|(i, _)| *i);
        // Without a ready node there is a cycle; number the rest anyway, sealing will name it.
        let next = ready.min_by_key(|i| keys.get(*i)).or_else(|| open.keys().next().copied());
        let Some(next) = next else { break };
        open.remove(&next);
        order.push(next);
        for (index, waits) in &mut open {
            let after = nodes.get(*index).is_some_and(|node| node.after.contains_key(&next));
            if after {
                *waits = waits.saturating_sub(1);
            }
        }
    }
    order
}

/// Rank first, then target and account, then the change in words. Blocking sign-in comes first of all.
fn sort_key(node: &Node) -> (Rank, bool, String, String, String) {
    match node.change() {
        Some((provider, account, op)) => {
            let account = account.map_or_else(String::new, ToString::to_string);
            let blocks = matches!(op, jml_core::provider::Operation::SetStatus { .. });
            (node.rank, !blocks, provider.to_string(), account, op.to_string())
        }
        None => {
            let text = match &node.what {
                What::Other(StepKind::Task(task)) => task.key.to_string(),
                What::Other(StepKind::Confirm(it)) => format!("{}:{}", it.provider, it.account),
                _ => "~".to_owned(),
            };
            (node.rank, true, String::new(), String::new(), text)
        }
    }
}
