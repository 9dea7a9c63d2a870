//! The system log as a feed of changes.
//! <https://developer.okta.com/docs/reference/system-log-query/>

use chrono::TimeDelta;
use jml_connector_kit::Request;
use jml_connector_kit::http::link_next;
use jml_core::provider::{
    ChangePage, ChangeRow, Cx, Error, ErrorKind, Observation, Result, Watermark,
};

use crate::answers::LogEvent;
use crate::{Okta, requests};

/// How far before now the log is begun: our clock may be ahead of Okta's, and what happened in between would
/// never be told.
const BEFORE: TimeDelta = TimeDelta::minutes(10);

/// The most pages that are read to find the end of those minutes.
const PAGES: usize = 1_000;

impl Okta {
    pub(crate) async fn since(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        let Some(Watermark(mark)) = since else {
            // A place in the log, and not an instant: events of one instant come in pieces.
            let from = (cx.now() - BEFORE).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            let mut request = requests::log(&from);
            for _ in 0..PAGES {
                let (events, next) = self.events(cx, request).await?;
                if events.len() < requests::LOG {
                    let (rows, next) = (Vec::new(), Watermark(next.into()));
                    return Ok(ChangePage { rows, next, more: false });
                }
                request = Request::follow(next);
            }
            return Err(Error::new(ErrorKind::ContractViolation, "the log does not end"));
        };
        let expired = |error: Error| match error.kind() {
            ErrorKind::Invalid | ErrorKind::NotFound => {
                Error::new(ErrorKind::CursorExpired, error.message())
            }
            _ => error,
        };
        let (events, next) =
            self.events(cx, Request::follow(mark.as_str())).await.map_err(expired)?;
        let more = events.len() >= requests::LOG;
        let mut rows: Vec<ChangeRow> = Vec::new();
        for (account, gone) in events.iter().flat_map(LogEvent::users) {
            let now = if gone { Observation::Absent } else { Observation::NotObserved };
            rows.retain(|row| row.account != account);
            rows.push(ChangeRow { account, now });
        }
        Ok(ChangePage { rows, next: Watermark(next.into()), more })
    }

    /// A page of the system log, and where it goes on.
    async fn events(&self, cx: &Cx, request: Request) -> Result<(Vec<LogEvent>, String)> {
        let response = self.client.send(cx, request).await?;
        let next = link_next(response.headers()).ok_or_else(|| {
            let text = "the log names no next page, and it always does";
            Error::new(ErrorKind::ContractViolation, text)
        })?;
        Ok((response.json()?, next))
    }
}
