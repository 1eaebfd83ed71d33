//! The sheet "Simulation": output per day, and how busy everything was.

use rust_xlsxwriter::{Chart, XlsxError};

use super::inputs::Inputs;
use super::page::{Look, Page};
use super::term::Term;
use crate::plan::quantity::GIB;
use crate::plan::simulate::Simulation;

/// Fills the sheet.
pub fn write(inputs: &Inputs, simulation: Option<&Simulation>) -> Result<Page, XlsxError> {
    let mut page = Page::new("Simulation", &[16.0, 16.0, 16.0, 16.0, 4.0, 26.0, 44.0, 14.0, 14.0])?;
    page.heading(0, "Simulation of the plan")?;
    let Some(simulation) = simulation else {
        page.text(1, 0, "The plan was not simulated.")?;
        return Ok(page);
    };
    page.text(1, 0, &simulation.verdict)?;
    page.remark(2, 0, "Simulated with the plan's own inputs; changed inputs change the target beside it alone.")?;
    days(&mut page, inputs, simulation)?;
    beside(&mut page, simulation)?;
    Ok(page)
}

fn days(page: &mut Page, inputs: &Inputs, simulation: &Simulation) -> Result<(), XlsxError> {
    const TOP: u32 = 4;
    page.columns(TOP, &["Day", "Finished sectors", "All until then", "Target, sectors/day"].map(String::from))?;
    page.sheet().set_freeze_panes(TOP + 1, 0)?;
    let mut until: Option<Term> = None;
    for (row, (day, finished)) in (TOP + 1..).zip((1u32..).zip(&simulation.output_per_day)) {
        page.number(row, 0, f64::from(day), Look::Count)?;
        let finished = page.number(row, 1, f64::from(*finished), Look::Count)?;
        let sum = until.map_or_else(|| finished.clone(), |until| &until + &finished);
        until = Some(page.formula(row, 2, &sum, Look::Count)?);
        page.formula(row, 3, &inputs.target_per_day, Look::Figure)?;
    }
    let last = TOP + simulation.output_per_day.len() as u32;
    if last == TOP {
        return Ok(());
    }
    let mut chart = Chart::new_line();
    chart.title().set_name("Finished sectors per day");
    chart.x_axis().set_name("day");
    for (name, column) in [("simulated", 1), ("target", 3)] {
        chart.add_series().set_name(name).set_categories(("Simulation", TOP + 1, 0, last, 0)).set_values((
            "Simulation",
            TOP + 1,
            column,
            last,
            column,
        ));
    }
    chart.set_width(720);
    page.sheet().insert_chart(TOP, 10, &chart).map(|_| ())
}

/// Tables beside the days.
fn beside(page: &mut Page, simulation: &Simulation) -> Result<(), XlsxError> {
    const LEFT: u16 = 5;
    let mut row = 4;
    let first = simulation.first_sector_h;
    for (words, value) in [
        ("First sector finished after, h", first),
        ("Finished per day, steady", Some(simulation.steady_per_day)),
        ("counted from, h", Some(simulation.steady_from_h)),
        ("Failures of machines", Some(simulation.machine_failures as f64)),
        ("Sectors that failed", Some(simulation.failed_sectors as f64)),
    ] {
        page.text(row, LEFT, words)?;
        if let Some(value) = value {
            page.number(row, LEFT + 1, value, Look::Figure)?;
        }
        row += 1;
    }
    row += 1;
    for lane in &simulation.utilisation {
        page.text(row, LEFT, &lane.sku)?;
        page.text(row, LEFT + 1, &lane.lane)?;
        page.number(row, LEFT + 2, lane.share, Look::Share)?;
        page.remark(row, LEFT + 3, "of the time")?;
        row += 1;
    }
    row += 1;
    for level in &simulation.in_flight {
        page.text(row, LEFT, &level.place)?;
        page.remark(row, LEFT + 1, "sectors: mean, most")?;
        page.number(row, LEFT + 2, level.mean, Look::Figure)?;
        page.number(row, LEFT + 3, level.peak as f64, Look::Count)?;
        row += 1;
    }
    row += 1;
    for scratch in &simulation.scratch {
        page.text(row, LEFT, &scratch.sku)?;
        page.remark(row, LEFT + 1, "scratch, TiB: mean, most")?;
        page.number(row, LEFT + 2, scratch.mean_bytes / GIB / 1024.0, Look::Figure)?;
        page.number(row, LEFT + 3, scratch.peak_bytes / GIB / 1024.0, Look::Figure)?;
        row += 1;
    }
    Ok(())
}
