//! Values of bounds: as numbers, as text, as the types that code uses.

use std::time::Duration;

/// What a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    /// In milliseconds.
    Time,
}

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const TIMES: [(&str, u64); 3] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl Unit {
    /// Reads a value; none when the text is not one.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let units: &[(&str, u64)] = match self {
            Self::Count => &[],
            Self::Bytes => &SIZES,
            Self::Time if suffix == "ms" => return Some(number),
            // A time without a unit would be read as seconds by some and as milliseconds by others.
            Self::Time if suffix.is_empty() => return None,
            Self::Time => &TIMES,
        };
        if suffix.is_empty() {
            return Some(number);
        }
        let (_, factor) = units.iter().find(|(name, _)| *name == suffix)?;
        number.checked_mul(*factor)
    }

    /// The value as users write it, with the largest unit that divides it.
    pub(crate) fn show(self, value: u64) -> String {
        let (units, smallest): (&[(&str, u64)], _) = match self {
            Self::Count => (&[], ""),
            Self::Bytes => (&SIZES, ""),
            Self::Time => (&TIMES, "ms"),
        };
        let unit = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
        unit.map_or_else(|| format!("{value}{smallest}"), |(name, factor)| format!("{}{name}", value / factor))
    }
}

/// A type that bounds have in code.
pub trait Raw {
    /// From a number, bytes or milliseconds. Values beyond the type's range become its greatest; declared ranges keep
    /// clear of that.
    fn from_raw(raw: u64) -> Self;
}

impl Raw for u64 {
    fn from_raw(raw: u64) -> Self {
        raw
    }
}

impl Raw for u32 {
    fn from_raw(raw: u64) -> Self {
        Self::try_from(raw).unwrap_or(Self::MAX)
    }
}

impl Raw for usize {
    fn from_raw(raw: u64) -> Self {
        Self::try_from(raw).unwrap_or(Self::MAX)
    }
}

impl Raw for Duration {
    fn from_raw(raw: u64) -> Self {
        Self::from_millis(raw)
    }
}
