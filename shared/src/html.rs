//! HTML escaping of the template engine in pages and mails.

/// HTML's five characters. The engine's own escaping also takes `/`, which makes links hard to read in the source.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_html_is_escaped_and_a_link_stays_readable() {
        let text = "<a href=\"https://x.test/?a=1&b='2'\">";
        let html = "&lt;a href=&quot;https://x.test/?a=1&amp;b=&#39;2&#39;&quot;&gt;";
        assert_eq!(escaped(text), html);
    }
}
