//! Directory Insights as a feed of changes.
//! <https://docs.jumpcloud.com/api/insights/directory/1.0/index.html>

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::provider::{
    ChangePage, ChangeRow, Cx, Error, ErrorKind, Observation, Result, Watermark,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::Event;
use crate::{JumpCloud, requests};

/// For how long Directory Insights keeps its events.
const KEPT: TimeDelta = TimeDelta::days(90);

/// How long Directory Insights gets to show what happened.
const BEHIND: TimeDelta = TimeDelta::seconds(10);

/// A place in Directory Insights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    since: DateTime<Utc>,
    #[serde(default)]
    after: Vec<String>,
}

impl JumpCloud {
    /// A page of events, and where it goes on. The place to go on from is always there; a page is the last one
    /// when it is not full.
    async fn events(&self, cx: &Cx, mark: &Mark) -> Result<(Vec<Event>, Mark, bool)> {
        let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        // Whatever shows late must not show behind the place that is kept.
        let until = mark.since.max(cx.now() - BEHIND);
        let request = requests::events(&text(mark.since), &text(until), &mark.after);
        let request = self.named(request);
        let response = self.insights.send(cx, request).await?;
        let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
        let number = |name: &str| header(name).and_then(|it| it.trim().parse::<usize>().ok());
        let events: Vec<Event> = response.json()?;
        let shown = number("x-result-count").unwrap_or(events.len());
        let more = !events.is_empty() && shown >= number("x-limit").unwrap_or(requests::EVENTS);
        let after = match header("x-search_after") {
            Some(text) => places(text)?,
            None => Vec::new(),
        };
        let mut next = mark.clone();
        if !after.is_empty() {
            next.after = after;
        } else if !events.is_empty() {
            let text = "Directory Insights does not say where its events go on";
            return Err(Error::new(ErrorKind::ContractViolation, text));
        }
        if more && next.after == mark.after {
            let text = "Directory Insights names the page just read as the next one";
            return Err(Error::new(ErrorKind::ContractViolation, text));
        }
        if !more {
            // The place is what counts; what is long ago need not be looked through again.
            next.since = mark.since.max(cx.now() - TimeDelta::days(1));
        }
        Ok((events, next, more))
    }

    /// What changed since a watermark; without one, where the feed stands.
    pub(crate) async fn events_since(
        &self,
        cx: &Cx,
        since: Option<&Watermark>,
    ) -> Result<ChangePage> {
        let watermark = |mark: &Mark| {
            let text = serde_json::to_string(mark);
            let text = text.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
            Ok::<_, Error>(Watermark(text.into()))
        };
        let Some(Watermark(text)) = since else {
            let mut mark = Mark { since: cx.now() - BEHIND, after: Vec::new() };
            loop {
                let (_, next, more) = self.events(cx, &mark).await?;
                if !more {
                    return Ok(ChangePage { rows: Vec::new(), next: watermark(&next)?, more });
                }
                mark = next;
            }
        };
        let expired = |text: &str| Error::new(ErrorKind::CursorExpired, text);
        let mark: Mark =
            serde_json::from_str(text).map_err(|_| expired("the watermark is not one of ours"))?;
        // JumpCloud shows what is left of older ones, and does not say that there was more.
        if cx.now() - mark.since > KEPT {
            return Err(expired("Directory Insights keeps its events for 90 days"));
        }
        let (events, next, more) = self.events(cx, &mark).await.map_err(|error| {
            // The place is all that can be wrong with the request.
            if error.kind() == ErrorKind::Invalid { expired(error.message()) } else { error }
        })?;
        if let Some(event) = events.iter().find(|it| it.names_nobody()) {
            let text = format!("`{}` changed people whom it does not name", event.kind());
            return Err(expired(&text));
        }
        let mut rows: Vec<ChangeRow> = Vec::new();
        for (account, gone) in events.iter().flat_map(Event::users) {
            let now = if gone { Observation::Absent } else { Observation::NotObserved };
            rows.retain(|row| row.account != account);
            rows.push(ChangeRow { account, now });
        }
        Ok(ChangePage { rows, next: watermark(&next)?, more })
    }
}

/// The place of an event: texts or numbers, to be given back as texts.
fn places(text: &str) -> Result<Vec<String>> {
    let values: Option<Vec<Value>> = serde_json::from_str(text).ok();
    let values = values.ok_or_else(|| {
        Error::new(ErrorKind::ContractViolation, "the place of the last event is no list")
    })?;
    let texts = values.into_iter().map(|it| match it {
        Value::String(text) => text,
        other => other.to_string(),
    });
    Ok(texts.collect())
}
