//! Locks on devices, where the connector may send them.

use std::sync::PoisonError;

use jml_core::provider::{
    Cx, Error, ErrorKind, IdempotencyKey, Outcome, RefusalReason, Result, RetryAdvice, SideEffect,
};

use crate::answers::Thing;
use crate::{JumpCloud, requests};

/// How many unfinished changes are remembered.
const UNFINISHED: usize = 1_000;

impl JumpCloud {
    /// Locks every device that a user is bound to directly. A device that comes with a group is nobody's own. One
    /// that takes no lock does not hold up the others, and does not make them lock once more when it is tried
    /// again.
    pub(crate) async fn lock_devices(
        &self,
        cx: &Cx,
        key: &IdempotencyKey,
        user: &str,
    ) -> Result<Outcome> {
        let mut devices: Vec<Thing> = Vec::new();
        for edge in self.direct(cx, user, "system").await? {
            match self.fetch(cx, requests::system(&edge.to.id)).await {
                Ok(device) => devices.push(device),
                // Enrolled no more.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let (able, others): (Vec<_>, Vec<_>) = devices.iter().partition(|it| it.takes_lock());
        let (mut told, mut failed) = (Vec::new(), None::<Error>);
        for device in able {
            if self.was_told(key, device) {
                told.push(device.title());
                continue;
            }
            let sent = self.sends(cx, requests::lock(device.id.as_str())).await;
            match sent {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Ok(_) => {
                    self.remember(key, device);
                    told.push(device.title());
                }
                Err(error) => {
                    let hopeless = error.retry() == RetryAdvice::Never;
                    failed = failed.or(Some(error));
                    // What may pass is tried again as a whole.
                    if !hopeless {
                        break;
                    }
                }
            }
        }
        let error = failed.or_else(|| {
            let names: Vec<&str> = others.iter().map(|it| it.title()).collect();
            let text = format!(
                "JumpCloud locks Linux and Windows only; lock by MDM or by hand, and end the binding then: {}",
                names.join(", ")
            );
            let kind = ErrorKind::Refused(RefusalReason::Immutable);
            (!names.is_empty()).then(|| Error::new(kind, text))
        });
        if let Some(error) = error {
            return Err(if told.is_empty() { error } else { error.partly() });
        }
        self.forget(key);
        if told.is_empty() {
            return Ok(Outcome::unchanged());
        }
        let text = format!(
            "locks are queued until each device is online, and cannot be read back: {}",
            told.join(", ")
        );
        Ok(Outcome::accepted().with_side_effect(SideEffect::Other(text.into())))
    }

    fn was_told(&self, key: &IdempotencyKey, device: &Thing) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(key).is_some_and(|it| it.contains(&device.id))
    }

    fn remember(&self, key: &IdempotencyKey, device: &Thing) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= UNFINISHED && !told.contains_key(key) {
            told.pop_first();
        }
        told.entry(key.clone()).or_default().insert(device.id.clone());
    }

    fn forget(&self, key: &IdempotencyKey) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
