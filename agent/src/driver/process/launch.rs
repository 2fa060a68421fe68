//! From a spec to a started process: its directory, files, volumes, environment and arguments.
//!
//! Knows how a process is laid out on this machine. Refuses to supervise it, and to pass anything
//! to a shell.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use devnet_schema::instance::{InstanceSpec, Workload};

use super::{
    badge,
    child::{self, Launch, Running},
    output::{self, STREAMS},
    record::{self, Home, Record},
    supervise::Setting,
};
use crate::{
    clock,
    driver::{DriverError, Ground, files, uses},
    secrets::Values,
};

/// The variables of the agent's own environment that every process is given.
#[derive(Debug, Clone)]
pub struct BaseEnv {
    /// Where programs are looked up.
    pub path: String,
    /// `HOME`.
    pub home: String,
    /// `LANG`.
    pub lang: String,
}

/// Starts the unit's process. What it will carry is written down before, and which it is after, so
/// that an agent that is killed at any point is followed by one that finds it. Whatever runs of an
/// earlier start ends before.
///
/// # Errors
/// When a secret, a file, the program or the disk is missing, or what runs does not end; nothing of
/// this start runs then.
pub(super) async fn start(setting: &Setting, record: &mut Record) -> Result<Running, DriverError> {
    let Setting { ground, base, .. } = setting;
    let spec = record.spec.clone();
    let values = ground.secrets.values(&spec.id, &spec.secrets()).await?;
    let home = Home::new(&ground.data_dir, &spec.id);
    if record.has_run() {
        has_its_volumes(ground, &spec)?;
    }
    lay_out(ground, &home, &spec, &values)?;
    let mut launch = launch(ground, base, &spec, &values)?;
    setting.clear(record).await?;
    let nonce = badge::nonce().map_err(|error| {
        DriverError::failed(
            format!("{} cannot be given a badge of its own", spec.id),
            error,
            "without one it could not be found again; look at the node's system log",
        )
    })?;
    record.process = None;
    record.cgroup = setting.cgroup(&spec.id);
    record.nonce = Some(nonce);
    home.save(record, &*setting.watcher)?;
    launch.env.extend(setting.badge_of(record));
    launch.door = record.cgroup.as_ref().and_then(|cgroup| cgroup.door().ok());
    let traces = setting.traces(record);
    let running = match child::spawn(&launch, traces.clone(), clock::now_millis()) {
        Ok(running) => running,
        Err(error) => {
            // It may have been started all the same. What cannot be ended now is found again by
            // what it carries, before anything of the unit is started.
            let _ = traces.end(None).await;
            return Err(DriverError::failed(
                format!("{} cannot be started", launch.program.display()),
                error,
                "check that it is an executable for this machine",
            ));
        }
    };
    record.process = Some(running.mark.clone());
    if let Err(error) = home.save(record, &*setting.watcher) {
        record.process = None;
        // By its session, too: it may carry nothing that can be looked at.
        let _ = running.end_rest().await;
        return Err(error);
    }
    Ok(running)
}

/// Volumes are made for the first start of an order. Whoever starts a unit again by itself, since
/// its process ended or the machine did, makes none: what was there is lost, or not mounted yet.
fn has_its_volumes(ground: &Ground, spec: &InstanceSpec) -> Result<(), DriverError> {
    for volume in &spec.volumes {
        let data = record::volume_dir(&ground.data_dir, volume.owner(&spec.id), &volume.name);
        if !data.is_dir() {
            let why = format!("{} was its volume and is not there", data.display());
            return Err(uses::gone(&volume.name, &spec.id, &why));
        }
    }
    Ok(())
}

