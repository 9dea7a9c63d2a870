//! What has to be covered, and how it shrinks until nothing or a hard kernel is left.
//!
//! Two pairs fit in one role when each user holds the other's permission, too. Roles are then the cliques of
//! a graph of pairs, and the fewest roles are the fewest cliques that cover it. The graph is never built as
//! a whole: what fits with a pair is read off the matrix.

use std::collections::{BTreeMap, VecDeque};

use super::bits::{Bits, Grid, Pair};
use super::classes::{Block, Classes};
use super::graph::{Effort, Graph, Search};

/// Parts of the kernel with more pairs than this are not searched; something is guessed in them.
const SEARCHED: usize = 1_000;

/// Pairs of which one role can hold at most so much.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    pub(super) limit: u32,
    pub(super) pairs: Vec<(Pair, u32)>,
}

/// In which lines guesses are made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guess {
    Rows,
    Columns,
    Both,
}

enum Event {
    /// Whatever role holds the second pair can hold the first one, too.
    Dominated(Pair, Pair),
    /// These are one role.
    Role(Vec<Pair>),
}

/// A cover of all pairs, and what shows that it cannot be much smaller.
pub(super) struct Covered {
    pub(super) blocks: Vec<Block>,
    pub(super) apart: Vec<Apart>,
    /// Whether a part of the kernel was too large to be searched.
    pub(super) guessed: bool,
    /// Whether nothing was guessed and every search came to its end: fewer roles do not exist.
    pub(super) smallest: bool,
}

/// Covers all pairs. What is left when the effort is spent becomes one role for each line.
pub(super) fn cover(classes: &Classes, guess: Guess, effort: &mut Effort) -> Covered {
    let open = classes.undominated();
    let mut work = Work {
        classes,
        left: open.iter().count(),
        by_column: open.turned(classes.columns.height()),
        dirty: open.clone(),
        open,
        events: Vec::new(),
        apart: Vec::new(),
        guessed: false,
        smallest: true,
        effort,
    };
    loop {
        work.reduce();
        work.search();
        if work.left == 0 {
            break;
        }
        work.guessed = true;
        // Searching pays again only when much has changed.
        let enough = work.left / 2;
        while work.left > enough && !work.effort.is_spent() {
            work.guess(guess);
            work.reduce();
        }
        if work.effort.is_spent() {
            work.finish(guess);
        }
    }
    let blocks = work.blocks();
    let Work { apart, guessed, smallest, .. } = work;
    Covered { blocks, apart, guessed, smallest: smallest && !guessed }
}

/// Pairs no two of which fit, by taking those with the least company first.
pub(super) fn lonely(classes: &Classes) -> Vec<Apart> {
    let mut free = classes.undominated();
    let company =
        |(row, column): Pair| classes.rows.row(row).len() * classes.columns.row(column).len();
    let mut pairs: Vec<(usize, Pair)> = free.iter().map(|pair| (company(pair), pair)).collect();
    pairs.sort_unstable();
    let mut apart = Vec::new();
    for (_, pair @ (row, column)) in pairs {
        if free.has(pair) {
            for near in classes.columns.row(column).iter() {
                free.subtract(near, classes.rows.row(row));
            }
            apart.push(Apart { limit: 1, pairs: vec![(pair, 1)] });
        }
    }
    apart
}

struct Work<'a> {
    classes: &'a Classes,
    /// Pairs that no role covers yet, and the same by column.
    open: Grid,
    by_column: Grid,
    left: usize,
    /// Open pairs whose company changed since they were looked at.
    dirty: Grid,
    events: Vec<Event>,
    apart: Vec<Apart>,
    guessed: bool,
    smallest: bool,
    effort: &'a mut Effort,
}

