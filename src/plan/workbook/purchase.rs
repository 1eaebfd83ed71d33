//! The sheet "Purchase plan": machines of each model by live formulas, money and power.

use rust_xlsxwriter::{Chart, XlsxError};

use super::counts::{Needs, Part};
use super::inputs::Inputs;
use super::layouts::{Chosen, Sources};
use super::page::{Look, Page};
use super::term::Term;
use crate::plan::layout::Stage;

/// Column of the first of the stages' outputs; the numbers of machines follow.
const STAGES: u16 = 3;

/// Machines of a model.
struct Bought {
    row: u32,
    machines: Term,
    money: Term,
    energy: Term,
    power: Term,
    rack_units: Term,
}

/// Fills the sheet; returns the cells with the numbers of working machines, one per layout of the purchase.
pub fn write(sources: &Sources, inputs: &Inputs, chosen: &[Chosen]) -> Result<(Page, Vec<Term>), XlsxError> {
    let mut widths = vec![14.0; 16];
    (widths[0], widths[1], widths[2]) = (24.0, 8.0, 44.0);
    let mut page = Page::new("Purchase plan", &widths)?;
    page.heading(0, "Purchase plan")?;
    page.remark(
        1,
        0,
        &format!("Target: {}. All of it follows from Inputs, Rates and Layouts.", sources.scenario.target),
    )?;
    let stages = Stage::of(sources.scenario);
    let counts = layouts(&mut page, sources, inputs, chosen, &stages)?;
    let row = 5 + chosen.len() as u32;
    enough(&mut page, row, sources, inputs, chosen, &counts[0], &stages)?;
    models(&mut page, row + 3 + stages.len() as u32, sources, inputs, chosen, &counts)?;
    let [working, _] = counts;
    Ok((page, working))
}

/// One line for each layout of the purchase.
fn layouts(
    page: &mut Page,
    sources: &Sources,
    inputs: &Inputs,
    chosen: &[Chosen],
    stages: &[Stage],
) -> Result<[Vec<Term>; 2], XlsxError> {
    const TOP: u32 = 3;
    let mut names: Vec<String> = ["Model", "Layout no.", "Layout"].map(String::from).to_vec();
    names.extend(stages.iter().map(|stage| format!("{}, sectors/h of a machine", stage.label(sources.scenario))));
    names.extend(["Machines", "Machines with all rates at their lower ends", "Machines in the plan"].map(String::from));
    page.columns(TOP, &names)?;
    let parts = |at: usize| {
        let part = |chosen: &Chosen| Part { planned: chosen.machines, per_h: chosen.per_h[at].clone() };
        chosen.iter().map(part).collect::<Vec<_>>()
    };
    let needs = Needs { demand: inputs.demand_per_h.clone(), planned: inputs.demand_per_h.value(), base: parts(0) };
    let count_column = STAGES + stages.len() as u16;
    let mut counts = [Vec::new(), Vec::new()];
    for (at, cells) in counts.iter_mut().enumerate() {
        let column = count_column + at as u16;
        let names: Vec<String> = (0..chosen.len() as u32).map(|line| page.cell(TOP + 1 + line, column)).collect();
        let place = |line: usize, value: f64| Term::reference(names[line].clone(), value);
        for (row, term) in (TOP + 1..).zip(needs.counts(&parts(at), &place)) {
            cells.push(page.formula(row, column, &term, if at == 0 { Look::Result } else { Look::Count })?);
        }
    }
    for (row, chosen) in (TOP + 1..).zip(chosen) {
        page.text(row, 0, &chosen.layout.sku)?;
        page.number(row, 1, f64::from(chosen.number), Look::Count)?;
        page.text(row, 2, &chosen.layout.label())?;
        for (column, term) in (STAGES..).zip(&chosen.per_h[0]) {
            page.formula(row, column, term, Look::Figure)?;
        }
        page.number(row, count_column + 2, f64::from(chosen.machines), Look::Count)?;
    }
    Ok(counts)
}

/// One line for each stage: what is needed, what the machines can do.
fn enough(
    page: &mut Page,
    row: u32,
    sources: &Sources,
    inputs: &Inputs,
    chosen: &[Chosen],
    counts: &[Term],
    stages: &[Stage],
) -> Result<(), XlsxError> {
    let names = ["Stage", "", "", "Demand, sectors/h", "Machines can do, sectors/h", "Load", "Enough"];
    page.columns(row, &names.map(String::from))?;
    for (index, stage) in stages.iter().enumerate() {
        let row = row + 1 + index as u32;
        page.text(row, 0, &stage.label(sources.scenario))?;
        let demand = page.formula(row, 3, &inputs.demand_per_h, Look::Figure)?;
        let given = chosen.iter().zip(counts).map(|(chosen, count)| count * &chosen.per_h[0][index]);
        let given = page.formula(row, 4, &Term::sum(given), Look::Figure)?;
        page.formula(row, 5, &(&demand / &given), Look::Share)?;
        let condition = format!("{}>={}*0.999999998", given.text(), demand.text());
        page.choice(row, 6, &condition, given.value() >= demand.value() * 0.999_999_998, ["yes", "no"])?;
    }
    Ok(())
}

