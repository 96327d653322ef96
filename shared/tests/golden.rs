//! The messages between services, as earlier releases wrote them. A golden file is never changed: a job that waited in
//! a queue during an upgrade must still be read. A new version of a mail gets a new file.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use shared::email_job::{EmailJob, EmailJobError, Link, LinkMail, Mail, NoticeMail, SCHEMA};
use shared::mail_outcome::{self, MailOutcome, MailOutcomeError, MailResult};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(tag: &str) -> Vec<u8> {
    fs::read(golden_folder().join(format!("{tag}.json"))).unwrap()
}

/// The file of a mail. A new variant does not compile until it has one.
fn tag(mail: &Mail) -> &'static str {
    match mail {
        Mail::VerifyEmailV1(_) => "verify_email.v1",
        Mail::ResetPasswordV1(_) => "reset_password.v1",
        Mail::PasswordChangedV1(_) => "password_changed.v1",
    }
}

fn expected() -> [EmailJob; 3] {
    let job = |job_id: &str, mail| EmailJob {
        schema: SCHEMA,
        job_id: job_id.to_owned(),
        created_at_ms: 1_767_225_600_000,
        request_id: "5c6b7a8990a1b2c3d4e5f60718293a4b".to_owned(),
        mail,
    };
    let arguments = |language: &str, link: &str, valid_seconds| LinkMail {
        to: "ann@example.org".to_owned(),
        language: language.to_owned(),
        username: "ann".to_owned(),
        link: Link::new(link.to_owned()),
        valid_seconds,
    };
    [
        job(
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            Mail::VerifyEmailV1(arguments("en", "https://app.example/confirm/golden-key", 259_200)),
        ),
        job(
            "f0e1d2c3b4a5968778695a4b3c2d1e0f",
            Mail::ResetPasswordV1(arguments(
                "ru",
                "https://app.example/reset/golden-uid/golden-token",
                3600,
            )),
        ),
        job(
            "00112233445566778899aabbccddeeff",
            Mail::PasswordChangedV1(NoticeMail {
                to: "ann@example.org".to_owned(),
                language: "ru".to_owned(),
                username: "ann".to_owned(),
                link: Link::new("https://app.example/password/reset".to_owned()),
            }),
        ),
    ]
}

/// The file of an outcome. A new variant does not compile until it has one.
fn outcome_tag(result: &MailResult) -> &'static str {
    match result {
        MailResult::Delivered => "mail_outcome.delivered",
        MailResult::Dead { .. } => "mail_outcome.dead",
    }
}

fn expected_outcomes() -> [MailOutcome; 2] {
    let reason = "gave up after a day: the recipient was refused: 450 4.2.1 mailbox busy".to_owned();
    [
        MailOutcome {
            schema: mail_outcome::SCHEMA,
            job_id: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned(),
            at_ms: 1_767_225_661_234,
            attempts: 1,
            result: MailResult::Delivered,
        },
        MailOutcome {
            schema: mail_outcome::SCHEMA,
            job_id: "f0e1d2c3b4a5968778695a4b3c2d1e0f".to_owned(),
            at_ms: 1_767_225_662_345,
            attempts: 24,
            result: MailResult::Dead { reason },
        },
    ]
}

#[test]
fn every_golden_file_parses_to_what_it_meant() {
    for job in expected() {
        assert_eq!(EmailJob::from_json(&golden(tag(&job.mail))).unwrap(), job);
    }
    for outcome in expected_outcomes() {
        let file = golden(outcome_tag(&outcome.result));
        assert_eq!(MailOutcome::from_json(&file).unwrap(), outcome);
    }
}

#[test]
fn every_golden_file_is_checked() {
    let checked: BTreeSet<String> = expected()
        .iter()
        .map(|job| tag(&job.mail))
        .chain(
            expected_outcomes()
                .iter()
                .map(|outcome| outcome_tag(&outcome.result)),
        )
        .map(|tag| format!("{tag}.json"))
        .collect();
    let names = fs::read_dir(golden_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), checked);
}

#[test]
fn messages_are_written_as_their_golden_files_say() {
    for job in expected() {
        let written: serde_json::Value = serde_json::from_str(&job.to_json().unwrap()).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&golden(tag(&job.mail))).unwrap();
        assert_eq!(written, golden);
    }
    for outcome in expected_outcomes() {
        let written: serde_json::Value = serde_json::from_str(&outcome.to_json().unwrap()).unwrap();
        let golden: serde_json::Value =
            serde_json::from_slice(&golden(outcome_tag(&outcome.result))).unwrap();
        assert_eq!(written, golden);
    }
}

#[test]
fn a_field_that_a_later_release_adds_is_skipped() {
    for job in expected() {
        let mut value: serde_json::Value = serde_json::from_slice(&golden(tag(&job.mail))).unwrap();
        value["later"] = 1.into();
        value["mail"][tag(&job.mail)]["later"] = 1.into();
        assert_eq!(EmailJob::from_json(value.to_string().as_bytes()).unwrap(), job);
    }
    for outcome in expected_outcomes() {
        let mut value: serde_json::Value =
            serde_json::from_slice(&golden(outcome_tag(&outcome.result))).unwrap();
        value["later"] = 1.into();
        assert_eq!(
            MailOutcome::from_json(value.to_string().as_bytes()).unwrap(),
            outcome
        );
    }
}

#[test]
fn what_is_no_job_is_refused_without_repeating_it() {
    let mut value: serde_json::Value = serde_json::from_slice(&golden("verify_email.v1")).unwrap();
    value["schema"] = 2.into();
    assert!(matches!(
        EmailJob::from_json(value.to_string().as_bytes()),
        Err(EmailJobError::UnknownSchema(2))
    ));

    value["schema"] = 1.into();
    value["mail"] = serde_json::json!({"verify_email.v9": {"link": "https://app.example/secret"}});
    let error = EmailJob::from_json(value.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, EmailJobError::Malformed { .. }));
    assert!(!error.to_string().contains("secret"));
    assert!(EmailJob::from_json(b"\xff\x00").is_err());

    let mut value: serde_json::Value = serde_json::from_slice(&golden("mail_outcome.dead")).unwrap();
    value["schema"] = 2.into();
    assert!(matches!(
        MailOutcome::from_json(value.to_string().as_bytes()),
        Err(MailOutcomeError::UnknownSchema(2))
    ));
}
