//! Gates: who decides about which grants.

use super::keys;
use super::read::{Fields, Reader};
use super::tree::{Kind, Tree};
use crate::entitlement::EntitlementRef;
use crate::id::{AttributeName, IdentityId};
use crate::policy::{Approvers, DelegationRule, EscalationRule, GateRule, StageRule};

/// What says who decides.
const APPROVERS: &str = "`{manager: attribute}`, `entitlement_owner` or `{named: [ids]}`";

impl Reader {
    pub(super) fn gate(&mut self, tree: &Tree) -> Option<GateRule> {
        let fields = self.fields(tree, &keys::GATE);
        let stages = match fields.get("stages") {
            Some(list) => {
                for name in ["approvers", "quorum", "escalate"] {
                    if let Some(tree) = fields.get(name) {
                        let what = format!("`{name}` stands beside `stages`");
                        self.error("JML-P017", tree, what, "move it into a stage");
                    }
                }
                let items = self.list(list);
                items.iter().map(|item| self.stage_section(item)).collect::<Option<Vec<_>>>()
            }
            None => self.stage(tree, &fields).map(|stage| vec![stage]),
        };
        let listed = self.ids::<EntitlementRef>(fields.get("entitlements"));
        Some(GateRule {
            title: fields.get("title").and_then(|t| self.text(t)).unwrap_or_default().into(),
            sensitivity: fields.get("sensitivity").and_then(|t| self.sensitivity(t)),
            entitlements: listed.into_iter().collect(),
            stages: stages?,
            expires_days: fields.get("expires_days").map_or(Some(7), |t| self.count(t))?,
        })
    }

    fn stage_section(&mut self, tree: &Tree) -> Option<StageRule> {
        let fields = self.fields(tree, &keys::STAGE);
        self.stage(tree, &fields)
    }

    fn stage(&mut self, tree: &Tree, fields: &Fields<'_>) -> Option<StageRule> {
        let Some(who) = fields.get("approvers") else {
            let remedy = format!("write {APPROVERS}");
            self.error("JML-P017", tree, "the gate has no approvers", remedy);
            return None;
        };
        let approvers = self.approvers(who);
        let quorum = fields.get("quorum").map_or(Some(1), |t| self.count(t));
        let escalate = match fields.get("escalate") {
            Some(tree) => Some(self.escalation(tree)?),
            None => None,
        };
        Some(StageRule { approvers: approvers?, quorum: quorum?, escalate })
    }

    fn escalation(&mut self, tree: &Tree) -> Option<EscalationRule> {
        let fields = self.fields(tree, &keys::ESCALATE);
        let Some(to) = fields.get("to") else {
            let what = "the escalation goes to nobody";
            self.error("JML-P017", tree, what, format!("write `to` with {APPROVERS}"));
            return None;
        };
        let to = self.approvers(to);
        let after_hours = fields.get("after_hours").map_or(Some(48), |t| self.count(t));
        Some(EscalationRule { after_hours: after_hours?, to: to? })
    }

    fn approvers(&mut self, tree: &Tree) -> Option<Approvers> {
        if matches!(&tree.kind, Kind::Text(text) if text == "entitlement_owner") {
            return Some(Approvers::EntitlementOwner);
        }
        let member = self.variant(tree, APPROVERS)?;
        match member.key.as_str() {
            "manager" if matches!(member.value.kind, Kind::Map(_)) => {
                let fields = self.fields(&member.value, &keys::MANAGER);
                let Some(name) = fields.get("attribute") else {
                    let remedy = "write `attribute` with the attribute that holds the manager";
                    self.error("JML-P017", &member.value, "whose manager?", remedy);
                    return None;
                };
                let attribute = self.id_of(name);
                let level = fields.get("level").map_or(Some(1), |t| self.count(t));
                Some(Approvers::Manager { attribute: attribute?, level: level? })
            }
            "manager" => {
                let attribute = self.id_of::<AttributeName>(&member.value)?;
                Some(Approvers::Manager { attribute, level: 1 })
            }
            "named" => {
                let ids = self.ids::<IdentityId>(Some(&member.value));
                Some(Approvers::Named(ids.into_iter().collect()))
            }
            _ => {
                self.expected(tree, APPROVERS);
                None
            }
        }
    }

    pub(super) fn delegation(&mut self, tree: &Tree) -> DelegationRule {
        let fields = self.fields(tree, &keys::DELEGATION);
        let max_days = fields.get("max_days").and_then(|t| self.count(t));
        max_days.map_or_else(DelegationRule::default, |max_days| DelegationRule { max_days })
    }
}
