//! From an indexed problem to its best placement, one level of the objective at a time, with a
//! bound beside each.
//!
//! Knows which method is tried when. Refuses to weigh one level against another, and to call
//! anything proven that a bound does not prove.

use super::{
    construct::{self, REPAIRS, STYLES, Style},
    ejection_chain, large_neighborhood, local,
};
use crate::place::{
    effort::spent::Spent,
    model::{index::IndexedProblem, partial::PartialPlacement},
    problem::Objective,
    program::{
        column_generation::Columns,
        formulation::{Formulation, Goal, Subproblem},
        relaxation::{self, Relaxation},
        solver::{self, Answer, Effort, Found},
    },
};

/// The best placement found, and what is known about better ones.
pub struct Solved<'f> {
    pub partial: PartialPlacement<'f>,
    /// Of each level: no placement that places as much above places more here.
    pub bounds: Vec<u32>,
    /// No placement that places as much has a lower price of moves.
    pub migration_bound: u64,
    /// No placement that places as much with as few moves has a lower score.
    pub score_bound: u64,
}

/// Pairs above which the score is not left to an integer program: its relaxation is weak, and
/// single shifts come as close.
const SCORE_PAIRS: usize = 400;

/// The score is last and gets this part of the search: its last per mille costs the most.
const SCORE_SHARE: u32 = 20;

/// Pairs above which the relaxation guides a greedy run: with many nodes of few kinds it knows
/// well what goes where.
const GUIDED_PAIRS: usize = 20_000;

/// What part of all instances, one in so many, is missing where a large fleet is placed anew and
/// not repaired.
const REPAIRABLE: u32 = 10;

/// Solves an indexed problem whose locks are settled. Of each level, `known` instances at most can
/// be placed.
pub fn solve<'f>(
    indexed: &'f IndexedProblem<'f>,
    known: Option<Vec<u32>>,
    spent: &mut Spent<'_>,
) -> Solved<'f> {
    let mut partial = first(indexed, spent);
    let bounds = place(&mut partial, known, spent);
    let mut solved = Solved { partial, bounds, migration_bound: 0, score_bound: 0 };
    let Solved { partial, migration_bound, score_bound, .. } = &mut solved;
    if indexed.problem.limits.rebalance {
        score(partial, None, score_bound, spent);
        let cap = partial.score();
        moves(partial, Some(cap), migration_bound, spent);
    } else {
        moves(partial, None, migration_bound, spent);
        let cap = partial.moves().1;
        score(partial, Some(cap), score_bound, spent);
    }
    // What moved for the score may have left room; filling it breaks no bound.
    if !partial.missing_none() {
        let order = construct::order(indexed, construct::Order::FewestCandidates);
        construct::fill(partial, &order, REPAIRS[0]);
    }
    solved
}

/// The same without a thought for moves and score: enough to see what can be placed.
pub fn placed<'f>(indexed: &'f IndexedProblem<'f>, spent: &mut Spent<'_>) -> PartialPlacement<'f> {
    let mut partial = first(indexed, spent);
    place(&mut partial, None, spent);
    partial
}

/// The best of the greedy runs; among equals the one that moves least. While something runs, only
/// repairs of it, since anything from nothing moves nearly all of it; and of these only the
/// gentlest where little is missing, since making room mostly does for that.
fn first<'f>(indexed: &'f IndexedProblem<'f>, spent: &mut Spent<'_>) -> PartialPlacement<'f> {
    let mut best = construct::run(indexed, REPAIRS[0]);
    if !indexed.problem.limits.rebalance
        && (indexed.wanted() == best.placed() || !cold_start(&best))
    {
        return best;
    }
    let others: &[Style] = if runs(indexed) { &REPAIRS[1..] } else { &STYLES };
    take_better_of(&mut best, others, spent);
    best
}

fn take_better_of(best: &mut PartialPlacement<'_>, styles: &[Style], spent: &mut Spent<'_>) {
    for style in styles {
        if !spent.go_on(best) {
            return;
        }
        let partial = construct::run(best.indexed, *style);
        take_better(best, partial);
    }
}

/// Whether anything of it runs.
fn runs(indexed: &IndexedProblem<'_>) -> bool {
    indexed.services.iter().any(|service| service.running() > 0)
}

fn take_better<'f>(best: &mut PartialPlacement<'f>, mut partial: PartialPlacement<'f>) {
    local::return_home(&mut partial);
    if partial.sound() && partial.rank().beats(&best.rank()) {
        *best = partial;
    }
}

