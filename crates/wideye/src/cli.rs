//! The command line: commands, flags and their help.
//!
//! Owns: names and texts of flags. Never does: the work (commands/).

use crate::term::ColourWhen;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Where a server is expected unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Ask anything of what your systems did.
#[derive(Debug, Parser)]
#[command(name = "wideye", version, propagate_version = true, arg_required_else_help = true, after_help = TOP_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to colour the output; on terminals NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", alias = "colour")]
    pub(crate) color: ColourWhen,
}

const TOP_HELP: &str = "\
Examples:
  wideye demo                                   a server with a live fleet of eleven services in it
  wideye serve --data-dir /var/lib/wideye       a server
  wideye query 'P99(duration_ms) by service.name where error = true last 1h top 5'
  wideye import --dataset access access.ndjson.gz

`wideye COMMAND --help` tells more, with examples.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Ask a question
    #[command(visible_alias = "q", after_long_help = QUERY_HELP)]
    Query(Box<QueryArgs>),
    /// Say what is different about some events, over every column
    #[command(visible_alias = "c", after_long_help = CONTRAST_HELP)]
    Contrast(Box<ContrastArgs>),
    /// Show which service calls which: how often, how fast, how well
    #[command(after_long_help = MAP_HELP)]
    Map(Box<MapArgs>),
    /// Send events from files
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Write events to standard output as NDJSON that `wideye import` takes back
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// List datasets
    Datasets(ListArgs),
    /// List the columns of a dataset
    #[command(after_help = "Examples:\n  wideye columns checkout\n  wideye columns __all__ --like http.")]
    Columns(ColumnsArgs),
    /// Show a trace as a waterfall, or one span of it with all its fields
    #[command(visible_alias = "t", after_help = TRACE_HELP)]
    Trace(TraceArgs),
    /// Tools for agents (MCP) on standard input and output
    #[command(after_help = MCP_HELP)]
    Mcp(McpArgs),
    /// Make, list and revoke API keys
    #[command(after_help = KEYS_HELP)]
    Keys(KeysArgs),
    /// Verify every byte of a data directory that no server uses
    #[command(after_help = "Exit status 0: everything is whole. 1: something is damaged, and was named.")]
    Check(CheckArgs),
    /// Run a server and fill it by a simulated fleet, over OTLP
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// Send the traffic of a simulated fleet to a running server, over OTLP
    #[command(after_help = FLEET_HELP)]
    Fleet(FleetArgs),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

/// Which server to talk to.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server's address
    #[arg(long, env = "WIDEYE_URL", default_value = DEFAULT_URL, hide_env_values = true)]
    pub(crate) url: String,
    /// API key, where the server asks for one
    #[arg(long, env = "WIDEYE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// The time range of a question.
#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// How far back: 90s, 30m, 2h, 1d
    #[arg(short, long, value_name = "DURATION", conflicts_with = "from")]
    pub(crate) last: Option<String>,
    /// Start, inclusive: 2026-01-31T08:00:00Z, 2026-01-31, Unix seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End, exclusive
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}

/// Which events a question is about.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Dataset, by name or slug; all of them if not given
    #[arg(short, long)]
    pub(crate) dataset: Option<String>,
    /// Conditions on them: 'http.status_code >= 500 and name exists'
    #[arg(short = 'w', long = "where", value_name = "CONDITIONS")]
    pub(crate) conditions: Option<String>,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
}

/// How a question is asked.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Print the request that text and flags stand for, and ask nothing
    #[arg(long)]
    pub(crate) show_spec: bool,
    /// Print the server's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// TOML file of settings; docs/reference/config.md lists them
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

const SERVE_HELP: &str = "\
Each setting can also be given as WIDEYE_<NAME> in the environment or as a key of the --config file; a flag wins over the environment, the environment over the file. On any address but a loopback one the server starts only if a key exists (`wideye keys create`).

