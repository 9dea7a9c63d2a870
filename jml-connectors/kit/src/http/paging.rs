//! Paging: where the next page is, in the forms that vendors use.

use http::HeaderMap;
use http::header::LINK;
use jml_core::provider::{Cursor, Cx, Error, ErrorKind, ListRequest, Page, Result, Row};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, Request};

/// The `next` of a `Link` header (RFC 8288); Okta and GitHub page this way.
///
/// ```
/// use jml_connector_kit::http::{link_next, types::HeaderMap};
/// let mut headers = HeaderMap::new();
/// headers.append("link", r#"<https://x/users?limit=2>; rel="self""#.parse().unwrap());
/// headers.append("link", r#"<https://x/users?after=7&limit=2>; rel="next""#.parse().unwrap());
/// assert_eq!(link_next(&headers).as_deref(), Some("https://x/users?after=7&limit=2"));
/// ```
#[must_use]
pub fn link_next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(split_links).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            let Some((name, value)) = parameter.trim().split_once('=') else { return false };
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|rel| rel == "next")
        });
        is_next.then(|| target.trim_start().trim_start_matches('<').to_owned())
    })
}

/// Splits at the commas between links, not at those within them.
fn split_links(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let closed = text.find('>').unwrap_or(text.len());
        let tail = text.get(closed..).unwrap_or_default();
        let (link, next) = match tail.find(',') {
            Some(comma) => (text.get(..closed + comma)?, text.get(closed + comma + 1..)),
            None => (text, None),
        };
        rest = next;
        Some(link)
    })
}

/// A page from its rows and what the target says of the next one. A cursor that is the one just used
/// would never end, and is an error.
///
/// # Errors
/// [`ErrorKind::ContractViolation`] when the cursor repeats.
pub fn pages(rows: Vec<Row>, asked: &ListRequest, next: Option<String>) -> Result<Page> {
    let next = next.filter(|text| !text.is_empty()).map(|text| Cursor(text.into()));
    if next.is_some() && next == asked.cursor {
        let text = "the target names the page just read as the next one";
        return Err(Error::new(ErrorKind::ContractViolation, text));
    }
    Ok(Page::with_next(rows, next))
}

