//! How many rows fit on one page of the feed.

/// Maximum length of the documents in one page, in bytes. It is far below the 32 MiB that Envoy accepts as the body of
/// a callout, and some eight times the length of 5,000 ordinary rows.
const MAX_PAGE_BYTES: usize = 8 << 20;

/// How many documents of these sizes fit into a page. Every document that begins before the page is full fits, so at
/// least one does.
pub fn fitting(sizes: &[usize]) -> usize {
    let mut bytes = 0usize;
    let fits = |size: &&usize| {
        let begins = bytes < MAX_PAGE_BYTES;
        bytes = bytes.saturating_add(**size);
        begins
    };
    sizes.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_what_begins_before_it_is_full_and_never_nothing() {
        const MAX: usize = MAX_PAGE_BYTES;
        let cases: [(&[usize], usize); 9] = [
            (&[], 0),
            (&[1], 1),
            (&[0, 0, 0], 3),
            (&[MAX - 1, 1, 1], 2),
            (&[MAX - 1, MAX, 1], 2),
            (&[MAX, 1], 1),
            (&[usize::MAX, usize::MAX], 1),
            (&[1, 2, MAX, 1], 3),
            (&[MAX - 1, 0, 0, 1, 0], 4),
        ];
        for (sizes, expected) in cases {
            assert_eq!(fitting(sizes), expected, "{sizes:?}");
        }
    }
}