/// One line for each model in use, and their sum.
fn models(
    page: &mut Page,
    row: u32,
    sources: &Sources,
    inputs: &Inputs,
    chosen: &[Chosen],
    counts: &[Vec<Term>; 2],
) -> Result<(), XlsxError> {
    let currency = &sources.scenario.prices.currency;
    let money = [format!("Purchase, {currency}"), format!("Energy, {currency}"), format!("Together, {currency}")];
    let names = ["Model", "", "", "Working", "In reserve", "All", "There already", "To buy"].map(String::from);
    let last = ["Power, kW", "Rack units", "To buy with all rates at their lower ends", "Can be had", "Price is known"]
        .map(String::from);
    page.columns(row, &[&names[..], &money, &last].concat())?;
    let mut used: Vec<usize> = chosen.iter().map(|chosen| chosen.model).collect();
    used.dedup();
    let bought: Vec<Bought> = (row + 1..)
        .zip(&used)
        .map(|(row, model)| model_line(page, row, *model, sources, inputs, chosen, counts))
        .collect::<Result<_, _>>()?;
    total(page, row + 1 + bought.len() as u32, &bought)?;
    if let (Some(first), Some(last)) = (bought.first(), bought.last()) {
        charts(page, row + 4 + bought.len() as u32, first.row, last.row)?;
    }
    Ok(())
}

fn model_line(
    page: &mut Page,
    row: u32,
    model: usize,
    sources: &Sources,
    inputs: &Inputs,
    chosen: &[Chosen],
    counts: &[Vec<Term>; 2],
) -> Result<Bought, XlsxError> {
    let cells = &inputs.models[model];
    let working = |at: usize| {
        let of_model = chosen.iter().zip(&counts[at]).filter(|(chosen, _)| chosen.model == model);
        Term::sum(of_model.map(|(_, count)| count.clone()))
    };
    let to_buy = |all: &Term| (all - &cells.owned).at_least_zero();
    page.text(row, 0, &sources.scenario.skus[model].name)?;
    let work = page.formula(row, 3, &working(0), Look::Count)?;
    let reserve = page.formula(row, 4, &inputs.spares.if_any(&work), Look::Count)?;
    let all = page.formula(row, 5, &(&work + &reserve), Look::Count)?;
    page.formula(row, 6, &cells.owned, Look::Count)?;
    let buy = page.formula(row, 7, &to_buy(&all), Look::Result)?;
    let purchase = page.formula(row, 8, &(&buy * &cells.price), Look::Money)?;
    let kwh = &(&cells.power * &inputs.period_h) / &Term::number(1000.0);
    let energy = &(&kwh * &inputs.kwh) * &inputs.pue;
    let energy = page.formula(row, 9, &(&all * &energy), Look::Money)?;
    page.formula(row, 10, &(&purchase + &energy), Look::Money)?;
    let power = page.formula(row, 11, &(&(&all * &cells.power) / &Term::number(1000.0)), Look::Figure)?;
    let rack_units = page.formula(row, 12, &(&all * &cells.rack_units), Look::Count)?;
    let bound = working(1);
    page.formula(row, 13, &to_buy(&(&bound + &inputs.spares.if_any(&bound))), Look::Count)?;
    let available = sources.scenario.skus[model].available.map_or(f64::INFINITY, f64::from);
    // An empty cell is no limit.
    let condition = format!("OR(ISBLANK({0}),{1}<={0})", cells.available.text(), all.text());
    page.choice(row, 14, &condition, all.value() <= available, ["yes", "no"])?;
    let condition = format!("ISNUMBER({})", cells.price.text());
    page.choice(row, 15, &condition, sources.scenario.skus[model].price.is_some(), ["yes", "no"])?;
    Ok(Bought { row, machines: all, money: purchase, energy, power, rack_units })
}

fn total(page: &mut Page, row: u32, bought: &[Bought]) -> Result<(), XlsxError> {
    let sum = |of: fn(&Bought) -> &Term| Term::sum(bought.iter().map(|bought| of(bought).clone()));
    page.text(row, 0, "All models")?;
    page.formula(row, 5, &sum(|b| &b.machines), Look::Result)?;
    let money = page.formula(row, 8, &sum(|b| &b.money), Look::Money)?;
    let energy = page.formula(row, 9, &sum(|b| &b.energy), Look::Money)?;
    page.formula(row, 10, &(&money + &energy), Look::Money)?;
    page.formula(row, 11, &sum(|b| &b.power), Look::Figure)?;
    page.formula(row, 12, &sum(|b| &b.rack_units), Look::Count).map(|_| ())
}

/// Fixed words alone: a name that looks like a range would be read as one.
fn charts(page: &mut Page, row: u32, first: u32, last: u32) -> Result<(), XlsxError> {
    for (index, title, columns) in [(0, "Machines", [5, 13]), (1, "Money", [8, 9])] {
        let mut chart = Chart::new_column();
        chart.title().set_name(title);
        for column in columns {
            let name = match column {
                5 => "all",
                13 => "to buy at the lower ends of the rates",
                8 => "purchase",
                _ => "energy",
            };
            chart.add_series().set_name(name).set_categories(("Purchase plan", first, 0, last, 0)).set_values((
                "Purchase plan",
                first,
                column,
                last,
                column,
            ));
        }
        page.sheet().insert_chart(row, 3 * index, &chart)?;
    }
    Ok(())
}
