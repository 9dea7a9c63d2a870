//! Mobile devices, transfers of data, Gmail settings.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Device, Google, Mailbox, Request, Response, Transfer, done, error, json, missing, nothing,
    query, time,
};

/// Whether an address of a mailbox was confirmed.
fn consent(mailbox: &Mailbox, email: &str) -> &'static str {
    if mailbox.pending.contains(email) { "pending" } else { "accepted" }
}

impl Google {
    pub(super) fn route_devices(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let shown = |id: &str, device: &Device| {
            let emails: Vec<&str> = device.emails.iter().map(String::as_str).collect();
            value!({ "kind": "admin#directory#mobiledevice", "etag": "\"e\"", "resourceId": id,
                     "deviceId": id, "email": emails, "status": device.status, "type": "ANDROID",
                     "model": "phone" })
        };
        match (request.method(), rest) {
            (&Method::GET, []) => {
                let query = query(request);
                let wanted = match query.get("query").map(|it| it.strip_prefix("email:")) {
                    None => None,
                    Some(Some(email)) => Some(email),
                    Some(None) => return error(400, "invalid", "Invalid Input: query"),
                };
                let rows = self.devices.iter().filter(|(_, it)| {
                    wanted.is_none_or(|email| it.emails.iter().any(|own| own.starts_with(email)))
                });
                let rows = rows.map(|(id, it)| (id.clone(), shown(id, it))).collect();
                let names = ("admin#directory#mobiledevices", "mobiledevices");
                self.page(request, names, rows, (100, 100))
            }
            (method, [id, rest @ ..]) => {
                let Some(device) = self.devices.get_mut(*id) else { return missing("resourceId") };
                match (method, rest) {
                    (&Method::GET, []) => json(200, &shown(id, device)),
                    (&Method::DELETE, []) => {
                        self.devices.remove(*id);
                        done()
                    }
                    (&Method::POST, ["action"]) => {
                        let status = match body["action"].as_str().unwrap_or_default() {
                            "admin_account_wipe" => "ACCOUNT_WIPING",
                            "admin_remote_wipe" => "WIPING",
                            "approve" => "APPROVED",
                            "block" => "BLOCKED",
                            _ => return error(400, "invalid", "Invalid Input: action"),
                        };
                        status.clone_into(&mut device.status);
                        let name = match status {
                            "ACCOUNT_WIPING" => "MOBILE_ACCOUNT_WIPE",
                            "WIPING" => "MOBILE_DEVICE_WIPE",
                            "APPROVED" => "MOBILE_DEVICE_APPROVE",
                            _ => "MOBILE_DEVICE_BLOCK",
                        };
                        let emails = device.emails.clone();
                        self.settle(now);
                        for email in emails {
                            let named = [("DEVICE_ID", *id), ("USER_EMAIL", email.as_str())];
                            self.happened("MOBILE_SETTINGS", name, &named, now);
                        }
                        done()
                    }
                    _ => nothing(),
                }
            }
            _ => nothing(),
        }
    }

    /// What went on meanwhile: transfers end, and whoever was deleted 20 days ago is gone.
    pub fn settle(&mut self, now: DateTime<Utc>) {
        self.deleted.retain(|_, (_, at)| *at + TimeDelta::days(20) > now);
        for device in self.devices.values_mut().filter(|_| !self.quirks.phones_offline) {
            match device.status.as_str() {
                "ACCOUNT_WIPING" => "ACCOUNT_WIPED".clone_into(&mut device.status),
                "WIPING" => "WIPED".clone_into(&mut device.status),
                _ => {}
            }
        }
        let lasts = TimeDelta::milliseconds(self.quirks.transfer_ms);
        for transfer in self.transfers.values_mut() {
            if transfer.status != "inProgress" || transfer.requested + lasts > now {
                continue;
            }
            if self.quirks.transfers_fail {
                "failed".clone_into(&mut transfer.status);
                continue;
            }
            "completed".clone_into(&mut transfer.status);
            let files = self.users.get_mut(&transfer.from).map(|it| std::mem::take(&mut it.files));
            if let Some(to) = self.users.get_mut(&transfer.to) {
                to.files.extend(files.unwrap_or_default());
            }
        }
    }

