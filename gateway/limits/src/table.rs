//! Bounds as a table of a page.

use crate::Limit;

/// The rows as Markdown, with a head.
#[must_use]
pub fn markdown(rows: &[Limit]) -> String {
    let mut text = String::from("| limit | bounds | default | from – to | beyond it |\n|---|---|---|---|---|\n");
    for row in rows {
        let Limit { name: _, what, beyond, unit, default: _, least, most } = row;
        text.push_str(&format!(
            "| `{}` | {} | {} | {} – {} | {beyond} |\n",
            row.shown_name(),
            what.trim().trim_end_matches('.'),
            row.shown_default(),
            unit.show(*least),
            unit.show(*most)
        ));
    }
    text
}
