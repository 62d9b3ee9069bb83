//! Which names in a directory are objects' files, and which are droppings of editors and mounts.

use std::ffi::OsStr;

/// Whether a directory entry is looked at at all. Hidden ones are not: editors keep their swap files there, git its
/// repository, and a mounted ConfigMap the directories behind its links (`..data`, `..2026_01_02…`), which would
/// otherwise be read twice.
pub(super) fn is_visible(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !(bytes.starts_with(b".") || bytes.starts_with(b"#") || bytes.ends_with(b"~") || bytes == b"4913")
}

/// Whether a file of a directory holds objects.
pub(super) fn is_object_file(name: &OsStr) -> bool {
    let extension = std::path::Path::new(name).extension();
    is_visible(name)
        && extension.is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

/// Whether a change of this entry can change what visible links lead to.
pub(super) fn is_mount_link(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn droppings_are_not_objects() {
        for name in ["a.yaml", "b.yml", "c.json", "d.e.yaml"] {
            assert!(is_object_file(OsStr::new(name)), "{name}");
        }
        for name in [
            "a.yaml~",
            ".a.yaml.swp",
            ".#a.yaml",
            "#a.yaml#",
            "4913",
            "..data",
            ".a.yaml",
            "a.txt",
            "yaml",
            "a.yaml.tmp",
            "a.yaml___jb_tmp___",
        ] {
            assert!(!is_object_file(OsStr::new(name)), "{name}");
        }
        assert!(is_mount_link(OsStr::new("..data")) && !is_mount_link(OsStr::new(".git")));
    }
}
