//! A sorted list as a set: for the very many sets that have a handful of members, where the nodes of a tree would be
//! mostly empty. Ten thousand services have a hundred thousand of them.

use std::borrow::Borrow;

/// A set of few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Few<T> {
    pub(crate) fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(value).is_ok()
    }

    pub(crate) fn insert(&mut self, value: T) {
        if let Err(at) = self.0.binary_search(&value) {
            // Growing by doubling would leave half of most lists empty.
            if self.0.len() == self.0.capacity() && self.0.len() < 8 {
                self.0.reserve_exact(1);
            }
            self.0.insert(at, value);
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, value: &Q)
    where
        T: Borrow<Q>,
    {
        if let Ok(at) = self.find(value) {
            self.0.remove(at);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Members that are not in another set.
    pub(crate) fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> {
        self.0.iter().filter(|value| other.0.binary_search(value).is_err())
    }

    fn find<Q: Ord + ?Sized>(&self, value: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|own| own.borrow().cmp(value))
    }
}

impl<T: Ord> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        values.shrink_to_fit();
        Self(values)
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set() {
        let mut few: Few<u32> = [3, 1, 3, 2].into_iter().collect();
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        for value in [5, 0, 2] {
            few.insert(value);
        }
        few.remove(&1);
        few.remove(&9);
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [0, 2, 3, 5]);
        assert!(few.contains(&5) && !few.contains(&1));
        let other: Few<u32> = [2, 5].into_iter().collect();
        assert_eq!(few.difference(&other).copied().collect::<Vec<_>>(), [0, 3]);
    }
}
