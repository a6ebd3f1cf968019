//! Conditions made ready for one segment: each becomes a constant, or tests on codes and numbers.
//!
//! Owns: what operators mean on each kind of column (docs/asking-questions.md), pruning by dictionary and range.
//! Never does: read blocks.

use super::numbers::{FloatTest, IntTest, float_test, int_test};
use super::place::{Place, Source};
use crate::EngineError;
use crate::intern::id_bits;
use crate::plan::{Condition, Field};
use memchr::memmem::Finder;
use model::Value;
use model::columns::PARENT_ID;
use model::query::FilterOp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use store::segment::{Dict, Layout};

/// Dictionaries up to this size are tested as a whole; larger ones only where rows need it.
const EAGER_ENTRIES: usize = 1 << 15;

/// A test on one text.
#[derive(Debug)]
pub(crate) struct TextTest {
    op: FilterOp,
    needle: Vec<u8>,
    finder: Box<Finder<'static>>,
}

impl TextTest {
    fn new(op: FilterOp, needle: &str) -> TextTest {
        TextTest { op, needle: needle.as_bytes().to_vec(), finder: Box::new(Finder::new(needle.as_bytes()).into_owned()) }
    }

    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        match self.op {
            FilterOp::StartsWith => text.starts_with(&self.needle),
            FilterOp::EndsWith => text.ends_with(&self.needle),
            FilterOp::Contains => self.finder.find(text).is_some(),
            FilterOp::Less => text < self.needle.as_slice(),
            FilterOp::LessEqual => text <= self.needle.as_slice(),
            FilterOp::Greater => text > self.needle.as_slice(),
            FilterOp::GreaterEqual => text >= self.needle.as_slice(),
            _ => text == self.needle.as_slice(),
        }
    }
}

/// A test on codes that asks the dictionary for the codes that occur.
#[derive(Debug)]
pub(crate) struct LazyTest {
    dict: Arc<Dict>,
    test: TextTest,
    /// 0: not asked yet, 1: false, 2: true.
    known: Box<[AtomicU8]>,
}

impl LazyTest {
    pub(crate) fn holds(&self, code: u32) -> bool {
        let Some(slot) = self.known.get(code as usize) else { return false };
        match slot.load(Ordering::Relaxed) {
            0 => {
                let mut scratch = String::new();
                let holds = with_text(&self.dict, code, &mut scratch, |t| self.test.holds(t));
                slot.store(1 + u8::from(holds), Ordering::Relaxed);
                holds
            }
            known => known == 2,
        }
    }
}

/// Calls `f` with the text of a code.
fn with_text<T>(dict: &Dict, code: u32, scratch: &mut String, f: impl FnOnce(&[u8]) -> T) -> T {
    match dict.text_bytes(code) {
        Some(bytes) => f(bytes),
        None => f(dict.text(code, scratch).as_bytes()),
    }
}

/// A test on the codes of a block. A missing cell (the highest code) never passes.
#[derive(Debug)]
pub(crate) enum CodeTest {
    /// Codes from `low` to `low + span`.
    Range {
        /// The first.
        low: u32,
        /// How many follow it.
        span: u32,
    },
    /// Codes with a 1 in the table.
    Table(Box<[u8]>),
    /// Codes whose text passes.
    Lazy(LazyTest),
}

/// A test on ids that are kept as numbers.
#[derive(Debug)]
pub(crate) enum IdTest {
    /// One of these, ascending.
    Set(Vec<u128>),
    /// Ids whose text passes.
    Text(TextTest),
}

/// A test on one physical column.
#[derive(Debug)]
pub(crate) enum Test {
    /// Every cell.
    Present,
    /// By code.
    Codes(CodeTest),
    /// By integer.
    Ints(IntTest),
    /// By float.
    Floats(FloatTest),
    /// By id.
    Ids(IdTest),
}

/// A physical column and what its cells have to pass.
#[derive(Debug)]
pub(crate) struct Part<'s> {
    pub(crate) place: Place<'s>,
    pub(crate) test: Test,
}

