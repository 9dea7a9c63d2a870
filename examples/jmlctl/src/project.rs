//! A project, opened: policy, facts, engine, evidence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_connectors::csv::CsvSource;
use jml_connectors::kit::Client;
use jml_connectors::local::LocalDirectory;
use jml_connectors::scim::Capabilities;
use jml_core::clock::Clock;
use jml_core::facts::{Facts, MergeReport};
use jml_core::id::{CampaignId, ProviderId, SourceId};
use jml_core::policy::Policy;
use jml_core::policy_file;
use jml_core::provider::{Layer, Provider};
use jml_core::review::Campaign;
use jml_core::source::{Feed, FeedStats, Source as _};
use jml_core::time::TzdbZones;
use jml_engine::feed::{FeedIssue, judge};
use jml_engine::store::SqliteStore;
use jml_engine::{Engine, Ports, Silent, SystemClock};
use jml_evidence::entropy::OsEntropy;
use jml_evidence::note::{CheckpointSigner as _, Ed25519Signer, VerifierKey};
use jml_evidence::store::Keys;
use jml_evidence::vault::LocalKey;
use jml_evidence::{EvidenceStore, SharedStore};

use crate::config::Config;
use crate::exit::{CONFIG, ERROR, Failure};
use crate::targets;

/// Names of the documents beside the journal.
const FACTS: &str = "facts";
const FEED: &str = "feed";

/// Everything that a command works with.
pub(crate) struct Project {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) local: Option<Arc<LocalDirectory>>,
    pub(crate) engine: Engine,
    /// Of SCIM servers, what the configuration says that they can do.
    pub(crate) scim: BTreeMap<ProviderId, (Client, Capabilities)>,
    /// For writers only.
    pub(crate) evidence: Option<Arc<SharedStore>>,
    pub(crate) facts: Facts,
    facts_version: u64,
    last_feed: Option<FeedStats>,
    feed_version: u64,
}

/// Whose time a project lives in.
pub(crate) struct Time {
    /// What says the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// For how long somebody waits for a run to go on.
    pub(crate) patience: TimeDelta,
    /// What every call to a target goes through besides; for a clock that has to know what is on its way.
    pub(crate) layer: Option<Arc<dyn Layer>>,
}

impl Time {
    /// The machine's own.
    pub(crate) fn real() -> Self {
        Self { clock: Arc::new(SystemClock), patience: TimeDelta::seconds(5), layer: None }
    }
}

/// A feed and what came of looking at it.
pub(crate) struct FeedNews {
    pub(crate) feed: Feed,
    pub(crate) issues: Vec<FeedIssue>,
    pub(crate) merged: MergeReport,
}

