//! Collections of Graph, page by page, and answers that are parts of another one.
//! <https://learn.microsoft.com/graph/paging>

use jml_connector_kit::Request;
use jml_core::provider::{Cx, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;

use crate::Entra;
use crate::answers::{Batch, Collection};

impl Entra {
    /// A page of a collection, the first one or the one behind a link.
    pub(crate) async fn collection<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        first: Request,
        link: Option<&str>,
    ) -> Result<Collection<T>> {
        self.client.fetch(cx, link.map_or(first, Request::follow)).await
    }

    /// All of something small.
    pub(crate) async fn all<T: DeserializeOwned>(&self, cx: &Cx, first: Request) -> Result<Vec<T>> {
        let page = self.collection(cx, first, None).await?;
        self.rest(cx, page).await
    }

    /// A first page with all that follow it.
    async fn rest<T: DeserializeOwned>(&self, cx: &Cx, first: Collection<T>) -> Result<Vec<T>> {
        let Collection { mut value, mut next, .. } = first;
        for _ in 0..1_000 {
            let Some(link) = next else { return Ok(value) };
            let page: Collection<T> = self.client.fetch(cx, Request::follow(&link)).await?;
            value.extend(page.value);
            next = onward(&link, page.next)?;
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// A part of a batch.
    ///
    /// # Errors
    /// What the part ended with: a batch that is 200 may be made of parts that are not.
    pub(crate) fn answer<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        batch: &Batch,
        id: &str,
    ) -> Result<T> {
        let part = batch.part(id)?;
        if (200..300).contains(&part.status) {
            return T::deserialize(&part.body).map_err(|_| {
                let text = format!("the batch's answer `{id}` is not what it should be");
                Error::new(ErrorKind::ContractViolation, text)
            });
        }
        let failed = self.client.part_failed(cx, false, part.status, &part.headers(), &part.body);
        Err(failed.with_context("part", id))
    }

    /// A part of a batch with all its pages.
    pub(crate) async fn part<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        batch: &Batch,
        id: &str,
    ) -> Result<Vec<T>> {
        let first = self.answer(cx, batch, id)?;
        self.rest(cx, first).await
    }
}

/// The link after the one just followed, which it cannot be again.
pub(crate) fn onward(used: &str, next: Option<String>) -> Result<Option<String>> {
    if next.as_deref() == Some(used) {
        let text = "the target names the page just read as the next one";
        return Err(Error::new(ErrorKind::ContractViolation, text));
    }
    Ok(next)
}
