//! A report as one HTML file: no script, no network, no font or style from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::text::clean;
use super::document::{Block, Cell, Chart, Document, Section, Table};
use super::table::Align;

const STYLE: &str = include_str!("style.css");

/// Nothing but the style sheet in the page: no request, no script, no frame, no form.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The whole page.
pub fn render(document: &Document) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (clean(&document.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (clean(&document.title)) }
                    nav aria-label="Sections" {
                        @for section in &document.sections { a href={ "#" (section.id) } { (section.title) } }
                    }
                }
                main { @for part in &document.sections { (section(part)) } }
                footer { "Written by sealbench " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    };
    page.into_string()
}

fn section(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            @for block in &section.blocks {
                @match block {
                    Block::Text(words) => p { (clean(words)) },
                    Block::Verdict(tone, words, sentences) => {
                        div class={ "verdict " (tone.name()) } {
                            strong { (clean(words)) }
                            @for sentence in sentences { " " (clean(sentence)) }
                        }
                    }
                    Block::Table(rows) => (table(rows)),
                    Block::Charts(charts) => div class="charts" { @for part in charts { (chart(part)) } },
                }
            }
        }
    }
}

/// The chart, and its figures for who opens them.
fn chart(chart: &Chart) -> Markup {
    html! {
        figure {
            (chart.svg)
            details { summary { "Figures" } (table(&Table { caption: String::new(), ..chart.data.clone() })) }
        }
    }
}

fn table(table: &Table) -> Markup {
    let class = |align: Align| (align == Align::Right).then_some("figure");
    html! {
        div class="table" {
            table {
                @if !table.caption.is_empty() { caption { (clean(&table.caption)) } }
                thead { tr { @for (name, align) in &table.columns { th scope="col" class=[class(*align)] { (clean(name)) } } } }
                tbody {
                    @for row in &table.rows {
                        tr { @for (content, (_, align)) in row.iter().zip(&table.columns) { (cell(content, class(*align))) } }
                    }
                }
            }
        }
    }
}

fn cell(cell: &Cell, class: Option<&str>) -> Markup {
    html! {
        @match cell {
            Cell::Plain(text) if class.is_some() => (figure(text)),
            Cell::Plain(text) => td { (clean(text)) },
            Cell::Code(text) => td class=[class] { code { (clean(text)) } },
            Cell::Tag(tone, text) => td class=[class] { span class={ "tag " (tone.name()) } { (clean(text)) } },
            Cell::Differing(values) => {
                td class="differing" {
                    @for (whose, value) in values { div { span class="whose" { (whose) } span { (clean(value)) } } }
                }
            }
        }
    }
}

/// A figure stays on one line; one of several parts may break between them.
fn figure(text: &str) -> Markup {
    let text = clean(text);
    let parts: Vec<&str> = match (text.split_once(" to "), text.split_once(" (")) {
        (Some((low, _)), _) => vec![low, &text[low.len() + 1..]],
        (None, Some((value, _))) => vec![value, &text[value.len() + 1..]],
        _ => return html! { td class="figure" { (text) } },
    };
    html! { td class="figure" { @for part in parts { span { (part) } " " } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sections;
    use crate::store::sample;

    #[test]
    fn a_page_has_no_script_no_address_and_one_style() {
        let page = render(&sections::document("A <b>title</b>", &[sample::record("a")]));
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<title>A &lt;b&gt;title&lt;/b&gt;</title>"));
        for foreign in ["<script", "src=", "@import", "url(", "javascript:"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(links.iter().all(|link| link.starts_with('#')), "{links:?}");
        assert_eq!(
            page.matches("http:").count() + page.matches("https:").count(),
            page.matches("xmlns=\"http:").count()
        );
    }

    #[test]
    fn every_foreign_text_is_escaped() {
        let evil = "<script>alert(1)</script>\"'\u{202e}&";
        let record = sample::changed(|r| {
            for pointer in
                ["/host/hostname", "/host/cpu/model", "/phases/0/variant", "/phases/0/pages", "/spec/given/1"]
            {
                *r.pointer_mut(pointer).unwrap() = evil.into();
            }
            for pointer in ["/phases/0/spans/0/name", "/phases/0/limit/name", "/phases/0/verified/against"] {
                *r.pointer_mut(pointer).unwrap() = evil.into();
            }
            r["validity"]["findings"][0]["code"] = evil.into();
            r["validity"]["findings"][0]["text"] = evil.into();
            r["phases"][0]["kernel"][evil] = evil.into();
        });
        let page = render(&sections::document(evil, &[record]));
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert!(page.matches("&lt;script&gt;alert(1)").count() >= 12);
    }
}
