//! What templates give: rows of cells, one after the other.

use super::cell::{Cell, pack};
use super::word::END;
use super::{FlatError, index};

/// The rows of templates, each ascending and without repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Templates {
    /// Where each row begins and ends.
    spans: Vec<(u32, u32)>,
    cells: Vec<Cell>,
    /// How many cells are in some row. Others are left over from edits.
    live: usize,
}

impl Templates {
    pub(super) const fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.spans.capacity() * size_of::<(u32, u32)>() + self.cells.capacity() * size_of::<Cell>()
    }

    #[inline]
    pub(super) fn get(&self, template: u32) -> &[Cell] {
        let (row, len) = self.from(template);
        row.get(..len).unwrap_or_default()
    }

    /// A row with whatever comes behind it, and how many cells of that are the row.
    #[inline]
    pub(super) fn from(&self, template: u32) -> (&[Cell], usize) {
        let (from, to) = self.spans.get(template as usize).copied().unwrap_or_default();
        (self.cells.get(from as usize..).unwrap_or_default(), (to - from) as usize)
    }

    /// Adds a template, ids ascending, and gives back its number.
    pub(super) fn push(&mut self, ids: &[u32]) -> Result<u32, FlatError> {
        let number = index(self.len(), END - 1, "templates")?;
        let mut row = Vec::new();
        pack(ids.iter().copied(), &mut row);
        let span = self.put(&row)?;
        self.spans.push(span);
        self.live += row.len();
        Ok(number)
    }

    fn put(&mut self, row: &[Cell]) -> Result<(u32, u32), FlatError> {
        let end = index(self.cells.len() + row.len(), u32::MAX, "entitlements of templates")?;
        let start = index(self.cells.len(), u32::MAX, "entitlements of templates")?;
        self.cells.extend_from_slice(row);
        Ok((start, end))
    }

    /// Gives a template another row, ids ascending, in its place if it fits.
    pub(super) fn replace(&mut self, template: u32, ids: &[u32]) -> Result<(), FlatError> {
        let mut row = Vec::new();
        pack(ids.iter().copied(), &mut row);
        let known = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let Some((from, to)) = self.spans.get(template as usize).copied() else {
            return Err(FlatError::Unknown { what: "template", id: template, known });
        };
        let room = self.cells.get_mut(from as usize..to as usize).unwrap_or_default();
        let before = room.len();
        let span = match room.get_mut(..row.len()) {
            Some(room) => {
                room.copy_from_slice(&row);
                let len = u32::try_from(row.len()).unwrap_or_default();
                (from, from + len)
            }
            None => self.put(&row)?,
        };
        if let Some(of) = self.spans.get_mut(template as usize) {
            *of = span;
        }
        self.live = self.live + row.len() - before;
        if self.cells.len() > 2 * self.live + 1_024 {
            self.close_up();
        }
        Ok(())
    }

    /// Leaves out what no row has any more.
    fn close_up(&mut self) {
        let mut cells = Vec::with_capacity(self.live);
        for (from, to) in &mut self.spans {
            let row = self.cells.get(*from as usize..*to as usize).unwrap_or_default();
            *from = u32::try_from(cells.len()).unwrap_or_default();
            cells.extend_from_slice(row);
            *to = u32::try_from(cells.len()).unwrap_or_default();
        }
        self.cells = cells;
    }

    pub(super) fn shrink(&mut self) {
        self.spans.shrink_to_fit();
        self.cells.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Ids;
    use super::*;

    #[test]
    fn rows_that_grow_and_shrink_for_ever_stay_small_and_right() {
        let mut templates = Templates::default();
        let row =
            |template: u32, len: u32| (0..len).map(|it| it * 70 + template).collect::<Vec<_>>();
        let mut rows: Vec<Vec<u32>> = (0..50).map(|template| row(template, 20)).collect();
        for (number, row) in (0..).zip(&rows) {
            assert_eq!(templates.push(row), Ok(number));
        }
        for round in 0..5_000 {
            let template = round * 7 % 50;
            let new = row(template, (round * 13) % 41);
            templates.replace(template, &new).unwrap();
            rows[template as usize] = new;
            let live: usize = rows.iter().map(Vec::len).sum();
            assert_eq!(templates.live, live);
            assert!(templates.cells.len() <= 2 * live + 1_024);
        }
        for (number, row) in (0..).zip(&rows) {
            assert_eq!(Ids::new(templates.get(number)).collect::<Vec<_>>(), *row);
        }
        assert_eq!(templates.get(50), []);
        let unknown = FlatError::Unknown { what: "template", id: 50, known: 50 };
        assert_eq!(templates.replace(50, &[]), Err(unknown));
    }
}
