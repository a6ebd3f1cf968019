//! Grammar, functions and messages as tables; what must hold for any text as properties.

use super::*;
use model::{Limits, TimeNs, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Event(Vec<Value>, TimeNs);

impl Row for Event {
    fn cell(&self, column: usize) -> Cell<'_> {
        Cell::of(&self.0[column])
    }
    fn time_ns(&self) -> TimeNs {
        self.1
    }
}

/// The columns that the tables use.
fn cells() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("i", Value::Int(7)),
        ("zero", Value::Int(0)),
        ("big", Value::Int(i64::MAX)),
        ("f", Value::Float(2.5)),
        ("whole", Value::Float(7.0)),
        ("s", Value::Str("Hello wörld".into())),
        ("n", Value::Str("12".into())),
        ("nf", Value::Str("2.3".into())),
        ("e", Value::Str(String::new())),
        ("t", Value::Bool(true)),
        ("x", Value::Bool(false)),
        ("a b", Value::Int(1)),
        ("a-b", Value::Int(100)),
        ("ua", Value::Str("libhoney-py/1.2 (Linux) libhoney-go".into())),
    ])
}

fn read(text: &str) -> Result<Expr, ExprError> {
    parse(text, &Limits::default())
}

fn eval(text: &str) -> Value {
    let expr = read(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let program = Program::new(&expr);
    let cells = cells();
    let row = program.columns().iter().map(|c| cells.get(&**c).cloned().unwrap_or(Value::Null)).collect();
    program.eval(&Event(row, 1_500_549_764_888_123_456)).into_value()
}

fn is(value: &str) -> Value {
    match value {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => match (text.parse(), text.parse()) {
            (Ok(i), _) => Value::Int(i),
            (_, Ok(f)) => Value::Float(f),
            _ => Value::Str(text.trim_matches('\'').to_owned()),
        },
    }
}

fn check(table: &[(&str, &str)]) {
    for (text, value) in table {
        assert_eq!(eval(text), is(value), "{text}");
    }
}

#[test]
fn literals_and_columns() {
    check(&[
        ("1", "1"),
        ("-1", "-1"),
        (" -9223372036854775808 ", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854775808e18"),
        (".5", "0.5"),
        ("-.5e1", "-5.0"),
        ("4e-2", "0.04"),
        ("4E+2", "400.0"),
        ("true", "true"),
        ("null", "null"),
        ("`raw \\n \"x\"`", "raw \\n \"x\""),
        (r#""a\tb\"\\\u00e9\U0001F980\x41\101\xc3\xa9""#, "a\tb\"\\é🦀AAé"),
        ("$i", "7"),
        ("$missing", "null"),
        ("$\"a b\"", "1"),
        ("$`a b`", "1"),
        ("$a-b", "100"),
        ("$a-b -1", "99"),
        ("EQUALS(\n\t$i,\u{a0}7,\n)", "true"),
    ]);
}

#[test]
fn precedence() {
    for (text, same) in [
        ("1 + 2 * 3", "SUM(1, MUL(2, 3))"),
        ("1 + 2 - 3 + 4", "SUM(1, SUB(2, 3), 4)"),
        ("1 - 2 + 3", "SUM(SUB(1, 2), 3)"),
        ("1 - 2 - 3", "SUB(SUB(1, 2), 3)"),
        ("8 / 4 / 2", "DIV(DIV(8, 4), 2)"),
        ("8 / 4 * 2 % 3", "MOD(MUL(DIV(8, 4), 2), 3)"),
        ("8 - 4 * 2", "SUB(8, MUL(4, 2))"),
        ("1 + 1 < 3 = true", "EQUALS(LT(SUM(1, 1), 3), true)"),
        ("1 < 2 != false AND 1 = 1 OR 0", "OR(AND(NOT(EQUALS(LT(1, 2), false)), EQUALS(1, 1)), 0)"),
        ("0 OR 1 AND 0", "OR(0, AND(1, 0))"),
        ("!$x = true", "EQUALS(NOT($x), true)"),
        ("!!$x", "NOT(NOT($x))"),
        ("!($x OR $t)", "NOT(OR($x, $t))"),
        ("(1 + 2) * 3", "MUL(SUM(1, 2), 3)"),
        ("(1 + 2) + 3", "SUM(SUM(1, 2), 3)"),
        ("$\"0\"-5-$\"1\"--5", "SUB(SUB(SUB($0, 5), $1), -5)"),
        ("$foo AND AND($bar AND $baz, $quux)", "AND($foo, AND(AND($bar, $baz), $quux))"),
        ("1 <= 2 > 3 >= 4", "GTE(GT(LTE(1, 2), 3), 4)"),
    ] {
        assert_eq!(read(text).unwrap().to_string(), same, "{text}");
        assert_eq!(read(text).unwrap(), read(same).unwrap(), "{text}");
    }
    check(&[("10 + 5 - 3", "12"), ("\"x\" + 5 - 3", "2"), ("1 + 2 * 3 - 4 / 2", "5"), ("2 - 1 + 1", "2")]);
}

#[test]
fn conditions() {
    check(&[
        ("IF(true, 1)", "1"),
        ("IF(false, 1)", "null"),
        ("IF(false, 1, 2)", "2"),
        ("IF(null, 1, true, 2, 3)", "2"),
        ("IF(0, 1, 0, 2, 3)", "3"),
        ("IF(0, 1, 0, 2)", "null"),
        ("IF(\"true\", 1, 2)", "1"),
        ("IF(\"yes\", 1, 2)", "2"),
        ("IF(0.0, 1, 2)", "2"),
        ("IF(-0.1, 1, 2)", "1"),
        ("SWITCH($n, \"11\", 1, \"12\", 2, 3)", "2"),
        ("SWITCH($n, \"x\", 1)", "null"),
        ("SWITCH($missing, \"x\", 1, 9)", "9"),
        ("SWITCH($i, \"7\", 1, 7, 2)", "2"),
        ("COALESCE($missing, $e, $s, 1)", "Hello wörld"),
        ("COALESCE($missing, $x)", "false"),
        ("COALESCE($missing, $e)", "null"),
    ]);
}

#[test]
fn comparisons() {
    check(&[
        ("LT($i, 8)", "true"),
        ("LT($i, 7.5)", "true"),
        ("LTE($whole, 7)", "true"),
        ("GT($big, 9223372036854775806)", "true"),
        ("LT($big, 9223372036854775808.0)", "true"),
        ("GT(\"b\", \"a\")", "true"),
        ("GTE(\"a\", \"a\")", "true"),
        ("LT(\"Z\", \"a\")", "true"),
        // Other kinds do not compare, and what is missing doesn't either.
        ("LT($n, 13)", "false"),
        ("GTE($n, 1)", "false"),
        ("LT($missing, 1)", "false"),
        ("GTE($missing, $missing)", "false"),
        ("LT(false, true)", "false"),
        ("EQUALS($i, 7)", "true"),
        ("EQUALS($i, 7.0)", "true"),
        ("EQUALS($n, 12)", "false"),
        ("EQUALS($n, \"12\")", "true"),
        ("EQUALS($t, true)", "true"),
        ("EQUALS($t, 1)", "false"),
        ("EQUALS($t, \"true\")", "false"),
        ("EQUALS($missing, null)", "true"),
        ("EQUALS($missing, 0)", "false"),
        ("$missing != 200", "true"),
        ("IN($i, 1, 7, 9)", "true"),
        ("IN($i, \"7\")", "false"),
        ("IN($missing, 1, 2)", "false"),
    ]);
}

#[test]
fn logic() {
    check(&[
        ("EXISTS($e)", "true"),
        ("EXISTS($missing)", "false"),
        ("NOT($missing)", "true"),
        ("NOT($i)", "false"),
        ("NOT($e)", "true"),
        ("AND(1, true, \"true\")", "true"),
        ("AND(1, null)", "false"),
        ("OR(null, \"\", 0)", "false"),
        ("OR(null, 2)", "true"),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        ("MIN(3, $f, \"a\", null)", "2.5"),
        ("MIN(null, \"b\", 1, \"a\")", "a"),
        ("MAX(1, $i, $whole)", "7"),
        ("MAX(true, false, 9)", "true"),
        ("MIN($missing)", "null"),
        ("SUM(1.0, 5, \"2.3\")", "8.3"),
        ("SUM(1, \"x\")", "1"),
        ("SUM(1, true)", "1"),
        ("SUM(1, $missing)", "null"),
        ("SUM($big, 1)", "9.223372036854775808e18"),
        ("SUB($n, 2)", "10"),
        ("SUB(2, $missing)", "null"),
        ("MUL(2, 3, $f)", "15.0"),
        ("MUL($big, $big, 1e200)", "8.507059173023462e237"),
        ("MUL(1e200, 1e200)", "null"),
        ("DIV(6, 3)", "2"),
        ("DIV(1, 2)", "0.5"),
        ("DIV(7, 2.0)", "3.5"),
        ("DIV(1, 0)", "null"),
        ("DIV(1, 0.0)", "null"),
        ("DIV(1, \"x\")", "null"),
        ("DIV($missing, 1)", "null"),
        ("MOD(7, 3)", "1"),
        ("MOD(-7, 3)", "-1"),
        ("MOD(7.5, 2)", "1.5"),
        ("MOD(7, 0)", "null"),
        ("MOD(-9223372036854775808, -1)", "0"),
        ("DIV(-9223372036854775808, -1)", "9.223372036854775808e18"),
        ("AVG(1, 2)", "1.5"),
        ("AVG(1, null)", "null"),
        ("LOG10(1000)", "3.0"),
        ("LOG10(0)", "null"),
        ("LOG10(-1)", "null"),
        ("LOG10(null)", "null"),
        ("CEIL($f)", "3"),
        ("FLOOR(-2.5)", "-3"),
        ("ROUND(2.5)", "3"),
        ("ROUND($i)", "7"),
        ("CEIL(1e300)", "1e300"),
        ("FLOOR($missing)", "null"),
        ("SUM(\"inf\", 1)", "1"),
        ("SUM(\"1e3\", 1)", "1001.0"),
    ]);
}

#[test]
fn buckets() {
    check(&[
        ("BUCKET(15, 10)", "10 - 20"),
        ("BUCKET(20, 10)", "20 - 30"),
        ("BUCKET(-1, 10)", "-10 - 0"),
        ("BUCKET(-1, 10, 0, 30)", "< 0"),
        ("BUCKET(0, 10, 0, 30)", "0 - 10"),
        ("BUCKET(30, 10, 0, 30)", "20 - 30"),
        ("BUCKET(31, 10, 0, 30)", "> 30"),
        ("BUCKET(34, 10, 0, 35)", "30 - 35"),
        ("BUCKET(35, 10, 0, 35)", "30 - 35"),
        ("BUCKET(17, 10, 5)", "15 - 25"),
        ("BUCKET(0.35, 0.1)", "0.3 - 0.4"),
        ("BUCKET(\"25\", 10)", "20 - 30"),
        ("BUCKET(\"x\", 10)", "null"),
        ("BUCKET($missing, 10)", "null"),
        ("BUCKET(1, $zero)", "null"),
    ]);
}

#[test]
fn conversions() {
    check(&[
        ("INT(2.9)", "2"),
        ("INT(-2.9)", "-2"),
        ("INT(\"3.7\")", "3"),
        ("INT(\"x\")", "0"),
        ("INT(true)", "0"),
        ("INT(1e19)", "null"),
        ("INT(null)", "null"),
        ("FLOAT(\"3.1415926535\")", "3.1415926535"),
        ("FLOAT(3)", "3.0"),
        ("FLOAT(\"x\")", "0.0"),
        ("BOOL(0)", "false"),
        ("BOOL(0.1)", "true"),
        ("BOOL(\"true\")", "true"),
        ("BOOL(\"True\")", "false"),
        ("BOOL(null)", "false"),
        ("STRING(true)", "'true'"),
        ("STRING(null)", "''"),
        ("CONCAT(STRING(7.0), \"|\", STRING(2.5))", "7|2.5"),
    ]);
    assert_eq!(eval("STRING(7.0)"), Value::Str("7".into()));
}

#[test]
fn texts() {
    check(&[
        ("CONCAT($s, null, \"-\", 1, \"-\", 2.5, \"-\", true)", "Hello wörld-1-2.5-true"),
        ("CONCAT($missing, null)", "''"),
        ("STARTS_WITH($s, \"Hell\")", "true"),
        ("STARTS_WITH($i, \"7\")", "false"),
        ("STARTS_WITH($missing, \"\")", "false"),
        ("ENDS_WITH($s, \"rld\")", "true"),
        ("CONTAINS($s, \"o w\")", "true"),
        ("CONTAINS($s, 1)", "false"),
        ("TO_LOWER(\"ÄB\")", "äb"),
        ("TO_LOWER($i)", "null"),
        ("LENGTH($s)", "11"),
        ("LENGTH($s, \"bytes\")", "12"),
        ("LENGTH($s, \"chars\")", "11"),
        ("LENGTH($missing)", "null"),
        ("LENGTH($i)", "null"),
        ("REG_MATCH($s, `^H.*d$`)", "true"),
        ("REG_MATCH($s, `^h`)", "false"),
        ("REG_MATCH($missing, `x?`)", "false"),
        ("REG_MATCH($i, `7`)", "false"),
        ("REG_VALUE($ua, `libhoney-[a-z]+`)", "libhoney-py"),
        ("REG_VALUE($ua, `libhoney-([a-z]+)`)", "py"),
        ("REG_VALUE($ua, `(?:libhoney)-[a-z]+/[0-9.]+`)", "libhoney-py/1.2"),
        ("REG_VALUE($ua, `nothing`)", "''"),
        ("REG_VALUE($ua, `(z)?libhoney`)", "''"),
        ("REG_VALUE($missing, `.`)", "null"),
        ("REG_COUNT($ua, `libhoney`)", "2"),
        ("REG_COUNT($ua, `z`)", "0"),
        ("REG_COUNT($i, `7`)", "null"),
    ]);
}

#[test]
fn times() {
    check(&[
        ("EVENT_TIMESTAMP()", "1500549764.888123"),
        ("INGEST_TIMESTAMP()", "null"),
        ("UNIX_TIMESTAMP(\"2017-07-20T11:22:44.888Z\")", "1500549764.888"),
        ("UNIX_TIMESTAMP(\"2017-07-20T13:22:44+02:00\")", "1500549764.0"),
        ("UNIX_TIMESTAMP(\"1969-12-31T23:59:59Z\")", "-1.0"),
        ("UNIX_TIMESTAMP(\"2017-02-29T00:00:00Z\")", "null"),
        ("UNIX_TIMESTAMP(\"yesterday\")", "null"),
        ("UNIX_TIMESTAMP($i)", "null"),
        ("FORMAT_TIME(\"%Y-%m-%d %H:%M:%S\", EVENT_TIMESTAMP())", "2017-07-20 11:22:44"),
        ("FORMAT_TIME(\"%A %a %B %b %h %j %e %p %I %y %u %w\", 1500549764)", "Thursday Thu July Jul Jul 201 20 AM 11 17 4 4"),
        (
            "FORMAT_TIME(\"%F %T %D %R %r %s %f %Z %z %% %C\", 1500549764.25)",
            "2017-07-20 11:22:44 07/20/17 11:22 11:22:44 AM 1500549764 250000 UTC +0000 % 20",
        ),
        ("FORMAT_TIME(\"%G-W%V-%u %U %W %g\", 1609459200)", "2020-W53-5 00 00 20"),
        ("FORMAT_TIME(\"%G-W%V %U %W\", 1483228800)", "2016-W52 01 00"),
        ("FORMAT_TIME(\"%c|%k|%l|%v\", 0)", "Thu Jan  1 00:00:00 1970| 0|12| 1-Jan-1970"),
        ("FORMAT_TIME(\"%Y\", -86400)", "'1969'"),
        ("FORMAT_TIME(\"%Y\", null)", "null"),
        ("FORMAT_TIME($missing, 0)", "null"),
        ("FORMAT_TIME(\"%Y\", 1e18)", "null"),
    ]);
    assert_eq!(eval("FORMAT_TIME(\"%Y\", \"0\")"), Value::Str("1970".into()));
    assert_eq!(eval("INT(FORMAT_TIME(\"%H\", EVENT_TIMESTAMP()))"), Value::Int(11));
}

/// Every function takes every kind in every place without a surprise: the results are of the kinds that the page names.
#[test]
fn every_function_answers_every_kind() {
    let kinds = ["null", "true", "false", "0", "-3", "2.5", "\"\"", "\"12\"", "\"x y\"", "\"2017-07-20T11:22:44Z\""];
    for function in Function::all() {
        let (least, most) = function.arity();
        for n in least..=most.min(least + 1) {
            for case in 0..kinds.len().pow(n.min(3) as u32) {
                let mut arguments: Vec<&str> = (0..n).map(|i| kinds[case / kinds.len().pow(i.min(2) as u32) % kinds.len()]).collect();
                match function {
                    Function::RegMatch | Function::RegValue | Function::RegCount => arguments[1] = "`[0-9]+`",
                    Function::Length if n == 2 => arguments[1] = "\"bytes\"",
                    Function::FormatTime => arguments[0] = "\"%H\"",
                    Function::Bucket if arguments[1].parse().is_ok_and(|size: f64| size <= 0.0) => continue,
                    _ => {}
                }
                let text = format!("{}({})", function.name(), arguments.join(", "));
                let value = eval(&text);
                let any_null = arguments.contains(&"null");
                let fits = match function {
                    Function::If | Function::Switch | Function::Coalesce | Function::Min | Function::Max => true,
                    Function::Lt | Function::Lte | Function::Gt | Function::Gte | Function::Equals | Function::In => {
                        matches!(value, Value::Bool(_))
                    }
                    Function::Exists | Function::Not | Function::And | Function::Or | Function::Bool => matches!(value, Value::Bool(_)),
                    Function::StartsWith | Function::EndsWith | Function::Contains | Function::RegMatch => matches!(value, Value::Bool(_)),
                    Function::Sum | Function::Sub | Function::Mul | Function::Avg | Function::Int | Function::Float => {
                        (value == Value::Null) == any_null
                    }
                    Function::Ceil | Function::Floor | Function::Round => (value == Value::Null) == any_null,
                    Function::Div | Function::Mod | Function::Log10 | Function::UnixTimestamp => {
                        value == Value::Null || value.number().is_some()
                    }
                    Function::RegCount | Function::Length => value == Value::Null || matches!(value, Value::Int(_)),
                    Function::Concat | Function::String => matches!(value, Value::Str(_)),
                    Function::Bucket | Function::ToLower | Function::RegValue | Function::FormatTime => {
                        matches!(value, Value::Null | Value::Str(_))
                    }
                    Function::EventTimestamp => matches!(value, Value::Float(_)),
                    Function::IngestTimestamp => value == Value::Null,
                };
                assert!(fits, "{text} is {value:?}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, at, part) in [
        ("", 1, "empty"),
        ("  ", 1, "empty"),
        ("IF(1,2", 7, "expected ',' or ')', found the end"),
        ("IF(1, 2))", 9, "')' too many"),
        ("IF(1)", 1, "IF takes 2 arguments or more, not 1"),
        ("SUB(1, 2, 3)", 1, "SUB takes 2 arguments, not 3"),
        ("BUCKET(1, 2, 3, 4, 5)", 1, "2 to 4 arguments"),
        ("EVENT_TIMESTAMP(1)", 1, "no arguments"),
        ("1 + CONCATT($a)", 5, "unknown function 'CONCATT' at character 5; did you mean CONCAT?"),
        ("starts_with($a, \"x\")", 1, "STARTS_WITH"),
        ("RATE(LAST(1))", 1, "metrics"),
        ("DECREASE(1)", 1, "unknown function 'DECREASE'"),
        ("duration_ms > 5", 1, "a column is written $duration_ms"),
        ("$a == 5", 5, "found '='"),
        ("$a && $b", 4, "write AND"),
        ("$a || $b", 4, "write OR"),
        ("$a and $b", 4, "write AND"),
        ("EQUALS($a, 'x')", 12, "double quotes"),
        ("$", 1, "without the name"),
        ("$\"\"", 1, "empty"),
        ("\"abc", 1, "text without end"),
        ("CONCAT(\"ü\", `x)", 13, "text without end"),
        ("\"\\q\"", 2, "unknown escape"),
        ("\"\\xff\"", 1, "UTF-8"),
        ("\"\\ud800\"", 2, "escape"),
        ("\"\\400\"", 2, "escape"),
        ("5.", 1, "malformed number"),
        ("5abc", 1, "malformed number"),
        ("1e999", 1, "too large"),
        ("-$a", 2, "only numbers have a sign"),
        ("1 +", 4, "found the end"),
        ("1 + * 2", 5, "found '*'"),
        ("IF(, 1)", 4, "found ','"),
        ("AND", 4, "expected '(' after AND"),
        ("TRUE", 1, "write true"),
        ("SUM()", 1, "1 argument or more"),
        ("SUM(1,,2)", 7, "found ','"),
        ("SWITCH($a, $b, 1)", 12, "case of SWITCH"),
        ("REG_MATCH($a, $b)", 15, "must be a text"),
        ("REG_MATCH($a, `(`)", 15, "unclosed group"),
        ("REG_COUNT($a, `a{1000}{1000}`)", 15, "too large"),
        ("LENGTH($a, \"words\")", 12, "unit of LENGTH"),
        ("FORMAT_TIME(\"%Q\", 1)", 13, "knows no '%Q'"),
        ("BUCKET($a, 0)", 12, "above 0"),
        ("\"größe\" \u{1F980}", 9, "unexpected '🦀'"),
        ("1 2", 3, "expected an operator"),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits::default();
    for hostile in [
        "(".repeat(4_000),
        "!".repeat(4_000),
        "NOT(".repeat(1_000),
        format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("1{}", "-1".repeat(2_000)),
        format!("$a{}", " = $b".repeat(800)),
        "1+1<1=1 AND ".repeat(300),
        " ".repeat(5_000),
        "IF(1,".repeat(800),
    ] {
        assert!(parse(&hostile, &limits).is_err(), "{}", &hostile[..20]);
    }
    // What is wide is not deep.
    let wide = vec!["$a = 1"; 400].join(" OR ");
    assert_eq!(read(&wide).unwrap().depth(), 3);
    let deep = format!("{}1{}", "NOT(".repeat(99), ")".repeat(99));
    assert_eq!(read(&deep).unwrap().depth(), 100);
    assert!(read(&format!("NOT({deep})")).is_err());
}

#[test]
fn joined_texts_have_an_end() {
    let long = format!("CONCAT({})", vec!["$s"; 500].join(", "));
    let long = format!("CONCAT({long}, {long})");
    let program = Program::new(&read(&long).unwrap());
    let event = Event(vec![Value::Str("ä".repeat(10_001))], 0);
    let Value::Str(text) = program.eval(&event).into_value() else { panic!("a text") };
    assert_eq!(text.len(), 1 << 20);
    assert!(text.chars().all(|c| c == 'ä'));
}

#[test]
fn columns_are_replaced_within_limits() {
    let of = |name: &str| (name == "x").then(|| std::sync::Arc::new(read("$a + $b").unwrap()));
    let outer = read("$x * $x - $c").unwrap();
    assert_eq!(outer.inlined(&of, 100, 1_000).unwrap().to_string(), "SUB(MUL(SUM($a, $b), SUM($a, $b)), $c)");
    assert_eq!(outer.size(), 5);
    assert!(outer.inlined(&of, 100, 9).is_some());
    assert!(outer.inlined(&of, 100, 8).is_none());
    assert!(outer.inlined(&of, 3, 1_000).is_none());
    let columns: Vec<_> = outer.columns().into_iter().map(|(name, at)| (name.to_string(), at)).collect();
    assert_eq!(columns, [("x".to_owned(), 1), ("c".to_owned(), 11)]);
}

fn literal() -> impl Strategy<Value = Node> {
    let float = any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::Float);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        float,
        ".{0,8}".prop_map(Value::Str),
        "[\\x00-\\x7f]{0,8}".prop_map(Value::Str),
    ]
    .prop_map(Node::Literal)
}

fn tree() -> impl Strategy<Value = Expr> {
    let name = prop_oneof!["[a-z.]{1,8}", ".{1,6}"];
    let leaf = prop_oneof![literal(), name.prop_map(|n| Node::Column(n.into()))].prop_map(|node| Expr { node, at: 0 });
    let function = prop::sample::select(Function::all().filter(|f| f.arity().0 > 0).collect::<Vec<_>>());
    leaf.prop_recursive(5, 60, 4, move |inner| {
        (function.clone(), prop::collection::vec(inner, 4)).prop_map(|(function, mut arguments)| {
            let (least, most) = function.arity();
            arguments.truncate(most.min(least + arguments.len() % 2));
            let text = |s: &str| Expr { node: Node::Literal(Value::Str(s.into())), at: 0 };
            match function {
                Function::RegMatch | Function::RegValue | Function::RegCount => arguments[1] = text("a+(b)?"),
                Function::Length if arguments.len() > 1 => arguments[1] = text("bytes"),
                Function::FormatTime => arguments[0] = text("%H"),
                Function::Bucket => arguments[1] = Expr { node: Node::Literal(Value::Int(10)), at: 0 },
                Function::Switch => arguments[1] = text("case"),
                _ => {}
            }
            Expr { node: Node::Call(function, arguments), at: 0 }
        })
    })
}

/// Words that expressions are made of, in any order.
fn nonsense() -> impl Strategy<Value = String> {
    let words = [
        "IF(",
        "SUM(",
        "AND",
        "OR(",
        "$a",
        "$\"b c\"",
        "$a-b",
        "1",
        "-",
        "-5",
        "+",
        "*",
        "!",
        "!=",
        "=",
        "<=",
        "(",
        ")",
        ",",
        "\"x\"",
        "`y`",
        "true",
        "null",
        "2.5",
        ".5",
        "$",
        "\"",
        "`",
        "\\",
        "é",
        "REG_MATCH(",
        "SWITCH(",
        " ",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..30).prop_map(|w| w.join(" "))
}

fn value_of(expr: &Expr) -> Value {
    let program = Program::new(expr);
    let cells = [Value::Null, Value::Int(3), Value::Str("aab".into()), Value::Float(-0.5), Value::Bool(true)];
    let row = (0..program.columns().len()).map(|i| cells[i % cells.len()].clone()).collect();
    program.eval(&Event(row, 1_700_000_000_000_000_000)).into_value()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_the_same(tree in tree()) {
        let printed = tree.to_string();
        let limits = Limits { expression_bytes_max: usize::MAX, ..Limits::default() };
        let again = parse(&printed, &limits);
        prop_assert_eq!(again.as_ref(), Ok(&tree), "{}", printed);
        let value = value_of(&tree);
        if let Value::Float(f) = value {
            prop_assert!(f.is_finite());
        }
        prop_assert_eq!(value, value_of(&again.unwrap()));
    }

    #[test]
    fn no_text_ends_the_parser(text in ".{0,60}") {
        if let Ok(expr) = read(&text) {
            value_of(&expr);
        }
    }

    #[test]
    fn no_nonsense_ends_the_parser(text in nonsense()) {
        if let Ok(expr) = read(&text) {
            prop_assert_eq!(&read(&expr.to_string()).unwrap(), &expr);
            value_of(&expr);
        }
    }
}
