//! The dialogue with an SMTP server: what goes out, what its replies mean, and what becomes of connections.

use std::time::Duration;

use shared::queue::PublishError;

use crate::harness::{FROM, LINK, Mailer, eventually, read, reset_password, try_start, verify_email};
use crate::smtp_server::{Act, SmtpServer};

fn retry(outcome: Result<(), PublishError>) -> (Duration, String) {
    match outcome {
        Err(PublishError::Retry { after, reason }) => (after, reason),
        other => panic!("no retry: {other:?}"),
    }
}

fn dead(outcome: Result<(), PublishError>) -> String {
    match outcome {
        Err(PublishError::Dead { reason }) => reason,
        other => panic!("not dead: {other:?}"),
    }
}

#[actix_web::test]
async fn a_mail_arrives_with_its_headers_and_both_bodies() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@пример.рф", "en");
    mailer.publish(&job).await.unwrap();

    let [mail] = &server.mails()[..] else {
        panic!("one mail")
    };
    assert_eq!(mail.from, "no-reply@example.com");
    assert_eq!(mail.to, ["ann@xn--e1afmkfd.xn--p1ai"]);
    assert!(mail.data.is_ascii());
    for line in [
        "From: Gatehouse <no-reply@example.com>".to_owned(),
        "To: ann@xn--e1afmkfd.xn--p1ai".to_owned(),
        format!("Message-ID: <{}@example.com>", job.job_id),
        "Date: Thu, 01 Jan 2026 00:00:00 +0000".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
        "Content-Language: en".to_owned(),
    ] {
        assert!(
            mail.data.lines().any(|have| have == line),
            "{line} is not in\n{}",
            mail.data
        );
    }
    let read = read(&mail.data);
    assert_eq!(read.subject, "[Пример] Please confirm your e-mail address");
    assert!(read.text.lines().any(|line| line == LINK), "{}", read.text);
    assert_eq!(read.text.matches("http").count(), 1, "one link: {}", read.text);
    assert!(read.text.contains("for 3 days"), "{}", read.text);
    assert!(
        !read.text.contains("ann_77"),
        "nothing that a stranger chose: {}",
        read.text
    );
    assert!(read.html.contains(&LINK.replace('&', "&amp;")), "{}", read.html);
}

#[actix_web::test]
async fn a_mail_is_in_the_language_of_its_job_or_in_english() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    for language in ["ru", "ru-RU", "tlh", ""] {
        mailer
            .publish(&reset_password("ann@example.org", language))
            .await
            .unwrap();
    }
    let mails = server.mails();
    let subjects: Vec<String> = mails.iter().map(|mail| read(&mail.data).subject).collect();
    let (russian, english) = ("[Пример] Сброс пароля", "[Пример] Password reset");
    assert_eq!(subjects, [russian, russian, english, english]);

    let read = read(&mails[0].data);
    assert!(mails[0].data.contains("Content-Language: ru\r\n"));
    assert!(
        read.text.contains("ann_77") && read.html.contains("ann_77"),
        "the reset mail names the account"
    );
    assert!(read.text.contains("действует 3 дня"), "{}", read.text);
    assert!(read.text.lines().any(|line| line == LINK), "{}", read.text);
}

#[actix_web::test]
async fn a_451_is_one_retry_and_then_a_mail() {
    let server = SmtpServer::start();
    server.script([Act::ReplyToRcpt(
        "451 4.7.1 <ann@example.org> greylisted, see https://help.example/ann",
    )]);
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "1")]).await;
    let job = verify_email("ann@example.org", "en");

    let (after, reason) = retry(mailer.publish(&job).await);
    assert!((8..=12).contains(&after.as_secs()), "{after:?}");
    assert_eq!(
        reason,
        "the recipient was refused: 451 4.7.1 *** greylisted, see ***"
    );
    assert!(server.mails().is_empty());

    mailer.publish_again(&job, 1).await.unwrap();
    assert_eq!(server.mails().len(), 1);
    assert_eq!(
        server.connections(),
        1,
        "a rejection does not cost the connection"
    );
}

#[actix_web::test]
async fn a_550_on_the_recipient_or_the_message_is_dead_with_its_reason() {
    let server = SmtpServer::start();
    server.script([
        Act::ReplyToRcpt("550 5.1.1 no mailbox ann here"),
        Act::ReplyToMessage("554 5.7.1 looks like spam"),
    ]);
    let mailer = Mailer::with_smtp(&server).await;
    let reason = dead(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert_eq!(reason, "the recipient was refused: 550 5.1.1 no mailbox *** here");
    let reason = dead(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert_eq!(reason, "the message was refused: 554 5.7.1 looks like spam");
}

#[actix_web::test]
async fn what_the_operator_can_mend_is_never_dead() {
    let server = SmtpServer::start();
    server.greet_with("554 5.7.1 your address is blocked");
    server.script([
        Act::ReplyToMail("550 5.1.8 not your domain"),
        Act::ReplyToRcpt("530 5.7.0 log in first"),
        Act::HangUpAtMessage,
    ]);
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "1")]).await;
    for expected in [
        "connecting to the SMTP server: 554 5.7.1 your address is blocked",
        "the sender was refused: 550 5.1.8 not your domain",
        "the SMTP server wants a login: 530 5.7.0 log in first",
        "the connection broke: incomplete response",
    ] {
        let (_, reason) = retry(mailer.publish(&verify_email("ann@example.org", "en")).await);
        assert_eq!(reason, expected);
    }
}

