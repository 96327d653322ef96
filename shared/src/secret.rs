//! A value that must never be printed, and does not stay in memory when it is no longer needed.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Holds a secret; `Debug` and `Display` print `***`, dropping it overwrites it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself. Every call of this is a place to look at in a review.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The secret itself, from now on in the caller's care.
    pub fn into_exposed(mut self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut *self.0)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A URL for a log line: in `scheme://user:password@host/path` the password becomes `***`, and what may follow the path is
/// left out. Nobody can tell where a password ends that was not percent-encoded, so everything up to the last `@` counts as
/// one: rather too little is shown than a part of it.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (user_info, host) = match rest.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, rest),
    };
    let host = host.split(['?', '#']).next().unwrap_or_default();
    match user_info {
        Some(user_info) => {
            let user = user_info.split([':', '/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}")
        }
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(
            format!(
                "{:?} {}",
                Secret::new("hush".to_owned()),
                Secret::new("hush".to_owned())
            ),
            "*** ***"
        );
    }

    #[test]
    fn the_password_of_a_url_is_not_printed() {
        assert_eq!(
            without_password("amqp://ann:pa:ss@host:5672/%2f"),
            "amqp://ann:***@host:5672/%2f"
        );
        for password in ["p/ss", "p@ss", "p#ss", "p?ss", "@/?#:", "p@ss/x?y@z"] {
            let shown = without_password(&format!("postgres://ann:{password}@host:5/d?sslpassword=hush#x"));
            assert_eq!(shown, "postgres://ann:***@host:5/d", "{password}");
        }
        // Not a password, but it could be the end of one.
        let shown = without_password("postgres://host/d?sslpassword=hush&sslrootcert=a@b");
        assert_eq!(shown, "postgres://host:***@b");
        assert_eq!(without_password("amqps://host/v?password=hush"), "amqps://host/v");
        assert_eq!(without_password("smtp://host:25"), "smtp://host:25");
        assert_eq!(without_password("memory:"), "memory:");
    }
}
