//! Lists of one kind as text: a line each, and more of it where more is asked for.
//!
//! Knows columns. Refuses to hide what is unknown: it says so.

use devnet_schema::{fleet::NodeStatus, quantity::Bytes};
use jiff::Timestamp;

use super::{
    age::{ago, until},
    status_text::{health_word, state_word, table},
    style::printable,
};
use crate::api::{
    Deployment, Event, InstanceRow, NodeRow, ServiceRow, WaitingRow,
    detail::{Amount, DetailedNode, DetailedService, Reserved},
};

/// A table, and what is said below it.
pub struct List {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
    remarks: String,
}

impl List {
    fn new(heads: &[&str], more: &[&str]) -> Self {
        let heads = heads.iter().chain(more).map(|head| (*head).to_owned()).collect();
        Self { heads, rows: Vec::new(), remarks: String::new() }
    }

    /// All of it.
    pub fn text(mut self) -> String {
        let remarks = std::mem::take(&mut self.remarks);
        self.rows.insert(0, self.heads);
        table(&self.rows) + &remarks
    }

    /// Without heads, in columns that are at least as wide as they.
    pub fn rows_alone(mut self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let remarks = std::mem::take(&mut self.remarks);
        self.rows.insert(0, self.heads);
        let text = table(&self.rows);
        text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default() + &remarks
    }
}

/// The nodes as the status has them.
pub fn plain_nodes(nodes: &[NodeRow], now: Timestamp) -> List {
    let mut list = List::new(&["NODE", "STATUS", "ADDRESS", "INSTANCES", "LAST SEEN"], &[]);
    for row in nodes {
        list.rows.push(node(row, now));
        list.remarks.push_str(&node_remarks(row));
    }
    list
}

/// The nodes; with `wide` also what they have.
pub fn nodes(nodes: &[DetailedNode], wide: bool, now: Timestamp) -> List {
    let more: &[&str] =
        if wide { &["ZONE", "TAGS", "CPU", "MEMORY", "DISK", "GPUS", "ENGINES"] } else { &[] };
    let mut list = List::new(&["NODE", "STATUS", "ADDRESS", "INSTANCES", "LAST SEEN"], more);
    for detailed in nodes {
        let mut cells = node(&detailed.row, now);
        if wide {
            cells.extend(node_more(detailed));
        }
        list.rows.push(cells);
        list.remarks.push_str(&node_remarks(&detailed.row));
    }
    list
}

fn node(row: &NodeRow, now: Timestamp) -> Vec<String> {
    vec![
        row.name.to_string(),
        node_state(row),
        printable(&row.ip),
        row.instances.to_string(),
        row.last_seen.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
    ]
}

/// What of a node has no column.
fn node_remarks(row: &NodeRow) -> String {
    let NodeRow { name, instances, problem, drained, .. } = row;
    let mut text = String::new();
    if *drained && *instances > 0 {
        let still = if *instances == 1 { "instance is" } else { "instances are" };
        text.push_str(&format!(
            "  {name}: it is drained, and {instances} {still} still there: `devnet plan` says why\n"
        ));
    }
    if let Some(problem) = problem {
        text.push_str(&format!("  {name}: {}\n", printable(problem)));
    }
    text
}

/// How a node is, in a few words.
fn node_state(node: &NodeRow) -> String {
    let status = match node.status {
        _ if node.never_connected => "joined",
        NodeStatus::Online => "online",
        NodeStatus::Offline => "offline",
        NodeStatus::Lost => "lost",
    };
    let word = match (node.drained, node.cordoned || node.shut) {
        (true, _) => ", drained",
        (false, true) => ", cordoned",
        (false, false) => "",
    };
    format!("{status}{word}")
}

/// Of each size, what is placed of what there is. Of a node that never said, nothing is known.
fn node_more(node: &DetailedNode) -> Vec<String> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { printable(&text) };
    let of = |amount: Amount, text: &dyn Fn(u64) -> String| match amount.whole {
        0 => "-".to_owned(),
        whole => format!("{} of {}", text(amount.placed), text(whole)),
    };
    let engines: Vec<String> = node
        .engines
        .iter()
        .filter(|engine| engine.available)
        .map(|engine| match &engine.version {
            Some(version) => format!("{} {version}", engine.name),
            None => engine.name.clone(),
        })
        .collect();
    vec![
        or_dash(node.zone.clone().unwrap_or_default()),
        or_dash(node.tags.join(",")),
        of(node.room.cpu_milli, &cores),
        of(node.room.memory_mb, &mebibytes),
        of(node.room.disk_mb, &mebibytes),
        or_dash(node.gpus.iter().map(|gpu| gpu.model.as_str()).collect::<Vec<_>>().join(", ")),
        or_dash(engines.join(", ")),
    ]
}

fn cores(milli: u64) -> String {
    devnet_schema::quantity::Cpu { milli }.to_string()
}

fn mebibytes(mib: u64) -> String {
    Bytes::mib(mib).to_string()
}

/// The services; with `wide` also what they are made of.
pub fn services(services: &[DetailedService], wide: bool, now: Timestamp) -> List {
    let heads = ["SERVICE", "HEALTHY", "WANTED"];
    let more: &[&str] = match wide {
        true => &["FORM", "VERSION", "PRIORITY", "RESERVES EACH", "DECLARED AT", "NOTE"],
        false => &["NOTE"],
    };
    let mut list = List::new(&heads, more);
    for DetailedService { row, declared } in services {
        let mut cells =
            vec![row.name.to_string(), row.healthy.to_string(), row.desired.to_string()];
        if wide {
            let dash = || "-".to_owned();
            match declared {
                None => cells.extend([dash(), dash(), dash(), dash(), dash()]),
                Some(it) => cells.extend([
                    it.component.clone().unwrap_or_else(|| it.form.clone()),
                    it.version.as_deref().map_or_else(dash, printable),
                    it.priority.to_string(),
                    reserved(&it.resources),
                    printable(&it.at),
                ]),
            }
        }
        cells.push(service_note(row, now));
        list.rows.push(cells);
    }
    list
}

