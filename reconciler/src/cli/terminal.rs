//! The terminal: what goes to which stream, and how a question is asked.
//!
//! Knows streams and colours. Refuses to know what is printed.

use std::io::{self, BufRead, IsTerminal, Write};

use devnet_schema::diagnostic::Diagnostic;

use super::failure::CommandError;
use crate::{
    config::Environment,
    view::{
        diagnostics,
        style::{Style, printable},
    },
};

/// The two output streams and the input.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    /// For standard output.
    pub style: Style,
    /// For standard error.
    err_style: Style,
    may_ask: bool,
}

impl Terminal {
    /// Colours where a stream is a terminal and nobody forbade them.
    pub(super) fn new(env: &Environment, no_colour: bool) -> Self {
        let allowed = !no_colour && !env.forbids_colour();
        Self {
            style: Style { colour: allowed && io::stdout().is_terminal() },
            err_style: Style { colour: allowed && io::stderr().is_terminal() },
            may_ask: !env.forbids_input() && io::stdin().is_terminal(),
        }
    }

    /// Data. A closed pipe (`devnet plan | head`) ends the output, not the command.
    pub(super) fn out(&self, text: &str) {
        let _ = self.try_out(text);
    }

    /// Data of a command that only makes sense while somebody reads it.
    ///
    /// # Errors
    /// When nobody does.
    pub(super) fn try_out(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    }

    /// Progress and findings.
    pub(super) fn note(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// How standard error is coloured.
    pub(super) fn note_style(&self) -> Style {
        self.err_style
    }

    /// Findings, with the lines they are about.
    pub(super) fn diagnostics(
        &self,
        found: &[Diagnostic],
        source: &dyn Fn(&str) -> Option<String>,
    ) {
        for diagnostic in found {
            self.note(&diagnostics::text(diagnostic, source, self.err_style));
            self.note("\n");
        }
    }

    /// Why the command ends.
    pub(super) fn error(&self, failure: &CommandError) {
        let head = self.err_style.red("Error:");
        self.note(&format!("{head} {}\n", printable(&format!("{:#}", failure.error))));
        for hint in &failure.hints {
            self.note(&format!("  {}\n", printable(hint)));
        }
    }

    /// Whether what is printed is seen, and goes into no file and no other program.
    pub(super) fn shows_output(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether somebody is there to answer.
    pub(super) fn may_ask(&self) -> bool {
        self.may_ask
    }

    /// Asks, and says whether the answer was `yes` and nothing else.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub(super) fn confirm(&self, question: &str) -> io::Result<bool> {
        self.note(&format!(
            "\n{}\n  Only 'yes' will be accepted to approve.\n\n  Enter a value: ",
            self.err_style.bold(question)
        ));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }
}
