//! Figures by the values of a field, for fields with few different ones.

use std::collections::HashMap;

use crate::view::digest::histogram::Histogram;

/// A field with more values than this is not grouped by.
const VALUES: usize = 20;

/// A value that is longer than this, in bytes, is no group's name.
const LONGEST: usize = 80;

/// The tasks with one value.
#[derive(Debug, Default)]
pub struct Group {
    /// How many.
    pub tasks: u64,
    /// How many of them are ok.
    pub ok: u64,
    /// Their run times.
    pub runs: Histogram<7>,
}

/// The tasks by the values of one field.
#[derive(Debug)]
pub struct Groups {
    /// The field.
    pub field: String,
    /// `None` once there are too many values.
    found: Option<HashMap<Vec<u8>, Group>>,
}

impl Groups {
    /// Without a task.
    pub fn new(field: String) -> Self {
        Self { field, found: Some(HashMap::new()) }
    }

    /// Whether there may still be few values.
    pub fn is_open(&self) -> bool {
        self.found.is_some()
    }

    /// Counts a task with this value.
    pub fn add(&mut self, value: &[u8], is_ok: bool, run: Option<u64>) {
        let Some(found) = &mut self.found else { return };
        if !found.contains_key(value) {
            if found.len() == VALUES || value.len() > LONGEST {
                self.found = None;
                return;
            }
            found.insert(value.to_vec(), Group::default());
        }
        let Some(group) = found.get_mut(value) else { return };
        group.tasks += 1;
        group.ok += u64::from(is_ok);
        if let Some(run) = run {
            group.runs.add(run);
        }
    }

    /// The groups in order, numbers by their size; `None` if there is nothing to compare.
    pub fn sorted(&self) -> Option<Vec<(String, &Group)>> {
        let found = self.found.as_ref()?;
        let tasks: u64 = found.values().map(|group| group.tasks).sum();
        // Where nearly every task has a value of its own, groups tell nothing.
        if found.len() < 2 || tasks < 2 * found.len() as u64 {
            return None;
        }
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        let mut sorted: Vec<_> = found.iter().map(|(value, group)| (text(value), group)).collect();
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(numbers) =
            sorted.iter().map(|(value, _)| number(value)).collect::<Option<Vec<f64>>>()
        {
            let mut numbered: Vec<_> = numbers.into_iter().zip(sorted).collect();
            numbered.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            return Some(numbered.into_iter().map(|(_, group)| group).collect());
        }
        Some(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_groups_and_many_are_not() {
        let mut groups = Groups::new("x".into());
        for value in ["10", "9", "10", "9", "10"] {
            groups.add(value.as_bytes(), value == "9", Some(1000));
        }
        let sorted = groups.sorted().unwrap();
        let counts: Vec<_> =
            sorted.iter().map(|(value, group)| (&**value, group.tasks, group.ok)).collect();
        assert_eq!(counts, [("9", 2, 2), ("10", 3, 0)]);
        (0..30).for_each(|n| groups.add(n.to_string().as_bytes(), true, None));
        assert!(groups.sorted().is_none() && !groups.is_open());

        let mut different = Groups::new("x".into());
        (0..10).for_each(|n| different.add(n.to_string().as_bytes(), true, None));
        assert!(different.sorted().is_none());
    }
}
