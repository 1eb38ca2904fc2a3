//! Tables, facts about one thing, and what stands where there is nothing yet.

use maud::{Markup, html};

/// A table with these columns. The first cell of a row is its heading. On a narrow page each row becomes a block, whose cells
/// have the names of their columns before them.
pub fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        // It scrolls, so the keyboard reaches it. Its section may have the same words, and each region needs a name of its own.
        div.scroll tabindex="0" role="region" aria-label={ "Table: " (caption) } {
            table {
                caption { (caption) }
                thead { tr { @for column in columns {
                    @if column.is_empty() { th scope="col" { span.unseen { "Actions" } } } @else { th scope="col" { (column) } }
                } } }
                tbody { @for row in rows { tr {
                    @for (number, (cell, column)) in row.iter().zip(columns).enumerate() {
                        @if number == 0 { th scope="row" data-label=(column) { (cell) } }
                        @else { td data-label=(column) { (cell) } }
                    }
                } } }
            }
        }
    }
}

/// Facts about one thing: names and values.
pub fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } }
    }
}

/// What stands where there is nothing: what that means, and what to do first.
pub fn empty(words: &str, first: Option<(&str, String)>) -> Markup {
    html! {
        div.empty {
            p { (words) }
            @if let Some((words, place)) = first { p { a.button href=(place) { (words) } } }
        }
    }
}

/// A name that somebody chose, apart from the direction of the text around it.
pub fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A number with blanks between its thousands.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in words.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!((counted(1, "key", "keys"), counted(0, "key", "keys")), ("1 key".to_owned(), "0 keys".to_owned()));
    }
}
