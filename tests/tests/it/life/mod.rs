mod access_log;
mod drain;
mod edits;
mod hot_swap;
mod listeners;
mod metrics;
mod ready;
