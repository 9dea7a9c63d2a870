//! ChromeOS devices, where the connector may disable them.

use std::collections::BTreeMap;

use jml_core::provider::{Cx, Effect, Error, ErrorKind, Outcome, Result};
use serde::Deserialize;

use crate::answers::User;
use crate::{Google, refused, requests};

/// A device as a listing shows it.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/chromeosdevices>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chromebook {
    #[serde(rename = "deviceId")]
    id: String,
    #[serde(default)]
    annotated_user: String,
    #[serde(default)]
    status: String,
}

impl Chromebook {
    /// Whether it works, and is said to be this person's. The note is free text: only the whole address counts.
    fn serves(&self, email: &str) -> bool {
        self.status.eq_ignore_ascii_case("ACTIVE")
            && self.annotated_user.trim().eq_ignore_ascii_case(email)
    }
}

/// What came of each device of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    #[serde(default)]
    change_chrome_os_device_status_results: Vec<Ended>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    device_id: String,
    #[serde(default)]
    error: Option<Status>,
}

/// <https://cloud.google.com/apis/design/errors#error_model>
#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    code: i32,
    #[serde(default)]
    message: String,
}

impl Status {
    /// What a code of `google.rpc.Code` means; `None` for a device that is not there any more.
    fn error(&self, device: &str) -> Option<Error> {
        let kind = match self.code {
            5 => return None,
            7 => ErrorKind::PermissionDenied,
            8 => ErrorKind::RateLimited,
            4 | 13 | 14 => ErrorKind::Unavailable,
            _ => return Some(refused(self.text(device))),
        };
        Some(Error::new(kind, self.text(device)))
    }

    fn text(&self, device: &str) -> String {
        format!("the ChromeOS device `{device}` stays as it is: {}", self.message)
    }
}

impl Google {
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

    /// Disables devices. One that cannot be does not hold up the others.
    pub(crate) async fn disable(&self, cx: &Cx, devices: &[String]) -> Result<Outcome> {
        let (mut done, mut failed) = (false, None::<Error>);
        for batch in devices.chunks(requests::CHROMEBOOKS) {
            let sent: Result<Changed> = self.directory.fetch(cx, requests::disable(batch)).await;
            let ended = match sent {
                Ok(it) => it.change_chrome_os_device_status_results,
                Err(error) if done => return Err(error.partly()),
                Err(error) => return Err(error),
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
                failed = failed.or(error);
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

/// Both of two halves of a change. The first error is told, with what is known of both.
pub(crate) fn both(first: Result<Outcome>, second: Result<Outcome>) -> Result<Outcome> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok(if first.effect == Effect::Changed { first } else { second }),
        (Err(error), Ok(other)) | (Ok(other), Err(error)) => {
            Err(if other.effect == Effect::Changed { error.partly() } else { error })
        }
        (Err(first), Err(second)) => {
            let applied = first.applied().join(second.applied());
            Err(first.with_applied(applied))
        }
    }
}
