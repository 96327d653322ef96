//! `migrate [--check]`.

use std::io::Write;

use super::CommandError;
use crate::settings::Settings;

pub fn run(is_check: bool, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    let url = &settings.database_url;
    if is_check {
        url.check()?;
        writeln!(out, "the database {url} is up to date")?;
        return Ok(());
    }
    let applied = url.migrate()?;
    for version in &applied {
        writeln!(out, "applied migration {version}")?;
    }
    writeln!(out, "the database {url} is up to date")?;
    super::users::list_ambiguous(&mut url.connect()?, out)
}
