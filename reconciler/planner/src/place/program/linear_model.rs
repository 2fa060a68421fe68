//! A program in sparse rows, to be minimised.
//!
//! Knows columns, rows, and whether a point keeps them. Refuses to know what they mean.
//!
//! Both solvers are fed from this one form, and what they answer is held against it again. HiGHS
//! drops a starting point that misses a row without a word, so it is looked at first.

/// A program to be minimised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

/// One variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub lower: f64,
    pub upper: f64,
    pub integer: bool,
    pub cost: f64,
}

/// `lower <= terms <= upper`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub terms: Vec<(usize, f64)>,
    pub lower: f64,
    pub upper: f64,
}

/// How far a starting point may miss a row before it is withheld.
const TOLERANCE: f64 = 1e-6;

impl Model {
    pub(crate) fn column(&mut self, lower: f64, upper: f64, integer: bool) -> usize {
        self.columns.push(Column { lower, upper, integer, cost: 0.0 });
        self.columns.len() - 1
    }

    pub(crate) fn row(&mut self, terms: Vec<(usize, f64)>, lower: f64, upper: f64) {
        if !terms.is_empty() {
            self.rows.push(Row { terms, lower, upper });
        }
    }

    pub(crate) fn at_most(&mut self, terms: Vec<(usize, f64)>, upper: f64) {
        self.row(terms, f64::NEG_INFINITY, upper);
    }

    /// The objective at a point.
    pub(crate) fn objective(&self, values: &[f64]) -> f64 {
        self.columns.iter().zip(values).map(|(column, value)| column.cost * value).sum()
    }

    /// Whether a point keeps every bound and row. HiGHS drops a starting point that does not
    /// without a word, so it is looked at before it is handed over.
    pub(crate) fn admits(&self, values: &[f64]) -> bool {
        values.len() == self.columns.len()
            && self.columns.iter().zip(values).all(|(column, &value)| {
                within(value, column.lower, column.upper, value.abs())
                    && (!column.integer || (value - value.round()).abs() <= TOLERANCE)
            })
            && self.rows.iter().all(|row| {
                let parts = || row.terms.iter().map(|&(column, factor)| factor * values[column]);
                let size = parts().map(f64::abs).sum();
                within(parts().sum(), row.lower, row.upper, size)
            })
    }

    /// Whole columns to whole numbers: solvers are off by a little.
    pub(super) fn rounded(&self, mut values: Vec<f64>) -> Vec<f64> {
        for (column, value) in self.columns.iter().zip(&mut values) {
            if column.integer {
                *value = value.round();
            }
        }
        values
    }

    #[cfg(feature = "highs")]
    pub(super) fn has_integers(&self) -> bool {
        self.columns.iter().any(|column| column.integer)
    }
}

fn within(value: f64, lower: f64, upper: f64, size: f64) -> bool {
    let slack = TOLERANCE * (1.0 + size);
    value >= lower - slack && value <= upper + slack
}
