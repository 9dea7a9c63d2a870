//! The layout of a log on disk (C2SP tlog-tiles): tiles of 256 hashes, bundles of 256 entries.

use std::collections::BTreeMap;

use crate::merkle::{Frontier, Hash, Subtrees, node_hash, root};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;

/// Largest entry, in bytes: a bundle's length prefix has 16 bits.
pub const MAX_ENTRY: usize = 65_535;

/// Where a tile or a bundle lies. Level `None` is a bundle of entries.
#[must_use]
pub fn path(level: Option<u32>, index: u64, width: u64) -> String {
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", groups.join("/"))
}

/// Every tile and bundle of a log of a size: its path, level, index and width.
#[must_use]
pub fn files(size: u64) -> Vec<(String, Option<u32>, u64, u64)> {
    let mut out = Vec::new();
    let mut push = |level: Option<u32>, count: u64| {
        for index in 0..count.div_ceil(WIDTH) {
            let width = (count - index * WIDTH).min(WIDTH);
            out.push((path(level, index, width), level, index, width));
        }
    };
    push(None, size);
    let (mut level, mut count) = (0, size);
    while count > 0 {
        push(Some(level), count);
        level += 1;
        count /= WIDTH;
    }
    out
}

/// The right edge of a growing tree: the tiles that are not full yet, and the root.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    frontier: Frontier,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Adds the hash of the next leaf, and hands over each tile that it fills: level, index, hashes.
    pub fn push(&mut self, leaf: Hash, full: &mut dyn FnMut(u32, u64, &[Hash])) {
        self.frontier.push(leaf);
        let (mut hash, mut count) = (leaf, self.frontier.size());
        for level in 0_u32.. {
            if self.levels.len() <= level as usize {
                self.levels.push(Vec::with_capacity(256));
            }
            let Some(tile) = self.levels.get_mut(level as usize) else { return };
            tile.push(hash);
            if count % WIDTH != 0 {
                return;
            }
            full(level, count / WIDTH - 1, tile);
            hash = root(tile);
            tile.clear();
            count /= WIDTH;
        }
    }

    /// The tiles that are not full: level, index, hashes.
    pub fn partial(&self) -> impl Iterator<Item = (u32, u64, &[Hash])> {
        (0_u32..).zip(&self.levels).filter(|(_, tile)| !tile.is_empty()).map(|(level, tile)| {
            // Sixty-four bits of size have eight levels of tiles, so the shift is small.
            (level, (self.size() >> (8 * level)) / WIDTH, tile.as_slice())
        })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

/// Reads the hashes of a tree of a size from its tiles.
pub struct TileReader<'a> {
    size: u64,
    fetch: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    known: BTreeMap<(u32, u64), Vec<u8>>,
}

impl std::fmt::Debug for TileReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TileReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<'a> TileReader<'a> {
    /// A reader of a tree; `fetch` gives the bytes of a tile by its path.
    pub fn new(size: u64, fetch: &'a dyn Fn(&str) -> Option<Vec<u8>>) -> Self {
        Self { size, fetch, known: BTreeMap::new() }
    }

    fn tile(&mut self, level: u32, index: u64) -> Option<&[u8]> {
        let width = ((self.size >> (8 * level)) - index * WIDTH).min(WIDTH);
        if !self.known.contains_key(&(level, index)) {
            let bytes = (self.fetch)(&path(Some(level), index, width))?;
            self.known.insert((level, index), bytes);
        }
        self.known.get(&(level, index)).map(Vec::as_slice)
    }

    /// The hash of a leaf.
    pub fn leaf(&mut self, index: u64) -> Option<Hash> {
        self.subtree(index, index + 1)
    }
}

impl Subtrees for TileReader<'_> {
    fn subtree(&mut self, from: u64, to: u64) -> Option<Hash> {
        if to > self.size || from >= to {
            return None;
        }
        let count = to - from;
        if !count.is_power_of_two() {
            let middle = from + (1 << count.ilog2());
            let (left, right) = (self.subtree(from, middle)?, self.subtree(middle, to)?);
            return Some(node_hash(&left, &right));
        }
        let (level, within) = (count.ilog2() / 8, 1_usize << (count.ilog2() % 8));
        let first = from >> (8 * level);
        let tile = self.tile(level, first / WIDTH)?;
        let at = usize::try_from(first % WIDTH).ok()? * 32;
        let bytes = tile.get(at..at + within * 32)?;
        let hashes: Vec<Hash> = bytes.chunks_exact(32).filter_map(|c| c.try_into().ok()).collect();
        Some(root(&hashes))
    }
}

/// The bytes of a bundle: each entry behind its length in two bytes, most significant first. `None` when
/// an entry is too long.
#[must_use]
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Some(out)
}

/// The entries of a bundle; `None` when its bytes do not add up.
#[must_use]
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        out.push(entry.to_vec());
        bytes = rest;
    }
    Some(out)
}
