//! Builds the message that goes over the wire: headers, a text part and an HTML part, all in ASCII.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{Date, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use shared::email_job::EmailJob;

use crate::render::Rendered;

/// A message, ready for a sender.
#[derive(Clone)]
pub struct OutgoingMail {
    pub job_id: String,
    pub from: Address,
    pub to: Address,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for OutgoingMail {
    /// Without addresses and text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutgoingMail")
            .field("job_id", &self.job_id)
            .finish_non_exhaustive()
    }
}

/// Why a job can never become a mail. Says nothing of its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    #[error("the job id is not 1 to 64 letters, digits and hyphens")]
    BadJobId,
    #[error("the address cannot be parsed")]
    BadAddress,
    #[error("the link is not a URL")]
    BadLink,
    #[error("the message cannot be built: {0}")]
    NotBuilt(String),
}

/// Refuses what must not come near a header, a file name or an `href`.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(job: &EmailJob) -> Result<(), Undeliverable> {
    let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if job.job_id.is_empty() || job.job_id.len() > 64 || !job.job_id.bytes().all(is_id_byte) {
        return Err(Undeliverable::BadJobId);
    }
    recipient(job.mail.arguments().to)?;
    let link = job.mail.arguments().link.expose();
    let is_plain = link
        .chars()
        .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '"'));
    let is_safe =
        url::Url::parse(link).is_ok_and(|url| !matches!(url.scheme(), "javascript" | "data" | "vbscript"));
    if is_plain && is_safe {
        Ok(())
    } else {
        Err(Undeliverable::BadLink)
    }
}

/// The address in the form of the envelope: an international domain in its ASCII form (RFC 5890), since few servers
/// offer SMTPUTF8.
///
/// # Errors
/// `BadAddress`, also for a local part that is not ASCII.
pub fn recipient(text: &str) -> Result<Address, Undeliverable> {
    let address: Address = text.parse().map_err(|_| Undeliverable::BadAddress)?;
    if !address.user().is_ascii() || text.chars().any(char::is_control) {
        return Err(Undeliverable::BadAddress);
    }
    with_ascii_domain(&address).ok_or(Undeliverable::BadAddress)
}

/// `None` when the domain has no ASCII form.
pub fn with_ascii_domain(address: &Address) -> Option<Address> {
    if address.domain().is_ascii() {
        return Some(address.clone());
    }
    let domain = idna::domain_to_ascii(address.domain()).ok()?;
    Address::new(address.user(), domain).ok()
}

/// The message of `job`. `Message-ID` comes from the job id, so that a repeated mail is recognisable as one.
///
/// # Errors
/// When the job's arguments make no message.
pub fn compose(
    job: &EmailJob,
    rendered: Rendered,
    from: &Mailbox,
    now_ms: i64,
) -> Result<OutgoingMail, Undeliverable> {
    let to = recipient(job.mail.arguments().to)?;
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    let message = Message::builder()
        .header(Date::new(now))
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(rendered.subject)
        .message_id(Some(format!("<{}@{}>", job.job_id, from.email.domain())))
        // Source: RFC 3834 section 5. The second asks Exchange not to answer with an out-of-office note.
        .raw_header(header("Auto-Submitted", "auto-generated")?)
        .raw_header(header("X-Auto-Response-Suppress", "All")?)
        .raw_header(header("Content-Language", &rendered.language)?)
        .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
        .map_err(|error| Undeliverable::NotBuilt(error.to_string()))?;
    Ok(OutgoingMail {
        job_id: job.job_id.clone(),
        from: from.email.clone(),
        to,
        bytes: message.formatted(),
    })
}

fn header(name: &'static str, value: &str) -> Result<HeaderValue, Undeliverable> {
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|error| Undeliverable::NotBuilt(error.to_string()))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use shared::email_job::{Link, LinkMail, Mail, SCHEMA};

    use super::*;

    fn job(to: &str, link: &str) -> EmailJob {
        EmailJob {
            schema: SCHEMA,
            job_id: "0f".repeat(16),
            created_at_ms: 0,
            request_id: "r".into(),
            mail: Mail::VerifyEmailV1(LinkMail {
                to: to.into(),
                language: "en".into(),
                username: "ann".into(),
                link: Link::new(link.into()),
                valid_seconds: 60,
            }),
        }
    }

    fn composed(job: &EmailJob, subject: &str) -> String {
        let rendered = Rendered {
            language: "en".into(),
            subject: subject.into(),
            text: format!("Hello\n\n{}\n", job.mail.arguments().link.expose()),
            html: "<p>Hello</p>".into(),
        };
        let from = "Gatehouse <no-reply@example.com>".parse().unwrap();
        String::from_utf8(compose(job, rendered, &from, 1_767_225_600_000).unwrap().bytes).unwrap()
    }

    #[test]
    fn the_headers_are_all_there_and_come_from_the_job() {
        let text = composed(&job("ann@example.org", "https://app.example/k"), "Hi");
        for line in [
            "Date: Thu, 01 Jan 2026 00:00:00 +0000",
            "From: Gatehouse <no-reply@example.com>",
            "To: ann@example.org",
            "Subject: Hi",
            "Message-ID: <0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f@example.com>",
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "Content-Language: en",
            "MIME-Version: 1.0",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} is not in\n{text}");
        }
        assert!(text.contains("\r\nContent-Type: multipart/alternative;"));
    }

    #[test]
    fn an_international_domain_goes_out_in_ascii() {
        let address = recipient("ann@пример.рф").unwrap();
        assert_eq!(address.to_string(), "ann@xn--e1afmkfd.xn--p1ai");
        assert!(composed(&job("ann@пример.рф", "https://app.example/k"), "Hi").is_ascii());
    }

    #[test]
    fn what_could_forge_a_header_is_refused_or_encoded() {
        for bad in [
            "ann@example.org\r\nBcc: eve@example.org",
            "ann\r\n@example.org",
            "\"a\nb\"@example.org",
            "анна@example.org",
            "ann",
            "",
            "a@b@c",
        ] {
            assert_eq!(recipient(bad), Err(Undeliverable::BadAddress), "{bad:?}");
        }
        let text = composed(
            &job("ann@example.org", "https://app.example/k"),
            "Hi\r\nBcc: eve@example.org",
        );
        assert!(!text.contains("\nBcc:"), "{text}");
    }

    #[test]
    fn a_job_that_must_not_come_near_a_file_name_or_a_link_is_refused() {
        let good = job("ann@example.org", "https://app.example/k?a=1&b=2#c");
        assert_eq!(check(&good), Ok(()));
        for bad in ["", "../up", "a/b", "a b", "a\r\nb", "a>b", &"x".repeat(65)] {
            assert_eq!(
                check(&EmailJob {
                    job_id: bad.into(),
                    ..good.clone()
                }),
                Err(Undeliverable::BadJobId)
            );
        }
        for bad in [
            "",
            "/confirm",
            "javascript:alert(1)",
            "https://a.example/ b",
            "https://a.example/\nb",
        ] {
            assert_eq!(
                check(&job("ann@example.org", bad)),
                Err(Undeliverable::BadLink),
                "{bad:?}"
            );
        }
    }
}
