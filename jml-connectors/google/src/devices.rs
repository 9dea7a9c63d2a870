//! Devices: phones, from which the account is taken, and ChromeOS devices, where the connector may disable them.

use std::collections::BTreeMap;

use jml_core::provider::{Cx, Effect, Error, ErrorKind, Outcome, Result, RetryAdvice, SideEffect};

use crate::answers::User;
use crate::device_answers::{Changed, Chromebook, Device, Status, Wipe};
use crate::{Google, requests};

/// What lies where somebody's account is on phones.
pub(crate) struct Phones {
    /// Those that nobody told to wipe it.
    alive: Vec<String>,
    /// How many were told, and have not done it yet.
    wiping: usize,
}

impl Phones {
    /// How many are alive; `None` as long as a phone that was told has not done it: then nobody knows.
    pub(crate) fn count(&self) -> Option<usize> {
        match (self.alive.len(), self.wiping) {
            (0, 1..) => None,
            (alive, wiping) => Some(alive + wiping),
        }
    }
}

impl Google {
    /// Phones with a user's account, under any of the user's addresses.
    pub(crate) async fn phones(&self, cx: &Cx, user: &User) -> Result<Phones> {
        let mut found = BTreeMap::new();
        for email in user.addresses() {
            let devices: Vec<Device> =
                self.all(cx, &self.directory, requests::devices(email)).await?;
            let own = devices.into_iter().filter(|it| it.is_of(email));
            found.extend(own.map(|it| (it.id.clone(), it.wipe())));
        }
        let wiping = found.values().filter(|it| **it == Wipe::Waiting).count();
        found.retain(|_, it| *it == Wipe::None);
        Ok(Phones { alive: found.into_keys().collect(), wiping })
    }

    /// Devices that work and are noted as a user's, by any of the user's addresses. None where the option is off.
    pub(crate) async fn chromebooks(&self, cx: &Cx, user: &User) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for email in user.addresses().filter(|_| self.chromeos) {
            let found: Vec<Chromebook> =
                self.all(cx, &self.directory, requests::chromebooks(email)).await?;
            ids.extend(found.into_iter().filter(|it| it.serves(email)).map(|it| it.id));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// How many devices of a user are alive, as far as that is known.
    pub(crate) async fn count_devices(&self, cx: &Cx, user: &User) -> Result<Option<usize>> {
        let phones = self.phones(cx, user).await?.count();
        let chromebooks = self.chromebooks(cx, user).await?.len();
        Ok(match phones {
            Some(phones) => Some(phones + chromebooks),
            None => (chromebooks > 0).then_some(chromebooks),
        })
    }

    /// Takes the account from phones, and disables ChromeOS devices. Neither waits for the other, whatever goes
    /// wrong there.
    pub(crate) async fn kill_devices(&self, cx: &Cx, user: &User) -> Result<Outcome> {
        let wiped = self.wipe(cx, user).await;
        let disabled = match self.chromebooks(cx, user).await {
            Ok(chromebooks) => self.disable(cx, &chromebooks).await,
            Err(error) => Err(error),
        };
        both(wiped, disabled)
    }

    async fn wipe(&self, cx: &Cx, user: &User) -> Result<Outcome> {
        let phones = self.phones(cx, user).await?;
        let wipes = phones.alive.iter().map(|it| requests::wipe(it)).collect();
        let outcome = self.directory.change_each(cx, wipes).await?;
        if outcome.effect == Effect::Unchanged {
            return Ok(outcome);
        }
        let text = "the account goes from a phone when that is online next";
        Ok(outcome.with_side_effect(SideEffect::Other(text.into())))
    }

    /// Disables devices. One that cannot be does not hold up the others, and neither does a call for some of them
    /// that will never be taken.
    async fn disable(&self, cx: &Cx, devices: &[String]) -> Result<Outcome> {
        let (mut done, mut failed) = (false, None::<Error>);
        for batch in devices.chunks(requests::CHROMEBOOKS) {
            let sent: Result<Changed> = self.directory.fetch(cx, requests::disable(batch)).await;
            let ended = match sent {
                Ok(it) => it.change_chrome_os_device_status_results,
                Err(error) => {
                    let hopeless = error.retry() == RetryAdvice::Never;
                    failed = Some(joined(failed, error));
                    if hopeless {
                        continue;
                    }
                    break;
                }
            };
            let ended: BTreeMap<&str, Option<&Status>> =
                ended.iter().map(|it| (it.device_id.as_str(), it.error.as_ref())).collect();
            for device in batch {
                let error = match ended.get(device.as_str()) {
                    Some(None) => {
                        done = true;
                        continue;
                    }
                    Some(Some(status)) => status.error(device),
                    None => {
                        let text = format!("the answer does not say what became of `{device}`");
                        Some(Error::new(ErrorKind::ContractViolation, text))
                    }
                };
                if let Some(error) = error {
                    failed = Some(joined(failed, error));
                }
            }
        }
        match failed {
            Some(error) if done => Err(error.partly()),
            Some(error) => Err(error),
            None if done => Ok(Outcome::changed()),
            None => Ok(Outcome::unchanged()),
        }
    }
}

/// The first error, with what is known of both.
fn joined(first: Option<Error>, then: Error) -> Error {
    match first {
        Some(first) => {
            let applied = first.applied().join(then.applied());
            first.with_applied(applied)
        }
        None => then,
    }
}

/// Both of two halves of a change. The first error is told, with what is known of both.
fn both(first: Result<Outcome>, second: Result<Outcome>) -> Result<Outcome> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok(if first.effect == Effect::Changed { first } else { second }),
        (Err(error), Ok(other)) | (Ok(other), Err(error)) => {
            Err(if other.effect == Effect::Changed { error.partly() } else { error })
        }
        (Err(first), Err(second)) => Err(joined(Some(first), second)),
    }
}
