//! Access that somebody should look at, each with its numbers. Suggestions: nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::matrix::Matrix;
use super::{Mined, Role};

/// What is known about when a user last used a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "three-valued by definition")]
pub enum LastUse {
    /// Its use is not recorded. Silence then says nothing, and nothing is suggested.
    NotRecorded,
    /// Its use is recorded, and there was none.
    Never,
    /// Then.
    At(DateTime<Utc>),
}

/// A permission that its user did not use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Unused {
    /// The user.
    pub user: u32,
    /// The permission.
    pub permission: u32,
    /// When it was last used; `None` for never.
    pub last: Option<DateTime<Utc>>,
    /// Not since then.
    pub since: DateTime<Utc>,
    /// How many others hold it and have its use recorded.
    pub others: u32,
    /// How many of those used it since.
    pub others_used: u32,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, permission, since, others, others_used, .. } = self;
        let since = since.date_naive();
        write!(f, "user {user} holds permission {permission} and ")?;
        match self.last {
            None => f.write_str("never used it")?,
            Some(last) => write!(f, "last used it on {}", last.date_naive())?,
        }
        write!(f, "; {others_used} of {others} others used it since {since}")
    }
}

/// Permissions that were not used at `since` or later.
pub fn unused(
    matrix: &Matrix,
    since: DateTime<Utc>,
    last_use: impl Fn(u32, u32) -> LastUse,
) -> Vec<Unused> {
    let mut out = Vec::new();
    let mut recorded: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for (user, held) in matrix.rows() {
        for permission in held.iter().copied() {
            let last = match last_use(user, permission) {
                LastUse::NotRecorded => continue,
                LastUse::Never => None,
                LastUse::At(last) => Some(last),
            };
            let used = last.is_some_and(|last| last >= since);
            let (holders, users) = recorded.entry(permission).or_default();
            *holders += 1;
            *users += u32::from(used);
            if !used {
                let (others, others_used) = (0, 0);
                out.push(Unused { user, permission, last, since, others, others_used });
            }
        }
    }
    for line in &mut out {
        let (holders, users) = recorded.get(&line.permission).copied().unwrap_or_default();
        (line.others, line.others_used) = (holders.saturating_sub(1), users);
    }
    out
}

/// Users who have something in common: a role, a department, a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PeerGroup {
    /// In people's words.
    pub name: SmolStr,
    /// Who is in it.
    pub users: BTreeSet<u32>,
    /// What being in it gives by itself. It says nothing about that.
    pub gives: BTreeSet<u32>,
}

impl PeerGroup {
    fn of_role((number, role): (usize, &Role)) -> Self {
        Self {
            name: SmolStr::new(format!("role {number}")),
            users: role.users.iter().copied().collect(),
            gives: role.permissions.iter().copied().collect(),
        }
    }
}

impl Mined {
    /// The users of each role as peers, in the order of the roles.
    #[must_use]
    pub fn peer_groups(&self) -> Vec<PeerGroup> {
        self.roles.iter().enumerate().map(PeerGroup::of_role).collect()
    }
}

/// When a permission counts as unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct OutlierLimits {
    /// Groups with fewer other users than this say nothing.
    pub least_peers: u32,
    /// The largest share of those others who hold it, too, in per mille.
    pub most_permille: u16,
}

impl Default for OutlierLimits {
    fn default() -> Self {
        Self { least_peers: 10, most_permille: 50 }
    }
}

/// A permission that few peers hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Outlier {
    /// The user.
    pub user: u32,
    /// The permission.
    pub permission: u32,
    /// How many groups of the user were large enough to say something. All of them say the same.
    pub groups: u32,
    /// The one in which the permission is the most usual.
    pub group: SmolStr,
    /// How many others are in that one.
    pub peers: u32,
    /// How many of those hold it.
    pub holders: u32,
}

impl fmt::Display for Outlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, permission, groups, group, peers, holders } = self;
        write!(f, "user {user} holds permission {permission}; of {peers} peers in `{group}` ")?;
        write!(f, "{holders} do, and that is the most in {groups} groups")
    }
}

/// Permissions that few of their user's peers hold, in every group of the user that is large enough.
#[must_use]
pub fn outliers(matrix: &Matrix, groups: &[PeerGroup], limits: &OutlierLimits) -> Vec<Outlier> {
    let large = groups.iter().filter_map(|group| {
        let peers = u32::try_from(group.users.len()).unwrap_or(u32::MAX).checked_sub(1)?;
        let enough = peers > 0 && peers >= limits.least_peers;
        enough.then(|| Heard { group, peers, holders: holders(matrix, group) })
    });
    let large: Vec<Heard<'_>> = large.collect();
    let mut of_user: BTreeMap<u32, Vec<&Heard<'_>>> = BTreeMap::new();
    for heard in &large {
        for user in &heard.group.users {
            of_user.entry(*user).or_default().push(heard);
        }
    }
    let mut out = Vec::new();
    for (user, groups) in of_user {
        for permission in matrix.of(user).iter().copied() {
            let heard = groups.iter().filter(|it| !it.group.gives.contains(&permission));
            let counts = heard.clone().map(|it| {
                // The user is one of those who hold it.
                let others = it.holders.get(&permission).copied().unwrap_or(1) - 1;
                (others, it.peers, &it.group.name)
            });
            // Shares are compared as whole numbers.
            let most = counts.max_by(|(a, of_a, _), (b, of_b, _)| {
                (u64::from(*a) * u64::from(*of_b)).cmp(&(u64::from(*b) * u64::from(*of_a)))
            });
            let Some((holders, peers, group)) = most else { continue };
            let few =
                u64::from(holders) * 1000 <= u64::from(peers) * u64::from(limits.most_permille);
            if few {
                let groups = u32::try_from(heard.count()).unwrap_or(u32::MAX);
                let group = group.clone();
                out.push(Outlier { user, permission, groups, group, peers, holders });
            }
        }
    }
    out
}

/// A group that is large enough.
struct Heard<'a> {
    group: &'a PeerGroup,
    /// How many others each member has in it.
    peers: u32,
    /// How many hold each permission.
    holders: BTreeMap<u32, u32>,
}

/// How many of a group hold each permission.
fn holders(matrix: &Matrix, group: &PeerGroup) -> BTreeMap<u32, u32> {
    let mut out = BTreeMap::new();
    for permission in group.users.iter().flat_map(|user| matrix.of(*user)) {
        *out.entry(*permission).or_insert(0) += 1;
    }
    out
}
