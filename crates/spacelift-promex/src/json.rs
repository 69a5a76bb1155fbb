//! JSON parsing with Go's treatment of invalid Unicode: it is replaced by U+FFFD instead of causing an error.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Parses a body. If that fails, escapes of lone surrogates and invalid UTF-8 are replaced, and the body is parsed again.
pub(crate) fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body).or_else(|error| match replaced(body) {
        Some(body) => serde_json::from_slice(&body),
        None => Err(error),
    })
}

/// Returns the body with replacements, or `None` if there is nothing to replace.
fn replaced(body: &[u8]) -> Option<Vec<u8>> {
    let utf8 = utf8(body);
    match surrogates(&utf8) {
        Some(body) => Some(body),
        None => match utf8 {
            Cow::Borrowed(_) => None,
            Cow::Owned(body) => Some(body),
        },
    }
}

/// Replaces each byte that is not valid UTF-8 with U+FFFD.
fn utf8(body: &[u8]) -> Cow<'_, [u8]> {
    if str::from_utf8(body).is_ok() {
        return Cow::Borrowed(body);
    }
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text.into_bytes())
}

/// Replaces each escape of a lone surrogate with `\ufffd`, or returns `None` if there are none. In JSON, a backslash occurs
/// only in strings.
fn surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(found) = body[at..].iter().position(|&byte| byte == b'\\') {
        at += found;
        match escape(&body[at..]) {
            Some(0xD800..=0xDBFF) if matches!(body.get(at + 6..).and_then(escape), Some(0xDC00..=0xDFFF)) => {
                at += 12;
            }
            Some(0xD800..=0xDFFF) => {
                lone.push(at);
                at += 6;
            }
            _ => at = body.len().min(at + 2),
        }
    }
    if lone.is_empty() {
        return None;
    }
    let mut body = body.to_vec();
    for at in lone {
        body[at..at + 6].copy_from_slice(br"\ufffd");
    }
    Some(body)
}

/// Returns the UTF-16 code unit of the escape at the start of the text, such as `\u00e9`.
fn escape(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    let digits =
        str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_invalid_unicode_like_go() {
        for (json, text) in [
            (&br#""x\ud800y""#[..], "x\u{fffd}y"),
            (br#""x\uDC00""#, "x\u{fffd}"),
            (br#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
            (br#""\ud800\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ud800\n""#, "\u{fffd}\n"),
            (br#""\ud800A\udfff""#, "\u{fffd}A\u{fffd}"),
            (br#""\\ud800 \ud800""#, "\\ud800 \u{fffd}"),
            (b"\"a\xffb\xed\xa0\x80\"", "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}"),
            (b"\"\xe2\x82 \\udead\"", "\u{fffd}\u{fffd} \u{fffd}"),
            (br#""\ud83d\ude00""#, "\u{1f600}"),
        ] {
            assert_eq!(from_slice::<String>(json).unwrap(), text);
        }
    }

    #[test]
    fn returns_other_errors() {
        for json in
            [&br#""x\ud800"#[..], br#""\ud8"#, br#""\u12g4""#, br#"{"a": \ud800}"#, b"\"\n\"", b"", b"\xff"]
        {
            assert!(from_slice::<serde_json::Value>(json).is_err(), "{}", String::from_utf8_lossy(json));
        }
    }
}
