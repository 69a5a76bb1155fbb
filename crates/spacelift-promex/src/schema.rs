//! The registered GraphQL schema, and Rust types for its scalars.

use std::fmt;

use exporter_common::metrics::Number;
use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

#[cynic::schema("spacelift")]
#[allow(missing_docs, unreachable_pub, reason = "generated from the schema")]
mod generated {}

pub(crate) use generated::*;

/// An `Int` or `Float` of the API. Any JSON number is accepted, because a gauge is an `f64` in any case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Amount(pub(crate) f64);

impl Amount {
    /// Converts to a sample value.
    pub(crate) fn number(self) -> Number {
        Number(self.0)
    }

    /// Converts minutes to seconds.
    pub(crate) fn minutes(self) -> Number {
        Number(self.0 * 60.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;

        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Amount, E> {
                Ok(Amount(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Amount, E> {
                Ok(Amount(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Amount, E> {
                Ok(Amount(value))
            }
        }

        deserializer.deserialize_f64(AmountVisitor)
    }
}

/// A field whose value is not used. It is selected because GraphQL requires at least one field of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Maps a Rust type to scalars of the schema.
macro_rules! scalar {
    ($type:ty: $($schema:ty),+) => {
        $(impl cynic::schema::IsScalar<$schema> for $type {
            type SchemaType = $schema;
        })+
    };
}

scalar!(Amount: i32, f64);
scalar!(Unread: cynic::Id, String);
