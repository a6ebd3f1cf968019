//! Numbers kept as they are, with their cells, in lists by cell.
//!
//! Owns: growing without moving. Never does: look at the numbers.

/// Lists of [`Kept`] at most: each can be sorted inside a CPU's cache. The list of a cell is its number modulo this.
pub(super) const LISTS: usize = 256;

/// A number and its cell.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Plain {
    pub(super) value: f64,
    pub(super) cell: u32,
}

/// A number with its weight and cell.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(super) struct Weighted {
    pub(super) value: f64,
    pub(super) weight: f64,
    pub(super) cell: u32,
}

/// Entries of a piece of a [`List`], at least and at most.
const PIECE: (usize, usize) = (64, 8192);

/// A list that grows without moving what it holds.
#[derive(Clone, Debug)]
pub(super) struct List<T> {
    pub(super) full: Vec<Vec<T>>,
    open: Vec<T>,
}

impl<T: Copy> List<T> {
    pub(super) const EMPTY: List<T> = List { full: Vec::new(), open: Vec::new() };

    #[inline(always)]
    pub(super) fn push(&mut self, t: T) {
        if self.open.len() == self.open.capacity() {
            self.next_piece();
        }
        self.open.push(t);
    }

    #[inline(never)]
    pub(super) fn next_piece(&mut self) {
        let n = (self.open.capacity() * 2).clamp(PIECE.0, PIECE.1);
        let full = std::mem::replace(&mut self.open, Vec::with_capacity(n));
        if !full.is_empty() {
            self.full.push(full);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.full.iter().flatten().chain(&self.open)
    }

    pub(super) fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.open.len()
    }

    pub(super) fn memory(&self) -> usize {
        (self.full.iter().map(Vec::capacity).sum::<usize>() + self.open.capacity()) * size_of::<T>()
    }

    pub(super) fn append(&mut self, other: &mut List<T>) {
        self.full.append(&mut other.full);
        if !other.open.is_empty() {
            self.full.push(std::mem::take(&mut other.open));
        }
    }
}

/// Numbers kept as they are, in lists by cell.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Plain(Vec<List<Plain>>),
    Weighted(Vec<List<Weighted>>),
}

impl Kept {
    /// No lists, until there are cells.
    pub(super) fn new(weighted: bool) -> Kept {
        if weighted { Kept::Weighted(Vec::new()) } else { Kept::Plain(Vec::new()) }
    }

    /// Has a list for each cell below `cells`; never fewer than before.
    pub(super) fn resize(&mut self, cells: usize) {
        fn grow<T: Copy>(lists: &mut Vec<List<T>>, n: usize) {
            if lists.len() < n {
                lists.resize_with(n, || List::EMPTY);
            }
        }
        match self {
            Kept::Plain(lists) => grow(lists, cells.min(LISTS)),
            Kept::Weighted(lists) => grow(lists, cells.min(LISTS)),
        }
    }

    pub(super) fn n_lists(&self) -> usize {
        match self {
            Kept::Plain(lists) => lists.len(),
            Kept::Weighted(lists) => lists.len(),
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, cell: u32, value: f64, weight: f64) {
        match self {
            Kept::Plain(lists) => lists[cell as usize % LISTS].push(Plain { value, cell }),
            Kept::Weighted(lists) => lists[cell as usize % LISTS].push(Weighted { value, weight, cell }),
        }
    }

    /// Calls `f` with cell, number and weight of the entries of a list.
    pub(super) fn each(&self, i: usize, mut f: impl FnMut(u32, f64, f64)) {
        match self {
            Kept::Plain(lists) => lists[i].iter().for_each(|p| f(p.cell, p.value, 1.0)),
            Kept::Weighted(lists) => lists[i].iter().for_each(|w| f(w.cell, w.value, w.weight)),
        }
    }

    pub(super) fn len(&self, i: usize) -> usize {
        match self {
            Kept::Plain(lists) => lists[i].len(),
            Kept::Weighted(lists) => lists[i].len(),
        }
    }

    pub(super) fn memory(&self) -> usize {
        match self {
            Kept::Plain(lists) => lists.iter().map(List::memory).sum(),
            Kept::Weighted(lists) => lists.iter().map(List::memory).sum(),
        }
    }
}
