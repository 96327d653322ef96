//! `encryption-keys list | rotate | re-encrypt | prune`.

use std::io::Write;

use shared::clock::{Clock, to_ms};

use super::CommandError;
use crate::dates::iso_8601;
use crate::db::DbMessage;
use crate::db::connection::DbConnection;
use crate::db::messages::{CountPayloads, ReEncryptOutbox};
use crate::encryption::key_file::{self, StoredKey};
use crate::encryption::{Encryption, prefix_of};
use crate::settings::Settings;

/// Rows in one transaction.
const BATCH: i64 = 500;
/// A key that another has followed for so long is used by no replica any more, whatever its clock and its file say.
const PRUNE_AFTER_MS: i64 = 3_600_000;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum EncryptionKeysCommand {
    /// List the keys: which one encrypts, which ones only read, and how many stored rows need each
    List,
    /// Make a new key. It reads at once and encrypts a little later; what is stored stays readable
    Rotate {
        /// Do nothing when there is a key already: for the first start of an installation
        #[arg(long)]
        if_none: bool,
    },
    /// Encrypt what is stored again with the key that is used now; also what an earlier release wrote in clear
    ReEncrypt,
    /// Remove old keys that no stored row needs any more
    Prune,
}

pub fn run(
    command: &EncryptionKeysCommand,
    settings: &Settings,
    clock: &Clock,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let keys = key_file::load(&settings.encryption.keys_file)?;
    let now_ms = clock.now_ms();
    match command {
        EncryptionKeysCommand::List => list(keys, settings, now_ms, out),
        EncryptionKeysCommand::Rotate { if_none: true } if !keys.is_empty() => {
            Ok(writeln!(out, "there is an encryption key already")?)
        }
        EncryptionKeysCommand::Rotate { .. } => rotate(keys, settings, now_ms, out),
        EncryptionKeysCommand::ReEncrypt => re_encrypt(settings, now_ms, out),
        EncryptionKeysCommand::Prune => prune(keys, settings, now_ms, out),
    }
}

fn open(settings: &Settings) -> Result<DbConnection, CommandError> {
    settings.database_url.prepare()?;
    Ok(settings.database_url.connect()?)
}

fn rows_of(key: &StoredKey, connection: &mut DbConnection) -> Result<i64, CommandError> {
    let prefix = prefix_of(&key.id);
    Ok(CountPayloads { prefix }.run(connection)?)
}

fn list(
    mut keys: Vec<StoredKey>,
    settings: &Settings,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut connection = open(settings)?;
    keys.sort_by_key(|key| key.active_from_ms);
    let encrypts = keys.iter().rev().find(|key| key.active_from_ms <= now_ms);
    for key in &keys {
        let state = match encrypts {
            Some(encrypting) if encrypting.id == key.id => "encrypts",
            _ if key.active_from_ms > now_ms => "waits",
            _ => "reads",
        };
        let from = iso_8601(key.active_from_ms.div_euclid(1000));
        let rows = rows_of(key, &mut connection)?;
        writeln!(out, "{}  {state:8}  encrypts from {from}  {rows} rows", key.id)?;
    }
    Ok(())
}

fn rotate(
    mut keys: Vec<StoredKey>,
    settings: &Settings,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    // The very first key has nobody to wait for.
    let wait_ms = match keys.is_empty() {
        true => 0,
        false => to_ms(settings.key_activation),
    };
    let key = key_file::generate(now_ms, now_ms.saturating_add(wait_ms));
    let from = iso_8601(key.active_from_ms.div_euclid(1000));
    writeln!(out, "{} encrypts from {from}", key.id)?;
    keys.push(key);
    Ok(key_file::save(&settings.encryption.keys_file, &keys)?)
}

fn re_encrypt(settings: &Settings, now_ms: i64, out: &mut dyn Write) -> Result<(), CommandError> {
    let encryption = Encryption::start(settings.encryption.clone(), now_ms)?;
    let mut connection = open(settings)?;
    let (mut after_id, mut changed, mut unreadable) = (0, 0, 0);
    loop {
        let message = ReEncryptOutbox {
            encryption: encryption.clone(),
            after_id,
            limit: BATCH,
            now_ms,
        };
        let done = connection
            .write(|connection| message.run(connection))
            .map_err(diesel::result::Error::from)?;
        changed += done.changed_count;
        unreadable += done.unreadable_count;
        match done.last_id {
            Some(last_id) => after_id = last_id,
            None => break,
        }
    }
    writeln!(
        out,
        "{changed} rows are encrypted again, {unreadable} cannot be read"
    )?;
    Ok(())
}

fn prune(
    mut keys: Vec<StoredKey>,
    settings: &Settings,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut connection = open(settings)?;
    let starts: Vec<i64> = keys.iter().map(|key| key.active_from_ms).collect();
    let mut pruned = Vec::new();
    for key in &keys {
        let is_replaced = starts
            .iter()
            .any(|start| *start > key.active_from_ms && start.saturating_add(PRUNE_AFTER_MS) <= now_ms);
        if is_replaced && rows_of(key, &mut connection)? == 0 {
            pruned.push(key.id.clone());
        }
    }
    if pruned.is_empty() {
        return Ok(writeln!(
            out,
            "no key can go: rows need it (`encryption-keys re-encrypt`), or it was replaced less than an hour ago"
        )?);
    }
    keys.retain(|key| !pruned.contains(&key.id));
    key_file::save(&settings.encryption.keys_file, &keys)?;
    for id in &pruned {
        writeln!(out, "{id} is removed")?;
    }
    Ok(())
}
