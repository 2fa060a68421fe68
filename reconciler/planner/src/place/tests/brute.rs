//! The best placement by trying every one.

use crate::place::{
    board::{FULL, crowding},
    field::Field,
    problem::{Objective, PlacementProblem},
    settled,
};

/// The best there is: placed at each level, price of moves, score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    pub placed: Vec<u32>,
    pub price: u64,
    pub cost: u64,
}

/// Tries every placement that keeps the constraints and the locks.
pub fn best(problem: &PlacementProblem) -> Best {
    let field = settled(problem);
    let replicas: Vec<usize> = field
        .services
        .iter()
        .enumerate()
        .flat_map(|(s, service)| std::iter::repeat_n(s, service.input.replicas as usize))
        .collect();
    let mut search = Search {
        field: &field,
        replicas,
        counts: vec![vec![0; field.nodes.len()]; field.services.len()],
        best: None,
    };
    search.descend(0, 0);
    search.best.expect("placing nothing but what is locked is a placement")
}

struct Search<'f> {
    field: &'f Field<'f>,
    replicas: Vec<usize>,
    counts: Vec<Vec<u32>>,
    best: Option<Best>,
}

impl Search<'_> {
    /// Replicas of one service take ascending nodes; the last choice is none.
    fn descend(&mut self, at: usize, from: usize) {
        let Some(&s) = self.replicas.get(at) else {
            return self.consider();
        };
        for n in from..self.field.nodes.len() {
            self.counts[s][n] += 1;
            if self.node_ok(s, n) {
                self.descend(at + 1, if self.next_is(at, s) { n } else { 0 });
            }
            self.counts[s][n] -= 1;
        }
        let skip = self.replicas[at..].iter().take_while(|&&t| t == s).count();
        self.descend(at + skip, 0);
    }

    fn next_is(&self, at: usize, s: usize) -> bool {
        self.replicas.get(at + 1) == Some(&s)
    }

    /// What adding more can only make worse.
    fn node_ok(&self, s: usize, n: usize) -> bool {
        let field = self.field;
        let Some(cell) = field.services[s].cell(n) else {
            return false;
        };
        let here: Vec<usize> = (0..self.counts.len()).filter(|&t| self.counts[t][n] > 0).collect();
        let fits = (0..3).all(|r| {
            let used: u64 = here
                .iter()
                .map(|&t| u64::from(self.counts[t][n]) * field.services[t].need[r])
                .sum();
            used <= field.nodes[n].capacity[r]
        });
        let ports: Vec<usize> = here
            .iter()
            .flat_map(|&t| {
                std::iter::repeat_n(&field.services[t].ports, self.counts[t][n] as usize).flatten()
            })
            .copied()
            .collect();
        let mut unique = ports.clone();
        unique.sort_unstable();
        unique.dedup();
        let wanting: Vec<usize> = here
            .iter()
            .filter(|&&t| field.services[t].wants_gpu())
            .flat_map(|&t| std::iter::repeat_n(t, self.counts[t][n] as usize))
            .collect();
        let memories = &field.nodes[n].memories;
        let free: Vec<(u64, bool)> = memories.iter().map(|&m| (m.max(1) * 1000, true)).collect();
        self.counts[s][n] <= cell.most
            && fits
            && unique.len() == ports.len()
            && !field.services[s].apart.iter().any(|&t| self.counts[t][n] > 0)
            && self.devices_ok(n, &wanting, free)
    }

    /// Every choice of devices, one instance after another. `free` holds what is left of each
    /// device and whether nobody is on it.
    fn devices_ok(&self, n: usize, wanting: &[usize], free: Vec<(u64, bool)>) -> bool {
        use devnet_schema::quantity::GpuRequest;
        let Some((&s, rest)) = wanting.split_first() else {
            return true;
        };
        let need = self.field.services[s].input.gpu;
        let allowed = self.field.services[s].cell(n).map_or(0, |cell| cell.allowed);
        let devices = free.len();
        (0u32..1 << devices).any(|set| {
            let chosen: Vec<usize> = (0..devices).filter(|d| set >> d & 1 == 1).collect();
            let number = match need {
                GpuRequest::Whole(count) => count as usize,
                _ => 1,
            };
            if chosen.len() != number || chosen.iter().any(|d| allowed >> d & 1 == 0) {
                return false;
            }
            let mut left = free.clone();
            for d in chosen {
                let memory = self.field.nodes[n].memories[d].max(1);
                let load = match need {
                    GpuRequest::None => 0,
                    GpuRequest::Whole(_) if !left[d].1 => return false,
                    GpuRequest::Whole(_) => memory * 1000,
                    GpuRequest::Share(milli) => memory * u64::from(milli),
                    GpuRequest::Memory(bytes) => bytes.0 * 1000,
                };
                if load > left[d].0 {
                    return false;
                }
                left[d] = (left[d].0 - load, false);
            }
            self.devices_ok(n, rest, left)
        })
    }

    fn consider(&mut self) {
        if !self.all_ok() {
            return;
        }
        let field = self.field;
        let mut placed = vec![0; field.levels.len()];
        let (mut price, mut cost) = (0, 0);
        for (s, service) in field.services.iter().enumerate() {
            let counts = &self.counts[s];
            placed[service.level] += counts.iter().sum::<u32>();
            let kept: u32 = service.cells.iter().map(|c| c.current.min(counts[c.node])).sum();
            price += u64::from(service.running() - kept) * service.price;
            cost +=
                service.cells.iter().map(|c| u64::from(counts[c.node]) * c.penalty).sum::<u64>();
        }
        cost += (0..field.nodes.len()).map(|n| self.node_cost(n)).sum::<u64>();
        let key = |best: &Best| {
            let rest = if field.problem.limits.rebalance {
                (best.cost, best.price)
            } else {
                (best.price, best.cost)
            };
            (best.placed.iter().map(|&p| std::cmp::Reverse(p)).collect::<Vec<_>>(), rest)
        };
        let new = Best { placed, price, cost };
        if self.best.as_ref().is_none_or(|old| key(&new) < key(old)) {
            self.best = Some(new);
        }
    }

    fn node_cost(&self, n: usize) -> u64 {
        let field = self.field;
        let used = |r: usize| -> u64 {
            let services = field.services.iter().zip(&self.counts);
            services.map(|(s, counts)| s.need[r] * u64::from(counts[n])).sum()
        };
        match field.problem.objective {
            Objective::Pack => u64::from(self.counts.iter().any(|counts| counts[n] > 0)) * FULL,
            Objective::Balance => {
                (0..2).map(|r| crowding(used(r), field.nodes[n].capacity[r])).sum()
            }
        }
    }

    /// What only the whole placement tells.
    fn all_ok(&self) -> bool {
        self.field.services.iter().enumerate().all(|(s, service)| {
            let counts = &self.counts[s];
            let near = (0..counts.len())
                .all(|n| counts[n] == 0 || service.near.iter().all(|&t| self.counts[t][n] > 0));
            let even = service.spread.iter().all(|line| {
                let domain = |d: usize| -> u32 {
                    (0..counts.len()).filter(|&n| line.domain[n] == d).map(|n| counts[n]).sum()
                };
                let low = line.open.iter().map(|&d| domain(d)).min();
                let high = (0..counts.len()).map(|n| domain(line.domain[n])).max().unwrap_or(0);
                low.is_none_or(|low| high <= low + line.skew)
            });
            let locks = service.cells.iter().all(|c| counts[c.node] >= c.locked);
            near && even && locks
        })
    }
}
