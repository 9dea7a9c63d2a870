//! The layout of a log on disk (C2SP tlog-tiles): tiles of 256 hashes, bundles of 256 entries.

use crate::merkle::{Hash, root};

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

/// The hashes of every level: level 0 holds the leaves, each further one the roots of full tiles.
#[must_use]
pub fn levels(leaves: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut levels = vec![leaves];
    loop {
        let Some(below) = levels.last() else { return levels };
        let above: Vec<Hash> = below.chunks_exact(256).map(root).collect();
        if above.is_empty() {
            return levels;
        }
        levels.push(above);
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
