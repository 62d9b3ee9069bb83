//! Against a real API server.

mod plane;
