//! Users who hold the same and permissions that the same users hold, each taken once.

use std::collections::BTreeMap;

use super::bits::{Bits, Grid, Pair};
use super::matrix::Matrix;

/// The matrix without repeats. Rows are users, columns are permissions; both are in an order that does not
/// depend on how users are numbered.
pub(super) struct Classes {
    pub(super) rows: Grid,
    pub(super) columns: Grid,
    /// The users of each row.
    pub(super) users: Vec<Vec<u32>>,
    /// The permissions of each column.
    pub(super) permissions: Vec<Vec<u32>>,
}

impl Classes {
    pub(super) fn of(matrix: &Matrix) -> Self {
        let mut same: BTreeMap<&[u32], Vec<u32>> = BTreeMap::new();
        for (user, held) in matrix.rows().filter(|(_, held)| !held.is_empty()) {
            same.entry(held).or_default().push(user);
        }
        let mut holders: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, held) in same.keys().enumerate() {
            for permission in *held {
                holders.entry(*permission).or_default().push(row);
            }
        }
        let mut alike: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
        for (permission, rows) in holders {
            alike.entry(rows).or_default().push(permission);
        }
        let mut columns = Grid::new(alike.len(), same.len());
        for (column, rows) in alike.keys().enumerate() {
            rows.iter().for_each(|row| columns.insert((column, *row)));
        }
        Self {
            rows: columns.turned(same.len()),
            columns,
            users: same.into_values().collect(),
            permissions: alike.into_values().collect(),
        }
    }

    /// How many users a row stands for.
    pub(super) fn users_of(&self, row: usize) -> usize {
        self.users.get(row).map_or(0, Vec::len)
    }

    /// How many permissions a column stands for.
    pub(super) fn permissions_of(&self, column: usize) -> usize {
        self.permissions.get(column).map_or(0, Vec::len)
    }

    /// The rows that have all these columns.
    pub(super) fn rows_with(&self, columns: &Bits) -> Bits {
        shared(&self.columns, columns, self.rows.height())
    }

    /// The columns that all these rows have.
    pub(super) fn columns_with(&self, rows: &Bits) -> Bits {
        shared(&self.rows, rows, self.columns.height())
    }

    /// A role for each row.
    pub(super) fn by_row(&self) -> Vec<Block> {
        let columns = (0..self.rows.height()).map(|row| self.rows.row(row).clone());
        columns.map(|columns| Block { rows: self.rows_with(&columns), columns }).collect()
    }

    /// A role for each column.
    pub(super) fn by_column(&self) -> Vec<Block> {
        let rows = (0..self.columns.height()).map(|column| self.columns.row(column).clone());
        rows.map(|rows| Block { columns: self.columns_with(&rows), rows }).collect()
    }

    /// The pairs that have to be covered. Another pair may go when some pair is held with no more company:
    /// every largest role with the latter holds the former, too (dominators of Ene et al., SACMAT 2008).
    pub(super) fn undominated(&self) -> Grid {
        let mut open = self.rows.clone();
        for pair in self.rows.iter().filter(|pair| self.is_dominated(*pair)) {
            open.remove(pair);
        }
        open
    }

    fn is_dominated(&self, (row, column): Pair) -> bool {
        let (of_row, of_column) = (self.rows.row(row), self.columns.row(column));
        of_row.iter().any(|q| q != column && self.columns.row(q).is_subset(of_column))
            || of_column.iter().any(|u| u != row && self.rows.row(u).is_subset(of_row))
    }
}

/// A role over rows and columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block {
    pub(super) rows: Bits,
    pub(super) columns: Bits,
}

/// What all the picked lines have in common.
fn shared(lines: &Grid, picked: &Bits, width: usize) -> Bits {
    let mut picked = picked.iter();
    let Some(first) = picked.next() else { return Bits::of(width, 0..width) };
    let mut out = lines.row(first).clone();
    picked.for_each(|line| out.intersect(lines.row(line)));
    out
}
