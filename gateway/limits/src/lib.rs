//! Bounds that a process keeps: each has a name, a default, a range and a text that says what happens beyond it. The
//! [`limits!`] macro declares them once; the struct that code reads, the settings `--limit NAME=VALUE` and the table in
//! `docs/limits.md` all come from that declaration. Nothing here reads a command line or an environment.

mod setting;
mod table;
mod value;

pub use setting::{LimitError, Setting, unknown};
pub use table::markdown;
pub use value::{Raw, Unit};

/// One declared bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// As in `--limit NAME=VALUE`: words with hyphens.
    pub name: &'static str,
    /// What is bounded.
    pub what: &'static str,
    /// What happens beyond the bound.
    pub beyond: &'static str,
    pub unit: Unit,
    pub default: u64,
    pub least: u64,
    pub most: u64,
}

/// Declares a struct of bounds:
///
/// ```
/// limits::limits! {
///     /// Bounds of an example.
///     pub struct Limits {
///         /// Names that one object may list.
///         names_per_object: usize [Count, 1 ..= 10_000] = 100 => "the rest is left out and reported",
///         /// First byte of a connection.
///         first_byte: std::time::Duration [Time, 1 ..= 60_000] = 10_000 => "the connection is closed",
///     }
/// }
/// let mut settings = vec!["names-per-object=7".parse().unwrap()];
/// let limits = Limits::from_settings(&mut settings).unwrap();
/// assert_eq!((limits.names_per_object, limits.first_byte.as_secs()), (7, 10));
/// ```
///
/// Times are declared in milliseconds, sizes in bytes.
#[macro_export]
macro_rules! limits {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $what:literal])+
                $field:ident: $type:ty [$unit:ident, $least:literal ..= $most:literal] = $default:literal => $beyond:literal,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis struct $name {
            $( $(#[doc = $what])+ $vis $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: <$type as $crate::Raw>::from_raw($default), )* }
            }
        }

        impl $name {
            /// Every bound, in the order of declaration.
            $vis const TABLE: &'static [$crate::Limit] = &[
                $( $crate::Limit {
                    name: stringify!($field),
                    what: concat!($($what),+),
                    beyond: $beyond,
                    unit: $crate::Unit::$unit,
                    default: $default,
                    least: $least,
                    most: $most,
                }, )*
            ];

            /// The defaults, changed by those of the settings that name a bound of this struct; these are taken out of
            /// the list.
            ///
            /// # Errors
            /// A value that cannot be read or lies outside the bound's range.
            $vis fn from_settings(settings: &mut Vec<$crate::Setting>) -> Result<Self, $crate::LimitError> {
                let mut limits = Self::default();
                let mut rest = Vec::new();
                for setting in settings.drain(..) {
                    match setting.name() {
                        $( stringify!($field) => {
                            let limit = Self::TABLE.iter().find(|limit| limit.name == stringify!($field));
                            if let Some(limit) = limit {
                                limits.$field = <$type as $crate::Raw>::from_raw(setting.value_of(limit)?);
                            }
                        } )*
                        _ => rest.push(setting),
                    }
                }
                *settings = rest;
                Ok(limits)
            }
        }
    };
}

impl Limit {
    /// The name as users write it.
    #[must_use]
    pub fn shown_name(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The default as users write it.
    #[must_use]
    pub fn shown_default(&self) -> String {
        self.unit.show(self.default)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Setting;

    limits! {
        /// Bounds of the tests.
        pub(crate) struct Bounds {
            /// Names that one
            /// object may list.
            names: usize [Count, 1 ..= 100] = 10 => "reported",
            /// Bytes of a name.
            name_bytes: u32 [Bytes, 16 ..= 1_048_576] = 1024 => "refused",
            /// First byte.
            first_byte: Duration [Time, 1 ..= 3_600_000] = 10_000 => "closed",
        }
    }

    fn read(texts: &[&str]) -> Result<(Bounds, Vec<String>), String> {
        let mut settings: Vec<Setting> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let bounds = Bounds::from_settings(&mut settings).map_err(|error| error.to_string())?;
        Ok((bounds, settings.iter().map(|setting| setting.name().to_owned()).collect()))
    }

    #[test]
    fn settings_change_what_they_name_and_leave_the_rest() {
        let (bounds, rest) = read(&["names=7", "name-bytes=2KiB", "other=1", "first_byte=250ms"]).unwrap();
        assert_eq!(bounds, Bounds { names: 7, name_bytes: 2048, first_byte: Duration::from_millis(250) });
        assert_eq!(rest, ["other"]);
        assert_eq!(read(&[]).unwrap().0, Bounds::default());
    }

    #[test]
    fn values_outside_the_range_are_refused_by_name() {
        for (text, told) in [
            ("names=0", "limit names: 0 is not within 1 to 100"),
            ("name-bytes=2MiB", "limit name-bytes: 2MiB is not within 16 to 1MiB"),
            ("first-byte=2h", "limit first-byte: 2h is not within 1ms to 1h"),
            ("first-byte=ten", "limit first-byte: \"ten\" is not a time such as 500ms, 10s, 5m or 1h"),
            ("name-bytes=1x", "limit name-bytes: \"1x\" is not a size such as 4096, 64KiB or 1MiB"),
            ("names=-1", "limit names: \"-1\" is not a number"),
            ("names=99999999999999999999", "limit names: \"99999999999999999999\" is not a number"),
        ] {
            assert_eq!(read(&[text]).unwrap_err(), told);
        }
    }

    #[test]
    fn the_table_has_every_field_and_its_texts() {
        let names: Vec<String> = Bounds::TABLE.iter().map(crate::Limit::shown_name).collect();
        assert_eq!(names, ["names", "name-bytes", "first-byte"]);
        assert_eq!(Bounds::TABLE[0].what.trim(), "Names that one object may list.");
        let defaults: Vec<String> = Bounds::TABLE.iter().map(crate::Limit::shown_default).collect();
        assert_eq!(defaults, ["10", "1KiB", "10s"]);
    }
}
