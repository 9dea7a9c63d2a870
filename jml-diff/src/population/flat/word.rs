//! The word of a person: where their templates are, and whether that is all.

/// The person's templates have a row of their own, and the rest of the word is its number.
pub(super) const SHARED: u32 = 1 << 31;
/// The person has claims of their own.
pub(super) const OWN: u32 = 1 << 30;
/// Where the person's templates begin, or the number of the shared row. All bits: there are none.
pub(super) const PLACE: u32 = OWN - 1;
/// In the place of a list: the person is not done here.
pub(super) const APART: u32 = PLACE - 1;
/// In a list of templates: the last one.
pub(super) const END: u32 = 1 << 31;
