//! Adding up pieces: to the piece of a longer chunk, or to an answer.
//!
//! Owns: which groups pieces have in common, and which of them need no more than what decides that they are not in the
//! answer. Never does: read blocks, keep pieces.

use super::Asked;
use super::chunks::Chunk;
use super::keep::Numbers;
use super::middle::{Chooser, Deciding, Middle};
use super::piece::Piece;
use crate::caches::ColumnIds;
use crate::calc::count::SKIP;
use crate::calc::pack::PackedStates;
use crate::calc::quantile::EXACT;
use crate::calc::{CalcPlan, States};
use crate::points::{NO_GROUP, Points, SeriesPoints};
use crate::scan::group::{GroupPlan, Groups};
use crate::scan::keys::{KeyColumn, Numbering};
use crate::view::{PackedValue, Table, View};
use crate::{Answer, CalcOp, Cell, EngineError, Meta, OrderKey};
use model::TimeNs;
use parking_lot::Mutex;
use std::sync::Arc;

impl Asked<'_> {
    /// The piece of a chunk from those of its parts, or of several chunks; none if it has no such form.
    pub(super) fn join(
        &self,
        chunk: Option<&Chunk>,
        parts: &[Arc<Piece>],
        columns: &[Arc<ColumnIds>],
        distinct: &[Option<Arc<ColumnIds>>],
    ) -> Result<Option<Piece>, EngineError> {
        let keys = key_columns(columns);
        let parts: Vec<&Piece> = parts.iter().map(|p| &**p).collect();
        let Numbered { groups, places } = Numbered::of(&parts, &keys);
        let rows = parts.iter().map(|p| p.rows_matched).sum();
        let n_groups = groups.len();
        let calcs = self.calcs(Some(n_groups), distinct, Some(rows));
        let states = self.add_up(&calcs, &parts, &places, n_groups)?;
        let Some((cells, numbers)) = packed(&states, &groups, keys.len()) else { return Ok(None) };
        let part_of = chunk.and_then(|chunk| chunk.part_of(self.plan));
        let n_values = self.plan.calculations.len();
        let (points, total_points) = (Points::new(n_values), Points::new(n_values));
        let mut joined = Piece {
            n_groups,
            groups: numbers,
            cells,
            part_of,
            points,
            total_points,
            rows_matched: rows,
            complete: true,
            ..Piece::default()
        };
        let whole = part_of.is_none().then(|| self.in_buckets(&parts, &places, n_groups, distinct)).transpose()?.unwrap_or_default();
        joined.points.reserve(parts.iter().map(|p| p.points.len()).sum::<usize>() + whole.len() * n_groups);
        let mut whole = whole.into_iter().peekable();
        let mut segments = Vec::new();
        for (part, places) in parts.iter().zip(&places) {
            if let Some(Bucket { start_ns, of_groups, total }) = whole.next_if(|b| part.part_of == Some(b.start_ns)) {
                for (group, values) in (0..).zip(of_groups) {
                    if let Some(values) = values {
                        joined.points.push_tagged(start_ns, group, values);
                    }
                }
                total.into_iter().for_each(|values| joined.total_points.push(start_ns, values));
            }
            for (time, group, values) in part.points.tagged() {
                joined.points.push_tagged(time, places[*group as usize], values.iter().cloned());
            }
            part.total_points.iter().for_each(|(time, values)| joined.total_points.push(time, values.iter().cloned()));
            joined.rows_scanned += part.rows_scanned;
            joined.rows_planned += part.rows_planned;
            joined.rows_done += part.rows_done;
            segments.extend_from_slice(&part.segments.lock());
        }
        segments.sort_unstable();
        segments.dedup();
        joined.segments = Mutex::new(segments);
        joined.measure();
        Ok(Some(joined))
    }

    /// Of some pieces what decides which groups are in an answer; and for each other field with percentiles how many numbers
    /// each group has, as far as that matters. None if nothing is left out.
    pub(super) fn join_deciding(
        &self,
        parts: &[Arc<Piece>],
        columns: &[Arc<ColumnIds>],
        distinct: &[Option<Arc<ColumnIds>>],
    ) -> Result<Option<(Piece, Deciding)>, EngineError> {
        let keys = key_columns(columns);
        let parts: Vec<&Piece> = parts.iter().map(|p| &**p).collect();
        let Numbered { groups, places } = Numbered::of(&parts, &keys);
        let n_groups = groups.len();
        let Some(fields) = self.deciding(n_groups).filter(|_| !self.plan.series) else { return Ok(None) };
        let calcs = self.calcs(Some(n_groups), distinct, None).only(&fields);
        let states = self.add_up(&calcs, &parts, &places, n_groups)?;
        let Some((cells, numbers)) = packed(&states, &groups, keys.len()) else { return Ok(None) };
        let n_numbers = (0..self.fields.n()).map(|field| {
            let mut all = vec![0u32; n_groups];
            for (piece, places) in parts.iter().zip(&places) {
                let quantiles = piece.cells.quantiles(field)?;
                places.iter().enumerate().for_each(|(i, place)| all[*place as usize] += quantiles.n_numbers(i));
            }
            Some(all)
        });
        let only = Deciding { fields, numbers: n_numbers.collect() };
        let mut piece = Piece { n_groups, groups: numbers, cells, complete: true, ..Piece::default() };
        piece.measure();
        Ok(Some((piece, only)))
    }

    /// The states of all groups, those at [`SKIP`] left out.
    fn add_up(&self, calcs: &CalcPlan, pieces: &[&Piece], places: &[Vec<u32>], n_groups: usize) -> Result<States, EngineError> {
        let mut states = States::new(calcs);
        states.resize(n_groups, n_groups);
        // The largest first: it is copied, others are added to it.
        let largest = (0..pieces.len()).max_by_key(|i| pieces[*i].bytes);
        for i in largest.into_iter().chain((0..pieces.len()).filter(|i| Some(*i) != largest)) {
            self.run.go_on()?;
            states.absorb(&pieces[i].cells, &places[i]);
        }
        Ok(states)
    }

    /// The values of buckets of which pieces are parts, in order of time: one per group, and those of all groups as one.
    fn in_buckets(
        &self,
        pieces: &[&Piece],
        places: &[Vec<u32>],
        n_groups: usize,
        distinct: &[Option<Arc<ColumnIds>>],
    ) -> Result<Vec<Bucket>, EngineError> {
        let parts: Vec<(TimeNs, &Piece, &Vec<u32>)> =
            pieces.iter().zip(places).filter_map(|(piece, places)| Some((piece.part_of?, *piece, places))).collect();
        let mut out = Vec::new();
        for bucket in parts.chunk_by(|a, b| a.0 == b.0) {
            let pieces: Vec<&Piece> = bucket.iter().map(|p| p.1).collect();
            let rows = pieces.iter().map(|p| p.rows_matched).sum();
            let values = |places: &[Vec<u32>], n: usize| -> Result<Vec<Option<Vec<PackedValue>>>, EngineError> {
                let calcs = self.calcs(Some(n), distinct, Some(rows));
                let view = View::new(&calcs, self.add_up(&calcs, &pieces, places, n)?, None, 1);
                Ok((0..n).map(|g| view.pack(self.plan, self.fields, g).map(Iterator::collect)).collect())
            };
            let places: Vec<Vec<u32>> = bucket.iter().map(|p| p.2.clone()).collect();
            let of_groups = values(&places, n_groups)?;
            let one: Vec<Vec<u32>> = pieces.iter().map(|p| vec![0; p.n_groups]).collect();
            let total = if self.run.totals { values(&one, 1)?.pop().flatten() } else { None };
            out.push(Bucket { start_ns: bucket[0].0, of_groups, total });
        }
        Ok(out)
    }

    /// The fields that decide which groups are in the answer, if that leaves out some groups and some fields.
    pub(super) fn deciding(&self, n_groups: usize) -> Option<Vec<bool>> {
        let plan = self.plan;
        // The scale of a heatmap is that of all groups.
        if n_groups <= plan.limit || self.run.totals || plan.calculations.iter().any(|c| c.op == CalcOp::Heatmap) {
            return None;
        }
        let ordered = plan.orders.iter().filter_map(|o| if let OrderKey::Calc(c) = o.key { Some(c) } else { None });
        let by_default = plan.orders.is_empty().then_some(0);
        let mut deciding = vec![false; self.fields.n()];
        for calc in plan.havings.iter().map(|h| h.calc).chain(ordered).chain(by_default) {
            // A formula may look at anything.
            if let Some(field) = self.fields.of_calc.get(calc)? {
                deciding[*field] = true;
            }
        }
        deciding.contains(&false).then_some(deciding)
    }

    /// The fields of which some group has so many numbers that its percentiles are not exact.
    fn not_exact(&self, pieces: &[&Piece], places: &[Vec<u32>], n_groups: usize, middle: Option<&Middle>) -> Vec<usize> {
        let is_so = |field: &usize| {
            let mut n_numbers = vec![0; n_groups];
            pieces.iter().zip(places).any(|(piece, places)| {
                let of_middle =
                    middle.filter(|m| std::ptr::eq(&*m.piece, *piece)).and_then(|m| m.only.as_ref()?.numbers.get(*field)?.as_ref());
                if let Some(of_middle) = of_middle {
                    return places.iter().zip(of_middle).any(|(place, more)| {
                        let n = &mut n_numbers[*place as usize];
                        *n += more;
                        *n >= u32::from(EXACT)
                    });
                }
                piece.cells.quantiles(*field).is_some_and(|quantiles| {
                    places.iter().enumerate().any(|(i, place)| {
                        let n = &mut n_numbers[*place as usize];
                        *n += quantiles.n_numbers(i);
                        *n >= u32::from(EXACT)
                    })
                })
            })
        };
        (0..self.fields.n()).filter(is_so).collect()
    }

    /// Adds up the pieces; `rows_missing` were planned for pieces that are not there.
    pub(super) fn assemble(
        &self,
        pieces: &[Option<Arc<Piece>>],
        rows_missing: u64,
        (columns, distinct): Numbers<'_>,
        chooser: Option<Chooser>,
    ) -> Result<Answer, EngineError> {
        let keys = key_columns(columns);
        let there: Vec<&Piece> = pieces.iter().flatten().map(|p| &**p).collect();
        // Where what decides about groups is known of several pieces as one.
        let choosing = match &chooser {
            Some((range, middle)) => [&there[..range.start], &[&*middle.piece], &there[range.end..]].concat(),
            None => there.clone(),
        };
        let Numbered { mut groups, mut places } = Numbered::of(&choosing, &keys);
        let (mut not_exact, mut some) = (Vec::new(), None);
        // Of many groups only those of the answer are added up in full.
        if let Some(deciding) = self.deciding(groups.len()) {
            let calcs = self.calcs(Some(groups.len()), distinct, None).only(&deciding);
            let states = self.add_up(&calcs, &choosing, &places, groups.len())?;
            not_exact = self.not_exact(&choosing, &places, groups.len(), chooser.as_ref().map(|c| &*c.1));
            let view = View::new(&calcs, states, None, self.run.threads);
            let table = Table::new(&keys, groups, view, None, &self.fields.of_calc, Meta::default(), false);
            let mut chosen = Groups::new(group_plan(&keys), false, true);
            let mut position = vec![SKIP; table.n_groups()];
            let mut cells = vec![Vec::new(); there.len()];
            for g in table.selected(self.plan) {
                let ids: Vec<u32> = table.groups().ids(g as usize, keys.len()).iter().map(|id| *id as u32).collect();
                position[g as usize] = chosen.insert(&ids);
                if chooser.is_some() {
                    let place = position[g as usize] as usize;
                    there.iter().zip(&mut cells).for_each(|(piece, cells)| cells.extend(piece.find(&ids).map(|cell| (cell, place))));
                }
            }
            some = chooser.is_some().then_some(cells);
            places.iter_mut().flatten().for_each(|place| *place = position[*place as usize]);
            groups = chosen;
        }
        let n_groups = groups.len();
        let calcs = self.calcs(Some(n_groups), distinct, None);
        let states = match some {
            Some(cells) => {
                let mut states = States::new(&calcs);
                states.resize(n_groups, n_groups);
                there.iter().zip(&cells).for_each(|(piece, cells)| states.absorb_some(&piece.cells, cells));
                states
            }
            None => self.add_up(&calcs, &there, &places, n_groups)?,
        };
        let mut meta = Meta { coverage: 1.0, ..Meta::default() };
        let (mut segments, mut done, mut planned) = (Vec::new(), 0, rows_missing);
        for piece in &there {
            meta.rows_scanned += piece.rows_scanned;
            meta.rows_matched += piece.rows_matched;
            segments.extend_from_slice(&piece.segments.lock());
            done += piece.rows_done;
            planned += piece.rows_planned;
        }
        segments.sort_unstable();
        segments.dedup();
        meta.segments = segments.len() as u64;
        if !pieces.iter().all(|p| p.as_ref().is_some_and(|p| p.complete)) {
            meta.coverage = (done as f64 / planned.max(1) as f64).min(1.0 - f64::EPSILON);
            meta.note_partial();
        }
        let mut view = View::new(&calcs, states, None, self.run.threads);
        not_exact.into_iter().for_each(|field| view.blur(field));
        view.add_scales(self.plan, self.fields, &mut meta);
        let table = Table::new(&keys, groups, view, None, &self.fields.of_calc, meta, self.run.totals);
        let selected = table.selected(self.plan);
        let mut answer = table.answer(self.plan, None);
        if self.plan.series {
            let mut place = vec![SKIP; n_groups];
            for (i, g) in selected.iter().enumerate() {
                place[*g as usize] = i as u32;
            }
            places.iter_mut().flatten().filter(|p| **p != SKIP).for_each(|p| *p = place[*p as usize]);
            self.add_series(&there, &places, distinct, table.view(), &mut answer)?;
        }
        Ok(answer)
    }

    /// A row of the series.
    fn row<'r>(&'r self, view: &'r View, values: &'r [PackedValue]) -> impl Iterator<Item = Cell> + 'r {
        values.iter().zip(&self.fields.of_calc).map(|(v, field)| view.unpack(v, *field))
    }

    /// Adds the series; `places` are positions in the results.
    fn add_series(
        &self,
        pieces: &[&Piece],
        places: &[Vec<u32>],
        distinct: &[Option<Arc<ColumnIds>>],
        view: &View,
        answer: &mut Answer,
    ) -> Result<(), EngineError> {
        let n_cells = self.plan.calculations.len();
        let (mut series, mut total_series) = (SeriesPoints::new(n_cells), SeriesPoints::new(n_cells));
        let in_buckets = self.in_buckets(pieces, places, answer.results.len(), distinct)?;
        series.reserve(pieces.iter().map(|p| p.points.len()).sum::<usize>() + in_buckets.len() * answer.results.len());
        let mut in_buckets = in_buckets.into_iter().peekable();
        let mut of_results = OfResults::new(answer.results.len());
        for (piece, places) in pieces.iter().zip(places) {
            if let Some(Bucket { start_ns, of_groups, total }) = in_buckets.next_if(|b| piece.part_of == Some(b.start_ns)) {
                for (group, values) in (0..).zip(&of_groups) {
                    if let Some(values) = values {
                        series.push_tagged(start_ns, group, self.row(view, values));
                    }
                }
                if let Some(values) = total {
                    total_series.push_tagged(start_ns, NO_GROUP, self.row(view, &values));
                }
            }
            for rows in piece.points.times() {
                let time = piece.points.head(rows.start).0;
                let positions = rows.map(|i| (places[piece.points.head(i).1 as usize], i)).filter(|(position, _)| *position != SKIP);
                of_results.each(positions, |position, i| series.push_tagged(time, position, self.row(view, piece.points.row(i))));
            }
            for (time, values) in piece.total_points.iter() {
                total_series.push_tagged(time, NO_GROUP, self.row(view, values));
            }
        }
        (answer.series, answer.total_series) = (series, total_series);
        Ok(())
    }
}

