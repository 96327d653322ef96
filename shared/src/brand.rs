//! Whose site it is: name, colour, logo and home page, and the colours that pages and mails get out of one brand colour.
//!
//! Contrast is computed, not hoped for: text on the brand colour is black or white, whichever is seen better, and links
//! are darkened or lightened until they can be read (WCAG 2.2, 1.4.3: 4.5 to 1).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::env::Env;

const NAME: &str = "GATEHOUSE_BRAND_NAME";
const URL: &str = "GATEHOUSE_BRAND_URL";

/// What pages and mails show of the site. One set of settings for all services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// `GATEHOUSE_BRAND_NAME` (default `Gatehouse`).
    pub name: String,
    /// `GATEHOUSE_BRAND_COLOR` (default `#1d5fd1`).
    pub color: Color,
    /// `GATEHOUSE_BRAND_URL`: where the site's own pages are.
    pub url: Option<String>,
    /// `GATEHOUSE_BRAND_LOGO_FILE`: an SVG, PNG, JPEG or WebP file. Pages only: mails load nothing.
    pub logo_file: Option<PathBuf>,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: "Gatehouse".to_owned(),
            color: Color(0x1d, 0x5f, 0xd1),
            url: None,
            logo_file: None,
        }
    }
}

impl Brand {
    pub fn from_env(env: &Env) -> Self {
        let default = Self::default();
        let name = env.text(NAME, &default.name);
        if name.chars().any(char::is_control) || name.chars().count() > 60 {
            env.problem(NAME, "is longer than 60 characters or has a control character");
        }
        let url = env.optional(URL);
        if let Some(url) = &url {
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '"');
            if !is_web || !url.chars().all(is_plain) {
                env.problem(
                    URL,
                    &format!("is \"{url}\", not a URL that begins with https:// or http://"),
                );
            }
        }
        Self {
            name,
            color: env.parsed("GATEHOUSE_BRAND_COLOR", default.color),
            url,
            logo_file: env.optional_path("GATEHOUSE_BRAND_LOGO_FILE"),
        }
    }
}

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl FromStr for Color {
    type Err = &'static str;

    /// `#1d5fd1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHAT: &str = "a colour is # and six hexadecimal digits, such as #1d5fd1";
        let digits = text.strip_prefix('#').ok_or(WHAT)?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(WHAT);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| WHAT)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self(red, green, blue))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

const BLACK: Color = Color(0, 0, 0);
const WHITE: Color = Color(0xff, 0xff, 0xff);
/// What text needs against its ground.
const READABLE: f64 = 4.5;

impl Color {
    /// From 1 to 21. Source: WCAG 2.2, "contrast ratio".
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Black or white: one of them always has 4.58 to 1.
    #[must_use]
    pub fn text_on(self) -> Self {
        if self.contrast(WHITE) >= READABLE || self.contrast(WHITE) >= self.contrast(BLACK) {
            WHITE
        } else {
            BLACK
        }
    }

    fn mixed(self, with: Self, percent: u32) -> Self {
        let mix = |a: u8, b: u8| {
            let sum = u32::from(a) * (100 - percent) + u32::from(b) * percent;
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Self(mix(self.0, with.0), mix(self.1, with.1), mix(self.2, with.2))
    }

    /// This colour, moved towards `towards` no further than text on all of `grounds` needs.
    fn readable(self, grounds: &[Self], towards: Self) -> Self {
        let steps = (0..=100).map(|percent| self.mixed(towards, percent));
        let is_good = |color: &Self| grounds.iter().all(|ground| color.contrast(*ground) >= READABLE);
        steps.into_iter().find(is_good).unwrap_or(towards)
    }
}

/// The colours of one scheme, light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Behind everything.
    pub ground: Color,
    /// Behind text.
    pub card: Color,
    pub text: Color,
    /// Less important text.
    pub soft: Color,
    /// Edges of fields; a little contrast.
    pub line: Color,
    pub bad: Color,
    pub good: Color,
    /// Links and focus: the brand colour, made readable here.
    pub accent: Color,
}

/// Both schemes, and the button, which has the brand's own colour in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    pub brand: Color,
    pub on_brand: Color,
    pub light: Scheme,
    pub dark: Scheme,
}

