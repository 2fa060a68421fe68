//! Documents drawn for people and programs: text, JSON lines, Terraform's plan JSON, Markdown.
//!
//! Knows how a document looks. Refuses all input and output: every function returns text.

pub mod age;
pub mod diagnostics;
pub mod explanation;
pub mod json_lines;
pub mod levels;
pub mod list_text;
pub mod markdown;
pub mod plan_document;
pub mod plan_text;
pub mod progress;
pub mod search;
pub mod status_text;
pub mod style;
