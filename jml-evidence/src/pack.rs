//! Packs for auditors: a population, a sample of it, the records of the drawn runs with their proofs and
//! only those disclosures that were asked for, and what people and programs read of it.
//!
//! A pack is verified by [`verify`](fn@crate::verify::verify), and by the two programs that lie in it.

mod oscal;
mod report;
mod view;
mod workpaper;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use jml_core::canon::{self, Node};
use jml_core::digest::Digest;
use serde::Serialize;

use crate::controls::{Framework, coverage};
use crate::disclose;
use crate::dsse::IN_TOTO;
use crate::log::LogError;
use crate::merkle::leaf_hash;
use crate::note::hex;
use crate::proof::{Proof, write_hashes};
use crate::record::instant;
use crate::sla::{Limit, Preset, strictest};
use crate::store::{EvidenceStore, StoreError};
use crate::timeliness::{figures, measured};
use crate::verify::{
    MANIFEST, PACK_FORMAT, POPULATION, SIGNATURE, STATEMENT, Trust, signed_text, verify,
};

/// What a pack is to hold.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PackRequest {
    /// A title for people, such as the name of the organisation and of the audit.
    pub title: String,
    /// The entry that sealed the population.
    pub population: u64,
    /// The entry that drew the sample; without one, every member is in the pack.
    pub sample: Option<u64>,
    /// Names of disclosures that are opened, such as `identity`, `actor`, `before`, `after`, `why`. What is
    /// not named stays closed.
    pub disclose: BTreeSet<String>,
    /// Sizes of checkpoints that the auditor kept: the pack proves that it continues them.
    pub earlier: BTreeSet<u64>,
    /// Limits that are looked at.
    pub presets: BTreeSet<Preset>,
    /// Frameworks whose coverage is shown.
    pub frameworks: BTreeSet<Framework>,
    /// Witnesses that the auditor is known to trust; the report counts their receipts.
    pub trust: Trust,
    /// When it is made.
    pub at: DateTime<Utc>,
}

/// Why a pack could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// An entry is not what the request says it is.
    #[error("entry {entry} is no {kind}")]
    NotThat {
        /// Which entry.
        entry: u64,
        /// What it should be.
        kind: &'static str,
    },
    /// A sample is of another population.
    #[error("the sample of entry {0} was drawn from another population")]
    OtherPopulation(u64),
    /// The log was never of this size.
    #[error("there is no proof from size {0}: the log was never so large")]
    Size(u64),
    /// The log or the vault failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("`{path}`: {what}")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        what: String,
    },
}

impl From<LogError> for PackError {
    fn from(error: LogError) -> Self {
        Self::Store(error.into())
    }
}

/// A pack: its files by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    files: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize)]
struct Manifest<'a> {
    v: i64,
    origin: &'a str,
    size: u64,
    made_at: &'a str,
    title: &'a str,
    population: u64,
    sample: Option<u64>,
    disclosed: &'a BTreeSet<String>,
    files: BTreeMap<&'a str, String>,
}

/// An in-toto statement about the list of files.
#[derive(Serialize)]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [Subject; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
struct Subject {
    name: &'static str,
    digest: Sha256Digest,
}

#[derive(Serialize)]
struct Sha256Digest {
    sha256: String,
}

#[derive(Serialize)]
struct Predicate<'a> {
    origin: &'a str,
    size: u64,
    made_at: &'a str,
    title: &'a str,
}

/// The records that a pack is about.
struct Picked {
    /// Each record of the pack.
    records: BTreeMap<u64, Vec<u8>>,
    /// Each member of the population: entry, leaf hash, instant, whether it is in the pack.
    members: Vec<(u64, String, String, bool)>,
    population: Node,
    sample: Option<Node>,
    /// Every entry of the log, for what is said about the whole period.
    all: Vec<Vec<u8>>,
}

fn body(record: &Node, name: &str) -> Option<Node> {
    record.get("body")?.get(name).cloned()
}

