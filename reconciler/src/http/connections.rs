//! Who holds the listener's connections, and whose is ended when there are too many.
//!
//! Pure: no sockets and no clock. Knows three kinds: strangers, holders of keys, and agents with
//! certificates, each with room of its own, so that none of them can take the room of another.
//! Refuses to turn a stranger away at the door: whoever is right behind a thousand idle strangers
//! may hold a key, so the one who has waited longest goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

/// Files that are open beside connections: databases, mirrors, watches, the log.
const RESERVE: u64 = 256;
/// The most connections that are held, whatever the system allows.
const MOST: usize = 1 << 16;

/// How many connections may be held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of those who have shown neither a certificate nor a right key.
    pub strangers: usize,
    /// Of these, from one address (one /64 of IPv6).
    pub strangers_per_address: usize,
    /// Of those who have shown a right key.
    pub keyed: usize,
    /// Of these, from one address.
    pub keyed_per_address: usize,
    /// Of agents with certificates.
    pub agents: usize,
    /// Of these, with one node's certificate.
    pub per_node: usize,
}

impl Bounds {
    /// What a process may hold that may open `files` files. All kinds together never hold more.
    pub fn of(files: u64) -> Self {
        let most = usize::try_from(files.saturating_sub(RESERVE)).unwrap_or(MOST).clamp(64, MOST);
        let strangers = (most / 4).min(512);
        let keyed = (most / 4).min(2048);
        Self {
            strangers,
            strangers_per_address: (strangers / 2).min(64),
            keyed,
            keyed_per_address: (keyed / 2).min(256),
            agents: most - strangers - keyed,
            per_node: 8,
        }
    }

    /// All kinds together.
    pub fn most(&self) -> usize {
        self.strangers + self.keyed + self.agents
    }
}

/// There is no room for another connection of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many connections of this kind are open")]
pub(super) struct Full;

/// What a connection is known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Stranger,
    /// A key's public part: the first that came.
    Keyed(String),
    /// A node's id.
    Agent(String),
}

#[derive(Debug)]
struct Held<T> {
    from: IpAddr,
    kind: Kind,
    handle: T,
}

/// Every connection there is, each with what is needed to end it.
#[derive(Debug)]
pub(super) struct Connections<T> {
    bounds: Bounds,
    last: u64,
    held: BTreeMap<u64, Held<T>>,
    strangers: BTreeMap<IpAddr, BTreeSet<u64>>,
    keyed: BTreeMap<IpAddr, usize>,
    agents: BTreeMap<String, usize>,
}

impl<T> Connections<T> {
    /// None yet.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            last: 0,
            held: BTreeMap::new(),
            strangers: BTreeMap::new(),
            keyed: BTreeMap::new(),
            agents: BTreeMap::new(),
        }
    }

    /// A stranger comes from `from`. Gives its number, and the connection that has to end for it:
    /// the oldest of its own address when that has its share, else the oldest of the address with
    /// the most.
    pub(super) fn enter(&mut self, from: IpAddr, handle: T) -> (u64, Option<T>) {
        let from = network(from);
        let here = self.strangers.get(&from).map_or(0, BTreeSet::len);
        let crowded = if here >= self.bounds.strangers_per_address {
            Some(from)
        } else if self.strangers() >= self.bounds.strangers {
            self.strangers.iter().max_by_key(|(_, all)| all.len()).map(|(address, _)| *address)
        } else {
            None
        };
        let oldest = crowded.and_then(|from| self.strangers.get(&from)?.first().copied());
        let ended = oldest.and_then(|oldest| self.leave(oldest));
        self.last += 1;
        self.held.insert(self.last, Held { from, kind: Kind::Stranger, handle });
        self.strangers.entry(from).or_default().insert(self.last);
        (self.last, ended)
    }

    /// A connection has ended. Gives its handle, unless it was ended before.
    pub(super) fn leave(&mut self, number: u64) -> Option<T> {
        let Held { from, kind, handle } = self.held.remove(&number)?;
        match kind {
            Kind::Stranger => {
                if let Some(all) = self.strangers.get_mut(&from) {
                    all.remove(&number);
                    if all.is_empty() {
                        self.strangers.remove(&from);
                    }
                }
            }
            Kind::Keyed(_) => drop_one(&mut self.keyed, &from),
            Kind::Agent(id) => drop_one(&mut self.agents, &id),
        }
        Some(handle)
    }

    /// The right key with this public part came over this connection.
    ///
    /// # Errors
    /// When there is no room for one more holder of a key, in all or from this address.
    pub(super) fn keyed(&mut self, number: u64, key: &str) -> Result<(), Full> {
        let Some((from, Kind::Stranger)) = self.held.get(&number).map(|h| (h.from, h.kind.clone()))
        else {
            return Ok(());
        };
        let here = self.keyed.get(&from).copied().unwrap_or(0);
        let all: usize = self.keyed.values().sum();
        if here >= self.bounds.keyed_per_address || all >= self.bounds.keyed {
            return Err(Full);
        }
        self.become_known(number, Kind::Keyed(key.to_owned()));
        *self.keyed.entry(from).or_default() += 1;
        Ok(())
    }

    /// The keys that hold connections.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        let keys = self.held.values().filter_map(|held| match &held.kind {
            Kind::Keyed(key) => Some(key.clone()),
            Kind::Stranger | Kind::Agent(_) => None,
        });
        keys.collect()
    }

    /// The connections that the key with this public part holds.
    pub(super) fn of_key(&self, key: &str) -> impl Iterator<Item = &T> {
        let of_key = move |held: &&Held<T>| matches!(&held.kind, Kind::Keyed(own) if own == key);
        self.held.values().filter(of_key).map(|held| &held.handle)
    }

    /// The handshake showed the certificate of the node with this id.
    ///
    /// # Errors
    /// When there is no room for one more agent, in all or of this node.
    pub(super) fn agent(&mut self, number: u64, id: &str) -> Result<(), Full> {
        let of_node = self.agents.get(id).copied().unwrap_or(0);
        let keyed: usize = self.keyed.values().sum();
        let all = self.held.len() - self.strangers() - keyed;
        if of_node >= self.bounds.per_node || all >= self.bounds.agents {
            return Err(Full);
        }
        self.become_known(number, Kind::Agent(id.to_owned()));
        *self.agents.entry(id.to_owned()).or_default() += 1;
        Ok(())
    }

    fn become_known(&mut self, number: u64, kind: Kind) {
        if let Some(held) = self.held.get_mut(&number) {
            held.kind = kind;
            let from = held.from;
            if let Some(all) = self.strangers.get_mut(&from) {
                all.remove(&number);
                if all.is_empty() {
                    self.strangers.remove(&from);
                }
            }
        }
    }

    /// How many strangers there are.
    pub(super) fn strangers(&self) -> usize {
        self.strangers.values().map(BTreeSet::len).sum()
    }
}

