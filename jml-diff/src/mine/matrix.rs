//! Who holds what, over small numbers.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::entitlement::EntitlementRef;
use jml_core::id::IdentityId;

/// Users and the permissions that they hold; both are numbers from 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    permissions: u32,
    /// Where each user's permissions begin in `cells`, and where the last one's end.
    starts: Vec<usize>,
    cells: Vec<u32>,
}

/// Why numbers are not a matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// A permission is not below the number of permissions.
    #[error("user {user} holds permission {permission}, and there are only {permissions}")]
    UnknownPermission {
        /// Who holds it.
        user: usize,
        /// The permission.
        permission: u32,
        /// How many there are.
        permissions: u32,
    },
    /// There are more users or permissions than 32 bits can number.
    #[error("{count} {what} are more than 32 bits can number")]
    TooMany {
        /// Users or permissions.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

impl Matrix {
    /// A matrix from the permissions of each user, in any order. Repeats count once.
    ///
    /// # Errors
    /// [`MatrixError`] for a permission that is not below `permissions`, and for too many users.
    pub fn new(permissions: u32, rows: Vec<Vec<u32>>) -> Result<Self, MatrixError> {
        numbered("users", rows.len())?;
        let mut starts = vec![0];
        let mut cells = Vec::new();
        for (user, mut row) in rows.into_iter().enumerate() {
            row.sort_unstable();
            row.dedup();
            if let Some(&permission) = row.last().filter(|last| **last >= permissions) {
                return Err(MatrixError::UnknownPermission { user, permission, permissions });
            }
            cells.append(&mut row);
            starts.push(cells.len());
        }
        Ok(Self { permissions, starts, cells })
    }

    /// How many users there are.
    #[must_use]
    pub fn users(&self) -> u32 {
        u32::try_from(self.starts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// How many permissions there are.
    #[must_use]
    pub const fn permissions(&self) -> u32 {
        self.permissions
    }

    /// How many pairs of user and permission there are.
    #[must_use]
    pub fn assignments(&self) -> usize {
        self.cells.len()
    }

    /// What a user holds, in ascending order. Nothing for somebody unknown.
    #[must_use]
    pub fn of(&self, user: u32) -> &[u32] {
        let user = user as usize;
        let span = self.starts.get(user).zip(self.starts.get(user + 1));
        span.and_then(|(from, to)| self.cells.get(*from..*to)).unwrap_or_default()
    }

    /// Whether a user holds a permission.
    #[must_use]
    pub fn holds(&self, user: u32, permission: u32) -> bool {
        self.of(user).binary_search(&permission).is_ok()
    }

    /// What each user holds.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        (0..self.users()).map(|user| (user, self.of(user)))
    }
}

/// A matrix whose users and permissions have names. Numbers follow the order of the names, so they are the
/// same whatever order the pairs came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMatrix {
    matrix: Matrix,
    users: Vec<IdentityId>,
    permissions: Vec<EntitlementRef>,
}

impl NamedMatrix {
    /// A matrix from pairs in any order. Repeats count once.
    ///
    /// # Errors
    /// [`MatrixError::TooMany`].
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (IdentityId, EntitlementRef)>,
    ) -> Result<Self, MatrixError> {
        let mut held: BTreeMap<IdentityId, BTreeSet<EntitlementRef>> = BTreeMap::new();
        for (user, permission) in pairs {
            held.entry(user).or_default().insert(permission);
        }
        let all: BTreeSet<&EntitlementRef> = held.values().flatten().collect();
        let count = numbered("permissions", all.len())?;
        let number: BTreeMap<&EntitlementRef, u32> = all.iter().copied().zip(0..count).collect();
        let numbers = |row: &BTreeSet<EntitlementRef>| {
            row.iter().filter_map(|permission| number.get(permission).copied()).collect()
        };
        let matrix = Matrix::new(count, held.values().map(numbers).collect())?;
        let permissions = all.into_iter().cloned().collect();
        Ok(Self { matrix, users: held.into_keys().collect(), permissions })
    }

    /// The numbers.
    #[must_use]
    pub const fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The users, by number.
    #[must_use]
    pub fn users(&self) -> &[IdentityId] {
        &self.users
    }

    /// The permissions, by number.
    #[must_use]
    pub fn permissions(&self) -> &[EntitlementRef] {
        &self.permissions
    }

    /// The name of a user.
    #[must_use]
    pub fn user(&self, number: u32) -> Option<&IdentityId> {
        self.users.get(number as usize)
    }

    /// The name of a permission.
    #[must_use]
    pub fn permission(&self, number: u32) -> Option<&EntitlementRef> {
        self.permissions.get(number as usize)
    }
}

fn numbered(what: &'static str, count: usize) -> Result<u32, MatrixError> {
    u32::try_from(count).map_err(|_| MatrixError::TooMany { what, count })
}