impl Pack {
    /// Makes a pack from the sealed part of a store.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn build(store: &EvidenceStore, request: &PackRequest) -> Result<Self, PackError> {
        let sealed = store.log().sealed().clone();
        let picked = pick(store, request)?;
        let mut files = BTreeMap::new();
        files.insert("checkpoint".to_owned(), sealed.note().as_bytes().to_vec());
        files.insert("vkey".to_owned(), format!("{}\n", store.log().verifier()).into_bytes());
        for (index, bytes) in &picked.records {
            let hashes = store.log().prove(*index)?;
            let checkpoint = sealed.note().to_owned();
            let proof = Proof { index: *index, hashes, checkpoint };
            files.insert(format!("records/{index}.json"), bytes.clone());
            files.insert(format!("proofs/{index}.tlog-proof"), proof.write().into_bytes());
        }
        let mut sizes = request.earlier.clone();
        carry(store, sealed.checkpoint().size, &mut sizes, &mut files)?;
        for size in sizes {
            if size > sealed.checkpoint().size {
                return Err(PackError::Size(size));
            }
            let proof = write_hashes(&store.log().prove_consistency(size)?);
            files.insert(format!("consistency/{size}.txt"), proof.into_bytes());
        }
        let opened = disclosures(store, request, &picked)?;
        for (entry, texts) in &opened {
            let text: String = texts.iter().flat_map(|text| [text.as_str(), "\n"]).collect();
            files.insert(format!("disclosures/{entry}.txt"), text.into_bytes());
        }
        let rows = picked.members.iter().map(|(entry, leaf, at, here)| {
            let here = if *here { "yes" } else { "no" };
            vec![entry.to_string(), leaf.clone(), at.clone(), here.to_owned()]
        });
        let listed = workpaper::csv(&["entry", "leaf_hash", "instant", "in_this_pack"], rows);
        files.insert(POPULATION.to_owned(), listed);
        for (name, text) in [
            ("VERIFY.md", include_str!("../assets/VERIFY.md")),
            ("verify.py", include_str!("../assets/verify.py")),
            ("verify.go", include_str!("../assets/verify.go")),
        ] {
            files.insert(name.to_owned(), text.as_bytes().to_vec());
        }
        describe(store, request, &picked, &opened, &mut files)?;
        let mut pack = Self { files };
        pack.close(store, request)?;
        Ok(pack)
    }

    /// Writes the manifest over what is there, and signs it.
    fn close(&mut self, store: &EvidenceStore, request: &PackRequest) -> Result<(), PackError> {
        self.files.remove(MANIFEST);
        self.files.remove(SIGNATURE);
        self.files.remove(STATEMENT);
        let checkpoint = store.log().sealed().checkpoint();
        let digest = |(name, bytes): (&'_ String, &Vec<u8>)| {
            (name.clone(), Digest::plain(bytes).to_string())
        };
        let digests: BTreeMap<String, String> = self.files.iter().map(digest).collect();
        let manifest = Manifest {
            v: PACK_FORMAT,
            origin: &checkpoint.origin,
            size: checkpoint.size,
            made_at: &instant(request.at),
            title: &request.title,
            population: request.population,
            sample: request.sample,
            disclosed: &request.disclose,
            files: digests.iter().map(|(name, digest)| (name.as_str(), digest.clone())).collect(),
        };
        let bytes = canon::to_vec(&manifest).map_err(StoreError::from)?;
        let signature = store.log().sign_text(&signed_text(&checkpoint.origin, &bytes))?;
        let statement = Statement {
            kind: "https://in-toto.io/Statement/v1",
            subject: [Subject {
                name: MANIFEST,
                digest: Sha256Digest { sha256: Digest::plain(&bytes).to_hex() },
            }],
            predicate_type: "https://jml.example/ns/pack/v1",
            predicate: Predicate {
                origin: &checkpoint.origin,
                size: checkpoint.size,
                made_at: &instant(request.at),
                title: &request.title,
            },
        };
        let payload = canon::to_vec(&statement).map_err(StoreError::from)?;
        let envelope = store.log().sign_envelope(IN_TOTO, payload)?;
        let envelope = envelope.write().map_err(StoreError::from)?;
        self.files.insert(STATEMENT.to_owned(), envelope);
        self.files.insert(MANIFEST.to_owned(), bytes);
        self.files.insert(SIGNATURE.to_owned(), signature.into_bytes());
        Ok(())
    }

    /// The files by name, with `/` between folders.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Writes the pack into a directory that is not there yet, or is empty.
    ///
    /// # Errors
    /// [`PackError::Write`].
    pub fn write_to(&self, dir: &Path) -> Result<(), PackError> {
        let fail =
            |path: &Path, what: String| PackError::Write { path: path.display().to_string(), what };
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e: std::io::Error| fail(&path, e.to_string())
        };
        std::fs::create_dir_all(dir).map_err(io(dir))?;
        if std::fs::read_dir(dir).map_err(io(dir))?.next().is_some() {
            return Err(fail(dir, "it is not empty; name a new directory".to_owned()));
        }
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(io(parent))?;
            }
            std::fs::write(&path, bytes).map_err(io(&path))?;
        }
        Ok(())
    }
}

