//! `devnet node` and `devnet apikey`: who may join, and who may call.
//!
//! Knows the two lists. Refuses to store a token or key: it is printed once.

use devnet_schema::name::NodeName;
use serde::Deserialize;

use super::{
    arguments::{self, ApikeyCommand, Cli, NodeCommand},
    client::{self, Client},
    failure::CommandError,
    leaving,
    terminal::Terminal,
};
use crate::{
    api::{
        AGENT_CONNECTED, ApiKeyRequest, ApiKeyRow, JoinTokenRequest, NODE_IN_USE, NodeRow,
        detail::NewJoinCommand,
    },
    clock,
    config::Environment,
    view::{list_text, status_text, style::printable},
};

#[derive(Deserialize)]
struct Key {
    key: String,
}

/// `devnet node …`.
pub(super) fn node(
    args: &arguments::Node,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    match &args.command {
        NodeCommand::Token { ttl, node, replace } => {
            let request = JoinTokenRequest {
                ttl_seconds: ttl.millis / 1000,
                node: node.clone(),
                replace: *replace,
            };
            let answer: NewJoinCommand =
                client.post("/api/v1/nodes/tokens", &request, "making a join token")?;
            terminal.out(&format!("{}\n", answer.token.expose()));
            let command = match terminal.shows_output() {
                true => answer.command.expose().to_owned(),
                // Whoever takes the token elsewhere does not want it in a log as well.
                false => join_line(&answer.server, node.as_ref(), *replace),
            };
            terminal.note(&how_to_join(&answer.server, &command, &answer.expires_at.to_string()));
        }
        NodeCommand::List(output) => {
            let rows: Vec<NodeRow> = client.list("/api/v1/nodes", "listing nodes")?;
            if output.json {
                terminal.out(&format!("{}\n", serde_json::json!(rows)));
            } else {
                terminal.out(&list_text::plain_nodes(&rows, clock::now()).text());
            }
        }
        NodeCommand::Cordon { name } => {
            client.order(&format!("/api/v1/nodes/{name}/cordon"), "cordoning the node")?;
            terminal.out(&format!("{name} takes no new instances\n"));
        }
        NodeCommand::Drain { name, wait } => leaving::drain(name, *wait, &client, terminal)?,
        NodeCommand::Leave { name, timeout } => {
            leaving::drain(name, Some(*timeout), &client, terminal)?;
            remove(name, Approval::UnlessSomethingIsLeft, &client, terminal)?;
            terminal.out(&format!("{name} is removed\n"));
        }
        NodeCommand::Uncordon { name } => {
            client.order(&format!("/api/v1/nodes/{name}/uncordon"), "uncordoning the node")?;
            terminal.out(&format!("{name} takes new instances\n"));
        }
        NodeCommand::Adopt { name, instead } => {
            let how = if *instead { "?instead=true" } else { "" };
            let path = format!("/api/v1/nodes/{name}/adopt{how}");
            client.order(&path, "adopting what the node runs")?;
            terminal.out(&format!("what {name} runs is taken over; plan to see what follows\n"));
        }
        NodeCommand::Rm { name, auto_approve } => {
            let approval = if *auto_approve { Approval::Given } else { Approval::Asked };
            remove(name, approval, &client, terminal)?;
            terminal.out(&format!("{name} is removed\n"));
        }
    }
    Ok(0)
}

/// What to type on the node: the name and the permission that the token is bound to are said there,
/// too.
fn join_line(server: &str, node: Option<&NodeName>, replace: bool) -> String {
    let name = node.map(|node| format!(" --name {node}")).unwrap_or_default();
    let replace = if replace { " --replace" } else { "" };
    format!("devnet-agent join --server {server}{name}{replace} --token-file - && devnet-agent run")
}

/// What is said beside the token.
fn how_to_join(server: &str, command: &str, until: &str) -> String {
    let mut text = format!(
        "\nRun this on the new node, once, before {until} (the token comes on standard input):\n\n\
         \x20 {command}\n"
    );
    if is_loopback(server) {
        text.push_str(&format!(
            "\n{server} is reached from this machine only. For others, ask with an address that \
             they reach\n(--addr https://HOST:PORT), which `devnet serve --name HOST` puts into \
             its certificate.\n"
        ));
    }
    text
}

/// Whether only this machine reaches an address.
fn is_loopback(server: &str) -> bool {
    let host = server.trim_start_matches("https://");
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// Revokes a key. Where there is none of that id, a name is told which ids it has.
fn revoke(id: &str, client: &Client, terminal: &Terminal) -> Result<(), CommandError> {
    let rows: Vec<ApiKeyRow> = client.list("/api/v1/apikeys", "listing API keys")?;
    if let Some(failure) = named(id, &rows) {
        return Err(failure);
    }
    client.delete(&format!("/api/v1/apikeys/{id}"), "revoking the API key")?;
    terminal.out(&format!("{id} is revoked\n"));
    Ok(())
}

/// Why a word names no key but is the name of some.
fn named(word: &str, rows: &[ApiKeyRow]) -> Option<CommandError> {
    if rows.iter().any(|row| row.id == word) {
        return None;
    }
    let called = rows.iter().filter(|row| row.name == word);
    let ids: Vec<&str> = called.map(|row| row.id.as_str()).collect();
    (!ids.is_empty()).then(|| {
        let keys = if ids.len() == 1 { "a key" } else { "keys" };
        CommandError::usage(format!("`{}` is the name of {keys}, and no id", printable(word)))
            .hint(format!("Revoke by the id: devnet apikey rm {}", ids.join(", or ")))
    })
}

/// Whether a node may be taken out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    /// Whatever is left on it.
    Given,
    /// Where nothing is left but its agent, which is connected.
    UnlessSomethingIsLeft,
    /// Where nothing is left; else somebody is asked.
    Asked,
}

