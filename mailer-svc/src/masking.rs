//! Makes the text of a server's reply fit for a log line and a dead letter: servers like to repeat the address, and
//! content filters the link.

const MAX_CHARACTERS: usize = 100;

/// `text` on one line, cut after 100 characters. Words that hold an address or a link become `***`, and so does
/// `local_part` where a server says it alone; pass "" when there is none.
pub fn masked(text: &str, local_part: &str) -> String {
    let mut line = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        let bare = word
            .trim_matches(|c: char| matches!(c, '<' | '>' | '"' | '\'' | ':' | ',' | '.' | ';' | '(' | ')'));
        let is_telling = word.contains('@')
            || word.contains("://")
            || word.contains("%40")
            || (!bare.is_empty() && bare.eq_ignore_ascii_case(local_part));
        line.push_str(if is_telling { "***" } else { word });
    }
    match line.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_links_are_masked() {
        assert_eq!(
            masked(
                "5.1.1 <Ann@example.org>:\r\nuser unknown, see https://mail.example/help?a=b\u{7}.",
                ""
            ),
            "5.1.1 *** user unknown, see *** ."
        );
    }

    #[test]
    fn a_local_part_alone_is_masked_and_other_words_are_left() {
        assert_eq!(masked("no mailbox <Ann>, manner", "ann"), "no mailbox *** manner");
    }

    #[test]
    fn long_replies_are_cut_between_characters() {
        let cut = masked(&"ж".repeat(500), "");
        assert_eq!(cut.chars().count(), 103);
        assert_eq!(masked("4.7.1 greylisted", ""), "4.7.1 greylisted");
    }
}
