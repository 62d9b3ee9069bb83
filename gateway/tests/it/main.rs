//! A gateway that follows a controller which does exactly what a test tells it to: right, wrong, or nothing at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod controller;
mod discovery;
mod mesh;
mod proxy;
mod resources;