/// Places as much as possible, level by level. Returns the bound of each.
fn place(
    best: &mut PartialPlacement<'_>,
    known: Option<Vec<u32>>,
    spent: &mut Spent<'_>,
) -> Vec<u32> {
    let bounded = known.is_some();
    let mut bounds = known.unwrap_or_else(|| relaxation::alone(best.indexed));
    if best.placed() != bounds
        && best.indexed.pairs() > GUIDED_PAIRS
        && cold_start(best)
        && spent.go_on(best)
        && let Some(partial) = guided(best, spent)
    {
        take_better(best, partial);
    }
    let mut relaxation = None;
    let mut columns = if bounded { None } else { Columns::new(best.indexed) };
    let all_tried = cold_start(best) || best.indexed.problem.limits.rebalance;
    let mut repairs = if all_tried { &[][..] } else { &REPAIRS[1..] };
    // Where little is missing, making room is quicker than knowing how much there could be, and
    // no level waits for the bound of another.
    if !cold_start(best) {
        for (level, bound) in bounds.iter().enumerate() {
            if best.placed()[level] < *bound {
                chain_more(best, level, *bound, ejection_chain::BRIEF, spent);
            }
        }
    }
    for (level, bound) in bounds.iter_mut().enumerate() {
        if best.placed()[level] < *bound {
            take_better_of(best, std::mem::take(&mut repairs), spent);
        }
        if best.placed()[level] < *bound
            && !bounded
            && spent.go_on(best)
            && let Some(most) = relaxation::nearby(best, level, spent)
        {
            *bound = (*bound).min(most).max(best.placed()[level]);
        }
        if best.placed()[level] < *bound && !bounded && spent.go_on(best) {
            let relaxed = relaxation.get_or_insert_with(|| Relaxation::new(best.indexed, false));
            for above in 0..level {
                relaxed.floor(above, best.placed()[above]);
            }
            if let Some(most) = relaxed.most_placed(level, spent) {
                *bound = (*bound).min(most).max(best.placed()[level]);
            }
        }
        if best.placed()[level] < *bound
            && spent.go_on(best)
            && let Some(columns) = &mut columns
        {
            place_mix(best, level, bound, columns, spent);
        }
        if best.placed()[level] < *bound && spent.go_on(best) {
            place_level(best, level, bound, spent);
        }
    }
    bounds
}

/// Places what the best mix of whole fillings comes to, rounded.
fn place_mix<'f>(
    best: &mut PartialPlacement<'f>,
    level: usize,
    bound: &mut u32,
    columns: &mut Columns<'f>,
    spent: &mut Spent<'_>,
) {
    columns.learn(best);
    let placed = best.placed();
    if let Some(most) = columns.generate(level, &placed, spent) {
        *bound = (*bound).min(most).max(placed[level]);
    }
    if placed[level] == *bound || !spent.go_on(best) {
        return;
    }
    let Some(mut partial) = columns.partial(level, best, spent) else {
        return;
    };
    construct::tidy(&mut partial);
    for order in [construct::Order::LargestOfAll, construct::Order::LargestFirst] {
        construct::fill(&mut partial, &construct::order(best.indexed, order), REPAIRS[1]);
    }
    construct::tidy(&mut partial);
    for level in 0..=level {
        ejection_chain::place_more(&mut partial, level, ejection_chain::THOROUGH, &mut |_| {
            spent.go_on(best)
        });
    }
    take_better(best, partial);
}

/// Whether so little runs that there is nothing to repair.
fn cold_start(best: &PartialPlacement<'_>) -> bool {
    let wanted: u32 = best.indexed.wanted().iter().sum();
    let missing = wanted - best.placed().iter().sum::<u32>();
    !runs(best.indexed) || missing > wanted / REPAIRABLE
}

/// From the quickest way to the dearest, until the bound is met.
fn place_level<'f>(
    best: &mut PartialPlacement<'f>,
    level: usize,
    bound: &mut u32,
    spent: &mut Spent<'_>,
) {
    let indexed = best.indexed;
    let open = |best: &PartialPlacement<'_>, bound: u32| best.placed()[level] < bound;
    if open(best, *bound) {
        let keep_devices = !cold_start(best) && indexed.forced().0 == 0;
        let steps = if keep_devices { ejection_chain::REPAIR } else { ejection_chain::THOROUGH };
        chain_more(best, level, *bound, steps, spent);
    }
    if open(best, *bound) && whole(indexed) {
        place_whole(best, level, bound, spent);
    } else if open(best, *bound) && indexed.pairs() <= GUIDED_PAIRS {
        large_neighborhood::place_more(best, level, *bound, spent);
    }
}

fn chain_more(
    best: &mut PartialPlacement<'_>,
    level: usize,
    bound: u32,
    steps: u32,
    spent: &mut Spent<'_>,
) {
    let before = best.clone();
    let mut go_on =
        |partial: &PartialPlacement<'_>| partial.placed()[level] < bound && spent.go_on(partial);
    ejection_chain::place_more(best, level, steps, &mut go_on);
    if !best.sound() {
        *best = before;
    }
}

