//! Reads `smtp:` and `smtps:` URLs.

use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use percent_encoding::percent_decode_str;
use shared::secret::Secret;
use url::{Host, Url};

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By STARTTLS when the server offers it.
    StartTlsIfOffered,
    /// By STARTTLS or not at all used.
    StartTls,
    /// From the first byte (`smtps:`).
    ImplicitTls,
}

/// One SMTP server and how to use it.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    /// `GATEHOUSE_MAILER_SMTP_CONNECTIONS`, default 4.
    pub connections: usize,
    /// `GATEHOUSE_MAILER_SMTP_TIMEOUT_SECONDS`, default 30: for the connection, and for each reply of the server.
    pub timeout: Duration,
}

impl SmtpSettings {
    /// Reads `smtp://user:password@host:587` or `smtps://user:password@host:465`; user and password are
    /// percent-encoded. `starttls` overrides the default, which is to require it except on loopback.
    ///
    /// # Errors
    /// One sentence, without the URL.
    pub fn parse(url: &str, starttls: Option<Security>) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
        let is_implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            other => {
                return Err(format!(
                    "begins with \"{other}:\", not with file:, smtp: or smtps:"
                ));
            }
        };
        let (host, is_loopback) = host_of(&url).ok_or("names no host, as in smtp://host:587")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has something behind the host and the port, where nothing is expected".to_owned());
        }
        let security = match (is_implicit, starttls) {
            (true, None) => Security::ImplicitTls,
            (true, Some(_)) => {
                return Err("is smtps:, where GATEHOUSE_MAILER_SMTP_STARTTLS has no meaning".to_owned());
            }
            (false, Some(chosen)) => chosen,
            (false, None) if is_loopback => Security::Plain,
            (false, None) => Security::StartTls,
        };
        let decoded = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| "has a user or a password that is not UTF-8".to_owned())
        };
        let user = Some(url.username())
            .filter(|user| !user.is_empty())
            .map(decoded)
            .transpose()?;
        let password = url.password().map(decoded).transpose()?.map(Secret::new);
        if user.is_none() && password.is_some() {
            return Err("has a password but no user".to_owned());
        }
        let default_port = if is_implicit { 465 } else { 587 };
        Ok(Self {
            host,
            port: url.port().unwrap_or(default_port),
            security,
            user,
            password,
            connections: 1,
            timeout: Duration::from_secs(30),
        })
    }

    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let (user, password) = (self.user.as_ref()?, self.password.as_ref()?);
        Some(Credentials::new(user.clone(), password.expose().clone()))
    }
}

/// The host without brackets, and whether it is this machine.
fn host_of(url: &Url) -> Option<(String, bool)> {
    // `smtp:` is no "special" scheme of the URL standard, so an IPv4 address arrives here as a domain.
    match url.host()? {
        Host::Domain("") => None,
        Host::Domain(name) => {
            let is_loopback = name.eq_ignore_ascii_case("localhost")
                || name
                    .parse::<std::net::Ipv4Addr>()
                    .is_ok_and(|address| address.is_loopback());
            Some((name.to_owned(), is_loopback))
        }
        Host::Ipv4(address) => Some((address.to_string(), address.is_loopback())),
        Host::Ipv6(address) => Some((address.to_string(), address.is_loopback())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(url: &str) -> Security {
        SmtpSettings::parse(url, None).unwrap().security
    }

    #[test]
    fn starttls_is_required_except_on_loopback() {
        assert_eq!(security("smtp://mail.example.org"), Security::StartTls);
        for loopback in [
            "smtp://localhost:1025",
            "smtp://127.0.0.1:1025",
            "smtp://[::1]:1025",
        ] {
            assert_eq!(security(loopback), Security::Plain, "{loopback}");
        }
        assert_eq!(security("smtps://mail.example.org"), Security::ImplicitTls);
        let chosen = SmtpSettings::parse("smtp://mailpit:1025", Some(Security::Plain)).unwrap();
        assert_eq!((chosen.security, chosen.port), (Security::Plain, 1025));
    }

    #[test]
    fn ports_have_defaults_and_names_are_decoded() {
        let settings =
            SmtpSettings::parse("smtps://ann%40example.org:p%3Aw%2Fd@mail.example.org/", None).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("mail.example.org", 465));
        assert_eq!(settings.user.as_deref(), Some("ann@example.org"));
        assert_eq!(settings.password.unwrap().expose(), "p:w/d");
        assert_eq!(
            SmtpSettings::parse("smtp://mail.example.org", None).unwrap().port,
            587
        );
        assert_eq!(SmtpSettings::parse("smtp://[::1]:25", None).unwrap().host, "::1");
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for bad in [
            "smtp:",
            "smtp://",
            "imap://host",
            "smtp://:secret@host",
            "smtp://ann:secret@host/path",
            "smtp://ann:secret@host?tls=no",
            "smtp://ann:secret@host:99999",
        ] {
            let error = SmtpSettings::parse(bad, None).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(SmtpSettings::parse("smtps://host", Some(Security::Plain)).is_err());
    }
}