/// A condition on one segment.
#[derive(Debug)]
pub(crate) enum Ready<'s> {
    /// The same for all rows.
    Const(bool),
    /// Holds where one of the parts passes; or, negated, where none does.
    Parts {
        parts: Vec<Part<'s>>,
        negate: bool,
        /// Share of rows that are expected to pass, and what a row costs.
        expected: (f64, f64),
    },
}

/// The conditions of a question on one segment.
#[derive(Debug)]
pub(crate) struct Filter<'s> {
    /// Whether one condition suffices.
    pub(crate) any: bool,
    /// No constants among them; the most telling first.
    pub(crate) conditions: Vec<Ready<'s>>,
}

/// What is known about a part before rows are read.
enum Known<'s> {
    Never,
    Always,
    Part(Box<Part<'s>>, f64),
}

impl<'s> Filter<'s> {
    /// Makes the conditions ready. `None`: no row of the segment can pass.
    pub(crate) fn compile(
        conditions: &[Condition],
        any: bool,
        source: Source<'s>,
        index: usize,
    ) -> Result<Option<Filter<'s>>, EngineError> {
        let mut ready = Vec::new();
        // What is stored decides first: it may spare computing the rest.
        let (computed, stored): (Vec<&Condition>, Vec<&Condition>) = conditions.iter().partition(|c| matches!(c.field, Field::Computed(_)));
        for condition in stored.into_iter().chain(computed) {
            match compile(condition, source, index)? {
                Ready::Const(true) if any => return Ok(Some(Filter { any: false, conditions: Vec::new() })),
                Ready::Const(false) if !any => return Ok(None),
                Ready::Const(_) => {}
                parts @ Ready::Parts { .. } => ready.push(parts),
            }
        }
        if any && ready.is_empty() && !conditions.is_empty() {
            return Ok(None);
        }
        let worth = |r: &Ready<'_>| match r {
            Ready::Const(_) => 0.0,
            Ready::Parts { expected: (share, cost), .. } => (if any { *share } else { 1.0 - share }) / cost,
        };
        ready.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        Ok(Some(Filter { any, conditions: ready }))
    }

    /// Whether every row passes.
    pub(crate) fn is_all(&self) -> bool {
        self.conditions.is_empty()
    }
}

fn compile<'s>(condition: &Condition, source: Source<'s>, index: usize) -> Result<Ready<'s>, EngineError> {
    match &condition.field {
        Field::Column(_) | Field::Computed(_) => {}
        Field::Dataset => {
            let holds = scalar_holds(condition, &Value::Str(source.dataset(index).to_owned()));
            return Ok(Ready::Const(holds != condition.negate));
        }
        Field::IsRoot => {
            let [if_root, if_child] = [true, false].map(|b| scalar_holds(condition, &Value::Bool(b)) != condition.negate);
            if if_root == if_child {
                return Ok(Ready::Const(if_root));
            }
            // A root has no parent: the complement of "has one", or just that.
            let exists = Condition { negate: if_root, ..Condition::exists(Field::Column(PARENT_ID.into())) };
            return compile(&exists, source, index);
        }
    }
    let n_rows = source.segments[index].n_rows();
    let (mut parts, mut share, mut cost) = (Vec::new(), 0.0, 0.0);
    for place in source.places(index, &condition.field)? {
        match part(condition, place)? {
            Known::Never => {}
            Known::Always => return Ok(Ready::Const(!condition.negate)),
            Known::Part(part, cells) => {
                share += cells / n_rows as f64;
                cost += cost_of(&part);
                parts.push(*part);
            }
        }
    }
    if parts.is_empty() {
        return Ok(Ready::Const(condition.negate));
    }
    let share = if condition.negate { 1.0 - share } else { share };
    Ok(Ready::Parts { parts, negate: condition.negate, expected: (share.clamp(0.0, 1.0), cost) })
}