/// What a relaxation that places as much as can be, and that evenly, comes to when it is rounded:
/// in a large fleet with few kinds of nodes and services little is lost by that.
fn guided<'f>(best: &PartialPlacement<'f>, spent: &mut Spent<'_>) -> Option<PartialPlacement<'f>> {
    let indexed = best.indexed;
    let mut relaxed = Relaxation::new(indexed, false);
    let levels = 0..indexed.levels.len();
    for level in levels.clone() {
        let most = relaxed.most_placed(level, spent)?;
        relaxed.floor(level, most);
    }
    relaxed.least_score(spent)?;
    let mut partial = construct::guided(indexed, &relaxed.shares());
    for round in 0..2 {
        for level in levels.clone() {
            ejection_chain::place_more(&mut partial, level, ejection_chain::THOROUGH, &mut |_| {
                spent.go_on(best)
            });
        }
        if round == 0 {
            local::improve(&mut partial, true);
            construct::fill(
                &mut partial,
                &construct::order(indexed, construct::Order::LargestFirst),
                REPAIRS[1],
            );
        }
    }
    Some(partial)
}

/// Whether the whole indexed problem goes into one formulation.
fn whole(indexed: &IndexedProblem<'_>) -> bool {
    indexed.pairs() <= indexed.problem.limits.whole_pairs
}

fn floors(placed: &[u32], levels: usize) -> Vec<(usize, u32)> {
    placed.iter().copied().enumerate().take(levels).collect()
}

fn place_whole(
    best: &mut PartialPlacement<'_>,
    level: usize,
    bound: &mut u32,
    spent: &mut Spent<'_>,
) {
    let mut weights = vec![0; best.indexed.levels.len()];
    weights[level] = 1;
    let goal = Goal::Place { weights, keep: false };
    let placed = best.placed();
    let Some(step) = run_whole(best, goal, floors(&placed, level), (None, None), spent) else {
        return;
    };
    let most = (-step.bound + 1e-5).floor().max(0.0) as u32;
    let mut partial = step.partial;
    let order = construct::order(partial.indexed, construct::Order::FewestCandidates);
    construct::fill(&mut partial, &order, REPAIRS[0]);
    if step.proven {
        *bound = (*bound).min(most).max(partial.placed()[level].max(placed[level]));
    }
    if partial.rank().beats(&best.rank()) {
        *best = partial;
    }
}

/// Moves as little as possible, with as much placed.
fn moves(
    best: &mut PartialPlacement<'_>,
    score_cap: Option<u64>,
    bound: &mut u64,
    spent: &mut Spent<'_>,
) {
    *bound = best.indexed.forced().1;
    best.keep_devices();
    if best.moves().1 == *bound {
        return;
    }
    if score_cap.is_none() {
        let mut partial = best.clone();
        local::return_home(&mut partial);
        local::leave_in_peace(&mut partial);
        if partial.rank().beats(&best.rank()) {
            *best = partial;
        }
    }
    if best.moves().1 == *bound {
        return;
    }
    if !whole(best.indexed) {
        if score_cap.is_none() {
            large_neighborhood::move_less(best, *bound, spent);
        }
        return;
    }
    let all = floors(&best.placed(), best.indexed.levels.len());
    if let Some(step) = run_whole(best, Goal::Moves, all, (None, score_cap), spent) {
        if step.partial.rank().beats(&best.rank()) {
            *best = step.partial;
        }
        // A price is a whole number, and the relaxation may be just below one.
        let least = (step.bound - 1e-4).ceil().max(0.0) as u64;
        if step.proven {
            *bound = (*bound).max(least).min(best.moves().1);
        }
    }
}

