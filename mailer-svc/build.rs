//! Compiles the templates in: every `templates/<language>/...` that is there, so that a translator adds a folder and no code.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PARTS: [&str; 3] = ["body.html", "body.txt", "subject.txt"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    println!("cargo::rerun-if-changed=templates");

    let mut list = String::from("&[\n");
    for language in names(&root)? {
        let folder = root.join(&language);
        if folder.is_file() {
            write_entry(&mut list, &language, &folder)?;
            continue;
        }
        for name in names(&folder)? {
            let path = folder.join(&name);
            if path.is_file() {
                write_entry(&mut list, &format!("{language}/{name}"), &path)?;
                continue;
            }
            let parts = names(&path)?;
            if !parts.iter().eq(PARTS.iter()) {
                return Err(format!("templates/{language}/{name} must hold exactly {PARTS:?}").into());
            }
            for part in parts {
                write_entry(&mut list, &format!("{language}/{name}/{part}"), &path.join(&part))?;
            }
        }
    }
    list.push_str("]\n");

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("templates.rs"), list)?;
    Ok(())
}

fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn write_entry(list: &mut String, name: &str, path: &Path) -> Result<(), std::fmt::Error> {
    writeln!(
        list,
        "    ({name:?}, include_str!({:?})),",
        path.display().to_string()
    )
}
