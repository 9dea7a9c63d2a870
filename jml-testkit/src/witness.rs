//! A witness for evidence logs (C2SP tlog-witness): it signs a checkpoint only if it continues the last one
//! that it saw of the same log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jml_evidence::anchor::Transport;
use jml_evidence::merkle::{Hash, verify_consistency};
use jml_evidence::note::{Checkpoint, Ed25519Signer, Note, VerifierKey};
use jml_evidence::proof::parse_hashes;

/// A witness in memory. It answers as a server would: a status and a text. Clones are the same witness.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: Ed25519Signer,
    logs: Vec<VerifierKey>,
    /// What was seen of each log. Checked and set under one lock: a witness that can be raced can be rolled
    /// back.
    seen: Mutex<BTreeMap<String, (u64, Hash)>>,
    /// The time that it signs, in seconds since 1970.
    now: Mutex<u64>,
}

impl Witness {
    /// A witness that knows these logs by their keys.
    #[must_use]
    pub fn new(key: Ed25519Signer, logs: Vec<VerifierKey>, now: u64) -> Self {
        let (seen, now) = (Mutex::new(BTreeMap::new()), Mutex::new(now));
        Self(Arc::new(Inner { key, logs, seen, now }))
    }

    /// The key that checks its signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.0.key.cosigner()
    }

    /// Sets the time that it signs.
    pub fn set_time(&self, now: u64) {
        *self.0.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Answers `POST /add-checkpoint`.
    ///
    /// # Behavior
    /// - 400: not a request; 403: no known key signed the checkpoint; 404: another log.
    /// - 409 with a size: the old size is not the one that it saw last.
    /// - 422: the proof does not hold.
    /// - 200 with a signature line.
    pub fn add_checkpoint(&self, body: &[u8]) -> (u16, String) {
        self.judge(body).unwrap_or_else(|refusal| refusal)
    }

    fn judge(&self, body: &[u8]) -> Result<(u16, String), (u16, String)> {
        let no = |status: u16, text: &str| (status, format!("{text}\n"));
        let text = std::str::from_utf8(body).map_err(|_| no(400, "not text"))?;
        let (head, signed) = text.split_once("\n\n").ok_or(no(400, "no checkpoint"))?;
        let (first, proof) = head.split_once('\n').unwrap_or((head, ""));
        let old: u64 = first
            .strip_prefix("old ")
            .and_then(|n| n.parse().ok())
            .ok_or(no(400, "the first line is no old size"))?;
        let proof = if proof.is_empty() { String::new() } else { format!("{proof}\n") };
        let proof = parse_hashes(&proof).ok_or(no(400, "not a proof"))?;
        let note = Note::parse(signed).map_err(|e| no(400, &e.to_string()))?;
        let new = Checkpoint::parse(note.text).map_err(|e| no(400, &e.to_string()))?;
        let mut known = self.0.logs.iter().filter(|key| key.name() == new.origin).peekable();
        if known.peek().is_none() {
            return Err(no(404, "not a log of mine"));
        }
        if !known.any(|key| key.check_note(&note).is_ok()) {
            return Err(no(403, "no signature of a key that I know"));
        }
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.get(&new.origin).copied();
        if old > new.size {
            return Err(no(400, "the old size is larger than the new one"));
        }
        if old != last.map_or(0, |(size, _)| size) {
            return Err((409, format!("{}\n", last.map_or(0, |(size, _)| size))));
        }
        if let Some((size, root)) = last
            && !verify_consistency(size, new.size, &proof, &root, &new.root)
        {
            // The same size with another root is a conflict of its own.
            let status = if size == new.size { 409 } else { 422 };
            return Err((status, format!("{size}\n")));
        }
        seen.insert(new.origin.clone(), (new.size, new.root));
        let now = *self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((200, format!("{}\n", self.0.key.cosign(note.text, now))))
    }
}

/// A witness carries requests to itself: an anchor can be tried without a network.
#[async_trait]
impl Transport for Witness {
    async fn post(&self, url: &str, _: &str, body: Vec<u8>) -> Result<(u16, Vec<u8>), String> {
        if !url.ends_with("/add-checkpoint") {
            return Ok((404, Vec::new()));
        }
        let (status, text) = self.add_checkpoint(&body);
        Ok((status, text.into_bytes()))
    }
}
