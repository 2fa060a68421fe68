//! `devnet logs`: what instances print.
//!
//! Knows lines, remarks about lines, and ends. Refuses to pass over an end that is none of its own:
//! a log that was cut off is an error.

use std::collections::BTreeSet;

use devnet_schema::{
    name::InstanceId,
    wire::{LogEnd, LogEndReason, REMARK},
};

use super::{
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{LogEntry, ServiceRow},
    config::Environment,
    view::style::printable,
};

/// `devnet logs SERVICE|INSTANCE`.
pub(super) fn logs(
    args: &arguments::Logs,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let subject = subject(&args.subject, &client)?;
    let mut printer = Printer::new(args.timestamps, subject.instances.len() > 1);
    // Followed lines come as they are written; old ones read better by instance.
    let paths = match &subject.service {
        Some(service) if args.follow && subject.instances.len() > 1 => {
            vec![format!("/api/v1/services/{service}/logs")]
        }
        _ => {
            let path =
                |instance: &InstanceId| format!("/api/v1/instances/{}/logs", instance.slug());
            subject.instances.iter().map(path).collect()
        }
    };
    for path in paths {
        let path = format!("{path}?tail={}&follow={}", args.tail, args.follow);
        let mut listening = true;
        let act = "reading the log";
        client.stream_in_groups(
            &path,
            act,
            || (),
            |entry: Option<LogEntry>| {
                match entry {
                    Some(entry) => printer.take(entry),
                    None => listening = printer.print(terminal),
                }
                listening
            },
        )?;
        if !listening {
            return Ok(0);
        }
    }
    printer.finish();
    printer.print(terminal);
    if let Some(instance) = subject.instances.difference(&printer.ended).next() {
        return Err(CommandError::from(anyhow::anyhow!(
            "the log of {instance} was cut off: the connection ended"
        ))
        .hint("Is the control plane still running? What was printed so far is right."));
    }
    Ok(printer.code)
}

/// What is read.
struct Subject {
    service: Option<String>,
    instances: BTreeSet<InstanceId>,
}

