//! Counts the steps of translation and validation, so that a test can tell how work grows with the size of an object
//! without looking at a clock. A step is one turn of a loop over what users wrote.

use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts one turn of a loop.
pub(crate) fn count() {
    add(1);
}

/// Counts the turns of a loop at once.
pub(crate) fn add(turns: usize) {
    TAKEN.set(TAKEN.get().wrapping_add(turns as u64));
}

/// How many steps this thread has taken.
#[must_use]
pub fn taken() -> u64 {
    TAKEN.get()
}
