//! A sheet that is filled from top to bottom, and the look of its cells.

use rust_xlsxwriter::utility::row_col_to_cell_absolute;
use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder, Formula, Worksheet, XlsxError};

use super::term::Term;
use crate::report::chart::text::clean;

/// No text of a cell is longer.
const MAX_TEXT: usize = 1000;

/// How a cell looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A value that may be changed.
    Input,
    /// A figure that follows from others.
    Figure,
    /// A whole number that follows from others.
    Count,
    /// A result that a reader looks for.
    Result,
    /// An amount of money.
    Money,
    /// A share.
    Share,
}

/// A sheet.
pub struct Page {
    name: &'static str,
    sheet: Worksheet,
}

impl Page {
    /// An empty sheet with columns of these widths, in characters.
    pub fn new(name: &'static str, widths: &[f64]) -> Result<Page, XlsxError> {
        let mut sheet = Worksheet::new();
        sheet.set_name(name)?;
        for (column, width) in (0..).zip(widths) {
            sheet.set_column_width(column, *width)?;
        }
        Ok(Page { name, sheet })
    }

    /// The sheet itself, for charts and panes.
    pub fn sheet(&mut self) -> &mut Worksheet {
        &mut self.sheet
    }

    /// The finished sheet.
    pub fn finish(self) -> Worksheet {
        self.sheet
    }

    /// Name of a cell, as formulas of other sheets and chart ranges write it.
    pub fn cell(&self, row: u32, column: u16) -> String {
        format!("'{}'!{}", self.name, row_col_to_cell_absolute(row, column))
    }

    /// A heading.
    pub fn heading(&mut self, row: u32, words: &str) -> Result<(), XlsxError> {
        self.write(row, 0, words, &Format::new().set_bold().set_font_size(13))
    }

    /// Names of columns.
    pub fn columns(&mut self, row: u32, names: &[String]) -> Result<(), XlsxError> {
        let format = Format::new().set_bold().set_text_wrap().set_align(FormatAlign::Top);
        let format = format.set_border_bottom(FormatBorder::Thin).set_background_color(Color::RGB(0xE8ECF1));
        (0..).zip(names).try_for_each(|(column, name)| self.write(row, column, name, &format))
    }

    /// A text. It stays a text whatever it begins with.
    pub fn text(&mut self, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
        self.write(row, column, text, &Format::new())
    }

    /// A remark in small type.
    pub fn remark(&mut self, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
        self.write(row, column, text, &Format::new().set_italic().set_font_color(Color::RGB(0x5A6472)))
    }

    fn write(&mut self, row: u32, column: u16, text: &str, format: &Format) -> Result<(), XlsxError> {
        let mut text = clean(text);
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        // Whoever edits the cell must not turn it into a formula either.
        let looks_like_one = text.trim_start().starts_with(['=', '+', '-', '@']);
        let format = if looks_like_one { &format.clone().set_quote_prefix() } else { format };
        self.sheet.write_string_with_format(row, column, text, format).map(|_| ())
    }

    /// A number; formulas name it by what this returns.
    pub fn number(&mut self, row: u32, column: u16, value: f64, look: Look) -> Result<Term, XlsxError> {
        self.sheet.write_number_with_format(row, column, value, &format(look))?;
        Ok(Term::reference(self.cell(row, column), value))
    }

    /// An input that is not known: an empty cell that counts as zero.
    pub fn unknown(&mut self, row: u32, column: u16) -> Result<Term, XlsxError> {
        self.sheet.write_blank(row, column, &format(Look::Input))?;
        Ok(Term::reference(self.cell(row, column), 0.0))
    }

    /// A formula with its value.
    pub fn formula(&mut self, row: u32, column: u16, term: &Term, look: Look) -> Result<Term, XlsxError> {
        let formula = Formula::new(format!("={}", term.text())).set_result(format!("{}", term.value()));
        self.sheet.write_formula_with_format(row, column, formula, &format(look))?;
        Ok(Term::reference(self.cell(row, column), term.value()))
    }

    /// A formula whose value is one of two texts.
    pub fn choice(
        &mut self,
        row: u32,
        column: u16,
        condition: &str,
        holds: bool,
        words: [&str; 2],
    ) -> Result<(), XlsxError> {
        let formula = Formula::new(format!("=IF({condition},\"{}\",\"{}\")", words[0], words[1]));
        self.sheet.write_formula(row, column, formula.set_result(words[usize::from(!holds)])).map(|_| ())
    }
}

fn format(look: Look) -> Format {
    match look {
        Look::Input => Format::new().set_font_color(Color::RGB(0x1F4E9C)).set_background_color(Color::RGB(0xFFF8DC)),
        Look::Figure => Format::new().set_num_format("#,##0.000"),
        Look::Count => Format::new().set_num_format("#,##0"),
        Look::Result => Format::new().set_num_format("#,##0").set_bold().set_background_color(Color::RGB(0xE3F1E5)),
        Look::Money => Format::new().set_num_format("#,##0.00"),
        Look::Share => Format::new().set_num_format("0.0%"),
    }
}
