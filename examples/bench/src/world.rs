//! A made-up company: the same people for the same numbers, each computed from their number alone.

use jml_diff::population::flat::numbering;

/// Entitlements that there are.
pub(crate) const ENTITLEMENTS: u32 = 20_000;
/// Templates by kind: how many there are, and their usual size.
const BASE: Kind = Kind { first: 0, count: 1, size: 16 };
const DEPARTMENTS: Kind = Kind { first: 1, count: 60, size: 22 };
const LOCATIONS: Kind = Kind { first: 61, count: 40, size: 9 };
const JOBS: Kind = Kind { first: 101, count: 1_500, size: 24 };
const PROJECTS: Kind = Kind { first: 1_601, count: 400, size: 10 };
/// Rules over attributes, matched already.
const RULES: Kind = Kind { first: 2_001, count: 300, size: 9 };
/// The templates of one sort.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) first: u32,
    count: u32,
    size: u32,
}

/// Whose edits are measured.
pub(crate) const EDITED: [(&str, Kind); 4] =
    [("job", JOBS), ("project", PROJECTS), ("department", DEPARTMENTS), ("base", BASE)];

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    /// Seeds one after the other must not give one sequence a step further each: the seed is mixed first.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Self(seed).next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * end as u64) >> 32) as u32
    }

    /// Whether one of so many in a thousand.
    pub(crate) const fn permille(&mut self, share: u32) -> bool {
        self.below(1_000) < share
    }
}

/// The templates, and how people are made.
pub(crate) struct World {
    pub(crate) templates: Vec<Vec<u32>>,
    /// How many of the first people have each template.
    people: Vec<u64>,
    /// Of each entitlement: its number in our rows, and of each number: the entitlement.
    numbers: [Vec<u32>; 2],
}

/// People by whom it is estimated how many have a template.
const SAMPLE: u32 = 20_000;

/// One person.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) templates: Vec<u32>,
    /// Approved by request.
    pub(crate) own: Vec<u32>,
    /// What a target says, ascending.
    pub(crate) held: Vec<u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut templates = Vec::new();
        // 2,301 in all.
        for kind in [BASE, DEPARTMENTS, LOCATIONS, JOBS, PROJECTS, RULES] {
            for number in kind.first..kind.first + kind.count {
                let mut dice = Dice::new(u64::from(number) | 1 << 40);
                // Most are small, a few are large.
                let size = match dice.below(100) {
                    _ if kind.count == 1 => kind.size,
                    0..60 => kind.size / 2 + dice.below(kind.size / 2),
                    60..98 => kind.size + dice.below(kind.size),
                    _ => kind.size * 3 + dice.below(kind.size * 11),
                };
                let mut row: Vec<u32> = (0..size).map(|_| dice.below(ENTITLEMENTS)).collect();
                row.sort_unstable();
                row.dedup();
                templates.push(row);
            }
        }
        let people = vec![0; templates.len()];
        let mut world = Self { templates, people, numbers: Default::default() };
        let mut person = Person::default();
        for number in 0..SAMPLE {
            world.person(number, &mut person);
            for template in &person.templates {
                if let Some(people) = world.people.get_mut(*template as usize) {
                    *people += 1;
                }
            }
        }
        let numbers = world.numbering();
        let mut back = vec![0; numbers.len()];
        for (number, id) in numbers.iter().zip(0..) {
            if let Some(back) = back.get_mut(*number as usize) {
                *back = id;
            }
        }
        world.numbers = [numbers, back];
        world
    }

    /// The same company with each entitlement's own number in our rows.
    pub(crate) fn unnumbered() -> Self {
        let mut world = Self::new();
        let own = || (0..ENTITLEMENTS).collect();
        world.numbers = [own(), own()];
        world
    }

    /// Numbers for our rows. Nobody else goes by them.
    pub(crate) fn numbering(&self) -> Vec<u32> {
        let rows = self.templates.iter().map(Vec::as_slice).zip(self.people.iter().copied());
        numbering(ENTITLEMENTS, rows)
    }

    /// The number of an entitlement.
    pub(crate) fn number(&self, id: u32) -> u32 {
        self.numbers[0].get(id as usize).copied().unwrap_or_default()
    }

    /// The entitlement that has a number.
    pub(crate) fn id(&self, number: u32) -> u32 {
        self.numbers[1].get(number as usize).copied().unwrap_or_default()
    }

    /// A person by number. 8 % moved since the target was looked at; a fifth have access of their own.
    pub(crate) fn person(&self, number: u32, person: &mut Person) {
        let mut dice = Dice::new(u64::from(number) | 1 << 41);
        let Person { templates, own, held } = person;
        templates.clear();
        own.clear();
        held.clear();
        templates.push(BASE.first);
        for kind in [DEPARTMENTS, LOCATIONS, JOBS] {
            templates.push(kind.first + dice.below(kind.count));
        }
        for kind in [PROJECTS, RULES] {
            let many = [0, 1, 1, 1, 2, 2, 2, 1, 1, 2].get(dice.below(10) as usize).copied();
            for _ in 0..many.unwrap_or(0) {
                templates.push(kind.first + dice.below(kind.count));
            }
        }
        templates.sort_unstable();
        templates.dedup();
        if dice.permille(200) {
            own.extend((0..1 + dice.below(5)).map(|_| dice.below(ENTITLEMENTS)));
            own.sort_unstable();
            own.dedup();
        }
        let mut before = templates.clone();
        if dice.permille(80) {
            for kind in [DEPARTMENTS, JOBS] {
                let range = kind.first..kind.first + kind.count;
                for template in before.iter_mut().filter(|it| range.contains(it)) {
                    *template = kind.first + dice.below(kind.count);
                }
            }
        }
        for template in &before {
            held.extend_from_slice(
                self.templates.get(*template as usize).map_or(&[], Vec::as_slice),
            );
        }
        held.extend_from_slice(own);
        held.sort_unstable();
        held.dedup();
        let (mut extra, mut more) = (0, Vec::new());
        held.retain(|_| {
            extra += u32::from(dice.permille(30));
            !dice.permille(30)
        });
        more.extend((0..extra).map(|_| dice.below(ENTITLEMENTS)));
        held.extend(more);
        held.sort_unstable();
        held.dedup();
    }

    /// The name of an entitlement, as a target and a policy would write it.
    pub(crate) fn name(entitlement: u32) -> String {
        format!("target-{}/group/access-{entitlement:05}", Self::target(entitlement))
    }

    /// On which target an entitlement is.
    pub(crate) const fn target(entitlement: u32) -> u32 {
        entitlement % 8
    }
}
