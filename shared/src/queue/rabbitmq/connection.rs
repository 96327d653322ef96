//! One connection to the broker: how it is opened, how it is cut, and what is said when it cannot be had.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, TLSConfig};
use lapin::uri::AMQPScheme;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};

use super::url::BrokerUrl;
use crate::queue::topology::{DeclareError, Topology};

/// From the name's look-up to the end of the handshake. A frozen broker's kernel still accepts connections.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a polite good-bye may take before the connection is cut.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no connection. One sentence for the operator; never holds the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot reach the broker at {broker}: {reason}")]
    Unreachable { broker: String, reason: String },
    #[error("the broker at {broker} does not answer within {} s", CONNECT_LIMIT.as_secs())]
    Silent { broker: String },
    #[error("the broker at {broker} refuses user or password ({detail})")]
    Credentials { broker: String, detail: String },
    #[error("the broker at {broker} has no such virtual host, or the user may not enter it ({detail})")]
    VirtualHost { broker: String, detail: String },
    #[error("the broker at {broker} broke off: {reason}")]
    BrokenOff { broker: String, reason: String },
    #[error("the broker at {broker} is not as needed: {source}")]
    Topology { broker: String, source: DeclareError },
}

/// An open connection. Dropping it cuts it.
pub struct OpenConnection {
    connection: Connection,
    socket: SocketHandle,
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenConnection")
    }
}

/// A second handle to the socket. The client library has one thread for each connection, which ends only with the
/// socket: when a broker is frozen there is no other way to get rid of it.
#[derive(Clone, Default)]
struct SocketHandle(Arc<Mutex<Option<std::net::TcpStream>>>);

impl SocketHandle {
    fn hold(&self, socket: &impl AsFd) -> io::Result<()> {
        let second = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(second);
        Ok(())
    }

    fn cut(&self) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket {
            // An error means that it is cut already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.socket.cut();
    }
}

/// Cuts the socket when an attempt is given up half-way.
struct CutOnDrop(Option<SocketHandle>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.cut();
        }
    }
}

impl OpenConnection {
    /// Connects. `name` is what the broker's management pages show.
    pub async fn connect(url: &BrokerUrl, name: &str) -> Result<Self, ConnectError> {
        let mut attempt = CutOnDrop(Some(SocketHandle::default()));
        let socket = attempt.0.clone().unwrap_or_default();
        let connecting = tokio::time::timeout(CONNECT_LIMIT, handshake(url, name, socket.clone())).await;
        let broker = url.shown().to_owned();
        let connection = match connecting {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(not_connected(broker, &error)),
            Err(_) => return Err(ConnectError::Silent { broker }),
        };
        attempt.0 = None;
        Ok(Self { connection, socket })
    }

    /// A channel, once the topology is there.
    pub async fn prepared_channel(
        &self,
        url: &BrokerUrl,
        topology: &Topology,
    ) -> Result<Channel, ConnectError> {
        let preparing = async {
            let channel = self.connection.create_channel().await;
            let channel = channel.map_err(|error| not_connected(url.shown().to_owned(), &error))?;
            let declared = topology.declare(&channel).await;
            declared.map_err(|source| ConnectError::Topology {
                broker: url.shown().to_owned(),
                source,
            })?;
            Ok(channel)
        };
        let broker = url.shown().to_owned();
        let prepared = tokio::time::timeout(CONNECT_LIMIT, preparing).await;
        prepared.unwrap_or(Err(ConnectError::Silent { broker }))
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Says good-bye, so that the broker does not log a lost connection.
    pub async fn close(self) {
        let goodbye = self.connection.close(200, "stopped".into());
        // A broker that does not answer, or is gone, loses nothing by it.
        let _ = tokio::time::timeout(CLOSE_LIMIT, goodbye).await;
    }
}

async fn handshake(url: &BrokerUrl, name: &str, socket: SocketHandle) -> Result<Connection, lapin::Error> {
    let runtime = lapin::runtime::default_runtime()?;
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Connection::connector(
        url.uri(),
        runtime,
        async move |uri, runtime| {
            let address = runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
            let stream = AsyncTcpStream::connect(&runtime, address).await?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                socket.hold(plain.get_ref())?;
                // Confirms are small and waited for.
                plain.get_ref().set_nodelay(true)?;
            }
            let stream = match uri.scheme {
                AMQPScheme::AMQP => stream,
                AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, TLSConfig::default()).await?,
            };
            Ok(stream)
        },
        properties,
    )
    .await
}

fn not_connected(broker: String, error: &lapin::Error) -> ConnectError {
    /// Source: AMQP 0-9-1 specification, section 1.2.
    const ACCESS_REFUSED: u16 = 403;
    const NOT_ALLOWED: u16 = 530;
    const INVALID_PATH: u16 = 402;
    match error.kind() {
        ErrorKind::ProtocolError(said) => {
            let detail = said.get_message().to_string();
            match said.get_id() {
                ACCESS_REFUSED if detail.contains("vhost") => ConnectError::VirtualHost { broker, detail },
                ACCESS_REFUSED => ConnectError::Credentials { broker, detail },
                NOT_ALLOWED | INVALID_PATH => ConnectError::VirtualHost { broker, detail },
                _ => ConnectError::BrokenOff {
                    broker,
                    reason: detail,
                },
            }
        }
        ErrorKind::IOError(error) => ConnectError::Unreachable {
            broker,
            reason: io_reason(error),
        },
        _ => ConnectError::BrokenOff {
            broker,
            reason: error.to_string(),
        },
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "it ended the connection before the handshake; is it an AMQP port, with or without TLS as the URL says?"
                .to_owned()
        }
        io::ErrorKind::InvalidData => format!("TLS: {error}"),
        _ => error.to_string(),
    }
}
