//! First placements, in milliseconds: what runs now, repaired, and some from nothing.
//!
//! Knows orders and rules of thumb. Refuses to claim that any of it is good.

use std::{collections::BTreeSet, iter::repeat_n};

use devnet_schema::quantity::GpuRequest;

use super::{
    board::{Board, FULL},
    bound::Share,
    field::Field,
};

/// How a greedy run chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Start from what runs now.
    pub repair: bool,
    pub order: Order,
    pub choice: Choice,
}

/// Which service of a level comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The one with the fewest nodes to choose from.
    Picky,
    /// The one that takes most of a node.
    Large,
    /// The same, whatever the level: what takes many devices finds them together only as long as
    /// nothing small stands on them.
    LargeOfAll,
}

/// Which of the nodes that fit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Where the score grows least.
    Score,
    /// Where least is left over.
    Tight,
}

/// Greedy runs from what runs now, the gentlest first.
pub const REPAIRS: [Style; 2] = [
    Style { repair: true, order: Order::Picky, choice: Choice::Score },
    Style { repair: true, order: Order::Large, choice: Choice::Tight },
];

/// Greedy runs from nothing.
pub const STYLES: [Style; 4] = [
    Style { repair: false, order: Order::LargeOfAll, choice: Choice::Tight },
    Style { repair: false, order: Order::Picky, choice: Choice::Score },
    Style { repair: false, order: Order::Large, choice: Choice::Score },
    Style { repair: false, order: Order::Large, choice: Choice::Tight },
];

/// One greedy run. Every board it returns keeps every constraint, except that a service with
/// instances that must stay may be out of order; [`broken_lock`] tells.
pub fn run<'f>(field: &'f Field<'f>, style: Style) -> Board<'f> {
    let mut board = locked(field);
    let order = order(field, style.order);
    if style.repair {
        keep(&mut board, &order);
        tidy(&mut board);
    }
    fill(&mut board, &order, style);
    tidy(&mut board);
    board
}

/// A greedy run that first puts what a relaxation puts where, rounded down, and then what is left
/// wherever it fits.
pub fn guided<'f>(field: &'f Field<'f>, shares: &[Share]) -> Board<'f> {
    let mut board = locked(field);
    keep(&mut board, &order(field, Order::Large));
    tidy(&mut board);
    let order = order(field, Order::LargeOfAll);
    let mut of_service: Vec<Vec<&Share>> = vec![Vec::new(); field.services.len()];
    shares.iter().for_each(|share| of_service[share.s].push(share));
    let style = Style { repair: true, order: Order::LargeOfAll, choice: Choice::Tight };
    for s in order {
        for share in &of_service[s] {
            let here: u32 = share.nodes.iter().map(|&n| board.count(s, n)).sum();
            let most = (share.count + 1e-6) as u32;
            place_some(&mut board, s, &share.nodes, most.saturating_sub(here), style);
        }
        // What rounding left out would find no devices together later.
        if matches!(field.services[s].input.gpu, GpuRequest::Whole(2..)) {
            place_all(&mut board, s, style);
        }
    }
    fill(&mut board, &self::order(field, Order::Large), style);
    tidy(&mut board);
    board
}

/// Only what must stay, and of that as little as can be: as it is where that will do.
fn locked<'f>(field: &'f Field<'f>) -> Board<'f> {
    let mut board = Board::empty(field);
    for s in bound_to_stay(field) {
        for (&n, &count) in &field.services[s].locked {
            add_locked(&mut board, (s, n), count);
        }
    }
    board
}

/// The services of which something must stay, in the order in which [`settle_locks`] looks at them.
fn bound_to_stay(field: &Field<'_>) -> Vec<usize> {
    let mut order = order(field, Order::Picky);
    order.retain(|&s| !field.services[s].locked.is_empty());
    order
}

/// Adds of a service so many as must stay on a node, as far as they fit. Returns how many do.
fn add_locked(board: &mut Board<'_>, (s, n): (usize, usize), locked: u32) -> u32 {
    let field = board.field;
    let mut count = 0;
    for unit in field.kept_at(s, n).chain(repeat_n(s, locked as usize)) {
        if count < locked && board.fits_alone(unit, n) {
            board.add(unit, n);
            count += 1;
        }
    }
    count
}

/// The first service whose instances that must stay break a rule whatever is placed around them,
/// if any does.
pub fn broken_lock(field: &Field<'_>) -> Option<usize> {
    // Without `spread` and `near` nothing is ever out of order.
    let bound = |s: &usize| {
        let service = &field.services[*s];
        !service.spread.is_empty() || !service.near.is_empty()
    };
    let locked: Vec<usize> = (0..field.services.len())
        .filter(bound)
        .filter(|&s| !field.services[s].locked.is_empty())
        .collect();
    if locked.is_empty() {
        return None;
    }
    let board = run(field, REPAIRS[0]);
    locked.into_iter().find(|&s| !board.in_order(s))
}

