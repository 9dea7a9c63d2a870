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
        let [rows, next] = places;
        let mut page: Value = self.page(cx, asked, first).await?;
        let next = page.pointer(next).and_then(Value::as_str).map(str::to_owned);
        let found = page.pointer_mut(rows).map(Value::take);
        let parsed = found.map(serde_json::from_value::<Vec<T>>).and_then(std::result::Result::ok);
        let rows = parsed.ok_or_else(|| {
            let text = format!("the page holds no rows at `{rows}`, or others than it should");
            Error::new(ErrorKind::ContractViolation, text)
        })?;
        pages(rows.into_iter().map(row).collect(), asked, next)
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
        self.fetch(cx, Request::follow(link.as_str())).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::Invalid => {
                Error::new(ErrorKind::CursorExpired, error.message())
            }
            _ => error,
        })
    }
}
