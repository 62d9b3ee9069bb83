//! `headers`: what is set, added and removed, on rules and destinations (docs/semantics.md §3.5).

use std::collections::BTreeMap;

use crds::{HeaderOperations, Headers};
use ir::format::{Format, Operator, Segment};
use ir::text::MAX_TEXT_BYTES;
use ir::{Authority, HeaderEdits, HeaderFormat, HeaderName, HeaderOp};

use crate::report::Problem;
use crate::scope::Scope;

/// The header fields that stand for the authority; setting one rewrites it.
const AUTHORITY: [&str; 2] = [":authority", "host"];

/// Edits of a rule that sends nothing on, or nothing of a destination's own.
pub(crate) fn of_rule(rule: Option<&Headers>) -> HeaderEdits {
    both(|direction| ops(direction(rule)))
}

/// A rule's and a destination's edits in the order they are carried out. `several` tells whether the rule lists more
/// than one destination.
pub(crate) fn merged(rule: Option<&Headers>, destination: Option<&Headers>, several: bool) -> HeaderEdits {
    both(|direction| {
        let (rule, destination) = (ops(direction(rule)), ops(direction(destination)));
        if several {
            // The destination's first, so that the rule's win.
            return destination.into_iter().chain(rule).collect();
        }
        // One list: all is removed before anything is set, and set before anything is added; the destination's last.
        let mut all: Vec<_> = rule.into_iter().chain(destination).collect();
        all.sort_by_key(phase);
        all
    })
}

type Direction = fn(Option<&Headers>) -> Option<&HeaderOperations>;

fn both(edits: impl Fn(Direction) -> Vec<HeaderOp>) -> HeaderEdits {
    HeaderEdits {
        request: edits(|headers| headers?.request.as_ref()),
        response: edits(|headers| headers?.response.as_ref()),
    }
}

fn phase(op: &HeaderOp) -> u8 {
    match op {
        HeaderOp::Remove { .. } => 0,
        HeaderOp::Set { .. } => 1,
        HeaderOp::Append { .. } => 2,
    }
}

/// Removals, then what is set, then what is added, each sorted by name.
fn ops(operations: Option<&HeaderOperations>) -> Vec<HeaderOp> {
    let Some(HeaderOperations { set, add, remove }) = operations else { return Vec::new() };
    let mut ops = Vec::with_capacity(set.len() + add.len() + remove.len());
    ops.extend(remove.iter().filter_map(|name| editable(name)).map(|name| HeaderOp::Remove { name }));
    let mut put = |values: &BTreeMap<String, String>, op: fn(HeaderName, HeaderFormat) -> HeaderOp| {
        for (name, value) in values {
            // An empty value changes nothing; a format that cannot be read was refused.
            let Ok(format) = value.parse::<Format>().map_err(drop).and_then(|format| format.try_into().map_err(drop))
            else {
                continue;
            };
            if let Some(name) = editable(name).filter(|_| !value.is_empty()) {
                ops.push(op(name, format));
            }
        }
    };
    put(set, |name, value| HeaderOp::Set { name, value });
    put(add, |name, value| HeaderOp::Append { name, value });
    ops
}

/// What a level of headers makes of the authority: `set` beats `add`.
pub(crate) fn authority(headers: Option<&Headers>) -> Option<&str> {
    let HeaderOperations { set, add, .. } = headers?.request.as_ref()?;
    authority_in(set).or_else(|| authority_in(add))
}

