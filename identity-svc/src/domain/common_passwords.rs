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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_trimmed_and_in_lower_case() {
        let lines: Vec<&str> = LIST.lines().collect();
        assert!(lines.len() > 19_000);
        assert!(lines.is_sorted_by(|earlier, later| earlier.as_bytes() < later.as_bytes()));
        assert!(LIST.ends_with('\n'));
        for line in lines {
            assert!(!line.is_empty() && line == line.trim().to_lowercase(), "{line:?}");
        }
    }

    #[test]
    fn every_password_of_the_list_is_found() {
        for line in LIST.lines() {
            assert!(contains(line), "{line:?}");
        }
    }

    #[test]
    fn other_passwords_are_not_found() {
        for password in [
            "",
            "\n",
            "password1\n",
            "123456\n1234567",
            "passwor",
            "zzzzzzzzzzzzzzz",
            "Password",
            "яяя",
            "\0",
        ] {
            assert!(!contains(password), "{password:?}");
        }
    }
}
