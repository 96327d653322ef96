//! An SMTP server that records what it gets and can be told to fail.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What the server does with one mail; without a script it takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Take,
    /// This reply to MAIL, to RCPT, or to the message.
    ReplyToMail(&'static str),
    ReplyToRcpt(&'static str),
    ReplyToMessage(&'static str),
    /// Takes it, says 250 and closes the connection.
    TakeAndHangUp,
    /// Closes the connection in place of the 250.
    HangUpAtMessage,
    /// Takes it, and says 250 only after `release`.
    TakeAfterRelease,
}

#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub from: String,
    pub to: Vec<String>,
    pub data: String,
}

#[derive(Default)]
struct State {
    mails: Vec<Recorded>,
    script: VecDeque<Act>,
    /// In place of the greeting's 220, one a connection.
    greetings: VecDeque<&'static str>,
    /// Lines of EHLO, beside the name.
    extensions: Vec<&'static str>,
    auth_reply: &'static str,
    auths: Vec<String>,
    connections: usize,
    quits: usize,
    held: usize,
    is_released: bool,
}

#[derive(Clone)]
pub struct SmtpServer {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl SmtpServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            auth_reply: "235 welcome",
            ..State::default()
        };
        let server = Self {
            address,
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = accepting.clone();
                thread::spawn(move || connection.serve(stream.unwrap()));
            }
        });
        server
    }

    pub fn script(&self, acts: impl IntoIterator<Item = Act>) -> &Self {
        self.lock().script.extend(acts);
        self
    }

    pub fn greet_with(&self, greeting: &'static str) -> &Self {
        self.lock().greetings.push_back(greeting);
        self
    }

    pub fn offer(&self, extension: &'static str) -> &Self {
        self.lock().extensions.push(extension);
        self
    }

    pub fn reply_to_auth_with(&self, reply: &'static str) -> &Self {
        self.lock().auth_reply = reply;
        self
    }

    /// Lets the mails out that `TakeAfterRelease` holds.
    pub fn release(&self) {
        self.lock().is_released = true;
        self.state.1.notify_all();
    }

    pub fn mails(&self) -> Vec<Recorded> {
        self.lock().mails.clone()
    }

    pub fn auths(&self) -> Vec<String> {
        self.lock().auths.clone()
    }

    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    pub fn quits(&self) -> usize {
        self.lock().quits
    }

    /// Mails that wait for `release`.
    pub fn held(&self) -> usize {
        self.lock().held
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut out = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut say = move |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).is_ok();

        let greeting = {
            let mut state = self.lock();
            state.connections += 1;
            state.greetings.pop_front()
        };
        if !say(greeting.unwrap_or("220 test.example ESMTP")) {
            return;
        }
        let mut mail = Recorded::default();
        let mut act = Act::Take;
        while let Some(line) = lines.next() {
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" => {
                    for extension in self.lock().extensions.clone() {
                        say(&format!("250-{extension}"));
                    }
                    "250 SIZE 1000000"
                }
                "AUTH" => {
                    let mut state = self.lock();
                    state.auths.push(line.clone());
                    state.auth_reply
                }
                "MAIL" => {
                    act = self.lock().script.pop_front().unwrap_or(Act::Take);
                    mail = Recorded {
                        from: address(&line),
                        ..Recorded::default()
                    };
                    if let Act::ReplyToMail(reply) = act {
                        reply
                    } else {
                        "250 ok"
                    }
                }
                "RCPT" => {
                    mail.to.push(address(&line));
                    if let Act::ReplyToRcpt(reply) = act {
                        reply
                    } else {
                        "250 ok"
                    }
                }
                "DATA" => {
                    say("354 go on");
                    mail.data = lines
                        .by_ref()
                        .take_while(|line| line != ".")
                        .fold(String::new(), |data, line| {
                            data + line.strip_prefix('.').unwrap_or(&line) + "\r\n"
                        });
                    match &act {
                        Act::HangUpAtMessage => return,
                        Act::ReplyToMessage(reply) => reply,
                        _ => {
                            self.record(&mail, &act);
                            if act == Act::TakeAndHangUp {
                                say("250 taken");
                                return;
                            }
                            "250 taken"
                        }
                    }
                }
                "QUIT" => {
                    self.lock().quits += 1;
                    say("221 bye");
                    return;
                }
                _ => "250 ok",
            };
            if !say(reply) {
                return;
            }
        }
    }

    fn record(&self, mail: &Recorded, act: &Act) {
        let mut state = self.lock();
        if *act == Act::TakeAfterRelease {
            state.held += 1;
            state = self
                .state
                .1
                .wait_while(state, |state| !state.is_released)
                .unwrap();
        }
        state.mails.push(mail.clone());
    }
}

fn address(line: &str) -> String {
    let (_, rest) = line.split_once('<').unwrap();
    rest.rsplit_once('>').unwrap().0.to_owned()
}
