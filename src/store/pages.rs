//! Rows out of the pages of an SQLite file, one page at a time, whatever became of the others.
//!
//! SQLite reaches a row through the pages above it; when one of those is damaged, every row below it is out of reach. The rows themselves
//! are in leaf pages that say all about their own content, so they are read from there (sqlite.org/fileformat2.html, sections 1.6 and 2).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, bail};

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes of the file's header, before the first page's own.
const FILE_HEADER: usize = 100;

/// SQLite's page size unless told otherwise; this program never does.
const USUAL_PAGE: usize = 4096;

/// Most bytes of one row.
const MAX_PAYLOAD: u64 = 64 << 20;

/// The type of a leaf page of a table.
const TABLE_LEAF: u8 = 0x0d;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text, not yet checked to be UTF-8.
    Text(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Field {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Field::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    pub fn integer(&self) -> Option<i64> {
        if let Field::Integer(value) = self { Some(*value) } else { None }
    }
}

/// A row of some table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its rowid.
    pub rowid: i64,
    /// How many columns it has.
    pub columns: usize,
    /// Their values; fewer than `columns` if the rest of the row is not readable.
    pub fields: Vec<Field>,
}

/// An SQLite file, open for reading.
#[derive(Debug)]
pub struct Pages {
    file: File,
    page: usize,
    /// Bytes of a page that SQLite uses.
    usable: usize,
    count: u64,
    user_version: Option<u32>,
}

