//! A YAML file as a tree of texts.
//!
//! The usual YAML libraries decide a scalar's type by its looks, so that an unquoted `007` becomes seven and
//! a key id made of digits a float. Here every scalar stays the text that was written, quoted or not; what it
//! means is decided where the option is validated.

use figment::value::{Dict, Value};
use saphyr_parser::{Event, Parser, ScalarStyle};

/// Parses one document whose top is a mapping (or nothing at all).
///
/// # Errors
/// Says what is wrong and where, in one line.
pub(super) fn parse(text: &str) -> Result<Dict, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => return Err("holds more than one YAML document".to_owned()),
            event => document = Some(reader.node(event, 0)?),
        }
    }
    match document.flatten() {
        None => Ok(Dict::new()),
        Some(Value::Dict(_, top)) => Ok(top),
        Some(_) => Err("is not a mapping of keys to values".to_owned()),
    }
}

/// Deeper than any configuration; bounds the recursion.
const MAX_DEPTH: usize = 16;

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(format!("is not YAML: {error}")),
        }
    }

    /// The value that starts with `event`; `None` for null, which means unset.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Option<Value>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nests too deeply at line {}", self.line));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Ok(None)
            }
            Event::Scalar(text, ..) => Ok(Some(Value::from(text.into_owned()))),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Some(Value::from(items))),
                        event => items.extend(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Dict::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Ok(Some(Value::from(entries))),
                        Event::Scalar(text, ..) => text.into_owned(),
                        _ => return Err(format!("has a key that is no text at line {}", self.line)),
                    };
                    let line = self.line;
                    let event = self.next()?;
                    let value = self.node(event, depth + 1)?;
                    if entries.contains_key(&key) {
                        return Err(format!("names the key {key} twice, at line {line}"));
                    }
                    // A null entry is kept as an empty text so that an unknown key is still noticed.
                    entries.insert(key, value.unwrap_or_else(|| Value::from(String::new())));
                }
            }
            Event::Alias(_) => Err(format!("uses an alias at line {}, which is not supported", self.line)),
            _ => Err(format!("is not understood at line {}", self.line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tree: &Dict, path: &str) -> String {
        let mut value = Value::from(tree.clone());
        for key in path.split('.') {
            value = value.into_dict().and_then(|mut dict| dict.remove(key)).unwrap();
        }
        value.into_string().unwrap()
    }

    #[test]
    fn scalars_stay_as_written() {
        let tree =
            parse("id: 0123\nsecret: \"0042\"\nport: 8090\nname: 1e3\nflag: yes\nnested: {a: 0x10, b: ''}\n")
                .unwrap();
        assert_eq!(text(&tree, "id"), "0123");
        assert_eq!(text(&tree, "secret"), "0042");
        assert_eq!(text(&tree, "port"), "8090");
        assert_eq!(text(&tree, "name"), "1e3");
        assert_eq!(text(&tree, "flag"), "yes");
        assert_eq!(text(&tree, "nested.a"), "0x10");
        assert_eq!(text(&tree, "nested.b"), "");
    }

    #[test]
    fn nothing_is_an_empty_mapping() {
        for nothing in ["", "---\n", "# only a comment\n", "null\n"] {
            assert!(parse(nothing).unwrap().is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (source, problem) in [
            ("- a\n", "not a mapping"),
            ("just text", "not a mapping"),
            ("a: 1\na: 2\n", "key a twice, at line 2"),
            ("a: [1\n", "not YAML"),
            ("a: 1\n---\nb: 2\n", "more than one"),
            ("a: &x 1\nb: *x\n", "alias at line 2"),
            ("? [a]\n: b\n", "no text at line 1"),
        ] {
            let error = parse(source).unwrap_err();
            assert!(error.contains(problem), "{source:?}: {error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep).unwrap_err().contains("too deeply"));
    }
}
