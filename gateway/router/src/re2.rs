//! RE2 syntax → the syntax of the `regex` crate, with the same meaning, or RE2's reason for refusing.
//!
//! The two languages are close but not equal: in RE2 `\d`, `\w`, `\s` and `\b` are ASCII, `\1` is an error, `\<` and
//! `[a&&b]` are literal, `{,3}` is literal, `a**` is an error, `\Q…\E` and `\C` exist. So nothing is passed through that
//! has not been read here: literals leave as `\x{…}`, classes are written anew, and groups are counted.

mod class;

use std::collections::HashSet;
use std::fmt::Write as _;

/// Largest number in `{n,m}`.
const MAX_REPEAT: u32 = 1000;

/// Why RE2 does not accept a pattern, in RE2's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("missing argument to repetition operator: {0}")]
    MissingArgument(String),
    #[error("invalid nested repetition operator: {0}")]
    NestedRepeat(String),
    #[error("invalid repeat count: {0}")]
    RepeatSize(String),
    #[error("invalid escape sequence: {0}")]
    Escape(String),
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("invalid character class range: {0}")]
    Range(String),
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParen,
    #[error("unexpected )")]
    UnexpectedParen,
    #[error("invalid or unsupported Perl syntax: {0}")]
    Perl(String),
    #[error("invalid named capture: {0}")]
    GroupName(String),
    #[error("{reason}")]
    Other { reason: String },
}

/// The same pattern for the `regex` crate, Unicode on.
pub(crate) fn translate(pattern: &str) -> Result<String, SyntaxError> {
    Translator { rest: pattern, out: String::with_capacity(pattern.len() * 2), depth: 0, names: HashSet::new() }.run()
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    depth: usize,
    names: HashSet<&'a str>,
}

/// What the next repetition operator would apply to.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Expression,
    /// An operator, which must not be followed by another one.
    Repeat,
}

impl<'a> Translator<'a> {
    fn run(mut self) -> Result<String, SyntaxError> {
        let mut before = Before::Nothing;
        while let Some(next) = self.rest.chars().next() {
            let from = self.rest;
            if let Some(operator) = self.repeat()? {
                match before {
                    Before::Nothing => return Err(SyntaxError::MissingArgument(operator.to_owned())),
                    Before::Repeat => return Err(SyntaxError::NestedRepeat(operator.to_owned())),
                    Before::Expression => before = Before::Repeat,
                }
                self.out.push_str(operator);
                continue;
            }
            before = Before::Expression;
            match next {
                '(' => {
                    self.group()?;
                    before = Before::Nothing;
                }
                ')' => {
                    self.depth = self.depth.checked_sub(1).ok_or(SyntaxError::UnexpectedParen)?;
                    self.copy(1);
                }
                '|' => {
                    self.copy(1);
                    before = Before::Nothing;
                }
                '[' => class::bracketed(&mut self.rest, &mut self.out)?,
                '^' | '$' | '.' => self.copy(1),
                '\\' => self.escape()?,
                literal => {
                    self.rest = &from[literal.len_utf8()..];
                    push_literal(&mut self.out, literal);
                }
            }
        }
        if self.depth > 0 {
            return Err(SyntaxError::MissingParen);
        }
        Ok(self.out)
    }

    /// Moves `count` ASCII characters from input to output as they are.
    fn copy(&mut self, count: usize) {
        let (copied, rest) = self.rest.split_at(count);
        self.out.push_str(copied);
        self.rest = rest;
    }

