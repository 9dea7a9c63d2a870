//! How large a set of roles is.

use serde::{Deserialize, Serialize};

use super::Role;

/// What one of each counts in the weighted structural complexity (Molloy et al., SACMAT 2008), without a
/// role hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Weights {
    /// A role.
    pub role: u64,
    /// A role given to a user.
    pub user: u64,
    /// A permission put into a role.
    pub permission: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { role: 1, user: 1, permission: 1 }
    }
}

/// The size of a set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Measures {
    /// Roles.
    pub roles: usize,
    /// Pairs of user and role, |UA|.
    pub user_assignments: usize,
    /// Pairs of role and permission, |PA|.
    pub permission_assignments: usize,
    /// The most roles that one user has.
    pub most_roles: usize,
    /// The weighted sum of the first three.
    pub complexity: u64,
}

impl Measures {
    /// Measures roles and what each user has of them.
    #[must_use]
    pub fn of(roles: &[Role], given: &[Vec<u32>], weights: &Weights) -> Self {
        let user_assignments = given.iter().map(Vec::len).sum();
        let permission_assignments = roles.iter().map(|role| role.permissions.len()).sum();
        Self {
            roles: roles.len(),
            user_assignments,
            permission_assignments,
            most_roles: given.iter().map(Vec::len).max().unwrap_or(0),
            complexity: weights.sum(roles.len(), user_assignments, permission_assignments),
        }
    }
}

impl Weights {
    pub(super) const fn sum(&self, roles: usize, users: usize, permissions: usize) -> u64 {
        let roles = self.role.saturating_mul(roles as u64);
        let users = self.user.saturating_mul(users as u64);
        let permissions = self.permission.saturating_mul(permissions as u64);
        roles.saturating_add(users).saturating_add(permissions)
    }
}
