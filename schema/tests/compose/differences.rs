//! Where devnet and the real program differ, each with its reason: the only exceptions.
//!
//! Knows reasons, and which files of the corpus show each. Refuses to excuse a file that is not
//! named.

use std::fmt::Write as _;

use crate::Verdict::{self, Means, Refused, Taken};

/// A difference.
pub(crate) struct Difference {
    pub(crate) verdict: Verdict,
    /// What is written.
    pub(crate) what: &'static str,
    /// Why it ends otherwise here.
    pub(crate) why: &'static str,
    pub(crate) cases: &'static [&'static str],
}

const fn one(
    verdict: Verdict,
    what: &'static str,
    why: &'static str,
    cases: &'static [&'static str],
) -> Difference {
    Difference { verdict, what, why, cases }
}

/// Every difference.
pub(crate) const ALL: &[Difference] = &[
    one(
        Refused,
        "`build`, `pull_policy: build`",
        "devnet runs images that a registry has",
        &["service/build", "service/build-and-image", "service/pull-policy-build"],
    ),
    one(
        Refused,
        "a file without a service",
        "an empty file is never taken as the wish to remove everything",
        &["service/none", "service/nothing-at-all"],
    ),
    one(
        Refused,
        "`!reset`, `!override`, a second document",
        "YAML tags and further documents are refused everywhere",
        &["yaml/override-tag", "yaml/reset-tag", "yaml/two-documents"],
    ),
    one(
        Refused,
        "a variable without a value, a name without one in `environment`",
        "Compose puts an empty text there and goes on; nothing is taken from anybody's environment",
        &[
            "environment/no-value",
            "environment/words",
            "interpolation/missing",
            "secrets/environment-missing",
        ],
    ),
    one(
        Refused,
        "`deploy.mode: global` beside a number of instances",
        "one on each node is no number; Swarm refuses it, too",
        &["deploy/global-and-replicas"],
    ),
    one(
        Refused,
        "`device_ids`, `generic_resources`, options of a GPU, another `runtime`",
        "devnet picks the devices, so that no two services are given one",
        &[
            "deploy/devices-ids",
            "deploy/generic-resources",
            "deploy/gpus-options",
            "deploy/runtime-other",
        ],
    ),
    one(
        Refused,
        "limits of block devices and of real-time processors",
        "devnet does not carry them to the engine",
        &["deploy/blkio", "deploy/cpu-realtime"],
    ),
    one(
        Refused,
        "an amount or a time below zero, a word that Compose passes to the engine unread",
        "the engine refuses it later, or takes it for something else",
        &[
            "deploy/mode-bad",
            "deploy/size-negative",
            "security/capability-unknown",
            "service/container-name-bad",
            "service/hostname-bad",
            "service/restart-bad",
            "service/stop-grace-negative",
            "service/stop-signal-bad",
            "volumes/relative-target",
        ],
    ),
    one(
        Refused,
        "a health check whose `test` is an empty list",
        "it is not said whether the image's own is meant, or none",
        &["health/test-empty"],
    ),
    one(
        Refused,
        "networks of another driver, with options, IPv6 or several ranges",
        "devnet makes the networks, bridges of one node",
        &[
            "networks/address6",
            "networks/ipam-more",
            "networks/ipam-two",
            "networks/labels-options",
            "networks/mac-address",
            "networks/more-of-attachment",
            "networks/overlay",
        ],
    ),
    one(
        Refused,
        "namespaces of a container that devnet has not made, `external_links`, ports of a service \
         that has the network of another one",
        "the other one has to be a service of the file, and publishes the ports itself",
        &["networks/external-links", "networks/mode-container", "networks/mode-service-and-ports"],
    ),
    one(
        Refused,
        "a port of the node out of a range, SCTP, one port of the node twice, `expose` with two",
        "plans name the port; write one, or leave it to the planner",
        &[
            "ports/expose-published",
            "ports/long-form-range",
            "ports/protocols",
            "ports/range-to-one",
            "ports/same-host-port",
        ],
    ),
    one(
        Refused,
        "control groups, device rules and names, credentials and isolation of the engine",
        "it reaches into the node's kernel, and no grant covers it",
        &[
            "security/cgroup-parent",
            "security/credential-spec",
            "security/device-rules",
            "security/devices-cdi",
            "security/isolation",
        ],
    ),
    one(
        Refused,
        "hooks, other log drivers, and what belongs to Docker Desktop",
        "devnet does not carry it out",
        &[
            "service/hooks",
            "service/logging-other",
            "service/models",
            "service/provider",
            "service/use-api-socket",
        ],
    ),
    one(
        Refused,
        "volumes of a driver, of an image, of Windows, and parts of volumes",
        "where volumes are kept is the engine's business",
        &[
            "volumes/cluster",
            "volumes/driver",
            "volumes/driver-nfs",
            "volumes/image",
            "volumes/long-bind-recursive",
            "volumes/long-volume-options",
            "volumes/long-volume-subpath",
            "volumes/npipe",
            "volumes/volumes-from",
            "volumes/windows",
        ],
    ),
    one(
        Refused,
        "a path beside the file that the repository has not, a path of somebody's home",
        "there is no such directory on a node, unless `PWD` or `HOME` says where it is",
        &["configs/file-missing", "volumes/home", "volumes/relative-missing"],
    ),
    one(
        Refused,
        "configs that are external, or of a template driver",
        "a config's content is in the repository",
        &["configs/external", "configs/template-driver"],
    ),
    one(
        Taken,
        "a number, date or truth value where Compose wants a text in quotes, and the reverse",
        "a value is read as what its field needs",
        &[
            "deploy/gpus-number",
            "deploy/resources-numbers",
            "environment/dates",
            "environment/env-file-map",
            "environment/timestamp",
            "service/command-numbers",
            "service/stop-signal-number",
            "service/user-number",
        ],
    ),
    one(
        Taken,
        "`depends_on` without a `condition`, or with `required: false` of what is not there",
        "the usual condition is meant; a warning names what is not there",
        &["depends/no-condition", "depends/required-false"],
    ),
    one(
        Means,
        "`0777`, `1e10`, `0x1F` and the like without quotes in `environment`",
        "the text stays as it is written, where Compose writes the number anew: 511, 1e+10, 31",
        &["environment/numbers"],
    ),
    one(
        Means,
        "`d:/data`, a volume with a name of one letter",
        "it is a volume, where Compose takes it for a drive of Windows and mounts another one",
        &["volumes/one-letter"],
    ),
];

