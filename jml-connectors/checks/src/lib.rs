//! What the tests of all built-in connectors share: the suite with its published report, the vendors' own
//! documents, and a life on a target, from the first day to the last, with and without faults.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "it is for tests")]

mod costs;
mod life;

use std::path::{Path, PathBuf};

use jml_testkit::conformance::Harness;
use jml_testkit::fake::{Fake, FakeApi, Hits, Recorded, WireFault};
use jml_testkit::openapi::Documents;

pub use costs::Costs;
pub use life::{Life, Person};

/// The vendors' documents, where they are at hand: `okta`, with the path under which the fake serves it.
#[must_use]
pub fn documents(names: &[(&str, &'static str)]) -> Option<Documents> {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/openapi/openapi31"));
    if !folder.is_dir() {
        println!("skipped: no documents of vendors here, so nothing is held against them");
        return None;
    }
    let files = names.iter().map(|(name, base)| (folder.join(format!("{name}.json")), *base));
    Some(Documents::read(files).unwrap_or_else(|e| panic!("{e}")))
}

/// The documents of one place of a test. When the place is done, everything must have agreed.
#[derive(Debug)]
pub struct Watched(Option<Documents>);

impl Watched {
    /// These documents, or those that `read` gives.
    #[must_use]
    pub fn new(given: Option<&Documents>, read: impl FnOnce() -> Option<Documents>) -> Self {
        Self(given.cloned().or_else(read))
    }

    /// No documents, for what theirs say too little about.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(None)
    }

    /// A fake that is watched by them.
    #[must_use]
    pub fn watch<A: FakeApi>(&self, fake: Fake<A>) -> Fake<A> {
        match &self.0 {
            Some(documents) => fake.watched(documents.clone()),
            None => fake,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(documents) = self.0.as_ref().filter(|_| !std::thread::panicking()) {
            let tally = documents.tally();
            assert!(tally.problems.is_empty(), "{tally}");
        }
    }
}

/// Says what was held against the documents, and fails if something does not agree.
pub fn agrees(what: &str, documents: Option<&Documents>) {
    if let Some(documents) = documents {
        let tally = documents.tally();
        println!("{what}: {tally}");
        assert!(tally.problems.is_empty(), "{what}: {tally}");
        assert!(tally.requests > 0, "{what}: nothing was looked at");
    }
}

/// Runs the suite. Everything has to have been tried; the report is the connector's own file.
pub fn conforms(folder: &str, name: &str, harness: &Harness) {
    let report = jml_testkit::conformance::run(harness);
    println!("{report}");
    assert!(report.conforms(), "{report}");
    assert!(report.not_run().is_empty(), "not tried: {:?}", report.not_run());
    golden(&Path::new(folder).join(name), &report.to_string());
}

/// Compares with a file. `JML_UPDATE_GOLDEN=1` writes it.
pub fn golden(path: &Path, text: &str) {
    if std::env::var_os("JML_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "{} is another one; JML_UPDATE_GOLDEN=1 writes it:\n{text}",
        path.display()
    );
}

/// The calls that could change something, in their order, a line each: method, path and query, body. What
/// is in `names` is written by its name.
#[must_use]
pub fn calls(requests: &[Recorded], names: &[(String, &str)]) -> String {
    let mut text = String::new();
    for request in requests.iter().filter(|it| it.mutates) {
        let body = String::from_utf8_lossy(&request.body);
        let line = format!("{} {} {body}", request.method, request.target);
        let line = names.iter().fold(line, |line, (id, name)| line.replace(id, name));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A name, and what goes wrong.
pub type Storm = (&'static str, Vec<(Hits, u32, WireFault)>);

/// Has a target go wrong so from now on.
pub fn blow<A: FakeApi>(fake: &Fake<A>, (_, faults): &Storm) {
    for (hits, times, fault) in faults.clone() {
        fake.inject(hits, times, fault);
    }
}

/// Everything that can happen on the way to any target.
#[must_use]
pub fn storms() -> Vec<Storm> {
    let (changes, reads) = (Hits::Changes, Hits::Reads);
    vec![
        (
            "throttled",
            vec![(Hits::All, 25, WireFault::status(429).with_header("retry-after", "1.5"))],
        ),
        ("out of order", vec![(Hits::All, 20, WireFault::status(503))]),
        (
            "answers lost",
            vec![(changes, 12, WireFault::ResetAfter), (reads, 9, WireFault::ResetAfter)],
        ),
        ("requests lost", vec![(changes, 12, WireFault::ResetBefore)]),
        ("answers cut", vec![(changes, 6, WireFault::Truncate), (reads, 6, WireFault::Truncate)]),
        (
            "gateway",
            vec![(changes, 5, WireFault::status(502)), (changes, 5, WireFault::ResetAfter)],
        ),
    ]
}

/// Signs nothing: fakes know no keys.
#[derive(Debug)]
pub struct NoKey;

#[async_trait::async_trait]
impl jml_connector_kit::auth::AssertionSigner for NoKey {
    fn algorithm(&self) -> &'static str {
        "RS256"
    }
    fn key_id(&self) -> Option<&str> {
        None
    }
    async fn sign(&self, _: &[u8]) -> jml_core::provider::Result<Vec<u8>> {
        Ok(vec![7; 8])
    }
}

/// The instant at which tests begin: a Monday.
#[must_use]
pub fn start() -> chrono::DateTime<chrono::Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}
