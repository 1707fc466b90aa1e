//! Order keys: fractional indices, compared as raw bytes, that merge the z-order of concurrent edits.

use std::collections::BTreeMap;

use loro_fractional_index::FractionalIndex;

use crate::limits::MAX_ORDER_KEY_BYTES;

/// An element's place. Elements are sorted by key, then id. Empty stands for "none that is valid", and sorts first.
pub(crate) type OrderKey = Vec<u8>;

/// The last byte of every key that the generator makes, and relies on.
const TERMINATOR: u8 = 0x80;

/// A key as read from a document. What the generator could not have made counts as none, so that it cannot make the
/// generator fail; it is replaced when the element is next touched.
pub(crate) fn read_key(bytes: &[u8]) -> OrderKey {
    if bytes.len() <= MAX_ORDER_KEY_BYTES && bytes.last() == Some(&TERMINATOR) {
        bytes.to_vec()
    } else {
        OrderKey::new()
    }
}

/// `count` ascending keys strictly between the two; `None` if there is no room, or not within
/// [`MAX_ORDER_KEY_BYTES`].
fn between(lower: Option<&OrderKey>, upper: Option<&OrderKey>, count: usize) -> Option<Vec<OrderKey>> {
    if upper.is_some_and(Vec::is_empty) {
        return None;
    }
    let index = |key: &OrderKey| FractionalIndex::from_bytes(key.clone());
    let lower = lower.filter(|key| !key.is_empty()).map(index);
    let upper = upper.map(index);
    let keys = FractionalIndex::generate_n_evenly(lower.as_ref(), upper.as_ref(), count)?;
    let keys: Vec<OrderKey> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    keys.iter().all(|key| key.len() <= MAX_ORDER_KEY_BYTES).then_some(keys)
}

/// `count` ascending keys after the last; `None` if they would be too long.
pub(crate) fn after(last: Option<&OrderKey>, count: usize) -> Option<Vec<OrderKey>> {
    between(last, None, count)
}

/// The keys that put a list into the wanted order, as few as possible.
///
/// `places` gives, for each wanted element, its place in the old order, or `None` for a new one; `key` gives the key
/// of the element at an index of the wanted list, and is asked for neighbours of what moves only. Returns new keys by
/// index.
pub(crate) fn arrange(places: &[Option<usize>], key: impl Fn(usize) -> OrderKey) -> BTreeMap<usize, OrderKey> {
    let mut keeps = longest_increasing(places);
    let mut assigned: BTreeMap<usize, OrderKey> = BTreeMap::new();
    let mut index = 0;
    while let Some(offset) = keeps.iter().skip(index).position(|keeps| !keeps) {
        let mut start = index + offset;
        let mut end = next_kept(&keeps, start);
        // Where there is no room (equal or invalid keys, or ever longer ones), neighbours get new keys as well.
        let keys = loop {
            let lower = start.checked_sub(1).map(|left| assigned.get(&left).cloned().unwrap_or_else(|| key(left)));
            let upper = (end < places.len()).then(|| key(end));
            if let Some(keys) = between(lower.as_ref(), upper.as_ref(), end - start) {
                break keys;
            }
            let width = end - start;
            if start == 0 && end == places.len() {
                break Vec::new(); // Unreachable: between no neighbours there is room for any number.
            }
            start = start.saturating_sub(width);
            end = next_kept(&keeps, (end + width).min(places.len()));
        };
        assigned.extend((start..end).zip(keys));
        for keep in keeps.iter_mut().take(end).skip(start) {
            *keep = true;
        }
        index = end;
    }
    assigned
}

fn next_kept(keeps: &[bool], from: usize) -> usize {
    keeps.iter().skip(from).position(|keeps| *keeps).map_or(keeps.len(), |offset| from + offset)
}

/// Which elements have to move to get from an old order to a new one, as few as possible: indices into the list of old
/// places by new place. New elements, which have no old place, are not among them.
pub(crate) fn moved(places: &[Option<usize>]) -> Vec<usize> {
    let stays = longest_increasing(places);
    let known = places.iter().zip(stays).enumerate();
    known.filter(|(_, (place, stays))| place.is_some() && !stays).map(|(index, _)| index).collect()
}