impl Project {
    /// Opens a project. Only a `writer` opens the evidence, so that looking needs no lock.
    pub(crate) fn open(config: &Path, time: Time, writer: bool) -> Result<Self, Failure> {
        let config = Config::read(config)?;
        let policy = read_policy(&config.resolve(&config.policy))?;
        let wrong = |what: String| Failure::new(CONFIG, what);
        let paths = [&config.journal, &config.evidence.key, &config.evidence.vault_key];
        for path in paths.into_iter().chain(config.local.as_ref().map(|it| &it.path)) {
            let path = config.resolve(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)
                    .map_err(|e| wrong(format!("cannot make `{}`: {e}", parent.display())))?;
            }
        }
        let store = SqliteStore::open(&config.resolve(&config.journal))
            .map_err(|e| wrong(e.to_string()))?;
        let store = Arc::new(store);
        let mut providers: BTreeMap<ProviderId, Arc<dyn Provider>> = BTreeMap::new();
        let mut local = None;
        if let Some(there) = &config.local {
            let id = ProviderId::new(&there.id).map_err(|e| wrong(e.to_string()))?;
            let directory = LocalDirectory::open(id.clone(), &config.resolve(&there.path))
                .map_err(|e| wrong(e.to_string()))?;
            let directory = Arc::new(directory);
            define(&directory, &policy)?;
            providers.insert(id, directory.clone());
            local = Some(directory);
        }
        let mut scim = BTreeMap::new();
        for (name, target) in &config.targets {
            let made = targets::connect(name, target, config.base(), time.layer.clone())?;
            let at = made.provider.descriptor().id.clone();
            if providers.contains_key(&at) {
                return Err(wrong(format!("`{name}` is the local directory's name too")));
            }
            if let Some(told) = made.scim {
                scim.insert(at.clone(), told);
            }
            providers.insert(at, made.provider);
        }
        if providers.is_empty() {
            let text =
                "there is no target: add [targets.NAME], or [local] for a directory in a file";
            return Err(wrong(text.to_owned()));
        }
        let ports = Ports {
            providers,
            journal: store.clone(),
            clock: time.clock,
            people: Arc::new(Silent),
            patience: time.patience,
        };
        let mut engine = Engine::new(ports, Arc::new(TzdbZones));
        let mut evidence = None;
        if writer {
            let dir = config.resolve(&config.evidence.dir);
            let keys = Keys {
                signer: Box::new(signer(&config)?),
                vault: Box::new(vault_key(&config)?),
                entropy: Box::new(OsEntropy),
            };
            let store = Arc::new(EvidenceStore::open(&dir, keys)?.shared());
            engine = engine.with_evidence(store.clone());
            evidence = Some(store);
        }
        let (facts, facts_version) = document(&store, FACTS)?.unwrap_or_default();
        let (last_feed, feed_version) = match document(&store, FEED)? {
            Some((stats, version)) => (Some(stats), version),
            None => (None, 0),
        };
        Ok(Self {
            config,
            policy,
            store,
            local,
            engine,
            scim,
            evidence,
            facts,
            facts_version,
            last_feed,
            feed_version,
        })
    }

    /// Reads the policy again, after it was edited.
    pub(crate) fn reload_policy(&mut self) -> Result<(), Failure> {
        self.policy = read_policy(&self.config.resolve(&self.config.policy))?;
        self.local.as_ref().map_or(Ok(()), |local| define(local, &self.policy))
    }

    /// Reads a file as the feed's source would send it.
    pub(crate) fn feed(&self, path: PathBuf, at: DateTime<Utc>) -> Result<Feed, Failure> {
        let source = SourceId::new(&self.config.feed.source)
            .map_err(|e| Failure::new(CONFIG, e.to_string()))?;
        let source = CsvSource::new(source, path, self.policy.attributes.clone());
        block_on(source.read(at)).map_err(|e| Failure::new(CONFIG, e.to_string()))
    }

    /// Reads the feed, judges it, and takes it into the facts if it is healthy. Nothing is stored yet.
    pub(crate) fn read_feed(&mut self, at: DateTime<Utc>) -> Result<FeedNews, Failure> {
        let feed = self.feed(self.config.resolve(&self.config.feed.path), at)?;
        let issues = judge(&feed, self.last_feed.as_ref(), &self.policy.feed, at);
        let merged = if issues.is_empty() {
            self.last_feed = Some(feed.stats.clone());
            self.facts.merge(&feed, at)
        } else {
            MergeReport::default()
        };
        Ok(FeedNews { feed, issues, merged })
    }

    /// Stores facts and feed figures. Fails if another process did so since they were read.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        let bytes = |value: serde_json::Result<Vec<u8>>| {
            value.map_err(|e| Failure::new(ERROR, e.to_string()))
        };
        let facts = bytes(serde_json::to_vec(&self.facts))?;
        self.facts_version = self.store.put_document(FACTS, self.facts_version, &facts)?;
        if let Some(stats) = &self.last_feed {
            let stats = bytes(serde_json::to_vec(stats))?;
            self.feed_version = self.store.put_document(FEED, self.feed_version, &stats)?;
        }
        Ok(())
    }

    /// A campaign of reviews and its version; nothing if there is none of this name.
    pub(crate) fn campaign(&self, id: &CampaignId) -> Result<Option<(Campaign, u64)>, Failure> {
        document(&self.store, &format!("review:{id}"))
    }

    /// Stores a campaign. Fails if another process did so since it was read.
    pub(crate) fn save_campaign(&self, campaign: &Campaign, version: u64) -> Result<(), Failure> {
        let name = format!("review:{}", campaign.rules().id);
        let bytes = serde_json::to_vec(campaign)?;
        self.store.put_document(&name, version, &bytes)?;
        Ok(())
    }

    /// The evidence, for writing.
    pub(crate) fn evidence(&self) -> Result<&SharedStore, Failure> {
        let none = || Failure::new(ERROR, "this command does not write evidence");
        self.evidence.as_deref().ok_or_else(none)
    }

    /// The public key of the log.
    pub(crate) fn verifier(&self) -> Result<VerifierKey, Failure> {
        Ok(signer(&self.config)?.verifier())
    }
}

