//! The control catalogue: which records are evidence for which control of which framework, and how far a
//! log covers each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jml_core::canon::{self, Node};
use jml_core::digest::Digest;
use serde::{Deserialize, Serialize};

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
    /// How much of the control the records show.
    pub coverage: Reach,
    /// Values that the framework leaves to be chosen, with its own choice.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What one should know besides.
    #[serde(default)]
    pub note: Option<String>,
}

/// How much of a control records can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the catalogue knows these two")]
pub enum Reach {
    /// The control itself.
    Direct,
    /// A part of it; other systems show the rest.
    Supporting,
}

/// A framework in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Framework {
    /// AICPA Trust Services Criteria 2017.
    #[serde(rename = "soc2")]
    Soc2,
    /// HIPAA Security Rule, 45 CFR 164 subpart C.
    Hipaa,
    /// NIST SP 800-53 revision 5.
    #[serde(rename = "nist-800-53r5")]
    Nist80053,
    /// NIST SP 800-171 revision 2.
    #[serde(rename = "nist-800-171r2")]
    Nist800171r2,
    /// NIST SP 800-171 revision 3.
    #[serde(rename = "nist-800-171r3")]
    Nist800171r3,
    /// CMMC 2.0 level 2, 32 CFR 170.
    #[serde(rename = "cmmc-l2")]
    Cmmc,
    /// NIST Cybersecurity Framework 1.1.
    #[serde(rename = "nist-csf-1.1")]
    Csf11,
    /// NIST Cybersecurity Framework 2.0.
    #[serde(rename = "nist-csf-2.0")]
    Csf20,
    /// ISO/IEC 27001:2022 Annex A.
    #[serde(rename = "iso-27001-2022")]
    Iso27001,
    /// PCI DSS 4.0.1.
    #[serde(rename = "pci-dss-4.0.1")]
    Pci,
    /// FedRAMP revision 5 baselines.
    #[serde(rename = "fedramp-r5")]
    FedRamp,
    /// Regulation (EU) 2016/679.
    Gdpr,
    /// IT general controls for SOX 404, with ids of our own: SOX has none.
    #[serde(rename = "sox-itgc")]
    Sox,
}

/// Every framework, its name and version in the catalogue, and its short name in records.
const FRAMEWORKS: [(Framework, &str, &str, &str); 13] = [
    (Framework::Soc2, "SOC 2", "TSC 2017 (points of focus rev. 2022)", "soc2"),
    (Framework::Hipaa, "HIPAA Security Rule", "45 CFR 164 subpart C", "hipaa"),
    (Framework::Nist80053, "NIST SP 800-53", "r5 (5.1.1)", "nist-800-53r5"),
    (Framework::Nist800171r2, "NIST SP 800-171", "r2", "nist-800-171r2"),
    (Framework::Nist800171r3, "NIST SP 800-171", "r3", "nist-800-171r3"),
    (Framework::Cmmc, "CMMC", "2.0 (32 CFR 170) Level 2", "cmmc-l2"),
    (Framework::Csf11, "NIST CSF", "1.1", "nist-csf-1.1"),
    (Framework::Csf20, "NIST CSF", "2.0", "nist-csf-2.0"),
    (Framework::Iso27001, "ISO/IEC 27001", "2022 Annex A", "iso-27001-2022"),
    (Framework::Pci, "PCI DSS", "4.0.1", "pci-dss-4.0.1"),
    (Framework::FedRamp, "FedRAMP", "Rev 5", "fedramp-r5"),
    (Framework::Gdpr, "GDPR", "Regulation (EU) 2016/679", "gdpr"),
    (Framework::Sox, "SOX ITGC", "auditor-defined", "sox-itgc"),
];

impl Framework {
    /// Every framework of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        FRAMEWORKS.iter().map(|(framework, ..)| *framework)
    }

    /// The frameworks that records name unless others are chosen: SOC 2, HIPAA, NIST SP 800-171 r2, CMMC,
    /// NIST CSF 2.0, ISO/IEC 27001.
    #[must_use]
    pub fn usual() -> BTreeSet<Self> {
        [Self::Soc2, Self::Hipaa, Self::Nist800171r2, Self::Cmmc, Self::Csf20, Self::Iso27001]
            .into()
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        let row = FRAMEWORKS.iter().find(|(framework, ..)| *framework == self);
        row.map_or(("", "", ""), |(_, name, version, slug)| (*name, *version, *slug))
    }

    /// The name for people, such as `NIST CSF 2.0`.
    #[must_use]
    pub fn title(self) -> String {
        let (name, version, _) = self.row();
        match self {
            Self::Soc2 => name.to_owned(),
            Self::Hipaa | Self::Gdpr | Self::Sox => name.to_owned(),
            Self::Nist80053 => format!("{name} r5"),
            Self::Cmmc => format!("{name} 2.0 L2"),
            Self::Iso27001 => format!("{name}:2022"),
            _ => format!("{name} {version}"),
        }
    }

    /// The short name in records, such as `nist-csf-2.0`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.row().2
    }

    /// The framework of a short name.
    #[must_use]
    pub fn of_slug(text: &str) -> Option<Self> {
        FRAMEWORKS.iter().find(|(.., slug)| *slug == text).map(|(framework, ..)| *framework)
    }

    /// Its controls in the catalogue.
    pub fn controls(self) -> impl Iterator<Item = &'static Control> {
        let (name, version, _) = self.row();
        catalogue().iter().filter(move |it| it.framework == name && it.version == version)
    }
}