/// Marks a longest increasing subsequence of the places that are known (patience sorting, O(n log n)).
fn longest_increasing(places: &[Option<usize>]) -> Vec<bool> {
    // For each length, the index at which the subsequence of that length with the least last place ends.
    let mut tails: Vec<(usize, usize)> = Vec::new();
    let mut previous: Vec<Option<usize>> = vec![None; places.len()];
    for (index, place) in places.iter().enumerate() {
        let Some(place) = *place else { continue };
        let length = tails.partition_point(|(_, tail)| *tail < place);
        if let Some(previous) = previous.get_mut(index) {
            *previous = length.checked_sub(1).and_then(|shorter| tails.get(shorter)).map(|(index, _)| *index);
        }
        match tails.get_mut(length) {
            Some(tail) => *tail = (index, place),
            None => tails.push((index, place)),
        }
    }
    let mut marked = vec![false; places.len()];
    let mut next = tails.last().map(|(index, _)| *index);
    while let Some(index) = next {
        if let Some(mark) = marked.get_mut(index) {
            *mark = true;
        }
        next = previous.get(index).copied().flatten();
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Puts a list of (id, key) into a wanted order of ids and returns how many keys were written.
    fn reorder(list: &mut Vec<(u32, OrderKey)>, wanted: &[u32]) -> usize {
        let place = |id: u32| list.iter().position(|(known, _)| *known == id);
        let places: Vec<_> = wanted.iter().map(|id| place(*id)).collect();
        let old = |index: usize| places[index].map(|place| list[place].1.clone()).unwrap_or_default();
        let keys = arrange(&places, old);
        let mut new: Vec<(u32, OrderKey)> = wanted
            .iter()
            .enumerate()
            .map(|(index, id)| (*id, keys.get(&index).cloned().unwrap_or_else(|| old(index))))
            .collect();
        for (_, key) in &new {
            assert_eq!(*key, read_key(key), "the generator makes valid keys only");
        }
        new.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        assert_eq!(new.iter().map(|(id, _)| *id).collect::<Vec<_>>(), wanted);
        *list = new;
        keys.len()
    }

    #[test]
    fn prepends_and_insertions_at_one_spot_stay_in_order() {
        for (at_start, insertions) in [(true, 10_000), (false, 3_000)] {
            let mut list = vec![(0, vec![TERMINATOR]), (1, vec![0x81, TERMINATOR])];
            let mut written = 0;
            for id in 0..insertions {
                let spot = usize::from(!at_start);
                let places: Vec<_> = (0..=list.len()).map(|index| (index != spot).then_some(index)).collect();
                let old = |index: usize| list[index - usize::from(index > spot)].1.clone();
                let keys = arrange(&places, old);
                written += keys.len();
                list.insert(spot, (id, OrderKey::new()));
                for (index, key) in keys {
                    list[index].1 = key;
                }
            }
            assert!(list.is_sorted_by(|a, b| a.1 < b.1), "each strictly before the next");
            assert!(list.iter().all(|(_, key)| key.len() <= MAX_ORDER_KEY_BYTES));
            assert!(written < 2 * insertions, "re-keying is rare: {written} keys for {insertions} insertions");
        }
    }

    #[test]
    fn a_reorder_moves_the_fewest() {
        let mut list = Vec::new();
        assert_eq!(reorder(&mut list, &(0..100).collect::<Vec<_>>()), 100);
        let moved: Vec<u32> = (1..100).chain([0]).collect();
        assert_eq!(reorder(&mut list, &moved), 1);
        assert_eq!(reorder(&mut list, &moved), 0);
    }

    #[test]
    fn between_equal_and_invalid_keys_neighbours_are_rekeyed() {
        let same = vec![0x7f, TERMINATOR];
        let mut list = vec![(1, vec![]), (2, vec![]), (3, same.clone()), (4, same.clone()), (5, same)];
        reorder(&mut list, &[1, 9, 2, 3, 8, 4, 7, 5]);
    }

    proptest! {
        #[test]
        fn any_sequence_of_reorders_gives_what_was_wanted(
            orders in prop::collection::vec(Just((0..40_u32).collect::<Vec<_>>()).prop_shuffle(), 1..8),
            lengths in prop::collection::vec(0_usize..40, 8),
        ) {
            let mut list = Vec::new();
            for (order, length) in orders.iter().zip(lengths) {
                reorder(&mut list, &order[..length]);
            }
        }

        #[test]
        fn any_bytes_as_keys_do_no_harm(
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 1..20),
            wanted in Just((0..25_u32).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut list: Vec<_> = (0..).zip(keys.iter().map(|key| read_key(key))).collect();
            list.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
            reorder(&mut list, &wanted);
        }
    }
}
