//! Lenient JSON decoding: reads selected fields and skips the rest.
//!
//! Log entries belong to a schema that we do not control, and few of their fields matter. Fields that are not selected
//! are skipped without being built, whatever their size or depth. A selected field of an unexpected type counts as
//! absent, so that it does not invalidate the whole message. Text is borrowed from the input unless it contains
//! escapes. The last value of a repeated key counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Target of a JSON value. Types of JSON without a method here leave the target unchanged.
pub(crate) trait Lenient<'de> {
    fn text(&mut self, _: Cow<'de, str>) {}

    fn flag(&mut self, _: bool) {}

    /// Receives a number; `None` if it is not an integer.
    fn number(&mut self, _: Option<i128>) {}

    /// Reads the value of the key `name` in an object, or [`skip`]s it.
    fn field<A: MapAccess<'de>>(&mut self, _name: &str, object: &mut A) -> Result<(), A::Error> {
        skip(object)
    }

    fn object<A: MapAccess<'de>>(&mut self, mut object: A) -> Result<(), A::Error> {
        while let Some(ObjectKey(name)) = object.next_key()? {
            self.field(&name, &mut object)?;
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Implements [`Lenient`] for a struct with a lifetime: reads each named JSON field into a field of the struct and skips
/// all others.
macro_rules! fields {
    ($type:ident { $($name:literal => $field:ident),+ $(,)? }) => {
        impl<'de> $crate::lenient::Lenient<'de> for $type<'de> {
            fn field<A: ::serde::de::MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
                match name {
                    $($name => $crate::lenient::value(object, &mut self.$field),)+
                    _ => $crate::lenient::skip(object),
                }
            }
        }
    };
}
pub(crate) use fields;

/// An object that records whether it was present.
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

/// Text that is present and not empty.
impl<'de> Lenient<'de> for Option<Cow<'de, str>> {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = (!text.is_empty()).then_some(text);
    }
}

/// A boolean. The text `true` is accepted, because some encoders of protobuf JSON quote every value.
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
    IntoTarget(into).deserialize(json)
}

/// Reads the value of the current key.
pub(crate) fn value<'de, A: MapAccess<'de>>(
    object: &mut A,
    into: &mut impl Lenient<'de>,
) -> Result<(), A::Error> {
    object.next_value_seed(IntoTarget(into))
}

/// Reads the next element of a list. Returns `None` at the end of the list.
pub(crate) fn element<'de, A: SeqAccess<'de>>(
    list: &mut A,
    into: &mut impl Lenient<'de>,
) -> Result<Option<()>, A::Error> {
    list.next_element_seed(IntoTarget(into))
}

/// Skips the value of the current key.
pub(crate) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(|IgnoredAny| ())
}

struct ObjectKey<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for ObjectKey<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = ObjectKey<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Deserializes any JSON value into a target.
struct IntoTarget<'a, L>(&'a mut L);

impl<'de, L: Lenient<'de>> DeserializeSeed<'de> for IntoTarget<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, L: Lenient<'de>> Visitor<'de> for IntoTarget<'_, L> {
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
