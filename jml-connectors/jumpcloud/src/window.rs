//! Pages that are counted by rows, read so that nobody is lost when rows go meanwhile.
//!
//! Whoever is deleted moves all behind them forward by one, and a page that begins where the last one ended
//! then misses somebody. So each page begins with the last row that was seen; where that row is not found, the
//! page begins further ahead, until it is.

use jml_connector_kit::{Client, Request};
use jml_core::provider::{Cx, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;

use crate::answers::Results;
use crate::requests::PAGE;

/// A row with an id.
pub(crate) trait Listed: DeserializeOwned + Send {
    /// The id.
    fn place(&self) -> &str;
}

/// How a listing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// v1: in the order of the ids, with a total.
    Sorted,
    /// v2: a bare array in an order of its own; a short page is the last one.
    Plain,
}

/// A place in a listing: how many rows came before, and the last one of them. Written `20:5f...`.
struct Place {
    at: u64,
    last: Option<String>,
}

impl Place {
    fn read(link: Option<&str>) -> Result<Self> {
        let Some(text) = link else { return Ok(Self { at: 0, last: None }) };
        let place = text.split_once(':').and_then(|(at, last)| {
            let last = (!last.is_empty()).then(|| last.to_owned());
            Some(Self { at: at.parse().ok()?, last })
        });
        place.ok_or_else(|| Error::new(ErrorKind::CursorExpired, "the cursor is not one of ours"))
    }
}

fn violation(text: &str) -> Error {
    Error::new(ErrorKind::ContractViolation, text)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Rows that were seen already, of those that a request showed.
enum Seen {
    /// So many at the beginning.
    First(usize),
    /// The place is further ahead.
    Ahead,
}

fn seen<T: Listed>(rows: &[T], shape: Shape, last: &str, first: bool) -> Seen {
    if let Some(found) = rows.iter().position(|row| row.place() == last) {
        return Seen::First(found + 1);
    }
    // The last row is gone itself. Where the order is known, whoever comes behind it is known too; where it
    // is not, everybody comes again.
    let before = match shape {
        Shape::Sorted => rows.iter().take_while(|row| row.place() < last).count(),
        Shape::Plain => 0,
    };
    if before > 0 || first { Seen::First(before) } else { Seen::Ahead }
}

/// A page of a listing, and where it goes on.
pub(crate) async fn page<T: Listed>(
    client: &Client,
    cx: &Cx,
    request: &Request,
    shape: Shape,
    size: u32,
    link: Option<&str>,
) -> Result<(Vec<T>, Option<String>)> {
    let place = Place::read(link)?;
    let overlap = u32::from(place.last.is_some());
    let limit = size.saturating_add(overlap).clamp(1 + overlap, PAGE);
    let step = u64::from(limit.saturating_sub(1).max(1));
    let mut skip = place.at.saturating_sub(u64::from(overlap));
    let mut passed: Option<String> = None;
    // Each turn is a page that shows nothing new, because others came or went. That ends.
    for _ in 0..1_000 {
        let asked = request.clone().query("skip", skip).query("limit", limit);
        let (mut rows, total): (Vec<T>, Option<u64>) = match shape {
            Shape::Sorted => {
                let found: Results<T> = client.fetch(cx, asked).await?;
                (found.results, found.total)
            }
            Shape::Plain => (client.fetch(cx, asked).await?, None),
        };
        if shape == Shape::Sorted && !rows.is_sorted_by(|a, b| a.place() < b.place()) {
            return Err(violation("the rows are not in the order that was asked for"));
        }
        let end = skip.saturating_add(count(rows.len()));
        let mut more = match total {
            Some(total) => total > end,
            None => count(rows.len()) >= u64::from(limit),
        };
        let mut from = skip;
        if let Some(last) = &place.last {
            match seen(&rows, shape, last, skip == 0) {
                Seen::First(number) => {
                    if number == rows.len() && number > 0 && more {
                        // Others came in before: the new ones are further on.
                        let first = rows.first().map(|it| it.place().to_owned());
                        if first == passed {
                            return Err(violation("the target shows the page just read again"));
                        }
                        passed = first;
                        skip = skip.saturating_add(step);
                        continue;
                    }
                    rows.drain(..number);
                    from = from.saturating_add(count(number));
                }
                Seen::Ahead => {
                    skip = skip.saturating_sub(step);
                    continue;
                }
            }
        }
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        if rows.len() > most {
            rows.truncate(most);
            more = true;
        }
        let at = from.saturating_add(count(rows.len()));
        let last = rows.last().map(|it| it.place().to_owned()).or(place.last);
        let next = more.then(|| format!("{at}:{}", last.unwrap_or_default()));
        return Ok((rows, next));
    }
    Err(violation("the listing does not hold still"))
}

/// All of something small.
pub(crate) async fn all<T: Listed>(
    client: &Client,
    cx: &Cx,
    request: &Request,
    shape: Shape,
) -> Result<Vec<T>> {
    let (mut all, mut link) = page(client, cx, request, shape, PAGE, None).await?;
    for _ in 0..1_000 {
        let Some(at) = link else { return Ok(all) };
        let (more, next) = page(client, cx, request, shape, PAGE, Some(&at)).await?;
        if next.as_ref() == Some(&at) {
            break;
        }
        all.extend::<Vec<T>>(more);
        link = next;
    }
    Err(violation("the pages do not end"))
}
