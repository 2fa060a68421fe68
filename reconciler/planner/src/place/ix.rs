//! Positions of services and nodes, each of a type of its own, and lists that only they index.
//!
//! Knows numbers. Refuses to know what stands at them.
//!
//! A problem is indexed once, and from then on everything is a number. With plain numbers a service
//! could be passed where a node is meant, and no compiler would see it: `fits(node, service)`.

use std::{
    marker::PhantomData,
    ops::{Index, IndexMut},
};

/// What a position is of.
pub trait Position: Copy {
    fn at(number: usize) -> Self;
    fn number(self) -> usize;
}

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct $name(usize);

        impl Position for $name {
            fn at(number: usize) -> Self {
                Self(number)
            }

            fn number(self) -> usize {
                self.0
            }
        }
    };
}

position!(
    /// The position of a service, in the order of their keys.
    ServiceIx
);
position!(
    /// The position of a node, in the order of their names.
    NodeIx
);

/// One value for each service.
pub(super) type PerService<T> = PerPosition<ServiceIx, T>;
/// One value for each node.
pub(super) type PerNode<T> = PerPosition<NodeIx, T>;

/// One value for each position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerPosition<P, T> {
    values: Vec<T>,
    of: PhantomData<P>,
}

impl<P: Position, T> PerPosition<P, T> {
    /// The same value for so many positions.
    pub fn filled(value: T, count: usize) -> Self
    where
        T: Clone,
    {
        vec![value; count].into()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    /// All positions, ascending.
    pub fn positions(&self) -> impl DoubleEndedIterator<Item = P> + ExactSizeIterator + use<P, T> {
        (0..self.values.len()).map(P::at)
    }

    /// Every value with its position.
    pub fn enumerate(&self) -> impl Iterator<Item = (P, &T)> {
        self.values.iter().enumerate().map(|(number, value)| (P::at(number), value))
    }

    /// Every value with its position, to be changed.
    pub fn enumerate_mut(&mut self) -> impl Iterator<Item = (P, &mut T)> {
        self.values.iter_mut().enumerate().map(|(number, value)| (P::at(number), value))
    }

    /// The same, of values that are given away.
    pub fn into_enumerate(self) -> impl Iterator<Item = (P, T)> {
        self.values.into_iter().enumerate().map(|(number, value)| (P::at(number), value))
    }

    /// One value more, at the next position.
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// The first position whose value is meant.
    pub fn position(&self, meant: impl FnMut(&T) -> bool) -> Option<P> {
        self.values.iter().position(meant).map(P::at)
    }

    /// Where a value stands in a list that is sorted by what is compared.
    pub fn search(&self, compare: impl FnMut(&T) -> std::cmp::Ordering) -> Option<P> {
        self.values.binary_search_by(compare).ok().map(P::at)
    }
}

impl<P, T> Default for PerPosition<P, T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<P, T> IntoIterator for PerPosition<P, T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

impl<P, T> From<Vec<T>> for PerPosition<P, T> {
    fn from(values: Vec<T>) -> Self {
        Self { values, of: PhantomData }
    }
}

impl<P, T> FromIterator<T> for PerPosition<P, T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<T>>().into()
    }
}

impl<P: Position, T> Index<P> for PerPosition<P, T> {
    type Output = T;

    fn index(&self, at: P) -> &T {
        &self.values[at.number()]
    }
}

impl<P: Position, T> IndexMut<P> for PerPosition<P, T> {
    fn index_mut(&mut self, at: P) -> &mut T {
        &mut self.values[at.number()]
    }
}

impl<'a, P, T> IntoIterator for &'a PerPosition<P, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.iter()
    }
}
