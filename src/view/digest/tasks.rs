//! Which tasks have a row, in a bit each.

/// Numbers up to this one are looked at: their bits take 16 MiB.
const HIGHEST: u64 = 1 << 27;

/// The numbers of tasks that have a row.
#[derive(Debug, Default)]
pub struct Numbers {
    bits: Vec<u64>,
    /// The first number that came again.
    repeated: Option<u64>,
    /// How many rows have a number that another one has.
    repeats: u64,
}

impl Numbers {
    /// Adds that of a row.
    pub fn add(&mut self, task: u64) {
        if task > HIGHEST {
            return;
        }
        let (word, bit) = ((task / 64) as usize, 1 << (task % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            self.repeated.get_or_insert(task);
            self.repeats += 1;
        }
        self.bits[word] |= bit;
    }

    /// How many rows have a number that another one has, and the first such number.
    pub fn repeated(&self) -> Option<(u64, u64)> {
        self.repeated.map(|task| (self.repeats, task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_come_again_are_counted() {
        let mut numbers = Numbers::default();
        for task in [3, 1, 200, 2, u64::MAX] {
            numbers.add(task);
        }
        assert_eq!(numbers.repeated(), None);
        for task in [200, 1, 200] {
            numbers.add(task);
        }
        assert_eq!(numbers.repeated(), Some((3, 200)));
    }
}
