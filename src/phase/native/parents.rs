//! Parents of the nodes that are labelled next, window by window.

use std::ops::Range;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use anyhow::Context;
use sealbench_kernels::graph::{self, Graph, PARENTS};
use sealbench_kernels::label::ROWS_AHEAD;

use crate::host::map::Map;
use crate::host::sys;

/// Parents of a node: six in its own layer, the predecessor first, then eight in the layer before.
pub type Row = [u32; PARENTS];

/// Nodes of a window. Their rows take 112 KiB: the second-level cache holds them beside the labels.
const WINDOW: u32 = 2048;

/// Windows that a helper may be ahead.
const READY: usize = 2;

/// Where parents come from.
pub enum Parents {
    /// Computed just ahead of the labels.
    Compute(Graph, graph::Backend),
    /// Read from a parent cache file.
    Cache(Map),
}

/// A window: nodes to label, and the rows of those and, as far as there are some, of the nodes that follow.
pub struct Window<'a> {
    /// First node.
    pub first: u32,
    /// Nodes to label.
    pub count: usize,
    /// Rows from `first` on.
    pub rows: &'a [Row],
}

impl Parents {
    /// Hands every window of `nodes` nodes to `label`, in order. With `helper` cores a thread there computes the next ones meanwhile.
    pub fn each_window(
        &self,
        nodes: u32,
        helper: &[usize],
        label: &mut dyn FnMut(Window<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Parents::Cache(map) => {
                let all: &[Row] = map.words().as_chunks().0;
                windows(nodes).try_for_each(|(first, count, rows)| {
                    label(Window { first, count, rows: &all[rows.start as usize..rows.end as usize] })
                })
            }
            Parents::Compute(graph, backend) if helper.is_empty() => {
                let mut buffer = Vec::new();
                windows(nodes).try_for_each(|(first, count, rows)| {
                    fill(graph, *backend, rows, &mut buffer);
                    label(Window { first, count, rows: &buffer })
                })
            }
            Parents::Compute(graph, backend) => ahead(graph, *backend, nodes, helper, label),
        }
    }
}

/// First node, number of nodes, and range of rows of each window.
fn windows(nodes: u32) -> impl Iterator<Item = (u32, usize, Range<u32>)> {
    (0..nodes).step_by(WINDOW as usize).map(move |first| {
        let end = nodes.min(first + WINDOW);
        (first, (end - first) as usize, first..nodes.min(end + ROWS_AHEAD as u32))
    })
}

fn fill(graph: &Graph, backend: graph::Backend, rows: Range<u32>, buffer: &mut Vec<Row>) {
    buffer.resize(rows.len(), [0; 14]);
    graph.parents(backend, u64::from(rows.start), buffer);
}

/// A helper computes; buffers go round between it and the caller.
fn ahead(
    graph: &Graph,
    backend: graph::Backend,
    nodes: u32,
    helper: &[usize],
    label: &mut dyn FnMut(Window<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (full, ready) = sync_channel::<Vec<Row>>(READY);
    let (empty, used) = channel();
    for _ in 0..=READY {
        empty.send(Vec::new()).expect("its receiver is alive");
    }
    thread::scope(|scope| {
        let producer = thread::Builder::new().name("parents".into()).spawn_scoped(scope, move || {
            sys::pin_process(helper).with_context(|| "cannot pin the thread that computes parents")?;
            for (_, _, rows) in windows(nodes) {
                // The caller that stopped early has dropped its ends.
                let Ok(mut buffer) = used.recv() else { break };
                fill(graph, backend, rows, &mut buffer);
                if full.send(buffer).is_err() {
                    break;
                }
            }
            anyhow::Ok(())
        })?;
        let mut labelled = Ok(());
        for (first, count, _) in windows(nodes) {
            let Ok(buffer) = ready.recv() else { break };
            labelled = label(Window { first, count, rows: &buffer });
            if labelled.is_err() {
                break;
            }
            // Nobody takes it any more once the last window is computed.
            let _ = empty.send(buffer);
        }
        drop((ready, empty));
        producer.join().expect("the producer does not panic")?;
        labelled
    })
}
