//! `README.md`: what a machine runs, for the people who set it up.

use super::Machine;
use super::compose::steps;
use crate::phase::Phase;
use crate::plan::ops::instance::Instance;
use crate::plan::quantity::GIB;
use crate::report::document::{Block, Cell, Document, Section, Table};
use crate::report::markdown;
use crate::report::table::Align;
use crate::report::units;

/// The sheet of a machine.
pub fn sheet(machine: &Machine) -> String {
    let title = format!("{}: {} machines", machine.sku.name, machine.count);
    let sections = vec![
        Section { id: "layout", title: "Layout", blocks: layout(machine) },
        Section { id: "containers", title: "Containers", blocks: vec![Block::Table(containers(machine))] },
        Section { id: "storage", title: "Storage and memory", blocks: storage(machine) },
        Section { id: "order", title: "Order of things", blocks: order(machine) },
    ];
    markdown::render(&Document { title, sections })
}

fn layout(machine: &Machine) -> Vec<Block> {
    let sku = machine.sku;
    let mut lines =
        vec![format!("{} on {} cores. The core map is in core-map.txt.", machine.layout.label(), sku.cores)];
    let bounds: Vec<String> = machine.layout.bounds.iter().flatten().map(|bound| bound.label()).collect();
    let per_h = machine.layout.per_h.iter().filter(|rate| **rate > 0.0).map(|rate| format!("{rate:.3}"));
    let per_h = per_h.collect::<Vec<_>>().join(" and ");
    lines.push(format!("A machine puts out {per_h} sectors per hour; what bounds it: {}.", bounds.join(", ")));
    lines.push(
        "Cores count through the machine, NUMA nodes and L3 groups one after the other, and are numbered as Linux numbers the first \
         hardware thread of each. Switch SMT off, or leave the second threads idle. Compare with sealbench host show before the first run: \
         where the machine numbers its cores otherwise, change cpuset in compose.yaml."
            .to_string(),
    );
    lines.into_iter().map(Block::Text).collect()
}

fn containers(machine: &Machine) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let columns = [
        ("container", left),
        ("phases", left),
        ("cores", left),
        ("memory", right),
        ("huge pages", right),
        ("volume", left),
        ("command", left),
    ];
    let mut table = Table::new("", columns);
    for instance in &machine.instances {
        let bytes = |bytes: f64| Cell::from(if bytes > 0.0 { units::bytes(bytes as u64) } else { "-".to_string() });
        let volume = instance.volume.map_or_else(|| "-".to_string(), |place| place.label(machine.sku));
        for step in steps(machine, instance) {
            table.row([
                Cell::from(step.name),
                Cell::from(instance.phases()),
                Cell::from(instance.cores()),
                bytes(instance.lane.memory),
                bytes(instance.lane.huge_memory),
                Cell::from(&*volume),
                Cell::from(format!("sealbench {}", step.command.join(" "))),
            ]);
        }
    }
    table
}

fn storage(machine: &Machine) -> Vec<Block> {
    let mut table =
        Table::new("", [("volume", Align::Left), ("size", Align::Right), ("containers on it", Align::Left)]);
    for (index, volume) in machine.sku.volumes.iter().enumerate() {
        let here =
            machine.instances.iter().filter(|instance| instance.volume.is_some_and(|place| place.index == index));
        let names: Vec<&str> = here.map(|instance| instance.name.as_str()).collect();
        let place = super::instance::Place { index, volume };
        table.row([
            Cell::from(place.label(machine.sku)),
            Cell::from(units::bytes(volume.size as u64)),
            names.join(", ").into(),
        ]);
    }
    let mut blocks: Vec<Block> = table.block().into_iter().collect();
    if !blocks.is_empty() {
        let flight = machine.layout.sectors_in_flight;
        blocks.push(Block::Text(format!(
            "At full output {flight:.1} sectors hold storage on a machine. A container's temporary files are on its own volume."
        )));
    }
    if machine.huge_bytes() > 0.0 {
        let pages: Vec<String> =
            machine.pages_by_node().iter().enumerate().map(|(node, n)| format!("{n} on node {node}")).collect();
        blocks.push(Block::Text(format!(
            "Huge pages for p1: {:.0} GiB in pages of {}: {}. They are taken from all other memory as long as they are reserved.",
            machine.huge_bytes() / GIB,
            machine.pages.name(),
            pages.join(", ")
        )));
    }
    blocks.push(Block::Text(
        "Compose has no key for a container's memory nodes. Instances inside a NUMA node get its memory, because their threads are pinned \
         and touch it first."
            .to_string(),
    ));
    blocks
}

/// The commands that start the containers: p2 goes on with what p1 has finished, so p1 comes first.
fn starts(machine: &Machine) -> Vec<String> {
    let (first, then): (Vec<_>, Vec<_>) = machine.instances.iter().partition(|instance| instance.does(Phase::P1));
    let names = |instances: &[&Instance]| instances.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" ");
    match (first.is_empty(), then.is_empty()) {
        (false, false) => vec![
            format!("docker compose up {} starts p1.", names(&first)),
            format!(
                "When a p1 has ended: docker compose up {}, with its sector in .env; p1 takes the next one.",
                names(&then)
            ),
        ],
        _ => vec!["docker compose up starts the containers.".to_string()],
    }
}

fn order(machine: &Machine) -> Vec<Block> {
    let mut steps = vec![
        "Fill in .env: the image, the shared storage, the parameters, the sectors that the containers work on."
            .to_string(),
        "Mount the volumes; sh mounts.sh prepare checks them and makes the containers' directories.".to_string(),
    ];
    if machine.huge_bytes() > 0.0 {
        steps.push("sh huge-pages.sh says what it would change; sh huge-pages.sh apply reserves the pages, undo gives them back.".to_string());
    }
    steps.push("docker compose config shows the result.".to_string());
    steps.extend(starts(machine));
    if machine.batch > 1 && machine.instances.iter().any(|instance| instance.does(Phase::C1)) {
        steps.push(format!(
            "A directory has the {} sectors that p1 labelled together. c1 takes one of them at a time: its containers start one after the other, \
             by themselves, and the last one has the instance's name.",
            machine.batch
        ));
    }
    if machine.proves_batches {
        steps.push("p4 proves one sector of a batch: its number is in .env beside its directory.".to_string());
    }
    steps.into_iter().zip(1..).map(|(step, number)| Block::Text(format!("{number}. {step}"))).collect()
}
