//! `healthcheck`: what is run in the container to ask whether it serves.
//!
//! Knows the three ways to write the test. Refuses to run it.

use super::{model::Healthcheck, reader::Reader, unit};
use crate::{
    diagnostic::Located,
    file::tree::{Kind, Node},
};

const FIELDS: &str = "test, interval, timeout, retries, start_period, start_interval and disable";

/// Reads a health check; `None` when there is none to read.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Located<Healthcheck>> {
    let mut check = Healthcheck::default();
    let mut disabled = false;
    for field in reader.map(node, "`healthcheck`") {
        let value = &field.value;
        let mut duration = |what: &str| {
            let expected = "a duration like `5s`";
            let read = reader.parsed(value, what, expected, unit::period);
            // 0 means that nothing is written.
            read.map(|read| read.value).filter(|period| period.millis > 0)
        };
        match field.key.as_str() {
            "interval" => check.interval = duration("`interval`"),
            "timeout" => check.timeout = duration("`timeout`"),
            "start_period" => check.start_period = duration("`start_period`"),
            // How often it is tried while starting is the agent's choice.
            "start_interval" => drop(duration("`start_interval`")),
            "retries" => {
                let read = |text: &str| text.parse().ok();
                let read = reader.parsed(value, "`retries`", "a whole number", read);
                check.retries = read.map(|read| read.value).filter(|retries| *retries > 0);
            }
            "disable" => disabled = reader.boolean(value, "`disable`"),
            "test" => check.argv = test(reader, value)?,
            _ => reader.unknown(field, "`healthcheck`", FIELDS),
        }
    }
    let asked = check.interval.is_some() || check.timeout.is_some() || check.retries.is_some();
    if node.get("test").is_none() && !disabled && asked {
        let message = "this `healthcheck` has no `test`, and what the image has is not known here";
        let help = "write the `test`, or leave `healthcheck` out";
        reader.warning("DN-W0560", &node.span, message.to_owned(), help);
    }
    // Nothing of it is anything yet: the image's own check is not switched off.
    if node.get("test").is_none() && !disabled {
        return None;
    }
    if disabled {
        check.argv.clear();
    }
    Some(Located { value: check, at: reader.at(&node.span) })
}

/// The program and arguments that ask. They are shown wherever the unit is: no template may be in
/// them, because it may hold a secret.
fn test(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<String>> {
    let shell = |line: Located<String>| vec!["/bin/sh".to_owned(), "-c".to_owned(), line.value];
    if !matches!(node.kind, Kind::Seq(_)) {
        reader.literal(node, "`test`", "write it as a list: [\"CMD\", …]")?;
        reader.argument(node, "`test`")?;
        return reader.known(node, "`test`").map(shell);
    }
    let items = node.items();
    for item in items {
        reader.argument(item, "`test`")?;
    }
    match items.first().and_then(Node::text) {
        Some("NONE") => Some(Vec::new()),
        Some("CMD") if items.len() > 1 => {
            let rest = items[1..].iter();
            Some(rest.filter_map(|item| reader.known(item, "`test`")).map(|t| t.value).collect())
        }
        // What follows the line are its `$0`, `$1` and so on.
        Some("CMD-SHELL") if items.len() > 1 => {
            let instead = "write the program and its arguments after \"CMD\"";
            reader.literal(&items[1], "`test`", instead)?;
            let mut argv = shell(reader.known(&items[1], "`test`")?);
            for item in &items[2..] {
                argv.push(reader.known(item, "`test`")?.value);
            }
            Some(argv)
        }
        Some(text) if !matches!(text, "CMD" | "CMD-SHELL") => {
            let word = reader.known(&items[0], "`test`")?;
            let expected = "`CMD`, `CMD-SHELL` or `NONE`";
            reader.wrong_word(&word, "the first item of `test`", expected);
            None
        }
        _ => {
            let expected = "[\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]";
            reader.wrong(node, "`test`", expected);
            None
        }
    }
}
