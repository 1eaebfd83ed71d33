//! The sheet "Layouts": what a machine puts out in each of its layouts, from the rates. The formulas are those of the planner: an instance
//! takes its phases one after the other, the slowest instances, the rates and the room of a volume bound what is put out on it, a machine puts out
//! the sum of its volumes, and its network bounds it further.

use rust_xlsxwriter::XlsxError;

use super::inputs::Inputs;
use super::page::{Look, Page};
use super::rates::{At, Rates};
use super::term::Term;
use crate::phase::Phase;
use crate::plan::layout::{Lane, MachineLayout, Stage, busy_s, network_bytes, slots};
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

/// The columns of volumes that have as many instances: on each those of the first lane and of the second, what its rates let through, its room.
const GROUP: [&str; 5] = [
    "volumes",
    "instances of p1, or of what is done first",
    "instances of p2 + c1 beside them",
    "volume lets through, sectors/h",
    "room of a volume, sectors",
];

/// Volumes that have as many instances and take as much.
#[derive(Clone, Copy, PartialEq)]
struct Groups {
    volumes: f64,
    /// Instances of the first lane and of the second.
    instances: [f64; 2],
    /// Sectors per hour that the rates of one let through.
    per_h: Option<f64>,
    /// Sectors for which one has room.
    room: Option<f64>,
}

impl Groups {
    /// Those of a layout.
    fn of(scenario: &Scenario, sku: &Sku, layout: &MachineLayout) -> Vec<Groups> {
        let mut all: Vec<Groups> = Vec::new();
        for group in &layout.groups {
            let volume = group.volume.and_then(|volume| sku.volumes.get(volume));
            let per_h = volume.map(|volume| 3600.0 / busy_s(scenario, volume)).filter(|per_h| per_h.is_finite());
            let room = volume.map(|volume| f64::from(slots(scenario, volume.size)));
            let one = Groups { volumes: 1.0, instances: group.instances.map(f64::from), per_h, room };
            match all.iter_mut().find(|other| Groups { volumes: 1.0, ..**other } == one) {
                Some(other) => other.volumes += 1.0,
                None => all.push(one),
            }
        }
        all
    }
}

/// Sectors per hour that the network lets through of each stage if it carries nothing else.
fn network(scenario: &Scenario, sku: &Sku) -> Vec<Option<f64>> {
    let of = |stage: Stage| {
        let bytes = network_bytes(scenario, stage);
        sku.network.filter(|_| bytes > 0.0).map(|network| network / bytes * 3600.0)
    };
    Stage::of(scenario).into_iter().map(of).collect()
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

    fn group(&mut self, group: Option<&Groups>) -> Result<[Option<Term>; 5], XlsxError> {
        let figures = group.map_or([None; 5], |Groups { volumes, instances, per_h, room }| {
            let [first, second] = instances.map(|count| Some(count).filter(|count| *count > 0.0));
            [Some(*volumes), first, second, *per_h, *room]
        });
        let mut cells = [const { None }; 5];
        for (cell, figure) in cells.iter_mut().zip(figures) {
            *cell = self.number(figure, Look::Input)?;
        }
        Ok(cells)
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

    /// The most different groups of a layout.
    fn groups(&self) -> usize {
        let models = self.scenario.skus.iter().zip(self.layouts);
        let all =
            models.flat_map(|(sku, layouts)| layouts.iter().map(|layout| Groups::of(self.scenario, sku, layout).len()));
        all.max().unwrap_or(0)
    }

    fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = ["Model", "No.", "Layout", "Machines planned"].map(String::from).to_vec();
        for group in 1..=self.groups() {
            names.extend(GROUP.map(|name| format!("Group {group}: {name}")));
        }
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
    let sku = &scenario.skus[model];
    let groups = Groups::of(scenario, sku, layout);
    let groups = (0..sources.groups()).map(|index| line.group(groups.get(index))).collect::<Result<Vec<_>, _>>()?;
    let network = network(scenario, sku).into_iter().map(|limit| line.number(limit, Look::Input));
    let network = network.collect::<Result<Vec<_>, _>>()?;
    let output = Output { scenario, inputs, rates, layout, groups, network };
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
    /// The cells of each group.
    groups: Vec<[Option<Term>; 5]>,
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
        let groups = held.as_ref().map(|held| self.groups.iter().filter_map(|group| self.group(group, held, at)));
        let precommit = groups.map(Term::sum);
        let stages = Stage::of(self.scenario).into_iter().map(|stage| match stage {
            Stage::Precommit => precommit.clone(),
            Stage::Proof => p4.clone(),
            Stage::Whole => Term::min(&precommit.iter().chain(p4).cloned().collect::<Vec<_>>()),
        });
        let stages: Vec<Term> = stages.map(|term| term.unwrap_or(Term::number(0.0))).collect();
        let level = self.level(&stages);
        let bounded = |term: &Term| match &level {
            Some(level) => Term::min(&[term.clone(), level.clone()]),
            None => Some(term.clone()),
        };
        let cell = |term: &Term| line.formula(bounded(term)).map(|cell| cell.unwrap_or(Term::number(0.0)));
        stages.iter().map(cell).collect()
    }

    /// What the volumes of a group put out: the least that its instances, its rates and its room let through.
    fn group(&self, group: &[Option<Term>; 5], held: &Term, at: At) -> Option<Term> {
        let [volumes, first, second, per_h, room] = group;
        let instances = self.layout.lanes.iter().zip([first, second]);
        let instances = instances.filter_map(|(lane, count)| Some(count.as_ref()? / &self.sector_h(lane, at)));
        let limits = per_h.iter().cloned().chain(room.as_ref().map(|room| room / held));
        Some(volumes.as_ref()? * &Term::min(&instances.chain(limits).collect::<Vec<_>>())?)
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

    /// The most that the network lets a stage put out: what all can, or what another one that does less leaves to it.
    fn level(&self, stages: &[Term]) -> Option<Term> {
        let loads: Vec<(&Term, &Term)> =
            stages.iter().zip(&self.network).filter_map(|(term, limit)| Some((term, limit.as_ref()?))).collect();
        let one = Term::number(1.0);
        match loads[..] {
            [(_, limit)] => Some(limit.clone()),
            [(first, through_first), (second, through_second)] => Term::max(&[
                &one / &(&(&one / through_first) + &(&one / through_second)),
                &(&one - &(first / through_first)) * through_second,
                &(&one - &(second / through_second)) * through_first,
            ]),
            _ => None,
        }
    }
}

fn rate_at(rate: &crate::plan::rates::Rate, at: At) -> f64 {
    match at {
        At::Median => rate.sectors_per_h,
        At::Bound => rate.at_bound().sectors_per_h,
    }
}
