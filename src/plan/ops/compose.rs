//! The Compose file of a machine: one container for each instance, with its cores, its memory, its volume and nothing else.
//!
//! Compose has no key for the memory nodes of a container (`cpuset_mems`). An instance that sits inside a NUMA node gets that node's
//! memory, because its pinned threads touch it first.

use std::fmt::Write;

use super::Machine;
use super::instance::Instance;
use crate::phase::Phase;
use crate::plan::layout::PROGRAM;
use crate::yaml::{list, literal, scalar};

/// Where a container finds its things.
const SECTORS: &str = "/sectors";
const SHARED: &str = "/shared";
const PARAMETERS: &str = "/parameters";

/// Most memory that an instance gets for its program and the buffers of its files, besides what its phases hold.
const BUFFERS: f64 = (8u64 << 30) as f64;

/// `compose.yaml`.
pub fn compose(machine: &Machine) -> String {
    let mut text = String::from(
        "# Containers of one machine. Variables are in .env; README.md says in which order things are done.\nservices:\n",
    );
    for instance in &machine.instances {
        let mut before = None;
        for step in steps(machine, instance) {
            // Writing to a String cannot fail.
            let _ = service(&mut text, machine, instance, &step, before.as_deref());
            before = Some(step.name);
        }
    }
    text
}

/// `.env`: what differs between sites, and which sector each container works on.
pub fn variables(machine: &Machine) -> String {
    let mut text = format!(
        "# Read by Compose. The image has the program sealbench as its entry point.\nIMAGE=sealbench:{}\n",
        env!("CARGO_PKG_VERSION")
    );
    if machine.instances.iter().any(is_shared) {
        text.push_str("# Storage that all machines share: output of c1, finished sectors.\nSHARED=/mnt/shared\n");
    }
    if machine.instances.iter().any(|instance| instance.does(Phase::P4)) {
        text.push_str("# Directory with the Groth16 parameters; the containers cannot write to it.\nPARAMETERS=/var/tmp/filecoin-proof-parameters\n");
    }
    for volume in machine.unnamed() {
        let _ = writeln!(text, "# Where the volume is mounted.\nVOLUME_{volume}=/mnt/sealing-{volume}");
    }
    if machine.instances.iter().any(|instance| instance.volume.is_none()) {
        text.push_str("# Directory for temporary files of instances that have no volume of their own.\nSCRATCH=/var/tmp/sealbench\n");
    }
    text.push_str("# Directories of the sectors that the containers work on. p2 and c1 go on with a sector that p1 has\n# finished; those of p4 and of instances without a volume are below SHARED, and no two machines may name the same one.\n");
    for instance in &machine.instances {
        let _ = writeln!(text, "{}={}", sector_variable(instance), sector(machine, instance));
    }
    if machine.proves_batches {
        text.push_str("# Which sector of its batch each p4 proves, from 0.\n");
        for instance in machine.instances.iter().filter(|instance| instance.does(Phase::P4)) {
            let _ = writeln!(text, "{}_SECTOR=0", sector_variable(instance));
        }
    }
    text
}

/// "p2-c1-0" has P2_C1_0.
fn sector_variable(instance: &Instance) -> String {
    instance.name.to_ascii_uppercase().replace('-', "_")
}

/// The directory of a sector: that of its p1, which the instances of p2 on the same volume take over in turn.
fn sector(machine: &Machine, instance: &Instance) -> String {
    if instance.does(Phase::P1) || instance.does(Phase::P4) {
        return instance.name.clone();
    }
    let volume = |other: &Instance| other.volume.map(|place| place.index);
    let here = machine.instances.iter().filter(|other| volume(other) == volume(instance));
    let (mut first, mut like) = (Vec::new(), Vec::new());
    for other in here {
        if other.does(Phase::P1) {
            first.push(&other.name);
        } else if other.set.lane == instance.set.lane {
            like.push(&other.name);
        }
    }
    let place = like.iter().position(|name| **name == instance.name).unwrap_or(0);
    if first.is_empty() { instance.name.clone() } else { first[place % first.len()].clone() }
}

/// Whether it reads from or writes to the shared storage; one without a volume has its sectors there.
fn is_shared(instance: &Instance) -> bool {
    instance.does(Phase::P2) || instance.does(Phase::P4) || instance.volume.is_none()
}

/// Where its sectors are in the container.
fn root(instance: &Instance) -> &'static str {
    if instance.volume.is_some() { SECTORS } else { SHARED }
}

/// What one container does of an instance's work.
pub struct Step {
    /// Its name; that of the last is the instance's.
    pub name: String,
    /// The arguments of `sealbench`.
    pub command: Vec<String>,
}

/// The containers of an instance, each of which starts when the one before has ended well. c1 takes one sector of a batch at a time, all that
/// is before it takes the batch.
pub fn steps(machine: &Machine, instance: &Instance) -> Vec<Step> {
    let Instance { name, lane, .. } = instance;
    let (batch, at_once) = (machine.batch, partitions_at_once(instance));
    if batch == 1 || !instance.does(Phase::C1) {
        return vec![Step { name: name.clone(), command: command(machine, instance, &lane.phases, at_once) }];
    }
    let before: Vec<Phase> = lane.phases.iter().copied().filter(|phase| *phase != Phase::C1).collect();
    let first = command(machine, instance, &before, None);
    let mut steps = vec![Step { name: format!("{name}-batch"), command: first }];
    for sector in 0..batch {
        let name = if sector + 1 == batch { name.clone() } else { format!("{name}-sector-{sector}") };
        let mut command = command(machine, instance, &[Phase::C1], None);
        command.extend(["--sector".to_string(), sector.to_string()]);
        steps.push(Step { name, command });
    }
    steps
}

