//! The made-up company as we take it in, and as sets of text.

use std::collections::BTreeSet;
use std::error::Error;

use jml_diff::population::flat::{Builder, Flat, ID, OURS};

use crate::world::{ENTITLEMENTS, Person, World};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The company of so many people, in rows.
pub(crate) fn flat(world: &World, people: u32) -> Result<Flat> {
    taken_in(world, people, Builder::new(ENTITLEMENTS)?, |id| id)
}

/// The company in rows, after the builder was told what becomes of differences; `marked` gives what is held its
/// mark.
pub(crate) fn taken_in(
    world: &World,
    people: u32,
    mut builder: Builder,
    marked: impl Fn(u32) -> u32,
) -> Result<Flat> {
    templates(world, &mut builder)?;
    let (mut person, mut own) = (Person::default(), Vec::new());
    for number in 0..people {
        world.person(number, &mut person);
        own.clear();
        own.extend(person.own.iter().map(|id| (world.number(*id), number)));
        person.held.iter_mut().for_each(|id| *id = marked(*id) & OURS | world.number(*id));
        person.held.sort_unstable_by_key(|marked| marked & ID);
        builder.person(&person.templates, &own, &person.held)?;
    }
    Ok(builder.finish())
}

/// Takes the templates in.
pub(crate) fn templates(world: &World, builder: &mut Builder) -> Result<()> {
    for template in &world.templates {
        builder.template(&template.iter().map(|id| world.number(*id)).collect::<Vec<_>>())?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_types,
    reason = "it is what is measured; nothing is read out in its order"
)]
pub(crate) type HashSet<T> = std::collections::HashSet<T>;

/// Everybody as sets of text, for one kind of set.
pub(crate) struct Texts<S> {
    pub(crate) templates: Vec<S>,
    pub(crate) people: Vec<(Vec<u32>, S, S)>,
}

pub(crate) type HashTexts = Texts<HashSet<String>>;
pub(crate) type TreeTexts = Texts<BTreeSet<String>>;

impl<S: FromIterator<String>> Texts<S> {
    pub(crate) fn new(world: &World, people: u32) -> Self {
        let set = |ids: &[u32]| ids.iter().map(|id| World::name(*id)).collect::<S>();
        let mut person = Person::default();
        let one = |number| {
            world.person(number, &mut person);
            (person.templates.clone(), set(&person.own), set(&person.held))
        };
        let people = (0..people).map(one).collect();
        Self { templates: world.templates.iter().map(|row| set(row)).collect(), people }
    }
}
