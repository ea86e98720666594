//! The HTTP side of desk.
//!
//! A ticket is answered with 201 only after its commit. An answer of 503 to a POST says that
//! nothing is known of its outcome; an answer of 409 says that the id was there already.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::Row;

use super::pool::Session;
use super::{Config, DatabaseError, DeskError, Pool, host_name};

/// A proxy asks several times a second: a database slower than this is no use to users.
const HEALTH_LIMIT: Duration = Duration::from_millis(300);
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);
const LIST_MAX: i64 = 1000;
/// The columns of [`shown`]. The list is sorted by the table's own column: the bare name would be
/// that of the text beside it, which has no index.
const ONE: &str = "select id, title, host, attachment, created_at::text from tickets where id = $1";
const NEWEST: &str = "select id, title, host, attachment, created_at::text from tickets \
                      order by tickets.created_at desc limit $1";

struct Desk {
    pool: Pool,
    attachments: std::path::PathBuf,
    host: String,
}

#[derive(Deserialize)]
struct NewTicket {
    id: String,
    title: String,
    attachment: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    limit: Option<i64>,
}

enum Refusal {
    BadId,
    Known,
    Unknown,
    Disk(std::io::Error),
    Database(DatabaseError),
}

/// Serves until it is told to terminate, and finishes the requests in flight.
pub async fn run(listen: SocketAddr, config: Config) -> Result<(), DeskError> {
    let host = host_name();
    let name = HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static("unknown"));
    let pool = Pool::new(&config.database).map_err(DeskError::Database)?;
    let desk = Arc::new(Desk { pool, attachments: config.attachments, host });
    let router = Router::new()
        .route("/healthcheck", get(healthcheck))
        .route("/whoami", get(whoami))
        .route("/tickets", post(create).get(list))
        .route("/tickets/{id}", get(read))
        .layer(axum::middleware::map_response(move |mut response: Response| {
            response.headers_mut().insert("x-desk-host", name.clone());
            async { response }
        }))
        .with_state(desk);
    let listener = TcpListener::bind(listen).await.map_err(DeskError::Serving)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DeskError::Serving)?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
        .map_err(DeskError::Serving)
}

/// Who answers, and by which protocol the user came, as far as a proxy has said.
async fn whoami(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> impl IntoResponse {
    let said = headers.get("x-forwarded-proto").cloned();
    let proto = said.unwrap_or(HeaderValue::from_static("none"));
    ([("x-desk-proto", proto)], desk.host.clone())
}

/// 200 only where users can be served: the database answers soon, and takes writes.
async fn healthcheck(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    let query = "select pg_is_in_recovery()";
    let look = desk.pool.with(HEALTH_LIMIT, async |session| session.query(query, &[]).await);
    match look.await.map(|rows| rows.first().is_none_or(|row| row.get(0))) {
        Ok(false) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(true) => (StatusCode::SERVICE_UNAVAILABLE, "the database is a standby\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn create(
    State(desk): State<Arc<Desk>>,
    Json(ticket): Json<NewTicket>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if ticket.id.is_empty() || ticket.id.len() > 64 || !ticket.id.bytes().all(plain) {
        return Err(Refusal::BadId);
    }
    // The file first: a ticket must never name an attachment that is not there.
    let file = match &ticket.attachment {
        Some(text) => Some(desk.write_attachment(&ticket.id, text).await.map_err(Refusal::Disk)?),
        None => None,
    };
    let insert = "insert into tickets (id, title, host, attachment) values ($1, $2, $3, $4) \
                  on conflict (id) do nothing";
    let repeat = "insert into ticket_repeats (id, host) values ($1, $2)";
    let work = desk.pool.with(STATEMENT_LIMIT, async |session| {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&ticket.id, &ticket.title, &desk.host, &file];
        let rows = session.execute(insert, &values).await?;
        if rows == 0 {
            session.execute(repeat, &[&ticket.id, &desk.host]).await?;
        }
        Ok(rows)
    });
    match work.await.map_err(Refusal::Database)? {
        0 => Err(Refusal::Known),
        _ => Ok((StatusCode::CREATED, Json(json!({ "id": ticket.id, "host": desk.host })))),
    }
}

async fn read(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let work = async |session: &Session| session.query(ONE, &[&id]).await;
    let rows = desk.pool.with(STATEMENT_LIMIT, work).await.map_err(Refusal::Database)?;
    rows.first().map(|row| Json(shown(row))).ok_or(Refusal::Unknown)
}

async fn list(
    State(desk): State<Arc<Desk>>,
    Query(listing): Query<Listing>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let limit = listing.limit.unwrap_or(50).clamp(0, LIST_MAX);
    let work = async |session: &Session| session.query(NEWEST, &[&limit]).await;
    let rows = desk.pool.with(STATEMENT_LIMIT, work).await.map_err(Refusal::Database)?;
    Ok(Json(rows.iter().map(shown).collect()))
}

impl Desk {
    /// Writes under a passing name first, so that no half attachment bears the final one.
    async fn write_attachment(&self, id: &str, text: &str) -> std::io::Result<String> {
        let (last, passing) =
            (self.attachments.join(id), self.attachments.join(format!(".{id}.part")));
        let text = text.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::write(&passing, text)?;
            std::fs::rename(&passing, &last)
        });
        written.await.expect("writing a file does not panic")?;
        Ok(id.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::BadId => (StatusCode::BAD_REQUEST, "an id is 1-64 letters, digits, -".into()),
            Self::Known => (StatusCode::CONFLICT, "a ticket of this id exists".into()),
            Self::Unknown => (StatusCode::NOT_FOUND, "no such ticket".into()),
            Self::Disk(error) => (StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
            Self::Database(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        (status, text + "\n").into_response()
    }
}

fn shown(row: &Row) -> Value {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    json!({
        "id": text(0), "title": text(1), "host": text(2),
        "attachment": text(3), "created_at": text(4),
    })
}
