//! Clocks and the critical path: which spans the trace's duration consists of.
//!
//! The path is walked back from the end of the root: of the children of the span at hand, the one that finished last
//! before the current moment kept it waiting; the walk goes on in that child, and, from the child's start, in the span
//! again. (Zhang, Ramanathan, Raj, Parwal, Sherwood, Chabbi: "CRISP: Critical Path Analysis of Large-Scale
//! Microservice Architectures", USENIX ATC 2022, section 4.)
//!
//! Owns: what the path is, and which shifts make sense of clocks that disagree. Never does: change times of rows.

use super::forest::{Forest, NONE};
use super::rows::{RowKind, Rows};
use model::TimeNs;

/// A child that ends after its parent by more than this part of the parent's duration did not keep it waiting: what goes
/// on by then goes on by itself. Less is how long it takes to end a span.
const LATE_PART: i64 = 100;

/// A stretch of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The row that the time was spent in, and in none of its children.
    pub row: u32,
    /// Its start.
    pub start_ns: TimeNs,
    /// Its end.
    pub end_ns: TimeNs,
}

/// How much later each row would have started if clocks agreed. A span that lies outside its parent, of another service,
/// is put in its parent's middle, as its request and its response may have taken equally long; what runs in that service
/// below it goes along. (The rule of Jaeger's clock skew adjuster, for calls that their caller waited for.)
pub(crate) fn shifts(rows: &Rows, forest: &Forest) -> Vec<i64> {
    let kind_of = |name: &str| rows.span_kinds.find(name);
    let (client, server) = (kind_of("client"), kind_of("server"));
    let mut shifts = vec![0i64; forest.len()];
    for at in 0..forest.len() {
        let (parent, row) = (forest.parent[at] as usize, forest.row[at] as usize);
        if forest.parent[at] == NONE || forest.row[at] == NONE || forest.row[parent] == NONE {
            continue;
        }
        let above = forest.row[parent] as usize;
        if rows.service[row] == rows.service[above] || rows.kind[row] != RowKind::Span {
            shifts[at] = shifts[parent];
            continue;
        }
        let (from, to) = (forest.start_ns[parent].saturating_add(shifts[parent]), forest.end_ns[parent].saturating_add(shifts[parent]));
        let (start, end) = (forest.start_ns[at], forest.end_ns[at]);
        let (room, takes) = (to.saturating_sub(from), end.saturating_sub(start));
        // Nobody waits for a message to be consumed; but a caller waits for the answer.
        let waits = client == Some(rows.span_kind[above]) && server == Some(rows.span_kind[row]);
        shifts[at] = if takes > room {
            from.saturating_sub(start).max(0)
        } else if start < from || (end > to && waits) {
            from.saturating_sub(start).saturating_add((room - takes) / 2)
        } else {
            0
        };
    }
    shifts
}

/// A span on the path, being walked back.
struct Frame {
    at: u32,
    /// What is left of it to be walked: from here to there.
    low: TimeNs,
    now: TimeNs,
    /// Its children that may have kept it waiting, the one that finished last at the end.
    children: Vec<(TimeNs, TimeNs, u32)>,
}

/// The critical path below a row, in order of time. Its slices cover the row's duration, and do not overlap.
pub(crate) fn path(rows: &Rows, forest: &Forest, shifts: &[i64], root: u32) -> Vec<Slice> {
    let size = (root as usize + 1..forest.len()).take_while(|at| forest.depth[*at] > forest.depth[root as usize]).count();
    let all = root as usize + 1..root as usize + 1 + size;
    // Children of each row in one list: `list[from[i]..from[i + 1]]`, rows counted from the root.
    let base = root as usize;
    let mut from = vec![0u32; size + 2];
    let is_work = |at: usize| matches!(forest.kind(rows, at), RowKind::Span | RowKind::Missing);
    for at in all.clone().filter(|at| is_work(*at)) {
        from[forest.parent[at] as usize - base + 1] += 1;
    }
    for i in 0..=size {
        from[i + 1] += from[i];
    }
    let mut free = from.clone();
    let mut list = vec![0u32; from[size + 1] as usize];
    for at in all.filter(|at| is_work(*at)) {
        let place = &mut free[forest.parent[at] as usize - base];
        list[*place as usize] = at as u32;
        *place += 1;
    }
    let start = |at: usize| forest.start_ns[at].saturating_add(shifts[at]);
    let end = |at: usize| forest.end_ns[at].saturating_add(shifts[at]);
    let frame = |at: u32, low: TimeNs, now: TimeNs| {
        let i = at as usize;
        let late = (end(i).saturating_sub(start(i))) / LATE_PART;
        let below = &list[from[i - base] as usize..from[i - base + 1] as usize];
        let waited_for = |c: &u32| end(*c as usize) <= now.saturating_add(late);
        let clip = |c: &u32| (end(*c as usize).min(now), start(*c as usize).max(low), *c);
        let mut children: Vec<_> = below.iter().filter(|c| waited_for(c)).map(clip).filter(|(end, start, _)| start < end).collect();
        children.sort_unstable();
        Frame { at, low, now, children }
    };
    let mut out = Vec::new();
    let mut stack = vec![frame(root, start(base), end(base))];
    while let Some(top) = stack.last_mut() {
        match top.children.pop() {
            Some((end, _, _)) if end > top.now => {}
            Some((end, start, child)) => {
                if end < top.now {
                    out.push(Slice { row: top.at, start_ns: end, end_ns: top.now });
                }
                top.now = start;
                let next = frame(child, start, end);
                stack.push(next);
            }
            None => {
                if top.low < top.now {
                    out.push(Slice { row: top.at, start_ns: top.low, end_ns: top.now });
                }
                stack.pop();
            }
        }
    }
    out.reverse();
    out
}
