//! Where in an object one is, and the place to report what is found there.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crds::ObjectKey;
use ir::TextError;
use ir::text::MAX_TEXT_BYTES;

use crate::report::{Problem, Report};

/// A field of an object, while it is being read.
pub(crate) struct Scope<'a> {
    object: &'a ObjectKey,
    path: String,
    reports: &'a mut Vec<Report>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(object: &'a ObjectKey, path: impl Into<String>, reports: &'a mut Vec<Report>) -> Self {
        Self { object, path: path.into(), reports }
    }

    /// The field of that name inside.
    pub(crate) fn field(&mut self, name: &str) -> Scope<'_> {
        let mut path = String::with_capacity(self.path.len() + name.len() + 1);
        path.push_str(&self.path);
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        Scope { object: self.object, path, reports: self.reports }
    }

    /// The same, for a place that is not needed any more.
    pub(crate) fn into_field(mut self, name: &str) -> Self {
        self.path.push('.');
        self.path.push_str(name);
        self
    }

    /// An item of the list of that name.
    pub(crate) fn item(&mut self, name: &str, index: usize) -> Scope<'_> {
        let mut inner = self.field(name);
        let _ = write!(inner.path, "[{index}]");
        inner
    }

    /// The value of a key in the map of that name.
    pub(crate) fn entry(&mut self, name: &str, key: &str) -> Scope<'_> {
        let mut inner = self.field(name);
        let _ = write!(inner.path, "[{key}]");
        inner
    }

    /// Reports about the whole of this place.
    pub(crate) fn report(&mut self, problem: Problem) {
        self.reports.push(Report { object: self.object.clone(), field: self.path.clone(), problem });
    }

    pub(crate) fn missing(&mut self, what: &'static str) {
        self.report(Problem::Missing { what });
    }

    pub(crate) fn conflict(&mut self, what: &'static str) {
        self.report(Problem::Conflict { what });
    }

    pub(crate) fn invalid(&mut self, value: &str, expected: &'static str) {
        self.report(Problem::Invalid { value: value.to_owned(), expected });
    }

    /// Reports a text that cannot go to a wire as a `T`.
    pub(crate) fn text<T>(&mut self, text: &str)
    where
        T: for<'t> TryFrom<&'t str, Error = TextError>,
    {
        match T::try_from(text) {
            Ok(_) => {}
            Err(TextError::Invalid { text, expected }) => self.report(Problem::Invalid { value: text, expected }),
            Err(TextError::TooLong { length }) => {
                self.report(Problem::TextTooLong { length, limit: MAX_TEXT_BYTES });
            }
        }
    }

    pub(crate) fn no_effect(&mut self, why: &'static str) {
        self.report(Problem::NoEffect { why });
    }

    /// Reports this field as one that is not acted on.
    pub(crate) fn not_supported(&mut self, effect: &'static str) {
        let field = last_name(&self.path).to_owned();
        self.report(Problem::NotSupportedYet { field, effect });
    }

    /// The same for one of a field's values.
    pub(crate) fn value_not_supported(&mut self, value: impl fmt::Display, effect: &'static str) {
        let field = format!("{} {value}", last_name(&self.path));
        self.report(Problem::NotSupportedYet { field, effect });
    }

    /// Reports a number outside of the range.
    pub(crate) fn range(&mut self, value: i64, min: i64, max: i64) {
        if value < min || value > max {
            self.report(Problem::OutOfRange { value, min, max });
        }
    }

    /// Reports a port number that cannot be one.
    pub(crate) fn port(&mut self, value: i64) {
        self.range(value, 1, 65535);
    }

    /// A duration, or nothing after a report.
    pub(crate) fn duration(&mut self, text: &str) -> Option<Duration> {
        match crds::duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(source) => {
                self.report(Problem::BadDuration { text: text.to_owned(), source });
                None
            }
        }
    }

    /// Reports a duration that is below `least` or has a fraction of a millisecond, as Istio's webhook does.
    pub(crate) fn duration_of_at_least(&mut self, text: &str, least: Duration) -> Option<Duration> {
        let duration = self.duration(text)?;
        if duration < least || duration.subsec_nanos() % 1_000_000 != 0 {
            self.report(Problem::DurationTooShort { text: text.to_owned(), least });
        }
        Some(duration)
    }
}

/// What users call the field at a path: its name, or its key in a map.
pub(crate) fn last_name(path: &str) -> &str {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut open = None;
    for (index, byte) in path.bytes().enumerate() {
        match byte {
            b'[' => {
                open = if depth == 0 { Some(index) } else { open };
                depth += 1;
            }
            b']' => depth = depth.saturating_sub(1),
            b'.' if depth == 0 => (start, open) = (index + 1, None),
            _ => {}
        }
    }
    match open {
        Some(open) => {
            let key = path[open + 1..].trim_end_matches(']');
            if key.bytes().all(|byte| byte.is_ascii_digit()) { &path[start..open] } else { key }
        }
        None => &path[start..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_called_by_their_last_name() {
        for (path, name) in [
            ("spec", "spec"),
            ("spec.http[0].fault", "fault"),
            ("spec.tls[0]", "tls"),
            ("a.labels[security.istio.io/tlsMode]", "security.istio.io/tlsMode"),
        ] {
            assert_eq!(last_name(path), name, "{path}");
        }
    }
}
