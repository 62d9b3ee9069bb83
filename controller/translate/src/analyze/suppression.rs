//! What an object's own annotation keeps from being said about it.

use crds::Meta;

const ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// Whether the annotation names the code, or all of them.
pub(super) fn suppresses(meta: &Meta, code: &str) -> bool {
    let Some(codes) = meta.annotations.get(ANNOTATION) else { return false };
    codes.split(',').map(str::trim).any(|suppressed| suppressed == "*" || suppressed == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_or_a_star() {
        let with =
            |text: &str| Meta { annotations: [(ANNOTATION.to_owned(), text.to_owned())].into(), ..Meta::default() };
        assert!(suppresses(&with("IST0101"), "IST0101") && suppresses(&with("IST0108, IST0101"), "IST0101"));
        assert!(suppresses(&with("*"), "IST0101") && !suppresses(&with("IST0102"), "IST0101"));
        assert!(!suppresses(&Meta::default(), "IST0101"));
    }
}
