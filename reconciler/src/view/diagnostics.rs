//! Diagnostics as text with the line they are about, and as the JSON of `validate -json`.
//!
//! Knows the two forms. Refuses to read files: the caller brings their text.

use devnet_schema::diagnostic::{Diagnostic, Location, Tone};
use serde_json::{Value, json};

use super::style::Style;

/// One diagnostic with its source line and a caret, when `source` knows the file.
pub fn text(
    diagnostic: &Diagnostic,
    source: &dyn Fn(&str) -> Option<String>,
    style: Style,
) -> String {
    let text = diagnostic.at.as_ref().and_then(|at| source(&at.file));
    diagnostic.drawn(text.as_deref(), &|tone, text| match tone {
        Tone::Error => style.red(text),
        Tone::Warning => style.yellow(text),
        Tone::Message => style.bold(text),
    })
}

/// The document of `validate -json`. `source` is the text of the files that were read.
pub fn validate_document(
    diagnostics: &[Diagnostic],
    source: &dyn Fn(&str) -> Option<String>,
) -> Value {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    json!({
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": diagnostics.len() - errors,
        "diagnostics": diagnostics.iter().map(|it| json_with(it, source)).collect::<Vec<_>>(),
    })
}

/// One diagnostic in Terraform's shape, where no text is at hand: what it marks is taken to be on
/// one line.
pub fn json_form(diagnostic: &Diagnostic) -> Value {
    json_with(diagnostic, &|_| None)
}

fn json_with(diagnostic: &Diagnostic, source: &dyn Fn(&str) -> Option<String>) -> Value {
    let Diagnostic { severity, code, message, at, help, related } = diagnostic;
    let range = at.as_ref().map(|at| range(at, source(&at.file)));
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

/// Where, from its first to behind its last character; lines and columns from 1, bytes from 0.
fn range(at: &Location, text: Option<String>) -> Value {
    let (line, column) = match text {
        Some(text) => {
            let end = Location::of(&at.file, &text, at.end, at.end);
            (end.line, end.column)
        }
        None => (at.line, at.column + u32::try_from(at.end - at.start).unwrap_or(0)),
    };
    json!({
        "filename": &*at.file,
        "start": {"line": at.line, "column": at.column, "byte": at.start},
        "end": {"line": line, "column": column, "byte": at.end},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_has_the_shape_of_terraform() {
        let file = "cluster \"a\" {\n  é x\n}\n";
        let start = file.find('{').unwrap();
        let at = Location::of("c.kdl", file, start, file.rfind('}').unwrap() + 1);
        let found = Diagnostic::error("DN-E0203", Some(at.clone()), "no").help("write 1");
        let found = found.related(at, "here too");
        let other = Diagnostic::warning("DN-W0401", None, "hm");
        let document = validate_document(&[found.clone(), other], &|_| Some(file.to_owned()));
        let expected = json!({
            "format_version": "1.0", "valid": false, "error_count": 1, "warning_count": 1,
            "diagnostics": [
                {
                    "severity": "error", "code": "DN-E0203", "summary": "no", "detail": "write 1",
                    "range": {
                        "filename": "c.kdl",
                        "start": {"line": 1, "column": 13, "byte": 12},
                        "end": {"line": 3, "column": 2, "byte": 22},
                    },
                    "related": [{"at": "c.kdl:1:13", "summary": "here too"}],
                },
                {
                    "severity": "warning", "code": "DN-W0401", "summary": "hm", "detail": "",
                    "range": null, "related": [],
                },
            ],
        });
        assert_eq!(document, expected);
        assert_eq!(json_form(&found)["range"]["end"]["column"], 13 + 10);
        assert_eq!(text(&found, &|_| None, Style::PLAIN), found_text());
    }

    fn found_text() -> String {
        "c.kdl:1:13: Error DN-E0203: no\n  c.kdl:1:13: here too\n  help: write 1\n".to_owned()
    }
}
