//! Ids of traces and spans, the choice of the traced runs, and the header that carries both. Pure.

use std::fmt::Write as _;

/// Id of a trace. Never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(pub(super) [u8; 16]);

/// Id of a span. Never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanId(pub(super) [u8; 8]);

/// Source of random numbers for ids.
pub(super) trait IdSource: Send + Sync {
    /// Returns the next number.
    fn next(&self) -> u64;
}

/// The random numbers of the process.
#[derive(Debug)]
pub(super) struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self) -> u64 {
        fastrand::u64(..)
    }
}

impl TraceId {
    /// Makes a new id.
    pub(super) fn make(ids: &dyn IdSource) -> Self {
        let (high, low) = (u128::from(ids.next()), u128::from(ids.next()));
        Self(((high << 64 | low).max(1)).to_be_bytes())
    }

    /// Returns true for the part `ratio` of all ids, the same on every host.
    pub(super) fn is_sampled(self, ratio: f64) -> bool {
        let Self([_, _, _, _, _, _, _, _, low @ ..]) = self;
        // 53 bits, which a float holds exactly.
        #[expect(clippy::cast_precision_loss)]
        let place = (u64::from_be_bytes(low) >> 11) as f64 / (1_u64 << 53) as f64;
        place < ratio
    }
}

impl SpanId {
    /// Makes a new id.
    pub(super) fn make(ids: &dyn IdSource) -> Self {
        Self(ids.next().max(1).to_be_bytes())
    }
}

/// Returns the header `traceparent` of W3C Trace Context, version 00.
pub(super) fn traceparent(trace: TraceId, parent: SpanId, is_sampled: bool) -> String {
    let flags = if is_sampled { "01" } else { "00" };
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push_hex(&mut text, &trace.0);
    text.push('-');
    push_hex(&mut text, &parent.0);
    text.push('-');
    text.push_str(flags);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_has_both_ids_and_the_flag() {
        let (trace, span) = (TraceId([0xab; 16]), SpanId([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(
            traceparent(trace, span, true),
            "00-abababababababababababababababab-0102030405060708-01"
        );
        assert!(traceparent(trace, span, false).ends_with("-00"));
    }

    #[test]
    fn ratio_is_the_part_of_ids_that_is_sampled() {
        let sampled = |ratio| {
            (0..10_000)
                .filter(|_| TraceId::make(&RandomIds).is_sampled(ratio))
                .count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((2_000..3_000).contains(&sampled(0.25)));
        // The highest id is in, and the choice is that of the id.
        assert!(TraceId([0xff; 16]).is_sampled(1.0) && !TraceId([0xff; 16]).is_sampled(0.99));
    }

    #[test]
    fn no_id_is_all_zeros() {
        struct Zeros;
        impl IdSource for Zeros {
            fn next(&self) -> u64 {
                0
            }
        }
        assert_ne!(TraceId::make(&Zeros), TraceId([0; 16]));
        assert_ne!(SpanId::make(&Zeros), SpanId([0; 8]));
    }
}
