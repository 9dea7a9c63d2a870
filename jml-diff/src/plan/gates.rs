//! Third pass: which grants wait, and for whom. Takes out what was refused or nobody may decide.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use jml_core::approval::{Panel, can_pass};
use jml_core::canon::CanonError;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::plan::{Rank, Stage};
use jml_core::policy::{Approvers, GateRule, StageRule};
use smol_str::SmolStr;

use super::PlanInput;
use super::nodes::{Node, OpenGate, What};
use crate::delta::Wait;

pub(super) fn gates(
    input: &PlanInput<'_>,
    nodes: &mut Vec<Node>,
    waits: &mut Vec<Wait>,
) -> Result<Vec<OpenGate>, CanonError> {
    let mut gates: Vec<OpenGate> = Vec::new();
    let mut dropped = BTreeSet::new();
    for (index, node) in nodes.iter_mut().enumerate() {
        let (Some(given), _) = node.gives_and_takes() else { continue };
        if node.rank != Rank::Grant {
            continue;
        }
        let what = SmolStr::new(format!("grant `{given}`"));
        let Some((id, rule)) = rule_for(input, &given) else { continue };
        if input.refused.contains(&meaning(node)?) {
            waits.push(Wait { what, why: SmolStr::new(format!("gate `{id}` refused it")) });
            dropped.insert(index);
            continue;
        }
        let stages = stages(input, rule, &given);
        if let Err(why) = passable(&stages) {
            waits.push(Wait { what, why: SmolStr::new(format!("gate `{id}` {why}")) });
            dropped.insert(index);
            continue;
        }
        let same = |gate: &OpenGate| &gate.rule == id && gate.stages == stages;
        let at = gates.iter().position(same).unwrap_or_else(|| {
            gates.push(OpenGate {
                rule: id.clone(),
                stages,
                title: rule.title.clone(),
                expires: input.at + TimeDelta::days(rule.expires_days.max(1).into()),
            });
            gates.len() - 1
        });
        node.gate = Some(at);
    }
    remove(nodes, &dropped);
    Ok(gates)
}

/// The digest of a node's meaning, as [`jml_core::plan::Step::meaning`] computes it.
fn meaning(node: &Node) -> Result<Digest, CanonError> {
    match &node.what {
        What::Change { provider, op, .. } => {
            Digest::of_value("jml-step/v1", &("change", provider, op, &node.reason))
        }
        What::Other(kind) => Digest::of_value("jml-step/v1", &("other", kind, &node.reason)),
    }
}

/// The rule that an entitlement falls under: one that names it, else the one with the highest
/// threshold that it reaches.
fn rule_for<'a>(
    input: &PlanInput<'a>,
    given: &EntitlementRef,
) -> Option<(&'a jml_core::id::GateRuleId, &'a GateRule)> {
    let rules = &input.policy.gates;
    let sensitivity = input.policy.sensitivity(given);
    rules.iter().find(|(_, rule)| rule.entitlements.contains(given)).or_else(|| {
        rules
            .iter()
            .filter(|(_, rule)| rule.sensitivity.is_some_and(|least| sensitivity >= least))
            .max_by_key(|(_, rule)| rule.sensitivity)
    })
}

/// The stages of a gate, with who may decide as of now. Nobody decides about their own access.
fn stages(input: &PlanInput<'_>, rule: &GateRule, given: &EntitlementRef) -> Vec<Stage> {
    let covers = BTreeSet::from([given]);
    let subject = &input.desired.identity;
    let panel = |who: &Approvers| input.deciders.panel(who, subject, &covers);
    let stage = |rule: &StageRule| Stage {
        panel: panel(&rule.approvers),
        escalated: rule
            .escalate
            .as_ref()
            .map(|escalation| panel(&escalation.to))
            .unwrap_or_default(),
        rule: rule.clone(),
    };
    rule.stages.iter().map(stage).collect()
}

/// Whether enough different people may decide; if not, why.
fn passable(stages: &[Stage]) -> Result<(), String> {
    let all: Vec<Panel> = stages
        .iter()
        .map(|it| {
            it.panel.iter().chain(&it.escalated).map(|(a, b)| (a.clone(), b.clone())).collect()
        })
        .collect();
    for (number, (stage, panel)) in stages.iter().zip(&all).enumerate() {
        if panel.len() < usize::from(stage.rule.quorum) {
            let (of, may) = (stage.rule.quorum, panel.len());
            let which =
                if all.len() > 1 { format!(" at stage {}", number + 1) } else { String::new() };
            return Err(format!("needs {of} approvers{which}, and {may} may decide"));
        }
    }
    let seats: Vec<(&Panel, u16)> =
        all.iter().zip(stages).map(|(p, s)| (p, s.rule.quorum)).collect();
    if can_pass(&seats) {
        Ok(())
    } else {
        Err("has too few different approvers for its stages".into())
    }
}

/// Takes nodes out and renumbers the edges. What waited for a removed node does not wait any more.
fn remove(nodes: &mut Vec<Node>, dropped: &BTreeSet<usize>) {
    if dropped.is_empty() {
        return;
    }
    let kept: Vec<usize> = (0..nodes.len()).filter(|i| !dropped.contains(i)).collect();
    let place: BTreeMap<usize, usize> =
        kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let mut index = 0;
    nodes.retain_mut(|node| {
        let keep = !dropped.contains(&index);
        index += 1;
        node.after = std::mem::take(&mut node.after)
            .into_iter()
            .filter_map(|(old, need)| Some((*place.get(&old)?, need)))
            .collect();
        keep
    });
}