/// What a word names: one instance, or all of a service.
fn subject(word: &str, client: &Client) -> Result<Subject, CommandError> {
    if word.ends_with(']') {
        let id = word.parse().map_err(|error: devnet_schema::name::InstanceIdError| {
            CommandError::usage(error.to_string())
        })?;
        return Ok(Subject { service: None, instances: BTreeSet::from([id]) });
    }
    let name = word.strip_prefix("service.").unwrap_or(word);
    let services: Vec<ServiceRow> = client.list("/api/v1/services", "listing services")?;
    let known = || {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let service =
        services.iter().find(|service| service.name.as_str() == name).ok_or_else(|| {
            CommandError::usage(format!("there is no service `{}`", printable(name)))
                .hint(format!("Services: {}", known()))
        })?;
    // What nobody ordered speaks for no service, and its log is not read.
    let ordered = service.instances.iter().filter(|row| !row.stranger);
    let instances: BTreeSet<InstanceId> = ordered.map(|row| row.id.clone()).collect();
    if instances.is_empty() {
        return Err(CommandError::usage(format!("service {name} has no instance")));
    }
    Ok(Subject { service: Some(service.name.to_string()), instances })
}

/// Makes text of entries.
struct Printer {
    timestamps: bool,
    prefixed: bool,
    /// For standard output, not printed yet.
    text: String,
    /// For standard error, not printed yet; it follows the text.
    notes: String,
    /// Whose line is not finished.
    open: Option<(InstanceId, String)>,
    ended: BTreeSet<InstanceId>,
    code: u8,
}

impl Printer {
    fn new(timestamps: bool, prefixed: bool) -> Self {
        Self {
            timestamps,
            prefixed,
            text: String::new(),
            notes: String::new(),
            open: None,
            ended: BTreeSet::new(),
            code: 0,
        }
    }

    fn take(&mut self, entry: LogEntry) {
        let LogEntry { instance, end, at, stream, text, continued } = entry;
        if let Some(end) = end {
            self.end(instance, &end);
            return;
        }
        if stream == REMARK {
            self.finish();
            self.notes.push_str(&format!("-- {instance}: {}\n", printable(&text)));
            return;
        }
        let here = (instance, stream);
        if self.open.as_ref() != Some(&here) {
            self.finish();
            if self.prefixed {
                self.text.push_str(&format!("{} | ", here.0));
            }
            if self.timestamps {
                // It is the node's word, as the text is.
                self.text.push_str(&printable(&at));
                self.text.push(' ');
            }
        }
        self.text.push_str(&printable(&text));
        if continued {
            self.open = Some(here);
        } else {
            self.open = None;
            self.text.push('\n');
        }
    }

    /// Ends a line that goes on somewhere behind another's.
    fn finish(&mut self) {
        if self.open.take().is_some() {
            self.text.push('\n');
        }
    }

    fn end(&mut self, instance: InstanceId, end: &LogEnd) {
        let LogEnd { reason, message } = end;
        let (code, words) = match reason {
            LogEndReason::Complete => (0, ""),
            LogEndReason::Gone => (0, "it is not on its node any more"),
            LogEndReason::Disconnected => (1, "its node is away"),
            LogEndReason::NodeRemoved => (1, "its node was removed from the cluster"),
            LogEndReason::Failed => (1, "it cannot be read"),
            LogEndReason::Busy => (1, "too many logs are being read"),
            LogEndReason::Stopping => (1, "the control plane is stopping"),
            LogEndReason::Unknown => (1, "the control plane gives a reason that is not known here"),
        };
        self.code = self.code.max(code);
        if *reason != LogEndReason::Complete {
            self.finish();
            let words = if message.is_empty() { words.to_owned() } else { printable(message) };
            self.notes.push_str(&format!("-- {instance}: the log ends: {words}\n"));
        }
        self.ended.insert(instance);
    }

    /// Prints what there is; whether somebody still reads it.
    fn print(&mut self, terminal: &Terminal) -> bool {
        let listening = terminal.try_out(&std::mem::take(&mut self.text)).is_ok();
        let notes = std::mem::take(&mut self.notes);
        if !notes.is_empty() {
            terminal.note(&notes);
        }
        listening
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(prefixed: bool, lines: &[&str]) -> Printer {
        let mut printer = Printer::new(false, prefixed);
        for line in lines {
            printer.take(serde_json::from_str(line).unwrap());
        }
        printer.finish();
        printer
    }

    #[test]
    fn parts_of_a_line_are_joined_and_remarks_and_ends_are_no_lines() {
        let lines = [
            r#"{"instance":"web[0]","at":"","stream":"stdout","text":"a","continued":true}"#,
            r#"{"instance":"web[0]","at":"","stream":"stdout","text":"b"}"#,
            r#"{"instance":"web[0]","at":"","stream":"devnet","text":"2 lines are gone"}"#,
            r#"{"instance":"web[0]","at":"","stream":"stdout","text":"c","continued":true}"#,
            r#"{"instance":"web[1]","at":"","stream":"stdout","text":"d"}"#,
            r#"{"instance":"web[1]","end":{"reason":"complete","message":""}}"#,
            r#"{"instance":"web[0]","end":{"reason":"gone","message":""}}"#,
        ];
        let printer = printed(true, &lines);
        assert_eq!(printer.text, "web[0] | ab\nweb[0] | c\nweb[1] | d\n");
        let ends = "-- web[0]: the log ends: it is not on its node any more\n";
        assert_eq!(printer.notes, format!("-- web[0]: 2 lines are gone\n{ends}"));
        assert_eq!((printer.code, printer.ended.len()), (0, 2));
    }

    #[test]
    fn what_ends_too_early_is_told_in_the_exit_code() {
        let why = "node n1 was away for more than 60 s";
        let end =
            format!(r#"{{"instance":"a[0]","end":{{"reason":"disconnected","message":"{why}"}}}}"#);
        let newer = r#"{"instance":"a[0]","end":{"reason":"eclipse","message":""}}"#;
        let printer = printed(false, &[&end, newer]);
        assert!(printer.notes.contains(why) && printer.notes.contains("not known"));
        assert_eq!(printer.code, 1);
    }
}