impl Work<'_> {
    fn take(&mut self, pair @ (row, column): Pair) {
        self.open.remove(pair);
        self.by_column.remove((column, row));
        self.left -= 1;
    }

    /// Takes a pair out, and marks whatever fitted with it.
    fn close(&mut self, pair @ (row, column): Pair) {
        self.take(pair);
        if self.effort.is_spent() {
            return;
        }
        let holders = self.classes.columns.row(column);
        self.effort.spend(holders.len());
        for near in holders.iter() {
            let held = self.classes.rows.row(row);
            self.dirty.unite_shared(near, self.open.row(near), held);
        }
    }

    fn reduce(&mut self) {
        let mut row = 0;
        let mut quiet = 0;
        while quiet < self.open.height() {
            if self.effort.is_spent() {
                return;
            }
            let due: Vec<usize> = self.dirty.row(row).iter().collect();
            quiet = if due.is_empty() { quiet + 1 } else { 0 };
            for column in due {
                self.dirty.remove((row, column));
                if self.open.has((row, column)) {
                    self.look((row, column));
                }
            }
            row = (row + 1) % self.open.height();
        }
    }

    /// The rows and columns of the open pairs that fit with a pair.
    fn company(&self, (row, column): Pair) -> Block {
        let mut rows = Bits::new(self.open.height());
        let mut columns = Bits::new(self.by_column.height());
        let held = self.classes.rows.row(row);
        for near in self.classes.columns.row(column).iter() {
            if columns.unite_shared(self.open.row(near), held) {
                rows.insert(near);
            }
        }
        Block { rows, columns }
    }

    /// Either all that fits with a pair fits together, and is a role that some role has to hold; or pairs
    /// with which all of it fits need not be covered.
    fn look(&mut self, pair: Pair) {
        let company = self.company(pair);
        let holders = self.classes.columns.row(pair.1).len();
        self.effort.spend(1 + holders + company.rows.len());
        let fits = |row: &usize| company.columns.is_subset(self.classes.rows.row(*row));
        let rows: Vec<usize> = company.rows.iter().filter(fits).collect();
        if rows.len() == company.rows.len() {
            let role = self.open_in(&company);
            role.iter().for_each(|pair| self.close(*pair));
            self.apart.push(Apart { limit: 1, pairs: vec![(pair, 1)] });
            self.events.push(Event::Role(role));
            return;
        }
        let fits = |column: &usize| company.rows.is_subset(self.classes.columns.row(*column));
        let columns = company.columns.iter().filter(fits);
        let columns = Bits::of(self.by_column.height(), columns);
        for row in rows {
            for column in self.open.row(row).and(&columns).iter() {
                if (row, column) != pair {
                    self.close((row, column));
                    self.events.push(Event::Dominated((row, column), pair));
                }
            }
        }
    }

    fn open_in(&self, block: &Block) -> Vec<Pair> {
        let rows = block.rows.iter();
        let pairs = rows.map(|row| (row, self.open.row(row).and(&block.columns)));
        let pairs = pairs.map(|(row, it)| it.iter().map(|at| (row, at)).collect::<Vec<_>>());
        pairs.flatten().collect()
    }

    /// The open pairs that fit with a pair, itself among them.
    fn near(&self, (row, column): Pair) -> Vec<Pair> {
        let held = self.classes.rows.row(row);
        let lines = self.classes.columns.row(column).iter();
        let lines = lines.map(|near| (near, self.open.row(near).and(held)));
        lines.flat_map(|(near, it)| it.iter().map(|at| (near, at)).collect::<Vec<_>>()).collect()
    }

    /// Solves the parts of the kernel that are small enough.
    fn search(&mut self) {
        if self.effort.is_spent() {
            return;
        }
        for part in self.parts() {
            if part.len() > SEARCHED || self.effort.is_spent() {
                continue;
            }
            let number: BTreeMap<Pair, usize> = part.iter().copied().zip(0..).collect();
            let mut graph = Graph::new(part.len());
            for (at, pair) in part.iter().enumerate() {
                let near = self.near(*pair);
                near.iter().filter_map(|it| number.get(it)).for_each(|it| graph.join(at, *it));
            }
            let found = Search::new(&graph, self.effort).solve();
            self.smallest &= found.smallest;
            let pair_of = |at: usize| part.get(at).copied();
            for clique in &found.cliques {
                self.events.push(Event::Role(clique.iter().filter_map(pair_of).collect()));
            }
            for (limit, weights) in found.apart {
                let pairs = weights.into_iter();
                let pairs = pairs.filter_map(|(at, weight)| Some((pair_of(at)?, weight))).collect();
                self.apart.push(Apart { limit, pairs });
            }
            part.iter().for_each(|pair| self.take(*pair));
        }
    }

    /// The parts of the kernel between which nothing fits.
    fn parts(&mut self) -> Vec<Vec<Pair>> {
        let mut rest = self.open.clone();
        let mut parts = Vec::new();
        for start in self.open.iter() {
            if !rest.has(start) {
                continue;
            }
            rest.remove(start);
            let mut todo = VecDeque::from([start]);
            let mut part = Vec::new();
            while let Some(pair) = todo.pop_front() {
                part.push(pair);
                let near = self.near(pair);
                self.effort.spend(near.len());
                for near in near {
                    if rest.has(near) {
                        rest.remove(near);
                        todo.push_back(near);
                    }
                }
            }
            part.sort_unstable();
            parts.push(part);
        }
        parts
    }

    /// Makes a role of the line with the fewest open pairs.
    fn guess(&mut self, guess: Guess) {
        let fewest = |grid: &Grid| {
            let lines = (0..grid.height()).map(|line| (grid.row(line).len(), line));
            lines.filter(|(len, _)| *len > 0).min()
        };
        let (rows, columns) = (&self.open, &self.by_column);
        self.effort.spend(rows.height() + columns.height());
        let row = fewest(rows).filter(|_| !matches!(guess, Guess::Columns));
        let column = fewest(columns).filter(|_| !matches!(guess, Guess::Rows));
        match (row, column) {
            (Some((few, row)), Some((fewer, _))) if few <= fewer => self.take_row(row),
            (_, Some((_, column))) => self.take_column(column),
            (Some((_, row)), None) => self.take_row(row),
            (None, None) => {}
        }
    }

    /// Makes each line that is left a role.
    fn finish(&mut self, guess: Guess) {
        if matches!(guess, Guess::Columns) {
            (0..self.by_column.height()).for_each(|column| self.take_column(column));
        } else {
            (0..self.open.height()).for_each(|row| self.take_row(row));
        }
    }

    /// Makes a role of the open pairs of a row, for all rows that hold them.
    fn take_row(&mut self, row: usize) {
        let columns = self.open.row(row).clone();
        if !columns.is_empty() {
            let rows = self.classes.rows_with(&columns);
            self.take_block(&Block { rows, columns });
        }
    }

    fn take_column(&mut self, column: usize) {
        let rows = self.by_column.row(column).clone();
        if !rows.is_empty() {
            let columns = self.classes.columns_with(&rows);
            self.take_block(&Block { rows, columns });
        }
    }

    fn take_block(&mut self, block: &Block) {
        let role = self.open_in(block);
        role.iter().for_each(|pair| self.close(*pair));
        self.events.push(Event::Role(role));
    }

    /// Reads the events backwards: each dominated pair joins the role of what dominates it. Then every role
    /// is made as large as it can be, which brings in what was dominated from the start.
    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut owner: BTreeMap<Pair, usize> = BTreeMap::new();
        for event in self.events.iter().rev() {
            match event {
                Event::Role(pairs) => {
                    let rows = pairs.iter().map(|pair| pair.0);
                    let columns = pairs.iter().map(|pair| pair.1);
                    owner.extend(pairs.iter().map(|pair| (*pair, blocks.len())));
                    blocks.push(Block {
                        rows: Bits::of(self.open.height(), rows),
                        columns: Bits::of(self.by_column.height(), columns),
                    });
                }
                Event::Dominated(pair, by) => {
                    let Some(role) = owner.get(by).copied() else { continue };
                    owner.insert(*pair, role);
                    if let Some(block) = blocks.get_mut(role) {
                        block.rows.insert(pair.0);
                        block.columns.insert(pair.1);
                    }
                }
            }
        }
        for block in &mut blocks {
            block.rows = self.classes.rows_with(&block.columns);
            block.columns = self.classes.columns_with(&block.rows);
        }
        blocks.sort_unstable();
        blocks
    }
}
