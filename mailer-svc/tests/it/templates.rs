//! Templates of the operator.

use shared::email_job::{Link, Mail, NoticeMail};

use crate::harness::{FROM, Mailer, TempDir, arguments, job, read, reset_password, try_start, verify_email};
use crate::smtp_server::SmtpServer;

const DURATIONS: &str =
    "seconds = { $count } s\nminutes = { $count } min\nhours = { $count } h\ndays = { $count } d\n";

async fn start_error(files: &[(&str, &str)]) -> String {
    let (mails, dir) = (TempDir::new(), TempDir::new());
    for (name, content) in files {
        dir.write(name, content);
    }
    let url = format!("file:{}", mails.path().display());
    let templates = dir.path().to_str().unwrap();
    let pairs = [
        ("GATEHOUSE_MAILER_SENDER_URL", url.as_str()),
        ("GATEHOUSE_MAILER_TEMPLATES_DIR", templates),
    ];
    let error = try_start(&pairs).await.err().expect("an error");
    error.to_string().replace(templates, "DIR")
}

#[actix_web::test]
async fn an_operators_template_replaces_one_part_and_a_language_may_be_added() {
    let (server, dir) = (SmtpServer::start(), TempDir::new());
    dir.write(
        "en/verify_email/subject.txt",
        "{{ site_name }}: is {{ address }} yours?\n",
    );
    dir.write("de/durations.ftl", DURATIONS);
    dir.write("de/verify_email/subject.txt", "Bitte bestätigen");
    dir.write(
        "de/verify_email/body.txt",
        "Hallo {{ username }},\n\n{{ link }}\n\n{{ valid_for }}\n",
    );
    dir.write(
        "de/verify_email/body.html",
        "<p>{{ username }}</p><a href=\"{{ link }}\">hier</a>",
    );
    dir.write(".gitkeep", "");
    let templates = dir.path().to_str().unwrap();
    let mailer = Mailer::with_smtp_and(&server, &[("GATEHOUSE_MAILER_TEMPLATES_DIR", templates)]).await;
    mailer
        .publish(&verify_email("ann@example.org", "en"))
        .await
        .unwrap();
    mailer
        .publish(&verify_email("ann@example.org", "de-AT"))
        .await
        .unwrap();
    mailer
        .publish(&reset_password("ann@example.org", "de"))
        .await
        .unwrap();

    let mails: Vec<_> = server.mails().iter().map(|mail| read(&mail.data)).collect();
    assert_eq!(mails[0].subject, "Пример: is ann@example.org yours?");
    assert!(
        mails[0].text.starts_with("Hello,"),
        "the other parts stay: {}",
        mails[0].text
    );
    assert_eq!(mails[1].subject, "Bitte bestätigen");
    assert!(
        mails[1].text.starts_with("Hallo ann_77,") && mails[1].text.contains("3 d"),
        "{}",
        mails[1].text
    );
    assert_eq!(
        mails[2].subject, "[Пример] Password reset",
        "a mail that a language lacks is English"
    );
}

#[actix_web::test]
async fn a_template_with_a_mistake_is_refused_with_file_line_and_reason() {
    assert_eq!(
        start_error(&[("en/verify_email/body.txt", "Hello\n\n{{ link }}\n{% if %}\n")]).await,
        "DIR/en/verify_email/body.txt, line 4: syntax error: unexpected end of block"
    );
    let misspelt = start_error(&[(
        "en/verify_email/body.html",
        "<a href=\"{{ link }}\">x</a>\n{{ usrname }}\n",
    )])
    .await;
    assert!(
        misspelt.starts_with("DIR/en/verify_email/body.html, line 2: undefined value"),
        "{misspelt}"
    );
    assert_eq!(
        start_error(&[("ru/reset_password/body.txt", "{{ username }}: {{ link }}\n")]).await,
        "DIR/ru/reset_password/body.txt, line 1: {{ link }} must stand alone on a line"
    );
    assert!(
        start_error(&[("layout.html", "{{ link }}\n{{ lnk }}\n")])
            .await
            .starts_with("DIR/layout.html, line 2: undefined value")
    );
    let durations = start_error(&[("en/durations.ftl", "seconds = { $count }\nminutes = {\n")]).await;
    assert!(
        durations.starts_with("DIR/en/durations.ftl, line "),
        "{durations}"
    );
}

