//! One test body for all backends, and the model that it compares them with: sha2 on the message as it is documented.

use sha2::{Digest, Sha256};

use super::*;

/// Nodes of the small layers: more than any window, prefetch distance and lane count tried.
const NODES: usize = 70;

pub fn check(backend: Backend) {
    let sectors = Sectors::new(backend, NODES);
    layers_are_the_models(&sectors);
    windows_do_not_matter(&sectors);
    later_nodes_only_prefetch(&sectors);
    labels_come_back(backend);
    file_bytes_are_the_labels(&sectors);
    refusals(&sectors);
}

/// Some sectors on one graph, with what the model says their labels are.
struct Sectors {
    backend: Backend,
    replica_ids: Vec<[u8; 32]>,
    parents: Vec<Parents>,
    /// By layer from 1, then by stream: the bytes of the file.
    expected: Vec<Vec<Vec<u8>>>,
}

impl Sectors {
    fn new(backend: Backend, nodes: usize) -> Sectors {
        let mut random = Random(7);
        let replica_ids: Vec<[u8; 32]> =
            (0..backend.streams()).map(|_| core::array::from_fn(|_| random.below(256) as u8)).collect();
        let parents: Vec<Parents> = (0..nodes)
            .map(|node| {
                core::array::from_fn(|i| match i {
                    0 => node.saturating_sub(1) as u32,
                    1..BASE => random.below(node.max(1)) as u32,
                    _ => random.below(nodes) as u32,
                })
            })
            .collect();
        let mut expected = vec![];
        for number in 1..=3 {
            let previous: Option<&Vec<Vec<u8>>> = expected.last();
            let layer = (0..replica_ids.len())
                .map(|s| model(&replica_ids[s], number, &parents, previous.map(|previous| &previous[s])))
                .collect();
            expected.push(layer);
        }
        Sectors { backend, replica_ids, parents, expected }
    }

    fn layer(&self, number: usize) -> Layer {
        Layer::new(self.backend, &self.replica_ids, number as u32)
    }

    fn nodes(&self) -> usize {
        self.parents.len()
    }

    /// A slab that holds nothing a label could be.
    fn unlabelled(&self) -> Vec<u32> {
        vec![u32::MAX; self.nodes() * 8 * self.backend.streams()]
    }

    /// The model's labels, and none in layer 0.
    fn slab(&self, number: usize) -> Option<Vec<u32>> {
        let layer = self.expected.get(number.checked_sub(1)?)?;
        let mut slab = self.unlabelled();
        for (stream, labels) in layer.iter().enumerate() {
            write_labels(self.backend, &mut slab, stream, 0..self.nodes(), labels);
        }
        Some(slab)
    }

    fn assert_labels(&self, number: usize, slab: &[u32], nodes: usize, what: &str) {
        let mut labels = vec![0; nodes * 32];
        for (stream, expected) in self.expected[number - 1].iter().enumerate() {
            read_labels(self.backend, slab, stream, 0..nodes, &mut labels);
            for (node, (label, expected)) in labels.chunks(32).zip(expected.chunks(32)).enumerate() {
                assert_eq!(label, expected, "{:?}, layer {number}, stream {stream}, node {node}: {what}", self.backend);
            }
        }
    }
}

/// The labels of a layer, as the module's documentation has them.
fn model(replica_id: &[u8; 32], layer: u32, parents: &[Parents], previous: Option<&Vec<u8>>) -> Vec<u8> {
    let mut labels: Vec<u8> = vec![];
    for (node, parents) in parents.iter().enumerate() {
        let mut message = [&replica_id[..], &layer.to_be_bytes(), &(node as u64).to_be_bytes(), &[0; 20]].concat();
        if node > 0 {
            let label = |labels: &[u8], node: u32| labels[node as usize * 32..][..32].to_vec();
            let mut of_parents: Vec<Vec<u8>> = parents[..6].iter().map(|parent| label(&labels, *parent)).collect();
            if let Some(previous) = previous {
                of_parents.extend(parents[6..].iter().map(|parent| label(previous, *parent)));
            }
            message.extend(of_parents.iter().cycle().take(37).flatten());
            assert_eq!(message.len(), 1248);
        }
        let mut digest: [u8; 32] = Sha256::digest(&message).into();
        digest[31] &= 0x3f;
        labels.extend(digest);
    }
    labels
}

/// Each layer on the one before it, as a whole.
fn layers_are_the_models(sectors: &Sectors) {
    let mut previous: Option<Vec<u32>> = None;
    for number in 1..=sectors.expected.len() {
        let mut current = sectors.unlabelled();
        sectors.layer(number).label_nodes(0, sectors.nodes(), &sectors.parents, previous.as_deref(), &mut current);
        sectors.assert_labels(number, &current, sectors.nodes(), "the whole layer");
        previous = Some(current);
    }
}

