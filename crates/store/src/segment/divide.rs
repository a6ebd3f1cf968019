//! Division of many floats by one power of ten: decimal floats come back from their integers this way.
//!
//! Owns: the fast form of one loop, and its plain twin. Never does: approximate (both round alike, bit for bit).
#![allow(unsafe_code, reason = "calls a function compiled for AVX2 and FMA after asking the processor for them")]

/// Divides each value by `power`, a power of ten up to 10^12; values are whole and below 2^53 in size.
pub(super) fn divide(values: &mut [f64], power: f64) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the features that the function was compiled for; it does nothing else unsafe.
        unsafe { divide_fma(values, power) };
        return;
    }
    divide_plain(values, power);
}

fn divide_plain(values: &mut [f64], power: f64) {
    for v in values {
        *v /= power;
    }
}

/// Multiplies by the reciprocal and corrects by the exact remainder, which rounds correctly (P. Markstein, "Computation
/// of elementary functions on the IBM RISC System/6000 processor", 1990, theorem 8.6: the reciprocal is the nearest
/// float and the first quotient is within one unit in the last place).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn divide_fma(values: &mut [f64], power: f64) {
    let reciprocal = 1.0 / power;
    for v in values {
        let quotient = *v * reciprocal;
        let remainder = (-quotient).mul_add(power, *v);
        *v = remainder.mul_add(reciprocal, quotient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_agree_bit_for_bit() {
        let mut state = 7u64;
        for exponent in 1..=12 {
            let power = 10f64.powi(exponent);
            let mut values: Vec<f64> = (0..20_000)
                .map(|i| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let v = (state >> 11 >> (i % 53)) as f64;
                    if i % 2 == 0 || v == 0.0 { v } else { -v }
                })
                .collect();
            values.extend([0.0, 1.0, 9_007_199_254_740_991.0]);
            let mut plain = values.clone();
            divide(&mut values, power);
            divide_plain(&mut plain, power);
            assert!(values.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()), "10^{exponent}");
        }
    }
}
