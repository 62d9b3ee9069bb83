//! Against a real API server.

mod admission;
mod canary;
mod certificates;
mod charts;
mod crowd;
mod definitions;
mod discovery;
mod hostile;
mod leader;
mod neighbour;
mod plane;
mod progress;
mod replicas;
mod rights;
mod same;
mod source;
mod status;
mod tools;
mod uninstall;
mod webhook;
