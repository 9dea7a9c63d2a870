//! The rules that a policy must keep, wherever it comes from.

use std::collections::BTreeSet;

use crate::attribute::AttributeType;
use crate::builtin::builtin_type;
use crate::entitlement::{EndPolicy, EntitlementRef};
use crate::id::{AttributeName, GateRuleId, OrgUnitId, ProviderId, RoleId};
use crate::nearest::nearest;
use crate::policy::{AccountRule, Approvers, Correlation, Policy, StageRule};
use crate::rule::{Condition, Satisfiable};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyProblem {
    /// A stable code, such as `JML-P008`.
    pub code: &'static str,
    /// Where in the policy, as keys of the file format; list items by their number.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Policy {
    /// Everything that is wrong with the policy; nothing when it can be used.
    #[must_use]
    pub fn check(&self) -> Vec<PolicyProblem> {
        let mut check = Check { policy: self, out: Vec::new() };
        check.org();
        check.entitlements();
        check.roles();
        check.rules();
        check.sod();
        check.accounts();
        check.gates();
        check.rest();
        check.out
    }
}

struct Check<'a> {
    policy: &'a Policy,
    out: Vec<PolicyProblem>,
}

fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(name, known)
        .map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

impl Check<'_> {
    fn add(
        &mut self,
        code: &'static str,
        path: &[&str],
        message: String,
        remedy: impl Into<String>,
    ) {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        self.out.push(PolicyProblem { code, path, message, remedy: remedy.into() });
    }

    fn attribute(&mut self, path: &[&str], name: &AttributeName) {
        let policy = self.policy;
        if policy.attributes.get(name).is_none() && builtin_type(name.as_str()).is_none() {
            let known = policy.attributes.iter().map(|(name, _)| name.as_str());
            let remedy = suggest(name.as_str(), known, "declare it under `attributes`");
            self.add("JML-P006", path, format!("attribute `{name}` is not declared"), remedy);
        }
    }

    fn entitlement(&mut self, path: &[&str], entitlement: &EntitlementRef) {
        let policy = self.policy;
        if !policy.entitlements.contains_key(entitlement) {
            let known: Vec<String> = policy.entitlements.keys().map(ToString::to_string).collect();
            let text = entitlement.to_string();
            let remedy = suggest(
                &text,
                known.iter().map(String::as_str),
                "add it to the catalogue under `entitlements`",
            );
            self.add("JML-P010", path, format!("entitlement `{text}` is unknown"), remedy);
        }
    }

    fn role(&mut self, path: &[&str], role: &RoleId) {
        let policy = self.policy;
        if !policy.roles.contains_key(role) {
            let known = policy.roles.keys().map(RoleId::as_str);
            let remedy = suggest(role.as_str(), known, "define it under `roles`");
            self.add("JML-P008", path, format!("role `{role}` is unknown"), remedy);
        }
    }

    fn org(&mut self) {
        let policy = self.policy;
        for (unit, parent) in policy.org.iter() {
            let Some(parent) = parent else { continue };
            let path = ["org", unit.as_str()];
            if !policy.org.contains(parent) {
                let known = policy.org.iter().map(|(unit, _)| unit.as_str());
                let remedy = suggest(parent.as_str(), known, "define it under `org`");
                self.add("JML-P011", &path, format!("unit `{parent}` is unknown"), remedy);
            } else if policy.org.is_within(parent, unit) {
                let message = format!("unit `{unit}` lies below itself");
                self.add("JML-P012", &path, message, "give one of the units another parent");
            }
        }
    }

    fn entitlements(&mut self) {
        for (at, entry) in &self.policy.entitlements {
            let name = at.to_string();
            if entry.sensitivity.is_critical() && entry.on_move != EndPolicy::Immediate {
                let message =
                    format!("`{name}` is {}, and never overlaps", entry.sensitivity.as_str());
                let path = ["entitlements", &name, "on_move"];
                self.add("JML-P015", &path, message, "write `on_move: immediate`");
            }
        }
    }

    fn roles(&mut self) {
        let policy = self.policy;
        for (id, role) in &policy.roles {
            for (index, parent) in role.inherits.iter().enumerate() {
                let index = index.to_string();
                self.role(&["roles", id.as_str(), "inherits", &index], parent);
            }
            if let Some(cycle) = self.cycle(id) {
                let path = ["roles", id.as_str(), "inherits"];
                let message = format!("roles inherit each other: {cycle}");
                self.add("JML-P009", &path, message, "take one of the roles out of `inherits`");
            }
            for (index, grant) in role.grants.iter().enumerate() {
                let index = index.to_string();
                let path = ["roles", id.as_str(), "grants", &index];
                self.entitlement(&path, &grant.entitlement);
                let critical = policy.sensitivity(&grant.entitlement).is_critical();
                if critical && grant.days_before > 0 {
                    let message =
                        format!("`{}` must not begin before the first day", grant.entitlement);
                    self.add("JML-P016", &path, message, "take `days_before` out");
                }
            }
        }
    }

    /// The way from a role back to itself, for the first role of each cycle only.
    fn cycle(&self, start: &RoleId) -> Option<String> {
        let mut path = vec![start];
        let mut todo: Vec<(usize, &RoleId)> = self.parents(start, 1);
        let mut seen = BTreeSet::new();
        while let Some((depth, role)) = todo.pop() {
            path.truncate(depth);
            path.push(role);
            if role == start {
                let smallest = path.iter().min() == Some(&start);
                let names: Vec<&str> = path.iter().map(|role| role.as_str()).collect();
                return smallest.then(|| names.join(" -> "));
            }
            if seen.insert(role) {
                todo.extend(self.parents(role, depth + 1));
            }
        }
        None
    }

    fn parents(&self, role: &RoleId, depth: usize) -> Vec<(usize, &RoleId)> {
        let template = self.policy.roles.get(role);
        template.into_iter().flat_map(|t| &t.inherits).map(|parent| (depth, parent)).collect()
    }

    fn rules(&mut self) {
        let policy = self.policy;
        for (id, rule) in &policy.rules {
            let path = vec!["rules".to_owned(), id.to_string(), "when".to_owned()];
            self.condition(&path, &rule.when);
            if rule.when.satisfiable(policy) == Satisfiable::Never {
                let message = format!("rule `{id}` can hold for nobody");
                let remedy = "look for parts of `when` that exclude each other";
                self.add("JML-P019", &["rules", id.as_str(), "when"], message, remedy);
            }
            for (index, role) in rule.roles.iter().enumerate() {
                self.role(&["rules", id.as_str(), "roles", &index.to_string()], role);
            }
            for (index, grant) in rule.grants.iter().enumerate() {
                self.entitlement(&["rules", id.as_str(), "grants", &index.to_string()], grant);
            }
        }
    }

    fn condition(&mut self, path: &[String], condition: &Condition) {
        let at: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some(name) = condition.attribute() {
            self.attribute(&at, name);
        }
        let policy = self.policy;
        let type_of = |name: &AttributeName| {
            policy.attributes.get(name).map(|def| def.ty).or_else(|| builtin_type(name.as_str()))
        };
        let further = |name: &str, index: usize| {
            let mut path = path.to_vec();
            path.extend([name.to_owned(), index.to_string()]);
            path
        };
        match condition {
            Condition::All(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    self.condition(&further("all", index), part);
                }
            }
            Condition::Any(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    self.condition(&further("any", index), part);
                }
            }
            Condition::Not(part) => {
                let mut path = path.to_vec();
                path.push("not".to_owned());
                self.condition(&path, part);
            }
            Condition::Compare { attribute, value, .. } => {
                let (ty, found) = (type_of(attribute), value.attribute_type());
                if ty.is_some_and(|ty| ty != found) {
                    let message = format!("`{attribute}` is compared with a value of type {found}");
                    self.add("JML-P007", &at, message, "compare values of the declared type");
                }
            }
            Condition::In { attribute, values } => {
                let ty = type_of(attribute).map(|ty| match ty {
                    AttributeType::TextSet => AttributeType::Text,
                    other => other,
                });
                if values.iter().any(|value| ty.is_some_and(|ty| ty != value.attribute_type())) {
                    let message = format!("`{attribute}` is compared with values of another type");
                    self.add("JML-P007", &at, message, "compare values of the declared type");
                }
            }
            Condition::Within { unit, .. } if !policy.org.contains(unit) => {
                let known = policy.org.iter().map(|(unit, _): (&OrgUnitId, _)| unit.as_str());
                let remedy = suggest(unit.as_str(), known, "define it under `org`");
                self.add("JML-P011", &at, format!("unit `{unit}` is unknown"), remedy);
            }
            _ => {}
        }
    }

    fn sod(&mut self) {
        let policy = self.policy;
        for (id, rule) in &policy.sod {
            let path = ["sod", id.as_str(), "duties"];
            let empty = rule.duties.iter().any(BTreeSet::is_empty);
            if rule.duties.len() < 2 || empty || rule.max == 0 || rule.max >= rule.duties.len() {
                let message = format!("rule `{id}` separates nothing");
                let remedy = "name at least two duties, none of them empty, and a smaller `max`";
                self.add("JML-P014", &path, message, remedy);
            }
            for (index, duty) in rule.duties.iter().enumerate() {
                for entitlement in duty {
                    let index = index.to_string();
                    self.entitlement(&["sod", id.as_str(), "duties", &index], entitlement);
                }
            }
        }
    }

    fn accounts(&mut self) {
        let policy = self.policy;
        for (id, rule) in &policy.accounts {
            let when = vec!["accounts".to_owned(), id.to_string(), "when".to_owned()];
            self.condition(&when, &rule.when);
            self.attribute(&["accounts", id.as_str(), "user_name"], &rule.user_name);
            for (name, from) in &rule.attributes {
                self.attribute(&["accounts", id.as_str(), "attributes", name.as_str()], from);
            }
            if let Some(correlation) = &rule.correlate {
                self.correlation(id, rule, correlation);
            }
        }
    }

    fn correlation(&mut self, id: &ProviderId, rule: &AccountRule, correlation: &Correlation) {
        let path = |rest: &'static str| vec!["accounts", id.as_str(), "correlate", rest];
        let Correlation { strong, weights, link, ask } = correlation;
        let names = strong.iter().map(|name| ("strong", name));
        for (list, name) in names.chain(weights.keys().map(|name| ("weights", name))) {
            if rule.source_of(name).is_none() {
                let text = format!("account attribute `{name}` is not filled from anything");
                let remedy = "name it under `attributes` of the account, or write `user_name`";
                let mut path = path(list);
                path.push(name.as_str());
                self.add("JML-P019", &path, text, remedy);
            }
        }
        let most: u32 = weights.values().map(|weight| u32::from(*weight)).sum();
        if !weights.is_empty() && (link < ask || *ask == 0 || most < u32::from(*ask)) {
            let text =
                format!("`ask` {ask} and `link` {link} do not fit weights of {most} together");
            let remedy = "let `ask` be above 0, at most `link`, and at most all weights together";
            self.add("JML-P019", &path("weights"), text, remedy);
        }
    }

    fn gates(&mut self) {
        let policy = self.policy;
        for (id, rule) in &policy.gates {
            let path = ["gates", id.as_str()];
            if rule.sensitivity.is_none() && rule.entitlements.is_empty() {
                let remedy = "name a `sensitivity` or `entitlements`";
                self.add("JML-P017", &path, format!("gate `{id}` covers nothing"), remedy);
            }
            for (index, entitlement) in rule.entitlements.iter().enumerate() {
                let index = index.to_string();
                self.entitlement(&["gates", id.as_str(), "entitlements", &index], entitlement);
            }
            if rule.stages.is_empty() {
                let text = format!("gate `{id}` has no stage");
                self.add("JML-P017", &path, text, "say who approves");
            }
            for (index, stage) in rule.stages.iter().enumerate() {
                self.stage(id, index, stage);
            }
        }
    }

    fn stage(&mut self, id: &GateRuleId, index: usize, stage: &StageRule) {
        // One stage may be written without a list; the path leads as far as the file goes.
        let (gate, index) = (id.as_str(), index.to_string());
        let index = index.as_str();
        if stage.quorum == 0 {
            let path = ["gates", gate, "stages", index, "quorum"];
            self.add("JML-P017", &path, "the quorum is zero".to_owned(), "write at least 1");
        }
        let sets = [
            (["gates", gate, "stages", index, "approvers"], Some(&stage.approvers)),
            (["gates", gate, "stages", index, "escalate"], stage.escalate.as_ref().map(|e| &e.to)),
        ];
        for (path, who) in sets {
            match who {
                Some(Approvers::Manager { attribute, level }) => {
                    self.attribute(&path, attribute);
                    if *level == 0 {
                        let text = "level 0 is the person".to_owned();
                        self.add("JML-P017", &path, text, "write 1 for the manager");
                    }
                }
                Some(Approvers::Named(set)) if set.is_empty() => {
                    let text = format!("gate `{gate}` names nobody");
                    self.add("JML-P017", &path, text, "name somebody");
                }
                _ => {}
            }
        }
        if let (Approvers::Named(set), None) = (&stage.approvers, &stage.escalate)
            && !set.is_empty()
            && set.len() < usize::from(stage.quorum)
        {
            let message = format!("gate `{gate}` names fewer people than must agree");
            let path = ["gates", gate, "stages", index, "approvers"];
            self.add("JML-P017", &path, message, "name more people, or lower the quorum");
        }
    }

    fn rest(&mut self) {
        let policy = self.policy;
        if let Some(name) = &policy.leaver.manager {
            self.attribute(&["leaver", "manager"], name);
        }
        for entitlement in policy.modes.entitlements.keys() {
            let name = entitlement.to_string();
            self.entitlement(&["modes", "entitlements", &name], entitlement);
        }
        for (index, entitlement) in policy.protected.last_holder.iter().enumerate() {
            self.entitlement(&["protected", "last_holder", &index.to_string()], entitlement);
        }
    }
}