/// What is reserved, and nothing where nothing is: `0.5 cpu, 64MiB`.
fn reserved(resources: &Reserved) -> String {
    let Reserved { cpu_milli, memory_mb, disk_mb, gpus, gpu_share_milli, gpu_memory_mb } =
        *resources;
    let mut parts = Vec::new();
    let mut add = |amount: u64, text: String| {
        if amount > 0 {
            parts.push(text);
        }
    };
    add(cpu_milli, format!("{} cpu", cores(cpu_milli)));
    add(memory_mb, format!("{} memory", mebibytes(memory_mb)));
    add(disk_mb, format!("{} disk", mebibytes(disk_mb)));
    add(u64::from(gpus), format!("{gpus} gpu"));
    add(u64::from(gpu_share_milli), format!("{} gpu", cores(u64::from(gpu_share_milli))));
    add(gpu_memory_mb, format!("{} of a gpu", mebibytes(gpu_memory_mb)));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// What is worth saying of a service: the first thing that waits, and how many more do.
fn service_note(service: &ServiceRow, now: Timestamp) -> String {
    if service.undeclared {
        return "not declared, and still there".to_owned();
    }
    let there = service.instances.iter().filter_map(|row| row.waiting.as_ref());
    let mut all = service.waiting.iter().chain(there);
    let Some(first) = all.next() else { return String::new() };
    let more = match all.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{}: {}{more}", first.instance, waits(first, now))
}

/// What an instance waits for, and when it is tried again.
fn waits(waiting: &WaitingRow, now: Timestamp) -> String {
    let WaitingRow { reason, tries, of, next_try, .. } = waiting;
    let mut text = printable(reason);
    match (tries, of) {
        (Some(tries), Some(of)) => text.push_str(&format!("; failed {tries} of {of} times")),
        (Some(tries), None) => text.push_str(&format!("; failed {tries} times")),
        (None, _) => {}
    }
    if let Some(next) = next_try {
        text.push_str(&format!("; next try {}", until(*next, now)));
    }
    text
}

/// The instances of all services, those that are not there among them.
pub fn instances(services: &[ServiceRow], now: Timestamp) -> List {
    let mut list = List::new(&["INSTANCE", "NODE", "STATE", "HEALTH", "ADDRESS", "NOTE"], &[]);
    for service in services {
        list.rows.extend(service.instances.iter().map(|row| instance(row, now)));
        list.rows.extend(service.waiting.iter().map(|waiting| {
            let node = waiting.node.as_ref().map_or("-".to_owned(), ToString::to_string);
            let dash = || "-".to_owned();
            let id = waiting.instance.to_string();
            vec![id, node, "waiting".to_owned(), dash(), dash(), waits(waiting, now)]
        }));
    }
    list
}

fn instance(row: &InstanceRow, now: Timestamp) -> Vec<String> {
    let InstanceRow { id, node, state, health, address, message, stranger, waiting, .. } = row;
    let note = match (stranger, waiting) {
        (true, _) => format!("nobody ordered it here: `devnet node adopt {node}`"),
        (false, Some(waiting)) => waits(waiting, now),
        (false, None) => message.as_deref().map(printable).unwrap_or_default(),
    };
    vec![
        id.to_string(),
        node.to_string(),
        state_word(*state).to_owned(),
        health_word(*health).to_owned(),
        address.clone().unwrap_or_default(),
        note,
    ]
}

/// The runs of plans.
pub fn deployments(rows: &[Deployment], wide: bool, now: Timestamp) -> List {
    let more: &[&str] = if wide { &["ENDED", "PLAN", "ERRORS"] } else { &[] };
    let mut list = List::new(&["DEPLOYMENT", "STATE", "REVISION", "BY", "STARTED"], more);
    for row in rows {
        let short = |text: &str| -> String { text.chars().take(12).collect() };
        let mut cells = vec![
            row.id.clone(),
            format!("{:?}", row.state).to_lowercase(),
            short(&row.revision),
            printable(&row.by),
            ago(row.started_at, now),
        ];
        if wide {
            cells.push(row.ended_at.map_or("-".to_owned(), |at| ago(at, now)));
            cells.push(short(row.plan.trim_start_matches("sha256:")));
            cells.push(printable(&row.errors.join("; ")));
        }
        list.rows.push(cells);
    }
    list
}

/// What happened; with `wide` also the number and the whole time.
pub fn events(rows: &[Event], wide: bool, now: Timestamp) -> List {
    let more: &[&str] = if wide { &["AT", "NUMBER"] } else { &[] };
    let mut list = List::new(&["AGE", "KIND", "ABOUT", "WHAT"], more);
    for Event { seq, at, kind, subject, message } in rows {
        // A commit is known by its beginning.
        let hex = subject.len() == 40 && subject.chars().all(|c| c.is_ascii_hexdigit());
        let about = if hex { subject.chars().take(12).collect() } else { printable(subject) };
        let mut cells = vec![ago(*at, now), kind.clone(), about, printable(message)];
        if wide {
            cells.extend([at.to_string(), seq.to_string()]);
        }
        list.rows.push(cells);
    }
    list
}

#[cfg(test)]
mod tests;
