//! `multipart`: a form with files, as `curl -F` and browsers send it (RFC 7578).

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::body::{Content, Part};
use crate::task::own_name;

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
            let name = own_name(path.file_name().unwrap_or_default());
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

/// The job file's own content type with the boundary of ours, as curl has it.
///
/// # Errors
/// In words, if it is not one for several parts.
pub(super) fn with_boundary(own: &[u8], ours: &str) -> Result<String, String> {
    let own = String::from_utf8_lossy(own);
    check_type(&own)?;
    let Some((_, boundary)) = ours.split_once(';') else { return Ok(own.into_owned()) };
    let is_boundary = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("boundary")
    };
    let kept: Vec<_> = own.split(';').filter(|parameter| !is_boundary(parameter)).collect();
    Ok(format!("{};{boundary}", kept.join(";").trim_end()))
}

/// Whether a content type is one for several parts.
///
/// # Errors
/// In words, if not.
pub(super) fn check_type(own: &str) -> Result<(), String> {
    let is_multipart =
        own.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if is_multipart {
        return Ok(());
    }
    Err(format!(
        "`multipart` beside the Content-Type `{}`: leave that out, or write `multipart/…`",
        own.escape_debug()
    ))
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