fn cost_of(part: &Part<'_>) -> f64 {
    match &part.test {
        Test::Codes(CodeTest::Range { .. }) if part.place.n_present > 0 => 1.0,
        Test::Codes(CodeTest::Table(t)) if t.len() <= 256 => 2.0,
        Test::Codes(CodeTest::Lazy(_)) => 30.0,
        Test::Codes(_) => 4.0,
        Test::Present | Test::Ints(_) | Test::Floats(_) => 5.0,
        Test::Ids(IdTest::Set(_)) => 8.0,
        Test::Ids(IdTest::Text(_)) => 100.0,
    }
}

/// The test of a condition on one physical column, with the cells that are expected to pass.
fn part<'s>(condition: &Condition, place: Place<'s>) -> Result<Known<'s>, EngineError> {
    let full = place.is_full();
    let present = place.n_present as f64;
    if condition.op == FilterOp::Exists {
        return Ok(if full { Known::Always } else { Known::Part(Box::new(Part { place, test: Test::Present }), present) });
    }
    Ok(match place.layout {
        Layout::Dict => {
            let dict = place.dict()?;
            match code_test(condition, &dict) {
                None => Known::Never,
                Some((_, cells)) if full && cells == present => Known::Always,
                Some((test, cells)) => Known::Part(Box::new(Part { place, test: Test::Codes(test) }), cells),
            }
        }
        Layout::Bools => {
            let [no, yes] = [false, true].map(|b| scalar_holds(condition, &Value::Bool(b)));
            match (no, yes) {
                (false, false) => Known::Never,
                (true, true) if full => Known::Always,
                _ => {
                    let test = CodeTest::Range { low: u32::from(!no), span: u32::from(no && yes) };
                    Known::Part(Box::new(Part { place, test: Test::Codes(test) }), present / if no && yes { 1.0 } else { 2.0 })
                }
            }
        }
        Layout::Ints => match int_test(condition, place.range) {
            None => Known::Never,
            Some((_, 1.0)) if full => Known::Always,
            Some((test, share)) => Known::Part(Box::new(Part { place, test: Test::Ints(test) }), share * present),
        },
        Layout::Floats => match float_test(condition, place.range) {
            None => Known::Never,
            Some((_, 1.0)) if full => Known::Always,
            Some((test, share)) => Known::Part(Box::new(Part { place, test: Test::Floats(test) }), share * present),
        },
        Layout::Ids => match id_test(condition, &place) {
            None => Known::Never,
            Some(test) => Known::Part(Box::new(Part { place, test: Test::Ids(test) }), present * 0.01),
        },
    })
}

/// A number or truth value as text.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Str(s) => s.clone(),
    }
}

/// Whether a positive condition holds for one value (never a number).
fn scalar_holds(condition: &Condition, value: &Value) -> bool {
    match condition.op {
        FilterOp::Exists => true,
        FilterOp::Equal | FilterOp::In => condition.values.iter().any(|operand| match (operand, value) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Str(a), Value::Bool(b)) => *a == b.to_string(),
            (operand, Value::Str(b)) => written(operand) == *b,
            _ => false,
        }),
        op => match (condition.values.first(), value) {
            (Some(Value::Str(a)), Value::Str(b)) => TextTest::new(op, a).holds(b.as_bytes()),
            _ => false,
        },
    }
}

/// The first code whose text does not satisfy `before`, which must hold for a prefix of the dictionary.
fn partition(dict: &Dict, mut low: u32, mut before: impl FnMut(&[u8]) -> bool) -> u32 {
    let mut high = dict.len() as u32;
    let mut scratch = String::new();
    while low < high {
        let middle = low + (high - low) / 2;
        if with_text(dict, middle, &mut scratch, &mut before) { low = middle + 1 } else { high = middle }
    }
    low
}

/// The codes of the texts that begin so.
pub(crate) fn codes_of_prefix(dict: &Dict, prefix: &str) -> std::ops::Range<u32> {
    let prefix = prefix.as_bytes();
    let low = partition(dict, 0, |t| t < prefix);
    low..partition(dict, low, |t| t.starts_with(prefix))
}

