//! Token endpoints of fakes: what they issue, for how long, for what.
#![expect(clippy::indexing_slicing, reason = "a JSON value has null for what it has not")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json as value};

use super::{Request, Response, decode, json};

/// Tokens that are good.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    live: BTreeMap<String, Issued>,
    next: u32,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) expires: DateTime<Utc>,
    pub(super) scopes: BTreeSet<String>,
    /// On whose behalf, if it is somebody's.
    pub(super) subject: Option<String>,
}

impl Tokens {
    /// Issues a token, as RFC 6749 section 5.1 has it.
    pub(super) fn issue(
        &mut self,
        now: DateTime<Utc>,
        text: &str,
        scopes: BTreeSet<String>,
        subject: Option<String>,
    ) -> Response {
        self.next += 1;
        let token = format!("{text}{:06}", self.next);
        let expires = now + TimeDelta::hours(1);
        let scope: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let body = value!({
            "token_type": "Bearer", "expires_in": 3600, "access_token": token,
            "scope": scope.join(" "),
        });
        self.live.insert(token, Issued { expires, scopes, subject });
        json(200, &body)
    }

    /// The token of a request, if it is good.
    pub(super) fn of(&self, request: &Request, now: DateTime<Utc>) -> Option<&Issued> {
        let issued = self.live.get(bearer(request)?)?;
        (now < issued.expires).then_some(issued)
    }
}

/// The bearer token of a request.
pub(super) fn bearer(request: &Request) -> Option<&str> {
    let text = request.headers().get("authorization")?.to_str().ok()?;
    text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "))
}

/// A form.
pub(super) fn form(request: &Request) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(request.body()).into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(&value.replace('+', " ")))).collect()
}

/// What a signed assertion claims. Its signature is not looked at: a fake knows no keys.
pub(super) fn claims(jwt: &str) -> Option<Value> {
    serde_json::from_slice(&base64(jwt.split('.').nth(1)?)?).ok()
}

/// An assertion by an issuer for an audience that ends in `path`, within its time.
pub(super) fn asserted(jwt: &str, path: &str, now: DateTime<Utc>) -> Result<Value, &'static str> {
    let claims = claims(jwt).ok_or("the assertion is no JWT")?;
    if !claims["aud"].as_str().is_some_and(|it| it.ends_with(path)) {
        return Err("the audience is another one");
    }
    let at = |name: &str| claims[name].as_i64();
    let (Some(end), start) = (at("exp"), at("iat")) else { return Err("the assertion has no end") };
    let now = now.timestamp();
    if end <= now || start.is_some_and(|it| it > now + 60) || end > now + 3_660 {
        return Err("the assertion is not of this hour");
    }
    Ok(claims)
}

/// base64url or base64, padded or not (RFC 4648).
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}
