//! The audit log of administrators as a feed of changes.
//! <https://developers.google.com/workspace/admin/reports/v1/reference/activities/list>
//!
//! What happened shows minutes later, and not in its order
//! (<https://support.google.com/a/answer/7061566>). So each look begins [`LAG`] before the last one ended, and
//! the watermark names what was seen since then.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::id::AccountId;
use jml_core::provider::{
    ChangePage, ChangeRow, Cx, Error, ErrorKind, Observation, Result, Watermark,
};
use serde::{Deserialize, Serialize};

use crate::answers::{Activity, Event, User};
use crate::{Google, requests};

/// For how long the audit log is kept.
const KEPT: TimeDelta = TimeDelta::days(180);

/// How long an activity gets to show. Google says a couple of minutes, and seldom more.
const LAG: TimeDelta = TimeDelta::hours(1);

/// How much time a page covers. Google shows the newest first, so that a page has to see all of its time.
const SPAN: TimeDelta = TimeDelta::days(1);

/// The most activities of a page, and the most addresses that they name: each address is looked up, and a call has
/// to end in time.
const MOST: (usize, usize) = (500, 100);

/// For how long Google names users who were deleted.
const NAMED: TimeDelta = TimeDelta::days(20);

/// A place in the audit log: all before an instant, and of what came after it, these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    since: DateTime<Utc>,
    #[serde(default)]
    seen: BTreeSet<(i64, String)>,
}

impl Mark {
    /// Where a page ends that begins here; `None` for now.
    fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(self.since + LAG + SPAN).filter(|it| *it < now)
    }

    /// What is new of what is listed, oldest first, where it goes on, and whether there is more.
    fn take(
        &self,
        mut listed: Vec<Activity>,
        (most, people): (usize, usize),
        now: DateTime<Utc>,
    ) -> (Vec<Activity>, Self, bool) {
        listed.sort_by_key(Activity::place);
        let (seen, mut new): (Vec<Activity>, Vec<Activity>) =
            listed.into_iter().partition(|it| self.seen.contains(&it.place()));
        let end = self.until(now);
        let mut named = BTreeSet::new();
        let over = new.iter().position(|it| {
            named.extend(it.events().flat_map(Event::addresses).map(str::to_lowercase));
            named.len() > people
        });
        // One that names more by itself is taken alone.
        let most = over.map_or(most, |at| at.clamp(1, most));
        let cut = new.len() > most;
        new.truncate(most);
        let reach = match new.last() {
            Some(last) if cut => last.time(),
            _ => end.unwrap_or(now),
        };
        // What is older than that does not show late any more.
        let since = self.since.max(reach.min(now - LAG));
        let seen = seen.iter().chain(&new).map(Activity::place);
        let seen = seen.filter(|(at, _)| *at >= since.timestamp_millis()).collect();
        (new, Self { since, seen }, cut || end.is_some())
    }

    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| expired("the watermark is not one of ours"))
    }

    fn write(&self) -> Result<Watermark> {
        let text = serde_json::to_string(self);
        let text = text.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        Ok(Watermark(text.into()))
    }
}

fn expired(text: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::CursorExpired, text)
}

fn put(rows: &mut Vec<ChangeRow>, account: AccountId, now: Observation) {
    rows.retain(|row| row.account != account);
    rows.push(ChangeRow { account, now });
}

impl Google {
    /// What administrators changed since a watermark; without one, where the feed stands.
    pub(crate) async fn since(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        let now = cx.now();
        let Some(Watermark(text)) = since else {
            let start = Mark { since: now - LAG, seen: BTreeSet::new() };
            let (_, next, more) =
                start.take(self.listed(cx, &start, now).await?, (usize::MAX, usize::MAX), now);
            return Ok(ChangePage { rows: Vec::new(), next: next.write()?, more });
        };
        let mark = Mark::read(text)?;
        if mark.since >= now {
            // A clock was set back. Google refuses a time that is yet to come.
            return Ok(ChangePage { rows: Vec::new(), next: mark.write()?, more: false });
        }
        // Google shows what is left of older ones, and does not say that there was more.
        if now - mark.since > KEPT {
            return Err(expired("the audit log is kept for 180 days"));
        }
        let listed = self.listed(cx, &mark, now).await.map_err(|error| match error.kind() {
            // The time is all that can be wrong with the request.
            ErrorKind::Invalid => expired(error.message()),
            _ => error,
        })?;
        let (new, next, more) = mark.take(listed, MOST, now);
        Ok(ChangePage { rows: self.changed(cx, &new).await?, next: next.write()?, more })
    }

    /// What Google shows from a place on, to the end of its page.
    async fn listed(&self, cx: &Cx, mark: &Mark, now: DateTime<Utc>) -> Result<Vec<Activity>> {
        let request = requests::activities(mark.since, mark.until(now));
        self.all(cx, &self.reports, request).await
    }

    /// Whom activities are about. They name people by address: each address is looked up once, and those
    /// who were deleted are listed once.
    async fn changed(&self, cx: &Cx, activities: &[Activity]) -> Result<Vec<ChangeRow>> {
        let deleted = match activities.iter().any(Activity::deletes) {
            true => self.deleted(cx).await?,
            false => BTreeMap::new(),
        };
        let mut known: BTreeMap<String, Option<AccountId>> = BTreeMap::new();
        let mut rows = Vec::new();
        for activity in activities {
            for event in activity.events() {
                if event.names_nobody() {
                    let text = format!("`{}` changed people whom it does not name", event.name);
                    return Err(expired(text));
                }
                for address in event.addresses() {
                    let address = address.to_lowercase();
                    let live = match known.get(&address) {
                        Some(known) => known.clone(),
                        None => self.bearer(cx, &address).await?,
                    };
                    if event.deletes() {
                        let gone = deleted.get(&address).map(Vec::as_slice).unwrap_or_default();
                        // Whoever has the address came back, or, after so long, may be somebody else.
                        let old = cx.now() - activity.time() > NAMED;
                        if gone.is_empty() && (live.is_none() || old) {
                            let text =
                                format!("`{address}` was deleted, and Google forgot who it was");
                            return Err(expired(text));
                        }
                        for id in gone {
                            put(&mut rows, id.clone(), Observation::Absent);
                        }
                    }
                    if let Some(id) = &live {
                        put(&mut rows, id.clone(), Observation::NotObserved);
                    }
                    known.insert(address, live);
                }
            }
        }
        Ok(rows)
    }

    /// Whoever has an address now.
    pub(crate) async fn bearer(&self, cx: &Cx, address: &str) -> Result<Option<AccountId>> {
        match self.find(cx, address).await {
            Ok(user) => Ok(user.map(|it| it.id)),
            // Google may refuse an address of another company, as it refuses us without a permission. A search
            // tells one from the other.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let found = self.all(cx, &self.directory, requests::addressed(address)).await?;
                let user: Option<User> = found.into_iter().next();
                Ok(user.map(|it| it.id))
            }
            Err(error) => Err(error),
        }
    }

    /// Users who were deleted, by the address that they had.
    async fn deleted(&self, cx: &Cx) -> Result<BTreeMap<String, Vec<AccountId>>> {
        let users: Vec<User> = self.all(cx, &self.directory, requests::deleted()).await?;
        let mut deleted: BTreeMap<String, Vec<AccountId>> = BTreeMap::new();
        for user in users {
            deleted.entry(user.primary_email.to_lowercase()).or_default().push(user.id);
        }
        Ok(deleted)
    }
}
