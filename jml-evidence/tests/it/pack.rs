//! Packs: what an auditor is given, and that nothing in it can be changed, withheld or swapped unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use chrono::TimeDelta;
use jml_evidence::EvidenceStore;
use jml_evidence::controls::Framework;
use jml_evidence::log::Sealed;
use jml_evidence::note::CheckpointSigner as _;
use jml_evidence::pack::{Pack, PackRequest};
use jml_evidence::sla::Preset;
use jml_evidence::verify::{Level, Trust, Verdict, verify};
use proptest::prelude::*;

use crate::disk::SimDisk;
use crate::journals::{day, leaver, mover, person};
use crate::store::{finds, passes, signer, store};

/// A quarter of leavers and some moves, with a population, a sample and a checkpoint from before.
pub(crate) struct Quarter {
    pub(crate) disk: SimDisk,
    pub(crate) evidence: EvidenceStore,
    pub(crate) population: u64,
    pub(crate) sample: u64,
    pub(crate) earlier: Sealed,
}

pub(crate) fn quarter() -> Quarter {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 40);
    let mut earlier = None;
    for n in 0..20 {
        evidence.add(&leaver(&format!("leaver-{n}-canary"), day(n)).entries).unwrap();
        if n % 3 == 0 {
            let who = format!("mover-{n}-canary");
            evidence.add(&mover(&who, "boss-canary", day(n)).entries).unwrap();
        }
        let sealed = evidence.seal().unwrap();
        if n == 5 {
            earlier = Some(sealed);
        }
    }
    evidence.heartbeat(day(21)).unwrap();
    let sealed =
        evidence.seal_population("leaver", day(0) - TimeDelta::days(1), day(30), None, day(31));
    let population = sealed.unwrap().entry;
    evidence.draw_sample(population, "dice: 4 2 6", 5, day(32)).unwrap();
    let sample = population + 1;
    Quarter { disk, evidence, population, sample, earlier: earlier.unwrap() }
}

pub(crate) fn request(quarter: &Quarter, disclose: &[&str]) -> PackRequest {
    PackRequest {
        title: "Leavers of January, Corp".to_owned(),
        population: quarter.population,
        sample: Some(quarter.sample),
        disclose: disclose.iter().map(|name| (*name).to_owned()).collect(),
        earlier: [quarter.earlier.checkpoint().size].into(),
        presets: [Preset::FedRampHigh, Preset::Pci].into(),
        frameworks: Framework::all().collect(),
        trust: Trust::default(),
        at: day(33),
    }
}

fn trust(quarter: &Quarter) -> Trust {
    let earlier = quarter.earlier.checkpoint();
    Trust {
        key: Some(signer().verifier()),
        earlier: Some((earlier.size, earlier.root)),
        ..Trust::default()
    }
}

const ALL: [Level; 8] =
    [Level::L0, Level::L1, Level::L2, Level::L3, Level::L4, Level::L6, Level::L7, Level::L8];

#[test]
fn a_pack_is_verified_by_itself() {
    let quarter = quarter();
    let pack = Pack::build(&quarter.evidence, &request(&quarter, &["identity", "actor"])).unwrap();
    let report = verify(pack.files(), &trust(&quarter));
    passes(&report, &ALL);
    assert_eq!(report.runs, 5);
    assert!(report.records < report.size / 2, "{} of {}", report.records, report.size);
    // The same request gives the same bytes.
    let again = Pack::build(&quarter.evidence, &request(&quarter, &["identity", "actor"])).unwrap();
    assert_eq!(again, pack);
    // Everybody instead of a sample.
    let whole = PackRequest { sample: None, ..request(&quarter, &[]) };
    let pack = Pack::build(&quarter.evidence, &whole).unwrap();
    let report = verify(pack.files(), &trust(&quarter));
    assert_eq!(report.runs, 20);
    assert!(matches!(report.levels[&Level::L1], Verdict::NotChecked(_)));
    passes(&report, &[Level::L0, Level::L2, Level::L3, Level::L6, Level::L7]);
    // What is not there is said, not guessed.
    let wrong = |change: &dyn Fn(&mut PackRequest)| {
        let mut request = request(&quarter, &[]);
        change(&mut request);
        Pack::build(&quarter.evidence, &request).unwrap_err().to_string()
    };
    assert_eq!(wrong(&|it| it.population = 0), "entry 0 is no sealed population");
    assert_eq!(wrong(&|it| it.sample = Some(3)), "entry 3 is no drawn sample");
    assert!(wrong(&|it| it.earlier = [9999].into()).contains("never so large"));
}

