//! What an input is known by to `--resume`: its values, and of which kind they are.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::report::Identities;
use crate::task::Fields;

/// Computes identities of inputs: 128 bits of XXH3, with a seed of the report's own.
///
/// Two of a hundred million inputs share one by accident with a probability of 1e-23. It does not protect against
/// somebody who knows the state file and constructs colliding inputs.
#[derive(Clone, Debug)]
pub(in crate::report) struct Identify {
    seed: u64,
    tells_kinds: bool,
    /// How many fields are the source's own; what is made from them says nothing more.
    own: usize,
    scratch: Vec<u8>,
}

impl Identify {
    pub(in crate::report) fn new(by: Identities, own: usize) -> Self {
        let Identities { seed, tells_kinds } = by;
        Self { seed, tells_kinds, own, scratch: Vec::new() }
    }

    /// The identity of an input with these values: the number 1 is another one than the text "1".
    pub(in crate::report) fn of(&mut self, fields: &Fields) -> u128 {
        let texts = self.of_texts(fields);
        if self.tells_kinds { texts ^ u128::from(self.of_kinds(fields)) } else { texts }
    }

    /// Whether an input of these values, of whatever kind, may have this identity: who reads a report has only texts.
    pub(in crate::report) fn may_be(&mut self, identity: u128, values: &Fields) -> bool {
        self.of_texts(values) >> u32::BITS == identity >> u32::BITS
    }

    /// What the kinds change of an identity, in its last bits; 0 if all values are texts.
    fn of_kinds(&mut self, fields: &Fields) -> u32 {
        self.scratch.clear();
        for index in fields.bare().take_while(|&index| index < self.own) {
            self.scratch.extend_from_slice(&(index as u64).to_le_bytes());
        }
        if self.scratch.is_empty() {
            return 0;
        }
        xxh3_64_with_seed(&self.scratch, self.seed) as u32
    }

    fn of_texts(&mut self, fields: &Fields) -> u128 {
        if let Some(identity) = fields.identity() {
            return xxh3_128_with_seed(&identity.to_le_bytes(), self.seed ^ 1);
        }
        if fields.len().min(self.own) == 1 {
            return xxh3_128_with_seed(fields.get(0), self.seed);
        }
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        self.scratch.clear();
        for value in fields.iter().take(self.own) {
            self.scratch.extend_from_slice(&(value.len() as u64).to_le_bytes());
            self.scratch.extend_from_slice(value);
        }
        xxh3_128_with_seed(&self.scratch, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Kind;

    #[test]
    fn inputs_are_told_apart_by_their_content() {
        let by = |seed| Identities { seed, tells_kinds: true };
        let mut identify = Identify::new(by(1), usize::MAX);
        let mut of = |values: &[&str]| identify.of(&values.iter().collect());
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_ne!(Identify::new(by(2), usize::MAX).of(&Fields::single("a")), of(&["a"]));
    }

    #[test]
    fn a_number_is_another_input_than_its_text() {
        let inputs = |own: usize, tells_kinds: bool| {
            let mut identify = Identify::new(Identities { seed: 1, tells_kinds }, own);
            let mut mixed = Fields::single("1");
            mixed.push_of("1", Kind::Bare);
            let all = [Fields::single("1"), Fields::single_number("1"), mixed];
            let found = all.each_ref().map(|fields| identify.of(fields));
            let texts = |fields: &Fields| fields.iter().collect::<Fields>();
            let mut all = all.iter().zip(found);
            assert!(all.all(|(fields, identity)| identify.may_be(identity, &texts(fields))));
            found
        };
        let [text, number, mixed] = inputs(usize::MAX, true);
        assert!(text != number && number != mixed && text != mixed);
        // What is made from the first field does not count; an older runner has told no kinds.
        let [text, number, mixed] = inputs(1, true);
        assert!(text != number && text == mixed);
        let [old_text, old_number, _] = inputs(1, false);
        assert!(old_text == text && old_number == text);
    }
}
