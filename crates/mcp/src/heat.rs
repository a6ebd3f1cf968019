//! A distribution in a few words: total, and weights of at most eight ranges.
//!
//! Owns: the meaning of HEATMAP cells (docs/asking-questions.md) for telling. Never does: compute them.

use crate::text::number;
use model::heatmap_start;
use serde_json::Value as Json;

const RANGES_MAX: usize = 8;

/// Where a bucket of the log-linear scale starts.
fn start(bucket: i64, scale: &Json) -> f64 {
    heatmap_start(bucket, scale["buckets_per_octave"].as_i64().unwrap_or(4), scale["zero_below"].as_f64().unwrap_or(1.0))
}

/// `n=240 (0..16: 120, 16..32: 100, 32..64: 20)`.
pub(crate) fn told(cell: &Json, scale: &Json) -> String {
    let Some(counts) = cell["counts"].as_array() else { return "-".to_owned() };
    let from = cell["from"].as_i64().unwrap_or(0);
    let counts: Vec<f64> = counts.iter().map(|c| c.as_f64().unwrap_or(0.0)).collect();
    // As few neighbouring buckets together as bring the ranges down to the wanted number.
    let step = counts.len().div_ceil(RANGES_MAX).max(1);
    let ranges = counts.chunks(step).enumerate().filter_map(|(i, weights)| {
        let weight: f64 = weights.iter().sum();
        let first = from + (i * step) as i64;
        let last = first + weights.len() as i64;
        (weight > 0.0).then(|| format!("{}..{}: {}", number(start(first, scale)), number(start(last, scale)), number(weight)))
    });
    let ranges: Vec<String> = ranges.collect();
    format!("n={} ({})", number(counts.iter().sum()), ranges.join(", "))
}

#[cfg(test)]
mod tests {
    use super::told;
    use serde_json::json;

    #[test]
    fn a_distribution_is_told_in_at_most_eight_ranges() {
        let scale = json!({"scale": "log_linear", "buckets_per_octave": 4, "zero_below": 1.0});
        assert_eq!(told(&json!({"from": 5, "counts": [3, 0, 1]}), &scale), "n=4 (2..2.5: 3, 3..3.5: 1)");
        let many = told(&json!({"from": -20, "counts": vec![1; 100]}), &scale);
        assert!(many.starts_with("n=100 (-32..") && many.matches("..").count() <= 8, "{many}");
        assert_eq!(told(&json!(null), &scale), "-");
    }
}
