//! Between boards and points of an integer program, both ways.
//!
//! Knows the value of every column for a board: a starting point must be complete, since solvers
//! take a missing value for 0. Refuses to judge either.

use std::collections::BTreeMap;

use super::{
    board::{Board, FULL, crowding},
    counts::{Meaning, Program, Scope, kinds},
    gpu, rows,
};

impl Program {
    /// The board that a solution means.
    pub fn read<'f>(&self, scope: &Scope<'_, 'f>, values: &[f64]) -> Board<'f> {
        let mut board = scope.board.clone();
        for &n in &scope.nodes {
            board.clear(n);
        }
        for (meaning, value) in self.meaning.iter().zip(values) {
            if let Meaning::Count { s, n } = *meaning {
                for _ in 0..value.round() as u32 {
                    board.add(s, n);
                }
            }
        }
        board
    }

    /// The value of every column for a board that keeps all constraints: a complete starting
    /// point, since solvers take a missing value for 0. Nothing where its devices cannot be told.
    pub fn write(&self, scope: &Scope<'_, '_>, board: &Board<'_>) -> Option<Vec<f64>> {
        let mut devices = BTreeMap::new();
        for &n in &scope.nodes {
            devices.extend(self.write_devices(scope, board, n)?);
        }
        let field = board.field;
        let value = |meaning: &Meaning| match *meaning {
            Meaning::Count { s, n } => f64::from(board.count(s, n)),
            Meaning::Kept { s, n } => f64::from(board.kept(s, n)),
            Meaning::Present { s, n } => f64::from(board.count(s, n).min(1)),
            Meaning::OnKind { .. }
            | Meaning::Shared { .. }
            | Meaning::AtHome { .. }
            | Meaning::Restarts { .. } => devices.get(meaning).copied().unwrap_or(0.0),
            Meaning::InUse { n } => f64::from(u8::from(!board.on_node[n].is_empty())),
            Meaning::Crowding { n, resource } => {
                let capacity = field.nodes[n].capacity[resource];
                // The integer score is rounded down; the row must not be missed by that.
                (crowding(board.used[n][resource], capacity) as f64 + 2.0) / FULL as f64
            }
            Meaning::Emptiest { s, line } => {
                let line = &field.services[s].spread[line];
                let counts = board.domains(s, line);
                let low = line.open.iter().map(|d| counts.get(d).copied().unwrap_or(0)).min();
                f64::from(low.unwrap_or(0))
            }
        };
        Some(self.meaning.iter().map(value).collect())
    }

    fn write_devices(
        &self,
        scope: &Scope<'_, '_>,
        board: &Board<'_>,
        n: usize,
    ) -> Option<Vec<(Meaning, f64)>> {
        let here = self.here(board.field, n);
        let wanting = here.iter().filter(|(s, ..)| board.field.services[*s].wants_gpu());
        let kinds = kinds(scope, n, wanting.map(|(_, _, cell)| cell.allowed));
        if !board.devices_packed(n) {
            return None;
        }
        let mut values: BTreeMap<Meaning, f64> = BTreeMap::new();
        let mut shared = 0u128;
        for &s in board.on_node[n].keys().filter(|s| board.field.services[**s].wants_gpu()) {
            let whole = rows::devices_each(board.field.services[s].input.gpu).is_some();
            let sets = board.devices_of(s, n);
            for d in
                sets.iter().flat_map(|set| (0..gpu::DEVICES).filter(move |d| set >> d & 1 == 1))
            {
                let kind = kinds.iter().position(|kind| kind.mask >> d & 1 == 1)?;
                *values.entry(Meaning::OnKind { s, n, kind }).or_insert(0.0) += 1.0;
                if !whole && shared >> d & 1 == 0 {
                    shared |= 1 << d;
                    *values.entry(Meaning::Shared { n, kind }).or_insert(0.0) += 1.0;
                }
            }
            let Some(homes) = board.field.services[s].homes.get(&n) else { continue };
            let mut at_home = 0;
            for (home, (set, many)) in homes.households().into_iter().enumerate() {
                let here = many.min(sets.iter().filter(|own| **own == set).count() as u32);
                values.insert(Meaning::AtHome { s, n, home }, f64::from(here));
                at_home += here;
            }
            let restarts = board.kept(s, n).saturating_sub(homes.strangers + at_home);
            values.insert(Meaning::Restarts { s, n }, f64::from(restarts));
        }
        Some(values.into_iter().collect())
    }
}
