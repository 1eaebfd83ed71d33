//! What `sealbench import` prints.

use super::table::{Align, table};
use super::units;
use crate::import::overlap::Rate;
use crate::import::record::{CORES, LOG};
use crate::trial::record::Record;

/// Rows of runs that are printed; the records have all.
pub const MAX_ROWS: usize = 60;

/// The phases of the first imported runs, one a row; `all` is how many they are.
pub fn runs(records: &[Record], all: usize) -> String {
    let columns = [
        ("log", Align::Left),
        ("phase", Align::Left),
        ("cores", Align::Right),
        ("began (UTC)", Align::Left),
        ("time", Align::Right),
        ("beside", Align::Right),
    ];
    let cells = |record: &Record| -> Vec<Vec<String>> {
        let setting = |name| record.spec.settings.get(name).cloned().unwrap_or_default();
        let row = |phase: &crate::trial::record::PhaseRecord| {
            let began = phase.started_at.get(..19).unwrap_or(&phase.started_at).replace('T', " ");
            vec![
                setting(LOG),
                phase.phase.to_string(),
                setting(CORES),
                if crate::import::record::has_times(record) { began } else { String::new() },
                units::duration(phase.wall_s),
                if phase.concurrent > 1 { (phase.concurrent - 1).to_string() } else { String::new() },
            ]
        };
        record.phases.iter().map(row).collect()
    };
    let more = all.saturating_sub(MAX_ROWS);
    let mut text = table(&columns, records.iter().flat_map(cells).take(MAX_ROWS));
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text
}

/// What they put out, and whether a machine ever did.
pub fn rates(rates: &[Rate]) -> String {
    let columns = [
        ("phase", Align::Left),
        ("sector", Align::Left),
        ("cores", Align::Right),
        ("instances", Align::Right),
        ("sectors/h", Align::Right),
        ("median", Align::Right),
        ("at once", Align::Right),
        ("overlap", Align::Right),
        ("side by side", Align::Left),
    ];
    let cells = |rate: &Rate| {
        let timed = rate.instances > 1 && rate.at_once.is_some();
        vec![
            rate.phase.to_string(),
            rate.sector_size.to_string(),
            rate.cores.map_or_else(String::new, |cores| cores.to_string()),
            rate.instances.to_string(),
            figure(rate.sectors_per_h),
            units::duration(rate.median_s),
            rate.at_once.map_or_else(String::new, |most| most.to_string()),
            if timed { units::percent(rate.overlap) } else { String::new() },
            rate.together.words().to_string(),
        ]
    };
    table(&columns, rates.iter().map(cells))
}

/// Sectors per hour: three decimals, as the layouts of a sweep differ by little; small sectors come in thousands.
fn figure(per_h: f64) -> String {
    if per_h < 1000.0 { format!("{per_h:.3}") } else { units::rate(per_h) }
}
