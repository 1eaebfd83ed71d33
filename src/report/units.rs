//! How figures are written for people: three significant digits, binary units, no unit left out.

use crate::measure::stats::bootstrap::ENOUGH;

/// A time: "34 us", "0.034 s", "12.3 s", "3 min 05 s", "2 h 31 min".
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "-".to_string();
    }
    if seconds < 0.0 {
        return format!("-{}", duration(-seconds));
    }
    // Each limit is where the form below it would round up to the next one.
    match seconds {
        0.0 => "0 s".to_string(),
        s if s < 0.000_999_5 => format!("{:.0} us", s * 1e6),
        s if s < 0.9995 => format!("{s:.3} s"),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3599.5 => {
            let s = s.round() as u64;
            format!("{} min {:02} s", s / 60, s % 60)
        }
        s => {
            let minutes = (s / 60.0).round() as u64;
            format!("{} h {:02} min", minutes / 60, minutes % 60)
        }
    }
}

/// A time with the digits in which a difference of some percent shows: "41.27 ns", "8.13 ms", "42.613 s".
pub fn fine_duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "-".to_string(),
        s if s < 1e-6 => format!("{:.2} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s if s < 600.0 => format!("{s:.3} s"),
        s => duration(s),
    }
}

/// An amount of memory or storage: "512 B", "1.50 GiB".
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 KiB would be written as "1024 KiB".
    while amount >= 1023.5 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{} {}", significant(amount), UNITS[unit])
}

/// A throughput, the unit not included: three significant digits, "0.00123" or "41.2" or "1250".
pub fn rate(per_unit: f64) -> String {
    if per_unit.is_finite() { significant(per_unit) } else { "-".to_string() }
}

/// A ratio as a percentage: "187 %", "0.43 %".
pub fn percent(ratio: f64) -> String {
    if ratio.is_finite() { format!("{} %", significant(ratio * 100.0)) } else { "-".to_string() }
}

/// An interval of the median of so many samples, in words: that of a few is the range from the smallest to the largest and says so.
pub fn interval(ends: (f64, f64), samples: usize, figure: fn(f64) -> String) -> String {
    let of_few = if samples < ENOUGH { format!(" (range of {samples})") } else { String::new() };
    format!("{} to {}{of_few}", figure(ends.0), figure(ends.1))
}

/// A set of numbers such as CPUs, as ranges: "0-3,8".
pub fn ranges(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let runs = sorted.chunk_by(|a, b| a + 1 == *b);
    let text: Vec<String> = runs
        .map(|run| match (run[0], run[run.len() - 1]) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    text.join(",")
}

/// Three significant digits without an exponent; whole numbers keep all their digits.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    let exponent = |value: f64| value.abs().log10().floor() as i32;
    let decimals = |exponent: i32| (2 - exponent).clamp(0, 12) as usize;
    let first = format!("{value:.*}", decimals(exponent(value)));
    // 9.996 became "10.00": one digit fewer is three again.
    match first.parse::<f64>() {
        Ok(rounded) if rounded != 0.0 => format!("{value:.*}", decimals(exponent(rounded))),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_change_their_form_where_they_round_up() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000034, "34 us"),
            (0.0009996, "0.001 s"),
            (0.0342, "0.034 s"),
            (0.9996, "1.00 s"),
            (9.994, "9.99 s"),
            (9.996, "10.0 s"),
            (12.34, "12.3 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 00 s"),
            (185.2, "3 min 05 s"),
            (3599.4, "59 min 59 s"),
            (3599.6, "1 h 00 min"),
            (9060.0, "2 h 31 min"),
            (360_000.0, "100 h 00 min"),
            (-12.34, "-12.3 s"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_time_to_compare_keeps_three_digits_behind_a_second() {
        for (seconds, text) in [
            (4.127e-8, "41.27 ns"),
            (3.4e-5, "34.00 us"),
            (0.0342, "34.20 ms"),
            (42.6132, "42.613 s"),
            (599.9, "599.900 s"),
            (9060.0, "2 h 31 min"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(fine_duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn amounts_have_three_digits_and_a_binary_unit() {
        for (amount, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_610_612_736, "1.50 GiB"),
            (1_048_575, "1.00 MiB"),
            (1000 << 20, "1000 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(amount), text, "{amount}");
        }
        for (value, text) in [
            (0.0, "0"),
            (0.001234, "0.00123"),
            (9.996, "10.0"),
            (41.23, "41.2"),
            (1250.4, "1250"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(rate(value), text, "{value}");
        }
        assert_eq!(percent(1.873), "187 %");
        assert_eq!(percent(0.0043), "0.430 %");
    }

    #[test]
    fn cpus_are_written_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[8, 0, 1, 2, 3, 3]), "0-3,8");
        assert_eq!(ranges(&[usize::MAX, 5]), format!("5,{}", usize::MAX));
    }

    proptest! {
        #[test]
        fn any_figure_can_be_written(value in any::<f64>(), amount in any::<u64>()) {
            prop_assert!(!duration(value).is_empty());
            prop_assert!(!rate(value).is_empty());
            prop_assert!(bytes(amount).len() <= "1023 MiB".len());
        }
    }
}
