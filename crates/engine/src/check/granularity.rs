//! The length of the buckets of a series.
//!
//! Owns: lengths that people like. Never does: know the question.

use model::NS_PER_SECOND;

/// The length of a bucket for a range: about 120 of them, of a length that people like.
pub(super) fn auto_granularity_ns(range_ns: i64) -> i64 {
    const MS: i64 = NS_PER_SECOND / 1000;
    const S: i64 = NS_PER_SECOND;
    const NICE: [i64; 31] = [
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        60 * S,
        120 * S,
        300 * S,
        600 * S,
        900 * S,
        1800 * S,
        3600 * S,
        7200 * S,
        10_800 * S,
        14_400 * S,
        21_600 * S,
        43_200 * S,
        86_400 * S,
        172_800 * S,
        604_800 * S,
        1_209_600 * S,
    ];
    let wanted = range_ns / 120;
    NICE.into_iter().find(|&g| g >= wanted).unwrap_or_else(|| {
        let weeks = wanted / (604_800 * S) + 1;
        weeks.saturating_mul(604_800 * S)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_nice_lengths() {
        assert_eq!(auto_granularity_ns(7200 * NS_PER_SECOND), 60 * NS_PER_SECOND);
        assert_eq!(auto_granularity_ns(86_400 * NS_PER_SECOND), 900 * NS_PER_SECOND);
        assert_eq!(auto_granularity_ns(0), 1_000_000);
        assert!(auto_granularity_ns(i64::MAX) > 0);
    }
}