impl Client {
    /// One page of a JSON listing whose cursors are links that the target gives. `places` are the JSON
    /// pointers (RFC 6901) of the rows and of the link: `["/value", "/@odata.nextLink"]`.
    ///
    /// # Errors
    /// [`ErrorKind::CursorExpired`] when the target does not accept the link any more;
    /// [`ErrorKind::ContractViolation`] when there are no rows where they should be.
    pub async fn listing<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
        places: [&str; 2],
        row: impl Fn(T) -> Row + Send,
    ) -> Result<Page> {
        let [at, next] = places;
        let mut page: Value = self.page(cx, asked, first).await?;
        let next = page.pointer(next).and_then(Value::as_str).map(str::to_owned);
        pages(rows(&mut page, at)?.into_iter().map(row).collect(), asked, next)
    }

    /// One page of a JSON listing whose cursors are tokens for a query parameter: `pageToken`, `cursor`.
    /// `places` are the JSON pointers of the rows and of the token.
    ///
    /// # Errors
    /// As [`listing`](Self::listing).
    pub async fn listing_by_token<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
        parameter: &str,
        places: [&str; 2],
        row: impl Fn(T) -> Row + Send,
    ) -> Result<Page> {
        let request = match &asked.cursor {
            None => first,
            Some(cursor) => first.query(parameter, &cursor.0),
        };
        let mut page: Value = self.fetch(cx, request).await.map_err(|e| expired(asked, e))?;
        let [at, next] = places;
        let next = page.pointer(next).and_then(Value::as_str).map(str::to_owned);
        pages(rows(&mut page, at)?.into_iter().map(row).collect(), asked, next)
    }

    /// One page of a JSON listing that counts rows: `parameters` are the names of first row and size
    /// (`skip` and `limit`), `base` is the number of the first row (0, or 1 for SCIM). A page that is
    /// shorter than asked for is the last one; a total, if the target shows one at `total`, is believed
    /// before that, because some targets return fewer rows than asked for.
    ///
    /// Rows that come or go while listing move the others: use it only where there is nothing better.
    ///
    /// # Errors
    /// As [`listing`](Self::listing).
    #[expect(clippy::too_many_arguments, reason = "each is one fact about the vendor's paging")]
    pub async fn listing_by_offset<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
        parameters: [&str; 2],
        base: u64,
        size: u32,
        places: [&str; 2],
        row: impl Fn(T) -> Row + Send,
    ) -> Result<Page> {
        let start = match &asked.cursor {
            None => base,
            Some(Cursor(text)) => {
                text.strip_prefix("row:").and_then(|it| it.parse().ok()).ok_or_else(|| {
                    Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours")
                })?
            }
        };
        let [from, most] = parameters;
        let request = first.query(from, start).query(most, size);
        let mut page: Value = self.fetch(cx, request).await.map_err(|e| expired(asked, e))?;
        let [at, total] = places;
        let total = page.pointer(total).and_then(Value::as_u64);
        let rows: Vec<T> = rows(&mut page, at)?;
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let end = start.saturating_add(count);
        let more = match total {
            Some(total) if count == 0 && end.saturating_sub(base) < total => {
                let text = "the target promises more rows, and shows none";
                return Err(Error::new(ErrorKind::ContractViolation, text));
            }
            Some(total) => end.saturating_sub(base) < total,
            None => count >= u64::from(size),
        };
        pages(rows.into_iter().map(row).collect(), asked, more.then(|| format!("row:{end}")))
    }

    /// One page of a listing that is a bare JSON array, with the next page in a `Link` header (RFC 8288):
    /// Okta, GitHub.
    ///
    /// # Errors
    /// As [`listing`](Self::listing).
    pub async fn listing_by_header<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
        row: impl Fn(T) -> Row + Send,
    ) -> Result<Page> {
        let link = asked.cursor.as_ref().map(|Cursor(link)| link.as_str());
        let (found, next) = self.linked(cx, first, link).await.map_err(|e| expired(asked, e))?;
        pages(found.into_iter().map(row).collect(), asked, next)
    }

    /// A page of a bare JSON array, the first one or the one behind a link, and the next link.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn linked<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        first: Request,
        link: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>)> {
        let request = match link {
            None => first,
            Some(link) => Request::follow(link),
        };
        let response = self.send(cx, request).await?;
        let next = link_next(response.headers());
        Ok((response.json()?, next))
    }

    /// All of something small that comes as pages of bare JSON arrays: the groups of one user.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch); [`ErrorKind::ContractViolation`] when it does not end.
    pub async fn all_linked<T: DeserializeOwned>(&self, cx: &Cx, first: Request) -> Result<Vec<T>> {
        let (mut all, mut link) = self.linked(cx, first, None).await?;
        for _ in 0..1_000 {
            let Some(next) = link else { return Ok(all) };
            let (more, after) = self.linked(cx, Request::follow(&next), None).await?;
            if after.as_ref() == Some(&next) {
                break;
            }
            all.extend::<Vec<T>>(more);
            link = after;
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// One page of a listing whose cursors are links that the target gives: the first request, or the
    /// link of the cursor.
    ///
    /// # Errors
    /// [`ErrorKind::CursorExpired`] when the target does not accept the link any more.
    pub async fn page<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        asked: &ListRequest,
        first: Request,
    ) -> Result<T> {
        let Some(Cursor(link)) = &asked.cursor else { return self.fetch(cx, first).await };
        let followed = self.fetch(cx, Request::follow(link.as_str())).await;
        followed.map_err(|error| expired(asked, error))
    }
}

/// What a target says to a cursor that it does not know: not found, or a wrong request. Without a cursor, the
/// error as it is.
#[must_use]
pub fn expired(asked: &ListRequest, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Invalid if asked.cursor.is_some() => {
            Error::new(ErrorKind::CursorExpired, error.message())
        }
        _ => error,
    }
}

/// The rows of a page, at a JSON pointer.
fn rows<T: DeserializeOwned>(page: &mut Value, at: &str) -> Result<Vec<T>> {
    let found = page.pointer_mut(at).map(Value::take);
    let parsed = found.map(serde_json::from_value::<Vec<T>>).and_then(std::result::Result::ok);
    parsed.ok_or_else(|| {
        let text = format!("the page holds no rows at `{at}`, or others than it should");
        Error::new(ErrorKind::ContractViolation, text)
    })
}