const CATALOGUE_FILE: &str = include_str!("../data/controls.json");

/// The whole catalogue: every row of every framework.
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

/// Events that a kind of record is about by itself, besides the event that it belongs to.
fn events_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "approval.requested" | "approval.decided" => &["approval"],
        "exception.accepted" => &["exception"],
        "review.opened" | "review.item_decided" | "review.closed" => &["review"],
        "drift.detected" | "drift.repaired" | "orphan.detected" => &["reconciliation"],
        _ => &[],
    }
}

impl Control {
    /// Whether a record of a kind is evidence for the control, in an event and whatever else the record is
    /// about.
    #[must_use]
    pub fn asks_for(&self, kind: &str, event: &str, also: &[&str]) -> bool {
        let about = |e: &String| {
            e == event || also.contains(&e.as_str()) || events_of(kind).contains(&e.as_str())
        };
        // That the log is whole and kept is a matter of every record.
        self.evidence_types.iter().any(|k| k == kind)
            && (self.lifecycle_events.iter().any(about)
                || self.lifecycle_events.iter().any(|e| e == "log_integrity"))
    }
}

/// The controls of frameworks that a kind of record is evidence for, written `framework:id`.
#[must_use]
pub fn ids_for(
    frameworks: &BTreeSet<Framework>,
    kind: &str,
    event: &str,
    also: &[&str],
) -> Vec<String> {
    let of = |framework: &Framework| {
        let slug = framework.slug();
        let hits = framework.controls().filter(|it| it.asks_for(kind, event, also));
        hits.map(|it| format!("{slug}:{}", it.id)).collect::<Vec<_>>()
    };
    frameworks.iter().flat_map(of).collect()
}

/// How far records show a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the three answers of a coverage report")]
pub enum State {
    /// The control is about what these records say, and every kind that it asks for is there.
    Proven,
    /// Some kinds are there, or the records can only support the control.
    Partly,
    /// None is: another system has to show it, or nothing of the sort happened in the period.
    NotHere,
}

/// What a log says about one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Covered {
    /// The control's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How far it is shown.
    pub state: State,
    /// How many records of each kind there are, of those that it asks for.
    pub records: BTreeMap<String, u64>,
    /// Kinds that it asks for and that are not there.
    pub missing: Vec<String>,
    /// Why these records are evidence for it.
    pub why: String,
}

/// A span of time: first instant, and first instant after it, as records write them.
pub type Period = (String, String);

/// What the records of a log say about each framework. With a period, only records of it count.
#[must_use]
pub fn coverage<'a>(
    entries: impl IntoIterator<Item = &'a [u8]>,
    frameworks: &BTreeSet<Framework>,
    period: Option<&Period>,
) -> BTreeMap<Framework, Vec<Covered>> {
    // Kind, event and what else the record is about, with a count.
    let mut seen: BTreeMap<(String, String, Vec<String>), u64> = BTreeMap::new();
    for bytes in entries {
        let Ok(record) = canon::parse(bytes) else { continue };
        let text = |name: &str| record.get(name).and_then(Node::as_str).unwrap_or("").to_owned();
        let time = text("time");
        if period.is_some_and(|(from, to)| time < *from || *to <= time) {
            continue;
        }
        let also = match record.get("also") {
            Some(Node::List(list)) => list.iter().filter_map(Node::as_str).map(str::to_owned),
            _ => [].iter().filter_map(Node::as_str).map(str::to_owned),
        };
        *seen.entry((text("kind"), text("event"), also.collect())).or_insert(0) += 1;
    }
    if !seen.is_empty() {
        // Every log has a signed checkpoint; it is no record.
        let signed = ("checkpoint.signed".to_owned(), "log_integrity".to_owned(), Vec::new());
        seen.insert(signed, 1);
    }
    let of = |framework: &Framework| {
        let list = framework.controls().map(|control| covered(control, &seen)).collect();
        (*framework, list)
    };
    frameworks.iter().map(of).collect()
}

fn covered(control: &Control, seen: &BTreeMap<(String, String, Vec<String>), u64>) -> Covered {
    let (mut records, mut missing) = (BTreeMap::new(), Vec::new());
    for kind in &control.evidence_types {
        let hits = seen.iter().filter(|((k, event, also), _)| {
            let also: Vec<&str> = also.iter().map(String::as_str).collect();
            k == kind && control.asks_for(kind, event, &also)
        });
        match hits.map(|(_, count)| count).sum::<u64>() {
            0 => missing.push(kind.clone()),
            count => {
                records.insert(kind.clone(), count);
            }
        }
    }
    let state = match (records.is_empty(), missing.is_empty(), control.coverage) {
        (true, ..) => State::NotHere,
        (false, true, Reach::Direct) => State::Proven,
        _ => State::Partly,
    };
    let (id, title, why) = (control.id.clone(), control.title.clone(), control.why.clone());
    Covered { id, title, state, records, missing, why }
}
