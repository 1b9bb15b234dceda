//! Sizes as text for people.

use leasehold_config::format_size;

/// Prints a size in a unit for people.
pub(crate) fn about_size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    if bytes.is_multiple_of(KIB) || bytes < KIB {
        return format_size(bytes);
    }
    let (unit, name) = if bytes >= MIB {
        (MIB, "MiB")
    } else {
        (KIB, "KiB")
    };
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{}{name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_printed_in_one_number() {
        for (bytes, text) in [
            (0, "0B"),
            (1_000, "1000B"),
            (1_500, "1.4KiB"),
            (64 * 1024, "64KiB"),
            (1_572_865, "1.5MiB"),
        ] {
            assert_eq!(about_size(bytes), text);
        }
    }
}