/// Lets go of every lock that does not fit beside those of more important services, so that the
/// others can be relied on.
pub fn settle_locks(field: &mut Field<'_>) {
    // Service and node of each lock that is not kept in full, and what is kept of it.
    let mut broken: Vec<(usize, usize, u32)> = Vec::new();
    {
        let mut board = Board::empty(field);
        for s in bound_to_stay(field) {
            for (&n, &locked) in &field.services[s].locked {
                let count = add_locked(&mut board, (s, n), locked);
                broken.extend((count < locked).then_some((s, n, count)));
            }
        }
    }
    for (s, n, count) in broken {
        field.services[s].locked.insert(n, count);
    }
}

/// Services by level, then by the given order, then by number.
pub fn order(field: &Field<'_>, order: Order) -> Vec<usize> {
    let mut total = [1u128; 3];
    for node in &field.nodes {
        for (sum, capacity) in total.iter_mut().zip(node.capacity) {
            *sum += u128::from(capacity);
        }
    }
    let size = |s: usize| -> u128 {
        let need = field.services[s].need;
        (0..3).map(|r| u128::from(need[r]) * 1_000_000_000 / total[r]).sum()
    };
    let mut list: Vec<usize> = (0..field.services.len()).collect();
    let largest = field.nodes.iter().flat_map(|node| &node.memories).max().copied().unwrap_or(1);
    list.sort_by_key(|&s| {
        let service = &field.services[s];
        let choices = match order {
            Order::Picky => service.cells.len() as u64,
            Order::Large | Order::LargeOfAll => u64::MAX - devices(service.input.gpu, largest),
        };
        let level = if order == Order::LargeOfAll { 0 } else { service.level };
        // Few nodes have many devices together.
        let few = matches!(service.input.gpu, GpuRequest::Whole(2..));
        let nodes = if few { service.cells.len() } else { usize::MAX };
        (level, choices, nodes, std::cmp::Reverse(size(s)), s)
    });
    list
}

/// Thousandths of a device, roughly.
fn devices(need: GpuRequest, largest: u64) -> u64 {
    match need {
        GpuRequest::None => 0,
        GpuRequest::Whole(count) => 1000 * u64::from(count),
        GpuRequest::Share(milli) => u64::from(milli),
        GpuRequest::Memory(bytes) => bytes.0.saturating_mul(1000) / largest.max(1),
    }
}

/// Leaves what runs where it is, as far as it fits.
fn keep(board: &mut Board<'_>, order: &[usize]) {
    for &s in order {
        for cell in &board.field.services[s].cells {
            for _ in board.field.services[s].locked_at(cell.node)..cell.current {
                if board.missing(s) > 0 && board.fits_alone(s, cell.node) {
                    board.add(s, cell.node);
                }
            }
        }
    }
}

/// Takes away instances until `near` and `spread` hold everywhere, the less important first.
pub fn tidy(board: &mut Board<'_>) {
    let order: Vec<usize> = order(board.field, Order::Picky).into_iter().rev().collect();
    while let Some((s, node)) = order.iter().find_map(|&s| Some((s, offender(board, s)?))) {
        board.remove(s, node);
    }
}

/// An instance of a service that breaks a rule and may be taken away.
fn offender(board: &Board<'_>, s: usize) -> Option<usize> {
    let nodes = || board.of_service[s].keys().copied().filter(|&node| board.spare(s, node));
    if let Some(node) = nodes().find(|&node| !board.has_company(s, node)) {
        return Some(node);
    }
    for line in &board.field.services[s].spread {
        if board.skew_excess(s, line) == 0 {
            continue;
        }
        let counts = board.domains(s, line);
        let fullest = counts.values().copied().max()?;
        let full = |node: &usize| counts.get(&line.domain[*node]) == Some(&fullest);
        // A newcomer leaves before one that already ran there.
        let rank = |node: &usize| (board.kept(s, *node) == board.count(s, *node), *node);
        if let Some(node) = nodes().filter(full).min_by_key(rank) {
            return Some(node);
        }
    }
    None
}

/// Places what is missing, as far as it fits, without moving anything.
pub fn fill(board: &mut Board<'_>, order: &[usize], style: Style) {
    // A service may wait for another's company: go round until nothing changes.
    loop {
        let mut changed = false;
        for &s in order {
            changed |= place_all(board, s, style);
        }
        if !changed {
            return;
        }
    }
}

