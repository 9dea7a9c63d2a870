//! Everybody at once: the same answers as [`delta`], for a whole company in one walk.
//!
//! [`Population`] takes in what everybody should have, person by person, and turns names into numbers once. What
//! people hold becomes flat rows; what they should have becomes sets of templates, each distinct one kept once,
//! and a few claims of their own. [`Population::diff`] then walks all of it. A reason is put into words when
//! somebody asks for it ([`Population::why`], [`Population::delta`]), and costs nothing before.
//!
//! **One truth.** Access lines of *plain* people are found by numbers, by the terms of each entitlement that
//! [`delta`] itself goes by (mode, assignability, last holder), and put into words by `delta`'s own code; what
//! their accounts need is computed by `delta`'s own code when they are taken in. Everybody else is *odd* and goes
//! through [`delta`] whole: who left or never started and still has an account, who is between two engagements and
//! has one that can sign in, or whose facts do not add up; who
//! has several accounts on a provider, a protected one, one that can be given nothing now, or one to be made;
//! who has or wants something on a provider that could not be read to the end; whose access a review took away;
//! who waits for anything but a grant; who holds or claims what neither the policy nor the world counts.
//!
//! [`flat`] is the layer below, with numbers only.

mod answer;
mod catalogue;
mod effects;
pub mod flat;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use hashbrown::HashMap;
use jml_core::claim::ClaimSource;
use jml_core::desired::Desired;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::IdentityId;
use jml_core::plan::ForeignReason;
use jml_core::policy::Policy;

pub use answer::{Line, PopulationDelta};
use catalogue::{Catalogue, Reasons};
pub use effects::Effects;
use flat::{Builder, Fate, Flat, FlatError, ID, Index, OURS};
pub use update::{Updated, concerned};

use crate::delta::plain::{self, Plain};
use crate::delta::term::Term;
use crate::delta::{AccessLine, AccountLine, Delta, Verdict, delta};
use crate::ledger::Ledger;
use crate::world::World;

/// Why a population cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PopulationError {
    /// People must come by identity in ascending order, each once.
    #[error("`{identity}` comes twice, or after somebody whose id is greater")]
    Order {
        /// Who.
        identity: IdentityId,
    },
    /// An update is about somebody who was never taken in.
    #[error("`{identity}` is not one of this population")]
    Stranger {
        /// Who.
        identity: IdentityId,
    },
    /// The rows cannot be built.
    #[error("the population does not fit into rows")]
    Flat(#[from] FlatError),
}

/// Everybody, taken in under one policy and against one look at the world.
#[derive(Clone, Debug)]
pub struct Population<'a> {
    policy: &'a Policy,
    world: &'a World,
    ledger: &'a Ledger,
    catalogue: Catalogue,
    terms: Vec<Term>,
    reasons: Reasons,
    /// Of each template: the number of the reason that it stands for.
    templates: Vec<u32>,
    known: Known,
    people: Vec<IdentityId>,
    flat: Flat,
    /// Who has each template; made when it is first needed.
    index: Option<Index>,
    /// What accounts of plain people need.
    accounts: BTreeMap<u32, Vec<AccountLine>>,
    /// Plain people who are gone.
    gone: BTreeSet<u32>,
    odd: BTreeMap<u32, Box<Desired>>,
}

/// The templates of each reason. One reason can give different people different things: a separation of duties
/// withholds from one what another gets.
type Known = HashMap<u32, Vec<u32>, foldhash::fast::FixedState>;

/// What somebody should have, in numbers.
#[derive(Default)]
struct Wanted {
    /// By reason, ascending ids.
    groups: Vec<(u32, Vec<u32>)>,
    own: Vec<(u32, u32)>,
}

