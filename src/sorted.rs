//! Sorts by numbers. No IO.

/// Sorts a list by a number of each element; equals keep their order.
///
/// Each use of `sort` for another type adds about 5 KiB of code. Here only one type is sorted: numbers and places.
pub(crate) fn sort_by_number<T>(list: &mut Vec<T>, number: impl Fn(&T) -> u64) {
    let mut order: Vec<(u64, usize)> = list.iter().map(number).zip(0..).collect();
    sort(&mut order);
    let mut unsorted: Vec<Option<T>> = list.drain(..).map(Some).collect();
    list.extend(order.into_iter().filter_map(|(_, place)| unsorted.get_mut(place)?.take()));
}

/// All places differ, so no two elements are equal.
fn sort(order: &mut [(u64, usize)]) {
    order.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule C1
    #[test]
    fn equals_keep_their_order() {
        let mut list: Vec<(u64, u64)> = (0..1000).map(|place| (place * 7919 % 13, place)).collect();
        let mut expected = list.clone();
        expected.sort_by_key(|(number, _)| *number);
        sort_by_number(&mut list, |(number, _)| *number);
        assert_eq!(list, expected);
        sort_by_number(&mut Vec::<u64>::new(), |_| 0);
    }
}
