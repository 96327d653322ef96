//! What becomes of a job: sent once, tried again, dead-lettered; and how the service ends.

use std::time::Duration;

use shared::email_job::{EmailJob, Link, LinkMail, Mail};
use shared::queue::PublishError;

use crate::harness::{Mailer, arguments, eventually, job, verify_email};
use crate::smtp_server::{Act, SmtpServer};

fn dead(reason: &str) -> Result<(), PublishError> {
    Err(PublishError::Dead {
        reason: reason.to_owned(),
    })
}

#[actix_web::test]
async fn a_job_that_comes_again_after_success_is_dropped() {
    let server = SmtpServer::start();
    server.script([Act::ReplyToMessage("451 later")]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    assert!(
        mailer.publish(&job).await.is_err(),
        "a failed job is not remembered"
    );
    for _ in 0..3 {
        mailer.publish(&job).await.unwrap();
    }
    assert_eq!(server.mails().len(), 1);
}

#[actix_web::test]
async fn a_job_that_comes_while_it_is_being_sent_waits() {
    let server = SmtpServer::start();
    server.script([Act::TakeAfterRelease]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    let first = async { mailer.publish(&job).await.unwrap() };
    let second = async {
        eventually("the first delivery being held", || server.held() == 1).await;
        assert!(matches!(
            mailer.publish(&job).await,
            Err(PublishError::Retry { .. })
        ));
        server.release();
    };
    tokio::join!(first, second);
    assert_eq!(server.mails().len(), 1);
}

#[actix_web::test]
async fn what_is_no_job_is_dead_lettered() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    let publish = |body: &str| mailer.publish_body("0f", body.as_bytes().to_vec(), 0);
    assert_eq!(publish("{\n]").await, dead("not an e-mail job: line 2, column 1"));
    let later = r#"{"schema": 2, "job_id": "0f", "created_at_ms": 0, "request_id": "r", "mail": {"verify_email.v1":
        {"to": "ann@example.org", "language": "en", "username": "ann", "link": "https://a.example/k", "valid_seconds": 1}}}"#;
    assert_eq!(
        publish(later).await,
        dead("e-mail job of schema 2, which this release does not know")
    );
    mailer
        .publish(&verify_email("ann@example.org", "en"))
        .await
        .unwrap();
}

#[actix_web::test]
async fn a_job_that_can_never_become_a_mail_is_dead_lettered() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    let good = verify_email("ann@example.org", "en");
    for to in ["ann", "ann@example.org\r\nBcc: eve@example.org", ""] {
        assert_eq!(
            mailer.publish(&verify_email(to, "en")).await,
            dead("the address cannot be parsed")
        );
    }
    let link = LinkMail {
        link: Link::new("javascript:alert(1)".into()),
        ..arguments("ann@example.org", "en")
    };
    assert_eq!(
        mailer.publish(&job(Mail::VerifyEmailV1(link))).await,
        dead("the link is not a URL")
    );
    let bad_id = EmailJob {
        job_id: "../../etc/passwd".into(),
        ..good
    };
    assert!(matches!(
        mailer.publish(&bad_id).await,
        Err(PublishError::Dead { .. })
    ));
    assert_eq!(server.connections(), 0);
}

#[actix_web::test]
async fn a_username_cannot_forge_headers_or_markup() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    let username = "eve\r\nBcc: x@example.org\r\n\r\n<b>".to_owned();
    mailer
        .publish(&job(Mail::ResetPasswordV1(LinkMail {
            username,
            ..arguments("ann@example.org", "en")
        })))
        .await
        .unwrap();
    let mail = &server.mails()[0];
    assert_eq!(mail.to, ["ann@example.org"]);
    let read = crate::harness::read(&mail.data);
    assert!(read.text.contains("eve Bcc: x@example.org <b>"), "{}", read.text);
    assert!(
        read.html.contains("eve Bcc: x@example.org &lt;b&gt;"),
        "{}",
        read.html
    );
}

#[actix_web::test]
async fn waits_grow_with_the_attempts_and_end_after_a_day() {
    let server = SmtpServer::start();
    server.script(vec![Act::ReplyToRcpt("450 4.2.1 mailbox busy"); 6]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    for (failed_attempts, seconds) in [(0, 10), (1, 60), (2, 600), (3, 3600), (20, 3600)] {
        let Err(PublishError::Retry { after, .. }) = mailer.publish_again(&job, failed_attempts).await else {
            panic!()
        };
        let bounds = Duration::from_secs(seconds * 8 / 10)..=Duration::from_secs(seconds * 12 / 10);
        assert!(bounds.contains(&after), "{failed_attempts}: {after:?}");
    }
    mailer.clock.advance(Duration::from_secs(24 * 3600));
    let reason = "gave up after a day: the recipient was refused: 450 4.2.1 mailbox busy";
    assert_eq!(mailer.publish_again(&job, 21).await, dead(reason));
}

#[actix_web::test]
async fn a_mail_whose_link_has_expired_is_not_sent() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    mailer.clock.advance(Duration::from_secs(259_200));
    assert_eq!(
        mailer.publish(&job).await,
        dead("its link has expired before it could be sent")
    );
    assert!(server.mails().is_empty());
}

#[actix_web::test]
async fn stop_finishes_the_mail_in_hand_and_takes_no_other() {
    let server = SmtpServer::start();
    server.script([Act::TakeAfterRelease]);
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "1")]).await;
    let publisher = mailer.publisher.clone();
    let message = |job: &EmailJob| shared::queue::Message {
        job_id: job.job_id.clone(),
        body: job.to_json().unwrap().into_bytes(),
        failed_attempts: 0,
    };
    let (first, second) = (
        verify_email("ann@example.org", "en"),
        verify_email("bob@example.org", "en"),
    );
    let in_hand = publisher.publish(message(&first));
    let waiting = async {
        eventually("the first mail being held", || server.held() == 1).await;
        publisher.publish(message(&second)).await
    };
    let stopping = async {
        eventually("the first mail being held", || server.held() == 1).await;
        let release = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.release();
        };
        tokio::join!(mailer.running.stop(), release);
    };
    let (sent, not_taken, ()) = tokio::join!(in_hand, waiting, stopping);
    sent.unwrap();
    assert!(
        matches!(not_taken, Err(PublishError::Unavailable(_))),
        "{not_taken:?}"
    );
    assert_eq!((server.mails().len(), server.quits()), (1, 1));
}

#[actix_web::test]
async fn the_service_ends_with_its_queue() {
    let server = SmtpServer::start();
    let Mailer {
        publisher,
        mut running,
        ..
    } = Mailer::with_smtp(&server).await;
    drop(publisher);
    running.ended().await;
    running.stop().await;
}
