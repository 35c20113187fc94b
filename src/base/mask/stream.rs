//! Secrets replaced in what comes in pieces, each piece handed on as soon as that is certain.

use std::sync::PoisonError;

use super::{MASK, MASKED, wrapped};

/// What has come and may be the start of a secret.
#[derive(Debug, Default)]
pub struct Stream(Vec<u8>);

impl Stream {
    /// Takes what has come, and appends to `out` all of which it is certain what it is.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.0.extend_from_slice(bytes);
        let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
        let held = &self.0;
        let longest = masked.forms.iter().map(Vec::len).max().unwrap_or(0);
        let is_start = |at: &usize| {
            let end = &held[*at..];
            masked.forms.iter().any(|form| form.len() > end.len() && form.starts_with(end))
        };
        let sure = (held.len().saturating_sub(longest)..held.len()).find(is_start);
        let sure = sure.unwrap_or(held.len());
        let sure = wrapped::start_of_rest(&masked.base64, held).map_or(sure, |at| at.min(sure));
        let mut end = 0;
        for found in masked.find(held) {
            if found.start >= sure {
                break;
            }
            out.extend_from_slice(&held[end..found.start]);
            out.extend_from_slice(MASK);
            end = found.end;
        }
        let sure = sure.max(end);
        out.extend_from_slice(&held[end..sure]);
        self.0.drain(..sure);
    }

    /// Nothing more comes.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&super::apply(&std::mem::take(&mut self.0)));
    }
}
