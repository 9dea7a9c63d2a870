//! Checks that need no trust in the miner: that roles give exactly what is held, and that fewer do not do.
//!
//! The argument for the second one. Take two pairs, "user `u` holds permission `p`" and "user `v` holds `q`".
//! One role can account for both only if it holds `p` and `q` and both users have it, so only if `u` holds
//! `q` and `v` holds `p`. Otherwise the pairs are *apart*, and need two roles. Some number of pairs that are
//! all apart from each other (a fooling set) needs as many roles.
//!
//! Where that is not enough, pairs are weighed. If no role can account for pairs that weigh more than a
//! limit together, at least total weight / limit roles are needed, rounded up.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Mined;
use super::matrix::Matrix;

/// A user whose roles do not give exactly what the user holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {user}: permission {permission} is either given and not held, or held and not given")]
#[non_exhaustive]
pub struct NotExact {
    /// The user.
    pub user: u32,
    /// The first permission in which the two differ.
    pub permission: u32,
}

impl Mined {
    /// Checks that the roles of each user give exactly what the user holds. Needs no trust in the miner.
    ///
    /// # Errors
    /// [`NotExact`] for the first user of whom it is not so.
    pub fn check(&self, matrix: &Matrix) -> Result<(), NotExact> {
        let users = matrix.users().max(u32::try_from(self.given.len()).unwrap_or(u32::MAX));
        for user in 0..users {
            let roles = self.given.get(user as usize).into_iter().flatten();
            let roles = roles.filter_map(|role| self.roles.get(*role as usize));
            let given: BTreeSet<u32> = roles.flat_map(|role| &role.permissions).copied().collect();
            let held: BTreeSet<u32> = matrix.of(user).iter().copied().collect();
            if let Some(permission) = given.symmetric_difference(&held).next().copied() {
                return Err(NotExact { user, permission });
            }
        }
        Ok(())
    }
}

/// A pair of user and permission that some role has to account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Witness {
    /// The user.
    pub user: u32,
    /// The permission.
    pub permission: u32,
    /// Its weight. At least 1; 1 if it stands alone.
    pub weight: u32,
}

/// Witnesses of which one role can account for at most a weight of `limit`. Mostly a single one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct WitnessGroup {
    /// The most that one role can account for. At least 1.
    pub limit: u32,
    /// The witnesses.
    pub witnesses: Vec<Witness>,
}

/// Shows that no smaller number of roles can give what is held. Witnesses of different groups are apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Certificate {
    /// The groups.
    pub groups: Vec<WitnessGroup>,
}

/// Why a certificate shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A witness is not in the matrix.
    #[error("user {user} does not hold permission {permission}")]
    NotHeld {
        /// The user.
        user: u32,
        /// The permission.
        permission: u32,
    },
    /// Two witnesses of different groups fit in one role.
    #[error(
        "users {} and {} both hold permissions {} and {}, so one role can account for both witnesses",
        .0.user, .1.user, .0.permission, .1.permission
    )]
    Together(Witness, Witness),
    /// One role can account for more of a group than its limit.
    #[error("one role can account for more than {limit} of group {group}")]
    TooHeavy {
        /// The group, counted from 0.
        group: usize,
        /// Its limit.
        limit: u32,
    },
    /// A limit or a weight is 0.
    #[error("group {group} has a limit or a weight of 0")]
    Zero {
        /// The group, counted from 0.
        group: usize,
    },
    /// A group has too many sets of witnesses that fit together to look at them all.
    #[error("group {group} is too tangled to be checked")]
    TooTangled {
        /// The group, counted from 0.
        group: usize,
    },
}

impl Certificate {
    /// How many roles are needed at least, if the certificate is sound. [`Certificate::check`] says whether
    /// it is.
    #[must_use]
    pub fn claims(&self) -> usize {
        let needed = |group: &WitnessGroup| {
            let total: u64 = group.witnesses.iter().map(|it| u64::from(it.weight)).sum();
            total.div_ceil(u64::from(group.limit.max(1)))
        };
        usize::try_from(self.groups.iter().map(needed).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// How many roles are needed at least to give exactly what the matrix holds.
    ///
    /// # Errors
    /// [`CertificateError`] when the certificate does not show it.
    pub fn check(&self, matrix: &Matrix) -> Result<usize, CertificateError> {
        let mut by_permission: BTreeMap<u32, Vec<(usize, Witness)>> = BTreeMap::new();
        for (group, witness) in self.witnesses() {
            let Witness { user, permission, weight } = witness;
            if !matrix.holds(user, permission) {
                return Err(CertificateError::NotHeld { user, permission });
            }
            if weight == 0 {
                return Err(CertificateError::Zero { group });
            }
            by_permission.entry(permission).or_default().push((group, witness));
        }
        // What fits with a witness has a permission that its user holds.
        for (group, one) in self.witnesses() {
            let held = matrix.of(one.user).iter().filter_map(|it| by_permission.get(it)).flatten();
            for (_, other) in held.filter(|(of, _)| *of != group) {
                if fit(matrix, &one, other) {
                    return Err(CertificateError::Together(one, *other));
                }
            }
        }
        for (group, WitnessGroup { limit, witnesses }) in self.groups.iter().enumerate() {
            if *limit == 0 {
                return Err(CertificateError::Zero { group });
            }
            match exceeds(matrix, witnesses, u64::from(*limit)) {
                Some(false) => {}
                Some(true) => return Err(CertificateError::TooHeavy { group, limit: *limit }),
                None => return Err(CertificateError::TooTangled { group }),
            }
        }
        Ok(self.claims())
    }

    fn witnesses(&self) -> impl Iterator<Item = (usize, Witness)> {
        let groups = self.groups.iter().enumerate();
        groups.flat_map(|(at, group)| group.witnesses.iter().map(move |it| (at, *it)))
    }
}

/// How many witnesses are looked at for one group, each as often as it is met. It bounds time and, at four bytes
/// each, memory, whoever made the certificate.
const LOOKS: usize = 1 << 24;

/// Whether one role can account for both.
fn fit(matrix: &Matrix, one: &Witness, other: &Witness) -> bool {
    matrix.holds(one.user, other.permission) && matrix.holds(other.user, one.permission)
}

/// Whether some of these that all fit together weigh more than `limit`; `None` when it takes too long.
fn exceeds(matrix: &Matrix, among: &[Witness], limit: u64) -> Option<bool> {
    let mut looks = LOOKS;
    // Sets that are still to be looked at, the last one first: where each begins among the places, and what it
    // may weigh. A list, not calls: a certificate from elsewhere may nest as deep as it has witnesses.
    let mut places: Vec<usize> = (0..among.len()).rev().collect();
    let mut todo = vec![(0, limit)];
    while let Some((start, limit)) = todo.pop() {
        let set = places.get(start..).unwrap_or_default();
        looks = looks.checked_sub(set.len() + 1)?;
        let weight = |place: &usize| among.get(*place).map_or(0, |it| u64::from(it.weight));
        if set.iter().map(weight).sum::<u64>() <= limit {
            places.truncate(start);
            continue;
        }
        // A set without the first one, and, before that, a set with it.
        let Some(first) = places.pop().and_then(|place| among.get(place)) else { continue };
        let Some(left) = limit.checked_sub(u64::from(first.weight)) else { return Some(true) };
        todo.push((start, limit));
        let end = places.len();
        for at in start..end {
            let fits = |place: &usize| among.get(*place).is_some_and(|it| fit(matrix, first, it));
            places.extend(places.get(at).copied().filter(fits));
        }
        todo.push((end, left));
    }
    Some(false)
}
