//! The commands, as a person runs them, against a server.

use crate::process::{Server, WIDEYE, finish, stderr, stdout};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value as Json;
use std::{io::Write, process::Command};

fn wideye(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(WIDEYE);
    command.args(args).env_remove("WIDEYE_URL");
    finish(command, "")
}

const LINES: &str = r#"{"ts":"2026-11-22T12:00:00.000000001Z","name":"a","n":1,"big":9007199254740993,"ok":true}
{"ts":"2026-11-22T12:00:01Z","name":"b","n":2.5,"nested":{"x":{"y":"z"}},"list":[1,2]}

this is not json
{"ts":"2026-11-22T12:00:02Z","name":"a","n":3,"ü":"ümlaut"}
{"time":"2026-11-22T12:00:03Z","samplerate":4,"data":{"name":"c","n":4}}
"#;

const RANGE: &str = "from 2026-11-22T12:00:00Z to 2026-11-22T12:01:00Z";

#[test]
fn import_names_what_it_refused_and_query_finds_the_rest() {
    let server = Server::start();
    let dir = tempfile::TempDir::new().unwrap();
    let gz = dir.path().join("lines.ndjson.gz");
    let mut encoder = GzEncoder::new(std::fs::File::create(&gz).unwrap(), Compression::fast());
    encoder.write_all(LINES.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let imported = server.run(&["import", "--dataset", "mine", gz.to_str().unwrap()]);
    assert_eq!(imported.status.code(), Some(1), "{}", stderr(&imported));
    assert!(stderr(&imported).contains("4 events to mine") && stderr(&imported).contains("1 refused"), "{}", stderr(&imported));
    assert!(stderr(&imported).contains("line 4: not a JSON object"), "{}", stderr(&imported));

    // From standard input, packed or not.
    let again = server.run_with(&["import", "-d", "mine too", "-"], LINES.replace("this is not json\n", "").as_str());
    assert!(again.status.success(), "{}", stderr(&again));

    let answer = server.run(&["query", "--json", &format!("COUNT, SUM(n) by name in mine order by name {RANGE}")]);
    let answer: Json = serde_json::from_str(&stdout(&answer)).unwrap();
    let rows: Vec<&Json> = answer["results"].as_array().unwrap().iter().map(|r| &r["data"]).collect();
    let expected: Vec<Json> = [("a", 2.0, 4.0), ("b", 1.0, 2.5), ("c", 4.0, 16.0)]
        .map(|(name, count, sum)| serde_json::json!({"name": name, "COUNT": count, "SUM(n)": sum}))
        .to_vec();
    let numbers = |j: &Json| (j["name"].as_str().unwrap().to_owned(), j["COUNT"].as_f64(), j["SUM(n)"].as_f64());
    assert_eq!(rows.iter().map(|r| numbers(r)).collect::<Vec<_>>(), expected.iter().map(numbers).collect::<Vec<_>>());

    let table = stdout(&server.run(&["query", &format!("COUNT, SUM(n) by name in mine {RANGE}")]));
    assert!(table.contains("name") && table.contains("SUM(n)") && table.contains("2.500"), "{table}");
    assert!(table.contains('▁') || table.contains('█'), "{table}");
    assert!(!table.contains('\u{1b}'), "colour without a terminal");
}

#[test]
fn what_export_writes_import_takes_back() {
    let server = Server::start();
    let imported = server.run_with(&["import", "-d", "first", "-"], &LINES.replace("this is not json\n", ""));
    assert!(imported.status.success(), "{}", stderr(&imported));
    let first = stdout(&server.run(&["export", "-d", "first", RANGE]));
    assert_eq!(first.lines().count(), 4);
    assert!(first.contains("9007199254740993") && first.contains("12:00:00.000000001Z") && first.contains("ümlaut"), "{first}");
    assert!(stdout(&server.run(&["export", "-d", "first", &format!("where name = c {RANGE}")])).contains(r#""samplerate":4"#));
    assert!(server.run_with(&["import", "-d", "second", "-"], &first).status.success());
    let second = stdout(&server.run(&["export", "-d", "second", RANGE]));
    assert_eq!(first.replace("\"first\"", "\"second\""), second);
}

#[test]
fn export_cuts_ranges_that_hold_more_than_an_answer() {
    let server = Server::start();
    let lines: String = (0..25_000)
        .map(|i| format!("{{\"time\":\"2026-11-22T12:00:{:02}.{:03}Z\",\"data\":{{\"i\":{i}}}}}\n", i / 10_000, i % 7))
        .collect();
    assert!(server.run_with(&["import", "-d", "many", "-"], &lines).status.success());
    let exported = stdout(&server.run(&["export", "-d", "many", RANGE]));
    let mut seen: Vec<u64> = exported.lines().map(|l| serde_json::from_str::<Json>(l).unwrap()["data"]["i"].as_u64().unwrap()).collect();
    let times: Vec<&str> = exported.lines().map(|l| l.split("\"time\":\"").nth(1).unwrap().split('Z').next().unwrap()).collect();
    assert!(times.is_sorted());
    seen.sort_unstable();
    assert_eq!(seen, (0..25_000).collect::<Vec<_>>());
}

#[test]
fn the_fleet_leads_to_its_story() {
    let server = Server::start();
    let fleet = server.run(&["fleet", "--history", "2h", "--history-spans", "100000", "--no-live", "--gzip"]);
    assert!(fleet.status.success(), "{}", stderr(&fleet));
    let said = stderr(&fleet);
    assert!(said.contains("11 services"), "{said}");
    // The questions are printed to be pasted: take them from there.
    let questions: Vec<&str> = said.lines().filter_map(|l| l.split_once(" query ")?.1.split('\'').nth(1)).collect();
    assert_eq!(questions.len(), 3, "{said}");
    let first = |text: &str| -> Json {
        let answer: Json = serde_json::from_str(&stdout(&server.run(&["query", "--json", text]))).unwrap();
        answer["results"][0]["data"].clone()
    };
    for (text, expected) in questions.iter().zip([
        &[("service.name", "frontend")][..],
        &[("build_id", "789782"), ("device.os", "iOS 11")],
        &[("app.language_pack", "gd-3"), ("ui.button", "export-all"), ("db.shard", "shard-07")],
    ]) {
        let row = first(text);
        for (column, value) in expected {
            if *column != "service.name" {
                assert_eq!(row[column], *value, "{text}: {row}");
            }
        }
        assert!(row["COUNT"].as_f64().unwrap() > 50.0, "{text}: {row}");
    }
    let services = stdout(&server.run(&["query", "--no-chart", questions[0]]));
    assert!(services.contains("image-export"), "{services}");

    // A failing trace, as a waterfall.
    let id = first("COUNT by trace.trace_id in image-export where name = \"SELECT export_jobs\" and error = true top 1");
    let trace = stdout(&server.run(&["trace", id["trace.trace_id"].as_str().unwrap()]));
    assert!(trace.contains("POST /export") && trace.contains("✖ SELECT export_jobs") && trace.contains("critical path:"), "{trace}");
    assert!(!trace.contains('\u{1b}') && trace.lines().all(|l| l.chars().count() <= 100), "piped: no colours, 100 columns\n{trace}");
    let failed = trace.lines().find(|l| l.contains("✖ SELECT export_jobs")).unwrap();
    assert!(failed.contains('█') || failed.contains('▒'), "{failed}");
    let whole: Json = serde_json::from_str(&stdout(&server.run(&["trace", id["trace.trace_id"].as_str().unwrap(), "--json"]))).unwrap();
    let at = whole["flags"]["error"][0].as_u64().unwrap() as usize;
    let span = whole["rows"]["span_id"][at].as_str().unwrap();
    let fields = stdout(&server.run(&["trace", id["trace.trace_id"].as_str().unwrap(), "--span", span]));
    assert!(fields.contains("trace.span_id") && fields.contains(span) && fields.contains("service.name"), "{fields}");
    assert_eq!(server.run(&["trace", "none"]).status.code(), server.run(&["columns", "none"]).status.code());

    let datasets = stdout(&server.run(&["datasets"]));
    assert!(datasets.contains("image-export") && datasets.contains("notifications"), "{datasets}");
    let columns = stdout(&server.run(&["columns", "image-export", "--like", "build"]));
    assert!(columns.contains("build_id") && columns.contains("string"), "{columns}");

    let dir = server.stop();
    let checked = wideye(&["check", dir.path().join("data").to_str().unwrap()]);
    assert!(stdout(&checked).contains("datasets"), "{}", stderr(&checked));
}

#[test]
fn mistakes_are_told_where_they_are() {
    let wrong = wideye(&["query", "COUNT by x wher a = 1"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("             ^") && stderr(&wrong).contains("expected a clause"), "{}", stderr(&wrong));
    let unreachable = wideye(&["query", "COUNT", "--url", "http://127.0.0.1:9"]);
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(stderr(&unreachable).contains("cannot reach http://127.0.0.1:9"), "{}", stderr(&unreachable));

    let server = Server::start();
    assert!(server.run_with(&["import", "-d", "d", "-"], "{\"duration_ms\":1}").status.success());
    let unknown = server.run(&["query", "AVG(duration_sm) in d"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("duration_sm") && stderr(&unknown).contains("duration_ms"), "{}", stderr(&unknown));
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let key = stdout(&wideye(&["keys", "create", "--data-dir", data, "--name", "collectors", "--scope", "ingest"]));
    let list = stdout(&wideye(&["keys", "list", "--data-dir", data]));
    assert!(list.contains("collectors") && list.contains("ingest") && !list.contains(key.trim()), "{list}");
    let id = list.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    stdout(&wideye(&["keys", "revoke", "--data-dir", data, id]));
    assert!(!stdout(&wideye(&["keys", "list", "--data-dir", data])).contains("collectors"));
    assert_eq!(wideye(&["keys", "revoke", "--data-dir", data, id]).status.code(), Some(2));
    assert_eq!(wideye(&["keys", "create", "--data-dir", data, "--name", "x", "--scope", "all"]).status.code(), Some(2));
}

#[test]
fn contrast_says_what_is_different() {
    use std::fmt::Write;
    let server = Server::start();
    let mut lines = String::new();
    for i in 0..4_000u32 {
        let build = i % 7;
        let (hour, minute) = (12 + i / 1_000 % 4, i / 17 % 60);
        let failed = build == 3 && i % 2 == 0 || i % 101 == 0;
        writeln!(
            lines,
            r#"{{"time":"2026-11-22T{hour}:{minute:02}:00Z","build":"b{build}","host":"h{}","error":{failed},"trace.trace_id":"{i:032x}"}}"#,
            i % 5
        )
        .unwrap();
    }
    assert!(server.run_with(&["import", "-d", "shop", "-"], &lines).status.success());
    const DAY: &str = "in shop from 2026-11-22T12:00:00Z to 2026-11-22T16:00:00Z";
    let said = stdout(&server.run(&["contrast", DAY, "--select", "error = true"]));
    assert!(said.starts_with("selection") && said.contains("all other events"), "{said}");
    assert!(said.contains("1. build = b3: ") && said.contains('█') && said.contains("trace 0000"), "{said}");
    assert!(!said.contains("host =") && !said.contains('\u{1b}'), "{said}");

    let answer = stdout(&server.run(&["contrast", DAY, "--select", "error = true", "--json", "--max-conditions", "1"]));
    let answer: Json = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["findings"][0]["conditions"], serde_json::json!([{"column": "build", "op": "=", "value": "b3"}]));
    // What a finding gives to go on with is a question's filters.
    let count = stdout(&server.run(&["query", "--json", &format!("COUNT where build = b3 {DAY}")]));
    let count: Json = serde_json::from_str(&count).unwrap();
    let finding = &answer["findings"][0];
    let both = finding["selection"]["count"].as_f64().unwrap() + finding["baseline"]["count"].as_f64().unwrap();
    assert_eq!(count["results"][0]["data"]["COUNT"].as_f64(), Some(both));

    // An hour against the hour before: the same mix.
    let quiet = server.run(&[
        "contrast",
        DAY,
        "--select-from",
        "2026-11-22T13:00:00Z",
        "--select-to",
        "2026-11-22T14:00:00Z",
        "--against-earlier",
        "1h",
    ]);
    assert!(stdout(&quiet).contains("nothing differs more than chance"), "{}", stdout(&quiet));
    let spec = stdout(&wideye(&["contrast", DAY, "--select-last", "10m", "--against", "build = b1", "--show-spec"]));
    let spec: Json = serde_json::from_str(&spec).unwrap();
    let range = |p: &Json| p["end_time"].as_f64().unwrap() - p["start_time"].as_f64().unwrap();
    assert_eq!((range(&spec["selection"]), range(&spec["query"]), &spec["dataset"]), (600.0, 14_400.0, &Json::from("shop")));
    assert_eq!(spec["baseline"]["filters"][0]["column"], "build");
    assert_eq!(wideye(&["contrast", DAY]).status.code(), Some(2));
    assert_eq!(wideye(&["contrast", "COUNT by a", "--select", "b = 1"]).status.code(), Some(2));
}

#[test]
fn conditions_of_text_and_flag_are_joined_by_and_only() {
    let spec = stdout(&wideye(&["query", "COUNT where a = 1 and b = 2", "--where", "c = 3 and d = 4", "--show-spec"]));
    let spec: Json = serde_json::from_str(&spec).unwrap();
    assert_eq!(spec["query"]["filters"].as_array().map(Vec::len), Some(4));
    for (text, flag) in [("where a = 1 and b = 2", "c = 3 or d = 4"), ("where a = 1 or b = 2", "c = 3"), ("where a = 1", "c = 3 or d = 4")]
    {
        let query = wideye(&["query", &format!("COUNT {text}"), "--where", flag, "--show-spec"]);
        let contrast = wideye(&["contrast", text, "--where", flag, "--select", "e = 5", "--show-spec"]);
        assert_eq!((query.status.code(), contrast.status.code()), (Some(2), Some(2)), "{text}, {flag}");
    }
}

#[test]
fn flags_beside_a_specification_replace_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"breakdowns": ["a"], "time_range": 60, "limit": 5, "filters": [{"column": "b", "op": "exists"}]}"#)
        .unwrap();
    let path = file.path().to_str().unwrap();
    let asked = |flags: &[&str]| {
        let shown = stdout(&wideye(&[&["query", "--spec", path, "--show-spec"], flags].concat()));
        serde_json::from_str::<Json>(&shown).unwrap()["query"].take()
    };
    let plain = asked(&[]);
    assert_eq!((&plain["time_range"], &plain["limit"], &plain["breakdowns"][0]), (&60.0.into(), &5.into(), &"a".into()));
    let last = asked(&["--last", "2h", "-n", "7", "--every", "5m", "--unweighted"]);
    assert_eq!((&last["time_range"], &last["limit"], &last["granularity"]), (&7200.0.into(), &7.into(), &300.0.into()));
    assert_eq!((&last["usage_mode"], &last["filters"]), (&true.into(), &plain["filters"]));
    let from = asked(&["--from", "2026-11-22T13:00:00Z"]);
    assert_eq!((from["time_range"].is_null(), from["start_time"].is_null()), (true, false));
}

#[test]
fn help_shows_examples_and_the_grammar() {
    for command in ["serve", "query", "contrast", "import", "export", "columns", "trace", "keys", "demo", "fleet"] {
        let help = stdout(&wideye(&[command, "--help"]));
        assert!(help.contains("Example") && help.contains(&format!("wideye {command}")), "{help}");
    }
    let grammar = stdout(&wideye(&["query", "--help"]));
    assert!(grammar.contains("condition   =") && grammar.contains("does-not-"));
    assert!(stdout(&wideye(&["openapi"])).contains("/api/v1/query"));
    let spec = stdout(&wideye(&["query", "--show-spec", "COUNT by a where b = 1 last 5m"]));
    assert_eq!(serde_json::from_str::<Json>(&spec).unwrap()["query"]["time_range"], 300.0);
}
