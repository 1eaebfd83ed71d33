//! The sheet "Inputs": what purchasing may change, each a cell with a name, and the demand that follows.

use rust_xlsxwriter::XlsxError;

use super::page::{Look, Page};
use super::term::Term;
use crate::phase::Phase;
use crate::plan::quantity::{self, DAY_S, GIB};
use crate::plan::scenario::{Scenario, Sku};

/// The named cells.
pub struct Inputs {
    /// What the machines have to be able to do, sectors per hour.
    pub demand_per_h: Term,
    /// The target, sectors per day.
    pub target_per_day: Term,
    /// From the end of p2 to the seed of c1, hours; zero where c1 is not planned.
    pub wait_seed_h: Term,
    /// Machines in reserve of each model that is used.
    pub spares: Term,
    /// Price of a kWh.
    pub kwh: Term,
    /// Energy used over energy used by the machines.
    pub pue: Term,
    /// Hours for which energy is counted.
    pub period_h: Term,
    /// By model, in the scenario's order.
    pub models: Vec<Model>,
    /// Names and the cells that they stand for.
    pub names: Vec<(String, String)>,
}

/// The named cells of a model.
pub struct Model {
    /// Price of one machine.
    pub price: Term,
    /// Power that it draws, watts.
    pub power: Term,
    /// Rack units.
    pub rack_units: Term,
    /// Machines that are there already.
    pub owned: Term,
    /// Most machines that can be had.
    pub available: Term,
}

/// A sheet under construction with its names.
struct Named {
    page: Page,
    row: u32,
    names: Vec<(String, String)>,
}

impl Named {
    /// A line with an input.
    fn input(&mut self, name: &str, words: &str, value: f64, unit: &str) -> Result<Term, XlsxError> {
        self.page.number(self.row, 1, value, Look::Input)?;
        self.line(name, words, value, unit)
    }

    /// A line with what follows from inputs.
    fn derived(&mut self, name: &str, words: &str, term: &Term, unit: &str) -> Result<Term, XlsxError> {
        self.page.formula(self.row, 1, term, Look::Figure)?;
        self.line(name, words, term.value(), unit)
    }

    fn line(&mut self, name: &str, words: &str, value: f64, unit: &str) -> Result<Term, XlsxError> {
        self.page.text(self.row, 0, words)?;
        self.page.text(self.row, 2, unit)?;
        self.page.remark(self.row, 3, name)?;
        let term = self.name(name, self.row, 1, value);
        self.row += 1;
        Ok(term)
    }

    fn name(&mut self, name: &str, row: u32, column: u16, value: f64) -> Term {
        self.names.push((name.to_string(), self.page.cell(row, column)));
        Term::reference(name, value)
    }

    /// A cell of the table of models.
    fn of_model(&mut self, name: &str, column: u16, value: Option<f64>) -> Result<Term, XlsxError> {
        match value {
            Some(value) => self.page.number(self.row, column, value, Look::Input)?,
            None => self.page.unknown(self.row, column)?,
        };
        Ok(self.name(name, self.row, column, value.unwrap_or(0.0)))
    }
}

/// The period of a target in seconds, and whether it is a number of months: "1 PiB per 21 days" has 21 days.
fn period(scenario: &Scenario) -> (f64, bool) {
    let text = scenario
        .target
        .split_once('/')
        .or_else(|| scenario.target.split_once(" per "))
        .map_or("", |(_, period)| period.trim());
    let one = text.starts_with(|c: char| c.is_alphabetic());
    let text = if one { format!("1 {text}") } else { text.to_string() };
    match quantity::duration(&text, scenario.month_s) {
        Ok(seconds) if seconds > 0.0 => (seconds, text.contains("month")),
        _ => (DAY_S, false),
    }
}

