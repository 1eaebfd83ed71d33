//! A report as sections of texts, tables and charts: what the HTML and the Markdown have in common, so that both have the same figures.

use maud::Markup;

use super::table::Align;

/// A whole report.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// Its sections; none is empty.
    pub sections: Vec<Section>,
}

/// A part with a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// A word that names it in links.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// Something below a heading.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A verdict: a few words that must be seen, and sentences.
    Verdict(Tone, String, Vec<String>),
    /// A table.
    Table(Table),
    /// Charts beside each other.
    Charts(Vec<Chart>),
}

/// How something is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To be known.
    Info,
    /// To be careful with.
    Warning,
    /// Not to be used.
    Error,
}

impl Tone {
    /// A class name.
    pub fn name(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Info => "info",
            Tone::Warning => "warning",
            Tone::Error => "error",
        }
    }
}

/// A chart with the figures it shows.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The SVG element.
    pub svg: Markup,
    /// Its figures.
    pub data: Table,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What it shows; may be empty.
    pub caption: String,
    /// The columns: name and alignment.
    pub columns: Vec<(String, Align)>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new<S: Into<String>>(caption: &str, columns: impl IntoIterator<Item = (S, Align)>) -> Table {
        let columns = columns.into_iter().map(|(name, align)| (name.into(), align)).collect();
        Table { caption: caption.to_string(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as a block, if it has rows.
    pub fn block(self) -> Option<Block> {
        (!self.rows.is_empty()).then_some(Block::Table(self))
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A text or a figure.
    Plain(String),
    /// A text that a machine wrote: an id, a command.
    Code(String),
    /// Words that must be seen.
    Tag(Tone, String),
    /// Values that differ: for each, whose it is.
    Differing(Vec<(String, String)>),
}

impl<S: Into<String>> From<S> for Cell {
    fn from(text: S) -> Cell {
        Cell::Plain(text.into())
    }
}
