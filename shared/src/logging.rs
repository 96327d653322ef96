//! One way to write a log line: time, level, target, message, then key=value pairs.

use std::io::Write;

use crate::env::Env;

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
    if settings.format == LogFormat::Json {
        builder.format(|out, record| {
            writeln!(out, "{}", json_line(record, &out.timestamp_millis().to_string()))
        });
    } else {
        builder.format(|out, record| {
            let time = out.timestamp_millis();
            write!(
                out,
                "{time} {:5} {}: {}",
                record.level(),
                record.target(),
                one_line(&record.args().to_string())
            )?;
            for (key, value) in pairs(record) {
                write!(out, " {key}={}", one_line(&value))?;
            }
            writeln!(out)
        });
    }
    // An error here means that logging already runs, which is what the caller wants.
    let _ = builder.try_init();
}

/// Line breaks would let a value forge a log line.
fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
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
    collect.0
}
