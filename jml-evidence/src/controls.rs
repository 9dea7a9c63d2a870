//! The control catalogue: which records are evidence for which control of which framework.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jml_core::canon::{self, Node};
use jml_core::digest::Digest;
use serde::Deserialize;

/// One control and what is evidence for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Control {
    /// The framework, such as `SOC 2`.
    pub framework: String,
    /// Its version.
    pub version: String,
    /// The control's own id in it.
    pub id: String,
    /// Its title; in our words where the text is not free.
    pub title: String,
    /// Lifecycle events that it is about.
    pub lifecycle_events: Vec<String>,
    /// Kinds of records that are evidence for it.
    pub evidence_types: Vec<String>,
    /// Why they are.
    pub why: String,
    /// `direct` when the records show the control itself, `supporting` when they help to.
    pub coverage: String,
}

const CATALOGUE_FILE: &str = include_str!("../data/controls.json");

/// The catalogue: SOC 2, HIPAA Security Rule, NIST SP 800-171 and CMMC, NIST CSF, ISO/IEC 27001.
#[must_use]
pub fn catalogue() -> &'static [Control] {
    static CATALOGUE: OnceLock<Vec<Control>> = OnceLock::new();
    // The file is part of the crate and a test reads it, so an empty catalogue cannot be released.
    CATALOGUE.get_or_init(|| serde_json::from_str(CATALOGUE_FILE).unwrap_or_default())
}

/// The digest of the catalogue as this version has it: SHA-256 of the file.
#[must_use]
pub fn map_digest() -> String {
    Digest::plain(CATALOGUE_FILE.as_bytes()).to_string()
}

/// The controls that a kind of record is evidence for, in an event and whatever else the record is about,
/// written `framework:id`.
#[must_use]
pub fn ids_for(kind: &str, event: &str, also: &[&str]) -> Vec<String> {
    let hit = |control: &&Control| {
        control.evidence_types.iter().any(|k| k == kind)
            && control.lifecycle_events.iter().any(|e| e == event || also.contains(&e.as_str()))
    };
    catalogue().iter().filter(hit).map(|c| format!("{}:{}", c.framework, c.id)).collect()
}

/// How far a log covers a framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Coverage {
    /// Every kind of record that the control asks for is there.
    pub proven: BTreeSet<String>,
    /// Some are.
    pub partly: BTreeSet<String>,
    /// None is: another system has to show it, or nothing happened yet.
    pub not_here: BTreeSet<String>,
}

/// Coverage by framework, from the entries of a log.
#[must_use]
pub fn coverage(entries: &[Vec<u8>]) -> BTreeMap<String, Coverage> {
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    for bytes in entries {
        let Ok(record) = canon::parse(bytes) else { continue };
        let text = |name: &str| record.get(name).and_then(Node::as_str).map(str::to_owned);
        if let (Some(kind), Some(event)) = (text("kind"), text("event")) {
            seen.insert((kind, event));
        }
    }
    let mut out: BTreeMap<String, Coverage> = BTreeMap::new();
    for control in catalogue() {
        let there = |kind: &&String| match kind.as_str() {
            // Every log has a signed checkpoint.
            "checkpoint.signed" => !entries.is_empty(),
            kind => {
                let events = control.lifecycle_events.iter();
                let whole = |e: &String| e == "log_integrity" || e == "approval" || e == "device";
                seen.iter().any(|(k, e)| {
                    k == kind && control.lifecycle_events.iter().any(|event| event == e)
                }) || (events.clone().any(whole) && seen.iter().any(|(k, _)| k == kind))
            }
        };
        let found = control.evidence_types.iter().filter(there).count();
        let framework = out.entry(control.framework.clone()).or_default();
        let id = format!("{} {}", control.version, control.id);
        let place = match found {
            0 => &mut framework.not_here,
            n if n == control.evidence_types.len() => &mut framework.proven,
            _ => &mut framework.partly,
        };
        place.insert(id);
    }
    out
}
