//! The brand's logo: read and checked at start, served from memory.

use std::fs;
use std::path::Path;

use super::templates::PagesError;

/// A page with its logo has to stay below 30 kB.
const MAX_BYTES: usize = 16 * 1024;

/// A picture and its media type.
#[derive(Clone, Debug)]
pub struct Logo {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Logo {
    /// # Errors
    /// When the file cannot be read, is too large, or is no picture that browsers show.
    pub fn read(path: &Path) -> Result<Self, PagesError> {
        let file = path.display().to_string();
        let bytes = fs::read(path).map_err(|reason| PagesError::Unreadable {
            file: format!("the logo {file}"),
            reason,
        })?;
        if bytes.len() > MAX_BYTES {
            let reason = "has more than 16 KiB";
            return Err(PagesError::Logo { file, reason });
        }
        match content_type(&bytes) {
            Some(content_type) => Ok(Self { content_type, bytes }),
            None => Err(PagesError::Logo {
                file,
                reason: "is neither SVG, PNG, JPEG nor WebP",
            }),
        }
    }
}

/// By content, since names lie.
fn content_type(bytes: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    if begins(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if begins(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_start_matches('\u{feff}')
        .trim_start();
    let is_svg = (text.starts_with("<svg") || text.starts_with("<?xml") || text.starts_with("<!--"))
        && text.contains("<svg");
    is_svg.then_some("image/svg+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_content() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\n.."), Some("image/png"));
        assert_eq!(
            content_type(b"<?xml version=\"1.0\"?>\n<svg/>"),
            Some("image/svg+xml")
        );
        assert_eq!(content_type(b"RIFF....WEBPVP8 "), Some("image/webp"));
        for other in [&b"<html><svg/></html>"[..], b"GIF89a", b"", b"RIFF....WAVE"] {
            assert_eq!(content_type(other), None);
        }
    }
}
