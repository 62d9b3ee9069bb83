mod explain;
mod incremental;
