//! Calls and replies as data, so that a layer is one function for every verb there will ever be.

use serde::{Deserialize, Serialize};

use super::{
    Change, ChangePage, Cx, Error, ErrorKind, Health, ListRequest, Observation, Outcome, Page,
    PendingRef, Preview, Provider, Result, Target, Watermark,
};

/// One call of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Call {
    /// [`Provider::list`].
    List(ListRequest),
    /// [`Provider::read`].
    Read(Target),
    /// [`Provider::apply`].
    Apply(Change),
    /// [`Provider::preview`].
    Preview(Change),
    /// [`Provider::health`].
    Health,
    /// [`Provider::changes`].
    Changes(Option<Watermark>),
    /// [`Provider::poll`].
    Poll(PendingRef),
}

/// The answer to a [`Call`], of the variant with the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// To [`Call::List`].
    Page(Page),
    /// To [`Call::Read`].
    Seen(Observation),
    /// To [`Call::Apply`] and [`Call::Poll`].
    Outcome(Box<Outcome>),
    /// To [`Call::Preview`].
    Preview(Box<Preview>),
    /// To [`Call::Health`].
    Health(Health),
    /// To [`Call::Changes`].
    Changes(ChangePage),
}

impl Call {
    /// Whether the call may change the target.
    #[must_use]
    pub const fn mutates(&self) -> bool {
        matches!(self, Self::Apply(_))
    }

    /// The change of [`Call::Apply`] and [`Call::Preview`].
    #[must_use]
    pub const fn change(&self) -> Option<&Change> {
        match self {
            Self::Apply(change) | Self::Preview(change) => Some(change),
            _ => None,
        }
    }

    /// What is called, as one word: `list`, `read`, `apply`, ...
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Read(_) => "read",
            Self::Apply(_) => "apply",
            Self::Preview(_) => "preview",
            Self::Health => "health",
            Self::Changes(_) => "changes",
            Self::Poll(_) => "poll",
        }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error`] of the provider.
    pub async fn make<P: Provider + ?Sized>(&self, provider: &P, cx: &Cx) -> Result<Reply> {
        match self {
            Self::List(request) => provider.list(cx, request).await.map(Reply::Page),
            Self::Read(target) => provider.read(cx, target).await.map(Reply::Seen),
            Self::Apply(change) => provider.apply(cx, change).await.map(Reply::from),
            Self::Preview(change) => {
                provider.preview(cx, change).await.map(|it| Reply::Preview(Box::new(it)))
            }
            Self::Health => provider.health(cx).await.map(Reply::Health),
            Self::Changes(since) => provider.changes(cx, since.as_ref()).await.map(Reply::Changes),
            Self::Poll(pending) => provider.poll(cx, pending).await.map(Reply::from),
        }
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(Box::new(outcome))
    }
}

impl Reply {
    fn wrong<T>() -> Result<T> {
        Err(Error::new(ErrorKind::Internal, "a layer answered another call"))
    }

    /// The page.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn page(self) -> Result<Page> {
        if let Self::Page(page) = self { Ok(page) } else { Self::wrong() }
    }

    /// What was read.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn seen(self) -> Result<Observation> {
        if let Self::Seen(seen) = self { Ok(seen) } else { Self::wrong() }
    }

    /// The outcome.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn outcome(self) -> Result<Outcome> {
        if let Self::Outcome(outcome) = self { Ok(*outcome) } else { Self::wrong() }
    }

    /// The preview.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn preview(self) -> Result<Preview> {
        if let Self::Preview(preview) = self { Ok(*preview) } else { Self::wrong() }
    }

    /// The health.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn health(self) -> Result<Health> {
        if let Self::Health(health) = self { Ok(health) } else { Self::wrong() }
    }

    /// The changes.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is another reply.
    pub fn changes(self) -> Result<ChangePage> {
        if let Self::Changes(changes) = self { Ok(changes) } else { Self::wrong() }
    }
}
