//! One condition of a rule: a field, what is asked of it, and whether the answer is turned around.

use std::fmt;

use crate::failure::Failure;
use crate::field::Field;
use crate::text::Text;
use crate::view::RequestView;

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) field: Field,
    pub(crate) test: Test,
    pub(crate) invert: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Present,
    Value(Text),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.expected())
    }
}

impl Condition {
    pub(crate) fn holds(&self, request: &impl RequestView) -> bool {
        match &self.test {
            Test::Present => self.field.is_present(request) != self.invert,
            Test::Value(text) if self.invert => {
                let mut absent = true;
                let excluded = self.field.any(request, &mut |value| {
                    absent = false;
                    text.is_match(value)
                });
                // A missing field counts as the empty value (docs/semantics.md §3.3, withoutHeaders).
                !(excluded || (absent && text.is_match(b"")))
            }
            Test::Value(text) => self.field.any(request, &mut |value| text.is_match(value)),
        }
    }

    /// The text that some value of the field must fit for the condition to hold, if there is one.
    pub(crate) fn required(&self) -> Option<&Text> {
        match &self.test {
            Test::Value(text) if !self.invert => Some(text),
            Test::Value(_) | Test::Present => None,
        }
    }

    /// Says why the condition does not hold.
    pub(crate) fn failure(&self, request: &impl RequestView) -> Failure {
        let mut found = Vec::new();
        self.field.any(request, &mut |value| {
            found.push(String::from_utf8_lossy(value).into_owned());
            false
        });
        Failure { field: self.field.clone(), expected: self.expected(), found }
    }

    fn expected(&self) -> String {
        match (&self.test, self.invert) {
            (Test::Present, false) => "to be present".to_owned(),
            (Test::Present, true) => "to be absent".to_owned(),
            (Test::Value(text), false) => text.to_string(),
            (Test::Value(text), true) => format!("anything but {text}"),
        }
    }
}
