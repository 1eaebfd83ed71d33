//! The plan as a workbook that purchasing can change: inputs as named cells, machines as formulas of inputs and rates, every formula with its
//! value. The same plan gives the same bytes.

mod counts;
mod inputs;
mod layouts;
mod operations;
mod page;
mod purchase;
mod rates;
mod simulation;
mod term;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};

use layouts::Sources;

use super::planner::Plan;
use crate::report::chart::text::clean;

/// The bytes of the workbook (.xlsx). Fails only if the format's limits are exceeded: a million lines.
pub fn workbook(plan: &Plan) -> anyhow::Result<Vec<u8>> {
    Ok(write(plan)?)
}

fn write(plan: &Plan) -> Result<Vec<u8>, XlsxError> {
    let Plan { scenario, purchase, choice, simulation, .. } = plan;
    let sources = Sources { scenario, purchase, layouts: &choice.layouts };
    let (inputs_page, inputs) = inputs::write(scenario)?;
    let (rates_page, rates) = rates::write(scenario, &choice.rates)?;
    let (layouts_page, chosen) = layouts::write(&sources, &inputs, &rates)?;
    let (purchase_page, counts) = purchase::write(&sources, &inputs, &chosen)?;
    let operations = operations::write(&sources, &chosen, &counts)?;
    let simulation = simulation::write(&inputs, simulation.as_ref())?;
    let mut book = Workbook::new();
    for page in [inputs_page, rates_page, layouts_page, purchase_page, operations, simulation] {
        book.push_worksheet(page.finish());
    }
    for (name, cell) in &inputs.names {
        book.define_name(name, &format!("={cell}"))?;
    }
    // The time of making it would make every copy of a plan another file.
    let date = ExcelDateTime::from_ymd(2000, 1, 1)?;
    let properties = DocProperties::new().set_title(clean(&scenario.title)).set_creation_datetime(&date);
    book.set_properties(&properties);
    book.save_to_buffer()
}
