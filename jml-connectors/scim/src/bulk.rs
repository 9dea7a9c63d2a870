//! Several changes in one request (RFC 7644 section 3.7).

use jml_connector_kit::conclude;
use jml_connector_kit::http::types::HeaderMap;
use jml_core::provider::{
    Applied, Change, Cx, Error, ErrorKind, Expect, Operation, Outcome, Provider as _, Result,
};
use serde_json::Value;

use crate::answers::{BulkAnswer, BulkResult};
use crate::{Scim, requests};

/// A change as a PATCH of one resource.
struct Patch<'a> {
    change: &'a Change,
    path: String,
    operations: Vec<Value>,
}

/// What `/Bulk` is not to be had for.
enum Sent {
    Answered(Vec<Result<Outcome>>),
    TooLarge,
    Refused,
}

impl Scim {
    /// Changes in order, those together that can be sent together.
    pub(crate) async fn in_bulks(&self, cx: &Cx, changes: &[Change]) -> Vec<Result<Outcome>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let (mut run, mut bytes) = (Vec::new(), requests::BULK_BYTES);
            for change in rest.iter().take(self.able.bulk).take_while(|it| self.is_simple(it)) {
                // One that cannot be written down fails alone.
                let Ok(Some((what, id, operations))) = self.operations(change) else { break };
                let path = jml_connector_kit::path![what, id].as_str().to_owned();
                let patch = Patch { change, path, operations };
                bytes += requests::bulk_size(&patch.path, &patch.operations);
                if bytes > self.able.bulk_bytes {
                    break;
                }
                run.push(patch);
            }
            if run.len() < 2 {
                outcomes.push(self.apply(cx, first).await);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            rest = rest.get(run.len()..).unwrap_or_default();
            self.send_halved(cx, &run, &mut outcomes).await;
        }
        outcomes
    }

    fn is_simple(&self, change: &Change) -> bool {
        let short = match &change.op {
            Operation::Revoke { .. } => true,
            Operation::SetStatus { status } => self.descriptor.statuses.contains(status),
            _ => false,
        };
        short && self.able.patch && change.expect == Expect::Any
    }

    /// Sends what is too large in halves, and one by one what the server takes in no bulk.
    async fn send_halved(&self, cx: &Cx, run: &[Patch<'_>], outcomes: &mut Vec<Result<Outcome>>) {
        let mut queue = vec![run];
        while let Some(run) = queue.pop() {
            if let [one] = run {
                outcomes.push(self.apply(cx, one.change).await);
                continue;
            }
            match self.in_bulk(cx, run).await {
                Ok(Sent::Answered(done)) => outcomes.extend(done),
                Ok(Sent::TooLarge) => {
                    let (now, later) = run.split_at(run.len() / 2);
                    queue.extend([later, now]);
                }
                Ok(Sent::Refused) => {
                    for patch in run {
                        outcomes.push(self.apply(cx, patch.change).await);
                    }
                }
                // The whole request failed: so did each, and nobody knows how far it came.
                Err(error) => {
                    let unsure = error.applied().join(Applied::No);
                    outcomes.extend(run.iter().map(|_| Err(error.clone().with_applied(unsure))));
                }
            }
        }
    }

    async fn in_bulk(&self, cx: &Cx, run: &[Patch<'_>]) -> Result<Sent> {
        let request = requests::bulk(run.iter().map(|it| (it.path.as_str(), &it.operations)));
        let answer: BulkAnswer = match self.client.fetch(cx, request).await {
            Ok(answer) => answer,
            Err(error) if error.context("status") == Some("413") => return Ok(Sent::TooLarge),
            // There is no such place, or the server does not take it: nothing was done.
            Err(error) if error.applied() == Applied::No && is_refusal(error.kind()) => {
                return Ok(Sent::Refused);
            }
            Err(error) => return Err(error),
        };
        let mut outcomes = Vec::with_capacity(run.len());
        for (number, patch) in run.iter().enumerate() {
            let one = match row_of(&answer.operations, run, number) {
                Some(row) if (200..300).contains(&row.status()) => Ok(Outcome::accepted()),
                Some(row) => {
                    let (status, none) = (row.status(), HeaderMap::new());
                    Err(self.client.part_failed(cx, true, status, &none, row.response()))
                }
                None => {
                    let text = "the answer says nothing of this operation";
                    Err(Error::new(ErrorKind::ContractViolation, text))
                }
            };
            outcomes.push(conclude(self, cx, patch.change, one).await);
        }
        Ok(Sent::Answered(outcomes))
    }
}

const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Invalid)
}

/// The answer to one operation: by its name, which only POST has to have, or by its place. Several answers about
/// one place without names are told apart only if they say the same.
fn row_of<'a>(rows: &'a [BulkResult], run: &[Patch<'_>], number: usize) -> Option<&'a BulkResult> {
    let name = number.to_string();
    if let Some(row) = rows.iter().find(|it| it.id.as_deref() == Some(&name)) {
        return Some(row);
    }
    let path = run.get(number)?.path.as_str();
    let mut here = rows.iter().filter(|it| it.id.is_none() && it.is_at(path));
    let first = here.next()?;
    let alike = here.clone().all(|it| it.status() == first.status());
    let asked = run.iter().filter(|it| it.path == path).count();
    (alike && here.count() + 1 == asked).then_some(first)
}