Examples:
  wideye serve
  wideye serve --data-dir /var/lib/wideye --listen 0.0.0.0:8080 --otlp-grpc-listen 0.0.0.0:4317
  WIDEYE_DATA_DIR=/var/lib/wideye wideye serve --config /etc/wideye.toml";

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The question in its text form; see the grammar in `wideye query --help`
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Calculations: 'COUNT, P99(duration_ms)'
    #[arg(short, long = "calculate", value_name = "CALCULATIONS")]
    pub(crate) calculate: Option<String>,
    /// A calculated field of this question: 'slow = GTE($duration_ms, 500)'; may be given again
    #[arg(short, long = "field", value_name = "NAME = EXPRESSION")]
    pub(crate) fields: Vec<String>,
    /// Columns to group by
    #[arg(short, long, value_name = "COLUMNS")]
    pub(crate) by: Option<String>,
    /// Conditions on results: 'COUNT > 10'
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) having: Option<String>,
    /// Order: 'COUNT desc, service.name'
    #[arg(short, long, value_name = "ORDER")]
    pub(crate) order: Option<String>,
    /// Rows of the result
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<i64>,
    /// Length of the buckets of the series
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<String>,
    /// Also answer for the same range this much earlier
    #[arg(long, value_name = "DURATION")]
    pub(crate) compare: Option<String>,
    /// Count stored events instead of weighing them by their sample rate
    #[arg(long)]
    pub(crate) unweighted: bool,
    /// Instead of an answer, the N traces behind it with the largest value of the first calculation's column, or duration_ms
    #[arg(long, value_name = "N")]
    pub(crate) slowest: Option<usize>,
    /// The whole question as a JSON query specification, from a file or from standard input (-); a time range, limit and the like
    /// given beside it replace its own
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "calculate", "conditions", "fields", "by", "having", "order"])]
    pub(crate) spec: Option<PathBuf>,
    /// Print the table alone
    #[arg(long)]
    pub(crate) no_chart: bool,
    /// Compute everything anew
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const QUERY_HELP: &str = r#"The text form:
  question    = [ calculation { "," calculation } ] { clause }        none: COUNT
  calculation = OP [ "(" column ")" ] [ "as" name ]
              | "EVENTS" [ "(" column { "," column } ")" ]            raw events
  clause      = "by" column { "," column }
              | "in" dataset
              | "where" condition { "and" condition }                 all "and" or all "or"
              | "having" calculation sign number { "and" … }
              | "order by" ( calculation | column ) [ "asc" | "desc" ] { "," … }
              | ( "top" | "limit" ) N                                 "top" alone: largest first
              | "last" duration | "from" time [ "to" time ]           none: the last 2 hours
              | "every" duration                                      length of a bucket
              | "compare" duration                                    also so much earlier
              | "unweighted"                                          ignore sample rates
  condition   = column ( sign value | word value | "exists" | "does-not-exist"
              | [ "not" ] "in" "(" value { "," value } ")" )
  sign        = "=" | "!=" | ">" | ">=" | "<" | "<="
  word        = "contains" | "starts-with" | "ends-with"
              | "does-not-contain" | "does-not-start-with" | "does-not-end-with"
  duration    = 30s | 10m | 2h | 1d | 1w | 1h30m
  time        = 2026-01-31T08:00:00Z | 2026-01-31 | "2026-01-31 08:00" | Unix seconds

  OP: COUNT CONCURRENCY SUM AVG MIN MAX COUNT_DISTINCT HEATMAP RATE_SUM RATE_AVG RATE_MAX
      P001 P01 P05 P10 P20 P25 P50 P75 P80 P90 P95 P99 P999
  Clauses come in any order. Times are UTC unless they have an offset. Column names with
  spaces, commas or parentheses, or that are a word of the grammar, go into `backticks`;
  values with spaces into "quotes". A quoted number is text.

