//! Against a real API server.

mod admission;
mod canary;
mod certificates;
mod crowd;
mod definitions;
mod discovery;
mod leader;
mod plane;
mod rights;
mod same;
mod source;
mod tools;
mod progress;
mod status;
mod webhook;
