//! Reads from JSON what is wanted and steps over the rest.
//!
//! The log entries that arrive here belong to somebody else's schema, and the parts that matter are few. A field
//! that is not asked for is skipped without being built, whatever its size or depth; a field that is asked for but
//! has another type than expected is as good as absent, so that one oddity does not cost the whole message. Text is
//! borrowed from the message unless escapes force a copy. A repeated key counts with its last value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// A place that says for each kind of JSON what it makes of it. What it does not mention leaves it as it was.
pub(crate) trait Lenient<'de> {
    fn text(&mut self, _: Cow<'de, str>) {}

    fn flag(&mut self, _: bool) {}

    /// `None` stands for a number that is not whole.
    fn number(&mut self, _: Option<i128>) {}

    /// Takes the value that follows the key `name` in an object, or [`skip`]s it.
    fn field<A: MapAccess<'de>>(&mut self, _name: &str, object: &mut A) -> Result<(), A::Error> {
        skip(object)
    }

    fn object<A: MapAccess<'de>>(&mut self, mut object: A) -> Result<(), A::Error> {
        while let Some(Key(name)) = object.next_key()? {
            self.field(&name, &mut object)?;
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// An object that remembers whether it was there at all.
#[derive(Debug, Default)]
pub(crate) struct Object<L> {
    pub(crate) is_there: bool,
    pub(crate) fields: L,
}

impl<'de, L: Lenient<'de>> Lenient<'de> for Object<L> {
    fn object<A: MapAccess<'de>>(&mut self, object: A) -> Result<(), A::Error> {
        self.is_there = true;
        self.fields.object(object)
    }
}

/// Text that is there and not empty.
impl<'de> Lenient<'de> for Option<Cow<'de, str>> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = (!text.is_empty()).then_some(text);
    }
}

/// A flag; the text `true` is accepted, since some renderings of protobuf quote everything.
impl<'de> Lenient<'de> for bool {
    fn flag(&mut self, flag: bool) {
        *self = flag;
    }

    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.eq_ignore_ascii_case("true");
    }
}

/// Reads a whole document.
pub(crate) fn document<'de, D: Deserializer<'de>>(
    json: D,
    into: &mut impl Lenient<'de>,
) -> Result<(), D::Error> {
    Into(into).deserialize(json)
}

/// Reads the value that follows the key just seen.
pub(crate) fn value<'de, A: MapAccess<'de>>(
    object: &mut A,
    into: &mut impl Lenient<'de>,
) -> Result<(), A::Error> {
    object.next_value_seed(Into(into))
}

/// Reads the next element of a list, or says that there is none.
pub(crate) fn element<'de, A: SeqAccess<'de>>(
    list: &mut A,
    into: &mut impl Lenient<'de>,
) -> Result<Option<()>, A::Error> {
    list.next_element_seed(Into(into))
}

/// Steps over the value that follows the key just seen.
pub(crate) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(|IgnoredAny| ())
}

struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Reads any JSON into a place.
struct Into<'a, L>(&'a mut L);

impl<'de, L: Lenient<'de>> DeserializeSeed<'de> for Into<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, L: Lenient<'de>> Visitor<'de> for Into<'_, L> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.0.flag(flag);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.0.number(Some(number.into()));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.0.number(Some(number.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.number(None);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.0.text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.0.object(object)
    }
}
