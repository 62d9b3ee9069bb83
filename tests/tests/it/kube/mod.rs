//! Against a real API server.

mod admission;
mod canary;
mod definitions;
mod discovery;
mod plane;
mod source;
mod crowd;
mod rights;
mod same;
mod tools;
