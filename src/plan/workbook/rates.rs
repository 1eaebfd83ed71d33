//! The sheet "Rates": what was measured or typed, with its origin. A layout's figures follow from these cells.

use rust_xlsxwriter::XlsxError;

use super::page::{Look, Page};
use super::term::Term;
use crate::phase::Phase;
use crate::plan::rates::Rate;
use crate::plan::scenario::Scenario;

/// The cells of the rates.
pub struct Rates<'a> {
    rates: &'a [Rate],
    /// Sectors per hour of one instance: at the median, at the lower end of the interval.
    cells: Vec<[Term; 2]>,
}

/// At which rates something is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the medians.
    Median,
    /// With every rate at the lower end of its interval.
    Bound,
}

impl Rates<'_> {
    /// The cell with a rate; `None` if the sheet does not have it.
    pub fn cell(&self, rate: &Rate, at: At) -> Option<&Term> {
        let place = self.rates.iter().position(|known| known == rate)?;
        Some(&self.cells[place][at as usize])
    }

    /// The longest time of a sector in p4, hours: so long a sector that waits for another machine's proof holds its storage.
    pub fn longest_proof_h(&self, scenario: &Scenario, at: At) -> Term {
        let proofs =
            self.rates.iter().zip(&self.cells).filter(|(rate, _)| rate.phase == Phase::P4 && scenario.plans(Phase::P4));
        let times = proofs.map(|(_, cells)| &Term::number(1.0) / &cells[at as usize]);
        Term::max(&times.collect::<Vec<_>>()).unwrap_or(Term::number(0.0))
    }
}

const COLUMNS: [&str; 15] = [
    "Phase",
    "Models",
    "Cores",
    "Instances side by side",
    "Sectors together",
    "Sectors/h of one instance",
    "95 % from",
    "to",
    "Used at the lower end",
    "Minutes per run",
    "n",
    "CV",
    "Origin",
    "Source",
    "Remark",
];

/// Fills the sheet.
pub fn write<'a>(scenario: &Scenario, rates: &'a [Rate]) -> Result<(Page, Rates<'a>), XlsxError> {
    let mut page =
        Page::new("Rates", &[8.0, 22.0, 8.0, 10.0, 10.0, 12.0, 10.0, 10.0, 12.0, 10.0, 6.0, 8.0, 12.0, 40.0, 30.0])?;
    page.heading(0, "Rates of one instance")?;
    page.remark(1, 0, &format!("Sectors of {:.0} GiB.", scenario.sector_bytes / crate::plan::quantity::GIB))?;
    page.columns(2, &COLUMNS.map(String::from))?;
    page.sheet().set_freeze_panes(3, 0)?;
    let cells = (3..).zip(rates).map(|(row, rate)| line(&mut page, row, rate)).collect::<Result<_, _>>()?;
    Ok((page, Rates { rates, cells }))
}

fn line(page: &mut Page, row: u32, rate: &Rate) -> Result<[Term; 2], XlsxError> {
    page.text(row, 0, rate.phase.name())?;
    page.text(row, 1, &if rate.skus.is_empty() { "all".to_string() } else { rate.skus.join(", ") })?;
    page.number(row, 2, f64::from(rate.cores), Look::Count)?;
    page.number(row, 3, f64::from(rate.instances), Look::Count)?;
    let batch = page.number(row, 4, f64::from(rate.batch), Look::Count)?;
    let median = page.number(row, 5, rate.sectors_per_h, Look::Input)?;
    let low = match rate.interval {
        Some(interval) => {
            let low = page.number(row, 6, interval.low, Look::Input)?;
            page.number(row, 7, interval.high, Look::Input)?;
            page.formula(row, 8, &low, Look::Figure)?
        }
        None => page.formula(row, 8, &median, Look::Figure)?,
    };
    page.formula(row, 9, &(&(&Term::number(60.0) * &batch) / &median), Look::Figure)?;
    page.number(row, 10, f64::from(rate.n), Look::Count)?;
    if let Some(cv) = rate.cv {
        page.number(row, 11, cv, Look::Share)?;
    }
    page.text(row, 12, rate.origin.name())?;
    page.text(row, 13, &rate.source.join(", "))?;
    let at_once = rate.partitions_at_once.map(|k| format!("{k} partitions at once"));
    let concurrent = match rate.concurrent {
        Some(true) => Some("concurrent".to_string()),
        Some(false) => Some("not concurrent".to_string()),
        None => None,
    };
    let remark: Vec<String> = [rate.variant.clone(), at_once, concurrent].into_iter().flatten().collect();
    page.text(row, 14, &remark.join(", "))?;
    Ok([median, low])
}
