//! From rows to a forest: who is whose parent, what is missing, in which order rows are shown.
//!
//! Owns: the tree of a trace that may lack its root, lack parents, repeat itself or run in circles. Every row appears
//! exactly once (or is counted as a repetition of one that does), and nothing is guessed in silence: what was put
//! somewhere carries a flag. Never does: I/O, change times.

use super::rows::{RowKind, Rows};
use hashbrown::{HashMap, HashSet};
use model::TimeNs;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// What is odd about a row: bits of [`Forest::flags`].
pub(crate) mod flag {
    /// Its parent is not in the trace.
    pub(crate) const ORPHAN: u8 = 1;
    /// It starts before its parent does.
    pub(crate) const STARTS_BEFORE_PARENT: u8 = 1 << 1;
    /// It ends after its parent did.
    pub(crate) const ENDS_AFTER_PARENT: u8 = 1 << 2;
    /// Another span has the same id, and is different.
    pub(crate) const DUPLICATE_ID: u8 = 1 << 3;
    /// It was its own ancestor; the way to its parent was cut here.
    pub(crate) const CYCLE: u8 = 1 << 4;
}

/// The rows of a trace in depth-first order, children by their start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forest {
    /// The row of the table that is shown here; [`NONE`]: what others name as their parent, and is not there.
    pub(crate) row: Vec<u32>,
    /// Where the parent is shown, always further up; [`NONE`] at the top.
    pub(crate) parent: Vec<u32>,
    pub(crate) depth: Vec<u32>,
    pub(crate) flags: Vec<u8>,
    /// The id that the row has, or that is missing: a number of [`Rows::ids`].
    pub(crate) span: Vec<u32>,
    /// Start and end; of what is missing, those of its children together.
    pub(crate) start_ns: Vec<TimeNs>,
    pub(crate) end_ns: Vec<TimeNs>,
    /// Spans without a parent id.
    pub(crate) n_roots: usize,
    /// Ids that are named as parents and are not there.
    pub(crate) n_missing: usize,
    /// Repetitions that were left out.
    pub(crate) n_folded: usize,
    /// Where the tree starts that holds most rows, if it starts with a span (which may be missing).
    pub(crate) root: Option<u32>,
}

impl Forest {
    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    /// The kind of a row as it is shown.
    pub(crate) fn kind(&self, rows: &Rows, at: usize) -> RowKind {
        rows.kind.get(self.row[at] as usize).copied().unwrap_or(RowKind::Missing)
    }
}

/// A forest under way. Nodes are the rows, then what is missing.
struct Builder<'r> {
    rows: &'r Rows,
    parent: Vec<u32>,
    flags: Vec<u8>,
    /// Row is a repetition of another.
    folded: Vec<bool>,
    /// The first row of each span id.
    first: Vec<u32>,
    /// The ids of what is missing.
    missing: Vec<u32>,
    n_folded: usize,
}

/// Puts the rows of a trace in place.
pub(crate) fn build(rows: &Rows) -> Forest {
    let n = rows.len();
    let mut builder = Builder {
        rows,
        parent: vec![NONE; n],
        flags: vec![0; n],
        folded: vec![false; n],
        first: vec![NONE; rows.ids.len()],
        missing: Vec::new(),
        n_folded: 0,
    };
    builder.note_ids();
    builder.find_parents();
    builder.cut_cycles();
    builder.order()
}