#[test]
fn only_what_was_asked_for_is_open() {
    let quarter = quarter();
    let names = |pack: &Pack| {
        (0..20)
            .filter(|n| !finds(pack.files(), &format!("leaver-{n}-canary")).is_empty())
            .collect::<BTreeSet<_>>()
    };
    let closed = Pack::build(&quarter.evidence, &request(&quarter, &[])).unwrap();
    assert_eq!(names(&closed), BTreeSet::new());
    assert!(finds(closed.files(), "boss-canary").is_empty());
    // Names of the five that were drawn, and of nobody else.
    let open = Pack::build(&quarter.evidence, &request(&quarter, &["identity"])).unwrap();
    assert_eq!(names(&open).len(), 5);
    assert!(finds(open.files(), "corp.test").is_empty(), "accounts were not asked for");
    assert!(finds(open.files(), "mover-3-canary").is_empty());
    // In the report a change is shown with both sides when they are asked for.
    let whole = ["identity", "actor", "before", "after", "why", "cause"];
    let full = Pack::build(&quarter.evidence, &request(&quarter, &whole)).unwrap();
    let html = String::from_utf8(full.files()["report.html"].clone()).unwrap();
    assert!(html.contains("status: <del>active</del>"), "{}", html.len());
    assert!(html.contains("feed says so about leaver-"));
    assert!(!html.contains("http://") && !html.contains("src="), "nothing is fetched");
    let paper = String::from_utf8(full.files()["workpaper.csv"].clone()).unwrap();
    assert_eq!(paper.lines().count(), 1 + 5 * 2, "{paper}");
    assert!(paper.contains("within") && paper.contains("unanchored"), "{paper}");
}

/// Somebody changes a file, lists it anew and signs that with a key of their own.
#[test]
fn a_list_of_files_signed_by_a_stranger() {
    let quarter = quarter();
    let good = Pack::build(&quarter.evidence, &request(&quarter, &["identity"])).unwrap();
    let digest = |bytes: &[u8]| jml_core::digest::Digest::plain(bytes).to_string();
    let resigned = |key: &jml_evidence::note::Ed25519Signer, only_note: bool| {
        let mut files = good.files().clone();
        let report = files.get_mut("report.html").unwrap();
        let before = digest(report);
        report.extend_from_slice(b"<!-- all is well -->");
        let after = digest(report);
        let manifest = String::from_utf8(files["pack.json"].clone()).unwrap();
        let old = digest(manifest.as_bytes());
        let manifest = manifest.replace(&before, &after);
        let new = digest(manifest.as_bytes());
        let text = format!("jml-evidence/pack/v1\nexample.org/test\n{new}\n");
        let signature = key.sign(text.as_bytes()).unwrap();
        let note = jml_evidence::note::Note::write(&text, &[key.verifier().line(&signature)]);
        files.insert("pack.sig".to_owned(), note.into_bytes());
        files.insert("pack.json".to_owned(), manifest.into_bytes());
        let envelope = jml_evidence::dsse::Envelope::parse(&files["statement.dsse.json"]).unwrap();
        let payload = String::from_utf8(envelope.payload.clone()).unwrap();
        let (old, new) = (old.replace("sha-256:", ""), new.replace("sha-256:", ""));
        let payload = payload.replace(&old, &new).into_bytes();
        let by = if only_note { signer() } else { stranger() };
        let signature =
            by.sign(&jml_evidence::dsse::pae(&envelope.payload_type, &payload)).unwrap();
        let signatures = vec![(by.verifier().to_string(), signature)];
        let envelope = jml_evidence::dsse::Envelope { payload, signatures, ..envelope };
        files.insert("statement.dsse.json".to_owned(), envelope.write().unwrap());
        verify(&files, &trust(&quarter)).levels[&Level::L3].clone()
    };
    // The test of the test: with the log's own key on both it passes.
    assert_eq!(resigned(&signer(), true), Verdict::Pass);
    assert!(matches!(resigned(&stranger(), true), Verdict::Fail(_)));
    assert!(matches!(resigned(&signer(), false), Verdict::Fail(_)));
}

/// Another key for a log of the same name.
fn stranger() -> jml_evidence::note::Ed25519Signer {
    let mut entropy = crate::store::Seeded::new(99);
    jml_evidence::note::Ed25519Signer::generate("example.org/test", &mut entropy).unwrap()
}

