//! Bodies of the fuzz targets that need more than one crate (`tests/fuzz`); those of one crate are in its `fuzz` module.
//! Each panics where a promise does not hold. The tests below give them the committed corpora.

mod frames;
mod heads;
mod objects;
mod peers;

pub use objects::{format, yaml};
pub use peers::{hostile_client, hostile_origin};

/// A name, and what is done with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target here.
pub const TARGETS: &[Target] =
    &[("yaml", yaml), ("format", format), ("hostile_client", hostile_client), ("hostile_origin", hostile_origin)];

#[cfg(test)]
mod tests {
    use super::TARGETS;

    #[test]
    fn corpora_keep_every_promise() {
        for (name, run) in TARGETS {
            let directory = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
            let inputs: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
            assert!(!inputs.is_empty(), "{name} has no corpus");
            inputs.iter().for_each(|input| run(input));
        }
    }
}
