//! What the matcher must be able to ask of a request. Knows no HTTP library.

/// A request head, already checked and normalised. Every byte string is as received, case included, unless said
/// otherwise.
pub trait RequestView {
    fn method(&self) -> &[u8];

    fn scheme(&self) -> &[u8];

    /// As sent, port included; empty if there is none.
    fn authority(&self) -> &[u8];

    /// The normalised path without query.
    fn path(&self) -> &[u8];

    /// The normalised path with `?` and query, for conditions on the pseudo header field `:path`.
    fn path_and_query(&self) -> &[u8];

    /// What follows the first `?`; `None` without one.
    fn query(&self) -> Option<&[u8]>;

    /// Calls `f` with each line of the field of that lower-case name, in order, until it returns true; returns whether
    /// one did. The pseudo header fields are never asked for here.
    fn any_header(&self, name: &str, f: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Whether there is a line of that name.
    fn has_header(&self, name: &str) -> bool {
        self.any_header(name, &mut |_| true)
    }
}
