//! The sheet "Layouts": what a machine puts out in each of its layouts, from the rates. The formulas are those of the planner: an instance
//! takes its phases one after the other, the slowest lane of a sector's way bounds a machine, and volumes and network bound it further.

use rust_xlsxwriter::XlsxError;

use super::inputs::Inputs;
use super::page::{Look, Page};
use super::rates::{At, Rates};
use super::term::Term;
use crate::phase::Phase;
use crate::plan::layout::{Lane, MachineLayout, Stage, Volumes, network_bytes};
use crate::plan::purchase::Purchase;
use crate::plan::quantity::GIB;
use crate::plan::scenario::{Scenario, Sku};
use crate::report::chart::cores::Kind;

/// A layout of the purchase.
pub struct Chosen<'a> {
    /// Which model, in the scenario's order.
    pub model: usize,
    /// The layout.
    pub layout: &'a MachineLayout,
    /// Its number in the sheet.
    pub number: u32,
    /// Working machines in the plan.
    pub machines: u32,
    /// Sectors per hour of a machine by stage, at the medians and at the lower ends.
    pub per_h: [Vec<Term>; 2],
}

/// Kinds of lanes, each with a column.
const LANES: [(Kind, &str); 4] =
    [(Kind::P1, "p1"), (Kind::P2, "p2 + c1"), (Kind::InTurn, "p1, p2, c1 in turn"), (Kind::P4, "p4")];

/// What bounds a machine besides its instances; constants of a layout.
struct Limits {
    /// Sectors per hour that the volumes' rates let through.
    volumes_per_h: Option<f64>,
    /// Sectors for which there is room, if they are spread as the instances are.
    room: Option<f64>,
    /// By stage: sectors per hour that the network lets through if it carries nothing else.
    network_per_h: Vec<Option<f64>>,
}

impl Limits {
    fn of(scenario: &Scenario, sku: &Sku, layout: &MachineLayout) -> Limits {
        let first = layout.lanes.first().filter(|lane| !lane.phases.contains(&Phase::P4));
        let places =
            layout.core_sets.iter().filter(|set| set.lane == 0 && first.is_some()).filter_map(|set| set.volume);
        // An hour's stay: the room in sectors is then what passes in an hour.
        let volumes = Volumes::new(scenario, sku, &places.collect::<Vec<_>>(), 3600.0);
        let known = |limit: f64| limit.is_finite().then_some(limit);
        let network = |stage: Stage| {
            let bytes = network_bytes(scenario, stage);
            sku.network.filter(|_| bytes > 0.0).map(|network| network / bytes * 3600.0)
        };
        Limits {
            volumes_per_h: known(volumes.by_rate),
            room: known(volumes.by_space),
            network_per_h: Stage::of(scenario).into_iter().map(network).collect(),
        }
    }
}

/// The columns of a line, one after the other.
struct Line<'a> {
    page: &'a mut Page,
    row: u32,
    column: u16,
}

impl Line<'_> {
    fn text(&mut self, text: &str) -> Result<(), XlsxError> {
        self.page.text(self.row, self.column, text)?;
        self.column += 1;
        Ok(())
    }

    fn number(&mut self, value: Option<f64>, look: Look) -> Result<Option<Term>, XlsxError> {
        let cell = value.map(|value| self.page.number(self.row, self.column, value, look)).transpose()?;
        self.column += 1;
        Ok(cell)
    }

    fn formula(&mut self, term: Option<Term>) -> Result<Option<Term>, XlsxError> {
        let cell = term.map(|term| self.page.formula(self.row, self.column, &term, Look::Figure)).transpose()?;
        self.column += 1;
        Ok(cell)
    }
}

/// What the sheet is filled from.
pub struct Sources<'a> {
    /// What the plan was made for.
    pub scenario: &'a Scenario,
    /// The plan's purchase.
    pub purchase: &'a Purchase,
    /// By model, in the scenario's order: the layouts that no other beats.
    pub layouts: &'a [Vec<MachineLayout>],
}

