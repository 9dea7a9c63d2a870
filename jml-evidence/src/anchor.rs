//! Anchors: somebody outside who has seen a checkpoint, so that the log's owner cannot rewrite what is
//! before it.
//!
//! Nothing here opens a connection. [`WitnessAnchor`] and [`TimestampAnchor`] build the request and read
//! the answer; a [`Transport`] of the embedder's carries it, with whatever client, proxy and limits are
//! used there.

use async_trait::async_trait;
use base64ct::{Base64, Encoding as _};

use crate::entropy::Entropy;
use crate::log::Sealed;
use crate::merkle::Hash;
use crate::note::{Note, NoteError, VerifierKey};
use crate::timestamp;

/// Why an anchor gave no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// It could not be reached, or answered something else. Trying again is safe.
    #[error("`{anchor}` cannot be reached: {what}")]
    Unreachable {
        /// Which one.
        anchor: String,
        /// What happened.
        what: String,
    },
    /// It says that this checkpoint does not follow the one that it saw last. If that one is not known
    /// here, the log was rolled back, or somebody else signs with its key.
    #[error("`{anchor}` saw this log at size {size}, and this is no continuation of it")]
    Refused {
        /// Which one.
        anchor: String,
        /// The size that it saw.
        size: u64,
    },
    /// Its answer is not what it should be.
    #[error("the answer of `{anchor}` is not right: {what}")]
    Answer {
        /// Which one.
        anchor: String,
        /// What is wrong.
        what: String,
    },
    /// A file is there already and says something else.
    #[error(
        "`{0}` is there already and is of another checkpoint: two roots were signed for one size"
    )]
    Split(String),
}

/// What an anchor says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Receipt {
    /// The file name under which the log keeps it.
    pub name: String,
    /// What it is: `drop`, `witness`, `timestamp`.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Somebody outside who takes note of a checkpoint.
#[async_trait]
pub trait Anchor: Send + Sync {
    /// Shows a checkpoint. `proofs` gives the consistency proof from an earlier size to it.
    ///
    /// # Errors
    /// [`AnchorError`].
    async fn anchor(
        &self,
        sealed: &Sealed,
        proofs: &(dyn Fn(u64) -> Option<Vec<Hash>> + Sync),
    ) -> Result<Receipt, AnchorError>;
}

/// A checkpoint with the receipts that somebody outside gave for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    sealed: Sealed,
    receipts: Vec<Receipt>,
}

impl Anchored {
    /// At least one receipt is needed: without one, a checkpoint is only sealed.
    #[must_use]
    pub fn new(sealed: Sealed, first: Receipt) -> Self {
        Self { sealed, receipts: vec![first] }
    }

    /// Adds another receipt.
    pub fn push(&mut self, receipt: Receipt) {
        self.receipts.push(receipt);
    }

    /// The checkpoint.
    #[must_use]
    pub const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The receipts, at least one.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }
}

/// Carries a request to a web address.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts bytes and gives back the status and the body of the answer.
    ///
    /// # Errors
    /// In words, when no answer came.
    async fn post(
        &self,
        url: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String>;
}

/// Puts each checkpoint into a directory that the log's owner cannot change later: a write-once share, an
/// auditor's folder, a repository of somebody else's.
#[derive(Clone, Debug)]
pub struct FileDrop {
    dir: std::path::PathBuf,
}

impl FileDrop {
    /// A drop in a directory.
    #[must_use]
    pub fn new(dir: impl Into<std::path::PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
}

#[async_trait]
impl Anchor for FileDrop {
    async fn anchor(
        &self,
        sealed: &Sealed,
        _: &(dyn Fn(u64) -> Option<Vec<Hash>> + Sync),
    ) -> Result<Receipt, AnchorError> {
        use std::io::Write as _;
        let name = format!("checkpoint.{}", sealed.checkpoint().size);
        let path = self.dir.join(&name);
        let shown = path.display().to_string();
        let fail = |e: std::io::Error| AnchorError::Unreachable {
            anchor: shown.clone(),
            what: e.to_string(),
        };
        let bytes = sealed.note().as_bytes().to_vec();
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                let there = std::fs::read_to_string(&path).map_err(fail)?;
                let text = Note::parse(&there).ok().map(|note| note.text.to_owned());
                if text.as_deref() != Some(sealed.checkpoint().text().as_str()) {
                    return Err(AnchorError::Split(shown));
                }
            }
            Err(e) => return Err(fail(e)),
        }
        Ok(Receipt { name: "drop".to_owned(), kind: "drop", bytes })
    }
}

/// A witness (C2SP tlog-witness): it signs a checkpoint only if it continues the last one that it saw.
pub struct WitnessAnchor {
    url: String,
    key: VerifierKey,
    transport: Box<dyn Transport>,
}

