//! Against a real API server.

mod admission;
mod definitions;
mod discovery;
mod plane;
mod source;