/// The best score, with as much placed and, given a cap, with moves as cheap.
fn score(
    best: &mut PartialPlacement<'_>,
    migration_cap: Option<u64>,
    bound: &mut u64,
    spent: &mut Spent<'_>,
) {
    let indexed = best.indexed;
    let hold = migration_cap.is_some();
    let forced_only = best.moves().1 == indexed.forced().1;
    let nothing_free = (0..indexed.services.len())
        .all(|s| best.of_service[s].iter().all(|(&node, &count)| best.staying(s, node) == count));
    if hold && nothing_free && forced_only && best.missing_none() {
        *bound = best.score();
        return;
    }
    let before = best.clone();
    if indexed.problem.objective == Objective::Pack {
        ejection_chain::vacate(best, hold);
    }
    local::polish(best, hold, &mut |partial| spent.go_on(partial));
    best.keep_devices();
    if migration_cap.is_some_and(|cap| best.moves().1 > cap) {
        *best = before;
    }
    if whole(indexed) && indexed.pairs() <= SCORE_PAIRS {
        let all = floors(&best.placed(), indexed.levels.len());
        if let Some(step) = run_whole(best, Goal::Score, all, (migration_cap, None), spent) {
            if step.partial.rank().beats(&best.rank()) {
                *best = step.partial;
            }
            if step.proven {
                *bound = best.score();
                return;
            }
            // Every node's score is rounded down twice.
            let rounding = 2 * indexed.nodes.len() as u64;
            *bound = ((step.bound * 1e6).max(0.0) as u64).saturating_sub(rounding);
        }
    }
    let least = relaxed_score(best, hold && forced_only, spent);
    *bound = least.max(*bound).min(best.score());
}

/// No placement that places as much has a lower score, whatever moves.
pub fn least_score(best: &PartialPlacement<'_>, spent: &mut Spent<'_>) -> u64 {
    relaxed_score(best, false, spent).min(best.score())
}

fn relaxed_score(best: &PartialPlacement<'_>, keep: bool, spent: &mut Spent<'_>) -> u64 {
    if !spent.go_on(best) {
        return 0;
    }
    let mut relaxed = Relaxation::new(best.indexed, keep);
    for (level, placed) in best.placed().into_iter().enumerate() {
        relaxed.floor(level, placed);
    }
    relaxed.least_score(spent).unwrap_or(0)
}

/// What came of one formulation.
pub struct Step<'f> {
    pub partial: PartialPlacement<'f>,
    /// In the unit of the goal: instances (negative), price, score.
    pub bound: f64,
    pub proven: bool,
}

fn run_whole<'f>(
    best: &PartialPlacement<'f>,
    goal: Goal,
    floors: Vec<(usize, u32)>,
    (migration_cap, score_cap): (Option<u64>, Option<u64>),
    spent: &mut Spent<'_>,
) -> Option<Step<'f>> {
    let nodes = (0..best.indexed.nodes.len()).collect();
    let detailed = spent.detailed.clone();
    let subproblem =
        Subproblem { partial: best, nodes, floors, migration_cap, score_cap, detailed, goal };
    let nodes = best.indexed.problem.limits.search_nodes;
    let nodes = if subproblem.goal == Goal::Score { nodes / SCORE_SHARE } else { nodes };
    run(subproblem, nodes, spent)
}

/// Solves one formulation, telling the devices of a node apart where their sum is not enough, or
/// where who is on them has a price.
pub fn run<'f>(
    mut subproblem: Subproblem<'_, 'f>,
    nodes: u32,
    spent: &mut Spent<'_>,
) -> Option<Step<'f>> {
    let limits = &subproblem.partial.indexed.problem.limits;
    loop {
        if spent.ilps >= limits.ilps || !spent.go_on(subproblem.partial) {
            return None;
        }
        spent.ilps += 1;
        let formulation = Formulation::new(&subproblem);
        let start = formulation.mip_start(&subproblem, subproblem.partial);
        let seconds = spent.seconds();
        let gap = if formulation.whole { solver::WHOLE } else { solver::EXACT };
        let effort = Effort { solver: limits.solver, nodes, gap, seconds };
        let answer = solver::solve(&formulation.model, effort, start.as_deref());
        spent.cut_short |= answer.is_late();
        let Answer::Found(found) = answer else {
            return None;
        };
        spent.solvers.insert(found.by);
        let partial = formulation.decode(&subproblem, &found.values);
        let priced = subproblem.goal == Goal::Moves || subproblem.migration_cap.is_some();
        let unpacked = |n: &usize| {
            let rough = !partial.devices_packed(*n) || priced && partial.restarts_on(*n) > 0;
            rough && !subproblem.detailed.contains(n)
        };
        let unpacked: Vec<usize> = subproblem.nodes.iter().copied().filter(unpacked).collect();
        if unpacked.is_empty() {
            return partial.sound().then(|| step(&formulation, &subproblem, partial, &found));
        }
        spent.detailed.extend(unpacked.iter().copied());
        subproblem.detailed.extend(unpacked);
    }
}

fn step<'f>(
    formulation: &Formulation,
    subproblem: &Subproblem<'_, 'f>,
    partial: PartialPlacement<'f>,
    found: &Found,
) -> Step<'f> {
    let bound = match subproblem.goal {
        Goal::Moves => formulation.price_of(subproblem, found.bound),
        Goal::Place { .. } | Goal::DualValue(_) | Goal::Score => found.bound,
    };
    Step { partial, bound, proven: found.optimal && formulation.exact }
}
