//! Sums of decimal numbers without rounding errors in the last digit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Integers below this limit are exact.
const EXACT: f64 = 9e15;

/// Returns the sum for each label, in the order in which labels first occur.
pub(super) fn sums<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Vec<(&'a str, f64)> {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    let mut indexes: HashMap<&str, usize> = HashMap::new();
    for (label, value) in values {
        match indexes.entry(label) {
            Entry::Occupied(index) => {
                let (_, sum) = &mut sums[*index.get()];
                *sum = decimal_sum(*sum, value);
            }
            Entry::Vacant(index) => {
                index.insert(sums.len());
                sums.push((label, value));
            }
        }
    }
    sums
}

/// Adds two numbers in decimal: `0.1 + 0.2` is `0.3`.
fn decimal_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if a.fract() == 0.0 && b.fract() == 0.0 && sum.abs() < EXACT {
        return sum;
    }
    exact_sum(a, b).unwrap_or(sum)
}

/// Returns `None` if the sum does not fit the digits of an `i128`.
fn exact_sum(a: f64, b: f64) -> Option<f64> {
    let (a, b) = (decimal(a)?, decimal(b)?);
    let exponent = a.1.min(b.1);
    let digits = |(digits, own): (i128, i32)| {
        digits.checked_mul(10_i128.checked_pow(u32::try_from(own - exponent).ok()?)?)
    };
    let sum = digits(a)?.checked_add(digits(b)?)?;
    format!("{sum}e{exponent}").parse().ok()
}

/// Returns digits and exponent of a number: `(-125, -2)` for `-1.25`.
fn decimal(number: f64) -> Option<(i128, i32)> {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(decimals).ok()?)?;
    Some((mantissa.replace('.', "").parse().ok()?, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_label_are_summed() {
        let values = [("b", 0.1), ("a", 1.0), ("b", 0.2), ("b", 0.7), ("a", 2.0), ("c", 1e300), ("c", 1.5)];
        assert_eq!(sums(values.into_iter()), [("b", 1.0), ("a", 3.0), ("c", 1e300)]);
    }

    #[test]
    fn sums_are_those_of_the_written_numbers() {
        for (a, b, sum) in [
            (0.1, 0.2, 0.3),
            (1.1, 2.2, 3.3),
            (-0.3, 0.1, -0.2),
            (0.1, 12_345_678.7, 12_345_678.8),
            (1e-7, 2e-7, 3e-7),
            (9_007_199_254_740_991.0, 1.0, 9_007_199_254_740_992.0),
            (1e308, 1e308, f64::INFINITY),
            (0.0, 0.0, 0.0),
        ] {
            assert_eq!(decimal_sum(a, b), sum, "{a} + {b}");
        }
    }
}
