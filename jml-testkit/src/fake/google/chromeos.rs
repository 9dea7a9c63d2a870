//! ChromeOS devices.
//! <https://developers.google.com/workspace/admin/directory/reference/rest/v1/chromeosdevices>
//!
//! Not documented, and made so here: which codes tell why a device of a batch stays as it is, and that the call for
//! one device says 412 then.

use http::Method;
use serde_json::{Map, Value, json as value};

use super::{Google, Request, Response, done, error, json, missing, nothing, query};

/// The most devices of one batch.
const BATCH: usize = 50;

/// A ChromeOS device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Chromebook {
    /// Whose it is, as an administrator noted it. Any text.
    pub annotated_user: String,
    /// `ACTIVE`, `DISABLED`, `DEPROVISIONED`, ...
    pub status: String,
    /// Who signed in to it last, the latest first.
    pub recent_users: Vec<String>,
    /// Why it cannot be changed now: a code of `google.rpc.Code`, and words.
    pub stuck: Option<(i32, String)>,
}

impl Chromebook {
    fn shown(&self, id: &str, full: bool) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("kind", "admin#directory#chromeosdevice".into());
        put("etag", "\"e\"".into());
        put("deviceId", id.into());
        put("serialNumber", format!("SN{id}").into());
        put("status", self.status.as_str().into());
        if !self.annotated_user.is_empty() {
            put("annotatedUser", self.annotated_user.as_str().into());
        }
        if full {
            put("model", "Chromebook".into());
            put("orgUnitPath", "/".into());
            let users = self.recent_users.iter();
            let users = users.map(|it| value!({ "type": "USER_TYPE_MANAGED", "email": it }));
            put("recentUsers", users.collect());
        }
        Value::Object(shown)
    }
}

/// What becomes of a device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Deprovision,
    Disable,
    Reenable,
}

/// Which scopes allow a request; one of them is enough.
pub(super) const fn scopes(reads: bool) -> &'static [&'static str] {
    if reads {
        &["admin.directory.device.chromeos", "admin.directory.device.chromeos.readonly"]
    } else {
        &["admin.directory.device.chromeos"]
    }
}

impl Google {
    pub(super) fn route_chromeos(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
    ) -> Response {
        let full = || query(request).get("projection").is_some_and(|it| it == "FULL");
        match (request.method(), rest) {
            (&Method::GET, ["chromeos"]) => self.list_chromebooks(request, full()),
            (&Method::GET, ["chromeos", id]) => match self.chromebooks.get(*id) {
                Some(device) => json(200, &device.shown(id, full())),
                None => missing("deviceId"),
            },
            (&Method::POST, ["chromeos:batchChangeStatus"]) => self.change_chromebooks(body),
            (&Method::POST, ["chromeos", id, "action"]) => {
                let action = match body["action"].as_str() {
                    Some("deprovision") => Action::Deprovision,
                    Some("disable") => Action::Disable,
                    Some("reenable") => Action::Reenable,
                    _ => return error(400, "invalid", "Invalid Input: action"),
                };
                let reason = body["deprovisionReason"].is_string();
                if (action == Action::Deprovision) != reason {
                    return error(400, "invalid", "Invalid Input: deprovisionReason");
                }
                match self.change_chromebook(id, action) {
                    Ok(()) => done(),
                    Err((5, _)) => missing("resourceId"),
                    Err((_, why)) => error(412, "conditionNotMet", &why),
                }
            }
            _ => nothing(),
        }
    }

    /// The search is for words of the note, or for a status.
    fn list_chromebooks(&self, request: &Request, full: bool) -> Response {
        let query = query(request);
        let wanted = query.get("query").and_then(|it| it.split_once(':'));
        let wanted = wanted.map(|(name, text)| (name, text.trim_matches('"').to_lowercase()));
        let meant = |device: &Chromebook| match &wanted {
            None => query.get("query").is_none_or(String::is_empty).then_some(true),
            Some(("user", text)) => {
                Some(device.annotated_user.to_lowercase().contains(text.as_str()))
            }
            Some(("status", text)) => Some(match text.as_str() {
                "managed" => device.status != "DEPROVISIONED",
                "provisioned" => device.status == "ACTIVE",
                other => device.status.eq_ignore_ascii_case(other),
            }),
            Some(_) => None,
        };
        let mut rows = Vec::new();
        for (id, device) in &self.chromebooks {
            match meant(device) {
                None => return error(400, "invalid", "Invalid Input: query"),
                Some(true) => rows.push((id.clone(), device.shown(id, full))),
                Some(false) => {}
            }
        }
        let names = ("admin#directory#chromeosdevices", "chromeosdevices");
        self.page(request, names, rows, (100, 300))
    }

    fn change_chromebooks(&mut self, body: &Value) -> Response {
        let action = match body["changeChromeOsDeviceStatusAction"].as_str() {
            Some("CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_DEPROVISION") => Action::Deprovision,
            Some("CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_DISABLE") => Action::Disable,
            Some("CHANGE_CHROME_OS_DEVICE_STATUS_ACTION_REENABLE") => Action::Reenable,
            _ => return error(400, "invalid", "Invalid changeChromeOsDeviceStatusAction"),
        };
        if (action == Action::Deprovision) != body["deprovisionReason"].is_string() {
            return error(400, "invalid", "Invalid deprovisionReason");
        }
        let ids: Vec<&str> =
            body["deviceIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if ids.is_empty() || ids.len() > BATCH {
            return error(400, "invalid", "Invalid number of deviceIds");
        }
        let ended = ids.into_iter().map(|id| match self.change_chromebook(id, action) {
            Ok(()) => value!({ "deviceId": id, "response": {} }),
            Err((code, why)) => {
                value!({ "deviceId": id, "error": { "code": code, "message": why } })
            }
        });
        let ended: Vec<Value> = ended.collect();
        json(200, &value!({ "changeChromeOsDeviceStatusResults": ended }))
    }

    /// Changes a device; else a code of `google.rpc.Code`, and why.
    fn change_chromebook(&mut self, id: &str, action: Action) -> Result<(), (i32, String)> {
        let active = self.chromebooks.values().filter(|it| it.status == "ACTIVE").count();
        let spent = self.chrome_upgrades.is_some_and(|bought| active >= bought);
        let Some(device) = self.chromebooks.get_mut(id) else {
            return Err((5, "Device not found".to_owned()));
        };
        if let Some(why) = &device.stuck {
            return Err(why.clone());
        }
        let to = match (action, device.status.as_str()) {
            (Action::Reenable, "DISABLED") if spent => {
                return Err((9, "Not enough upgrades are available".to_owned()));
            }
            (Action::Reenable, "DISABLED") => "ACTIVE",
            (Action::Disable, "ACTIVE") => "DISABLED",
            (Action::Deprovision, "ACTIVE" | "DISABLED") => "DEPROVISIONED",
            (_, from) => return Err((9, format!("The device is {from}"))),
        };
        to.clone_into(&mut device.status);
        Ok(())
    }
}
