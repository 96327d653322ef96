//! Compiles the texts in: lists `locales/<language>/*.ftl`, so that a new language is a new folder and no code.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=locales");
    let mut code = String::from("&[\n");
    for folder in sorted(Path::new("locales"))? {
        if !folder.is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={}", folder.display());
        writeln!(code, "    Locale {{ tag: {:?}, sources: &[", name(&folder)?)?;
        for file in sorted(&folder)? {
            if file.extension().is_some_and(|extension| extension == "ftl") {
                let path = format!("/locales/{}/{}", name(&folder)?, name(&file)?);
                writeln!(
                    code,
                    "        include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?})),"
                )?;
            }
        }
        code.push_str("    ] },\n");
    }
    code.push_str("]\n");
    let out_dir = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out_dir).join("locales.rs"), code)?;
    Ok(())
}

/// What a folder holds, in an order that does not change from build to build.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> Result<&str, Box<dyn Error>> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| format!("{}: not a plain name", path.display()).into())
}
