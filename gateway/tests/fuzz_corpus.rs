//! Every input that the fuzz targets keep goes through the same checks on the stable compiler, and so do inputs that are
//! made of them by a fixed rule: the same ones each time, on every machine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

use std::path::Path;

use gateway::fuzzing;

/// What is tried of each corpus beside the files themselves.
const MUTATIONS: usize = 20_000;
/// Pieces at which readers of HTTP have failed before.
const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b":",
    b",",
    b";",
    b"\"",
    b"\\",
    b"0",
    b"+1",
    b"-1",
    b"0x1",
    b"ffffffffffffffff",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"\r\n ",
];

/// A generator whose numbers are good enough to choose by. Source: Marsaglia, xorshift64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutated(files: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = files[numbers.below(files.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => {
                let other = &files[numbers.below(files.len())];
                let from = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 => {
                let to = (at + numbers.below(12)).min(bytes.len());
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = PIECES[numbers.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Runs a target's corpus, and mutations of it, and asserts that both accepted and refused inputs are among them.
fn run(target: &str, check: fn(&[u8]) -> bool) {
    let files = corpus(target);
    let accepted = files.iter().filter(|file| check(file)).count();
    assert!(accepted > 0, "{target}: nothing of the corpus is accepted");
    assert!(
        accepted < files.len(),
        "{target}: nothing of the corpus is refused"
    );
    let (mut numbers, mut accepted) = (Numbers(20_240), 0);
    for _ in 0..MUTATIONS {
        accepted += usize::from(check(&mutated(&files, &mut numbers)));
    }
    assert!(
        (MUTATIONS / 100..MUTATIONS).contains(&accepted),
        "{target}: {accepted} mutations of {MUTATIONS} were accepted"
    );
}

#[test]
fn request_heads() {
    run("request_head", fuzzing::check_request_head);
}

#[test]
fn response_heads() {
    run("response_head", fuzzing::check_response_head);
}

#[test]
fn chunked_bodies() {
    run("chunked_body", fuzzing::check_chunked_body);
}

#[test]
fn http2_heads() {
    run("http2_head", fuzzing::check_http2_head);
}

#[test]
fn proxy_headers() {
    run("proxy_header", fuzzing::check_proxy_header);
}

#[test]
fn routes_files() {
    run("routes_file", fuzzing::check_routes_file);
}
