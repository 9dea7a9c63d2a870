//! The catalogue: complete, consistent with the records, and what it says of a log.

use std::collections::{BTreeMap, BTreeSet};

use jml_evidence::controls::{Framework, State, catalogue, coverage, ids_for};
use jml_evidence::schema;
use jml_evidence::timeliness::{figures, measured};
use jml_evidence::verify::entries;

use crate::disk::SimDisk;
use crate::journals::{day, leaver, mover};
use crate::shared;
use crate::store::store;

#[test]
fn every_row_belongs_somewhere() {
    let of_frameworks: usize = Framework::all().map(|it| it.controls().count()).sum();
    assert_eq!((catalogue().len(), of_frameworks), (328, 328));
    for framework in Framework::all() {
        assert!(framework.controls().next().is_some(), "{framework:?}");
        assert_eq!(Framework::of_slug(framework.slug()), Some(framework));
        let ids: Vec<_> = framework.controls().map(|it| &it.id).collect();
        let set: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), set.len(), "{framework:?} has an id twice");
    }
    // What controls ask for is what records are, and every kind of record serves some control.
    let kinds: BTreeSet<&str> = schema::kinds().collect();
    let asked: BTreeSet<&str> =
        catalogue().iter().flat_map(|it| &it.evidence_types).map(String::as_str).collect();
    let unknown: Vec<_> = asked.difference(&kinds).collect();
    assert_eq!(unknown, [&"checkpoint.signed"], "an artefact, no record");
    let unused: Vec<_> = kinds.difference(&asked).copied().collect();
    assert_eq!(unused, ["hold.placed", "hold.released", "run.opened"]);
}

#[test]
fn the_catalogue_is_the_shared_one() {
    let Some(path) = shared("controls.json") else { return };
    let theirs: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let key = |framework: &str, version: &str, id: &str| format!("{framework}|{version}|{id}");
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let theirs: BTreeMap<String, Vec<String>> = theirs
        .iter()
        .map(|row| {
            let kinds = row["evidence_types"].as_array().unwrap();
            let kinds = kinds.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect();
            (key(&text(row, "framework"), &text(row, "version"), &text(row, "id")), kinds)
        })
        .collect();
    let ours: BTreeMap<String, Vec<String>> = catalogue()
        .iter()
        .map(|it| (key(&it.framework, &it.version, &it.id), it.evidence_types.clone()))
        .collect();
    assert_eq!(ours, theirs);
    println!("{} rows are equal", ours.len());
}

#[test]
fn a_log_covers_what_happened_in_it() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 30);
    evidence.add(&leaver("ada", day(0)).entries).unwrap();
    evidence.add(&mover("bob", "cyd", day(1)).entries).unwrap();
    evidence.seal().unwrap();
    let log = entries(&disk.files());
    let all: BTreeSet<Framework> = Framework::all().collect();
    let cover = |period| coverage(log.iter().map(Vec::as_slice), &all, period);
    let state = |framework, id: &str, period| {
        let report = cover(period);
        let found = report[&framework].iter().find(|it| it.id == id).unwrap().clone();
        (found.state, found.missing)
    };
    // PS-4 is about leavers; who approved what was shown by the mover's run.
    let (ps4, missing) = state(Framework::Nist80053, "PS-4", None);
    assert_eq!(ps4, State::Partly);
    assert_eq!(missing, ["task.completed", "population.sealed", "sample.drawn"]);
    assert_eq!(state(Framework::Nist80053, "AC-2(13)", None), (State::Proven, Vec::new()));
    let (approval, missing) = state(Framework::Nist80053, "AC-2(2)", None);
    assert_eq!(approval, State::NotHere, "{missing:?}");
    // A period in which nothing happened proves nothing.
    let empty = ("2027-01-01T00:00:00.000Z".to_owned(), "2027-02-01T00:00:00.000Z".to_owned());
    assert_eq!(state(Framework::Nist80053, "PS-4", Some(&empty)).0, State::NotHere);
    let first = ("2026-01-01T00:00:00.000Z".to_owned(), "2026-01-02T00:00:00.000Z".to_owned());
    assert_eq!(state(Framework::Nist80053, "PS-4", Some(&first)).0, State::Partly);
    assert_eq!(state(Framework::Nist80053, "PS-5", Some(&first)).0, State::NotHere, "no mover");
    let ids = ids_for(&Framework::usual(), "run.closed", "leaver", &[]);
    assert!(ids.contains(&"hipaa:164.308(a)(3)(ii)(C)".to_owned()), "{ids:?}");
    assert!(ids_for(&Framework::usual(), "run.closed", "nothing", &[]).len() < ids.len());
}

#[test]
fn each_target_is_measured_by_itself() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 31);
    for n in 0..7 {
        evidence.add(&leaver(&format!("p{n}"), day(n)).entries).unwrap();
    }
    evidence.seal().unwrap();
    let log = entries(&disk.files());
    let found = measured((0..).zip(log.iter().map(Vec::as_slice)), None);
    assert_eq!(found.len(), 14, "two targets in each run");
    let figures = figures(&found, &|event| (event == "leaver").then_some(75));
    let of = |target: &str| &figures[&("leaver".to_owned(), "end".to_owned(), target.to_owned())];
    // Steps end 6, 12 and 18 seconds after the run is opened, two seconds after it is planned; access had
    // ended a minute before. The ERP's only step is the second one.
    assert_eq!((of("erp").p50, of("erp").max), (Some(74), Some(74)));
    assert_eq!((of("entra").p50, of("entra").max), (Some(80), Some(80)));
    assert_eq!((of("erp").within, of("entra").within), (Some(7), Some(0)));
    assert_eq!(of("erp").by_weekday, [(1, 0); 7]);
    assert_eq!(of("entra").by_weekday, [(1, 1); 7]);
    assert_eq!(of("erp").entered_late, 0);
    assert_eq!(of("erp").open, 0);
}
