//! The processes of a unit, all of them: its leader's session and group, whoever carries its badge,
//! whoever is in its cgroup, and the children of these.
//!
//! Knows `/proc`. Refuses to signal a process that is not the one it looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    badge::{Badge, Issuer},
    cgroup::Cgroup,
};

/// How long the first pause between two looks for the members of a unit that ends is; each is half
/// as long again as the one before, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long killed processes may take to go: one that waits for a disk takes its time.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// One process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its id.
    pub pid: i32,
    /// Its start time in clock ticks since boot; with the id, it names one process of this boot.
    pub start: u64,
    /// The id of its parent.
    pub parent: i32,
    /// The id of its group.
    pub group: i32,
    /// The id of its session.
    pub session: i32,
    /// What it carries, when it is of this agent's.
    pub badge: Option<Badge>,
    /// It is of this agent's user, and what it carries may not be looked at.
    pub closed: bool,
}

impl Process {
    /// Whether it began a session of its own, as every unit's first process does.
    pub(super) fn leads(&self) -> bool {
        self.pid == self.session && self.pid == self.group
    }
}

/// Every process of this machine that runs and can be seen. Ended ones that nobody waited for yet
/// are left out.
///
/// # Errors
/// When `/proc` cannot be read: then nothing is known.
pub(super) fn all(issuer: &Issuer) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that went away meanwhile is none; one that may not be looked at is not ours.
        found.extend(look(pid, issuer));
    }
    Ok(found)
}

fn look(pid: i32, issuer: &Issuer) -> Option<Process> {
    // The name in it is cut after 15 bytes, which may be in the middle of a character.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (badge, closed) = match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) => (issuer.read(&environ), false),
        Err(error) => (None, error.kind() == io::ErrorKind::PermissionDenied && is_of_user(pid)),
    };
    Some(Process { closed, ..parse(pid, &stat, badge)? })
}

/// Whether a process is of this agent's own user.
fn is_of_user(pid: i32) -> bool {
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next());
    // SAFETY: plain system call.
    user.and_then(|user| user.parse().ok()) == Some(unsafe { libc::getuid() })
}

fn parse(pid: i32, stat: &str, badge: Option<Badge>) -> Option<Process> {
    // The name is in parentheses and may hold anything, parentheses too; what follows does not.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let id = |at: usize| fields.get(at)?.parse::<i32>().ok();
    if ["Z", "X", "x"].contains(fields.first()?) {
        return None;
    }
    let start = fields.get(19)?.parse().ok()?;
    let (parent, group, session) = (id(1)?, id(2)?, id(3)?);
    Some(Process { pid, start, parent, group, session, badge, closed: false })
}

/// By what the processes of one unit are known.
#[derive(Debug, Clone)]
pub(super) struct Traces {
    /// Whose badges count.
    pub issuer: Issuer,
    /// The unit, as `web-0`.
    pub slug: String,
    /// The start; without it, every start of the unit.
    pub nonce: Option<String>,
    /// The first process, by id and start, while it runs or just after it ended: its session and
    /// group are the unit's. Once nobody of the unit is in them, the number may be somebody else's.
    pub leader: Option<(i32, u64)>,
    /// The unit's cgroup, where it has one.
    pub cgroup: Option<Cgroup>,
}

/// What was seen of a unit's members so far.
#[derive(Debug, Default)]
struct Known {
    /// By id and start.
    members: BTreeSet<(i32, u64)>,
    /// Whether anybody looked.
    looked: bool,
}

impl Known {
    fn has(&self, one: &Process) -> bool {
        self.members.contains(&(one.pid, one.start))
    }
}

impl Traces {
    /// The session and group that are the unit's. A number that somebody is in is given to no new
    /// process, so that it stays the unit's as long as a member is in it, and no longer.
    fn session(&self, all: &[Process], known: &Known) -> Option<i32> {
        let (pid, start) = self.leader?;
        let ours = match all.iter().find(|one| one.pid == pid) {
            Some(there) => there.start == start,
            None if !known.looked => true,
            None => {
                all.iter().any(|one| (one.session == pid || one.group == pid) && known.has(one))
            }
        };
        ours.then_some(pid)
    }

