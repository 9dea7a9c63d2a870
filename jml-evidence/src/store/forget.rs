//! Keeping and forgetting: holds, erasure, expiry.

use std::collections::BTreeSet;
use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chrono::{DateTime, Utc};
use jml_core::canon;
use jml_core::id::IdentityId;

use super::{EvidenceStore, StoreError};
use crate::record::{Body, By, Draft, Erased, Hidden, Owner, instant};
use crate::vault::{OpenRow, RetentionClass, Vault};

/// The name of a hold on somebody's evidence. It says nothing about the case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldId(String);

impl HoldId {
    /// A hold's name as it was printed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wish to erase somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Erasure {
    /// Whom.
    pub who: IdentityId,
    /// On what ground, such as `GDPR Art. 17(1)(a)`. It is disclosed to nobody: it lies under the first
    /// approver's key.
    pub basis: String,
    /// Who approved it: at least two, and not the person.
    pub approved_by: BTreeSet<IdentityId>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why somebody was not erased. Nothing was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// There is a duty to keep.
    #[error("`{who}` is under hold `{hold}`; release it first")]
    Held {
        /// Whom.
        who: IdentityId,
        /// Which hold.
        hold: HoldId,
    },
    /// Too few people answer for it.
    #[error("erasing somebody needs two people who approve it, and not the person: {found} given")]
    Approvals {
        /// How many count.
        found: usize,
    },
    /// Nothing is kept about them.
    #[error("nothing is kept about `{0}`")]
    Unknown(IdentityId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EvidenceStore {
    /// Forbids to erase somebody, or to let their evidence expire, until the hold is released.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place_hold(
        &mut self,
        who: &IdentityId,
        case: &str,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<HoldId, StoreError> {
        let mut name = [0; 9];
        self.entropy.fill(&mut name);
        let hold = HoldId(format!("h-{}", Base64UrlUnpadded::encode_string(&name)));
        let case = self.hidden(Owner::Subject, RetentionClass::Proof, "case", case)?;
        self.hold_record("hold.placed", who, &hold, vec![case], by, at)?;
        Ok(hold)
    }

    /// Ends a hold. Ending one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release_hold(
        &mut self,
        who: &IdentityId,
        hold: &HoldId,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if !self.known.holds.contains_key(&hold.0) {
            return Ok(());
        }
        self.hold_record("hold.released", who, hold, Vec::new(), by, at)
    }

    fn hold_record(
        &mut self,
        kind: &'static str,
        who: &IdentityId,
        hold: &HoldId,
        mut hidden: Vec<Hidden>,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let owner = Owner::Person(by.clone());
        hidden.push(self.hidden(owner, RetentionClass::Proof, "actor", by.as_str())?);
        let body = Body { hold: Some(hold.0.clone()), ..Body::default() };
        let actor = Some(By::Person(by.clone()));
        let draft = Draft { actor, hidden, ..Draft::new(kind, at, body) };
        self.note("log_integrity", Some(who), &[draft])?;
        Ok(())
    }

    /// Erases what the evidence says about somebody: their key, their pseudonym and their values. The
    /// records stay, every proof and every checkpoint stays, and a record says that it was done.
    ///
    /// What stays besides: copies that were given to auditors before, backups of the folder together with
    /// its key, and what another person's record says, such as that this one approved it. The journal is
    /// not part of the evidence; it has its own retention.
    ///
    /// # Errors
    /// [`EraseError`].
    pub fn erase(&mut self, wish: &Erasure) -> Result<u64, EraseError> {
        let approvals = wish.approved_by.iter().filter(|by| **by != wish.who).count();
        if approvals < 2 {
            return Err(EraseError::Approvals { found: approvals });
        }
        let Some(name) = self.vault.known(wish.who.as_str()).map(str::to_owned) else {
            return Err(EraseError::Unknown(wish.who.clone()));
        };
        if let Some((hold, _)) = self.known.holds.iter().find(|(_, held)| **held == name) {
            return Err(EraseError::Held { who: wish.who.clone(), hold: HoldId(hold.clone()) });
        }
        // Everything that is about to be removed must be where it is removed from.
        self.seal()?;
        let rows = self.disclosures(&mut |_| true)?;
        let rows = rows.iter().filter(|row| row.subject == name).count() as u64;
        let erasure = Erased {
            scope: "subject",
            class: None,
            before: self.log.size(),
            rows,
            approvals: approvals as u64,
        };
        let mut hidden = Vec::new();
        for by in wish.approved_by.iter().filter(|by| **by != wish.who) {
            let owner = Owner::Person(by.clone());
            hidden.push(self.hidden(owner, RetentionClass::Proof, "approver", by.as_str())?);
        }
        if let Some(first) = wish.approved_by.iter().find(|by| **by != wish.who) {
            let owner = Owner::Person(first.clone());
            hidden.push(self.hidden(owner, RetentionClass::Proof, "basis", &wish.basis)?);
        }
        let body = Body { erasure: Some(erasure), ..Body::default() };
        let draft = Draft { hidden, ..Draft::new("erasure.executed", wish.at, body) };
        // The record first: if the machine stops between the two, opening the store finishes it.
        self.note("log_integrity", Some(&wish.who), &[draft])?;
        self.seal()?;
        let names = BTreeSet::from([name]);
        let gone = self.vault.erase_all(self.storage.as_ref(), &names).map_err(StoreError::from)?;
        Ok(gone)
    }

    /// Lets the values of a class go that belong to records before an instant, except those of people
    /// under a hold. Says how many went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn expire(
        &mut self,
        class: RetentionClass,
        before: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.seal()?;
        let edge = self.first_entry_from(&instant(before))?;
        let held: BTreeSet<String> = self.known.holds.values().cloned().collect();
        let rows = self.disclosures(&mut |entry| entry < edge)?;
        let goes = |row: &&OpenRow| row.class == class && !held.contains(&row.subject);
        let rows = rows.iter().filter(goes).count() as u64;
        if rows == 0 {
            return Ok(0);
        }
        let class_name = Some(class.as_str());
        let erasure =
            Erased { scope: "class", class: class_name, before: edge, rows, approvals: 0 };
        let body = Body { erasure: Some(erasure), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("erasure.executed", at, body)])?;
        self.seal()?;
        Ok(Vault::expire(self.storage.as_ref(), class, edge, &held)?)
    }

    /// The first sealed entry whose time is not before an instant.
    fn first_entry_from(&self, at: &str) -> Result<u64, StoreError> {
        let size = self.log.sealed().checkpoint().size;
        for index in 0..size {
            let bytes = self.log.entry(index)?;
            let record = canon::parse(&bytes)?;
            if record.text_at(&["time"]).is_some_and(|time| time >= at) {
                return Ok(index);
            }
        }
        Ok(size)
    }

    /// Removes what the log says was erased and a crash left.
    pub(super) fn finish_erasures(&mut self) -> Result<(), StoreError> {
        // The key may be gone and the rows still be there, so the key alone does not tell.
        let erased = std::mem::take(&mut self.known.erased);
        let done = self.vault.erase_all(self.storage.as_ref(), &erased);
        self.known.erased = erased;
        done?;
        for (class, before, held) in &self.known.expired {
            let class = [RetentionClass::Proof, RetentionClass::Detail]
                .into_iter()
                .find(|known| known.as_str() == class.as_str());
            if let Some(class) = class {
                Vault::expire(self.storage.as_ref(), class, *before, held)?;
            }
        }
        Ok(())
    }
}