/// Every split in two, and windows of every small size, each with as many rows ahead as there are, with none, and with one.
fn windows_do_not_matter(sectors: &Sectors) {
    let nodes = sectors.nodes();
    for number in [1, 2] {
        let (layer, previous) = (sectors.layer(number), sectors.slab(number - 1));
        for ahead in [0, 1, usize::MAX] {
            let label = |from: usize, to: usize, current: &mut [u32]| {
                let rows = &sectors.parents[from..to.saturating_add(ahead).min(nodes)];
                layer.label_nodes(from, to - from, rows, previous.as_deref(), current);
            };
            for split in 0..=nodes {
                let mut current = sectors.unlabelled();
                label(0, split, &mut current);
                label(split, nodes, &mut current);
                sectors.assert_labels(number, &current, nodes, &format!("split at {split}, {ahead} rows ahead"));
            }
            for window in 1..=20 {
                let mut current = sectors.unlabelled();
                for from in (0..nodes).step_by(window) {
                    label(from, (from + window).min(nodes), &mut current);
                }
                sectors.assert_labels(number, &current, nodes, &format!("windows of {window}, {ahead} rows ahead"));
            }
        }
    }
}

/// The records after the last node stay as they are, whatever the rows ahead say.
fn later_nodes_only_prefetch(sectors: &Sectors) {
    let nodes = sectors.nodes();
    let record = 8 * sectors.backend.streams();
    let previous = sectors.slab(1);
    for count in 0..nodes {
        let mut parents = sectors.parents.clone();
        parents[count..].fill([u32::MAX; 14]);
        let mut current = sectors.unlabelled();
        sectors.layer(2).label_nodes(0, count, &parents, previous.as_deref(), &mut current);
        sectors.assert_labels(2, &current, count, "with strange rows ahead");
        assert!(current[count * record..].iter().all(|word| *word == u32::MAX), "{:?}, {count}", sectors.backend);
    }
}

/// Bytes written to every window of a stream are read back, and no other label changes.
fn labels_come_back(backend: Backend) {
    const LABELS: usize = 40;
    let streams = backend.streams();
    let mut random = Random(streams);
    let start: Vec<u32> = (0..LABELS * 8 * streams).map(|_| random.below(1 << 32) as u32).collect();
    let all = |slab: &[u32]| -> Vec<Vec<u8>> {
        let mut labels = vec![vec![0; LABELS * 32]; streams];
        labels.iter_mut().enumerate().for_each(|(s, labels)| read_labels(backend, slab, s, 0..LABELS, labels));
        labels
    };
    for from in [0, 1, 7, 16, 33] {
        for to in from..=LABELS {
            let stream = to % streams;
            let bytes: Vec<u8> = (0..(to - from) * 32).map(|_| random.below(256) as u8).collect();
            let mut slab = start.clone();
            write_labels(backend, &mut slab, stream, from..to, &bytes);

            let mut expected = all(&start);
            expected[stream][from * 32..to * 32].copy_from_slice(&bytes);
            assert_eq!(all(&slab), expected, "{backend:?}, labels {from} .. {to}");

            let mut back = vec![0; bytes.len()];
            read_labels(backend, &slab, stream, from..to, &mut back);
            assert_eq!(back, bytes, "{backend:?}, labels {from} .. {to}");
        }
    }
}

/// A slab that claims to be a file is one; the others are not.
fn file_bytes_are_the_labels(sectors: &Sectors) {
    let slab = sectors.slab(1).unwrap();
    let expected = (sectors.backend.name() == "sha-ni-x1").then(|| &sectors.expected[0][0][..]);
    assert_eq!(file_bytes(sectors.backend, &slab), expected);
}

/// What is out of bounds or out of order panics, and says which.
fn refusals(sectors: &Sectors) {
    let (nodes, record) = (sectors.nodes(), 8 * sectors.backend.streams());
    let previous = sectors.slab(1).unwrap();
    let refused =
        |number: usize, first: usize, count: usize, parents: &[Parents], previous: Option<&[u32]>, words: usize| {
            let mut current = vec![0; words];
            let label = || sectors.layer(number).label_nodes(first, count, parents, previous, &mut current);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(label)).is_err()
        };
    let parents = &sectors.parents[..];
    let all = nodes * record;
    assert!(!refused(2, 0, nodes, parents, Some(&previous), all));
    assert!(refused(2, 0, nodes, parents, None, all), "layer 2 needs layer 1");
    assert!(refused(1, 0, nodes, parents, Some(&previous), all), "layer 1 has none before it");
    assert!(refused(0, 0, nodes, parents, None, all), "there is no layer 0");
    assert!(refused(2, 0, nodes, &parents[1..], Some(&previous), all), "a row is missing");
    assert!(refused(2, 0, nodes, parents, Some(&previous), all - record), "the slab is too short");
    assert!(refused(2, 0, nodes - 1, parents, Some(&previous), all - 1), "the slab is no whole records");
    assert!(refused(2, nodes + 1, 0, parents, Some(&previous), all), "begins after the end");
    assert!(refused(2, 1, usize::MAX, parents, Some(&previous), all), "the sum overflows");
    for (place, parent) in [(0, 8), (0, 10), (1, 10), (5, 10), (5, u32::MAX), (6, nodes as u32), (13, u32::MAX)] {
        let mut parents = sectors.parents.clone();
        parents[10][place] = parent;
        assert!(refused(2, 0, nodes, &parents, Some(&previous), all), "parent {place} of node 10 is {parent}");
        let base = place < BASE;
        assert_eq!(refused(1, 0, nodes, &parents, None, all), base, "layer 1: parent {place} of node 10 is {parent}");
    }
}

/// A generator of numbers that need not be good (SplitMix64).
struct Random(usize);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
