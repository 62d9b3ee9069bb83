//! Tables for people: columns as wide as they need to be. What comes from outside cannot drive the terminal.

use crate::terminal::{Paint, printable};

/// Between two columns.
const GAP: &str = "   ";

/// Rows below a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; empty cells are shown as `-`.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let cell = |text: String| if text.is_empty() { "-".to_owned() } else { printable(&text) };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The last column is not filled up, so that no line ends in blanks.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .head
            .iter()
            .enumerate()
            .map(|(column, head)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or(0).max(width(head))
            })
            .collect();
        let line = |cells: &[String]| {
            let last = cells.len().saturating_sub(1);
            let filled = cells.iter().zip(&widths).enumerate().map(|(column, (cell, widest))| {
                let missing = if column == last { 0 } else { widest.saturating_sub(width(cell)) };
                format!("{cell}{}", " ".repeat(missing))
            });
            filled.collect::<Vec<_>>().join(GAP)
        };
        let head: Vec<String> = self.head.iter().map(ToString::to_string).collect();
        let mut lines = vec![paint.bold(&line(&head))];
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "PORT"]);
        table.row(vec!["a\x1b[2J".to_owned(), "80".to_owned()]);
        table.row(vec!["longest".to_owned(), String::new()]);
        assert_eq!(table.render(Paint::new(false)), "NAME      PORT\na\u{fffd}[2J     80\nlongest   -");
    }
}
