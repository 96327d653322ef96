//! One way to write a log line: time, level, target, message, then key=value pairs. Lines that are written while a request is
//! answered or a job is done carry its id by themselves.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use crate::env::Env;

tokio::task_local! {
    static CONTEXT: LogContext;
}

/// What every line of a piece of work carries.
#[derive(Clone, Debug)]
pub struct LogContext(Arc<[(&'static str, String)]>);

impl LogContext {
    pub fn of_request(request_id: &str) -> Self {
        Self(Arc::new([("request_id", request_id.to_owned())]))
    }

    /// `request_id`: of the request that the job comes from.
    pub fn of_job(job_id: &str, request_id: &str) -> Self {
        Self(Arc::new([
            ("job_id", job_id.to_owned()),
            ("request_id", request_id.to_owned()),
        ]))
    }
}

/// Runs `future`; the lines that it writes carry `context`. Tasks and threads that it starts do not inherit it.
pub fn with_context<F: Future>(context: LogContext, future: F) -> impl Future<Output = F::Output> {
    CONTEXT.scope(context, future)
}

/// `text` for people, `json` for log collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is logged and how. `GATEHOUSE_LOG` is a filter as in `env_logger` (default `info`), for example
/// `info,identity_svc=debug`; `GATEHOUSE_LOG_FORMAT` is `text` or `json` (default `text`).
#[derive(Clone, Debug)]
pub struct LogSettings {
    pub filter: String,
    pub format: LogFormat,
}

impl LogSettings {
    pub fn from_env(env: &Env) -> Self {
        Self {
            filter: env.text("GATEHOUSE_LOG", "info"),
            format: env.choice(
                "GATEHOUSE_LOG_FORMAT",
                LogFormat::Text,
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            ),
        }
    }
}

/// Starts logging to standard error. A second call (tests, embedded mode) changes nothing.
pub fn start(settings: &LogSettings) {
    let mut builder = env_logger::Builder::new();
    // The AMQP client tells every lost connection several times, and prints whole messages, links included, when the broker
    // returns one. What an operator needs of it our own lines say.
    for library in [
        "lapin",
        "lapin::returned_messages",
        "amq_protocol",
        "tracing::span",
    ] {
        builder.filter_module(library, log::LevelFilter::Off);
    }
    builder.parse_filters(&settings.filter);
    let format = settings.format;
    builder.format(move |out, record| {
        let time = out.timestamp_millis().to_string();
        let line = match format {
            LogFormat::Json => json_line(record, &time),
            LogFormat::Text => text_line(record, &time),
        };
        writeln!(out, "{line}")
    });
    // An error here means that logging already runs, which is what the caller wants.
    let _ = builder.try_init();
}

/// Line breaks would let a value forge a log line.
fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

fn text_line(record: &log::Record<'_>, time: &str) -> String {
    let message = one_line(&record.args().to_string());
    let mut line = format!("{time} {:5} {}: {message}", record.level(), record.target());
    for (key, value) in pairs(record) {
        // Writing to a String cannot fail.
        let _ = write!(line, " {key}={}", one_line(&value));
    }
    line
}

fn json_line(record: &log::Record<'_>, time: &str) -> String {
    let mut line = serde_json::Map::new();
    line.insert("time".into(), time.into());
    line.insert("level".into(), record.level().as_str().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    for (key, value) in pairs(record) {
        line.insert(key, value.into());
    }
    serde_json::Value::Object(line).to_string()
}

/// The line's own pairs, then those of the work that it belongs to.
fn pairs(record: &log::Record<'_>) -> Vec<(String, String)> {
    struct Collect(Vec<(String, String)>);
    impl<'kvs> log::kv::VisitSource<'kvs> for Collect {
        fn visit_pair(
            &mut self,
            key: log::kv::Key<'kvs>,
            value: log::kv::Value<'kvs>,
        ) -> Result<(), log::kv::Error> {
            self.0.push((key.to_string(), value.to_string()));
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    // The visitor above cannot fail.
    let _ = record.key_values().visit(&mut collect);
    let Collect(mut pairs) = collect;
    // An error means that the line belongs to no piece of work.
    let _ = CONTEXT.try_with(|LogContext(context)| {
        for (key, value) in context.iter() {
            if !pairs.iter().any(|(known, _)| known == key) {
                pairs.push(((*key).to_owned(), value.clone()));
            }
        }
    });
    pairs
}

/// For tests: what the text format would write of `record` at this place, without the time.
pub fn line_of(record: &log::Record<'_>) -> String {
    text_line(record, "").trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> (String, String) {
        let pairs = pairs.to_vec();
        let args = format_args!("mail sent\nERROR forged");
        let record = log::Record::builder()
            .level(log::Level::Info)
            .target("mailer_svc")
            .key_values(&pairs)
            .args(args)
            .build();
        (text_line(&record, "NOW"), json_line(&record, "NOW"))
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let (text, json) = lines(&[("reason", "a\r\nb")]);
        assert_eq!(
            text,
            r"NOW INFO  mailer_svc: mail sent\nERROR forged reason=a\r\nb"
        );
        assert_eq!(
            json,
            r#"{"time":"NOW","level":"INFO","target":"mailer_svc","message":"mail sent\nERROR forged","reason":"a\r\nb"}"#
        );
    }

    #[tokio::test]
    async fn lines_of_a_job_carry_its_ids_once() {
        let context = LogContext::of_job("j1", "r1");
        let (text, json) = with_context(context, async { lines(&[("request_id", "r2")]) }).await;
        assert!(text.ends_with("forged request_id=r2 job_id=j1"), "{text}");
        assert!(json.ends_with(r#""request_id":"r2","job_id":"j1"}"#), "{json}");
        assert!(lines(&[]).0.ends_with("forged"), "no context is left behind");
    }
}
