//! Analysis of conditions: whether one can hold for anybody at all. Sound, and bounded in cost.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::{Comparison, Condition};
use crate::attribute::{AttributeType, AttributeValue};
use crate::id::AttributeName;
use crate::policy::Policy;

/// Alternatives after which the analysis gives up. A rule that people can read has a handful.
const CAP: usize = 512;

/// What an analysis can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "proven, or not proven")]
pub enum Satisfiable {
    /// The condition holds for nobody, whatever their attributes are.
    Never,
    /// Nothing was found that rules it out. Somebody may meet it.
    Perhaps,
}

/// One comparison, wanted true or wanted false.
type Literal<'a> = (&'a Condition, bool);

impl Condition {
    /// Whether the condition can hold. [`Satisfiable::Never`] is a proof; [`Satisfiable::Perhaps`] is not.
    #[must_use]
    pub fn satisfiable(&self, policy: &Policy) -> Satisfiable {
        match alternatives(self, true) {
            Some(list) if list.iter().all(|way| contradicts(way, policy)) => Satisfiable::Never,
            _ => Satisfiable::Perhaps,
        }
    }
}

/// The condition as a list of ways to meet it; `None` when there are too many.
fn alternatives(condition: &Condition, wanted: bool) -> Option<Vec<Vec<Literal<'_>>>> {
    match (condition, wanted) {
        (Condition::Always, true) => Some(vec![Vec::new()]),
        (Condition::Always, false) => Some(Vec::new()),
        (Condition::Not(part), _) => alternatives(part, !wanted),
        (Condition::Any(parts), true) | (Condition::All(parts), false) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend(alternatives(part, wanted)?);
                if out.len() > CAP {
                    return None;
                }
            }
            Some(out)
        }
        (Condition::All(parts), true) | (Condition::Any(parts), false) => {
            let mut out: Vec<Vec<Literal<'_>>> = vec![Vec::new()];
            for part in parts {
                let next = alternatives(part, wanted)?;
                if out.len() * next.len() > CAP {
                    return None;
                }
                out = out
                    .iter()
                    .flat_map(|left| next.iter().map(|right| [left.as_slice(), right].concat()))
                    .collect();
            }
            Some(out)
        }
        (atom, _) => Some(vec![vec![(atom, wanted)]]),
    }
}

/// What one way to meet a condition asks of one attribute.
#[derive(Default)]
struct Demand<'a> {
    allowed: Option<BTreeSet<&'a AttributeValue>>,
    forbidden: BTreeSet<&'a AttributeValue>,
    lowest: Option<(&'a AttributeValue, bool)>,
    highest: Option<(&'a AttributeValue, bool)>,
    prefixes: Vec<&'a SmolStr>,
    absent: bool,
    compared: bool,
}

fn contradicts(way: &[Literal<'_>], policy: &Policy) -> bool {
    let mut demands: BTreeMap<&AttributeName, Demand<'_>> = BTreeMap::new();
    for (index, (atom, wanted)) in way.iter().enumerate() {
        let opposite = |(other, want): &Literal<'_>| other == atom && want != wanted;
        if way.iter().skip(index + 1).any(opposite) {
            return true;
        }
        let Some(name) = atom.attribute() else { continue };
        let demand = demands.entry(name).or_default();
        if let Condition::Present { .. } = atom {
            demand.absent |= !wanted;
            continue;
        }
        // A comparison is true, or its negation is, only where there is a value.
        demand.compared = true;
        let is_set = policy.attributes.get(name).is_some_and(|d| d.ty == AttributeType::TextSet);
        if !is_set {
            demand.add(atom, *wanted);
        }
    }
    demands.values().any(Demand::is_impossible)
}

impl<'a> Demand<'a> {
    fn add(&mut self, atom: &'a Condition, wanted: bool) {
        match (atom, wanted) {
            (Condition::Compare { op, value, .. }, _) => self.compare(*op, value, wanted),
            (Condition::In { values, .. }, true) => self.allow(values.iter().collect()),
            (Condition::In { values, .. }, false) => self.forbidden.extend(values),
            (Condition::StartsWith { prefix, .. }, true) => self.prefixes.push(prefix),
            _ => {}
        }
    }

    fn allow(&mut self, values: BTreeSet<&'a AttributeValue>) {
        self.allowed = Some(match self.allowed.take() {
            None => values,
            Some(before) => before.intersection(&values).copied().collect(),
        });
    }

    fn compare(&mut self, op: Comparison, value: &'a AttributeValue, wanted: bool) {
        use Comparison as C;
        let op = match (op, wanted) {
            (op, true) => op,
            (C::Eq, false) => C::Ne,
            (C::Ne, false) => C::Eq,
            (C::Lt, false) => C::Ge,
            (C::Le, false) => C::Gt,
            (C::Gt, false) => C::Le,
            (C::Ge, false) => C::Lt,
        };
        // The flag says whether the bound itself is allowed; a bound that is not is the tighter one.
        let lowest = |new: (&'a AttributeValue, bool), old: Option<(&'a AttributeValue, bool)>| {
            old.map_or(new, |old| if (new.0, !new.1) > (old.0, !old.1) { new } else { old })
        };
        let highest = |new: (&'a AttributeValue, bool), old: Option<(&'a AttributeValue, bool)>| {
            old.map_or(new, |old| if new < old { new } else { old })
        };
        match op {
            C::Eq => self.allow(BTreeSet::from([value])),
            C::Ne => {
                self.forbidden.insert(value);
            }
            C::Ge => self.lowest = Some(lowest((value, true), self.lowest)),
            C::Gt => self.lowest = Some(lowest((value, false), self.lowest)),
            C::Le => self.highest = Some(highest((value, true), self.highest)),
            C::Lt => self.highest = Some(highest((value, false), self.highest)),
        }
    }

    fn admits(&self, value: &AttributeValue) -> bool {
        let low = self.lowest.is_none_or(|(low, even)| value > low || (even && value == low));
        let high = self.highest.is_none_or(|(high, even)| value < high || (even && value == high));
        let text = value.as_text().unwrap_or("");
        let begins = self.prefixes.iter().all(|prefix| text.starts_with(prefix.as_str()));
        low && high && begins && !self.forbidden.contains(value)
    }

    fn is_impossible(&self) -> bool {
        if self.absent && self.compared {
            return true;
        }
        if let Some(allowed) = &self.allowed {
            return !allowed.iter().any(|value| self.admits(value));
        }
        let crossed = match (self.lowest, self.highest) {
            (Some((low, a)), Some((high, b))) => low > high || (low == high && !(a && b)),
            _ => false,
        };
        let torn = self.prefixes.iter().any(|one| {
            self.prefixes
                .iter()
                .any(|other| !one.starts_with(other.as_str()) && !other.starts_with(one.as_str()))
        });
        let both =
            [true, false].iter().all(|b| self.forbidden.contains(&AttributeValue::Boolean(*b)));
        crossed || torn || both
    }
}
