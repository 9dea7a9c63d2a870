//! Conditions: from the tree to typed comparisons.

use std::collections::BTreeSet;

use super::read::Reader;
use super::tree::{Kind, Member, Tree};
use crate::attribute::{AttributeType, AttributeValue};
use crate::builtin::builtin_type;
use crate::id::{AttributeName, OrgUnitId};
use crate::rule::{Comparison, Condition};

const FORMS: [&str; 13] = [
    "all",
    "any",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "in",
    "starts_with",
    "present",
    "within",
];

impl Reader {
    /// A condition; `None` when it is wrong, and then the errors say why.
    pub(super) fn condition(&mut self, tree: &Tree) -> Option<Condition> {
        let wanted = "write `always`, or one of all, any, not, eq, ne, lt, le, gt, ge, in, \
                      starts_with, present, within";
        match &tree.kind {
            Kind::Text(text) if text == "always" => Some(Condition::Always),
            Kind::Map(members) => match members.as_slice() {
                [one] => self.form(one),
                _ => {
                    self.error("JML-P003", tree, "a condition is a map with one key", wanted);
                    None
                }
            },
            _ => {
                let found = format!("a condition was expected, {} was found", tree.name());
                self.error("JML-P003", tree, found, wanted);
                None
            }
        }
    }

    fn form(&mut self, member: &Member) -> Option<Condition> {
        let value = &member.value;
        match member.key.as_str() {
            "all" => self.parts(value).map(Condition::All),
            "any" => {
                let parts = self.parts(value)?;
                if parts.is_empty() {
                    let remedy = "name at least one part; `any` of nothing never holds";
                    self.error("JML-P003", value, "`any` has no part", remedy);
                    return None;
                }
                Some(Condition::Any(parts))
            }
            "not" => self.condition(value).map(|part| Condition::Not(Box::new(part))),
            "present" => {
                let text = self.text(value)?;
                let (attribute, _) = self.attribute(value, &text)?;
                Some(Condition::Present { attribute })
            }
            "eq" => self.compare(value, Comparison::Eq),
            "ne" => self.compare(value, Comparison::Ne),
            "lt" => self.compare(value, Comparison::Lt),
            "le" => self.compare(value, Comparison::Le),
            "gt" => self.compare(value, Comparison::Gt),
            "ge" => self.compare(value, Comparison::Ge),
            "in" => {
                let (attribute, ty, list) = self.pair(value)?;
                let item_type = if ty == AttributeType::TextSet { AttributeType::Text } else { ty };
                let mut values = BTreeSet::new();
                for item in self.list(&list) {
                    values.insert(self.value(&item, item_type)?);
                }
                Some(Condition::In { attribute, values })
            }
            "starts_with" => {
                let (attribute, ty, text) = self.pair(value)?;
                if ty != AttributeType::Text {
                    let what =
                        format!("`{attribute}` is of type {ty}, and only texts begin somehow");
                    self.error("JML-P007", &text, what, "compare with `eq` or `in`");
                    return None;
                }
                let prefix = self.text(&text)?.into();
                Some(Condition::StartsWith { attribute, prefix })
            }
            "within" => {
                let (attribute, _, unit) = self.pair(value)?;
                let text = self.text(&unit)?;
                let unit: OrgUnitId = self.id(&unit, &text)?;
                Some(Condition::Within { attribute, unit })
            }
            other => {
                let what = format!("`{other}` is no condition");
                let remedy = super::nearest(other, FORMS).map_or_else(
                    || format!("write one of {}", FORMS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.error_at("JML-P002", member.at, what, remedy);
                None
            }
        }
    }

    fn parts(&mut self, tree: &Tree) -> Option<Vec<Condition>> {
        let Kind::List(items) = &tree.kind else {
            let what = format!("a list of conditions was expected, {} was found", tree.name());
            self.error("JML-P003", tree, what, "write the parts as a list");
            return None;
        };
        // Every part is read, so that every error is found.
        let parts: Vec<Option<Condition>> = items.iter().map(|item| self.condition(item)).collect();
        parts.into_iter().collect()
    }

    /// The one member of a map like `{department: Sales}`: attribute, its type, and the value.
    fn pair(&mut self, tree: &Tree) -> Option<(AttributeName, AttributeType, Tree)> {
        let Kind::Map(members) = &tree.kind else {
            let what = format!("an attribute and a value were expected, {} was found", tree.name());
            self.error("JML-P003", tree, what, "write `{ attribute: value }`");
            return None;
        };
        let [member] = members.as_slice() else {
            self.error("JML-P003", tree, "one attribute was expected", "use `all` for several");
            return None;
        };
        let (attribute, ty) = self.attribute_at(member.at, &member.key)?;
        Some((attribute, ty, member.value.clone()))
    }

    fn compare(&mut self, tree: &Tree, op: Comparison) -> Option<Condition> {
        let (attribute, ty, value) = self.pair(tree)?;
        let ordered = matches!(ty, AttributeType::Integer | AttributeType::Date);
        if !ordered && !matches!(op, Comparison::Eq | Comparison::Ne) {
            let what = format!("`{attribute}` is of type {ty}, which has no order");
            self.error("JML-P007", &value, what, "compare with `eq`, `ne` or `in`");
            return None;
        }
        let value = self.value(&value, ty)?;
        Some(Condition::Compare { attribute, op, value })
    }

    fn value(&mut self, tree: &Tree, ty: AttributeType) -> Option<AttributeValue> {
        let text = match (&tree.kind, ty) {
            (Kind::Int(number), AttributeType::Integer) => {
                return Some(AttributeValue::Integer(*number));
            }
            (Kind::Bool(truth), AttributeType::Boolean) => {
                return Some(AttributeValue::Boolean(*truth));
            }
            (Kind::Text(text), AttributeType::Text | AttributeType::Date) => text.clone(),
            (Kind::List(_), AttributeType::TextSet) => {
                let items = self.texts(tree);
                return Some(AttributeValue::TextSet(items.into_iter().map(Into::into).collect()));
            }
            _ => {
                let what = format!("a value of type {ty} was expected, {} was found", tree.name());
                let remedy = match ty {
                    AttributeType::Text => "write the text in quotes",
                    AttributeType::Integer => "write a whole number without quotes",
                    AttributeType::Boolean => "write true or false",
                    AttributeType::Date => "write a date like 2026-01-31",
                    AttributeType::TextSet => "write a list of texts",
                };
                self.error("JML-P007", tree, what, remedy);
                return None;
            }
        };
        match AttributeValue::parse(ty, &text) {
            Ok(value) => Some(value),
            Err(error) => {
                let remedy = "write a date that exists, like 2026-01-31";
                self.error("JML-P007", tree, error.to_string(), remedy);
                None
            }
        }
    }

    fn attribute(&mut self, tree: &Tree, name: &str) -> Option<(AttributeName, AttributeType)> {
        self.attribute_at(tree.at, name)
    }

    fn attribute_at(
        &mut self,
        at: super::Pos,
        name: &str,
    ) -> Option<(AttributeName, AttributeType)> {
        let id = AttributeName::new(name).ok()?;
        let declared = self.schema.get(&id).map(|def| def.ty);
        match declared.or_else(|| builtin_type(name)) {
            Some(ty) => Some((id, ty)),
            None => {
                let (what, remedy) = self.unknown_attribute(name);
                self.error_at("JML-P006", at, what, remedy);
                None
            }
        }
    }
}
