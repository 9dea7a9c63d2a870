//! Collections of Graph, page by page.
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
    pub(crate) async fn rest<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        first: Collection<T>,
    ) -> Result<Vec<T>> {
        let Collection { mut value, mut next, .. } = first;
        for _ in 0..1_000 {
            let Some(link) = next else { return Ok(value) };
            let page: Collection<T> = self.client.fetch(cx, Request::follow(&link)).await?;
            value.extend(page.value);
            next = page.next.filter(|it| *it != link);
        }
        Err(Error::new(ErrorKind::ContractViolation, "the pages do not end"))
    }

    /// A part of a batch with all its pages.
    pub(crate) async fn part<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        batch: &Batch,
        id: &str,
    ) -> Result<Option<Vec<T>>> {
        match batch.part::<Collection<T>>(id)? {
            None => Ok(None),
            Some(first) => self.rest(cx, first).await.map(Some),
        }
    }
}
