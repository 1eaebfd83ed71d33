//! Quantities with their units, as people write them in a scenario. A unit that does not say whether it is binary or decimal is refused:
//! what a plan gets wrong by GB for GiB is 7 %, by TB for TiB 10 %, by PB for PiB 12.6 %.

/// Seconds of a day.
pub const DAY_S: f64 = 86_400.0;

/// One GiB, bytes.
pub const GIB: f64 = (1u64 << 30) as f64;

/// Binary units by exponent of 1024.
const BINARY: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Decimal units by exponent of 1000.
const DECIMAL: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// The largest number that a scenario may hold; what is larger is a slip.
const LARGEST: f64 = 1e15;

/// Which units a size may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Sectors and memory are counted in powers of 1024.
    Binary,
    /// Disks are sold in decimal units: either, as long as it says which.
    Either,
}

/// A number and its unit: "64 GiB" or "64GiB".
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let value: f64 = match number.parse() {
        Ok(value) if number.starts_with(|c: char| c.is_ascii_digit()) => value,
        _ => return Err(format!("'{}' does not begin with a number", text.escape_debug())),
    };
    if value > LARGEST {
        return Err(format!("{number} is out of range"));
    }
    Ok((value, unit))
}

/// A size in bytes: "64 GiB", and with [`Units::Either`] "2 TB" too.
pub fn size(text: &str, units: Units) -> Result<f64, String> {
    let (value, unit) = split(text)?;
    match bytes_of(unit, units) {
        Ok(factor) => Ok(value * factor),
        Err(why) => Err(format!("'{}': {why}", text.escape_debug())),
    }
}

/// Bytes of a unit.
fn bytes_of(unit: &str, units: Units) -> Result<f64, String> {
    let place = |names: &[&str]| names.iter().position(|name| *name == unit);
    if unit == "B" {
        return Ok(1.0);
    }
    if let Some(exponent) = place(&BINARY) {
        return Ok(1024f64.powi(exponent as i32 + 1));
    }
    if let Some(exponent) = place(&DECIMAL) {
        let (binary, decimal) = (1024f64.powi(exponent as i32 + 1), 1000f64.powi(exponent as i32 + 1));
        if units == Units::Either {
            return Ok(decimal);
        }
        return Err(format!(
            "{unit} is decimal and this is counted in binary units: write {} (1 {unit} is {:.3} {0})",
            BINARY[exponent],
            decimal / binary
        ));
    }
    let upper = unit.to_ascii_uppercase();
    let exponent = upper.chars().next().and_then(|letter| "KMGTPE".find(letter));
    match exponent {
        Some(exponent) if ["", "B", "I", "IB"].contains(&&upper[1..]) => {
            let (binary, decimal) = (BINARY[exponent], DECIMAL[exponent]);
            let also = if units == Units::Either { format!(" or {decimal} (powers of 1000)") } else { String::new() };
            Err(format!("'{unit}' does not say whether it is binary or decimal: write {binary} (powers of 1024){also}"))
        }
        _ if unit.is_empty() => Err("it has no unit: write for example GiB".into()),
        _ => Err(format!("'{}' is no unit of size: write for example GiB", unit.escape_debug())),
    }
}

/// A rate in bytes per second: "480 MB/s", "270 MiB/s", "25 Gbit/s".
pub fn byte_rate(text: &str) -> Result<f64, String> {
    let wrong = |why: String| format!("'{}': {why}", text.escape_debug());
    let (value, unit) = split(text)?;
    let Some(unit) = unit.strip_suffix("/s") else {
        return Err(wrong("a rate is an amount per second: write for example 480 MB/s".into()));
    };
    if let Some(prefix) = unit.strip_suffix("bit") {
        let bits = match prefix {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            _ => return Err(wrong(format!("'{}bit' is no unit: write Mbit/s or Gbit/s", prefix.escape_debug()))),
        };
        return Ok(value * bits / 8.0);
    }
    if ["kb", "Kb", "Mb", "Gb", "Tb"].contains(&unit) {
        return Err(wrong(format!("'{unit}' may be bits or bytes: write {}bit/s or {}B/s", &unit[..1], &unit[..1])));
    }
    bytes_of(unit, Units::Either).map(|factor| value * factor).map_err(wrong)
}

