//! Ordinal numbers in English.

/// Returns the ordinal of a number: `1st`, `2nd`, `11th`.
pub(super) fn ordinal(number: usize) -> String {
    let end = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinal_of_the_teens_ends_like_a_fourth() {
        let texts = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let expected = "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th";
        assert_eq!(texts.join(" "), expected);
    }
}