/// Finds the records of a request.
fn pick(store: &EvidenceStore, request: &PackRequest) -> Result<Picked, PackError> {
    let size = store.log().sealed().checkpoint().size;
    let mut all = Vec::new();
    for index in 0..size {
        all.push(store.log().entry(index)?);
    }
    let parsed: Vec<Node> =
        all.iter().map(|bytes| canon::parse(bytes).unwrap_or(Node::Bool(false))).collect();
    let of = |entry: u64, name: &str, kind: &'static str| {
        let node = usize::try_from(entry).ok().and_then(|entry| parsed.get(entry));
        node.and_then(|node| body(node, name)).ok_or(PackError::NotThat { entry, kind })
    };
    let population = of(request.population, "population", "sealed population")?;
    let members = store
        .members_of(request.population)
        .ok_or(PackError::NotThat { entry: request.population, kind: "sealed population" })?;
    let sample = match request.sample {
        None => None,
        Some(entry) => {
            let sample = of(entry, "sample", "drawn sample")?;
            let from = sample.get("population").and_then(Node::as_int);
            if from.and_then(|n| u64::try_from(n).ok()) != Some(request.population) {
                return Err(PackError::OtherPopulation(entry));
            }
            Some(sample)
        }
    };
    let drawn: BTreeSet<u64> = match sample.as_ref().and_then(|it| it.get("entries")) {
        Some(Node::List(list)) => {
            list.iter().filter_map(|n| u64::try_from(n.as_int()?).ok()).collect()
        }
        _ => members.iter().copied().collect(),
    };
    let run_of = |node: &Node| {
        node.get("run").and_then(|run| run.get("id")).and_then(Node::as_str).map(str::to_owned)
    };
    let at = |entry: u64| usize::try_from(entry).ok().and_then(|entry| parsed.get(entry));
    let runs: BTreeSet<String> = drawn.iter().filter_map(|e| at(*e).and_then(&run_of)).collect();
    let mut records = BTreeMap::new();
    for ((index, bytes), node) in (0_u64..).zip(&all).zip(&parsed) {
        let kind = node.get("kind").and_then(Node::as_str).unwrap_or("");
        let asked = index == request.population || Some(index) == request.sample;
        // Changes of keys belong to every pack: whoever trusts an old key needs them.
        let keys = kind == "key.rotated";
        if asked || keys || run_of(node).is_some_and(|run| runs.contains(&run)) {
            records.insert(index, bytes.clone());
        }
    }
    let members = members
        .iter()
        .filter_map(|entry| {
            let (bytes, node) = (all.get(usize::try_from(*entry).ok()?)?, at(*entry)?);
            let effective = view::text(node, &["body", "timing", "effective"]);
            let time = view::text(node, &["time"]);
            let at = if effective.is_empty() { time } else { effective };
            // Hexadecimal, because base64 can begin like a formula.
            let leaf = hex(&leaf_hash(bytes));
            Some((*entry, leaf, at, drawn.contains(entry)))
        })
        .collect();
    Ok(Picked { records, members, population, sample, all })
}

