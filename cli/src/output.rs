//! Answers for scripts: the same data as JSON or YAML.

use serde::Serialize;

use crate::args::cluster::Format;
use crate::terminal::Terminal;

/// Prints data in the format, or says that text is wanted.
pub(crate) fn print<T: Serialize>(data: &T, format: Format, terminal: &Terminal) -> anyhow::Result<bool> {
    match format {
        Format::Text => return Ok(false),
        Format::Json => terminal.print(&serde_json::to_string_pretty(data)?),
        Format::Yaml => terminal.print(serde_saphyr::to_string(data)?.trim_end()),
    }
    Ok(true)
}
