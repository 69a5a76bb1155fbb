//! A YAML file as a tree of texts, each with the line that it stands on.
//!
//! The usual YAML libraries decide a scalar's type by its looks, so that an unquoted `007` becomes seven and
//! a key id made of digits a float. Here every scalar stays the text that was written, quoted or not; what it
//! means is decided where the option is validated.

use saphyr_parser::{Event, Parser, ScalarStyle};
use zeroize::Zeroizing;

/// A value and where it begins.
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What was written. A text may be a secret, so that it is wiped when dropped.
pub(crate) enum Value {
    /// Nothing, which means unset.
    Null,
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Map(Map),
}

/// A mapping's entries in their order.
pub(crate) type Map = Vec<Entry>;

/// A key, the line that it stands on, and its value.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

/// Parses one document whose top is a mapping (or nothing at all).
///
/// # Errors
/// Says what is wrong and where, in one line.
pub(crate) fn parse(text: &str) -> Result<Map, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => return Err("holds more than one YAML document".to_owned()),
            event => document = Some(reader.node(event, 0)?.value),
        }
    }
    match document {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Map(top)) => Ok(top),
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

    /// The value that starts with `event`.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, String> {
        let line = self.line;
        if depth > MAX_DEPTH {
            return Err(format!("nests too deeply at line {line}"));
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            Event::Scalar(text, ..) => Value::Text(Zeroizing::new(text.into_owned())),
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            Event::Alias(_) => return Err(format!("uses an alias at line {line}, which is not supported")),
            _ => return Err(format!("is not understood at line {line}")),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(items),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, String> {
        let mut entries = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(format!("has a key that is no text at line {}", self.line)),
            };
            let line = self.line;
            let event = self.next()?;
            let node = self.node(event, depth + 1)?;
            if entries.iter().any(|entry| entry.key == key) {
                return Err(format!("names the key {key} twice, at line {line}"));
            }
            entries.push(Entry { key, line, node });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tree: &Map, path: &str) -> String {
        let (key, rest) = path.split_once('.').unwrap_or((path, ""));
        match &tree.iter().find(|entry| entry.key == key).unwrap().node.value {
            Value::Text(text) if rest.is_empty() => text.to_string(),
            Value::Map(inner) => text(inner, rest),
            _ => panic!("no text at {path}"),
        }
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
    fn every_value_knows_its_line() {
        let tree = parse("a: 1\nb:\n  - 2\n  - 3\n").unwrap();
        assert_eq!((tree[0].line, tree[1].line), (1, 2));
        let Value::List(items) = &tree[1].node.value else { panic!("no list") };
        assert_eq!((items[0].line, items[1].line), (3, 4));
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
            let Err(error) = parse(source) else { panic!("{source:?} is accepted") };
            assert!(error.contains(problem), "{source:?}: {error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep).is_err_and(|error| error.contains("too deeply")));
    }
}
