//! What operations start from: for each model of machine its containers, core map, mounts, huge pages and a sheet to read.

mod compose;
mod core_map;
pub mod instance;
pub mod quote;
mod scripts;
mod sheet;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::disk::remove_dir;
use crate::error::Stop;
use crate::phase::Phase;
use crate::report::document::{Block, Cell, Document, Section, Table};
use crate::report::markdown;
use crate::report::table::Align;
use crate::sector::SectorSize;

use super::layout::MachineLayout;
use super::planner::Plan;
use super::scenario::Sku;
use instance::{Instance, Place};

/// By this file a directory is known as one that was written here.
const MARK: &str = ".sealbench-ops";

/// Huge pages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    /// Size of a page.
    kib: u64,
}

impl Pages {
    const GIB: Pages = Pages { kib: 1 << 20 };
    const MIB: Pages = Pages { kib: 2048 };

    /// The name that `sealbench run --pages` takes.
    fn name(self) -> &'static str {
        if self == Pages::GIB { "1GiB" } else { "2MiB" }
    }

    /// Where they are mounted on the machine.
    fn mount(self) -> &'static str {
        if self == Pages::GIB { "/dev/hugepages-1GiB" } else { "/dev/hugepages-2MiB" }
    }

    /// Pages for so many bytes.
    fn of(self, bytes: f64) -> u64 {
        (bytes / (self.kib * 1024) as f64).ceil() as u64
    }
}

/// A model of machine in one of its layouts.
struct Machine<'a> {
    sku: &'a Sku,
    layout: &'a MachineLayout,
    /// Machines with this layout.
    count: u32,
    instances: Vec<Instance<'a>>,
    /// Its volumes' mounts, where the scenario says them.
    mounts: Vec<Option<String>>,
    pages: Pages,
    sector_size: String,
}

impl<'a> Machine<'a> {
    /// The error is a sentence: a mount that is no path.
    fn new(sku: &'a Sku, layout: &'a MachineLayout, count: u32, sector_bytes: f64) -> Result<Machine<'a>, String> {
        let instances = Instance::all(sku, layout);
        let mount = |(index, volume)| {
            let place = Place { index, volume };
            let label = volume.mount.as_ref().map(|_| place.label(sku));
            label.as_deref().map(quote::host_path).transpose().map(|_| label.clone())
        };
        let mounts = sku.volumes.iter().enumerate().map(mount).collect::<Result<_, _>>();
        let mounts = mounts.map_err(|e| format!("sku '{}': {e}", sku.name.escape_debug()))?;
        let in_gib = |instance: &Instance| instance.lane.huge_memory % (Pages::GIB.kib * 1024) as f64 == 0.0;
        let pages = if instances.iter().all(in_gib) { Pages::GIB } else { Pages::MIB };
        let sector_size = SectorSize::try_from(sector_bytes as u64)?.to_string();
        Ok(Machine { sku, layout, count, instances, mounts, pages, sector_size })
    }

    fn mount(&self, volume: usize) -> Option<&str> {
        self.mounts.get(volume)?.as_deref()
    }

    /// Volumes of which the scenario does not say where they are mounted.
    fn unnamed(&self) -> Vec<usize> {
        (0..self.mounts.len()).filter(|volume| self.mounts[*volume].is_none()).collect()
    }

    /// Huge pages to reserve, bytes.
    fn huge_bytes(&self) -> f64 {
        let whole = |pages: u64| (pages * self.pages.kib * 1024) as f64;
        self.pages_by_node().into_iter().map(whole).sum()
    }

    /// Huge pages to reserve on each NUMA node: what the instances that begin there need.
    fn pages_by_node(&self) -> Vec<u64> {
        let cores = (self.sku.cores / self.sku.numa_nodes).max(1);
        let mut pages = vec![0; self.sku.numa_nodes as usize];
        for instance in &self.instances {
            // An instance larger than a node takes its pages from all of its nodes.
            let (first, last) =
                (instance.set.first / cores, (instance.set.first + instance.set.cores.max(1) - 1) / cores);
            let nodes = f64::from(last - first + 1);
            for node in first..=last {
                if let Some(pages) = pages.get_mut(node as usize) {
                    *pages += self.pages.of(instance.lane.huge_memory / nodes);
                }
            }
        }
        pages
    }

    /// Its files: name, content, whether it is a program.
    fn files(&self) -> Vec<(&'static str, String, bool)> {
        let mut files = vec![
            ("README.md", sheet::sheet(self), false),
            ("compose.yaml", compose::compose(self), false),
            (".env", compose::variables(self), false),
            ("core-map.txt", core_map::core_map(self), false),
            ("mounts.sh", scripts::mounts(self), true),
        ];
        if self.huge_bytes() > 0.0 {
            files.push(("huge-pages.sh", scripts::huge_pages(self), true));
        }
        files
    }
}