/// A list of hashes is read back whatever they begin with: no cell of it looks like a formula.
#[test]
fn a_large_population_is_listed() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 42);
    for n in 0..400 {
        evidence.add(&leaver(&format!("p{n}"), day(n % 25)).entries[..1]).unwrap();
    }
    evidence.seal().unwrap();
    let sealed = evidence.seal_population("leaver", day(-2), day(30), None, day(31)).unwrap();
    let quarter = quarter();
    let base = request(&quarter, &[]);
    let request =
        PackRequest { population: sealed.entry, sample: None, earlier: BTreeSet::new(), ..base };
    let pack = Pack::build(&evidence, &request).unwrap();
    let report = verify(pack.files(), &trust(&quarter));
    passes(&report, &[Level::L7]);
    let list = String::from_utf8(pack.files()["population.csv"].clone()).unwrap();
    assert_eq!(list.lines().count(), 401);
    assert!(!list.contains('\''));
}

/// Text from outside cannot become markup.
#[test]
fn names_are_escaped() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 41);
    evidence.add(&leaver("<script>alert(1)</script>", day(0)).entries).unwrap();
    evidence.seal().unwrap();
    let population =
        evidence.seal_population("leaver", day(-2), day(5), None, day(6)).unwrap().entry;
    let request = PackRequest {
        title: "<b>title</b> & more".to_owned(),
        population,
        sample: None,
        disclose: ["identity", "cause"].map(str::to_owned).into(),
        earlier: BTreeSet::new(),
        presets: BTreeSet::new(),
        frameworks: BTreeSet::new(),
        trust: Trust::default(),
        at: day(7),
    };
    let pack = Pack::build(&evidence, &request).unwrap();
    let html = String::from_utf8(pack.files()["report.html"].clone()).unwrap();
    assert!(!html.contains("<script") && !html.contains("<b>title"), "markup from outside");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let _ = person("x");
}

