//! Diagnostics as text with the line they are about, and as the JSON of `validate -json`.
//!
//! Knows the two forms. Refuses to read files: the caller brings their text.

use devnet_schema::diagnostic::{Diagnostic, Location, Severity};
use serde_json::{Value, json};

use super::style::{Style, printable};

/// One diagnostic with its source line and a caret, when `source` knows the file.
pub fn text(
    diagnostic: &Diagnostic,
    source: &dyn Fn(&str) -> Option<String>,
    style: Style,
) -> String {
    let Diagnostic { severity, code, message, at, help, related } = diagnostic;
    let word = match severity {
        Severity::Error => style.red("Error"),
        Severity::Warning => style.yellow("Warning"),
    };
    let mut out = String::new();
    if let Some(at) = at {
        out.push_str(&format!("{at}: "));
    }
    out.push_str(&format!("{word} {code}: {}\n", style.bold(&printable(message))));
    if let Some(snippet) = at.as_ref().and_then(|at| snippet(at, &source(&at.file)?)) {
        out.push_str(&snippet);
    }
    for (at, why) in related {
        out.push_str(&format!("  {at}: {}\n", printable(why)));
    }
    if let Some(help) = help {
        out.push_str(&format!("  help: {}\n", printable(help)));
    }
    out
}

/// The line of `at` in `text` and a caret line under it.
fn snippet(at: &Location, text: &str) -> Option<String> {
    let line = text.lines().nth(at.line.checked_sub(1)? as usize)?;
    let margin = " ".repeat(at.line.to_string().len());
    let indent: String = line
        .chars()
        .take(at.column.saturating_sub(1) as usize)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let rest = line.chars().count().saturating_sub(indent.chars().count());
    let width = text
        .get(at.start..at.end)
        .map_or(1, |span| span.lines().next().map_or(1, |first| first.chars().count()));
    let carets = "^".repeat(width.clamp(1, rest.max(1)));
    Some(format!("  {} | {}\n  {margin} | {indent}{carets}\n", at.line, printable(line)))
}

/// The document of `validate -json`.
pub fn validate_document(diagnostics: &[Diagnostic]) -> Value {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    json!({
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": diagnostics.len() - errors,
        "diagnostics": diagnostics.iter().map(json_form).collect::<Vec<_>>(),
    })
}

/// One diagnostic in Terraform's shape.
pub fn json_form(diagnostic: &Diagnostic) -> Value {
    let Diagnostic { severity, code, message, at, help, related } = diagnostic;
    let range = at.as_ref().map(|at| {
        json!({
            "filename": at.file,
            "start": {"line": at.line, "column": at.column, "byte": at.start},
            "end": {"line": at.line, "column": at.column, "byte": at.end},
        })
    });
    json!({
        "severity": severity,
        "code": code,
        "summary": message,
        "detail": help.as_deref().unwrap_or(""),
        "range": range,
        "related": related
            .iter()
            .map(|(at, why)| json!({"at": at.to_string(), "summary": why}))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_a_caret_are_shown() {
        let source = "cluster \"a\"\n  replicas x\n";
        let start = source.find('x').unwrap();
        let at = Location::of("c.kdl", source, start, start + 1);
        let found = Diagnostic::error("DN-E0203", Some(at), "`x` is no number").help("write 1");
        let drawn = text(&found, &|_| Some(source.to_owned()), Style::PLAIN);
        let expected = [
            "c.kdl:2:12: Error DN-E0203: `x` is no number",
            "  2 |   replicas x",
            "    |            ^",
            "  help: write 1",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), expected);
        assert_eq!(validate_document(&[found])["error_count"], 1);
    }
}
