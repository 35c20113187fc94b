//! Inputs as bytes, whole: values, kinds, and what makes an input special. One process reads the inputs of a job, and
//! others do its tasks.

use std::io;
use std::sync::Arc;

use super::{Fields, Kind, Special};
use crate::task::{Payload, PayloadKind};

const PLAIN: u8 = 0;
const BAD: u8 = 1;
const BATCH: u8 = 2;
const BLOCK: u8 = 3;

/// The kinds of a payload, by their number.
const KINDS: [PayloadKind; 4] =
    [PayloadKind::Bytes, PayloadKind::Binary, PayloadKind::Json, PayloadKind::Escaped];

/// Appends a number, small ones in few bytes.
pub fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front of `bytes`; `None` if there is none.
pub fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part.checked_shl(shift)? >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(byte)
}

fn take_identity(bytes: &mut &[u8]) -> Option<u128> {
    let (identity, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u128::from_le_bytes(*identity))
}

impl Fields {
    /// Appends it as bytes that [`Fields::unpack`] reads.
    ///
    /// # Errors
    /// If a block cannot be read again.
    pub fn pack(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.special.as_deref() {
            None => out.push(PLAIN),
            Some(Special::Bad { cause, identity }) => {
                out.push(BAD);
                out.extend_from_slice(&identity.to_le_bytes());
                push_bytes(out, cause.as_bytes());
            }
            Some(Special::Batch(members)) => {
                out.push(BATCH);
                push_number(out, members.len() as u64);
                for member in members {
                    member.pack(out)?;
                }
            }
            Some(Special::Block { payload, identity }) => {
                out.push(BLOCK);
                out.extend_from_slice(&identity.to_le_bytes());
                let kind = payload.as_ref().map_or(PayloadKind::Bytes, |payload| payload.kind());
                out.push(KINDS.iter().position(|known| *known == kind).unwrap_or(0) as u8);
                payload.as_ref().map_or(Ok(()), |payload| payload.load())?;
                push_bytes(out, payload.as_ref().map_or(&[], |payload| payload.bytes()));
            }
        }
        push_number(out, self.len() as u64);
        for index in 0..self.len() {
            let value = self.get(index);
            push_number(out, (value.len() as u64) << 1 | u64::from(self.kind(index) == Kind::Bare));
            out.extend_from_slice(value);
        }
        Ok(())
    }

    /// Takes one from the front of `bytes`; `None` if there is none.
    pub fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        let special = match take_byte(bytes)? {
            PLAIN => None,
            BAD => {
                let identity = take_identity(bytes)?;
                let cause = String::from_utf8(take_bytes(bytes)?.to_vec()).ok()?;
                Some(Special::Bad { cause, identity })
            }
            BATCH => {
                let count = take_number(bytes)?;
                let members = (0..count).map(|_| Self::unpack(bytes));
                Some(Special::Batch(members.collect::<Option<_>>()?))
            }
            BLOCK => {
                let identity = take_identity(bytes)?;
                let kind = *KINDS.get(usize::from(take_byte(bytes)?))?;
                let payload = Payload::new(kind, take_bytes(bytes)?.to_vec());
                Some(Special::Block { payload: Some(Arc::new(payload)), identity })
            }
            _ => return None,
        };
        let mut fields = Self { special: special.map(Box::new), ..Self::default() };
        for _ in 0..take_number(bytes)? {
            let head = take_number(bytes)?;
            let (value, rest) = bytes.split_at_checked(usize::try_from(head >> 1).ok()?)?;
            *bytes = rest;
            fields.push_of(value, if head & 1 == 1 { Kind::Bare } else { Kind::Text });
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::task::payload::IN_MEMORY;

    fn back(fields: &Fields) -> Option<Fields> {
        let mut out = Vec::new();
        fields.pack(&mut out).unwrap();
        let mut rest = &out[..];
        let back = Fields::unpack(&mut rest);
        assert!(rest.is_empty());
        back
    }

    #[test]
    fn what_is_special_comes_back() {
        let bad = Fields::bad("x.csv:3: 2 cells, not 3".into(), b"a,b");
        let back_bad = back(&bad).unwrap();
        assert_eq!((back_bad.cause(), back_bad.identity()), (bad.cause(), bad.identity()));
        let batch = Fields::single("2").with_members(vec![Fields::single("a"), Fields::default()]);
        assert_eq!(back(&batch), Some(batch));
        for bytes in [b"x\n".to_vec(), b"x\n".repeat(IN_MEMORY)] {
            let payload = Payload::of_parts(PayloadKind::Bytes, &[&bytes]).unwrap();
            let block = Fields::single("0").with_payload(payload, 7);
            let mut back_block = back(&block).unwrap();
            assert_eq!(back_block, block);
            assert_eq!(back_block.take_payload().unwrap().bytes(), bytes);
        }
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in prop::collection::vec((any::<Vec<u8>>(), any::<bool>()), 0..6)) {
            let mut fields = Fields::default();
            for (value, is_bare) in values {
                fields.push_of(value, if is_bare { Kind::Bare } else { Kind::Text });
            }
            prop_assert_eq!(back(&fields), Some(fields));
        }

        #[test]
        fn any_number_comes_back(number: u64) {
            let mut out = Vec::new();
            push_number(&mut out, number);
            prop_assert_eq!(take_number(&mut &out[..]), Some(number));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = Fields::unpack(&mut &bytes[..]);
        }
    }
}
