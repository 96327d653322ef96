//! Every unit of work on both databases, with real concurrency where a race has to have one winner.

mod cleaning;
mod connections;
mod logins;
mod migrations;
mod operator;
mod outbox;
mod own_sessions;
mod passwords;
mod plans;
mod registration;
mod sessions;

use futures_util::future::join_all;
use identity_svc::db::messages::{
    NewSession, NewUser, RegisterUser, Registered, RequestMail, RequestedMail, User,
};
use identity_svc::db::{Db, DbMessage};
use identity_svc::encryption::Encryption;
use identity_svc::mail_draft::{LinkTemplate, MailDraft};
use identity_svc::tokens::one_time::Purpose;
use shared::request_id::RequestId;
use shared::secret::Secret;

use crate::support::{START_MS, Setup};

fn start(setup: &Setup) -> Db {
    Db::start(setup.database.url.clone(), 16)
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn session(sid: &str) -> NewSession {
    NewSession {
        sid: sid.to_owned(),
        expires_at_ms: START_MS + 86_400_000,
        user_agent: "test".to_owned(),
        address: "192.0.2.1".to_owned(),
    }
}

fn mail(purpose: Purpose) -> MailDraft {
    let (text, names): (_, &[&str]) = match purpose {
        Purpose::VerifyEmail => ("https://app.test/{key}", &["key"]),
        Purpose::ResetPassword => ("https://app.test/{uid}/{token}", &["uid", "token"]),
    };
    let link = LinkTemplate::parse(text, names).unwrap();
    MailDraft::new(
        purpose,
        link,
        3600,
        "en",
        RequestId::random(),
        START_MS,
        Encryption::in_memory().unwrap(),
    )
}

fn registration(name: &str, email: &str) -> RegisterUser {
    RegisterUser {
        user: NewUser {
            uid: shared::random::base64url_128(),
            username: name.to_owned(),
            username_key: name.to_lowercase(),
            email: email.to_owned(),
            password: secret("old-encoding"),
        },
        session: Some(session(&shared::random::hex_128())),
        mail: mail(Purpose::VerifyEmail),
        now_ms: START_MS,
    }
}

/// An account with the encoding `old-encoding`, and its first session.
async fn register(db: &Db, name: &str) -> (User, String) {
    let message = registration(name, &format!("{name}@example.org"));
    let sid = message.session.clone().unwrap().sid;
    match db.call(message).await.unwrap() {
        Registered::Created(user) => (*user, sid),
        Registered::Taken(taken) => panic!("{name}: {taken:?}"),
    }
}

/// The digest of a new reset token of an account, as if it had asked for one.
async fn request_reset(db: &Db, user: &User) -> String {
    let mail = mail(Purpose::ResetPassword);
    let digest = mail.digest();
    let message = RequestMail {
        client: "192.0.2.1".to_owned(),
        email_key: user.email.clone(),
        mail,
        mails_per_hour: 0,
    };
    assert_eq!(db.call(message).await, Ok(RequestedMail::Queued));
    digest
}

/// Does all at once and returns how many came out so.
async fn count_of<M: DbMessage>(db: &Db, messages: Vec<M>, is_so: impl Fn(&M::Output) -> bool) -> usize {
    let outcomes = join_all(messages.into_iter().map(|message| db.call(message))).await;
    outcomes
        .into_iter()
        .filter(|outcome| match outcome {
            Ok(output) => is_so(output),
            Err(error) => panic!("{error}"),
        })
        .count()
}
