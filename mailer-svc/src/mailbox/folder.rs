//! Reads the mails that the file sender has written. Whatever else lies in the folder is shown as well as it can be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use mail_parser::{DateTime, HeaderValue, Message, MessageParser, PartType};

/// No mail of ours comes near this; what is longer is cut.
const MAX_MAIL_BYTES: u64 = 1024 * 1024;

/// The name of a file in the folder: nothing that leads out of it, or to a hidden file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(String);

impl FileName {
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_good = Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "eml")
            && !text.starts_with('.')
            && text.len() <= 200;
        (is_good && text.bytes().all(is_allowed)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line of the list.
#[derive(Debug)]
pub struct ListedMail {
    pub file: FileName,
    pub time: String,
    pub to: String,
    pub subject: String,
}

/// A page of the list, newest first.
#[derive(Debug)]
pub struct List {
    pub mails: Vec<ListedMail>,
    pub total: usize,
    pub has_older: bool,
}

/// One mail with its bytes.
#[derive(Debug)]
pub struct StoredMail {
    pub file: FileName,
    pub bytes: Vec<u8>,
}

/// The newest `length` mails, or the newest that are older than `before`. A folder that is not there is empty.
pub fn list(folder: &Path, before: Option<&FileName>, length: usize) -> io::Result<List> {
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry?.file_name().to_str().and_then(FileName::parse));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let total = names.len();
    // Names begin with the time.
    names.sort_unstable_by(|one, other| other.cmp(one));
    let mut older = names
        .into_iter()
        .filter(|name| before.is_none_or(|before| name < before));
    let mut mails = Vec::new();
    for file in older.by_ref().take(length) {
        // A mail may have been deleted in the meantime.
        if let Ok(mail) = read(folder, file) {
            mails.push(mail.listed());
        }
    }
    Ok(List {
        mails,
        total,
        has_older: older.next().is_some(),
    })
}

pub fn read(folder: &Path, file: FileName) -> io::Result<StoredMail> {
    let mut bytes = Vec::new();
    File::open(folder.join(file.as_str()))?
        .take(MAX_MAIL_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(StoredMail { file, bytes })
}

impl StoredMail {
    /// `None` when the bytes are no mail.
    pub fn parsed(&self) -> Option<Message<'_>> {
        MessageParser::default()
            .parse(&self.bytes)
            .filter(|message| message.from().is_some() || message.subject().is_some())
    }

    /// The HTML part as it was sent; none is made out of the text.
    pub fn html(&self) -> Option<String> {
        let message = self.parsed()?;
        message.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.clone().into_owned()),
            _ => None,
        })
    }

    fn listed(self) -> ListedMail {
        let unreadable = || "(not readable as a mail)".to_owned();
        let (time, to, subject) = match self.parsed() {
            Some(message) => (
                message.date().map(in_utc).unwrap_or_default(),
                recipients(&message),
                message
                    .subject()
                    .map_or_else(|| "(no subject)".to_owned(), str::to_owned),
            ),
            None => (String::new(), String::new(), unreadable()),
        };
        ListedMail {
            file: self.file,
            time,
            to,
            subject,
        }
    }
}

/// `2026-01-01 00:00:00`.
fn in_utc(date: &DateTime) -> String {
    let utc = DateTime::from_timestamp(date.to_timestamp());
    let DateTime {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = utc;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn recipients(message: &Message<'_>) -> String {
    let addresses = message.to().into_iter().flat_map(mail_parser::Address::iter);
    addresses
        .filter_map(|one| one.address().or_else(|| one.name()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The headers in their order, decoded.
pub fn headers(message: &Message<'_>) -> Vec<(String, String)> {
    let decoded = |header: &mail_parser::Header<'_>| match header.value() {
        HeaderValue::Text(text) => text.clone().into_owned(),
        HeaderValue::TextList(texts) => texts.join(", "),
        HeaderValue::DateTime(date) => format!("{} UTC", in_utc(date)),
        HeaderValue::Address(list) => {
            let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
                (Some(name), Some(address)) => format!("{name} <{address}>"),
                (name, address) => name.or(address).unwrap_or_default().to_owned(),
            };
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        HeaderValue::ContentType(kind) => match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        },
        HeaderValue::Received(_) | HeaderValue::Empty => String::new(),
    };
    message
        .headers()
        .iter()
        .map(|header| (header.name().to_owned(), decoded(header)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_never_leads_out_of_the_folder() {
        assert!(FileName::parse("1767225600000-0f0f.eml").is_some());
        for bad in [
            "",
            ".eml",
            "..",
            "../a.eml",
            "a/b.eml",
            "a\\b.eml",
            "/etc/x.eml",
            "a.txt",
            ".0f.tmp",
            "a\0.eml",
            "%2e%2e.eml",
        ] {
            assert_eq!(FileName::parse(bad), None, "{bad}");
        }
    }
}