fn lay_out(
    ground: &Ground,
    home: &Home,
    spec: &InstanceSpec,
    values: &Values,
) -> Result<(), DriverError> {
    let work = home.work();
    files::private_dir(&work)?;
    files::private_dir(&home.logs())?;
    for volume in &spec.volumes {
        let owner = volume.owner(&spec.id);
        let data = record::volume_dir(&ground.data_dir, owner, &volume.name);
        files::private_dir(&data)?;
        // An absolute path is meant for containers; here it is a place below the directory.
        let place = files::below(&work, volume.path.trim_start_matches('/'))?;
        link(&data, &place).map_err(|error| {
            DriverError::failed(
                format!("volume `{}` cannot be put at {}", volume.name, place.display()),
                error,
                "choose a path where nothing else is",
            )
        })?;
    }
    for (path, file) in &spec.files {
        files::write(&files::below(&work, path)?, file, values)?;
    }
    Ok(())
}

fn link(data: &Path, place: &Path) -> io::Result<()> {
    if fs::read_link(place).is_ok_and(|target| target == data) {
        return Ok(());
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    if place.is_symlink() {
        // It is ours, and led to the data of another name.
        fs::remove_file(place)?;
    }
    symlink(data, place)
}

fn launch(
    ground: &Ground,
    base: &BaseEnv,
    spec: &InstanceSpec,
    values: &Values,
) -> Result<Launch, DriverError> {
    let home = Home::new(&ground.data_dir, &spec.id);
    let argv = argv(spec, values)?;
    let env = environment(base, spec, values)?;
    let program = program(spec, base, &home.work())?;
    let [stdout, stderr] = STREAMS.map(|(_, name)| home.logs().join(name));
    output::begin(&home.logs(), clock::now_millis()).map_err(|error| {
        DriverError::failed("the log cannot be begun", error, "check that the disk has room")
    })?;
    Ok(Launch {
        door: None,
        program,
        args: argv.into_iter().skip(1).collect(),
        env,
        dir: home.work(),
        stdout,
        stderr,
        with_parent: ground.stop_on_exit,
    })
}

fn argv(spec: &InstanceSpec, values: &Values) -> Result<Vec<String>, DriverError> {
    let Workload::Process { argv } = &spec.workload else {
        return Err(DriverError::Unavailable(format!("{} is not a process", spec.id)));
    };
    let fill = |text| values.fill(text).map(|value| value.expose().clone());
    Ok(argv.iter().map(fill).collect::<Result<_, _>>()?)
}

/// The whole environment of the unit: three variables of the agent's, the devices it was given, and
/// what its spec says, which wins.
pub(super) fn environment(
    base: &BaseEnv,
    spec: &InstanceSpec,
    values: &Values,
) -> Result<Vec<(String, String)>, DriverError> {
    let mut env = std::collections::BTreeMap::from([
        ("PATH".to_owned(), base.path.clone()),
        ("HOME".to_owned(), base.home.clone()),
        ("LANG".to_owned(), base.lang.clone()),
    ]);
    if !spec.gpus.is_empty() {
        let ids: Vec<_> = spec.gpus.iter().map(|gpu| gpu.id.as_str()).collect();
        env.insert("CUDA_VISIBLE_DEVICES".to_owned(), ids.join(","));
    }
    for (name, text) in &spec.env {
        env.insert(name.clone(), values.fill(text)?.expose().clone());
    }
    Ok(env.into_iter().collect())
}

/// The program's absolute path.
///
/// # Errors
/// When there is none; the text says where it was looked for.
pub(super) fn program(
    spec: &InstanceSpec,
    base: &BaseEnv,
    dir: &Path,
) -> Result<PathBuf, DriverError> {
    let Workload::Process { argv } = &spec.workload else {
        return Err(DriverError::Unavailable(format!("{} is not a process", spec.id)));
    };
    let name = argv.first().map(ToString::to_string).unwrap_or_default();
    let relative = name.contains('/') && !name.starts_with('/');
    if relative && spec.files.contains_key(name.trim_start_matches("./")) {
        // It is one of the unit's own files, which may not be written yet.
        return Ok(dir.join(name));
    }
    child::find_program(&name, dir, &base.path).ok_or_else(|| {
        DriverError::failed(
            format!("the program `{}` cannot be run", name.escape_debug()),
            format!("there is no such executable on {} (PATH {})", spec.node, base.path),
            "install it there, or place the service on a node that has it",
        )
    })
}
