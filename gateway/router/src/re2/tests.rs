//! What RE2 refuses, and with which words. What accepted patterns match is in `tests/it/tables/regexes.txt`.

use super::translate;

#[test]
fn refuses_what_re2_refuses() {
    #[rustfmt::skip]
    let cases = [
        // pattern          reason
        ("*",               "missing argument to repetition operator: *"),
        ("a|*",             "missing argument to repetition operator: *"),
        ("(+)",             "missing argument to repetition operator: +"),
        ("{2}",             "missing argument to repetition operator: {2}"),
        ("a**",             "invalid nested repetition operator: *"),
        ("a*?*",            "invalid nested repetition operator: *"),
        ("a{2}{3}",         "invalid nested repetition operator: {3}"),
        ("a{1001}",         "invalid repeat count: {1001}"),
        ("a{3,2}",          "invalid repeat count: {3,2}"),
        ("a{99999999999}",  "invalid repeat count: {99999999999}"),
        (r"\1",             r"invalid escape sequence: \1"),
        (r"(a)\2",          r"invalid escape sequence: \2"),
        (r"\8",             r"invalid escape sequence: \8"),
        (r"\Z",             r"invalid escape sequence: \Z"),
        (r"\y",             r"invalid escape sequence: \y"),
        (r"\ä",             r"invalid escape sequence: \ä"),
        (r"\xz",            r"invalid escape sequence: \x"),
        (r"\x{}",           r"invalid escape sequence: \x{}"),
        (r"\x{110000}",     r"invalid escape sequence: \x{110000}"),
        (r"\x{d800}",       r"invalid escape sequence: \x{d800}"),
        (r"\x+1",           r"invalid escape sequence: \x+1"),
        (r"[\b]",           r"invalid escape sequence: \b"),
        (r"[\Qa\E]",        r"invalid escape sequence: \Q"),
        (r"a\",             "trailing backslash at end of expression"),
        (r"[\",             "trailing backslash at end of expression"),
        ("[b-a]",           "invalid character class range: b-a"),
        ("[a--b]",          "invalid character class range: a--"),
        (r"[a-\d]",         r"invalid escape sequence: \d"),
        ("[[:what:]]",      "invalid character class range: [:what:]"),
        (r"\p{sc=Greek}",   r"invalid character class range: \p{sc=Greek}"),
        (r"\p",             r"invalid character class range: \p"),
        (r"\p{Greek",       r"invalid character class range: \p{Greek"),
        (r"\p{}",           r"invalid character class range: \p{}"),
        ("[a",              "missing closing ]"),
        ("[]",              "missing closing ]"),
        ("[a-",             "missing closing ]"),
        ("(a",              "missing closing )"),
        ("(?i",             "missing closing )"),
        ("a)(b",            "unexpected )"),
        ("(?=a)",           "invalid or unsupported Perl syntax: (?="),
        ("(?!a)",           "invalid or unsupported Perl syntax: (?!"),
        ("(?<=a)",          "invalid or unsupported Perl syntax: (?<="),
        ("(?<!a)",          "invalid or unsupported Perl syntax: (?<!"),
        ("(?x)a",           "invalid or unsupported Perl syntax: (?x"),
        ("(?u:a)",          "invalid or unsupported Perl syntax: (?u"),
        ("(?i-)a",          "invalid or unsupported Perl syntax: (?i-)"),
        ("(?i--s)a",        "invalid or unsupported Perl syntax: (?i--s)"),
        ("(?P=a)",          "invalid or unsupported Perl syntax: (?P"),
        ("(?P<a",           "invalid named capture: (?P<a"),
        ("(?P<>a)",         "invalid named capture: "),
        ("(?P<a b>a)",      "invalid named capture: a b"),
        ("(?P<n>a)(?P<n>b)", "invalid named capture: n"),
    ];
    for (pattern, reason) in cases {
        let error = translate(pattern).expect_err(pattern);
        assert_eq!(error.to_string(), reason, "{pattern}");
    }
}

#[test]
fn unknown_names_of_classes_are_refused() {
    let error = crate::FullRegex::compile(r"\p{Klingon}").unwrap_err();
    assert_eq!(error.to_string(), r#"regex "\\p{Klingon}": Unicode property not found"#);
}

#[test]
fn accepts_what_re2_accepts() {
    let patterns = [
        "",
        "()",
        "(|a)",
        "a|",
        "|",
        "^*",
        "$+",
        "(?i)",
        "(?)",
        "(?i-s:a)",
        "(?ii)a",
        "(?:)",
        "()*",
        r"\Q\E",
        r"\Qab",
        "a{0}",
        "a{1000}",
        "{",
        "}",
        "{a}",
        "a{1,2,3}",
        "a{-1}",
        "]",
        "[^]]",
        r"[\]\-\\]",
        r"[\x00-\x{10FFFF}]",
        r"[^\x00-\x{10FFFF}]",
        r"\07",
        r"\0",
        r"\pN",
        r"[\pN\PL]",
        "[a-]",
        "[-a]",
        "[[:alpha:][:^space:]]",
        "[[:]",
        "[a[:]",
        r"\A\z\b\B",
        "日本[語-谞]",
        "(?U)a*",
        "(?m)^a$",
        r"[\w.-]+@[\w-]+",
        "a[b-b]",
    ];
    for pattern in patterns {
        let translated = translate(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        regex::bytes::Regex::new(&translated).unwrap_or_else(|error| panic!("{pattern} → {translated}: {error}"));
    }
}

proptest::proptest! {
    /// Whatever is let through, the engine understands, except for names of classes and sizes.
    #[test]
    fn never_panics_and_never_writes_nonsense(pattern in r"([a\-\[\]\^(){}?*+|.,:<>=!\\12pPQEdwsx&~ä]|\[:alpha:\]|\(\?){0,12}") {
        if let Ok(translated) = translate(&pattern) {
            match regex_syntax::ParserBuilder::new().utf8(false).build().parse(&translated) {
                Ok(_) => {}
                Err(regex_syntax::Error::Translate(error)) => {
                    let text = error.kind().to_string();
                    proptest::prop_assert!(text.contains("Unicode property"), "{} → {}: {}", pattern, translated, text);
                }
                Err(error) => proptest::prop_assert!(false, "{} → {}: {}", pattern, translated, error),
            }
        }
    }
}