impl std::fmt::Debug for WitnessAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessAnchor").field("url", &self.url).finish_non_exhaustive()
    }
}

impl WitnessAnchor {
    /// A witness at an address, known by its key.
    #[must_use]
    pub fn new(url: impl Into<String>, key: VerifierKey, transport: Box<dyn Transport>) -> Self {
        Self { url: url.into(), key, transport }
    }

    fn bad(&self, what: impl Into<String>) -> AnchorError {
        AnchorError::Answer { anchor: self.key.name().to_owned(), what: what.into() }
    }

    async fn ask(
        &self,
        sealed: &Sealed,
        old: u64,
        proof: &[Hash],
    ) -> Result<(u16, String), AnchorError> {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&Base64::encode_string(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(sealed.note());
        let url = format!("{}/add-checkpoint", self.url.trim_end_matches('/'));
        let unreachable =
            |what| AnchorError::Unreachable { anchor: self.key.name().to_owned(), what };
        let (status, answer) = self
            .transport
            .post(&url, "text/plain; charset=utf-8", body.into_bytes())
            .await
            .map_err(unreachable)?;
        let answer = String::from_utf8(answer).map_err(|_| self.bad("it is not text"))?;
        Ok((status, answer))
    }
}

#[async_trait]
impl Anchor for WitnessAnchor {
    async fn anchor(
        &self,
        sealed: &Sealed,
        proofs: &(dyn Fn(u64) -> Option<Vec<Hash>> + Sync),
    ) -> Result<Receipt, AnchorError> {
        let size = sealed.checkpoint().size;
        // A witness that knows the log better answers with the size that it saw (409).
        let (mut status, mut answer) = self.ask(sealed, 0, &[]).await?;
        if status == 409 {
            let seen: u64 = answer
                .trim_end()
                .parse()
                .map_err(|_| self.bad("status 409 without the size that it saw"))?;
            let refused =
                || AnchorError::Refused { anchor: self.key.name().to_owned(), size: seen };
            let proof = if seen <= size { proofs(seen) } else { None };
            let proof = proof.ok_or_else(refused)?;
            (status, answer) = self.ask(sealed, seen, &proof).await?;
            if status == 409 || status == 422 {
                return Err(refused());
            }
        }
        if status != 200 {
            let what = format!("status {status}");
            return Err(AnchorError::Unreachable { anchor: self.key.name().to_owned(), what });
        }
        let note = format!("{}{answer}", sealed.note());
        let wrong = |e: NoteError| self.bad(e.to_string());
        let parsed = Note::parse(&note).map_err(wrong)?;
        self.key.check_note(&parsed).map_err(wrong)?;
        Ok(Receipt {
            name: format!("witness-{}", file_name(self.key.name())),
            kind: "witness",
            bytes: note.into_bytes(),
        })
    }
}

/// A name that is safe in a path.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// A time-stamping authority (RFC 3161, over HTTP as in its section 3.4).
pub struct TimestampAnchor {
    url: String,
    transport: Box<dyn Transport>,
    entropy: std::sync::Mutex<Box<dyn Entropy>>,
}

impl std::fmt::Debug for TimestampAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimestampAnchor").field("url", &self.url).finish_non_exhaustive()
    }
}

impl TimestampAnchor {
    /// An authority at an address.
    #[must_use]
    pub fn new(
        url: impl Into<String>,
        transport: Box<dyn Transport>,
        entropy: Box<dyn Entropy>,
    ) -> Self {
        Self { url: url.into(), transport, entropy: std::sync::Mutex::new(entropy) }
    }
}

#[async_trait]
impl Anchor for TimestampAnchor {
    async fn anchor(
        &self,
        sealed: &Sealed,
        _: &(dyn Fn(u64) -> Option<Vec<Hash>> + Sync),
    ) -> Result<Receipt, AnchorError> {
        let mut nonce = [0; 8];
        self.entropy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill(&mut nonce);
        let query = timestamp::query(sealed.note().as_bytes(), nonce);
        let unreachable = |what| AnchorError::Unreachable { anchor: self.url.clone(), what };
        let (status, bytes) = self
            .transport
            .post(&self.url, "application/timestamp-query", query)
            .await
            .map_err(unreachable)?;
        if status != 200 {
            return Err(unreachable(format!("status {status}")));
        }
        let bad = |what: &str| AnchorError::Answer { anchor: self.url.clone(), what: what.into() };
        let token = timestamp::read(&bytes).ok_or_else(|| bad("it is no time stamp"))?;
        if token.imprint != timestamp::imprint(sealed.note().as_bytes()) {
            return Err(bad("it is of something else"));
        }
        if token.nonce.as_deref() != Some(timestamp::integer(nonce).as_slice()) {
            return Err(bad("it is not the answer to this question"));
        }
        Ok(Receipt { name: "timestamp.tsr".to_owned(), kind: "timestamp", bytes })
    }
}
