//! The values of one input, kept in one buffer: a million tasks should not cost a million small allocations each.

/// The values of one input, in the order of the job's field names.
///
/// Values are bytes, since file names and lines need not be UTF-8; a number is the text that the file has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The values one after another.
    bytes: Vec<u8>,
    /// Where each value but the last one ends: an input of a single value, which most are, needs no second buffer.
    ends: Vec<usize>,
    any: bool,
}

impl Fields {
    /// The fields of an input that has a single value.
    pub fn single(value: impl AsRef<[u8]>) -> Self {
        Self { bytes: value.as_ref().to_vec(), ends: Vec::new(), any: true }
    }

    /// Appends the value of the next field.
    pub fn push(&mut self, value: impl AsRef<[u8]>) {
        if self.any {
            self.ends.push(self.bytes.len());
        }
        self.any = true;
        self.bytes.extend_from_slice(value.as_ref());
    }

    /// The value of the field at `index`; empty if the input has no such field.
    pub fn get(&self, index: usize) -> &[u8] {
        if index >= self.len() {
            return &[];
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let end = self.ends.get(index).copied().unwrap_or(self.bytes.len());
        &self.bytes[start..end]
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len() + usize::from(self.any)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        !self.any
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for Fields {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut fields = Self::default();
        values.into_iter().for_each(|value| fields.push(value));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_order() {
        let fields: Fields = ["a", "", "ccc"].into_iter().collect();
        assert_eq!(fields.iter().collect::<Vec<_>>(), [&b"a"[..], b"", b"ccc"]);
        assert_eq!(fields.get(3), b"");
        assert_eq!(fields.len(), 3);
        assert_eq!(Fields::default().get(0), b"");
        assert_eq!(Fields::default().len(), 0);
        assert_eq!(Fields::single("x"), ["x"].into_iter().collect());
    }
}
