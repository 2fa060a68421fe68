//! From a field to its best placement, one level of the objective at a time, with a bound beside
//! each.
//!
//! Knows which method is tried when. Refuses to weigh one level against another, and to call
//! anything proven that a bound does not prove.

use super::{
    board::Board,
    bound::{self, Relaxation},
    chain,
    columns::Columns,
    counts::{Aim, Program, Scope},
    field::Field,
    greedy::{self, REPAIRS, STYLES, Style},
    neighbourhood,
    problem::Objective,
    search,
    solve::{self, Answer, Effort, Found},
    work::Work,
};

/// The best board found, and what is known about better ones.
pub struct Solved<'f> {
    pub board: Board<'f>,
    /// Of each level: no placement that places as much above places more here.
    pub bounds: Vec<u32>,
    /// No placement that places as much has a lower price of moves.
    pub price_bound: u64,
    /// No placement that places as much with as few moves has a lower score.
    pub cost_bound: u64,
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

/// Solves a field whose locks are settled. Of each level, `known` instances at most can be placed.
pub fn solve<'f>(field: &'f Field<'f>, known: Option<Vec<u32>>, work: &mut Work<'_>) -> Solved<'f> {
    let mut board = first(field, work);
    let bounds = place(&mut board, known, work);
    let mut solved = Solved { board, bounds, price_bound: 0, cost_bound: 0 };
    let Solved { board, price_bound, cost_bound, .. } = &mut solved;
    if field.problem.limits.rebalance {
        score(board, None, cost_bound, work);
        let cap = board.cost();
        moves(board, Some(cap), price_bound, work);
    } else {
        moves(board, None, price_bound, work);
        let cap = board.moves().1;
        score(board, Some(cap), cost_bound, work);
    }
    // What moved for the score may have left room; filling it breaks no bound.
    if !board.missing_none() {
        let order = greedy::order(field, greedy::Order::Picky);
        greedy::fill(board, &order, REPAIRS[0]);
    }
    solved
}

/// The same without a thought for moves and score: enough to see what can be placed.
pub fn placed<'f>(field: &'f Field<'f>, work: &mut Work<'_>) -> Board<'f> {
    let mut board = first(field, work);
    place(&mut board, None, work);
    board
}

/// The best of the greedy runs; among equals the one that moves least. While something runs, only
/// repairs of it, since anything from nothing moves nearly all of it; and of these only the
/// gentlest where little is missing, since making room mostly does for that.
fn first<'f>(field: &'f Field<'f>, work: &mut Work<'_>) -> Board<'f> {
    let mut best = greedy::run(field, REPAIRS[0]);
    if !field.problem.limits.rebalance && (field.wanted() == best.placed() || !afresh(&best)) {
        return best;
    }
    let others: &[Style] = if runs(field) { &REPAIRS[1..] } else { &STYLES };
    take_better_of(&mut best, others, work);
    best
}

fn take_better_of(best: &mut Board<'_>, styles: &[Style], work: &mut Work<'_>) {
    for style in styles {
        if !work.go_on(best) {
            return;
        }
        let board = greedy::run(best.field, *style);
        take_better(best, board);
    }
}

/// Whether anything of it runs.
fn runs(field: &Field<'_>) -> bool {
    field.services.iter().any(|service| service.running() > 0)
}

fn take_better<'f>(best: &mut Board<'f>, mut board: Board<'f>) {
    search::return_home(&mut board);
    if board.sound() && board.rank().beats(&best.rank()) {
        *best = board;
    }
}

