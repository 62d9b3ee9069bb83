//! What benches share: objects as a shop with many services would write them, a control plane without files, and a
//! whole edge in this process. Measures nothing by itself.

pub mod client;
pub mod control;
pub mod served;
pub mod shop;
pub mod stages;

/// What the binaries allocate with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