impl Pages {
    /// Opens a file. A damaged header is made up for with SQLite's usual page size.
    pub fn open(path: &Path) -> anyhow::Result<Pages> {
        let what = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(what)?;
        let meta = file.metadata().with_context(what)?;
        if !meta.is_file() || meta.len() < USUAL_PAGE as u64 {
            bail!("{} is no results store: it is too short", path.display());
        }
        let mut header = [0; FILE_HEADER];
        file.read_exact(&mut header).with_context(what)?;
        let intact = header.starts_with(MAGIC);
        let page = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 1 << 16,
            size if intact && size.is_power_of_two() && size >= 512 => usize::from(size),
            _ => USUAL_PAGE,
        };
        let reserved = if intact { usize::from(header[20]).min(page - 480) } else { 0 };
        let user_version = intact.then(|| u32::from_be_bytes([header[60], header[61], header[62], header[63]]));
        Ok(Pages { file, page, usable: page - reserved, count: meta.len() / page as u64, user_version })
    }

    /// The layout's version by the file's header; `None` if that is damaged.
    pub fn user_version(&self) -> Option<u32> {
        self.user_version
    }

    /// Hands every row of every table to `each`, in the order of the pages.
    pub fn rows(&mut self, mut each: impl FnMut(Row) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for number in 1..=self.count {
            let Ok(page) = self.read(number) else { continue };
            let start = if number == 1 { FILE_HEADER } else { 0 };
            for cell in cells(&page[..self.usable], start) {
                if let Some(row) = self.row(&page[..self.usable], cell) {
                    each(row)?;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, number: u64) -> std::io::Result<Vec<u8>> {
        let mut page = vec![0; self.page];
        self.file.seek(SeekFrom::Start((number - 1) * self.page as u64))?;
        self.file.read_exact(&mut page)?;
        Ok(page)
    }

    /// The row in the cell at an offset, as far as it can be read; `None` if there is no row.
    fn row(&mut self, page: &[u8], cell: usize) -> Option<Row> {
        let mut at = cell;
        let size = varint(page, &mut at).filter(|size| *size <= MAX_PAYLOAD)? as usize;
        let rowid = varint(page, &mut at)? as i64;
        let local = local_bytes(size, self.usable);
        let mut payload = page.get(at..at + local)?.to_vec();
        if local < size {
            let next = page.get(at + local..at + local + 4)?;
            self.overflow(u32::from_be_bytes(next.try_into().ok()?), size, &mut payload);
        }
        let (columns, fields) = decode(&payload)?;
        Some(Row { rowid, columns, fields })
    }

    /// Appends what follows in overflow pages, until the payload has its size or the chain breaks.
    fn overflow(&mut self, first: u32, size: usize, payload: &mut Vec<u8>) {
        let mut next = u64::from(first);
        // Each page adds some bytes, so even a chain that bites its tail ends.
        while payload.len() < size && (1..=self.count).contains(&next) {
            let Ok(page) = self.read(next) else { return };
            next = u64::from(u32::from_be_bytes([page[0], page[1], page[2], page[3]]));
            let wanted = (size - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&page[4..4 + wanted]);
        }
    }
}

/// Offsets of the cells of a table's leaf page; none if the page is anything else.
fn cells(page: &[u8], start: usize) -> Vec<usize> {
    if page[start] != TABLE_LEAF {
        return Vec::new();
    }
    let number = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let count = number(start + 3);
    let first = start + 8;
    if first + 2 * count > page.len() {
        return Vec::new();
    }
    (0..count).map(|i| number(first + 2 * i)).filter(|cell| *cell >= first + 2 * count).collect()
}

/// Bytes of a payload that are in the leaf page itself.
fn local_bytes(size: usize, usable: usize) -> usize {
    let most = usable - 35;
    if size <= most {
        return size;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let some = least + (size - least) % (usable - 4);
    if some <= most { some } else { least }
}

/// The number of columns and their values, up to the first that is not all there.
fn decode(payload: &[u8]) -> Option<(usize, Vec<Field>)> {
    let mut at = 0;
    let header = usize::try_from(varint(payload, &mut at)?).ok().filter(|header| *header <= payload.len())?;
    let mut types = Vec::new();
    while at < header {
        types.push(varint(payload, &mut at)?);
    }
    if at != header {
        return None;
    }
    let mut fields = Vec::new();
    for serial in &types {
        let length = length_of(*serial)?;
        let Some(bytes) = at.checked_add(length).and_then(|end| payload.get(at..end)) else { break };
        fields.push(field(*serial, bytes));
        at += length;
    }
    Some((types.len(), fields))
}

/// Bytes of a value with this serial type.
fn length_of(serial: u64) -> Option<usize> {
    match serial {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(serial as usize),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((serial - 12) / 2).ok(),
    }
}

fn field(serial: u64, bytes: &[u8]) -> Field {
    let integer = || {
        let negative = bytes.first().is_some_and(|b| *b >= 0x80);
        bytes.iter().fold(if negative { -1i64 } else { 0 }, |value, b| (value << 8) | i64::from(*b))
    };
    match serial {
        0 => Field::Null,
        1..=6 => Field::Integer(integer()),
        7 => Field::Real(f64::from_bits(integer() as u64)),
        8 => Field::Integer(0),
        9 => Field::Integer(1),
        _ if serial.is_multiple_of(2) => Field::Blob(bytes.to_vec()),
        _ => Field::Text(bytes.to_vec()),
    }
}

/// A number of one to nine bytes, seven bits in each but the ninth, which has eight.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if i == 8 {
            return Some((value << 8) | u64::from(byte));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn all(path: &Path) -> Vec<Row> {
        let mut rows = Vec::new();
        Pages::open(path)
            .unwrap()
            .rows(|row| {
                rows.push(row);
                Ok(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn every_kind_of_value_comes_back_from_every_page_size() {
        for page in [512, 4096, 65536] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.db");
            let db = Connection::open(&path).unwrap();
            db.pragma_update(None, "page_size", page).unwrap();
            db.execute_batch("CREATE TABLE t (a, b, c, d)").unwrap();
            let long = "ü".repeat(40_000);
            let mut expected = Vec::new();
            for (rowid, value) in
                [0, 1, -1, 127, -32_769, 8_388_607, 1 << 40, i64::MIN, i64::MAX].into_iter().enumerate()
            {
                db.execute("INSERT INTO t VALUES (?1, ?2, ?3, NULL)", (value, 0.1 * value as f64, &long)).unwrap();
                expected.push(Row {
                    rowid: rowid as i64 + 1,
                    columns: 4,
                    fields: vec![
                        Field::Integer(value),
                        Field::Real(0.1 * value as f64),
                        Field::Text(long.clone().into_bytes()),
                        Field::Null,
                    ],
                });
            }
            db.execute("INSERT INTO t VALUES (X'00ff', '', 2, 3)", []).unwrap();
            let mut rows = all(&path);
            rows.retain(|row| row.columns == 4);
            // SQLite keeps whole numbers of a real column as integers.
            for row in &mut rows[..expected.len()] {
                if let Field::Integer(value) = row.fields[1] {
                    row.fields[1] = Field::Real(value as f64);
                }
            }
            assert_eq!(rows[..expected.len()], expected, "{page}");
            let last = [Field::Blob(vec![0, 0xff]), Field::Text(vec![]), Field::Integer(2), Field::Integer(3)];
            assert_eq!(rows[expected.len()].fields, last);
        }
    }

    #[test]
    fn what_is_no_store_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        assert!(Pages::open(&path).is_err());
        std::fs::write(&path, "short").unwrap();
        assert!(Pages::open(&path).unwrap_err().to_string().contains("too short"));
        assert!(Pages::open(dir.path()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn damage_never_panics_and_never_invents_many_rows(
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.db");
            let db = Connection::open(&path).unwrap();
            db.execute_batch("CREATE TABLE t (a, b)").unwrap();
            for n in 0..40i64 {
                db.execute("INSERT INTO t VALUES (?1, ?2)", (n, "x".repeat(n as usize * 50))).unwrap();
            }
            drop(db);
            let mut bytes = std::fs::read(&path).unwrap();
            for (place, byte) in places {
                *place.get_mut(&mut bytes) = byte;
            }
            std::fs::write(&path, &bytes).unwrap();
            prop_assert!(all(&path).len() < bytes.len() / 2);
        }
    }
}