Examples:
  wideye query 'COUNT, P99(duration_ms) by service.name where http.status_code >= 500 last 2h top 10'
  wideye query 'HEATMAP(duration_ms) in frontend where name = "GET /" last 30m'
  wideye query 'COUNT_DISTINCT(user.id) by geo.country order by geo.country limit 20'
  wideye query 'EVENTS(name, duration_ms, user.id) in billing where error = true last 10m limit 5'
  wideye query -d billing -c 'COUNT' -w 'payment.declined = true' -b payment.provider --last 1d --json
  wideye query 'P99(duration_ms) where name = "GET /" last 1h' --slowest 5
  echo '{"breakdowns": ["service.name"]}' | wideye query --spec -"#;

#[derive(Debug, Args)]
pub(crate) struct ContrastArgs {
    /// Which events are looked at: clauses `in`, `where`, `last`, `from … to …`, `unweighted` of the text form
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// The events in question: 'duration_ms > 1000 and error = true'
    #[arg(short, long, value_name = "CONDITIONS")]
    pub(crate) select: Option<String>,
    /// Start of the events in question
    #[arg(long, value_name = "TIME")]
    pub(crate) select_from: Option<String>,
    /// End of the events in question
    #[arg(long, value_name = "TIME")]
    pub(crate) select_to: Option<String>,
    /// The events in question are the last so much of the time range
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["select_from", "select_to"])]
    pub(crate) select_last: Option<String>,
    /// Compare with events that meet these conditions instead of with all others
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) against: Option<String>,
    /// Compare with the same so much earlier instead of with all others
    #[arg(long, value_name = "DURATION")]
    pub(crate) against_earlier: Option<String>,
    /// Columns to compare; all if not given
    #[arg(short, long, value_name = "COLUMNS")]
    pub(crate) columns: Option<String>,
    /// Columns in the answer
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<i64>,
    /// Conditions that a finding may join: 1 to 4
    #[arg(long, value_name = "N")]
    pub(crate) max_conditions: Option<i64>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const CONTRAST_HELP: &str = r#"Both populations lie in the time range and meet the conditions of the text. The selection is what --select and its kin pick; the baseline is all the rest, unless --against or --against-earlier says otherwise.

A finding is a condition, or two to four together, that holds for a far larger share of the selection than of the baseline. What chance explains is not listed, and neither is what wandered as much before. Clauses and conditions are those of `wideye query`.

Examples:
  wideye contrast 'in frontend last 2h' --select 'error = true'
  wideye contrast 'in frontend where http.route exists last 6h' --select 'duration_ms > 1000'
  wideye contrast 'in frontend last 3h' --select-last 10m
  wideye contrast -d frontend --last 1h --against-earlier 1d
  wideye contrast -d frontend --last 2h --select 'build = 8' --against 'build = 7' --json"#;

#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    /// Which calls: clauses `in`, `where`, `last`, `from … to …`, `unweighted` of the text form
    pub(crate) text: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Only calls from or to this service; may be given again
    #[arg(short, long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// Leave out databases and others that send no spans
    #[arg(long)]
    pub(crate) no_inferred: bool,
    /// Calls in the answer, most frequent first
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<i64>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

const MAP_HELP: &str = r#"A call is a span whose parent is a span of another service. The line of a service tells of the requests that it served, the lines below it of the calls that it made; P50 and P95 are durations in the service that is called. A name with ~ sends no spans itself: it and its numbers are known from the spans of its callers.

Clauses and conditions are those of `wideye query`, on the span that a call makes in the service that is called; with root., parent., child. and any. they ask about other spans of the trace.

Examples:
  wideye map --last 1h
  wideye map --last 30m --where 'error = true'
  wideye map 'where root.http.route = /checkout last 2h'
  wideye map --service billing --service cart --json"#;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files: NDJSON or Parquet, plain or packed with gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Dataset that the events go to
    #[arg(short, long)]
    pub(crate) dataset: String,
    /// Column that holds the time of an event; else the first of time, timestamp, @timestamp and ts that it has
    #[arg(short, long, value_name = "COLUMN")]
    pub(crate) time_column: Option<String>,
    /// Column that holds the sample rate of an event
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sample_rate_column: Option<String>,
    /// Refused lines to name one by one
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) show_refused: usize,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const IMPORT_HELP: &str = r#"A line is an event ({"name": "GET /", "duration_ms": 12}), or an event with its envelope as in /1/batch ({"time": …, "samplerate": …, "data": {…}}), which is also what `wideye export` writes. Times may be RFC 3339 or Unix seconds, milliseconds, microseconds or nanoseconds. An event without time gets the time of its arrival.
Exit status 1 if anything was refused.

