//! What changed since somebody last looked.

use jml_connector_kit::Request;
use jml_connector_kit::http::Sweep;
use jml_core::id::AccountId;
use jml_core::provider::{
    ChangePage, ChangeRow, Cx, Error, ErrorKind, Observation, Result, Watermark,
};

use crate::answers::{Collection, GroupDelta, Reference};
use crate::pages::onward;
use crate::{Entra, requests};

impl Entra {
    /// Users and groups are two feeds; a watermark is a place in both.
    pub(crate) async fn since(&self, cx: &Cx, since: Option<&Watermark>) -> Result<ChangePage> {
        let Some(Watermark(mark)) = since else {
            let (users, groups) =
                (self.latest(cx, "users").await?, self.latest(cx, "groups").await?);
            let next = Watermark(format!("{users} {groups}").into());
            return Ok(ChangePage { rows: Vec::new(), next, more: false });
        };
        let (users, groups) = mark
            .split_once(' ')
            .filter(|it| it.0.contains("/delta"))
            .ok_or_else(Sweep::not_ours)?;
        let expired = |error: Error| match error.kind() {
            // 410 is how the service asks for a new beginning.
            ErrorKind::Invalid | ErrorKind::NotFound => {
                Error::new(ErrorKind::CursorExpired, error.message())
            }
            _ => error,
        };
        let (mut rows, users, more) = self.users_since(cx, users).await.map_err(expired)?;
        let (members, groups, further) = self.members_since(cx, groups).await.map_err(expired)?;
        let known =
            |rows: &[ChangeRow], row: &ChangeRow| rows.iter().any(|it| it.account == row.account);
        for row in members {
            if !known(&rows, &row) {
                rows.push(row);
            }
        }
        let next = Watermark(format!("{users} {groups}").into());
        Ok(ChangePage { rows, next, more: more || further })
    }

    /// A page of a feed: who changed, and where it goes on.
    async fn users_since(&self, cx: &Cx, link: &str) -> Result<(Vec<ChangeRow>, String, bool)> {
        let page: Collection<Reference> = self.client.fetch(cx, Request::follow(link)).await?;
        let rows = page.value.iter().filter_map(|it| {
            let now =
                if it.removed.is_some() { Observation::Absent } else { Observation::NotObserved };
            Some(ChangeRow { account: AccountId::new(&it.id).ok()?, now })
        });
        let rows = rows.collect();
        let (next, more) = further(link, page.next, page.delta)?;
        Ok((rows, next, more))
    }

    async fn members_since(&self, cx: &Cx, link: &str) -> Result<(Vec<ChangeRow>, String, bool)> {
        let page: Collection<GroupDelta> = self.client.fetch(cx, Request::follow(link)).await?;
        let users = page.value.iter().flat_map(|it| &it.members);
        let users = users.filter(|it| it.kind.is_empty() || it.kind == "#microsoft.graph.user");
        let rows = users.filter_map(|it| {
            Some(ChangeRow { account: AccountId::new(&it.id).ok()?, now: Observation::NotObserved })
        });
        let rows = rows.collect();
        let (next, more) = further(link, page.next, page.delta)?;
        Ok((rows, next, more))
    }

    /// Where a feed stands now.
    async fn latest(&self, cx: &Cx, what: &str) -> Result<String> {
        let (mut request, mut used) = (requests::delta(what), String::new());
        for _ in 0..1_000 {
            let page: Collection<Reference> = self.client.fetch(cx, request).await?;
            match further(&used, page.next, page.delta)? {
                (link, false) => return Ok(link),
                (link, true) => (request, used) = (Request::follow(&link), link),
            }
        }
        Err(Error::new(ErrorKind::ContractViolation, "the feed does not end"))
    }
}

/// The link to go on with, and whether there is more at once.
fn further(used: &str, next: Option<String>, delta: Option<String>) -> Result<(String, bool)> {
    let next = onward(used, next)?;
    let more = next.is_some();
    next.or(delta).map(|link| (link, more)).ok_or_else(|| {
        Error::new(
            ErrorKind::ContractViolation,
            "the feed says neither where it goes on nor that it ends",
        )
    })
}