impl Sources<'_> {
    /// Working machines of a layout in the plan.
    fn machines(&self, layout: &MachineLayout) -> u32 {
        let counts = self.purchase.machines.iter().flat_map(|machines| &machines.layouts);
        counts.filter(|count| count.layout == *layout).map(|count| count.machines).sum()
    }

    fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = ["Model", "No.", "Layout", "Machines planned"].map(String::from).to_vec();
        names.extend(["Volumes let through, sectors/h", "Room, sectors"].map(String::from));
        let stages = Stage::of(self.scenario);
        let label = |stage: &Stage| stage.label(self.scenario);
        names.extend(stages.iter().map(|stage| format!("Network lets through of {}, sectors/h", label(stage))));
        for at in ["", " at the lower ends"] {
            names.extend(LANES.map(|(_, lane)| format!("{lane}, sectors/h{at}")));
            names.push(format!("A sector holds storage, h{at}"));
            names.extend(stages.iter().map(|stage| format!("Machine: {}, sectors/h{at}", label(stage))));
        }
        names.extend(["Bound by", "Cores", "Memory, GiB", "Huge pages, GiB"].map(String::from));
        names
    }
}

/// Fills the sheet; returns the layouts of the purchase.
pub fn write<'a>(sources: &Sources<'a>, inputs: &Inputs, rates: &Rates) -> Result<(Page, Vec<Chosen<'a>>), XlsxError> {
    let columns = sources.columns();
    let mut widths = vec![12.0; columns.len()];
    (widths[0], widths[1], widths[2]) = (22.0, 6.0, 44.0);
    let mut page = Page::new("Layouts", &widths)?;
    page.heading(0, "Layouts of each model that no other beats")?;
    page.remark(
        1,
        0,
        "Those of the purchase have machines. Changed rates change what a layout puts out, not which ones there are.",
    )?;
    page.columns(2, &columns)?;
    page.sheet().set_freeze_panes(3, 3)?;
    let (mut row, mut chosen) = (3, Vec::new());
    for (model, layouts) in sources.layouts.iter().enumerate() {
        for (number, layout) in (1..).zip(layouts) {
            let machines = sources.machines(layout);
            let mut line = Line { page: &mut page, row, column: 0 };
            let per_h = write_line(&mut line, sources, inputs, rates, (model, number, layout, machines))?;
            row += 1;
            if machines > 0 {
                chosen.push(Chosen { model, layout, number, machines, per_h });
            }
        }
    }
    Ok((page, chosen))
}

fn write_line(
    line: &mut Line,
    sources: &Sources,
    inputs: &Inputs,
    rates: &Rates,
    (model, number, layout, machines): (usize, u32, &MachineLayout, u32),
) -> Result<[Vec<Term>; 2], XlsxError> {
    let scenario = sources.scenario;
    line.text(&layout.sku)?;
    line.number(Some(f64::from(number)), Look::Count)?;
    line.text(&layout.label())?;
    line.number((machines > 0).then_some(f64::from(machines)), Look::Count)?;
    let limits = Limits::of(scenario, &scenario.skus[model], layout);
    let volumes = line.number(limits.volumes_per_h, Look::Input)?;
    let room = line.number(limits.room, Look::Input)?;
    let network =
        limits.network_per_h.iter().map(|limit| line.number(*limit, Look::Input)).collect::<Result<Vec<_>, _>>()?;
    let output = Output { scenario, inputs, rates, layout, volumes, room, network };
    let per_h = [output.write(line, At::Median)?, output.write(line, At::Bound)?];
    let bounds = layout.bounds.iter().flatten().map(|bound| bound.label()).collect::<Vec<_>>();
    line.text(&bounds.join(", "))?;
    line.number(Some(f64::from(layout.cores)), Look::Count)?;
    line.number(Some(layout.memory / GIB), Look::Count)?;
    line.number(Some(layout.huge_memory / GIB), Look::Count)?;
    Ok(per_h)
}

