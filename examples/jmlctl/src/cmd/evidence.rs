//! `evidence`: anchors, keys, holds, erasure.

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::clock::Clock as _;
use jml_core::id::IdentityId;
use jml_engine::SystemClock;
use jml_evidence::EvidenceStore;
use jml_evidence::anchor::{Anchor as _, Anchored, FileDrop};
use jml_evidence::entropy::OsEntropy;
use jml_evidence::note::{CheckpointSigner as _, Ed25519Signer};
use jml_evidence::store::{EraseError, Erasure, HoldId, StoreError};
use jml_evidence::vault::RetentionClass;
use serde_json::json;

use super::open;
use crate::cli::{Cli, Evidence};
use crate::exit::{CONFIG, Failure, OK};
use crate::out::Out;
use crate::project::{Project, replace_key};

fn person(text: &str) -> Result<IdentityId, Failure> {
    IdentityId::new(text).map_err(|e| Failure::new(CONFIG, e.to_string()))
}

pub(super) fn evidence(cli: &Cli, what: &Evidence, out: &Out) -> Result<u8, Failure> {
    let project = open(&cli.config, true)?;
    let store = project.evidence()?;
    let now = SystemClock.now();
    let said = match what {
        Evidence::Heartbeat => {
            let sealed = store.with(|it| it.heartbeat(now).and_then(|()| it.seal()))?;
            let size = sealed.checkpoint().size;
            (format!("the log is alive at {size} records"), json!({ "size": size }))
        }
        Evidence::Anchor { drop } => {
            let size = anchor(store, &FileDrop::new(drop), now)?;
            let text = format!("the checkpoint of {size} records is in `{}`", drop.display());
            (text, json!({ "size": size }))
        }
        Evidence::Hold { person: who, case, by } => {
            let (who, by) = (person(who)?, person(by)?);
            let hold = store.with(|it| {
                let hold = it.place_hold(&who, case, &by, now)?;
                it.seal()?;
                Ok::<_, StoreError>(hold)
            })?;
            let text =
                format!("hold {hold} is on `{who}`: nothing of them is erased until it ends");
            (text, json!({ "hold": hold.to_string() }))
        }
        Evidence::Release { person: who, hold, by } => {
            let (who, by, hold) = (person(who)?, person(by)?, HoldId::new(hold));
            store.with(|it| {
                it.release_hold(&who, &hold, &by, now)?;
                it.seal().map(drop)
            })?;
            (format!("hold {hold} is released"), json!({ "hold": hold.to_string() }))
        }
        Evidence::Erase { person: who, basis, approved_by } => {
            let approved_by = approved_by.iter().map(|by| person(by)).collect::<Result<_, _>>()?;
            let who = person(who)?;
            // A duty to keep what belongs to them is a duty to keep what proves it.
            let holds = project.facts.people.get(&who).map(|facts| facts.legal_holds.as_slice());
            let alive = holds
                .unwrap_or_default()
                .iter()
                .find(|hold| hold.from <= now && hold.until.is_none_or(|until| now < until));
            if let Some(hold) = alive {
                let text = format!("`{who}` is under the legal hold `{}`", hold.case);
                return Err(Failure::new(CONFIG, text));
            }
            let wish = Erasure { who, basis: basis.clone(), approved_by, at: now };
            let gone = store.with(|it| it.erase(&wish)).map_err(|e: EraseError| match e {
                EraseError::Store(e) => e.into(),
                other => Failure::new(CONFIG, other.to_string()),
            })?;
            let text = format!(
                "{gone} values of `{}` are erased from the evidence; its records and proofs stay. \
                 The journal, the facts and copies that were given out are not touched",
                wish.who
            );
            (text, json!({ "erased": gone }))
        }
        Evidence::Expire { days, proof } => {
            let before = now - TimeDelta::days(*days);
            let mut classes = vec![RetentionClass::Detail];
            if *proof {
                classes.push(RetentionClass::Proof);
            }
            let mut gone = 0;
            for class in classes {
                gone += store.with(|it| it.expire(class, before, now))?;
            }
            (format!("{gone} values older than {days} days are gone"), json!({ "expired": gone }))
        }
        Evidence::RotateKey => {
            let key = rotate(&project)?;
            (format!("the log signs with a new key now:\n{key}"), json!({ "key": key }))
        }
    };
    if cli.json {
        let mut value = said.1;
        if let Some(members) = value.as_object_mut() {
            members.insert("version".to_owned(), json!(1));
        }
        out.json(&value);
    } else {
        out.line(said.0);
    }
    Ok(OK)
}

/// Shows the present checkpoint to somebody outside and keeps what they say.
pub(crate) fn anchor(
    store: &jml_evidence::SharedStore,
    outside: &FileDrop,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<u64, Failure> {
    let sealed = store.seal()?;
    let receipt = block_on(outside.anchor(&sealed, &|_| None))?;
    let anchored = Anchored::new(sealed.clone(), receipt);
    store.with(|it| it.keep_receipts(&anchored, at))?;
    store.seal()?;
    Ok(sealed.checkpoint().size)
}

/// Hands over to a new key. Both sign one checkpoint; then the key file is replaced, and the old key is
/// retired. Stopping between any two of these leaves a log that one of the keys opens.
fn rotate(project: &Project) -> Result<String, Failure> {
    let store = project.evidence()?;
    let config = &project.config;
    let new = || Ed25519Signer::generate(&config.evidence.origin, &mut OsEntropy);
    let new = new().map_err(|e| Failure::new(CONFIG, e.to_string()))?;
    let text = new.expose();
    let copy = || Ed25519Signer::parse(&text).map_err(|e| Failure::new(CONFIG, e.to_string()));
    let at = SystemClock.now();
    let (first, second) = (copy()?, copy()?);
    store.with(|it: &mut EvidenceStore| it.rotate_key(Box::new(first), at))?;
    replace_key(config, &second)?;
    store.with(EvidenceStore::retire_old_key)?;
    Ok(new.verifier().to_string())
}
