//! The fields of the language, as tables: their names in both forms, types, units and a sentence.
//!
//! Knows what may be written where. Refuses to know how it is read, printed or meant; reader,
//! printer, suggestions and reference all look here.

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Any text; numbers are taken as they are written.
    Text,
    /// `#true` or `#false`; in YAML `true` or `false`.
    Flag,
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A whole number, or a word in its place.
    IntegerOr {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// The word.
        word: &'static str,
    },
    /// Cores.
    Cpu,
    /// A size with a unit.
    Size,
    /// A length of time with a unit.
    Period,
    /// Whole devices, or a share of one.
    Gpu,
    /// Permission bits, in octal.
    Mode,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list that is written once.
    Words,
    /// A list that may be continued in another line.
    Names,
    /// Fields of its own.
    Section(&'static Shape),
    /// Any number of sections.
    Sections(&'static Shape),
    /// Sections with a name each.
    Keyed(&'static Shape),
    /// Texts with a name each.
    Free,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in YAML.
    pub name: &'static str,
    /// Its name in KDL, where things that repeat are named in the singular.
    pub kdl: &'static str,
    /// What it takes.
    pub ty: Type,
    /// Whether it must be written.
    pub required: bool,
    /// What holds where it is not written, when that is one value and the same everywhere.
    pub default: Option<&'static str>,
    /// What each text must look like, or each name where sections have names: a regular expression
    /// that JSON Schema understands. Whoever checks the meaning of a text says more than this.
    pub pattern: Option<&'static str>,
    /// What it says, in one sentence.
    pub doc: &'static str,
}

const fn field(name: &'static str, ty: Type, doc: &'static str) -> Field {
    Field { name, kdl: name, ty, required: false, default: None, pattern: None, doc }
}

/// What names look like, see [`crate::name::is_label`].
const LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

impl Field {
    const fn kdl(self, kdl: &'static str) -> Self {
        Self { kdl, ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn pattern(self, pattern: &'static str) -> Self {
        Self { pattern: Some(pattern), ..self }
    }
}

/// The fields of a section.
#[derive(Debug)]
pub struct Shape {
    /// What people call it.
    pub name: &'static str,
    /// The field that is meant when only a value is written.
    pub short: Option<&'static str>,
    /// Whether it reads best on one line of KDL.
    pub inline: bool,
    /// Its fields.
    pub fields: &'static [Field],
}

const COUNT: Type = Type::Integer { min: 1, max: 10_000 };
const PORT_NUMBER: Type = Type::Integer { min: 1, max: 65_535 };

/// The whole file.
pub static FILE: Shape = Shape {
    name: "file",
    short: None,
    inline: false,
    fields: &[
        field("cluster", Type::Section(&CLUSTER), "the cluster and its settings; root file only"),
        field("nodes", Type::Keyed(&NODE), "what an admin says of a node")
            .kdl("node")
            .pattern(LABEL),
        field("services", Type::Keyed(&SERVICE), "what runs").kdl("service").pattern(LABEL),
        field("moved", Type::Sections(&MOVED), "a rename of a service, without destroying it"),
    ],
};

static CLUSTER: Shape = Shape {
    name: "cluster",
    short: Some("name"),
    inline: false,
    fields: &[
        field("name", Type::Text, "the cluster's name, a DNS label").required().pattern(LABEL),
        field("catalog", Type::Names, "directories with more components, beside the built-in ones"),
        field(
            "include",
            Type::Names,
            "more files of this form; `*` is any name within one directory",
        ),
        field("sync", Type::Section(&SYNC), "how the control plane follows the file"),
        field("vars", Type::Free, "values for `{{ var.NAME }}`"),
        field("defaults", Type::Section(&DEFAULTS), "what services get unless they say otherwise"),
        field("placement", Type::Choice(&["balance", "pack"]), "spread the load, or use few nodes")
            .default("balance"),
        field("lost-after", Type::Period, "a node unseen this long is lost; at least 10s")
            .default("5m"),
        field(
            "unplaced",
            Type::Choice(&["wait", "error"]),
            "what does not fit waits, or nothing is applied",
        )
        .default("wait"),
    ],
};

static SYNC: Shape = Shape {
    name: "sync",
    short: None,
    inline: true,
    fields: &[
        field("auto", Type::Flag, "apply commits without asking").default("true"),
        field("prune", Type::Flag, "destroy, unattended, what is no longer declared")
            .default("false"),
        field("self-heal", Type::Flag, "put right what changed by itself").default("true"),
        field("interval", Type::Period, "look at the repository at least this often; at least 1s")
            .default("60s"),
    ],
};

static DEFAULTS: Shape = Shape {
    name: "defaults",
    short: None,
    inline: false,
    fields: &[field("resources", Type::Section(&RESOURCES), "what each instance reserves")],
};

static RESOURCES: Shape = Shape {
    name: "resources",
    short: None,
    inline: true,
    fields: &[
        field("cpu", Type::Cpu, "cores, like 0.5 or \"500m\""),
        field("memory", Type::Size, "memory, like \"512MiB\""),
        field("disk", Type::Size, "disk, like \"20GiB\""),
        field("gpu", Type::Gpu, "whole devices, or a share of one like 0.5"),
        field("gpu-memory", Type::Size, "a slice of one device's memory, like \"12GiB\""),
    ],
};

static RESERVE: Shape = Shape {
    name: "reserve",
    short: None,
    inline: true,
    fields: &[
        field("cpu", Type::Cpu, "cores"),
        field("memory", Type::Size, "memory"),
        field("disk", Type::Size, "disk"),
    ],
};

static CAPACITY: Shape = Shape {
    name: "capacity",
    short: None,
    inline: true,
    fields: &[
        field("cpu", Type::Cpu, "cores"),
        field("memory", Type::Size, "memory"),
        field("disk", Type::Size, "disk"),
        field("gpus", Type::Integer { min: 0, max: 10_000 }, "devices"),
    ],
};

static NODE: Shape = Shape {
    name: "node",
    short: None,
    inline: false,
    fields: &[
        field("tags", Type::Names, "words that constraints look for"),
        field("zone", Type::Text, "the failure domain it belongs to"),
        field("reserve", Type::Section(&RESERVE), "kept free for the host"),
        field(
            "capacity",
            Type::Section(&CAPACITY),
            "the most that counts of what its agent reports; less counts as reported",
        ),
        field("cordon", Type::Flag, "takes no new instances").default("false"),
        field("drain", Type::Flag, "takes none, and gives up those it has").default("false"),
    ],
};

static SERVICE: Shape = Shape {
    name: "service",
    short: None,
    inline: false,
    fields: &[
        field("component", Type::Section(&COMPONENT), "a component of the catalog"),
        field("version", Type::Text, "the component's version; its first when absent"),
        field("image", Type::Text, "a container image"),
        field("process", Type::Words, "a native program and its arguments"),
        field("compose", Type::Section(&COMPOSE), "a Compose file of the repository"),
        field("kubernetes", Type::Section(&KUBERNETES), "Kubernetes manifests or a Helm chart"),
        field("models", Type::Sections(&MODEL), "language models that it serves").kdl("model"),
        field("allow", Type::Sections(&ALLOW), "what its containers may have of their node"),
        field("exposes", Type::Sections(&EXPOSE), "host names that reverse proxies serve it under")
            .kdl("expose"),
        field(
            "runtime",
            Type::Choice(&["docker", "process", "kubernetes"]),
            "what runs it; the component's first when absent",
        ),
        field(
            "replicas",
            Type::IntegerOr { min: 0, max: 1_000_000, word: "per-node" },
            "how many instances, or one on each eligible node",
        )
        .default("1"),
        field("priority", Type::Integer { min: 0, max: 100 }, "who gives way: 0 first, 100 last")
            .default("50"),
        field("set", Type::Free, "parameters of the component, or values for a Compose file"),
        field("secrets", Type::Keyed(&SECRET), "secret parameters of the component")
            .kdl("secret")
            .pattern(LABEL),
        field("env", Type::Free, "environment variables"),
        field("ports", Type::Sections(&PORT), "ports it listens on, beside the component's")
            .kdl("port"),
        field("volumes", Type::Keyed(&VOLUME), "data that outlives it")
            .kdl("volume")
            .pattern(LABEL),
        field("files", Type::Keyed(&FILES), "files put in place before it starts").kdl("file"),
        field("command", Type::Words, "replaces the image's command"),
        field(
            "resources",
            Type::Section(&RESOURCES),
            "what each instance reserves; each field the component's, else `defaults`, when absent",
        ),
        field("place", Type::Section(&PLACE), "where its instances may be"),
        field("depends-on", Type::Names, "services that must be healthy before it starts")
            .pattern(LABEL),
        field(
            "health",
            Type::Section(&HEALTH),
            "how to tell that it serves; the component's when absent",
        ),
        field("stop", Type::Section(&STOP), "how it is stopped"),
        field("update", Type::Section(&UPDATE), "how it is updated"),
        field("run-once", Type::Flag, "it ends by itself, and exit code 0 is done")
            .default("false"),
        field("schedule", Type::Section(&SCHEDULE), "it runs again and again, at these times"),
        field("protect", Type::Flag, "no plan may destroy it").default("false"),
        field(
            "leave-data",
            Type::Names,
            "nodes that it may leave its data on, each good for one move",
        )
        .pattern(LABEL),
    ],
};

static SCHEDULE: Shape = Shape {
    name: "schedule",
    short: Some("cron"),
    inline: true,
    fields: &[
        field("cron", Type::Text, "five fields of cron, or a word like `@daily`").required(),
        field("timezone", Type::Text, "the time zone that they are in").default("UTC"),
    ],
};

static COMPOSE: Shape = Shape {
    name: "compose line",
    short: Some("file"),
    inline: true,
    fields: &[
        field("file", Type::Text, "the file, from the configuration's root").required(),
        field("profiles", Type::Names, "profiles whose services run too").kdl("profile"),
    ],
};

static KUBERNETES: Shape = Shape {
    name: "kubernetes line",
    short: Some("path"),
    inline: true,
    fields: &[
        field("path", Type::Text, "a manifest, a directory of them, or a chart").required(),
        field("namespace", Type::Text, "where they go; `default` when absent"),
        field("values", Type::Names, "files with values for the chart"),
    ],
};

static MODEL: Shape = Shape {
    name: "model",
    short: Some("name"),
    inline: true,
    fields: &[
        field("name", Type::Text, "its name and tag, like \"llama3.1:8b\"").required(),
        field(
            "context",
            Type::Integer { min: 1, max: 10_000_000 },
            "tokens of context; `context-length` of the component when absent",
        ),
        field(
            "parallel",
            Type::Integer { min: 1, max: 1024 },
            "requests answered at once; `num-parallel` of it when absent",
        ),
    ],
};

static ALLOW: Shape = Shape {
    name: "allow line",
    short: Some("grant"),
    inline: true,
    fields: &[
        field("grant", Type::Text, "what is allowed, like \"host-bind:/srv/media\"").required(),
        field("to", Type::Names, "services of the Compose file; all when absent"),
    ],
};

static EXPOSE: Shape = Shape {
    name: "expose line",
    short: Some("host"),
    inline: true,
    fields: &[
        field("host", Type::Text, "the host name, like \"app.lab.example\"").required(),
        field("path", Type::Text, "what paths begin with").default("/"),
        field("port", Type::Text, "the name of its port; the main one when absent"),
        field("tls", Type::Choice(&["off", "letsencrypt"]), "who gives its certificate")
            .default("off"),
    ],
};

static COMPONENT: Shape = Shape {
    name: "component",
    short: Some("name"),
    inline: true,
    fields: &[
        field("name", Type::Text, "its name in the catalog").required(),
        field("version", Type::Text, "its version; the component's first when absent"),
    ],
};

static SECRET: Shape = Shape {
    name: "secret",
    short: Some("from"),
    inline: true,
    fields: &[field("from", Type::Text, "the secret's name; the parameter's own when absent")
        .pattern(LABEL)],
};

static PORT: Shape = Shape {
    name: "port",
    short: Some("container"),
    inline: true,
    fields: &[
        field("container", PORT_NUMBER, "where the service listens").required(),
        field("host", PORT_NUMBER, "where the node answers; chosen by the planner when absent"),
        field(
            "name",
            Type::Text,
            "its name; `main` for the first, else `port-NUMBER`, when absent",
        )
        .pattern(LABEL),
        field(
            "scope",
            Type::Choice(&["node", "internal", "public"]),
            "who may reach it: this machine, the node's address, every address",
        )
        .default("internal"),
        field("protocol", Type::Choice(&["tcp", "udp"]), "tcp or udp").default("tcp"),
    ],
};

static VOLUME: Shape = Shape {
    name: "volume",
    short: Some("at"),
    inline: true,
    fields: &[field("at", Type::Text, "where the service sees it").required()],
};

static FILES: Shape = Shape {
    name: "file",
    short: None,
    inline: true,
    fields: &[
        field("content", Type::Text, "its text; templates are filled in"),
        field("source", Type::Text, "a file of the repository, taken as it is"),
        field("mode", Type::Mode, "permission bits in octal").default("0444"),
    ],
};

static PLACE: Shape = Shape {
    name: "place",
    short: None,
    inline: false,
    fields: &[
        field("require", Type::Sections(&SELECTOR), "all must hold"),
        field("forbid", Type::Sections(&SELECTOR), "none may hold"),
        field("prefer", Type::Sections(&PREFERENCE), "better where it holds"),
        field("pin", Type::Text, "the only node").pattern(LABEL),
        field("spread", Type::Sections(&SPREAD), "even counts over zones or nodes"),
        field("max-per-node", COUNT, "at most so many instances on one node"),
        field("apart-from", Type::Names, "services it never shares a node with").pattern(LABEL),
        field("near", Type::Names, "services it always shares a node with").pattern(LABEL),
    ],
};

const TAG: Field = field("tag", Type::Names, "one of its tags");
const ZONE: Field = field("zone", Type::Names, "its zone");
const OS: Field = field("os", Type::Names, "its operating system");
const ARCH: Field = field("arch", Type::Names, "its processor architecture");
const GPU_MODEL: Field = field("gpu-model", Type::Names, "the model of one of its GPUs, or a part");
const NAME: Field = field("node", Type::Names, "its name");

static SELECTOR: Shape = Shape {
    name: "selector",
    short: None,
    inline: true,
    fields: &[TAG, ZONE, OS, ARCH, GPU_MODEL, NAME],
};

static PREFERENCE: Shape = Shape {
    name: "preference",
    short: None,
    inline: true,
    fields: &[
        TAG,
        ZONE,
        OS,
        ARCH,
        GPU_MODEL,
        NAME,
        field("weight", Type::Integer { min: 1, max: 1000 }, "how much it counts").default("1"),
    ],
};

static SPREAD: Shape = Shape {
    name: "spread",
    short: Some("by"),
    inline: true,
    fields: &[
        field("by", Type::Choice(&["zone", "node"]), "over what").required(),
        field("max-skew", COUNT, "largest count minus smallest, at most").default("1"),
    ],
};

static HEALTH: Shape = Shape {
    name: "health",
    short: None,
    inline: true,
    fields: &[
        field("http", Type::Text, "path of a GET that answers 200 to 399").pattern("^/[!-~]*$"),
        field("port", PORT_NUMBER, "port of that GET; the main port when absent"),
        field("tcp", PORT_NUMBER, "a port that accepts connections"),
        field("exec", Type::Words, "a program and its arguments that exits 0"),
        field("interval", Type::Period, "between two tries").default("10s"),
        field("timeout", Type::Period, "how long one try may take").default("5s"),
        field("retries", Type::Integer { min: 1, max: 1000 }, "failures in a row that count")
            .default("3"),
        field("start-period", Type::Period, "after the start, failures do not count for this long")
            .default("0s"),
    ],
};

static STOP: Shape = Shape {
    name: "stop",
    short: None,
    inline: true,
    fields: &[
        field("signal", Type::Text, "the signal, like \"SIGINT\"; the image's when absent")
            .pattern("^SIG[A-Z0-9]+$"),
        field(
            "grace",
            Type::Period,
            "how long it may take before it is killed; the component's, else 10s, when absent",
        ),
    ],
};

static UPDATE: Shape = Shape {
    name: "update",
    short: None,
    inline: true,
    fields: &[
        field(
            "order",
            Type::Choice(&["stop-first", "start-first"]),
            "which instance comes first; start-first is not followed yet",
        )
        .default("stop-first"),
        field("max-unavailable", COUNT, "how many instances may be down at once").default("1"),
        field(
            "rollback",
            Type::Flag,
            "go back when the new one does not become healthy; not followed yet",
        )
        .default("false"),
        field("timeout", Type::Period, "how long a new instance may take to become healthy")
            .default("5m"),
    ],
};

static MOVED: Shape = Shape {
    name: "moved line",
    short: None,
    inline: true,
    fields: &[
        field("from", Type::Text, "the old name").required().pattern(LABEL),
        field("to", Type::Text, "the new name").required().pattern(LABEL),
    ],
};
