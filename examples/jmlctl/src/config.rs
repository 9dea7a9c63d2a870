//! The project's configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::exit::{CONFIG, Failure};
use crate::targets::TargetConfig;

/// `jml.toml`. Paths are relative to the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Version of this file's format.
    version: u32,
    /// The policy, YAML or TOML.
    pub(crate) policy: PathBuf,
    /// Where people come from.
    pub(crate) feed: FeedConfig,
    /// Where the engine keeps its journals.
    pub(crate) journal: PathBuf,
    /// Where evidence is kept, and how it is signed.
    pub(crate) evidence: EvidenceConfig,
    /// The local directory, if there is one.
    pub(crate) local: Option<LocalConfig>,
    /// Targets over the network, by the id that the policy names.
    #[serde(default)]
    pub(crate) targets: BTreeMap<String, TargetConfig>,
    #[serde(skip)]
    base: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedConfig {
    /// The name under which the feed's words are recorded.
    pub(crate) source: String,
    /// The CSV file.
    pub(crate) path: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceConfig {
    /// The evidence folder.
    pub(crate) dir: PathBuf,
    /// The log's name, such as `example.com/jml`.
    pub(crate) origin: String,
    /// The file with the private key. Outside the folder, so that the folder can be given away.
    pub(crate) key: PathBuf,
    /// The file with the key of the vault, in which personal values lie. Losing it is erasing them all.
    pub(crate) vault_key: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalConfig {
    /// The provider's id, as the policy names it.
    pub(crate) id: String,
    /// The directory's file.
    pub(crate) path: PathBuf,
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            let text = format!("cannot read `{shown}`: {e}; `jmlctl init` writes a project");
            Failure::new(CONFIG, text)
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|e| {
            let place = e.span().unwrap_or_default();
            let before = text.get(..place.start).unwrap_or_default();
            if !text.get(..place.end).unwrap_or_default().contains("[targets") {
                return Failure::new(CONFIG, format!("in `{shown}`: {e}"));
            }
            // The words and the line, and not the text of the line: it may hold a secret that does not
            // belong there.
            let line = before.matches('\n').count() + 1;
            Failure::new(CONFIG, format!("in `{shown}`, line {line}: {}", e.message()))
        })?;
        if config.version != 1 {
            let text = format!("in `{shown}`: version {} is unknown, write 1", config.version);
            return Err(Failure::new(CONFIG, text));
        }
        config.base = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(config)
    }

    /// The folder that paths are relative to.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// A path of the file, from where the program stands.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}