    /// The unit's among `all`. Children of members that were seen before are members although
    /// nothing else tells so.
    fn members(&self, all: &[Process], known: &Known) -> Vec<Process> {
        let session = self.session(all, known);
        let inside: BTreeSet<i32> = self.cgroup.iter().flat_map(Cgroup::processes).collect();
        let is_member = |one: &Process| {
            let badge = one.badge.as_ref().is_some_and(|badge| {
                badge.slug == self.slug
                    && self.nonce.as_ref().is_none_or(|nonce| *nonce == badge.nonce)
            });
            let near = session.is_some_and(|id| one.session == id || one.group == id);
            badge || near || inside.contains(&one.pid) || known.has(one)
        };
        let mut members: BTreeMap<i32, &Process> =
            all.iter().filter(|one| is_member(one)).map(|one| (one.pid, one)).collect();
        loop {
            let children = all.iter().filter(|one| {
                // A child that carries another badge is the first process of another unit.
                let foreign = one.badge.as_ref().is_some_and(|badge| badge.slug != self.slug);
                !members.contains_key(&one.pid) && members.contains_key(&one.parent) && !foreign
            });
            let children: Vec<_> = children.map(|one| (one.pid, one)).collect();
            if children.is_empty() {
                break;
            }
            members.extend(children);
        }
        // An agent that itself is a unit's process does not end itself.
        let me = i32::try_from(std::process::id()).unwrap_or(0);
        members.into_values().filter(|one| one.pid != me).cloned().collect()
    }

    /// Ends all of the unit: asks with `signal` and waits for `grace` where they are given, then
    /// kills. Returns the processes that did not end even so.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(super) async fn end(&self, polite: Option<(i32, Duration)>) -> io::Result<Vec<i32>> {
        let mut known = Known::default();
        if let Some((signal, grace)) = polite {
            let asked = self.find(&mut known)?;
            // The group is the unit's where a member is in it.
            let group = self.leader.map(|(id, _)| id);
            let group = group.filter(|id| asked.iter().any(|one| one.group == *id));
            let apart = |one: &&Process| group.is_none_or(|id| one.group != id);
            asked.iter().filter(apart).for_each(|one| send(one, signal));
            if let Some(group) = group {
                // At once, so that nobody in the group is asked twice or missed while it forks.
                // SAFETY: plain system call; when no member of the group lives, it finds nothing.
                unsafe { libc::kill(-group, signal) };
            }
            self.wait(&mut known, grace).await?;
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            // Whoever forks while it is killed is found in the next round.
            let left = self.find(&mut known)?;
            // Whoever is not seen from here, as in another process namespace, is counted there.
            let unseen = self.cgroup.as_ref().filter(|cgroup| cgroup.is_populated());
            match unseen {
                None if left.is_empty() => {
                    self.cgroup.iter().for_each(Cgroup::remove);
                    return Ok(Vec::new());
                }
                Some(cgroup) if left.is_empty() && Instant::now() > deadline => {
                    return Err(io::Error::other(format!(
                        "its cgroup {} is not empty",
                        cgroup.path().display()
                    )));
                }
                _ if Instant::now() > deadline => {
                    return Ok(left.iter().map(|one| one.pid).collect());
                }
                _ => {}
            }
            if let Some(cgroup) = &self.cgroup {
                cgroup.kill();
            }
            left.iter().for_each(|one| send(one, libc::SIGKILL));
            sleep(pause).await;
            pause = longer(pause);
        }
    }

    async fn wait(&self, known: &mut Known, grace: Duration) -> io::Result<()> {
        let deadline = Instant::now() + grace;
        let mut pause = FIRST_PAUSE;
        while self.is_there(known)? && Instant::now() < deadline {
            sleep(pause.min(grace)).await;
            pause = longer(pause);
        }
        Ok(())
    }

    fn is_there(&self, known: &mut Known) -> io::Result<bool> {
        Ok(!self.find(known)?.is_empty() || self.cgroup.as_ref().is_some_and(Cgroup::is_populated))
    }

    /// Whoever runs of the unit now.
    fn find(&self, known: &mut Known) -> io::Result<Vec<Process>> {
        let members = self.members(&all(&self.issuer)?, known);
        known.members.extend(members.iter().map(|one| (one.pid, one.start)));
        known.looked = true;
        Ok(members)
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE)
}

