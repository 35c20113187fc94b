//! The XML of a workbook's parts.

use std::fs::File;
use std::io::{BufRead, BufReader};

use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;

/// A part of a workbook while it is read.
pub(super) type Part<'a> = Reader<BufReader<ZipFile<'a, File>>>;

/// The part that is called so.
pub(super) fn part<'a>(parts: &'a mut ZipArchive<File>, name: &str) -> Result<Part<'a>, String> {
    let part = parts.by_name(name).map_err(|error| format!("`{name}`: {error}"))?;
    Ok(reader(BufReader::new(part)))
}

/// A reader to which an element without content is a start and an end.
pub(super) fn reader<R: BufRead>(part: R) -> Reader<R> {
    let mut reader = Reader::from_reader(part);
    reader.config_mut().expand_empty_elements = true;
    reader
}

/// The next event, which is not the end of the part.
pub(super) fn next<'a, R: BufRead>(
    reader: &mut Reader<R>,
    buffer: &'a mut Vec<u8>,
) -> Result<Event<'a>, String> {
    buffer.clear();
    match reader.read_event_into(buffer) {
        Ok(Event::Eof) => Err("its XML ends before its end".into()),
        Ok(event) => Ok(event),
        Err(error) => Err(format!("its XML is damaged: {error}")),
    }
}

/// Passes over what is in the element that `tag` has opened.
pub(super) fn skip<R: BufRead>(
    reader: &mut Reader<R>,
    tag: &BytesStart<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    buffer.clear();
    let skipped = reader.read_to_end_into(tag.name(), buffer);
    skipped.map(drop).map_err(|error| format!("its XML is damaged: {error}"))
}

/// Adds the text of an event, if it has any.
pub(super) fn push_text(event: &Event<'_>, text: &mut String) -> Result<(), String> {
    match event {
        Event::Text(more) => text.push_str(&more.xml10_content()),
        Event::CData(more) => text.push_str(&more.xml10_content()),
        Event::GeneralRef(reference) => push_reference(reference, text)?,
        _ => {}
    }
    Ok(())
}

fn push_reference(reference: &BytesRef<'_>, text: &mut String) -> Result<(), String> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        text.push(character);
    } else if let Some(known) = resolve_xml_entity(reference) {
        text.push_str(known);
    } else {
        return Err(format!("its XML has an unknown entity: {}", &**reference));
    }
    Ok(())
}

/// The value of an attribute, by its name without the prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes().flatten();
    attributes.find(|attribute| attribute.key.local_name().as_ref() == name).as_ref().map(value)
}

/// What an attribute is set to; as it is written, if that has an unknown entity.
pub(super) fn value(attribute: &Attribute<'_>) -> String {
    unescape(&attribute.value).map_or_else(|_| attribute.value.to_string(), Into::into)
}
