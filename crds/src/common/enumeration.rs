//! Enumerations as protobuf's JSON form spells them: by name, or by number (docs/semantics.md §1.1).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Unexpected, Visitor};

/// Declares an enumeration; the first variant is its zero and therefore its default.
macro_rules! enumeration {
    (
        $(#[doc = $doc:literal])*
        $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = ($text:literal, $number:literal),)+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $variant_doc])* $variant,)+ }

        impl $name {
            /// The name users write.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                const FIRST: &[$name] = &[$($name::$variant,)+];
                FIRST[0]
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                const VALUES: &[(&str, &str)] = &[$(($text, concat!($($variant_doc,)*)),)+];
                $crate::common::enumeration::schema(concat!($($doc,)*), VALUES)
            }
        }

        impl $crate::common::enumeration::Enumeration for $name {
            const VALUES: &'static [(Self, &'static str, i64)] = &[$((Self::$variant, $text, $number),)+];
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::common::enumeration::ByNameOrNumber::default())
            }
        }
    };
}
pub(crate) use enumeration;

/// The schema of an enumeration: its names, and what each of them means. The numbers are left to files, as in Istio's
/// own schema.
pub(crate) fn schema(what: &str, values: &[(&str, &str)]) -> schemars::Schema {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let mut description = what.trim().to_owned();
    for (name, meaning) in values {
        description.push_str(&format!("\n- `{name}`: {}", meaning.trim()));
    }
    schemars::json_schema!({"type": "string", "enum": names, "description": description})
}

/// What [`enumeration!`] implements.
pub(crate) trait Enumeration: Copy + 'static {
    /// Value, name, number.
    const VALUES: &'static [(Self, &'static str, i64)];
}

/// Reads an [`Enumeration`].
pub(crate) struct ByNameOrNumber<T>(PhantomData<T>);

impl<T> Default for ByNameOrNumber<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Enumeration> Visitor<'_> for ByNameOrNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (index, (_, name, _)) in T::VALUES.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let found = T::VALUES.iter().find(|(_, name, _)| *name == text);
        found.map(|(value, ..)| *value).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let found = T::VALUES.iter().find(|(.., known)| *known == number);
        found.map(|(value, ..)| *value).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ClientTlsMode, Resolution};

    #[test]
    fn names_and_numbers_are_values() {
        let read = serde_json::from_str::<Resolution>;
        assert_eq!(read("\"DNS\"").unwrap(), Resolution::Dns);
        assert_eq!(read("3").unwrap(), Resolution::DnsRoundRobin);
        assert_eq!(serde_json::to_string(&Resolution::Dns).unwrap(), "\"DNS\"");
        assert_eq!(Resolution::default(), Resolution::None);
        for wrong in ["\"dns\"", "9", "-1", "true", "null", "18446744073709551615"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        let error = serde_json::from_str::<ClientTlsMode>("\"Simple\"").unwrap_err().to_string();
        assert!(error.contains("one of DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL"), "{error}");
    }
}