/// Keys that change nothing here and of which nothing is said, each with its reason.
pub(crate) const SILENT: &[(&str, &str)] = &[
    ("configs.*.name", "the engine's name of a config, which only Swarm has"),
    ("secrets.*.name", "the engine's name of a secret, which only Swarm has"),
];

pub(crate) fn of(case: &str) -> Option<&'static Difference> {
    ALL.iter().find(|one| one.cases.contains(&case))
}

/// The page of the documentation.
pub(crate) fn page(files: usize, agree: usize) -> String {
    let mut out = format!(
        "# Where devnet and `docker compose` differ\n\nA corpus of {files} small Compose files, \
         every key of the Compose specification among\nthem, is read by devnet and by `docker \
         compose config` 2.40.3. Of {agree} of them ({} %)\nboth make the same, or both refuse \
         them. The rest is this list: the tests know no other\nexception, and write this page. \
         What of a file has no effect is never silent: it is refused, or\na warning names it.\n",
        agree * 100 / files
    );
    for (verdict, title) in [
        (Refused, "Refused here"),
        (Taken, "Taken here, and refused by Compose"),
        (Means, "Read otherwise"),
    ] {
        let _ = writeln!(out, "\n## {title}\n\n| written | why | files |\n|---|---|---|");
        for one in ALL.iter().filter(|one| one.verdict == verdict) {
            let _ = writeln!(out, "| {} | {} | {} |", one.what, one.why, one.cases.len());
        }
    }
    out.push_str("\n## Without effect and without a warning\n\n| key | why |\n|---|---|\n");
    for (key, why) in SILENT {
        let _ = writeln!(out, "| `{key}` | {why} |");
    }
    out
}
