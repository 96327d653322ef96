//! Files and folders for their owner alone: key files, secrets, the database of embedded mode. Created so, whatever the
//! umask, and made so when an earlier release or somebody's `cp` left them wider.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::random;

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Group and others.
const NOT_OWNER: u32 = 0o077;
/// A folder with this bit, such as `/tmp`, is meant to be shared.
const STICKY: u32 = 0o1000;

/// Creates a folder and the missing ones above it. Those that exist stay as they are.
///
/// # Errors
/// When one cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Creates an empty file unless there is one: `false`.
///
/// # Errors
/// When it cannot be created.
pub fn create_empty(path: &Path) -> io::Result<bool> {
    match create_new(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Replaces a file as a whole, and creates its folder: a crash leaves the old one or the new one.
///
/// # Errors
/// When it cannot be written; the old one is there then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    create_folder(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", random::hex_128()));
    let write = || {
        let mut file = create_new(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().inspect_err(|_| {
        // Whatever went wrong is reported; a temporary file that cannot be removed either adds nothing.
        let _ = fs::remove_file(&temporary);
    })
}

/// Takes a file's or a folder's rights for group and others away, with a line in the log. A folder that is meant to be
/// shared stays as it is, and so does what somebody else owns: mounted secrets belong to root and have a group on purpose.
pub fn tighten(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.permissions().mode();
    let is_shared_folder = metadata.is_dir() && (mode & STICKY != 0 || path.parent().is_none());
    if mode & NOT_OWNER == 0 || is_shared_folder {
        return;
    }
    let (before, after) = (mode & 0o777, mode & 0o700);
    match fs::set_permissions(path, Permissions::from_mode(after)) {
        Ok(()) => log::warn!(
            "{} was open to others (mode {before:03o}): it is for its owner alone now ({after:03o})",
            path.display()
        ),
        Err(error) => log::debug!("{} keeps its mode {before:03o}: {error}", path.display()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_created_is_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(random::hex_128());
        let inner = folder.join("inner");
        replace(&inner.join("a"), b"hush").unwrap();
        assert!(create_empty(&inner.join("b")).unwrap());
        assert!(!create_empty(&inner.join("b")).unwrap());
        let modes = [&folder, &inner, &inner.join("a"), &inner.join("b")].map(|path| mode(path));
        assert_eq!(modes, [0o700, 0o700, 0o600, 0o600]);
        assert_eq!(
            fs::read_dir(&inner).unwrap().count(),
            2,
            "no temporary file is left"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_open_to_others_is_closed_and_a_shared_folder_is_left_alone() {
        let folder = std::env::temp_dir().join(random::hex_128());
        replace(&folder.join("a"), b"hush").unwrap();
        let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(&folder, 0o755);
        open(&folder.join("a"), 0o440);
        tighten(&folder);
        tighten(&folder.join("a"));
        assert_eq!((mode(&folder), mode(&folder.join("a"))), (0o700, 0o400));
        open(&folder, 0o1777);
        tighten(&folder);
        assert_eq!(mode(&folder), 0o777);
        tighten(&folder.join("nothing"));
        fs::remove_dir_all(folder).unwrap();
    }
}
