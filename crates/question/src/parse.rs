//! From tokens to a question: calculations first, then clauses in any order.
//!
//! Owns: the grammar. Never does: look at data; the server knows which columns and operators exist.

use super::{
    Wrong,
    lex::{Placed, Token, tokens},
    time::{duration_s, instant},
};
use model::query::{Calculation, Combination, Direction, Filter, FilterOp, Having, Order, QuerySpec};
use serde_json::Value as Json;

/// What a text asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// What is asked.
    pub spec: QuerySpec,
    /// The dataset that the text names, if any.
    pub dataset: Option<String>,
    /// Columns to show of raw events, if the text chooses some.
    pub show: Vec<String>,
}

/// Operators that take no column.
const ALONE: [&str; 2] = ["COUNT", "CONCURRENCY"];

/// All operators of calculations.
const OPERATORS: [&str; 25] = [
    "COUNT",
    "CONCURRENCY",
    "SUM",
    "AVG",
    "COUNT_DISTINCT",
    "HEATMAP",
    "MAX",
    "MIN",
    "P001",
    "P01",
    "P05",
    "P10",
    "P20",
    "P25",
    "P50",
    "P75",
    "P80",
    "P90",
    "P95",
    "P99",
    "P999",
    "RATE_AVG",
    "RATE_SUM",
    "RATE_MAX",
    "EVENTS",
];

/// Words that begin a clause, and so cannot be bare columns.
pub(crate) const CLAUSES: [&str; 14] =
    ["by", "in", "where", "and", "or", "having", "order", "top", "limit", "last", "from", "every", "compare", "unweighted"];

/// Reads a whole question.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str) -> Result<Question, Wrong> {
    let mut p = Parser::new(text)?;
    let mut q = Question::default();
    if p.clause().is_none() && !p.done() {
        p.calculations(&mut q)?;
    }
    let mut seen: Vec<String> = Vec::new();
    while !p.done() {
        let at = p.at();
        let Some(clause) = p.clause() else {
            return Err(p.wrong(format!("expected a clause ({}) or the end", clauses())));
        };
        // `top` and `limit` are one clause, as are `last` and `from`.
        let slot = match clause.as_str() {
            "limit" => "top",
            "from" => "last",
            c => c,
        };
        if seen.iter().any(|s| s == slot) {
            return Err(Wrong { at, what: format!("`{clause}` comes a second time") });
        }
        seen.push(slot.to_owned());
        p.next += 1;
        p.one_clause(&clause, at, &mut q)?;
    }
    // `top` without an order: largest first by the first calculation.
    if q.spec.orders.is_empty() && seen.iter().any(|s| s == "top") {
        q.spec.orders.extend(largest_first(q.spec.calculations.as_deref()));
    }
    Ok(q)
}

/// Name and expression of `name = expression`; the name may be in double quotes or backticks.
#[must_use]
pub fn named_expression(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let quoted = ['"', '`'].into_iter().find_map(|quote| text.strip_prefix(quote)?.split_once(quote));
    let (name, expression) = match quoted {
        Some((name, rest)) => (name, rest.trim_start().strip_prefix('=')?),
        None => text.split_once('=')?,
    };
    let (name, expression) = (name.trim(), expression.trim());
    (!name.is_empty() && !expression.is_empty()).then_some((name, expression))
}

/// Largest first, by the first calculation that has an order.
#[must_use]
pub fn largest_first(calculations: Option<&[Calculation]>) -> Option<Order> {
    let (op, column) = match calculations {
        None => ("COUNT".to_owned(), None),
        Some(calculations) => calculations.iter().find(|c| c.op != "HEATMAP").map(|c| (c.op.clone(), c.column.clone()))?,
    };
    Some(Order { op: Some(op), column, order: Some(Direction::Descending) })
}

fn calculation(op: &str, column: Option<String>) -> Calculation {
    Calculation { op: op.to_owned(), column, name: None, filters: Vec::new(), filter_combination: None, exact: None }
}

fn clauses() -> String {
    CLAUSES.iter().filter(|c| !matches!(**c, "and" | "or")).map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ")
}

/// Reads conditions alone, as `--where` takes them.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_conditions(text: &str) -> Result<(Vec<Filter>, Option<Combination>), Wrong> {
    whole(text, Parser::conditions)
}