impl Palette {
    pub fn of(brand: Color) -> Self {
        let light = Scheme {
            ground: Color(0xf4, 0xf5, 0xf7),
            card: WHITE,
            text: Color(0x1c, 0x24, 0x30),
            soft: Color(0x55, 0x60, 0x6e),
            line: Color(0x84, 0x8e, 0x9d),
            bad: Color(0xb3, 0x26, 0x1e),
            good: Color(0x1a, 0x6b, 0x3c),
            accent: brand,
        };
        let dark = Scheme {
            ground: Color(0x12, 0x16, 0x1c),
            card: Color(0x1b, 0x21, 0x29),
            text: Color(0xe8, 0xec, 0xf1),
            soft: Color(0xa9, 0xb4, 0xc2),
            line: Color(0x6f, 0x7a, 0x8a),
            bad: Color(0xff, 0x8a, 0x80),
            good: Color(0x7f, 0xd3, 0x9e),
            accent: brand,
        };
        Self {
            brand,
            on_brand: brand.text_on(),
            light: Scheme {
                accent: brand.readable(&[light.ground, light.card], BLACK),
                ..light
            },
            dark: Scheme {
                accent: brand.readable(&[dark.ground, dark.card], WHITE),
                ..dark
            },
        }
    }

    /// Both schemes as CSS variables: `--ground`, `--card`, `--text`, `--soft`, `--line`, `--bad`, `--good`, `--accent`, and
    /// `--brand`, `--on-brand`.
    pub fn css_variables(&self) -> String {
        let scheme = |scheme: &Scheme| {
            format!(
                "--ground:{};--card:{};--text:{};--soft:{};--line:{};--bad:{};--good:{};--accent:{}",
                scheme.ground,
                scheme.card,
                scheme.text,
                scheme.soft,
                scheme.line,
                scheme.bad,
                scheme.good,
                scheme.accent
            )
        };
        format!(
            ":root{{color-scheme:light dark;--brand:{};--on-brand:{};{}}}\
             @media(prefers-color-scheme:dark){{:root{{{}}}}}",
            self.brand,
            self.on_brand,
            scheme(&self.light),
            scheme(&self.dark)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_read_and_written() {
        assert_eq!("#1d5fD1".parse::<Color>().unwrap().to_string(), "#1d5fd1");
        for bad in [
            "",
            "1d5fd1",
            "#fff",
            "#1d5fd1ff",
            "#gggggg",
            "red",
            "#+1d5fd",
            "#ж5fd1",
        ] {
            assert!(bad.parse::<Color>().is_err(), "{bad}");
        }
    }

    #[test]
    fn contrast_is_what_wcag_says() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        assert!((Color(0x77, 0x77, 0x77).contrast(WHITE) - 4.478).abs() < 0.001);
    }

    #[test]
    fn every_brand_colour_gives_text_that_can_be_read() {
        let steps = || (0..=255).step_by(15);
        for (red, green, blue) in
            steps().flat_map(|red| steps().flat_map(move |green| steps().map(move |blue| (red, green, blue))))
        {
            let palette = Palette::of(Color(red, green, blue));
            assert!(
                palette.brand.contrast(palette.on_brand) >= READABLE,
                "{palette:?}"
            );
            for scheme in [palette.light, palette.dark] {
                for ground in [scheme.ground, scheme.card] {
                    for text in [scheme.text, scheme.soft, scheme.bad, scheme.good, scheme.accent] {
                        assert!(text.contrast(ground) >= READABLE, "{text} on {ground}");
                    }
                    assert!(scheme.line.contrast(scheme.card) >= 3.0, "edges of fields");
                }
            }
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let problem = |name: &str, value: &str| {
            let env = Env::from_pairs([(name, value)]);
            Brand::from_env(&env);
            env.finish(&["GATEHOUSE_"]).unwrap_err().to_string()
        };
        assert!(
            problem("GATEHOUSE_BRAND_COLOR", "blue")
                .starts_with("GATEHOUSE_BRAND_COLOR is \"blue\": a colour")
        );
        assert!(problem(NAME, &"x".repeat(61)).contains("longer than 60"));
        for bad in ["javascript:alert(1)", "https://a b", "example.org"] {
            assert!(problem(URL, bad).contains("not a URL"), "{bad}");
        }
    }
}
