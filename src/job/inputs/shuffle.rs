//! `shuffle`: inputs in the random order of a seed.
//!
//! Inputs that can be had by their number are not held: a keyed permutation says which one comes next. Of a file, the
//! place of each record is held, 8 bytes for each, and the record is read again when it is due.

use std::collections::HashMap;

use super::InputError;
use super::finish::Finish;
use super::glob::Paths;
use super::records::{Records, Stop};
use crate::task::Fields;

/// How many records may be read before it is asked whether the run was stopped.
const UNASKED: u64 = 1 << 12;

/// A permutation of the numbers below a count: a Feistel network over the next power of four, walked until it is within
/// (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
#[derive(Clone, Debug)]
pub(super) struct Permutation {
    count: u64,
    /// Bits of each half.
    half: u32,
    keys: [u64; ROUNDS],
}

const ROUNDS: usize = 6;

impl Permutation {
    /// The permutation of `seed`.
    pub fn new(count: u64, seed: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let mut random = fastrand::Rng::with_seed(seed);
        let keys = std::array::from_fn(|_| random.u64(..));
        Self { count, half: bits.div_ceil(2).max(1), keys }
    }

    /// Which number comes at `place`, which is below the count.
    pub fn at(&self, place: u64) -> u64 {
        let mut number = place;
        loop {
            number = self.step(number);
            if number < self.count {
                return number;
            }
        }
    }

    fn step(&self, number: u64) -> u64 {
        let mask = (1_u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }
}

/// The finish of splitmix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Inputs in the random order of a seed.
pub(super) struct Shuffled {
    positions: std::vec::IntoIter<u64>,
    source: Seekable,
}

/// What can be read at any position.
enum Seekable {
    /// The bad ones are held: what is wrong with one can depend on what stands around it.
    Records(Box<dyn Records>, HashMap<u64, Fields>),
    /// A walk cannot be started in the middle, so the paths are held, and what could not be walked through.
    Paths(Paths, HashMap<u64, Fields>),
}

/// Positions, as many as there is memory for.
#[derive(Default)]
struct Positions(Vec<u64>);

impl Positions {
    fn push(&mut self, position: u64) -> Result<(), InputError> {
        if self.0.len() == self.0.capacity() {
            let more = self.0.len().max(1 << 10);
            self.0.try_reserve_exact(more).map_err(|_| {
                InputError::new(format!(
                    "there is not enough memory to shuffle more than {} inputs, which takes 8 bytes for each",
                    self.0.len()
                ))
            })?;
        }
        self.0.push(position);
        Ok(())
    }

    fn shuffled(mut self, seed: u64) -> std::vec::IntoIter<u64> {
        fastrand::Rng::with_seed(seed).shuffle(&mut self.0);
        self.0.into_iter()
    }
}

impl Shuffled {
    /// The records of a file. Reads all of it, and holds those that `finish` finds bad, as it has them: where a record is
    /// in its file is not known when it is read again.
    pub fn of_records(
        mut records: Box<dyn Records>,
        seed: u64,
        finish: &Finish,
        stop: &Stop,
    ) -> Result<Self, InputError> {
        records.make_seekable(stop)?;
        let (mut positions, mut bad) = (Positions::default(), HashMap::new());
        for number in 1_u64.. {
            let Some((position, fields)) = records.next_placed() else { break };
            let mut fields = fields?;
            if finish.can_fail() {
                fields = finish.of(fields, &mut *records);
            }
            if fields.cause().is_some() {
                bad.insert(position, fields);
            }
            positions.push(position)?;
            if number % UNASKED == 0 {
                stop.check()?;
            }
        }
        Ok(Self { positions: positions.shuffled(seed), source: Seekable::Records(records, bad) })
    }

    /// The paths that were found. Walks to the end.
    pub fn of_paths(
        found: impl Iterator<Item = Result<Fields, InputError>>,
        seed: u64,
        stop: &Stop,
    ) -> Result<Self, InputError> {
        let (mut positions, mut paths) = (Positions::default(), Paths::default());
        let mut bad = HashMap::new();
        for (number, fields) in (1_u64..).zip(found) {
            let fields = fields?;
            let position = paths.push(fields.get(0));
            if fields.cause().is_some() {
                bad.insert(position, fields);
            }
            positions.push(position)?;
            if number % UNASKED == 0 {
                stop.check()?;
            }
        }
        Ok(Self { positions: positions.shuffled(seed), source: Seekable::Paths(paths, bad) })
    }
}

fn changed() -> InputError {
    InputError::new("the file of the inputs changed while they were read in another order".into())
}

impl Iterator for Shuffled {
    type Item = Result<Fields, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.positions.next()?;
        match &mut self.source {
            Seekable::Paths(paths, bad) => {
                let bad = bad.remove(&position);
                Some(Ok(bad.unwrap_or_else(|| Fields::single(paths.at(position)))))
            }
            Seekable::Records(records, bad) => match bad.remove(&position) {
                Some(bad) => Some(Ok(bad)),
                None => match records.seek(position) {
                    Ok(()) => Some(records.next_record().unwrap_or_else(|| Err(changed()))),
                    Err(error) => Some(Err(error)),
                },
            },
        }
    }
}

#[cfg(test)]
mod file_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_every_number_once_and_a_seed_repeats_it() {
        for count in [0, 1, 2, 3, 10, 64, 65, 1000] {
            let permutation = Permutation::new(count, 7);
            let mut numbers: Vec<u64> = (0..count).map(|place| permutation.at(place)).collect();
            let again = Permutation::new(count, 7);
            assert!((0..count).all(|place| again.at(place) == numbers[place as usize]));
            assert!(count < 10 || !numbers.is_sorted());
            numbers.sort_unstable();
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        }
        let (one, other) = (Permutation::new(1000, 1), Permutation::new(1000, 2));
        assert!((0..1000).any(|place| one.at(place) != other.at(place)));
        let huge = Permutation::new(u64::MAX, 3);
        assert_ne!(huge.at(0), huge.at(1));
        assert!(Permutation::new(8_000_000_000, 3).at(5) < 8_000_000_000);
    }
}