/// Reads columns alone, as `--by` takes them.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_breakdowns(text: &str) -> Result<Vec<String>, Wrong> {
    whole(text, |p| p.columns("a column to group by"))
}

/// Reads an order alone, as `--order` takes it.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_orders(text: &str) -> Result<Vec<Order>, Wrong> {
    whole(text, Parser::orders)
}

/// Reads conditions on results alone, as `--having` takes them.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_havings(text: &str) -> Result<Vec<Having>, Wrong> {
    whole(text, Parser::havings)
}

fn whole<T>(text: &str, read: impl FnOnce(&mut Parser) -> Result<T, Wrong>) -> Result<T, Wrong> {
    let mut p = Parser::new(text)?;
    let out = read(&mut p)?;
    if p.done() { Ok(out) } else { Err(p.wrong("expected the end here".to_owned())) }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Parser, Wrong> {
        Ok(Parser { tokens: tokens(text)?, next: 0, end: text.trim_end().len() })
    }

    fn done(&self) -> bool {
        self.next >= self.tokens.len()
    }

    /// Where the next token starts.
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |t| t.at)
    }

    fn wrong(&self, what: String) -> Wrong {
        Wrong { at: self.at(), what }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|t| &t.token)
    }

    fn take(&mut self, token: &Token) -> bool {
        let same = self.peek() == Some(token);
        self.next += usize::from(same);
        same
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Takes a keyword in whatever case.
    fn keyword(&mut self, keyword: &str) -> bool {
        let same = self.word().is_some_and(|w| w.eq_ignore_ascii_case(keyword));
        self.next += usize::from(same);
        same
    }

    /// The clause that starts here, if one does.
    fn clause(&self) -> Option<String> {
        let word = self.word()?.to_ascii_lowercase();
        CLAUSES.contains(&word.as_str()).then_some(word)
    }

    fn one_clause(&mut self, clause: &str, at: usize, q: &mut Question) -> Result<(), Wrong> {
        match clause {
            "by" => q.spec.breakdowns = self.columns("a column to group by")?,
            "in" => q.dataset = Some(self.column("a dataset")?),
            "where" => (q.spec.filters, q.spec.filter_combination) = self.conditions()?,
            "having" => q.spec.havings = self.havings()?,
            "order" => {
                if !self.keyword("by") {
                    return Err(self.wrong("expected `by` after `order`".to_owned()));
                }
                q.spec.orders = self.orders()?;
            }
            "top" | "limit" => q.spec.limit = Some(self.whole_number(clause)?),
            "last" => q.spec.time_range = Some(self.duration(clause)?),
            "from" => {
                q.spec.start_time = Some(self.instant(clause)?);
                if self.keyword("to") {
                    q.spec.end_time = Some(self.instant("to")?);
                }
            }
            "every" => q.spec.granularity = Some(self.duration(clause)?),
            "compare" => q.spec.compare_time_offset_seconds = Some(self.duration(clause)?),
            "unweighted" => q.spec.usage_mode = Some(true),
            _ => return Err(Wrong { at, what: format!("`{clause}` joins conditions, and here are none before it") }),
        }
        Ok(())
    }

    fn calculations(&mut self, q: &mut Question) -> Result<(), Wrong> {
        let mut calculations = Vec::new();
        loop {
            let at = self.at();
            let (op, column) = self.operator()?;
            if op == "EVENTS" {
                if !calculations.is_empty() || self.peek() == Some(&Token::Comma) {
                    return Err(Wrong { at, what: "EVENTS shows raw events and stands alone".to_owned() });
                }
                q.show = column;
                break;
            }
            let mut c = calculation(&op, column.into_iter().next());
            if self.keyword("as") {
                c.name = Some(self.column("a name")?);
            }
            calculations.push(c);
            if !self.take(&Token::Comma) {
                break;
            }
        }
        q.spec.calculations = Some(calculations);
        Ok(())
    }

    /// `OP`, `OP(column)`; `EVENTS(column, …)` alone takes several.
    fn operator(&mut self) -> Result<(String, Vec<String>), Wrong> {
        let at = self.at();
        let Some(word) = self.word() else {
            return Err(self.wrong("expected a calculation such as COUNT or P99(duration_ms)".to_owned()));
        };
        let op = word.to_ascii_uppercase();
        if !OPERATORS.contains(&op.as_str()) {
            let near = OPERATORS.iter().min_by_key(|o| distance(o, &op)).filter(|o| distance(o, &op) <= 2);
            let hint = near.map_or_else(|| format!("the calculations are {}", OPERATORS.join(" ")), |o| format!("did you mean {o}?"));
            return Err(Wrong { at, what: format!("`{word}` is not a calculation; {hint}") });
        }
        self.next += 1;
        let columns = if self.take(&Token::Open) {
            if self.take(&Token::Close) {
                Vec::new()
            } else {
                let columns = self.columns("a column")?;
                if !self.take(&Token::Close) {
                    return Err(self.wrong("expected `)`".to_owned()));
                }
                columns
            }
        } else {
            Vec::new()
        };
        if columns.len() > 1 && op != "EVENTS" {
            return Err(Wrong { at, what: format!("{op} takes one column") });
        }
        if columns.is_empty() && op != "EVENTS" && !ALONE.contains(&op.as_str()) {
            return Err(Wrong { at, what: format!("{op} needs a column: {op}(duration_ms)") });
        }
        Ok((op, columns))
    }

    fn column(&mut self, what: &str) -> Result<String, Wrong> {
        if let Some(clause) = self.clause() {
            return Err(self.wrong(format!("expected {what}, not the word `{clause}`; a name like that goes into backticks")));
        }
        match self.peek().cloned() {
            Some(Token::Word(name) | Token::Column(name) | Token::Text(name)) if !name.is_empty() => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.wrong(format!("expected {what}"))),
        }
    }

    fn columns(&mut self, what: &str) -> Result<Vec<String>, Wrong> {
        let mut columns = vec![self.column(what)?];
        while self.take(&Token::Comma) {
            columns.push(self.column(what)?);
        }
        Ok(columns)
    }

    fn conditions(&mut self) -> Result<(Vec<Filter>, Option<Combination>), Wrong> {
        let mut filters = vec![self.condition()?];
        let mut combination = None;
        loop {
            let at = self.at();
            let next = if self.keyword("and") {
                Combination::And
            } else if self.keyword("or") {
                Combination::Or
            } else {
                return Ok((filters, combination));
            };
            if *combination.get_or_insert(next) != next {
                return Err(Wrong { at, what: "a question joins its conditions all by `and` or all by `or`".to_owned() });
            }
            filters.push(self.condition()?);
        }
    }

    fn condition(&mut self) -> Result<Filter, Wrong> {
        let column = self.column("a column")?;
        let op = self.filter_operator()?;
        let value = match op {
            FilterOp::Exists | FilterOp::DoesNotExist => None,
            FilterOp::In | FilterOp::NotIn => {
                if !self.take(&Token::Open) {
                    return Err(self.wrong("expected `(` and a list of values".to_owned()));
                }
                let mut values = vec![self.value()?];
                while self.take(&Token::Comma) {
                    values.push(self.value()?);
                }
                if !self.take(&Token::Close) {
                    return Err(self.wrong("expected `,` or `)`".to_owned()));
                }
                Some(Json::Array(values))
            }
            _ => Some(self.value()?),
        };
        Ok(Filter { column, op, value })
    }

    fn filter_operator(&mut self) -> Result<FilterOp, Wrong> {
        if let Some(op) = self.comparison() {
            return Ok(op);
        }
        let expected = "expected an operator: = != > >= < <= in not-in contains does-not-contain starts-with \
                        does-not-start-with ends-with does-not-end-with exists does-not-exist";
        let Some(word) = self.word().map(str::to_ascii_lowercase) else { return Err(self.wrong(expected.to_owned())) };
        let op = match word.as_str() {
            "in" => FilterOp::In,
            "not-in" => FilterOp::NotIn,
            "contains" => FilterOp::Contains,
            "does-not-contain" => FilterOp::DoesNotContain,
            "starts-with" => FilterOp::StartsWith,
            "does-not-start-with" => FilterOp::DoesNotStartWith,
            "ends-with" => FilterOp::EndsWith,
            "does-not-end-with" => FilterOp::DoesNotEndWith,
            "exists" => FilterOp::Exists,
            "does-not-exist" => FilterOp::DoesNotExist,
            "not" => {
                self.next += 1;
                if self.keyword("in") {
                    return Ok(FilterOp::NotIn);
                }
                return Err(self.wrong("expected `in` after `not`".to_owned()));
            }
            _ => return Err(self.wrong(expected.to_owned())),
        };
        self.next += 1;
        Ok(op)
    }

    fn comparison(&mut self) -> Option<FilterOp> {
        let Some(Token::Operator(sign)) = self.peek() else { return None };
        let op = match *sign {
            "=" => FilterOp::Equal,
            "!=" => FilterOp::NotEqual,
            ">" => FilterOp::Greater,
            ">=" => FilterOp::GreaterEqual,
            "<" => FilterOp::Less,
            _ => FilterOp::LessEqual,
        };
        self.next += 1;
        Some(op)
    }

    /// A value: quoted text as it is; bare `true`, `false` and numbers are what they look like.
    fn value(&mut self) -> Result<Json, Wrong> {
        let value = match self.peek() {
            Some(Token::Text(text)) => Json::String(text.clone()),
            Some(Token::Word(word)) if !CLAUSES.contains(&word.to_ascii_lowercase().as_str()) => match word.as_str() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                word => number(word).unwrap_or_else(|| Json::String(word.to_owned())),
            },
            Some(Token::Word(word)) => {
                return Err(self.wrong(format!("expected a value, not the word `{word}`; a text like that goes into quotes")));
            }
            _ => return Err(self.wrong("expected a value".to_owned())),
        };
        self.next += 1;
        Ok(value)
    }

    fn orders(&mut self) -> Result<Vec<Order>, Wrong> {
        let mut orders = Vec::new();
        loop {
            let mut order = Order { op: None, column: None, order: None };
            if self.is_calculation() {
                let (op, columns) = self.operator()?;
                order.op = Some(op);
                order.column = columns.into_iter().next();
            } else {
                order.column = Some(self.column("a calculation or a column of the question")?);
            }
            if self.keyword("desc") || self.keyword("descending") {
                order.order = Some(Direction::Descending);
            } else if self.keyword("asc") || self.keyword("ascending") {
                order.order = Some(Direction::Ascending);
            }
            orders.push(order);
            if !self.take(&Token::Comma) {
                return Ok(orders);
            }
        }
    }

    /// Whether a calculation starts here: an operator in capitals that stands alone, or one with parentheses.
    fn is_calculation(&self) -> bool {
        let opens = self.tokens.get(self.next + 1).is_some_and(|t| t.token == Token::Open);
        self.word().is_some_and(|w| opens || ALONE.contains(&w))
    }

    fn havings(&mut self) -> Result<Vec<Having>, Wrong> {
        let mut havings = Vec::new();
        loop {
            let (calculate_op, columns) = self.operator()?;
            let Some(op) = self.comparison() else { return Err(self.wrong("expected = != > >= < or <=".to_owned())) };
            let at = self.at();
            let value = self.value()?;
            if !value.is_number() {
                return Err(Wrong { at, what: "`having` compares with a number".to_owned() });
            }
            havings.push(Having { calculate_op, column: columns.into_iter().next(), op, value });
            if !self.keyword("and") {
                return Ok(havings);
            }
        }
    }

    fn whole_number(&mut self, after: &str) -> Result<i64, Wrong> {
        let n = self.word().and_then(|w| w.parse().ok());
        let n = n.ok_or_else(|| self.wrong(format!("expected a whole number after `{after}`")))?;
        self.next += 1;
        Ok(n)
    }

    fn duration(&mut self, after: &str) -> Result<f64, Wrong> {
        let seconds = self.word().and_then(duration_s);
        let seconds = seconds.ok_or_else(|| self.wrong(format!("expected a duration such as 30s, 10m, 2h or 1d after `{after}`")))?;
        self.next += 1;
        Ok(seconds)
    }

    fn instant(&mut self, after: &str) -> Result<Json, Wrong> {
        let time = match self.peek() {
            Some(Token::Word(text) | Token::Text(text)) => instant(text),
            _ => None,
        };
        let time = time.ok_or_else(|| {
            self.wrong(format!("expected a time after `{after}`: 2026-01-31T08:00:00Z, 2026-01-31, \"2026-01-31 08:00\" or Unix seconds"))
        })?;
        self.next += 1;
        Ok(time)
    }
}

/// A word that is a JSON number, as that number; integers keep 64 bits.
pub(crate) fn number(word: &str) -> Option<Json> {
    if !word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    if let Ok(i) = word.parse::<i64>() {
        return Some(Json::from(i));
    }
    word.parse::<f64>().ok().filter(|f| f.is_finite()).map(Json::from)
}

/// Edits between two words.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let best = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}