/// Takes along what proves the checkpoint: receipts, changes of keys, and the sizes that they are of.
fn carry(
    store: &EvidenceStore,
    size: u64,
    sizes: &mut BTreeSet<u64>,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), PackError> {
    let storage = store.log().storage();
    let fail =
        |e: std::io::Error| LogError::Io { path: "receipts".to_owned(), what: e.to_string() };
    for name in storage.names().map_err(fail)? {
        let of = name.strip_prefix("receipts/").or_else(|| name.strip_prefix("rotations/"));
        let Some(of) = of.and_then(|rest| rest.split('/').next()?.parse::<u64>().ok()) else {
            continue;
        };
        if let (true, Some(bytes)) = (of <= size, storage.read(&name).map_err(fail)?) {
            sizes.insert(of);
            files.insert(name, bytes);
        }
    }
    Ok(())
}

/// The disclosures that were asked for, by entry.
fn disclosures(
    store: &EvidenceStore,
    request: &PackRequest,
    picked: &Picked,
) -> Result<BTreeMap<u64, Vec<String>>, PackError> {
    let mut out: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    if request.disclose.is_empty() {
        return Ok(out);
    }
    for row in store.disclosures(&mut |entry| picked.records.contains_key(&entry))? {
        let name = disclose::open(&row.text).map(|(name, _)| name);
        if name.is_some_and(|name| request.disclose.contains(&name)) {
            out.entry(row.entry).or_default().push(row.text);
        }
    }
    Ok(out)
}

/// Writes what people and programs read: workpaper, OSCAL, report.
fn describe(
    store: &EvidenceStore,
    request: &PackRequest,
    picked: &Picked,
    opened: &BTreeMap<u64, Vec<String>>,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), PackError> {
    let disclosed = view::open(opened);
    let mut runs = view::runs(&picked.records, &disclosed);
    runs.retain(|run| !run.opened.is_empty());
    let limit = |event: &str| strictest(&request.presets, event);
    let numbered = picked.records.iter().map(|(index, bytes)| (*index, bytes.as_slice()));
    let measured = measured(numbered, None);
    let word = |name: &str| view::text(&picked.population, &[name]);
    let (event, from, to) = (word("event"), word("from"), word("to"));
    let made_at = instant(request.at);
    let checkpoint = store.log().sealed().checkpoint();
    let about = oscal::About {
        title: &request.title,
        origin: &checkpoint.origin,
        size: checkpoint.size,
        made_at: &made_at,
        from: &from,
        to: &to,
        event: &event,
        population: picked.members.len() as u64,
    };
    // What belongs to the period is written in it or after it: a review of it, its population.
    let period = (from.clone(), made_at.clone());
    let log = picked.all.iter().map(Vec::as_slice);
    let covered = coverage(log, &request.frameworks, Some(&period));
    let limits: Vec<Limit> = request.presets.iter().flat_map(|it| it.limits()).copied().collect();
    let oscal = oscal::results(&about, &runs, &measured, &limits, &covered, &picked.records, files);
    files.insert("oscal/assessment-results.json".to_owned(), oscal);
    // The report says what verifying said of everything but itself.
    let mut so_far = Pack { files: files.clone() };
    so_far.close(store, request)?;
    let key = request.trust.key.clone().or_else(|| Some(store.log().verifier()));
    let trust = verify(&so_far.files, &Trust { key, ..request.trust.clone() });
    let paper = workpaper::workpaper(&runs, &measured, &limit, &trust.windows);
    files.insert("workpaper.csv".to_owned(), paper);
    let figures = figures(&measured, &|event| limit(event).map(|limit| limit.seconds));
    let content = report::Content {
        about: &about,
        runs: &runs,
        measured: &measured,
        limit: &limit,
        figures: &figures,
        covered: &covered,
        trust: &trust,
        population: &picked.population,
        sampled: picked.sample.as_ref(),
        disclosed: request.disclose.iter().map(String::as_str).collect(),
    };
    files.insert("report.html".to_owned(), report::page(&content).into_bytes());
    Ok(())
}
