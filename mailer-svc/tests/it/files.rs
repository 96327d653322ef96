//! Mails as files.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use shared::queue::PublishError;

use crate::harness::{FROM, LINK, Mailer, NOW_MS, TempDir, read, reset_password, try_start, verify_email};

async fn mailer_into(folder: &str) -> Mailer {
    try_start(&[("GATEHOUSE_MAILER_SENDER_URL", &format!("file:{folder}")), FROM])
        .await
        .unwrap()
}

#[actix_web::test]
async fn each_mail_is_one_whole_file_whose_name_sorts_by_time() {
    let dir = TempDir::new();
    let folder = dir.path().join("mails");
    let mailer = mailer_into(folder.to_str().unwrap()).await;
    let (first, second) = (
        verify_email("ann@example.org", "en"),
        reset_password("ann@example.org", "ru"),
    );
    mailer.publish(&first).await.unwrap();
    mailer.clock.advance(Duration::from_secs(1));
    mailer.publish(&second).await.unwrap();

    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            format!("{NOW_MS}-{}.eml", first.job_id),
            format!("{}-{}.eml", NOW_MS + 1000, second.job_id)
        ]
    );

    let mail = std::fs::read_to_string(folder.join(&names[0])).unwrap();
    assert!(mail.contains(&format!("Message-ID: <{}@example.com>", first.job_id)));
    assert!(read(&mail).text.lines().any(|line| line == LINK));
    let mode = std::fs::metadata(folder.join(&names[0]))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "a mail holds a secret");
}

#[actix_web::test]
async fn a_folder_that_cannot_be_written_is_a_retry_and_leaves_no_half_mail() {
    let dir = TempDir::new();
    let folder = dir.path().join("mails");
    let mailer = mailer_into(folder.to_str().unwrap()).await;
    // A file in its place fails for everybody, whoever runs the tests.
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    let job = verify_email("ann@example.org", "en");
    let Err(PublishError::Retry { reason, .. }) = mailer.publish(&job).await else {
        panic!()
    };
    assert!(
        reason.starts_with("cannot write into the mail folder: "),
        "{reason}"
    );

    std::fs::remove_file(&folder).unwrap();
    mailer.publish(&job).await.unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[actix_web::test]
async fn a_folder_that_cannot_be_created_is_refused_at_start() {
    let dir = TempDir::new();
    dir.write("taken", "");
    let url = format!("file:{}/taken/mails", dir.path().display());
    let error = try_start(&[("GATEHOUSE_MAILER_SENDER_URL", &url)])
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with("cannot create the mail folder "),
        "{error}"
    );
}
