//! Spans for whoever watches: fixed field names, and no person in them.

use async_trait::async_trait;
use jml_core::digest::Digest;
use jml_core::provider::{Call, Cx, Layer, Next, Reply, Result, Slot, Target};
use tracing::Instrument as _;

/// One span per call, named `provider.call`, and one event at its end.
///
/// | field | of | what |
/// |---|---|---|
/// | `provider` | span | the configured instance |
/// | `method` | span | `list`, `read`, `apply`, ... |
/// | `verb` | span | of a change: `grant`, `revoke_credentials:sessions`, ... |
/// | `subject` | span | the account, as a pseudonym: 16 hexadecimal digits that are the same for the same account as long as the layer lives with the same salt |
/// | `key` | span | the idempotency key of a change |
/// | `effect` | event `done` | of a change that succeeded |
/// | `kind`, `applied` | event `failed` | of a call that failed |
/// | `elapsed_ms` | both events | by the clock of the call |
#[derive(Debug)]
pub struct Trace {
    salt: String,
}

impl Trace {
    /// Pseudonyms that anybody can compute who knows the account: enough against curiosity.
    #[must_use]
    pub fn new() -> Self {
        Self { salt: String::new() }
    }

    /// Pseudonyms that only the holder of the salt can link to accounts.
    #[must_use]
    pub fn salted(salt: impl Into<String>) -> Self {
        Self { salt: salt.into() }
    }

    fn subject(&self, provider: &str, call: &Call) -> String {
        let name = match call {
            Call::Read(Target::Account(id)) => id.to_string(),
            Call::Read(Target::External { identity, .. }) => identity.to_string(),
            _ => match call.change().and_then(|change| change.account.as_ref()) {
                Some(id) => id.to_string(),
                None => return String::new(),
            },
        };
        let text = format!("{}\n{provider}\n{name}", self.salt);
        let mut hex = Digest::of_bytes("jml-subject/v1", text.as_bytes()).to_hex();
        hex.truncate(16);
        hex
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Layer for Trace {
    fn slot(&self) -> Slot {
        Slot::Trace
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let provider = next.descriptor().id.as_str();
        let change = call.change();
        let span = tracing::info_span!(
            "provider.call",
            provider,
            method = call.method(),
            verb = change.map(|change| change.op.verb().as_str()),
            subject = self.subject(provider, call),
            key = change.map(|change| change.key.as_str()),
        );
        let began = cx.now();
        async {
            let result = next.run(cx, call).await;
            let elapsed_ms = (cx.now() - began).num_milliseconds();
            match &result {
                Ok(Reply::Outcome(outcome)) => {
                    let effect = format!("{:?}", outcome.effect).to_lowercase();
                    tracing::info!(effect, elapsed_ms, recovered = outcome.recovered, "done");
                }
                Ok(_) => tracing::debug!(elapsed_ms, "done"),
                Err(error) => {
                    let applied = format!("{:?}", error.applied()).to_lowercase();
                    tracing::warn!(kind = error.kind().as_str(), applied, elapsed_ms, "failed");
                }
            }
            result
        }
        .instrument(span)
        .await
    }
}