/// The states of all groups and the numbers of their values, as a piece has them; none if they have no such form.
fn packed(states: &States, groups: &Groups, n_keys: usize) -> Option<(PackedStates, Vec<u32>)> {
    let n_groups = groups.len();
    let all: Vec<u32> = (0..n_groups as u32).collect();
    let cells = states.pack(&all, |_, id| id as u32)?;
    let (mut ids, mut numbers) = (vec![0; n_keys], Vec::with_capacity(n_groups * n_keys));
    for g in 0..n_groups {
        groups.read_ids(g, &mut ids);
        numbers.extend(ids.iter().map(|id| *id as u32));
    }
    Some((cells, numbers))
}

/// Puts the rows of a bucket in the order of the results.
struct OfResults {
    /// The row of each result, or [`NO_ROW`].
    rows: Vec<usize>,
    few: Vec<(u32, usize)>,
}

const NO_ROW: usize = usize::MAX;
/// With fewer rows than one for so many results they are sorted.
const RESULTS_PER_ROW: usize = 4;

impl OfResults {
    fn new(n_results: usize) -> OfResults {
        OfResults { rows: vec![NO_ROW; n_results], few: Vec::new() }
    }

    /// Calls `f` with result and row of each pair, the first result first.
    fn each(&mut self, pairs: impl Iterator<Item = (u32, usize)> + Clone, mut f: impl FnMut(u32, usize)) {
        if pairs.clone().count() * RESULTS_PER_ROW < self.rows.len() {
            self.few.clear();
            self.few.extend(pairs);
            self.few.sort_unstable();
            self.few.iter().for_each(|(result, row)| f(*result, *row));
            return;
        }
        pairs.for_each(|(result, row)| self.rows[result as usize] = row);
        for (result, row) in (0..).zip(&mut self.rows) {
            if *row != NO_ROW {
                f(result, std::mem::replace(row, NO_ROW));
            }
        }
    }
}

