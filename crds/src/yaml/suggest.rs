//! Words serde's messages for people who write YAML, not Rust.

/// Rewrites a message; `field` is the last name on the path it is about.
pub(super) fn reword(message: &str, field: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown_field(rest);
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "something else"));
        let text = format!("expected {}, found {}", expected_words(expected), found_words(found));
        let quotable = found.starts_with("integer") || found.starts_with("boolean") || found.starts_with("floating");
        return match expected {
            "a string" if quotable => format!("{text}; put it in quotes"),
            _ => text,
        };
    }
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "something else"));
        return format!("{} is not allowed here, expected {}", found_words(found), expected_words(expected));
    }
    if message.starts_with("missing field `") {
        return message.replace('`', "\"");
    }
    if field.is_empty() { message.to_owned() } else { message.replace('`', "\"") }
}

/// The name in serde's message about a field that is not known.
pub(super) fn unknown_name(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split_once('`').map(|(name, _)| name)
}

/// Closest of some names to a mistyped one, if any is close.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count() / 3 + 1;
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn unknown_field(rest: &str) -> String {
    let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
    // serde lists what it knows between backquotes.
    match closest(name, known.split('`').skip(1).step_by(2)) {
        Some(candidate) => format!("unknown field; did you mean \"{candidate}\"?"),
        None => "unknown field".to_owned(),
    }
}

fn expected_words(expected: &str) -> String {
    match expected {
        "i64" | "u64" | "i32" | "u32" | "u16" => "a whole number".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "a string" | "string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "fields".to_owned(),
        _ if expected.starts_with("struct ") => "fields".to_owned(),
        other => other.to_owned(),
    }
}

fn found_words(found: &str) -> String {
    let words = [
        ("string ", "the text "),
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", "the boolean "),
    ];
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "fields".to_owned(),
        "null" => "nothing".to_owned(),
        _ => words
            .iter()
            .find_map(|(theirs, ours)| Some(format!("{ours}{}", found.strip_prefix(theirs)?.replace('`', ""))))
            .unwrap_or_else(|| found.to_owned()),
    }
}

/// How many letters must change (case does not count).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_ascii_lowercase().chars().collect();
    let right: Vec<char> = right.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_for_people() {
        for (theirs, ours) in [
            ("unknown field `mach`, expected one of `name`, `match`", "unknown field; did you mean \"match\"?"),
            ("unknown field `zzz`, expected `match`", "unknown field"),
            ("invalid type: string \"90\", expected i64", "expected a whole number, found the text \"90\""),
            ("invalid type: integer `1`, expected a string", "expected text, found the number 1; put it in quotes"),
            ("invalid type: map, expected a sequence", "expected a list, found fields"),
            ("invalid type: null, expected struct StringMatch", "expected fields, found nothing"),
            (
                "invalid value: string \"X\", expected one of A, B",
                "the text \"X\" is not allowed here, expected one of A, B",
            ),
        ] {
            assert_eq!(reword(theirs, "f"), ours);
        }
    }
}
