//! Pages of users and groups, and what is looked for in them.

use jml_connector_kit::Request;
use jml_connector_kit::http::{expired, pages};
use jml_core::provider::{Cursor, Cx, Error, ErrorKind, ListRequest, Page, Result, Row};
use serde_json::{Value, json};

use crate::Scim;
use crate::answers::{Listing, Resource};

/// Pages of one search, at most.
const PAGES: usize = 100_000;

impl Scim {
    async fn listing(&self, cx: &Cx, request: Request) -> Result<Listing> {
        self.client.fetch::<Listing>(cx, request).await?.checked()
    }

    /// One page as rows.
    pub(crate) async fn page(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
        size: u32,
        row: impl Fn(Resource) -> Result<Vec<Row>> + Send,
    ) -> Result<Page> {
        let (found, next) = self.resources(cx, asked, &first, size).await?;
        let rows = found.into_iter().map(row).collect::<Result<Vec<Vec<Row>>>>()?;
        pages(rows.into_iter().flatten().collect(), asked, next)
    }

    /// The resources of a listing that are as wanted, up to a number of them. A server may not know the filter
    /// that narrows the listing down, and then gives everybody: each is looked at, and all pages are read.
    pub(crate) async fn search(
        &self,
        cx: &Cx,
        first: Request,
        most: usize,
        wanted: impl Fn(&Resource) -> bool + Send + Sync,
    ) -> Result<Vec<Resource>> {
        let (mut asked, mut hits) = (ListRequest::accounts(), Vec::new());
        for _ in 0..PAGES {
            let (found, next) = self.resources(cx, &asked, &first, self.able.page).await?;
            hits.extend(found.into_iter().filter(|it| wanted(it)));
            let page = pages(Vec::new(), &asked, next)?;
            match page.next() {
                Some(next) if hits.len() < most => asked.cursor = Some(next.clone()),
                _ => return Ok(hits),
            }
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// One page, by cursor where the server has them, and where the next one is.
    async fn resources(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: &Request,
        size: u32,
    ) -> Result<(Vec<Resource>, Option<String>)> {
        if self.able.cursor {
            let cursor = asked.cursor.as_ref().map_or("", |Cursor(text)| text.as_str());
            let request = first.clone().query("count", size).query("cursor", cursor);
            let found = self.listing(cx, request).await.map_err(|error| expired(asked, error))?;
            let next = found.next_cursor.filter(|it| !it.is_empty());
            let shown = found.resources.len() as u64;
            // Whoever advertises cursors and does not know them gives the first page, and seems to be done.
            if next.is_none()
                && asked.cursor.is_none()
                && found.total_results.is_some_and(|total| total > shown)
            {
                let text = "the server promises more than it shows, and names no cursor";
                return Err(Error::new(ErrorKind::ContractViolation, text));
            }
            return Ok((found.resources, next));
        }
        let place = Place::of(asked)?;
        let (found, start) = self.after(cx, first, &place, size).await?;
        let count = found.resources.len() as u64;
        let Some(total) = found.total_results else {
            let text =
                "the server does not say how many there are, so nobody knows what is missing";
            return Err(Error::new(ErrorKind::ContractViolation, text));
        };
        let more = start - 1 + count < total;
        if more && count == 0 {
            let text = "the server promises more, and shows nothing";
            return Err(Error::new(ErrorKind::ContractViolation, text));
        }
        let last = found.resources.iter().rev().take(3).map(|it| it.id.to_string()).collect();
        let next = Place { at: start + count, last };
        Ok((found.resources, more.then(|| next.text())))
    }

    /// The rows after a place. Rows that went meanwhile have moved the others towards the beginning, so that
    /// the last rows that were seen are looked for first. Who does not find them begins anew.
    async fn after(
        &self,
        cx: &Cx,
        first: &Request,
        place: &Place,
        size: u32,
    ) -> Result<(Listing, u64)> {
        if place.last.is_empty() {
            let found =
                self.listing(cx, first.clone().query("startIndex", 1).query("count", size)).await?;
            return Ok((found, 1));
        }
        let mut from = place.at.saturating_sub(place.last.len() as u64).max(1);
        let window = u64::from(size) + place.last.len() as u64;
        loop {
            let request = first.clone().query("startIndex", from).query("count", window);
            let mut found = self.listing(cx, request).await?;
            let seen = |it: &Resource| place.last.iter().any(|id| id == it.id.as_str());
            if let Some(at) = found.resources.iter().rposition(seen) {
                found.resources.drain(..=at);
                let start = from + at as u64 + 1;
                found.resources.truncate(usize::try_from(size).unwrap_or(usize::MAX));
                return Ok((found, start));
            }
            if from == 1 {
                let text = "the rows that were read last are gone; begin anew";
                return Err(Error::new(ErrorKind::CursorExpired, text));
            }
            from = from.saturating_sub(window).max(1);
        }
    }
}

/// A place in a listing by numbers: the number of the next row, and the last rows that were seen.
struct Place {
    at: u64,
    last: Vec<String>,
}

impl Place {
    fn of(asked: &ListRequest) -> Result<Self> {
        let Some(Cursor(text)) = &asked.cursor else { return Ok(Self { at: 1, last: Vec::new() }) };
        let wrong = || Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours");
        let value: Value = serde_json::from_str(text).map_err(|_| wrong())?;
        let at = value["at"].as_u64().ok_or_else(wrong)?;
        let last = value["last"].as_array().ok_or_else(wrong)?.iter();
        let last = last.map(|it| it.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        Ok(Self { at, last: last.filter(|it| !it.is_empty()).ok_or_else(wrong)? })
    }

    fn text(&self) -> String {
        json!({ "at": self.at, "last": self.last }).to_string()
    }
}
