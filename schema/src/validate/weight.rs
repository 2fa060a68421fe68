//! Whether what a service takes along can be sent to an agent.
//!
//! Knows what is certain before anything is rendered: files and environment as they are. Refuses to
//! guess what templates become; the planner measures what would really be sent.

use crate::{
    desired::{Form, Service},
    diagnostic::{Diagnostic, Located, Location},
    quantity::Bytes,
    template::is_template,
    wire::{MAX_SPEC, size},
};

/// What is wrong with a unit that has `bytes`; `largest` is what takes most of it, and how much.
#[must_use]
pub fn too_large(
    code: &str,
    at: Option<Location>,
    what: &str,
    bytes: usize,
    largest: Option<(&str, usize)>,
) -> Diagnostic {
    let message = format!(
        "{what} has {bytes} bytes as they are sent to an agent, files and environment included; \
         {MAX_SPEC} are allowed"
    );
    let largest = largest.map_or(String::new(), |(name, bytes)| {
        format!(
            " (the largest is `{}`: {})",
            name.escape_debug(),
            Bytes((bytes as u64 >> 10) << 10)
        )
    });
    let help = format!("put large files into the image or a volume{largest}");
    Diagnostic::error(code, at, message).help(help)
}

/// The finding about a service that cannot be sent, if it is one.
pub(super) fn finding(service: &Service) -> Option<Diagnostic> {
    let files = service.files.iter().map(|(path, file)| {
        (path, &file.value.text, { file.value.template && is_template(&file.value.text) })
    });
    let env = service.env.iter().map(|(name, it)| (name, &it.value, is_template(&it.value)));
    let parts = files.chain(env).filter(|(_, _, template)| !template);
    let parts: Vec<(&str, usize)> =
        parts.map(|(name, text, _)| (name.as_str(), size(text))).collect();
    let bytes = parts.iter().map(|(_, bytes)| bytes).sum::<usize>() + words(service);
    if bytes <= MAX_SPEC {
        return None;
    }
    let largest = parts.iter().max_by_key(|(_, bytes)| *bytes).copied();
    let what = format!("service `{}`", service.name);
    Some(too_large("DN-E0345", Some(service.at.clone()), &what, bytes, largest))
}

/// What the command and the labels take.
fn words(service: &Service) -> usize {
    let certain = |text: &Located<String>| match is_template(&text.value) {
        true => 0,
        false => size(&text.value),
    };
    match &service.form {
        Form::Image { command, .. } => command.iter().flatten().map(certain).sum(),
        Form::Process { argv } => argv.iter().map(certain).sum(),
        Form::Compose { container, .. } => {
            let words = container.entrypoint.iter().chain(&container.command).flatten();
            words.chain(container.labels.values()).map(certain).sum()
        }
        Form::Component { .. } | Form::Kubernetes(_) => 0,
    }
}