Examples:
  wideye import --dataset access access.ndjson.gz
  wideye import --dataset trips --time-column pickup_at trips-*.parquet
  zcat old.gz | jq -c .event | wideye import --dataset old -"#;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Which events: clauses `in`, `where`, `last`, `from … to …` of the text form
    pub(crate) text: Vec<String>,
    /// Dataset, by name or slug
    #[arg(short, long)]
    pub(crate) dataset: Option<String>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const EXPORT_HELP: &str = "\
Events come in order of time. Parquet is not written yet.

Examples:
  wideye export -d billing 'from 2026-01-01 to 2026-02-01' | zstd > billing-january.ndjson.zst
  wideye export -d frontend 'where user.id = u012345 last 2h' | jq .data.name";

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ColumnsArgs {
    /// Dataset, by name or slug; __all__ for all
    #[arg(default_value = "__all__")]
    pub(crate) dataset: String,
    /// Only names that contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) like: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The trace's id
    pub(crate) id: String,
    /// Show all fields of this span instead
    #[arg(short, long, value_name = "ID")]
    pub(crate) span: Option<String>,
    /// Show every span: neither fold repeated ones nor stop after 1,000 lines
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only events of this dataset
    #[arg(short, long)]
    pub(crate) dataset: Option<String>,
    /// A time near the trace, RFC 3339 or Unix seconds: finds it faster
    #[arg(long, value_name = "TIME")]
    pub(crate) near: Option<String>,
    /// Do not look up how unusual durations are
    #[arg(long)]
    pub(crate) no_compare: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

const TRACE_HELP: &str = "\
Bars are █ where the trace's duration was spent (its critical path), ▒ where it was not, ─ where what is below a span goes on after it. ◆ is a span event, a link or a line of a log, ✖ a failure. p99.8 beside a duration: slower than 99.8 % of the spans of that service and name in the hour before and after. Warnings say what is odd: missing spans, repeated ones, clocks that disagree.

Examples:
  wideye trace 7f3a1c0e5b9d4f2a8c6e1d3b5a7f9c0e
  wideye trace 7f3a1c0e5b9d4f2a8c6e1d3b5a7f9c0e --all | less
  wideye trace 7f3a1c0e5b9d4f2a8c6e1d3b5a7f9c0e --span 1b5a7f9c0e7f3a1c
  wideye trace 7f3a1c0e5b9d4f2a8c6e1d3b5a7f9c0e --json";

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// Characters of one answer; what is cut is said
    #[arg(long, value_name = "N", default_value_t = model::Limits::default().mcp_answer_chars_max)]
    pub(crate) answer_chars_max: usize,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const MCP_HELP: &str = r#"An agent starts this program and speaks the Model Context Protocol with it. The tools are read-only: list_datasets, list_columns, list_values, query, contrast, trace, service_map, markers. A running server offers the same tools over HTTP at /mcp.

Examples:
  wideye mcp
  wideye mcp --url http://wideye.internal:8080 --key wek_…
  claude mcp add wideye -- wideye mcp
  claude mcp add --transport http wideye http://127.0.0.1:8080/mcp

As JSON, for agents with a file of servers:
  {"mcpServers": {"wideye": {"command": "wideye", "args": ["mcp"], "env": {"WIDEYE_URL": "http://127.0.0.1:8080"}}}}"#;

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

const KEYS_HELP: &str = "\
Without --url the data directory is opened directly, and no server may run on it. Keys are stored hashed: the text of a new one is printed once.

Examples:
  wideye keys create --data-dir /var/lib/wideye --name collectors --scope ingest
  wideye keys list --url http://127.0.0.1:8080
  wideye keys revoke --data-dir /var/lib/wideye 8DZ1K4QX";

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it
    Create {
        #[command(flatten)]
        place: KeyPlace,
        /// What the key is for
        #[arg(long, default_value = "")]
        name: String,
        /// What it allows: ingest, query, manage (all); several with commas
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values_t = ["ingest".to_owned(), "query".to_owned()])]
        scopes: Vec<String>,
    },
    /// List keys, without their secrets
    List {
        #[command(flatten)]
        place: KeyPlace,
    },
    /// End a key
    Revoke {
        #[command(flatten)]
        place: KeyPlace,
        /// The key's id
        id: String,
    },
}

