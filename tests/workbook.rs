//! The plan's workbook as spreadsheets see it: values and formulas read back, recalculated by LibreOffice, with inputs changed.

#[path = "support/absent.rs"]
mod absent;

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use calamine::{Data, DataType, Reader, Xlsx};
use sealbench::plan::planner::{Plan, plan};
use sealbench::plan::rates::Rate;
use sealbench::plan::scenario::Scenario;
use sealbench::plan::simulate::simulate;
use sealbench::plan::workbook::workbook;
use sealbench::report::chart::cores::Kind;

const NOTES: &str = include_str!("../params/scenarios/field-notes-2020.toml");
const MIXED: &str = include_str!("data/plan/mixed.toml");

const SHEETS: [&str; 6] = ["Inputs", "Rates", "Layouts", "Purchase plan", "Ops plan", "Simulation"];

static NOTES_PLAN: LazyLock<Plan> = LazyLock::new(|| simulated(NOTES));
static MIXED_PLAN: LazyLock<Plan> = LazyLock::new(|| simulated(MIXED));

/// The plan of a scenario, simulated; each is made once.
fn planned(text: &str) -> &'static Plan {
    if text == NOTES { &NOTES_PLAN } else { &MIXED_PLAN }
}

fn simulated(text: &str) -> Plan {
    let scenario = Scenario::parse(text).unwrap();
    let mut plan = plan(&scenario, Vec::new()).unwrap();
    plan.simulation = Some(simulate(&scenario, &plan.purchase, 10, 1).unwrap());
    plan
}

/// Working machines by layout of the purchase.
fn planned_machines(plan: &Plan) -> Vec<f64> {
    let layouts = plan.purchase.machines.iter().flat_map(|machines| &machines.layouts);
    layouts.map(|count| f64::from(count.machines)).collect()
}

fn open(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).unwrap()
}

/// The column with this heading, from the row below it to the first empty cell.
fn column(book: &mut Xlsx<Cursor<Vec<u8>>>, sheet: &str, heading: &str) -> Vec<f64> {
    let range = book.worksheet_range(sheet).unwrap();
    let (row, column, _) =
        range.cells().find(|(_, _, cell)| cell.get_string() == Some(heading)).expect("the heading is there");
    range.rows().skip(row + 1).map_while(|row| row[column].get_float()).collect()
}

fn machines(book: &mut Xlsx<Cursor<Vec<u8>>>) -> Vec<f64> {
    column(book, "Purchase plan", "Machines")
}

