//! Classes of characters and single characters in RE2 syntax. Knows nothing of groups and operators.

use super::{SyntaxError, push_literal, write_out};

/// RE2's Perl classes are ASCII; `\s` has no vertical tab.
const PERL: [(&str, &str); 6] = [
    (r"\d", "[0-9]"),
    (r"\D", "[^0-9]"),
    (r"\s", r"[\t\n\f\r\x20]"),
    (r"\S", r"[^\t\n\f\r\x20]"),
    (r"\w", "[0-9A-Za-z_]"),
    (r"\W", "[^0-9A-Za-z_]"),
];

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Reads `[…]`.
pub(super) fn bracketed(rest: &mut &str, out: &mut String) -> Result<(), SyntaxError> {
    skip(rest, 1);
    out.push('[');
    if rest.starts_with('^') {
        skip(rest, 1);
        out.push('^');
    }
    let mut first = true;
    loop {
        if rest.is_empty() {
            return Err(SyntaxError::MissingBracket);
        }
        if !first && rest.starts_with(']') {
            skip(rest, 1);
            out.push(']');
            return Ok(());
        }
        first = false;
        if posix(rest, out)? || rest.starts_with('\\') && escaped(rest, out)? {
            continue;
        }
        range(rest, out)?;
    }
}

/// Reads a Perl or Unicode class (`\d`, `\pL`, `\P{Greek}`, `\p{^Lu}`) if there is one.
pub(super) fn escaped(rest: &mut &str, out: &mut String) -> Result<bool, SyntaxError> {
    for (escape, meaning) in PERL {
        if rest.starts_with(escape) {
            skip(rest, escape.len());
            out.push_str(meaning);
            return Ok(true);
        }
    }
    let Some(name) = rest.strip_prefix(r"\p").or_else(|| rest.strip_prefix(r"\P")) else { return Ok(false) };
    let mut negated = rest.starts_with(r"\P");
    let invalid = || SyntaxError::Range(rest.to_owned());
    let (mut name, end) = match name.strip_prefix('{') {
        Some(braced) => {
            let length = braced.find('}').ok_or_else(invalid)?;
            (&braced[..length], length + 4)
        }
        None => {
            let letter = name.chars().next().ok_or_else(invalid)?.len_utf8();
            (&name[..letter], letter + 2)
        }
    };
    if let Some(positive) = name.strip_prefix('^') {
        name = positive;
        negated = !negated;
    }
    // The engine knows more spellings (`\p{sc=Greek}`) than RE2 does.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(SyntaxError::Range(rest[..end].to_owned()));
    }
    let letter = if negated { 'P' } else { 'p' };
    write_out(out, format_args!("\\{letter}{{{name}}}"));
    skip(rest, end);
    Ok(true)
}

/// Reads an escape that stands for one character.
pub(super) fn escaped_character(rest: &mut &str) -> Result<char, SyntaxError> {
    let Some(after) = rest.strip_prefix('\\') else { return Err(SyntaxError::Escape((*rest).to_owned())) };
    let Some(letter) = after.chars().next() else { return Err(SyntaxError::TrailingBackslash) };
    let is_octal = |byte: &u8| (b'0'..=b'7').contains(byte);
    let octal = after.bytes().take(3).take_while(is_octal).count();
    let (found, length) = match letter {
        'a' => (Some('\u{7}'), 1),
        'f' => (Some('\u{c}'), 1),
        'n' => (Some('\n'), 1),
        'r' => (Some('\r'), 1),
        't' => (Some('\t'), 1),
        'v' => (Some('\u{b}'), 1),
        // One digit other than zero would be a back reference.
        '0' => (number(&after[..octal], 8), octal),
        '1'..='7' if octal > 1 => (number(&after[..octal], 8), octal),
        'x' => hexadecimal(&after[1..]),
        literal if literal.is_ascii() && !literal.is_ascii_alphanumeric() => (Some(literal), 1),
        other => (None, other.len_utf8()),
    };
    let found = found.ok_or_else(|| SyntaxError::Escape(format!("\\{}", &after[..length])))?;
    skip(rest, length + 1);
    Ok(found)
}

/// What follows `\x`: two digits, or any number of them in braces. The length counts the `x`.
fn hexadecimal(after: &str) -> (Option<char>, usize) {
    if let Some(braced) = after.strip_prefix('{') {
        return match braced.find('}') {
            Some(length) => (number(&braced[..length], 16), length + 3),
            None => (None, 1),
        };
    }
    match after.get(..2) {
        Some(digits) => (number(digits, 16), 3),
        None => (None, 1),
    }
}

fn number(digits: &str, radix: u32) -> Option<char> {
    let valid = digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|_| valid).and_then(char::from_u32)
}

/// Reads `[:name:]` if there is one. The engine's classes of these names are RE2's.
fn posix(rest: &mut &str, out: &mut String) -> Result<bool, SyntaxError> {
    let Some(inner) = rest.strip_prefix("[:") else { return Ok(false) };
    let Some(length) = inner.find(":]") else { return Ok(false) };
    let whole = &rest[..length + 4];
    let name = &inner[..length];
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(SyntaxError::Range(whole.to_owned()));
    }
    out.push_str(whole);
    skip(rest, length + 4);
    Ok(true)
}

/// Reads `a` or `a-b`.
fn range(rest: &mut &str, out: &mut String) -> Result<(), SyntaxError> {
    let whole = *rest;
    let low = character(rest)?;
    let Some(after) = rest.strip_prefix('-').filter(|after| !after.starts_with(']') && !after.is_empty()) else {
        push_literal(out, low);
        return Ok(());
    };
    *rest = after;
    let high = character(rest)?;
    if high < low {
        return Err(SyntaxError::Range(whole[..whole.len() - rest.len()].to_owned()));
    }
    push_literal(out, low);
    out.push('-');
    push_literal(out, high);
    Ok(())
}

fn character(rest: &mut &str) -> Result<char, SyntaxError> {
    match rest.chars().next() {
        None => Err(SyntaxError::MissingBracket),
        Some('\\') => escaped_character(rest),
        Some(literal) => {
            skip(rest, literal.len_utf8());
            Ok(literal)
        }
    }
}

fn skip(rest: &mut &str, length: usize) {
    *rest = &rest[length..];
}
