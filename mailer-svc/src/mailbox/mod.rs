//! The page `/dev/mailbox`: what a developer reads in place of a real mailbox when mails go into a folder.
//!
//! It shows links with secrets, so it belongs on a developer's machine only; the root package decides that.

mod folder;
mod pages;

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};

use shared::brand::Palette;

use folder::{FileName, StoredMail};
use pages::Pages;

/// Mails on one page of the list.
const PAGE_LENGTH: usize = 100;

#[derive(Clone)]
struct Mailbox {
    folder: PathBuf,
    pages: Pages,
}

/// The routes of the mailbox page, for the mails in `folder`, in the look of the site.
pub fn pages(
    folder: PathBuf,
    site_name: &str,
    palette: &Palette,
) -> impl Fn(&mut ServiceConfig) + Send + Sync + Clone + use<> {
    let mailbox = Arc::new(Mailbox {
        folder,
        pages: Pages::new(site_name, palette),
    });
    move |config| {
        config.service(
            web::scope("/dev/mailbox")
                .app_data(Data::from(mailbox.clone()))
                .route("", web::get().to(list))
                .route("/", web::get().to(list))
                .route("/{file}", web::get().to(show))
                .route("/{file}/html", web::get().to(show_html))
                .route("/{file}/raw", web::get().to(show_raw)),
        );
    }
}

#[derive(serde::Deserialize)]
struct ListQuery {
    /// A file name; the page shows what is older.
    before: Option<String>,
}

async fn list(request: HttpRequest, mailbox: Data<Mailbox>, query: Option<Query<ListQuery>>) -> HttpResponse {
    let before = query.and_then(|query| FileName::parse(query.into_inner().before.as_deref()?));
    let origin = {
        let connection = request.connection_info();
        format!("{}://{}", connection.scheme(), connection.host())
    };
    let folder = mailbox.folder.clone();
    let from = before.clone();
    let listed = web::block(move || folder::list(&folder, from.as_ref(), PAGE_LENGTH)).await;
    match listed {
        Ok(Ok(listed)) => mailbox.pages.list(&listed, before.is_none(), &origin),
        Ok(Err(error)) => mailbox.pages.notice(
            StatusCode::OK,
            "Mailbox",
            &format!("The mail folder cannot be read: {error}"),
        ),
        Err(_) => mailbox
            .pages
            .notice(StatusCode::OK, "Mailbox", "The server is shutting down."),
    }
}

async fn show(mailbox: Data<Mailbox>, file: Path<String>) -> HttpResponse {
    match read(&mailbox, &file).await {
        Some(mail) => mailbox.pages.mail(&mail),
        None => not_found(&mailbox),
    }
}

async fn show_html(mailbox: Data<Mailbox>, file: Path<String>) -> HttpResponse {
    match read(&mailbox, &file).await.and_then(|mail| mail.html()) {
        Some(html) => pages::mails_own_html(&html),
        None => not_found(&mailbox),
    }
}

async fn show_raw(mailbox: Data<Mailbox>, file: Path<String>) -> HttpResponse {
    match read(&mailbox, &file).await {
        Some(mail) => pages::source(mail),
        None => not_found(&mailbox),
    }
}

async fn read(mailbox: &Mailbox, file: &str) -> Option<StoredMail> {
    let name = FileName::parse(file)?;
    let folder = mailbox.folder.clone();
    web::block(move || folder::read(&folder, name)).await.ok()?.ok()
}

fn not_found(mailbox: &Mailbox) -> HttpResponse {
    mailbox.pages.notice(
        StatusCode::NOT_FOUND,
        "No such mail",
        "There is no mail of this name, or not any more.",
    )
}
