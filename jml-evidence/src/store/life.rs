//! The log's own life: heartbeats, anchors, keys, orphans, populations and samples.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding as _};
use chrono::{DateTime, Utc};
use jml_core::account::AccountRef;
use jml_core::digest::Digest;
use jml_core::id::IdentityId;

use super::{EvidenceStore, Item, StoreError, Undo};
use crate::anchor::{Anchored, Receipt};
use crate::disclose::disclose;
use crate::log::Sealed;
use crate::note::CheckpointSigner;
use crate::population::{Extract, PopulationBody, SampleBody, members_root, sample};
use crate::record::{
    Alive, Anchored as AnchoredBody, Body, Draft, Hidden, KeyChange, Orphan, Owner, instant,
};
use crate::vault::RetentionClass;

/// What an HR system says about a period, to compare a population with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Hr {
    /// Where it came from.
    pub extract: Extract,
    /// Who is in it.
    pub people: BTreeSet<IdentityId>,
}

/// A population that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SealedPopulation {
    /// The entry that says so. Samples name it.
    pub entry: u64,
    /// What it says.
    pub body: PopulationBody,
    /// Who is in the extract and has no run; for people to look after.
    pub source_only: BTreeSet<IdentityId>,
}

/// Why there is no population or sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopulationError {
    /// The period does not begin before it ends.
    #[error("the period ends before it begins")]
    Period,
    /// No entry of this number sealed a population.
    #[error("entry {0} sealed no population")]
    Unknown(u64),
    /// The population is not under a checkpoint, so it could still be changed to fit the seed.
    #[error(
        "the population of entry {0} is not under a checkpoint yet; seal it, then ask for the seed"
    )]
    Unsealed(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account that belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Orphaned {
    /// Which one.
    pub account: AccountRef,
    /// Its state, such as `active`.
    pub status: String,
    /// How many entitlements it holds.
    pub entitlements: u64,
}

impl EvidenceStore {
    /// Puts records that belong to no run into the log, and makes them durable.
    pub(super) fn note(
        &mut self,
        event: &str,
        subject: Option<&IdentityId>,
        drafts: &[Draft],
    ) -> Result<u64, StoreError> {
        let items: Vec<Item<'_>> =
            drafts.iter().map(|draft| Item { run: None, event, subject, draft }).collect();
        let durable = self.stage_items(&items, Undo::All(Box::new(self.known.clone())))?;
        self.commit()?;
        Ok(durable.first())
    }

    pub(super) fn hidden(
        &mut self,
        owner: Owner,
        class: RetentionClass,
        name: &str,
        value: &str,
    ) -> Result<Hidden, StoreError> {
        let disclosure = disclose(name, value, self.entropy.as_mut())?;
        Ok(Hidden { owner, class, disclosure })
    }

    /// Says that the log is alive, also when nothing happened, and names the last receipt from outside:
    /// every later record is then provably not older than that receipt. Call it daily.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heartbeat(&mut self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let alive = Alive { size: self.log.size(), receipt: self.known.receipt.clone() };
        let body = Body { alive: Some(alive), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("log.heartbeat", at, body)])?;
        Ok(())
    }

    /// Keeps receipts of a checkpoint beside the log, and notes them in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_receipts(
        &mut self,
        anchored: &Anchored,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let checkpoint = anchored.sealed().checkpoint().clone();
        let path = |receipt: &Receipt| format!("receipts/{}/{}", checkpoint.size, receipt.name);
        let mut files: Vec<(String, Vec<u8>)> =
            anchored.receipts().iter().map(|it| (path(it), it.bytes.clone())).collect();
        // A later checkpoint takes the place of this one; the receipt is of these very bytes.
        let note = anchored.sealed().note().as_bytes().to_vec();
        files.push((format!("receipts/{}/checkpoint", checkpoint.size), note));
        let failed = |e: std::io::Error| {
            let path = "receipts".to_owned();
            StoreError::Log(crate::log::LogError::Io { path, what: e.to_string() })
        };
        self.storage.replace(&files).map_err(failed)?;
        let drafts: Vec<Draft> = anchored
            .receipts()
            .iter()
            .map(|receipt| {
                let anchor = AnchoredBody {
                    kind: receipt.kind,
                    size: checkpoint.size,
                    root: Base64::encode_string(&checkpoint.root),
                    receipt: Digest::plain(&receipt.bytes).to_hex(),
                };
                let body = Body { anchor: Some(anchor), ..Body::default() };
                Draft::new("checkpoint.anchored", at, body)
            })
            .collect();
        self.note("log_integrity", None, &drafts)?;
        Ok(())
    }

    /// Begins a change of keys: notes the new key under the old one, and signs with both from here on.
    /// Give out the checkpoint that comes back; whoever trusts the old key learns of the new one by it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rotate_key(
        &mut self,
        new: Box<dyn CheckpointSigner>,
        at: DateTime<Utc>,
    ) -> Result<Sealed, StoreError> {
        let change =
            KeyChange { old: self.log.verifier().to_string(), new: new.verifier().to_string() };
        self.seal()?;
        self.log.add_signer(new)?;
        let body = Body { key: Some(change), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("key.rotated", at, body)])?;
        self.seal()
    }

    /// Ends a change of keys: only the new key signs from here on. Destroy the old private key then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retire_old_key(&mut self) -> Result<(), StoreError> {
        Ok(self.log.retire_old_signer()?)
    }

    /// Notes an account that belongs to nobody, found by comparing a target with everybody's facts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn orphans(&mut self, found: &[Orphaned], at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut drafts = Vec::new();
        for one in found {
            let orphan = Orphan {
                target: one.account.provider.to_string(),
                status: one.status.clone(),
                entitlements: one.entitlements,
            };
            // Nobody known owns it, so its name lies under a key of its own.
            let nobody = IdentityId::new(format!("orphan:{}", one.account)).ok();
            let mut draft =
                Draft::new("orphan.detected", at, Body { orphan: Some(orphan), ..Body::default() });
            if let Some(nobody) = nobody {
                let name = one.account.to_string();
                let owner = Owner::Person(nobody);
                draft.hidden.push(self.hidden(owner, RetentionClass::Proof, "account", &name)?);
            }
            drafts.push(draft);
        }
        self.note("reconciliation", None, &drafts)?;
        Ok(())
    }

    /// Seals who belongs to an event in a period, compared with what HR says, so that nobody can change
    /// it later.
    ///
    /// # Errors
    /// [`PopulationError`].
    pub fn seal_population(
        &mut self,
        event: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        hr: Option<&Hr>,
        at: DateTime<Utc>,
    ) -> Result<SealedPopulation, PopulationError> {
        if to <= from {
            return Err(PopulationError::Period);
        }
        let (from, to) = (instant(from), instant(to));
        let members = self.known.members(event, &from, &to);
        let leaves: Vec<_> = members.iter().map(|run| run.leaf).collect();
        let names: BTreeSet<&str> = members.iter().map(|run| run.subject.as_str()).collect();
        let mut body = PopulationBody {
            event: event.to_owned(),
            from,
            to,
            members: leaves.len() as u64,
            people: names.len() as u64,
            members_root: Base64::encode_string(&members_root(&leaves)),
            source: None,
            matched: None,
            source_only: None,
            log_only: None,
        };
        let mut missing = BTreeSet::new();
        if let Some(hr) = hr {
            let theirs: BTreeSet<&str> =
                hr.people.iter().filter_map(|who| self.vault.known(who.as_str())).collect();
            missing = hr
                .people
                .iter()
                .filter(|who| !self.vault.known(who.as_str()).is_some_and(|n| names.contains(n)))
                .cloned()
                .collect();
            body.source = Some(hr.extract.clone());
            body.matched = Some((hr.people.len() - missing.len()) as u64);
            body.source_only = Some(missing.len() as u64);
            body.log_only = Some(names.difference(&theirs).count() as u64);
        }
        let record = Body { population: Some(body.clone()), ..Body::default() };
        let entry = self.note(event, None, &[Draft::new("population.sealed", at, record)])?;
        self.seal()?;
        Ok(SealedPopulation { entry, body, source_only: missing })
    }

    /// Draws a sample from a sealed population with a seed that the auditor gave after it was sealed.
    /// Gives back the entries that open the drawn runs.
    ///
    /// # Errors
    /// [`PopulationError`].
    pub fn draw_sample(
        &mut self,
        population: u64,
        seed: &str,
        size: u64,
        at: DateTime<Utc>,
    ) -> Result<Vec<u64>, PopulationError> {
        let Some((members, root)) = self.known.populations.get(&population) else {
            return Err(PopulationError::Unknown(population));
        };
        if population >= self.log.sealed().checkpoint().size {
            return Err(PopulationError::Unsealed(population));
        }
        let drawn = sample(root, members.len() as u64, seed, size);
        let pick = |place: &u64| members.get(usize::try_from(*place).ok()?).copied();
        let entries: Vec<u64> = drawn.iter().filter_map(pick).collect();
        let body = SampleBody { population, seed: seed.to_owned(), entries: entries.clone() };
        let body = Body { sample: Some(body), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("sample.drawn", at, body)])?;
        self.seal()?;
        Ok(entries)
    }
}
