//! Rows that pass a filter, and errors of its syntax.

use super::*;

const ROW: [&str; 3] = ["billing/Invoice-07", "CONTEND", "inv@host-3.example"];

fn passes(text: &str) -> bool {
    Filter::parse(text).unwrap().matches(&ROW)
}

fn refusal(text: &str) -> String {
    Filter::parse(text).unwrap_err().to_string()
}

#[test]
fn filter_empty_or_unfinished_passes_everything() {
    for text in ["", "  ", "!", "-f", " -f ! "] {
        let filter = Filter::parse(text).unwrap();
        assert!(
            filter.is_empty() && filter.matches(&ROW) && filter.matches(&[]),
            "{text:?}"
        );
    }
    assert_eq!(Filter::parse(" a b ").unwrap().text(), "a b");
}

#[test]
fn lower_case_finds_both_and_upper_case_only_itself() {
    assert!(passes("invoice") && passes("contend") && passes("Invoice"));
    assert!(!passes("INVOICE") && !passes("iNvoice"));
    assert!(Filter::parse("grün").unwrap().matches(&["GRÜN"]));
}

#[test]
fn every_word_must_be_found_in_some_field() {
    assert!(passes("billing host-3"));
    assert!(!passes("billing host-4"));
}

#[test]
fn patterns_are_told_from_words() {
    assert!(passes("invoice-0[5-9]$") && passes("/^inv@/") && passes("!/^host/"));
    assert!(passes(r"host-\d") && passes("/(?-i)CONTEND/"));
    assert!(!passes("^invoice") && !passes("/INV@/"));
    assert!(passes(r"\Snvoice"), "the class is no upper-case letter");
    assert!(
        passes("host-3.example") && !passes("host.3"),
        "a dot alone is a dot"
    );
}

#[test]
fn inverted_word_must_be_in_no_field() {
    assert!(passes("!ledger") && passes("billing !ledger"));
    assert!(!passes("!contend") && !passes("billing !host"));
    assert!(Filter::parse("!x").unwrap().matches(&[]));
}

#[test]
fn letters_in_order_are_enough_after_f() {
    assert!(passes("-f blgnv") && passes("contend -f blg iv7") && passes("-f !ldgr"));
    assert!(!passes("-f vni") && !passes("blgnv -f inv") && !passes("-f bLg"));
}

#[test]
fn pattern_error_is_one_sentence_with_its_position() {
    assert_eq!(
        refusal("é (a"),
        "the pattern is wrong at character 3: unclosed group"
    );
    assert_eq!(
        refusal("/a |*/"),
        "the pattern is wrong at character 5: repetition operator missing expression"
    );
    assert_eq!(
        refusal("*"),
        "the pattern is wrong at character 1: repetition operator missing expression"
    );
    assert_eq!(
        refusal(r"x \p{Nope}"),
        "the pattern is wrong at character 3: Unicode property not found"
    );
    assert!(refusal(&"(".repeat(10_000)).len() < 200);
}

#[test]
fn pattern_too_large_for_memory_is_refused() {
    assert_eq!(
        refusal(r"a (\w{1000}){1000}"),
        "the pattern at character 3 is too large"
    );
}