/// Signals one process, and no other that has its id by now.
fn send(process: &Process, signal: i32) {
    // SAFETY: plain system calls; the descriptor is owned by the value that closes it. From when it
    // is open it means one process, whose start is compared before it is signalled.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, process.pid, 0);
        let Ok(fd) = i32::try_from(fd) else { return };
        if fd < 0 {
            return;
        }
        let fd = OwnedFd::from_raw_fd(fd);
        if super::child::start_time(process.pid).is_ok_and(|(start, _)| start == process.start) {
            let none = std::ptr::null::<libc::siginfo_t>();
            libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Owner;

    fn process(pid: i32, parent: i32, session: i32, badge: Option<(&str, &str)>) -> Process {
        let badge = badge.map(|(slug, nonce)| Badge { slug: slug.into(), nonce: nonce.into() });
        Process { pid, start: 1, parent, group: session, session, badge, closed: false }
    }

    fn traces(nonce: Option<&str>, leader: Option<i32>) -> Traces {
        let leader = leader.map(|pid| (pid, 1));
        let owner = Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() };
        let issuer = Issuer::of(&owner, std::path::Path::new("/"));
        let nonce = nonce.map(str::to_owned);
        Traces { issuer, slug: "web-0".into(), nonce, leader, cgroup: None }
    }

    #[test]
    fn members_are_known_by_badge_by_session_and_as_children() {
        let all = [
            process(10, 1, 10, Some(("web-0", "a"))),
            process(11, 10, 10, None),
            // It called setsid, and its parent is gone.
            process(12, 1, 12, Some(("web-0", "a"))),
            // It has an environment of its own, and a member for a parent.
            process(13, 12, 13, None),
            process(14, 13, 13, None),
            // Others: an earlier start, another unit, another unit below this one, a stranger.
            process(20, 1, 20, Some(("web-0", "b"))),
            process(21, 1, 21, Some(("db-0", "a"))),
            process(22, 10, 22, Some(("db-0", "c"))),
            process(23, 1, 23, None),
        ];
        let pids = |traces: &Traces, known: &[(i32, u64)]| -> Vec<i32> {
            let known = Known { members: known.iter().copied().collect(), looked: false };
            traces.members(&all, &known).iter().map(|one| one.pid).collect()
        };
        assert_eq!(pids(&traces(Some("a"), Some(10)), &[]), [10, 11, 12, 13, 14]);
        assert_eq!(pids(&traces(Some("b"), None), &[]), [20]);
        assert_eq!(pids(&traces(Some("none"), Some(10)), &[]), [10, 11], "by session alone");
        assert_eq!(pids(&traces(None, None), &[]), [10, 11, 12, 13, 14, 20], "every start");
        assert_eq!(pids(&traces(Some("none"), None), &[(13, 1)]), [13, 14], "seen before");
        assert_eq!(pids(&traces(Some("none"), None), &[(13, 2)]), [0; 0], "another by that id");
    }

    #[test]
    fn a_session_whose_number_was_given_to_somebody_else_is_not_the_units() {
        let traces = traces(Some("none"), Some(10));
        let pids = |all: &[Process], known: &Known| -> Vec<i32> {
            traces.members(all, known).iter().map(|one| one.pid).collect()
        };
        let member = process(11, 1, 10, None);
        let fresh = Known::default();
        assert_eq!(pids(std::slice::from_ref(&member), &fresh), [11], "its leader just ended");
        let seen = Known { members: BTreeSet::from([(11, 1)]), looked: true };
        let forked = process(12, 1, 10, None);
        assert_eq!(pids(&[member.clone(), forked.clone()], &seen), [11, 12], "one is still in it");
        let gone = Known { members: BTreeSet::from([(10, 1), (13, 1)]), looked: true };
        assert_eq!(pids(&[forked], &gone), [0; 0], "nobody of the unit is in it");
        // Started later under the leader's number, with a child in its session.
        let foreign = [Process { start: 2, ..process(10, 1, 10, None) }, member];
        assert_eq!(pids(&foreign, &fresh), [0; 0]);
        assert_eq!(pids(&foreign, &gone), [0; 0]);
    }

    #[test]
    fn a_name_with_parentheses_and_the_dead_are_read_rightly() {
        let rest = "10 11 12 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0";
        let one = parse(13, &format!("13 (a) b (c)) S {rest}"), None).unwrap();
        assert_eq!((one.parent, one.group, one.session, one.start), (10, 11, 12, 777));
        assert_eq!(parse(13, &format!("13 (a) Z {rest}"), None), None);
        assert_eq!(parse(13, "13 (a) S 1", None), None);
    }
}
