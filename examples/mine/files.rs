//! What lies in files: matrices, and figures that others published.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use jml_diff::mine::Matrix;

/// Why a file is not read, in people's words.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Reads a matrix.
pub(crate) fn matrix(path: &Path) -> Result<Matrix, Failure> {
    let text = std::fs::read_to_string(path)?;
    let mut rows: Vec<Vec<u32>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let held = line.split_once(':').map(|(_, held)| held.split_whitespace());
        let held = held.ok_or_else(|| format!("line {number}: no `:` after the user"))?;
        let held = held.map(str::parse).collect::<Result<_, _>>();
        rows.push(held.map_err(|error| format!("line {number}: {error}"))?);
    }
    // Numbers that nobody holds are left out.
    let held: BTreeSet<u32> = rows.iter().flatten().copied().collect();
    let number: BTreeMap<u32, u32> = held.into_iter().zip(0..).collect();
    for permission in rows.iter_mut().flatten() {
        *permission = number.get(permission).copied().unwrap_or(*permission);
    }
    Ok(Matrix::new(u32::try_from(number.len())?, rows)?)
}

/// The best figures that others published for a set.
#[derive(Default)]
pub(crate) struct Published {
    fewest: Option<usize>,
    least: Option<u64>,
}

impl Published {
    /// Looks beside a matrix for what is known about it.
    pub(crate) fn beside(path: &Path) -> Result<Self, Failure> {
        let mut out = Self::default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let table = folder.join("reference-decompositions.csv");
        if table.is_file() {
            for line in csv::Reader::from_path(&table)?.into_records() {
                let line = line?;
                // dataset, method, roles, ua, pa, wsc, exact, ...
                if line.get(0) == Some(&name) && line.get(6) == Some("True") {
                    let (roles, wsc) = (line.get(2).unwrap_or(""), line.get(5).unwrap_or(""));
                    out.take(roles.parse()?, wsc.parse()?);
                }
            }
        }
        let best = folder.join("best-known");
        if best.is_dir() {
            let begins = format!("{name}.");
            for file in std::fs::read_dir(&best)? {
                let file = file?;
                if file.file_name().to_string_lossy().starts_with(&begins) {
                    out.roles(&std::fs::read_to_string(file.path())?);
                }
            }
        }
        Ok(out)
    }

    /// Takes in a set of roles, one a line: permissions, a bar, users.
    fn roles(&mut self, text: &str) {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let roles: Vec<_> = lines.filter_map(|line| line.split_once('|')).collect();
        let words = |text: &str| text.split_whitespace().count();
        let cells: usize = roles.iter().map(|(held, users)| words(held) + words(users)).sum();
        self.take(roles.len(), (roles.len() + cells) as u64);
    }

    fn take(&mut self, roles: usize, complexity: u64) {
        self.fewest = Some(self.fewest.map_or(roles, |fewest| fewest.min(roles)));
        self.least = Some(self.least.map_or(complexity, |least| least.min(complexity)));
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fewest, self.least) {
            (Some(fewest), Some(least)) => write!(f, "{fewest}, {least}"),
            _ => f.write_str("none here"),
        }
    }
}
