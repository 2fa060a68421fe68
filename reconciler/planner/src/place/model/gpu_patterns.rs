//! The ways to fill one device with shares.
//!
//! Knows sizes and how many of each there are. Refuses to know which services they belong to.
//!
//! The relaxation needs them: sums of shares say that 1,078 shares of 81 % fit with as many of 20
//! %, and no device holds two of each. Where there are too many patterns, sizes are rounded down,
//! which still bounds the truth.

/// Patterns at most; with more the sizes are told apart less finely.
const MANY: usize = 3_000;

/// Steps at most of one enumeration.
const STEPS: usize = 100_000;

/// Parts of a device that sizes are rounded down to where there are too many patterns.
const GRIDS: [u64; 6] = [200, 100, 60, 40, 24, 12];

/// Every set of shares that fits on one device and to which nothing can be added, as counts in the
/// order of `sizes`. Sizes come ascending, each with how many there are. Where there are too many
/// sets, shares are taken for a little smaller than they are, which only lets more of them fit:
/// what is relaxed that way still bounds the truth. Nothing where even that is not enough.
pub(crate) fn maximal(sizes: &[(u64, u64)], device: u64) -> Option<Vec<Vec<u64>>> {
    if sizes.is_empty() {
        return None;
    }
    exact(sizes, device).or_else(|| GRIDS.iter().find_map(|&grid| coarse(sizes, device, grid)))
}

fn exact(sizes: &[(u64, u64)], device: u64) -> Option<Vec<Vec<u64>>> {
    let mut search =
        Search { sizes, counts: vec![0; sizes.len()], found: Vec::new(), steps: STEPS };
    search.descend(sizes.len(), device).then_some(search.found)
}

fn coarse(sizes: &[(u64, u64)], device: u64, grid: u64) -> Option<Vec<Vec<u64>>> {
    let unit = (device / grid).max(1);
    let slot = |size: u64| size / unit;
    let mut groups: Vec<(u64, u64)> = Vec::new();
    for &(size, number) in sizes {
        match groups.last_mut().filter(|group| group.0 == slot(size)) {
            Some(group) => group.1 += number,
            None => groups.push((slot(size), number)),
        }
    }
    // What rounds to nothing takes nothing: it would fit without end.
    let free = groups.first().is_some_and(|group| group.0 == 0);
    let told = if free { &groups[1..] } else { &groups[..] };
    let found = exact(told, device.div_ceil(unit))?;
    let spread = |pattern: Vec<u64>| -> Vec<u64> {
        let count = |&(size, number): &(u64, u64)| {
            let at = told.iter().position(|group| group.0 == slot(size));
            at.map_or(number, |at| pattern[at])
        };
        sizes.iter().map(count).collect()
    };
    Some(found.into_iter().map(spread).collect())
}

struct Search<'a> {
    sizes: &'a [(u64, u64)],
    counts: Vec<u64>,
    found: Vec<Vec<u64>>,
    steps: usize,
}

impl Search<'_> {
    /// The largest first. Whether the limits were kept.
    pub(super) fn descend(&mut self, at: usize, left: u64) -> bool {
        if self.steps == 0 || self.found.len() > MANY {
            return false;
        }
        self.steps -= 1;
        if at == 0 {
            let more = self.sizes.iter().zip(&self.counts);
            if !more.clone().any(|(&(size, number), &count)| count < number && size <= left) {
                self.found.push(self.counts.clone());
            }
            return true;
        }
        let (size, number) = self.sizes[at - 1];
        let most = left.checked_div(size).unwrap_or(number).min(number);
        let done = (0..=most).rev().all(|count| {
            self.counts[at - 1] = count;
            self.descend(at - 1, left - count * size)
        });
        self.counts[at - 1] = 0;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_full_sets_are_found_once() {
        let found = maximal(&[(3, 9), (4, 1), (6, 2)], 10).unwrap();
        assert_eq!(found, [[0, 1, 1], [1, 0, 1], [2, 1, 0], [3, 0, 0]]);
        assert!(maximal(&[], 10).is_none());
    }

    #[test]
    fn too_many_sets_are_told_apart_less_finely_and_never_hold_less() {
        let sizes: Vec<(u64, u64)> = (1..60).map(|i| (i * 1_001, 50)).collect();
        assert!(exact(&sizes, 100_000).is_none());
        let found = maximal(&sizes, 100_000).unwrap();
        assert!(!found.is_empty() && found.len() <= MANY + 1);
        // A pair that really fits lies within some set.
        let holds = |p: &Vec<u64>| p[39] >= 1 && p[58] >= 1;
        assert!(found.iter().any(holds));
    }
}
