//! The values of one input, in one buffer: a million tasks should not cost several million small allocations.

/// A value from a source that tells text from numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text in the file, also for a number.
    pub text: String,
    /// What kind of value the text stands for.
    pub kind: Kind,
}

/// Whether a value is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is a text.
    Text,
    /// It is a number, a boolean, an array or an object as written in TOML or JSON; empty for null.
    Bare,
}

impl Value {
    /// A missing value.
    pub fn null() -> Self {
        Self { text: String::new(), kind: Kind::Bare }
    }
}

/// The values of one input, in the order of the job's field names.
///
/// Values are bytes, since file names and lines need not be UTF-8; a number is the text that the file has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The values one after another.
    bytes: Vec<u8>,
    /// For each value but the last one: twice the offset of its end, plus 1 if it is bare. An input of a single value,
    /// as most are, needs no second buffer.
    ends: Vec<usize>,
    /// The kind of the last value; `None` if there is none.
    last: Option<Kind>,
}

impl Fields {
    /// The fields of an input that has a single value, a text.
    pub fn single(value: impl AsRef<[u8]>) -> Self {
        Self::single_of(value, Kind::Text)
    }

    /// The fields of an input that has a single value, a number with this text.
    pub fn single_number(value: impl AsRef<[u8]>) -> Self {
        Self::single_of(value, Kind::Bare)
    }

    fn single_of(value: impl AsRef<[u8]>, kind: Kind) -> Self {
        Self { bytes: value.as_ref().to_vec(), ends: Vec::new(), last: Some(kind) }
    }

    /// Appends the value of the next field, a text.
    pub fn push(&mut self, value: impl AsRef<[u8]>) {
        self.push_of(value, Kind::Text);
    }

    /// Appends the value of the next field.
    pub fn push_of(&mut self, value: impl AsRef<[u8]>, kind: Kind) {
        if let Some(last) = self.last.replace(kind) {
            self.ends.push(self.bytes.len() << 1 | usize::from(last == Kind::Bare));
        }
        self.bytes.extend_from_slice(value.as_ref());
    }

    /// Appends empty values until there are `count`.
    pub fn pad(&mut self, count: usize) {
        while self.len() < count {
            self.push("");
        }
    }

    /// Keeps the first `count` values only.
    pub fn truncate(&mut self, count: usize) {
        if count >= self.len() {
            return;
        }
        let end = if count == 0 { 0 } else { self.ends[count - 1] >> 1 };
        self.last = count.checked_sub(1).map(|index| self.kind(index));
        self.bytes.truncate(end);
        self.ends.truncate(count.saturating_sub(1));
    }

    /// The value of the field at `index`; empty if the input has no such field.
    pub fn get(&self, index: usize) -> &[u8] {
        if index >= self.len() {
            return &[];
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] >> 1 };
        let end = self.ends.get(index).map_or(self.bytes.len(), |end| end >> 1);
        &self.bytes[start..end]
    }

    /// Whether the value at `index` is a text.
    pub fn kind(&self, index: usize) -> Kind {
        match self.ends.get(index) {
            Some(end) if end & 1 == 1 => Kind::Bare,
            None if index == self.ends.len() => self.last.unwrap_or(Kind::Text),
            _ => Kind::Text,
        }
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len() + usize::from(self.last.is_some())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for Fields {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut fields = Self::default();
        values.into_iter().for_each(|value| fields.push(value));
        fields
    }
}

impl<'a> FromIterator<&'a Value> for Fields {
    fn from_iter<I: IntoIterator<Item = &'a Value>>(values: I) -> Self {
        let mut fields = Self::default();
        values.into_iter().for_each(|value| fields.push_of(&value.text, value.kind));
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
        let mut longer = fields.clone();
        longer.pad(5);
        assert_eq!((longer.len(), longer.get(2), longer.get(4)), (5, &b"ccc"[..], &b""[..]));
        longer.truncate(3);
        assert_eq!(longer, fields);
        longer.truncate(0);
        assert_eq!(longer, Fields::default());
        let mut one = Fields::single_number("7");
        one.push("x");
        one.truncate(1);
        assert_eq!(one, Fields::single_number("7"));
        assert_eq!(Fields::single("x"), ["x"].into_iter().collect());
    }

    #[test]
    fn kinds_come_back_in_order() {
        let mut fields = Fields::default();
        assert_eq!(fields.kind(0), Kind::Text);
        fields.push_of("1", Kind::Bare);
        assert_eq!(fields.kind(0), Kind::Bare);
        fields.push("a");
        fields.push_of("", Kind::Bare);
        let kinds: Vec<_> = (0..4).map(|index| fields.kind(index)).collect();
        assert_eq!(kinds, [Kind::Bare, Kind::Text, Kind::Bare, Kind::Text]);
        assert_eq!(fields.iter().collect::<Vec<_>>(), [&b"1"[..], b"a", b""]);
        assert_ne!(Fields::single("1"), Fields::single_number("1"));
    }
}
