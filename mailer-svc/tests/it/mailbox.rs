//! The page `/dev/mailbox`.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_SECURITY_POLICY;
use actix_web::{App, test};

use std::path::PathBuf;

use actix_web::web::ServiceConfig;
use shared::brand::{Brand, Palette};

use crate::harness::{FROM, LINK, TempDir, try_start, verify_email};

fn mailbox_pages(folder: PathBuf) -> impl Fn(&mut ServiceConfig) {
    mailer_svc::mailbox::pages(folder, "Birch & Sons", &Palette::of(Brand::default().color))
}

async fn get(dir: &TempDir, path: &str) -> ServiceResponse {
    let app = test::init_service(App::new().configure(mailbox_pages(dir.path().to_owned()))).await;
    test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await
}

async fn page(dir: &TempDir, path: &str) -> String {
    let response = get(dir, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    String::from_utf8(test::read_body(response).await.to_vec()).unwrap()
}

fn policy(response: &ServiceResponse) -> &str {
    response
        .headers()
        .get(CONTENT_SECURITY_POLICY)
        .unwrap()
        .to_str()
        .unwrap()
}

#[actix_web::test]
async fn an_empty_mailbox_says_what_to_do() {
    let dir = TempDir::new();
    for path in ["/dev/mailbox", "/dev/mailbox/"] {
        assert!(page(&dir, path).await.contains("No mail yet"));
    }
    std::fs::remove_dir(dir.path()).unwrap();
    assert!(
        page(&dir, "/dev/mailbox").await.contains("No mail yet"),
        "before the first mail there is no folder"
    );
}

#[actix_web::test]
async fn a_mail_of_ours_is_listed_and_shown_with_links_to_click() {
    let dir = TempDir::new();
    let url = format!("file:{}", dir.path().display());
    let mailer = try_start(&[("GATEHOUSE_MAILER_SENDER_URL", &url), FROM])
        .await
        .unwrap();
    mailer
        .publish(&verify_email("ann@example.org", "en"))
        .await
        .unwrap();
    let [file] = &dir.names()[..] else {
        panic!("one file")
    };

    let list = page(&dir, "/dev/mailbox").await;
    for expected in [
        "2026-01-01 00:00:00",
        "ann@example.org",
        "[Gatehouse] Please confirm your e-mail address",
        file,
    ] {
        assert!(list.contains(expected), "{expected} is not in\n{list}");
    }
    assert!(!list.contains("<script"));

    let mail = page(&dir, &format!("/dev/mailbox/{file}")).await;
    let link = LINK.replace('&', "&amp;");
    assert!(
        mail.contains(&format!(
            "<a href=\"{link}\" target=\"_blank\" rel=\"noopener\">{link}</a>"
        )),
        "{mail}"
    );
    assert!(
        mail.contains("sandbox=") && mail.contains(&format!("/dev/mailbox/{file}/html")),
        "{mail}"
    );

    let html = get(&dir, &format!("/dev/mailbox/{file}/html")).await;
    assert!(
        policy(&html).starts_with("sandbox allow-popups"),
        "{}",
        policy(&html)
    );
    let html = String::from_utf8(test::read_body(html).await.to_vec()).unwrap();
    assert!(
        html.contains("<head><base target=\"_blank\">") && html.contains(&link),
        "{html}"
    );

    let raw = get(&dir, &format!("/dev/mailbox/{file}/raw")).await;
    assert_eq!(
        raw.headers().get("content-type").unwrap(),
        "text/plain; charset=utf-8"
    );
}

#[actix_web::test]
async fn hostile_content_is_escaped() {
    let dir = TempDir::new();
    dir.write(
        "1767225600000-0f.eml",
        "From: \"<script>from</script>\" <eve@example.org>\r\nTo: \"<script>to</script>\" <ann@example.org>\r\n\
         Subject: <script>subject</script>\r\nX-<b>: \"><script>x</script>\r\nContent-Type: text/plain\r\n\r\n\
         <script>text</script>\r\nhttps://a.example/\"onmouseover=\"alert(1)\r\njavascript:alert(1)\r\n",
    );
    for path in ["/dev/mailbox", "/dev/mailbox/1767225600000-0f.eml"] {
        let response = get(&dir, path).await;
        assert!(
            policy(&response).starts_with("default-src 'none'; style-src 'nonce-"),
            "{}",
            policy(&response)
        );
        let body = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        assert!(
            !body.contains("<script") && !body.contains("\"onmouseover"),
            "{body}"
        );
        assert!(!body.contains("href=\"javascript"), "{body}");
    }
    let html = get(&dir, "/dev/mailbox/1767225600000-0f.eml/html").await;
    assert_eq!(
        html.status(),
        StatusCode::NOT_FOUND,
        "a mail without HTML has none"
    );
}

#[actix_web::test]
async fn names_that_lead_elsewhere_are_not_found() {
    let dir = TempDir::new();
    dir.write("secret.txt", "secret");
    dir.write("mails/1-0f.eml", "Subject: x\r\n\r\nx\r\n");
    dir.write("mails/.hidden.eml", "Subject: x\r\n\r\nx\r\n");
    let app = test::init_service(App::new().configure(mailbox_pages(dir.path().join("mails")))).await;
    for file in [
        "..%2fsecret.txt",
        "../secret.txt",
        "%2e%2e%2fsecret.txt",
        "..%5csecret.txt",
        ".hidden.eml",
        "2-0f.eml",
        "%00.eml",
        "1-0f.eml%00",
    ] {
        for tail in ["", "/raw", "/html"] {
            let request = test::TestRequest::get()
                .uri(&format!("/dev/mailbox/{file}{tail}"))
                .to_request();
            let status = test::call_service(&app, request).await.status();
            assert!(status.is_client_error(), "{file}{tail}: {status}");
        }
    }
}

#[actix_web::test]
async fn what_is_no_mail_is_shown_as_it_stands() {
    let dir = TempDir::new();
    dir.write("1-empty.eml", "");
    dir.write("2-text.eml", "<i>not a mail");
    std::fs::write(
        dir.path().join("3-binary.eml"),
        [0xff, 0x00, 0xfe, b'\n', b':', b' ', 0x80],
    )
    .unwrap();
    dir.write(
        "4-torn.eml",
        "From: a@example.org\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Ty",
    );
    dir.write(
        "5-dateless.eml",
        "Subject: =?utf-8?b?////?=\r\nDate: no date\r\nTo: @@@\r\n\r\n",
    );
    let list = page(&dir, "/dev/mailbox").await;
    for name in dir.names() {
        assert!(list.contains(&name));
        page(&dir, &format!("/dev/mailbox/{name}")).await;
        assert_eq!(
            get(&dir, &format!("/dev/mailbox/{name}/raw")).await.status(),
            StatusCode::OK
        );
    }
    assert!(
        page(&dir, "/dev/mailbox/2-text.eml")
            .await
            .contains("&lt;i&gt;not a mail")
    );
}

#[actix_web::test]
async fn a_long_list_is_paged_newest_first() {
    let dir = TempDir::new();
    for number in 0..250 {
        dir.write(
            &format!("{:013}-0f.eml", 1_767_225_600_000_i64 + number),
            &format!("Subject: mail {number}.\r\n\r\nx\r\n"),
        );
    }
    let newest = page(&dir, "/dev/mailbox").await;
    assert!(newest.contains("mail 249.") && newest.contains("mail 150.") && !newest.contains("mail 149."));
    assert!(newest.find("mail 249.") < newest.find("mail 248."));
    let older = page(&dir, "/dev/mailbox?before=1767225600150-0f.eml").await;
    assert!(
        newest.contains("?before=1767225600150-0f.eml")
            && older.contains("mail 149.")
            && older.contains("mail 50.")
    );
    let oldest = page(&dir, "/dev/mailbox?before=1767225600050-0f.eml").await;
    assert!(oldest.contains("mail 0.") && !oldest.contains("?before="));
    assert!(page(&dir, "/dev/mailbox?before=../x").await.contains("mail 249."));
}
