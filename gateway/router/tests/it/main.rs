//! Which rule wins, as tables, and that the index never changes the answer, as properties.

mod properties;
mod request;
mod table;
