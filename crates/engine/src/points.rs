//! Rows with a time, side by side: a series has thousands of them, of a few cells each.
//!
//! Owns: their form in memory. Never does: know what the cells mean.

use model::TimeNs;

/// Rows of equally many cells, each with a time and a tag that tells rows of a time apart (none, unless somebody needs it).
#[derive(Clone, Debug)]
pub struct Points<T, Tag = ()> {
    /// Cells of a row.
    width: usize,
    heads: Vec<(TimeNs, Tag)>,
    cells: Vec<T>,
}

/// The series of an answer: values of calculations, each row with the position of its group among the results.
pub type SeriesPoints = Points<crate::Cell, u32>;

/// In the place of a group, where a row of a series is about all events.
pub const NO_GROUP: u32 = u32::MAX;

impl<T, Tag> Default for Points<T, Tag> {
    fn default() -> Points<T, Tag> {
        Points::new(0)
    }
}

impl<T: PartialEq, Tag: PartialEq> PartialEq for Points<T, Tag> {
    /// How wide no rows would be makes no difference.
    fn eq(&self, other: &Points<T, Tag>) -> bool {
        self.heads == other.heads && self.cells == other.cells
    }
}

impl<T, Tag> Points<T, Tag> {
    /// No rows, of `width` cells each.
    #[must_use]
    pub fn new(width: usize) -> Points<T, Tag> {
        Points { width, heads: Vec::new(), cells: Vec::new() }
    }

    /// Room for more rows.
    pub fn reserve(&mut self, n: usize) {
        self.heads.reserve(n);
        self.cells.reserve(n * self.width);
    }

    /// Adds a row, of which there are `width` cells.
    #[inline]
    pub fn push_tagged(&mut self, time: TimeNs, tag: Tag, cells: impl IntoIterator<Item = T>) {
        self.heads.push((time, tag));
        self.cells.extend(cells);
        debug_assert_eq!(self.cells.len(), self.heads.len() * self.width, "rows are of one width");
    }

    /// Cells of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// A row's cells.
    #[must_use]
    pub fn row(&self, i: usize) -> &[T] {
        &self.cells[i * self.width..(i + 1) * self.width]
    }

    /// A row's time and tag.
    #[must_use]
    pub fn head(&self, i: usize) -> &(TimeNs, Tag) {
        &self.heads[i]
    }

    /// The rows of each time, by position.
    pub fn times(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut end = 0;
        self.heads.chunk_by(|a, b| a.0 == b.0).map(move |rows| {
            end += rows.len();
            end - rows.len()..end
        })
    }

    /// Time, tag and cells of each row.
    pub fn tagged(&self) -> impl ExactSizeIterator<Item = (TimeNs, &Tag, &[T])> {
        self.heads.iter().enumerate().map(|(i, (time, tag))| (*time, tag, self.row(i)))
    }

    /// Time and tag of each row, to be changed.
    pub fn heads_mut(&mut self) -> impl Iterator<Item = &mut (TimeNs, Tag)> {
        self.heads.iter_mut()
    }

    /// The same times and tags with other cells, `width` in a row.
    #[must_use]
    pub fn map_rows(self, width: usize, mut row: impl FnMut(&[T], &mut Vec<T>)) -> Points<T, Tag> {
        let mut cells = Vec::with_capacity(self.len() * width);
        (0..self.len()).for_each(|i| row(self.row(i), &mut cells));
        debug_assert_eq!(cells.len(), self.len() * width, "rows are of one width");
        Points { width, heads: self.heads, cells }
    }

    /// All cells.
    pub fn cells(&self) -> impl Iterator<Item = &T> {
        self.cells.iter()
    }

    /// Bytes of memory, without what cells point to.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.heads.capacity() * size_of::<(TimeNs, Tag)>() + self.cells.capacity() * size_of::<T>()
    }
}

impl<T> Points<T> {
    /// Adds a row, of which there are `width` cells.
    pub fn push(&mut self, time: TimeNs, cells: impl IntoIterator<Item = T>) {
        self.push_tagged(time, (), cells);
    }

    /// Time and cells of each row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TimeNs, &[T])> {
        self.tagged().map(|(time, (), cells)| (time, cells))
    }
}

impl<T, Tag> FromIterator<(TimeNs, Tag, Vec<T>)> for Points<T, Tag> {
    /// The first row says how wide all are.
    fn from_iter<I: IntoIterator<Item = (TimeNs, Tag, Vec<T>)>>(rows: I) -> Points<T, Tag> {
        let mut rows = rows.into_iter().peekable();
        let mut points = Points::new(rows.peek().map_or(0, |(_, _, cells)| cells.len()));
        rows.for_each(|(time, tag, cells)| points.push_tagged(time, tag, cells));
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_width() {
        for width in 0..3 {
            let points: Points<i64> = (0..4).map(|i| (i, (), vec![i; width])).collect();
            assert!(points.iter().zip(0..).all(|((time, cells), i)| time == i && cells == vec![i; width]));
            let more = points.map_rows(width + 1, |cells, out| {
                out.extend_from_slice(cells);
                out.push(-1);
            });
            assert_eq!(more.len(), 4);
            assert!(more.iter().all(|(time, cells)| cells[..width] == vec![time; width] && cells[width] == -1));
        }
    }
}
