//! OSCAL assessment results (NIST OSCAL 1.2): one result for the period, an observation for each run, a
//! finding for each limit. Identifiers follow from the log, so the same pack gives the same file.

use std::collections::BTreeMap;

use jml_core::digest::Digest;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::view::RunView;
use super::workpaper::result;
use crate::controls::{Framework, State};
use crate::merkle::leaf_hash;
use crate::note::hex;
use crate::sla::Limit;
use crate::timeliness::Measured;

/// Our names in OSCAL properties.
const NS: &str = "https://jml.example/ns/oscal";

/// What the results are about.
pub(super) struct About<'a> {
    pub(super) title: &'a str,
    pub(super) origin: &'a str,
    pub(super) size: u64,
    pub(super) made_at: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) event: &'a str,
    pub(super) population: u64,
}

fn name(about: &About<'_>, what: &str) -> String {
    let text = format!("{}\n{}\n{what}", about.origin, about.size);
    Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).to_string()
}

/// A control's id as an OSCAL token: it begins with a letter and has no parentheses.
pub(super) fn token(framework: Framework, id: &str) -> String {
    let plain: String = id
        .replace('(', ".")
        .chars()
        .filter(|c| *c != ')')
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    match framework {
        Framework::Nist80053 => plain.to_ascii_lowercase(),
        other => format!("{}_{plain}", other.slug()),
    }
}

#[derive(Serialize)]
struct Prop<'a> {
    name: &'a str,
    ns: &'a str,
    value: String,
}

fn prop(name: &str, value: impl Into<String>) -> Value {
    json!(Prop { name, ns: NS, value: value.into() })
}

/// The file. `files` are those that the pack has besides, by name.
pub(super) fn results(
    about: &About<'_>,
    runs: &[RunView],
    measured: &[Measured],
    limits: &[Limit],
    covered: &BTreeMap<Framework, Vec<crate::controls::Covered>>,
    records: &BTreeMap<u64, Vec<u8>>,
    files: &BTreeMap<String, Vec<u8>>,
) -> Vec<u8> {
    let mut resources = vec![json!({
        "uuid": name(about, "plan"),
        "title": "Assessment plan",
        "description": "Population, sample and checks as VERIFY.md describes them.",
        "rlinks": [{ "href": "VERIFY.md", "media-type": "text/markdown" }],
    })];
    let mut observations = Vec::new();
    for run in runs {
        let path = format!("proofs/{}.tlog-proof", run.first);
        let Some(bytes) = files.get(&path) else { continue };
        let resource = name(about, &path);
        resources.push(json!({
            "uuid": resource,
            "title": path,
            "rlinks": [{
                "href": path,
                "media-type": "text/plain",
                "hashes": [{ "algorithm": "SHA-256", "value": Digest::plain(bytes).to_hex() }],
            }],
        }));
        let leaf = records.get(&run.first).map(|bytes| hex(&leaf_hash(bytes))).unwrap_or_default();
        let times: Vec<String> = measured
            .iter()
            .filter(|it| it.run == run.id)
            .map(|it| {
                let seconds = it.work().map_or("not seen".to_owned(), |s| format!("{s} s"));
                format!("{} ({} of access): {seconds}", it.target, it.of)
            })
            .collect();
        let times =
            if times.is_empty() { "no target measured".to_owned() } else { times.join("; ") };
        observations.push(json!({
            "uuid": name(about, &format!("observation {}", run.id)),
            "title": format!("{} run {}", run.event, run.id),
            "description": times,
            "methods": ["TEST"],
            "types": ["control-objective"],
            "subjects": [{
                "subject-uuid": name(about, &format!("subject {}", run.subject)),
                "type": "user",
                "title": run.subject,
            }],
            "relevant-evidence": [{
                "href": format!("#{resource}"),
                "description": format!("inclusion proof of entry {}", run.first),
                "props": [
                    prop("log-index", run.first.to_string()),
                    prop("leaf-hash", format!("sha-256:{leaf}")),
                ],
            }],
            "collected": run.closed.as_ref().unwrap_or(&run.opened),
        }));
    }
    let findings: Vec<Value> =
        limits.iter().filter_map(|limit| finding(about, limit, runs, measured)).collect();
    let mut controls: Vec<String> = covered
        .iter()
        .flat_map(|(framework, list)| {
            let hits = list.iter().filter(|it| it.state != State::NotHere);
            hits.map(|it| token(*framework, &it.id)).collect::<Vec<_>>()
        })
        .collect();
    controls.sort();
    let selection = if controls.is_empty() {
        json!({ "include-all": {} })
    } else {
        let ids: Vec<Value> = controls.iter().map(|id| json!({ "control-id": id })).collect();
        json!({ "include-controls": ids })
    };
    let mut outcome = json!({
        "uuid": name(about, "result"),
        "title": format!("{} of {} to {}", about.event, about.from, about.to),
        "description": format!(
            "Population of {} runs, {} in this pack.", about.population, runs.len()
        ),
        "start": about.from,
        "end": about.to,
        "reviewed-controls": { "control-selections": [selection] },
    });
    // OSCAL wants lists to be absent rather than empty.
    if let Some(members) = outcome.as_object_mut() {
        for (name, list) in [("observations", observations), ("findings", findings)] {
            if !list.is_empty() {
                members.insert(name.to_owned(), Value::Array(list));
            }
        }
    }
    let document = json!({
        "assessment-results": {
            "uuid": name(about, "document"),
            "metadata": {
                "title": about.title,
                "last-modified": about.made_at,
                "version": "1",
                "oscal-version": "1.2.1",
                "props": [
                    prop("checkpoint-origin", about.origin),
                    prop("checkpoint-size", about.size.to_string()),
                ],
            },
            "import-ap": { "href": format!("#{}", name(about, "plan")) },
            "results": [outcome],
            "back-matter": { "resources": resources },
        }
    });
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Whether every measured target kept a limit; nothing when nothing was measured.
fn finding(
    about: &About<'_>,
    limit: &Limit,
    runs: &[RunView],
    measured: &[Measured],
) -> Option<Value> {
    let of_event = |it: &&Measured| it.event == limit.event && it.of == "end";
    let list: Vec<&Measured> = measured.iter().filter(of_event).collect();
    if list.is_empty() {
        return None;
    }
    let within = list.iter().filter(|it| result(it, Some(limit)) == "within").count();
    let state = if within == list.len() { "satisfied" } else { "not-satisfied" };
    let related: Vec<Value> = runs
        .iter()
        .filter(|run| run.event == limit.event)
        .map(|run| json!({ "observation-uuid": name(about, &format!("observation {}", run.id)) }))
        .collect();
    Some(json!({
        "uuid": name(about, &format!("finding {}", limit.source)),
        "title": limit.source,
        "description": format!(
            "{within} of {} measurements within {} s{}",
            list.len(),
            limit.seconds,
            if limit.stated { "" } else { "; the text gives no figure, this one is chosen" },
        ),
        "target": {
            "type": "statement-id",
            "target-id": limit.statement,
            "status": { "state": state },
        },
        "related-observations": related,
    }))
}
