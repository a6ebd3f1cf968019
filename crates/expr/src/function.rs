//! The functions there are, with their names and how many arguments each takes.
//!
//! Owns: the list, and what a misspelt name was meant to be. Never does: evaluate.

/// A function; operators are functions, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Function {
    If,
    Switch,
    Coalesce,
    Lt,
    Lte,
    Gt,
    Gte,
    Equals,
    In,
    Exists,
    Not,
    And,
    Or,
    Min,
    Max,
    Sum,
    Sub,
    Mul,
    Div,
    Mod,
    Avg,
    Log10,
    Ceil,
    Floor,
    Round,
    Bucket,
    Int,
    Float,
    Bool,
    String,
    Concat,
    StartsWith,
    EndsWith,
    Contains,
    ToLower,
    Length,
    RegMatch,
    RegValue,
    RegCount,
    UnixTimestamp,
    EventTimestamp,
    IngestTimestamp,
    FormatTime,
}

const MANY: usize = usize::MAX;

/// Name, least and most arguments.
const ALL: [(Function, &str, usize, usize); 43] = [
    (Function::If, "IF", 2, MANY),
    (Function::Switch, "SWITCH", 3, MANY),
    (Function::Coalesce, "COALESCE", 1, MANY),
    (Function::Lt, "LT", 2, 2),
    (Function::Lte, "LTE", 2, 2),
    (Function::Gt, "GT", 2, 2),
    (Function::Gte, "GTE", 2, 2),
    (Function::Equals, "EQUALS", 2, 2),
    (Function::In, "IN", 2, MANY),
    (Function::Exists, "EXISTS", 1, 1),
    (Function::Not, "NOT", 1, 1),
    (Function::And, "AND", 1, MANY),
    (Function::Or, "OR", 1, MANY),
    (Function::Min, "MIN", 1, MANY),
    (Function::Max, "MAX", 1, MANY),
    (Function::Sum, "SUM", 1, MANY),
    (Function::Sub, "SUB", 2, 2),
    (Function::Mul, "MUL", 1, MANY),
    (Function::Div, "DIV", 2, 2),
    (Function::Mod, "MOD", 2, 2),
    (Function::Avg, "AVG", 1, MANY),
    (Function::Log10, "LOG10", 1, 1),
    (Function::Ceil, "CEIL", 1, 1),
    (Function::Floor, "FLOOR", 1, 1),
    (Function::Round, "ROUND", 1, 1),
    (Function::Bucket, "BUCKET", 2, 4),
    (Function::Int, "INT", 1, 1),
    (Function::Float, "FLOAT", 1, 1),
    (Function::Bool, "BOOL", 1, 1),
    (Function::String, "STRING", 1, 1),
    (Function::Concat, "CONCAT", 1, MANY),
    (Function::StartsWith, "STARTS_WITH", 2, 2),
    (Function::EndsWith, "ENDS_WITH", 2, 2),
    (Function::Contains, "CONTAINS", 2, 2),
    (Function::ToLower, "TO_LOWER", 1, 1),
    (Function::Length, "LENGTH", 1, 2),
    (Function::RegMatch, "REG_MATCH", 2, 2),
    (Function::RegValue, "REG_VALUE", 2, 2),
    (Function::RegCount, "REG_COUNT", 2, 2),
    (Function::UnixTimestamp, "UNIX_TIMESTAMP", 1, 1),
    (Function::EventTimestamp, "EVENT_TIMESTAMP", 0, 0),
    (Function::IngestTimestamp, "INGEST_TIMESTAMP", 0, 0),
    (Function::FormatTime, "FORMAT_TIME", 2, 2),
];

/// Functions of Honeycomb that work on series of metrics.
const SERIES: [&str; 5] = ["RAW_METRIC", "LAST", "RATE", "INCREASE", "SUMMARIZE"];

impl Function {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Function> {
        ALL.iter().map(|(f, ..)| *f)
    }

    /// By name; upper and lower case differ.
    #[must_use]
    pub fn named(name: &str) -> Option<Function> {
        ALL.iter().find(|(_, n, ..)| *n == name).map(|(f, ..)| *f)
    }

    fn entry(self) -> &'static (Function, &'static str, usize, usize) {
        // The list is in the order of the variants; a test holds that.
        &ALL[self as usize]
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Least and most arguments.
    #[must_use]
    pub fn arity(self) -> (usize, usize) {
        (self.entry().2, self.entry().3)
    }

    /// How many arguments it takes, in words.
    pub(crate) fn takes(self) -> String {
        let many = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
        match self.arity() {
            (0, 0) => "no arguments".to_owned(),
            (least, MANY) => format!("{} or more", many(least)),
            (least, most) if least == most => many(least),
            (least, most) => format!("{least} to {}", many(most)),
        }
    }
}

/// What to write instead of a name that is no function.
pub(crate) fn hint(name: &str) -> Option<String> {
    if SERIES.contains(&name) {
        return Some("it works on series of metrics; here metrics are events: use the calculations RATE_SUM, RATE_AVG or RATE_MAX".into());
    }
    if ["TRUE", "FALSE", "NULL", "True", "False", "Null"].contains(&name) {
        return Some(format!("write {}", name.to_lowercase()));
    }
    let wanted = name.to_uppercase();
    let mut near: Vec<(usize, &str)> = ALL.iter().map(|(_, n, ..)| (distance(&wanted, n), *n)).collect();
    near.sort_unstable();
    let close = name.len() / 3 + 1;
    match near.first() {
        Some((d, n)) if *d <= close => Some(format!("did you mean {n}?")),
        _ => Some("see docs/calculated-fields.md for all functions".into()),
    }
}

/// Edits between two short names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().collect());
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            row.push((last[j + 1] + 1).min(row[j] + 1).min(last[j] + usize::from(x != y)));
        }
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_names_are_found() {
        for (i, f) in Function::all().enumerate() {
            assert_eq!(f as usize, i);
            assert_eq!(Function::named(f.name()), Some(f));
            assert!(f.arity().0 <= f.arity().1);
        }
    }

    #[test]
    fn misspelt_names_have_a_hint() {
        for (name, part) in [
            ("CONCATT", "CONCAT?"),
            ("concat", "CONCAT?"),
            ("STARTSWITH", "STARTS_WITH"),
            ("TOLOWER", "TO_LOWER"),
            ("RATE", "metrics"),
            ("TRUE", "write true"),
            ("XYZZYFOO", "all functions"),
        ] {
            let hint = hint(name).unwrap();
            assert!(hint.contains(part), "{name}: {hint}");
        }
    }
}
