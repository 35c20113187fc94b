//! What is the same for every request of a job. It is sent to worker processes as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cookies::Cookies;
use super::expect::Expected;
use super::multipart::Field;
use super::save::Folder;

/// What is the same for every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The headers whose values the texts of a request end with.
    pub headers: Vec<Header>,
    /// What the texts have of a body.
    pub body: BodyKind,
    /// Whether the texts have a path to save to, and the folder that it may not leave.
    pub save: Option<Folder>,
    /// Statuses that are a success.
    pub expect: Vec<Expected>,
    /// How many redirects are followed.
    pub redirects: usize,
    /// Whether HTTP/2 is spoken where the server does.
    pub http2: bool,
    /// Whether content codings are undone.
    pub decode: bool,
    /// How long a server may send nothing.
    pub stall: Option<Duration>,
    /// How long cookies are kept.
    pub cookies: Cookies,
    /// The method of a second request, if the first one is refused.
    pub fallback: Option<String>,
    /// How certificates are checked and shown.
    pub tls: Tls,
    /// Whether the URL or the body has a secret, which other hosts are not told.
    pub has_secret: bool,
    /// What is kept of an answer.
    pub keep: Keep,
}

/// A header of every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Whether another host must not be told its value.
    pub is_secret: bool,
}

/// What the texts of a request have of its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyKind {
    /// Nothing.
    None,
    /// All of it.
    Text,
    /// The same, as JSON.
    Json,
    /// The path of a file.
    File,
    /// A text for each of these fields.
    Multipart(Vec<Field>),
}

impl BodyKind {
    /// Whether files are sent.
    pub fn has_files(&self) -> bool {
        match self {
            Self::None | Self::Text | Self::Json => false,
            Self::File => true,
            Self::Multipart(fields) => fields.iter().any(|field| field.is_file),
        }
    }
}

/// How certificates are checked and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether certificates are not checked.
    pub unverified: bool,
}

impl Tls {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(client).map(PathBuf::as_path)
    }
}

/// What is kept of an answer, for `[columns]` and for whoever prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// This much of the body, in bytes; what is beyond is counted.
    pub body: u64,
    /// The most that a body may have that is read as a text, in bytes; `None` if nothing reads it.
    #[serde(default)]
    pub text: Option<u64>,
    /// Whether the body of an answer that is not what was expected is kept, up to `body`.
    #[serde(default)]
    pub answers: bool,
    /// No body is read at all.
    #[serde(default)]
    pub nothing: bool,
    /// Whether a longer body is kept too, in a file without a name.
    pub whole: bool,
    /// For the next stage, up to this many bytes of the body are collected; `None` if there is none.
    #[serde(default)]
    pub payload: Option<u64>,
    /// Whether runs are compared.
    #[serde(default)]
    pub compared: Compared,
    /// The values of these headers.
    pub headers: Vec<String>,
}

/// What a comparison wants of bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compared {
    /// There is none.
    #[default]
    No,
    /// They are hashed.
    Hashed,
    /// The same, and those that are saved get no name.
    Unnamed,
}

impl Keep {
    /// Whether somebody wants the body itself.
    pub fn wants_body(&self) -> bool {
        self.text.is_some() || self.whole || self.compared != Compared::No || self.payload.is_some()
    }
}
