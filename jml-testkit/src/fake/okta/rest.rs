//! Devices, API tokens, the system log.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json as value};

use super::{
    Device, Okta, Request, Response, done, encode, error, json, link, missing, nothing, origin,
    query, time,
};

impl Okta {
    pub(super) fn shown_device(id: &str, device: &Device, now: DateTime<Utc>) -> Value {
        value!({ "id": id, "status": device.status, "created": time(now), "lastUpdated": time(now),
                 "profile": { "displayName": device.name, "platform": "WINDOWS", "registered": true },
                 "resourceId": id, "resourceType": "UDDevice" })
    }

    pub(super) fn route_rest(
        &mut self,
        request: &Request,
        rest: &[&str],
        now: DateTime<Utc>,
    ) -> Response {
        match (request.method(), rest) {
            (&Method::GET, ["devices"]) => {
                let rows = self.devices.iter();
                let rows =
                    rows.map(|(id, it)| (id.clone(), Self::shown_device(id, it, now))).collect();
                self.page(request, rows, 200)
            }
            (_, ["devices", id, rest @ ..]) => self.route_device(request, id, rest, now),
            (&Method::GET, ["api-tokens"]) => {
                let rows = self.api_tokens.values().map(|token| {
                    let shown = value!({ "id": token.id, "name": "token", "userId": token.user,
                                         "clientName": "Okta API" });
                    (token.id.clone(), shown)
                });
                let rows = rows.collect();
                self.page(request, rows, 200)
            }
            (&Method::DELETE, ["api-tokens", id]) => {
                let before = self.api_tokens.len();
                self.api_tokens.retain(|_, token| token.id != *id);
                if self.api_tokens.len() == before { missing(id, "ApiToken") } else { done() }
            }
            (&Method::GET, ["logs"]) => self.logs(request),
            _ => nothing(),
        }
    }

    fn route_device(
        &mut self,
        request: &Request,
        id: &str,
        rest: &[&str],
        now: DateTime<Utc>,
    ) -> Response {
        let host = origin(request);
        let Some(device) = self.devices.get_mut(id) else { return missing(id, "Device") };
        match (request.method(), rest) {
            (&Method::GET, []) => json(200, &Self::shown_device(id, device, now)),
            (&Method::GET, ["users"]) => {
                let users = device.users.clone();
                let rows = users.iter().filter_map(|id| {
                    let user = self.users.get(id)?;
                    Some(value!({ "created": time(now), "managementStatus": "NOT_MANAGED",
                                  "user": self.shown(id, user, &host) }))
                });
                json(200, &rows.collect())
            }
            (&Method::POST, ["lifecycle", what]) => {
                match (*what, device.status.as_str()) {
                    ("deactivate", "ACTIVE" | "SUSPENDED") => {
                        "DEACTIVATED".clone_into(&mut device.status);
                        device.users.clear();
                    }
                    ("suspend", "ACTIVE") => "SUSPENDED".clone_into(&mut device.status),
                    ("unsuspend", "SUSPENDED") | ("activate", "DEACTIVATED") => {
                        "ACTIVE".clone_into(&mut device.status);
                    }
                    _ => return error(400, "E0000001", "Api validation failed: device lifecycle"),
                }
                done()
            }
            (&Method::DELETE, []) => {
                if device.status != "DEACTIVATED" {
                    return error(
                        400,
                        "E0000001",
                        "Api validation failed: device is not deactivated",
                    );
                }
                self.devices.remove(id);
                done()
            }
            _ => nothing(),
        }
    }

    /// Polling: ascending, and the next link is always there.
    fn logs(&self, request: &Request) -> Response {
        let query = query(request);
        if query.contains_key("since") && query.contains_key("after") {
            return error(
                400,
                "E0000001",
                "Api validation failed: since and after exclude each other",
            );
        }
        let limit = match query.get("limit").map(|it| it.parse::<usize>()) {
            None => 100,
            Some(Ok(n)) if n <= 1_000 => n,
            Some(_) => return error(400, "E0000001", "Api validation failed: limit"),
        };
        let end = self.log_start + self.log.len();
        // A place, and the instant before which nothing is shown.
        let (from, since) = if let Some(after) = query.get("after") {
            let parts = after.strip_prefix("e.").and_then(|it| it.split_once('.'));
            let parts = parts
                .and_then(|(at, since)| Some((at.parse::<usize>().ok()?, since.parse().ok()?)));
            match parts {
                Some((at, since)) if at >= self.log_start && at <= end => (at, since),
                _ => return error(400, "E0000031", "Invalid search criteria."),
            }
        } else {
            let since = query.get("since").map(|it| it.parse::<DateTime<Utc>>());
            match since {
                Some(Err(_)) => return error(400, "E0000001", "Api validation failed: since"),
                Some(Ok(since)) => (self.log_start, since.timestamp_millis()),
                None => (self.log_start, 0),
            }
        };
        let shown = |it: &&super::LogEvent| it.published.timestamp_millis() >= since;
        let events = self.log.iter().enumerate().skip(from - self.log_start);
        let events: Vec<_> = events.filter(|(_, it)| shown(it)).take(limit).collect();
        let full = events.len() == limit;
        let reached = match events.last() {
            Some((last, _)) if full => self.log_start + last + 1,
            _ => end,
        };
        let rows: Vec<Value> = events
            .into_iter()
            .map(|(number, event)| {
                value!({
                    "uuid": format!("{:08x}-0000-11f0-8000-000000000000", self.log_start + number),
                    "published": time(event.published), "eventType": event.event_type, "version": "0",
                    "severity": "INFO", "displayMessage": event.event_type,
                    "outcome": { "result": "SUCCESS" },
                    "actor": { "id": "00uadmin", "type": "User", "alternateId": "admin@example.test",
                               "displayName": "Administrator" },
                    "target": [{ "id": event.user, "type": "User", "alternateId": event.user,
                                 "displayName": event.user }],
                })
            })
            .collect();
        let mut response = json(200, &Value::Array(rows));
        let host = origin(request);
        link(&mut response, &format!("{host}{}", request.uri()), "self");
        let mut pairs = vec![format!("after=e.{reached}.{since}"), format!("limit={limit}")];
        for name in ["filter", "sortOrder"] {
            if let Some(value) = query.get(name) {
                pairs.push(format!("{name}={}", encode(value)));
            }
        }
        link(&mut response, &format!("{host}/api/v1/logs?{}", pairs.join("&")), "next");
        response
    }
}