/// Makes what the policy names in a directory of our own.
fn define(local: &LocalDirectory, policy: &Policy) -> Result<(), Failure> {
    for (at, entry) in &policy.entitlements {
        if at.provider == local.descriptor().id {
            local.define(&at.key, &entry.title, entry.seats)?;
        }
    }
    Ok(())
}

/// Reads a policy file.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::new(CONFIG, format!("cannot read the policy `{shown}`: {e}")))?;
    policy_file::parse(&shown, &text).map_err(|e| Failure::new(CONFIG, e.to_string()))
}

fn document<T: serde::de::DeserializeOwned>(
    store: &SqliteStore,
    name: &str,
) -> Result<Option<(T, u64)>, Failure> {
    let Some(document) = store.document(name)? else { return Ok(None) };
    let value = serde_json::from_slice(&document.body)
        .map_err(|e| Failure::new(ERROR, format!("stored document `{name}`: {e}")))?;
    Ok(Some((value, document.version)))
}

/// The log's key; made when there is none, readable by its owner only.
fn signer(config: &Config) -> Result<Ed25519Signer, Failure> {
    let make = || {
        let made = Ed25519Signer::generate(&config.evidence.origin, &mut OsEntropy);
        let signer = made.map_err(|_| {
            let text = "the evidence origin must not be empty or hold `+` or white space";
            Failure::new(CONFIG, text)
        })?;
        let text = signer.expose();
        Ok((signer, text))
    };
    let read = |text: &str| Ed25519Signer::parse(text).map_err(|e| e.to_string());
    secret(&config.resolve(&config.evidence.key), &read, &make)
}

/// The key of the vault; made when there is none, readable by its owner only.
pub(crate) fn vault_key(config: &Config) -> Result<LocalKey, Failure> {
    let make = || {
        let key = LocalKey::generate(&mut OsEntropy);
        let text = key.expose();
        Ok((key, text))
    };
    let read = |text: &str| LocalKey::parse(text).ok_or_else(|| "it is no vault key".to_owned());
    secret(&config.resolve(&config.evidence.vault_key), &read, &make)
}

/// Something secret and the text that its file has.
type Made<T> = (T, zeroize::Zeroizing<String>);

/// Reads a key file, or makes the key and the file.
fn secret<T>(
    path: &Path,
    read: &dyn Fn(&str) -> Result<T, String>,
    make: &dyn Fn() -> Result<Made<T>, Failure>,
) -> Result<T, Failure> {
    let shown = path.display();
    match fs::read_to_string(path) {
        Ok(text) => {
            read(&text).map_err(|e| Failure::new(CONFIG, format!("key file `{shown}`: {e}")))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let (key, text) = make()?;
            let fail = |e: std::io::Error| Failure::new(ERROR, format!("key file `{shown}`: {e}"));
            // Whole or not at all: a process that is killed here must not leave half a key, and one that
            // starts at the same time must not lose its own.
            let fresh = path.with_extension(format!("new-{}", std::process::id()));
            let _ = fs::remove_file(&fresh);
            write_secret(&fresh, text.as_bytes()).map_err(fail)?;
            let linked = fs::hard_link(&fresh, path);
            fs::remove_file(&fresh).map_err(fail)?;
            match linked {
                Ok(()) => Ok(key),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => secret(path, read, make),
                Err(e) => Err(fail(e)),
            }
        }
        Err(e) => Err(Failure::new(CONFIG, format!("key file `{shown}`: {e}"))),
    }
}

/// Replaces the log's key file after a change of keys.
pub(crate) fn replace_key(config: &Config, new: &Ed25519Signer) -> Result<(), Failure> {
    let path = config.resolve(&config.evidence.key);
    let fresh = path.with_extension("new");
    let fail = |e: std::io::Error| Failure::new(ERROR, format!("key file: {e}"));
    let _ = fs::remove_file(&fresh);
    write_secret(&fresh, new.expose().as_bytes()).map_err(fail)?;
    fs::rename(&fresh, &path).map_err(fail)
}

/// Writes a new file that only its owner may read.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