/// Each way of cheating, and the level that notices it.
#[test]
fn every_attack_has_its_level() {
    let quarter = quarter();
    let good = Pack::build(&quarter.evidence, &request(&quarter, &["identity"])).unwrap();
    let first = |files: &BTreeMap<String, Vec<u8>>, folder: &str| {
        files.keys().filter(|name| name.starts_with(folder)).cloned().collect::<Vec<_>>()
    };
    type Attack = (&'static str, Level, fn(&mut BTreeMap<String, Vec<u8>>, &[String]));
    let attacks: [Attack; 10] = [
        ("edit a record", Level::L2, |files, records| {
            let bytes = files.get_mut(&records[3]).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap().replace("\"v\":1", "\"v\":2");
            *bytes = text.into_bytes();
        }),
        ("swap two records", Level::L2, |files, records| {
            let (a, b) = (files[&records[0]].clone(), files[&records[1]].clone());
            files.insert(records[0].clone(), b);
            files.insert(records[1].clone(), a);
        }),
        ("withhold a record", Level::L6, |files, records| {
            let proof = records[4].replace("records/", "proofs/").replace(".json", ".tlog-proof");
            files.remove(&records[4]);
            files.remove(&proof);
        }),
        ("withhold a drawn run", Level::L7, |files, _| {
            // Whole runs, so that no gap is left in any of them.
            let of_run = |bytes: &[u8]| {
                let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                value["run"]["id"].as_str().map(str::to_owned)
            };
            let run = files
                .iter()
                .filter(|(name, _)| name.starts_with("records/"))
                .find_map(|(_, bytes)| of_run(bytes));
            let gone: Vec<String> = files
                .iter()
                .filter(|(name, bytes)| name.starts_with("records/") && of_run(bytes) == run)
                .map(|(name, _)| name.clone())
                .collect();
            for name in gone {
                files.remove(&name.replace("records/", "proofs/").replace(".json", ".tlog-proof"));
                files.remove(&name.replace("records/", "disclosures/").replace(".json", ".txt"));
                files.remove(&name);
            }
        }),
        ("shrink the population", Level::L7, |files, _| {
            let text = String::from_utf8(files["population.csv"].clone()).unwrap();
            let cut: Vec<&str> = text.lines().take(15).collect();
            files.insert("population.csv".to_owned(), (cut.join("\n") + "\n").into_bytes());
        }),
        ("swap disclosures of two people", Level::L1, |files, _| {
            let names: Vec<String> =
                files.keys().filter(|n| n.starts_with("disclosures/")).cloned().collect();
            let (a, b) = (files[&names[0]].clone(), files[&names[1]].clone());
            files.insert(names[0].clone(), b);
            files.insert(names[1].clone(), a);
        }),
        ("a disclosure twice", Level::L1, |files, _| {
            let name = files.keys().find(|n| n.starts_with("disclosures/")).unwrap().clone();
            let twice = [files[&name].clone(), files[&name].clone()].concat();
            files.insert(name, twice);
        }),
        ("another name", Level::L1, |files, _| {
            let name = files.keys().find(|n| n.starts_with("disclosures/")).unwrap().clone();
            let (text, _) = ("WyJhIiwiaWRlbnRpdHkiLCJzb21lYm9keSBlbHNlIl0", ());
            files.insert(name, format!("{text}\n").into_bytes());
        }),
        ("edit the report", Level::L3, |files, _| {
            files.get_mut("report.html").unwrap().extend_from_slice(b"<!-- -->");
        }),
        ("add a file", Level::L3, |files, _| {
            files.insert("notes.txt".to_owned(), b"all is well".to_vec());
        }),
    ];
    for (what, level, attack) in attacks {
        let mut files = good.files().clone();
        let records = first(&files, "records/");
        attack(&mut files, &records);
        let report = verify(&files, &trust(&quarter));
        assert!(matches!(report.levels[&level], Verdict::Fail(_)), "{what}: {report:?}");
    }
    // Another key, and history that does not continue what the auditor kept.
    let theirs = Trust { key: Some(stranger().verifier()), ..trust(&quarter) };
    assert!(matches!(verify(good.files(), &theirs).levels[&Level::L3], Verdict::Fail(_)));
    let size = quarter.earlier.checkpoint().size;
    let lied = Trust { earlier: Some((size, [7; 32])), ..trust(&quarter) };
    assert!(matches!(verify(good.files(), &lied).levels[&Level::L4], Verdict::Fail(_)));
    let ahead = Trust { earlier: Some((99_999, [7; 32])), ..trust(&quarter) };
    assert!(matches!(verify(good.files(), &ahead).levels[&Level::L4], Verdict::Fail(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Any bit of any file of a pack.
    #[test]
    fn any_changed_bit_of_a_pack_is_noticed(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        static PACK: std::sync::OnceLock<(Pack, Trust)> = std::sync::OnceLock::new();
        let (pack, trust) = PACK.get_or_init(|| {
            let quarter = quarter();
            let request = request(&quarter, &["identity", "before", "after"]);
            (Pack::build(&quarter.evidence, &request).unwrap(), trust(&quarter))
        });
        let names: Vec<&String> = pack.files().keys().collect();
        let name = names[file.index(names.len())];
        let mut files = pack.files().clone();
        let bytes = files.get_mut(name).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let report = verify(&files, trust);
        prop_assert!(!report.is_ok(), "{name}, byte {at}");
        // The level that the file is about does not pass either.
        let level = match name.split('/').next().unwrap() {
            "records" | "proofs" => Level::L2,
            "disclosures" => Level::L1,
            _ => Level::L3,
        };
        prop_assert_ne!(&report.levels[&level], &Verdict::Pass, "{}, byte {}", name, at);
    }
}

/// Runs a program of somebody else's over a folder; `None` when it is not installed.
fn outside(program: &str, args: &[&str], dir: &Path) -> Option<(bool, String)> {
    let run = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .output()
        .ok()?;
    let said =
        String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    Some((run.status.success(), said))
}

fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The Python program of the pack accepts the pack and refuses what was done to it. It shares no code with
/// ours.
#[test]
fn the_python_verifier_agrees() {
    if outside("python3", &["--version"], Path::new(".")).is_none()
        || outside("openssl", &["version"], Path::new(".")).is_none()
    {
        println!("skipped: no python3 or no openssl");
        return;
    }
    let quarter = quarter();
    let pack = Pack::build(&quarter.evidence, &request(&quarter, &["identity"])).unwrap();
    let key = signer().verifier().to_string();
    let folder = tempfile::tempdir().unwrap();
    let judge = |name: &str, files: &BTreeMap<String, Vec<u8>>, earlier: &str| {
        let dir = folder.path().join(name);
        write(&dir, files);
        let kept = folder.path().join(format!("{name}.checkpoint"));
        std::fs::write(&kept, earlier).unwrap();
        let kept = kept.display().to_string();
        // The program is taken from elsewhere: the one in the pack may have been changed as well.
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify.py");
        outside("python3", &[program, ".", &key, &kept], &dir).unwrap()
    };
    let (ok, said) = judge("good", pack.files(), quarter.earlier.note());
    assert!(ok, "{said}");
    assert!(
        said.contains("continues the earlier checkpoint") && said.contains("0 problems"),
        "{said}"
    );
    let mut refused = 0;
    for name in pack
        .files()
        .keys()
        .step_by(23)
        .chain(["checkpoint", "pack.sig", "population.csv"].map(str::to_owned).iter())
    {
        let mut files = pack.files().clone();
        let bytes = files.get_mut(name).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        let (ok, said) = judge(&format!("bad-{refused}"), &files, quarter.earlier.note());
        assert!(!ok && said.contains("FAIL"), "{name}: {said}");
        refused += 1;
    }
    println!("python: 1 pack accepted, {refused} changed ones refused");
}

/// Go's transparency log packages accept our folder, its proofs and the pack, and refuse each attack.
#[test]
fn the_go_verifier_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify.go");
    let tool = folder.path().join("verify").display().to_string();
    match outside("go", &["build", "-o", &tool, program], folder.path()) {
        Some((true, _)) => {}
        Some((false, said)) if said.contains("cannot find package") => {
            println!("skipped: Go is here and golang.org/x/mod is not");
            return;
        }
        Some((false, said)) => panic!("{said}"),
        None => {
            println!("skipped: no go");
            return;
        }
    }
    let quarter = quarter();
    let key = signer().verifier().to_string();
    let mut number = 0;
    let mut judge = |what: &str, files: &BTreeMap<String, Vec<u8>>| {
        number += 1;
        let dir = folder.path().join(format!("{what}{number}"));
        write(&dir, files);
        outside(&tool, &[what, ".", &key], &dir).unwrap()
    };
    let pack = Pack::build(&quarter.evidence, &request(&quarter, &["identity"])).unwrap();
    let log = quarter.disk.files();
    for (what, files) in [("pack", pack.files()), ("log", &log)] {
        let (ok, said) = judge(what, files);
        assert!(ok && said.starts_with("ok"), "{what}: {said}");
    }
    // Attacks on the folder, each refused.
    let bundle = "tile/entries/000";
    let entries = jml_evidence::tiles::unbundle(&log[bundle]).unwrap();
    let rebuilt = |list: Vec<Vec<u8>>| {
        let mut files = log.clone();
        let bytes = jml_evidence::tiles::bundle(list.iter().map(Vec::as_slice)).unwrap();
        files.insert(bundle.to_owned(), bytes);
        files
    };
    let mut attacks = Vec::new();
    let mut list = entries.clone();
    list[7][20] ^= 1;
    attacks.push(("edit", rebuilt(list)));
    let mut list = entries.clone();
    list.swap(3, 4);
    attacks.push(("swap", rebuilt(list)));
    let mut list = entries.clone();
    list.remove(9);
    attacks.push(("delete", rebuilt(list)));
    let mut list = entries.clone();
    list.insert(9, entries[9].clone());
    attacks.push(("duplicate", rebuilt(list)));
    let mut cut = log.clone();
    let last = cut.keys().rfind(|name| name.starts_with("tile/entries/001")).unwrap().clone();
    cut.remove(&last);
    attacks.push(("truncate", cut));
    let mut resigned = log.clone();
    let note = String::from_utf8(log["checkpoint"].clone()).unwrap();
    resigned.insert(
        "checkpoint".to_owned(),
        note.replacen("example.org/test\n", "example.org/tesu\n", 1).into_bytes(),
    );
    attacks.push(("another origin", resigned));
    let ours = Trust { key: Some(signer().verifier()), ..Trust::default() };
    for (what, files) in &attacks {
        let (ok, said) = judge("log", files);
        assert!(!ok && said.starts_with("FAIL"), "{what}: {said}");
        assert!(!verify(files, &ours).is_ok(), "ours accepts {what}");
    }
    // Roll-back and split view: a checkpoint that somebody kept, and one that does not continue it.
    let dir = folder.path();
    let old = quarter.earlier.checkpoint();
    let proof = quarter.evidence.log().prove_consistency(old.size).unwrap();
    std::fs::write(dir.join("old"), quarter.earlier.note()).unwrap();
    std::fs::write(dir.join("new"), &note).unwrap();
    std::fs::write(dir.join("proof"), jml_evidence::proof::write_hashes(&proof)).unwrap();
    let other = SimDisk::default();
    let mut liar = store(&other, 41);
    while liar.log().size() < quarter.evidence.log().size() {
        liar.heartbeat(day(0)).unwrap();
    }
    std::fs::write(dir.join("split"), liar.seal().unwrap().note()).unwrap();
    let consistency = |old: &str, new: &str| {
        outside(&tool, &["consistency", old, new, "proof", &key], dir).unwrap()
    };
    assert!(consistency("old", "new").0);
    let (back, split) = (consistency("new", "old"), consistency("old", "split"));
    assert!(!back.0 && !split.0, "{back:?} {split:?}");
    println!("go: folder, pack and consistency accepted; {} attacks refused", attacks.len() + 2);
}
