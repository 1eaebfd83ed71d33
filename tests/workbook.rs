//! The plan's workbook as spreadsheets see it: values and formulas read back, recalculated by LibreOffice, with inputs changed.

#[path = "support/absent.rs"]
mod absent;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use calamine::{Data, DataType, Reader, Xlsx};
use sealbench::plan::planner::{Plan, plan};
use sealbench::plan::scenario::Scenario;
use sealbench::plan::simulate::simulate;
use sealbench::plan::workbook::workbook;

const NOTES: &str = include_str!("../params/scenarios/field-notes-2020.toml");
const MIXED: &str = include_str!("data/plan/mixed.toml");

const SHEETS: [&str; 6] = ["Inputs", "Rates", "Layouts", "Purchase plan", "Ops plan", "Simulation"];

/// The plan of a scenario, simulated.
fn planned(text: &str) -> Plan {
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
    let mut book = open(workbook(&planned).unwrap());
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
    assert!(workbook(&planned(NOTES)).unwrap() == workbook(&planned(NOTES)).unwrap());
}

#[test]
fn foreign_words_are_texts_and_never_formulas() {
    let planned = planned(MIXED);
    let mut book = open(workbook(&planned).unwrap());
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
        let mut book = open(workbook(&planned).unwrap());
        assert_eq!(machines(&mut book), planned_machines(&planned));
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
        let bytes = workbook(&planned(text)).unwrap();
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
    let flat = office.convert("plan.xlsx", &workbook(&planned(NOTES)).unwrap(), "fods");
    let text = fs::read_to_string(flat).unwrap();
    let changed = text.replacen("office:value=\"1024\"", "office:value=\"2048\"", 1);
    assert_ne!(text, changed, "the target is 1024 TiB");
    let mut book = office.recalculated("changed.fods", changed.as_bytes());
    assert_eq!(machines(&mut book), [82.0, 56.0]);
}
