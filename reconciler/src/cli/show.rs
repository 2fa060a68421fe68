//! `devnet show`: a saved plan, printed; and the file that holds one.
//!
//! Knows the file's form. Refuses to apply it.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, bail};
use devnet_schema::{
    digest::Digest,
    plan::{FORMAT_VERSION, Plan},
};
use serde::{Deserialize, Serialize};

use super::{arguments, failure::CommandError, terminal::Terminal};
use crate::view::{plan_document, plan_text};

/// Tells a plan file from any other.
const KIND: &str = "devnet-plan";

/// The largest plan file that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The first line of a plan file. The plan is the rest, and `digest` is of its bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    kind: String,
    format_version: String,
    digest: Digest,
}

/// Writes `plan` to `path`, readable by its owner only: it shows how the cluster is built. It holds
/// no secret: plans refer to them by name and version.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn save(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    let act = || format!("writing the plan to {}", path.display());
    let body = serde_json::to_vec(plan).with_context(act)?;
    let header = Header {
        kind: KIND.to_owned(),
        format_version: FORMAT_VERSION.to_owned(),
        digest: Digest::of_bytes(&body),
    };
    let mut text = serde_json::to_vec(&header).with_context(act)?;
    text.push(b'\n');
    text.extend(body);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(act)?;
    file.write_all(&text).with_context(act)
}

/// Reads a plan file.
///
/// # Errors
/// When it is no plan file, of another version, or was changed after it was written.
pub(super) fn read(path: &Path) -> anyhow::Result<Plan> {
    let act = || format!("reading the plan {}", path.display());
    if fs::metadata(path).with_context(act)?.len() > MAX_BYTES {
        bail!("{} is too large to be a plan", path.display());
    }
    let text = fs::read(path).with_context(act)?;
    let split = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (first, body) = (&text[..split], text.get(split + 1..).unwrap_or_default());
    let header: Option<Header> = serde_json::from_slice(first).ok();
    let Some(header) = header.filter(|header| header.kind == KIND) else {
        bail!("{} is no plan file (`devnet plan -out=FILE` writes one)", path.display());
    };
    if header.format_version != FORMAT_VERSION {
        bail!("{} was written by another version of devnet: plan again", path.display());
    }
    if Digest::of_bytes(body) != header.digest {
        bail!("{} was changed or cut short after it was written: plan again", path.display());
    }
    serde_json::from_slice(body).with_context(act)
}

/// `devnet show PLANFILE`.
pub(super) fn run(args: &arguments::Show, terminal: &Terminal) -> Result<u8, CommandError> {
    let plan = read(&args.plan)?;
    if args.json {
        terminal.out(&format!("{}\n", plan_document::document(&plan)));
    } else {
        terminal.diagnostics(&plan.diagnostics, &|_| None);
        terminal.out(&plan_text::plan(&plan, terminal.style));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.devplan");
        for (text, says) in [
            ("", "no plan file"),
            ("hello\n{}", "no plan file"),
            (r#"{"kind":"devnet-plan","format_version":"9","digest":"x"}"#, "another version"),
            (r#"{"kind":"devnet-plan","format_version":"1.0","digest":"x"}"#, "changed or cut"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
