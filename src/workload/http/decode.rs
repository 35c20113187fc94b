//! Content codings undone: what `curl --compressed` reads, and a series of gzip members or zstd frames to its end.
//!
//! A [`Decoder`] is a stack of layers. Each takes what comes, in pieces of any size, and gives pieces that are small, so
//! that a bomb never stands in memory. Bytes after the end of a coding are left out, as curl leaves them out.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

/// No piece that a layer gives is longer, in bytes.
const PIECE: usize = 32 << 10;

/// Nobody codes a body more often; a list that says so is an attack. As in curl.
const MOST_LAYERS: usize = 5;

/// A content coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `deflate`: with the header of zlib, or without.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The word for it in headers and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Reads one entry of a list; `Ok(None)` is one that changes nothing.
    fn read(word: &str) -> Result<Option<Self>, String> {
        Ok(Some(match &word.to_ascii_lowercase()[..] {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            "identity" | "none" | "" => return Ok(None),
            _ => return Err(format!("the body is encoded as `{word}`, which cannot be undone")),
        }))
    }

    /// Reads the values of a header, in the order in which the codings were applied.
    ///
    /// # Errors
    /// In words, if one is unknown.
    pub fn list<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Self>, String> {
        let mut codings = Vec::new();
        for value in values {
            for word in String::from_utf8_lossy(value).split(',') {
                codings.extend(Self::read(word.trim())?);
            }
        }
        if codings.len() > MOST_LAYERS {
            return Err(format!("the body is encoded {} times over", codings.len()));
        }
        Ok(codings)
    }
}

/// What is wrong with encoded bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// They are not what they are said to be.
    Not(Coding, String),
    /// They end too early.
    Cut(Coding),
    /// What takes them cannot; in words.
    Sink(String),
}

/// Undoes codings as bytes come in.
pub(super) struct Decoder {
    /// The one that was applied last comes first.
    layers: Vec<Stacked>,
}

/// One coding that is being undone.
trait Layer: Send {
    /// Reads some of `input` and writes some of `out`; says how much of both. What comes after the end is read, too.
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), String>;

    /// Whether the input may end here.
    fn is_whole(&self) -> bool;
}

struct Stacked {
    coding: Coding,
    layer: Box<dyn Layer>,
    /// What it has given last.
    piece: Vec<u8>,
    /// An empty body is an empty body, whatever its coding.
    has_input: bool,
}

impl Stacked {
    fn new(coding: Coding) -> Self {
        let layer: Box<dyn Layer> = match coding {
            Coding::Gzip => Box::<gzip::Gzip>::default(),
            Coding::Deflate => Box::<deflate::Deflate>::default(),
            Coding::Brotli => Box::new(brotli::Brotli::new()),
            Coding::Zstd => Box::<zstd::Frames>::default(),
        };
        Self { coding, layer, piece: vec![0; PIECE], has_input: false }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| layer.coding)).finish()
    }
}

impl Decoder {
    /// Undoes `codings`, which stand in the order in which they were applied.
    pub fn new(codings: &[Coding]) -> Self {
        Self { layers: codings.iter().rev().map(|&coding| Stacked::new(coding)).collect() }
    }

    /// Takes the next bytes and hands `sink` what they come to, in small pieces.
    ///
    /// # Errors
    /// If they are not what they should be, or `sink` fails.
    pub fn push(
        &mut self,
        input: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), Broken> {
        push(&mut self.layers, input, sink)
    }

    /// The input has ended.
    ///
    /// # Errors
    /// If that is too early.
    pub fn finish(&self) -> Result<(), Broken> {
        let cut = |layer: &&Stacked| layer.has_input && !layer.layer.is_whole();
        self.layers.iter().find(cut).map_or(Ok(()), |layer| Err(Broken::Cut(layer.coding)))
    }
}

fn push(
    layers: &mut [Stacked],
    mut input: &[u8],
    sink: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), Broken> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        return if input.is_empty() { Ok(()) } else { sink(input).map_err(Broken::Sink) };
    };
    layer.has_input |= !input.is_empty();
    let mut piece = std::mem::take(&mut layer.piece);
    loop {
        let stepped = layer.layer.step(input, &mut piece);
        let (read, written) = stepped.map_err(|why| Broken::Not(layer.coding, why))?;
        input = &input[read..];
        push(inner, &piece[..written], sink)?;
        // A full piece may mean that there is more; neither read nor written means that more input is needed.
        if (read == 0 && written == 0) || (input.is_empty() && written < piece.len()) {
            break;
        }
    }
    layer.piece = piece;
    Ok(())
}

#[cfg(test)]
mod tests;
