//! A machine's cores and what runs on them.

use maud::{Markup, html};

use super::text::{Anchor, Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, rect};

/// What a colour stands for. p2 and c1 of an instance have one colour where they are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// p1.
    P1,
    /// p2, or p2 and c1.
    P2,
    /// c1 alone.
    C1,
    /// p4.
    P4,
    /// p1, p2 and c1 in turn.
    InTurn,
}

impl Kind {
    /// The class that the style sheet has a colour for.
    pub fn class(self) -> &'static str {
        match self {
            Kind::P1 => "p1",
            Kind::P2 => "p2",
            Kind::C1 => "c1",
            Kind::P4 => "p4",
            Kind::InTurn => "in-turn",
        }
    }
}

/// Cores in a row that do one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name, written where there is room.
    pub name: String,
    /// Its colour.
    pub kind: Kind,
    /// The first core.
    pub first: u32,
    /// How many.
    pub cores: u32,
}

/// A drawing of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// What it is called.
    pub heading: Heading,
    /// Cores of the machine.
    pub cores: u32,
    /// NUMA nodes.
    pub nodes: u32,
    /// Cores of an L3 group, if known.
    pub group: Option<u32>,
    /// What runs; nothing overlaps.
    pub blocks: Vec<Block>,
    /// Colours that need a word: those of the blocks.
    pub kinds: Vec<(Kind, String)>,
}

/// Cores in a line where L3 groups do not say.
const LINE: u32 = 16;

/// Most lines that are drawn; no machine of today has more.
const MAX_LINES: usize = 256;

const CELL: f64 = 20.0;
const GAP: f64 = 6.0;
const NODE: f64 = 20.0;

/// A line of the drawing.
struct Line {
    node: Option<u32>,
    first: u32,
    end: u32,
    y: f64,
}

impl Cores {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let (per_line, top) = (self.per_line(), self.heading.bottom() + 4.0);
        let lines = self.lines(per_line, top);
        let bottom = lines.last().map_or(top, |line| line.y + CELL) + GAP;
        let labels = width(&format!("{}-{}", self.cores, self.cores), Face::Tick) + 2.0;
        let left = MARGIN + labels + 6.0;
        let group = self.group.unwrap_or(per_line).max(1);
        let gaps = f64::from(per_line.div_ceil(group) - 1);
        let cell = (WIDTH - MARGIN - left - gaps * GAP) / f64::from(per_line);
        // A gap before each L3 group.
        let x = |place: u32| left + f64::from(place) * cell + f64::from(place / group) * GAP;
        let keys: Vec<Key> = self
            .kinds
            .iter()
            .map(|(kind, words)| Key { mark: rect(kind.class(), 0.0, 0.0, 22.0, 12.0), words: words.clone() })
            .chain([Key { mark: rect("unmeasured", 0.0, 0.0, 22.0, 12.0), words: "free".to_string() }])
            .collect();
        let (keys, height) = legend(&keys, WIDTH, bottom + 4.0);
        let body = html! {
            @for line in &lines {
                @if let Some(node) = line.node {
                    (Label::new(MARGIN, line.y - 6.0, Face::Quiet, WIDTH - 2.0 * MARGIN).draw(&format!("NUMA node {node}")))
                }
                (Label::new(left - 6.0, line.y + 14.0, Face::Tick, labels).anchor(Anchor::End)
                    .draw(&format!("{}-{}", line.first, line.end - 1)))
                @for core in (line.first..line.end).filter(|core| self.owner(*core).is_none()) {
                    (rect("unmeasured", x(core - line.first) + 1.0, line.y + 1.0, cell - 2.0, CELL - 3.0))
                }
                @for block in &self.blocks { (part(block, line, group, cell, &x)) }
            }
            (keys)
        };
        self.heading.around(WIDTH, bottom + height + 12.0, body)
    }

    fn owner(&self, core: u32) -> Option<&Block> {
        self.blocks.iter().find(|block| (block.first..block.first.saturating_add(block.cores)).contains(&core))
    }

    /// Whole L3 groups where they are known.
    fn per_line(&self) -> u32 {
        let per_line = self.group.map_or(LINE, |group| group.max(1) * (LINE / group.max(1)).max(1));
        per_line.min(self.cores.max(1)).min(128)
    }

    fn lines(&self, per_line: u32, top: f64) -> Vec<Line> {
        let node = (self.cores / self.nodes.max(1)).max(1);
        let (mut lines, mut y) = (Vec::new(), top);
        for (number, start) in (0..).zip((0..self.cores).step_by(node as usize)) {
            let end = (start + node).min(self.cores);
            for first in (start..end).step_by(per_line as usize) {
                if lines.len() >= MAX_LINES {
                    return lines;
                }
                let begins = first == start && self.nodes > 1;
                y += if begins { NODE } else { 0.0 };
                lines.push(Line { node: begins.then_some(number), first, end: (first + per_line).min(end), y });
                y += CELL + 2.0;
            }
        }
        lines
    }
}

