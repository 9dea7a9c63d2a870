//! Weights for vertices so that no clique weighs more than a limit, as heavy together as possible.
//!
//! A linear program, solved by the simplex method in whole numbers: every entry of the table is a numerator
//! over one common denominator, so nothing is ever rounded.

use super::bits::Bits;
use super::graph::Effort;

/// The limit, and the weight of each vertex that has one. `None` when the numbers become too large or the
/// effort is spent.
pub(super) fn packing(
    vertices: usize,
    cliques: &[Bits],
    effort: &mut Effort,
) -> Option<(u32, Vec<(usize, u32)>)> {
    let mut table = Table::new(vertices, cliques);
    loop {
        effort.spend(vertices * cliques.len());
        if effort.is_spent() {
            return None;
        }
        let Some(column) = table.entering() else { return table.weights(vertices) };
        let row = table.leaving(column)?;
        table.pivot(row, column)?;
    }
}

/// Each row is a clique, each column a vertex; a step lets the two change places.
struct Table {
    rows: Vec<Line>,
    /// What one more of each column is worth; its last value is the total, negated.
    worth: Line,
    /// The names of the columns.
    outside: Vec<usize>,
    denominator: i128,
}

struct Line {
    /// A vertex, or a clique after all vertices.
    name: usize,
    /// One value for each column, then the constant.
    values: Vec<i128>,
}

impl Line {
    fn at(&self, column: usize) -> i128 {
        self.values.get(column).copied().unwrap_or(0)
    }
}

impl Table {
    fn new(vertices: usize, cliques: &[Bits]) -> Self {
        let rows = cliques.iter().enumerate().map(|(at, clique)| Line {
            name: vertices + at,
            values: (0..vertices).map(|it| i128::from(clique.has(it))).chain([1]).collect(),
        });
        Self {
            rows: rows.collect(),
            worth: Line {
                name: usize::MAX,
                values: vec![-1; vertices].into_iter().chain([0]).collect(),
            },
            outside: (0..vertices).collect(),
            denominator: 1,
        }
    }

    /// The column with the smallest name among those worth something (Bland's rule, which never cycles).
    fn entering(&self) -> Option<usize> {
        let columns = self.outside.iter().enumerate();
        let columns = columns.filter(|(column, _)| self.worth.at(*column) < 0);
        columns.min_by_key(|(_, name)| **name).map(|(column, _)| column)
    }

    /// The row that limits a column most; of several the one with the smallest name.
    fn leaving(&self, column: usize) -> Option<usize> {
        let constant = self.outside.len();
        let mut best: Option<(usize, &Line)> = None;
        for (row, line) in self.rows.iter().enumerate().filter(|(_, line)| line.at(column) > 0) {
            let better = match best {
                None => true,
                Some((_, other)) => {
                    let mine = line.at(constant).checked_mul(other.at(column))?;
                    let theirs = other.at(constant).checked_mul(line.at(column))?;
                    (mine, line.name) < (theirs, other.name)
                }
            };
            if better {
                best = Some((row, line));
            }
        }
        best.map(|(row, _)| row)
    }

    fn pivot(&mut self, row: usize, column: usize) -> Option<()> {
        let mut line = self.rows.get(row)?.values.clone();
        let pivot = *line.get(column)?;
        let others = self.rows.iter_mut().enumerate().filter(|(at, _)| *at != row);
        for other in others.map(|(_, other)| other).chain([&mut self.worth]) {
            let factor = other.at(column);
            for (at, (value, mine)) in other.values.iter_mut().zip(&line).enumerate() {
                *value = if at == column {
                    -factor
                } else {
                    let wide = value.checked_mul(pivot)?.checked_sub(factor.checked_mul(*mine)?)?;
                    wide / self.denominator
                };
            }
        }
        *line.get_mut(column)? = self.denominator;
        self.denominator = pivot;
        let changed = self.rows.get_mut(row)?;
        changed.values = line;
        std::mem::swap(&mut changed.name, self.outside.get_mut(column)?);
        Some(())
    }

    fn weights(&self, vertices: usize) -> Option<(u32, Vec<(usize, u32)>)> {
        let constant = self.outside.len();
        let held = self.rows.iter().filter(|line| line.name < vertices && line.at(constant) > 0);
        let held: Vec<_> = held.map(|line| (line.name, line.at(constant))).collect();
        let divisor = held.iter().fold(self.denominator, |a, (_, b)| gcd(a, *b));
        let small = |value: i128| u32::try_from(value / divisor).ok();
        let weights = held.iter().map(|(name, value)| Some((*name, small(*value)?)));
        let mut weights = weights.collect::<Option<Vec<_>>>()?;
        weights.sort_unstable();
        Some((small(self.denominator)?, weights))
    }
}

const fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
