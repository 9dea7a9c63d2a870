//! What becomes of differences.

use super::{FlatError, ID};

/// What becomes of a difference in an entitlement, whoever it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three things that can hold a change back")]
pub struct Fate {
    /// It is claimed and not held, and cannot be given now.
    pub waits: bool,
    /// It is held, not claimed and not granted by us, and stays.
    pub foreign: bool,
    /// It is held, not claimed and granted by us, and stays all the same.
    pub foreign_if_ours: bool,
}

const WAITS: u8 = 1;
const FOREIGN: u8 = 2;

impl Fate {
    const fn bits(self) -> u8 {
        self.waits as u8 | (self.foreign as u8) << 1 | (self.foreign_if_ours as u8) << 2
    }
}

/// The fate of each entitlement.
#[derive(Clone, Debug)]
pub(super) struct Fates {
    bits: Vec<u8>,
    /// How many entitlements there are of which not every difference becomes a grant or a revoke.
    bound: u32,
}

impl Fates {
    pub(super) fn new(entitlements: u32) -> Self {
        Self { bits: vec![0; entitlements as usize], bound: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.bits.len()).unwrap_or(u32::MAX)
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bits.capacity()
    }

    /// Whether every difference becomes a grant or a revoke.
    pub(super) const fn free(&self) -> bool {
        self.bound == 0
    }

    pub(super) fn set(&mut self, entitlement: u32, fate: Fate) -> Result<(), FlatError> {
        let known = self.len();
        let Some(bits) = self.bits.get_mut(entitlement as usize) else {
            return Err(FlatError::Unknown { what: "entitlement", id: entitlement, known });
        };
        let before = std::mem::replace(bits, fate.bits());
        self.bound = self.bound + u32::from(*bits != 0) - u32::from(before != 0);
        Ok(())
    }

    pub(super) fn waits(&self, entitlement: u32) -> bool {
        self.bits.get(entitlement as usize).is_some_and(|bits| bits & WAITS != 0)
    }

    /// Whether a held and unclaimed entitlement, mark included, stays.
    pub(super) fn stays(&self, marked: u32) -> bool {
        let bit = FOREIGN << (marked >> 31);
        self.bits.get((marked & ID) as usize).is_some_and(|bits| bits & bit != 0)
    }
}
