//! JSON objects of unknown structure, of which only a few fields are read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Maximum number of fields of an object that are stored. Deliveries have about twenty. The limit bounds the memory for
/// objects with many fields.
const MAX_FIELDS: usize = 128;

/// Maximum length of a name or an id in bytes. Longer ones are truncated.
const MAX_TEXT: usize = 256;

/// An object whose field values are not parsed yet.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Parses an object. Returns `None` if the text is not a JSON object.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns whether a field exists and is not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(&[name]).is_some()
    }

    /// Returns the JSON text of the first of these fields that exists and is not null.
    fn raw(&self, names: &[&str]) -> Option<&'a str> {
        let named = |name: &&str| {
            // Of a repeated field the last one counts, as in most JSON parsers.
            let fields = self.0.iter().rev();
            fields.filter(|(field, _)| field == name).map(|(_, value)| value.get()).next()
        };
        names.iter().filter_map(named).find(|value| *value != "null")
    }

    /// Returns the value of the first of these fields, or `None` if it does not have the type.
    fn read<T: Deserialize<'a>>(&self, names: &[&str]) -> Option<T> {
        serde_json::from_str(self.raw(names)?).ok()
    }

    /// Returns a string that is not blank, trimmed and truncated to [`MAX_TEXT`].
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        let text: Cow<'_, str> = self.read(names)?;
        let text = text.trim();
        let end = text.floor_char_boundary(MAX_TEXT);
        (!text.is_empty()).then(|| text[..end].to_owned())
    }

    /// Returns a string as [`text`](Self::text) does, in upper case.
    pub(super) fn upper(&self, names: &[&str]) -> Option<String> {
        self.text(names).map(|text| text.to_uppercase())
    }

    /// Returns a finite number. It may be written as a string.
    pub(super) fn signed(&self, names: &[&str]) -> Option<f64> {
        let number = self.read(names).or_else(|| self.text(names)?.parse().ok());
        number.filter(|number: &f64| number.is_finite())
    }

    /// Returns a finite number that is not negative.
    pub(super) fn number(&self, names: &[&str]) -> Option<f64> {
        self.signed(names).filter(|number| *number >= 0.0)
    }

    /// Returns a whole number that is not negative.
    pub(super) fn count(&self, names: &[&str]) -> Option<u64> {
        // The conversion truncates fractions and saturates.
        self.read(names).or_else(|| self.number(names).map(|number| number as u64))
    }

    /// Returns a boolean.
    pub(super) fn flag(&self, names: &[&str]) -> Option<bool> {
        self.read(names)
    }

    /// Returns an object.
    pub(super) fn object(&self, names: &[&str]) -> Option<Object<'a>> {
        self.read(names)
    }

    /// Calls `each` for every object in a list. Other elements are ignored.
    pub(super) fn each_object(&self, names: &[&str], each: impl FnMut(Object<'a>)) {
        let Some(list) = self.raw(names) else { return };
        let mut deserializer = serde_json::Deserializer::from_str(list);
        // The error of a value that is not a list is ignored.
        let _ = EachObject(each).deserialize(&mut deserializer);
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Deserializes the fields of an object.
struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut fields = Vec::new();
        while fields.len() < MAX_FIELDS {
            let Some(name) = map.next_key::<Name<'de>>()? else { return Ok(Object(fields)) };
            fields.push((name.0, map.next_value()?));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Object(fields))
    }
}

/// The name of a field, borrowed from the text if it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Deserializes the objects of a list, one at a time.
struct EachObject<F>(F);

impl<'de, F: FnMut(Object<'de>)> DeserializeSeed<'de> for EachObject<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Object<'de>)> Visitor<'de> for EachObject<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            if let Some(object) = Object::parse(element.get()) {
                (self.0)(object);
            }
        }
        Ok(())
    }
}
