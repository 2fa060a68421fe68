//! A cgroup of its own for each unit, where this agent may make one (cgroup v2, also beside v1):
//! nothing leaves it by calling `setsid`, losing its parent or wiping its environment.
//!
//! Knows the cgroup file system. Refuses to set limits, and to need it: without one, badges serve.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The directory of a unit's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Cgroup(PathBuf);

/// The directory of this process's own cgroup; `None` where there is no cgroup v2.
pub(super) fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    below(&mounts, &groups).filter(|path| path.join("cgroup.procs").exists())
}

/// From the forms of `proc_pid_mountinfo(5)` and `cgroups(7)`.
fn below(mounts: &str, groups: &str) -> Option<PathBuf> {
    let (root, mount) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then_some(())?;
        let mut words = left.split(' ').skip(3);
        Some((words.next()?, words.next()?))
    })?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let inside = path.strip_prefix(root.trim_end_matches('/'))?.trim_start_matches('/');
    Some(Path::new(mount).join(inside))
}

impl Cgroup {
    /// Makes one below `base`, or finds it; `None` where that is not allowed.
    pub(super) fn make(base: &Path, name: &str) -> Option<Self> {
        let path = base.join(format!("devnet.{name}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            _ => OpenOptions::new().write(true).open(path.join("cgroup.procs")).ok(),
        }?;
        Some(Self(path))
    }

    /// The file through which a process enters, open: a process that writes `0` goes in itself.
    pub(super) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.0.join("cgroup.procs"))
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The processes in it and in those that they made below it; none when it is gone.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for group in self.with_all_below() {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        found
    }

    /// Whether the kernel counts anything that runs in it or below it, seen from here or not.
    pub(super) fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.0.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }

    /// Each before those below it.
    fn with_all_below(&self) -> Vec<PathBuf> {
        let mut all = vec![self.0.clone()];
        let mut at = 0;
        while let Some(group) = all.get(at) {
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            let below = entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir()));
            let below: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
            all.extend(below);
            at += 1;
        }
        all
    }

    /// Kills everything in it at once, also in those below it. Kernels before 5.14 cannot; then
    /// each process is killed by itself.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Removes it with those below it when nothing is in them; one that stays harms nobody.
    pub(super) fn remove(&self) {
        for group in self.with_all_below().iter().rev() {
            let _ = fs::remove_dir(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_beside_v1_and_in_a_namespace() {
        let both = "30 24 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                    31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";
        let found = below(both, "3:pids:/a\n0::/system.slice/devnet.service\n").unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified/system.slice/devnet.service"));
        assert_eq!(below(both, "0::/\n").unwrap(), Path::new("/sys/fs/cgroup/unified/"));
        let part = "31 24 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(below(part, "0::/docker/x/y\n").unwrap(), Path::new("/sys/fs/cgroup/y"));
        assert_eq!(below(part, "0::/other\n"), None, "it is not seen from here");
        assert_eq!(below("", "0::/\n"), None);
    }
}
