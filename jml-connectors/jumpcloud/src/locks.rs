//! Locks on devices, where the connector may send them.

use jml_core::provider::{
    Applied, Cx, Error, ErrorKind, Outcome, RefusalReason, Result, RetryAdvice, SideEffect,
};

use crate::answers::Thing;
use crate::{JumpCloud, requests};

impl JumpCloud {
    /// Locks every device that a user is bound to directly. A device that comes with a group is nobody's own. One
    /// that takes no lock does not hold up the others.
    pub(crate) async fn lock_devices(&self, cx: &Cx, user: &str) -> Result<Outcome> {
        let mut devices: Vec<Thing> = Vec::new();
        for edge in self.direct(cx, user, &self.kinds.system).await? {
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
            match self.sends(cx, requests::lock(device.id.as_str())).await {
                Ok(_) => told.push(device.title()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // It would fail again, so the others come first.
                Err(error) if error.retry() == RetryAdvice::Never => {
                    failed = failed.or(Some(error));
                }
                Err(error) if told.is_empty() => return Err(error),
                Err(error) => return Err(error.partly()),
            }
        }
        let done = if told.is_empty() { Applied::No } else { Applied::Partly };
        if let Some(error) = failed {
            return Err(if told.is_empty() { error } else { error.partly() });
        }
        if !others.is_empty() {
            let names: Vec<&str> = others.iter().map(|it| it.title()).collect();
            let text = format!(
                "JumpCloud locks Linux and Windows only; lock by MDM or by hand: {}",
                names.join(", ")
            );
            let kind = ErrorKind::Refused(RefusalReason::Immutable);
            return Err(Error::new(kind, text).with_applied(done));
        }
        if told.is_empty() {
            return Ok(Outcome::unchanged());
        }
        let text = format!(
            "locks are queued until each device is online, and cannot be read back: {}",
            told.join(", ")
        );
        Ok(Outcome::accepted().with_side_effect(SideEffect::Other(text.into())))
    }
}
