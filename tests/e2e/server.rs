//! The built program with a data folder of its own, and what a user does with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{self, Answer};

pub const PASSWORD: &str = "Zx9-quartz-Lamp";
pub const NEW_PASSWORD: &str = "Nw7-basalt-Kite";

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "e2e-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to `cargo clean`.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with this data folder, on free ports, hashing quickly.
pub fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    command
        .env_clear()
        .env("GATEHOUSE_DATA_DIR", data)
        .env("GATEHOUSE_PUBLIC_URL", "http://gatehouse.test")
        .env("GATEHOUSE_GATEWAY_LISTEN", "127.0.0.1:0")
        .env("GATEHOUSE_IDENTITY_BCRYPT_COST", "4");
    command
}

/// Runs the program to its end.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub struct Server {
    pub address: SocketAddr,
    pub data: Folder,
    process: Child,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(Folder::new(), &[])
    }

    pub fn start_with(data: Folder, settings: &[(&str, &str)]) -> Self {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(data.path().join("log"))
            .unwrap();
        let mut process = program(data.path())
            .envs(settings.iter().copied())
            .env("GATEHOUSE_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| {
                line.trim()
                    .strip_prefix("gateway ")
                    .map(|url| url.trim().to_owned())
            })
            .unwrap_or_else(|| {
                panic!(
                    "did not start: {}",
                    fs::read_to_string(data.path().join("log")).unwrap()
                )
            });
        let address = address.strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            address,
            data,
            process,
        }
    }

    /// Ends it as an operator does, and returns its exit code and its data.
    pub fn stop(mut self, signal: &str) -> (Option<i32>, Folder) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([format!("-{signal}"), id])
                .status()
                .unwrap()
                .success()
        );
        let code = self.process.wait().unwrap().code();
        (code, std::mem::replace(&mut self.data, Folder::new()))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap()
    }

    pub fn post(&self, endpoint: &str, body: &Value) -> Answer {
        self.post_with(endpoint, body, &[])
    }

    pub fn post_with(&self, endpoint: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        http::send(
            self.address,
            "POST",
            &format!("/api/auth/{endpoint}"),
            &all,
            &body.to_string(),
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        http::send(self.address, "GET", path, &[], "")
    }

    pub fn register(&self, name: &str) -> Answer {
        self.post("registration/", &registration(name))
    }

    pub fn login(&self, name: &str, password: &str) -> Answer {
        self.post("login/", &json!({ "username": name, "password": password }))
    }

    /// Waits for the mail number `count` to an address and returns the link in it, without scheme and host.
    pub fn link_in_mail(&self, to: &str, count: usize) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mails = self.mails(to);
            if let Some(mail) = mails.get(count - 1) {
                // Quoted-printable breaks long lines with a `=`.
                let mail = mail.replace("=\r\n", "").replace("=\n", "");
                let start = mail.find("http://gatehouse.test").unwrap() + "http://gatehouse.test".len();
                let ends = |char: char| char.is_whitespace() || char == '"';
                return mail[start..].split(ends).next().unwrap().to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} mails arrived",
                mails.len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The mails to an address, oldest first.
    pub fn mails(&self, to: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data.path().join("mails")) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        let mails = paths.iter().filter_map(|path| fs::read_to_string(path).ok());
        mails.filter(|mail| mail.contains(&format!("To: {to}"))).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn registration(name: &str) -> Value {
    json!({
        "username": name, "email": format!("{name}@mail.test"), "password1": PASSWORD, "password2": PASSWORD,
    })
}

/// The last segment of a link: a verification key or a reset token.
pub fn last_segment(link: &str) -> &str {
    link.rsplit('/').next().unwrap()
}
