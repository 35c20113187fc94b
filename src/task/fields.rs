//! The values of one input, in one buffer: a million tasks should not cost several million small allocations.

pub mod packed;

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::task::Payload;

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
    /// Boxed, since hardly any input has it.
    special: Option<Box<Special>>,
}

/// What an input is, if it is more than its values.
#[derive(Clone, Debug)]
enum Special {
    /// A datum that cannot be used: why, and what it is known by.
    Bad { cause: String, identity: u128 },
    /// Several inputs as one.
    Batch(Vec<Fields>),
    /// A piece of a file, and what it is known by.
    Block { payload: Option<Arc<Payload>>, identity: u128 },
}

impl PartialEq for Special {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Batch(one), Self::Batch(other)) => one == other,
            (one, other) => one.identity().is_some() && one.identity() == other.identity(),
        }
    }
}

impl Eq for Special {}

impl Special {
    fn identity(&self) -> Option<u128> {
        match self {
            Self::Bad { identity, .. } | Self::Block { identity, .. } => Some(*identity),
            Self::Batch(_) => None,
        }
    }
}

impl Fields {
    /// A datum that cannot be used, of these bytes: it has no values, and becomes a failed row.
    pub fn bad(cause: String, raw: &[u8]) -> Self {
        let special = Special::Bad { cause, identity: xxh3_128(raw) };
        Self { special: Some(Box::new(special)), ..Self::default() }
    }

    /// A datum that turned out unusable after it was read: it keeps its values.
    #[must_use]
    pub fn with_cause(self, cause: String) -> Self {
        let special = Special::Bad { cause, identity: xxh3_128(&self.raw()) };
        Self { special: Some(Box::new(special)), ..self }
    }

    /// Why it cannot be used, if it is such a datum.
    #[inline]
    pub fn cause(&self) -> Option<&str> {
        match self.special.as_deref() {
            Some(Special::Bad { cause, .. }) => Some(cause),
            _ => None,
        }
    }

    /// Makes it the input that stands for these `members`.
    #[must_use]
    pub fn with_members(self, members: Vec<Fields>) -> Self {
        Self { special: Some(Box::new(Special::Batch(members))), ..self }
    }

    /// The inputs that it stands for, if it is a batch.
    #[inline]
    pub fn members(&self) -> Option<&[Fields]> {
        match self.special.as_deref() {
            Some(Special::Batch(members)) => Some(members),
            _ => None,
        }
    }

    /// Makes it the input that hands `payload` to the first stage. It is known by `identity`, a hash of the bytes.
    #[must_use]
    pub fn with_payload(self, payload: Payload, identity: u128) -> Self {
        let special = Special::Block { payload: Some(Arc::new(payload)), identity };
        Self { special: Some(Box::new(special)), ..self }
    }

    /// Takes out what it hands to the first stage, if it does.
    #[inline]
    pub fn take_payload(&mut self) -> Option<Arc<Payload>> {
        match self.special.as_deref_mut() {
            Some(Special::Block { payload, .. }) => payload.take(),
            _ => None,
        }
    }

    /// What says where it is in its file, if it is a piece of one: it is known by its bytes, wherever they are.
    pub fn place(&self) -> Option<Vec<Vec<u8>>> {
        const FIELDS: usize = 3; // its number, its offset, its length
        let is_block = matches!(self.special.as_deref(), Some(Special::Block { .. }));
        is_block.then(|| self.iter().take(FIELDS).map(<[u8]>::to_vec).collect())
    }

    /// What it is known by, if that is not its values.
    pub fn identity(&self) -> Option<u128> {
        self.special.as_deref().and_then(Special::identity)
    }

    /// Appends the value of the field at `index` as text; of a batch, one value a line.
    pub fn push_text(&self, index: usize, out: &mut Vec<u8>) {
        let Some(members) = self.members().filter(|members| index < members[0].len()) else {
            return out.extend_from_slice(self.get(index));
        };
        for (place, member) in members.iter().enumerate() {
            if place > 0 {
                out.push(b'\n');
            }
            out.extend_from_slice(member.get(index));
        }
    }

    /// How many bytes [`Fields::push_text`] appends.
    pub fn text_len(&self, index: usize) -> usize {
        match self.members().filter(|members| index < members[0].len()) {
            None => self.get(index).len(),
            Some(members) => {
                members.iter().map(|member| member.get(index).len() + 1).sum::<usize>() - 1
            }
        }
    }

    /// What tells it from others, as bytes.
    pub fn raw(&self) -> Vec<u8> {
        let values = self.iter().flat_map(|value| [&value.len().to_le_bytes()[..], value].concat());
        let identity = self.identity().map(u128::to_le_bytes);
        values.chain(identity.into_iter().flatten()).collect()
    }

    /// The values in another order: `order` has the place of each.
    #[must_use]
    pub fn in_order(&self, order: &[usize]) -> Self {
        let mut ordered = Self::default();
        for &place in order {
            ordered.push_of(self.get(place), self.kind(place));
        }
        ordered
    }

    /// Values that stand one after another in `bytes`, each ending where `ends` says; all are text.
    pub fn of_cells(bytes: &[u8], ends: &[usize]) -> Self {
        let Some((_, before)) = ends.split_last() else { return Self::default() };
        Self {
            bytes: bytes.to_vec(),
            ends: before.iter().map(|end| end << 1).collect(),
            last: Some(Kind::Text),
            special: None,
        }
    }

    /// The fields of an input that has a single value, a text.
    pub fn single(value: impl AsRef<[u8]>) -> Self {
        Self::single_of(value, Kind::Text)
    }

    /// The fields of an input that has a single value, a number with this text.
    pub fn single_number(value: impl AsRef<[u8]>) -> Self {
        Self::single_of(value, Kind::Bare)
    }

    fn single_of(value: impl AsRef<[u8]>, kind: Kind) -> Self {
        Self { bytes: value.as_ref().to_vec(), last: Some(kind), ..Self::default() }
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

    /// Appends missing values until there are `count`.
    pub fn pad_null(&mut self, count: usize) {
        while self.len() < count {
            self.push_of("", Kind::Bare);
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

    /// The places of the values that are no texts, in order.
    pub fn bare(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|&index| self.kind(index) == Kind::Bare)
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len() + usize::from(self.last.is_some())
    }

    /// About how many bytes they take in memory, besides themselves.
    pub fn size(&self) -> usize {
        let special = match self.special.as_deref() {
            Some(Special::Bad { cause, .. }) => cause.len(),
            Some(Special::Batch(members)) => {
                members.iter().map(|member| size_of::<Self>() + member.size()).sum()
            }
            Some(Special::Block { .. }) | None => 0,
        };
        self.bytes.len() + self.ends.len() * size_of::<usize>() + special
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
