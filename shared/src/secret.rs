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

/// A URL for a log line: the password of `scheme://user:password@host` becomes `***`.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((user_info, host)) => {
            let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
            format!("{scheme}://{user}:***@{host}{path}")
        }
        None => url.to_owned(),
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
        assert_eq!(without_password("smtp://host:25"), "smtp://host:25");
        assert_eq!(without_password("memory:"), "memory:");
    }
}
