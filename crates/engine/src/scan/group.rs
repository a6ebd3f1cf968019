//! Groups: the numbers of several columns become one number, the position of the group.
//!
//! Few combinations are numbered by arithmetic, many by hash tables; a run may begin with a table and go over to
//! arithmetic when it turns out that most combinations occur.
//!
//! Owns: positions of groups, their merging across threads. Never does: know what is calculated.

use super::keys::KeyColumn;
use crate::calc::count::SKIP;
use std::sync::Arc;

/// At most this many positions are handed out by arithmetic.
const SLOTS_MAX: u64 = 4 << 20;
/// Up to this many are so from the start.
const SLOTS_SMALL: usize = 1 << 16;
/// Combinations of the other columns that each number of an open column may bring along, whether they occur or not. They
/// cost memory, and positions must stay below 2^32 however many numbers there will be.
const OPEN_OTHERS_MAX: u64 = 4;

/// Part of a table key: a column's number, shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) column: usize,
    pub(crate) shift: u32,
    bits: u32,
}

/// How groups get their positions.
#[derive(Clone, Debug)]
pub(crate) enum GroupPlan {
    /// There is one group.
    One,
    /// Position = sum of number times stride.
    Slots {
        strides: Vec<u32>,
        /// Columns by stride, largest first, for taking a position apart.
        order: Vec<usize>,
        /// Positions; more if the last column has numbers without bound.
        n: usize,
        /// The column with the largest stride may have more numbers than foreseen.
        open: bool,
    },
    /// Tables one after the other: the first over packed numbers, each later one over the position in the one before
    /// (in the low 32 bits) and more numbers.
    Tables(Vec<Vec<Packed>>),
}

impl GroupPlan {
    pub(crate) fn new(keys: &[KeyColumn]) -> GroupPlan {
        if keys.is_empty() {
            return GroupPlan::One;
        }
        let n_open = keys.iter().filter(|k| k.is_open()).count();
        let product = keys.iter().try_fold(1u64, |n, k| n.checked_mul(k.bound.max(1)));
        let others: u64 = keys.iter().filter(|k| !k.is_open()).map(|k| k.bound.max(1)).fold(1, u64::saturating_mul);
        if let Some(n) = product.filter(|n| *n <= SLOTS_MAX)
            && (n_open == 0 || n_open == 1 && others <= OPEN_OTHERS_MAX)
        {
            // The open column gets the largest stride, so that new numbers only append.
            let mut strides = vec![0; keys.len()];
            let mut stride = 1;
            let mut order: Vec<usize> = (0..keys.len()).collect();
            order.sort_by_key(|i| keys[*i].is_open());
            for i in &order {
                strides[*i] = stride;
                stride *= keys[*i].bound.max(1) as u32;
            }
            order.reverse();
            return GroupPlan::Slots { strides, order, n: n as usize, open: n_open == 1 };
        }
        GroupPlan::tables(keys)
    }

    /// Tables, however few combinations there may be.
    pub(crate) fn tables(keys: &[KeyColumn]) -> GroupPlan {
        let (mut tables, mut used) = (vec![Vec::new()], 0);
        let bits = |k: &KeyColumn| if k.is_open() { 32 } else { u64::BITS - k.bound.leading_zeros() };
        // Only the first table has room for a column of more than 32 bits; there is at most one.
        let mut columns: Vec<usize> = (0..keys.len()).collect();
        columns.sort_by_key(|i| std::cmp::Reverse(bits(&keys[*i])));
        for column in columns {
            let bits = bits(&keys[column]);
            if used + bits > 64 {
                tables.push(Vec::new());
                used = 32;
            }
            if let Some(table) = tables.last_mut() {
                table.push(Packed { column, shift: used, bits });
            }
            used += bits;
        }
        GroupPlan::Tables(tables)
    }

    /// Whether cells of this size for all positions fit into this many bytes. Tables need cells only for what occurs.
    pub(crate) fn fits(&self, cell_bytes: usize, bytes: usize) -> bool {
        match self {
            GroupPlan::Slots { n, .. } => n.saturating_mul(cell_bytes) <= bytes,
            GroupPlan::One | GroupPlan::Tables(_) => true,
        }
    }

    /// Whether so few positions are handed out by arithmetic that it may be so from the start.
    pub(crate) fn is_small(&self) -> bool {
        match self {
            GroupPlan::One => true,
            GroupPlan::Slots { n, .. } => *n <= SLOTS_SMALL,
            GroupPlan::Tables(_) => false,
        }
    }

