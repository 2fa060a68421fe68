//! Why a command failed, for the person who typed it.
//!
//! Knows the error, what to do next, and the exit code. Refuses to print.

/// An error that ends a command.
#[derive(Debug)]
pub(super) struct CommandError {
    /// What failed.
    pub error: anyhow::Error,
    /// What to do next, a line each.
    pub hints: Vec<String>,
    /// Whether the control plane answered, and refused.
    refused: bool,
    /// The exit code; 1 unless the command's table says otherwise (docs/cli.md).
    code: u8,
}

impl CommandError {
    /// Bad arguments.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { error: anyhow::anyhow!(message.into()), hints: Vec::new(), refused: false, code: 1 }
    }

    /// The same with advice.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub(super) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same, as the control plane's refusal: it would refuse again.
    #[must_use]
    pub(super) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Whether the control plane answered, and refused.
    pub(super) fn is_refusal(&self) -> bool {
        self.refused
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        self.code
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hints: Vec::new(), refused: false, code: 1 }
    }
}
