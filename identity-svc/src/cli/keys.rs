//! `keys list | rotate | init`.

use std::io::Write;

use shared::clock::{Clock, to_ms};
use shared::jwt::SigningAlgorithm;

use super::CommandError;
use super::encryption_keys::EncryptionKeysCommand;
use crate::dates::iso_8601;
use crate::settings::Settings;
use crate::tokens::key_file::{self, StoredKey};

#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// List the keys: which one signs, which ones still verify
    List,
    /// Make what a first start needs and is not there: a signing key and an encryption key
    Init,
    /// Make a new key. It is published at once, signs a little later, and nobody is logged out
    Rotate {
        /// Do nothing when there is a key of the algorithm already: for the first start of an installation
        #[arg(long)]
        if_none: bool,
    },
}

pub fn run(
    command: &KeysCommand,
    settings: &Settings,
    clock: &Clock,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if matches!(command, KeysCommand::Init) {
        run(&KeysCommand::Rotate { if_none: true }, settings, clock, out)?;
        let rotate = EncryptionKeysCommand::Rotate { if_none: true };
        return super::encryption_keys::run(&rotate, settings, clock, out);
    }
    let tokens = &settings.tokens;
    if tokens.algorithm == SigningAlgorithm::HS256 && tokens.hs256_secret.is_some() {
        return match command {
            KeysCommand::Rotate { if_none: true } => Ok(writeln!(out, "the key comes from the settings")?),
            _ => Err(CommandError::KeyFromSettings("HS256")),
        };
    }
    let keys = key_file::load(&tokens.keys_file)?;
    match command {
        KeysCommand::List => list(&keys, settings, clock.now_ms(), out),
        KeysCommand::Rotate { if_none } if *if_none && has_key(&keys, tokens.algorithm) => {
            Ok(writeln!(out, "there is a key already")?)
        }
        KeysCommand::Rotate { .. } | KeysCommand::Init => rotate(keys, settings, clock.now_ms(), out),
    }
}

fn list(
    keys: &[StoredKey],
    settings: &Settings,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let signs = keys
        .iter()
        .filter(|key| key.algorithm == settings.tokens.algorithm && key.active_from_ms <= now_ms)
        .max_by_key(|key| key.active_from_ms);
    for key in keys {
        let state = match signs {
            Some(signing) if signing.kid == key.kid => "signs",
            _ if key.active_from_ms > now_ms => "waits",
            _ => "verifies",
        };
        let from = iso_8601(key.active_from_ms.div_euclid(1000));
        writeln!(
            out,
            "{}  {:5}  {state:8}  signs from {from}",
            key.kid,
            key.algorithm.name()
        )?;
    }
    Ok(())
}

fn rotate(
    mut keys: Vec<StoredKey>,
    settings: &Settings,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let tokens = &settings.tokens;
    // The very first key has nobody to wait for.
    let is_first = !has_key(&keys, tokens.algorithm);
    let wait_ms = if is_first {
        0
    } else {
        to_ms(settings.key_activation)
    };
    let key = key_file::generate(tokens.algorithm, now_ms, now_ms.saturating_add(wait_ms))?;
    let longest_life_ms = to_ms(tokens.refresh_lifetime.max(tokens.access_lifetime));
    drop_useless(&mut keys, now_ms, longest_life_ms);
    writeln!(
        out,
        "{} signs from {}",
        key.kid,
        iso_8601(key.active_from_ms.div_euclid(1000))
    )?;
    keys.push(key);
    Ok(key_file::save(&tokens.keys_file, &keys)?)
}

fn has_key(keys: &[StoredKey], algorithm: SigningAlgorithm) -> bool {
    keys.iter().any(|key| key.algorithm == algorithm)
}

/// Drops keys whose last token has expired: those that another key has followed for longer than a token lives.
fn drop_useless(keys: &mut Vec<StoredKey>, now_ms: i64, longest_life_ms: i64) {
    let mut starts: Vec<i64> = keys.iter().map(|key| key.active_from_ms).collect();
    starts.sort_unstable();
    keys.retain(|key| {
        let successor = starts.iter().find(|start| **start > key.active_from_ms);
        successor.is_none_or(|start| start.saturating_add(longest_life_ms) > now_ms)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_when_its_last_token_has_expired() {
        let key = |kid: &str, active_from_ms| StoredKey {
            kid: kid.to_owned(),
            algorithm: SigningAlgorithm::EdDSA,
            created_at_ms: 0,
            active_from_ms,
            private_key: String::new(),
        };
        let mut keys = vec![key("a", 0), key("b", 100), key("c", 500)];
        drop_useless(&mut keys, 550, 400);
        let left: Vec<&str> = keys.iter().map(|key| key.kid.as_str()).collect();
        assert_eq!(left, ["b", "c"]);
    }
}
