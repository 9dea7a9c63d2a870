//! Who holds what, walked container by container: the place in such a walk, as a cursor.

use jml_core::provider::{Error, ErrorKind, ListRequest, Page, Result, Row};
use serde::{Deserialize, Serialize};

/// A place in a walk over containers (groups, applications) and over what is in each. The walk has stages,
/// one for each kind of container. One step is one request: a page of containers, or a page of one
/// container's members. The place is the whole memory, so a walk goes on in another instance.
///
/// ```
/// use jml_connector_kit::http::{Step, Sweep};
/// use jml_core::provider::{ListRequest, Page};
/// # fn main() -> jml_core::provider::Result<()> {
/// let asked = ListRequest::holdings();
/// let sweep = Sweep::resume(&asked)?;
/// assert_eq!(sweep.step(), Step::Containers { stage: 0, link: None });
/// // A page of groups was read; it names two of them and has no next page. There is one stage.
/// let page = sweep.containers(&asked, 1, vec!["g1".into(), "g2".into()], None)?;
/// let asked = ListRequest { cursor: page.next().cloned(), ..asked };
/// let sweep = Sweep::resume(&asked)?;
/// assert_eq!(sweep.step(), Step::Members { stage: 0, container: "g1", link: None });
/// let page = sweep.members(&asked, 1, Ok((Vec::new(), None)))?;
/// assert!(page.next().is_some(), "g2 is still to come");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Which kind of container.
    stage: usize,
    /// Containers that were named and not walked yet; the first one is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    queue: Vec<String>,
    /// The next page of containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outer: Option<String>,
    /// The next page of the first container's members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inner: Option<String>,
}

/// What a walk asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "containers, and what is in them")]
pub enum Step<'a> {
    /// A page of containers: the first one, or the one behind a link.
    Containers {
        /// Of which stage.
        stage: usize,
        /// Where.
        link: Option<&'a str>,
    },
    /// A page of a container's members.
    Members {
        /// Of which stage.
        stage: usize,
        /// Which container.
        container: &'a str,
        /// Where.
        link: Option<&'a str>,
    },
}

impl Sweep {
    /// The place that a request names; the beginning, for a request without a cursor.
    ///
    /// # Errors
    /// [`ErrorKind::CursorExpired`] for a cursor that is no place.
    pub fn resume(asked: &ListRequest) -> Result<Self> {
        let Some(cursor) = &asked.cursor else { return Ok(Self::default()) };
        serde_json::from_str(&cursor.0).map_err(|_| Self::not_ours())
    }

    /// The error for a cursor that is no place of this walk.
    #[must_use]
    pub fn not_ours() -> Error {
        Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours")
    }

    /// What to ask for.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        let stage = self.stage;
        match self.queue.first() {
            Some(container) => Step::Members { stage, container, link: self.inner.as_deref() },
            None => Step::Containers { stage, link: self.outer.as_deref() },
        }
    }

    /// The page for a page of containers. `stages` is how many there are in all.
    ///
    /// # Errors
    /// [`ErrorKind::ContractViolation`] when the next page is the one just read.
    pub fn containers(
        self,
        asked: &ListRequest,
        stages: usize,
        found: Vec<String>,
        next: Option<String>,
    ) -> Result<Page> {
        repeats(self.outer.as_deref(), next.as_deref())?;
        Self { queue: found, outer: next, ..self }.page(asked, stages, Vec::new())
    }

    /// The page for a page of a stage that is rows itself, and not containers.
    ///
    /// # Errors
    /// As [`containers`](Self::containers).
    pub fn rows(
        self,
        asked: &ListRequest,
        stages: usize,
        rows: Vec<Row>,
        next: Option<String>,
    ) -> Result<Page> {
        repeats(self.outer.as_deref(), next.as_deref())?;
        Self { outer: next, ..self }.page(asked, stages, rows)
    }

    /// The page for a page of a container's members and the link to the next one. A container that was not
    /// found was deleted since it was named, and has no members.
    ///
    /// # Errors
    /// [`ErrorKind::ContractViolation`] when the next page is the one just read; any other error of the read.
    pub fn members(
        mut self,
        asked: &ListRequest,
        stages: usize,
        read: Result<(Vec<Row>, Option<String>)>,
    ) -> Result<Page> {
        let (rows, next) = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), None),
            read => read?,
        };
        repeats(self.inner.as_deref(), next.as_deref())?;
        if next.is_none() && !self.queue.is_empty() {
            self.queue.remove(0);
        }
        self.inner = next;
        self.page(asked, stages, rows)
    }

    fn page(mut self, asked: &ListRequest, stages: usize, rows: Vec<Row>) -> Result<Page> {
        if self.queue.is_empty() && self.outer.is_none() {
            self.stage += 1;
            if self.stage >= stages {
                return Ok(Page::last(rows));
            }
        }
        let text = serde_json::to_string(&self)
            .map_err(|_| Error::new(ErrorKind::Internal, "the place cannot be written"))?;
        super::pages(rows, asked, Some(text))
    }
}