/// The values of one bucket.
struct Bucket {
    start_ns: TimeNs,
    /// By place; none if a group has nothing to say.
    of_groups: Vec<Option<Vec<PackedValue>>>,
    total: Option<Vec<PackedValue>>,
}

/// Columns by whose numbers pieces are kept.
fn key_columns(columns: &[Arc<ColumnIds>]) -> Vec<KeyColumn> {
    let key = |ids: &Arc<ColumnIds>| KeyColumn::new(Arc::clone(ids), Numbering::Interned, u64::from(u32::MAX));
    columns.iter().map(key).collect()
}

/// The plan of groups that are numbered as they come.
fn group_plan(keys: &[KeyColumn]) -> Arc<GroupPlan> {
    Arc::new(if keys.is_empty() { GroupPlan::One } else { GroupPlan::tables(keys) })
}

/// The groups of some pieces together.
struct Numbered {
    groups: Groups,
    /// For each piece the position of each of its groups.
    places: Vec<Vec<u32>>,
}

impl Numbered {
    fn of(pieces: &[&Piece], keys: &[KeyColumn]) -> Numbered {
        let n_all: usize = pieces.iter().map(|p| p.groups.len()).sum();
        let bound = pieces.iter().filter_map(|p| p.groups.iter().max()).max().map_or(0, |max| *max as usize + 1);
        // By table, unless the numbers lie far apart; then nobody has to find them by hash.
        if keys.len() == 1 && bound <= 64 * 1024 + 4 * n_all {
            let (mut known, mut ids) = (vec![SKIP; bound], Vec::new());
            let mut place = |id: &u32| {
                let known = &mut known[*id as usize];
                if *known == SKIP {
                    *known = ids.len() as u32;
                    ids.push(u64::from(*id));
                }
                *known
            };
            let places = pieces.iter().map(|p| p.groups.iter().map(&mut place).collect()).collect();
            return Numbered { groups: Groups::of_one_column(group_plan(keys), ids), places };
        }
        let mut groups = Groups::new(group_plan(keys), false, true);
        let places = match keys.len() {
            0 => pieces.iter().map(|p| vec![0; p.n_groups]).collect(),
            n => pieces.iter().map(|p| p.groups.chunks_exact(n).map(|ids| groups.insert(ids)).collect()).collect(),
        };
        Numbered { groups, places }
    }
}
