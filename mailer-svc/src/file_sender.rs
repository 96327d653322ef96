//! Writes each mail into a folder, as one `.eml` file that is either whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shared::clock::Clock;
use shared::private_file;

use crate::outgoing_mail::OutgoingMail;
use crate::send_error::SendError;

/// A folder of mails. File names sort by time: `<Unix time in ms>-<job id>.eml`.
#[derive(Clone, Debug)]
pub struct FileSender {
    folder: PathBuf,
    clock: Clock,
}

impl FileSender {
    /// Creates the folder when it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(folder: &Path, clock: Clock) -> io::Result<Self> {
        private_file::create_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            clock,
        })
    }

    /// # Errors
    /// Always `Later`: a full disk and a read-only folder can be mended.
    pub async fn send(&self, mail: OutgoingMail) -> Result<(), SendError> {
        let folder = self.folder.clone();
        let now_ms = self.clock.now_ms();
        match tokio::task::spawn_blocking(move || write(&folder, now_ms, &mail)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SendError::Later(format!(
                "cannot write into the mail folder: {error}"
            ))),
            Err(error) => Err(SendError::Later(format!("writing into the mail folder: {error}"))),
        }
    }
}

/// Temporary name, content, flush to the disk, final name: a reader never sees half a mail, and neither does a crash.
fn write(folder: &Path, now_ms: i64, mail: &OutgoingMail) -> io::Result<()> {
    private_file::create_folder(folder)?;
    let temporary = folder.join(format!(".{}.tmp", mail.job_id));
    let result = write_and_rename(folder, &temporary, now_ms, mail);
    if result.is_err() {
        // What remains of a failed attempt helps nobody, and on a full disk it harms.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_and_rename(folder: &Path, temporary: &Path, now_ms: i64, mail: &OutgoingMail) -> io::Result<()> {
    // Only the owner may read: the mail holds a link with a secret.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(&mail.bytes)?;
    file.sync_all()?;
    fs::rename(
        temporary,
        folder.join(format!("{now_ms:013}-{}.eml", mail.job_id)),
    )?;
    File::open(folder)?.sync_all()
}
