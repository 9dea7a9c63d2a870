//! Role mining: from who holds what to role templates that give nobody anything new.
//!
//! [`mine`] finds roles whose permissions are together exactly what each user holds, as few as it can, and a
//! [`Certificate`] that a small function of its own checks: it shows how many roles are needed at least.
//! Pure and deterministic; how users are numbered makes no difference to the roles.
//!
//! The fewest roles are not always the smallest description: [`Measures`] says what they come to.
//!
//! ```
//! use jml_diff::mine::{Matrix, Options, Proof, mine};
//!
//! // Two users share permission 0; one of them holds 1 and 2 besides.
//! let matrix = Matrix::new(3, vec![vec![0], vec![0, 1, 2]])?;
//! let mined = mine(&matrix, &Options::default());
//! assert_eq!(mined.roles.len(), 2);
//! assert_eq!(mined.certificate.check(&matrix), Ok(2));
//! assert_eq!(mined.proof, Proof::Certified);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod certificate;
mod classes;
mod draft;
mod fraction;
mod graph;
mod matrix;
mod measures;
mod reduce;
mod shape;
mod suggest;

use serde::{Deserialize, Serialize};

pub use certificate::{Certificate, CertificateError, NotExact, Witness, WitnessGroup};
pub use draft::{DraftError, PolicyDraft, PolicyNames};
pub use matrix::{Matrix, MatrixError, NamedMatrix};
pub use measures::{Measures, Weights};
pub use suggest::{LastUse, Outlier, OutlierLimits, PeerGroup, Unused, outliers, unused};

use bits::Bits;
use classes::{Block, Classes};
use graph::Effort;
use reduce::{Apart, Guess};

/// How to mine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Options {
    /// What counts in [`Measures::complexity`]. It decides between covers of as few roles, too.
    pub weights: Weights,
    /// How long to search, in comparisons of two sets. A count ends the search at the same place on every
    /// machine. What is left then is covered plainly.
    pub effort: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { weights: Weights::default(), effort: 20_000_000 }
    }
}

/// A role: every one of its users holds every one of its permissions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Role {
    /// What it gives, in ascending order.
    pub permissions: Vec<u32>,
    /// Who has it, in ascending order.
    pub users: Vec<u32>,
}

/// What is known about the number of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Proof {
    /// There may be fewer, down to what the certificate says.
    Open,
    /// There are no fewer: the search came to its end. Only another search can check that.
    Searched,
    /// There are no fewer: the certificate says so.
    Certified,
}

/// What was mined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Mined {
    /// The roles, those of the most users first. All are different.
    pub roles: Vec<Role>,
    /// For each user the roles, by their place in `roles`.
    pub given: Vec<Vec<u32>>,
    /// How many roles are needed at least, and why.
    pub certificate: Certificate,
    /// Whether there could be fewer.
    pub proof: Proof,
    /// How large they are.
    pub measures: Measures,
}

/// Finds roles whose permissions are together exactly what each user holds.
///
/// Needs six bits for each pair of a distinct user and a distinct permission, and some memory for each pair
/// that is held.
#[must_use]
pub fn mine(matrix: &Matrix, options: &Options) -> Mined {
    let classes = Classes::of(matrix);
    let mut best: Option<((usize, u64), Vec<Block>)> = None;
    let mut consider = |blocks: &[Block], effort: &mut Effort| {
        let blocks = shape::shape(&classes, blocks, &options.weights, effort);
        let size = (blocks.len(), shape::complexity(&classes, &blocks, &options.weights));
        if best.as_ref().is_none_or(|(least, _)| size < *least) {
            best = Some((size, blocks));
        }
    };
    let mut apart: Vec<Apart> = Vec::new();
    let mut smallest = false;
    let mut effort = Effort(options.effort);
    for guess in [Guess::Both, Guess::Rows, Guess::Columns] {
        let found = reduce::cover(&classes, guess, &mut effort);
        consider(&found.blocks, &mut effort);
        if needed(&found.apart) > needed(&apart) {
            apart = found.apart;
        }
        smallest |= found.smallest;
        if !found.guessed || effort.is_spent() {
            break;
        }
    }
    if !smallest {
        // Where nothing repeats, one role for each user or for each permission is hard to beat.
        consider(&classes.by_row(), &mut effort);
        consider(&classes.by_column(), &mut effort);
        let lonely = reduce::lonely(&classes);
        if needed(&lonely) > needed(&apart) {
            apart = lonely;
        }
    }
    let blocks = best.map(|(_, blocks)| blocks).unwrap_or_default();
    let mut roles: Vec<Role> = blocks.iter().map(|block| role(&classes, block)).collect();
    roles.sort_by(|a, b| (b.users.len(), &a.permissions).cmp(&(a.users.len(), &b.permissions)));
    let mut given = vec![Vec::new(); matrix.users() as usize];
    for (number, role) in (0..).zip(&roles) {
        for user in &role.users {
            if let Some(given) = given.get_mut(*user as usize) {
                given.push(number);
            }
        }
    }
    let certificate = certificate(&classes, &apart);
    let proof = match certificate.check(matrix) {
        Ok(least) if least == roles.len() => Proof::Certified,
        _ if smallest => Proof::Searched,
        _ => Proof::Open,
    };
    let measures = Measures::of(&roles, &given, &options.weights);
    Mined { roles, given, certificate, proof, measures }
}

fn role(classes: &Classes, block: &Block) -> Role {
    let all = |of: &[Vec<u32>], picked: &Bits| {
        let mut all: Vec<u32> =
            picked.iter().filter_map(|at| of.get(at)).flatten().copied().collect();
        all.sort_unstable();
        all
    };
    Role {
        permissions: all(&classes.permissions, &block.columns),
        users: all(&classes.users, &block.rows),
    }
}

/// How many roles pairs that are apart need.
fn needed(apart: &[Apart]) -> u64 {
    let weight = |it: &Apart| it.pairs.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>();
    apart.iter().map(|it| weight(it).div_ceil(u64::from(it.limit))).sum()
}

fn certificate(classes: &Classes, apart: &[Apart]) -> Certificate {
    let first = |of: &[Vec<u32>], at: usize| of.get(at)?.first().copied();
    let witness = |((row, column), weight): ((usize, usize), u32)| {
        let user = first(&classes.users, row)?;
        Some(Witness { user, permission: first(&classes.permissions, column)?, weight })
    };
    let group = |it: &Apart| WitnessGroup {
        limit: it.limit,
        witnesses: it.pairs.iter().copied().filter_map(witness).collect(),
    };
    Certificate { groups: apart.iter().map(group).collect() }
}
