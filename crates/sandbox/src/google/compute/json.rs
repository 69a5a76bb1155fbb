//! Writes the requested fields of JSON objects as text.

use std::{
    fmt::{self, Write as _},
    mem,
};

use serde_json::Value;

use crate::google::fields::Fields;

/// A string that is displayed as JSON.
pub(super) struct Json<'a>(pub(super) &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if self.0.bytes().all(is_plain) {
            f.write_char('"')?;
            f.write_str(self.0)?;
            return f.write_char('"');
        }
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// Writes a JSON object, with its requested fields only.
pub(super) struct Object<'f> {
    fields: &'f Fields,
    out: String,
    is_empty: bool,
}

impl<'f> Object<'f> {
    pub(super) fn new(fields: &'f Fields, mut out: String) -> Self {
        out.push('{');
        Self { fields, out, is_empty: true }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }

    /// Writes a field whose value is JSON.
    pub(super) fn field(&mut self, name: &str, json: impl fmt::Display) {
        match self.fields.below(name) {
            None => {}
            Some(fields) if fields.is_everything() => {
                self.name(name);
                // Writing to a string cannot fail.
                let _ = write!(self.out, "{json}");
            }
            Some(fields) => {
                let Ok(mut value) = serde_json::from_str(&json.to_string()) else { return };
                fields.mask(&mut value);
                self.name(name);
                let _ = write!(self.out, "{value}");
            }
        }
    }

    /// Writes a field whose value is computed only if the field was requested.
    pub(super) fn value(&mut self, name: &str, make: impl FnOnce() -> Value) {
        if self.fields.below(name).is_some() {
            self.field(name, make());
        }
    }

    /// Writes a field whose value is an object.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'f>)) {
        let Some(fields) = self.fields.below(name) else { return };
        self.name(name);
        let mut object = Object::new(fields, mem::take(&mut self.out));
        write(&mut object);
        self.out = object.finish();
    }

    /// Writes a field whose value is a list of objects.
    pub(super) fn list<T>(&mut self, name: &str, elements: &[T], write: impl Fn(&mut Object<'f>, &T)) {
        let Some(fields) = self.fields.below(name) else { return };
        self.name(name);
        self.out.push('[');
        for (number, element) in elements.iter().enumerate() {
            self.out.push_str(if number > 0 { "," } else { "" });
            let mut object = Object::new(fields, mem::take(&mut self.out));
            write(&mut object, element);
            self.out = object.finish();
        }
        self.out.push(']');
    }

    fn name(&mut self, name: &str) {
        self.out.push_str(if mem::take(&mut self.is_empty) { "" } else { "," });
        let _ = write!(self.out, "{}:", Json(name));
    }
}