#[test]
fn the_notes_plan_reads_back_with_its_formulas() {
    let planned = planned(NOTES);
    let mut book = open(workbook(planned).unwrap());
    assert_eq!(book.sheet_names(), SHEETS);
    assert_eq!(machines(&mut book), [41.0, 28.0]);
    let formulas = book.worksheet_formula("Purchase plan").unwrap();
    let text = formulas.rows().flatten().find(|text| text.starts_with("ROUNDUP")).unwrap();
    assert!(text.starts_with("ROUNDUP((demand_per_h*0.999999999)/'Layouts'!"), "{text}");
    let names: Vec<&str> = book.defined_names().iter().map(|(name, _)| name.as_str()).collect();
    for name in
        ["target_tib", "month_days", "availability", "failed_sectors", "headroom", "spares", "price_1", "price_2"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let inputs = book.worksheet_range("Inputs").unwrap();
    let of =
        |words: &str| inputs.rows().find(|row| row[3].get_string() == Some(words)).unwrap()[1].get_float().unwrap();
    assert_eq!((of("target_tib"), of("target_days")), (1024.0, 21.0));
    assert!((of("demand_per_h") - 32768.0 / 504.0).abs() < 1e-9);
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    assert!(workbook(planned(NOTES)).unwrap() == workbook(planned(NOTES)).unwrap());
}

#[test]
fn foreign_words_are_texts_and_never_formulas() {
    let planned = planned(MIXED);
    let mut book = open(workbook(planned).unwrap());
    for sheet in SHEETS {
        let values = book.worksheet_range(sheet).unwrap();
        let formulas = book.worksheet_formula(sheet).unwrap();
        for (row, column, formula) in formulas.used_cells() {
            let (top, left) = formulas.start().unwrap();
            let value = values.get_value((row as u32 + top, column as u32 + left));
            assert!(
                matches!(value, Some(Data::Float(_) | Data::String(_))),
                "{sheet} {row} {column}: {formula}: {value:?}"
            );
            for foreign in ["HYPERLINK", "cmd", "quoted", "SUM(1)"] {
                assert!(!formula.contains(foreign), "{formula}");
            }
        }
    }
    let inputs = book.worksheet_range("Inputs").unwrap();
    assert_eq!(inputs.get((0, 0)).and_then(|cell| cell.get_string().map(String::from)).as_deref(), Some("=1+1"));
    let names: Vec<&str> = inputs.rows().filter_map(|row| row[0].get_string()).collect();
    assert!(planned.scenario.skus.iter().all(|sku| names.contains(&sku.name.as_str())), "{names:?}");
}

#[test]
fn layouts_and_machines_are_the_planners() {
    for text in [NOTES, MIXED] {
        let planned = planned(text);
        let mut book = open(workbook(planned).unwrap());
        assert_eq!(machines(&mut book), planned_machines(planned));
        let stages = planned.purchase.stages.len();
        for stage in 0..stages {
            let heading = format!("Machine: {}, sectors/h", planned.purchase.stages[stage].stage);
            let written = column(&mut book, "Layouts", &heading);
            let layouts: Vec<f64> = planned.choice.layouts.iter().flatten().map(|layout| layout.per_h[stage]).collect();
            assert_eq!(written.len(), layouts.len());
            for (written, planned) in written.iter().zip(&layouts) {
                assert!((written - planned).abs() <= 1e-9 * planned, "{written} {planned}");
            }
        }
        let total = column(&mut book, "Purchase plan", "All").iter().sum::<f64>();
        // The last line is the sum of those above it.
        assert_eq!(total, 2.0 * f64::from(planned.purchase.total));
        if let Some(cost) = planned.purchase.cost {
            let heading = format!("Together, {}", planned.scenario.prices.currency);
            let money = column(&mut book, "Purchase plan", &heading);
            assert!((money[money.len() - 1] - cost).abs() < 0.005, "{money:?} {cost}");
        }
    }
}

/// Where a heading stands, and the values of the rows below it, empty ones too.
fn below(book: &mut Xlsx<Cursor<Vec<u8>>>, sheet: &str, heading: &str) -> Vec<Data> {
    let range = book.worksheet_range(sheet).unwrap();
    let (row, column, _) =
        range.cells().find(|(_, _, cell)| cell.get_string() == Some(heading)).unwrap_or_else(|| panic!("no {heading}"));
    range.rows().skip(row + 1).map(|row| row[column].clone()).collect()
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * other.abs()
}

#[test]
fn the_lower_ends_are_those_of_the_rates_and_go_through_to_the_machines() {
    let planned = planned(MIXED);
    let mut book = open(workbook(planned).unwrap());
    let rates = &planned.choice.rates;
    let used = column(&mut book, "Rates", "Used at the lower end");
    assert!(used.len() == rates.len() && rates.iter().any(|rate| rate.interval.is_some()));
    for (written, rate) in used.iter().zip(rates) {
        assert_eq!(*written, rate.interval.map_or(rate.sectors_per_h, |interval| interval.low));
    }
    let layouts: Vec<_> = planned.choice.layouts.iter().flatten().collect();
    for (kind, words) in [(Kind::P1, "p1"), (Kind::P2, "p2 + c1"), (Kind::P4, "p4")] {
        let cells = below(&mut book, "Layouts", &format!("{words}, sectors/h at the lower ends"));
        for (cell, layout) in cells.iter().zip(&layouts) {
            let lane = layout.lanes.iter().find(|lane| lane.kind() == kind);
            let hours = |rate: &Rate| 1.0 / rate.interval.map_or(rate.sectors_per_h, |interval| interval.low);
            let expected = lane.map(|lane| f64::from(lane.instances) / lane.rates.iter().map(hours).sum::<f64>());
            assert!(
                cell.get_float().zip(expected).is_none_or(|(one, other)| is_near(one, other)),
                "{cell:?} {expected:?}"
            );
            assert_eq!(cell.get_float().is_some(), expected.is_some());
        }
    }
    let counts = column(&mut book, "Purchase plan", "Machines with all rates at their lower ends");
    assert!(
        counts.iter().zip(machines(&mut book)).all(|(low, median)| *low >= median) && counts != machines(&mut book)
    );
    let is_bought: Vec<bool> = below(&mut book, "Layouts", "Machines planned").iter().map(|n| !n.is_empty()).collect();
    for stage in &planned.purchase.stages {
        let per_h = |book: &mut _, at: &str| {
            let cells = below(book, "Layouts", &format!("Machine: {}, sectors/h{at}", stage.stage));
            let bought = cells.into_iter().zip(&is_bought).filter(|(_, is_bought)| **is_bought);
            bought.map(|(cell, _)| cell.get_float().unwrap()).collect::<Vec<_>>()
        };
        let (median, low) = (per_h(&mut book, ""), per_h(&mut book, " at the lower ends"));
        assert!(median.iter().zip(&low).all(|(median, low)| low <= median) && median != low);
        let reached: f64 = counts.iter().zip(&low).map(|(count, per_h)| count * per_h).sum();
        assert!(reached >= stage.demand_per_h * (1.0 - 1e-8), "{reached} of {}", stage.demand_per_h);
    }
}

#[test]
fn the_ops_plan_has_every_instance_of_the_notes_machines() {
    let mut book = open(workbook(planned(NOTES)).unwrap());
    let range = book.worksheet_range("Ops plan").unwrap();
    let text = |cell: &Data| cell.get_float().map_or_else(|| cell.to_string(), |number| format!("{number:.0}"));
    let rows: Vec<String> =
        range.rows().skip(3).map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect();
    let sets = [("46-53", "0-22"), ("54-61", "23-45"), ("110-117", "64-86"), ("118-125", "87-109")];
    let mut expected = Vec::new();
    for (group, (p1, p2)) in sets.iter().enumerate() {
        expected.push(format!("128 cores|1|41|p1-{group}|p1|{p1}|1|0|64|volume {group}"));
        expected.push(format!("128 cores|1|41|p2-c1-{group}|p2, c1|{p2}|1|64|0|volume {group}"));
    }
    for (prover, cores) in ["0-20", "21-41", "42-62"].iter().enumerate() {
        expected.push(format!("64 cores|1|28|p4-{prover}|p4|{cores}|1|195|0|"));
    }
    assert_eq!(rows, expected);
}

/// A file in a workbook.
fn part(bytes: &[u8], name: &str) -> String {
    let mut text = String::new();
    zip::ZipArchive::new(Cursor::new(bytes)).unwrap().by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The texts between two others, in order.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).map(|rest| rest.split(close).next().unwrap()).collect()
}

