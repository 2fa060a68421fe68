//! `devnet ui`: how to get into the web UI from here.
//!
//! Knows the address and asks for a code. Refuses to start a browser, which may be on another
//! machine, and to put a key into an address: a code is good once and for two minutes.

use serde_json::json;

use super::{
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::session::{About, NewLoginCode},
    config::Environment,
};

/// `devnet ui`.
pub(super) fn run(
    args: &arguments::Output,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let about: About = client.get("/api/v1/about", "asking about the control plane")?;
    let path = "/api/v1/session/codes";
    let made: NewLoginCode = client.post(path, &json!({}), "asking for a login code")?;
    let (addr, code) = (client.addr().trim_end_matches('/'), made.code.expose());
    // After `#`, so that no request and no log has it.
    let link = format!("{addr}/login#code={code}");
    if args.json {
        let document = json!({
            "address": addr, "code": code, "link": link, "expires_at": made.expires_at,
        });
        terminal.out(&format!("{document}\n"));
        return Ok(0);
    }
    let cluster = about.cluster.map_or_else(String::new, |name| format!(" of cluster {name}"));
    terminal.note(&format!(
        "The web UI{cluster}. The link logs one browser in, once, within two minutes:\n\n"
    ));
    terminal.out(&format!("{link}\n"));
    terminal.note(&format!("\nOr open {addr} and type the code {code}\n"));
    Ok(0)
}
