//! What the workers sent, for tests.

use std::collections::BTreeMap;
use std::path::Path;

use crate::company::Failure;
use crate::worker::SENDS;

/// A change that was sent.
pub(crate) struct Send {
    pub(crate) worker: String,
    pub(crate) key: String,
}

/// Every change that was sent, by all workers, in order.
pub(crate) fn sends(folder: &Path) -> Result<Vec<Send>, Failure> {
    let text = std::fs::read_to_string(folder.join(SENDS))?;
    let parts = text.lines().filter_map(|line| line.split_once(' '));
    Ok(parts.map(|(worker, key)| Send { worker: worker.into(), key: key.into() }).collect())
}

/// How often each is there.
pub(crate) fn tally<'a>(all: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    all.fold(BTreeMap::new(), |mut tally, one| {
        *tally.entry(one).or_default() += 1;
        tally
    })
}