/// The series of a chart: its name, and the ranges of its categories and its values.
fn series(bytes: &[u8], number: usize) -> Vec<[String; 3]> {
    let chart = part(bytes, &format!("xl/charts/chart{number}.xml"));
    let of = |text: &str| {
        let name = between(text, "<c:tx>", "</c:tx>")[0];
        let name = between(name, "<c:v>", "</c:v>")[0];
        let formula = |element: &str| between(between(text, element, "</c:f>")[0], "<c:f>", "\0")[0].replace('$', "");
        [name.to_string(), formula("<c:cat>"), formula("<c:val>")]
    };
    between(&chart, "<c:ser>", "</c:ser>").into_iter().map(of).collect()
}

/// The cells of a range like `'Purchase plan'!A11:A12` and the heading above them.
fn cells_of(book: &mut Xlsx<Cursor<Vec<u8>>>, range: &str) -> (String, Vec<Data>) {
    let (sheet, cells) = range.split_once('!').unwrap();
    let at = |name: &str| {
        let letters = name.find(|c: char| c.is_ascii_digit()).unwrap();
        let column = name[..letters].bytes().fold(0, |sum, letter| sum * 26 + u32::from(letter - b'A' + 1));
        (name[letters..].parse::<u32>().unwrap() - 1, column - 1)
    };
    let (first, last) = cells.split_once(':').map(|(first, last)| (at(first), at(last))).unwrap();
    let values = book.worksheet_range(sheet.trim_matches('\'')).unwrap();
    let heading = values.get_value((first.0 - 1, first.1)).unwrap().to_string();
    (heading, (first.0..=last.0).map(|row| values.get_value((row, first.1)).unwrap().clone()).collect())
}

