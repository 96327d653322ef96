//! A mail before its account is known, and the link templates that mails are built with.

use shared::email_job::{EmailJob, Link, LinkMail, Mail, NoticeMail, SCHEMA};
use shared::random;
use shared::request_id::RequestId;
use shared::secret::Secret;

use crate::encryption::{Encryption, EncryptionError, Place};
use crate::tokens::one_time::{self, Purpose};

/// A link from the configuration, with `{name}` where a value belongs. Never built from a request's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkTemplate(String);

impl LinkTemplate {
    /// # Errors
    /// When it is no http(s) URL, lacks a placeholder, or has one that nobody fills.
    pub fn parse(text: &str, placeholders: &[&str]) -> Result<Self, String> {
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err("must begin with https:// or http://".to_owned());
        }
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err("must not contain white space".to_owned());
        }
        for name in placeholders {
            if text.matches(&format!("{{{name}}}")).count() != 1 {
                return Err(format!("must contain {{{name}}} exactly once"));
            }
        }
        if text.matches('{').count() != placeholders.len() || text.matches('}').count() != placeholders.len()
        {
            let known: Vec<String> = placeholders.iter().map(|name| format!("{{{name}}}")).collect();
            return Err(format!("may have no braces but {}", known.join(" and ")));
        }
        Ok(Self(text.to_owned()))
    }

    /// The values are base64url, so nothing needs escaping.
    fn fill(&self, values: &[(&str, &str)]) -> Link {
        let mut url = self.0.clone();
        for (name, value) in values {
            url = url.replace(&format!("{{{name}}}"), value);
        }
        Link::new(url)
    }
}

/// A mail to whoever turns out to own an address. A unit of work completes it in the transaction of its cause.
#[derive(Clone, Debug)]
pub struct MailDraft {
    pub purpose: Purpose,
    pub link: LinkTemplate,
    pub language: &'static str,
    pub request_id: RequestId,
    pub created_at_ms: i64,
    /// For how long the secret in the link is good.
    pub valid_seconds: u64,
    pub job_id: String,
    secret: Secret<String>,
    encryption: Encryption,
}

impl MailDraft {
    pub fn new(
        purpose: Purpose,
        link: LinkTemplate,
        valid_seconds: u64,
        language: &'static str,
        request_id: RequestId,
        created_at_ms: i64,
        encryption: Encryption,
    ) -> Self {
        let (job_id, secret) = (random::hex_128(), one_time::generate());
        Self {
            purpose,
            link,
            language,
            request_id,
            created_at_ms,
            valid_seconds,
            job_id,
            secret,
            encryption,
        }
    }

    /// What is stored of the secret.
    pub fn digest(&self) -> String {
        one_time::digest(self.secret.expose())
    }

    pub fn expires_at_ms(&self) -> i64 {
        let valid_ms = i64::try_from(self.valid_seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        self.created_at_ms.saturating_add(valid_ms)
    }

    /// What is stored of the job for this account: it holds the link, so it is encrypted.
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn payload(&self, to: &str, username: &str, uid: &str) -> Result<String, PayloadError> {
        stored(&self.encryption, &self.job(to, username, uid))
    }

    /// The job for this account. `uid` is the account's opaque name in reset links.
    pub fn job(&self, to: &str, username: &str, uid: &str) -> EmailJob {
        let secret = self.secret.expose();
        let link = match self.purpose {
            Purpose::VerifyEmail => self.link.fill(&[("key", secret)]),
            Purpose::ResetPassword => self.link.fill(&[("uid", uid), ("token", secret)]),
        };
        let facts = LinkMail {
            to: to.to_owned(),
            language: self.language.to_owned(),
            username: username.to_owned(),
            link,
            valid_seconds: self.valid_seconds,
        };
        EmailJob {
            schema: SCHEMA,
            job_id: self.job_id.clone(),
            created_at_ms: self.created_at_ms,
            request_id: self.request_id.to_string(),
            mail: match self.purpose {
                Purpose::VerifyEmail => Mail::VerifyEmailV1(facts),
                Purpose::ResetPassword => Mail::ResetPasswordV1(facts),
            },
        }
    }
}

/// "Your password was changed": tells the owner of an account, and holds no secret. As [`MailDraft`], it is completed in
/// the transaction of its cause.
#[derive(Clone, Debug)]
pub struct NoticeDraft {
    /// Where a reset is asked for.
    pub link: LinkTemplate,
    pub language: &'static str,
    pub request_id: RequestId,
    pub created_at_ms: i64,
    pub job_id: String,
    /// Notices to one address an hour; 0: no limit. Nobody can have a stranger's mailbox filled by changing a password.
    pub mails_per_hour: u32,
    pub encryption: Encryption,
}

/// Why a job cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

fn stored(encryption: &Encryption, job: &EmailJob) -> Result<String, PayloadError> {
    let place = Place::outbox_payload(&job.job_id);
    Ok(encryption.encrypt(place, &job.to_json()?, job.created_at_ms)?)
}

impl NoticeDraft {
    /// The kind of the outbox row.
    pub const KIND: &'static str = "password_changed";

    /// As [`MailDraft::payload`].
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn payload(&self, to: &str, username: &str) -> Result<String, PayloadError> {
        stored(&self.encryption, &self.job(to, username))
    }

    fn job(&self, to: &str, username: &str) -> EmailJob {
        EmailJob {
            schema: SCHEMA,
            job_id: self.job_id.clone(),
            created_at_ms: self.created_at_ms,
            request_id: self.request_id.to_string(),
            mail: Mail::PasswordChangedV1(NoticeMail {
                to: to.to_owned(),
                language: self.language.to_owned(),
                username: username.to_owned(),
                link: self.link.fill(&[]),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_template_is_checked() {
        let parse = |text| LinkTemplate::parse(text, &["uid", "token"]);
        assert!(parse("https://a.test/{uid}/{token}").is_ok());
        for bad in [
            "a.test/{uid}/{token}",
            "https://a.test/{uid}",
            "https://a.test/{uid}/{token}/{key}",
            "https://a b/{uid}{token}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mail_carries_the_secret_whose_digest_is_stored() {
        let link = LinkTemplate::parse("https://a.test/{key}", &["key"]).unwrap();
        let draft = MailDraft::new(
            Purpose::VerifyEmail,
            link,
            60,
            "en",
            RequestId::random(),
            1000,
            Encryption::in_memory().unwrap(),
        );
        let job = draft.job("ann@a.test", "ann", "u");
        let secret = job
            .mail
            .arguments()
            .link
            .expose()
            .strip_prefix("https://a.test/")
            .unwrap()
            .to_owned();
        assert_eq!(one_time::digest(&secret), draft.digest());
        assert_eq!(draft.expires_at_ms(), 61_000);
        assert!(!format!("{draft:?}{job:?}").contains(&secret));
    }
}
