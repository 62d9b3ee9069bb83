//! Against a real API server.

mod admission;
mod canary;
mod definitions;
mod discovery;
mod plane;
mod source;
