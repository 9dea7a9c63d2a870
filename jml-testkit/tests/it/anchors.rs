//! Witnesses and time stamps: the anchors of jml-evidence against a witness that keeps the rules, and
//! against openssl's own time-stamping authority.

use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use futures::executor::block_on;
use jml_evidence::EvidenceStore;
use jml_evidence::anchor::{
    Anchor as _, AnchorError, Anchored, TimestampAnchor, Transport, WitnessAnchor,
};
use jml_evidence::entropy::OsEntropy;
use jml_evidence::note::{CheckpointSigner as _, Ed25519Signer};
use jml_evidence::store::Keys;
use jml_evidence::timestamp;
use jml_evidence::vault::LocalKey;
use jml_evidence::verify::{Directory, Level, Trust, Verdict, verify};
use jml_testkit::witness::Witness;

fn at(hour: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour)
}

fn key() -> Ed25519Signer {
    /// The same key each time.
    struct Same;
    impl jml_evidence::entropy::Entropy for Same {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }
    Ed25519Signer::generate("example.org/log", &mut Same).unwrap()
}

fn store(dir: &Path) -> EvidenceStore {
    let keys = Keys {
        signer: Box::new(key()),
        vault: Box::new(LocalKey::generate(&mut OsEntropy)),
        entropy: Box::new(OsEntropy),
    };
    EvidenceStore::open(dir, keys).unwrap()
}

#[test]
fn a_witness_is_never_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut evidence = store(&folder.path().join("log"));
    let own = Ed25519Signer::generate("witness.example/1", &mut OsEntropy).unwrap();
    let witness = Witness::new(own, vec![key().verifier()], 7200);
    let anchor = WitnessAnchor::new(
        "https://witness.example",
        witness.verifier(),
        Box::new(witness.clone()),
    );
    let mut sizes = Vec::new();
    for hour in 0..4 {
        for _ in 0..=hour {
            evidence.heartbeat(at(hour)).unwrap();
        }
        let sealed = evidence.seal().unwrap();
        witness.set_time(u64::try_from(hour).unwrap() * 3600 + 60);
        let proofs = |old| evidence.log().prove_consistency(old).ok();
        let receipt = block_on(anchor.anchor(&sealed, &proofs)).unwrap();
        evidence.keep_receipts(&Anchored::new(sealed.clone(), receipt), at(hour)).unwrap();
        sizes.push(sealed.checkpoint().size);
    }
    let sealed = evidence.seal().unwrap();
    let proofs = |old| evidence.log().prove_consistency(old).ok();
    block_on(anchor.anchor(&sealed, &proofs)).unwrap();
    // The same again is fine.
    block_on(anchor.anchor(&sealed, &proofs)).unwrap();
    // Another history of this log, smaller or of the same size or larger, is not.
    for extra in [0, 3, 40] {
        let mut other = store(&folder.path().join(format!("other-{extra}")));
        while other.log().size() < 2 + extra {
            other.heartbeat(at(9)).unwrap();
        }
        let lie = other.seal().unwrap();
        let proofs = |old| other.log().prove_consistency(old).ok();
        let refused = block_on(anchor.anchor(&lie, &proofs)).unwrap_err();
        assert!(matches!(refused, AnchorError::Refused { .. }), "{extra}: {refused}");
    }
    drop(evidence);
    let trust = Trust {
        key: Some(key().verifier()),
        witnesses: vec![witness.verifier()],
        ..Trust::default()
    };
    let report = verify(&Directory::new(folder.path().join("log")), &trust);
    assert_eq!(report.levels[&Level::L5], Verdict::Pass);
    assert_eq!(report.seen.iter().map(|seen| seen.size).collect::<Vec<_>>(), sizes);
    // What a stranger sends is refused before anything is remembered.
    for (body, status) in [
        (&b"old 0\n\nnot a note"[..], 400),
        (b"new 0\n\nx", 400),
        (b"old x\n\nx", 400),
        (b"\xff", 400),
    ] {
        assert_eq!(witness.add_checkpoint(body).0, status);
    }
    let stranger = Ed25519Signer::generate("example.org/log", &mut OsEntropy).unwrap();
    let text = sealed.checkpoint().text();
    let line = stranger.verifier().line(&stranger.sign(text.as_bytes()).unwrap());
    let body = format!("old 0\n\n{text}\n{line}\n");
    assert_eq!(witness.add_checkpoint(body.as_bytes()).0, 403);
    let body = body.replace("example.org/log", "example.org/other");
    assert_eq!(witness.add_checkpoint(body.as_bytes()).0, 404);
}