/// Places what is missing of one service, as far as it fits.
fn place_all(board: &mut Board<'_>, s: usize, style: Style) -> bool {
    let nodes: Vec<usize> = board.field.services[s].cells.iter().map(|cell| cell.node).collect();
    let grown = grow(board, s);
    place_some(board, s, &nodes, u32::MAX, style) || grown
}

/// Puts what is kept of a service as it is there as it is declared, where that fits.
fn grow(board: &mut Board<'_>, s: usize) -> bool {
    if board.field.services[s].keeps() {
        return false;
    }
    let kin = board.field.services[s].kin.iter().copied();
    let kept = kin.filter(|&kept| board.field.services[kept].keeps());
    let here = kept.flat_map(|kept| board.of_service[kept].keys().map(move |&node| (kept, node)));
    let here: Vec<(usize, usize)> = here.collect();
    let mut grown = false;
    for (kept, node) in here {
        let devices = board.devices(node);
        board.remove(kept, node);
        if board.fits(s, node) {
            board.add(s, node);
            grown = true;
        } else {
            board.add(kept, node);
            board.set_devices(node, devices);
        }
    }
    grown
}

/// The same on some nodes, and so many at most.
fn place_some(board: &mut Board<'_>, s: usize, nodes: &[usize], most: u32, style: Style) -> bool {
    let before = board.total[s];
    let service = &board.field.services[s];
    let even = service.spread.is_empty() && service.kin.is_empty();
    let mut candidates = BTreeSet::new();
    while board.missing(s) > 0 && board.total[s] - before < most {
        if candidates.is_empty() || !even {
            let fitting = nodes.iter().filter_map(|&node| candidate(board, s, node, style));
            candidates = fitting.collect();
        }
        let Some((_, node)) = candidates.pop_first() else {
            if !place_with_company(board, s) {
                break;
            }
            continue;
        };
        board.add(s, node);
        // Without these an instance changes what its own node offers and nothing else.
        candidates.extend(candidate(board, s, node, style));
        if candidates.is_empty() && board.field.services[s].near.is_empty() {
            break;
        }
    }
    board.total[s] > before
}

type Candidate = ((bool, u64), usize);

fn candidate(board: &Board<'_>, s: usize, node: usize, style: Style) -> Option<Candidate> {
    let current = board.field.services[s].cell(node)?.current;
    if !board.fits(s, node) {
        return None;
    }
    let home = style.repair && board.count(s, node) < current;
    Some(((!home, worth(board, s, node, style.choice)), node))
}

fn place_with_company(board: &mut Board<'_>, s: usize) -> bool {
    if board.field.services[s].near.is_empty() {
        return false;
    }
    let nodes: Vec<usize> = board.field.services[s].cells.iter().map(|cell| cell.node).collect();
    nodes.into_iter().any(|node| place_together(board, s, node))
}

/// Places a service on a node along with everything it must be near, circles included, or leaves
/// the board as it was.
fn place_together(board: &mut Board<'_>, s: usize, node: usize) -> bool {
    let (mut group, mut at) = (vec![s], 0);
    while at < group.len() {
        for &other in &board.field.services[group[at]].near {
            if board.present(other, node) == 0 && !group.contains(&other) {
                group.push(other);
            }
        }
        at += 1;
    }
    let mut added = Vec::new();
    for &member in group.iter().rev() {
        let fits = board.missing(member) > 0
            && board.fits_alone(member, node)
            && board.spread_admits(member, node);
        if !fits {
            break;
        }
        board.add(member, node);
        added.push(member);
    }
    let complete = added.len() == group.len();
    if !complete {
        added.into_iter().for_each(|member| board.remove(member, node));
    }
    complete
}

/// Lower is better.
fn worth(board: &Board<'_>, s: usize, node: usize, choice: Choice) -> u64 {
    let service = &board.field.services[s];
    match choice {
        Choice::Score => board.growth(s, node),
        Choice::Tight => {
            if service.wants_gpu() {
                // Devices are filled up, and cpu and memory last as long as they do.
                return board.waste(s, node) * 4 * FULL + board.growth(s, node);
            }
            let capacity = board.field.nodes[node].capacity;
            let left = |r: usize| {
                let left = capacity[r].saturating_sub(board.used[node][r]);
                let left = left.saturating_sub(service.need[r]);
                (u128::from(left) * u128::from(FULL) / u128::from(capacity[r].max(1))) as u64
            };
            let spared = 1000 * board.field.nodes[node].memories.len() as u64;
            spared * 4 * FULL + left(0) + left(1)
        }
    }
}