    pub(super) fn route_transfers(
        &mut self,
        request: &Request,
        rest: &[&str],
        body: &Value,
        now: DateTime<Utc>,
    ) -> Response {
        let shown = |id: &str, transfer: &Transfer| {
            let each = transfer.applications.iter().map(|(application, parameters)| {
                value!({ "applicationId": application, "applicationTransferParams": parameters,
                         "applicationTransferStatus": transfer.status })
            });
            value!({ "kind": "admin#datatransfer#DataTransfer", "etag": "\"e\"", "id": id,
                     "oldOwnerUserId": transfer.from, "newOwnerUserId": transfer.to,
                     "applicationDataTransfers": each.collect::<Value>(),
                     "overallTransferStatusCode": transfer.status, "requestTime": time(transfer.requested) })
        };
        match (request.method(), rest) {
            (&Method::GET, ["applications"]) => {
                let rows = self.applications.iter().map(|(id, name)| {
                    let parameters = if name == "Calendar" {
                        value!([{ "key": "RELEASE_RESOURCES", "value": ["TRUE", "FALSE"] }])
                    } else {
                        value!([{ "key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"] }])
                    };
                    let shown = value!({ "kind": "admin#datatransfer#ApplicationResource", "etag": "\"e\"",
                                         "id": id, "name": name, "transferParams": parameters });
                    (id.clone(), shown)
                });
                let names = ("admin#datatransfer#applicationsList", "applications");
                self.page(request, names, rows.collect(), (100, 500))
            }
            (&Method::GET, ["transfers"]) => {
                let query = query(request);
                let rows = self.transfers.iter().filter(|(_, it)| {
                    query.get("oldOwnerUserId").is_none_or(|from| *from == it.from)
                        && query.get("newOwnerUserId").is_none_or(|to| *to == it.to)
                        && query.get("status").is_none_or(|status| *status == it.status)
                });
                let rows = rows.map(|(id, it)| (id.clone(), shown(id, it))).collect();
                let names = ("admin#datatransfer#dataTransfersList", "dataTransfers");
                self.page(request, names, rows, (100, 500))
            }
            (&Method::GET, ["transfers", id]) => match self.transfers.get(*id) {
                Some(transfer) => json(200, &shown(id, transfer)),
                None => missing("dataTransferId"),
            },
            (&Method::POST, ["transfers"]) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let (from, to) = (text("oldOwnerUserId"), text("newOwnerUserId"));
                // Addresses are no ids here.
                let live = self.users.get(&to).is_some_and(super::User::is_live);
                if !self.users.contains_key(&from) || !live || from == to {
                    return error(400, "invalid", "Invalid Input: owner user id");
                }
                let mut applications = BTreeMap::new();
                for it in body["applicationDataTransfers"].as_array().into_iter().flatten() {
                    let id = it["applicationId"].as_str().unwrap_or_default();
                    if !self.applications.contains_key(id) {
                        return error(400, "invalid", "Invalid Input: applicationId");
                    }
                    let parameters = match &it["applicationTransferParams"] {
                        Value::Null => value!([]),
                        given => given.clone(),
                    };
                    applications.insert(id.to_owned(), parameters);
                }
                if applications.is_empty() {
                    return error(
                        400,
                        "required",
                        "Missing required field: applicationDataTransfers",
                    );
                }
                let id = format!("AKr{}", self.number("3"));
                let status = "inProgress".to_owned();
                let made = Transfer { from, to, applications, status, requested: now };
                let answer = shown(&id, &made);
                self.transfers.insert(id, made);
                json(200, &answer)
            }
            _ => nothing(),
        }
    }

    pub(super) fn route_gmail(
        &mut self,
        request: &Request,
        subject: &str,
        user: &str,
        rest: &[&str],
        body: &Value,
    ) -> Response {
        if user != "me" && user != subject {
            return error(403, "forbidden", &format!("Delegation denied for {subject}"));
        }
        let emails: Vec<String> =
            self.users.values().filter(|it| it.is_live()).map(|it| it.email().to_owned()).collect();
        // Those of the company, with the sign before each.
        let domains: Vec<String> = self
            .admins
            .iter()
            .filter_map(|it| it.rsplit_once('@').map(|(_, domain)| format!("@{domain}")))
            .collect();
        let wait = self.quirks.delegates_wait;
        let user = self.user_id(subject).and_then(|id| self.users.get_mut(&id));
        let live = user.filter(|it| it.is_live());
        let Some(mailbox) = live.and_then(|it| it.mailbox.as_mut()) else {
            return error(400, "failedPrecondition", "Mail service not enabled");
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match (request.method(), rest) {
            (&Method::GET, ["vacation"]) => {
                let mut shown = mailbox.vacation.clone();
                shown.entry("enableAutoReply").or_insert(Value::Bool(false));
                json(200, &Value::Object(shown))
            }
            (&Method::PUT, ["vacation"]) => {
                for name in ["startTime", "endTime"] {
                    let given = &body[name];
                    let number = given.as_str().and_then(|it| it.parse::<i64>().ok());
                    // Milliseconds: what is less is a time of 1970.
                    if !given.is_null() && number.is_none_or(|it| it < 100_000_000_000) {
                        return error(400, "invalidArgument", &format!("Invalid {name}"));
                    }
                }
                if body["enableAutoReply"] == true
                    && text("responseSubject").is_empty()
                    && text("responseBodyPlainText").is_empty()
                    && text("responseBodyHtml").is_empty()
                {
                    return error(400, "invalidArgument", "Empty auto-reply");
                }
                mailbox.vacation = body.as_object().cloned().unwrap_or_default();
                json(200, body)
            }
            (&Method::GET, ["autoForwarding"]) => match &mailbox.forward {
                Some(to) => json(
                    200,
                    &value!({ "enabled": true, "emailAddress": to, "disposition": "leaveInInbox" }),
                ),
                None => json(200, &value!({ "enabled": false })),
            },
            (&Method::PUT, ["autoForwarding"]) => {
                let to = text("emailAddress");
                if body["enabled"] != true {
                    mailbox.forward = None;
                    return json(200, &value!({ "enabled": false }));
                }
                if !mailbox.addresses.contains(&to) || mailbox.pending.contains(&to) {
                    return error(400, "failedPrecondition", "Unrecognized forwarding address");
                }
                mailbox.forward = Some(to);
                json(200, body)
            }
            (&Method::GET, ["forwardingAddresses"]) => {
                let all = mailbox
                    .addresses
                    .iter()
                    .map(|it| value!({ "forwardingEmail": it, "verificationStatus": consent(mailbox, it) }));
                json(200, &value!({ "forwardingAddresses": all.collect::<Value>() }))
            }
            (&Method::POST, ["forwardingAddresses"]) => {
                let to = text("forwardingEmail");
                if !mailbox.addresses.insert(to.clone()) {
                    return error(409, "duplicate", "Forwarding address already exists");
                }
                if !domains.iter().any(|it| to.ends_with(it.as_str())) {
                    mailbox.pending.insert(to.clone());
                }
                json(
                    200,
                    &value!({ "forwardingEmail": to, "verificationStatus": consent(mailbox, &to) }),
                )
            }
            (&Method::GET, ["delegates"]) => {
                let all = mailbox
                    .delegates
                    .iter()
                    .map(|it| value!({ "delegateEmail": it, "verificationStatus": consent(mailbox, it) }));
                let all: Vec<Value> = all.collect();
                json(200, &if all.is_empty() { value!({}) } else { value!({ "delegates": all }) })
            }
            (&Method::POST, ["delegates"]) => {
                let to = text("delegateEmail");
                if !emails.contains(&to) {
                    return error(400, "invalidArgument", "Invalid delegate");
                }
                if !mailbox.delegates.insert(to.clone()) {
                    return error(409, "alreadyExists", "Delegate already exists");
                }
                if wait {
                    mailbox.pending.insert(to.clone());
                }
                json(
                    200,
                    &value!({ "delegateEmail": to, "verificationStatus": consent(mailbox, &to) }),
                )
            }
            (&Method::GET, ["delegates", email]) => match mailbox.delegates.get(*email) {
                Some(it) => json(
                    200,
                    &value!({ "delegateEmail": it, "verificationStatus": consent(mailbox, it) }),
                ),
                None => missing("delegateEmail"),
            },
            (&Method::DELETE, ["delegates", email]) => {
                if mailbox.delegates.remove(*email) {
                    done()
                } else {
                    missing("delegateEmail")
                }
            }
            _ => nothing(),
        }
    }
}
