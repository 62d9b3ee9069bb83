//! Durations as Istio's schema accepts them: protobuf's `1.5s` and Go's `1h2m3.5s`, `100ms` (docs/semantics.md, head).

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("a duration is a number with a unit, such as 5s, 0.5s, 1h2m or 100ms")]
    Syntax,
    #[error("a duration cannot be negative")]
    Negative,
    #[error("the duration is too long")]
    TooLong,
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// Protobuf's limit on durations: about 10,000 years.
const MAX_SECONDS: u128 = 315_576_000_000;

/// Reads a duration. `0` alone is zero, as in Go.
///
/// # Errors
/// When the text is of neither form, negative, or longer than 10,000 years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Syntax);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (term, after) = leading_term(rest)?;
        nanos = nanos.checked_add(term).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    if nanos / NANOS_PER_SECOND > MAX_SECONDS {
        return Err(DurationError::TooLong);
    }
    if negative && nanos > 0 {
        return Err(DurationError::Negative);
    }
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| DurationError::TooLong)?;
    let subsecond = u32::try_from(nanos % NANOS_PER_SECOND).map_err(|_| DurationError::TooLong)?;
    Ok(Duration::new(seconds, subsecond))
}

/// The nanoseconds of the first `<number><unit>`, and what follows it.
fn leading_term(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Syntax);
    }
    let (unit, rest) = unit(rest).ok_or(DurationError::Syntax)?;
    let whole: u128 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| DurationError::TooLong)?,
    };
    let mut nanos = whole.checked_mul(unit).ok_or(DurationError::TooLong)?;
    // Digits beyond what a nanosecond can hold are cut, as Go does.
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanos = nanos.checked_add(u128::from(digit - b'0') * scale).ok_or(DurationError::TooLong)?;
    }
    Ok((nanos, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn unit(text: &str) -> Option<(u128, &str)> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", NANOS_PER_SECOND),
        ("m", 60 * NANOS_PER_SECOND),
        ("h", 3_600 * NANOS_PER_SECOND),
    ];
    UNITS.iter().find_map(|(name, nanos)| Some((*nanos, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, millis) in [
            ("5s", 5_000),
            ("0.5s", 500),
            (".5s", 500),
            ("1.s", 1_000),
            ("1ms", 1),
            ("1h2m", 3_720_000),
            ("1h2m3.5s", 3_723_500),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("0s", 0),
            ("-0s", 0),
            ("+1s", 1_000),
            ("2000us", 2),
            ("2000µs", 2),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("0.0000000019s"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse("315576000000s"), Ok(Duration::from_secs(315_576_000_000)));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "5", "s", ".s", "5 s", "5S", "1d", "1h 2m", "5ss", "1e3s", "--1s", "-", "é"] {
            assert_eq!(parse(text), Err(DurationError::Syntax), "{text}");
        }
        assert_eq!(parse("-1s"), Err(DurationError::Negative));
        assert_eq!(parse("315576000001s"), Err(DurationError::TooLong));
        assert_eq!(parse("99999999999999999999999999999999999999999h"), Err(DurationError::TooLong));
    }
}
