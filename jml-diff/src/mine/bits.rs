//! Sets of small numbers as bits, and tables of such sets.

/// A set of numbers below a width that is fixed when it is made. Both sides of an operation have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(width: usize) -> Self {
        Self(vec![0; width.div_ceil(64)])
    }

    pub(super) fn of(width: usize, items: impl IntoIterator<Item = usize>) -> Self {
        let mut bits = Self::new(width);
        items.into_iter().for_each(|item| bits.insert(item));
        bits
    }

    pub(super) fn has(&self, item: usize) -> bool {
        self.0.get(item / 64).is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, item: usize) {
        if let Some(word) = self.0.get_mut(item / 64) {
            *word |= 1 << (item % 64);
        }
    }

    pub(super) fn remove(&mut self, item: usize) {
        if let Some(word) = self.0.get_mut(item / 64) {
            *word &= !(1 << (item % 64));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn is_subset(&self, of: &Self) -> bool {
        self.0.iter().zip(&of.0).all(|(a, b)| a & !b == 0)
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }

    /// Takes in what two sets share; whether that was anything.
    pub(super) fn unite_shared(&mut self, a: &Self, b: &Self) -> bool {
        let mut any = 0;
        for ((mine, a), b) in self.0.iter_mut().zip(&a.0).zip(&b.0) {
            *mine |= a & b;
            any |= a & b;
        }
        any != 0
    }

    /// The members in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.0.iter().enumerate();
        words.flat_map(|(at, word)| Ones { word: *word, base: at * 64 })
    }
}

struct Ones {
    word: u64,
    base: usize,
}

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let item = (self.word != 0).then(|| self.base + self.word.trailing_zeros() as usize);
        self.word &= self.word.wrapping_sub(1);
        item
    }
}

/// A set for each row. Rows that are not there are empty.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    rows: Vec<Bits>,
    none: Bits,
}

impl Grid {
    pub(super) fn new(rows: usize, width: usize) -> Self {
        Self { rows: vec![Bits::new(width); rows], none: Bits::new(width) }
    }

    /// The same pairs, the other way round.
    pub(super) fn turned(&self, columns: usize) -> Self {
        let mut out = Self::new(columns, self.rows.len());
        for (row, column) in self.iter() {
            out.insert((column, row));
        }
        out
    }

    pub(super) fn height(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, row: usize) -> &Bits {
        self.rows.get(row).unwrap_or(&self.none)
    }

    pub(super) fn has(&self, (row, column): Pair) -> bool {
        self.row(row).has(column)
    }

    pub(super) fn insert(&mut self, (row, column): Pair) {
        if let Some(bits) = self.rows.get_mut(row) {
            bits.insert(column);
        }
    }

    pub(super) fn remove(&mut self, (row, column): Pair) {
        if let Some(bits) = self.rows.get_mut(row) {
            bits.remove(column);
        }
    }

    /// Takes into a row what two sets share.
    pub(super) fn unite_shared(&mut self, row: usize, a: &Bits, b: &Bits) {
        if let Some(bits) = self.rows.get_mut(row) {
            bits.unite_shared(a, b);
        }
    }

    /// Takes columns out of a row.
    pub(super) fn subtract(&mut self, row: usize, columns: &Bits) {
        if let Some(bits) = self.rows.get_mut(row) {
            bits.subtract(columns);
        }
    }

    /// All pairs, row by row.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pair> + '_ {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(row, bits)| bits.iter().map(move |column| (row, column)))
    }
}

/// A row and a column.
pub(super) type Pair = (usize, usize);
