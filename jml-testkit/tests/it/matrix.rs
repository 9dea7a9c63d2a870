//! Every planted defect is seen, and every behaviour that can see one here does.

use std::collections::{BTreeMap, BTreeSet};

use jml_testkit::conformance::{Harness, run};
use jml_testkit::mutants;

use crate::suite::{strict, whole};

/// Which behaviours catch which defect, on `Memory` in two configurations.
fn matrix() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut caught: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    for mutant in mutants::all() {
        for make in [whole, strict] {
            let harness =
                Harness::new(
                    move || async move { make().behind(|provider| mutant.infect(provider)) },
                );
            caught.entry(mutant.name).or_default().extend(run(&harness).failures());
        }
    }
    caught
}

#[test]
fn no_defect_escapes_and_no_behaviour_is_idle() {
    let caught = matrix();
    document(&caught);
    let escaped: Vec<_> = caught.iter().filter(|(_, by)| by.is_empty()).map(|(it, _)| it).collect();
    let busy: BTreeSet<&str> = caught.values().flatten().copied().collect();
    let mut idle = Vec::new();
    for make in [whole, strict] {
        let harness = Harness::new(move || async move { make() });
        idle.extend(run(&harness).passes().into_iter().filter(|id| !busy.contains(id)));
    }
    println!("{caught:#?}");
    assert!(escaped.is_empty(), "escaped: {escaped:?}");
    assert!(idle.is_empty(), "behaviours that catch nothing: {idle:?}");
    assert!(caught.len() >= 40, "{} defects", caught.len());
}

/// `docs/conformance.md` says what is tested, why, and which defects prove it.
fn document(caught: &BTreeMap<&'static str, BTreeSet<&'static str>>) {
    let mut text = String::from(
        "# What the conformance suite tests\n\n\
         Made by a test of jml-testkit (`JML_UPDATE_GOLDEN=1 cargo test -p jml-testkit`). Each behaviour is a\n\
         test, each planted defect is a connector that is wrong in one way. A defect that nothing catches\n\
         fails CI, and so does a behaviour that catches nothing. Behaviours that need a wire (`faults`) are\n\
         proven on a connector over TCP: see [conformance-wire.md](conformance-wire.md).\n\n\
         ## Behaviours\n\n| id | what must hold | why it matters | needs |\n|---|---|---|---|\n",
    );
    for it in jml_testkit::conformance::behaviours() {
        let needs = match it.tier {
            jml_testkit::conformance::Tier::BlackBox => "",
            jml_testkit::conformance::Tier::OutOfBand => "backdoor",
            jml_testkit::conformance::Tier::Faults => "faults",
        };
        let name = it.name.replace('_', " ");
        let why = it.why.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {} | {name} | {why} | {needs} |\n", it.id));
    }
    text.push_str("\n## Planted defects\n\n| defect | what the connector does wrong | caught by |\n|---|---|---|\n");
    for mutant in mutants::all() {
        let by = caught.get(mutant.name).map(|by| by.iter().copied().collect::<Vec<_>>().join(" "));
        let name = mutant.name.replace('_', " ");
        let what = mutant.what.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {name} | {what} | {} |\n", by.unwrap_or_default()));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert!(known == text, "docs/conformance.md is not what runs; JML_UPDATE_GOLDEN=1 writes it");
}
