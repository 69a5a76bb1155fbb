//! Parses a YAML file into a tree of texts with line numbers.
//!
//! The usual YAML libraries derive a scalar's type from its text, so that an unquoted `007` becomes the number seven and
//! a key id made of digits a float. Here every scalar, quoted or not, is kept as the text in the file. Its meaning is
//! decided where the option is validated.

use saphyr_parser::{Event, Parser, ScalarStyle};
use zeroize::Zeroizing;

/// A value and the line where it starts.
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// A value. Texts are zeroized on drop because they may be secrets.
pub(crate) enum Value {
    /// An empty value, which means unset.
    Null,
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Map(Map),
}

/// The entries of a mapping in the order of the file.
pub(crate) type Map = Vec<Entry>;

/// A key with its line, and its value.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

/// Parses one document whose root is a mapping. An empty document is an empty mapping.
///
/// # Errors
/// The text is not such a document. The error is one line with the problem and its line number.
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

/// The maximum nesting depth, which limits the recursion. No valid configuration is deeper.
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

    /// Parses the value that starts with `event`.
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
            _ => return Err(format!("is not valid YAML at line {line}")),
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
                _ => return Err(format!("has a key that is not a text at line {}", self.line)),
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
            _ => panic!("{path} is not a text"),
        }
    }

    #[test]
    fn keeps_scalars_as_written() {
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
    fn values_have_line_numbers() {
        let tree = parse("a: 1\nb:\n  - 2\n  - 3\n").unwrap();
        assert_eq!((tree[0].line, tree[1].line), (1, 2));
        let Value::List(items) = &tree[1].node.value else { panic!("not a list") };
        assert_eq!((items[0].line, items[1].line), (3, 4));
    }

    #[test]
    fn parses_an_empty_document_as_an_empty_mapping() {
        for empty in ["", "---\n", "# only a comment\n", "null\n"] {
            assert!(parse(empty).unwrap().is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn reports_problem_and_line() {
        for (source, problem) in [
            ("- a\n", "not a mapping"),
            ("just text", "not a mapping"),
            ("a: 1\na: 2\n", "key a twice, at line 2"),
            ("a: [1\n", "not YAML"),
            ("a: 1\n---\nb: 2\n", "more than one"),
            ("a: &x 1\nb: *x\n", "alias at line 2"),
            ("? [a]\n: b\n", "not a text at line 1"),
        ] {
            let Err(error) = parse(source) else { panic!("{source:?} is accepted") };
            assert!(error.contains(problem), "{source:?}: {error}");
        }
    }

    #[test]
    fn limits_the_depth() {
        let deep = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep).is_err_and(|error| error.contains("too deeply")));
    }
}
