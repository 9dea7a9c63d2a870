//! Which users and permissions each role keeps, where several roles can account for the same pair.
//!
//! The number of roles is settled by now and never grows. Roles are made as large as they can be, then lose
//! what others account for, in a few orders; then one side is grown again and the other one pruned, for as
//! long as that helps. This is a local search: it says nothing about the best.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::bits::{Bits, Pair};
use super::classes::{Block, Classes};
use super::graph::Effort;
use super::measures::Weights;

/// What roles lose first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Users,
    Permissions,
    Dearest,
}

/// Roles that account for the same pairs, smaller altogether. Spends more only while there is effort left.
pub(super) fn shape(
    classes: &Classes,
    blocks: &[Block],
    weights: &Weights,
    effort: &mut Effort,
) -> Vec<Block> {
    let size = |blocks: &[Block]| complexity(classes, blocks, weights);
    let mut best: Option<(u64, Vec<Block>)> = None;
    for first in [First::Users, First::Permissions, First::Dearest] {
        for largest_last in [false, true] {
            if best.is_some() && effort.is_spent() {
                break;
            }
            let order = Order { first, largest_last };
            let mut found = prune(classes, blocks.to_vec(), order, weights, effort);
            let mut least = size(&found);
            while !effort.is_spent() {
                let next = regrow(classes, &found, largest_last, weights, effort);
                let next = next.into_iter().map(|next| (size(&next), next)).min();
                let Some((smaller, next)) = next.filter(|(size, _)| *size < least) else { break };
                (least, found) = (smaller, next);
            }
            if best.as_ref().is_none_or(|(size, _)| least < *size) {
                best = Some((least, found));
            }
        }
    }
    best.map(|(_, blocks)| blocks).unwrap_or_default()
}

/// The weighted sum of roles, users in them and permissions in them.
pub(super) fn complexity(classes: &Classes, blocks: &[Block], weights: &Weights) -> u64 {
    let users = |block: &Block| block.rows.iter().map(|row| classes.users_of(row)).sum::<usize>();
    let permissions =
        |block: &Block| block.columns.iter().map(|at| classes.permissions_of(at)).sum::<usize>();
    let (users, permissions) =
        (blocks.iter().map(users).sum(), blocks.iter().map(permissions).sum());
    weights.sum(blocks.len(), users, permissions)
}

/// The same roles with all users that could have them, or all permissions that they could have, pruned.
fn regrow(
    classes: &Classes,
    blocks: &[Block],
    largest_last: bool,
    weights: &Weights,
    effort: &mut Effort,
) -> [Vec<Block>; 2] {
    let users = blocks.iter().map(|block| Block {
        rows: classes.rows_with(&block.columns),
        columns: block.columns.clone(),
    });
    let permissions = blocks.iter().map(|block| Block {
        rows: block.rows.clone(),
        columns: classes.columns_with(&block.rows),
    });
    let order = |first| Order { first, largest_last };
    [
        prune(classes, users.collect(), order(First::Permissions), weights, effort),
        prune(classes, permissions.collect(), order(First::Users), weights, effort),
    ]
}

#[derive(Clone, Copy)]
struct Order {
    first: First,
    largest_last: bool,
}

/// Takes out of each role in turn what other roles account for.
fn prune(
    classes: &Classes,
    mut blocks: Vec<Block>,
    order: Order,
    weights: &Weights,
    effort: &mut Effort,
) -> Vec<Block> {
    blocks.sort_by_cached_key(|block| {
        let size = block.rows.len() * block.columns.len();
        (if order.largest_last { size } else { usize::MAX - size }, block.clone())
    });
    let mut counts = Counts::new(classes);
    for block in &blocks {
        effort.spend(block.rows.len() * block.columns.len());
        counts.add(block);
    }
    for block in &mut blocks {
        let mut parts: Vec<(u64, bool, usize)> = Vec::new();
        let users = |row: usize| weights.user.saturating_mul(classes.users_of(row) as u64);
        let permissions =
            |at: usize| weights.permission.saturating_mul(classes.permissions_of(at) as u64);
        parts.extend(block.rows.iter().map(|row| (users(row), true, row)));
        parts.extend(block.columns.iter().map(|column| (permissions(column), false, column)));
        parts.sort_by_key(|(saved, is_row, at)| {
            let later = match order.first {
                First::Users => !is_row,
                First::Permissions => *is_row,
                First::Dearest => false,
            };
            (later, Reverse(*saved), *is_row, *at)
        });
        let mut dropped = true;
        while dropped {
            let before = parts.len();
            parts.retain(|(_, is_row, at)| !counts.drop(block, *is_row, *at));
            dropped = parts.len() < before;
        }
    }
    // Roles that came to give the same are one.
    let mut same: BTreeMap<Bits, Bits> = BTreeMap::new();
    for block in blocks.into_iter().filter(|block| !block.rows.is_empty()) {
        match same.entry(block.columns) {
            Entry::Vacant(new) => {
                new.insert(block.rows);
            }
            Entry::Occupied(mut known) => {
                known.get_mut().unite_shared(&block.rows, &block.rows);
            }
        }
    }
    same.into_iter().map(|(columns, rows)| Block { rows, columns }).collect()
}

/// How many roles account for each pair.
struct Counts {
    /// For each row its columns in ascending order, each with the count.
    rows: Vec<Vec<(usize, u32)>>,
}

impl Counts {
    fn new(classes: &Classes) -> Self {
        let rows = 0..classes.rows.height();
        let columns = |row: usize| classes.rows.row(row).iter().map(|at| (at, 0)).collect();
        Self { rows: rows.map(columns).collect() }
    }

    fn cell(&mut self, (row, column): Pair) -> Option<&mut u32> {
        let row = self.rows.get_mut(row)?;
        let at = row.binary_search_by_key(&column, |cell| cell.0).ok()?;
        row.get_mut(at).map(|cell| &mut cell.1)
    }

    fn of(&self, (row, column): Pair) -> u32 {
        let Some(row) = self.rows.get(row) else { return 0 };
        let at = row.binary_search_by_key(&column, |cell| cell.0).ok();
        at.and_then(|at| row.get(at)).map_or(0, |cell| cell.1)
    }

    fn add(&mut self, block: &Block) {
        for row in block.rows.iter() {
            for column in block.columns.iter() {
                if let Some(count) = self.cell((row, column)) {
                    *count += 1;
                }
            }
        }
    }

    /// Takes a row or a column out of a block, if other blocks account for all of it.
    fn drop(&mut self, block: &mut Block, is_row: bool, at: usize) -> bool {
        let pairs: Vec<Pair> = if is_row {
            block.columns.iter().map(|column| (at, column)).collect()
        } else {
            block.rows.iter().map(|row| (row, at)).collect()
        };
        if pairs.iter().any(|pair| self.of(*pair) < 2) {
            return false;
        }
        for pair in pairs {
            if let Some(count) = self.cell(pair) {
                *count -= 1;
            }
        }
        if is_row {
            block.rows.remove(at);
        } else {
            block.columns.remove(at);
        }
        true
    }
}
