//! The sheet "Ops plan": which instances a machine runs, on which cores, on which volume.

use rust_xlsxwriter::XlsxError;

use super::layouts::{Chosen, Sources};
use super::page::{Look, Page};
use super::term::Term;
use crate::plan::ops::instance::Instance;
use crate::plan::quantity::GIB;

const COLUMNS: [&str; 10] = [
    "Model",
    "Layout no.",
    "Machines",
    "Instance",
    "Phases",
    "Cores",
    "Sectors together",
    "Memory, GiB",
    "Huge pages, GiB",
    "Volume",
];

/// Fills the sheet.
pub fn write(sources: &Sources, chosen: &[Chosen], counts: &[Term]) -> Result<Page, XlsxError> {
    let mut page = Page::new("Ops plan", &[24.0, 8.0, 10.0, 14.0, 14.0, 14.0, 10.0, 12.0, 12.0, 30.0])?;
    page.heading(0, "Instances of a machine")?;
    page.remark(1, 0, "Cores count through the machine: L3 groups and NUMA nodes one after the other.")?;
    page.columns(2, &COLUMNS.map(String::from))?;
    page.sheet().set_freeze_panes(3, 0)?;
    let mut row = 3;
    for (chosen, count) in chosen.iter().zip(counts) {
        let sku = &sources.scenario.skus[chosen.model];
        for instance in Instance::all(sku, chosen.layout) {
            page.text(row, 0, &sku.name)?;
            page.number(row, 1, f64::from(chosen.number), Look::Count)?;
            page.formula(row, 2, count, Look::Count)?;
            page.text(row, 3, &instance.name)?;
            page.text(row, 4, &instance.phases())?;
            page.text(row, 5, &instance.cores())?;
            page.number(row, 6, f64::from(instance.lane.batch), Look::Count)?;
            page.number(row, 7, instance.lane.memory / GIB, Look::Count)?;
            page.number(row, 8, instance.lane.huge_memory / GIB, Look::Count)?;
            page.text(row, 9, &instance.volume.map_or_else(String::new, |volume| volume.label(sku)))?;
            row += 1;
        }
    }
    Ok(page)
}