#[actix_web::test]
async fn what_is_no_template_is_refused() {
    assert_eq!(
        start_error(&[("en/verify_email/body.htm", "")]).await,
        "DIR/en/verify_email/body.htm is not a template: a mail consists of subject.txt, body.txt, body.html"
    );
    assert_eq!(
        start_error(&[("en/welcome/body.txt", "")]).await,
        "DIR/en/welcome is not a template: a language has durations.ftl and the folders password_changed, reset_password, verify_email"
    );
    assert!(
        start_error(&[("README.md", "")])
            .await
            .starts_with("DIR/README.md is not a template")
    );
    let half = start_error(&[
        ("de/durations.ftl", DURATIONS),
        ("de/verify_email/subject.txt", "x"),
    ])
    .await;
    assert!(half.starts_with("de/verify_email/body.txt is missing"), "{half}");
    assert!(
        start_error(&[("de/verify_email/subject.txt", "x")])
            .await
            .starts_with("de/durations.ftl is missing")
    );
}

#[actix_web::test]
async fn the_compiled_in_templates_are_complete_and_good() {
    let mails = TempDir::new();
    let url = format!("file:{}", mails.path().display());
    let mailer = try_start(&[("GATEHOUSE_MAILER_SENDER_URL", &url), FROM])
        .await
        .unwrap();
    for language in ["en", "ru"] {
        for job in [
            verify_email("ann@example.org", language),
            reset_password("ann@example.org", language),
        ] {
            mailer.publish(&job).await.unwrap();
        }
    }
    for name in mails.names() {
        let html = read(&std::fs::read_to_string(mails.path().join(name)).unwrap()).html;
        assert!(
            !html.contains("src=") && !html.contains("url("),
            "nothing is loaded from elsewhere: {html}"
        );
        assert!(
            html.contains("prefers-color-scheme: dark") && html.contains("max-width:600px"),
            "{html}"
        );
    }
}

#[actix_web::test]
async fn a_changed_password_is_told_in_the_look_of_the_brand() {
    let server = SmtpServer::start();
    let brand = [
        ("GATEHOUSE_BRAND_COLOR", "#ffd400"),
        ("GATEHOUSE_BRAND_NAME", "unused"),
    ];
    let mailer = Mailer::with_smtp_and(&server, &brand).await;
    for language in ["en", "ru"] {
        let notice = job(Mail::PasswordChangedV1(NoticeMail {
            to: "ann@example.org".to_owned(),
            language: language.to_owned(),
            username: "ann_77".to_owned(),
            link: Link::new("https://app.example/forgotten".to_owned()),
        }));
        mailer.publish(&notice).await.unwrap();
    }
    let mails: Vec<_> = server.mails().iter().map(|mail| read(&mail.data)).collect();
    assert_eq!(mails[0].subject, "[Пример] Your password was changed");
    assert_eq!(mails[1].subject, "[Пример] Ваш пароль изменён");
    for mail in mails {
        assert!(
            mail.text
                .lines()
                .any(|line| line == "https://app.example/forgotten"),
            "{}",
            mail.text
        );
        assert!(
            !mail.text.contains("ann_77") && !mail.html.contains("ann_77"),
            "no stranger's words"
        );
        assert!(mail.html.contains("background-color:#ffd400") && mail.html.contains("color:#000000"));
        for forbidden in ["<img", "url(", "<link", "<script"] {
            assert!(!mail.html.contains(forbidden), "{forbidden}");
        }
    }
}

#[actix_web::test]
async fn a_mail_that_names_no_username_has_no_empty_place_for_it() {
    let server = SmtpServer::start();
    let mailer = Mailer::with_smtp(&server).await;
    for language in ["en", "ru"] {
        for username in ["", "ann_77"] {
            let mut arguments = arguments("ann@example.org", language);
            username.clone_into(&mut arguments.username);
            mailer
                .publish(&job(Mail::ResetPasswordV1(arguments)))
                .await
                .unwrap();
        }
    }
    let mails: Vec<_> = server.mails().iter().map(|mail| read(&mail.data)).collect();
    for (mail, words) in mails
        .iter()
        .zip(["username", "username", "пользователя", "пользователя"])
    {
        let is_named = mail.text.contains("ann_77");
        assert_eq!(
            (mail.text.contains(words), mail.html.contains(words)),
            (is_named, is_named),
            "{}",
            mail.text
        );
        assert_eq!(mail.html.contains("ann_77"), is_named);
        assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    }
}