/// A figure without the noise of the operations that led to it.
fn settled(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// Fills the sheet.
pub fn write(scenario: &Scenario) -> Result<(Page, Inputs), XlsxError> {
    let page = Page::new("Inputs", &[44.0, 16.0, 16.0, 16.0, 16.0, 16.0])?;
    let mut sheet = Named { page, row: 0, names: Vec::new() };
    let title = if scenario.title.is_empty() { "Ratio plan" } else { &scenario.title };
    sheet.page.heading(0, title)?;
    sheet.page.remark(1, 0, "Yellow cells may be changed; all else follows. The layouts stay those of this plan.")?;
    sheet.row = 3;
    let target_per_h = target(&mut sheet, scenario)?;
    let (rules, prices) = (&scenario.rules, &scenario.prices);
    let availability =
        sheet.input("availability", "Share of the time in which a machine works", rules.availability, "")?;
    let failed =
        sheet.input("failed_sectors", "Share of the sectors that are sealed again", rules.failed_sectors, "")?;
    let headroom = sheet.input("headroom", "Reserve on top of the target", rules.headroom, "")?;
    let spares =
        sheet.input("spares", "Machines in reserve of each model in use", f64::from(rules.spares), "machines")?;
    let wait = if scenario.plans(Phase::C1) { rules.wait_seed_s / 3600.0 } else { 0.0 };
    let wait_seed_h = sheet.input("wait_seed_h", "Wait for the seed of c1", wait, "h")?;
    let kwh = sheet.input("price_kwh", "Price of a kWh", prices.kwh, &prices.currency)?;
    let pue = sheet.input("pue", "Energy used over energy of the machines", prices.pue, "")?;
    let days = sheet.input("energy_days", "Time for which energy is counted", prices.period_s / DAY_S, "days")?;
    let one = Term::number(1.0);
    let demand = &(&(&target_per_h * &(&one + &headroom)) / &(&one - &failed)) / &availability;
    sheet.row += 1;
    let words = "Demand: what machines that all work must be able to do";
    let demand_per_h = sheet.derived("demand_per_h", words, &demand, "sectors/h")?;
    let per_day = &target_per_h * &Term::number(24.0);
    let target_per_day = sheet.derived("target_per_day", "Target", &per_day, "sectors/day")?;
    let models = models(&mut sheet, scenario)?;
    let period_h = &days * &Term::number(24.0);
    let Named { page, names, .. } = sheet;
    let inputs = Inputs { demand_per_h, target_per_day, wait_seed_h, spares, kwh, pue, period_h, models, names };
    Ok((page, inputs))
}

/// The target: an amount in a number of days.
fn target(sheet: &mut Named, scenario: &Scenario) -> Result<Term, XlsxError> {
    let (period_s, is_months) = period(scenario);
    let sector_gib = sheet.input("sector_gib", "Size of a sector", scenario.sector_bytes / GIB, "GiB")?;
    let month = sheet.input("month_days", "Days of a month", scenario.month_s / DAY_S, "days")?;
    let gib = settled(scenario.target_per_h * period_s / 3600.0 * scenario.sector_bytes / GIB);
    let amount = sheet.input("target_tib", "Target", settled(gib / 1024.0), "TiB")?;
    let days = if is_months {
        let months = &month * &Term::number(settled(period_s / scenario.month_s));
        sheet.derived("target_days", "in so much time", &months, "days")?
    } else {
        sheet.input("target_days", "in so much time", settled(period_s / DAY_S), "days")?
    };
    let sectors = &(&amount * &Term::number(1024.0)) / &sector_gib;
    let per_h = &sectors / &(&days * &Term::number(24.0));
    sheet.derived("target_per_h", "Target", &per_h, "sectors/h")
}

fn models(sheet: &mut Named, scenario: &Scenario) -> Result<Vec<Model>, XlsxError> {
    sheet.row += 1;
    sheet.page.heading(sheet.row, "Models of machines")?;
    let price = format!("Price, {}", scenario.prices.currency);
    let columns = ["Model", &price, "Power, W", "Rack units", "There already", "Most that can be had"];
    sheet.page.columns(sheet.row + 1, &columns.map(String::from))?;
    sheet.page.remark(sheet.row, 3, "names: price_1, power_1, rack_units_1, owned_1, available_1, ...")?;
    sheet.row += 2;
    (1..).zip(&scenario.skus).map(|(number, sku)| model(sheet, number, sku)).collect()
}

fn model(sheet: &mut Named, number: usize, sku: &Sku) -> Result<Model, XlsxError> {
    sheet.page.text(sheet.row, 0, &sku.name)?;
    let model = Model {
        price: sheet.of_model(&format!("price_{number}"), 1, sku.price)?,
        power: sheet.of_model(&format!("power_{number}"), 2, sku.power)?,
        rack_units: sheet.of_model(&format!("rack_units_{number}"), 3, sku.rack_units)?,
        owned: sheet.of_model(&format!("owned_{number}"), 4, Some(f64::from(sku.owned)))?,
        available: sheet.of_model(&format!("available_{number}"), 5, sku.available.map(f64::from))?,
    };
    sheet.row += 1;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_amount_in_a_period() {
        let text = |target: &str| {
            format!(
                "target = \"{target}\"\nphases = [\"p1\"]\nminimise = \"machines\"\n[[sku]]\nname = \"a\"\ncores = 8\nmemory = \"256 GiB\"\n[[rate]]\nphase = \"p1\"\ncores = 1\ntime = \"3 h\"\n"
            )
        };
        let of = |target: &str| period(&Scenario::parse(&text(target)).unwrap());
        assert_eq!(of("1 PiB per 21 days"), (21.0 * DAY_S, false));
        assert_eq!(of("1 PiB/month"), (30.0 * DAY_S, true));
        assert_eq!(of("65 sectors per hour"), (3600.0, false));
        assert_eq!(settled(0.1 + 0.2), 0.3);
    }
}