/// What a machine puts out in a layout.
struct Output<'a> {
    scenario: &'a Scenario,
    inputs: &'a Inputs,
    rates: &'a Rates<'a>,
    layout: &'a MachineLayout,
    volumes: Option<Term>,
    room: Option<Term>,
    network: Vec<Option<Term>>,
}

impl Output<'_> {
    /// Writes the lanes' and the machine's output; returns the latter by stage.
    fn write(&self, line: &mut Line, at: At) -> Result<Vec<Term>, XlsxError> {
        let mut lanes = Vec::new();
        for (kind, _) in LANES {
            let lane = self.layout.lanes.iter().find(|lane| lane.kind() == kind);
            let term = lane.map(|lane| &Term::number(f64::from(lane.instances)) / &self.sector_h(lane, at));
            lanes.push(line.formula(term)?);
        }
        let [p1, p2, in_turn, p4] = &lanes[..] else { return Ok(Vec::new()) };
        let held = line.formula(p1.as_ref().or(p2.as_ref()).or(in_turn.as_ref()).map(|_| self.held_h(at)))?;
        let mut ways: Vec<Term> = [p1, p2, in_turn].into_iter().flatten().cloned().collect();
        if !ways.is_empty() {
            ways.extend(self.volumes.clone());
            ways.extend(self.room.as_ref().zip(held.as_ref()).map(|(room, held)| room / held));
        }
        let precommit = Term::min(&ways);
        let stages = Stage::of(self.scenario).into_iter().map(|stage| match stage {
            Stage::Precommit => precommit.clone(),
            Stage::Proof => p4.clone(),
            Stage::Whole => Term::min(&precommit.iter().chain(p4).cloned().collect::<Vec<_>>()),
        });
        let stages: Vec<Term> = stages.map(|term| term.unwrap_or(Term::number(0.0))).collect();
        let through = self.through(&stages);
        stages
            .iter()
            .map(|term| line.formula(Some(term / &through)).map(|cell| cell.unwrap_or(Term::number(0.0))))
            .collect()
    }

    /// Hours of an instance for one sector.
    fn sector_h(&self, lane: &Lane, at: At) -> Term {
        let of = |rate| {
            let constant = || Term::number(f64::max(rate_at(rate, at), f64::MIN_POSITIVE));
            &Term::number(1.0) / &self.rates.cell(rate, at).cloned().unwrap_or_else(constant)
        };
        Term::sum(lane.rates.iter().map(of))
    }

    /// Hours for which a sector holds its storage.
    fn held_h(&self, at: At) -> Term {
        let job = |lane: &Lane| &Term::number(f64::from(lane.batch)) * &self.sector_h(lane, at);
        let before = self.layout.lanes.iter().filter(|lane| !lane.phases.contains(&Phase::P4)).map(job);
        let here = self.layout.lane(Phase::P4).map(job);
        let proofs: Vec<Term> = here.into_iter().chain([self.rates.longest_proof_h(self.scenario, at)]).collect();
        let proof = Term::max(&proofs).unwrap_or(Term::number(0.0));
        &(&Term::sum(before) + &self.inputs.wait_seed_h) + &proof
    }

    /// By what the network divides the output: the load of all stages on it, or one if that is less.
    fn through(&self, stages: &[Term]) -> Term {
        let loads: Vec<Term> = stages
            .iter()
            .zip(&self.network)
            .filter_map(|(term, limit)| limit.as_ref().map(|limit| term / limit))
            .collect();
        if loads.is_empty() {
            return Term::number(1.0);
        }
        Term::max(&[Term::number(1.0), Term::sum(loads)]).unwrap_or(Term::number(1.0))
    }
}

fn rate_at(rate: &crate::plan::rates::Rate, at: At) -> f64 {
    match at {
        At::Median => rate.sectors_per_h,
        At::Bound => rate.at_bound().sectors_per_h,
    }
}
