//! Padding of what is sealed to size classes (`docs/protocol.md`, section 10.1).

use crate::limits::MIN_SEALED_BYTES;

/// Ends the content; only zeros follow.
const END: u8 = 0x80;

/// The size class of a length: [`MIN_SEALED_BYTES`], or that of Padmé (Nikitin and others: "Reducing Metadata Leakage from
/// Encrypted Files and Communication with PURBs"), which adds at most 12 %, and less the longer the content is.
pub(super) fn size_class(length: usize) -> usize {
    let step = step(length);
    length.max(MIN_SEALED_BYTES).div_ceil(step) * step
}

/// The largest size class that does not exceed `length`; `None` where there is none.
pub(super) fn size_class_within(length: usize) -> Option<usize> {
    (length >= MIN_SEALED_BYTES).then(|| length - length % step(length))
}

/// Pads in place. At least one byte is added.
pub(super) fn pad(content: &mut Vec<u8>) {
    content.push(END);
    content.resize(size_class(content.len()), 0);
}

/// Takes the padding off; `None` where there is none.
pub(super) fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    (padded[end] == END).then(|| {
        padded.truncate(end);
        padded
    })
}

/// Lengths that differ by less than this may be of one class.
fn step(length: usize) -> usize {
    let exponent = length.max(MIN_SEALED_BYTES).ilog2();
    let significant = exponent.ilog2() + 1;
    1 << (exponent - significant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn padding_comes_off_and_costs_little(content in prop::collection::vec(prop_oneof![Just(0), Just(END), any::<u8>()], 0..2_000)) {
            let mut padded = content.clone();
            pad(&mut padded);
            prop_assert_eq!(size_class(padded.len()), padded.len());
            prop_assert!(padded.len() <= MIN_SEALED_BYTES || padded.len() * 100 <= (content.len() + 1) * 113);
            prop_assert_eq!(unpad(padded), Some(content));
        }

        #[test]
        fn the_class_within_a_length_is_the_largest(length in 0_usize..20_000_000) {
            match size_class_within(length) {
                None => prop_assert!(length < MIN_SEALED_BYTES),
                Some(class) => {
                    prop_assert!(class <= length && size_class(class) == class);
                    prop_assert!(size_class(class + 1) > length);
                }
            }
        }
    }

    #[test]
    fn what_is_no_padding_is_refused() {
        for padded in [vec![], vec![0; 256], vec![1; 256], [vec![END], vec![1; 255]].concat()] {
            assert_eq!(unpad(padded), None);
        }
    }

    #[test]
    fn lengths_near_each_other_are_of_one_class() {
        assert!((0..=256).all(|length| size_class(length) == 256));
        assert_eq!([257, 272, 273].map(size_class), [272, 272, 288]);
        assert_eq!([1_000, 1_025, 100_000, 1_000_000].map(size_class), [1_024, 1_088, 100_352, 1_015_808]);
    }
}