impl<'a> Population<'a> {
    /// Takes everybody in, by identity in ascending order.
    ///
    /// # Errors
    /// [`PopulationError::Order`] for people in another order; [`PopulationError::Flat`] when there are more
    /// people, entitlements or pairs than 32 bits can count.
    pub fn new(
        policy: &'a Policy,
        world: &'a World,
        ledger: &'a Ledger,
        everybody: impl IntoIterator<Item = Desired>,
    ) -> Result<Self, PopulationError> {
        let catalogue = Catalogue::new(policy, world);
        let entitlements = u32::try_from(catalogue.len()).unwrap_or(u32::MAX);
        let mut builder = Builder::new(entitlements)?;
        let terms = terms(&catalogue, policy, world);
        for ((number, _), term) in catalogue.iter().zip(&terms) {
            builder.fate(number, fate(term))?;
        }
        let mut reasons = Reasons::default();
        let (mut templates, mut known) = (Vec::new(), Known::default());
        let mut people: Vec<IdentityId> = Vec::new();
        let (mut accounts, mut gone, mut odd) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let mut held = Vec::new();
        for desired in everybody {
            if people.last().is_some_and(|last| last >= &desired.identity) {
                return Err(PopulationError::Order { identity: desired.identity });
            }
            people.push(desired.identity.clone());
            let plain = plain::plain(policy, &desired, world, ledger);
            let taken = plain.and_then(|plain| {
                let wanted = Wanted::of(&desired, &catalogue, &mut reasons)?;
                hold(&plain, &catalogue, ledger, &mut held)?;
                Some((plain, wanted))
            });
            let Some((plain, wanted)) = taken else {
                odd.insert(builder.person(&[], &[], &[])?, Box::new(desired));
                continue;
            };
            let mut list = Vec::with_capacity(wanted.groups.len());
            for (reason, ids) in &wanted.groups {
                let of_reason: &mut Vec<u32> = known.entry(*reason).or_default();
                let number =
                    of_reason.iter().find(|number| builder.row(**number).eq(ids.iter().copied()));
                list.push(match number {
                    Some(number) => *number,
                    None => {
                        let number = builder.template(ids)?;
                        templates.push(*reason);
                        of_reason.push(number);
                        number
                    }
                });
            }
            let person = builder.person(&list, &wanted.own, &held)?;
            if !plain.lines.is_empty() {
                accounts.insert(person, plain.lines);
            }
            if plain.gone {
                gone.insert(person);
            }
        }
        let (flat, index) = (builder.finish(), None);
        Ok(Self {
            policy,
            world,
            ledger,
            catalogue,
            terms,
            reasons,
            templates,
            known,
            people,
            flat,
            index,
            accounts,
            gone,
            odd,
        })
    }

