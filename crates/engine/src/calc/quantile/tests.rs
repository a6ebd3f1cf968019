//! Percentiles of numbers of many shapes against the obvious way.

use super::*;

fn naive(values: &[(f64, f64)], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = sorted.iter().map(|v| v.1).sum();
    let mut passed = 0.0;
    for (v, w) in &sorted {
        passed += w;
        if passed >= total * share * (1.0 - 1e-12) {
            return *v;
        }
    }
    sorted[sorted.len() - 1].0
}

/// Numbers of a few shapes: spread over decades, with zeros and minus signs, integers, all alike.
fn shape(which: usize, i: u64) -> f64 {
    let u = (crate::intern::mix(i) >> 11) as f64 / (1u64 << 53) as f64;
    match which {
        0 => (u * 14.0).exp() * 0.01,
        1 => ((u - 0.5) * 1000.0).trunc() * if i.is_multiple_of(7) { 0.0 } else { 1.0 },
        2 => (u * 200.0).floor(),
        3 => (u * 1e7).floor(),
        4 => -(u * 60.0 - 30.0).exp(),
        5 => {
            if i.is_multiple_of(3) {
                0.0
            } else {
                (u * 80.0 - 40.0).exp2()
            }
        }
        6 => {
            if i.is_multiple_of(3) {
                0.0
            } else {
                -u - 0.1
            }
        }
        7 => [5e-324, 1e-310, 1e-300, -9e18, 0.0, 3.0][(i % 6) as usize],
        8 => [5e-324, 1e-310, -2e-310, 0.0][(i % 4) as usize],
        _ => 42.5,
    }
}

#[test]
fn percentiles_keep_their_bound() {
    let shares = vec![0.99, 0.001, 0.5, 0.95, 0.25];
    for which in 0..10 {
        for n in [1u64, 2, 127, 128, 129, 300, 5000] {
            let mut alike: [Option<Vec<f64>>; 2] = [None, None];
            for (weighted, buckets, compacted, halves) in [
                (false, true, false, false),
                (true, true, false, true),
                (false, false, false, true),
                (false, false, true, false),
                (true, false, true, true),
                (false, true, false, true),
            ] {
                let values: Vec<(f64, f64)> =
                    (0..n).map(|i| (shape(which, i), if weighted { 1.0 + (i % 5) as f64 } else { 1.0 })).collect();
                let range = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v.0), b.max(v.0)));
                let whole = matches!(which, 2 | 3);
                let mut plan = QuantilePlan::new(shares.clone(), range, whole, weighted);
                if !buckets {
                    plan = plan.without_buckets();
                }
                let plan = Arc::new(plan);
                let make = |part: &[(f64, f64)]| {
                    let mut q = Quantiles::new(Arc::clone(&plan));
                    q.resize(300);
                    let (v, w): (Vec<f64>, Vec<f64>) = part.iter().copied().unzip();
                    q.add(&vec![257; v.len()], &v, weighted.then_some(&w));
                    q
                };
                let at = if halves { values.len() / 2 } else { 0 };
                let mut q = make(&values[..at]);
                q.merge(make(&values[at..]), CellMap::Same);
                if compacted {
                    q.compact();
                }
                let mut rolled = Quantiles::new(Arc::clone(&plan));
                rolled.resize(4);
                let to: Vec<u32> = (0..300).map(|c| c % 4).collect();
                rolled.merge(q, CellMap::To(&to));
                let solved = rolled.solve(2);
                // However they were kept, and whatever range other numbers have, the same numbers have the same percentiles.
                let answers: Vec<f64> = shares.iter().map(|s| solved.get(1, *s).unwrap()).collect();
                let packed = rolled.pack(&[0, 1]);
                for n_buckets in [1, 0] {
                    let wider = QuantilePlan::new(shares.clone(), (range.0, range.1 * if whole { 1.0 } else { 1.5 }), whole, weighted);
                    let wider = Arc::new(if n_buckets == 0 { wider.without_buckets() } else { wider });
                    let mut again = Quantiles::new(wider);
                    again.resize(3);
                    again.absorb(2, &packed, 1);
                    assert_eq!(again.pack(&[0, 2]), packed);
                    let again = again.solve(1);
                    assert_eq!(again.approximate, solved.approximate);
                    for share in &shares {
                        assert_eq!(again.unclamped(2, *share), solved.unclamped(1, *share), "shape {which} n {n}");
                    }
                }
                assert_eq!(alike[usize::from(weighted)].get_or_insert_with(|| answers.clone()), &answers, "shape {which} n {n}");
                for share in &shares {
                    let (got, want) = (solved.get(1, *share).unwrap(), naive(&values, *share));
                    let slack = if n < u64::from(EXACT) { 0.0 } else { RELATIVE_ERROR * want.abs() };
                    assert!((got - want).abs() <= slack, "shape {which} n {n} weighted {weighted} share {share}: {got}, not {want}");
                    assert_eq!(solved.get(0, *share), None);
                }
            }
        }
    }
}