#[test]
fn charts_show_the_columns_that_they_name() {
    let planned = planned(MIXED);
    let bytes = workbook(planned).unwrap();
    let mut book = open(bytes.clone());
    let money = |words: &str| format!("{words}, {}", planned.scenario.prices.currency);
    let models: Vec<String> = planned.purchase.machines.iter().map(|machines| machines.sku.clone()).collect();
    let days: Vec<String> = (1..=10).map(|day| day.to_string()).collect();
    let output = planned.simulation.as_ref().unwrap().output_per_day.iter().map(|day| f64::from(*day));
    for (number, categories, expected) in [
        (
            1,
            &models,
            vec![
                ("all", "All".to_string()),
                ("to buy at the lower ends of the rates", "To buy with all rates at their lower ends".to_string()),
            ],
        ),
        (2, &models, vec![("purchase", money("Purchase")), ("energy", money("Energy"))]),
        (3, &days, vec![("simulated", "Finished sectors".to_string()), ("target", "Target, sectors/day".to_string())]),
    ] {
        let series = series(&bytes, number);
        assert_eq!(series.len(), expected.len());
        for ([name, across, values], (expected, heading)) in series.iter().zip(&expected) {
            let (found, values) = cells_of(&mut book, values);
            assert_eq!((name.as_str(), &found), (*expected, heading));
            assert!(values.iter().all(|value| value.get_float().is_some()), "{values:?}");
            let across: Vec<String> = cells_of(&mut book, across).1.iter().map(ToString::to_string).collect();
            assert_eq!((&across, values.len()), (categories, categories.len()));
        }
    }
    let simulated = cells_of(&mut book, &series(&bytes, 3)[0][2]).1;
    assert!(simulated.iter().map(|value| value.get_float().unwrap()).eq(output));
}

#[test]
fn cells_that_look_like_formulas_are_quoted_for_whoever_edits_them() {
    let bytes = workbook(planned(MIXED)).unwrap();
    let styles = part(&bytes, "xl/styles.xml");
    let formats = between(&styles, "<cellXfs", "</cellXfs>")[0];
    let is_quoted: Vec<bool> =
        between(formats, "<xf ", ">").iter().map(|format| format.contains("quotePrefix=\"1\"")).collect();
    let texts = part(&bytes, "xl/sharedStrings.xml");
    let texts: Vec<&str> =
        between(&texts, "<si>", "</si>").iter().map(|text| text.split_once('>').unwrap().1).collect();
    let mut quoted = 0;
    for sheet in 1..=SHEETS.len() {
        for cell in between(&part(&bytes, &format!("xl/worksheets/sheet{sheet}.xml")), "<c ", "</c>") {
            if !cell.contains("t=\"s\"") {
                continue;
            }
            let text = texts[between(cell, "<v>", "</v>")[0].parse::<usize>().unwrap()];
            let style = between(cell, " s=\"", "\"").first().map_or(0, |style| style.parse::<usize>().unwrap());
            assert_eq!(is_quoted[style], text.starts_with(['=', '+', '-', '@']), "sheet {sheet}: {text}");
            quoted += usize::from(is_quoted[style]);
        }
    }
    assert!(quoted >= 10, "title, currency, names, mount and source: {quoted}");
}

/// LibreOffice with a profile that recalculates every file that it opens.
struct Office {
    home: tempfile::TempDir,
}