fn drop_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What counts as one address. Whoever has an IPv6 address has at least 2^64 of them.
pub(super) fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Bounds = Bounds {
        strangers: 6,
        strangers_per_address: 3,
        keyed: 3,
        keyed_per_address: 2,
        agents: 3,
        per_node: 2,
    };

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn a_crowd_from_one_address_loses_its_oldest_and_nobody_elses() {
        let mut all = Connections::new(SMALL);
        let (quiet, none) = all.enter(ip(1), "quiet");
        assert_eq!(none, None);
        let ended: Vec<_> = (0..1000).filter_map(|_| all.enter(ip(2), "loud").1).collect();
        assert_eq!((ended.len(), all.held.len()), (997, 4));
        assert!(ended.iter().all(|who| *who == "loud"));
        assert_eq!(all.leave(quiet), Some("quiet"));
    }

    #[test]
    fn when_all_room_is_taken_the_address_with_most_gives_way() {
        let mut all = Connections::new(SMALL);
        for (from, who) in [(1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e"), (3, "f")] {
            assert_eq!(all.enter(ip(from), who).1, None);
        }
        assert_eq!(all.enter(ip(4), "g").1, Some("a"));
        assert_eq!(all.strangers(), 6);
    }

    #[test]
    fn those_who_are_known_are_never_ended_for_strangers() {
        let mut all = Connections::new(SMALL);
        let (key, _) = all.enter(ip(1), "key");
        all.keyed(key, "k").unwrap();
        all.keyed(key, "k").unwrap();
        assert_eq!((all.of_key("k").count(), all.of_key("other").count()), (1, 0));
        let (agent, _) = all.enter(ip(1), "agent");
        all.agent(agent, "n1").unwrap();
        for _ in 0..100 {
            let (_, ended) = all.enter(ip(1), "stranger");
            assert!(ended.is_none_or(|who| who == "stranger"));
        }
        assert_eq!(all.held.len(), 5);
        assert_eq!((all.leave(key), all.leave(agent)), (Some("key"), Some("agent")));
        assert_eq!(all.leave(key), None);
    }

    #[test]
    fn keys_have_room_by_address_and_agents_by_node() {
        let mut all = Connections::new(SMALL);
        let keyed = |all: &mut Connections<()>, from| {
            let (number, _) = all.enter(ip(from), ());
            all.keyed(number, "k").map(|()| number)
        };
        let first = keyed(&mut all, 1).unwrap();
        keyed(&mut all, 1).unwrap();
        assert_eq!(keyed(&mut all, 1), Err(Full), "two from one address");
        keyed(&mut all, 2).unwrap();
        assert_eq!(keyed(&mut all, 3), Err(Full), "three in all");
        all.leave(first);
        keyed(&mut all, 3).unwrap();
        let agent = |all: &mut Connections<()>, id| {
            let (number, _) = all.enter(ip(9), ());
            all.agent(number, id)
        };
        assert_eq!([agent(&mut all, "a"), agent(&mut all, "a")], [Ok(()), Ok(())]);
        assert_eq!(agent(&mut all, "a"), Err(Full));
        assert_eq!([agent(&mut all, "b"), agent(&mut all, "c")], [Ok(()), Err(Full)]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_mapped_ipv4_is_ipv4() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("::ffff:10.0.0.1", "::ffff:10.0.0.2"));
    }

    #[test]
    fn bounds_fit_the_files_that_may_be_open() {
        for files in [0, 100, 1024, 4096, 524_288, u64::MAX] {
            let bounds = Bounds::of(files);
            let Bounds { strangers, strangers_per_address, keyed, keyed_per_address, .. } = bounds;
            assert!(strangers >= strangers_per_address && strangers_per_address >= 8, "{files}");
            assert!(keyed >= keyed_per_address && keyed_per_address >= 8, "{files}");
            assert!(bounds.agents >= bounds.strangers, "{files}");
            if files > 1000 {
                assert!(bounds.most() as u64 + 200 <= files, "{files}");
            }
        }
        assert_eq!(Bounds::of(1024).most(), 768);
    }
}