/// Places as much as possible, level by level. Returns the bound of each.
fn place(best: &mut Board<'_>, known: Option<Vec<u32>>, work: &mut Work<'_>) -> Vec<u32> {
    let bounded = known.is_some();
    let mut bounds = known.unwrap_or_else(|| bound::alone(best.field));
    if best.placed() != bounds
        && best.field.pairs() > GUIDED_PAIRS
        && afresh(best)
        && work.go_on(best)
        && let Some(board) = guided(best, work)
    {
        take_better(best, board);
    }
    let mut relaxation = None;
    let mut columns = if bounded { None } else { Columns::new(best.field) };
    let all_tried = afresh(best) || best.field.problem.limits.rebalance;
    let mut repairs = if all_tried { &[][..] } else { &REPAIRS[1..] };
    // Where little is missing, making room is quicker than knowing how much there could be, and
    // no level waits for the bound of another.
    if !afresh(best) {
        for (level, bound) in bounds.iter().enumerate() {
            if best.placed()[level] < *bound {
                chain_more(best, level, *bound, chain::BRIEF, work);
            }
        }
    }
    for (level, bound) in bounds.iter_mut().enumerate() {
        if best.placed()[level] < *bound {
            take_better_of(best, std::mem::take(&mut repairs), work);
        }
        if best.placed()[level] < *bound
            && !bounded
            && work.go_on(best)
            && let Some(most) = bound::nearby(best, level, work)
        {
            *bound = (*bound).min(most).max(best.placed()[level]);
        }
        if best.placed()[level] < *bound && !bounded && work.go_on(best) {
            let relaxed = relaxation.get_or_insert_with(|| Relaxation::new(best.field, false));
            for above in 0..level {
                relaxed.floor(above, best.placed()[above]);
            }
            if let Some(most) = relaxed.most_placed(level, work) {
                *bound = (*bound).min(most).max(best.placed()[level]);
            }
        }
        if best.placed()[level] < *bound
            && work.go_on(best)
            && let Some(columns) = &mut columns
        {
            place_mix(best, level, bound, columns, work);
        }
        if best.placed()[level] < *bound && work.go_on(best) {
            place_level(best, level, bound, work);
        }
    }
    bounds
}

/// Places what the best mix of whole fillings comes to, rounded.
fn place_mix<'f>(
    best: &mut Board<'f>,
    level: usize,
    bound: &mut u32,
    columns: &mut Columns<'f>,
    work: &mut Work<'_>,
) {
    columns.learn(best);
    let placed = best.placed();
    if let Some(most) = columns.generate(level, &placed, work) {
        *bound = (*bound).min(most).max(placed[level]);
    }
    if placed[level] == *bound || !work.go_on(best) {
        return;
    }
    let Some(mut board) = columns.board(level, best, work) else {
        return;
    };
    greedy::tidy(&mut board);
    for order in [greedy::Order::LargeOfAll, greedy::Order::Large] {
        greedy::fill(&mut board, &greedy::order(best.field, order), REPAIRS[1]);
    }
    greedy::tidy(&mut board);
    for level in 0..=level {
        chain::place_more(&mut board, level, chain::THOROUGH, &mut |_| work.go_on(best));
    }
    take_better(best, board);
}

/// Whether so little runs that there is nothing to repair.
fn afresh(best: &Board<'_>) -> bool {
    let wanted: u32 = best.field.wanted().iter().sum();
    let missing = wanted - best.placed().iter().sum::<u32>();
    !runs(best.field) || missing > wanted / REPAIRABLE
}

/// From the quickest way to the dearest, until the bound is met.
fn place_level<'f>(best: &mut Board<'f>, level: usize, bound: &mut u32, work: &mut Work<'_>) {
    let field = best.field;
    let open = |best: &Board<'_>, bound: u32| best.placed()[level] < bound;
    if open(best, *bound) {
        let calm = !afresh(best) && field.forced().0 == 0;
        let steps = if calm { chain::REPAIR } else { chain::THOROUGH };
        chain_more(best, level, *bound, steps, work);
    }
    if open(best, *bound) && whole(field) {
        place_whole(best, level, bound, work);
    } else if open(best, *bound) && field.pairs() <= GUIDED_PAIRS {
        neighbourhood::place_more(best, level, *bound, work);
    }
}

fn chain_more(best: &mut Board<'_>, level: usize, bound: u32, steps: u32, work: &mut Work<'_>) {
    let before = best.clone();
    let mut go_on = |board: &Board<'_>| board.placed()[level] < bound && work.go_on(board);
    chain::place_more(best, level, steps, &mut go_on);
    if !best.sound() {
        *best = before;
    }
}

