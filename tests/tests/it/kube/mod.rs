//! Against a real API server.

mod discovery;
mod plane;
