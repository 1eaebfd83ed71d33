//! What operations start from: for each model of machine its containers, core map, mounts, huge pages and a sheet to read.

mod compose;
mod core_map;
pub mod instance;
mod quote;
mod scripts;
mod sheet;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::disk::parent;
use crate::error::Stop;
use crate::phase::Phase;
use crate::report::document::{Block, Cell, Document, Section, Table};
use crate::report::markdown;
use crate::report::table::Align;
use crate::sector::SectorSize;

use super::layout::MachineLayout;
use super::planner::Plan;
use super::purchase::LayoutCount;
use super::scenario::{Sku, Volume};
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
    /// Sectors that p1 labels together.
    batch: u32,
    /// Whether a sector that is proved here may be one of several in its directory.
    proves_batches: bool,
}

impl<'a> Machine<'a> {
    /// The machines of a plan that are cut alike. The error is a sentence: a mount that is no path, or that two volumes have.
    fn new(
        plan: &Plan,
        sku: &'a Sku,
        LayoutCount { machines, layout }: &'a LayoutCount,
    ) -> Result<Machine<'a>, String> {
        let instances = Instance::all(sku, layout);
        let mounts = mounts(sku).map_err(|e| format!("sku '{}': {e}", sku.name.escape_debug()))?;
        let in_gib = |instance: &Instance| instance.lane.huge_memory % (Pages::GIB.kib * 1024) as f64 == 0.0;
        let pages = if instances.iter().all(in_gib) { Pages::GIB } else { Pages::MIB };
        let sector_size = SectorSize::try_from(plan.scenario.sector_bytes as u64)?.to_string();
        let all = plan.purchase.machines.iter().flat_map(|machines| &machines.layouts);
        let most = all.map(|count| batch(&count.layout)).max().unwrap_or(1);
        let proves_batches = most > 1 && layout.lane(Phase::P4).is_some();
        let (count, batch) = (*machines, batch(layout));
        Ok(Machine { sku, layout, count, instances, mounts, pages, sector_size, batch, proves_batches })
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

    /// Huge pages to reserve on each NUMA node: what the instances there need. What is more than its share of the memory is taken from the other
    /// nodes.
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
        level(&mut pages, (self.sku.node_memory() / (self.pages.kib * 1024) as f64) as u64);
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

/// Moves what is above a limit to nodes that are below it.
fn level(pages: &mut [u64], limit: u64) {
    let mut over = 0;
    for pages in pages.iter_mut() {
        over += pages.saturating_sub(limit);
        *pages = (*pages).min(limit);
    }
    for pages in pages.iter_mut() {
        let more = over.min(limit - *pages);
        *pages += more;
        over -= more;
    }
    // Pages are whole, so a few may be left where the nodes' shares are not.
    if let Some(first) = pages.first_mut() {
        *first += over;
    }
}

/// Sectors that p1 labels together in a layout.
fn batch(layout: &MachineLayout) -> u32 {
    layout.lane(Phase::P1).map_or(1, |lane| lane.batch)
}

/// Where each volume is mounted, if the scenario says it.
fn mounts(sku: &Sku) -> Result<Vec<Option<String>>, String> {
    let mount = |(index, volume): (usize, &Volume)| {
        let place = Place { index, volume };
        volume.mount.as_ref().map(|_| place.label(sku))
    };
    let mounts: Vec<Option<String>> = sku.volumes.iter().enumerate().map(mount).collect();
    let mut known: BTreeMap<&Path, usize> = BTreeMap::new();
    for (number, mount) in mounts.iter().enumerate() {
        let Some(mount) = mount else { continue };
        // A path's parts are compared: "/mnt//a/" is "/mnt/a".
        if let Some(other) = known.insert(Path::new(quote::host_path(mount)?), number) {
            return Err(format!(
                "volumes {} and {} are both mounted at '{}': give each a mount of its own",
                other + 1,
                number + 1,
                mount.escape_debug()
            ));
        }
    }
    Ok(mounts)
}

/// A directory that the files go to.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    /// Beside it: the files until they are whole.
    made: TempDir,
}

/// All files, written beside their directory and without their names yet.
#[derive(Debug)]
pub struct Prepared(Target);

impl Target {
    /// Checks it before any work: it must be new or empty, or with `force` hold an earlier plan's files (exit code 2).
    pub fn new(path: &Path, force: bool) -> anyhow::Result<Target> {
        let wrong = |why: String| Stop::Usage.error(format!("--ops {}: {why}", path.display()));
        refused(path, force).map_or(Ok(()), |why| Err(wrong(why)))?;
        let made = tempfile::tempdir_in(parent(path))
            .map_err(|e| wrong(format!("nothing can be written in {}: {e}", parent(path).display())))?;
        Ok(Target { path: path.to_path_buf(), made })
    }

