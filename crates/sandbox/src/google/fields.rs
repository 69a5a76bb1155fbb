//! Partial answers: what the `fields` parameter of Google's APIs leaves of an answer.
//!
//! The language, by <https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response>: fields separated
//! by commas, `a/b` for a field within a field, `a(b,c)` for several, `*` for all of one level. A list stands for
//! each of its elements.

use std::collections::BTreeMap;

use serde_json::Value;

/// The fields that are asked for. None named means all that there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(BTreeMap<String, Fields>);

impl Fields {
    /// Whatever there is.
    pub(super) fn everything() -> Self {
        Self::default()
    }

    /// Reads the parameter; `None` if that is not possible.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = Self::default();
        let rest = fields.read_list(text)?;
        rest.is_empty().then_some(fields)
    }

    /// Reads what is separated by commas, and returns what follows.
    fn read_list<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let mut rest = self.read_one(text)?;
        while let Some(more) = rest.strip_prefix(',') {
            rest = self.read_one(more)?;
        }
        Some(rest)
    }

    fn read_one<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let end = text.find(['/', '(', ')', ',']).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut below = Self::default();
        if let Some(path) = rest.strip_prefix('/') {
            rest = below.read_one(path)?;
        } else if let Some(list) = rest.strip_prefix('(') {
            rest = below.read_list(list)?.strip_prefix(')')?;
        }
        if name.is_empty() {
            return None;
        }
        self.add(name, below);
        Some(rest)
    }

    fn add(&mut self, name: &str, below: Self) {
        match self.0.get_mut(name) {
            None => {
                self.0.insert(name.to_owned(), below);
            }
            Some(known) if known.is_everything() || below.is_everything() => *known = Self::everything(),
            Some(known) => below.0.into_iter().for_each(|(name, below)| known.add(&name, below)),
        }
    }

    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// What is asked for of a field, if it is at all.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        if self.is_everything() {
            return Some(self);
        }
        self.0.get(name).or_else(|| self.0.get("*"))
    }

    /// Takes out what is not asked for.
    pub(super) fn mask(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, value| self.below(name).inspect(|below| below.mask(value)).is_some());
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.mask(element)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_left() {
        let whole = json!({
            "items": {"b": {"list": [{"id": 1, "name": "n", "in": {"x": 1, "y": 2}}], "warning": {"code": "W", "data": []}}},
            "next": "t",
            "kind": "k",
        });
        for (fields, left) in [
            ("next", json!({"next": "t"})),
            ("kind,next", json!({"next": "t", "kind": "k"})),
            ("items/*/list/id", json!({"items": {"b": {"list": [{"id": 1}]}}})),
            (
                "items/*(list(id,in/y)),next",
                json!({"items": {"b": {"list": [{"id": 1, "in": {"y": 2}}]}}, "next": "t"}),
            ),
            (
                "items/*/list(name),items/*/warning/code",
                json!({"items": {"b": {"list": [{"name": "n"}], "warning": {"code": "W"}}}}),
            ),
            (
                "items/b/warning/code,items/b/warning",
                json!({"items": {"b": {"warning": {"code": "W", "data": []}}}}),
            ),
            ("other", json!({})),
        ] {
            let mut value = whole.clone();
            Fields::parse(fields).expect(fields).mask(&mut value);
            assert_eq!(value, left, "{fields}");
        }
        let mut value = whole.clone();
        Fields::everything().mask(&mut value);
        assert_eq!(value, whole);
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        for text in ["", ",", "a,", "a/", "/a", "a(", "a()", "a(b", "a)b", "a(b)c", "a(b))"] {
            assert_eq!(Fields::parse(text), None, "{text}");
        }
    }
}
