//! The names of the columns of a table.

use std::collections::HashSet;

/// The names in a header row: trimmed; one that is empty is `column_3`, and a second `a` is `a_2`.
///
/// # Errors
/// If a name is not text.
pub(in crate::job::inputs) fn names<'a>(
    cells: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<String>, String> {
    let read = |(index, cell): (usize, &[u8])| match str::from_utf8(cell) {
        Ok(name) if name.trim().is_empty() => Ok(format!("column_{}", index + 1)),
        Ok(name) => Ok(name.trim().to_owned()),
        Err(_) => Err(format!(
            "the name of column {} is not UTF-8: name the file's `encoding`, for example \"windows-1252\"",
            index + 1
        )),
    };
    let written: Vec<String> = cells.enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(unique(written))
}

/// Names for this many columns that have none.
pub(in crate::job::inputs) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|column| format!("column_{column}")).collect()
}

/// Numbers those that are there already, with a number that makes no other name.
fn unique(written: Vec<String>) -> Vec<String> {
    let all: HashSet<String> = written.iter().cloned().collect();
    let mut taken: HashSet<String> = HashSet::with_capacity(written.len());
    let number = |name: String| {
        if taken.insert(name.clone()) {
            return name;
        }
        let candidates = (2..).map(|number| format!("{name}_{number}"));
        let mut free = candidates.filter(|name| !all.contains(name) && !taken.contains(name));
        let name = free.next().expect("numbers do not end");
        drop(free);
        taken.insert(name.clone());
        name
    };
    written.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own() {
        for (header, expected) in [
            (&["a", " b ", ""][..], &["a", "b", "column_3"][..]),
            (&["a", "a", "a_2", "a"], &["a", "a_3", "a_2", "a_4"]),
            (&["", "column_1"], &["column_1", "column_1_2"]),
        ] {
            let cells = header.iter().map(|name| name.as_bytes());
            assert_eq!(names(cells).unwrap(), expected);
        }
        assert!(names([&b"a"[..], b"\xff"].into_iter()).unwrap_err().contains("column 2"));
        assert_eq!(numbered(2), ["column_1", "column_2"]);
    }
}