/// Where the keys are.
#[derive(Debug, Args)]
pub(crate) struct KeyPlace {
    /// Data directory that no server uses at the moment
    #[arg(long, env = "WIDEYE_DATA_DIR", default_value = "wideye-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Address of a running server, instead of a directory
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) url: Option<String>,
    /// A key with scope manage, for --url
    #[arg(long, env = "WIDEYE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The data directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print findings and summary as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the fleet behaves.
#[derive(Debug, Args)]
pub(crate) struct FleetFlags {
    /// Requests a second that the fleet's users make
    #[arg(long, default_value_t = 50.0, value_name = "N")]
    pub(crate) rate: f64,
    /// How much history to send first; 0 for none
    #[arg(long, default_value = "2h", value_name = "DURATION")]
    pub(crate) history: String,
    /// Spans of history; if the rate makes more, ordinary traces are sampled and carry their sample rate
    #[arg(long, default_value_t = 400_000, value_name = "N")]
    pub(crate) history_spans: u64,
    /// The same seed makes the same fleet
    #[arg(long, default_value_t = 789_782, value_name = "N")]
    pub(crate) seed: u64,
    /// Pack requests with gzip
    #[arg(long)]
    pub(crate) gzip: bool,
    /// Stop after the history
    #[arg(long)]
    pub(crate) no_live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetFlags,
    /// TOML file of settings for the server
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

const DEMO_HELP: &str = "\
The fleet hides one story. The three questions that are printed lead into it. What the demo collects stays in the data directory (./wideye-data); delete that to start over. Takes all flags of `wideye serve`, too.

Examples:
  wideye demo
  wideye demo --rate 200 --history 6h --data-dir /tmp/demo";

#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    #[command(flatten)]
    pub(crate) fleet: FleetFlags,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const FLEET_HELP: &str = "\
Examples:
  wideye fleet                                  two hours of history, then live traffic
  wideye fleet --history 0 --rate 500           load only
  wideye fleet --no-live --history 24h --history-spans 5000000";

/// The server's settings as flags; the server knows their names and defaults.
#[derive(Debug, Default)]
pub(crate) struct SettingFlags {
    /// Name without `--`, and value.
    pub(crate) given: Vec<(String, String)>,
}

impl Args for SettingFlags {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        for flag in server::flags() {
            let limit = flag.name.starts_with("limits.");
            let arg = clap::Arg::new(flag.name.clone())
                .long(flag.name)
                .value_name("VALUE")
                .help(format!("{} [default: {}]", flag.text.trim_end_matches('.'), flag.default))
                .hide_short_help(limit)
                .help_heading("Settings");
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = SettingFlags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        for flag in server::flags() {
            if let Ok(Some(value)) = matches.try_get_one::<String>(&flag.name) {
                self.given.push((flag.name, value.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_is_wrapped_by_the_terminal_alone() {
        for command in Cli::command().get_subcommands() {
            let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) else { continue };
            let help = help.to_string();
            let lines: Vec<&str> = help.lines().collect();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            for pair in lines.windows(2).filter(|pair| !pair[0].ends_with('.')) {
                assert!(
                    !(is_prose(pair[0]) && is_prose(pair[1])),
                    "{}: a paragraph is one line, else it is broken twice: {pair:?}",
                    command.get_name()
                );
            }
        }
    }
}
