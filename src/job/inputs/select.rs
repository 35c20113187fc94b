//! Which inputs become tasks: `where`, then `shuffle`, `skip`, `limit`.

use std::sync::Arc;

use super::glob::Paths;
use super::records::Records;
use super::{Counted, Filter, InputError};
use crate::task::Fields;

/// Applies `where`, `skip` and `limit` to inputs.
pub(super) struct Select<I> {
    inputs: I,
    filter: Option<Arc<Filter>>,
    skip: u64,
    /// How many more there may be.
    left: Option<u64>,
}

impl<I> Select<I> {
    /// Of `inputs`, those that pass `filter`, without the first `skip`, at most `limit`.
    pub fn new(inputs: I, filter: Option<Arc<Filter>>, skip: u64, limit: Option<u64>) -> Self {
        Self { inputs, filter, skip, left: limit }
    }
}

impl<I: Iterator<Item = Result<Fields, InputError>>> Iterator for Select<I> {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Asked first: a pipe must not be waited for once the limit is reached.
        if self.left == Some(0) {
            return None;
        }
        loop {
            let fields = match self.inputs.next()? {
                Ok(fields) => fields,
                Err(error) => {
                    self.left = Some(0);
                    return Some(Err(error));
                }
            };
            if self.filter.as_ref().is_some_and(|filter| !filter.passes(&fields)) {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
            return Some(Ok(fields));
        }
    }
}

/// Inputs in the random order of a seed. Holds 8 bytes for each, and reads each again when it is due.
pub(super) struct Shuffled {
    positions: std::vec::IntoIter<u64>,
    source: Seekable,
}

/// What can be read at any position.
enum Seekable {
    Counted(Arc<Counted>),
    Records(Box<dyn Records>),
    /// A walk cannot be started in the middle, so the paths are held.
    Paths(Paths),
}

impl Shuffled {
    fn new(mut positions: Vec<u64>, source: Seekable, seed: u64) -> Self {
        fastrand::Rng::with_seed(seed).shuffle(&mut positions);
        Self { positions: positions.into_iter(), source }
    }

    /// Counted inputs, those that pass.
    pub fn of_counted(counted: &Arc<Counted>, seed: u64, passes: impl Fn(&Fields) -> bool) -> Self {
        let positions = (0..counted.count()).filter(|&index| passes(&counted.at(index)));
        Self::new(positions.collect(), Seekable::Counted(Arc::clone(counted)), seed)
    }

    /// The records of a file, those that pass. Reads all of it.
    pub fn of_records(
        mut records: Box<dyn Records>,
        seed: u64,
        passes: impl Fn(&Fields) -> bool,
    ) -> Result<Self, InputError> {
        let mut positions = Vec::new();
        loop {
            let position = records.position();
            match records.next_record() {
                Some(fields) => {
                    if passes(&fields?) {
                        positions.push(position);
                    }
                }
                None => return Ok(Self::new(positions, Seekable::Records(records), seed)),
            }
        }
    }

    /// The paths that pass. Walks to the end.
    pub fn of_paths(
        found: impl Iterator<Item = Result<Fields, InputError>>,
        seed: u64,
        passes: impl Fn(&Fields) -> bool,
    ) -> Result<Self, InputError> {
        let (mut positions, mut paths) = (Vec::new(), Paths::default());
        for fields in found {
            let fields = fields?;
            if passes(&fields) {
                positions.push(paths.push(fields.get(0)));
            }
        }
        Ok(Self::new(positions, Seekable::Paths(paths), seed))
    }
}

impl Iterator for Shuffled {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.positions.next()?;
        match &mut self.source {
            Seekable::Counted(counted) => Some(Ok(counted.at(position))),
            Seekable::Paths(paths) => Some(Ok(Fields::single(paths.at(position)))),
            Seekable::Records(records) => match records.seek(position) {
                Ok(()) => records.next_record(),
                Err(error) => Some(Err(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u64) -> Arc<Counted> {
        Arc::new(Counted::Repeat(count))
    }

    fn texts(inputs: impl Iterator<Item = Result<Fields, InputError>>) -> Vec<String> {
        inputs.map(|fields| String::from_utf8(fields.unwrap().get(0).to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_shuffle_keeps_every_input_and_depends_on_its_seed_alone() {
        let shuffled = |seed| texts(Shuffled::of_counted(&numbers(100), seed, |_| true));
        let mut sorted = shuffled(1);
        assert_eq!(sorted, shuffled(1));
        assert_ne!(sorted, shuffled(2));
        sorted.sort_by_key(|text| text.parse::<u64>().unwrap());
        assert_eq!(sorted, (1..=100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn skip_counts_what_passes_and_the_limit_reads_no_further() {
        let fields = ["input".to_owned()];
        let filter = Arc::new(Filter::parse("input > 2", Some(&fields)).unwrap());
        let mut reads = 0;
        let inputs = (1..).map(|n: u64| {
            reads += 1;
            Ok(Fields::single(n.to_string()))
        });
        assert_eq!(texts(Select::new(inputs, Some(filter), 1, Some(2))), ["4", "5"]);
        assert_eq!(reads, 5);
    }
}
