//! Response flags: why a response is what it is, in Envoy's letters (docs/semantics.md §16.3).

use std::fmt;

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const NONE: Self = Self(0);
    /// Retries were used up.
    pub(crate) const URX: Self = Self(1);
    pub(crate) const UF: Self = Self(1 << 1);
    pub(crate) const UC: Self = Self(1 << 2);
    pub(crate) const UT: Self = Self(1 << 3);
    pub(crate) const UH: Self = Self(1 << 4);
    pub(crate) const NC: Self = Self(1 << 5);
    pub(crate) const NR: Self = Self(1 << 6);
    pub(crate) const UPE: Self = Self(1 << 7);
    pub(crate) const DC: Self = Self(1 << 8);
    pub(crate) const DPE: Self = Self(1 << 9);
    pub(crate) const LR: Self = Self(1 << 10);
    pub(crate) const UR: Self = Self(1 << 11);
    pub(crate) const DI: Self = Self(1 << 12);
    pub(crate) const FI: Self = Self(1 << 13);
    pub(crate) const UO: Self = Self(1 << 14);

    /// In the order in which several are shown.
    const LETTERS: [(Self, &'static str); 15] = [
        (Self::DI, "DI"),
        (Self::FI, "FI"),
        (Self::URX, "URX"),
        (Self::UF, "UF"),
        (Self::UC, "UC"),
        (Self::UT, "UT"),
        (Self::UR, "UR"),
        (Self::UH, "UH"),
        (Self::UO, "UO"),
        (Self::NC, "NC"),
        (Self::NR, "NR"),
        (Self::UPE, "UPE"),
        (Self::DC, "DC"),
        (Self::DPE, "DPE"),
        (Self::LR, "LR"),
    ];

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        let mut separator = "";
        for (flag, letters) in Self::LETTERS {
            if self.0 & flag.0 != 0 {
                write!(f, "{separator}{letters}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_shown_in_envoys_order() {
        let mut flags = Flags::UF;
        flags.add(Flags::URX);
        assert_eq!(flags.to_string(), "URX,UF");
        assert_eq!(Flags::NONE.to_string(), "-");
    }
}