/// openssl as a time-stamping authority.
struct Authority(PathBuf);

fn openssl(dir: &Path, args: &[&str]) -> bool {
    let run = Command::new("openssl").args(args).current_dir(dir).output();
    run.is_ok_and(|run| run.status.success())
}

impl Authority {
    /// Makes a certificate that may stamp; `None` without openssl.
    fn new(dir: &Path) -> Option<Self> {
        let config = "[req]\ndistinguished_name=dn\nx509_extensions=tsa\nprompt=no\n[dn]\nCN=test\n\
                      [tsa]\nextendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:TRUE\n\
                      [tsa_config]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\n\
                      digests=sha256\naccuracy=secs:1\nordering=yes\n";
        std::fs::write(dir.join("config"), config).unwrap();
        std::fs::write(dir.join("serial"), "01\n").unwrap();
        let made = openssl(
            dir,
            &[
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
                "cert.pem", "-days", "30", "-config", "config",
            ],
        );
        made.then(|| Self(dir.to_owned()))
    }
}

#[async_trait]
impl Transport for Authority {
    async fn post(
        &self,
        _: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        assert_eq!(content_type, "application/timestamp-query");
        std::fs::write(self.0.join("query"), body).unwrap();
        let ok = openssl(
            &self.0,
            &[
                "ts",
                "-reply",
                "-config",
                "config",
                "-section",
                "tsa_config",
                "-queryfile",
                "query",
                "-signer",
                "cert.pem",
                "-inkey",
                "key.pem",
                "-out",
                "answer",
            ],
        );
        if !ok {
            return Err("openssl refused".to_owned());
        }
        Ok((200, std::fs::read(self.0.join("answer")).unwrap()))
    }
}

#[test]
fn openssl_stamps_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let Some(authority) = Authority::new(dir) else {
        println!("skipped: no openssl");
        return;
    };
    let mut evidence = store(&dir.join("log"));
    evidence.heartbeat(at(0)).unwrap();
    let sealed = evidence.seal().unwrap();
    let anchor =
        TimestampAnchor::new("https://tsa.example", Box::new(authority), Box::new(OsEntropy));
    let receipt = block_on(anchor.anchor(&sealed, &|_| None)).unwrap();
    let stamp = timestamp::read(&receipt.bytes).unwrap();
    evidence.keep_receipts(&Anchored::new(sealed.clone(), receipt.clone()), at(1)).unwrap();
    evidence.seal().unwrap();
    drop(evidence);
    // Without openssl's word for it, the stamp is there and counts for nothing.
    let files = Directory::new(dir.join("log"));
    let trust = Trust { key: Some(key().verifier()), ..Trust::default() };
    let report = verify(&files, &trust);
    let Verdict::NotChecked(why) = &report.levels[&Level::L5] else { panic!("{report:?}") };
    assert!(why.contains("1 time stamps, to be checked by `openssl ts`"), "{why}");
    // openssl says that it holds, over exactly these bytes.
    let place = format!("log/receipts/{}", sealed.checkpoint().size);
    let (token, data) = (format!("{place}/timestamp.tsr"), format!("{place}/checkpoint"));
    let check = |data: &str| {
        openssl(
            dir,
            &[
                "ts",
                "-verify",
                "-in",
                &token,
                "-data",
                data,
                "-CAfile",
                "cert.pem",
                "-untrusted",
                "cert.pem",
            ],
        )
    };
    assert!(check(&data));
    std::fs::write(dir.join("changed"), sealed.note().replacen('1', "2", 1)).unwrap();
    assert!(!check("changed"));
    let trust = Trust { stamps: [timestamp::imprint(&receipt.bytes)].into(), ..trust };
    let report = verify(&files, &trust);
    assert_eq!(report.levels[&Level::L5], Verdict::Pass);
    assert_eq!(i64::try_from(report.seen[0].time).unwrap(), stamp.time);
    // A stamp of something else is a lie.
    let path = dir.join(&data);
    std::fs::write(&path, sealed.note().replacen("example", "exemple", 1)).unwrap();
    assert!(matches!(verify(&files, &trust).levels[&Level::L5], Verdict::Fail(_)));
}
