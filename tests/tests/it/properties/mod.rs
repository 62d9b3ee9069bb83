mod bytes;
mod explain;
mod incremental;