/// What of a block lies in a line: a rectangle for each L3 group, its name in the widest.
fn part(block: &Block, line: &Line, group: u32, cell: f64, x: &dyn Fn(u32) -> f64) -> Markup {
    let from = block.first.max(line.first);
    let to = block.first.saturating_add(block.cores).min(line.end);
    let mut pieces: Vec<(u32, u32)> = Vec::new();
    let mut start = from;
    while start < to {
        let next = line.first + ((start - line.first) / group + 1) * group;
        pieces.push((start, next.min(to)));
        start = next;
    }
    let widest = pieces.iter().max_by_key(|(start, end)| end - start).copied();
    html! {
        @for &(start, end) in &pieces {
            @let (left, room) = (x(start - line.first), f64::from(end - start) * cell);
            g class="on6" {
                (rect(block.kind.class(), left + 0.5, line.y, room - 1.5, CELL - 1.0))
                @if Some((start, end)) == widest && room > 24.0 {
                    (Label::new(left + room / 2.0, line.y + 14.0, Face::Cell, room - 4.0).anchor(Anchor::Middle).draw(&block.name))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(name: &str, kind: Kind, first: u32, cores: u32) -> Block {
        Block { name: name.into(), kind, first, cores }
    }

    fn machine(cores: u32, nodes: u32, group: Option<u32>, blocks: Vec<Block>) -> Cores {
        let kinds = vec![(Kind::P1, "p1".to_string())];
        Cores { heading: Heading { title: "a".into(), ..Heading::default() }, cores, nodes, group, blocks, kinds }
    }

    #[test]
    fn every_core_is_drawn_once() {
        let blocks = vec![block("p1-0", Kind::P1, 0, 8), block("p2-c1-0", Kind::P2, 8, 20)];
        let svg = machine(32, 2, None, blocks).draw().into_string();
        // 28 cores in two lines of 16: two pieces of p2, four free cores and the legend.
        assert_eq!(svg.matches("class=\"p2\"").count(), 2);
        assert_eq!(svg.matches("class=\"unmeasured\"").count(), 4 + 1);
        assert!(svg.contains(">NUMA node 1<") && svg.contains(">16-31<") && svg.contains(">p1-0<"), "{svg}");
    }

    #[test]
    fn instances_are_cut_where_l3_groups_end() {
        let svg = machine(16, 1, Some(4), vec![block("p2-0", Kind::P2, 0, 12)]).draw().into_string();
        assert_eq!(svg.matches("class=\"p2\"").count(), 3);
        assert!(!svg.contains("NUMA"), "{svg}");
    }

    proptest! {
        #[test]
        fn any_machine_makes_a_chart(
            cores in 0u32..5000, nodes in 0u32..40, group in prop::option::of(0u32..300),
            first in any::<u32>(), length in any::<u32>(), name in any::<String>(),
        ) {
            let svg = machine(cores, nodes, group, vec![block(&name, Kind::P4, first, length)]).draw().into_string();
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