    /// Writes all files beside it. A scenario that cannot be written is exit code 2.
    pub fn prepare(self, plan: &Plan) -> anyhow::Result<Prepared> {
        fill(self.made.path(), plan)?;
        let what = || format!("cannot write {}", self.path.display());
        fs::set_permissions(self.made.path(), Permissions::from_mode(0o755)).with_context(what)?;
        Ok(Prepared(self))
    }
}

impl Prepared {
    /// Gives all files their names at once.
    pub fn publish(self) -> anyhow::Result<()> {
        let Target { path, made } = self.0;
        replace(&path, &made, |from, to| fs::rename(from, to))
            .with_context(|| format!("cannot write {}", path.display()))?;
        // It has its name now and is not to be removed as a temporary one.
        let _ = made.keep();
        Ok(())
    }
}

/// Why a directory cannot be the target, if so.
fn refused(path: &Path, force: bool) -> Option<String> {
    let above = parent(path);
    if path.file_name().is_none() {
        return Some("it is replaced as a whole, so name it by its own name".into());
    }
    let Ok(found) = path.symlink_metadata() else {
        return (!above.is_dir()).then(|| format!("{} is no directory", above.display()));
    };
    if !found.is_dir() {
        return Some("it is no directory".into());
    }
    if above.metadata().is_ok_and(|above| above.dev() != found.dev()) {
        return Some("something is mounted there and it cannot be replaced: name a directory in it".into());
    }
    let first = fs::read_dir(path).and_then(|mut entries| entries.next().transpose());
    match first {
        Err(e) => Some(format!("it cannot be read: {e}")),
        Ok(None) => None,
        Ok(Some(_)) if !path.join(MARK).is_file() => {
            Some("it holds other files: name a new or an empty directory".into())
        }
        Ok(Some(_)) => (!force).then(|| "it holds an earlier plan's files: --force replaces them".into()),
    }
}

/// Puts a new directory in an earlier one's place. The earlier one is removed only when that is done; where it cannot get its name back, the
/// error says where it is.
fn replace(path: &Path, made: &TempDir, rename: impl Fn(&Path, &Path) -> std::io::Result<()>) -> anyhow::Result<()> {
    if !path.join(MARK).exists() {
        return Ok(rename(made.path(), path)?);
    }
    let old = tempfile::tempdir_in(parent(path))?;
    let aside = old.path().join("old");
    rename(path, &aside)?;
    let Err(error) = rename(made.path(), path) else { return Ok(()) };
    if rename(&aside, path).is_err() {
        let kept = old.keep().join("old");
        return Err(error).context(format!("the earlier plan's files are in {}", kept.display()));
    }
    Err(error.into())
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
            let machine = Machine::new(plan, sku, count).map_err(|e| Stop::Usage.error(e))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::{Error, ErrorKind};

    /// An earlier plan's directory and a new one; renames fail where the list of turns says so.
    fn replaced(fails: [bool; 3]) -> (TempDir, PathBuf, anyhow::Result<()>) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ops");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(MARK), "earlier").unwrap();
        let made = tempfile::tempdir_in(home.path()).unwrap();
        fs::write(made.path().join(MARK), "new").unwrap();
        let turns = RefCell::new(fails.into_iter());
        let result = replace(&path, &made, |from, to| match turns.borrow_mut().next() {
            Some(true) => Err(Error::from(ErrorKind::StorageFull)),
            _ => fs::rename(from, to),
        });
        (home, path, result)
    }

    #[test]
    fn an_earlier_plan_is_never_lost() {
        let content = |path: &Path| fs::read_to_string(path.join(MARK)).unwrap();
        let (_home, path, result) = replaced([false, false, false]);
        assert!(result.is_ok() && content(&path) == "new");
        for fails in [[true, false, false], [false, true, false]] {
            let (_home, path, result) = replaced(fails);
            assert!(result.is_err() && content(&path) == "earlier");
        }
        let (_home, path, result) = replaced([false, true, true]);
        let error = format!("{:#}", result.unwrap_err());
        let kept = error.split("files are in ").nth(1).unwrap().split(": ").next().unwrap();
        assert!(!path.exists() && content(Path::new(kept)) == "earlier", "{error}");
    }
}
