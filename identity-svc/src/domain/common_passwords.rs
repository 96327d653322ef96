//! The list of passwords that are tried first by whoever guesses. See `data/README.md`.

use std::cmp::Ordering;

/// One password a line, sorted by bytes, each line ended by a line feed: searched in place, so that it costs nothing
/// at start.
static LIST: &str = include_str!("../../data/common-passwords.txt");

/// Whether the list has this password. The list is in lower case.
pub fn contains(password: &str) -> bool {
    let wanted = password.as_bytes();
    let mut rest = LIST.as_bytes();
    while !rest.is_empty() {
        let (before, line, after) = middle_line(rest);
        match wanted.cmp(line) {
            Ordering::Equal => return true,
            Ordering::Less => rest = before,
            Ordering::Greater => rest = after,
        }
    }
    false
}

/// Splits whole lines around the line in their middle, which comes without its line feed.
fn middle_line(lines: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (left, right) = lines.split_at(lines.len() / 2);
    let start = left
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |position| position + 1);
    let length_in_left = left.len() - start;
    let length = match right.iter().position(|byte| *byte == b'\n') {
        Some(position) => length_in_left + position,
        None => lines.len() - start,
    };
    let (before, from_line) = lines.split_at(start);
    let (line, from_line_feed) = from_line.split_at(length);
    (before, line, from_line_feed.get(1..).unwrap_or_default())
}
