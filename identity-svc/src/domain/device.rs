//! What an owner recognises a session by: browser and system, from the `User-Agent` it began with. A client may send
//! anything there, so nothing of it is repeated: only names of these tables come out.
//!
//! Source: MDN, "User-Agent header" and "Browser detection using the user agent string".

use super::texts::Text;

/// What stands in the header, and whose it is. The first that is found counts: nearly every browser also names those
/// that it wants to be taken for.
const BROWSERS: [(&str, &str); 19] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera", "Opera"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Telephones first: an iPhone also names Mac OS X, and Android Linux.
const SYSTEMS: [(&str, &str); 9] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

/// Programs and libraries name themselves first.
const PROGRAMS: [(&str, &str); 14] = [
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("HTTPie/", "HTTPie"),
    ("PostmanRuntime/", "Postman"),
    ("insomnia/", "Insomnia"),
    ("python-requests/", "Python"),
    ("python-httpx/", "Python"),
    ("Python-urllib/", "Python"),
    ("Python/", "Python"),
    ("axios/", "Node.js"),
    ("node", "Node.js"),
    ("okhttp/", "OkHttp"),
    ("Dart/", "Dart"),
    ("Go-http-client/", "Go"),
];

/// A few words for the device behind a `User-Agent`.
pub fn of(user_agent: &str) -> Text {
    let begins = |(word, _): &&(&str, &str)| user_agent.starts_with(word);
    if let Some((_, name)) = PROGRAMS.iter().find(begins) {
        return Text::Device { name };
    }
    let contains = |(word, _): &&(&str, &str)| user_agent.contains(word);
    let browser = BROWSERS.iter().find(contains).map(|(_, name)| *name);
    let system = SYSTEMS.iter().find(contains).map(|(_, name)| *name);
    match (browser, system) {
        (Some(browser), Some(system)) => Text::DeviceOn { browser, system },
        (Some(name), None) | (None, Some(name)) => Text::Device { name },
        (None, None) => Text::UnknownDevice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::languages::{Catalogue, Language};

    #[test]
    fn well_known_clients_are_recognised() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let cases = [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
                "Firefox on Linux",
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0.0.0 Safari/537.36"),
                "Chrome on Windows",
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"),
                "Edge on Windows",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/140.0.0.0 Mobile Safari/537.36"),
                "Chrome on Android",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"),
                "Samsung Internet on Android",
            ),
            (
                format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Chrome/138.0 YaBrowser/25.8 Safari/537.36"),
                "Yandex Browser on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.6 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 FxiOS/142.0 Mobile/15E148 Safari/605.1.15"
                    .to_owned(),
                "Firefox on iPad",
            ),
            (
                format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/140.0.0.0 Safari/537.36"),
                "Chrome on ChromeOS",
            ),
            ("curl/8.14.1".to_owned(), "curl"),
            ("python-requests/2.32.5".to_owned(), "Python"),
            ("Mozilla/5.0 (Android 15)".to_owned(), "Android"),
            ("Firefox/140.0".to_owned(), "Firefox"),
            (String::new(), "Unknown device"),
            ("<b>my own program</b>".to_owned(), "Unknown device"),
        ];
        for (user_agent, device) in cases {
            let said = catalogue.text(&of(&user_agent), Language::ENGLISH);
            assert_eq!(said, device, "{user_agent}");
        }
    }

    #[test]
    fn a_device_is_named_in_the_language_of_the_reader() {
        let catalogue = Catalogue::compiled_in().unwrap();
        let russian = catalogue.negotiate(Some("ru"));
        let say = |user_agent| catalogue.text(&of(user_agent), russian);
        assert_eq!(
            say("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
            "Firefox, Linux"
        );
        assert_eq!(say("curl/8.14.1"), "curl");
        assert_eq!(say(""), "Неизвестное устройство");
    }
}