impl Builder<'_> {
    /// Notes which rows have which span id, and leaves out what was sent twice.
    fn note_ids(&mut self) {
        let rows = self.rows;
        // What the spans of ids tell that several have.
        let mut told = HashSet::new();
        for row in 0..rows.len() {
            let id = rows.span[row] as usize;
            if rows.kind[row] != RowKind::Span || id == 0 {
                continue;
            }
            let first = self.first[id] as usize;
            if self.first[id] == NONE {
                self.first[id] = row as u32;
                continue;
            }
            told.insert(rows.told(first));
            if told.insert(rows.told(row)) {
                self.flags[first] |= flag::DUPLICATE_ID;
                self.flags[row] |= flag::DUPLICATE_ID;
            } else {
                self.folded[row] = true;
                self.n_folded += 1;
            }
        }
    }

    fn find_parents(&mut self) {
        let rows = self.rows;
        let kind_of = |name: &str| rows.span_kinds.find(name);
        let (client, server) = (kind_of("client"), kind_of("server"));
        // Of ids that several spans have the first client's, and the last of each service.
        let (mut callers, mut of_service) = (HashMap::new(), HashMap::new());
        for row in (0..rows.len()).filter(|row| self.flags[*row] & flag::DUPLICATE_ID != 0) {
            let id = rows.span[row];
            if client == Some(rows.span_kind[row]) {
                callers.entry(id).or_insert(row as u32);
            }
            of_service.insert((id, rows.service[row]), row as u32);
        }
        let mut ghosts: Vec<u32> = vec![NONE; self.first.len()];
        for row in 0..rows.len() {
            let id = rows.parent[row];
            if self.folded[row] {
                continue;
            }
            if self.flags[row] & flag::DUPLICATE_ID != 0
                && server == Some(rows.span_kind[row])
                && let Some(caller) = callers.get(&rows.span[row])
            {
                // Both sides of a call may share one id (as Zipkin's do): the server's is the child of the client's.
                self.parent[row] = *caller;
                continue;
            }
            let is_span = rows.kind[row] == RowKind::Span;
            if id == 0 || (self.first[id as usize] == NONE && rows.ids.is_zero(id)) {
                continue;
            }
            if is_span && id == rows.span[row] {
                self.flags[row] |= flag::CYCLE;
                continue;
            }
            let first = self.first[id as usize];
            self.parent[row] = if first != NONE {
                of_service.get(&(id, rows.service[row])).copied().unwrap_or(first)
            } else {
                self.flags[row] |= flag::ORPHAN;
                if ghosts[id as usize] == NONE {
                    ghosts[id as usize] = (rows.len() + self.missing.len()) as u32;
                    self.missing.push(id);
                }
                ghosts[id as usize]
            };
        }
    }

    /// Cuts each circle at its earliest row.
    fn cut_cycles(&mut self) {
        let n = self.rows.len();
        // 0: not seen; else the walk on which it was seen.
        let mut seen: Vec<u32> = vec![0; n];
        for start in 0..n {
            let walk = start as u32 + 1;
            let mut at = start as u32;
            while (at as usize) < n && seen[at as usize] == 0 {
                seen[at as usize] = walk;
                at = self.parent[at as usize];
            }
            if (at as usize) < n && seen[at as usize] == walk {
                let (mut earliest, mut next) = (at, self.parent[at as usize]);
                while next != at {
                    if (self.rows.start_ns[next as usize], next) < (self.rows.start_ns[earliest as usize], earliest) {
                        earliest = next;
                    }
                    next = self.parent[next as usize];
                }
                self.parent[earliest as usize] = NONE;
                self.flags[earliest as usize] |= flag::CYCLE;
            }
        }
    }

    /// Start and end of every node.
    fn times(&self) -> (Vec<TimeNs>, Vec<TimeNs>) {
        let n = self.rows.len();
        let mut start = self.rows.start_ns.clone();
        let mut end: Vec<TimeNs> = (0..n).map(|row| self.rows.end_ns(row)).collect();
        start.resize(self.parent.len(), TimeNs::MAX);
        end.resize(self.parent.len(), TimeNs::MIN);
        // A ghost of all ghosts comes last, and is the parent of ghosts only once these have their times.
        for node in 0..self.parent.len() {
            let parent = self.parent[node] as usize;
            if self.parent[node] != NONE && parent >= n && !self.folded.get(node).is_some_and(|f| *f) {
                start[parent] = start[parent].min(start[node]);
                end[parent] = end[parent].max(end[node]);
            }
        }
        (start, end)
    }

    /// Hangs up what is missing and what belongs nowhere else; answers how many roots there are.
    fn hang_up(&mut self) -> usize {
        let rows = self.rows;
        let n = rows.len();
        let top = |b: &Builder<'_>, row: usize| b.parent[row] == NONE && !b.folded[row];
        let is_root = |b: &Builder<'_>, row: usize| top(b, row) && rows.kind[row] == RowKind::Span && b.flags[row] & flag::CYCLE == 0;
        let roots: Vec<u32> = (0..n).filter(|row| is_root(self, *row)).map(|row| row as u32).collect();
        let cut: Vec<u32> = (0..n).filter(|row| top(self, *row) && self.flags[*row] & flag::CYCLE != 0).map(|row| row as u32).collect();
        let ghosts = n as u32..(n + self.missing.len()) as u32;
        self.parent.resize(n + self.missing.len(), NONE);
        let mut root = match roots.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        if roots.is_empty() {
            root = match (ghosts.len(), cut.as_slice()) {
                (1, []) => Some(ghosts.start),
                (0, [only]) => Some(*only),
                (0, []) => None,
                _ => {
                    // Nobody knows the id of the root that all of them once had.
                    self.missing.push(0);
                    self.parent.push(NONE);
                    Some(self.parent.len() as u32 - 1)
                }
            };
        }
        if let Some(root) = root {
            let logs = (0..n).filter(|row| top(self, *row) && rows.kind[*row] == RowKind::Log).map(|row| row as u32).collect::<Vec<_>>();
            for node in ghosts.chain(cut).chain(logs).filter(|node| *node != root) {
                self.parent[node as usize] = root;
            }
        }
        roots.len()
    }

    fn order(mut self) -> Forest {
        let rows = self.rows;
        let n = rows.len();
        let n_missing = self.missing.len();
        let n_roots = self.hang_up();
        let nodes = self.parent.len();
        let (start, end) = self.times();
        // Ghosts have no place in the order of time yet.
        let mut by_start: Vec<u32> = (0..nodes as u32).filter(|i| !self.folded.get(*i as usize).is_some_and(|f| *f)).collect();
        if nodes > n {
            by_start.sort_by_key(|i| (start[*i as usize], (*i as usize) < n, *i));
        }
        // Children of node i: `children[from[i]..from[i + 1]]`; those of nobody are at the end.
        let slot = |node: u32| if node == NONE { nodes } else { node as usize };
        let mut from = vec![0u32; nodes + 2];
        for node in &by_start {
            from[slot(self.parent[*node as usize]) + 1] += 1;
        }
        for i in 0..=nodes {
            from[i + 1] += from[i];
        }
        let mut free = from.clone();
        let mut children = vec![0u32; by_start.len()];
        for node in &by_start {
            let place = &mut free[slot(self.parent[*node as usize])];
            children[*place as usize] = *node;
            *place += 1;
        }
        let below = |i: usize| children[from[i] as usize..from[i + 1] as usize].iter().rev();
        let mut out = Forest { n_roots, n_missing, n_folded: self.n_folded, ..Forest::default() };
        // Node, and where its parent is shown.
        let mut stack: Vec<(u32, u32)> = below(nodes).map(|node| (*node, NONE)).collect();
        let mut tops = Vec::new();
        while let Some((node, parent)) = stack.pop() {
            let (at, i) = (out.row.len() as u32, node as usize);
            let depth = if parent == NONE { 0 } else { out.depth[parent as usize] + 1 };
            let mut flags = self.flags.get(i).copied().unwrap_or(0);
            if parent == NONE {
                tops.push(at);
            } else if i < n && out.row[parent as usize] != NONE {
                let parent = parent as usize;
                if start[i] < out.start_ns[parent] {
                    flags |= flag::STARTS_BEFORE_PARENT;
                }
                if end[i] > out.end_ns[parent] {
                    flags |= flag::ENDS_AFTER_PARENT;
                }
            }
            out.row.push(if i < n { node } else { NONE });
            out.parent.push(parent);
            out.depth.push(depth);
            out.flags.push(flags);
            out.span.push(if i < n { rows.span[i] } else { self.missing[i - n] });
            out.start_ns.push(start[i]);
            out.end_ns.push(end[i]);
            stack.extend(below(i).map(|child| (*child, at)));
        }
        let size = |k: usize| tops.get(k + 1).copied().unwrap_or(out.row.len() as u32) - tops[k];
        let spans = (0..tops.len()).filter(|k| matches!(out.kind(rows, tops[*k] as usize), RowKind::Span | RowKind::Missing));
        out.root = spans.max_by_key(|k| (size(*k), std::cmp::Reverse(*k))).map(|k| tops[k]);
        out
    }
}