    /// Reads a repetition operator. Braces that are none are literal.
    fn repeat(&mut self) -> Result<Option<&'a str>, SyntaxError> {
        let mut length = match self.rest.as_bytes().first() {
            Some(b'*' | b'+' | b'?') => 1,
            Some(b'{') => match counts(self.rest) {
                Some((length, least, most)) => {
                    if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
                        return Err(SyntaxError::RepeatSize(self.rest[..length].to_owned()));
                    }
                    length
                }
                None => return Ok(None),
            },
            Some(_) | None => return Ok(None),
        };
        length += usize::from(self.rest.as_bytes().get(length) == Some(&b'?'));
        let (operator, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some(operator))
    }

    /// Reads what opens a group, or flags. Names are dropped: nobody asks for groups by name.
    fn group(&mut self) -> Result<(), SyntaxError> {
        let Some(special) = self.rest.strip_prefix("(?") else {
            self.depth += 1;
            self.copy(1);
            return Ok(());
        };
        if let Some(named) = special.strip_prefix("P<").or_else(|| special.strip_prefix('<')) {
            if special.starts_with("<=") || special.starts_with("<!") {
                return Err(SyntaxError::Perl(format!("(?{}", &special[..2])));
            }
            let (name, rest) = named.split_once('>').ok_or_else(|| SyntaxError::GroupName(self.rest.to_owned()))?;
            let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !valid || !self.names.insert(name) {
                return Err(SyntaxError::GroupName(name.to_owned()));
            }
            self.rest = rest;
            self.out.push('(');
            self.depth += 1;
            return Ok(());
        }
        self.flags(special)
    }

    /// `(?flags)` and `(?flags:`.
    fn flags(&mut self, special: &'a str) -> Result<(), SyntaxError> {
        let length = special.bytes().take_while(|byte| matches!(byte, b'i' | b'm' | b's' | b'U' | b'-')).count();
        let flags = &special[..length];
        let end = special[length..].chars().next();
        let valid = match flags.split_once('-') {
            None => true,
            Some((_, off)) => !off.is_empty() && !off.contains('-'),
        };
        if !valid || !matches!(end, Some(':' | ')')) {
            let shown = length + end.map_or(0, char::len_utf8);
            return Err(match end {
                Some(_) => SyntaxError::Perl(format!("(?{}", &special[..shown])),
                None => SyntaxError::MissingParen,
            });
        }
        self.rest = &special[length + 1..];
        // A repeated flag is an error to the engine and nothing to RE2.
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let wanted = |flag: char| off.contains(flag).then_some(false).or_else(|| on.contains(flag).then_some(true));
        let (mut on, mut off) = (String::new(), String::new());
        for flag in ['i', 'm', 's', 'U'] {
            match wanted(flag) {
                Some(true) => on.push(flag),
                Some(false) => off.push(flag),
                None => {}
            }
        }
        let dash = if off.is_empty() { "" } else { "-" };
        let opens = end == Some(':');
        match (opens, on.is_empty() && off.is_empty()) {
            (true, _) => write_out(&mut self.out, format_args!("(?{on}{dash}{off}:")),
            (false, false) => write_out(&mut self.out, format_args!("(?{on}{dash}{off})")),
            (false, true) => {}
        }
        self.depth += usize::from(opens);
        Ok(())
    }

    /// A backslash outside of brackets.
    fn escape(&mut self) -> Result<(), SyntaxError> {
        if let Some(quoted) = self.rest.strip_prefix(r"\Q") {
            let (literal, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            literal.chars().for_each(|literal| push_literal(&mut self.out, literal));
            self.rest = rest;
            return Ok(());
        }
        for (escape, meaning) in
            [(r"\A", r"\A"), (r"\z", r"\z"), (r"\b", r"(?-u:\b)"), (r"\B", r"(?-u:\B)"), (r"\C", r"(?s-u:.)")]
        {
            if let Some(rest) = self.rest.strip_prefix(escape) {
                self.out.push_str(meaning);
                self.rest = rest;
                return Ok(());
            }
        }
        if class::escaped(&mut self.rest, &mut self.out)? {
            return Ok(());
        }
        let literal = class::escaped_character(&mut self.rest)?;
        push_literal(&mut self.out, literal);
        Ok(())
    }
}

/// `{n}`, `{n,}` or `{n,m}` at the start of `text`: its length and numbers.
fn counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = text.strip_prefix('{')?;
    let inner = &inner[..inner.find('}')?];
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number too long to read is certainly too large.
        valid.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (least, most) = match inner.split_once(',') {
        None => (number(inner)?, Some(number(inner)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most)?)),
    };
    Some((inner.len() + 2, least, most))
}

/// Writes a character so that the engine sees nothing but that character.
fn push_literal(out: &mut String, literal: char) {
    match literal {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '_' => out.push(literal),
        other => write_out(out, format_args!("\\x{{{:X}}}", u32::from(other))),
    }
}

fn write_out(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