    /// Everybody's difference, on so many threads. The answer is the same for every number of them.
    #[must_use]
    pub fn diff(&self, threads: NonZeroUsize) -> PopulationDelta {
        let flat = self.flat.diff(threads);
        let all: Vec<(u32, &Desired)> = self.odd.iter().map(|(n, it)| (*n, it.as_ref())).collect();
        let share = all.len().div_ceil(threads.get()).max(1);
        let mut odd = BTreeMap::new();
        std::thread::scope(|scope| {
            let work = all.chunks(share).map(|some| {
                scope.spawn(move || {
                    let one =
                        |(number, desired): &(u32, &Desired)| (*number, self.odd_delta(desired));
                    some.iter().map(one).collect::<Vec<_>>()
                })
            });
            // Started before the first is waited for.
            let work: Vec<_> = work.collect();
            for done in work {
                match done.join() {
                    Ok(done) => odd.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        PopulationDelta { flat, odd }
    }

    fn odd_delta(&self, desired: &Desired) -> Delta {
        delta(self.policy, desired, self.world, self.ledger)
    }

    /// How many people there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// How many people go through [`delta`] one by one.
    #[must_use]
    pub fn odd(&self) -> usize {
        self.odd.len()
    }

    /// The rows below.
    #[must_use]
    pub const fn flat(&self) -> &Flat {
        &self.flat
    }

    fn person(&self, identity: &IdentityId) -> Option<u32> {
        let at = self.people.binary_search(identity).ok()?;
        u32::try_from(at).ok()
    }

    /// Who has a number.
    #[must_use]
    pub fn identity(&self, person: u32) -> Option<&IdentityId> {
        self.people.get(person as usize)
    }

    /// What has a number.
    #[must_use]
    pub fn entitlement(&self, number: u32) -> Option<&EntitlementRef> {
        self.catalogue.get(number)
    }

    /// The delta of one person, reasons included: what [`delta`] says.
    #[must_use]
    pub fn delta(&self, identity: &IdentityId) -> Option<Delta> {
        let person = self.person(identity)?;
        if let Some(desired) = self.odd.get(&person) {
            return Some(self.odd_delta(desired));
        }
        let accounts = self.accounts.get(&person).cloned().unwrap_or_default();
        let (access, waits) = Default::default();
        let gone = self.gone.contains(&person);
        let mut out = Delta { identity: identity.clone(), gone, accounts, access, waits };
        let mut all = self.flat.desired(person);
        all.extend(self.flat.held(person).map(|marked| marked & ID));
        all.sort_unstable();
        all.dedup();
        all.sort_by_key(|id| self.entitlement(*id));
        for id in all {
            match self.line(person, id) {
                Ok(line) => out.access.extend(line),
                Err(wait) => out.waits.push(wait),
            }
        }
        Some(out)
    }

    /// The line about one entitlement of one person, with its reasons; `None` when it is neither claimed nor
    /// held, or waits.
    #[must_use]
    pub fn why(&self, identity: &IdentityId, entitlement: &EntitlementRef) -> Option<AccessLine> {
        let person = self.person(identity)?;
        if let Some(desired) = self.odd.get(&person) {
            let access = self.odd_delta(desired).access;
            return access.into_iter().find(|line| &line.entitlement == entitlement);
        }
        let id = self.catalogue.number(&entitlement.provider, &entitlement.key)?;
        self.line(person, id).ok().flatten()
    }

    fn line(&self, person: u32, id: u32) -> Result<Option<AccessLine>, crate::Wait> {
        let (Some(identity), Some(at)) = (self.identity(person), self.entitlement(id)) else {
            return Ok(None);
        };
        let reasons = self.reasons(person, id);
        plain::line(self.policy, self.world, self.ledger, identity, at, reasons)
    }

    /// All claims of a plain person for an entitlement, in their order.
    fn reasons(&self, person: u32, id: u32) -> Vec<ClaimSource> {
        let numbers = self.flat.templates_of(person).filter(|it| self.flat.gives(*it, id));
        let by_role = numbers.filter_map(|number| self.templates.get(number as usize)).copied();
        let (own, why) = self.flat.own(person);
        let by_own = own.iter().zip(why).filter(|(own, _)| **own == id).map(|(_, reason)| *reason);
        let all = by_role.chain(by_own).filter_map(|reason| self.reasons.get(reason));
        let mut all: Vec<ClaimSource> = all.cloned().collect();
        all.sort();
        all
    }

    /// What becomes of surplus access of a plain person.
    fn foreign(&self, person: u32, id: u32) -> Verdict {
        let ours = self.flat.holds(person, id) == Some(true);
        let term = self.terms.get(id as usize);
        term.map_or(Verdict::Foreign(ForeignReason::NotOurs), |term| term.surplus(ours, false))
    }
}

fn terms(catalogue: &Catalogue, policy: &Policy, world: &World) -> Vec<Term> {
    catalogue.iter().map(|(_, at)| Term::of(policy, world, at)).collect()
}

fn fate(term: &Term) -> Fate {
    let stays = |ours| term.surplus(ours, false) != Verdict::Revoke;
    Fate { waits: !term.gives(), foreign: stays(false), foreign_if_ours: stays(true) }
}

impl Wanted {
    /// What a plain person should have; `None` if it has no number.
    fn of(desired: &Desired, catalogue: &Catalogue, reasons: &mut Reasons) -> Option<Self> {
        let mut groups: Vec<(&ClaimSource, Vec<u32>)> = Vec::new();
        let mut own = Vec::new();
        for claim in &desired.claims {
            let id = catalogue.number(&claim.entitlement.provider, &claim.entitlement.key)?;
            let source = &claim.source;
            if !matches!(source, ClaimSource::Birthright { .. } | ClaimSource::Role { .. }) {
                own.push((id, reasons.number(source)?));
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == source) {
                None => groups.push((source, vec![id])),
                // The same twice, by two engagements: the second one counts as a reason, too.
                Some((_, ids)) if ids.last() == Some(&id) => {
                    own.push((id, reasons.number(source)?));
                }
                Some((_, ids)) => ids.push(id),
            }
        }
        let mut numbered = Vec::with_capacity(groups.len());
        for (source, mut ids) in groups {
            ids.sort_unstable();
            numbered.push((reasons.number(source)?, ids));
        }
        Some(Self { groups: numbered, own })
    }
}

/// What a plain person holds; `None` if it has no number.
fn hold(
    plain: &Plain<'_>,
    catalogue: &Catalogue,
    ledger: &Ledger,
    into: &mut Vec<u32>,
) -> Option<()> {
    into.clear();
    for (at, state) in &plain.accounts {
        // Both are in the order of their keys.
        let mut granted = ledger.granted_on(at).peekable();
        for key in &state.holdings {
            let id = catalogue.number(&at.provider, key)?;
            while granted.next_if(|granted| *granted < key).is_some() {}
            let ours = granted.next_if_eq(&key).is_some();
            into.push(if ours { id | OURS } else { id });
        }
    }
    into.sort_unstable_by_key(|marked| marked & ID);
    Some(())
}
