//! Maps and sets whose copies cost nothing: who reads a state keeps it, however the machine goes on.
//!
//! A copy shares all it can with the original; a change afterwards copies the way down to what is changed. So a
//! view of a ledger costs the same whatever it holds, and a transaction as much as the logarithm of that.

use core::borrow::Borrow;
use core::ops::RangeBounds;

use rpds::RedBlackTreeMapSync;

/// A map in the order of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Map<K: Ord, V>(RedBlackTreeMapSync<K, V>);

impl<K: Ord, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<K: Ord, V> Map<K, V> {
    /// A map of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands under a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// Whether something stands under a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.0.iter()
    }

    /// All keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// All values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    /// Entries whose keys are in a range that does not end before it begins, by key.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.range(range)
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// What stands under a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    /// Puts something under a key, in place of what stood there.
    pub fn insert(&mut self, key: K, value: V) {
        self.0.insert_mut(key, value);
    }

    /// Puts something under a key where nothing stands.
    pub fn insert_first(&mut self, key: K, value: impl FnOnce() -> V) {
        if !self.contains_key(&key) {
            self.insert(key, value());
        }
    }

    /// Takes away what stands under a key.
    pub fn remove(&mut self, key: &K) {
        self.0.remove_mut(key);
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value));
        map
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_an_ordinary_map_and_a_copy_stays_as_it_was(
            changes in proptest::collection::vec((any::<bool>(), 0u8..32, any::<u16>()), 0..200),
            copied_after in 0usize..200,
        ) {
            let (mut map, mut ordinary) = (Map::new(), BTreeMap::new());
            let mut copies = None;
            for (at, (inserts, key, value)) in changes.into_iter().enumerate() {
                if at == copied_after {
                    copies = Some((map.clone(), ordinary.clone()));
                }
                if inserts {
                    map.insert(key, value);
                    ordinary.insert(key, value);
                } else if value % 2 == 0 {
                    map.remove(&key);
                    ordinary.remove(&key);
                } else {
                    let (one, other) = (map.get_mut(&key), ordinary.get_mut(&key));
                    prop_assert_eq!(one.is_some(), other.is_some());
                    if let (Some(one), Some(other)) = (one, other) {
                        (*one, *other) = (one.wrapping_add(1), other.wrapping_add(1));
                    }
                }
            }
            for (map, ordinary) in copies.into_iter().chain([(map, ordinary)]) {
                let all: Vec<_> = ordinary.iter().collect();
                prop_assert_eq!(map.iter().collect::<Vec<_>>(), all);
                prop_assert_eq!(map.len(), ordinary.len());
                let some = map.range(5..=20).rev().collect::<Vec<_>>();
                prop_assert_eq!(some, ordinary.range(5..=20).rev().collect::<Vec<_>>());
            }
        }
    }
}
