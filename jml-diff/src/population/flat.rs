//! Everybody by numbers alone: what templates give, who has which, and what people hold, in flat rows.
//!
//! For whoever has ids already, and for measuring; [`Population`](super::Population) stands on it. An
//! entitlement is a number below a count that is fixed at the start, a template a number in the order in which
//! it was added, a person likewise.
//!
//! Rows are kept as bits, 32 neighbouring ids at a time, and everything is done for all of a cell at once. So
//! entitlements that are given together should have numbers near each other: [`numbering`] finds such numbers.
//! Answers are the same whatever the numbers.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use jml_diff::population::flat::{Builder, OURS};
//!
//! // Five entitlements. A template gives 0 and 1; one person has it, and 3 by a word of their own.
//! let mut builder = Builder::new(5)?;
//! let template = builder.template(&[0, 1])?;
//! builder.person(&[template], &[(3, 0)], &[1, 4 | OURS])?;
//! let deltas = builder.finish().diff(NonZeroUsize::MIN);
//! let only = deltas.iter().next().ok_or("nothing differs")?;
//! assert_eq!((only.grants, only.revokes), ([0, 3].as_slice(), [4].as_slice()));
//! assert_eq!(deltas.totals().keeps, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod cell;
mod change;
mod deltas;
mod edit;
mod fate;
mod names;
mod numbering;
mod own;
mod rows;
mod stamp;
mod templates;
mod walk;
mod word;

use std::collections::BTreeMap;
use std::ops::Range;

pub use build::Builder;
use cell::Cell;
pub use deltas::{Deltas, Difference, Totals};
pub use edit::{Edited, Index, Shift};
pub use fate::Fate;
use fate::Fates;
pub use names::Names;
pub use numbering::numbering;
use own::Own;
use rows::Shared;
use templates::Templates;

/// Marks an id in a held row: the ledger says that we granted it.
pub const OURS: u32 = 1 << 31;
/// The id in a held row, without its mark.
pub const ID: u32 = OURS - 1;

/// Why rows cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlatError {
    /// More than 32-bit places can tell apart.
    #[error("there are too many {what} for one population")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// An id that was never given out.
    #[error("{what} {id} is not known; there are {known}")]
    Unknown {
        /// Of what.
        what: &'static str,
        /// The id.
        id: u32,
        /// How many are known.
        known: u32,
    },
    /// A held row must be ascending, without repeats.
    #[error("person {person} holds {id} at a wrong place or twice")]
    Order {
        /// Who.
        person: u32,
        /// The id that is out of order.
        id: u32,
    },
}

/// Everybody, by numbers.
#[derive(Clone, Debug)]
pub struct Flat {
    fates: Fates,
    templates: Templates,
    /// Lists of templates, one after the other; the last of each is marked [`END`](word::END).
    sets: Vec<u32>,
    /// Where those lists are that were given out after the start.
    later: BTreeMap<Vec<u32>, u32>,
    shared: Vec<Shared>,
    shared_cells: Vec<Cell>,
    /// Where each person's templates are: see [`word`].
    people: Vec<u32>,
    own: Own,
    /// Where each person's held row begins, and where the last one ends.
    starts: Vec<u32>,
    held: Vec<Cell>,
    /// How many ids are held.
    pairs: usize,
    /// How many of them by people who are left out of walks.
    apart: usize,
    /// Whether some held row has two cells of one block.
    mixed: bool,
}

fn index(len: usize, most: u32, what: &'static str) -> Result<u32, FlatError> {
    u32::try_from(len).ok().filter(|len| *len <= most).ok_or(FlatError::TooMany { what })
}

fn span(starts: &[u32], at: usize) -> Range<usize> {
    let place = |at: usize| starts.get(at).copied().unwrap_or_default() as usize;
    place(at)..place(at + 1)
}
