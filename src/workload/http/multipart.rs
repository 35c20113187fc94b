//! `multipart`: a form with files, as `curl -F` and browsers send it (RFC 7578).

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::body::{Content, Part};

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether its text is the path of a file.
    pub is_file: bool,
    /// Its content type, if the job file says one.
    pub content_type: Option<String>,
    /// What the server is told that the file is called, if not its name.
    pub filename: Option<String>,
}

/// The content of a form and its content type, for fields of these texts; paths start in `folder`.
///
/// # Errors
/// In words, if a file cannot be read.
pub(super) fn content<'a>(
    fields: &[Field],
    mut next: impl FnMut() -> &'a [u8],
    folder: &Path,
) -> Result<(Content, String), String> {
    let boundary = format!("runner-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut parts = Vec::new();
    let mut head = Vec::new();
    for field in fields {
        let text = next();
        head.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        head.extend_from_slice(b"Content-Disposition: form-data; name=\"");
        escape(field.name.as_bytes(), &mut head);
        head.push(b'"');
        let path = folder.join(super::path(text));
        if field.is_file {
            head.extend_from_slice(b"; filename=\"");
            let name = path.file_name().unwrap_or_default();
            let own = std::os::unix::ffi::OsStrExt::as_bytes(name);
            escape(field.filename.as_deref().map_or(own, str::as_bytes), &mut head);
            head.push(b'"');
        }
        let guessed = field.is_file.then(|| guess(&path));
        if let Some(kind) = field.content_type.as_deref().or(guessed) {
            head.extend_from_slice(format!("\r\nContent-Type: {kind}").as_bytes());
        }
        head.extend_from_slice(b"\r\n\r\n");
        if field.is_file {
            parts.push(Part::Bytes(Bytes::from(std::mem::take(&mut head))));
            parts.push(Part::file(&path)?);
        } else {
            head.extend_from_slice(text);
        }
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    parts.push(Part::Bytes(head.into()));
    Ok((Content::Parts(parts.into()), format!("multipart/form-data; boundary={boundary}")))
}

/// As browsers escape a name.
fn escape(name: &[u8], out: &mut Vec<u8>) {
    for &byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            byte => out.push(byte),
        }
    }
}

/// The content type of a file by its extension, as curl guesses it.
fn guess(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match &extension[..] {
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        "htm" | "html" => "text/html",
        "pdf" => "application/pdf",
        "xml" => "application/xml",
        "json" => "application/json",
        "csv" => "text/csv",
        _ => "application/octet-stream",
    }
}