fn repeats(used: Option<&str>, next: Option<&str>) -> Result<()> {
    if next.is_some() && used == next {
        let text = "the target names the page just read as the next one";
        return Err(Error::new(ErrorKind::ContractViolation, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jml_core::provider::Cursor;

    use super::*;

    /// Walks a made-up target, and gives the containers whose members were read.
    fn walk(stages: &[&[(&str, usize)]]) -> Vec<String> {
        let (mut asked, mut walked) = (ListRequest::holdings(), Vec::new());
        for _ in 0..1_000 {
            let sweep = Sweep::resume(&asked).unwrap();
            let page = match sweep.step() {
                Step::Containers { stage, link } => {
                    // One container a page.
                    let at = link.map_or(0, |text| text.parse().unwrap());
                    let all = stages[stage];
                    let found = all.get(at).map(|it| it.0.to_owned()).into_iter().collect();
                    let next = (at + 1 < all.len()).then(|| (at + 1).to_string());
                    sweep.clone().containers(&asked, stages.len(), found, next).unwrap()
                }
                Step::Members { stage, container, link } => {
                    let at: usize = link.map_or(0, |text| text.parse().unwrap());
                    walked.push(format!("{container}{at}"));
                    let size = stages[stage].iter().find(|it| it.0 == container).unwrap().1;
                    let next = (at + 1 < size).then(|| (at + 1).to_string());
                    sweep.clone().members(&asked, stages.len(), Ok((Vec::new(), next))).unwrap()
                }
            };
            match page.next() {
                None => return walked,
                Some(next) => asked.cursor = Some(next.clone()),
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn every_page_of_every_container_is_read_once() {
        assert_eq!(
            walk(&[&[("a", 2), ("b", 1)], &[], &[("c", 3)]]),
            ["a0", "a1", "b0", "c0", "c1", "c2"]
        );
        assert!(walk(&[&[], &[]]).is_empty());
    }

    #[test]
    fn a_page_that_names_itself_is_refused() {
        let asked = ListRequest::holdings();
        let page =
            Sweep::default().containers(&asked, 1, vec!["a".into()], Some("x".into())).unwrap();
        let asked = ListRequest { cursor: page.next().cloned(), ..asked };
        let page = Sweep::resume(&asked).unwrap().members(&asked, 1, Ok((vec![], None))).unwrap();
        let asked = ListRequest { cursor: page.next().cloned(), ..asked };
        let again = Sweep::resume(&asked).unwrap().containers(&asked, 1, vec![], Some("x".into()));
        assert_eq!(again.unwrap_err().kind(), ErrorKind::ContractViolation);
    }

    #[test]
    fn a_container_that_is_gone_is_walked_past_and_another_error_stops_the_walk() {
        let asked = ListRequest::holdings();
        let found = vec!["a".into(), "b".into()];
        let page = Sweep::default().containers(&asked, 1, found, None).unwrap();
        let asked = ListRequest { cursor: page.next().cloned(), ..asked };
        let read = |kind| {
            let sweep = Sweep::resume(&asked).unwrap();
            sweep.members(&asked, 1, Err(Error::new(kind, "read")))
        };
        let page = read(ErrorKind::NotFound).unwrap();
        let then = ListRequest { cursor: page.next().cloned(), ..asked.clone() };
        let there = Step::Members { stage: 0, container: "b", link: None };
        assert_eq!(Sweep::resume(&then).unwrap().step(), there);
        assert_eq!(read(ErrorKind::Unavailable).unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn what_is_no_place_has_expired() {
        for text in ["", "page 2", "{\"stage\":-1}", "{\"stage\":0,\"else\":1}"] {
            let asked =
                ListRequest { cursor: Some(Cursor(text.into())), ..ListRequest::holdings() };
            assert_eq!(Sweep::resume(&asked).unwrap_err().kind(), ErrorKind::CursorExpired);
        }
    }
}