/// A time in seconds: "75 min", "2.5 h", "2 h 30 min", "21 days". A month has `month_s`; a year has 365 days.
pub fn duration(text: &str, month_s: f64) -> Result<f64, String> {
    let mut rest = text.trim();
    let mut total = 0.0;
    loop {
        let (value, after) = split(rest)?;
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        total += value * seconds_of(&after[..end], month_s).map_err(|e| format!("'{}': {e}", text.escape_debug()))?;
        rest = after[end..].trim();
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

/// Seconds of a unit of time.
fn seconds_of(unit: &str, month_s: f64) -> Result<f64, String> {
    match unit {
        "ms" => Ok(1e-3),
        "s" | "second" | "seconds" => Ok(1.0),
        "min" | "minute" | "minutes" => Ok(60.0),
        "h" | "hour" | "hours" => Ok(3600.0),
        "d" | "day" | "days" => Ok(DAY_S),
        "week" | "weeks" => Ok(7.0 * DAY_S),
        "month" | "months" => Ok(month_s),
        "year" | "years" => Ok(365.0 * DAY_S),
        "" => Err("it has no unit: write s, min, h or days".into()),
        "m" => Err("'m' may be minutes or months: write min or months".into()),
        _ => Err(format!("'{}' is no unit of time: write s, min, h or days", unit.escape_debug())),
    }
}

/// A target in sectors per hour: "1 PiB per 21 days", "34 TiB/day", "1092 sectors/day", "65 sectors per hour".
pub fn target(text: &str, sector_bytes: f64, month_s: f64) -> Result<f64, String> {
    let wrong = |why: String| format!("'{}': {why}", text.escape_debug());
    let Some((amount, period)) = text.split_once('/').or_else(|| text.split_once(" per ")) else {
        return Err(wrong("a target is an amount per time: write for example 1 PiB per 30 days".into()));
    };
    let (value, unit) = split(amount)?;
    let sectors = match unit {
        "sector" | "sectors" => value,
        unit => value * bytes_of(unit, Units::Binary).map_err(wrong)? / sector_bytes,
    };
    let period = period.trim();
    // "per day" is "per 1 day".
    let one = period.starts_with(|c: char| c.is_alphabetic());
    let seconds = duration(&if one { format!("1 {period}") } else { period.to_string() }, month_s)?;
    if seconds <= 0.0 {
        return Err(wrong("the time is zero".into()));
    }
    if sectors <= 0.0 {
        return Err(wrong("a target of 0 needs no machine: name what is to be put out".into()));
    }
    Ok(sectors / seconds * 3600.0)
}

/// Electric power in watts: "700 W", "1.2 kW".
pub fn power(text: &str) -> Result<f64, String> {
    match split(text)? {
        (value, "W") => Ok(value),
        (value, "kW") => Ok(value * 1000.0),
        _ => Err(format!("'{}' is no power: write W or kW", text.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: f64 = 30.0 * DAY_S;
    const SECTOR: f64 = 32.0 * GIB;

    #[test]
    fn gib_and_gb_are_told_apart() {
        assert_eq!(size("64 GiB", Units::Binary), Ok(64.0 * GIB));
        assert_eq!(size("1.5TiB", Units::Either), Ok(1536.0 * GIB));
        assert_eq!(size("2 TB", Units::Either), Ok(2e12));
        assert_eq!(size("512 B", Units::Binary), Ok(512.0));
        let of = |text: &str, units| size(text, units).unwrap_err();
        assert_eq!(
            of("64 GB", Units::Binary),
            "'64 GB': GB is decimal and this is counted in binary units: write GiB (1 GB is 0.931 GiB)"
        );
        assert_eq!(
            of("64G", Units::Binary),
            "'64G': 'G' does not say whether it is binary or decimal: write GiB (powers of 1024)"
        );
        assert!(of("64 gb", Units::Either).ends_with("write GiB (powers of 1024) or GB (powers of 1000)"));
        for (text, part) in [
            ("64", "no unit"),
            ("GiB", "does not begin with a number"),
            ("-1 GiB", "does not begin"),
            (".5 GiB", "does not begin"),
            ("1.2.3 GiB", "does not begin"),
            ("9999999999999999 GiB", "out of range"),
            ("1 GiBs", "no unit of size"),
            ("1 furlong", "no unit of size"),
            ("1 é", "no unit of size"),
            ("", "does not begin"),
        ] {
            assert!(of(text, Units::Binary).contains(part), "{text}: {}", of(text, Units::Binary));
        }
    }

    #[test]
    fn bits_and_bytes_are_told_apart() {
        assert_eq!(byte_rate("480 MB/s"), Ok(480e6));
        assert_eq!(byte_rate("270 MiB/s"), Ok(270.0 * 1024.0 * 1024.0));
        assert_eq!(byte_rate("10 Gbit/s"), Ok(1.25e9));
        for (text, part) in [
            ("10 Gb/s", "'Gb' may be bits or bytes: write Gbit/s or GB/s"),
            ("10 G/s", "does not say"),
            ("10 GB", "per second"),
            ("10 Qbit/s", "no unit"),
        ] {
            assert!(byte_rate(text).unwrap_err().contains(part), "{text}: {:?}", byte_rate(text));
        }
    }

    #[test]
    fn times_add_up_and_a_month_is_what_the_scenario_says() {
        assert_eq!(duration("75 min", MONTH), Ok(4500.0));
        assert_eq!(duration("2 h 30min", MONTH), Ok(9000.0));
        assert_eq!(duration("1 month", MONTH), Ok(2_592_000.0));
        assert!(duration("5 m", MONTH).unwrap_err().contains("minutes or months"));
        assert!(duration("5 min x", MONTH).is_err() && duration("5", MONTH).unwrap_err().contains("no unit"));
        assert!(duration("5 min é", MONTH).is_err());
    }

    #[test]
    fn targets_are_sectors_per_hour() {
        let of = |text: &str| target(text, SECTOR, MONTH).unwrap();
        assert!((of("1 PiB per 21 days") - 32768.0 / 504.0).abs() < 1e-12);
        assert!((of("1 PiB/month") * 24.0 - 1_092.266_666_7).abs() < 1e-6);
        assert!((of("34.1333333 TiB/day") * 24.0 - 1_092.266_666).abs() < 1e-5);
        assert_eq!(of("1092 sectors/day"), 45.5);
        assert_eq!(of("65 sectors per hour"), 65.0);
        for (text, part) in [
            ("0 PiB per 30 days", "target of 0"),
            ("0 sectors/day", "target of 0"),
            ("1 PiB per 0 days", "time is zero"),
            ("1 PB per 30 days", "PB is decimal"),
            ("1 P per month", "does not say"),
            ("1 PiB", "amount per time"),
        ] {
            let error = target(text, SECTOR, MONTH).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn power_is_watts() {
        assert_eq!((power("700 W"), power("1.5kW")), (Ok(700.0), Ok(1500.0)));
        assert!(power("700").is_err() && power("1 VA").is_err());
    }
}