#[actix_web::test]
async fn a_server_that_is_away_or_silent_is_a_retry() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("smtp://{}", listener.local_addr().unwrap())
    };
    let mailer = try_start(&[("GATEHOUSE_MAILER_SENDER_URL", &url)]).await.unwrap();
    let (_, reason) = retry(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert!(
        reason.starts_with("connecting to the SMTP server: Connection refused"),
        "{reason}"
    );

    // Accepted by the kernel, and never greeted.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let pairs = [
        ("GATEHOUSE_MAILER_SENDER_URL", url.as_str()),
        ("GATEHOUSE_MAILER_SMTP_TIMEOUT_SECONDS", "1"),
    ];
    let mailer = try_start(&pairs).await.unwrap();
    let (_, reason) = retry(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert_eq!(reason, "connecting to the SMTP server: no reply in time");
}

#[actix_web::test]
async fn a_password_is_sent_and_its_rejection_is_a_retry() {
    let server = SmtpServer::start();
    server.offer("AUTH PLAIN LOGIN");
    let url = format!("smtp://ann%40example.org@{}", server.address);
    let pairs = [
        ("GATEHOUSE_MAILER_SENDER_URL", url.as_str()),
        FROM,
        ("GATEHOUSE_MAILER_SMTP_PASSWORD", "hush:hush"),
    ];
    let mailer = try_start(&pairs).await.unwrap();
    mailer
        .publish(&verify_email("ann@example.org", "en"))
        .await
        .unwrap();
    // base64 of NUL ann@example.org NUL hush:hush
    assert_eq!(
        server.auths(),
        ["AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBodXNoOmh1c2g="]
    );

    server.reply_to_auth_with("535 5.7.8 bad credentials for ann@example.org");
    let mailer = try_start(&pairs).await.unwrap();
    let (_, reason) = retry(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert_eq!(
        reason,
        "logging in to the SMTP server: 535 5.7.8 bad credentials for ***"
    );
}

#[actix_web::test]
async fn a_server_without_starttls_gets_no_mail_where_it_is_required() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_STARTTLS", "required")]).await;
    let (_, reason) = retry(mailer.publish(&verify_email("ann@example.org", "en")).await);
    assert_eq!(reason, "the SMTP server does not offer STARTTLS");

    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_STARTTLS", "opportunistic")]).await;
    mailer
        .publish(&verify_email("ann@example.org", "en"))
        .await
        .unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[actix_web::test]
async fn connections_are_reused_and_closed_politely() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "1")]).await;
    for _ in 0..5 {
        mailer
            .publish(&verify_email("ann@example.org", "en"))
            .await
            .unwrap();
    }
    assert_eq!((server.mails().len(), server.connections()), (5, 1));
    mailer.running.stop().await;
    assert_eq!(server.quits(), 1);
}

#[actix_web::test]
async fn a_connection_that_drops_after_the_250_is_a_mail_sent_once() {
    let server = SmtpServer::start();
    server.script([
        Act::TakeAndHangUp,
        Act::Take,
        Act::ReplyToMail("421 4.4.2 idle too long"),
        Act::Take,
    ]);
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "1")]).await;
    for _ in 0..3 {
        mailer
            .publish(&verify_email("ann@example.org", "en"))
            .await
            .unwrap();
    }
    // The second finds its connection closed, the third hears 421; neither costs an attempt.
    assert_eq!((server.mails().len(), server.connections()), (3, 3));
}

#[actix_web::test]
async fn a_stuck_connection_does_not_hold_the_others() {
    let server = SmtpServer::start();
    server.script([Act::TakeAfterRelease]);
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "2")]).await;
    let (stuck, others) = (
        verify_email("stuck@example.org", "en"),
        verify_email("ann@example.org", "en"),
    );
    let holding = async {
        mailer.publish(&stuck).await.unwrap();
    };
    let passing = async {
        eventually("the first mail being held", || server.held() == 1).await;
        mailer.publish(&others).await.unwrap();
        assert_eq!(server.mails()[0].to, ["ann@example.org"]);
        server.release();
    };
    tokio::join!(holding, passing);
    assert_eq!(server.mails().len(), 2);
}
