//! Whether a text is a regular expression in RE2 syntax, as far as it can be told without RE2.

use crate::report::Problem;
use crate::scope::Scope;

/// Longest expression, in bytes (docs/semantics.md §1.7).
const LIMIT: usize = 1024;
/// Most repetitions that RE2 takes.
const MOST_REPEATS: u32 = 1000;

/// Reports what is wrong with an expression.
pub(crate) fn validate(pattern: &str, at: &mut Scope<'_>) {
    if pattern.is_empty() {
        at.missing("a regular expression cannot be empty");
    } else if pattern.len() > LIMIT {
        at.report(Problem::RegexTooLong { length: pattern.len(), limit: LIMIT });
    } else if let Err(error) = check(pattern) {
        at.report(Problem::BadRegex { pattern: pattern.to_owned(), error });
    }
}

fn check(pattern: &str) -> Result<(), String> {
    let pattern = engine_syntax(pattern)?;
    let mut parser = regex_syntax::ParserBuilder::new().nest_limit(100).build();
    match parser.parse(&pattern) {
        Ok(_) => Ok(()),
        Err(regex_syntax::Error::Parse(error)) => Err(error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => Err(error.kind().to_string()),
        Err(_) => Err("it cannot be read".to_owned()),
    }
}

/// The pattern as this engine reads it: in RE2 a brace that begins no repetition stands for itself, and nothing is
/// repeated twice.
fn engine_syntax(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    // How many signs of one repetition were read: a question mark behind the first makes it a lazy one.
    let mut repeats = 0;
    while let Some(next) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q").filter(|_| !in_class) {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex_syntax::escape(text));
            (rest, repeats) = (after, 0);
            continue;
        }
        if !in_class && has_unknown_flag(rest) {
            return Err("the flags of a group are i, m, s and U".to_owned());
        }
        let (taken, replacement): (usize, Option<&str>) = match next {
            '\\' => {
                // An escape takes one more character, or a braced name as in \p{Greek} and \x{10FFFF}.
                let escaped = rest[1..].chars().next();
                let mut taken = 1 + escaped.map_or(0, char::len_utf8);
                // An underscore may be escaped without need, as all ASCII that is no letter and no digit.
                if escaped.is_some_and(|escaped| escaped == '_') {
                    out.push_str(&rest[1..taken]);
                    (rest, repeats) = (&rest[taken..], 0);
                    continue;
                }
                if matches!(escaped, Some('p' | 'P' | 'x')) && rest[taken..].starts_with('{') {
                    taken += rest[taken..].find('}').map_or(0, |end| end + 1);
                }
                (taken, None)
            }
            '[' if !in_class => {
                in_class = true;
                // A bracket right behind the opening one stands for itself.
                let negated = usize::from(rest[1..].starts_with('^'));
                (1 + negated + usize::from(rest[1 + negated..].starts_with(']')), None)
            }
            ']' if in_class => {
                in_class = false;
                (1, None)
            }
            '{' if !in_class => match repetition(rest) {
                Some((length, most)) if most <= MOST_REPEATS => (length, None),
                Some(_) => return Err(format!("at most {MOST_REPEATS} repetitions are allowed")),
                None => (1, Some("\\{")),
            },
            '}' if !in_class => (1, Some("\\}")),
            other => (other.len_utf8(), None),
        };
        let is_repetition =
            !in_class && replacement.is_none() && (matches!(next, '*' | '+' | '?') || (next == '{' && taken > 1));
        repeats = match (is_repetition, repeats, next) {
            (false, _, _) => 0,
            (true, 0, _) => 1,
            (true, 1, '?') => 2,
            (true, _, _) => return Err("a repetition cannot be repeated".to_owned()),
        };
        out.push_str(replacement.unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
    }
    Ok(out)
}

/// Whether the text begins a group with flags of which RE2 does not know one.
fn has_unknown_flag(text: &str) -> bool {
    let Some(flags) = text.strip_prefix("(?") else { return false };
    let end = flags.find(|c: char| !(c.is_ascii_alphabetic() || c == '-')).unwrap_or(flags.len());
    // What follows tells flags from names as in (?P<name>…).
    flags[end..].starts_with([':', ')']) && flags[..end].contains(|c: char| !"imsU-".contains(c))
}

/// Length of `{n}`, `{n,}` or `{n,m}`, and the largest number in it.
fn repetition(text: &str) -> Option<(usize, u32)> {
    let end = text.find('}')?;
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, high)) => (low, Some(high)),
        None => (&text[1..end], None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(low) || high.is_some_and(|high| !high.is_empty() && !is_number(high)) {
        return None;
    }
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    let high = high.filter(|high| !high.is_empty()).map_or(0, number);
    Some((end + 1, number(low).max(high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_takes_is_taken() {
        for pattern in [
            ".*",
            "/a/[^/]+",
            "a{2,3}",
            "{id}",
            "a{",
            "a}",
            "x{,3}",
            "(?i)abc",
            "\\Qa*(\\E+",
            "\\_x",
            "(?P<n>a)",
            "\\d+\\.html",
            "[]a]",
            "[{}]",
            "\\p{Greek}",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in ["*", "(", "[a", "a**", "a*??", "a{2}{3}", "(?x)a", "(?=a)", "(a)\\1", "a{1001}", "\\"] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }
}
