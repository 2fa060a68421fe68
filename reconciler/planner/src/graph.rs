//! A small directed graph of numbered things, kept free of circles on request.
//!
//! Knows edges and order. Refuses to know what the numbers stand for.

use std::collections::BTreeSet;

/// Which number comes before which.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    before: Vec<BTreeSet<usize>>,
    after: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// `count` numbers and no edge.
    pub(crate) fn new(count: usize) -> Self {
        Self { before: vec![BTreeSet::new(); count], after: vec![BTreeSet::new(); count] }
    }

    /// `first` comes before `then`, whatever that leads to.
    pub(crate) fn add(&mut self, first: usize, then: usize) {
        if first != then {
            self.after[first].insert(then);
            self.before[then].insert(first);
        }
    }

    /// `first` comes before `then`, unless that would close a circle.
    pub(crate) fn wish(&mut self, first: usize, then: usize) {
        if first != then && !self.after[first].contains(&then) && !self.leads(then, first) {
            self.add(first, then);
        }
    }

    /// What has to come directly before it.
    pub(crate) fn before(&self, number: usize) -> impl Iterator<Item = usize> {
        self.before[number].iter().copied()
    }

    /// Whether the edges go round.
    pub(crate) fn has_circle(&self) -> bool {
        self.order().len() < self.before.len()
    }

    /// Every number after all that come before it, the lowest first where there is a choice.
    /// Numbers on a circle, and those behind it, are left out.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut ready: BTreeSet<usize> =
            (0..missing.len()).filter(|&number| missing[number] == 0).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(number) = ready.pop_first() {
            order.push(number);
            for &next in &self.after[number] {
                missing[next] -= 1;
                if missing[next] == 0 {
                    ready.insert(next);
                }
            }
        }
        order
    }

    fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(number) = open.pop() {
            if number == to {
                return true;
            }
            open.extend(self.after[number].iter().copied().filter(|&next| seen.insert(next)));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_give_way_to_circles_and_order_takes_the_lowest_first() {
        let mut graph = Graph::new(4);
        graph.add(3, 0);
        graph.wish(0, 2);
        graph.wish(2, 3);
        assert!(!graph.has_circle());
        assert_eq!(graph.order(), [1, 3, 0, 2]);
        graph.add(2, 3);
        assert!(graph.has_circle());
        assert_eq!(graph.order(), [1]);
    }
}