/// Takes a node out. Where something is left on it, a person is told what, and asked.
fn remove(
    name: &NodeName,
    approval: Approval,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let (path, act) = (format!("/api/v1/nodes/{name}"), "removing the node");
    let forced = format!("{path}?force=true");
    if approval == Approval::Given {
        return client.delete(&forced, act);
    }
    let problem = match client.refusal_to_delete(&path, act)? {
        None => return Ok(()),
        Some(problem) if problem.kind == NODE_IN_USE => problem,
        Some(problem) => return Err(client::told(problem)),
    };
    let left = problem.detail.as_deref().unwrap_or_default();
    let alone = left.lines().all(|line| line.starts_with(AGENT_CONNECTED));
    if approval == Approval::UnlessSomethingIsLeft && alone {
        return client.delete(&forced, act);
    }
    if !terminal.may_ask() {
        let failure = CommandError::usage(format!("{name} is in use, and nobody is here to ask"));
        let failure = left.lines().fold(failure, CommandError::hint);
        return Err(failure.hint(
            "Pass -auto-approve to remove it all the same; `devnet whatif --drain` shows where \
             what runs there could go before.",
        ));
    }
    terminal.note(&format!("{name} is in use:\n"));
    left.lines().for_each(|line| terminal.note(&format!("  {}\n", printable(line))));
    terminal.note("What is protected stays protected, and no data is removed.\n");
    match terminal.confirm(&format!("Do you want to remove {name} from {}?", client.addr())) {
        Ok(true) => client.delete(&forced, act),
        Ok(false) => Err(CommandError::usage("removal cancelled")),
        Err(error) => Err(CommandError::usage(format!("reading the answer: {error}"))),
    }
}

/// `devnet apikey …`.
pub(super) fn apikey(
    args: &arguments::Apikey,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    match &args.command {
        ApikeyCommand::Create { name, role } => {
            let request = ApiKeyRequest { name: name.clone(), role: *role };
            let answer: Key = client.post("/api/v1/apikeys", &request, "making an API key")?;
            terminal.out(&format!("{}\n", answer.key));
            terminal.note("Keep it: it is not shown again.\n");
        }
        ApikeyCommand::List(output) => {
            let rows: Vec<ApiKeyRow> = client.list("/api/v1/apikeys", "listing API keys")?;
            if output.json {
                terminal.out(&format!("{}\n", serde_json::json!(rows)));
            } else {
                let heads = ["ID", "NAME", "ROLE", "CREATED"].map(str::to_owned).to_vec();
                let mut table = vec![heads];
                table.extend(rows.into_iter().map(|row| {
                    let role = format!("{:?}", row.role).to_lowercase();
                    vec![row.id, row.name, role, row.created_at.to_string()]
                }));
                terminal.out(&status_text::table(&table));
            }
        }
        ApikeyCommand::Rm { id } => {
            revoke(id, &client, terminal)?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Role;
    use crate::time::Time;

    #[test]
    fn the_line_to_join_with_says_what_the_token_is_bound_to() {
        let plain = join_line("https://c:7443", None, false);
        assert!(plain.contains("join --server https://c:7443 --token-file -"), "{plain}");
        let bound = join_line("https://c:7443", Some(&"n1".parse().unwrap()), true);
        assert!(bound.contains("https://c:7443 --name n1 --replace --token-file -"), "{bound}");
    }

    #[test]
    fn an_address_that_other_machines_do_not_reach_is_told() {
        let told = |server: &str| how_to_join(server, "x", "later").contains("this machine only");
        assert!(told("https://127.0.0.1:7443") && told("https://localhost:1"));
        assert!(told("https://[::1]:7443") && !told("https://control.lab:7443"));
    }

    #[test]
    fn a_name_is_told_the_ids_of_the_keys_that_have_it() {
        let row = |id: &str, name: &str| ApiKeyRow {
            id: id.to_owned(),
            name: name.to_owned(),
            role: Role::Editor,
            created_at: Time::EPOCH,
        };
        let rows = [row("k1", "ci"), row("k2", "ci"), row("k3", "k1")];
        let failure = named("ci", &rows).unwrap();
        assert_eq!(failure.hints, ["Revoke by the id: devnet apikey rm k1, or k2"]);
        assert!(named("k1", &rows).is_none(), "an id comes first");
        assert!(named("none", &rows).is_none(), "the control plane answers that");
    }
}