impl Office {
    fn find() -> Option<Office> {
        Command::new("soffice").arg("--version").output().ok().filter(|output| output.status.success())?;
        let home = tempfile::tempdir().unwrap();
        let user = home.path().join("profile/user");
        fs::create_dir_all(&user).unwrap();
        let item = |mode: &str| {
            format!(
                "<item oor:path=\"/org.openoffice.Office.Calc/Formula/Load\"><prop oor:name=\"{mode}\" oor:op=\"fuse\">\
                 <value>0</value></prop></item>"
            )
        };
        let settings = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<oor:items xmlns:oor=\"http://openoffice.org/2001/registry\" \
             xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">{}{}</oor:items>\n",
            item("OOXMLRecalcMode"),
            item("ODFRecalcMode")
        );
        fs::write(user.join("registrymodifications.xcu"), settings).unwrap();
        Some(Office { home })
    }

    /// Writes bytes as a file and converts it; returns the path of the result.
    fn convert(&self, name: &str, bytes: &[u8], to: &str) -> PathBuf {
        let file = self.home.path().join(name);
        fs::write(&file, bytes).unwrap();
        let out = self.home.path().join(format!("{to}-of-{name}"));
        let profile = format!("-env:UserInstallation=file://{}", self.home.path().join("profile").display());
        let output = Command::new("soffice")
            .args([&profile, "--headless", "--norestore", "--convert-to", to, "--outdir"])
            .args([&out, &file])
            .env("HOME", self.home.path())
            .output()
            .unwrap();
        let result = out.join(Path::new(name).with_extension(to));
        assert!(
            result.exists(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        result
    }

    /// The workbook that a file is after LibreOffice has computed every formula anew, which it does for .ods.
    fn recalculated(&self, name: &str, bytes: &[u8]) -> Xlsx<Cursor<Vec<u8>>> {
        let ods = fs::read(self.convert(name, bytes, "ods")).unwrap();
        open(fs::read(self.convert("again.ods", &ods, "xlsx")).unwrap())
    }
}

/// All cells of a workbook that are not empty.
fn cells(book: &mut Xlsx<Cursor<Vec<u8>>>) -> Vec<(String, u32, u32, Data)> {
    let mut all = Vec::new();
    for sheet in SHEETS {
        let range = book.worksheet_range(sheet).unwrap();
        let (top, left) = range.start().unwrap();
        let used = range.used_cells().filter(|(_, _, cell)| cell.get_string() != Some(""));
        all.extend(
            used.map(|(row, column, cell)| (sheet.to_string(), row as u32 + top, column as u32 + left, cell.clone())),
        );
    }
    all
}

#[test]
fn libreoffice_recalculates_to_the_same_figures() {
    let Some(office) = Office::find() else {
        return absent::absent("libreoffice", "there is no soffice: install libreoffice-calc-nogui");
    };
    for text in [NOTES, MIXED] {
        let bytes = workbook(planned(text)).unwrap();
        let written = cells(&mut open(bytes.clone()));
        let read = cells(&mut office.recalculated("plan.xlsx", &bytes));
        assert_eq!(written.len(), read.len());
        for (one, other) in written.iter().zip(&read) {
            let same = match (one.3.get_float(), other.3.get_float()) {
                (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs(),
                _ => one.3 == other.3,
            };
            assert!(same && (&one.0, one.1, one.2) == (&other.0, other.1, other.2), "{one:?} is {other:?}");
        }
    }
}

#[test]
fn a_changed_target_changes_the_machines_in_libreoffice() {
    let Some(office) = Office::find() else {
        return absent::absent("libreoffice", "there is no soffice: install libreoffice-calc-nogui");
    };
    let flat = office.convert("plan.xlsx", &workbook(planned(NOTES)).unwrap(), "fods");
    let text = fs::read_to_string(flat).unwrap();
    let changed = text.replacen("office:value=\"1024\"", "office:value=\"2048\"", 1);
    assert_ne!(text, changed, "the target is 1024 TiB");
    let mut book = office.recalculated("changed.fods", changed.as_bytes());
    assert_eq!(machines(&mut book), [82.0, 56.0]);
}
