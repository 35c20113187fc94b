//! Files that are read in another order, and are others by then.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::job::inputs::csv::CsvOptions;
use crate::job::inputs::earlier::Earlier;
use crate::job::inputs::files::{Allowed, Files, Format};
use crate::job::inputs::lines::LineOptions;
use crate::job::inputs::records::InputFile;
use crate::job::inputs::text::TextOptions;

/// So many are more than is read at once.
const COUNT: usize = 9000;

fn formats() -> [Format; 4] {
    [
        Format::Lines(LineOptions::default()),
        Format::Csv(CsvOptions::default()),
        Format::Jsonl(None),
        Format::Json(None, "/rows".into()),
    ]
}

/// A file with the values `a0`, `a1` and so on, whose records have different lengths.
fn written(format: &Format, prefix: &str, count: usize) -> String {
    let values = (0..count).map(|index| format!("{}{index}", prefix.repeat(1 + index % 40)));
    let objects = values.clone().map(|value| format!("{{\"x\": \"{value}\", \"y\": 1}}"));
    match format {
        Format::Csv(_) => {
            let rows = values.map(|value| format!("{value},1\n"));
            "x,y\n".to_owned() + &rows.collect::<String>()
        }
        Format::Jsonl(_) => objects.map(|object| object + "\n").collect(),
        Format::Json(..) => {
            let objects = objects.collect::<Vec<_>>().join(",\n");
            format!("{{\"head\": [1, 2], \"rows\": [{objects}]}}")
        }
        _ => values.map(|value| value + "\n").collect(),
    }
}

fn values(prefix: &str, count: usize) -> HashSet<String> {
    (0..count).map(|index| format!("{}{index}", prefix.repeat(1 + index % 40))).collect()
}

fn open(folder: &Path, names: &[&str], format: &Format) -> Shuffled {
    let files = names.iter().map(|name| InputFile::find(name, folder).unwrap()).collect();
    let (text, notes, allowed) = (TextOptions::default(), Arc::default(), Allowed::default());
    let is_plural = names.len() > 1;
    let files =
        Files::learn(files, format.clone(), text, is_plural, Earlier::default(), notes, allowed)
            .unwrap();
    let stop = Stop::default();
    let records = Arc::new(files).open(&stop).unwrap();
    Shuffled::of_records(records, 1, &Finish::default(), &stop).unwrap()
}

/// The values of the first field, and what went wrong.
fn read(shuffled: Shuffled) -> (Vec<String>, Option<String>) {
    let mut found = Vec::new();
    for record in shuffled {
        match record {
            Ok(fields) => {
                assert_eq!(fields.cause(), None);
                found.push(String::from_utf8_lossy(fields.get(0)).into_owned());
            }
            Err(error) => return (found, Some(error.to_string())),
        }
    }
    (found, None)
}

#[test]
fn a_file_that_another_one_has_replaced_is_read_to_its_end() {
    for format in formats() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), written(&format, "a", COUNT)).unwrap();
        fs::write(at("b"), written(&format, "b", 40)).unwrap();
        for names in [&["a"][..], &["a", "b"]] {
            let shuffled = open(folder.path(), names, &format);
            fs::write(at("new"), written(&format, "N", 2 * COUNT)).unwrap();
            fs::rename(at("new"), at("a")).unwrap();
            let (found, error) = read(shuffled);
            assert_eq!(error, None);
            let mut expected = values("a", COUNT);
            if names.len() > 1 {
                expected.extend(values("b", 40));
            }
            assert_eq!(found.len(), expected.len());
            assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
            fs::write(at("a"), written(&format, "a", COUNT)).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_written_over_makes_no_other_rows() {
    for format in formats() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("b"), written(&format, "b", 40)).unwrap();
        for names in [&["a"][..], &["a", "b"]] {
            fs::write(at("a"), written(&format, "a", COUNT)).unwrap();
            let shuffled = open(folder.path(), names, &format);
            fs::write(at("a"), written(&format, "N", COUNT + 1)).unwrap();
            let (found, error) = read(shuffled);
            let error = error.unwrap();
            assert!(error.starts_with("`a`: the file changed while"), "{error}");
            let mut expected = values("a", COUNT);
            expected.extend(values("b", 40));
            assert!(found.iter().all(|value| expected.contains(value)), "{found:?}");
        }
    }
}

#[test]
fn a_file_that_is_opened_again_has_to_be_the_same() {
    for format in formats() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names: Vec<String> = (0..20).map(|index| format!("f{index:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut expected = HashSet::new();
        for name in &names {
            fs::write(at(name), written(&format, name, 50)).unwrap();
            expected.extend(values(name, 50));
        }
        let (found, error) = read(open(folder.path(), &names, &format));
        assert_eq!((found.len(), error), (20 * 50, None));
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
        let shuffled = open(folder.path(), &names, &format);
        fs::write(at("new"), written(&format, "N", 50)).unwrap();
        fs::rename(at("new"), at("f00")).unwrap();
        let (found, error) = read(shuffled);
        let error = error.unwrap();
        assert!(error.starts_with("`f00`: the file changed while"), "{error}");
        assert!(found.iter().all(|value| expected.contains(value)), "{found:?}");
    }
}

/// What would have to be unpacked as a whole for each record is kept.
#[test]
fn compressed_files_are_read_once() {
    for format in formats() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.gz", "b.gz"] {
            let file = fs::File::create(at(name)).unwrap();
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            gzip.write_all(written(&format, &name[..1], 5000).as_bytes()).unwrap();
            gzip.finish().unwrap();
        }
        fs::write(at("c"), written(&format, "c", 5000)).unwrap();
        let shuffled = open(folder.path(), &["a.gz", "c", "b.gz"], &format);
        fs::remove_file(at("a.gz")).unwrap();
        fs::remove_file(at("b.gz")).unwrap();
        let (found, error) = read(shuffled);
        assert_eq!((found.len(), error), (15_000, None));
        let expected: HashSet<String> =
            ["a", "b", "c"].iter().flat_map(|prefix| values(prefix, 5000)).collect();
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
    }
}
