//! Columns and patterns for lists, in SQL that all databases understand.

use management::port::list::Column;

/// Maximum number of clashes that are reported one by one.
pub const MAX_TOLD: u32 = 20;

/// The states of nearly all rows. The index of states excludes them by a condition with exactly these words.
pub const USUAL_STATES: [&str; 3] = ["ACTIVE", "PUBLISHED", "UNBLOCKED"];

/// The value of a column in SQL. It is never null, so it can be compared.
pub fn value(column: Column) -> &'static str {
    match column {
        Column::Id => "l.id",
        Column::Changed => "l.seq",
        Column::Name => "coalesce(l.name, '')",
        Column::State => "coalesce(l.state, '')",
        Column::Type => "coalesce(l.type, '')",
        Column::Owner => "coalesce(l.owner, '')",
        Column::Application => "coalesce(l.application, '')",
        Column::Api => "coalesce(l.api, '')",
        Column::Plan => "coalesce(l.plan, '')",
        Column::LastUsed => "coalesce(l.last_used, 0)",
    }
}

/// The `LIKE` pattern for texts that contain `part`.
pub fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        // SQLite's LIKE ends at U+0000, and no stored text has a control character.
        pattern.push(if character == '\0' { '\u{1}' } else { character });
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_looked_for_as_it_is() {
        for (part, expected) in [("a", "%a%"), ("50%", "%50\\%%"), ("a_b", "%a\\_b%"), ("\\", "%\\\\%")] {
            assert_eq!(pattern(part), expected);
        }
    }
}