/// What a relaxation that places as much as can be, and that evenly, comes to when it is rounded:
/// in a large fleet with few kinds of nodes and services little is lost by that.
fn guided<'f>(best: &Board<'f>, work: &mut Work<'_>) -> Option<Board<'f>> {
    let field = best.field;
    let mut relaxed = Relaxation::new(field, false);
    let levels = 0..field.levels.len();
    for level in levels.clone() {
        let most = relaxed.most_placed(level, work)?;
        relaxed.floor(level, most);
    }
    relaxed.least_cost(work)?;
    let mut board = greedy::guided(field, &relaxed.shares());
    for round in 0..2 {
        for level in levels.clone() {
            chain::place_more(&mut board, level, chain::THOROUGH, &mut |_| work.go_on(best));
        }
        if round == 0 {
            search::improve(&mut board, true);
            greedy::fill(&mut board, &greedy::order(field, greedy::Order::Large), REPAIRS[1]);
        }
    }
    Some(board)
}

/// Whether the whole field goes into one program.
fn whole(field: &Field<'_>) -> bool {
    field.pairs() <= field.problem.limits.whole_pairs
}

fn floors(placed: &[u32], levels: usize) -> Vec<(usize, u32)> {
    placed.iter().copied().enumerate().take(levels).collect()
}

fn place_whole(best: &mut Board<'_>, level: usize, bound: &mut u32, work: &mut Work<'_>) {
    let mut weights = vec![0; best.field.levels.len()];
    weights[level] = 1;
    let aim = Aim::Place { weights, keep: false };
    let placed = best.placed();
    let Some(step) = run_whole(best, aim, floors(&placed, level), (None, None), work) else {
        return;
    };
    let most = (-step.bound + 1e-5).floor().max(0.0) as u32;
    let mut board = step.board;
    let order = greedy::order(board.field, greedy::Order::Picky);
    greedy::fill(&mut board, &order, REPAIRS[0]);
    if step.proven {
        *bound = (*bound).min(most).max(board.placed()[level].max(placed[level]));
    }
    if board.rank().beats(&best.rank()) {
        *best = board;
    }
}

/// Moves as little as possible, with as much placed.
fn moves(best: &mut Board<'_>, cost_cap: Option<u64>, bound: &mut u64, work: &mut Work<'_>) {
    *bound = best.field.forced().1;
    best.calm();
    if best.moves().1 == *bound {
        return;
    }
    if cost_cap.is_none() {
        let mut board = best.clone();
        search::return_home(&mut board);
        search::leave_in_peace(&mut board);
        if board.rank().beats(&best.rank()) {
            *best = board;
        }
    }
    if best.moves().1 == *bound {
        return;
    }
    if !whole(best.field) {
        if cost_cap.is_none() {
            neighbourhood::move_less(best, *bound, work);
        }
        return;
    }
    let all = floors(&best.placed(), best.field.levels.len());
    if let Some(step) = run_whole(best, Aim::Moves, all, (None, cost_cap), work) {
        if step.board.rank().beats(&best.rank()) {
            *best = step.board;
        }
        // A price is a whole number, and the relaxation may be just below one.
        let least = (step.bound - 1e-4).ceil().max(0.0) as u64;
        if step.proven {
            *bound = (*bound).max(least).min(best.moves().1);
        }
    }
}

/// The best score, with as much placed and, given a cap, with moves as cheap.
fn score(best: &mut Board<'_>, price_cap: Option<u64>, bound: &mut u64, work: &mut Work<'_>) {
    let field = best.field;
    let hold = price_cap.is_some();
    let forced_only = best.moves().1 == field.forced().1;
    let nothing_free = (0..field.services.len())
        .all(|s| best.of_service[s].iter().all(|(&node, &count)| best.kept(s, node) == count));
    if hold && nothing_free && forced_only && best.missing_none() {
        *bound = best.cost();
        return;
    }
    let before = best.clone();
    if field.problem.objective == Objective::Pack {
        chain::vacate(best, hold);
    }
    search::polish(best, hold, &mut |board| work.go_on(board));
    best.calm();
    if price_cap.is_some_and(|cap| best.moves().1 > cap) {
        *best = before;
    }
    if whole(field) && field.pairs() <= SCORE_PAIRS {
        let all = floors(&best.placed(), field.levels.len());
        if let Some(step) = run_whole(best, Aim::Score, all, (price_cap, None), work) {
            if step.board.rank().beats(&best.rank()) {
                *best = step.board;
            }
            if step.proven {
                *bound = best.cost();
                return;
            }
            // Every node's score is rounded down twice.
            let rounding = 2 * field.nodes.len() as u64;
            *bound = ((step.bound * 1e6).max(0.0) as u64).saturating_sub(rounding);
        }
    }
    let least = relaxed_cost(best, hold && forced_only, work);
    *bound = least.max(*bound).min(best.cost());
}

