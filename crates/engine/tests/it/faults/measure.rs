//! How well a comparison finds planted faults, and how quiet it is where nothing differs.
//!
//! Owns: the counting of hits. Never does: plant faults.

use super::world::{Fault, Rng, is_cause, question, segments};
use engine::{ContrastAnswer, Run, check_contrast, contrast};
use model::{BatchBuilder, Limits, Value, contrast::ContrastSpec};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::segment::{Segment, encode, merge};

/// Asks.
pub(crate) fn ask(segments: &[Arc<Segment>], spec: Json) -> ContrastAnswer {
    let spec: ContrastSpec = serde_json::from_value(spec).expect("a comparison");
    let known: BTreeSet<String> = segments.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect();
    let run = Run::new(0);
    let plan = check_contrast(&spec, &known, &run, &Limits::default()).expect("a sound comparison");
    contrast(segments, &[], &plan, &run).expect("an answer")
}

/// Where the planted cause stands among the findings, 1 for the first; and what the first says.
pub(crate) fn place(fault: &Fault, answer: &ContrastAnswer) -> Option<usize> {
    let found = |f: &engine::Finding| {
        // A look-alike stands for what it looks like.
        let each = f.same_as.iter().map(|c| vec![c.clone()]);
        is_cause(fault, &f.conditions) || f.conditions.len() == 1 && each.into_iter().any(|c| is_cause(fault, &c))
    };
    answer.findings.iter().position(found).map(|i| i + 1)
}

/// How many of `n` random splits of one population report anything.
pub(crate) fn loud_splits(n: usize, rows: usize, seed: u64) -> (usize, Vec<String>) {
    const SHARES: [f64; 4] = [0.5, 0.2, 0.05, 0.01];
    let fault = super::world::faults().remove(0);
    let quiet = Fault { cause: vec![("nothing", "=", json!("at all"))], seed, ..fault };
    let mut loud = 0;
    let mut said = Vec::new();
    let day = segments(&quiet, rows);
    let names: Vec<String> = day.iter().flat_map(|s| s.columns()).map(|c| c.name.to_owned()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut r = Rng::new(seed);
    // Columns of random truth values split the day, some at a time.
    for from in (0..n).step_by(50) {
        let to = (from + 50).min(n);
        let split: Vec<Arc<Segment>> = day
            .iter()
            .map(|segment| {
                let mut b = BatchBuilder::new();
                for row in 0..segment.n_rows() {
                    b.begin();
                    let (time, rate) = segment
                        .row(row, &mut |name, value| {
                            let c = b.column(name);
                            b.value(c, &value);
                        })
                        .expect("a row");
                    for k in from..to {
                        let c = b.column(&format!("split.{k}"));
                        b.value(c, &Value::Bool(r.unit() < SHARES[k % 4]));
                    }
                    // Every third population is one of weighted events.
                    b.end(time, if from / 50 % 3 == 2 { [1.0, 4.0, 20.0][row % 3] } else { rate });
                }
                let image = Arc::new(Segment::from_bytes(encode(&b.finish())).expect("an image opens"));
                Arc::new(Segment::from_bytes(merge(&[image]).expect("it merges")).expect("and opens"))
            })
            .collect();
        for k in from..to {
            let mut spec = question(&quiet);
            spec["selection"] = json!({"filters": [{"column": format!("split.{k}"), "op": "=", "value": true}]});
            spec["columns"] = json!(names);
            let answer = ask(&split, spec);
            let significant: Vec<&str> = answer.columns.iter().filter(|c| c.significant).map(|c| &*c.column).collect();
            if !significant.is_empty() || !answer.findings.is_empty() {
                loud += 1;
                said.push(format!("split {k}: {significant:?} {:?}", answer.findings.first().map(|f| &f.sentence)));
            }
        }
    }
    (loud, said)
}