/// A directory that the files go to.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
}

impl Target {
    /// Checks it before any work: it must be new or empty, or with `force` hold an earlier plan's files (exit code 2).
    pub fn new(path: &Path, force: bool) -> anyhow::Result<Target> {
        let wrong = |why: String| Err(Stop::Usage.error(format!("--ops {}: {why}", path.display())));
        let Ok(found) = path.symlink_metadata() else {
            return match parent(path).is_dir() {
                true => Ok(Target { path: path.to_path_buf() }),
                false => wrong(format!("{} is no directory", parent(path).display())),
            };
        };
        if !found.is_dir() {
            return wrong("it is no directory".into());
        }
        let is_empty =
            fs::read_dir(path).and_then(|mut entries| entries.next().transpose()).map(|first| first.is_none());
        match is_empty {
            Err(e) => wrong(format!("it cannot be read: {e}")),
            Ok(true) => Ok(Target { path: path.to_path_buf() }),
            Ok(false) if !path.join(MARK).is_file() => {
                wrong("it holds other files: name a new or an empty directory".into())
            }
            Ok(false) if !force => wrong("it holds an earlier plan's files: --force replaces them".into()),
            Ok(false) => Ok(Target { path: path.to_path_buf() }),
        }
    }

    /// Writes all files beside it and then gives them their names at once. A scenario that cannot be written is exit code 2.
    pub fn write(self, plan: &Plan) -> anyhow::Result<()> {
        let shown = self.path.display().to_string();
        let what = || format!("cannot write {shown}");
        let made = tempfile::tempdir_in(parent(&self.path)).with_context(what)?;
        fill(made.path(), plan)?;
        fs::set_permissions(made.path(), Permissions::from_mode(0o755)).with_context(what)?;
        let old = tempfile::tempdir_in(parent(&self.path)).with_context(what)?;
        let aside = old.path().join("old");
        if self.path.join(MARK).exists() {
            fs::rename(&self.path, &aside).with_context(what)?;
        }
        if let Err(e) = fs::rename(made.path(), &self.path) {
            if aside.exists() {
                fs::rename(&aside, &self.path).with_context(what)?;
            }
            return Err(e).with_context(what);
        }
        // It has its name now and is not to be removed as a temporary one.
        let _ = made.keep();
        remove_dir(&aside)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the files of all models.
fn fill(dir: &Path, plan: &Plan) -> anyhow::Result<()> {
    let mut index = Table::new(
        "",
        [("directory", Align::Left), ("model", Align::Left), ("machines", Align::Right), ("layout", Align::Left)],
    );
    let scenario = &plan.scenario;
    let mut number = 0;
    for machines in &plan.purchase.machines {
        let Some(sku) = scenario.skus.iter().find(|sku| sku.name == machines.sku) else { continue };
        for count in &machines.layouts {
            number += 1;
            let machine = Machine::new(sku, &count.layout, count.machines, scenario.sector_bytes)
                .map_err(|e| Stop::Usage.error(e))?;
            let name = quote::directory(number, &count.layout);
            let inside = dir.join(&name);
            fs::create_dir(&inside).with_context(|| format!("cannot make {}", inside.display()))?;
            for (file, content, is_program) in machine.files() {
                put(&inside.join(file), &content, is_program)?;
            }
            index.row([
                Cell::from(name),
                Cell::from(&*sku.name),
                Cell::from(count.machines.to_string()),
                count.layout.label().into(),
            ]);
        }
    }
    put(&dir.join("README.md"), &overview(plan, index), false)?;
    put(&dir.join(MARK), "Written by sealbench plan --ops; --force replaces the whole directory.\n", false)
}

fn overview(plan: &Plan, index: Table) -> String {
    let reserve: u32 = plan.purchase.machines.iter().map(|machines| machines.spares).sum();
    let mut lines = vec![format!("Target: {}.", plan.scenario.target)];
    if reserve > 0 {
        lines.push(format!(
            "{reserve} machines more are in reserve; each takes the directory of the machine that it replaces."
        ));
    }
    if plan.scenario.plans(Phase::P4) {
        lines.push("The output of c1 goes to p4 through the shared storage.".to_string());
    }
    let mut blocks: Vec<Block> = lines.into_iter().map(Block::Text).collect();
    blocks.extend(index.block());
    let title = if plan.scenario.title.is_empty() { "Ops plan".to_string() } else { plan.scenario.title.clone() };
    markdown::render(&Document { title, sections: vec![Section { id: "machines", title: "Machines", blocks }] })
}

fn put(path: &Path, content: &str, is_program: bool) -> anyhow::Result<()> {
    let what = || format!("cannot write {}", path.display());
    fs::write(path, content).with_context(what)?;
    let mode = if is_program { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(what)
}