/// Partitions that an instance of p4 proves at once, if its rate says so.
fn partitions_at_once(instance: &Instance) -> Option<u32> {
    instance.lane.rates.iter().find(|rate| rate.phase == Phase::P4)?.partitions_at_once
}

/// The arguments of `sealbench` for some phases of an instance.
fn command(machine: &Machine, instance: &Instance, phases: &[Phase], at_once: Option<u32>) -> Vec<String> {
    let named: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    let variable = sector_variable(instance);
    let mut words: Vec<String> =
        ["run", "--sector-size", &machine.sector_size, "--phases", &named.join(",")].map(String::from).to_vec();
    let mut add = |option: &str, value: String| words.extend([option.to_string(), value]);
    if phases.contains(&Phase::P1) {
        add("--pages", machine.pages.name().to_string());
    }
    if machine.batch > 1 && phases.iter().any(|phase| *phase <= Phase::P2) {
        add("--sectors", machine.batch.to_string());
    }
    if let Some(at_once) = at_once {
        add("--p4-partitions-at-once", at_once.to_string());
    }
    if machine.proves_batches && phases.contains(&Phase::P4) {
        add("--sector", format!("${{{variable}_SECTOR:?}}"));
    }
    add("--run-dir", format!("{}/${{{variable}:?}}", root(instance)));
    words
}

fn service(
    text: &mut String,
    machine: &Machine,
    instance: &Instance,
    step: &Step,
    before: Option<&str>,
) -> std::fmt::Result {
    let (Step { name, command }, limit) = (step, memory_limit(machine, instance));
    let command = list(command.iter().map(|word| scalar(word)));
    writeln!(text, "  {name}:\n    image: \"${{IMAGE:?}}\"\n    command: {command}")?;
    if let Some(before) = before {
        writeln!(text, "    depends_on:\n      {before}:\n        condition: service_completed_successfully")?;
    }
    writeln!(text, "    hostname: {name}\n    labels:\n      sealbench.model: {}", literal(&machine.sku.name))?;
    writeln!(text, "    cpuset: \"{}\"", instance.cores())?;
    writeln!(text, "    # Huge pages do not count here; no swap.\n    mem_limit: {limit}\n    memswap_limit: {limit}")?;
    text.push_str(
        "    network_mode: none\n    read_only: true\n    init: true\n    restart: \"no\"\n    cap_drop: [ALL]\n",
    );
    if instance.lane.huge_memory > 0.0 {
        text.push_str("    # Huge pages as shared memory need it.\n    cap_add: [IPC_LOCK]\n");
        text.push_str("    ulimits:\n      memlock: -1\n");
    }
    text.push_str("    security_opt: [\"no-new-privileges:true\"]\n    environment:\n");
    // Results stay on the machine: on its volume, or in its directory for temporary files.
    let results = match instance.volume {
        Some(_) => format!("{SECTORS}/results/{}", instance.name),
        None => "/tmp/results".to_string(),
    };
    writeln!(text, "      SEALBENCH_HOME: {results}\n      TMPDIR: /tmp")?;
    if instance.does(Phase::P4) {
        writeln!(text, "      FIL_PROOFS_PARAMETER_CACHE: {PARAMETERS}")?;
    }
    text.push_str("    volumes:\n");
    for Bind { source, target, read_only } in binds(machine, instance) {
        writeln!(text, "      - type: bind\n        source: {source}\n        target: {target}")?;
        if read_only {
            text.push_str("        read_only: true\n");
        }
    }
    Ok(())
}

/// A directory of the machine in a container.
struct Bind {
    /// Quoted.
    source: String,
    target: &'static str,
    read_only: bool,
}

/// Its directories. Temporary files are on its volume: the image's own file system cannot be written to.
fn binds(machine: &Machine, instance: &Instance) -> Vec<Bind> {
    let bind = |source: String, target| Bind { source, target, read_only: false };
    let name = &instance.name;
    let mut binds = match instance.volume {
        Some(place) => match machine.mount(place.index) {
            Some(mount) => vec![bind(literal(mount), SECTORS), bind(literal(&format!("{mount}/tmp/{name}")), "/tmp")],
            None => {
                let mount = format!("${{VOLUME_{}:?}}", place.index);
                vec![bind(scalar(&mount), SECTORS), bind(scalar(&format!("{mount}/tmp/{name}")), "/tmp")]
            }
        },
        None => vec![bind(scalar(&format!("${{SCRATCH:?}}/{name}")), "/tmp")],
    };
    if is_shared(instance) {
        binds.push(bind(scalar("${SHARED:?}"), SHARED));
    }
    if instance.does(Phase::P4) {
        binds.push(Bind { source: scalar("${PARAMETERS:?}"), target: PARAMETERS, read_only: true });
    }
    if instance.lane.huge_memory > 0.0 {
        binds.push(bind(literal(machine.pages.mount()), "/dev/hugepages"));
    }
    binds
}

/// What its phases hold, and a share of what the machine has left; never less than its program needs.
fn memory_limit(machine: &Machine, instance: &Instance) -> u64 {
    let sku = machine.sku;
    let left = sku.memory - sku.reserved_memory - machine.huge_bytes() - machine.layout.memory;
    let share = (left / (machine.instances.len() as f64 + 1.0)).clamp(0.0, BUFFERS);
    (instance.lane.memory + share).max(PROGRAM) as u64
}
