//! What Google answers about devices, as values. Nothing here knows a network.

use jml_core::provider::{Error, ErrorKind};
use serde::Deserialize;

use crate::refused;

/// A phone or a tablet.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/mobiledevices>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    #[serde(rename = "resourceId")]
    pub(crate) id: String,
    #[serde(default)]
    email: Vec<String>,
    #[serde(default)]
    status: String,
}

/// How far the wiping of a device is. Google writes `WIPED`, `Account Wiping`, `ACCOUNT_WIPED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wipe {
    /// Nobody asked for it.
    None,
    /// The device was told, or will be when it is online.
    Waiting,
    /// The account is gone.
    Done,
}

impl Device {
    /// Whether somebody's account is, or was, on it.
    pub(crate) fn is_of(&self, email: &str) -> bool {
        self.email.iter().any(|it| it.eq_ignore_ascii_case(email))
    }

    pub(crate) fn wipe(&self) -> Wipe {
        let status = self.status.to_ascii_uppercase();
        if status.ends_with("WIPED") {
            Wipe::Done
        } else if status.contains("WIP") {
            Wipe::Waiting
        } else {
            Wipe::None
        }
    }
}

/// A ChromeOS device as a listing shows it.
/// <https://developers.google.com/workspace/admin/directory/reference/rest/v1/chromeosdevices>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chromebook {
    #[serde(rename = "deviceId")]
    pub(crate) id: String,
    #[serde(default)]
    annotated_user: String,
    #[serde(default)]
    status: String,
}

impl Chromebook {
    /// Whether it works, and is said to be this person's. The note is free text: only the whole address counts.
    pub(crate) fn serves(&self, email: &str) -> bool {
        self.status.eq_ignore_ascii_case("ACTIVE")
            && self.annotated_user.trim().eq_ignore_ascii_case(email)
    }
}

/// What came of each device of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changed {
    #[serde(default)]
    pub(crate) change_chrome_os_device_status_results: Vec<Ended>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    pub(crate) device_id: String,
    #[serde(default)]
    pub(crate) error: Option<Status>,
}

/// <https://cloud.google.com/apis/design/errors#error_model>
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    code: i32,
    #[serde(default)]
    message: String,
}

impl Status {
    /// What a code of `google.rpc.Code` means; `None` for a device that is not there any more.
    pub(crate) fn error(&self, device: &str) -> Option<Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_that_was_asked_for_is_not_done() {
        for (status, wipe) in [
            ("APPROVED", Wipe::None),
            ("Pending", Wipe::None),
            ("ACCOUNT_WIPING", Wipe::Waiting),
            ("Wiping", Wipe::Waiting),
            ("WIPE_REQUESTED", Wipe::Waiting),
            ("Account Wiped", Wipe::Done),
            ("WIPED", Wipe::Done),
        ] {
            let device: Device = serde_json::from_value(serde_json::json!({
                "resourceId": "d", "email": ["a@x"], "status": status }))
            .unwrap();
            assert_eq!(device.wipe(), wipe, "{status}");
        }
    }
}
