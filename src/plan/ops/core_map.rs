//! `core-map.txt`: which cores run what, as a drawing in text.

use std::fmt::Write;

use super::Machine;

/// Marks of the instances; a machine with more of them begins again.
const MARKS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Cores in a line where L3 groups are not known.
const LINE: u32 = 16;

/// The drawing and its legend.
pub fn core_map(machine: &Machine) -> String {
    let sku = machine.sku;
    let mut owner = vec!['.'; sku.cores as usize];
    let mut legend = String::new();
    for (place, instance) in machine.instances.iter().enumerate() {
        let mark = char::from(MARKS[place % MARKS.len()]);
        let set = instance.set;
        owner.iter_mut().skip(set.first as usize).take(set.cores as usize).for_each(|core| *core = mark);
        // Writing to a String cannot fail.
        let _ = writeln!(legend, "{mark}  {:<14} cores {}", instance.name, instance.cores());
    }
    let node = sku.cores / sku.numa_nodes;
    let group = sku.l3_groups.map_or(LINE, |groups| (sku.cores / groups).max(1));
    let mut text = String::from("Cores count through the machine: NUMA nodes and L3 groups one after the other.\n");
    for first in (0..sku.cores).step_by(node.max(1) as usize) {
        let _ = writeln!(text, "\nNUMA node {}", first / node.max(1));
        let end = (first + node.max(1)).min(sku.cores);
        for from in (first..end).step_by(group as usize) {
            let to = (from + group).min(end);
            let marks: String = owner[from as usize..to as usize].iter().collect();
            let what = if sku.l3_groups.is_some() { "L3 group, cores" } else { "cores" };
            let _ = writeln!(text, "  {what} {:>4}-{:<4} {marks}", from, to - 1);
        }
    }
    format!("{text}\n{legend}.  free\n")
}