/// No placement that places as much has a lower score, whatever moves.
pub fn least_cost(best: &Board<'_>, work: &mut Work<'_>) -> u64 {
    relaxed_cost(best, false, work).min(best.cost())
}

fn relaxed_cost(best: &Board<'_>, keep: bool, work: &mut Work<'_>) -> u64 {
    if !work.go_on(best) {
        return 0;
    }
    let mut relaxed = Relaxation::new(best.field, keep);
    for (level, placed) in best.placed().into_iter().enumerate() {
        relaxed.floor(level, placed);
    }
    relaxed.least_cost(work).unwrap_or(0)
}

/// What came of one program.
pub struct Step<'f> {
    pub board: Board<'f>,
    /// In the unit of the aim: instances (negative), price, score.
    pub bound: f64,
    pub proven: bool,
}

fn run_whole<'f>(
    best: &Board<'f>,
    aim: Aim,
    floors: Vec<(usize, u32)>,
    (price_cap, cost_cap): (Option<u64>, Option<u64>),
    work: &mut Work<'_>,
) -> Option<Step<'f>> {
    let nodes = (0..best.field.nodes.len()).collect();
    let detailed = work.detailed.clone();
    let scope = Scope { board: best, nodes, floors, price_cap, cost_cap, detailed, aim };
    let nodes = best.field.problem.limits.search_nodes;
    let nodes = if scope.aim == Aim::Score { nodes / SCORE_SHARE } else { nodes };
    run(scope, nodes, work)
}

/// Solves one program, telling the devices of a node apart where their sum is not enough, or where
/// who is on them has a price.
pub fn run<'f>(mut scope: Scope<'_, 'f>, nodes: u32, work: &mut Work<'_>) -> Option<Step<'f>> {
    let limits = &scope.board.field.problem.limits;
    loop {
        if work.ilps >= limits.ilps || !work.go_on(scope.board) {
            return None;
        }
        work.ilps += 1;
        let program = Program::new(&scope);
        let start = program.write(&scope, scope.board);
        let seconds = work.seconds();
        let gap = if program.whole { solve::WHOLE } else { solve::EXACT };
        let effort = Effort { solver: limits.solver, nodes, gap, seconds };
        let answer = solve::solve(&program.model, effort, start.as_deref());
        work.cut_short |= answer.is_late();
        let Answer::Found(found) = answer else {
            return None;
        };
        work.solvers.insert(found.by);
        let board = program.read(&scope, &found.values);
        let priced = scope.aim == Aim::Moves || scope.price_cap.is_some();
        let unpacked = |n: &usize| {
            let rough = !board.devices_packed(*n) || priced && board.restarts_on(*n) > 0;
            rough && !scope.detailed.contains(n)
        };
        let unpacked: Vec<usize> = scope.nodes.iter().copied().filter(unpacked).collect();
        if unpacked.is_empty() {
            return board.sound().then(|| step(&program, &scope, board, &found));
        }
        work.detailed.extend(unpacked.iter().copied());
        scope.detailed.extend(unpacked);
    }
}

fn step<'f>(program: &Program, scope: &Scope<'_, 'f>, board: Board<'f>, found: &Found) -> Step<'f> {
    let bound = match scope.aim {
        Aim::Moves => program.price_of(scope, found.bound),
        Aim::Place { .. } | Aim::Worth(_) | Aim::Score => found.bound,
    };
    Step { board, bound, proven: found.optimal && program.exact }
}