/// The test on codes, and how many cells pass (exactly, or a guess).
fn code_test(condition: &Condition, dict: &Arc<Dict>) -> Option<(CodeTest, f64)> {
    let n = dict.len() as u32;
    let range = |low: u32, high: u32| (low < high).then(|| (CodeTest::Range { low, span: high - 1 - low }, cells(dict, low..high)));
    let text = match condition.values.first()? {
        Value::Str(s) => Some(s.as_str()),
        _ => None,
    };
    match condition.op {
        FilterOp::Equal | FilterOp::In => {
            let mut codes: Vec<u32> = condition
                .values
                .iter()
                .filter_map(|v| match v {
                    Value::Str(s) => dict.find(s),
                    other => dict.find(&written(other)),
                })
                .collect();
            codes.sort_unstable();
            codes.dedup();
            let (first, last) = (*codes.first()?, *codes.last()?);
            if (last - first) as usize == codes.len() - 1 {
                return range(first, last + 1);
            }
            let mut table = vec![0; dict.len() + 1].into_boxed_slice();
            for c in &codes {
                table[*c as usize] = 1;
            }
            Some((CodeTest::Table(table), cells(dict, codes.into_iter())))
        }
        FilterOp::StartsWith => {
            let codes = codes_of_prefix(dict, text?);
            range(codes.start, codes.end)
        }
        FilterOp::Less => range(0, partition(dict, 0, |t| t < text.unwrap_or_default().as_bytes())).filter(|_| text.is_some()),
        FilterOp::LessEqual => range(0, partition(dict, 0, |t| t <= text.unwrap_or_default().as_bytes())).filter(|_| text.is_some()),
        FilterOp::Greater => range(partition(dict, 0, |t| t <= text.unwrap_or_default().as_bytes()), n).filter(|_| text.is_some()),
        FilterOp::GreaterEqual => range(partition(dict, 0, |t| t < text.unwrap_or_default().as_bytes()), n).filter(|_| text.is_some()),
        op => {
            let test = TextTest::new(op, text?);
            if dict.len() > EAGER_ENTRIES {
                let known = (0..dict.len()).map(|_| AtomicU8::new(0)).collect();
                let lazy = LazyTest { dict: Arc::clone(dict), test, known };
                return Some((CodeTest::Lazy(lazy), cells(dict, 0..n) * 0.1));
            }
            let mut scratch = String::new();
            let table: Box<[u8]> = (0..n).map(|c| u8::from(with_text(dict, c, &mut scratch, |t| test.holds(t)))).chain([0]).collect();
            let n_true = table.iter().map(|b| usize::from(*b)).sum::<usize>();
            let first = table.iter().position(|b| *b == 1)? as u32;
            if table[first as usize..].iter().take(n_true).all(|b| *b == 1) {
                return range(first, first + n_true as u32);
            }
            let passing = cells(dict, (0..n).filter(|c| table[*c as usize] == 1));
            Some((CodeTest::Table(table), passing))
        }
    }
}

/// Cells with one of these codes.
fn cells(dict: &Dict, codes: impl Iterator<Item = u32>) -> f64 {
    codes.map(|c| f64::from(dict.count(c))).sum()
}

fn id_test(condition: &Condition, column: &Place<'_>) -> Option<IdTest> {
    let kind = column.kind.id()?;
    if matches!(condition.op, FilterOp::Equal | FilterOp::In) {
        let mut set: Vec<u128> = condition
            .values
            .iter()
            .filter_map(|v| {
                let parsed = match v {
                    Value::Str(s) => model::parse_id(s.as_bytes()),
                    other => model::parse_id(written(other).as_bytes()),
                };
                parsed.filter(|(k, _)| *k == kind).map(|(k, raw)| id_bits(k, &raw))
            })
            .collect();
        set.sort_unstable();
        set.dedup();
        return (!set.is_empty()).then_some(IdTest::Set(set));
    }
    match condition.values.first() {
        Some(Value::Str(s)) => Some(IdTest::Text(TextTest::new(condition.op, s))),
        _ => None,
    }
}
