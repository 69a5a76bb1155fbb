//! Single texts of small XML documents.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

/// Returns the text of the first element with this name. Returns `None` if there is none, or if the document is invalid
/// before it.
pub(super) fn text_of(document: &str, name: &str) -> Option<String> {
    let mut reader = Reader::from_str(document);
    let mut text: Option<String> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if start.local_name().as_ref() == name => text = Some(String::new()),
            Event::End(_) if text.is_some() => return text.filter(|text| !text.is_empty()),
            Event::Text(part) => push(&mut text, &part.xml10_content()),
            Event::CData(part) => push(&mut text, &part.xml10_content()),
            Event::GeneralRef(reference) => push(&mut text, &unescape(&format!("&{};", &*reference)).ok()?),
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn push(text: &mut Option<String>, part: &str) {
    if let Some(text) = text {
        text.push_str(part);
    }
}
