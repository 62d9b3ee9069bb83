//! A problem as people see it: what, where, the line with the place marked, and the object it is about.

use controller::{Diagnostic, Excerpt, Severity};

use crate::terminal::{Paint, printable};

pub(crate) fn render(problem: &Diagnostic, paint: Paint) -> String {
    let Diagnostic { severity, file, line, column, object, field, reason, message, excerpt } = problem;
    let coloured = |text: &str| match severity {
        Severity::Error => paint.red(text),
        Severity::Warning => paint.yellow(text),
        Severity::Note => paint.cyan(text),
    };
    let margin = " ".repeat(line.to_string().len());
    let mut lines =
        vec![format!("{}: {}", coloured(&format!("{severity}[{reason}]")), paint.bold(&printable(message)))];
    if let Some(file) = file {
        let place = if *line > 0 { format!(":{line}:{column}") } else { String::new() };
        lines.push(format!("{margin}{} {}{place}", paint.dim("-->"), printable(&file.display().to_string())));
    }
    if let Some(Excerpt { text, start, length }) = excerpt {
        let bar = paint.dim("|");
        lines.push(format!("{margin} {bar}"));
        lines.push(format!("{} {bar} {}", paint.dim(&line.to_string()), printable(text)));
        lines.push(format!("{margin} {bar} {}{}", " ".repeat(*start), coloured(&"^".repeat(*length))));
    }
    if let Some(object) = object {
        let field = if field.is_empty() { String::new() } else { format!(": {field}") };
        lines.push(format!("{margin} {} {}", paint.dim("="), printable(&format!("{object}{field}"))));
    }
    lines.join("\n")
}

/// `2 errors, 1 warning`
pub(crate) fn counted(errors: usize, warnings: usize) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (0, _) => plural(warnings, "warning"),
        (_, 0) => plural(errors, "error"),
        (_, _) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}
