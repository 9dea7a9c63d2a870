//! How long a target asks us to wait, in every form that vendors use.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;

/// Longest wait that is believed: a day.
const MOST: f64 = 86_400.0;

/// The wait that an answer asks for; `None` when it asks for none, or for something that cannot be
/// understood.
///
/// | header | form | who |
/// |---|---|---|
/// | `Retry-After` | seconds, also with a fraction; or an HTTP date (RFC 9110 section 10.2.3) | most |
/// | `Retry-After-Ms`, `X-Ms-Retry-After-Ms` | milliseconds | Microsoft |
/// | `RateLimit-Reset` | seconds from now (draft-ietf-httpapi-ratelimit-headers) | SCIM servers |
/// | `X-Rate-Limit-Reset`, `X-RateLimit-Reset` | seconds since 1970 (Okta, GitHub), milliseconds since 1970, or seconds from now | many |
///
/// A time since 1970 is compared with the target's own clock (`Date`), where it shows one.
///
/// A date in the past is no wait. The last two count only where nothing is left of the limit, or for
/// an answer that says so by its status; the caller decides that.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(plain_number);
    if let Some(ms) = number("retry-after-ms").or_else(|| number("x-ms-retry-after-ms")) {
        return Some(seconds(ms / 1000.0));
    }
    if let Some(asked) = text("retry-after") {
        return plain_number(asked).map(seconds).or_else(|| {
            let date = httpdate::parse_http_date(asked).ok()?;
            Some(until(DateTime::<Utc>::from(date), now))
        });
    }
    if let Some(from_now) = number("ratelimit-reset") {
        return Some(seconds(from_now));
    }
    let reset = number("x-rate-limit-reset").or_else(|| number("x-ratelimit-reset"))?;
    // Ten digits are seconds since 1970, thirteen are milliseconds; less is a span.
    let ms = match reset {
        at if at >= 1e12 => at,
        at if at >= 1e9 => at * 1000.0,
        span => return Some(seconds(span)),
    };
    #[expect(clippy::cast_possible_truncation, reason = "within a few hundred years")]
    let at = DateTime::from_timestamp_millis(ms as i64)?;
    Some(until(at, server_time(headers).unwrap_or(now)))
}

/// The target's clock, as its answer shows it (`Date`, RFC 9110 section 6.6.1). Whole seconds.
#[must_use]
pub fn server_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get(http::header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(DateTime::<Utc>::from)
}

/// Digits with at most one point; no sign, no exponent, no `inf`.
fn plain_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { text.parse().ok() } else { None }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, MOST))
}

fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default().min(Duration::from_secs_f64(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &'static str, value: &str) -> Option<u128> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let now = "2026-03-02T08:00:00Z".parse().unwrap();
        retry_after(&headers, now).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_form() {
        for (name, value, ms) in [
            ("retry-after", "7", Some(7_000)),
            ("retry-after", "0", Some(0)),
            ("retry-after", "1.25", Some(1_250)),
            ("retry-after", "Mon, 02 Mar 2026 08:00:30 GMT", Some(30_000)),
            ("retry-after", "Mon, 02 Mar 2026 07:00:00 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-5", None),
            ("retry-after", "1e9", None),
            ("retry-after", "99999999999999999999", Some(86_400_000)),
            ("retry-after-ms", "250", Some(250)),
            ("ratelimit-reset", "12", Some(12_000)),
            ("x-rate-limit-reset", "1772438410", Some(10_000)),
            ("x-ratelimit-reset", "1772438410000", Some(10_000)),
            ("x-ratelimit-reset", "42", Some(42_000)),
            ("x-other", "42", None),
        ] {
            assert_eq!(wait(name, value), ms, "{name}: {value}");
        }
    }
}
