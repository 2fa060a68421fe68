//! Rows of whole numbers: sizes in units small enough for the tolerances of a solver.
//!
//! Knows arithmetic. Refuses to know which constraint a row serves.
//!
//! Solvers compare with a tolerance of a millionth, and memory is counted in bytes. Sizes are
//! divided by their common divisor; only where they stay too large are they rounded, to the safe
//! side, and then nothing is called proven.

use devnet_schema::quantity::GpuRequest;

use crate::place::{
    ix::ServiceIx,
    model::{gpu_request, index::IndexedProblem},
};

/// `terms <= upper`.
pub(crate) struct Row {
    pub terms: Vec<(usize, f64)>,
    pub upper: f64,
    /// No size was rounded.
    pub exact: bool,
}

/// Whole numbers up to here are far coarser than a solver's tolerance of a millionth.
const RANGE: u64 = 1 << 22;

/// `Σ size · column <= capacity`. Sizes are divided by what divides them all, the capacity is
/// rounded down, so that nothing is lost; only where the numbers stay too large are sizes rounded
/// up, which never admits too much but may admit too little.
pub(crate) fn knapsack(sizes: &[(usize, u64)], capacity: u64) -> Row {
    let (unit, exact) = coarse(sizes.iter().map(|&(_, size)| size));
    let terms = sizes.iter().map(|&(c, size)| (c, size.div_ceil(unit) as f64)).collect();
    Row { terms, upper: (capacity / unit) as f64, exact }
}

/// A unit in which all sizes are whole numbers within [`RANGE`], and whether that needed rounding.
fn coarse(sizes: impl Iterator<Item = u64> + Clone) -> (u64, bool) {
    let divisor = sizes.clone().fold(0, common).max(1);
    let largest = sizes.max().unwrap_or(1);
    if largest / divisor <= RANGE { (divisor, true) } else { (largest.div_ceil(RANGE), false) }
}

fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}

/// A unit for prices, the same way.
pub(crate) fn unit(prices: impl Iterator<Item = u64> + Clone) -> f64 {
    coarse(prices).0 as f64
}

/// Whole devices that one instance takes; nothing for one that shares.
pub(crate) fn devices_each(need: GpuRequest) -> Option<u32> {
    match need {
        GpuRequest::Whole(count) => Some(count),
        GpuRequest::None => Some(0),
        GpuRequest::Share(_) | GpuRequest::Memory(_) => None,
    }
}

/// The rows of one kind of device: whole uses and shared devices within what there is, loads
/// within the shared devices, and cuts for loads of which only so many fit on one device
/// (dual-feasible functions; the solver's own cuts do not find them). With `instances` the
/// column of a whole use counts instances, else devices.
pub(crate) fn devices(
    indexed: &IndexedProblem<'_>,
    memory: u64,
    devices: f64,
    shared: usize,
    users: &[(ServiceIx, usize)],
    instances: bool,
) -> Vec<Row> {
    let mut there = vec![(shared, 1.0)];
    let mut loads: Vec<(usize, u64)> = Vec::new();
    for &(service, column) in users {
        let need = indexed.services[service].input.gpu;
        match devices_each(need) {
            Some(each) => there.push((column, if instances { f64::from(each) } else { 1.0 })),
            None => loads.push((column, gpu_request::load(need, memory))),
        }
    }
    let mut rows = vec![Row { terms: there, upper: devices, exact: true }];
    if loads.is_empty() {
        return rows;
    }
    let size = gpu_request::size(memory);
    let (unit, exact) = coarse(loads.iter().map(|&(_, load)| load));
    let mut terms: Vec<(usize, f64)> =
        loads.iter().map(|&(c, load)| (c, load.div_ceil(unit) as f64)).collect();
    terms.push((shared, -((size / unit) as f64)));
    rows.push(Row { terms, upper: 0.0, exact });
    for q in 1..=3u64 {
        let cut = |&(c, load): &(usize, u64)| {
            let share = u128::from(load) * u128::from(q + 1);
            let times = share.div_ceil(u128::from(size)).saturating_sub(1);
            (c, times as f64)
        };
        let mut terms: Vec<(usize, f64)> =
            loads.iter().map(cut).filter(|&(_, times)| times > 0.0).collect();
        if !terms.is_empty() {
            terms.push((shared, -(q as f64)));
            rows.push(Row { terms, upper: 0.0, exact: true });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_exact_where_a_common_unit_exists() {
        let row = knapsack(&[(0, 512 << 20), (1, 3 << 30)], (8 << 30) + 17);
        assert!(row.exact);
        assert_eq!((row.terms, row.upper), (vec![(0, 1.0), (1, 6.0)], 16.0));
    }

    #[test]
    fn odd_sizes_are_rounded_to_the_safe_side() {
        let row = knapsack(&[(0, (2 << 30) + 1)], 8 << 30);
        assert!(row.exact, "one size is its own unit");
        assert_eq!(row.upper, 3.0);
        let row = knapsack(&[(0, (2 << 30) + 1), (1, 1)], 8 << 30);
        assert!(!row.exact);
        assert!(4.0 * row.terms[0].1 > row.upper);
    }
}