fn authority_in(values: &BTreeMap<String, String>) -> Option<&str> {
    let found = values.iter().find(|(name, _)| is_authority(name));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

fn is_authority(name: &str) -> bool {
    AUTHORITY.iter().any(|authority| name.eq_ignore_ascii_case(authority))
}

/// The name of a field that edits may change.
fn editable(name: &str) -> Option<HeaderName> {
    if !is_editable(name) || !is_field_name(name) {
        return None;
    }
    name.to_ascii_lowercase().try_into().ok()
}

fn is_editable(name: &str) -> bool {
    !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}

pub(crate) fn is_field_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Checks a rule's or a destination's headers.
pub(crate) fn validate(headers: &Headers, at: &mut Scope<'_>) {
    let Headers { request, response } = headers;
    for (field, operations) in [("request", request), ("response", response)] {
        let Some(HeaderOperations { set, add, remove }) = operations else { continue };
        let mut at = at.field(field);
        for (operation, values) in [("set", set), ("add", add)] {
            for (name, value) in values {
                let mut at = at.entry(operation, name);
                let is_rewrite = field == "request" && is_authority(name);
                validate_name(name, is_rewrite, &mut at);
                validate_value(value, &mut at);
                if is_rewrite && !value.is_empty() {
                    // Operators are not expanded in an authority.
                    at.text::<Authority>(value);
                }
            }
        }
        for (index, name) in remove.iter().enumerate() {
            validate_name(name, false, &mut at.item("remove", index));
        }
    }
}

/// Checks that rewrite and headers of a rule set the authority once; the same within a destination.
pub(crate) fn validate_authority(rewrite: Option<&str>, headers: Option<&Headers>, at: &mut Scope<'_>) {
    let mut by = rewrite.filter(|authority| !authority.is_empty()).map(|_| "rewrite.authority");
    let Some(operations) = headers.and_then(|headers| headers.request.as_ref()) else { return };
    for (operation, values, name) in
        [("set", &operations.set, "headers.request.set"), ("add", &operations.add, "headers.request.add")]
    {
        for key in values.keys().filter(|key| is_authority(key)) {
            if let Some(by) = by {
                at.field("headers").field("request").entry(operation, key).report(Problem::AuthorityTwice { by });
            }
            by = Some(name);
        }
    }
}

fn validate_name(name: &str, is_rewrite: bool, at: &mut Scope<'_>) {
    if name.is_empty() {
        at.missing("a header needs a name");
    } else if !is_rewrite && !is_editable(name) {
        at.report(Problem::HeaderNotEditable { name: name.to_owned() });
    } else if !is_rewrite && !is_field_name(name) {
        at.no_effect("this is not the name of a header");
    }
}

fn validate_value(value: &str, at: &mut Scope<'_>) {
    let bad = |error: &str| Problem::BadHeaderValue { value: value.to_owned(), error: error.to_owned() };
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        at.report(bad("control characters are not allowed"));
        return;
    }
    if let Err(error) = check_grammar(value) {
        at.report(bad(error));
        return;
    }
    if value.len() > MAX_TEXT_BYTES {
        at.report(Problem::TextTooLong { length: value.len(), limit: MAX_TEXT_BYTES });
        return;
    }
    match value.parse::<Format>() {
        Ok(format) => {
            for segment in format.segments() {
                if let Segment::Operator(Operator::Environment { name }) = segment {
                    at.report(Problem::EnvironmentHidden { name: name.clone() });
                }
            }
        }
        Err(ir::format::FormatError::UnknownOperator { operator }) => at.report(Problem::NotProgrammable {
            value: format!("%{operator}%"),
            why: "it is not an operator of the proxy",
        }),
        Err(error) => at.report(bad(&error.to_string())),
    }
}

/// `%%`, or `%NAME%`, or `%NAME(argument)%`: Istio's webhook takes no length behind the argument.
fn check_grammar(value: &str) -> Result<(), &'static str> {
    const UNTERMINATED: &str = "a variable between % signs is not terminated; write %% for a percent sign";
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        let end = end.ok_or(UNTERMINATED)?;
        if end == 0 {
            return Err("a lone % (write %% for a percent sign)");
        }
        rest = &rest[end..];
        if let Some(argument) = rest.strip_prefix('(') {
            let close = argument.find(')').ok_or(UNTERMINATED)?;
            rest = &argument[close + 1..];
        }
        rest = rest.strip_prefix('%').ok_or("behind the argument of a variable only % is allowed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_as_the_webhook_does() {
        for value in ["", "a", "100%%", "%REQ(X)%", "%PROTOCOL%%HOSTNAME%", "a %START_TIME(%s)% b"] {
            assert_eq!(check_grammar(value), Ok(()), "{value}");
        }
        for value in ["%", "50%", "%REQ(x", "%REQ(X):3%", "% x", "%REQ"] {
            assert!(check_grammar(value).is_err(), "{value}");
        }
    }

    fn headers(set: &[(&str, &str)], remove: &[&str]) -> Headers {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        Headers { request: Some(HeaderOperations { set, remove, ..Default::default() }), response: None }
    }

    fn shown(edits: &HeaderEdits) -> Vec<String> {
        let shown = edits.request.iter().map(|op| match op {
            HeaderOp::Remove { name } => format!("-{name}"),
            HeaderOp::Set { name, value } => format!("{name}={value}"),
            HeaderOp::Append { name, value } => format!("+{name}={value}"),
        });
        shown.collect()
    }

    #[test]
    fn who_wins_depends_on_the_number_of_destinations() {
        let rule = headers(&[("X-A", "rule")], &["x-b"]);
        let destination = headers(&[("x-a", "destination"), ("x-b", "1")], &["x-c"]);
        let single = merged(Some(&rule), Some(&destination), false);
        assert_eq!(shown(&single), ["-x-b", "-x-c", "x-a=rule", "x-a=destination", "x-b=1"]);
        let several = merged(Some(&rule), Some(&destination), true);
        assert_eq!(shown(&several), ["-x-c", "x-a=destination", "x-b=1", "-x-b", "x-a=rule"]);
    }

    #[test]
    fn the_authority_is_no_edit() {
        let rule = headers(&[("Host", "a.test"), ("x-a", "")], &[]);
        assert_eq!(authority(Some(&rule)), Some("a.test"));
        assert!(of_rule(Some(&rule)).is_empty());
    }
}
