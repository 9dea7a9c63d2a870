//! Role sets as real populations have them: the matrices of HP, roles mined from them, and 8 % who moved.

use std::error::Error;
use std::fs;
use std::path::Path;

use jml_diff::mine::{Matrix, Options, mine};
use jml_diff::population::flat::{Builder, Deltas, Flat, numbering};

use crate::clock::least;
use crate::ours::{Answer, ONE};
use crate::page::{Page, each, figure};
use crate::world::Dice;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What somebody should have and what they hold, ascending.
type Lists = (Vec<u32>, Vec<u32>);

/// Who holds what, from a `.upa` file: `user: permission permission ...`; `#` begins a comment.
fn matrix(path: &Path) -> Result<Matrix> {
    let text = fs::read_to_string(path)?;
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, held) = line.split_once(':').ok_or("a line without a colon")?;
        let held: std::result::Result<Vec<u32>, _> =
            held.split_whitespace().map(str::parse).collect();
        rows.push(held?);
    }
    let permissions = rows.iter().flatten().max().map_or(0, |most| most + 1);
    Ok(Matrix::new(permissions, rows)?)
}

/// The people of a matrix: what they hold is what it says, what they should have is their roles, and each 12th or
/// 13th one has somebody else's roles by now.
fn people(path: &Path) -> Result<(Flat, Vec<Lists>)> {
    let matrix = matrix(path)?;
    let mined = mine(&matrix, &Options::default());
    let users = matrix.users();
    let mut roles = vec![Vec::new(); users as usize];
    let rows = mined.roles.iter().map(|it| (it.permissions.as_slice(), it.users.len() as u64));
    let numbers = numbering(matrix.permissions(), rows);
    let number = |id: &u32| numbers.get(*id as usize).copied().unwrap_or_default();
    let mut builder = Builder::new(matrix.permissions())?;
    for role in &mined.roles {
        let number = builder.template(&role.permissions.iter().map(number).collect::<Vec<_>>())?;
        for user in &role.users {
            roles.get_mut(*user as usize).ok_or("a role of nobody")?.push(number);
        }
    }
    let mut dice = Dice::new(8);
    let mut all = Vec::new();
    for user in 0..users {
        let as_whom = if dice.permille(80) { dice.below(users) } else { user };
        let has = roles.get(as_whom as usize).cloned().unwrap_or_default();
        let mut held: Vec<u32> = matrix.of(user).iter().map(number).collect();
        held.sort_unstable();
        builder.person(&has, &[], &held)?;
        let mut desired: Vec<u32> = Vec::new();
        for role in has.iter().filter_map(|role| mined.roles.get(*role as usize)) {
            desired.extend(role.permissions.iter().map(number));
        }
        desired.sort_unstable();
        desired.dedup();
        all.push((desired, held));
    }
    Ok((builder.finish(), all))
}

/// What two ascending lists come to, one element after the other: the check on the rows.
fn merged(all: &[Lists]) -> Answer {
    let mut answer = Answer::default();
    for (person, (desired, held)) in (0..).zip(all) {
        for id in desired {
            match held.binary_search(id) {
                Ok(_) => answer.keeps += 1,
                Err(_) => answer.grant(person, *id),
            }
        }
        let gone = held.iter().filter(|id| desired.binary_search(id).is_err());
        gone.for_each(|id| answer.revoke(person, *id));
    }
    answer
}

pub(crate) fn run(page: &mut Page, data: &Path) -> Result<()> {
    page.head("Role sets of real populations (HP matrices)");
    let folder = data.join("role-mining");
    let Ok(found) = fs::read_dir(&folder) else {
        page.line("skipped: no shared data");
        return Ok(());
    };
    let mut files: Vec<_> = found.filter_map(|it| Some(it.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "upa"));
    files.sort();
    page.line("Templates are mined roles; 8 % of the people take somebody else's. One thread. A small set is walked over and");
    page.line("over, so it is in the cache and its branches are known by heart: emea is 35 people many times, not many people.");
    page.line("");
    page.table(&[
        "set",
        "people",
        "held each",
        "walks",
        "ns a person",
        "on a processor",
        "bytes a person",
    ]);
    let mut over = Vec::new();
    let mut count = 0;
    for path in &files {
        let name = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        let (flat, all) = people(path)?;
        let mut deltas = Deltas::default();
        flat.diff_into(ONE, &mut deltas);
        if Answer::of(&deltas, |number| number) != merged(&all) {
            return Err(format!("{name}: rows and lists do not agree").into());
        }
        // Many walks at a try: one of few people is shorter than a look at the clock.
        let walks = 20_000 / all.len().max(1) + 1;
        let spent = least(100, || (0..walks).for_each(|_| flat.diff_into(ONE, &mut deltas)));
        let ns = each(spent.cpu, all.len() * walks);
        page.row(&[
            name.to_owned(),
            figure(all.len() as f64),
            figure(flat.pairs() as f64 / all.len() as f64),
            figure((100 * walks) as f64),
            figure(each(spent.wall, all.len() * walks)),
            figure(ns),
            figure(flat.bytes() as f64 / all.len() as f64),
        ]);
        count += 1;
        if ns > 50.0 {
            over.push(format!("{name} {}", figure(ns)));
        }
    }
    page.line("");
    let text = if over.is_empty() {
        format!("at most 50 ns a person on each of the {count} sets, on a processor")
    } else {
        format!(
            "at most 50 ns a person on each of the {count} sets, on a processor; above: {}",
            over.join(", ")
        )
    };
    page.bound(&text, over.is_empty());
    Ok(())
}
