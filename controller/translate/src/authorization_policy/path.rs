//! Paths of an operation: plain ones, and templates with `{*}` and `{**}` (docs/semantics.md §13.7).

use crate::scope::Scope;

pub(super) fn validate(path: &str, at: &mut Scope<'_>) {
    if is_template(path) {
        if let Err(why) = check_template(path) {
            at.invalid(path, why);
        }
    } else if path.contains(['{', '}']) {
        at.invalid(path, "a path; of templates, {*} for one segment and {**} for any number are known");
    }
}

fn is_template(path: &str) -> bool {
    path.contains("{*}") || path.contains("{**}")
}

fn check_template(path: &str) -> Result<(), &'static str> {
    let mut many = false;
    for segment in path.split('/') {
        match segment {
            "{**}" if many => return Err("a template with {**} once, and no operator behind it"),
            "{**}" => many = true,
            "{*}" if many => return Err("a template with {**} as its last operator"),
            "{*}" => {}
            plain if plain.contains(['{', '}']) => {
                return Err("a template whose operators are whole segments: /a/{*}, /a/{**}");
            }
            plain if plain.contains('*') => return Err("a template without *; {*} stands for one segment"),
            plain if !plain.bytes().all(is_path_byte) => return Err("a template of characters that paths have"),
            _ => {}
        }
    }
    Ok(())
}

/// RFC 3986's characters of a path, and the sign of an escape.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked() {
        for good in ["/foo/{*}", "/foo/{*}/bar/{**}", "/{**}/foo/bar", "/foo/{**}/", "/a%2Fb/{*}"] {
            assert_eq!(check_template(good), Ok(()), "{good}");
        }
        for bad in ["/a{*}", "/{**}/{*}", "/{**}/{**}", "/{*}/*", "/{*}/a*", "/{*}/{b}", "/{*}/a b"] {
            assert!(check_template(bad).is_err(), "{bad}");
        }
        assert!(!is_template("/{name}") && is_template("/{*}"));
    }
}
