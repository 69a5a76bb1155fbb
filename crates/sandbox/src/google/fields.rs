//! Partial responses: the `fields` parameter of Google's APIs.
//!
//! Syntax, by <https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response>: fields are
//! separated by commas, `a/b` selects a nested field, `a(b,c)` several nested fields, and `*` all fields of a
//! level. A selection of a list applies to each element.

use std::collections::BTreeMap;

use serde_json::Value;

/// The selected fields. An empty selection means all fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(BTreeMap<String, Fields>);

impl Fields {
    /// Selects all fields.
    pub(super) fn everything() -> Self {
        Self::default()
    }

    /// Parses the parameter. Returns `None` if it is invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = Self::default();
        let rest = fields.read_list(text)?;
        rest.is_empty().then_some(fields)
    }

    /// Parses fields separated by commas, and returns the rest.
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

    /// Returns whether all fields are selected.
    pub(super) fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the selection below a field, or `None` if the field is not selected.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        if self.is_everything() {
            return Some(self);
        }
        self.0.get(name).or_else(|| self.0.get("*"))
    }

    /// Removes the fields that are not selected.
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
    fn keeps_selected_fields() {
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
    fn rejects_invalid_selections() {
        for text in ["", ",", "a,", "a/", "/a", "a(", "a()", "a(b", "a)b", "a(b)c", "a(b))"] {
            assert_eq!(Fields::parse(text), None, "{text}");
        }
    }
}
