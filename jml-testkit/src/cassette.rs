//! Cassettes: calls and answers in a file, recorded once and played without the target.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::provider::{
    Call, Cx, Error, ErrorKind, ErrorRecord, Layer, Next, Reply, Result, Slot,
};
use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes and reads. It is the first line of a tape.
pub const CASSETTE_FORMAT: u16 = 1;

/// The first line of a tape.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    jml_cassette: u16,
}

/// One call and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    call: Call,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorRecord>,
}

/// A cassette cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the cassette: {what}")]
#[expect(clippy::exhaustive_structs, reason = "place and reason")]
pub struct CassetteError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Writes down what passes. Clones share the tape.
#[derive(Clone, Debug)]
pub struct Recorder {
    secrets: Arc<[String]>,
    tape: Arc<Mutex<Vec<Take>>>,
}

impl Recorder {
    /// A recorder that writes `[redacted]` wherever one of these texts would stand: tokens, names,
    /// whatever must not get into a repository.
    #[must_use]
    pub fn redacting(secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { secrets: secrets.into_iter().map(Into::into).collect(), tape: Arc::default() }
    }

    /// The tape: one JSON object per line, the format's version first.
    ///
    /// # Errors
    /// When an answer has no JSON form.
    pub fn to_text(&self) -> std::result::Result<String, serde_json::Error> {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = serde_json::to_string(&Head { jml_cassette: CASSETTE_FORMAT })?;
        text.push('\n');
        for take in tape.iter() {
            text.push_str(&serde_json::to_string(take)?);
            text.push('\n');
        }
        // As JSON writes them: a quote or a line end within a secret is escaped there.
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            let written = serde_json::to_string(secret)?;
            text = text.replace(written.trim_matches('"'), "[redacted]");
        }
        Ok(text)
    }
}

#[async_trait]
impl Layer for Recorder {
    fn slot(&self) -> Slot {
        Slot::Record
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let result = next.run(cx, call).await;
        let (reply, error) = match &result {
            Ok(reply) => (Some(reply.clone()), None),
            Err(error) => (None, Some(error.record())),
        };
        let take = Take { call: call.clone(), reply, error };
        self.tape.lock().unwrap_or_else(PoisonError::into_inner).push(take);
        result
    }
}

/// Plays a tape instead of asking the target. A call is looked up by what it is; the same call asked
/// again gets the next answer that was recorded for it, and after the last one that one again.
#[derive(Debug)]
pub struct Player {
    takes: BTreeMap<String, Mutex<(usize, Vec<Take>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Player {
    /// A player of a tape.
    ///
    /// # Errors
    /// [`CassetteError`] naming the line.
    pub fn from_text(text: &str) -> std::result::Result<Self, CassetteError> {
        let mut takes: BTreeMap<String, Mutex<(usize, Vec<Take>)>> = BTreeMap::new();
        let head: Option<Head> = text.lines().next().and_then(|l| serde_json::from_str(l).ok());
        let what = match head {
            Some(Head { jml_cassette: CASSETTE_FORMAT }) => None,
            Some(Head { jml_cassette: other }) => {
                Some(format!("format {other} is unknown, this version reads {CASSETTE_FORMAT}"))
            }
            None => Some(format!("it must be `{{\"jml_cassette\":{CASSETTE_FORMAT}}}`")),
        };
        if let Some(what) = what {
            return Err(CassetteError { line: 1, what });
        }
        for (number, line) in text.lines().enumerate().skip(1) {
            let wrong = |what: String| CassetteError { line: number + 1, what };
            let take: Take = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
            if take.reply.is_some() == take.error.is_some() {
                return Err(wrong("a call has one answer, a reply or an error".to_owned()));
            }
            let call = serde_json::to_string(&take.call).map_err(|e| wrong(e.to_string()))?;
            lock(takes.entry(call).or_default()).1.push(take);
        }
        Ok(Self { takes })
    }
}

#[async_trait]
impl Layer for Player {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, _: &Cx, call: &Call, _: Next<'_>) -> Result<Reply> {
        let missing = || {
            let text = format!("this `{}` is not on the cassette", call.method());
            Error::new(ErrorKind::Internal, text)
        };
        let name = serde_json::to_string(call).map_err(|_| missing())?;
        let mut entry = lock(self.takes.get(&name).ok_or_else(missing)?);
        let (played, takes) = &mut *entry;
        let take = takes.get(*played).or_else(|| takes.last()).ok_or_else(missing)?;
        *played += 1;
        match (&take.reply, &take.error) {
            (Some(reply), _) => Ok(reply.clone()),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => Err(missing()),
        }
    }
}
