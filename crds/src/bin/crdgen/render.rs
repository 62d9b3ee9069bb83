//! Definitions as the text of files. Shared with the test that says whether the files are current.

use std::error::Error;

/// Name and text of every file.
pub(crate) fn files() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut files = Vec::new();
    for definition in crds::schema::definitions()? {
        let name = format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural);
        let body = serde_saphyr::to_string(&definition)?;
        files.push((name, format!("# Made from crds/ by `make crds`; not to be edited.\n{body}")));
    }
    Ok(files)
}
