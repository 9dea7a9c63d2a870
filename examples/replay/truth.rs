//! The ground truth: what the file itself says that everybody holds, computed from its lines alone and
//! without any type of jml.

use std::collections::{BTreeMap, BTreeSet};

use crate::file::{ChangeSet, Kind, Op};

/// Who holds what, by the file.
#[derive(Default)]
pub(crate) struct Truth {
    direct: BTreeMap<String, BTreeSet<String>>,
    grants: BTreeMap<String, BTreeSet<String>>,
    includes: BTreeMap<String, BTreeSet<String>>,
    holders: BTreeMap<String, BTreeSet<String>>,
    effective: BTreeMap<String, BTreeSet<String>>,
    ever: BTreeSet<String>,
}

/// What one change set did to people.
#[derive(Default)]
pub(crate) struct Effect {
    /// What each affected person holds before and after; people whose access did not change are not in it.
    pub(crate) changed: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
    pub(crate) joined: bool,
    pub(crate) left: bool,
    pub(crate) rehired: bool,
    pub(crate) moved: bool,
    pub(crate) template_edits: usize,
}

impl Truth {
    /// Takes a change set in and says what it did.
    pub(crate) fn apply(&mut self, set: &ChangeSet) -> Effect {
        let mut effect = Effect::default();
        let subject = &set.subject;
        let was_in = self.direct.get(subject).is_some_and(|held| !held.is_empty());
        let mut affected = BTreeSet::new();
        let (mut added, mut removed) = (false, false);
        for event in &set.events {
            let table = match event.kind {
                Kind::Holds => &mut self.direct,
                Kind::TemplateGrant => &mut self.grants,
                Kind::Includes => &mut self.includes,
                _ => continue,
            };
            let facts = table.entry(subject.clone()).or_default();
            match event.op {
                Op::Add => facts.insert(event.object.clone()),
                Op::Remove => facts.remove(&event.object),
            };
            if event.kind == Kind::Holds {
                added |= event.op == Op::Add;
                removed |= event.op == Op::Remove;
                affected.insert(subject.clone());
                for token in tokens(&event.object) {
                    let list = self.holders.entry(token.to_owned()).or_default();
                    // Stays listed after a removal: the list only says whom to look at.
                    list.insert(subject.clone());
                }
            } else {
                effect.template_edits += 1;
            }
        }
        if effect.template_edits > 0 {
            for below in self.included(subject) {
                affected.extend(self.holders.get(&below).into_iter().flatten().cloned());
            }
            // What is no longer included was included a moment ago.
            for event in set.events.iter().filter(|e| e.kind == Kind::Includes) {
                for below in self.included(&event.object) {
                    affected.extend(self.holders.get(&below).into_iter().flatten().cloned());
                }
            }
        }
        for person in affected {
            let after = self.compute(&person);
            let before = self.effective.remove(&person).unwrap_or_default();
            if !after.is_empty() {
                self.effective.insert(person.clone(), after.clone());
            }
            if before != after {
                effect.changed.insert(person, (before, after));
            }
        }
        let is_in = self.direct.get(subject).is_some_and(|held| !held.is_empty());
        if added || removed {
            effect.left = was_in && !is_in;
            effect.moved = was_in && is_in && added && removed;
            if is_in && !was_in {
                let new = self.ever.insert(subject.clone());
                effect.joined = new;
                effect.rehired = !new;
            }
        }
        effect
    }

    /// What a person holds: directly, and through every template that they are a member of.
    fn compute(&self, person: &str) -> BTreeSet<String> {
        let Some(direct) = self.direct.get(person) else { return BTreeSet::new() };
        let mut all = direct.clone();
        let mut todo: Vec<String> =
            direct.iter().flat_map(|object| tokens(object)).map(str::to_owned).collect();
        let mut seen = BTreeSet::new();
        while let Some(template) = todo.pop() {
            if !seen.insert(template.clone()) {
                continue;
            }
            all.extend(self.grants.get(&template).into_iter().flatten().cloned());
            let above = self.includes.iter().filter(|(_, below)| below.contains(&template));
            todo.extend(above.map(|(above, _)| above.clone()));
        }
        all
    }

    /// The template and everything whose members it includes.
    fn included(&self, template: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![template.to_owned()];
        while let Some(at) = todo.pop() {
            if seen.insert(at.clone()) {
                todo.extend(self.includes.get(&at).into_iter().flatten().cloned());
            }
        }
        seen
    }

    /// Who holds what now. People who hold nothing are not in it.
    pub(crate) const fn effective(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.effective
    }

    /// How many people ever held something.
    pub(crate) fn people(&self) -> usize {
        self.ever.len()
    }
}

/// What a membership such as `team:infra:lead` makes somebody a member of: itself, and everything in
/// front of one of its colons.
pub(crate) fn tokens(object: &str) -> impl Iterator<Item = &str> {
    let cuts = object.match_indices(':').filter_map(|(at, _)| object.get(..at));
    cuts.filter(|token| !token.is_empty()).chain(std::iter::once(object))
}
