//! The picture shows the screen, and text on a screen cannot become markup.

use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::*;

fn buffer(lines: &[(&str, Style)]) -> Buffer {
    let height = u16::try_from(lines.len()).unwrap();
    let mut buffer = Buffer::empty(Rect::new(0, 0, 12, height));
    for ((line, style), y) in lines.iter().zip(0..) {
        buffer.set_stringn(0, y, line, 12, *style);
    }
    buffer
}

#[test]
fn text_has_its_place_and_its_look() {
    let warn = Style::new()
        .fg(Color::Indexed(221))
        .add_modifier(Modifier::BOLD);
    let selected = Style::new().add_modifier(Modifier::REVERSED);
    let picture = render(&buffer(&[("HELD", warn), ("ab", selected)]), "two lines");
    insta::assert_snapshot!("picture", picture);
    assert_eq!(
        picture,
        render(&buffer(&[("HELD", warn), ("ab", selected)]), "two lines")
    );
}

#[test]
fn words_two_blanks_apart_are_separate_texts() {
    let picture = render(&buffer(&[("one two   x", Style::new())]), "");
    assert!(picture.contains(">one two<"), "{picture}");
    assert!(picture.contains("x=\"96\" y=\"26\" textLength=\"8.4\" xml:space=\"preserve\">x<"));
}

#[test]
fn frames_are_lines_without_gaps() {
    let picture = render(&buffer(&[("┌─┐", Style::new()), ("│", Style::new())]), "");
    assert!(!picture.contains("<text"), "{picture}");
    // The corner's line ends where the side's begins.
    assert!(
        picture.contains("M16.2 21v9") && picture.contains("M16.2 30v18"),
        "{picture}"
    );
}

#[test]
fn names_are_escaped_in_the_picture() {
    let picture = render(&buffer(&[("<g/>&\"", Style::new())]), "</title><script>");
    assert!(picture.contains("&lt;g/&gt;&amp;&quot;"));
    assert!(!picture.contains("<script>"));
}

#[test]
fn wide_character_takes_two_columns() {
    let picture = render(&buffer(&[("漢a", Style::new())]), "");
    assert!(
        picture.contains("textLength=\"25.2\" xml:space=\"preserve\">漢a<"),
        "{picture}"
    );
}
