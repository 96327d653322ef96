//! What tests share: a fresh database, a running service, and a client that speaks the API.

mod api;
mod app;
mod database;
mod document;
mod mailer;

pub use api::{Answer, Body, PASSWORD, legacy_token, signed};
pub use app::{Setup, TestApp};
#[cfg(feature = "postgres")]
pub use database::TestDatabase;
pub use document::Document;
pub use mailer::Mailer;

/// The time at which every test begins (Unix milliseconds): a clock that stands until a test moves it.
pub const START_MS: i64 = 1_800_000_000_000;

/// Makes a test of each function on SQLite, and one on PostgreSQL, which is skipped when `TEST_DATABASE_URL` is not set.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[actix_web::test]
                async fn $name() {
                    super::$name($crate::support::Setup::sqlite()).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[actix_web::test]
                async fn $name() {
                    if let Some(setup) = $crate::support::Setup::postgres() {
                        super::$name(setup).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_both_databases;
