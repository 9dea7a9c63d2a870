//! Directory Insights.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use serde_json::{Value, json as value};

use super::{Event, JumpCloud, Response, invalid, json};

impl Event {
    fn shown(&self, organization: &str) -> Value {
        let (kind, id) = &self.resource;
        let mut shown = value!({
            "id": self.id, "timestamp": self.timestamp.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "event_type": self.event_type, "service": "directory", "success": true,
            "organization": organization, "resource": { "id": id, "type": kind },
            "initiated_by": { "id": "5e0000000000000000000002", "type": "admin" },
        });
        if let (Some((op, (to_kind, to))), Some(shown)) = (&self.association, shown.as_object_mut())
        {
            // An edge is no resource.
            shown.remove("resource");
            let edge = value!({
                "op": op, "action_source": "manual",
                "connection": { "from": { "type": kind, "object_id": id },
                                "to": { "type": to_kind, "object_id": to } },
            });
            shown.insert("association".into(), edge);
        }
        shown
    }

    fn place(&self) -> (i64, String) {
        (self.timestamp.timestamp_millis(), self.id.clone())
    }
}

impl JumpCloud {
    pub(super) fn search_events(&self, body: &Value, now: DateTime<Utc>) -> Response {
        if body["service"].as_array().is_none_or(Vec::is_empty) {
            return invalid("service is required");
        }
        let time = |name: &str| body[name].as_str().map(str::parse::<DateTime<Utc>>);
        let Some(Ok(start)) = time("start_time") else { return invalid("start_time is required") };
        let end = match time("end_time") {
            None => now,
            Some(Ok(end)) => end,
            Some(Err(_)) => return invalid("end_time"),
        };
        let limit = body["limit"].as_u64().map_or(10, |it| usize::try_from(it).unwrap_or(10));
        if !(1..=1_000).contains(&limit) {
            return invalid("limit");
        }
        let after = match &body["search_after"] {
            Value::Null => None,
            Value::Array(place) => match place.as_slice() {
                [Value::String(at), Value::String(id)] => match at.parse::<i64>() {
                    Ok(at) => Some((at, id.clone())),
                    Err(_) => return invalid("search_after"),
                },
                _ => return invalid("search_after"),
            },
            _ => return invalid("search_after"),
        };
        let down = body["sort"].as_str() == Some("DESC");
        let kept = now - TimeDelta::days(90);
        let shows = now - TimeDelta::milliseconds(self.quirks.insights_lag_ms);
        let mut found: Vec<&Event> = self
            .events
            .iter()
            .filter(|it| it.timestamp >= kept.max(start) && it.timestamp <= end.min(shows))
            .collect();
        found.sort_by_key(|it| it.place());
        if down {
            found.reverse();
        }
        found.retain(|it| match &after {
            None => true,
            Some(after) if down => it.place() < *after,
            Some(after) => it.place() > *after,
        });
        found.truncate(limit);
        let rows: Vec<Value> = found.iter().map(|it| it.shown(&self.organization)).collect();
        // There is always a place to go on from: at the end it is the one that was given.
        let place = found.last().map(|it| it.place()).or(after);
        let place = place.map_or_else(|| value!([]), |(at, id)| value!([at.to_string(), id]));
        let mut response = json(200, &Value::Array(rows));
        for (name, text) in [
            ("x-result-count", found.len().to_string()),
            ("x-limit", limit.to_string()),
            ("x-search_after", place.to_string()),
        ] {
            if let Ok(text) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, text);
            }
        }
        response
    }
}
