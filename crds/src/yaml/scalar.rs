//! What an unquoted word is: the rules of the YAML reader in kubectl, so that a file means here what it means there.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// The value of a plain scalar. `yes`, `on` and their like are booleans and `0x10`, `0o10`, `010` numbers, as kubectl
/// has them.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The value of a scalar with one of YAML's own tags, where it fits.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Value> {
    match tag {
        "str" => Some(Value::String(text.to_owned())),
        "null" => Some(plain(text)).filter(Value::is_null),
        "bool" => Some(plain(text)).filter(Value::is_boolean),
        "int" => Some(plain(text)).filter(|value| value.is_i64() || value.is_u64()),
        "float" => Some(plain(text)).filter(Value::is_number),
        _ => None,
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let digits: Cow<'_, str> = if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
    if let Some(whole) = integer(&digits) {
        return Some(whole);
    }
    if !is_float(&digits) {
        return None;
    }
    digits.parse::<f64>().ok().and_then(Number::from_f64)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
        return None;
    }
    if negative {
        i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Number::from)
    } else {
        u64::from_str_radix(digits, radix).ok().map(Number::from)
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_what_kubectl_takes_them_for() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("yes", json!(true)),
            ("off", json!(false)),
            ("80", json!(80)),
            ("-1", json!(-1)),
            ("+1", json!(1)),
            ("0x1F", json!(31)),
            ("010", json!(8)),
            ("0o10", json!(8)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("09", json!(9.0)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("1e3", json!(1000.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("5s", json!("5s")),
            ("1.2.3", json!("1.2.3")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("-", json!("-")),
            (".", json!(".")),
            ("e3", json!("e3")),
            ("1e", json!("1e")),
            ("2026-01-02", json!("2026-01-02")),
            ("nan", json!("nan")),
            (".inf", json!(".inf")),
            ("1e999", json!("1e999")),
            ("0x", json!("0x")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn tags_say_otherwise() {
        assert_eq!(tagged("str", "80"), Some(json!("80")));
        assert_eq!(tagged("int", "x"), None);
        assert_eq!(tagged("float", "1"), Some(json!(1)));
    }
}