    /// Number of positions, if it is certain.
    pub(crate) fn fixed(&self) -> Option<usize> {
        match self {
            GroupPlan::One => Some(1),
            GroupPlan::Slots { n, open: false, .. } => Some(*n),
            _ => None,
        }
    }
}

/// From keys to positions in order of arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Key and position + 1; 0 is free.
    slots: Vec<(u64, u32)>,
    keys: Vec<u64>,
}

impl Table {
    fn place(&self, key: u64) -> usize {
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20) as usize & (self.slots.len() - 1)
    }

    #[inline]
    pub(crate) fn find(&self, key: u64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.place(key);
        loop {
            match self.slots[at] {
                (_, 0) => return None,
                (k, i) if k == key => return Some(i - 1),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, key: u64) -> u32 {
        if (self.keys.len() + 1) * 8 > self.slots.len() * 5 {
            self.grow();
        }
        let mut at = self.place(key);
        loop {
            match self.slots[at] {
                (_, 0) => {
                    self.keys.push(key);
                    self.slots[at] = (key, self.keys.len() as u32);
                    return self.keys.len() as u32 - 1;
                }
                (k, i) if k == key => return i - 1,
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    fn grow(&mut self) {
        let n = (self.slots.len() * 4).max(256);
        let n = if n > 1 << 22 { n / 2 } else { n };
        let n = n.max((self.keys.len() * 2).next_power_of_two());
        self.slots = vec![(0, 0); n];
        for (i, key) in self.keys.iter().enumerate() {
            let mut at = self.place(*key);
            while self.slots[at].1 != 0 {
                at = (at + 1) & (n - 1);
            }
            self.slots[at] = (*key, i as u32 + 1);
        }
    }

    fn memory(&self) -> usize {
        self.slots.capacity() * 16 + self.keys.capacity() * 8
    }
}

#[derive(Clone, Debug)]
enum Index {
    /// Positions come from arithmetic.
    Slots(usize),
    /// Positions come from tables.
    Tables(Vec<Table>),
}

/// The groups that a thread, or a whole run, has met.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    plan: Arc<GroupPlan>,
    index: Index,
}

impl Groups {
    /// No groups yet. `many`: most combinations are expected to occur. `roomy`: there is memory for all of them.
    pub(crate) fn new(plan: Arc<GroupPlan>, many: bool, roomy: bool) -> Groups {
        let index = match &*plan {
            GroupPlan::One => Index::Slots(1),
            GroupPlan::Slots { n, .. } if roomy && plan.is_small() || many => Index::Slots(*n),
            GroupPlan::Slots { .. } => Index::Tables(vec![Table::default()]),
            GroupPlan::Tables(tables) => Index::Tables(vec![Table::default(); tables.len()]),
        };
        Groups { plan, index }
    }

    /// Groups of one column, by their different numbers. Slots are made when another group is inserted.
    pub(crate) fn of_one_column(plan: Arc<GroupPlan>, ids: Vec<u64>) -> Groups {
        debug_assert!(
            matches!(&*plan, GroupPlan::Tables(plans) if matches!(&plans[..], [plan] if plan.len() == 1)),
            "one column, by table"
        );
        Groups { plan, index: Index::Tables(vec![Table { slots: Vec::new(), keys: ids }]) }
    }

    /// Positions are below this.
    pub(crate) fn len(&self) -> usize {
        match &self.index {
            Index::Slots(n) => *n,
            Index::Tables(tables) => tables.last().map_or(0, |t| t.keys.len()),
        }
    }

    /// The position of the group with these numbers, new or known. For groups with tables only.
    pub(crate) fn insert(&mut self, ids: &[u32]) -> u32 {
        let (GroupPlan::Tables(plans), Index::Tables(tables)) = (&*self.plan, &mut self.index) else { return 0 };
        let mut at = 0;
        for (level, (plan, table)) in plans.iter().zip(tables).enumerate() {
            let base = if level == 0 { 0 } else { u64::from(at) };
            at = table.insert(plan.iter().fold(base, |key, p| key | u64::from(ids[p.column]) << p.shift));
        }
        at
    }

    /// The tables by which rows are to be numbered; none if by arithmetic.
    pub(crate) fn tables(&mut self) -> Option<&mut [Table]> {
        match &mut self.index {
            Index::Slots(_) => None,
            Index::Tables(tables) => Some(tables),
        }
    }

    /// The same for looking up only.
    pub(crate) fn tables_ref(&self) -> Option<&[Table]> {
        match &self.index {
            Index::Slots(_) => None,
            Index::Tables(tables) => Some(tables),
        }
    }

    /// Makes room for a position handed out by arithmetic.
    pub(crate) fn cover(&mut self, n: usize) {
        if let Index::Slots(have) = &mut self.index {
            *have = (*have).max(n);
        }
    }

    /// Whether most combinations have turned out to occur, so that arithmetic is better than a table.
    pub(crate) fn is_crowded(&self) -> bool {
        match (&*self.plan, &self.index) {
            (GroupPlan::Slots { n, .. }, Index::Tables(tables)) => tables[0].keys.len() > n / 16,
            _ => false,
        }
    }

    /// Goes over to arithmetic; answers where the positions so far go.
    pub(crate) fn use_slots(&mut self) -> Vec<u32> {
        let (GroupPlan::Slots { n, .. }, Index::Tables(tables)) = (&*self.plan, &mut self.index) else { return Vec::new() };
        let map: Vec<u32> = tables[0].keys.iter().map(|k| *k as u32).collect();
        let n = map.iter().map(|s| *s as usize + 1).max().unwrap_or(0).max(*n);
        self.index = Index::Slots(n);
        map
    }

    pub(crate) fn is_slots(&self) -> bool {
        matches!(self.index, Index::Slots(_))
    }

    /// Takes in the groups of another thread; answers where its positions go, unless they stay.
    pub(crate) fn absorb(&mut self, other: &Groups) -> Option<Vec<u32>> {
        match (&mut self.index, &other.index) {
            (Index::Slots(a), Index::Slots(b)) => {
                *a = (*a).max(*b);
                None
            }
            (Index::Slots(a), Index::Tables(tables)) => {
                let map: Vec<u32> = tables[0].keys.iter().map(|k| *k as u32).collect();
                *a = map.iter().map(|s| *s as usize + 1).max().unwrap_or(0).max(*a);
                Some(map)
            }
            (Index::Tables(mine), Index::Tables(theirs)) => {
                let mut map: Vec<u32> = Vec::new();
                for (level, (a, b)) in mine.iter_mut().zip(theirs).enumerate() {
                    let before = std::mem::take(&mut map);
                    map.reserve(b.keys.len());
                    for key in &b.keys {
                        let key = if level == 0 { *key } else { key >> 32 << 32 | u64::from(before[*key as u32 as usize]) };
                        map.push(a.insert(key));
                    }
                }
                Some(map)
            }
            // The caller makes `self` go over first.
            (Index::Tables(_), Index::Slots(_)) => Some(vec![SKIP; other.len()]),
        }
    }

    /// The numbers of a group's columns.
    pub(crate) fn ids(&self, group: usize, n_columns: usize) -> Vec<u64> {
        let mut ids = vec![0; n_columns];
        self.read_ids(group, &mut ids);
        ids
    }

    /// The same where there is room for them.
    pub(crate) fn read_ids(&self, group: usize, ids: &mut [u64]) {
        match (&*self.plan, &self.index) {
            (GroupPlan::One, _) => {}
            (GroupPlan::Slots { strides, order, .. }, index) => {
                let mut rest = match index {
                    Index::Slots(_) => group as u64,
                    Index::Tables(tables) => tables[0].keys[group],
                };
                for i in order {
                    ids[*i] = rest / u64::from(strides[*i]);
                    rest %= u64::from(strides[*i]);
                }
            }
            (GroupPlan::Tables(plans), Index::Tables(tables)) => {
                let mut at = group;
                for (level, (plan, table)) in plans.iter().zip(tables).enumerate().rev() {
                    let key = table.keys[at];
                    for p in plan {
                        let mask = if p.bits == 64 { u64::MAX } else { (1 << p.bits) - 1 };
                        ids[p.column] = key >> p.shift & mask;
                    }
                    if level > 0 {
                        at = key as u32 as usize;
                    }
                }
            }
            (GroupPlan::Tables(_), Index::Slots(_)) => {}
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match &self.index {
            Index::Slots(_) => 0,
            Index::Tables(tables) => tables.iter().map(Table::memory).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Numbering;
    use super::*;

    fn key(bound: u64, closed: bool) -> KeyColumn {
        let numbering = if closed { Numbering::Integers(0) } else { Numbering::Interned };
        KeyColumn::new(Arc::default(), numbering, bound)
    }

    /// Numbers rows the slow way.
    fn position(groups: &mut Groups, plan: &GroupPlan, ids: &[u64]) -> u32 {
        match plan {
            GroupPlan::One => 0,
            GroupPlan::Slots { strides, .. } => {
                let slot: u32 = ids.iter().zip(strides).map(|(a, b)| *a as u32 * b).sum();
                match groups.tables() {
                    None => {
                        groups.cover(slot as usize + 1);
                        slot
                    }
                    Some(tables) => tables[0].insert(u64::from(slot)),
                }
            }
            GroupPlan::Tables(plans) => {
                let mut at = 0;
                for (level, plan) in plans.iter().enumerate() {
                    let base = if level == 0 { 0 } else { u64::from(at) };
                    let key = plan.iter().fold(base, |k, p| k + (ids[p.column] << p.shift));
                    at = groups.tables().unwrap()[level].insert(key);
                }
                at
            }
        }
    }

    #[test]
    fn groups_keep_their_numbers_through_merges() {
        let cases: Vec<Vec<KeyColumn>> = vec![
            vec![],
            vec![key(13, true)],
            vec![key(1, true), key(5, true), key(1, true), key(7, true)],
            vec![key(3, true), key(1000, false), key(4, true)],
            vec![key(3, true), key(1000, false)],
            vec![key(300, true), key(300, true), key(300, true)],
            vec![key(1_000_000, false), key(1_000_000, false), key(9, true), key(1 << 31, false)],
            vec![key(9, true), key(1 << 63, true), key(1 << 31, true), key(77, true)],
            vec![key(u64::MAX, true)],
            (0..81).map(|i| key(if i % 3 == 0 { 1 << 20 } else { 6 }, i % 3 != 0)).collect(),
        ];
        for keys in cases {
            let plan = Arc::new(GroupPlan::new(&keys));
            for many in [[true, true], [false, false], [true, false]] {
                type Met = Vec<(u32, Vec<u64>)>;
                let mut parts: Vec<(Groups, Met)> = many
                    .iter()
                    .enumerate()
                    .map(|(part, many)| {
                        let mut groups = Groups::new(Arc::clone(&plan), *many, true);
                        let met = (0..200u64)
                            .map(|i| {
                                let ids: Vec<u64> = keys
                                    .iter()
                                    .enumerate()
                                    .map(|(c, k)| crate::intern::mix((i + part as u64 * 100) * 100 + c as u64) % k.bound)
                                    .collect();
                                (position(&mut groups, &plan, &ids), ids)
                            })
                            .collect();
                        (groups, met)
                    })
                    .collect();
                let (other, other_met) = parts.pop().unwrap();
                let (mut groups, met) = parts.pop().unwrap();
                let map = groups.absorb(&other);
                let check = |groups: &Groups, at: u32, ids: &[u64]| assert_eq!(groups.ids(at as usize, keys.len()), ids, "{plan:?}");
                for (at, ids) in &met {
                    check(&groups, *at, ids);
                }
                for (at, ids) in &other_met {
                    check(&groups, map.as_ref().map_or(*at, |m| m[*at as usize]), ids);
                }
                if matches!(*plan, GroupPlan::Slots { .. }) && !groups.is_slots() {
                    let map = groups.use_slots();
                    for (at, ids) in &met {
                        check(&groups, map[*at as usize], ids);
                    }
                }
            }
        }
    }

    #[test]
    fn groups_of_one_column_can_be_inserted_into() {
        let plan = Arc::new(GroupPlan::tables(&[key(u64::from(u32::MAX), true)]));
        let ids: Vec<u64> = (0..1000).map(|i| i * 7 % 1009).collect();
        let mut groups = Groups::of_one_column(plan, ids.clone());
        assert_eq!(groups.len(), ids.len());
        assert_eq!(groups.insert(&[5000]), 1000);
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(groups.ids(at, 1), [*id]);
            assert_eq!(groups.insert(&[*id as u32]) as usize, at);
        }
    }

    #[test]
    fn what_an_open_column_multiplies_is_bounded() {
        // Five values are known of the open column, a hundred thousand will come.
        let n = |others: u64| match GroupPlan::new(&[key(others, true), key(5, false)]) {
            GroupPlan::Slots { n, .. } => Some(n),
            _ => None,
        };
        assert_eq!([n(1), n(OPEN_OTHERS_MAX), n(OPEN_OTHERS_MAX + 1), n(100_000)], [Some(5), Some(20), None, None]);
    }

    #[test]
    fn combinations_for_which_there_is_no_memory_go_to_a_table() {
        let plan = Arc::new(GroupPlan::new(&[key(30, true), key(40, true)]));
        let len = |many, roomy| Groups::new(Arc::clone(&plan), many, roomy).len();
        assert_eq!([len(false, true), len(false, false), len(true, false)], [1_200, 0, 1_200]);
    }
}
